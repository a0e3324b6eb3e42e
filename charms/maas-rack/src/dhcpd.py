# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""MAAS's dhcpd on this rack: what its configuration says, and what it says by OMAPI.

MAAS writes the configuration, and starts and stops dhcpd; the charm asks, and stops it where it
must not go on.
"""

import contextlib
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pypureomapi

import watched
from charmed_maas import arping, commands, files, journal, systemd

SERVICE = "maas-dhcpd.service"
# systemd starts dhcpd only while this file is there.
CONFIG = Path("/var/lib/maas/dhcpd.conf")
LEASES = Path("/var/lib/maas/dhcp/dhcpd.leases")
ADDRESS, OMAPI_PORT = "127.0.0.1", watched.OMAPI_PORTS[SERVICE]
TIMEOUT_S = 5.0
IP = "/usr/sbin/ip"
ARP_S = 4
# By number, with the words of dhcpd.leases(5): dhcpd's includes/dhcpd.h, failover_state.
STATES = {
    0: "unknown-state",
    1: "startup",
    2: "normal",
    3: "communications-interrupted",
    4: "partner-down",
    5: "potential-conflict",
    6: "recover",
    7: "paused",
    8: "shutdown",
    9: "recover-done",
    10: "resolution-interrupted",
    11: "conflict-done",
    254: "recover-wait",
}
PEER = re.compile(r'^failover peer "(failover-vlan-(\d+))" \{(.*?)^\}', re.MULTILINE | re.DOTALL)
KEY = re.compile(r'^key (\S+) \{.*?secret "([^"]+)"', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Peer:
    """One of dhcpd's failover peers: the VLAN's ID in MAAS, both ends' addresses there."""

    name: str
    vlan: int
    own: str
    address: str


@dataclass(frozen=True)
class Failover:
    """What dhcpd says of a peer: its own state, and since when (s since 1970)."""

    state: str = ""
    since: int = 0


class DHCPError(Exception):
    """dhcpd does not answer by OMAPI."""


def config() -> str:
    """Return dhcpd's configuration, "" while MAAS has none for this rack."""
    try:
        return CONFIG.read_text()
    except FileNotFoundError:
        return ""


def sent() -> float:
    """Return when MAAS wrote the configuration (s since 1970), 0 while there is none."""
    try:
        return CONFIG.stat().st_mtime
    except FileNotFoundError:
        return 0


def parse_peers(text: str) -> list[Peer]:
    """Return the failover peers that a configuration has."""
    return [
        Peer(name, int(vlan), _value(body, "address"), _value(body, "peer address"))
        for name, vlan, body in PEER.findall(text)
    ]


def failovers(text: str, peers: Iterable[Peer]) -> dict[int, Failover]:
    """Ask dhcpd for the state of each peer, by VLAN; raises DHCPError.

    One that it does not know has the state "", and without peers it is not asked at all. text is
    its configuration, for OMAPI's key.
    """
    wanted = list(peers)
    if not wanted:
        return {}
    key = KEY.search(text)
    if not key:
        raise DHCPError("dhcpd.conf has no key for OMAPI")
    name, secret = (word.encode() for word in key.groups())
    try:
        omapi = pypureomapi.Omapi(ADDRESS, OMAPI_PORT, name, secret, timeout=TIMEOUT_S)
        with contextlib.closing(omapi):
            return {peer.vlan: _failover(omapi, peer.name) for peer in wanted}
    except (pypureomapi.OmapiError, OSError, ValueError) as error:
        raise DHCPError(f"dhcpd does not answer by OMAPI: {error}") from error


def is_running() -> bool:
    """Tell whether dhcpd runs."""
    return systemd.is_running(SERVICE)


def first_cause() -> str:
    """Return why dhcpd does not run, in its own words; "" where its journal does not tell."""
    return journal.first_cause([SERVICE])


def stop() -> None:
    """Stop dhcpd until a region sends a configuration again."""
    files.ensure_absent(CONFIG)
    systemd.stop(SERVICE)


def forget(vlan: int) -> None:
    """Forget the failover of a VLAN that this rack serves no more, before it is given it again.

    With the state from before, in which it heard nobody, it would call its partner down, and that
    one, which has no state any more, would answer nobody for an hour (mclt): seen with 4.4.3.
    Raises systemd.SystemdError, OSError, and DHCPError where this rack still serves the VLAN.
    """
    if any(peer.vlan == vlan for peer in parse_peers(config())):
        raise DHCPError(f"this rack still serves VLAN {vlan}")
    state = re.compile(rb'^failover peer "failover-vlan-%d" state {.*?^}\n' % vlan, re.M | re.S)
    if not LEASES.exists() or not state.search(LEASES.read_bytes()):
        return
    was_running = is_running()
    try:
        systemd.stop(SERVICE)
        files.rewrite(LEASES, state.sub(b"", LEASES.read_bytes()))
    finally:
        # It may serve other VLANs. rackd, which looks too, may have started it with the old file.
        if was_running:
            systemd.restart(SERVICE)


def answers(own: str, address: str) -> bool:
    """Tell whether anybody has an address, on the link of an own one (by ARP)."""
    link = _link(own)
    argv = [arping.ARPING, "-q", "-f", "-w", str(ARP_S), "-I", link, address]
    code = commands.run(argv, check=False).returncode
    if code not in (0, 1):
        raise DHCPError(f"arping exited with {code}")
    return code == 0


def _link(own: str) -> str:
    found = commands.run([IP, "-o", "address", "show", "to", own]).stdout.split()
    if len(found) < 2:
        raise DHCPError(f"no interface has {own}")
    return found[1]


def _failover(omapi: pypureomapi.Omapi, name: str) -> Failover:
    try:
        found = omapi.lookup_by_failoverstate(raw=True, name=name)
    except pypureomapi.OmapiErrorNotFound:
        return Failover()
    return Failover(
        STATES.get(_number(found.get(b"local-state")), ""),
        _number(found.get(b"local-stos")) or int(time.time()),
    )


def _number(value: bytes | None) -> int:
    return int.from_bytes(value or b"", "big")


def _value(body: str, key: str) -> str:
    found = re.search(rf"^\s*{key} (\S+);", body, re.MULTILINE)
    return found.group(1) if found else ""
