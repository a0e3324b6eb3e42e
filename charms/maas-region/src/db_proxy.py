# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The region's own HAProxy instance, which leads MAAS to the PostgreSQL primary.

MAAS takes exactly one database host, so it gets 127.0.0.1. This instance asks every member's
Patroni which one is the primary and follows a failover by itself: no MAAS file changes, no MAAS
service restarts, no Juju event is needed. The distribution's haproxy.service is not touched.
"""

import csv
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import db_slots
import local_http
from charmed_maas import apt_source, commands, files, journal, systemd

ADDRESS = "127.0.0.1"
PORT = 15432
STATUS_PORT = 15433
SERVICE = "maas-db-proxy.service"
CONFIG = Path("/etc/maas-db-proxy/haproxy.cfg")
HEALTH_CA = Path("/etc/maas-db-proxy/health-ca.pem")
LOADED = Path("/run/maas-db-proxy/loaded.cfg")
# What HAProxy says of a check that got no answer: see "check_status" in its management guide.
NO_ANSWER = ("L4TOUT", "L4CON", "L6", "L7TOUT", "L7RSP", "SOCKERR")
NO_PRIMARY = "no member of it is primary now"
UNIT = systemd.UNITS / SERVICE
TEMPLATES = Path(__file__).parent / "templates"
HAPROXY = "/usr/sbin/haproxy"

logger = logging.getLogger(__name__)


class ProxyError(Exception):
    """The proxy's configuration is refused, or the proxy does not start."""


@dataclass(frozen=True)
class Members:
    """Where the database may be: (address, port) of each member.

    Without a health port there is one endpoint, which the provider keeps pointed at the primary.
    """

    endpoints: tuple[tuple[str, int], ...]
    health_port: int = 0
    health_ca: str = ""

    @classmethod
    def of(
        cls,
        primary: tuple[str, int] | None,
        members: tuple[tuple[str, int], ...],
        health_port: int,
        health_ca: str,
    ) -> "Members":
        """Return the members where their health can be asked, else the primary alone."""
        if members and health_port and health_ca:
            return cls(members, health_port, health_ca)
        return cls((primary,) if primary else ())


def install() -> bool:
    """Install HAProxy when it is missing."""
    return apt_source.install(["haproxy"])


def render_config(members: Members, current: db_slots.Slots = ()) -> str:
    """Return the configuration; its text also changes with the health CA's.

    Members keep the slots that they have in current.
    """
    return files.render(
        TEMPLATES / "maas-db-proxy.cfg.j2",
        address=ADDRESS,
        port=PORT,
        status_port=STATUS_PORT,
        socket=db_slots.SOCKET,
        slots=db_slots.assign(current, members.endpoints),
        spare=db_slots.SPARE,
        health_port=members.health_port,
        health_ca=HEALTH_CA,
        health_ca_digest=hashlib.sha256(members.health_ca.encode()).hexdigest(),
    )


def ensure(members: Members) -> bool:
    """Make the proxy run with this configuration; returns whether anything changed."""
    changed = bool(members.health_ca) and files.ensure_file(HEALTH_CA, members.health_ca)
    changed |= ensure_config(members)
    try:
        return _ensure_loaded() or changed
    except systemd.SystemdError as error:
        raise ProxyError(f"{SERVICE}: {error}") from error


def ensure_config(members: Members) -> bool:
    """Write the configuration if it differs and HAProxy accepts it; returns changed."""
    current = _read(CONFIG)
    text = render_config(members, db_slots.parse(current))
    if text == current:
        return False
    candidate = CONFIG.with_suffix(".candidate")
    files.ensure_file(candidate, text)
    try:
        validate(candidate)
    finally:
        files.ensure_absent(candidate)
    return files.ensure_file(CONFIG, text)


def validate(path: Path) -> None:
    """Raise ProxyError with HAProxy's words when it refuses the file."""
    try:
        commands.run([HAPROXY, "-c", "-q", "-f", str(path)])
    except commands.CommandError as error:
        raise ProxyError(str(error)) from error


def stop() -> None:
    """Stop the proxy, also at the next boot."""
    systemd.ensure_stopped(UNIT)


def remove() -> None:
    """Stop the proxy and take away what was written for it."""
    stop()
    for path in (CONFIG, HEALTH_CA):
        files.ensure_absent(path)
    systemd.remove_files(UNIT)


def is_running() -> bool:
    """Tell whether systemd has the proxy up; raises systemd.SystemdError."""
    argv = [systemd.SYSTEMCTL, "is-active", "--quiet", SERVICE]
    try:
        return commands.run(argv, check=False).returncode == 0
    except commands.CommandError as error:
        raise systemd.SystemdError(str(error)) from error


def first_cause() -> str:
    """Return why the proxy does not work, in its own words; "" where its journal does not tell."""
    return journal.first_cause([SERVICE])


def no_primary() -> str:
    """Return why the proxy leads to no member, "" when it leads to one; fit for a status."""
    try:
        return parse_no_primary(local_http.get(STATUS_PORT, "/;csv").decode())
    except OSError:
        return f"{SERVICE} does not answer"


def parse_primary(text: str) -> str:
    """Return the address of the server that is up, from HAProxy's CSV."""
    up = [row for row in _servers(text) if row["status"].startswith("UP")]
    return up[0]["addr"] if len(up) == 1 else ""


def parse_no_primary(text: str) -> str:
    """Return why no server is the one that is up, from HAProxy's CSV.

    A member that answers its health check says that it is a replica; of others it is not known.
    """
    if parse_primary(text):
        return ""
    silent = [
        row
        for row in _servers(text)
        # While the next check is under way, "* " stands before what came of the last one.
        if (row.get("check_status") or "").removeprefix("* ").startswith(NO_ANSWER)
    ]
    details = [f"{row['addr']}: {row['check_desc']} {row['last_chk']}".strip() for row in silent]
    return "; ".join([NO_PRIMARY, *[f"health of {one}" for one in details[:2]]])


def _servers(text: str) -> list[dict[str, str]]:
    rows = csv.DictReader(text.removeprefix("# ").splitlines())
    return [row for row in rows if row.get("type") == "2"]


def _ensure_loaded() -> bool:
    """Have the proxy running with what is written; returns whether it did not."""
    text = files.render(
        TEMPLATES / "maas-db-proxy.service.j2", haproxy=HAPROXY, config=CONFIG, loaded=LOADED
    )
    changed = systemd.ensure_files({UNIT: text})
    changed |= systemd.enable(SERVICE)
    if not is_running():
        systemd.start(SERVICE)
        return True
    return _ensure_current(_read(CONFIG)) or changed


def _ensure_current(text: str) -> bool:
    """Have the process that runs work with this text; returns whether it did not.

    LOADED alone does not tell: a reload whose new process does not start (a port is taken) leaves
    the old one at work with its slots, and systemd calls that a success.
    """
    loaded = _read(LOADED)
    slots = db_slots.parse(text)
    if loaded == text and not db_slots.have_strayed(slots):
        return False
    if db_slots.without(loaded) == db_slots.without(text):
        # What it runs with is neither text until all slots are done: were the text taken back
        # after a hook was killed here, the next would find nothing to do.
        files.ensure_file(LOADED, db_slots.without(text))
        try:
            db_slots.ensure(slots, has_health="option httpchk" in text)
        except db_slots.SlotsError as error:
            logger.warning("%s is reloaded: %s", SERVICE, error)
        else:
            return files.ensure_file(LOADED, text)
    systemd.reload(SERVICE)
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
