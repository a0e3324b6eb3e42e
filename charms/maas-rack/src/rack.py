# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The MAAS rack controller: its packages, enrolment, daemon and connections."""

import concurrent.futures
import hashlib
import http.client
import json
import re
import shutil
import socket
import time
import urllib.request
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import yaml

import turns
import watched
from charmed_maas import addresses, apt_source, commands, files, journal, systemd, words

CHARM = "maas-rack"
SERVICE = "maas-rackd.service"
PACKAGE = "maas-rack-controller"
MAAS_RACK = "/usr/sbin/maas-rack"
SS = "/usr/bin/ss"
CONFIG = Path("/etc/maas/rackd.conf")
REGION_CONFIG = Path("/etc/maas/regiond.conf")
VAR = Path("/var/lib/maas")
SECRET = VAR / "secret"
SYSTEM_ID = VAR / "maas_id"
# The regions' addresses that rackd saw last: a start would go back to them.
RPC_STATE = VAR / "rpc.state"
STATE = Path("/var/lib/maas-rack-charm")
# The MAAS URL and the secret's digest that rackd was last started with.
STARTED = STATE / "started.json"
# regiond's workers listen in this range.
FIRST_PORT, LAST_PORT = 5250, 5270
# As many digits of a secret's digest as charmed_maas.secrets gives of one.
MARK_DIGITS = 8
# Noted for the digest where the file was not what rackd was started with: a start may have missed
# it. A mark that nobody wants, while without the URL those behind would not wait.
LOST = "lost"
# A restarted rackd needs seconds to find the regions and to connect to each worker.
SETTLE_TIMEOUT_S = 30.0
REGION_TIMEOUT_S = 3.0


class RackError(Exception):
    """The rack cannot be enrolled; fit for a status message."""


def install(source: str) -> bool:
    """Install MAAS's rack from the source when it is missing; raises apt_source.SourceError."""
    changed = apt_source.ensure(source, CHARM)
    return apt_source.install([PACKAGE]) or changed


def version() -> str:
    """Return the version of the installed package."""
    return apt_source.version(PACKAGE)


def offered() -> str:
    """Return the newer version that apt offers, "" for none."""
    return apt_source.offered(PACKAGE)


def ensure_config(urls: Sequence[str]) -> bool:
    """Write the regions' URLs, the MAAS URL first; returns whether they changed.

    rackd reads them at its next start: until then it learns of regions from the regions.
    """
    changed = files.ensure_no_link(CONFIG) or _configured_urls() != list(urls)
    if changed:
        _maas_rack("config", *(word for url in urls for word in ("--region-url", url)))
    return _ensure_owner(CONFIG) or changed


def ensure_secret(secret: str) -> bool:
    """Install the secret that the regions share; returns whether it changed."""
    if not re.fullmatch(r"([0-9a-fA-F]{2})+", secret):
        where = "look at maas-region's status"
        raise RackError(f"maas-region's shared secret is not hexadecimal: {where}")
    is_away = files.ensure_no_link(SECRET) or not SECRET.is_file()
    # MAAS writes it in small letters.
    changed = is_away or SECRET.read_text().strip().lower() != secret.lower()
    if changed:
        if (started := _started()).get("secret") == _digest(secret):
            files.ensure_file(STARTED, json.dumps(started | {"secret": LOST}), mode=0o600)
        _maas_rack("install-shared-secret", stdin=f"{secret}\n")
    return _ensure_owner(SECRET) or changed


def is_current(maas_url: str, secret: str) -> bool:
    """Tell whether rackd runs with this URL and secret."""
    return is_running() and _started() == _identity(maas_url, secret)


def can_wait(regions: Collection[str]) -> bool:
    """Tell whether rackd works with what it was started with: regions end no connection for it."""
    return is_running() and bool(connected(regions))


def restart(maas_url: str, secret: str) -> None:
    """Start rackd anew, now and at every boot, with what is configured."""
    try:
        systemd.enable(SERVICE)
        systemd.restart(SERVICE)
    except systemd.SystemdError as error:
        said = f"maas-rackd does not start: see journalctl -u {SERVICE}"
        raise RackError(words.with_cause(said, first_cause() or str(error))) from error
    files.ensure_file(STARTED, json.dumps(_identity(maas_url, secret)), mode=0o600)
    turns.end_wait()


def is_running() -> bool:
    """Tell whether rackd is active."""
    return systemd.is_running(SERVICE)


def leave() -> bool:
    """Stop rackd and forget MAAS; returns whether there was anything to forget.

    What a region on the same machine needs stays: the two are one controller to MAAS.
    """
    forgotten = [CONFIG, RPC_STATE, STARTED, turns.WAITING]
    if not REGION_CONFIG.is_file():
        forgotten += [SYSTEM_ID, SECRET, VAR / "maas_uuid"]
        # rackd writes certificates only where there are none: another MAAS's would stay.
        shutil.rmtree(VAR / "certificates", ignore_errors=True)
    was_running = is_running()
    # Forgotten also where systemd refuses: what is left would go on with a MAAS that it has left.
    systemd.try_each(lambda: systemd.stop(SERVICE), lambda: systemd.disable(SERVICE))
    # All of them, not only up to the first that is there.
    return any([was_running, *[files.ensure_absent(path) for path in forgotten]])


def remove() -> None:
    """Take the apt source away, after leave(); packages and images stay."""
    apt_source.remove(CHARM)


def started_url() -> str:
    """Return the MAAS URL that rackd was last started with, "" before it was."""
    return _started().get("url", "")


def started_mark() -> str:
    """Return the mark of the secret that rackd was last started with, "" before it was."""
    return _started().get("secret", "")[:MARK_DIGITS]


def hostname() -> str:
    """Return the name by which MAAS knows this machine."""
    return socket.gethostname().partition(".")[0]


def system_id() -> str:
    """Return the ID that MAAS gave this controller, "" before it did."""
    return SYSTEM_ID.read_text().strip() if SYSTEM_ID.is_file() else ""


def hosts(urls: Iterable[str]) -> set[str]:
    """Return the hosts that URLs name, an address in its canonical form."""
    found = {urlsplit(url).hostname or "" for url in urls}
    return {_canonical(host) for host in found if host}


def region_serves() -> bool:
    """Tell whether any region answers that has its database: the others cannot decide anything."""
    urls = _configured_urls()
    with concurrent.futures.ThreadPoolExecutor(max(len(urls), 1)) as executor:
        return any(executor.map(_serves, urls))


def hears_a_region() -> bool:
    """Tell whether rackd answers and has a connection to a region, and one has its database.

    An answer over HTTP says nothing of rackd, a connection outlives a rackd that hangs and a cut
    link. Of a region any address counts: rackd may use another than its URL has.
    """
    return bool(_connections()) and watched.rackd_answers() and region_serves()


def connected(regions: Collection[str]) -> set[str]:
    """Return those of the regions' addresses that rackd has a connection to."""
    return _connections() & set(regions)


def parse_connected(text: str) -> set[str]:
    """Return the peers' addresses of what `ss -Htn state established` prints."""
    ends = [fields[3] for line in text.splitlines() if len(fields := line.split()) >= 4]
    found = {end.rpartition(":")[0].partition("%")[0].strip("[]") for end in ends}
    return {_canonical(address) for address in found}


def first_cause() -> str:
    """Return why rackd does not work, in its own words; "" where its journal does not tell."""
    return journal.first_cause([SERVICE])


def settle(regions: Collection[str]) -> None:
    """Give a started rackd the time to be connected to every region and to get its ID."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while time.monotonic() < deadline:
        if system_id() and connected(regions) == set(regions):
            return
        time.sleep(0.5)


def _connections() -> set[str]:
    between = f"( dport >= :{FIRST_PORT} and dport <= :{LAST_PORT} )"
    done = commands.run([SS, "-H", "-t", "-n", "state", "established", between])
    return parse_connected(done.stdout)


def _serves(url: str) -> bool:
    try:
        # The URLs are the regions' own, checked where they came in. No proxy may stand between.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url}/rpc/", timeout=REGION_TIMEOUT_S) as answer:
            return answer.status == http.HTTPStatus.OK
    except (OSError, ValueError, http.client.HTTPException):
        return False


def _canonical(host: str) -> str:
    try:
        return addresses.parse_address(host.removeprefix("::ffff:"))
    except ValueError:
        return host


def _configured_urls() -> list[str]:
    try:
        found: object = yaml.safe_load(CONFIG.read_text())
    except (FileNotFoundError, yaml.YAMLError):
        return []
    urls = found.get("maas_url") if isinstance(found, dict) else None
    return [urls] if isinstance(urls, str) else [str(url) for url in urls or ()]


def _identity(maas_url: str, secret: str) -> dict[str, str]:
    return {"url": maas_url, "secret": _digest(secret)}


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _started() -> dict[str, str]:
    try:
        return json.loads(STARTED.read_text())
    except (FileNotFoundError, ValueError):
        return {}


def _ensure_owner(path: Path) -> bool:
    """Give a file to the user maas: maas-rack leaves it to root. In a directory of that user's."""
    return files.ensure_access(path, mode=0o640, owner="maas")


def _maas_rack(*arguments: str, stdin: str = "") -> None:
    """Run maas-rack without the hook's environment: its PYTHONPATH leads to the charm's venv."""
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
    try:
        commands.run([MAAS_RACK, *arguments], stdin=stdin, env=env, timeout_s=60)
    except commands.CommandError as error:
        raise RackError(words.brief(str(error))) from error
