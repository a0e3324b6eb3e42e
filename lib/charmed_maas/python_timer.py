# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""A timer that runs a Python module of a charm's, with no Juju around."""

import sys
from pathlib import Path

from charmed_maas import files, systemd

KINDS = ("service", "timer")


def ensure(name: str, template: Path, module: str, **values: object) -> bool:
    """Have a timer of this name for the module at this path; returns whether anything changed.

    Its unit files are rendered from <template>.service.j2 and <template>.timer.j2.
    """
    # With the virtual environment's interpreter, and where this very process finds the library.
    path = Path(__file__).parents[1]
    values |= {"python": sys.executable, "path": path, "module": module}
    sources = {kind: template.with_name(f"{template.name}.{kind}.j2") for kind in KINDS}
    texts = {_unit(name, kind): files.render(sources[kind], **values) for kind in KINDS}
    timer = _unit(name, "timer").name
    changed = systemd.ensure_files(texts, then=lambda: systemd.restart(timer))
    return systemd.ensure_running(timer) or changed


def remove(name: str) -> bool:
    """Take the timer away; returns whether there was one."""
    systemd.ensure_stopped(_unit(name, "timer"))
    return systemd.remove_files(*(_unit(name, kind) for kind in KINDS))


def _unit(name: str, kind: str) -> Path:
    return systemd.UNITS / f"{name}.{kind}"
