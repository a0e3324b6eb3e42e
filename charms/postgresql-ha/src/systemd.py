# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The units of systemd that keep the database running with no Juju around."""

import sys
import time
from pathlib import Path

from charmed_maas import commands, files

UNITS = Path("/etc/systemd/system")
TEMPLATES = Path(__file__).parent / "templates"
SYSTEMCTL = "/usr/bin/systemctl"
# Stopping PostgreSQL writes a checkpoint first.
STOP_TIMEOUT_S = 120.0


def ensure_unit(name: str, **values: object) -> bool:
    """Have the unit file that the template of this name renders; returns whether it changed."""
    text = files.render(TEMPLATES / f"{name}.j2", **values)
    if not files.ensure_file(UNITS / name, text):
        return False
    _systemctl("daemon-reload")
    return True


def ensure_running(name: str) -> bool:
    """Have a unit running, now and after a boot; returns whether it had to be started."""
    started = not is_active(name)
    if started:
        _systemctl("start", name)
    if _systemctl("is-enabled", name, check=False) != "enabled":
        _systemctl("enable", name)
    return started


def ensure_timer(service: str, timer: str) -> None:
    """Have a timer that starts a Python module of this charm."""
    # With the virtual environment's interpreter, and where this very process finds its modules.
    roots = (Path(__file__).parent, Path(commands.__file__).parents[1])
    changed = ensure_unit(service, python=sys.executable, path=":".join(map(str, roots)))
    changed = ensure_unit(timer) or changed
    if ensure_running(timer) or not changed:
        return
    restart(timer)


def ensure_stopped(name: str) -> None:
    """Have a unit neither running nor started at boot."""
    if (UNITS / name).is_file():
        _systemctl("disable", "--now", name)


def ensure_absent(name: str) -> None:
    """Stop a unit and forget it."""
    ensure_stopped(name)
    if files.ensure_absent(UNITS / name):
        _systemctl("daemon-reload")


def mask(names: tuple[str, ...]) -> None:
    """Keep units of the distribution from starting; they need not exist yet."""
    link = [name for name in names if not (UNITS / name).is_symlink()]
    if link:
        _systemctl("mask", *link)


def is_active(name: str) -> bool:
    """Tell whether a unit runs, or is about to."""
    return _systemctl("is-active", name, check=False) in ("active", "activating", "reloading")


def age_s(name: str) -> float:
    """Return for how long a unit has been active; 0 when it is not."""
    since_us = int(_systemctl("show", "--value", "-p", "ActiveEnterTimestampMonotonic", name) or 0)
    return time.monotonic() - since_us / 1e6 if since_us and is_active(name) else 0.0


def reload(name: str) -> None:
    """Have a unit read its configuration again."""
    _systemctl("reload", name)


def restart(name: str) -> None:
    """Restart a unit."""
    _systemctl("restart", name)


def _systemctl(*arguments: str, check: bool = True) -> str:
    done = commands.run([SYSTEMCTL, *arguments], timeout_s=STOP_TIMEOUT_S, check=check)
    return done.stdout.strip()
