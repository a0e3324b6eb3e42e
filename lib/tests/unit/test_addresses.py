# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from types import SimpleNamespace
from typing import Any

import ops
import pytest

from charmed_maas import addresses


def test_units_sort_by_number_not_by_text():
    assert addresses.by_unit_number(["a/10", "a/9", "a/1"]) == ["a/1", "a/9", "a/10"]


NONE = ["", "10.0.0", "10.0.0.256", "host", "0.0.0.0", "224.0.0.1", "::"]
# The last would let everybody in, as a line of pg_hba.conf.
ELSEWHERE = ["127.0.0.1", "::1", "255.255.255.255", "fe80::1%eth0", "2001:db8::1%0 :: trust #"]


@pytest.mark.parametrize("text", NONE + ELSEWHERE)
def test_what_is_no_machines_address_is_refused(text: str):
    with pytest.raises(ValueError, match="address"):
        addresses.parse_address(text)


@pytest.mark.parametrize(
    ("address", "port", "text"),
    [("10.0.0.1", 5432, "10.0.0.1:5432"), ("fd00::1", 80, "[fd00::1]:80")],
)
def test_endpoint_survives_the_way_there_and_back(address: str, port: int, text: str):
    assert addresses.join_host_port(address, port) == text
    assert addresses.split_host_port(text) == (address, port)


@pytest.mark.parametrize("text", ["10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", ":80"])
def test_endpoint_without_address_or_port_is_refused(text: str):
    with pytest.raises(ValueError, match=r"port|address"):
        addresses.split_host_port(text)


def test_host_cidr_holds_one_address():
    assert addresses.host_cidr("10.0.0.1") == "10.0.0.1/32"
    assert addresses.host_cidr("fd00::1") == "fd00::1/128"


def _binding(held: list[tuple[str, str]], ingress: list[str]) -> Any:
    """Return what ops makes of network-get: held are address and cidr."""
    found = [{"hostname": "", "value": address, "cidr": cidr} for address, cidr in held]
    network: Any = {
        "bind-addresses": [{"interface-name": "eth0", "addresses": found}],
        "egress-subnets": [],
        "ingress-addresses": ingress,
    }
    return SimpleNamespace(network=ops.Network(network))


REAL, VIP = ("10.20.0.90", "10.20.0.0/24"), ("10.20.0.80", "10.20.0.80/32")
REAL_6, VIP_6 = ("fd00::90", "fd00::/64"), ("fd00::80", "fd00::80/128")


@pytest.mark.parametrize(
    ("held", "ingress", "own"),
    [
        ([REAL], ["10.20.0.90"], "10.20.0.90"),
        ([VIP, REAL], ["10.20.0.80", "10.20.0.90"], "10.20.0.90"),
        ([VIP, REAL], ["10.20.0.80"], "10.20.0.90"),
        ([VIP_6, REAL_6], ["fd00::80", "fd00::90"], "fd00::90"),
        ([REAL_6, VIP, REAL], ["10.20.0.80", "fd00::90"], "fd00::90"),
        ([VIP], ["10.20.0.80"], "10.20.0.80"),
        ([VIP_6, REAL], ["fd00::80", "10.20.0.90"], "fd00::80"),
        ([VIP, REAL], ["203.0.113.5"], "203.0.113.5"),
        ([REAL], [], "10.20.0.90"),
        ([REAL], ["host.example"], "10.20.0.90"),
        ([], [], ""),
    ],
    ids=[
        "recorded",
        "operator issue 1556",
        "the VIP is all that Juju offers",
        "IPv6",
        "the order of the others stays",
        "clouds whose machines have /32",
        "DHCPv6 gives /128",
        "behind NAT",
        "no ingress",
        "a host name",
        "nothing yet",
    ],
)
def test_a_vip_is_not_taken_for_the_machines_own_address(
    held: list[tuple[str, str]], ingress: list[str], own: str
):
    assert addresses.own_address(_binding(held, ingress)) == own


def test_a_vip_that_is_known_is_never_taken_whatever_its_prefix():
    held = [("10.20.0.80", "10.20.0.0/24"), REAL]
    binding = _binding(held, ["10.20.0.80", "10.20.0.90"])
    assert addresses.own_address(binding, never=["10.20.0.80"]) == "10.20.0.90"
    assert addresses.own_address(_binding([VIP], ["10.20.0.80"]), never=["10.20.0.80"]) == ""
    before = ["10.20.0.81", "10.20.0.80"]
    assert addresses.own_address(binding, never=before) == "10.20.0.90"
    assert addresses.own_address(None) == ""
