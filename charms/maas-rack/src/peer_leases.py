# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Leases that a failover peer gave after it could tell this rack's dhcpd of them no more.

A client asks for an address by a broadcast that names whose offer it took. dhcpd hears that, logs
it, and forgets it: once it serves alone it would give the same address again.
"""

import calendar
import re
import time
from collections.abc import Collection

import dhcpd
from charmed_maas import commands, failover, journal

# dhcpd notices after a minute that its peer is away (MAAS's max-response-delay); until then it
# has nothing of what that one gives.
UNNOTICED_S = 90
# Clocks of two racks, and the second that a lease file goes by.
SLACK_S = 5
# The regions wait no longer for an answer than 20 s, and ARP has its part of that.
JOURNAL_S = 8
# With `-o short-unix`, by dhcpd 4.4: from the server, by the client.
TAKEN = re.compile(
    r"^(\d+)\.\d+ .*DHCPREQUEST for \S+ \((\S+)\) from (\S+) (?:\(.*\) )?via \S+:"
    r" lease owned by peer",
    re.MULTILINE,
)
LEASE = re.compile(r"^lease \S+ \{(.*?)^\}", re.MULTILINE | re.DOTALL)
STARTS = re.compile(r"^\s*starts \d (\d+)/(\d+)/(\d+) (\d+):(\d+):(\d+);", re.MULTILINE)
CLIENT = re.compile(r"^\s*hardware \S+ (\S+);", re.MULTILINE)
LASTS = re.compile(r"^\s*(?:default|max)-lease-time (\d+);", re.MULTILINE)


def last_s(servers: Collection[str], state: dhcpd.Failover) -> int:
    """Return for how many seconds more leases last that dhcpd does not know of, 0 for none.

    servers are the peer's addresses there. Without its partner's word dhcpd gives no lease for
    longer than MCLT. Raises commands.CommandError, OSError. Leases that clients only renewed,
    which they ask the one server for, are not heard of; those are known, and dhcpd gives them to
    others last.
    """
    if state.state not in failover.PARTNER_AWAY:
        return 0
    now = int(time.time())
    lasts = min(
        max(map(int, LASTS.findall(dhcpd.config())), default=failover.MCLT_S), failover.MCLT_S
    )
    taken = _taken(servers, max(state.since - UNNOTICED_S, now - lasts))
    known = _known() if taken else {}
    untold = [when for when, client in taken if known.get(client, 0) < when]
    return max(0, max(untold) + lasts - now) if untold else 0


def _taken(servers: Collection[str], since: int) -> list[tuple[int, str]]:
    """Return when who took an address from these servers, as dhcpd heard it since then."""
    show = ["--unit", dhcpd.SERVICE, "--output", "short-unix", "--no-pager", "--quiet"]
    argv = [journal.JOURNALCTL, *show, f"--since=@{since}"]
    text = commands.run(argv, timeout_s=JOURNAL_S).stdout
    return [(int(when), client) for when, by, client in TAKEN.findall(text) if by in servers]


def _known() -> dict[str, int]:
    """Return when each client's latest lease began that dhcpd knows of, whoever gave it.

    A client that took another address since, or the same one from this dhcpd, has that one only.
    """
    found: dict[str, int] = {}
    for body in LEASE.findall(dhcpd.LEASES.read_text(errors="replace")):
        starts, client = STARTS.search(body), CLIENT.search(body)
        if starts and client:
            began = calendar.timegm(tuple(map(int, starts.groups()))) + SLACK_S
            found[client[1]] = max(began, found.get(client[1], 0))
    return found
