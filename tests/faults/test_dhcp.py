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
    found.enable()
    for unit in map(found.unit, found.racks()):
        eventually(lambda unit=unit: NORMAL in found.state(unit), timeout_s=120, what="normal")
    yield found
    found.disable()


def _assert_distinct(given: dict[int, str]) -> None:
    assert all(given.values()), given
    assert len(set(given.values())) == len(given), given


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
