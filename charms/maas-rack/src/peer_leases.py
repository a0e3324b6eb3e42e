# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Leases that a failover peer gave after it could tell this rack's dhcpd of them no more.

A client asks for an address by a broadcast that names whose offer it took. dhcpd hears that, logs
it, and forgets it: once it serves alone it would give the same address again.
"""

import calendar
import re
import time

import dhcpd
from charmed_maas import commands, failover, journal

# dhcpd notices after a minute that its peer is away (MAAS's max-response-delay); until then it
# has nothing of what that one gives.
UNNOTICED_S = 90
# As long as a lease lasts where MAAS's configuration does not say: dhcpd's own max-lease-time.
LEASE_S = 86400
# Clocks of two racks, and the second that a lease file goes by.
SLACK_S = 5
# With `-o short-unix`, by dhcpd 4.4: for the address, from the server, by the client.
TAKEN = re.compile(
    r"^(\d+)\.\d+ .*DHCPREQUEST for (\S+) \((\S+)\) from (\S+) via \S+: lease owned by peer",
    re.MULTILINE,
)
LEASE = re.compile(r"^lease (\S+) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
STARTS = re.compile(r"^\s*starts \d (\d+)/(\d+)/(\d+) (\d+):(\d+):(\d+);", re.MULTILINE)
CLIENT = re.compile(r"^\s*hardware \S+ (\S+);", re.MULTILINE)
LASTS = re.compile(r"^\s*(?:default|max)-lease-time (\d+);", re.MULTILINE)


def last_s(peer: dhcpd.Peer, state: dhcpd.Failover) -> int:
    """Return for how many seconds more leases last that dhcpd does not know of, 0 for none.

    Raises commands.CommandError, OSError. Leases that clients only renewed, which they ask the
    one server for, are not heard of; those are known, and dhcpd gives them to others last.
    """
    if state.state not in failover.PARTNER_AWAY:
        return 0
    now = int(time.time())
    lasts = max(map(int, LASTS.findall(dhcpd.config())), default=LEASE_S)
    taken = _taken(peer.address, max(state.since - UNNOTICED_S, now - lasts))
    known = _known() if taken else {}
    untold = [when for when, *lease in taken if known.get(tuple(lease), 0) < when]
    return max(0, max(untold) + lasts - now) if untold else 0


def _taken(server: str, since: int) -> list[tuple[int, str, str]]:
    """Return when which address was taken from a server by whom, as dhcpd heard it since then."""
    show = ["--unit", dhcpd.SERVICE, "--output", "short-unix", "--no-pager", "--quiet"]
    text = commands.run([journal.JOURNALCTL, *show, f"--since=@{since}"]).stdout
    return [
        (int(when), address, client)
        for when, address, by, client in TAKEN.findall(text)
        if by == server
    ]


def _known() -> dict[tuple[str, ...], int]:
    """Return when each lease began that dhcpd knows of, by its address and client."""
    found: dict[tuple[str, ...], int] = {}
    for address, body in LEASE.findall(dhcpd.LEASES.read_text()):
        starts, client = STARTS.search(body), CLIENT.search(body)
        if starts and client:
            began = calendar.timegm(tuple(map(int, starts.groups())))
            found[address, client[1]] = began + SLACK_S
    return found
