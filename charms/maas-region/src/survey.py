# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Learning what there is: asking everybody at once, and putting the answers together."""

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import api
import controllers
import database
import findings
import questions

Regions = Mapping[str, questions.Question[str]]
Roles = dict[str, questions.Question[questions.Cluster]]
DHCPServers = dict[str, list[questions.Question[findings.DHCPServer]]]


@dataclass(frozen=True)
class Unit:
    """A unit, its address, and whether it is to take part: is not paused, or can take the VIP."""

    name: str
    address: str
    takes_part: bool = True


@dataclass(frozen=True)
class DatabaseUnits:
    """What the database's charm tells; a foreign one tells of no members."""

    members: tuple[str, ...] = ()
    health_port: int = 0
    health_ca: str = ""
    voters: tuple[str, ...] = ()
    is_related: bool = True


@dataclass(frozen=True)
class Model:
    """What Juju knows: where to ask. units are all of maas-region and maas-rack.

    maas_s is for how many seconds MAAS is given.
    """

    me: str
    regions: tuple[Unit, ...]
    database: DatabaseUnits
    vip: str
    url: str
    vip_units: tuple[Unit, ...]
    members: tuple[controllers.Member, ...]
    departed: tuple[controllers.Departed, ...]
    units: tuple[str, ...]
    maas_s: float = questions.MAAS_S

    @property
    def addresses(self) -> set[str]:
        """The machines by which a rack's machine is known again."""
        units = {one.address for one in (*self.regions, *self.vip_units)}
        return (units | set(self.database.members)) - {""}


def look(model: Model) -> findings.Findings:
    """Ask everybody, and return what there was to learn."""
    regions = {one.name: _ask_region(one) for one in model.regions if one.address}
    if model.me in regions:
        questions.ensure_api_key(regions[model.me])
    maas_s = model.maas_s
    # The choice is in MAAS's time: what hangs shall not make the whole last longer.
    racks = questions.Question(lambda: questions.racks(_where(model, regions), maas_s), maas_s)
    vlans = questions.Question(lambda: questions.vlans(_where(model, regions), maas_s), maas_s)
    bmcs = questions.Question(questions.bmcs, maas_s)
    known = questions.Question(questions.controllers, maas_s)
    roles = _ask_database(model.database)
    vip = _vip(model) if model.vip else None
    listed, served = racks.answer(), vlans.answer()
    # Only now is it known whom to ask.
    dhcpds = _ask_dhcpds(listed, served)
    return findings.Findings(
        regions=tuple(_region(one, regions.get(one.name)) for one in model.regions),
        database=_database(model.database, roles),
        vip=vip,
        url_host=urlsplit(model.url).hostname or "",
        racks=_racks(listed, model),
        vlans=_vlans(served),
        bmcs=_served(answer.items())
        if not isinstance(answer := bmcs.answer(), findings.Unknown)
        else answer,
        controllers=_strays(known.answer(), model),
        dhcpds={rack: _first(asked) for rack, asked in dhcpds.items()},
    )


def _ask_region(unit: Unit) -> questions.Question[str]:
    return questions.Question(lambda: questions.region_problem(unit.address))


def _where(model: Model, regions: Regions) -> str:
    """Return the address of the region to ask: this unit's own, or the first other that serves.

    Where none does the own one says why.
    """
    begun = time.monotonic()
    units = [one for one in model.regions if one.takes_part and one.name in regions]
    units.sort(key=lambda one: one.name != model.me)
    for patience_s in (questions.CHOICE_S, questions.ANSWER_S):
        for one in units:
            if regions[one.name].answer(begun + patience_s) == "":
                return api.HERE if one.name == model.me else one.address
    return api.HERE


def _region(unit: Unit, question: questions.Question[str] | None) -> findings.Region:
    problem = _why(question.answer()) if question else "has no address yet"
    return findings.Region(unit.name, unit.address, problem if unit.takes_part else "paused")


def _ask_database(units: DatabaseUnits) -> Roles:
    def ask(address: str) -> questions.Question[questions.Cluster]:
        return questions.Question(
            lambda: questions.cluster(address, units.health_port, units.health_ca)
        )

    is_told = units.health_port and units.health_ca
    return {address: ask(address) for address in units.members} if is_told else {}


def _database(units: DatabaseUnits, roles: Roles) -> findings.Database | findings.Unknown:
    if not units.is_related:
        return findings.Unknown("db is not integrated")
    if not roles:
        return findings.Unknown("the database's charm does not tell of its members")
    answers = {address: question.answer() for address, question in roles.items()}
    told = [one for one in answers.values() if not isinstance(one, findings.Unknown)]
    if not told:
        return findings.Unknown(
            f"no member's Patroni answers: {_why(next(iter(answers.values())))}"
        )
    # The one that lists most: a member that is cut off from etcd may list none.
    best = max(told, key=lambda one: len(one.members))
    return findings.Database(
        tuple(
            _member(address, best, answers.get(address))
            for address in dict.fromkeys((*units.members, *best.members))
        ),
        units.voters,
        best.is_strict,
    )


def _member(
    address: str, told: questions.Cluster, answer: questions.Cluster | findings.Unknown | None
) -> findings.Member:
    role, problem = told.members.get(address, ("", "Patroni does not list it"))
    answers = not isinstance(answer, findings.Unknown)
    if not answers:
        problem = f"its Patroni: {answer.why}"
    return findings.Member(address, role, problem, answers)


def _vip(model: Model) -> findings.VIP:
    here = questions.Question(questions.own_addresses)
    at_url = questions.Question(lambda: questions.url_problem(model.url))
    asked = {one.address: _ask_machine(one.address) for one in model.vip_units if one.address}
    problem = _why(at_url.answer())
    units = tuple(
        findings.VIPUnit(
            one.name,
            one.address,
            _why(asked[one.address].answer())
            if one.takes_part and one.address
            else "does not say that it can take the VIP",
        )
        for one in model.vip_units
    )
    # The questions before have filled the kernel's table of neighbours.
    own = here.answer()
    macs = questions.Question(questions.neighbours, questions.KERNEL_S).answer()
    where: str | findings.Unknown
    if isinstance(own, findings.Unknown) or isinstance(macs, findings.Unknown):
        where = findings.Unknown("this machine's network cannot be read")
    else:
        where = holder(model.vip, {one.address for one in units}, own, macs)
    return findings.VIP(model.vip, units, where, problem)


def _ask_machine(address: str) -> questions.Question[str]:
    return questions.Question(lambda: questions.machine_problem(address))


def holder(
    vip: str, units: Collection[str], own: Collection[str], macs: Mapping[str, str]
) -> str | findings.Unknown:
    """Return the machine that holds the VIP: this one, or the neighbour with the VIP's MAC."""
    if vip in own:
        here = sorted(set(units) & set(own))
        return (
            here[0]
            if here
            else findings.Unknown("this machine has it, and no unit of haproxy-vip")
        )
    if vip not in macs:
        return findings.Unknown("it is no neighbour of this machine")
    found = [one for one in units if macs.get(one) == macs[vip]]
    return found[0] if len(found) == 1 else findings.Unknown("its MAC address is not one unit's")


def _ask_dhcpds(
    racks: list[api.Controller] | findings.Unknown, vlans: list[api.VLAN] | findings.Unknown
) -> DHCPServers:
    """Ask each rack that serves a VLAN, at all its addresses: not all need be in reach."""

    def ask(address: str) -> questions.Question[findings.DHCPServer]:
        return questions.Question(lambda: questions.dhcpd(address))

    if isinstance(racks, findings.Unknown) or isinstance(vlans, findings.Unknown):
        return {}
    serving = {rack for vlan in vlans for rack in vlan.racks}
    return {
        one.system_id: [ask(address) for address in one.addresses]
        for one in racks
        if one.system_id in serving
    }


def _first(
    asked: list[questions.Question[findings.DHCPServer]],
) -> findings.DHCPServer | findings.Unknown:
    answers = [one.answer() for one in asked]
    told = [one for one in answers if not isinstance(one, findings.Unknown)]
    return (told or answers or [findings.Unknown("it has no address")])[0]


def _vlans(
    answer: list[api.VLAN] | findings.Unknown,
) -> tuple[findings.Served, ...] | findings.Unknown:
    if isinstance(answer, findings.Unknown):
        return answer
    found = (findings.Served(one.name, one.racks, one.id) for one in answer)
    return tuple(sorted(found, key=lambda one: (one.name, one.racks)))


def _racks(
    answer: list[api.Controller] | findings.Unknown, model: Model
) -> tuple[findings.Rack, ...] | findings.Unknown:
    if isinstance(answer, findings.Unknown):
        return answer
    return tuple(
        findings.Rack(one.system_id, one.hostname, _machine(one, model), one.status)
        for one in answer
    )


def _machine(rack: api.Controller, model: Model) -> str:
    """Return by which address a rack's machine is known; by its name where MAAS has none."""
    own = [one for one in rack.addresses if one != model.vip]
    shared = [one for one in own if one in model.addresses]
    return (shared or own or [rack.hostname])[0]


def _served(items: Iterable[tuple[str, tuple[str, ...]]]) -> tuple[findings.Served, ...]:
    return tuple(findings.Served(name, racks) for name, racks in sorted(items))


def _strays(
    answer: list[database.Controller] | findings.Unknown, model: Model
) -> findings.Strays | findings.Unknown:
    """Compare what MAAS knows with Juju's units; those of departed units are on their way out."""
    if isinstance(answer, findings.Unknown):
        return answer
    names = {one.system_id: one.hostname for one in answer}
    known = {("region", one.system_id) for one in answer if one.is_region}
    known |= {("rack", one.system_id) for one in answer if one.is_rack}
    members = {(one.kind, one.system_id): one.unit for one in model.members}
    going = {(one.kind, one.system_id) for one in model.departed}
    matched = known & members.keys()
    present = {members[one] for one in matched}
    return findings.Strays(
        in_maas=tuple(
            f"{kind} {names[system_id]} ({system_id})"
            for kind, system_id in sorted(known - members.keys() - going)
        ),
        in_juju=tuple(one for one in model.units if one not in present),
        in_both=len(matched),
    )


def _why(answer: object) -> str:
    """Return a problem, or why it could not be asked: what does not answer has one."""
    return answer.why if isinstance(answer, findings.Unknown) else str(answer)
