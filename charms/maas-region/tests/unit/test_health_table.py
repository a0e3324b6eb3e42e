# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import dataclasses
import json
from pathlib import Path
from typing import Any

import findings
import health_table
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

README = Path(__file__).parents[2] / "README.md"
DOCS = Path(__file__).parents[4] / "docs/faults.md"
A, B, C = "10.0.0.11", "10.0.0.12", "10.0.0.13"
EXAMPLE = Findings(
    regions=(
        Region("maas-region/0", A),
        Region("maas-region/1", B),
        Region("maas-region/2", C, "no answer in 1 s"),
    ),
    database=Database((Member(A, PRIMARY), Member(B, SYNCHRONOUS)), (A,)),
    vip=VIP("10.0.0.100", (VIPUnit("haproxy-vip/0", A), VIPUnit("haproxy-vip/1", B)), B),
    url_host="10.0.0.100",
    racks=(
        Rack("hsgcck", "rack-0", "10.0.0.21", "running"),
        Rack("wwtnny", "rack-1", "10.0.0.22", "running"),
    ),
    vlans=(
        Served("fabric-0 untagged", ("hsgcck", "wwtnny"), 5001),
        Served("fabric-1 lab", ("wwtnny",), 5002),
    ),
    bmcs=tuple(Served(f"node-{number}", ("hsgcck", "wwtnny")) for number in range(12)),
    controllers=Strays(in_maas=("rack old-rack (cgtk7r)",), in_both=5),
    dhcpds=dict.fromkeys(("hsgcck", "wwtnny"), DHCPServer(True, {5001: Failover("normal", 4000)})),
)


def rendered(**changes: Any) -> health_table.Answer:
    return health_table.render(dataclasses.replace(EXAMPLE, **changes))


def test_the_readmes_example_is_what_is_printed():
    assert f"```\n{rendered().table}\n```\n" in README.read_text()


def test_the_tables_last_line_is_the_summary():
    answer = rendered()
    assert answer.table.splitlines()[-1] == answer.summary
    assert answer.summary.startswith(f"does not survive the loss of machine {A}: the database has")


def test_no_row_is_longer_than_a_hundred_columns():
    long = "fd00:1234:5678:9abc:def0:1234:5678:9abc"
    regions = tuple(Region(f"maas-region/{n}", f"{long[:-1]}{n}", "word " * 60) for n in range(9))
    units = tuple(VIPUnit(f"haproxy-vip/{n}", one.address, "x") for n, one in enumerate(regions))
    vip = VIP(long, units, Unknown("why " * 60), "y " * 99)
    answer = rendered(regions=regions, vip=vip, database=Unknown("why " * 60))
    *rows, last = answer.table.splitlines()
    assert max(map(len, rows)) <= health_table.WIDTH
    assert last == answer.summary == json.loads(answer.json)["summary"]


def test_json_says_the_same_under_keys_that_stay():
    told = json.loads(rendered().json)
    assert list(told) == ["bmcs", "broken", "losses", "rows", "summary", "survives", "unknown"]
    assert told["survives"] is False
    assert told["rows"][0] == {
        "machine": A,
        "ok": True,
        "state": "maas-region/0 serves",
        "what": "region",
    }
    assert {"machine": B, "breaks": []} in told["losses"]


def _states(what: str, **changes: Any) -> list[tuple[str, str, bool | None]]:
    rows = json.loads(rendered(**changes).json)["rows"]
    return [(one["machine"], one["state"], one["ok"]) for one in rows if one["what"] == what]


def test_what_could_not_be_learnt_says_why():
    gone = Unknown("no answer in 1 s")
    told = ("-", "unknown: no answer in 1 s", None)
    assert _states("database", database=gone) == [told]
    assert _states("racks", racks=gone) == [told]
    assert _states("DHCP", vlans=gone) == [told]
    assert _states("BMC", bmcs=gone) == [told]
    assert _states("controllers", controllers=gone) == [told]
    votes = Database((Member(A, PRIMARY),))
    (vote,) = _states("votes", database=votes)
    assert vote == ("-", "unknown: postgresql-ha does not tell who votes", None)


def test_racks_that_maas_could_not_list_are_told_by_their_ids():
    rows = _states("DHCP", racks=Unknown("no answer"), dhcpds={})
    assert rows[0] == ("-", "fabric-0 untagged: primary rack hsgcck, unknown", None)


def test_each_racks_dhcpd_is_told_with_its_failover():
    vlans = (Served("x", ("hsgcck", "wwtnny"), 5001),)
    normal = DHCPServer(True, {5001: Failover("normal", 90)})
    for second, told, ok in (
        (normal, "failover normal", True),
        (DHCPServer(runs=False), "dhcpd does not run", False),
        (DHCPServer(True, {5001: Failover("partner-down", 9)}), "failover partner-down", False),
        (
            DHCPServer(True, {5001: Failover("recover-wait", 1140)}),
            "failover recover-wait, answers nobody for 41 more minutes",
            False,
        ),
        (
            DHCPServer(True, {5001: Failover("recover-wait", 4000)}),
            "failover recover-wait, answers nobody for 0 more minutes",
            False,
        ),
        (DHCPServer(True), "failover unknown", False),
        (DHCPServer(True, problem="no key"), "dhcpd runs: no key", None),
        (Unknown("no answer in 1 s"), "dhcpd unknown: no answer in 1 s", None),
    ):
        rows = _states("DHCP", vlans=vlans, dhcpds={"hsgcck": normal, "wwtnny": second})
        assert rows == [
            ("10.0.0.21", "x: primary rack rack-0, running, failover normal", True),
            ("10.0.0.22", f"x: secondary rack rack-1, running, {told}", ok),
        ]
    alone = (Served("x", ("hsgcck",), 5001),)
    assert _states("DHCP", vlans=alone, dhcpds={"hsgcck": DHCPServer(True)}) == [
        ("10.0.0.21", "x: primary rack rack-0, running, dhcpd runs", True)
    ]


def test_a_dead_rack_is_told_so_whatever_its_dhcpd_tells():
    racks = (Rack("hsgcck", "rack-0", "10.0.0.21", "dead"),)
    vlans = (Served("x", ("hsgcck",), 5001),)
    for dhcpd in (DHCPServer(True), Unknown("no answer in 1 s")):
        (row,) = _states("DHCP", racks=racks, vlans=vlans, dhcpds={"hsgcck": dhcpd})
        assert row[2] is False


def test_the_vip_is_told_as_far_as_it_is_known():
    units = (VIPUnit("haproxy-vip/0", A), VIPUnit("haproxy-vip/1", "", "does not say"))
    vip = VIP("10.0.0.100", units, Unknown("it is no neighbour"), "MAAS answers 502")
    assert _states("VIP", vip=vip) == [
        (A, "haproxy-vip/0 stands by", True),
        ("-", "haproxy-vip/1: does not say", False),
        ("-", "unknown: who holds 10.0.0.100: it is no neighbour", None),
        ("10.0.0.100", "MAAS answers 502", False),
    ]
    assert _states("VIP", vip=None, url_host=A) == [("-", f"none: MAAS's URL leads to {A}", False)]


def test_what_is_out_of_order_is_told_apart():
    strays = Strays(("region r9 (abc)",), ("maas-rack/3",), 2)
    assert [one[1:] for one in _states("controllers", controllers=strays)] == [
        ("2 known to both Juju and MAAS", True),
        ("region r9 (abc) is in MAAS, and no unit is known to be it", False),
        ("maas-rack/3 is a unit, and no controller in MAAS is known to be it", False),
    ]
    members = Database((Member(A, PRIMARY), Member(B, "", "starting")), (A, C))
    assert _states("database", database=members) == [
        (A, "primary, votes", True),
        (B, "starting", False),
        (C, "votes, but is no member", False),
    ]
    assert _states("DHCP", vlans=(Served("fabric-2 x", ()),)) == [
        ("-", "fabric-2 x: no rack serves it", False)
    ]
    assert _states("DHCP", vlans=()) == [("-", "MAAS serves it on no VLAN", True)]


def test_bmcs_that_few_racks_reach_are_told():
    bmcs = (Served("n1", ("wwtnny",)), Served("n2", ("cgtk7r",)), Served("n3", ()))
    assert _states("BMC", bmcs=bmcs) == [
        ("-", "no living rack reaches the BMC of n2", False),
        ("10.0.0.22", "racks here alone reach the BMC of n1", False),
        ("-", "MAAS switches 3 machines; of 1 it has not noted which racks reach the BMC", None),
    ]
    many = tuple(Served(f"n{number}", ("wwtnny",)) for number in range(9))
    told = json.loads(rendered(bmcs=many).json)["bmcs"]
    assert [one["reached-by-no-other"] for one in told] == [[f"n{number}" for number in range(9)]]
    assert _states("BMC", bmcs=()) == [("-", "MAAS switches no machine", True)]
    (one, whole) = _states("BMC", bmcs=bmcs[:1])
    assert (one[0], whole) == ("10.0.0.22", ("-", "MAAS switches 1 machine", True))


def test_nothing_that_is_known_is_swallowed_when_everything_else_is_not():
    gone = findings.Unknown("why")
    answer = rendered(
        regions=(), database=gone, vip=None, racks=gone, vlans=gone, bmcs=gone, controllers=gone
    )
    assert answer.summary.startswith("does not work now: no region serves; unknown: database")


WHOLE = dataclasses.replace(
    EXAMPLE,
    regions=tuple(Region(f"maas-region/{n}", address) for n, address in enumerate((A, B, C))),
    database=Database((Member(A, PRIMARY), Member(B, SYNCHRONOUS), Member(C, REPLICA)), (A, B, C)),
    vlans=(Served("fabric-0 untagged", ("hsgcck", "wwtnny"), 5001),),
    controllers=Strays(in_both=5),
)


def test_the_example_in_the_docs_is_what_is_printed():
    assert f"```\n{health_table.render(WHOLE).table}\n```\n" in DOCS.read_text()
