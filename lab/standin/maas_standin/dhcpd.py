# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The dhcpd of a rack: its two files, its unit, and what MAAS calls its state."""

import logging
import pathlib
import subprocess
import tempfile
import threading

from maas_standin import host, local_config

logger = logging.getLogger(__name__)

DHCPD = "/usr/sbin/dhcpd"
UNIT = "maas-dhcpd"
CONF = host.VAR / "dhcpd.conf"
INTERFACES = host.VAR / "dhcpd-interfaces"


class DhcpdError(Exception):
    """dhcpd does not take a configuration."""


def _read(path: pathlib.Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def validate(text: str) -> None:
    """Have dhcpd read a candidate for its configuration."""
    # Beside the live file and named after it: where the profile of AppArmor lets dhcpd read.
    prefix = f"{CONF.name}."
    with tempfile.NamedTemporaryFile("w", dir=CONF.parent, prefix=prefix) as candidate:
        candidate.write(text)
        candidate.flush()
        command = [DHCPD, "-t", "-4", "-cf", candidate.name]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise DhcpdError(done.stderr.strip())


def ensure_config(text: str, interfaces: str) -> bool:
    """Write the two files where they differ; tell whether either did."""
    wanted = {CONF: text, INTERFACES: interfaces}
    changed = [path for path in wanted if _read(path) != wanted[path]]
    if CONF in changed:
        validate(text)
    for path in changed:
        local_config.write_atomically(str(path), wanted[path])
    return bool(changed)


def remove_config() -> None:
    """Leave dhcpd nothing to start with."""
    for path in (CONF, INTERFACES):
        path.unlink(missing_ok=True)


def describe(state: str, result: str, *, is_expected: bool) -> tuple[str, str]:
    """Return what MAAS says of a unit in a state of systemd's."""
    if state in ("active", "reloading"):
        return "running", ""
    if not is_expected:
        return "off", ""
    if state == "failed":
        return "dead", f"{UNIT} failed to start, process result: (Result: {result})"
    return "dead", f"{UNIT} is currently stopped."


class Service:
    """dhcpd as the regions want it; several connections may tell at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_expected = False

    def configure(self, text: str, interfaces: str) -> None:
        """Serve what the text says, nothing if it is empty; restart dhcpd for a change only."""
        with self._lock:
            try:
                changed = bool(text) and ensure_config(text, interfaces)
            except DhcpdError as error:
                logger.error("DHCP stays as it is, dhcpd refuses the new one: %s", error)
                return
            self._is_expected = bool(text)
            if not text:
                self._stop()
            elif changed:
                self._act("restart")
            else:
                self._ensure_running()

    def check(self) -> tuple[str, str]:
        """Start dhcpd if it should run and does not, as MAAS's monitor does; return its status."""
        with self._lock:
            if self._is_expected:
                self._ensure_running()
            return describe(*host.unit_state(UNIT), is_expected=self._is_expected)

    def _ensure_running(self) -> None:
        if not host.is_active(UNIT):
            self._act("start")

    def _stop(self) -> None:
        remove_config()
        if host.is_active(UNIT):
            self._act("stop")

    def _act(self, verb: str) -> None:
        logger.info("Service %s: %s.", UNIT, verb)
        if host.systemctl(verb, UNIT):
            logger.error("Service %s failed to %s.", UNIT, verb)
