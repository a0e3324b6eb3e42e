# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The timer that runs a charm's watchdog, with no Juju around."""

from pathlib import Path

from charmed_maas import files, python_unit, systemd

RUN = Path("/run")
TEMPLATE = Path(__file__).parent / "templates/watchdog"


def ensure(charm: str, module: str) -> bool:
    """Have a timer that runs the charm's module at this path; returns whether anything changed.

    The module asks the charm's daemons by charmed_maas.watchdog.
    """
    return python_unit.ensure(f"{charm}-watchdog", TEMPLATE, module, charm=charm)


def try_ensure(charm: str, module: str) -> list[str]:
    """Do the same; returns what systemd refuses, for a charm that goes on without."""
    return systemd.try_each(lambda: ensure(charm, module))


def remove(charm: str) -> bool:
    """Take the timer away; returns whether there was one."""
    removed = python_unit.remove(f"{charm}-watchdog")
    files.ensure_absent(RUN / f"{charm}-watchdog")
    return removed
