# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Which racks serve DHCP on a VLAN: decided from plain values.

MAAS gives a VLAN a primary and a secondary rack, whose dhcpd share its addresses by ISC's
failover, and changes neither when a rack dies. Here a dead one is replaced, but only on evidence:
a rack that is dead to the regions may still answer clients, and two dhcpd without failover
between them hand out addresses twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import api
from charmed_maas import failover


@dataclass(frozen=True)
class Rack:
    """A rack on a VLAN: its address there, and for how long it has been dead, 0 while it lives.

    applied_s is by which grace it stops its own dhcpd, 0 if it never told of one.
    """

    system_id: str
    hostname: str
    address: str
    dead_s: float = 0
    applied_s: int = 0


@dataclass(frozen=True)
class Evidence:
    """What a survivor says of its failover peer: dhcpd's state, whether its address answers.

    unknown_leases_s is for how long leases last that the peer gave while nobody heard of them but
    its clients, problem why the survivor cannot be asked.
    """

    state: str = ""
    peer_answers: bool = True
    problem: str = ""
    unknown_leases_s: int = 0


@dataclass(frozen=True)
class Decision:
    """What a VLAN's racks are to be; without them nothing changes. why is for people."""

    why: str = ""
    primary: str = ""
    secondary: str = ""


# (survivor, VLAN, the one that seems dead)
Ask = Callable[[Rack, api.VLAN, Rack], Evidence]
KEEP = Decision()


def decide(
    vlan: api.VLAN,
    racks: Sequence[Rack],
    last: str,
    grace_s: float,
    ask: Ask,
) -> Decision:
    """Return what is to change on a VLAN, given the racks that are in it.

    last is a rack that it had last besides this primary, "" where MAAS has deleted it or we took
    it away.
    """
    known = {one.system_id: one for one in racks}
    primary, secondary = known.get(vlan.primary), known.get(vlan.secondary)
    if not primary:
        return Decision(f"{vlan.name}: its primary rack has no address there")
    # It may serve all the same: of one that it has deleted MAAS names none.
    if vlan.secondary and not secondary:
        return Decision(f"{vlan.name}: its secondary rack has no address there")
    spares = sorted(
        (one for one in racks if not one.dead_s and one.system_id not in vlan.racks),
        key=lambda one: one.hostname,
    )
    if not secondary:
        return _without_secondary(vlan, primary, spares, last)
    if primary.dead_s and secondary.dead_s:
        return Decision(f"{vlan.name}: {primary.hostname} and {secondary.hostname} are both dead")
    if not primary.dead_s and not secondary.dead_s:
        return KEEP
    survivor, dead = (secondary, primary) if primary.dead_s else (primary, secondary)
    # One that serves alone has all the range; with a dead partner only its own half of it.
    spare = spares[0].system_id if spares else ""
    return _replace(vlan, survivor, dead, spare, grace_s, ask)


def _without_secondary(
    vlan: api.VLAN, primary: Rack, spares: Sequence[Rack], last: str
) -> Decision:
    """Return the VLAN's first secondary, or another in place of one that MAAS has deleted."""
    if primary.dead_s:
        return Decision(f"{vlan.name}: {primary.hostname} is dead and has no secondary rack")
    # Whoever took that one away, and not by deleting it, wants none.
    if last or not spares:
        return KEEP
    return Decision(
        f"{vlan.name}: {spares[0].hostname} becomes secondary",
        vlan.primary,
        spares[0].system_id,
    )


def _replace(
    vlan: api.VLAN, survivor: Rack, dead: Rack, spare: str, grace_s: float, ask: Ask
) -> Decision:
    """Return the survivor with a spare rack, "" for none, once it bears witness to the death."""
    if dead.dead_s < grace_s:
        return KEEP
    objection = _may_go_on(dead, grace_s) or _objection(ask(survivor, vlan, dead), survivor, dead)
    if objection:
        return Decision(f"{vlan.name}: {dead.hostname} is not replaced: {objection}")
    if survivor.system_id != vlan.primary:
        what = "is promoted"
    else:
        what = "gets another secondary" if spare else "serves alone"
    why = f"{vlan.name}: {dead.hostname} is dead, {survivor.hostname} {what}"
    return Decision(why, survivor.system_id, spare)


def _may_go_on(dead: Rack, grace_s: float) -> str:
    """Return why a rack that is only cut off may not have stopped its dhcpd in time."""
    if not dead.applied_s:
        return "it was never told the grace"
    if dead.applied_s > grace_s:
        return f"it applied another grace ({dead.applied_s} s)"
    return ""


def _objection(evidence: Evidence, survivor: Rack, dead: Rack) -> str:
    if evidence.problem:
        return f"{survivor.hostname} {evidence.problem}"
    if evidence.state not in failover.PARTNER_AWAY:
        return f"dhcpd on {survivor.hostname} is in state {evidence.state or 'unknown'}"
    if evidence.peer_answers:
        return f"{dead.address} still answers {survivor.hostname}"
    if evidence.unknown_leases_s > 0:
        minutes = -(-evidence.unknown_leases_s // 60)
        what = f"it gave addresses that dhcpd on {survivor.hostname} does not know of"
        return f"{what}, for {minutes} min more"
    return ""
