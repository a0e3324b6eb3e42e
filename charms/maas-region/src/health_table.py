# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The answer of the action `health`: a table for people, the same as JSON. No I/O."""

import dataclasses
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import findings
import redundancy
from charmed_maas import failover, words

WIDTH = 100
NOWHERE = "-"
WHAT_WIDTH = 11
# A longer one is no address but a host name: it stands as it is, and the rest behind it.
MACHINE_WIDTH = 16


@dataclass(frozen=True)
class Row:
    """One line: about what, on which machine, what was found; ok is None for what is unknown."""

    what: str
    machine: str
    state: str
    ok: bool | None = True


@dataclass(frozen=True)
class Answer:
    """What the action returns."""

    table: str
    json: str
    summary: str


def render(found: findings.Findings) -> Answer:
    """Return the table and the same as JSON.

    The table's last line is the summary, however long: cut, it might lose what breaks.
    """
    verdict = redundancy.judge(found)
    summary = redundancy.sentence(verdict)
    rows = list(_rows(found))
    losses = [Row("loss of", one, "; ".join(what), not what) for one, what in verdict.losses]
    shown = [
        dataclasses.replace(one, state=one.state or "breaks nothing that is known")
        for one in losses
    ]
    head = Row("WHAT", "MACHINE", "STATE")
    lines = [line for one in (head, *rows, *shown) for line in _lines(one)]
    everything = {
        # All of them: the table names a few.
        "bmcs": [
            {"machine": machine, "reached-by-no-other": sorted(names)}
            for machine, names in sorted(found.bmcs_alone.items())
        ],
        "broken": verdict.broken,
        "losses": [{"machine": one, "breaks": what} for one, what in verdict.losses],
        "rows": [dataclasses.asdict(one) for one in rows],
        "summary": summary,
        "survives": verdict.survives,
        "unknown": verdict.unknown,
    }
    return Answer("\n".join([*lines, summary]), json.dumps(everything, sort_keys=True), summary)


def _lines(row: Row) -> list[str]:
    start = f"{row.what:<{WHAT_WIDTH}} {row.machine:<{MACHINE_WIDTH}} "
    text = textwrap.wrap(
        start + row.state,
        WIDTH,
        subsequent_indent=" " * (WHAT_WIDTH + MACHINE_WIDTH + 2),
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    return [line.rstrip() for line in text]


def _rows(found: findings.Findings) -> Iterator[Row]:
    for one in found.regions:
        state = f"{one.unit}: {one.problem}" if one.problem else f"{one.unit} serves"
        yield Row("region", one.address or NOWHERE, state, not one.problem)
    yield from _database(found.database)
    yield from _vip(found)
    yield from _dhcp(found)
    yield from _bmcs(found)
    yield from _controllers(found.controllers)


def _unknown(what: str, one: findings.Unknown) -> Row:
    return Row(what, NOWHERE, f"unknown: {one.why}", None)


def _database(database: findings.Database | findings.Unknown) -> Iterator[Row]:
    if isinstance(database, findings.Unknown):
        yield _unknown("database", database)
        return
    for one in database.members:
        parts = (one.role, one.problem, "votes" if one.address in database.voters else "")
        yield Row("database", one.address, ", ".join(filter(None, parts)), not one.problem)
    members = {one.address for one in database.members}
    for address in database.voters:
        if address not in members:
            yield Row("database", address, "votes, but is no member", ok=False)
    if not database.voters:
        why = "postgresql-ha does not tell who votes"
        yield _unknown("votes", findings.Unknown(why))


def _vip(found: findings.Findings) -> Iterator[Row]:
    vip = found.vip
    if not vip:
        yield Row("VIP", NOWHERE, f"none: MAAS's URL leads to {found.url_host}", ok=False)
        return
    for one in vip.units:
        part = f"holds {vip.address}" if one.address == vip.holder else "stands by"
        state = f"{one.unit}: {one.problem}" if one.problem else f"{one.unit} {part}"
        yield Row("VIP", one.address or NOWHERE, state, not one.problem)
    if isinstance(vip.holder, findings.Unknown):
        yield _unknown("VIP", findings.Unknown(f"who holds {vip.address}: {vip.holder.why}"))
    if vip.problem:
        yield Row("VIP", vip.address, vip.problem, ok=False)


def _dhcp(found: findings.Findings) -> Iterator[Row]:
    for what in (found.racks, found.vlans):
        if isinstance(what, findings.Unknown):
            yield _unknown("racks" if what is found.racks else "DHCP", what)
    racks = {one.system_id: one for one in findings.known(found.racks)}
    for vlan in findings.known(found.vlans):
        if not vlan.racks:
            yield Row("DHCP", NOWHERE, f"{vlan.name}: no rack serves it", ok=False)
        for part, system_id in zip(("primary", "secondary"), vlan.racks, strict=False):
            rack = racks.get(system_id)
            name, status = (rack.hostname, rack.status) if rack else (system_id, "unknown")
            state = f"{vlan.name}: {part} rack {name}, {status or 'unknown'}"
            more, ok = _dhcpd(vlan, found.dhcpds.get(system_id))
            if not rack or not rack.is_alive:
                ok = False if rack else None
            yield Row("DHCP", rack.address if rack else NOWHERE, f"{state}{more}", ok)
    if found.vlans == ():
        yield Row("DHCP", NOWHERE, "MAAS serves it on no VLAN")


def _dhcpd(
    vlan: findings.Served, dhcpd: findings.DHCPServer | findings.Unknown | None
) -> tuple[str, bool | None]:
    """Return what a rack's dhcpd tells of itself, and whether all is well with it."""
    if dhcpd is None:
        return "", True
    if isinstance(dhcpd, findings.Unknown):
        return f", dhcpd unknown: {dhcpd.why}", None
    if not dhcpd.runs:
        return ", dhcpd does not run", False
    if dhcpd.problem:
        return f", dhcpd runs: {dhcpd.problem}", None
    if len(vlan.racks) < 2:
        return ", dhcpd runs", True
    told = dhcpd.failovers.get(vlan.id, findings.Failover())
    state = f", failover {told.state or 'unknown'}"
    if told.state == failover.RECOVER_WAIT:
        left_s = max(0, failover.MCLT_S - told.for_s)
        state += f", answers nobody for {-(-left_s // 60)} more minutes"
    return state, told.state == failover.NORMAL


def _bmcs(found: findings.Findings) -> Iterator[Row]:
    if isinstance(found.bmcs, findings.Unknown):
        yield _unknown("BMC", found.bmcs)
        return
    total, untold = len(found.bmcs), sum(not one.racks for one in found.bmcs)
    if not isinstance(found.racks, findings.Unknown):
        for machine, names in sorted(found.bmcs_alone.items()):
            whose = "racks here alone reach" if machine else "no living rack reaches"
            state = f"{whose} the BMC of {words.listed(names)}"
            yield Row("BMC", machine or NOWHERE, state, ok=False)
    state = f"MAAS switches {total or 'no'} machine{'s' * (total > 1)}"
    if untold:
        state += f"; of {untold} it has not noted which racks reach the BMC"
    yield Row("BMC", NOWHERE, state, None if untold else True)


def _controllers(strays: findings.Strays | findings.Unknown) -> Iterator[Row]:
    if isinstance(strays, findings.Unknown):
        yield _unknown("controllers", strays)
        return
    yield Row("controllers", NOWHERE, f"{strays.in_both} known to both Juju and MAAS")
    for name in strays.in_maas:
        yield Row(
            "controllers", NOWHERE, f"{name} is in MAAS, and no unit is known to be it", ok=False
        )
    for name in strays.in_juju:
        yield Row(
            "controllers",
            NOWHERE,
            f"{name} is a unit, and no controller in MAAS is known to be it",
            ok=False,
        )
