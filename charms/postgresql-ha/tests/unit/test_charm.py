# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import dataclasses
import json
from collections.abc import Iterator
from unittest.mock import MagicMock, patch

import pytest
from conftest import CONTENT, ID, MEMBERS, Machine, Model, peer_data
from ops import testing

import cluster
import etcd
import etcdctl
import membership
import patroni
import peers
import rest
from charm import PostgreSQLHACharm
from charmed_maas import apt_source, journal, systemd

Context = testing.Context[PostgreSQLHACharm]
TWO = {1: {"address": "10.0.0.2"}, 2: {"address": "10.0.0.3"}}
JOINED = {n: {**data, "cluster-id": ID} for n, data in TWO.items()}
BLOCKED, WAITING, ACTIVE = testing.BlockedStatus, testing.WaitingStatus, testing.ActiveStatus


def region(**unit: str) -> testing.Relation:
    units = {0: {"ingress-address": "10.0.0.7"}, 1: {"ingress-address": "10.0.0.8"}}
    return testing.Relation(
        "db",
        remote_app_name="maas-region",
        remote_app_data={"database": "maasdb"},
        remote_units_data={**units, **({2: unit} if unit else {})},
    )


def test_the_leader_nominates_itself_and_bootstraps_later(ctx: Context, machine: Machine):
    first = ctx.run(ctx.on.leader_elected(), Model(leader=True).state())
    app, _ = peer_data(first)
    assert app["bootstrap-unit"] == "postgresql-ha/0"
    assert app["secret-id"]
    assert machine.names() == []

    def bootstrap(spec: cluster.Spec, *, strict: bool) -> str:
        machine.cluster_id = ID
        return ID

    machine.member.bootstrap.side_effect = bootstrap
    second = ctx.run(ctx.on.config_changed(), first)
    assert machine.names() == ["bootstrap"]
    app, own = peer_data(second)
    assert (app["cluster-id"], own["cluster-id"]) == (ID, ID)


def test_no_password_is_in_a_databag(ctx: Context, machine: Machine):
    state = ctx.run(ctx.on.leader_elected(), Model(leader=True).state())
    (secret,) = state.secrets
    assert set(secret.latest_content or {}) == set(CONTENT)
    written = json.dumps(peer_data(state))
    assert not any(value in written for value in (secret.latest_content or {}).values())


def test_a_new_leader_does_not_bootstrap_for_a_nominated_unit_that_is_off(
    ctx: Context, machine: Machine
):
    model = Model(app={"bootstrap-unit": "postgresql-ha/1"}, peers=TWO, leader=True)
    state = ctx.run(ctx.on.leader_elected(), model.state())
    assert machine.names() == []
    assert peer_data(state)[0]["bootstrap-unit"] == "postgresql-ha/1"
    assert state.unit_status == WAITING("for postgresql-ha/1 to bootstrap the cluster")


def test_the_leader_records_what_the_nominated_unit_bootstrapped(ctx: Context, machine: Machine):
    peers = {**TWO, 1: {"address": "10.0.0.2", "cluster-id": ID}}
    model = Model(app={"bootstrap-unit": "postgresql-ha/1"}, peers=peers, leader=True)
    state = ctx.run(ctx.on.update_status(), model.state())
    assert peer_data(state)[0]["cluster-id"] == ID
    assert machine.names() == []


def test_a_nominated_unit_that_is_gone_is_the_operators_to_replace(ctx: Context, machine: Machine):
    model = Model(app={"bootstrap-unit": "postgresql-ha/7"}, peers=TWO, leader=True)
    state = ctx.run(ctx.on.update_status(), model.state())
    assert machine.names() == []
    assert isinstance(state.unit_status, BLOCKED)
    assert "run bootstrap confirm=postgresql-ha/7" in state.unit_status.message


def test_a_unit_joins_once_there_is_a_cluster(ctx: Context, machine: Machine):
    model = Model(app={"cluster-id": ID}, peers=JOINED)
    state = ctx.run(ctx.on.update_status(), model.state())
    assert machine.names() == ["run"]
    spec, cluster_id = machine.member.run.call_args.args
    assert cluster_id == ID
    assert [unit.address for unit in spec.units] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert spec.keys.superuser == "superpw"
    assert peer_data(state)[1]["etcd"] == "voter"


@pytest.mark.parametrize(
    ("admits", "admitted"),
    [('["postgresql-ha/1"]', False), ('["postgresql-ha/0", "postgresql-ha/1"]', True), ("", True)],
)
def test_a_joining_unit_knows_whether_the_primary_lets_it_in(
    ctx: Context, machine: Machine, admits: str, admitted: bool
):
    joined = {**JOINED, 1: {**JOINED[1], "admits": admits}}
    ctx.run(ctx.on.update_status(), Model(app={"cluster-id": ID}, peers=joined).state())
    assert machine.member.run.call_args.kwargs["admitted"] == admitted


def test_after_the_last_member_no_unit_bootstraps(ctx: Context, machine: Machine):
    model = Model(app={"cluster-id": ID, "bootstrap-unit": "postgresql-ha/0"}, leader=True)
    state = ctx.run(ctx.on.update_status(), model.state())
    assert machine.names() == []
    assert isinstance(state.unit_status, BLOCKED)
    assert f"the last member of cluster {ID} is gone, run adopt-data" in state.unit_status.message
    assert state.unit_status.message.endswith(f", or bootstrap confirm={ID} on the leader")
    machine.membership.ensure_etcd.assert_not_called()


@pytest.mark.parametrize(
    ("number", "message"), [(0, "primary"), (1, "synchronous replica"), (2, "replica")]
)
def test_the_status_is_the_role(machine: Machine, number: int, message: str):
    ctx = testing.Context(PostgreSQLHACharm, unit_id=number)
    machine.cluster_id = ID
    peers = {n: {"address": f"10.0.0.{n + 1}", "cluster-id": ID} for n in range(3) if n != number}
    model = Model(app={"cluster-id": ID}, peers=peers, address=f"10.0.0.{number + 1}")
    state = ctx.run(ctx.on.update_status(), model.state())
    assert state.unit_status == ACTIVE(message)


def test_the_leader_tells_whose_vote_etcd_lacks(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    machine.membership.ensure_etcd.return_value = membership.Etcd(missing=("postgresql-ha/2",))
    model = Model(app={"cluster-id": ID}, peers=JOINED, leader=True, db=region())
    state = ctx.run(ctx.on.update_status(), model.state())
    assert state.unit_status == ACTIVE("primary; etcd lacks the vote of postgresql-ha/2")


def test_few_units_are_told_what_they_lack(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    one = ctx.run(ctx.on.update_status(), Model(app={"cluster-id": ID}).state())
    assert one.unit_status == ACTIVE("primary; 1 unit: no high availability, add two units")
    two = Model(app={"cluster-id": ID}, peers={1: JOINED[1]})
    state = ctx.run(ctx.on.update_status(), two.state())
    assert state.unit_status == ACTIVE("primary; 2 units: no automatic failover, add a unit")


def test_a_joining_unit_is_not_active(machine: Machine):
    ctx = testing.Context(PostgreSQLHACharm, unit_id=2)
    machine.api.members.return_value = [
        *MEMBERS[:2],
        cluster.Member("postgresql-ha-2", "10.0.0.3", 5432, "replica", "creating replica"),
    ]
    peers = {0: {"address": "10.0.0.1", "cluster-id": ID}}
    model = Model(app={"cluster-id": ID}, peers=peers, address="10.0.0.3")
    state = ctx.run(ctx.on.update_status(), model.state())
    assert state.unit_status == testing.MaintenanceStatus("joining the cluster: creating replica")


REASON = "etcd: discovery failed: listen tcp 10.0.0.1:2379: bind: address already in use"
RELOAD = systemd.SystemdError(f"systemctl exited with 1: {patroni.SERVICE} is not active,\n no")


@pytest.fixture
def first_cause() -> Iterator[MagicMock]:
    with patch.object(journal, "first_cause", autospec=True, return_value=REASON) as found:
        yield found


def test_an_etcd_that_does_not_come_up_is_told_and_tried_again(
    ctx: Context, machine: Machine, first_cause: MagicMock
):
    machine.member.bootstrap.side_effect = etcdctl.EtcdError("etcd did not get ready within 30 s")
    machine.api.members.side_effect = rest.RestError("no route")
    model = Model(app={"bootstrap-unit": "postgresql-ha/0"}, peers=TWO, leader=True)
    state = ctx.run(ctx.on.config_changed(), model.state())
    assert state.unit_status == BLOCKED(f"etcd did not get ready within 30 s; {REASON}")
    first_cause.assert_any_call([etcd.SERVICE])
    assert peer_data(state)[1]["address"] == "10.0.0.1"
    ctx.run(ctx.on.update_status(), state)
    assert machine.names() == ["bootstrap", "bootstrap"]


def test_a_patroni_that_cannot_be_reloaded_is_told_and_the_leader_leads_on(
    ctx: Context, machine: Machine, first_cause: MagicMock
):
    machine.cluster_id = ID
    machine.member.run.side_effect = RELOAD
    first_cause.return_value = ""
    relation = region()
    told = {"cluster-id": ID, "etcd": "voter", "admits": '["postgresql-ha/0"]'}
    model = Model(app={"cluster-id": ID}, own=told, peers=JOINED, leader=True, db=relation)
    state = ctx.run(ctx.on.update_status(), model.state())
    assert state.unit_status == BLOCKED(
        f"systemctl exited with 1: {patroni.SERVICE} is not active, no"
    )
    first_cause.assert_called_once_with([patroni.SERVICE])
    assert peer_data(state)[1] == {**told, "address": "10.0.0.1"}
    assert "admitted" not in state.get_relation(relation.id).local_unit_data
    machine.membership.ensure_etcd.assert_called_once()
    machine.member.run.side_effect = None
    after = ctx.run(ctx.on.update_status(), state)
    assert after.unit_status == ACTIVE("primary")


def test_a_quorum_that_is_lost_is_told_before_a_daemon_that_misses_it(
    ctx: Context, machine: Machine, first_cause: MagicMock
):
    machine.cluster_id = ID
    machine.member.run.side_effect = RELOAD
    machine.quorum.without_s.return_value = 31.0
    machine.quorum.silent.return_value = ["postgresql-ha/0", "postgresql-ha/2"]
    state = ctx.run(ctx.on.update_status(), Model(app={"cluster-id": ID}, peers=JOINED).state())
    assert "etcd has no quorum" in state.unit_status.message


def test_an_etcd_that_does_not_answer_in_time_is_told_and_its_quorum_is_not_taken_for_lost(
    ctx: Context, machine: Machine, first_cause: MagicMock
):
    machine.cluster_id = ID
    machine.quorum.without_s.return_value = 31.0
    machine.quorum.silent.side_effect = etcdctl.EtcdError("etcdctl took over 15 s")
    state = ctx.run(ctx.on.update_status(), Model(app={"cluster-id": ID}, peers=JOINED).state())
    assert state.unit_status == BLOCKED(f"etcdctl took over 15 s; {REASON}")


@pytest.mark.parametrize("verb", ["install", "take_over"])
def test_a_machine_that_cannot_be_prepared_is_told_and_nothing_started(
    ctx: Context, machine: Machine, first_cause: MagicMock, verb: str
):
    owner = machine.postgresql if verb == "install" else machine.member
    getattr(owner, verb).side_effect = systemd.SystemdError("systemctl exited with 1: no")
    state = ctx.run(ctx.on.update_status(), Model(app={"cluster-id": ID}, peers=JOINED).state())
    assert state.unit_status == BLOCKED("systemctl exited with 1: no")
    first_cause.assert_not_called()
    assert machine.names() == []


@pytest.mark.parametrize("kind", [apt_source.SourceError, systemd.SystemdError])
def test_what_a_command_says_is_told_in_one_line_with_its_end(
    ctx: Context, machine: Machine, first_cause: MagicMock, kind: type[Exception]
):
    machine.postgresql.install.side_effect = kind(
        "apt-get exited with 1: " + "E: x\n" * 200 + "end"
    )
    state = ctx.run(ctx.on.update_status(), Model(app={"cluster-id": ID}, peers=JOINED).state())
    message = state.unit_status.message
    assert message.isprintable()
    assert len(message) <= 300
    assert message.endswith("E: x end")


def test_patroni_that_does_not_answer_is_not_active_and_tells_why_or_where_to_look(
    ctx: Context, machine: Machine, first_cause: MagicMock
):
    machine.cluster_id = ID
    machine.api.members.side_effect = rest.RestError("no route")
    model = Model(app={"cluster-id": ID}, peers=JOINED, leader=True, db=region())
    look = "if it stays, see journalctl -u postgresql-ha-patroni.service"
    for cause, told in ((REASON, REASON), ("", look)):
        first_cause.reset_mock()
        first_cause.return_value = cause
        state = ctx.run(ctx.on.update_status(), model.state())
        assert state.unit_status == testing.MaintenanceStatus(
            f"Patroni does not answer yet; {told}"
        )
        first_cause.assert_called_once_with([patroni.SERVICE], recent=True)


def test_a_member_that_was_started_without_a_quorum_says_so(ctx: Context, machine: Machine):
    """Its Patroni does not answer until there is one."""
    machine.cluster_id = ID
    machine.api.members.side_effect = rest.RestError("connection refused")
    machine.quorum.without_s.return_value = 31.0
    machine.quorum.silent.return_value = ["postgresql-ha/0", "postgresql-ha/2"]
    state = ctx.run(ctx.on.update_status(), Model(app={"cluster-id": ID}, peers=JOINED).state())
    assert "etcd has no quorum" in state.unit_status.message


def test_a_replica_that_does_not_stream_is_not_active(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    machine.api.members.return_value = [
        dataclasses.replace(MEMBERS[0], name="postgresql-ha-1"),
        dataclasses.replace(MEMBERS[1], name="postgresql-ha-0", role="replica", state="running"),
    ]
    machine.member.is_serving.return_value = False
    state = ctx.run(ctx.on.update_status(), Model(app={"cluster-id": ID}, peers=JOINED).state())
    assert state.unit_status == testing.WaitingStatus(
        "to follow postgresql-ha/1: if this stays for minutes, run reinitialise"
    )


def test_a_member_without_a_quorum_says_so(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    machine.quorum.without_s.return_value = 31.0
    machine.quorum.silent.return_value = ["postgresql-ha/0", "postgresql-ha/2"]
    state = ctx.run(ctx.on.update_status(), Model(app={"cluster-id": ID}, peers=JOINED).state())
    assert isinstance(state.unit_status, BLOCKED)
    assert "etcd has no quorum" in state.unit_status.message
    step = "juju remove-unit --force postgresql-ha/1 postgresql-ha/2, then run adopt-data"
    assert step in state.unit_status.message


@pytest.mark.parametrize(
    ("silent", "listed", "remedy"),
    [
        ([1, 2], [0, 1, 2], "start the machines of postgresql-ha/1, postgresql-ha/2 again"),
        ([0, 2], [0, 1, 2], "start the machine of postgresql-ha/2 again"),
        ([1, 2], [0, 1], "start the machine of postgresql-ha/1 again"),
        ([1, 2], [], "start the machines of postgresql-ha/1, postgresql-ha/2 again"),
        ([], [0, 1, 2], "start the other members' machines again"),
    ],
)
def test_without_a_quorum_those_are_named_whose_etcd_is_listed_and_silent(
    ctx: Context, machine: Machine, silent: list[int], listed: list[int], remedy: str
):
    machine.cluster_id = ID
    machine.quorum.without_s.return_value = 31.0
    machine.quorum.silent.return_value = [f"postgresql-ha/{n}" for n in silent]
    members = json.dumps([f"postgresql-ha/{n}" for n in listed])
    app = {"cluster-id": ID, "etcd-members": members}
    state = ctx.run(ctx.on.update_status(), Model(app=app, peers=JOINED).state())
    assert state.unit_status.message == (
        f"etcd has no quorum: {remedy}; if they never return: juju remove-unit --force "
        "postgresql-ha/1 postgresql-ha/2, then run adopt-data"
    )


def test_a_member_without_a_quorum_whose_own_etcd_does_not_run_says_why(
    ctx: Context, machine: Machine, first_cause: MagicMock, monkeypatch: pytest.MonkeyPatch
):
    machine.cluster_id = ID
    machine.quorum.without_s.return_value = 31.0
    machine.quorum.silent.return_value = ["postgresql-ha/0", "postgresql-ha/2"]
    model = Model(app={"cluster-id": ID}, peers=JOINED)
    for state, told in (
        ("auto-restart", f", and here it does not run ({REASON})"),
        ("running", ""),
    ):
        shown = {"SubState": state}
        monkeypatch.setattr(systemd, "show", lambda *_, shown=shown: shown)
        after = ctx.run(ctx.on.update_status(), model.state())
        start = f"etcd has no quorum{told}: start the machine of postgresql-ha/2 again; "
        assert after.unit_status.message.startswith(start)
    machine.quorum.silent.return_value = ["postgresql-ha/0"]
    monkeypatch.setattr(systemd, "show", lambda *_: {"SubState": "auto-restart"})
    after = ctx.run(ctx.on.update_status(), model.state())
    assert f"and here it does not run ({REASON}): mend that; " in after.unit_status.message


def test_a_leaving_peer_is_still_reached_and_no_more_relied_on(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    peers = {1: JOINED[1], 2: {**JOINED[2], "leaving": "true"}}
    ctx.run(ctx.on.update_status(), Model(app={"cluster-id": ID}, peers=peers).state())
    spec = machine.member.run.call_args.args[0]
    assert [unit.name for unit in spec.units] == [f"postgresql-ha/{n}" for n in range(3)]
    assert [unit.name for unit in spec.staying] == ["postgresql-ha/0", "postgresql-ha/1"]


def test_a_related_application_gets_a_database_and_only_its_units_are_admitted(
    ctx: Context, machine: Machine
):
    machine.cluster_id = ID
    relation = region()
    model = Model(app={"cluster-id": ID}, peers=JOINED, leader=True, db=relation)
    state = ctx.run(ctx.on.update_status(), model.state())
    spec = machine.member.run.call_args.args[0]
    assert [(one.database, one.address) for one in spec.clients] == [
        ("maasdb", "10.0.0.7"),
        ("maasdb", "10.0.0.8"),
    ]
    data = state.get_relation(relation.id).local_app_data
    assert data["endpoints"] == "10.0.0.1:5432"
    assert data["read-only-endpoints"] == "10.0.0.2:5432,10.0.0.3:5432"
    assert json.loads(data["members"]) == ["10.0.0.1:5432", "10.0.0.2:5432", "10.0.0.3:5432"]
    assert (data["database"], data["version"]) == ("maasdb", "17.2")
    assert (data["health-port"], data["tls"]) == ("8008", "False")
    assert json.loads(data["voters"]) == ["10.0.0.1"]
    secret = state.get_secret(label=f"db-{relation.id}")
    content = secret.latest_content or {}
    assert content["username"] == "maasdb"
    assert secret.remote_grants
    assert content["password"] not in json.dumps(data)
    call = machine.postgresql.ensure_database.call_args.args
    assert call[1:] == ("maasdb", content["password"])


def test_nothing_is_published_twice(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    relation = region()
    model = Model(app={"cluster-id": ID}, peers=JOINED, leader=True, db=relation)
    first = ctx.run(ctx.on.update_status(), model.state())
    second = ctx.run(ctx.on.update_status(), first)
    assert first.get_relation(relation.id) == second.get_relation(relation.id)
    assert peer_data(first) == peer_data(second)
    assert len(second.get_secret(label=f"db-{relation.id}").tracked_content or {}) == 2


def test_a_relation_that_breaks_takes_the_login_along_and_no_data(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    relation = region()
    model = Model(app={"cluster-id": ID}, peers=JOINED, leader=True, db=relation)
    served = ctx.run(ctx.on.update_status(), model.state())
    gone = ctx.run(ctx.on.relation_broken(served.get_relation(relation.id)), served)
    assert machine.postgresql.revoke.call_args.args[1] == []
    assert machine.member.run.call_args.args[0].clients == ()
    assert [secret.label for secret in gone.secrets] == ["members"]


def test_a_dying_unit_neither_reconciles_nor_takes_logins(machine: Machine):
    ctx = testing.Context(PostgreSQLHACharm, unit_id=1)
    machine.cluster_id = ID
    relation = region()
    peers = {n: {"address": f"10.0.0.{n + 1}", "cluster-id": ID} for n in (0, 2)}
    state = Model(app={"cluster-id": ID}, peers=peers, leader=True, db=relation).state()
    departing = ctx.on.relation_departed(relation, remote_unit=0, departing_unit=0)
    left = ctx.run(departing, state)
    assert "leaving" not in peer_data(left)[1]
    machine.member.run.reset_mock()
    relation_peers = next(iter(left.get_relations("peers")))
    leaving = ctx.on.relation_departed(relation_peers, remote_unit=2, departing_unit=1)
    dying = ctx.run(leaving, left)
    assert peer_data(dying)[1]["leaving"] == "true"
    machine.postgresql.revoke.reset_mock()
    machine.member.run.reset_mock()
    ctx.run(ctx.on.relation_broken(dying.get_relation(relation.id)), dying)
    machine.member.run.assert_not_called()
    machine.postgresql.revoke.assert_not_called()


def test_stop_leaves_to_the_peers_that_were_known_last(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    machine.remembered.peers.return_value = [
        cluster.Unit("postgresql-ha/1", "10.0.0.2"),
        cluster.Unit("postgresql-ha/9", "10.0.0.9"),
    ]
    model = Model(app={"cluster-id": ID}, own={"leaving": "true"}, peers={1: JOINED[1]})
    ctx.run(ctx.on.stop(), model.state())
    (spec,) = machine.member.leave.call_args.args
    assert [unit.name for unit in spec.peers] == ["postgresql-ha/1"]


def test_stop_leaves_though_the_peers_relation_has_broken_before(ctx: Context, machine: Machine):
    """As after a restart of the unit's agent: the vote and the primary's place are handed over."""
    spec = cluster.Spec(
        cluster.Unit("postgresql-ha/0", "10.0.0.1"),
        (cluster.Unit("postgresql-ha/1", "10.0.0.2"),),
        "postgresql-ha",
        cluster.Keys("", "", "", "", "", "restpw"),
    )
    machine.remembered.spec.return_value = spec
    goals = {"postgresql-ha/0": False, "postgresql-ha/1": True, "postgresql-ha/7": True}
    with patch.object(peers.Peers, "goals", return_value=goals):
        ctx.run(ctx.on.stop(), testing.State())
    unmet = dataclasses.replace(spec, unmet=frozenset({"postgresql-ha/7"}))
    assert machine.member.leave.call_args.args == (unmet,)
    machine.remembered.spec.assert_called_once_with("postgresql-ha/0")


def test_garbled_databags_are_told_and_not_obeyed(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    relation = testing.Relation(
        "db", remote_app_name="maas-region", remote_app_data={"database": "a\x00b"}
    )
    model = Model(app={"cluster-id": ID}, peers=JOINED, leader=True, db=relation)
    state = ctx.run(ctx.on.update_status(), model.state())
    assert isinstance(state.unit_status, BLOCKED)
    assert "maas-region sent database" in state.unit_status.message
    machine.postgresql.ensure_database.assert_not_called()


def served(ctx: Context, *relations: testing.Relation) -> testing.State:
    """A cluster of three whose related applications have their databases."""
    state = Model(app={"cluster-id": ID}, peers=JOINED, leader=True).state()
    state = dataclasses.replace(state, relations=[*state.relations, *relations])
    return ctx.run(ctx.on.update_status(), state)


def changed(state: testing.State, relation: testing.Relation, **changes: object) -> testing.State:
    """The state with the other side's databags changed."""
    now = dataclasses.replace(state.get_relation(relation.id), **changes)
    others = [one for one in state.relations if one.id != relation.id]
    return dataclasses.replace(state, relations=[*others, now])


@pytest.mark.parametrize("leader", [True, False])
@pytest.mark.parametrize(
    "nonsense", [{"database": "a\x00b"}, {}, {"database": "postgres"}, {"database": "A b"}]
)
def test_nonsense_takes_nothing_from_a_relation_that_was_served(
    ctx: Context, machine: Machine, nonsense: dict[str, str], leader: bool
):
    machine.cluster_id = ID
    relation = region()
    state = changed(served(ctx, relation), relation, remote_app_data=nonsense)
    machine.postgresql.revoke.reset_mock()
    state = ctx.run(ctx.on.update_status(), dataclasses.replace(state, leader=leader))
    clients = machine.member.run.call_args.args[0].clients
    assert [(one.database, one.address) for one in clients] == [
        ("maasdb", "10.0.0.7"),
        ("maasdb", "10.0.0.8"),
    ]
    if leader:
        assert machine.postgresql.revoke.call_args.args[1] == ["maasdb"]
        assert state.get_relation(relation.id).local_app_data["database"] == "maasdb"
        assert peer_data(state)[0]["databases"] == json.dumps([f"{relation.id}:maasdb"])
    assert isinstance(state.unit_status, BLOCKED)
    assert "maas-region" in state.unit_status.message
    gone = ctx.run(ctx.on.relation_broken(state.get_relation(relation.id)), state)
    assert machine.member.run.call_args.args[0].clients == ()
    if leader:
        assert machine.postgresql.revoke.call_args.args[1] == []
        assert "databases" not in peer_data(gone)[0]


def test_a_garbled_unit_takes_nothing_from_the_others(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    relation = region()
    units = {0: {"ingress-address": "10.0.0.7"}, 1: {"ingress-address": "everywhere"}}
    state = changed(served(ctx, relation), relation, remote_units_data=units)
    state = ctx.run(ctx.on.update_status(), state)
    clients = machine.member.run.call_args.args[0].clients
    assert [(one.database, one.address) for one in clients] == [("maasdb", "10.0.0.7")]
    assert machine.postgresql.revoke.call_args.args[1] == ["maasdb"]
    assert isinstance(state.unit_status, BLOCKED)
    assert "maas-region/1 sent ingress-address" in state.unit_status.message


def test_nobody_gets_the_database_of_another_that_was_served(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    first = testing.Relation("db", remote_app_name="first", remote_app_data={"database": "one"})
    second = testing.Relation("db", remote_app_name="second", remote_app_data={"database": "two"})
    state = served(ctx, first, second)
    state = changed(state, first, remote_app_data={"database": "two"})
    state = ctx.run(ctx.on.update_status(), state)
    assert machine.postgresql.revoke.call_args.args[1] == ["one", "two"]
    assert state.get_relation(second.id).local_app_data["database"] == "two"
    assert isinstance(state.unit_status, BLOCKED)
    assert state.unit_status.message == (
        "first: two is the database of second: have it ask for another name; "
        "it keeps one while it is related"
    )


def test_whoever_asks_for_no_database_any_more_is_told_what_to_do(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    relation = region()
    state = changed(served(ctx, relation), relation, remote_app_data={})
    state = ctx.run(ctx.on.update_status(), state)
    assert state.unit_status == BLOCKED(
        "maas-region: asks for no database: have it ask for one; "
        "it keeps maasdb while it is related"
    )


def test_a_relation_that_asks_for_another_database_gets_it(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    relation = region()
    state = changed(served(ctx, relation), relation, remote_app_data={"database": "other"})
    ctx.run(ctx.on.update_status(), state)
    assert machine.postgresql.revoke.call_args.args[1] == ["other"]


@pytest.mark.parametrize(
    "field",
    [
        {"etcd-members": "{"},
        {"cluster-id": "7\x00"},
        {"bootstrap-unit": "\x07"},
        {"databases": '["x"]'},
    ],
)
def test_a_garbled_application_databag_is_no_new_cluster(
    ctx: Context, machine: Machine, field: dict[str, str]
):
    machine.cluster_id = ID
    app = {"cluster-id": ID, "bootstrap-unit": "postgresql-ha/0", **field}
    model = Model(app=app, peers=JOINED, leader=True, db=region())
    before = model.state()
    state = ctx.run(ctx.on.update_status(), before)
    assert machine.names() == []
    machine.membership.ensure_etcd.assert_not_called()
    machine.postgresql.revoke.assert_not_called()
    assert peer_data(state)[0] == peer_data(before)[0]
    assert [secret.label for secret in state.secrets] == ["members"]
    assert isinstance(state.unit_status, BLOCKED)
    assert next(iter(field)) in state.unit_status.message


def test_a_garbled_application_databag_is_no_new_cluster_to_an_action_either(
    ctx: Context, machine: Machine
):
    model = Model(app={"cluster-id": "7\x00"}, leader=True)
    with pytest.raises(testing.ActionFailed, match="cluster-id"):
        ctx.run(ctx.on.action("bootstrap", params={"confirm": ID}), model.state())
    assert machine.names() == []


def test_a_databag_that_lost_the_cluster_makes_no_second_one(ctx: Context, machine: Machine):
    model = Model(app={"etcd-members": "[]"}, peers=JOINED, leader=True)
    state = ctx.run(ctx.on.update_status(), model.state())
    assert machine.names() == []
    assert "bootstrap-unit" not in peer_data(state)[0]
    assert isinstance(state.unit_status, BLOCKED)
    assert state.unit_status.message.endswith(
        "postgresql-ha/1 has a cluster: set it on this unit with relation-set --app to what "
        "pg_controldata tells there"
    )


def test_the_secret_is_made_once(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    relation = testing.PeerRelation("peers")
    secret = testing.Secret(CONTENT, label="members", owner="app")
    state = testing.State(leader=True, relations=[relation], secrets=[secret])
    state = ctx.run(ctx.on.update_status(), state)
    assert peer_data(state)[0]["secret-id"].endswith(secret.id.rpartition(":")[2])


def test_a_peer_that_sends_nonsense_stays_where_it_was(ctx: Context, machine: Machine):
    machine.cluster_id = ID
    machine.remembered.peers.return_value = [cluster.Unit("postgresql-ha/2", "10.0.0.3")]
    garbled = {1: JOINED[1], 2: {**JOINED[2], "set-aside": "²/3"}}
    model = Model(app={"cluster-id": ID}, peers=garbled, leader=True)
    state = ctx.run(ctx.on.update_status(), model.state())
    spec = machine.member.run.call_args.args[0]
    assert [unit.address for unit in spec.staying] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert isinstance(state.unit_status, BLOCKED)
    assert "postgresql-ha/2 sent set-aside" in state.unit_status.message
    remedy = ": bring postgresql-ha/2 to this unit's revision of the charm"
    assert state.unit_status.message.endswith(remedy)


def test_a_dying_peer_that_juju_lists_no_more_stays_until_it_is_gone(
    ctx: Context, machine: Machine
):
    """As in Juju 3.6: it may be the primary, or have the only vote."""
    machine.cluster_id = ID
    known = [cluster.Unit(f"postgresql-ha/{n}", f"10.0.0.{n + 1}") for n in (1, 2, 3)]
    machine.remembered.peers.return_value = known
    model = Model(app={"cluster-id": ID}, peers={1: JOINED[1]}, leader=True)
    goals = {"postgresql-ha/0": True, "postgresql-ha/1": True, "postgresql-ha/2": False}
    with patch.object(peers.Peers, "goals", return_value=goals):
        state = ctx.run(ctx.on.update_status(), model.state())
    spec = machine.member.run.call_args.args[0]
    assert [unit.name for unit in spec.units] == list(goals)
    assert [unit.name for unit in spec.staying] == ["postgresql-ha/0", "postgresql-ha/1"]
    assert not isinstance(state.unit_status, BLOCKED)


def test_a_peer_that_sends_nonsense_may_have_the_cluster(ctx: Context, machine: Machine):
    garbled = {1: {**JOINED[1], "set-aside": "x"}}
    model = Model(app={"cluster-id": ID}, peers=garbled, leader=True)
    state = ctx.run(ctx.on.update_status(), model.state())
    assert machine.names() == []
    assert isinstance(state.unit_status, BLOCKED)
    assert "postgresql-ha/1 sent set-aside" in state.unit_status.message
    with pytest.raises(testing.ActionFailed):
        ctx.run(ctx.on.action("bootstrap", params={"confirm": ID}), model.state())


@pytest.mark.parametrize("name", ["postgres", "Drop", "a b"])
def test_a_database_name_that_cannot_be_used_blocks(ctx: Context, machine: Machine, name: str):
    machine.cluster_id = ID
    relation = testing.Relation(
        "db", remote_app_name="maas-region", remote_app_data={"database": name}
    )
    model = Model(app={"cluster-id": ID}, peers=JOINED, leader=True, db=relation)
    state = ctx.run(ctx.on.update_status(), model.state())
    assert isinstance(state.unit_status, BLOCKED)
    assert state.unit_status.message == (
        f"maas-region: {name!r} cannot be the name of a database and its role: "
        "have it ask for another name"
    )
    assert machine.member.run.call_args.args[0].clients == ()


def test_packages_that_cannot_be_installed_block_with_the_reason(ctx: Context, machine: Machine):
    machine.postgresql.install.side_effect = apt_source.SourceError("patroni cannot be installed")
    state = ctx.run(ctx.on.install(), Model().state())
    assert state.unit_status == BLOCKED("patroni cannot be installed")
    assert machine.names() == []


def test_a_machine_of_another_living_unit_is_left_alone(ctx: Context, machine: Machine):
    machine.member.take_over.return_value = "other/0 runs PostgreSQL here: use another machine"
    state = ctx.run(ctx.on.config_changed(), Model(app={"cluster-id": ID}, peers=JOINED).state())
    assert state.unit_status == BLOCKED("other/0 runs PostgreSQL here: use another machine")
    assert not state.opened_ports  # Juju refuses what the other one has open.
    assert machine.names() == []
