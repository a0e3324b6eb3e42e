# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""When the daemons of an application's units were started and stopped last, and in which order."""

import itertools
from collections.abc import Mapping

from maas import MAAS

DAEMONS = {
    "maas-region": "maas-regiond",
    "maas-rack": "maas-rackd",
}
SHOW = "systemctl show --timestamp=us+utc -p ActiveExitTimestamp,ActiveEnterTimestamp {} | sort"
# When it was started and when it was stopped, as systemd writes it.
Restarts = Mapping[str, list[str]]


def last(maas: MAAS, app: str, charm: str = "") -> Restarts:
    """Return each unit's last start and stop; charm is the application's, if not named as it."""
    command = SHOW.format(DAEMONS[charm or app])
    return {
        unit: [line.partition("=")[2] for line in maas.on_machine(unit, command).splitlines()]
        for unit in maas.units(app)
    }


def assert_one_at_a_time(before: Restarts, after: Restarts) -> None:
    """Every daemon was restarted, none before the one before it was up."""
    assert all(after[unit] != before[unit] for unit in before), (before, after)
    periods = sorted((stopped, started) for started, stopped in after.values())
    for (_, started), (stopped, _) in itertools.pairwise(periods):
        assert stopped > started, periods
