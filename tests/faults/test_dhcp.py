# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""DHCP goes on without a rack, and no address is given twice."""

import time
from collections.abc import Callable, Iterator

import leases
import pytest
from maas import MAAS, eventually

Fault = Callable[..., None]
Figure = Callable[[str, float], None]
NORMAL = "'state': 'normal'"
# MAAS calls a rack dead within two minutes, the grace is two more.
PROMOTED_S = 420


@pytest.fixture
def served(maas: MAAS) -> Iterator[leases.DHCP]:
    """DHCP on two racks in failover state normal."""
    found = leases.DHCP(maas)
    maas.juju.config("maas-region", {"dhcp-ha": True})
    found.enable()
    for unit in map(found.unit, found.racks()):
        eventually(lambda unit=unit: NORMAL in found.state(unit), timeout_s=120, what="normal")
    yield found
    found.disable()
    maas.juju.config("maas-region", reset="dhcp-ha")
    maas.wait_settled()


def _assert_distinct(given: dict[int, str]) -> None:
    assert all(given.values()), given
    assert len(set(given.values())) == len(given), given


def _cut_off(maas: MAAS, unit: str, *, also: str = "") -> str:
    """Return a command that cuts a rack off the regions, and off another address on the VLAN.

    By the rack's own firewall: its clients live on a region's machine. Deleting the tables heals.
    """
    regions = [one.public_address for one in maas.units("maas-region").values()]
    away = ", ".join([*regions, maas.vip, *([also] if also else [])])
    drops = [f"ip {end} {{ {away} }} drop" for end in ("saddr", "daddr")]
    if also:
        drops += [f"arp {end} ip {also} drop" for end in ("saddr", "daddr")]
    rules: list[str] = []
    for drop in drops:
        family = "arp" if drop.startswith("arp") else "ip"
        hook = "input" if "saddr" in drop else "output"
        rules += [
            f"nft add table {family} cut-off",
            f"nft add chain {family} cut-off {hook}"
            f' "{{ type filter hook {hook} priority -300; }}"',
            f"nft add rule {family} cut-off {hook} {drop}",
        ]
    return "; ".join(rules)


HEAL = "nft delete table ip cut-off; nft delete table arp cut-off 2>/dev/null; true"


def _says(maas: MAAS, words: str) -> bool:
    """Tell whether a region's status has these words."""
    units = maas.units("maas-region").values()
    return any(words in one.workload_status.message for one in units)


@pytest.mark.long
def test_a_rack_that_is_cut_off_the_regions_alone_is_not_replaced(maas: MAAS, served: leases.DHCP):
    primary, secondary = served.racks()
    unit = served.unit(primary)
    given = served.ask(range(20))
    maas.on_machine(unit, _cut_off(maas, unit))
    try:
        why = f"{primary} is not replaced: dhcpd on {secondary} is in state normal"
        eventually(lambda: _says(maas, why), timeout_s=PROMOTED_S, what="the reason")
        given |= served.ask(range(20, 60))
        _assert_distinct(given)
        assert served.racks() == (primary, secondary)
    finally:
        maas.on_machine(unit, HEAL)
    maas.wait_whole()
    assert served.ask(given) == given
    assert served.racks() == (primary, secondary)


@pytest.mark.long
def test_a_rack_that_only_its_clients_hear_stops_before_the_other_is_promoted(
    maas: MAAS, figure: Figure, served: leases.DHCP
):
    primary, secondary = served.racks()
    unit, other = served.unit(primary), served.unit(secondary)
    given = served.ask(range(20))
    maas.on_machine(unit, _cut_off(maas, unit, also=served.address(other)))
    cut = time.monotonic()
    try:
        eventually(lambda: not served.is_on(unit), timeout_s=PROMOTED_S, what="dhcpd's end")
        figure("dhcpd of a rack that is cut off stopped", time.monotonic() - cut)
        assert served.racks() == (primary, secondary), "it was promoted too early"
        eventually(
            lambda: served.racks() == (secondary, ""), timeout_s=PROMOTED_S, what="the promotion"
        )
        figure("the other one promoted", time.monotonic() - cut)
        given |= served.ask(range(20, leases.LAST - leases.FIRST + 1))
        _assert_distinct(given)
    finally:
        maas.on_machine(unit, HEAL)
    maas.wait_whole()
    eventually(lambda: served.racks() == (secondary, primary), timeout_s=300, what="as secondary")
    assert served.ask(given) == given


@pytest.mark.long
def test_without_the_primary_rack_leases_go_on_and_the_other_is_promoted(
    maas: MAAS, power: Fault, figure: Figure, served: leases.DHCP
):
    primary, secondary = served.racks()
    machine = maas.machine(served.unit(primary))
    given = served.ask(range(30))
    _assert_distinct(given)
    power("poweroff", machine)
    cut = time.monotonic()
    assert served.ask(given) == given
    figure(
        "30 leases renewed without the primary rack, since its power went", time.monotonic() - cut
    )
    given |= served.ask(range(30, 40))
    _assert_distinct(given)
    eventually(
        lambda: served.racks() == (secondary, ""), timeout_s=PROMOTED_S, what="the promotion"
    )
    figure("the secondary rack promoted, since the primary's power went", time.monotonic() - cut)
    assert served.ask(given) == given
    given |= served.ask(range(40, leases.LAST - leases.FIRST + 1))
    _assert_distinct(given)
    power("poweron", machine)
    eventually(
        lambda: served.racks() == (secondary, primary), timeout_s=300, what="back as secondary"
    )
    assert served.ask(given) == given
    maas.wait_whole()
