# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""DHCP goes on without a rack, and no address is given twice."""

import contextlib
import time
from collections.abc import Callable, Iterator

import journals
import leases
import pytest
from maas import MAAS, eventually

Fault = Callable[..., None]
Figure = Callable[[str, float], None]
# MAAS calls a rack dead within two minutes, the grace is two more.
PROMOTED_S = 420
# Several at once; dhcpd asks a second for each address whether somebody has it.
ALL_S = 300
# Two minutes until it is dead, the grace, and three more at most.
FORGOTTEN_S = 480
# The watchdog leaves a dhcpd alone that is younger.
YOUNG_S = 60
# One that hangs is killed after 30 s; rackd looks every 30 s for one that should run.
BACK_S = 150
# As long as MAAS's leases last, and until the other rack notices that nobody tells it of them.
LEASE_S, NOTICED_S = 600, 60
# Clients that come at a time while two racks answer that hear neither each other nor a region.
NEW = 3
# The regions' timers that move DHCP, and that have MAAS forget a rack.
TIMERS = ("maas-region-dhcp", "maas-region-controllers")
# Without a sign of life for so long, a daemon is killed by the watchdog of its charm.
HUNG_S = 30


@pytest.fixture
def served(maas: MAAS) -> Iterator[leases.DHCP]:
    """DHCP on two racks in failover state normal."""
    with leases.DHCP(maas) as found:
        try:
            found.enable()
            found.wait_normal(*map(found.unit, found.racks()))
            yield found
        finally:
            found.disable()


@pytest.fixture
def spare(maas: MAAS, served: leases.DHCP) -> Iterator[str]:
    """A third rack in the VLAN, on a machine of its own: its host name."""
    before = set(maas.units("maas-rack"))
    maas.juju.add_unit("maas-rack")
    maas.wait_complete()
    (unit,) = set(maas.units("maas-rack")) - before
    (name,) = (one for one in maas.controllers("rack") if served.unit(one) == unit)
    yield name
    maas.juju.remove_unit(unit)
    maas.wait_gone(unit)
    maas.wait_forgotten("maas-rack")


@pytest.fixture
def third(maas: MAAS, served: leases.DHCP) -> str:
    """A third rack in the VLAN that stays, when another leaves: its host name."""
    before = set(maas.controllers("rack"))
    maas.juju.add_unit("maas-rack")
    maas.wait_complete()
    (name,) = set(maas.controllers("rack")) - before
    return name


# By deleting the tables.
HEAL = "nft delete table ip cut-off; nft delete table arp cut-off 2>/dev/null; true"


@contextlib.contextmanager
def _cut_off(maas: MAAS, unit: str, *, also: str = "", arp: bool = True) -> Iterator[float]:
    """Cut a rack off the regions, and off another address on the VLAN; yields since when.

    By the rack's own firewall: its clients live on a region's machine. Without arp the two still
    find each other there, as where dhcpd alone hangs.
    """
    regions = [one.public_address for one in maas.units("maas-region").values()]
    away = ", ".join([*regions, maas.vip, *([also] if also else [])])
    drops = [f"ip {end} {{ {away} }} drop" for end in ("saddr", "daddr")]
    if also and arp:
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
    maas.on_machine(unit, "; ".join(rules))
    try:
        yield time.monotonic()
    finally:
        maas.on_machine(unit, HEAL)


def _since(begun: float) -> float:
    return time.monotonic() - begun


def _says(maas: MAAS, words: str) -> bool:
    """Tell whether a region's status has these words."""
    units = maas.units("maas-region").values()
    return any(words in one.workload_status.message for one in units)


@pytest.mark.long
def test_a_rack_that_is_cut_off_the_regions_alone_is_not_replaced(maas: MAAS, served: leases.DHCP):
    primary, secondary = served.racks()
    unit = served.unit(primary)
    given = served.ask(range(20))
    with _cut_off(maas, unit):
        why = f"{primary} is not replaced: dhcpd on {secondary} is in state normal"
        eventually(lambda: _says(maas, why), timeout_s=PROMOTED_S, what="the reason")
        given |= served.ask(range(20, 60))
        leases.assert_distinct(given)
        assert served.racks() == (primary, secondary)
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

    def has_stopped() -> bool:
        """While both answer and neither hears the other, new clients come all the time."""
        given.update(served.ask(range(len(given), len(given) + NEW)))
        leases.assert_distinct(given)
        return not served.is_on(unit)

    with _cut_off(maas, unit, also=served.address(other)) as cut:
        eventually(has_stopped, timeout_s=PROMOTED_S, what="dhcpd's end")
        stopped_s = _since(cut)
        figure("dhcpd of a rack that is cut off stopped", stopped_s)
        assert served.racks() == (primary, secondary), "it was promoted too early"
        assert len(given) >= 20 + 3 * NEW, "hardly anybody asked while both answered"
        why = f"{primary} is not replaced: it gave addresses that dhcpd on {secondary} does not"
        eventually(lambda: _says(maas, why), timeout_s=PROMOTED_S, what=why)
        figure("told that unknown leases go on", _since(cut))
        given |= served.ask(range(len(given), len(given) + NEW))
        leases.assert_distinct(given)
        eventually(
            lambda: served.racks() == (secondary, ""),
            timeout_s=PROMOTED_S + LEASE_S,
            what="the promotion",
        )
        figure("the other one promoted", _since(cut))
        assert _since(cut) - stopped_s > LEASE_S - NOTICED_S, "leases of the first went on"
        # Whose lease is over asks again, and may get another address.
        given = served.ask(given, timeout_s=ALL_S)
        given |= served.ask(range(len(given), leases.CLIENTS), timeout_s=ALL_S)
        leases.assert_distinct(given)
    maas.wait_whole()
    eventually(lambda: served.racks() == (secondary, primary), timeout_s=300, what="as secondary")
    assert served.ask(given, timeout_s=ALL_S) == given


@pytest.mark.long
def test_a_rack_whose_address_still_answers_the_other_is_not_replaced(
    maas: MAAS, figure: Figure, served: leases.DHCP
):
    """Neither regions nor dhcpd beside it hear it, and its machine answers on the VLAN."""
    primary, secondary = served.racks()
    unit, other = served.unit(primary), served.unit(secondary)
    given = served.ask(range(20))
    with _cut_off(maas, unit, also=served.address(other), arp=False) as cut:
        why = f"{primary} is not replaced: {served.address(unit)} still answers {secondary}"
        eventually(lambda: _says(maas, why), timeout_s=PROMOTED_S, what=why)
        figure("told that a rack that is not replaced still answers", _since(cut))
        assert served.racks() == (primary, secondary)
        given = served.ask(given)
        leases.assert_distinct(given)
    maas.wait_whole()
    served.wait_normal(unit, other)
    assert served.ask(given) == given
    assert served.racks() == (primary, secondary)


@pytest.mark.long
@pytest.mark.parametrize("lost", ["primary", "secondary"])
def test_without_one_of_two_racks_leases_go_on_and_the_other_serves_all(
    maas: MAAS, power: Fault, figure: Figure, served: leases.DHCP, lost: str
):
    primary, secondary = served.racks()
    dead, survivor = (primary, secondary) if lost == "primary" else (secondary, primary)
    machine = maas.machine(served.unit(dead))
    known = maas.controllers("rack")[dead]["system_id"]
    given = served.ask(range(30))
    leases.assert_distinct(given)
    power("poweroff", machine)
    cut = time.monotonic()
    assert served.ask(given) == given
    figure(f"30 leases renewed without the {lost} rack, since its power went", _since(cut))
    asked = time.monotonic()
    given |= served.ask(range(30, 40))
    figure(f"10 leases obtained without the {lost} rack, since they were asked", _since(asked))
    leases.assert_distinct(given)
    eventually(lambda: served.racks() == (survivor, ""), timeout_s=PROMOTED_S, what="one alone")
    figure(f"the other serves alone, since the {lost} rack's power went", _since(cut))
    assert served.ask(given) == given
    given |= served.ask(range(40, leases.CLIENTS), timeout_s=ALL_S)
    leases.assert_distinct(given)
    power("poweron", machine)
    eventually(lambda: served.racks() == (survivor, dead), timeout_s=300, what="back as secondary")
    assert maas.controllers("rack")[dead]["system_id"] == known, "it was deleted meanwhile"
    assert served.ask(given, timeout_s=ALL_S) == given
    maas.wait_whole()


@pytest.mark.long
def test_a_dead_rack_is_replaced_and_taken_back_with_no_controller(
    maas: MAAS, power: Fault, figure: Figure, served: leases.DHCP
):
    primary, secondary = served.racks()
    machine = maas.machine(served.unit(primary))
    given = served.ask(range(20))
    with maas.without_controller(power):
        power("poweroff", machine)
        cut = time.monotonic()
        eventually(lambda: served.racks() == (secondary, ""), timeout_s=PROMOTED_S, what="alone")
        figure("the other serves alone with no controller, since the power went", _since(cut))
        given |= served.ask(range(20, 60), timeout_s=ALL_S)
        leases.assert_distinct(given)
        power("poweron", machine)
        eventually(
            lambda: served.racks() == (secondary, primary), timeout_s=300, what="back as secondary"
        )
        assert served.ask(given, timeout_s=ALL_S) == given
    maas.wait_whole()
    assert served.racks() == (secondary, primary)


@pytest.mark.long
def test_a_third_rack_becomes_secondary_when_the_primary_is_lost(
    maas: MAAS, power: Fault, figure: Figure, served: leases.DHCP, spare: str
):
    primary, secondary = served.racks()
    assert spare not in (primary, secondary), "a spare one was given a place"
    unit, other = served.unit(spare), served.unit(secondary)
    machine = maas.machine(served.unit(primary))
    given = served.ask(range(20))
    power("poweroff", machine)
    cut = time.monotonic()
    given |= served.ask(range(20, 40))
    leases.assert_distinct(given)
    eventually(
        lambda: served.racks() == (secondary, spare), timeout_s=PROMOTED_S, what="the promotion"
    )
    figure("a third rack secondary, since the primary's power went", _since(cut))
    served.wait_normal(other, unit)
    figure("the two in state normal, since the primary's power went", _since(cut))
    assert served.ask(given) == given
    given |= served.ask(range(40, 60))
    leases.assert_distinct(given)
    power("poweron", machine)
    maas.wait_whole()
    assert served.racks() == (secondary, spare), "one that returned was given something back"
    assert served.ask(given) == given


@pytest.mark.long
def test_the_primary_is_removed_and_its_dhcp_moves_before_maas_forgets_it(
    maas: MAAS, figure: Figure, served: leases.DHCP, third: str
):
    primary, secondary = served.racks()
    given = served.ask(range(20))
    since = time.time()
    maas.juju.remove_unit(served.unit(primary))
    eventually(
        lambda: primary not in maas.controllers("rack"),
        timeout_s=FORGOTTEN_S,
        what=f"MAAS forgets {primary}",
    )
    figure("MAAS has forgotten the primary rack, since its unit was removed", time.time() - since)
    units = maas.units("maas-region")
    (moved,) = journals.told(maas, units, TIMERS, f"{secondary} is promoted", since)
    (deleted,) = journals.told(maas, units, TIMERS, f"deleted rack {primary}", since)
    assert moved.at < deleted.at
    eventually(lambda: served.racks() == (secondary, third), timeout_s=300, what="two racks again")
    assert served.ask(given) == given
    given |= served.ask(range(20, 60), timeout_s=ALL_S)
    leases.assert_distinct(given)
    maas.wait_whole()


@pytest.mark.long
@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_a_dhcpd_that_is_killed_or_hangs_comes_back_and_leases_go_on(
    maas: MAAS, figure: Figure, served: leases.DHCP, signal: str
):
    primary, secondary = served.racks()
    unit, other = served.unit(primary), served.unit(secondary)
    given = served.ask(range(20))
    if signal == "STOP":
        time.sleep(YOUNG_S)
    show = "systemctl show -P MainPID maas-dhcpd"
    pid = maas.on_machine(unit, show).strip()
    since = time.time()
    maas.on_machine(unit, f"kill -{signal} {pid}")
    hit = time.monotonic()
    given |= served.ask(range(20, 40), timeout_s=BACK_S)
    figure(f"20 leases given, since {signal} to the primary's dhcpd", _since(hit))
    leases.assert_distinct(given)
    eventually(
        lambda: maas.on_machine(unit, show).strip() not in (pid, "0"),
        timeout_s=BACK_S,
        what="another dhcpd",
    )
    figure(f"another dhcpd, since {signal} to the one before", _since(hit))
    kills = journals.kills(maas, unit, "maas-dhcpd.service", since)
    assert [one.failed_s >= HUNG_S for one in kills] == [True] * (signal == "STOP")
    served.wait_normal(unit, other)
    assert served.ask(given) == given
    assert served.racks() == (primary, secondary)
