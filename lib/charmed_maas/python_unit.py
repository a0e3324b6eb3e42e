# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""A timer, or a socket, that runs a Python module of a charm's, with no Juju around."""

import sys
from pathlib import Path

from charmed_maas import files, systemd

# What each kind starts: a socket a process for each connection.
SERVICES = {"timer": ".service", "socket": "@.service"}


def ensure(name: str, template: Path, module: str, *, by: str = "timer", **values: object) -> bool:
    """Have a unit of a kind that runs the module at this path; returns whether anything changed.

    It and its service are rendered from <template>.timer.j2 and <template>.service.j2, of a
    socket from <template>.socket.j2 and <template>@.service.j2.
    """
    # With the virtual environment's interpreter, and where this very process finds the library.
    path = Path(__file__).parents[1]
    values |= {"python": sys.executable, "path": path, "module": module}
    service, starter = _units(name, by)
    texts = {
        unit: files.render(template.with_name(f"{template.name}{suffix}.j2"), **values)
        for unit, suffix in ((service, SERVICES[by]), (starter, f".{by}"))
    }
    changed = systemd.ensure_files(texts, then=lambda: systemd.restart(starter.name))
    return systemd.ensure_running(starter.name) or changed


def remove(name: str, *, by: str = "timer") -> bool:
    """Take the unit away; returns whether there was one."""
    service, starter = _units(name, by)
    systemd.ensure_stopped(starter)
    return systemd.remove_files(service, starter)


def _units(name: str, by: str) -> tuple[Path, Path]:
    """Return the paths of the service, and of the unit that starts it."""
    return systemd.UNITS / f"{name}{SERVICES[by]}", systemd.UNITS / f"{name}.{by}"
