# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The timers that keep this unit's member going with no Juju around."""

import systemd
import watched
from charmed_maas import watchdog_timer

TIMER = "postgresql-ha-reconcile.timer"
SERVICE = "postgresql-ha-reconcile.service"


def ensure() -> None:
    """Have the timers."""
    systemd.ensure_timer(SERVICE, TIMER)
    watchdog_timer.ensure(watched.CHARM, watched.__file__)


def remove() -> None:
    """Take the timers away, before what they would start again stops."""
    watchdog_timer.remove(watched.CHARM)
    systemd.ensure_absent(TIMER)
    systemd.ensure_absent(SERVICE)
