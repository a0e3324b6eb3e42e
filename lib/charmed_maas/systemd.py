# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""systemd's services: ask first, change only what differs.

charmlibs-systemd logs each command to Juju, which costs two more processes for each.
"""

from charmed_maas import commands

SYSTEMCTL = "/usr/bin/systemctl"
TIMEOUT_S = 90.0


class SystemdError(Exception):
    """A service did not do what it was told; the message has systemctl's words."""


def is_running(service: str) -> bool:
    """Tell whether a service is active or about to be."""
    return _ask("is-active", service) in ("active", "activating", "reloading")


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


def start(service: str) -> None:
    """Start a service and wait until it runs."""
    _do("start", service)


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


def daemon_reload() -> None:
    """Have systemd read unit files again."""
    _do("daemon-reload")


def _ask(verb: str, service: str) -> str:
    return commands.run([SYSTEMCTL, verb, service], check=False).stdout.strip()


def _do(*arguments: str) -> None:
    try:
        commands.run([SYSTEMCTL, *arguments], timeout_s=TIMEOUT_S)
    except commands.CommandError as error:
        raise SystemdError(str(error)) from error
