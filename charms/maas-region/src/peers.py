# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The `peers` relation: what the units of maas-region tell one another.

Each unit writes its address, whether it serves or an operator paused it, its ID in MAAS, which
version of MAAS it has installed, when it last started it, which those who wait for their turn are
woken by, and the ID of the cluster that it has served with. The leader writes into the
application databag what must outlive units: the MAAS URL, the operator's own for it once it has
led to the VIP, the cluster's ID once it has served, which unit has which controller, by which
grace a rack stops its own DHCP, and which controllers have departed.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import ops

import charmed_maas.peers
import controllers
from charmed_maas import addresses, databag
from charmed_maas.interfaces import endpoint

# Of seconds since 1970: more are no time that Python's clock knows.
MAX_DIGITS = 12
GRACE = re.compile(r"[0-9]{1,6}")
# One controller's entry takes some sixty characters, and a thousand racks are not the most.
MAX_CONTROLLERS_LENGTH = 1024 * 1024


@dataclass(frozen=True)
class UnitData:
    """What each unit writes."""

    address: str = ""
    ready: bool = False
    leaving: bool = False
    paused: bool = False
    system_id: str = ""
    version: str = ""
    started: str = ""
    cluster: str = ""

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "UnitData":
        """Parse; raises databag.DatabagError."""
        return cls(
            address=databag.address(data, "address"),
            ready=databag.boolean(data, "ready"),
            leaving=databag.boolean(data, "leaving"),
            paused=databag.boolean(data, "paused"),
            system_id=databag.system_id(data, "system-id"),
            version=databag.word(data, "version"),
            started=databag.word(data, "started"),
            cluster=databag.word(data, "cluster"),
        )

    def to_databag(self) -> dict[str, str]:
        """Return every field, "" for one that is to be absent."""
        return {
            "address": self.address,
            "ready": "true" if self.ready else "",
            "leaving": "true" if self.leaving else "",
            "paused": "true" if self.paused else "",
            "system-id": self.system_id,
            "version": self.version,
            "started": self.started,
            "cluster": self.cluster,
        }


@dataclass(frozen=True)
class AppData:
    """What the leader writes."""

    cluster: str = ""
    maas_url: str = ""
    members: tuple[controllers.Member, ...] = ()
    departed: tuple[controllers.Departed, ...] = ()
    own_url: str = ""

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "AppData":
        """Parse; raises databag.DatabagError."""
        return cls(
            cluster=databag.word(data, "cluster"),
            maas_url=databag.url(data, "maas-url"),
            members=tuple(map(_member, _controllers(data, "controllers"))),
            departed=tuple(map(_departed, _controllers(data, "departed"))),
            own_url=databag.url(data, "own-url"),
        )

    def to_databag(self) -> dict[str, str]:
        """Return every field, "" for one that is to be absent."""
        members = [_entry(one) for one in self.members]
        departed = [_dashed(asdict(one)) for one in self.departed]
        return {
            "cluster": self.cluster,
            "maas-url": self.maas_url,
            "own-url": self.own_url,
            "controllers": databag.dump(members) if members else "",
            "departed": databag.dump(departed) if departed else "",
        }


class Peers(endpoint.Endpoint):
    """This unit's side of the peers relation."""

    @property
    def relation(self) -> ops.Relation | None:
        """The relation, None until Juju made it."""
        return self.relations[0] if self.relations else None

    @functools.cached_property
    def _goals(self) -> ops.hookcmds.GoalState | None:
        return charmed_maas.peers.goal_state()

    def living(self, endpoint_name: str = "") -> set[str] | None:
        """Return the units of this application, or of an endpoint's, that are to stay.

        From goal-state: relation-list leaves out units whose joined event is still to come, and
        in Juju 4.0 goes on listing removed peers. None where goal-state says nothing.
        """
        return charmed_maas.peers.living(self._goals, endpoint_name)

    def is_leaving(self) -> bool:
        """Tell whether this unit goes, also once the relation in which it said so is gone."""
        leaves = charmed_maas.peers.is_leaving(self._goals, self.model.unit.name)
        return leaves or self.own().leaving

    def own(self) -> UnitData:
        """Return what this unit wrote last."""
        return self.units().get(self.model.unit.name, UnitData())

    def units(self) -> dict[str, UnitData]:
        """Return what each living unit wrote, this one too, by unit number."""
        if not (relation := self.relation):
            return {}
        units = {unit.name: unit for unit in relation.units}
        if (living := self.living()) is not None:
            units = {name: unit for name, unit in units.items() if name in living}
        units[self.model.unit.name] = self.model.unit
        found = {
            name: self.parse(relation, units[name], UnitData.from_databag)
            for name in addresses.by_unit_number(units)
        }
        return {name: data for name, data in found.items() if data}

    def cluster(self) -> str:
        """Return the ID of the cluster that any region has served with, "" before one has."""
        served = (one.cluster for one in self.units().values() if one.cluster)
        return self.app().cluster or next(served, "")

    def regions(self) -> tuple[controllers.Member, ...]:
        """Return the controllers of the living units that MAAS has given an ID."""
        return tuple(
            controllers.Member(name, "region", data.system_id)
            for name, data in self.units().items()
            if data.system_id
        )

    def versions(self) -> dict[str, str]:
        """Return the version of MAAS that each living unit has installed."""
        return {name: data.version for name, data in self.units().items() if data.version}

    def serving_beside(self) -> tuple[str, ...]:
        """Return the addresses of the other units that serve, as they said last.

        Never this unit's own, whoever claims it: asked there, this unit would count on itself.
        """
        own = self.own().address
        return tuple(one for one in self.serving() if one != own)

    def serving(self) -> tuple[str, ...]:
        """Return the addresses of the units that serve, as they said last, each one once."""
        serving = [one.address for one in self.units().values() if one.ready and one.address]
        return tuple(dict.fromkeys(serving))

    def for_racks(self) -> tuple[str, ...]:
        """Return the addresses of the units that serve, or have served and are to again.

        An upgrade of MAAS must not leave racks with the VIP alone; for one that has never served
        each rack that starts would wait.
        """
        meant = [
            one
            for one in self.units().values()
            if one.ready or (one.cluster and not (one.leaving or one.paused))
        ]
        return tuple(dict.fromkeys(one.address for one in meant if one.address))

    def app(self) -> AppData:
        """Return what a leader wrote last, nothing when it cannot be read."""
        if not (relation := self.relation):
            return AppData()
        return self.parse(relation, self.model.app, AppData.from_databag) or AppData()

    def is_readable(self) -> bool:
        """Tell whether what a leader wrote last can be read; problems says why not.

        What cannot is not nothing: written anew, it would lose which cluster this is.
        """
        relation = self.relation
        return not relation or (
            self.parse(relation, self.model.app, AppData.from_databag) is not None
        )

    def publish(self, data: UnitData) -> None:
        """Write this unit's databag."""
        if relation := self.relation:
            self.write(relation, self.model.unit, data.to_databag())

    def publish_app(self, data: AppData) -> None:
        """Write the application databag; only the leader may."""
        if relation := self.relation:
            self.write(relation, self.model.app, data.to_databag())


def _entry(member: controllers.Member) -> dict[str, str]:
    fields = asdict(member)
    grace_s = fields.pop("dhcp_grace_s")
    return _dashed(fields | ({"dhcp_grace": grace_s} if grace_s else {}))


def _dashed(fields: dict[str, object]) -> dict[str, str]:
    return {key.replace("_", "-"): str(value) for key, value in fields.items()}


def _controllers(data: Mapping[str, str], key: str) -> list[object]:
    return databag.objects(data, key, max_length=MAX_CONTROLLERS_LENGTH)


def _fields(key: str, item: object, *names: str) -> dict[str, str]:
    entry = cast("dict[str, object]", item) if isinstance(item, dict) else {}
    given = {name: entry.get(name) for name in names}
    fields = {name: str(value) for name, value in given.items() if isinstance(value, str | int)}
    forms = {"unit": databag.UNIT, "system-id": databag.SYSTEM_ID}
    plain = all(forms.get(name, databag.WORD).fullmatch(fields.get(name, "")) for name in names)
    if not plain or fields["kind"] not in ("region", "rack"):
        raise databag.DatabagError(f"{key}: an entry is no controller")
    return fields


def _member(item: object) -> controllers.Member:
    fields = _fields("controllers", item, "unit", "kind", "system-id")
    entry = cast("dict[str, object]", item)
    grace = str(entry.get("dhcp-grace", "0"))
    if not GRACE.fullmatch(grace):
        raise databag.DatabagError("controllers: dhcp-grace is no number")
    return controllers.Member(fields["unit"], fields["kind"], fields["system-id"], int(grace))


def _departed(item: object) -> controllers.Departed:
    fields = _fields("departed", item, "kind", "system-id", "since")
    if not (fields["since"].isdigit() and len(fields["since"]) < MAX_DIGITS):
        raise databag.DatabagError("departed: since is no number")
    return controllers.Departed(fields["kind"], fields["system-id"], int(fields["since"]))
