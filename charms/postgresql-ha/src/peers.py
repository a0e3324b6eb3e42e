# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The `peers` relation: what the units tell each other.

The leader writes into the application databag the ID of the secret with the members' passwords
and the certificate authority, which unit bootstraps the cluster, and, once there is one, the
cluster's system identifier. These outlive the last unit. It also writes who is listed as a
member of etcd, so that a unit hears that it may start its own.
Each unit writes its address, the system identifier of its data, its part in etcd, how far data
goes that was set aside on its machine, and that it is leaving. The primary writes whom it admits:
a member that joins sooner would be refused, and keep its machine's other hooks waiting meanwhile.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ops

import charmed_maas.peers
import cluster
import postgresql
from charmed_maas import addresses, databag
from charmed_maas.interfaces.endpoint import Endpoint

PEERS = "peers"
# PostgreSQL's, a number of 64 bits as an LSN is.
SYSTEM_IDENTIFIER = re.compile(r"[0-9]{1,20}")
POSITION = re.compile(r"[0-9]{1,10}/[0-9]{1,20}")
RELATION_ID = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True)
class AppData:
    """What the leader writes; databases are relation IDs with the names of their databases."""

    secret_id: str = ""
    bootstrap_unit: str = ""
    cluster_id: str = ""
    etcd_members: tuple[str, ...] = ()
    databases: tuple[tuple[int, str], ...] = ()

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "AppData":
        """Parse; raises databag.DatabagError."""
        return cls(
            secret_id=databag.secret_id(data, "secret-id"),
            bootstrap_unit=databag.matching(data, "bootstrap-unit", databag.UNIT, "unit"),
            cluster_id=_cluster_id(data),
            etcd_members=databag.strings(data, "etcd-members"),
            databases=tuple(_database(one) for one in databag.strings(data, "databases")),
        )

    def to_databag(self) -> dict[str, str]:
        """Return every field, "" for one that is to be absent."""
        databases = [f"{id_}:{name}" for id_, name in sorted(self.databases)]
        return {
            "secret-id": self.secret_id,
            "bootstrap-unit": self.bootstrap_unit,
            "cluster-id": self.cluster_id,
            "etcd-members": databag.dump(sorted(self.etcd_members)) if self.etcd_members else "",
            "databases": databag.dump(databases) if databases else "",
        }


@dataclass(frozen=True)
class UnitData:
    """What each unit writes; set_aside is (timeline, LSN) of the newest data set aside.

    outlived tells whether other members ran when it was: they may have gone on.
    """

    address: str = ""
    cluster_id: str = ""
    etcd: str = ""
    set_aside: tuple[int, int] | None = None
    outlived: bool = False
    leaving: bool = False
    admits: tuple[str, ...] = ()

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "UnitData":
        """Parse; raises databag.DatabagError."""
        return cls(
            address=databag.address(data, "address"),
            cluster_id=_cluster_id(data),
            etcd=databag.word(data, "etcd"),
            set_aside=_position(databag.text(data, "set-aside")),
            outlived=databag.boolean(data, "outlived"),
            leaving=databag.boolean(data, "leaving"),
            admits=databag.strings(data, "admits"),
        )

    def to_databag(self) -> dict[str, str]:
        """Return every field, "" for one that is to be absent."""
        return {
            "address": self.address,
            "cluster-id": self.cluster_id,
            "etcd": self.etcd,
            "set-aside": "{}/{}".format(*self.set_aside) if self.set_aside else "",
            "outlived": "true" if self.outlived else "",
            "leaving": "true" if self.leaving else "",
            "admits": databag.dump(list(self.admits)) if self.admits else "",
        }


def places(units: Mapping[str, UnitData]) -> dict[str, tuple[int, ...]]:
    """Return how new the data is that each unit set aside, of those that have some."""
    return {
        name: (*data.set_aside, not data.outlived)
        for name, data in units.items()
        if data.set_aside
    }


class Peers(Endpoint):
    """The units of the application, as their databags and the controller tell of them."""

    @property
    def relation(self) -> ops.Relation | None:
        """The peer relation, None before it is there."""
        return self.relations[0] if self.relations else None

    def address(self) -> str:
        """Return this unit's own address, "" before it has one."""
        return addresses.own_address(self.model.get_binding(PEERS))

    def app_data(self) -> AppData | None:
        """Return what the leader wrote, including what this hook wrote.

        None when it is nonsense: whether there is a cluster cannot be told then, and nothing may
        be decided.
        """
        if not self.relation:
            return AppData()
        return self.parse(self.relation, self.model.app, AppData.from_databag)

    def own_data(self) -> UnitData:
        """Return what this unit wrote."""
        if not self.relation:
            return UnitData()
        return self.parse(self.relation, self.model.unit, UnitData.from_databag) or UnitData()

    def publish_app(self, data: AppData) -> None:
        """Write the application databag; only the leader may."""
        if self.relation:
            self.write(self.relation, self.model.app, data.to_databag())

    def publish_unit(self, data: UnitData) -> None:
        """Write this unit's databag."""
        if self.relation:
            self.write(self.relation, self.model.unit, data.to_databag())

    def goals(self) -> dict[str, bool]:
        """Return all units there are, this one too, and whether each is to stay.

        Juju 4.0 tells the survivors nothing of a removed peer; only goal-state knows. One
        hook-tool call.
        """
        goals = charmed_maas.peers.goal_state()
        if goals is None:
            return dict.fromkeys(self.met(), True)
        return {
            name: goal.status != "dying"
            for name, goal in goals.units.items()
            if goal.status != "dead"
        }

    def met(self) -> set[str]:
        """Return the names of the units whose databags can be read, this one's too."""
        seen = self.relation.units if self.relation else ()
        return {self.model.unit.name, *(unit.name for unit in seen)}

    def others(self, goals: Mapping[str, bool]) -> dict[str, UnitData]:
        """Return what the peers wrote that there still are, by unit number.

        One that claims an address which this unit or one before it has is taken for garbled.
        """
        units = {unit.name: unit for unit in (self.relation.units if self.relation else ())}
        found: dict[str, UnitData] = {}
        owners = {self.address(): self.model.unit.name}
        for name in addresses.by_unit_number(units):
            if self.relation and name in goals:
                parser = functools.partial(_peer, owners, name)
                if data := self.parse(self.relation, units[name], parser):
                    leaving = data.leaving or not goals[name]
                    found[name] = dataclasses.replace(data, leaving=leaving)
        return found

    def garbled(self, goals: Mapping[str, bool]) -> set[str]:
        """Return the names of the peers that there are and whose databags are nonsense."""
        return (self.met() & goals.keys()) - self.others(goals).keys() - {self.model.unit.name}

    def unlisted(self, goals: Mapping[str, bool]) -> set[str]:
        """Return the names of the peers on their way out that Juju lists no more.

        Juju 3.6 runs relation-departed as soon as a unit is to go, with its daemons still there:
        it may be the primary, or have etcd's only vote.
        """
        return {name for name, stays in goals.items() if not stays} - self.met()


def _peer(owners: dict[str, str], name: str, data: Mapping[str, str]) -> UnitData:
    """Parse a peer's databag; owners are the units that have the addresses known before."""
    found = UnitData.from_databag(data)
    if found.address and owners.setdefault(found.address, name) != name:
        whose = f"{owners[found.address]}'s: {charmed_maas.peers.OTHER_ADDRESS}"
        raise databag.DatabagError(f"address: {found.address} is {whose}")
    return found


def units_of(
    others: Mapping[str, UnitData], silent: Sequence[cluster.Unit]
) -> tuple[cluster.Unit, ...]:
    """Return those of the peers that have an address, and thus their packages.

    silent are those whose databag cannot be read: their daemons are still where they were.
    """
    found = (cluster.Unit(name, data.address) for name, data in others.items() if data.address)
    return (*found, *silent)


def is_admitted(others: Mapping[str, UnitData], me: str) -> bool:
    """Tell whether the primary lets a unit in; one that writes nothing of it is taken to."""
    said = [data.admits for data in others.values() if data.admits]
    return not said or any(me in names for names in said)


def leaving(others: Mapping[str, UnitData], goals: Mapping[str, bool]) -> frozenset[str]:
    """Return the names of the units on their way out, as they or the controller say."""
    going = {name for name, stays in goals.items() if not stays}
    return frozenset(going | {name for name, data in others.items() if data.leaving})


def as_known_last(
    spec: cluster.Spec, known: Sequence[cluster.Unit], goals: Mapping[str, bool]
) -> cluster.Spec:
    """Return a dying unit's spec with the peers it knew: its own relation-list is empty by now."""
    everyone = {unit.name: unit for unit in (*known, *spec.peers)}
    others = {name for name in everyone if name in goals} - {spec.me.name}
    return dataclasses.replace(
        spec,
        peers=tuple(everyone[name] for name in sorted(others)),
        leaving=frozenset(name for name in others if not goals[name]) | spec.leaving,
        unmet=frozenset(name for name, stays in goals.items() if stays) - others - {spec.me.name},
    )


def _cluster_id(data: Mapping[str, str]) -> str:
    """Return a cluster's system identifier, which stands in paths and commands."""
    return databag.matching(data, "cluster-id", SYSTEM_IDENTIFIER, "system identifier")


def _database(text: str) -> tuple[int, str]:
    id_, _, name = text.partition(":")
    if not RELATION_ID.fullmatch(id_) or postgresql.check_database(name):
        raise databag.DatabagError(f"databases: {text[:60]!r} is not a relation's ID and a name")
    return int(id_), name


def _position(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    if not POSITION.fullmatch(text):
        raise databag.DatabagError(f"set-aside: {text[:60]!r} is not a timeline and a position")
    timeline, _, lsn = text.partition("/")
    return int(timeline), int(lsn)
