# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import api
import database
import findings
import questions
import survey
from controllers import Departed, Member
from findings import PRIMARY, REPLICA, SYNCHRONOUS, Unknown

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
VIP = "10.0.0.100"
MODEL = survey.Model(
    me="maas-region/0",
    regions=(survey.Unit("maas-region/0", A), survey.Unit("maas-region/1", B)),
    database=survey.DatabaseUnits((A, B, C), 8008, "CA", (A, B, C)),
    vip=VIP,
    url=f"http://{VIP}/MAAS",
    vip_units=(survey.Unit("haproxy-vip/0", A), survey.Unit("haproxy-vip/1", B)),
    members=(
        Member("maas-region/0", "region", "aaa000"),
        Member("maas-region/1", "region", "aaa111"),
        Member("maas-rack/0", "rack", "bbb000"),
    ),
    departed=(Departed("rack", "gone00", 100),),
    units=("maas-region/0", "maas-region/1", "maas-rack/0"),
)


def _links(*addresses: str) -> tuple[tuple[int, str], ...]:
    return tuple((5001, one) for one in addresses)


CLUSTER = questions.Cluster({A: (PRIMARY, ""), B: (SYNCHRONOUS, ""), C: (REPLICA, "")}, False)
DHCPD = findings.DHCPServer(True, {5001: findings.Failover("normal", 90)})
ANSWERS: dict[str, Callable[..., object]] = {
    "ensure_api_key": lambda _: None,
    "region_problem": lambda _: "",
    "cluster": lambda *_: CLUSTER,
    "url_problem": lambda _: "",
    "machine_problem": lambda _: "",
    "own_addresses": lambda: {A},
    "neighbours": lambda: {VIP: "52:54:00:00:00:02", B: "52:54:00:00:00:02"},
    "racks": lambda *_: [
        api.Controller("rack", "bbb000", "k0", "running", _links(VIP, "10.0.0.9", B))
    ],
    "vlans": lambda *_: [api.VLAN("fabric-0 untagged", 5001, primary="bbb000")],
    "dhcpd": lambda _: DHCPD,
    "bmcs": lambda: {"node1": ("bbb000",)},
    "controllers": lambda: [
        database.Controller("aaa000", "r0", True, False),
        database.Controller("aaa111", "r1", True, False),
        database.Controller("bbb000", "k0", False, True),
    ],
}


@pytest.fixture(autouse=True)
def _answers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, answer in ANSWERS.items():
        monkeypatch.setattr(questions, name, answer)


def _refuse(*_: object) -> Any:
    raise ConnectionRefusedError(111, "Connection refused")


def _look(**changes: Any) -> findings.Findings:
    return survey.look(dataclasses.replace(MODEL, **changes))


def test_what_everybody_answers_is_put_together():
    found = _look()
    assert found == findings.Findings(
        regions=(findings.Region("maas-region/0", A), findings.Region("maas-region/1", B)),
        database=findings.Database(
            (
                findings.Member(A, PRIMARY),
                findings.Member(B, SYNCHRONOUS),
                findings.Member(C, REPLICA),
            ),
            (A, B, C),
        ),
        vip=findings.VIP(
            VIP, (findings.VIPUnit("haproxy-vip/0", A), findings.VIPUnit("haproxy-vip/1", B)), B
        ),
        url_host=VIP,
        racks=(findings.Rack("bbb000", "k0", B, "running"),),
        vlans=(findings.Served("fabric-0 untagged", ("bbb000",), 5001),),
        bmcs=(findings.Served("node1", ("bbb000",)),),
        controllers=findings.Strays(in_both=3),
        dhcpds={"bbb000": DHCPD},
    )


def test_with_nobody_answering_it_says_why_and_fails_nothing(monkeypatch: pytest.MonkeyPatch):
    for name in set(ANSWERS) - {"ensure_api_key"}:
        monkeypatch.setattr(questions, name, _refuse)
    found = _look()
    refused = Unknown("connection refused")
    assert [one.problem for one in found.regions] == ["connection refused"] * 2
    assert found.database == Unknown("no member's Patroni answers: connection refused")
    assert (found.racks, found.vlans, found.bmcs, found.controllers) == (refused,) * 4
    assert found.vip
    assert found.vip.holder == Unknown("this machine's network cannot be read")
    assert found.vip.problem == "connection refused"


def test_all_are_asked_at_once_and_not_waited_for_longer_than_it_may_take(
    monkeypatch: pytest.MonkeyPatch,
):
    for name in set(ANSWERS) - {"ensure_api_key"}:
        monkeypatch.setattr(questions, name, lambda *_: time.sleep(30))
    start = time.monotonic()
    found = _look()
    assert time.monotonic() - start < 2.9
    assert found.racks == Unknown("no answer in 1.5 s")


def test_maas_is_given_the_time_that_the_operator_gives_it(monkeypatch: pytest.MonkeyPatch):
    asked: list[float] = []
    monkeypatch.setattr(questions, "racks", lambda _, timeout_s: asked.append(timeout_s) or [])
    _look(maas_s=20.0)
    assert asked == [20.0]


def test_a_rack_is_asked_at_every_address_and_only_where_it_serves_a_vlan(
    monkeypatch: pytest.MonkeyPatch,
):
    racks = [
        api.Controller("rack", "bbb000", "k0", "running", _links("10.9.9.9", B)),
        api.Controller("rack", "bbb111", "k1", "running", _links(C)),
        api.Controller("rack", "bbb222", "k2", "running"),
    ]

    def dhcpd(address: str) -> findings.DHCPServer:
        if address == "10.9.9.9":
            time.sleep(30)
        return DHCPD if address == B else _refuse()

    vlans = [api.VLAN("x", 5001, "", "bbb000", "bbb222")]
    monkeypatch.setattr(questions, "racks", lambda *_: racks)
    monkeypatch.setattr(questions, "vlans", lambda *_: vlans)
    monkeypatch.setattr(questions, "dhcpd", dhcpd)
    assert _look().dhcpds == {"bbb000": DHCPD, "bbb222": Unknown("it has no address")}
    vlans[0] = api.VLAN("x", 5001, "", "bbb111", "bbb000")
    assert _look().dhcpds == {"bbb000": DHCPD, "bbb111": Unknown("connection refused")}


def test_racks_and_regions_that_are_down_take_no_longer_than_it_may_take(
    monkeypatch: pytest.MonkeyPatch,
):
    def slow_racks(address: str, _: float) -> list[api.Controller]:
        assert address == B
        time.sleep(1.0)
        return [api.Controller("rack", "bbb000", "k0", "running", _links(B, C))]

    for name in set(ANSWERS) - {"ensure_api_key", "vlans"}:
        monkeypatch.setattr(questions, name, lambda *_: time.sleep(30))
    monkeypatch.setattr(questions, "racks", slow_racks)
    monkeypatch.setattr(questions, "region_problem", _region_problem({B: 0.0}))
    start = time.monotonic()
    found = _look()
    assert time.monotonic() - start < 2.9
    assert found.dhcpds == {"bbb000": Unknown("no answer in 1 s")}


def _region_problem(serving: Mapping[str, float]) -> Callable[[str], str]:
    """Have regions serve after some seconds; the others hang."""

    def problem(address: str) -> str:
        time.sleep(serving.get(address, 30))
        return ""

    return problem


PAUSED = survey.Unit("maas-region/0", A, takes_part=False)
OTHER, THIRD = survey.Unit("maas-region/1", B), survey.Unit("maas-region/2", C)
REFUSED = "MAAS answers 502"


@pytest.mark.parametrize(
    ("regions", "problem", "where"),
    [
        ((OTHER, MODEL.regions[0]), lambda _: "", api.HERE),
        ((OTHER, MODEL.regions[0]), _region_problem({A: 0.1, B: 0.0}), api.HERE),
        ((PAUSED, OTHER, THIRD), lambda _: "", B),
        ((MODEL.regions[0], OTHER), lambda address: REFUSED * (address == A), B),
        ((MODEL.regions[0], OTHER), _region_problem({B: 0.1}), B),
        ((MODEL.regions[0], OTHER, THIRD), _region_problem({C: 0.6}), C),
        ((MODEL.regions[0], survey.Unit("maas-region/1", ""), THIRD), _region_problem({C: 0}), C),
        ((survey.Unit("maas-region/0", ""), THIRD), lambda _: "", C),
        ((MODEL.regions[0], dataclasses.replace(PAUSED, name="maas-region/1", address=B)),
         lambda address: REFUSED * (address == A), api.HERE),
        ((MODEL.regions[0], OTHER), lambda _: REFUSED, api.HERE),
    ],
    ids=["here", "here-first", "paused", "down", "hangs", "hang", "no-address", "not-yet",
         "other-paused", "nobody"],
)  # fmt: skip
def test_maas_is_asked_here_or_else_at_the_next_region_that_serves(
    monkeypatch: pytest.MonkeyPatch,
    regions: tuple[survey.Unit, ...],
    problem: Callable[[str], str],
    where: str,
):
    asked: list[str] = []

    def ask(address: str, _: float) -> list[Any]:
        asked.append(address)
        return []

    monkeypatch.setattr(questions, "region_problem", problem)
    monkeypatch.setattr(questions, "racks", ask)
    monkeypatch.setattr(questions, "vlans", ask)
    found = _look(regions=regions)
    assert asked == [where, where]
    assert (found.racks, found.vlans) == ((), ())


def test_a_key_is_made_by_what_this_unit_alone_answers(monkeypatch: pytest.MonkeyPatch):
    told: list[object] = []
    monkeypatch.setattr(questions, "ensure_api_key", lambda here: told.append(here.answer()))
    monkeypatch.setattr(questions, "region_problem", lambda address: f"at {address}")
    _look(regions=(OTHER, MODEL.regions[0]))
    _look(regions=(OTHER, survey.Unit("maas-region/0", "")))
    assert told == [f"at {A}"]


def test_a_paused_region_is_told_as_paused_and_one_without_address_is_not_asked():
    paused = survey.Unit("maas-region/1", B, takes_part=False)
    found = _look(regions=(MODEL.regions[0], paused, survey.Unit("maas-region/2", "")))
    assert [one.problem for one in found.regions] == ["", "paused", "has no address yet"]


def test_a_member_that_does_not_answer_has_the_role_that_others_tell(
    monkeypatch: pytest.MonkeyPatch,
):
    def cluster(address: str, *_: object) -> questions.Cluster:
        return CLUSTER if address == B else _refuse()

    monkeypatch.setattr(questions, "cluster", cluster)
    found = _look().database
    assert isinstance(found, findings.Database)
    first = findings.Member(A, PRIMARY, "its Patroni: connection refused", answers=False)
    assert found.members[0] == first
    assert found.members[1] == findings.Member(B, SYNCHRONOUS)


def test_a_member_that_only_one_side_knows_is_told(monkeypatch: pytest.MonkeyPatch):
    told = questions.Cluster({A: (PRIMARY, ""), "10.0.0.4": (REPLICA, "starting")}, True)
    monkeypatch.setattr(questions, "cluster", lambda *_: told)
    found = _look(database=dataclasses.replace(MODEL.database, members=(A, B))).database
    assert isinstance(found, findings.Database)
    assert found.is_strict
    assert found.members == (
        findings.Member(A, PRIMARY),
        findings.Member(B, "", "Patroni does not list it"),
        findings.Member("10.0.0.4", REPLICA, "starting"),
    )


def test_a_database_that_tells_nothing_of_its_members_is_unknown():
    assert _look(database=survey.DatabaseUnits()).database == Unknown(
        "the database's charm does not tell of its members"
    )
    without = survey.DatabaseUnits(is_related=False)
    assert _look(database=without).database == Unknown("db is not integrated")


def test_a_unit_of_haproxy_vip_that_says_nothing_does_not_stand_by():
    silent = (survey.Unit("haproxy-vip/0", A), survey.Unit("haproxy-vip/1", B, takes_part=False))
    vip = _look(vip_units=silent).vip
    assert vip
    assert [one.problem for one in vip.units] == ["", "does not say that it can take the VIP"]
    assert _look(vip="").vip is None


def test_the_holder_is_this_machine_or_the_neighbour_with_the_vips_mac():
    macs = {VIP: "m2", B: "m2", C: "m3"}
    assert survey.holder(VIP, {A, B}, {A, VIP}, {}) == A
    assert survey.holder(VIP, {A, B}, {A}, macs) == B
    for units, own, known, why in (
        ({B}, {A, VIP}, macs, "this machine has it, and no unit"),
        ({A, B}, {A}, {B: "m2"}, "it is no neighbour"),
        ({A, C}, {A}, macs, "not one unit's"),
        ({B, C}, {A}, {**macs, C: "m2"}, "not one unit's"),
    ):
        found = survey.holder(VIP, units, own, known)
        assert isinstance(found, Unknown)
        assert why in found.why


def test_a_racks_machine_is_known_by_a_shared_address_else_its_own_else_its_name(
    monkeypatch: pytest.MonkeyPatch,
):
    racks = [
        api.Controller("rack", "k1", "rack-1", "running", _links("10.9.9.9", C)),
        api.Controller("rack", "k2", "rack-2", "running", _links("10.9.9.8")),
        api.Controller("rack", "k3", "rack-3", "dead"),
    ]
    monkeypatch.setattr(questions, "racks", lambda *_: racks)
    found = _look().racks
    assert not isinstance(found, Unknown)
    assert [one.address for one in found] == [C, "10.9.9.8", "rack-3"]


def test_controllers_that_one_side_alone_knows_are_told_but_not_those_on_their_way_out(
    monkeypatch: pytest.MonkeyPatch,
):
    known = [
        database.Controller("aaa000", "r0", True, True),
        database.Controller("gone00", "k9", False, True),
        database.Controller("old000", "k8", False, True),
    ]
    monkeypatch.setattr(questions, "controllers", lambda: known)
    assert _look().controllers == findings.Strays(
        in_maas=("rack r0 (aaa000)", "rack k8 (old000)"),
        in_juju=("maas-region/1", "maas-rack/0"),
        in_both=1,
    )
