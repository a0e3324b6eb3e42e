# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""HAProxy: its configuration, checked before it counts, and its runtime socket."""

import contextlib
import csv
import hashlib
import io
import re
import socket
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import routes
import watched
from charmed_maas import addresses, apt_source, commands, files, systemd

SERVICE = "haproxy.service"
HAPROXY = "/usr/sbin/haproxy"
TEMPLATES = Path(__file__).parent / "templates"
CONFIG = Path("/etc/haproxy/haproxy.cfg")
DPKG_QUERY = "/usr/bin/dpkg-query"
DISTRIBUTION_CONFIG = Path("/etc/haproxy/haproxy.cfg.distribution")
DROP_IN = Path("/etc/systemd/system/haproxy.service.d/haproxy-vip.conf")
SOCKET = Path("/run/haproxy/admin.sock")
SERVER_STATE = Path("/var/lib/haproxy/server-state")
STATE = Path("/var/lib/haproxy-vip")
DOWN = STATE / "down"
MARK = "# Managed by the charm haproxy-vip"
# What a reload takes: the new worker answers within a second, a worker that cannot bind takes
# two before the old one resumes.
RELOAD_TIMEOUT_S = 15.0
# Two checks in a row, a second apart.
SETTLE_TIMEOUT_S = 3.5
MAX_MAXCONN = 16384


class HAProxyError(Exception):
    """HAProxy refused a configuration or does not run; fit for a status message."""


@dataclass(frozen=True)
class ServerState:
    """One region as HAProxy sees it now."""

    name: str
    is_up: bool


def install() -> bool:
    """Install HAProxy, idle until it is configured; returns whether it was missing."""
    was_there = bool(version())
    installed = apt_source.install(["haproxy", "curl", "iproute2"])
    if installed and not was_there and not is_managed():
        # The package starts it; one that was there before us is somebody's.
        stop()
    return installed


def version() -> str:
    """Return HAProxy's version, as 2.8.16."""
    return apt_source.version("haproxy").partition("-")[0]


def render_config(found: Sequence[routes.Route], *, balance: str, maxconn: int) -> str:
    """Return the configuration; its description is the digest of the rest."""
    template = TEMPLATES / "haproxy.cfg.j2"
    values = {"routes": found, "balance": balance, "maxconn": maxconn}
    text = files.render(template, description="", **values)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return files.render(template, description=digest, **values)


def ensure_config(text: str) -> bool:
    """Run HAProxy with this configuration; returns whether anything changed.

    What it ran with before stays in force when it refuses this one: HAProxyError.
    """
    changed = _ensure_drop_in()
    # It is for a reload alone, and a hook may have been killed in the midst of one.
    files.ensure_file(SERVER_STATE, "")
    if _has(text) and (running_digest() == _digest(text) or hangs()):
        # One that hangs is the watchdog's: a reload of it would wait until that kills it.
        return changed
    validate(text)
    before = CONFIG.read_text() if CONFIG.is_file() else ""
    if before and MARK not in before:
        if not _is_distributions(before):
            raise HAProxyError(f"{CONFIG} is not this charm's: move it away, or this unit")
        files.ensure_file(DISTRIBUTION_CONFIG, before)
    files.ensure_file(CONFIG, text)
    try:
        if is_running() and MARK in before and not _is_marked_down():
            _reload(text)
        else:
            _start(text)
    except (systemd.SystemdError, HAProxyError) as error:
        files.ensure_file(CONFIG, before)
        # One that has died meanwhile is started with it by systemd.
        with contextlib.suppress(systemd.SystemdError, HAProxyError):
            if is_running() and MARK in before:
                _reload(before)
        raise HAProxyError(f"HAProxy does not run with the new configuration: {error}") from error
    return True


def validate(text: str) -> None:
    """Check a configuration as HAProxy does; raises HAProxyError with its first complaint."""
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as candidate:
        candidate.write(text)
        candidate.flush()
        done = commands.run([HAPROXY, "-c", "-f", candidate.name], check=False)
    if done.returncode:
        found = re.search(r"\[ALERT\][^:]*: (.+)", done.stderr)
        words = found.group(1) if found else done.stderr.strip()[-200:]
        raise HAProxyError(f"HAProxy refuses the configuration: {words[:200]}")


def stop() -> None:
    """Stop HAProxy now and at every boot, unless it runs with somebody else's configuration."""
    if CONFIG.is_file() and not (is_managed() or _is_distributions(CONFIG.read_text())):
        return
    systemd.stop(SERVICE)
    systemd.disable(SERVICE)


def is_running() -> bool:
    """Tell whether the service is active."""
    return systemd.is_running(SERVICE)


def is_managed() -> bool:
    """Tell whether the live configuration is one of ours."""
    return CONFIG.is_file() and MARK in CONFIG.read_text()


def ensure_idle() -> bool:
    """Stop HAProxy and give the distribution its files back; returns whether it was ours."""
    if not is_managed() and not DROP_IN.exists():
        return False
    stop()
    systemd.remove_files(DROP_IN)
    if DISTRIBUTION_CONFIG.is_file():
        DISTRIBUTION_CONFIG.replace(CONFIG)
    for path in (SERVER_STATE, DOWN):
        files.ensure_absent(path)
    return True


def maxconn() -> int:
    """Return how many connections the limit of open files allows, two each."""
    known = re.findall(r"Max open files\s+\S+\s+(\d+)", Path("/proc/1/limits").read_text())
    own = commands.run(["/usr/bin/systemctl", "show", "-p", "LimitNOFILE", "--value", SERVICE])
    # The service's may be "infinity", which gives it no more than systemd itself has.
    limits = [int(text) for text in (own.stdout.strip(), *known) if text.isdecimal()]
    return min(MAX_MAXCONN, (min(limits, default=4096) - 400) // 2)


def servers() -> list[ServerState]:
    """Return the regions as HAProxy sees them now, none when it does not run.

    A region is in several backends; what its health checks found is the same in each.
    """
    rows = csv.DictReader(io.StringIO(_ask("show stat -1 4 -1").removeprefix("# ")))
    found = {row["svname"]: row["status"].startswith(("UP", "no check")) for row in rows}
    return [ServerState(name, is_up) for name, is_up in found.items()]


def configured_port() -> int:
    """Return the port on which MAAS answers at the VIP, 0 before there is one."""
    if not is_managed():
        return 0
    found = re.search(r"bind \S+:(\d+) transparent\n    option httplog", CONFIG.read_text())
    return int(found.group(1)) if found else 0


def configured_servers() -> dict[str, str]:
    """Return the regions' servers in the charm's configuration: address by name."""
    if not is_managed():
        return {}
    found = re.findall(r"^    server (\S+) (\S+) id ", CONFIG.read_text(), re.MULTILINE)
    return {name: addresses.split_host_port(endpoint)[0] for name, endpoint in found}


def settle() -> None:
    """Give the health checks the time that a living region needs to pass them."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while not any(server.is_up for server in servers()) and time.monotonic() < deadline:
        time.sleep(0.2)


def running_digest() -> str:
    """Return the digest of the configuration that the running HAProxy was started with."""
    found = re.search(r"^description: (\S+)", _ask("show info"), re.MULTILINE)
    return found.group(1) if found else ""


def hangs() -> bool:
    """Tell whether HAProxy runs and gives no answer at its socket."""
    runs = is_running() and SOCKET.exists()
    return runs and not watched.haproxy_answers()


def _is_distributions(text: str) -> bool:
    """Tell whether a configuration is as the package brought it: dpkg keeps its digest."""
    argv = [DPKG_QUERY, "-W", "-f", "${Conffiles}", "haproxy"]
    shipped = commands.run(argv, check=False).stdout
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return f"{CONFIG} {digest}" in shipped


def _digest(text: str) -> str:
    found = re.search(r"^    description (\S+)$", text, re.MULTILINE)
    return found.group(1) if found else ""


def _has(text: str) -> bool:
    return CONFIG.is_file() and CONFIG.read_text() == text


def _ensure_drop_in() -> bool:
    text = files.render(TEMPLATES / "haproxy.service.conf.j2", down=DOWN)
    if not DOWN.exists():
        files.ensure_file(DOWN, "1\n")
    return systemd.ensure_files({DROP_IN: text})


def _is_marked_down() -> bool:
    """Tell whether HAProxy has not started with our drop-in; if it runs, it did before us.

    A hook was then killed between writing our configuration and the start: a reload would leave
    the mark, and keepalived without the VIP.
    """
    return DOWN.read_text().strip() == "1"


def _start(text: str) -> None:
    """Start now and at every boot; one that ran the distribution's file starts anew."""
    systemd.enable(SERVICE)
    systemd.restart(SERVICE)
    _wait_for(_digest(text))


def _reload(text: str) -> None:
    """Reload without losing what the checks found and what an operator drained."""
    files.ensure_file(SERVER_STATE, kept_state(_ask("show servers state"), text))
    try:
        systemd.reload(SERVICE)
        _wait_for(_digest(text))
    finally:
        # A start at the next boot must not believe what was true at this reload.
        files.ensure_file(SERVER_STATE, "")


def kept_state(dump: str, text: str) -> str:
    """Return the lines of `show servers state` whose server keeps its address in the new text.

    Without the weights that the regions asked for: one that says nothing more would keep its own.
    """
    lines = dump.strip().splitlines()
    if len(lines) < 2:
        return ""
    columns = lines[1].removeprefix("# ").split()
    kept: list[str] = []
    for line in lines[2:]:
        row = dict(zip(columns, line.split(), strict=False))
        address, port = row.get("srv_addr", ""), row.get("srv_port", "")
        host = f"[{address}]" if ":" in address else address
        if f"    server {row.get('srv_name')} {host}:{port} " in text:
            row["srv_uweight"] = row.get("srv_iweight", row.get("srv_uweight", ""))
            kept.append(" ".join(row[column] for column in columns if column in row))
    return "\n".join([*lines[:2], *kept, ""])


def _wait_for(digest: str) -> None:
    deadline = time.monotonic() + RELOAD_TIMEOUT_S
    while running_digest() != digest:
        if time.monotonic() > deadline:
            raise HAProxyError(f"{SERVICE} does not answer with it")
        time.sleep(0.1)


def _ask(command: str) -> str:
    """Send a command to the runtime socket; "" when nobody answers."""
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(SOCKET))
            client.sendall(f"{command}\n".encode())
            while part := client.recv(65536):
                answer += part
    except OSError:
        return ""
    return answer.decode(errors="replace")
