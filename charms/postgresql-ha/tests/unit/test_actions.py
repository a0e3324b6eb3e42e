# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import dataclasses
from unittest.mock import patch

import pytest
from conftest import ID, MEMBERS, Machine, Model, peer_data
from ops import testing

import etcd
import etcdctl
import peers
import pgdata
from charm import PostgreSQLHACharm
from charmed_maas import journal, systemd

Context = testing.Context[PostgreSQLHACharm]
JOINED = {n: {"address": f"10.0.0.{n + 1}", "cluster-id": ID} for n in (1, 2)}
ME, ONE = "postgresql-ha/0", "postgresql-ha/1"
ASIDE = pgdata.Copy(2, 900, "/var/lib/postgresql/removed/x/17", ID)


def gone(**other: str) -> Model:
    peers = {1: {"address": "10.0.0.2", **other}} if other else {}
    return Model(
        app={"cluster-id": ID, "bootstrap-unit": "postgresql-ha/0"}, peers=peers, leader=True
    )


def refusal(ctx: Context, action: str, model: Model, **params: str) -> str:
    with pytest.raises(testing.ActionFailed) as caught:
        ctx.run(ctx.on.action(action, params=params), model.state())
    return caught.value.message


@pytest.fixture
def model(machine: Machine) -> Model:
    machine.cluster_id = ID
    return Model(app={"cluster-id": ID}, peers=JOINED)


def test_get_primary(ctx: Context, model: Model):
    ctx.run(ctx.on.action("get-primary"), model.state())
    results = ctx.action_results or {}
    assert (results["primary"], results["address"]) == ("postgresql-ha/0", "10.0.0.1")
    assert "postgresql-ha/1 sync_standby streaming" in results["members"]


def test_switchover_goes_to_the_synchronous_replica_by_itself(
    ctx: Context, model: Model, machine: Machine
):
    ctx.run(ctx.on.action("switchover"), model.state())
    machine.api.switchover.assert_called_once_with("postgresql-ha-0", "postgresql-ha-1")
    machine.api.switchover.reset_mock()
    ctx.run(ctx.on.action("switchover", params={"to": "postgresql-ha/1"}), model.state())
    machine.api.switchover.assert_called_once_with("postgresql-ha-0", "postgresql-ha-1")


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("postgresql-ha/0", "is the primary already"),
        ("postgresql-ha/7", "is not a unit of this application"),
        ("7", "is not a unit of this application"),
        ("postgresql-ha/2", "is not the synchronous replica"),
    ],
)
def test_switchover_refuses(ctx: Context, model: Model, machine: Machine, to: str, reason: str):
    assert reason in refusal(ctx, "switchover", model, to=to)
    machine.api.switchover.assert_not_called()


def test_the_primary_is_not_reinitialised(ctx: Context, model: Model, machine: Machine):
    assert "run switchover first" in refusal(ctx, "reinitialise", model)
    machine.member.reinitialise.assert_not_called()


def test_a_replica_is_reinitialised(machine: Machine):
    ctx = testing.Context(PostgreSQLHACharm, unit_id=2)
    machine.cluster_id = ID
    machine.member.reinitialise.return_value = "/set/aside"
    peers = {n: {"address": f"10.0.0.{n + 1}", "cluster-id": ID} for n in (0, 1)}
    ctx.run(ctx.on.action("reinitialise"), Model(app={"cluster-id": ID}, peers=peers).state())
    assert ctx.action_results == {"set-aside": "/set/aside"}


def test_adopt_data_puts_back_what_was_set_aside_here(ctx: Context, machine: Machine):
    machine.aside = ASIDE
    state = ctx.run(ctx.on.action("adopt-data"), gone().state())
    assert machine.member.adopt.call_args.args[1] == ASIDE
    assert peer_data(state)[1]["cluster-id"] == ID


def test_adopt_data_names_the_unit_with_newer_data(ctx: Context, machine: Machine):
    machine.aside = ASIDE
    assert "the newest data is on postgresql-ha/1" in refusal(
        ctx, "adopt-data", gone(**{"set-aside": "2/901"})
    )
    machine.member.adopt.assert_not_called()


def test_of_units_with_the_same_data_one_adopts_it(machine: Machine):
    """Both would be two clusters."""
    ctx = testing.Context(PostgreSQLHACharm, unit_id=2)
    machine.aside = ASIDE
    other = gone(**{"set-aside": "2/900"})
    state = ctx.run(ctx.on.update_status(), other.state())
    assert "run adopt-data on postgresql-ha/1, or bootstrap" in state.unit_status.message
    assert "the newest data is on postgresql-ha/1" in refusal(ctx, "adopt-data", other)
    machine.member.adopt.assert_not_called()
    # The other one's was set aside while this one ran on.
    outlived = gone(**{"set-aside": "2/900", "outlived": "true"})
    state = ctx.run(ctx.on.update_status(), outlived.state())
    assert "is gone, run adopt-data, or bootstrap" in state.unit_status.message
    ctx.run(ctx.on.action("adopt-data"), outlived.state())
    machine.member.adopt.assert_called_once()


def test_adopt_data_refuses_data_that_the_cluster_outlived(ctx: Context, machine: Machine):
    machine.aside = pgdata.Copy(1, 5, "/old", ID, ("postgresql-ha/2",))
    message = refusal(ctx, "adopt-data", gone())
    assert "went on at postgresql-ha/2" in message
    assert "path=/old" in message
    machine.member.adopt.assert_not_called()


def test_adopt_data_takes_any_path_of_the_same_cluster(ctx: Context, machine: Machine):
    machine.member.copy_at.return_value = ASIDE
    ctx.run(ctx.on.action("adopt-data", params={"path": "/mnt/old"}), gone().state())
    machine.member.copy_at.assert_called_once_with("/mnt/old", ID)
    machine.member.adopt.assert_called_once()


@pytest.mark.parametrize(
    "error",
    [
        etcdctl.EtcdError("etcd did not get ready within 30 s"),
        systemd.SystemdError(f"systemctl exited with 1: Job for {etcd.SERVICE} failed"),
    ],
)
def test_a_daemon_that_does_not_come_up_fails_the_action_with_its_reason(
    ctx: Context, machine: Machine, error: Exception
):
    machine.aside = ASIDE
    machine.member.adopt.side_effect = error
    with patch.object(journal, "first_cause", return_value="etcd: no space left on device"):
        message = refusal(ctx, "adopt-data", gone())
    assert message == f"{error}; etcd: no space left on device"


def test_adopt_data_fails_with_a_sentence(ctx: Context, machine: Machine):
    assert "is not an absolute path" in refusal(ctx, "adopt-data", gone(), path="here")
    machine.member.copy_at.side_effect = pgdata.PgdataError("/x holds no data of PostgreSQL")
    assert refusal(ctx, "adopt-data", gone(), path="/x") == "/x holds no data of PostgreSQL"


def test_a_member_that_was_left_without_a_quorum_goes_on_from_its_own_data(
    ctx: Context, machine: Machine
):
    machine.cluster_id = ID
    machine.quorum.is_lost.return_value = True
    ctx.run(ctx.on.action("adopt-data"), gone().state())
    assert machine.member.adopt.call_args.args[1] is None
    machine.member.adopt.reset_mock()
    assert "leave out path" in refusal(ctx, "adopt-data", gone(), path="/elsewhere")
    other = Model(app={"cluster-id": ID}, peers=JOINED)
    message = refusal(ctx, "adopt-data", other)
    assert "the cluster has members" in message
    assert "juju remove-unit --force postgresql-ha/1 postgresql-ha/2, then run adopt" in message
    machine.member.adopt.assert_not_called()


@pytest.mark.parametrize(
    ("in_step", "has_followed", "words"),
    [
        (
            ["postgresql-ha-1", "postgresql-ha-2"],
            True,
            "may be on postgresql-ha/1 and postgresql-ha/2 only",
        ),
        (["postgresql-ha-0", "postgresql-ha-1"], False, "may have gone on while it was off"),
    ],
)
def test_a_member_that_may_lack_rows_goes_on_only_when_told_so(
    ctx: Context, machine: Machine, in_step: list[str], has_followed: bool, words: str
):
    machine.cluster_id = ID
    machine.quorum.is_lost.return_value = True
    machine.quorum.in_step.return_value = in_step
    machine.quorum.has_followed.return_value = has_followed
    message = refusal(ctx, "adopt-data", gone())
    assert words in message
    machine.member.adopt.assert_not_called()
    own = message.rpartition("path=")[2]
    ctx.run(ctx.on.action("adopt-data", params={"path": own}), gone().state())
    assert machine.member.adopt.call_args.args[1] is None


def test_nobody_is_told_to_remove_units_that_work(ctx: Context, model: Model):
    message = refusal(ctx, "adopt-data", model)
    assert message == "the cluster has a primary and a quorum: nothing to adopt"


@pytest.fixture
def without_primary(machine: Machine) -> Model:
    """Two replicas, of which neither had all the rows of the two members that are lost."""
    machine.cluster_id = ID
    lost = ("postgresql-ha-3", "postgresql-ha-4")
    machine.quorum.in_step.return_value = list(lost)
    machine.api.members.return_value = [
        dataclasses.replace(MEMBERS[n], role="replica", state="running") for n in (0, 1)
    ]
    machine.api.position.side_effect = lambda unit: (2, 900) if unit.name in (ME, ONE) else (0, 0)
    return Model(app={"cluster-id": ID}, peers={1: JOINED[1]})


def test_a_replica_goes_on_without_the_last_rows_once_those_that_had_them_were_removed(
    ctx: Context, machine: Machine, without_primary: Model
):
    message = refusal(ctx, "adopt-data", without_primary)
    assert "the last rows may be on postgresql-ha/3 and postgresql-ha/4 only" in message
    machine.member.promote.assert_not_called()
    own = message.rpartition("path=")[2]
    ctx.run(ctx.on.action("adopt-data", params={"path": own}), without_primary.state())
    machine.member.promote.assert_called_once()
    machine.member.adopt.assert_not_called()


def test_a_replica_does_not_go_on_while_those_that_have_the_last_rows_may_return(
    ctx: Context, machine: Machine, without_primary: Model
):
    without_primary.peers |= {3: {"address": "10.0.0.4", "cluster-id": ID}}
    state = ctx.run(ctx.on.update_status(), without_primary.state())
    words = (
        "no primary, for the last rows may be on postgresql-ha/3 and postgresql-ha/4 only: start"
        " postgresql-ha/3's machine again; if they never return:"
        " juju remove-unit --force postgresql-ha/3, then run adopt-data"
    )
    assert state.unit_status == testing.BlockedStatus(words)
    own = "/var/lib/postgresql/17/postgresql-ha"
    assert refusal(ctx, "adopt-data", without_primary, path=own) == words
    machine.member.promote.assert_not_called()


def test_the_status_of_replicas_says_what_to_do_once_those_with_the_last_rows_have_left(
    ctx: Context, without_primary: Model
):
    state = ctx.run(ctx.on.update_status(), without_primary.state())
    assert state.unit_status == testing.BlockedStatus(
        "no primary, for the last rows may be on postgresql-ha/3 and postgresql-ha/4 only,"
        " which left: run adopt-data"
    )


def test_the_replica_with_the_most_rows_goes_on(
    ctx: Context, machine: Machine, without_primary: Model
):
    machine.api.position.side_effect = lambda unit: (2, 901) if unit.name == ONE else (2, 900)
    message = refusal(ctx, "adopt-data", without_primary)
    assert message == "the newest data is on postgresql-ha/1: run adopt-data there"
    machine.member.promote.assert_not_called()


@pytest.mark.parametrize("position", [(0, 0), (0, 901)])
def test_a_replica_does_not_go_on_beside_one_that_may_have_more(
    ctx: Context, machine: Machine, without_primary: Model, position: tuple[int, int]
):
    machine.api.position.side_effect = lambda unit: position if unit.name == ONE else (2, 900)
    own = "/var/lib/postgresql/17/postgresql-ha"
    message = refusal(ctx, "adopt-data", without_primary, path=own)
    assert "postgresql-ha/1 may have more, and does not tell" in message
    assert "juju remove-unit --force postgresql-ha/1, then run adopt-data" in message
    machine.member.promote.assert_not_called()


@pytest.mark.parametrize("in_step", [["postgresql-ha-0"], ["postgresql-ha-1"], []])
def test_where_patroni_chooses_a_primary_nobody_is_needed(
    ctx: Context, machine: Machine, without_primary: Model, in_step: list[str]
):
    machine.quorum.in_step.return_value = in_step
    state = ctx.run(ctx.on.update_status(), without_primary.state())
    assert state.unit_status == testing.WaitingStatus(
        "for a primary: if this stays for a minute, see "
        "journalctl -u postgresql-ha-patroni.service"
    )
    assert "about to choose a primary" in refusal(ctx, "adopt-data", without_primary)
    machine.member.promote.assert_not_called()


def test_a_replica_that_does_not_run_does_not_go_on(
    ctx: Context, machine: Machine, without_primary: Model
):
    machine.api.members.return_value = machine.api.members.return_value[1:]
    assert "PostgreSQL does not run here" in refusal(ctx, "adopt-data", without_primary)
    machine.member.promote.assert_not_called()


def test_a_member_goes_on_alone_once_the_lost_units_were_removed(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    machine.quorum.is_lost.return_value = True
    left = Model(app={"cluster-id": ID}, peers=JOINED).state()
    goals = {"postgresql-ha/0": True, "postgresql-ha/1": False}
    with patch.object(peers.Peers, "goals", return_value=goals):
        ctx.run(ctx.on.action("adopt-data"), left)
    assert machine.member.adopt.call_args.args[1] is None


def test_adopt_data_names_the_units_that_may_have_the_cluster(ctx: Context, machine: Machine):
    goals = {"postgresql-ha/0": True, "postgresql-ha/1": True}
    with patch.object(peers.Peers, "goals", return_value=goals):
        message = refusal(ctx, "adopt-data", gone())
        state = ctx.run(ctx.on.update_status(), gone().state())
    words = "if they never return: juju remove-unit --force postgresql-ha/1, then run adopt-data"
    assert words in message
    assert words in state.unit_status.message
    machine.member.adopt.assert_not_called()


@pytest.mark.parametrize("is_listed", [True, False], ids=["juju 4.0", "juju 3.6"])
def test_a_last_member_that_leaves_is_not_gone_yet(
    ctx: Context, machine: Machine, is_listed: bool
):
    """It has all rows, and serves: nothing is to be adopted or started anew beside it."""
    model = gone(**{"cluster-id": ID}) if is_listed else gone()
    goals = {"postgresql-ha/0": True, "postgresql-ha/1": False}
    with patch.object(peers.Peers, "goals", return_value=goals):
        refused = refusal(ctx, "bootstrap", model, confirm=ID)
        state = ctx.run(ctx.on.update_status(), model.state())
    assert "the cluster has members, or is about to" in refused
    assert state.unit_status == testing.WaitingStatus(
        "to copy what postgresql-ha/1 has before it leaves; if they never return: "
        "juju remove-unit --force postgresql-ha/1, then run adopt-data"
    )
    assert machine.names() == (["run"] if is_listed else [])


@pytest.mark.usefixtures("machine")
def test_adopt_data_has_nothing_to_adopt_before_there_was_a_cluster(ctx: Context):
    message = refusal(ctx, "adopt-data", Model(app={"bootstrap-unit": "postgresql-ha/0"}))
    assert "there never was a cluster" in message


def test_bootstrap_wants_to_be_meant(ctx: Context, machine: Machine):
    assert f"give {ID}" in refusal(ctx, "bootstrap", gone(), confirm="yes")
    machine.cluster_id = ID
    assert "the cluster has members" in refusal(ctx, "bootstrap", gone(), confirm=ID)
    model = gone()
    model.leader = False
    assert "run it on the leader" in refusal(ctx, "bootstrap", model, confirm=ID)


def test_bootstrap_starts_anew_in_the_next_hook(ctx: Context, machine: Machine):
    state = ctx.run(ctx.on.action("bootstrap", params={"confirm": ID}), gone().state())
    assert machine.names() == []
    app, _ = peer_data(state)
    assert "cluster-id" not in app
    ctx.run(ctx.on.update_status(), state)
    assert machine.names() == ["bootstrap"]
