# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import dataclasses

import pytest

import dhcp_plan
from api import VLAN
from dhcp_plan import KEEP, Decision, Evidence, Rack

GRACE_S = 120
A, B, C = (
    Rack(f"id-{name}", f"rack-{name}", f"10.1.0.{at}", applied_s=GRACE_S)
    for at, name in enumerate("abc", 1)
)
LOST = Evidence("communications-interrupted", peer_answers=False)


def _dead(rack: Rack, dead_s: float = 300) -> Rack:
    return dataclasses.replace(rack, dead_s=dead_s)


def _vlan(primary: Rack, secondary: Rack | None = None) -> VLAN:
    return VLAN("pxe", 5001, "", primary.system_id, secondary.system_id if secondary else "")


def _never(*_: object) -> Evidence:
    raise AssertionError("nobody is to be asked")


def _decide(
    vlan: VLAN,
    *racks: Rack,
    last: Rack | None = None,
    evidence: Evidence | None = None,
) -> Decision:
    ask = (lambda *_: evidence) if evidence else _never
    return dhcp_plan.decide(vlan, racks, last.system_id if last else "", GRACE_S, ask)


def test_two_living_racks_are_left_as_they_are():
    assert _decide(_vlan(B, A), A, B) == KEEP
    assert _decide(_vlan(B, A), A, B, C, last=B) == KEEP


def test_a_vlan_gets_its_second_living_rack_as_secondary():
    decision = _decide(_vlan(A), C, B, A)
    assert (decision.primary, decision.secondary) == ("id-a", "id-b")
    assert decision.why == "pxe: rack-b becomes secondary"
    assert _decide(_vlan(A), A, _dead(B)) == KEEP
    assert _decide(_vlan(A), A) == KEEP


@pytest.mark.parametrize("racks", [(A, B), (A, B, C), (A, C)])
def test_a_secondary_that_a_hand_took_away_is_not_given_again(racks: tuple[Rack, ...]):
    assert _decide(_vlan(A), *racks, last=B) == KEEP
    assert _decide(_vlan(C), C, *racks, last=B) == KEEP


def test_one_that_maas_deleted_is_followed_by_another():
    assert _decide(_vlan(A), A, C).secondary == "id-c"


def test_a_promotion_that_was_cut_short_is_made_good():
    assert _decide(_vlan(B), A, B).secondary == "id-a"


def test_a_dead_primary_is_replaced_on_its_peers_evidence():
    decision = _decide(_vlan(A, B), _dead(A), B, evidence=LOST)
    assert (decision.primary, decision.secondary) == ("id-b", "")
    assert decision.why == "pxe: rack-a is dead, rack-b is promoted"
    decision = _decide(_vlan(A, B), _dead(A), B, C, evidence=LOST)
    assert (decision.primary, decision.secondary) == ("id-b", "id-c")


def test_a_dead_secondary_is_replaced_by_a_spare_one():
    decision = _decide(_vlan(A, B), A, _dead(B), C, evidence=LOST)
    assert (decision.primary, decision.secondary) == ("id-a", "id-c")
    assert decision.why == "pxe: rack-b is dead, rack-a gets another secondary"


def test_without_a_spare_one_the_primary_serves_alone_until_the_dead_secondary_returns():
    after = _decide(_vlan(A, B), A, _dead(B), evidence=LOST)
    assert (after.primary, after.secondary) == ("id-a", "")
    assert after.why == "pxe: rack-b is dead, rack-a serves alone"
    assert _decide(_vlan(A), A, _dead(B)) == KEEP
    back = _decide(_vlan(A), A, B)
    assert (back.primary, back.secondary) == ("id-a", "id-b")


def test_nobody_is_replaced_within_the_grace():
    assert _decide(_vlan(A, B), _dead(A, GRACE_S - 1), B, C) == KEEP
    assert _decide(_vlan(A, B), A, _dead(B, GRACE_S - 1), C) == KEEP
    assert _decide(_vlan(A, B), A, _dead(B, GRACE_S - 1)) == KEEP


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (Evidence(problem="does not answer"), "rack-b does not answer"),
        (Evidence("normal", peer_answers=False), "dhcpd on rack-b is in state normal"),
        (Evidence("", peer_answers=False), "dhcpd on rack-b is in state unknown"),
        (Evidence("partner-down", peer_answers=True), "10.1.0.1 still answers rack-b"),
        (
            Evidence("communications-interrupted", peer_answers=False, unknown_leases_s=541),
            "it gave addresses that dhcpd on rack-b does not know of, for 10 min more",
        ),
    ],
)
def test_without_evidence_nothing_changes_and_why_is_told(evidence: Evidence, why: str):
    decision = _decide(_vlan(A, B), _dead(A), B, C, evidence=evidence)
    assert decision == Decision(f"pxe: rack-a is not replaced: {why}")


@pytest.mark.parametrize(
    ("applied_s", "why"),
    [
        (0, "it was never told the grace"),
        (GRACE_S + 1, f"it applied another grace ({GRACE_S + 1} s)"),
    ],
)
def test_one_that_may_not_have_stopped_by_itself_is_not_replaced_and_nobody_is_asked(
    applied_s: int, why: str
):
    dead = dataclasses.replace(_dead(A), applied_s=applied_s)
    assert _decide(_vlan(A, B), dead, B).why == f"pxe: rack-a is not replaced: {why}"
    dead = dataclasses.replace(_dead(B), applied_s=applied_s)
    assert _decide(_vlan(A, B), A, dead, C).why == f"pxe: rack-b is not replaced: {why}"


def test_one_that_applied_a_shorter_grace_has_stopped_all_the_earlier():
    dead = dataclasses.replace(_dead(A), applied_s=GRACE_S - 30)
    assert _decide(_vlan(A, B), dead, B, evidence=LOST).primary == "id-b"


def test_where_nobody_is_left_to_ask_nothing_changes():
    assert _decide(_vlan(A, B), _dead(A), _dead(B), C).why == (
        "pxe: rack-a and rack-b are both dead"
    )
    assert _decide(_vlan(A), _dead(A), B).why == "pxe: rack-a is dead and has no secondary rack"


def test_a_rack_without_an_address_is_not_taken_for_one_that_is_gone():
    assert _decide(_vlan(A, B), B, C) == Decision("pxe: its primary rack has no address there")
    why = "pxe: its secondary rack has no address there"
    assert _decide(_vlan(A, B), A, C) == Decision(why)
    assert _decide(_vlan(A, B), _dead(A), C) == Decision(why)


def test_one_that_returns_becomes_secondary_and_gets_nothing_back():
    after = _decide(_vlan(A, B), _dead(A), B, evidence=LOST)
    vlan = VLAN("pxe", 5001, "", after.primary, after.secondary)
    back = _decide(vlan, A, B)
    assert (back.primary, back.secondary) == ("id-b", "id-a")
