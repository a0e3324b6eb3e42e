# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""MAAS's DHCP is turned on by the charm's action, and what MAAS refuses changes nothing."""

from collections.abc import Iterator
from typing import Any

import jubilant
import leases
import pytest
from maas import MAAS, eventually

OTHER_NETWORK = "192.0.2.0/24"


@pytest.fixture
def dhcp(maas: MAAS) -> Iterator[leases.DHCP]:
    with leases.DHCP(maas) as found:
        yield found
        found.disable()


def _there(maas: MAAS, dhcp: leases.DHCP) -> tuple[Any, Any]:
    """What the action may change: MAAS's ranges and the VLAN."""
    return maas.get("ipranges/"), maas.get(f"vlans/{dhcp.vlan_id}/")


def test_dhcp_is_turned_on_once_and_what_is_refused_changes_nothing(maas: MAAS, dhcp: leases.DHCP):
    last = str(dhcp.network[-2])
    own = dhcp.address(next(iter(maas.units("maas-rack"))))
    before = _there(maas, dhcp)
    # The first three are what the real MAAS answered (tests/conformance/maas).
    for wish, words in (
        ({"start": last, "end": str(dhcp.network[-9])}, "lower bound IP greater than upper bound"),
        ({"start": "nowhere"}, "Enter a valid IPv4 or IPv6 address."),
        ({"start": own, "end": last}, "range conflicts with an existing IP address or range."),
        ({"subnet": OTHER_NETWORK}, f"MAAS knows no subnet '{OTHER_NETWORK}'"),
        ({"end": maas.vip}, f"{maas.vip} are not both on {dhcp.network}"),
        ({"vlan": dhcp.vlan_id}, "either subnet, its CIDR, or vlan"),
    ):
        with pytest.raises(jubilant.TaskError) as refused:
            dhcp.enable(**wish)
        assert words in str(refused.value)
        assert _there(maas, dhcp) == before, words
    done = dhcp.enable(subnet=None, vlan=dhcp.vlan_id)
    assert (done["primary"], done["secondary"]) == dhcp.racks()
    assert sorted(dhcp.racks()) == sorted(maas.controllers("rack"))
    with pytest.raises(jubilant.TaskError, match="has a rack for DHCP already"):
        dhcp.enable()


def test_dhcp_that_is_turned_on_again_beside_a_new_rack_has_two_racks_at_once(
    maas: MAAS, dhcp: leases.DHCP
):
    """Where one remembered the other, which does not, that one would answer nobody for an hour."""
    dhcp.enable()
    before = dhcp.racks()
    other, unit = map(dhcp.unit, before)
    dhcp.wait_normal(other, unit)
    dhcp.disable()
    eventually(lambda: not dhcp.is_on(unit), timeout_s=60, what="the end of dhcpd")
    maas.on_machine(unit, "rm /var/lib/maas/dhcp/dhcpd.leases*")
    dhcp.enable()
    assert dhcp.racks() == before
    dhcp.wait_normal(other, unit)
    leases.assert_distinct(dhcp.ask(range(20)))
