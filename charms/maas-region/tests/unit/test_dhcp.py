# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from unittest import mock

import pytest

import accounts
import api
import dhcp

VLAN = {"id": 5001, "fabric_id": 0, "vid": 0, "fabric": "fabric-0", "name": "untagged"}
SUBNET: dict[str, object] = {"cidr": "10.1.0.0/24", "vlan": VLAN}
ENDS = ("10.1.0.100", "10.1.0.199")


def _rack(name: str, address: str, status: str = "running") -> dict[str, object]:
    links = [{"ip_address": address}]
    return {
        "system_id": f"id-{name}",
        "hostname": name,
        "service_set": [{"name": "rackd", "status": status}],
        "interface_set": [{"vlan": {"id": 5001 if address else 5002}, "links": links}],
    }


class MAAS:
    """MAAS's HTTP API as far as DHCP goes, and what it was asked to change."""

    def __init__(self) -> None:
        self.racks = [_rack("k1", "10.1.0.1"), _rack("k2", "10.1.0.2")]
        self.subnet: dict[str, object] = SUBNET
        self.others: list[dict[str, object]] = []
        self.refuses: set[str] = set()
        self.changed: list[tuple[str, str, object]] = []
        # What each rack says to being asked to forget.
        self.says: dict[str, str] = {}

    def request(self, verb: str, url: str, data: object = None, **_: object) -> mock.Mock:
        path = url.partition("/2.0/")[2]
        if verb != "GET":
            self.changed.append((verb, path, data))
        if path in self.refuses:
            return mock.Mock(ok=False, text='{"x": ["no"]}', status_code=400)
        answers = {
            "subnets/": [*self.others, self.subnet],
            "rackcontrollers/": self.racks,
            "ipranges/": {"id": 7},
        }
        return mock.Mock(ok=True, json=lambda: answers[path])

    def forget(self, rack: str, vlan: api.VLAN) -> str:
        self.changed.append(("forget", rack, vlan.id))
        return self.says.get(rack, "")


@pytest.fixture
def maas(monkeypatch: pytest.MonkeyPatch) -> MAAS:
    found = MAAS()
    monkeypatch.setattr(accounts, "internal_api_key", lambda: "a:b:c")
    monkeypatch.setattr("requests.Session.request", lambda _, *a, **k: found.request(*a, **k))
    monkeypatch.setattr("witnesses.Witnesses.forget", lambda _, *a: found.forget(*a))
    return found


def _enable(place: str | int = "10.1.0.0/24", *, alone: bool = False) -> dhcp.Enabled:
    return dhcp.enable(place, *ENDS, alone=alone)


def test_two_racks_serve_a_range(maas: MAAS):
    assert _enable() == dhcp.Enabled("fabric-0 untagged", "k1", "k2")
    assert maas.changed == [
        ("POST", "ipranges/", {"type": "dynamic", "start_ip": ENDS[0], "end_ip": ENDS[1]}),
        ("forget", "id-k1", 5001),
        ("forget", "id-k2", 5001),
        (
            "PUT",
            "fabrics/0/vlans/0/",
            {"dhcp_on": "true", "primary_rack": "id-k1", "secondary_rack": "id-k2"},
        ),
    ]


def test_a_vlan_is_as_good_as_the_subnet_that_the_range_is_on(maas: MAAS):
    maas.others = [
        {"cidr": "fd00::/64", "vlan": VLAN},
        {"cidr": "10.2.0.0/24", "vlan": {**VLAN, "id": 5002}},
        {"cidr": "10.9.0.0/24", "vlan": None},
    ]
    assert _enable(5001) == dhcp.Enabled("fabric-0 untagged", "k1", "k2")
    changed = [path for verb, path, _ in maas.changed if verb != "forget"]
    assert changed == ["ipranges/", "fabrics/0/vlans/0/"]


def test_an_ipv6_range_needs_racks_with_ipv6_and_another_ones_with_ipv4(maas: MAAS):
    maas.others = [{"cidr": "fd00::/64", "vlan": VLAN}]
    maas.racks = [_rack("k1", "fd00::1"), _rack("k2", "10.1.0.2"), _rack("k3", "10.1.0.3")]
    assert _enable() == dhcp.Enabled("fabric-0 untagged", "k2", "k3")
    done = dhcp.enable(5001, "fd00::100", "fd00::1ff", alone=True)
    assert done == dhcp.Enabled("fabric-0 untagged", "k1", "")


def test_a_rack_that_cannot_forget_a_failover_of_before_is_told_of_and_serves(maas: MAAS):
    maas.says["id-k2"] = "k2 does not answer at 10.1.0.2:7913"
    assert _enable() == dhcp.Enabled("fabric-0 untagged", "k1", "k2", (maas.says["id-k2"],))


@pytest.mark.parametrize("place", [5001, "10.1.0.0/24"])
@pytest.mark.parametrize(
    "ends", [("10.2.0.1", "10.2.0.9"), ("10.1.0.200", "10.2.0.1"), ("fd00::1", "fd00::9")]
)
def test_a_range_that_is_elsewhere_is_refused(maas: MAAS, place: str | int, ends: tuple[str, str]):
    maas.others = [{"cidr": "10.2.0.0/24", "vlan": {**VLAN, "id": 5002}}]
    with pytest.raises(api.APIError, match=r"are not both on 10\.1\.0\.0/24$"):
        dhcp.enable(place, *ends, alone=False)
    assert maas.changed == []


@pytest.mark.parametrize("place", [5001, "10.1.0.0/24"])
def test_what_is_no_address_maas_itself_refuses(maas: MAAS, place: str | int):
    maas.refuses = {"ipranges/"}
    with pytest.raises(api.APIError, match=r"^no$"):
        dhcp.enable(place, "10.1.0.1", "10.1.0.x", alone=False)


@pytest.mark.parametrize("other", [_rack("k2", "10.1.0.2", "dead"), _rack("k2", "")])
def test_one_rack_serves_only_where_that_is_wanted(maas: MAAS, other: dict[str, object]):
    maas.racks[1] = other
    with pytest.raises(api.APIError, match="only k1 has an address in fabric-0 untagged"):
        _enable()
    assert maas.changed == []
    assert _enable(alone=True) == dhcp.Enabled("fabric-0 untagged", "k1", "")


def test_what_cannot_be_is_told_and_nothing_changes(maas: MAAS):
    with pytest.raises(api.APIError, match=r"MAAS knows no subnet '10\.9\.0\.0/24'"):
        _enable("10.9.0.0/24")
    with pytest.raises(api.APIError, match="no subnet on VLAN 5009: give the VLAN's ID"):
        _enable(5009)
    maas.racks = []
    with pytest.raises(api.APIError, match="no rack that runs"):
        _enable()
    maas.subnet = {**SUBNET, "vlan": {**VLAN, "primary_rack": "id-k1"}}
    with pytest.raises(api.APIError, match="has a rack for DHCP already"):
        _enable()
    assert maas.changed == []


def test_maas_refuses_in_its_own_words(maas: MAAS):
    maas.refuses = {"ipranges/"}
    with pytest.raises(api.APIError, match=r"^no$"):
        _enable()
    maas.refuses = {"fabrics/0/vlans/0/"}
    with pytest.raises(api.APIError, match=r"^no$"):
        _enable()
    assert maas.changed[-1] == ("DELETE", "ipranges/7/", None)
    maas.refuses.add("ipranges/7/")
    with pytest.raises(api.APIError, match=r"^no; its range stays in MAAS: no$"):
        _enable()
