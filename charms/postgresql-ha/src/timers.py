# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The timers that keep this unit's member going with no Juju around."""

from pathlib import Path

import upkeep
import watched
from charmed_maas import python_unit, watchdog_timer

RECONCILE = "postgresql-ha-reconcile"
TEMPLATE = Path(__file__).parent / "templates" / RECONCILE


def ensure() -> None:
    """Have the timers."""
    python_unit.ensure(RECONCILE, TEMPLATE, upkeep.__file__)
    watchdog_timer.ensure(watched.CHARM, watched.__file__)


def remove() -> None:
    """Take the timers away, before what they would start again stops."""
    watchdog_timer.remove(watched.CHARM)
    python_unit.remove(RECONCILE)
