# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Stories of the two secrets: made once, adopted, rotated, and never told."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import ops
import pytest
from conftest import CLUSTER, Workload
from ops import testing
from test_charm import LOGIN, _local, _state

import accounts
import api
import charm
import database
import rack_secret
import serving
from charmed_maas import secrets

Context = testing.Context[charm.MAASRegionCharm]
OLD, NEW = "00" * 16, "11" * 16
READY = {"ready": "true"}


class MAAS:
    """MAAS's database and its API, as far as rotating goes."""

    def __init__(self) -> None:
        self.secret = OLD
        self.steps: list[str] = []
        self.fails = ""

    @contextlib.contextmanager
    def connect(self, *_: object) -> Iterator["MAAS"]:
        if self.fails == "database":
            raise database.DatabaseError("no member of it is primary now")
        yield self

    def set_shared_secret(self, _: object, secret: str) -> None:
        self.steps.append("shared secret")
        self.secret = secret

    def renew_key(self) -> str:
        if self.fails == "api":
            raise api.APIError("MAAS does not answer")
        self.steps.append("key")
        return "d:e:f"


@pytest.fixture
def maas(monkeypatch: pytest.MonkeyPatch, workload: Workload, tmp_path: Path) -> MAAS:
    """Return a MAAS that every region and rack runs with the secret of."""
    found = MAAS()
    monkeypatch.setattr(database, "connect", found.connect)
    monkeypatch.setattr(database, "shared_secret", lambda _: found.secret)
    monkeypatch.setattr(database, "set_shared_secret", found.set_shared_secret)
    monkeypatch.setattr(api, "renew_key", found.renew_key)
    monkeypatch.setattr(rack_secret, "TAKEN", tmp_path / "taken")
    monkeypatch.setattr(rack_secret, "WAITING", tmp_path / "waiting")
    workload.region.shared_secret.return_value = OLD
    return found


def _serving(secret: str) -> serving.Outcome:
    return serving.Outcome(serving.Stage.SERVING, cluster=CLUSTER, shared_secret=secret)


def _shared(content: str = OLD) -> testing.Secret:
    return testing.Secret({"secret": content}, label="shared-secret", owner="app")


def _key(content: str = "a:b:c", **more: object) -> testing.Secret:
    return testing.Secret({"api-key": content}, label="internal-api-key", owner="app", **more)  # type: ignore[arg-type]


def _with(state: testing.State, *own: testing.Secret) -> testing.State:
    return dataclasses.replace(state, secrets={*state.secrets, *own})


def _contents(state: testing.State) -> dict[str, dict[str, str]]:
    return {
        one.label: dict(one.latest_content or one.tracked_content)
        for one in state.secrets
        if one.label
    }


def _ready(*, leader: bool = True) -> testing.State:
    return _state(leader=leader, peers=testing.PeerRelation("peers", local_unit_data=READY))


def _rotate(context: Context, *own: testing.Secret, leader: bool = True) -> testing.State:
    return context.run(context.on.action("rotate-secrets"), _with(_ready(leader=leader), *own))


def test_the_leader_that_serves_keeps_both_in_secrets_once(context: Context, workload: Workload):
    workload.serving.ensure.return_value = _serving(OLD)
    once = context.run(context.on.update_status(), _state())
    assert _contents(once) == {
        "shared-secret": {"secret": OLD},
        "internal-api-key": {"api-key": "a:b:c"},
    }
    twice = context.run(context.on.update_status(), once)
    assert {one.id for one in twice.secrets} == {one.id for one in once.secrets}
    other = context.run(context.on.update_status(), _state(leader=False))
    assert not _contents(other)


def test_what_the_database_has_is_adopted_and_not_replaced(context: Context, workload: Workload):
    workload.serving.ensure.return_value = _serving(NEW)
    workload.accounts.internal_api_key.return_value = "x:y:z"
    out = context.run(context.on.update_status(), _with(_state(), _shared(), _key()))
    assert _contents(out) == {
        "shared-secret": {"secret": NEW},
        "internal-api-key": {"api-key": "x:y:z"},
    }


@pytest.mark.parametrize(
    "outcome",
    [serving.Outcome(serving.Stage.UNREACHABLE, "no primary"), _serving("")],
    ids=["no database", "no secret"],
)
def test_a_database_that_says_nothing_changes_no_secret(
    context: Context, workload: Workload, outcome: serving.Outcome
):
    workload.region.shared_secret.return_value = NEW
    workload.serving.ensure.return_value = outcome
    out = context.run(context.on.update_status(), _with(_state(), _shared(), _key()))
    assert _contents(out)["shared-secret"] == {"secret": OLD}
    assert _local(out, "rpc").local_app_data["secret-id"]


def test_a_region_without_the_key_takes_the_published_one(context: Context, workload: Workload):
    context.run(context.on.update_status(), _with(_state(leader=False), _key("d:e:f")))
    workload.accounts.keep.assert_called_once_with("d:e:f")

    workload.accounts.keep.reset_mock()
    workload.accounts.keep.side_effect = lambda _: (
        workload.accounts.internal_api_key.assert_not_called()
    )
    context.run(context.on.update_status(), _with(_state(), _key("d:e:f")))
    workload.accounts.keep.assert_called_once_with("d:e:f")


def test_a_region_with_a_key_takes_another_only_when_it_was_changed(
    context: Context, workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(accounts, "API_KEY", tmp_path / "api-key")
    accounts.API_KEY.write_text("a:b:c\n")
    key = _key("a:b:c", latest_content={"api-key": "d:e:f"})
    follower = _with(_state(leader=False), key)
    context.run(context.on.update_status(), follower)
    workload.accounts.keep.assert_not_called()
    # Juju tells an application's other units too, ops.testing does not: another's event will do.
    context.run(context.on.secret_changed(LOGIN), follower)
    workload.accounts.keep.assert_called_once_with("d:e:f")


def test_rotating_changes_both_in_maas_and_then_in_juju(
    context: Context, maas: MAAS, monkeypatch: pytest.MonkeyPatch
):
    out = _rotate(context, _shared(), _key())
    assert maas.steps == ["key", "shared secret"]
    assert maas.secret != OLD
    assert len(bytes.fromhex(maas.secret)) == 16
    assert _contents(out) == {
        "shared-secret": {"secret": maas.secret},
        "internal-api-key": {"api-key": "d:e:f"},
    }
    told = str(context.action_results) + str(context.juju_log) + str(context.action_logs)
    for one in (OLD, maas.secret, "d:e:f", "a:b:c"):
        assert one not in told
    assert set(context.action_results or {}) == {"api-key", "shared-secret"}


def test_what_a_killed_action_left_is_published_by_the_next_event(
    context: Context, workload: Workload, maas: MAAS
):
    maas.set_shared_secret(None, NEW)
    maas.renew_key()
    workload.accounts.internal_api_key.return_value = "d:e:f"
    workload.serving.ensure.return_value = _serving(maas.secret)
    out = context.run(context.on.update_status(), _with(_state(), _shared(), _key()))
    assert _contents(out)["shared-secret"] == {"secret": NEW}
    assert _contents(out)["internal-api-key"] == {"api-key": "d:e:f"}


def test_the_next_one_waits_until_all_have_the_last(context: Context, maas: MAAS):
    maas.secret = NEW
    with pytest.raises(testing.ActionFailed, match="still on its way to all") as failed:
        _rotate(context, _shared(NEW), _key())
    assert maas.secret == NEW
    assert isinstance(failed.value.state, testing.State)
    assert _contents(failed.value.state)["internal-api-key"] == {"api-key": "d:e:f"}


def test_a_secret_that_maas_keeps_elsewhere_is_waited_for_by_nobody(context: Context, maas: MAAS):
    maas.secret = ""
    with pytest.raises(testing.ActionFailed, match="MAAS keeps it elsewhere, as in a Vault"):
        _rotate(context, _shared(), _key())
    assert maas.steps == ["key"]


def test_a_rack_that_wrote_the_file_does_not_end_the_wait(
    context: Context, maas: MAAS, workload: Workload
):
    _rotate(context, _shared(), _key())
    workload.region.shared_secret.return_value = last = maas.secret
    with pytest.raises(testing.ActionFailed, match="still on its way to all"):
        _rotate(context, _shared(last), _key())
    assert maas.secret == last


@pytest.mark.parametrize(
    ("fails", "words"), [("database", "no member of it"), ("api", "MAAS does not answer")]
)
def test_what_stands_against_it_fails_the_action(
    context: Context, maas: MAAS, fails: str, words: str
):
    maas.fails = fails
    with pytest.raises(testing.ActionFailed, match=words):
        _rotate(context, _shared(), _key())
    assert maas.secret == OLD


def test_only_the_leader_rotates_and_only_while_it_serves(context: Context, maas: MAAS):
    with pytest.raises(testing.ActionFailed, match="juju run maas-region/leader"):
        _rotate(context, leader=False)
    with pytest.raises(testing.ActionFailed, match="MAAS does not serve on this unit yet"):
        context.run(context.on.action("rotate-secrets"), _state())
    assert not maas.steps


@pytest.mark.parametrize(("secret", "step"), [(_shared(), "shared secret"), (_key(), "key")])
def test_juju_rotates_the_one_that_is_due(
    context: Context, maas: MAAS, secret: testing.Secret, step: str
):
    out = context.run(context.on.secret_rotate(secret), _with(_ready(), secret))
    assert maas.steps == [step]
    (content,) = _contents(out).values()
    assert set(content.values()) == ({maas.secret} if step == "shared secret" else {"d:e:f"})


def test_what_cannot_be_rotated_now_is_logged_and_no_error(context: Context, maas: MAAS):
    maas.fails = "database"
    secret = _shared()
    context.run(context.on.secret_rotate(secret), _with(_ready(), secret))
    assert any(
        "shared-secret is not rotated: no member" in one.message for one in context.juju_log
    )


@pytest.mark.parametrize("secret", [_shared(), _key()], ids=lambda one: one.label)
def test_juju_rotates_nothing_while_the_leader_does_not_serve(
    context: Context, maas: MAAS, secret: testing.Secret
):
    out = context.run(context.on.secret_rotate(secret), _with(_state(), secret))
    assert not maas.steps
    assert _contents(out) == _contents(_with(_state(), secret))
    told = f"{secret.label} is not rotated: MAAS does not serve on this unit yet"
    assert any(told in one.message for one in context.juju_log)


def test_juju_rotates_as_often_as_the_option_says(context: Context, workload: Workload):
    workload.serving.ensure.return_value = _serving(OLD)
    made = context.run(context.on.config_changed(), _state(config={"secret-rotation": "monthly"}))
    known = {one.label: one.rotate for one in made.secrets if one.label}
    assert set(known.values()) == {ops.SecretRotate.MONTHLY}
    changed = dataclasses.replace(made, config={"secret-rotation": "never"})
    out = context.run(context.on.config_changed(), changed)
    assert {one.rotate for one in out.secrets if one.label} == {ops.SecretRotate.NEVER}


def test_another_word_is_no_rotation_and_is_told(context: Context, workload: Workload):
    out = context.run(context.on.config_changed(), _state(config={"secret-rotation": "often"}))
    assert out.unit_status.name == "blocked"
    assert out.unit_status.message.startswith("set secret-rotation to one of never, hourly")
    assert ops.SecretRotate.MONTHLY not in {one.rotate for one in out.secrets}


def test_a_revision_that_nobody_reads_goes(context: Context):
    secret = _shared()
    with mock.patch.object(ops.SecretRemoveEvent, "remove_revision", autospec=True) as remove:
        context.run(context.on.secret_remove(secret, revision=1), _with(_state(), secret))
    assert remove.called


def test_the_leader_itself_reads_no_revision_of_before(context: Context, workload: Workload):
    workload.serving.ensure.return_value = _serving(NEW)
    rotated = testing.Secret(
        {"secret": OLD}, latest_content={"secret": NEW}, label="shared-secret", owner="app"
    )
    out = context.run(context.on.update_status(), _with(_state(), rotated))
    (secret,) = [one for one in out.secrets if one.label == "shared-secret"]
    assert secret.tracked_content == {"secret": NEW}


def test_a_new_secret_is_made_as_maas_makes_one():
    assert len(bytes.fromhex(secrets.new_hexadecimal())) == 16
    assert secrets.new_hexadecimal() != secrets.new_hexadecimal()
