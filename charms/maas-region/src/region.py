# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The MAAS region controller: packages, regiond.conf, services, identity.

All that knows about packages and paths of MAAS's debs is here, in accounts.py and in named.py.
"""

import functools
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import yaml

from charmed_maas import addresses, apt_source, commands, files, journal, systemd

CHARM = "maas-region"
PACKAGE = "maas-region-api"
# Packages that the region's machine needs besides; maas-dns is an alias of MAAS's since 2.x.
PACKAGES = (PACKAGE, "maas-dns")
PORT = 5240
# nginx takes the internal API from MAAS 3.6 on, Temporal listens from 3.5 on.
INTERNAL_PORT, TEMPORAL_PORT = 5242, 5271
FIRST_WORKER_PORT = 5250
LAST_WORKER_PORT = 5270
MAX_WORKERS = 10
CONFIG = Path("/etc/maas/regiond.conf")
DATA = Path("/var/lib/maas")
OURS = Path("/var/lib/charmed-maas")
# systemd itself kills after 90 s what does not stop; that is still to be seen.
SYSTEMCTL_S = 120.0
STARTED_WITH = OURS / "started-with"
UNITS = Path("/usr/lib/systemd/system")
REGIOND = "maas-regiond.service"
HTTP = "maas-http.service"
RACKD = "maas-rackd.service"
# Those that read regiond.conf; which of them exist depends on the version of MAAS.
SERVICES = (
    REGIOND,
    "maas-apiserver.service",
    "maas-temporal.service",
    "maas-temporal-worker.service",
)
MAAS_REGION = "/usr/sbin/maas-region"
SYSTEMCTL = "/usr/bin/systemctl"
# MAAS's commands are Python too: the charm's PYTHONPATH is not for them.
ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
}


class RegionError(Exception):
    """A command of MAAS's or systemd's failed; fit for a log and a status message."""


@dataclass(frozen=True)
class Settings:
    """What regiond.conf says that the charm decides; num_workers 0 leaves them as they are."""

    maas_url: str
    address: str
    database_host: str
    database_port: int
    database_name: str
    database_user: str
    database_pass: str
    num_workers: int


def install(source: str) -> bool:
    """Install MAAS from the source when it is missing; raises apt_source.SourceError."""
    changed = apt_source.ensure(source, CHARM)
    changed |= apt_source.install(PACKAGES)
    version.cache_clear()
    return changed


@functools.cache
def version() -> str:
    """Return the installed package's version, "" when it is not installed."""
    return apt_source.version(PACKAGE)


def offered() -> str:
    """Return the newer version that apt offers, "" for none."""
    return apt_source.offered(PACKAGE)


def url(address: str) -> str:
    """Return the URL of the region at an address."""
    return f"http://{addresses.join_host_port(address, PORT)}/MAAS"


def vip_of(maas_url: str) -> str:
    """Return the VIP that a MAAS URL leads through, "" for a region's own.

    They differ by the port: haproxy-vip leaves MAAS's own ones to MAAS.
    """
    parts = urlsplit(maas_url)
    return "" if parts.port == PORT else parts.hostname or ""


def configured_vip() -> str:
    """Return the VIP of the MAAS URL that regiond.conf has, "" when there is none."""
    return vip_of(str(read_config().get("maas_url", "")))


def render_config(settings: Settings, present: dict[str, object]) -> str:
    """Return regiond.conf; keys that are there and not the charm's stay."""
    ours: dict[str, object] = {
        "maas_url": settings.maas_url,
        "broadcast_address": settings.address,
        "database_host": settings.database_host,
        "database_port": settings.database_port,
        "database_name": settings.database_name,
        "database_user": settings.database_user,
        "database_pass": settings.database_pass,
    }
    if settings.num_workers:
        ours["num_workers"] = settings.num_workers
    return yaml.safe_dump({**present, **ours}, default_flow_style=False)


def read_config() -> dict[str, object]:
    """Return what regiond.conf says, {} when it is absent or no mapping."""
    try:
        found: object = yaml.safe_load(CONFIG.read_text())
    except (FileNotFoundError, yaml.YAMLError):
        return {}
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


def is_configured(settings: Settings) -> bool:
    """Tell whether regiond.conf says this, and MAAS was started with it."""
    text = render_config(settings, read_config())
    return CONFIG.is_file() and CONFIG.read_text() == text and _started_with() == digest(text)


def ensure_config(settings: Settings) -> bool:
    """Write regiond.conf if it differs; returns whether it did."""
    text = render_config(settings, read_config())
    return files.ensure_file(CONFIG, text, mode=0o640, owner="maas")


def start() -> None:
    """Start MAAS's services, now and at each boot."""
    # Regiond itself starts nginx, once it has written nginx's configuration.
    _systemctl("enable", "--now", *services())
    _record_start()


def restart() -> None:
    """Restart the services that read regiond.conf, and start those that are down; nginx stays."""
    _systemctl("enable", *services())
    began = time.monotonic()
    try:
        _systemctl("restart", *services())
    except RegionError:
        # With another service that fails, regiond must not restart at every event.
        if age_s() <= time.monotonic() - began:
            _record_start()
        raise
    _record_start()


def stop() -> None:
    """Stop MAAS's services, also at the next boot; nginx ends its requests first."""
    if not version():
        return
    failures = list[RegionError]()
    # nginx first, so that HAProxy sends what comes now to another region, and again, for regiond
    # may have started it. Each of them, whatever systemd refuses.
    for words in (("stop", HTTP), ("disable", "--now", *services()), ("stop", HTTP)):
        try:
            _systemctl(*words)
        except RegionError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    files.ensure_absent(STARTED_WITH)


def is_running() -> bool:
    """Tell whether MAAS's services are up, or will be by systemd's own doing."""
    return all(_is_up(name) for name in services())


def is_any_running() -> bool:
    """Tell whether one of MAAS's services is up, be it with another down."""
    return any(_is_up(name) for name in services())


def age_s() -> float:
    """Return for how long regiond has been started; systemd's clock is Python's monotonic."""
    since_us = int(_show(REGIOND, "InactiveExitTimestampMonotonic") or 0)
    return time.monotonic() - since_us / 1e6


def first_cause(*, recent: bool = False) -> str:
    """Return why MAAS does not serve, in its own words; "" where its journal does not tell.

    recent leaves out what its processes of now have not told.
    """
    return journal.first_cause((*services(), HTTP), recent=recent)


def services() -> list[str]:
    """Return those of MAAS's services that this version of MAAS has."""
    return [name for name in SERVICES if (UNITS / name).exists()]


def shared_secret() -> str:
    """Return the secret by which racks enrol, "" until the region has started once."""
    return _read(DATA / "secret")


def system_id() -> str:
    """Return the ID that MAAS gave this region, "" until it has started once."""
    return _read(DATA / "maas_id")


def started_at() -> str:
    """Return when the charm last started or restarted MAAS, "" before it did."""
    return str(int(STARTED_WITH.stat().st_mtime)) if STARTED_WITH.exists() else ""


def digest(text: str) -> str:
    """Return by what a text is known again without a copy of it."""
    return hashlib.sha256(text.encode()).hexdigest()


def forget() -> None:
    """Take away what makes this machine a region of this MAAS; packages and images stay.

    What a rack on the same machine needs stays too: the two are one controller to MAAS.
    """
    if not systemd.is_enabled(RACKD):
        for name in ("maas_id", "maas_uuid", "secret"):
            files.ensure_absent(DATA / name)
        # Written by MAAS only when absent: another MAAS must not meet this one's.
        for path in (DATA / "certificates").glob("*"):
            files.ensure_absent(path)
    # API key and passwords of administrators among them.
    for path in (CONFIG, *OURS.glob("*")):
        files.ensure_absent(path)
    apt_source.remove(CHARM)


def _started_with() -> str:
    return _read(STARTED_WITH)


def _record_start() -> None:
    files.ensure_file(STARTED_WITH, digest(CONFIG.read_text()), mode=0o600)
    os.utime(STARTED_WITH)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def _show(name: str, key: str) -> str:
    try:
        argv = [SYSTEMCTL, "show", "--property", key, "--value", name]
        return commands.run(argv, check=False).stdout.strip()
    except commands.CommandError as error:
        raise RegionError(str(error)) from error


def _is_up(name: str) -> bool:
    return _show(name, "ActiveState") in ("active", "activating", "reloading")


def _systemctl(*arguments: str) -> None:
    try:
        commands.run([SYSTEMCTL, *arguments], timeout_s=SYSTEMCTL_S)
    except commands.CommandError as error:
        raise RegionError(str(error)) from error
