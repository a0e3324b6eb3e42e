# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import dataclasses
from pathlib import Path

import pytest
from conftest import Workload
from ops import testing

import accounts
import api
import charm

Context = testing.Context[charm.MAASRegionCharm]


def _state(*secrets: testing.Secret, ready: str = "true") -> testing.State:
    peers = testing.PeerRelation("peers", local_unit_data={"ready": ready})
    return testing.State(relations={peers}, secrets=set(secrets))


def test_create_admin_takes_the_password_from_a_secret(context: Context, workload: Workload):
    secret = testing.Secret({"password": "s3cret"}, id="secret:pw")
    state = _state(secret)
    params = {"username": "admin", "email": "a@b.c", "password-secret": "secret:pw"}
    context.run(context.on.action("create-admin", params=params), state)

    workload.accounts.create_admin.assert_called_once_with("admin", "a@b.c", "s3cret")
    assert context.action_results == {"username": "admin"}


def test_create_admin_names_the_file_with_the_password(context: Context, workload: Workload):
    workload.accounts.create_admin_with_file.return_value = Path("/var/lib/x")
    params = {"username": "admin", "email": "a@b.c"}
    context.run(context.on.action("create-admin", params=params), _state())

    assert context.action_results == {"username": "admin", "password-file": "/var/lib/x"}


def test_actions_fail_with_a_sentence(context: Context, workload: Workload):
    params = {"username": "admin", "email": "a@b.c", "password-secret": "secret:none"}
    with pytest.raises(testing.ActionFailed, match="juju grant-secret secret:none maas-region"):
        context.run(context.on.action("create-admin", params=params), _state())

    workload.accounts.api_keys.side_effect = accounts.AccountError("User does not exist.")
    with pytest.raises(testing.ActionFailed, match=r"User does not exist\."):
        context.run(context.on.action("get-api-key", params={"username": "x"}), _state())

    workload.controllers.listed.side_effect = api.APIError("MAAS does not answer")
    with pytest.raises(testing.ActionFailed, match="MAAS does not answer"):
        context.run(context.on.action("list-controllers"), _state())


def test_an_action_leaves_the_status_as_it_is(context: Context, workload: Workload):
    workload.accounts.api_keys.return_value = ["a:b:c"]
    before = dataclasses.replace(_state(), unit_status=testing.BlockedStatus("source x"))
    out = context.run(context.on.action("get-api-key", params={"username": "x"}), before)

    assert context.action_results == {"api-key": "a:b:c"}
    assert out.unit_status == before.unit_status


def test_list_controllers_has_a_line_each(context: Context, workload: Workload):
    workload.controllers.listed.return_value = [
        api.Controller("region", "abc123", "r1", ""),
        api.Controller("rack", "rack11", "k1", "running"),
    ]
    context.run(context.on.action("list-controllers"), _state())
    assert context.action_results == {"regions": "r1 abc123", "racks": "k1 rack11 running"}


def test_before_maas_serves_every_action_says_so(context: Context, workload: Workload):
    state = _state(ready="false")
    admin = {"username": "admin", "email": "a@b.c"}
    for name, params in (
        ("create-admin", admin),
        ("get-api-key", {"username": "admin"}),
        ("list-controllers", {}),
    ):
        with pytest.raises(testing.ActionFailed, match="does not serve on this unit yet"):
            context.run(context.on.action(name, params=params), state)
    workload.accounts.create_admin_with_file.assert_not_called()
    workload.controllers.listed.assert_not_called()


def test_delete_controller_tells_what_it_deleted_or_why_not(context: Context, workload: Workload):
    workload.controllers.delete.return_value = api.Controller("rack", "bbb333", "k3", "dead")
    context.run(context.on.action("delete-controller", params={"name": "k3"}), _state())
    workload.controllers.delete.assert_called_once_with("k3", force=False)
    assert context.action_results == {"deleted": "k3 bbb333 dead"}

    workload.controllers.delete.side_effect = api.APIError("k5 runs")
    with pytest.raises(testing.ActionFailed, match="k5 runs"):
        context.run(context.on.action("delete-controller", params={"name": "k5"}), _state())
