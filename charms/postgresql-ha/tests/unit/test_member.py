# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""How a member leaves, goes on and starts over, with the daemons replaced."""

import dataclasses
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock, create_autospec, patch

import pytest

import cluster
import etcd
import etcdctl
import gate
import handover
import member
import patroni
import pgdata
import postgresql
import rest
import timers
import tls
from charmed_maas import agents, systemd

A, B, C = (cluster.Unit(f"postgresql-ha/{n}", f"10.0.0.{n + 1}") for n in range(3))
KEYS = cluster.Keys("CA", "CAKEY", "superpw", "replpw", "rewindpw", "restpw")
SPEC = cluster.Spec(A, (B, C), "postgresql-ha", KEYS)
ALONE = cluster.Spec(A, (), "postgresql-ha", KEYS)
LEADER = cluster.Member("postgresql-ha-0", A.address, 5432, "leader", "running")
SYNC = cluster.Member("postgresql-ha-1", B.address, 5432, "sync_standby", "streaming")
REPLICA = cluster.Member("postgresql-ha-2", C.address, 5432, "replica", "streaming")
HEIR = dataclasses.replace(REPLICA, role="sync_standby")
VOTER = cluster.EtcdMember(1, A.member_name, A.peer_url)
VOTER_B = cluster.EtcdMember(2, B.member_name, B.peer_url)
VOTES = etcdctl.votes


def name_of(module: ModuleType) -> str:
    """Return the name under which a module is imported."""
    return module.__name__.rpartition(".")[2]


class World:
    """The daemons and files around a member, as mocks that keep the order of calls."""

    def __init__(self, stack: ExitStack, tmp_path: Path) -> None:
        self.calls = MagicMock()
        daemons = (etcd, etcdctl, gate, patroni, pgdata, postgresql)
        for module in (*daemons, systemd, timers, tls):
            mock = create_autospec(module)
            for name in dir(module):
                kind = getattr(module, name)
                if isinstance(kind, type) and issubclass(kind, Exception):
                    setattr(mock, name, kind)
            for user in (member, handover):
                if hasattr(user, name_of(module)):
                    stack.enter_context(patch.object(user, name_of(module), mock))
            self.calls.attach_mock(mock, name_of(module))
        self.api = create_autospec(rest.Client, instance=True)
        stack.enter_context(patch.object(member, "client", lambda _spec: self.api))
        self.calls.attach_mock(self.api, "api")
        stack.enter_context(patch.object(member.paths, "LOCK", tmp_path / "lock"))
        stack.enter_context(patch.object(member.paths, "MEMBER", tmp_path / "member.json"))
        stack.enter_context(patch.object(member.paths, "CONFIGURATION", tmp_path / "etc"))
        stack.enter_context(patch.object(agents, "AGENTS", tmp_path / "agents"))
        self.calls.pgdata.BOOTSTRAPPING = tmp_path / "bootstrapping"
        self.calls.pgdata.path.return_value = tmp_path / "data"
        self.calls.pgdata.cluster_id.return_value = "7"
        self.calls.patroni.is_running.return_value = True
        self.calls.patroni.age_s.return_value = 600.0
        self.calls.etcdctl.members.return_value = [VOTER, VOTER_B]
        self.calls.etcdctl.votes.side_effect = VOTES
        self.api.members.return_value = [LEADER, SYNC, REPLICA]
        self.api.is_primary.return_value = True
        self.api.status.return_value = {"state": "running", "role": "primary"}

    def order(self, *names: str) -> list[str]:
        """Those of the named calls that were made, in order."""
        return [name for name, *_ in self.calls.mock_calls if name in names]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        stack.enter_context(patch("charmed_maas.files.pwd.getpwnam"))
        stack.enter_context(patch("charmed_maas.files.os.fchown"))
        stack.enter_context(patch("charmed_maas.files._ensure_access", return_value=False))
        yield World(stack, tmp_path)


def test_a_departing_primary_hands_over_before_it_stops(world: World):
    member.leave(SPEC)
    world.api.switchover.assert_called_once_with("postgresql-ha-0", "postgresql-ha-1")
    steps = ("api.switchover", "patroni.stop", "etcdctl.remove_member", "pgdata.set_aside")
    assert world.order(*steps)[:3] == ["api.switchover", "patroni.stop", "etcdctl.remove_member"]
    assert world.calls.pgdata.set_aside.call_args.args[1] == [B.name, C.name]
    world.calls.etcd.hand_over.assert_not_called()


def test_clients_are_refused_from_before_the_switchover_until_all_has_stopped(world: World):
    member.leave(SPEC)
    steps = ("gate.shut", "api.switchover", "patroni.stop", "gate.open_again")
    assert [*dict.fromkeys(world.order(*steps))] == list(steps)


def test_a_departing_replica_refuses_nobody(world: World):
    world.api.members.return_value = [
        dataclasses.replace(LEADER, name=SYNC.name),
        dataclasses.replace(SYNC, name=LEADER.name),
    ]
    member.leave(SPEC)
    world.calls.gate.shut.assert_not_called()


def test_the_only_vote_is_handed_over_first(world: World):
    world.api.members.return_value = [LEADER, SYNC]
    world.calls.etcdctl.members.side_effect = [[VOTER], [VOTER, VOTER_B]]
    member.leave(cluster.Spec(A, (B,), "postgresql-ha", KEYS))
    assert world.calls.etcd.hand_over.call_args.args[:2] == (A, B)
    assert world.order("etcd.hand_over", "api.switchover") == ["etcd.hand_over", "api.switchover"]


def test_the_vote_of_another_leaver_is_none_to_rely_on(world: World):
    """A and B vote and leave at once: C, which stays, is to have etcd after them."""
    world.api.members.return_value = [LEADER, SYNC, HEIR]
    member.leave(dataclasses.replace(SPEC, leaving=frozenset({B.name})))
    assert world.calls.etcd.hand_over.call_args.args[:2] == (A, C)


def test_a_vote_that_a_leader_moved_meanwhile_is_handed_over_after_all(world: World):
    world.api.members.return_value = [LEADER, SYNC]
    world.calls.etcdctl.members.side_effect = [[VOTER, VOTER_B], [VOTER], [VOTER, VOTER_B]]
    world.calls.etcdctl.remove_member.side_effect = [False, True]
    with patch.object(handover.time, "sleep"):
        member.leave(cluster.Spec(A, (B,), "postgresql-ha", KEYS))
    steps = ("api.switchover", "etcd.hand_over", "etcdctl.remove_member")
    assert world.order(*steps) == [*steps, steps[-1]]


def test_who_is_listed_already_gets_the_vote_though_patroni_does_not_answer(world: World):
    world.api.members.side_effect = rest.RestError("no")
    learner = cluster.EtcdMember(3, C.member_name, C.peer_url, is_learner=True)
    world.calls.etcdctl.members.return_value = [VOTER, learner]
    member.leave(SPEC)
    assert world.calls.etcd.hand_over.call_args.args[:2] == (A, C)


def test_the_last_to_leave_lets_nobody_take_over(world: World):
    going = frozenset({B.name, C.name})
    member.leave(dataclasses.replace(SPEC, leaving=going))
    world.api.patch_config.assert_called_once_with({"pause": True})
    world.api.switchover.assert_not_called()
    assert world.calls.pgdata.set_aside.call_args.args[1] == []


def test_a_departing_replica_pauses_nothing(world: World):
    world.api.members.return_value = [
        cluster.Member("postgresql-ha-0", A.address, 5432, "replica", "streaming"),
        cluster.Member("postgresql-ha-1", B.address, 5432, "leader", "running"),
    ]
    going = frozenset({B.name, C.name})
    member.leave(dataclasses.replace(SPEC, leaving=going))
    world.api.patch_config.assert_not_called()


def test_a_departing_primary_waits_for_an_heir_that_has_every_row(world: World):
    world.api.members.side_effect = [[LEADER, REPLICA], [LEADER, REPLICA], [LEADER, HEIR]]
    with patch.object(handover.time, "sleep"):
        member.leave(cluster.Spec(A, (C,), "postgresql-ha", KEYS))
    assert world.api.members.call_count == 3
    world.api.switchover.assert_called_once_with("postgresql-ha-0", "postgresql-ha-2")


@pytest.mark.parametrize("others", [[REPLICA], []])
def test_a_primary_whose_rows_nobody_else_has_does_not_leave(
    world: World, others: list[cluster.Member]
):
    world.api.members.return_value = [LEADER, *others]
    clock = iter(range(0, 1000, 20))
    with patch.object(handover, "time") as time, pytest.raises(handover.NoHeirError):
        time.monotonic.side_effect = lambda: next(clock)
        member.leave(cluster.Spec(A, (C,), "postgresql-ha", KEYS))
    steps = ("gate.shut", "etcd.hand_over", "patroni.stop", "pgdata.set_aside")
    assert world.order(*steps) == []


def test_nor_does_one_while_another_unit_is_on_its_way_that_it_never_met(world: World):
    world.api.members.return_value = [LEADER]
    alone = dataclasses.replace(ALONE, unmet=frozenset({"postgresql-ha/7"}))
    with pytest.raises(handover.NoHeirError, match="rows that are not on postgresql-ha/7 yet"):
        member.leave(alone)
    assert world.order("gate.shut", "patroni.stop", "pgdata.set_aside") == []


@pytest.mark.parametrize("role", ["leader", "replica"])
def test_who_has_the_only_vote_and_cannot_hand_it_over_does_not_leave(world: World, role: str):
    """etcd of the heir cannot start: without this member there would be no lock to hold."""
    mine, heir = (LEADER, SYNC) if role == "leader" else (HEIR, SYNC)
    mine = dataclasses.replace(mine, name=A.member_name)
    world.api.members.return_value = [mine, heir]
    world.calls.etcdctl.members.return_value = [VOTER]
    world.calls.etcd.hand_over.return_value = False
    with pytest.raises(
        handover.NoHeirError, match="postgresql-ha/1 does not take etcd's only vote"
    ):
        member.leave(cluster.Spec(A, (B,), "postgresql-ha", KEYS))
    steps = ("gate.shut", "api.switchover", "patroni.stop", "pgdata.set_aside", "etcd.remove_data")
    assert world.order(*steps) == []


@pytest.mark.parametrize(
    ("status", "is_streaming", "is_serving"),
    [
        ({"state": "running", "role": "primary"}, False, True),
        ({"state": "running", "role": "replica"}, True, True),
        ({"state": "running", "role": "replica"}, False, False),
        ({"state": "starting", "role": "replica"}, True, False),
        ({}, True, False),
    ],
)
def test_a_replica_serves_while_it_streams(
    world: World, status: dict[str, str], is_streaming: bool, is_serving: bool
):
    world.api.status.return_value = status
    world.calls.postgresql.is_streaming.return_value = is_streaming
    assert member.is_serving(SPEC) is is_serving


def test_a_failed_switchover_does_not_keep_a_unit_from_leaving(world: World):
    world.api.switchover.side_effect = rest.RestError("no")
    member.leave(SPEC)
    assert world.calls.patroni.stop.called
    assert world.calls.pgdata.set_aside.call_args.args[1] == [B.name, C.name]


@pytest.mark.parametrize(
    ("role", "after"), [("primary", []), ("replica", ["unknown"]), ("", ["unknown"])]
)
def test_a_replica_that_sees_nobody_does_not_say_that_nobody_goes_on(
    world: World, role: str, after: list[str]
):
    """The others leave as well; the primary may have written until it left."""
    world.api.members.side_effect = rest.RestError("no")
    world.api.status.return_value = {"role": role}
    member.leave(dataclasses.replace(SPEC, leaving=frozenset({B.name, C.name})))
    assert world.calls.pgdata.set_aside.call_args.args[1] == after


def test_a_leaver_asks_etcd_again_until_it_is_off_the_list(world: World):
    """etcd refuses while it settles from the change before; a survivor may have no quorum."""
    no = etcdctl.EtcdError("context deadline exceeded")
    world.calls.etcdctl.remove_member.side_effect = [False, no, True]
    with patch.object(handover.time, "sleep") as sleep:
        member.leave(cluster.Spec(A, (B,), "postgresql-ha", KEYS))
    assert world.calls.etcdctl.remove_member.call_count == 3
    assert sleep.call_count == 2
    assert world.order("etcdctl.remove_member", "etcd.remove_data")[-1] == "etcd.remove_data"


def test_a_leaver_gives_up_on_etcd_after_a_while(world: World):
    world.calls.etcdctl.remove_member.return_value = False
    clock = iter(range(0, 1000, 20))
    with patch.object(handover, "time") as time:
        time.monotonic.side_effect = lambda: next(clock)
        member.leave(cluster.Spec(A, (B,), "postgresql-ha", KEYS))
    assert 2 <= world.calls.etcdctl.remove_member.call_count <= 5
    assert world.calls.pgdata.set_aside.called


def test_a_leaver_asks_those_that_stay_first(world: World):
    world.calls.etcdctl.remove_member.side_effect = [False, True]
    world.api.members.return_value = [LEADER, HEIR]
    member.leave(dataclasses.replace(SPEC, leaving=frozenset({B.name})))
    asked = [call.args for call in world.calls.etcdctl.remove_member.call_args_list]
    assert asked == [(A, (C,)), (A, (B,))]


def test_nobody_stays_and_nobody_is_waited_for(world: World):
    world.calls.etcdctl.remove_member.return_value = False
    member.leave(dataclasses.replace(SPEC, leaving=frozenset({B.name, C.name})))
    world.calls.etcdctl.remove_member.assert_called_once_with(A, (B, C))


def begun(world: World, age_s: float) -> Path:
    """A bootstrap that began so long ago; returns where its data is."""
    mark: Path = world.calls.pgdata.BOOTSTRAPPING
    mark.touch()
    os.utime(mark, (time.time() - age_s, time.time() - age_s))
    data: Path = world.calls.pgdata.path.return_value
    data.mkdir()
    return data


@pytest.mark.parametrize(
    ("is_running", "age_s", "patroni_age_s"), [(False, 60, 0), (True, 60, 5), (True, 900, 899)]
)
def test_a_bootstrap_that_was_cut_short_starts_over(
    world: World, is_running: bool, age_s: float, patroni_age_s: float
):
    data = begun(world, age_s)
    world.calls.patroni.is_running.return_value = is_running
    world.calls.patroni.age_s.return_value = patroni_age_s
    world.api.is_primary.side_effect = [False, True] if is_running else [True]
    assert member.bootstrap(ALONE, strict=False) == "7"
    assert not data.exists()
    assert world.order("etcd.remove_data", "etcd.bootstrap") == [
        "etcd.remove_data",
        "etcd.bootstrap",
    ]
    assert not world.calls.pgdata.BOOTSTRAPPING.exists()


@pytest.mark.parametrize(("is_primary", "patroni_age_s"), [(True, 5), (False, 58)])
def test_a_slow_bootstrap_is_let_finish(world: World, is_primary: bool, patroni_age_s: float):
    data = begun(world, 60)
    world.calls.patroni.age_s.return_value = patroni_age_s
    world.api.is_primary.side_effect = [is_primary, True]
    assert member.bootstrap(ALONE, strict=False) == "7"
    assert data.exists()
    world.calls.etcd.remove_data.assert_not_called()
    world.calls.patroni.stop.assert_not_called()
    assert not world.calls.pgdata.BOOTSTRAPPING.exists()


def test_the_time_of_a_bootstrap_begins_anew_when_it_does(world: World):
    begun(world, 900)
    world.calls.patroni.is_running.return_value = False
    with patch.object(member.rest, "wait", return_value=False):
        member.bootstrap(ALONE, strict=False)
    assert world.calls.pgdata.BOOTSTRAPPING.stat().st_mtime > time.time() - 60


def test_data_of_no_known_cluster_is_kept_where_a_new_one_begins(world: World):
    """pg_control is not to be read, say: what can be salvaged is not the charm's to delete."""
    data: Path = world.calls.pgdata.path.return_value
    world.calls.pgdata.cluster_id.return_value = ""
    with patch.object(member.rest, "wait", return_value=True):
        member.bootstrap(ALONE, strict=False)
    world.calls.pgdata.keep_unknown.assert_called_once_with(data)
    steps = ("patroni.stop", "pgdata.keep_unknown", "etcd.bootstrap")
    assert [*dict.fromkeys(world.order(*steps))] == list(steps)


def test_a_bootstrap_of_its_own_is_not_kept(world: World):
    begun(world, 900)
    world.calls.patroni.is_running.return_value = False
    member.bootstrap(ALONE, strict=False)
    world.calls.pgdata.keep_unknown.assert_not_called()


def test_a_bootstrap_that_finished_is_gone_on_with(world: World):
    data = world.calls.pgdata.path.return_value
    data.mkdir()
    assert member.bootstrap(ALONE, strict=False) == "7"
    assert data.exists()
    world.calls.etcd.remove_data.assert_not_called()


def test_a_bootstrap_without_a_primary_yet_is_not_reported(world: World):
    world.calls.pgdata.cluster_id.return_value = ""
    with patch.object(member.rest, "wait", return_value=False):
        assert member.bootstrap(ALONE, strict=False) == ""
    assert world.calls.pgdata.BOOTSTRAPPING.exists()
    assert member.own_cluster_id("postgresql-ha") == ""


def test_data_of_another_cluster_is_set_aside_before_joining(world: World):
    with patch("member.systemd"):
        member.run(SPEC, "8", strict=False, admitted=True)
    world.calls.pgdata.set_aside.assert_called_once()
    assert world.order("pgdata.set_aside", "patroni.ensure_running") == [
        "pgdata.set_aside",
        "patroni.ensure_running",
    ]


def test_nothing_is_stopped_where_nothing_changed(world: World):
    world.calls.tls.ensure.return_value = False
    world.calls.patroni.ensure_config.return_value = False
    member.run(SPEC, "7", strict=False, admitted=True)
    world.calls.patroni.ensure_running.assert_called_once_with(changed=False)
    world.calls.patroni.stop.assert_not_called()
    world.calls.pgdata.set_aside.assert_not_called()


@pytest.mark.parametrize(
    ("admitted", "data", "started"), [(False, "", 0), (True, "", 1), (False, "7", 1)]
)
def test_a_member_without_data_starts_once_it_is_admitted(
    world: World, admitted: bool, data: str, started: int
):
    world.calls.pgdata.cluster_id.return_value = data
    world.calls.patroni.is_running.return_value = False
    member.run(SPEC, "7", strict=False, admitted=admitted)
    assert world.calls.patroni.ensure_running.call_count == started


def test_only_the_primary_says_whom_it_admits(world: World):
    assert member.admits(SPEC) == (A.name, B.name, C.name)
    world.api.is_primary.return_value = False
    assert member.admits(SPEC) == ()


@pytest.mark.parametrize(("age_s", "asked"), [(5.0, 3), (600.0, 1)])
def test_a_daemon_that_boot_started_is_waited_for_until_it_had_its_time(
    world: World, age_s: float, asked: int
):
    world.calls.tls.ensure.return_value = False
    world.calls.patroni.ensure_config.return_value = False
    world.calls.patroni.ensure_running.return_value = False
    world.calls.patroni.age_s.return_value = age_s
    starting = {"state": "starting", "role": "replica"}
    world.api.status.side_effect = [starting, starting, {"state": "running", "role": "primary"}]
    with patch.object(rest.time, "sleep"):
        member.run(SPEC, "7", strict=False, admitted=True)
    assert world.api.status.call_count == asked


def test_what_a_dead_unit_left_is_cleared_and_a_living_ones_is_not(world: World, tmp_path: Path):
    state = {"unit": "postgresql-ha/0", "scope": "postgresql-ha", "peers": []}
    (tmp_path / "member.json").write_text(json.dumps(state))
    assert member.take_over("postgresql-ha/0") == ""
    (tmp_path / "agents/unit-postgresql-ha-0").mkdir(parents=True)
    assert "use another machine" in member.take_over("second/0")
    world.calls.pgdata.set_aside.assert_not_called()
    (tmp_path / "agents/unit-postgresql-ha-0").rmdir()
    assert member.take_over("second/0") == ""
    world.calls.pgdata.set_aside.assert_called_once()


def test_data_that_did_not_leave_in_order_is_not_taken_for_the_last(world: World):
    member.clear(A.name, "postgresql-ha")
    assert world.calls.pgdata.set_aside.call_args.args[1] == ["unknown"]


def test_a_unit_that_found_anothers_member_leaves_it_alone(world: World, tmp_path: Path):
    (tmp_path / "member.json").write_text(json.dumps({"unit": "second/0"}))
    member.leave(SPEC)
    member.clear(A.name, "postgresql-ha")
    assert not world.calls.patroni.stop.called
    assert not world.calls.pgdata.set_aside.called


def test_what_went_on_after_a_replica_is_known(world: World):
    """Also the primary that is itself on its way out: it may write until then."""
    primary = dataclasses.replace(LEADER, name=B.member_name)
    world.api.members.return_value = [primary, dataclasses.replace(SYNC, name=A.member_name)]
    member.leave(dataclasses.replace(SPEC, leaving=frozenset({B.name, C.name})))
    assert world.calls.pgdata.set_aside.call_args.args[1] == [B.name]


def test_a_primary_pauses_nobody_that_stays(world: World):
    """The only other member restarts just now, or is still copying."""
    starting = dataclasses.replace(REPLICA, state="starting")
    world.api.members.side_effect = [[LEADER, starting], [LEADER, REPLICA], [LEADER, HEIR]]
    with patch.object(handover.time, "sleep"):
        member.leave(cluster.Spec(A, (C,), "postgresql-ha", KEYS))
    world.api.patch_config.assert_not_called()
    world.api.switchover.assert_called_once_with(A.member_name, C.member_name)


def test_adopted_data_gets_the_secrets_passwords(world: World):
    copy = MagicMock()
    member.adopt(ALONE, copy, strict=False)
    world.calls.pgdata.put_back.assert_called_once_with(copy, "postgresql-ha")
    steps = ("etcd.remove_data", "pgdata.put_back", "etcd.bootstrap", "postgresql.set_passwords")
    assert world.order(*steps) == list(steps)


def test_adopted_data_that_does_not_start_fails_the_action(world: World):
    with (
        patch.object(member.rest, "wait", return_value=False),
        pytest.raises(member.MemberError, match="did not start"),
    ):
        member.adopt(ALONE, MagicMock(), strict=False)


def test_a_replica_whose_data_cannot_be_set_aside_runs_on(world: World):
    world.calls.pgdata.set_aside.side_effect = pgdata.PgdataError("no space")
    with pytest.raises(pgdata.PgdataError, match="no space"):
        member.reinitialise(SPEC)
    assert world.order("pgdata.set_aside", "patroni.ensure_running") == [
        "pgdata.set_aside",
        "patroni.ensure_running",
    ]


def test_a_replica_becomes_the_primary_by_patronis_failover(world: World):
    member.promote(SPEC)
    world.api.failover.assert_called_once_with("postgresql-ha-0")
    world.calls.pgdata.put_back.assert_not_called()


def test_a_replica_that_does_not_become_the_primary_says_where_to_look(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(member, "START_TIMEOUT_S", 0.0)
    world.api.is_primary.return_value = False
    with pytest.raises(member.MemberError, match="see journalctl -u postgresql-ha-patroni"):
        member.promote(SPEC)
