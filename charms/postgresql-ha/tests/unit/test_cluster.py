# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import dataclasses
from collections.abc import Sequence

import pytest

import cluster
from cluster import EtcdMember, Member, Step, Unit

A, B, C, D, E = (Unit(f"postgresql-ha/{n}", f"10.0.0.{n + 1}") for n in range(5))
NAMES = [unit.member_name for unit in (A, B, C, D, E)]


def member(id_: int, unit: Unit, *, learner: bool = False, started: bool = True) -> EtcdMember:
    return EtcdMember(id_, unit.member_name if started else "", unit.peer_url, learner)


VIEW = cluster.View(
    me=A.name,
    peers=(B.name, C.name),
    has_keys=True,
    cluster_id="",
    bootstrap_unit="",
    own_cluster_id="",
    members=(),
)


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"has_keys": False}, Step.WAIT_KEYS),
        ({}, Step.WAIT_NOMINATION),
        ({"bootstrap_unit": A.name}, Step.BOOTSTRAP),
        ({"bootstrap_unit": A.name, "own_cluster_id": "7"}, Step.BOOTSTRAP),
        ({"bootstrap_unit": B.name}, Step.WAIT_BOOTSTRAP),
        ({"bootstrap_unit": "postgresql-ha/9"}, Step.BOOTSTRAP_UNIT_GONE),
        ({"cluster_id": "7", "own_cluster_id": "7"}, Step.RUN),
        ({"cluster_id": "7", "members": (B.name,)}, Step.RUN),
        ({"cluster_id": "7", "own_cluster_id": "8", "members": (B.name,)}, Step.RUN),
        ({"cluster_id": "7", "unmet": (B.name,)}, Step.WAIT_PEERS),
        ({"cluster_id": "7"}, Step.LAST_MEMBER_GONE),
        ({"cluster_id": "7", "bootstrap_unit": A.name}, Step.LAST_MEMBER_GONE),
        ({"cluster_id": "7", "own_cluster_id": "8"}, Step.LAST_MEMBER_GONE),
    ],
)
def test_what_a_unit_may_do(changes: dict[str, object], step: Step):
    assert cluster.step(dataclasses.replace(VIEW, **changes)) is step  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("units", "current", "primary", "wanted"),
    [
        ([A], [], None, [0]),
        ([A, B], [NAMES[0]], NAMES[0], [0]),
        ([A, B], [NAMES[0]], NAMES[1], [1]),
        ([A, B], [NAMES[0], NAMES[1]], None, [0, 1]),
        ([A, B], [NAMES[0], NAMES[1], NAMES[2]], NAMES[2], [0, 1, 2]),
        ([A, B, C], [NAMES[0]], NAMES[0], [0, 1, 2]),
        ([A, B, C, D], [NAMES[1], NAMES[2], NAMES[3]], NAMES[0], [1, 2, 3]),
        ([A, B, C, D, E], [NAMES[0]], NAMES[0], [0, 1, 2, 3, 4]),
    ],
)
def test_who_votes(units: list[Unit], current: list[str], primary: str | None, wanted: list[int]):
    assert cluster.voters(units, current, primary) == {NAMES[n] for n in wanted}


def test_units_are_ranked_by_number_and_not_as_text():
    units = [Unit(f"postgresql-ha/{n}", f"10.0.0.{n}") for n in (10, 11, 9, 2)]
    assert cluster.voters(units, [], None) == {f"postgresql-ha-{n}" for n in (2, 9, 10)}


def plan(
    members: list[EtcdMember],
    units: list[Unit],
    *,
    known: list[Unit] | None = None,
    leaving: Sequence[Unit] = (),
    wanted: list[Unit],
    sick: tuple[int, ...] = (),
) -> cluster.Change | None:
    return cluster.plan(
        members,
        units,
        known=[unit.member_name for unit in (*(known or units), *leaving)],
        leaving=[unit.member_name for unit in leaving],
        wanted=[unit.member_name for unit in wanted],
        healthy={one.id for one in members if not one.is_learner and one.name} - set(sick),
    )


def test_growth_is_one_learner_at_a_time():
    assert plan([member(1, A)], [A, B, C], wanted=[A, B, C]) == cluster.Add(B)
    waiting = [member(1, A), member(2, B, learner=True, started=False)]
    assert plan(waiting, [A, B, C], wanted=[A, B, C]) is None
    assert plan([member(1, A), member(2, B)], [A, B, C], wanted=[A, B, C]) == cluster.Add(C)
    whole = [member(1, A), member(2, B), member(3, C)]
    assert plan(whole, [A, B, C], wanted=[A, B, C]) is None


def test_a_departed_member_is_removed_while_the_rest_has_a_quorum():
    whole = [member(1, A), member(2, B), member(3, C)]
    assert plan(whole, [A, B], wanted=[A], sick=(3,)) == cluster.Remove(whole[2])
    assert plan(whole, [A, B], wanted=[A], sick=(2, 3)) is None


def test_the_member_of_a_unit_that_was_not_met_yet_stays():
    whole = [member(1, A), member(2, B), member(3, C)]
    assert plan(whole, [A, B], known=[A, B, C], wanted=[A, B, C]) is None


def settle(
    members: list[EtcdMember],
    units: list[Unit],
    *,
    leaving: Sequence[Unit] = (),
    sick: tuple[int, ...] = (),
) -> list[EtcdMember]:
    """Make every change that is due with the first unit as the primary; all learners catch up."""
    for _ in range(12):
        names = [one.name for one in members]
        chosen = cluster.voters(units, names, A.member_name)
        wanted = [unit for unit in units if unit.member_name in chosen]
        change = plan(members, units, leaving=leaving, wanted=wanted, sick=sick)
        if not change:
            return members
        if isinstance(change, cluster.Add):
            members = [*members, member(len(members) + 10, change.unit)]
        else:
            members = [one for one in members if one != change.member]
    raise AssertionError("the plan has no end")


@pytest.mark.parametrize(
    ("count", "leaver", "left"),
    [(3, C, [A]), (3, B, [A]), (4, C, [A, B, D]), (4, D, [A, B, C]), (5, E, [A, B, C])],
)
def test_a_unit_that_is_to_leave_and_dies_before_it_does_takes_no_quorum(
    count: int, leaver: Unit, left: list[Unit]
):
    everyone = [A, B, C, D, E][:count]
    voting = everyone if count == 5 else [A, B, C]
    staying = [unit for unit in everyone if unit != leaver]
    start = [member(number, unit) for number, unit in enumerate(voting)]
    then = settle(start, staying, leaving=[leaver])
    dead = [one.id for one in then if one.name == leaver.member_name]
    assert 2 * len(dead) < len(then)
    ended = settle(then, staying, sick=tuple(dead))
    assert {one.name for one in ended} == {unit.member_name for unit in left}


def test_the_vote_of_a_dead_unit_that_stays_goes_where_a_living_leavers_is_needed():
    whole = [member(1, A), member(2, B), member(3, C)]
    change = plan(whole, [A, B], leaving=[C], wanted=[A], sick=(2,))
    assert change == cluster.Remove(whole[1])


def test_those_that_leave_together_take_their_votes_along_themselves():
    whole = [member(1, A), member(2, B), member(3, C)]
    assert plan(whole, [A], leaving=[B, C], wanted=[A]) is None


def test_a_departed_learner_makes_way_for_the_next():
    stuck = member(2, B, learner=True, started=False)
    assert plan([member(1, A), stuck], [A, C], wanted=[A, C]) == cluster.Remove(stuck)


def test_a_new_unit_at_a_departed_units_address_is_a_new_member():
    reborn = Unit("postgresql-ha/7", B.address)
    whole = [member(1, A), member(2, B), member(3, C)]
    assert plan(whole, [A, C, reborn], wanted=[A, C, reborn]) == cluster.Remove(whole[1])


def test_the_only_vote_follows_the_primary_and_is_never_missing():
    assert plan([member(1, A)], [A, B], wanted=[B]) == cluster.Add(B)
    both = [member(1, A), member(2, B)]
    assert plan(both, [A, B], wanted=[B]) == cluster.Remove(both[0])
    assert plan([member(2, B)], [A, B], wanted=[B]) is None


def test_the_last_voter_is_not_removed():
    assert plan([member(1, A)], [], known=[B], wanted=[]) is None


def test_a_member_is_found_by_name_though_its_address_changed():
    moved = dataclasses.replace(B, address="10.0.0.99")
    assert cluster.owner(member(2, B), [A, moved]) == moved


def test_primary_hands_over_to_the_synchronous_replica_that_stays():
    members = [
        Member("a", "10.0.0.1", 5432, "leader", "running"),
        Member("b", "10.0.0.2", 5432, "replica", "streaming"),
        Member("c", "10.0.0.3", 5432, "sync_standby", "streaming"),
        Member("d", "10.0.0.4", 5432, "replica", "creating replica"),
    ]
    heir = cluster.successor(members, ["b", "c", "d"])
    assert heir and heir.name == "c"
    heir = cluster.successor(members, ["b", "d"])
    assert heir and heir.name == "b"
    assert cluster.successor(members, ["d"]) is None


def test_restarts_for_parameters_end_with_the_primary():
    a = Member("a", "10.0.0.1", 5432, "leader", "running", pending_restart=True)
    b = Member("b", "10.0.0.2", 5432, "replica", "streaming", pending_restart=True)
    c = dataclasses.replace(b, name="c")
    assert cluster.next_restart([a, b, c]) == "b"
    assert cluster.next_restart([a, c]) == "c"
    assert cluster.next_restart([a]) == "a"
    for state in ("starting", "restarting", "stopping"):
        assert cluster.next_restart([a, dataclasses.replace(b, state=state), c]) is None
    assert cluster.next_restart([a, dataclasses.replace(b, state="stopped"), c]) == "c"
    assert cluster.next_restart([dataclasses.replace(a, pending_restart=False)]) is None


@pytest.mark.parametrize(
    ("clients", "now", "wanted"),
    [(0, 0, 1000), (9, 1000, 1000), (10, 1000, 2000), (4, 500, 500), (5, 500, 1000)],
)
def test_connections_grow_in_steps_and_never_shrink(clients: int, now: int, wanted: int):
    assert cluster.max_connections(clients, now) == wanted
