# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the loss of each machine would break: functions from plain values to plain values, no I/O.

Each of RULES tells what a loss would newly stop, and without one (lost "") what does not work
already. What does not answer is counted as gone, and what could not be learnt as nothing: the
sentence then promises nothing.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

import findings
from charmed_maas import words


@dataclass(frozen=True)
class Verdict:
    """What does not work already, what each machine's loss breaks, what could not be learnt."""

    broken: tuple[str, ...]
    losses: tuple[tuple[str, tuple[str, ...]], ...]
    unknown: tuple[str, ...]

    @property
    def survives(self) -> bool | None:
        """Whether any one machine may be lost; None where that is not known."""
        if self.broken or any(breaks for _, breaks in self.losses):
            return False
        return None if self.unknown else True


def judge(found: findings.Findings) -> Verdict:
    """Return what is broken, would be, and is not known."""
    return Verdict(
        broken=tuple(_broken(found, "")),
        losses=tuple((one, tuple(_broken(found, one))) for one in machines(found)),
        unknown=tuple(part for part, _ in unknown(found)),
    )


def sentence(verdict: Verdict) -> str:
    """Return the verdict as one sentence."""
    parts: list[str] = []
    if verdict.broken:
        parts.append(f"does not work now: {'; '.join(verdict.broken)}")
    fatal = [(machine, breaks) for machine, breaks in verdict.losses if breaks]
    if fatal:
        machine, breaks = fatal[0]
        nor = f"; nor of {words.listed([one for one, _ in fatal[1:]])}" if fatal[1:] else ""
        parts.append(f"does not survive the loss of machine {machine}: {', '.join(breaks)}{nor}")
    if verdict.unknown:
        whether = "unknown" if parts else "unknown whether it survives the loss of any one machine"
        parts.append(f"{whether}: {', '.join(verdict.unknown)}")
    return "; ".join(parts) or "survives the loss of any one machine"


def machines(found: findings.Findings) -> list[str]:
    """Return the machines of regions, database and VIP, and of racks that would be missed."""
    named = {one.address for one in found.regions}
    if isinstance(found.database, findings.Database):
        named |= {one.address for one in found.database.members} | set(found.database.voters)
    if found.vip:
        named |= {one.address for one in found.vip.units}
    named |= found.dhcp_alone.keys() | found.bmcs_alone.keys()
    return sorted(named - {""}, key=_order)


def unknown(found: findings.Findings) -> list[tuple[str, str]]:
    """Return what could not be learnt, and why, as far as the loss of a machine is about it."""
    parts = {
        "database": found.database,
        "racks": found.racks,
        "DHCP": found.vlans,
        "BMC": found.bmcs,
    }
    missing = [(name, one.why) for name, one in parts.items() if isinstance(one, findings.Unknown)]
    if found.vip and not found.vip.problem and all(one.problem for one in found.vip.units):
        missing.append(("VIP", "no unit says that it can take it"))
    untold = [
        one
        for one, dhcpd in found.dhcpds.items()
        if one in found.living and (isinstance(dhcpd, findings.Unknown) or dhcpd.problem)
    ]
    if untold:
        names = words.listed(sorted(found.living[one].hostname for one in untold))
        missing.append((f"dhcpd of {names}", "it does not tell"))
    database = found.database
    is_known = isinstance(database, findings.Database)
    # Of two members it is known without: losing the primary stops writes.
    if is_known and not database.voters and len(database.members) > 2:
        missing.append(("votes", "postgresql-ha does not tell who votes"))
    return missing


def _broken(found: findings.Findings, lost: str) -> list[str]:
    return [what for rule in RULES if (what := rule(found, lost))]


def _regions(found: findings.Findings, lost: str) -> str:
    serving = {one.address for one in found.regions if not one.problem}
    is_new = not lost or bool(serving)
    return "no region serves" if is_new and not serving - {lost} else ""


def _database(found: findings.Findings, lost: str) -> str:
    database = found.database
    if isinstance(database, findings.Unknown):
        return ""
    if not database.primary:
        return "" if lost else "the database has no primary"
    return _writes_lost(database, database.primary, lost) if lost else ""


def _writes_lost(database: findings.Database, primary: findings.Member, lost: str) -> str:
    """Return why a database that takes writes would not without a machine."""
    stops = f"losing {lost} stops writes"
    count, votes = len(database.members), _votes(database, lost)
    replicas = [one for one in database.members if not one.problem and one is not primary]
    left = [one for one in replicas if one.address != lost]
    if primary.address == lost and (count <= 2 or not left):
        return f"the database has {count} member{'s' * (count > 1)}: {stops}"
    if votes < _votes(database, "") and votes * 2 <= len(database.voters):
        return f"{votes} of {len(database.voters)} votes of the database are left: {stops}"
    if primary.address == lost and all(one.role != findings.SYNCHRONOUS for one in left):
        return f"the database has no other synchronous replica: {stops}"
    if database.is_strict and replicas and not left:
        return f"synchronous-mode-strict needs a replica: {stops}"
    return ""


def _votes(database: findings.Database, lost: str) -> int:
    answering = {one.address for one in database.members if one.answers} - {lost}
    return len(answering.intersection(database.voters))


def _vip(found: findings.Findings, lost: str) -> str:
    vip = found.vip
    if vip is None:
        return "MAAS's URL leads to it alone" if lost and lost == found.url_host else ""
    able = {one.address for one in vip.units if not one.problem}
    if lost:
        is_last = lost in able and not able - {lost}
        return f"no other unit can take the VIP {vip.address}" if is_last else ""
    return f"the VIP {vip.address}: {vip.problem}" if vip.problem else ""


def _dhcp(found: findings.Findings, lost: str) -> str:
    names = found.dhcp_alone.get(lost)
    return f"no DHCP on {words.listed(names)}" if names else ""


def _bmc(found: findings.Findings, lost: str) -> str:
    names = found.bmcs_alone.get(lost)
    return f"no rack reaches the BMC of {words.listed(names)}" if names else ""


def _order(machine: str) -> tuple[int, int, str]:
    """Addresses by number, whatever has none behind them by name."""
    try:
        address = ipaddress.ip_address(machine)
    except ValueError:
        return (9, 0, machine)
    return (address.version, int(address), "")


# What is added here is told in the sentence; health_table shows rows of its own for it.
RULES: tuple[Callable[[findings.Findings, str], str], ...] = (
    *(_regions, _database, _vip, _dhcp, _bmc),
)
