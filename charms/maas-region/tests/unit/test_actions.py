# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import dataclasses
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from conftest import Workload
from ops import testing

import accounts
import api
import charm
import dhcp
import findings
import survey
from charmed_maas.interfaces import db
from controllers import Member

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
    told = f"{context.juju_log} {context.action_logs} {context.unit_status_history}"
    assert "s3cret" not in told


def test_a_password_that_maas_refuses_is_told_to_nobody(context: Context, workload: Workload):
    workload.accounts.create_admin.side_effect = accounts.AccountError("This … is too short.")
    secret = testing.Secret({"password": "s3cret"}, id="secret:pw")
    params = {"username": "admin", "email": "a@b.c", "password-secret": "secret:pw"}
    with pytest.raises(testing.ActionFailed) as failed:
        context.run(context.on.action("create-admin", params=params), _state(secret))
    assert "s3cret" not in f"{failed.value.message} {context.juju_log}"


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


def test_enable_dhcp_tells_who_serves_or_why_nobody_does(context: Context):
    ends = {"subnet": "10.1.0.0/24", "start": "10.1.0.100", "end": "10.1.0.199"}
    with mock.patch("actions.dhcp.enable", autospec=True) as enable:
        enable.return_value = dhcp.Enabled("fabric-0 untagged", "k1", "k2", ("k2 is away",))
        context.run(context.on.action("enable-dhcp", params=ends), _state())
        assert context.action_logs == [
            "k2 is away: if it served DHCP here before, look at its status"
        ]
        enable.assert_called_once_with(*ends.values(), alone=False)
        assert context.action_results == {
            "vlan": "fabric-0 untagged",
            "primary": "k1",
            "secondary": "k2",
        }
        enable.side_effect = api.APIError("no rack")
        with pytest.raises(testing.ActionFailed, match="no rack"):
            context.run(context.on.action("enable-dhcp", params=ends), _state())


def test_enable_dhcp_takes_a_subnet_or_a_vlan_and_not_both(context: Context):
    ends: dict[str, Any] = {"start": "10.1.0.100", "end": "10.1.0.199"}
    with mock.patch("actions.dhcp.enable", autospec=True) as enable:
        enable.return_value = dhcp.Enabled("fabric-0 untagged", "k1", "k2")
        for places in ({}, {"subnet": "10.1.0.0/24", "vlan": 5001}):
            with pytest.raises(testing.ActionFailed, match="give either subnet"):
                context.run(context.on.action("enable-dhcp", params=ends | places), _state())
        enable.assert_not_called()
        context.run(context.on.action("enable-dhcp", params=ends | {"vlan": 5001}), _state())
        enable.assert_called_once_with(5001, "10.1.0.100", "10.1.0.199", alone=False)


NOTHING = findings.Findings(
    regions=(),
    database=findings.Unknown("db is not integrated"),
    vip=None,
    url_host="",
    racks=(),
    vlans=(),
    bmcs=(),
    controllers=findings.Strays(),
)


def test_health_answers_where_nothing_serves(context: Context, workload: Workload):
    with mock.patch.object(survey, "look", autospec=True, return_value=NOTHING) as look:
        context.run(context.on.action("health"), testing.State())

    results = context.action_results or {}
    assert list(results) == ["json", "summary", "table"]
    assert results["summary"] == "does not work now: no region serves; unknown: database"
    assert results["table"].endswith(results["summary"])
    (model,) = look.call_args.args
    assert model.database == survey.DatabaseUnits(is_related=False)
    assert (model.vip, model.url, model.units) == ("", "", ())
    assert model.maas_s == 1.5


@pytest.mark.parametrize(("given", "taken"), [(10, 10.0), (-1, 0.1), (3600, 60.0)])
def test_health_waits_for_maas_as_long_as_it_is_told_within_reason(
    context: Context, workload: Workload, given: int, taken: float
):
    with mock.patch.object(survey, "look", autospec=True, return_value=NOTHING) as look:
        context.run(context.on.action("health", params={"wait": given}), testing.State())
    assert look.call_args.args[0].maas_s == taken


def test_health_asks_whom_juju_knows_and_reads_no_racks_databag(
    context: Context, workload: Workload
):
    secret = testing.Secret({"username": "maas", "password": "pw"})
    given = db.ProviderAppData(
        primary=("10.0.0.1", 5432),
        members=(("10.0.0.1", 5432), ("10.0.0.2", 5432)),
        secret_user=secret.id,
        health_port=8008,
        voters=("10.0.0.1",),
    ).to_databag()
    relations = {
        testing.PeerRelation(
            "peers",
            local_unit_data={"address": "10.0.0.1", "ready": "true", "system-id": "aaa000"},
            peers_data={1: {"address": "10.0.0.2", "paused": "true"}},
            local_app_data={"maas-url": "http://10.0.0.100/MAAS"},
        ),
        testing.Relation(
            "db", remote_app_data={key: value for key, value in given.items() if value}
        ),
        testing.Relation(
            "api",
            remote_app_data={"vip": "10.0.0.100", "url": "http://10.0.0.100/MAAS"},
            remote_units_data={
                0: {"address": "10.0.0.1", "ready": "true"},
                1: {"ingress-address": "10.0.0.100"},
            },
        ),
        testing.Relation("rpc", remote_units_data={11: {}, 2: {"system-id": "never read"}}),
    }
    with mock.patch.object(survey, "look", autospec=True, return_value=NOTHING) as look:
        context.run(
            context.on.action("health"), testing.State(relations=relations, secrets={secret})
        )
    assert look.call_args.args[0] == survey.Model(
        me="maas-region/0",
        regions=(
            survey.Unit("maas-region/0", "10.0.0.1"),
            survey.Unit("maas-region/1", "10.0.0.2", takes_part=False),
        ),
        database=survey.DatabaseUnits(("10.0.0.1", "10.0.0.2"), 8008, "", ("10.0.0.1",)),
        vip="10.0.0.100",
        url="http://10.0.0.100/MAAS",
        vip_units=(
            survey.Unit("remote/0", "10.0.0.1"),
            survey.Unit("remote/1", "", takes_part=False),
        ),
        members=(Member("maas-region/0", "region", "aaa000"),),
        departed=(),
        units=("maas-region/0", "maas-region/1", "remote/2", "remote/11"),
    )
