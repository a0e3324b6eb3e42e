# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The timer that runs a charm's watchdog, with no Juju around."""

import sys
from pathlib import Path

from charmed_maas import files, systemd

UNITS = Path("/etc/systemd/system")
RUN = Path("/run")
TEMPLATES = Path(__file__).parent / "templates"


def ensure(charm: str, module: str) -> bool:
    """Have a timer that runs the charm's module at this path; returns whether anything changed.

    The module asks the charm's daemons by charmed_maas.watchdog.
    """
    # With the virtual environment's interpreter, and where this very process finds the library.
    path = Path(__file__).parents[1]
    values = {"charm": charm, "python": sys.executable, "path": path, "module": module}
    changed = False
    for kind in ("service", "timer"):
        text = files.render(TEMPLATES / f"watchdog.{kind}.j2", **values)
        changed = files.ensure_file(_unit(charm, kind), text) or changed
    timer = _unit(charm, "timer").name
    if changed:
        systemd.daemon_reload()
        systemd.enable(timer)
        systemd.restart(timer)
        return True
    enabled = systemd.enable(timer)
    if not systemd.is_running(timer):
        systemd.start(timer)
        return True
    return enabled


def remove(charm: str) -> bool:
    """Take the timer away; returns whether there was one."""
    timer = _unit(charm, "timer")
    if timer.exists():
        systemd.stop(timer.name)
        systemd.disable(timer.name)
    removed = [files.ensure_absent(_unit(charm, kind)) for kind in ("timer", "service")]
    files.ensure_absent(RUN / f"{charm}-watchdog")
    if any(removed):
        systemd.daemon_reload()
    return any(removed)


def _unit(charm: str, kind: str) -> Path:
    return UNITS / f"{charm}-watchdog.{kind}"
