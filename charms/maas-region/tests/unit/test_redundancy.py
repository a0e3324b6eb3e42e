# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import dataclasses
from typing import Any

import pytest

import redundancy
from findings import (
    PRIMARY,
    REPLICA,
    SYNCHRONOUS,
    VIP,
    Database,
    DHCPServer,
    Failover,
    Findings,
    Member,
    Rack,
    Region,
    Served,
    Strays,
    Unknown,
    VIPUnit,
)

A, B, C, D, E, K, L = (f"10.0.0.{number}" for number in (1, 2, 3, 4, 10, 21, 22))
SURVIVES = "survives the loss of any one machine"
DEAD = "no answer in 1 s"


def database(
    *members: str, votes: tuple[str, ...] = (), strict: bool = False, dead: str = ""
) -> Database:
    """Return a database whose first member is the primary, the second in step with it."""
    roles = (PRIMARY, SYNCHRONOUS, *[REPLICA] * 9)
    return Database(
        tuple(
            Member(one, role, DEAD if one == dead else "", answers=one != dead)
            for one, role in zip(members, roles, strict=False)
        ),
        votes,
        strict,
    )


THREE = database(A, B, C, votes=(A, B, C))


def found(**changes: Any) -> Findings:
    """Return a MAAS on three machines with two racks, with changes."""
    whole = Findings(
        regions=tuple(Region(f"maas-region/{n}", one) for n, one in enumerate((A, B, C))),
        database=THREE,
        vip=VIP("10.0.0.100", (VIPUnit("haproxy-vip/0", A), VIPUnit("haproxy-vip/1", B)), A),
        url_host="10.0.0.100",
        racks=(Rack("kkk111", "k1", K, "running"), Rack("kkk222", "k2", L, "running")),
        vlans=(Served("fabric-0 untagged", ("kkk111", "kkk222")),),
        bmcs=(Served("node1", ("kkk111", "kkk222")),),
        controllers=Strays(in_both=5),
    )
    return dataclasses.replace(whole, **changes)


def losses(whole: Findings) -> dict[str, str]:
    """Return what breaks, by the machine whose loss breaks it."""
    verdict = redundancy.judge(whole)
    return {machine: "; ".join(breaks) for machine, breaks in verdict.losses if breaks}


def said(whole: Findings) -> str:
    return redundancy.sentence(redundancy.judge(whole))


def test_a_whole_maas_survives_the_loss_of_any_one_machine():
    verdict = redundancy.judge(found())
    assert verdict == redundancy.Verdict((), ((A, ()), (B, ()), (C, ())), ())
    assert verdict.survives
    assert redundancy.sentence(verdict) == SURVIVES


def test_the_last_region_that_serves_is_missed():
    paused = Region("maas-region/1", B, "paused")
    whole = found(regions=(Region("maas-region/0", A), paused))
    assert losses(whole) == {A: "no region serves"}
    assert said(whole) == f"does not survive the loss of machine {A}: no region serves"
    assert losses(found(regions=(Region("maas-region/0", A), Region("maas-region/1", B)))) == {}


@pytest.mark.parametrize(
    ("given", "broken"),
    [
        (database(A, votes=(A,)), {A: f"the database has 1 member: losing {A} stops writes"}),
        (database(A, B, votes=(A,)), {A: f"the database has 2 members: losing {A} stops writes"}),
        # Before the second vote has moved away, either loss is too much.
        (
            database(A, B, votes=(A, B)),
            {
                A: f"the database has 2 members: losing {A} stops writes",
                B: f"1 of 2 votes of the database are left: losing {B} stops writes",
            },
        ),
        (THREE, {}),
        (database(A, B, C, D, votes=(A, B, C)), {}),
        (database(A, B, C, D, E, votes=(A, B, C, D, E)), {}),
        (database(A, B, C, D, E, votes=(A, B, C, D, E), dead=E), {}),
    ],
    ids=["1", "2", "2-votes", "3", "4", "5", "5-one-dead"],
)
def test_how_many_members_the_database_can_lose(given: Database, broken: dict[str, str]):
    assert losses(found(database=given)) == broken


def test_two_members_have_no_automatic_failover_whoever_votes():
    whole = found(database=database(A, B))
    assert said(whole) == (
        f"does not survive the loss of machine {A}:"
        f" the database has 2 members: losing {A} stops writes"
    )


def test_of_three_members_with_one_dead_no_vote_may_be_lost():
    whole = found(database=database(A, B, C, votes=(A, B, C), dead=C))
    stops = "1 of 3 votes of the database are left: losing {} stops writes"
    assert losses(whole) == {A: stops.format(A), B: stops.format(B)}
    assert said(whole) == (
        f"does not survive the loss of machine {A}: {stops.format(A)}; nor of {B}"
    )


def test_the_dead_one_takes_nothing_more_with_it():
    whole = found(database=database(A, B, C, votes=(A, B, C), dead=C))
    assert C in redundancy.machines(whole)
    assert C not in losses(whole)


def test_a_primary_without_a_synchronous_replica_has_no_successor():
    members = (Member(A, PRIMARY), Member(B, REPLICA), Member(C, REPLICA))
    whole = found(database=Database(members, (A, B, C)))
    assert losses(whole) == {
        A: f"the database has no other synchronous replica: losing {A} stops writes"
    }


def test_a_vote_on_a_machine_without_a_member_that_answers_counts_as_lost():
    whole = found(database=database(A, B, C, votes=(A, B, D)))
    assert losses(whole).keys() == {A, B}


def test_strict_synchronous_mode_needs_its_replica():
    strict = database(A, B, votes=(A,), strict=True)
    assert losses(found(database=strict))[B] == (
        f"synchronous-mode-strict needs a replica: losing {B} stops writes"
    )
    assert losses(found(database=database(A, B, C, votes=(A, B, C), strict=True))) == {}


def test_without_a_primary_the_database_is_told_once_and_no_loss_adds_to_it():
    members = (Member(A, PRIMARY, DEAD, answers=False), Member(B, REPLICA), Member(C, REPLICA))
    whole = found(database=Database(members, (A, B, C)))
    assert losses(whole) == {}
    assert said(whole) == "does not work now: the database has no primary"
    assert redundancy.judge(whole).survives is False


def test_the_only_unit_that_can_take_the_vip_is_missed():
    units = (VIPUnit("haproxy-vip/0", A), VIPUnit("haproxy-vip/1", B, DEAD))
    for given in (units[:1], units):
        whole = found(vip=VIP("10.0.0.100", given, A))
        assert losses(whole) == {A: "no other unit can take the VIP 10.0.0.100"}


def test_who_holds_the_vip_does_not_matter_for_what_its_loss_breaks():
    units = (VIPUnit("haproxy-vip/0", A), VIPUnit("haproxy-vip/1", B))
    assert said(found(vip=VIP("10.0.0.100", units, Unknown("it is no neighbour")))) == SURVIVES


def test_a_vip_that_does_not_answer_is_told():
    units = (VIPUnit("haproxy-vip/0", A), VIPUnit("haproxy-vip/1", B))
    whole = found(vip=VIP("10.0.0.100", units, A, DEAD))
    assert said(whole) == f"does not work now: the VIP 10.0.0.100: {DEAD}"


def test_a_vip_that_answers_though_no_unit_says_it_takes_part_promises_nothing():
    silent = (VIPUnit("haproxy-vip/0", A, "does not say"), VIPUnit("haproxy-vip/1", B, DEAD))
    whole = found(vip=VIP("10.0.0.100", silent, A))
    assert said(whole) == "unknown whether it survives the loss of any one machine: VIP"


def test_without_a_vip_the_machine_in_maass_url_is_missed():
    whole = found(vip=None, url_host=B)
    assert losses(whole) == {B: "MAAS's URL leads to it alone"}


@pytest.mark.parametrize(
    ("racks", "status", "missed"),
    [
        (("kkk111",), "running", K),
        (("kkk111", "kkk222"), "dead", K),
        (("kkk222", "kkk111"), "", K),
        (("kkk111", "kkk222"), "degraded", ""),
        (("kkk111", "unknown"), "running", K),
    ],
)
def test_a_rack_that_serves_a_vlan_alone_is_missed(
    racks: tuple[str, ...], status: str, missed: str
):
    two = (Rack("kkk111", "k1", K, "running"), Rack("kkk222", "k2", L, status))
    whole = found(racks=two, vlans=(Served("fabric-0 untagged", racks),), bmcs=())
    assert losses(whole) == ({missed: "no DHCP on fabric-0 untagged"} if missed else {})


@pytest.mark.parametrize(
    "second",
    [
        DHCPServer(runs=False),
        DHCPServer(True, {0: Failover("recover-wait", 60)}),
        DHCPServer(True, {0: Failover("potential-conflict")}),
    ],
)
def test_a_rack_whose_dhcpd_answers_nobody_is_no_second_one(second: DHCPServer):
    normal = DHCPServer(True, {0: Failover("normal")})
    whole = found(bmcs=(), dhcpds={"kkk111": normal, "kkk222": second})
    assert losses(whole) == {K: "no DHCP on fabric-0 untagged"}
    both = found(bmcs=(), dhcpds={"kkk111": second, "kkk222": second})
    assert said(both) == "does not work now: no DHCP on fabric-0 untagged"


def test_one_that_serves_alone_answers_and_one_that_tells_nothing_promises_nothing():
    alone = DHCPServer(True, {0: Failover("communications-interrupted", 60)})
    normal = DHCPServer(True, {0: Failover("normal")})
    assert losses(found(bmcs=(), dhcpds={"kkk111": alone, "kkk222": normal})) == {}
    for silent in (Unknown("no answer in 1 s"), DHCPServer(True, problem="no key for OMAPI")):
        whole = found(bmcs=(), dhcpds={"kkk111": normal, "kkk222": silent})
        assert said(whole) == (
            "unknown whether it survives the loss of any one machine: dhcpd of k2"
        )
    dead = (Rack("kkk111", "k1", K, "running"), Rack("kkk222", "k2", L, "dead"))
    gone = found(racks=dead, bmcs=(), dhcpds={"kkk111": normal, "kkk222": Unknown("no answer")})
    assert "unknown" not in said(gone)


def test_two_racks_on_one_machine_are_one():
    two = (Rack("kkk111", "k1", K, "running"), Rack("kkk222", "k2", K, "running"))
    assert losses(found(racks=two)) == {
        K: "no DHCP on fabric-0 untagged; no rack reaches the BMC of node1"
    }


def test_a_vlan_without_a_living_rack_is_told_as_it_is():
    two = (Rack("kkk111", "k1", K, "dead"), Rack("kkk222", "k2", L, "dead"))
    whole = found(racks=two, bmcs=())
    assert said(whole) == "does not work now: no DHCP on fabric-0 untagged"
    assert losses(whole) == {}


def test_bmcs_that_one_living_rack_alone_reaches_are_named_not_all_of_many():
    bmcs = tuple(Served(f"node{number}", ("kkk111",)) for number in range(5))
    told = losses(found(bmcs=bmcs))
    assert told == {K: "no rack reaches the BMC of node0, node1, node2 and 2 more"}
    assert losses(found(bmcs=(Served("node9", ()),))) == {}, "MAAS has not found out yet"


def test_what_could_not_be_learnt_promises_nothing():
    whole = found(database=Unknown(DEAD), racks=Unknown(DEAD))
    assert redundancy.judge(whole).survives is None
    assert said(whole) == (
        "unknown whether it survives the loss of any one machine: database, racks"
    )
    votes = found(database=database(A, B, C))
    assert said(votes).endswith(": votes")


def test_a_loss_that_is_known_is_told_beside_what_is_not():
    whole = found(regions=(Region("maas-region/0", A),), bmcs=Unknown(DEAD))
    assert said(whole) == (
        f"does not survive the loss of machine {A}: no region serves; unknown: BMC"
    )


def test_with_everything_down_nothing_works_and_no_loss_adds_to_it():
    gone = Unknown(DEAD)
    whole = found(
        regions=tuple(Region(f"maas-region/{n}", one, DEAD) for n, one in enumerate((A, B, C))),
        database=gone,
        vip=VIP("10.0.0.100", (VIPUnit("haproxy-vip/0", A, DEAD),), gone, DEAD),
        racks=gone,
        vlans=gone,
        bmcs=gone,
        controllers=gone,
    )
    assert losses(whole) == {}
    assert said(whole) == (
        f"does not work now: no region serves; the VIP 10.0.0.100: {DEAD};"
        " unknown: database, racks, DHCP, BMC"
    )


def test_machines_stand_in_the_order_of_their_addresses():
    whole = found(
        regions=(Region("maas-region/0", "10.0.0.9"), Region("maas-region/1", "")),
        database=database("fd00::2", "10.0.0.10"),
        vip=None,
        racks=(Rack("kkk111", "k1", "k1", "running"),),
    )
    assert redundancy.machines(whole) == ["10.0.0.9", "10.0.0.10", "fd00::2", "k1"]


def test_a_thousand_racks_are_judged_in_a_moment():
    racks = tuple(
        Rack(f"r{n}", f"k{n}", f"10.1.{n // 250}.{n % 250}", "running") for n in range(999)
    )
    bmcs = tuple(Served(f"node{n}", (f"r{n % 999}", f"r{(n + 1) % 999}")) for n in range(9999))
    assert losses(found(racks=racks, bmcs=bmcs, vlans=())) == {}
