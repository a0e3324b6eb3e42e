# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What a rack's status says of its own dhcpd: nothing, while all is well with it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import dhcpd
import isolation
from charmed_maas import failover, words

# Failover begins with states that pass in seconds; Juju shows a status until the next event.
LASTING_S = 60


@dataclass(frozen=True)
class Remark:
    """A sentence about this rack's DHCP; answers is whether its clients are answered."""

    text: str
    answers: bool


def remarks() -> list[Remark]:
    """Ask dhcpd, and return what an operator must know of it."""
    text = dhcpd.config()
    if not text:
        if not isolation.STOPPED.exists():
            return []
        return [Remark("dhcpd stopped, until a region sends its configuration", False)]
    if not dhcpd.is_running():
        return [Remark(words.with_cause("dhcpd does not run", dhcpd.first_cause()), False)]
    try:
        found = dhcpd.failovers(text, dhcpd.parse_peers(text))
    except dhcpd.DHCPError as error:
        return [Remark(str(error), False)]
    return list(describe(found, time.time()))


def describe(failovers: dict[int, dhcpd.Failover], now: float) -> Iterator[Remark]:
    """Say what is not normal, one sentence for the VLANs in the same state.

    A VLAN goes by MAAS's ID of it. Times are absolute: a message stands until the next event.
    """
    by_state: dict[str, list[int]] = {}
    for vlan, one in failovers.items():
        if one.state != failover.NORMAL and now - one.since >= LASTING_S:
            by_state.setdefault(one.state or "unknown-state", []).append(vlan)
    for state, vlans in by_state.items():
        latest = max(failovers[vlan].since for vlan in vlans)
        names = words.listed([str(vlan) for vlan in sorted(vlans)])
        yield _remark(state, f"VLAN {names}", latest)


def _remark(state: str, vlans: str, since: int) -> Remark:
    if state == failover.RECOVER_WAIT:
        until = _time(since + failover.MCLT_S)
        return Remark(f"DHCP on {vlans} answers nobody until {until} ({state})", False)
    if state in failover.SILENT:
        return Remark(f"DHCP on {vlans} answers nobody since {_time(since)} ({state})", False)
    return Remark(f"DHCP on {vlans} without the other rack since {_time(since)} ({state})", True)


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
