# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""systemd's services: ask first, change only what differs.

charmlibs-systemd logs each command to Juju, which costs two more processes for each.
"""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from charmed_maas import commands, files, given

SYSTEMCTL = "/usr/bin/systemctl"
UNITS = Path("/etc/systemd/system")
# Stopping PostgreSQL writes a checkpoint first.
TIMEOUT_S = 120.0
UP = ("active", "activating", "reloading")

logger = logging.getLogger(__name__)


class SystemdError(Exception):
    """A service did not do what it was told; the message has systemctl's words."""


def is_running(service: str) -> bool:
    """Tell whether a service is active or about to be."""
    return _ask("is-active", service) in UP


def age_s(service: str) -> float:
    """Return for how long a service has been up; 0 when it is not."""
    found = show(service, "ActiveState", "ActiveEnterTimestampMonotonic")
    since_us = int(found["ActiveEnterTimestampMonotonic"] or 0)
    is_up = since_us and found["ActiveState"] in ("active", "reloading")
    return time.monotonic() - since_us / 1e6 if is_up else 0.0


def is_enabled(service: str) -> bool:
    """Tell whether a service starts at boot."""
    return _ask("is-enabled", service) == "enabled"


def enable(service: str) -> bool:
    """Have a service start at boot; returns whether it did not."""
    if is_enabled(service):
        return False
    _do("enable", "--quiet", service)
    return True


def disable(service: str) -> bool:
    """Have a service no longer start at boot; returns whether it did."""
    if not is_enabled(service):
        return False
    _do("disable", "--quiet", service)
    return True


def ensure_running(service: str, *, wait: bool = True) -> bool:
    """Have a service running, now and after a boot; returns whether it had to be started.

    Without wait it starts once what it is ordered after has started.
    """
    found = show(service, "ActiveState", "UnitFileState")
    if found["UnitFileState"] != "enabled":
        _do("enable", "--quiet", service)
    if found["ActiveState"] in UP:
        return False
    start(service, wait=wait)
    return True


def start(service: str, *, wait: bool = True) -> None:
    """Start a service and wait until it runs; without wait, see ensure_running."""
    _do("start", *([] if wait else ["--no-block"]), service)


def restart(service: str) -> None:
    """Restart a service, or start it, and wait until it runs."""
    _do("restart", service)


def reload(service: str) -> None:
    """Have a running service read its configuration again."""
    _do("reload", service)


def stop(service: str) -> bool:
    """Stop a service; returns whether it ran."""
    if _ask("is-active", service) in ("inactive", "failed", "unknown"):
        return False
    _do("stop", service)
    return True


def ensure_stopped(path: Path) -> None:
    """Have the unit with this file, if there is one, neither running nor started at boot."""
    if path.is_file():
        _do("disable", "--quiet", "--now", path.name)


def try_each(*steps: Callable[[], object]) -> list[str]:
    """Take each step, though systemd refuses others; returns what it said of those."""
    refused = list[str]()
    for step in steps:
        try:
            step()
        except SystemdError as error:
            logger.warning("goes on with what is next: %s", error)
            refused.append(str(error))
    return refused


def mask(*services: str) -> None:
    """Keep services of the distribution from starting; they need not exist yet."""
    link = [name for name in services if not (UNITS / name).is_symlink()]
    if link:
        _do("mask", "--quiet", *link)


def show(service: str, *keys: str) -> dict[str, str]:
    """Return what systemd says of a service, "" for what it does not know."""
    lines = _ask("show", f"--property={','.join(keys)}", service).splitlines()
    return dict.fromkeys(keys, "") | dict(line.split("=", 1) for line in lines)


def ensure_files(texts: Mapping[Path, str], then: Callable[[], None] = lambda: None) -> bool:
    """Have unit files and drop-ins that systemd has read; returns whether it had not.

    What they are new for is done by then: a hook that is killed before its end does it again.
    """
    for path, text in texts.items():
        files.ensure_file(path, text)
    note = _note(*texts)
    if given.is_current(note, *texts):
        return False
    with given.noted(note, *texts):
        _do("daemon-reload")
        then()
    return True


def remove_files(*paths: Path) -> bool:
    """Remove unit files and drop-ins, which systemd forgets; returns whether there were any."""
    note = _note(*paths)
    if not any(path.exists() for path in (note, *paths)):
        return False
    # Of nothing, until systemd was told: a hook that is killed before goes on here.
    files.ensure_file(note, "")
    for path in paths:
        files.ensure_absent(path)
    _do("daemon-reload")
    files.ensure_absent(note)
    return True


def _note(first: Path, *_: Path) -> Path:
    """Return where it is noted what systemd has read; it reads no file of such a name."""
    return first.with_name(f"{first.name}.given")


def _ask(*arguments: str) -> str:
    return _run(*arguments, check=False).strip()


def _do(*arguments: str) -> None:
    _run(*arguments, timeout_s=TIMEOUT_S)


def _run(*arguments: str, **options: Any) -> str:
    try:
        return commands.run([SYSTEMCTL, *arguments], **options).stdout
    except commands.CommandError as error:
        raise SystemdError(str(error)) from error
