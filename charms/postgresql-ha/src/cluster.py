# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Decisions about the cluster: functions from plain values to plain values, no I/O.

Who bootstraps, who votes in etcd, which membership change is next, what a unit may do now.
"""

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from charmed_maas import addresses

PEER_PORT = 2380
CLIENT_PORT = 2379
CONNECTIONS_STEP = 1000
# Patroni's words for a PostgreSQL that serves nobody just now and is about to, or was.
ON_THE_WAY = ("starting", "restarting", "stopping")
CONNECTIONS_PER_CLIENT = 100


@dataclass(frozen=True)
class Unit:
    """A unit of the application: its name, as postgresql-ha/0, and its address."""

    name: str
    address: str

    @property
    def member_name(self) -> str:
        """The name of its Patroni and etcd members."""
        return self.name.replace("/", "-")

    @property
    def peer_url(self) -> str:
        """Where other etcd members reach its etcd."""
        return f"https://{addresses.join_host_port(self.address, PEER_PORT)}"

    @property
    def client_url(self) -> str:
        """Where etcd's clients reach its etcd."""
        return f"https://{addresses.join_host_port(self.address, CLIENT_PORT)}"


@dataclass(frozen=True)
class Keys:
    """The content of the application's secret: what every member needs to know."""

    ca_cert: str
    ca_key: str
    superuser: str
    replication: str
    rewind: str
    rest: str


@dataclass(frozen=True)
class Client:
    """An address from which one role may use one database; the role is named as the database."""

    database: str
    address: str


@dataclass(frozen=True)
class Spec:
    """What the model says about this unit: everything its daemons are configured from.

    leaving are the peers on their way out: to be reached, not to be relied on; unmet, of a unit
    that leaves, those that stay and that it never met.
    """

    me: Unit
    peers: tuple[Unit, ...]
    scope: str
    keys: Keys
    clients: tuple[Client, ...] = ()
    leaving: frozenset[str] = frozenset()
    unmet: frozenset[str] = frozenset()

    @property
    def units(self) -> tuple[Unit, ...]:
        """This unit and its peers, by unit number."""
        everyone = {unit.name: unit for unit in (self.me, *self.peers)}
        return tuple(everyone[name] for name in addresses.by_unit_number(everyone))

    @property
    def staying(self) -> tuple[Unit, ...]:
        """The units that go on."""
        return tuple(unit for unit in self.units if unit.name not in self.leaving)


class Step(enum.Enum):
    """What a unit may do now."""

    WAIT_KEYS = enum.auto()
    WAIT_PEERS = enum.auto()
    WAIT_NOMINATION = enum.auto()
    WAIT_BOOTSTRAP = enum.auto()
    BOOTSTRAP = enum.auto()
    BOOTSTRAP_UNIT_GONE = enum.auto()
    RUN = enum.auto()
    LAST_MEMBER_GONE = enum.auto()


@dataclass(frozen=True)
class View:
    """What a unit knows when it decides its step; bootstrap_unit as committed before this hook.

    peers are all other units there are, unmet those of them whose databag this unit does not see
    yet, leaving those on their way out, members those that said they hold the cluster's data.
    """

    me: str
    peers: tuple[str, ...]
    has_keys: bool
    cluster_id: str
    bootstrap_unit: str
    own_cluster_id: str
    members: tuple[str, ...]
    unmet: tuple[str, ...] = ()
    leaving: frozenset[str] = frozenset()


def step(view: View) -> Step:
    """Decide what the unit may do.

    Once a cluster exists no unit bootstraps by itself, and the nomination never moves by itself:
    the nominated unit's machine may be off with a fresh cluster on it.
    """
    if not view.has_keys:
        return Step.WAIT_KEYS
    if view.cluster_id:
        if view.own_cluster_id == view.cluster_id or view.members:
            return Step.RUN
        return Step.WAIT_PEERS if view.unmet else Step.LAST_MEMBER_GONE
    if not view.bootstrap_unit:
        return Step.WAIT_NOMINATION
    if view.bootstrap_unit == view.me:
        return Step.BOOTSTRAP
    return Step.WAIT_BOOTSTRAP if view.bootstrap_unit in view.peers else Step.BOOTSTRAP_UNIT_GONE


@dataclass(frozen=True)
class EtcdMember:
    """A member as etcd lists it; one that has not started yet has no name."""

    id: int
    name: str
    peer_url: str
    is_learner: bool = False


@dataclass(frozen=True)
class Add:
    """Add the unit as a learner."""

    unit: Unit


@dataclass(frozen=True)
class Remove:
    """Remove the member."""

    member: EtcdMember


Change = Add | Remove


def voters(units: Sequence[Unit], current: Collection[str], primary: str | None) -> frozenset[str]:
    """Return the names of the members that should vote.

    Two votes are worse than one, for either death loses the quorum: with two units the one vote
    is on the primary's machine and follows it. While that is unknown, or is a unit on its way out,
    nothing moves. A fourth vote tolerates no more than three do.
    """
    if len(units) < 3 and current and primary not in {unit.member_name for unit in units}:
        return frozenset(current)
    count = 1 if len(units) < 3 else 3 if len(units) < 5 else 5

    def rank(unit: Unit) -> tuple[bool, bool, int]:
        name = unit.member_name
        return (
            count == 1 and name != primary,
            name not in current,
            addresses.unit_number(unit.name),
        )

    return frozenset(unit.member_name for unit in sorted(units, key=rank)[:count])


def owner(member: EtcdMember, units: Sequence[Unit]) -> Unit | None:
    """Return the unit that a member belongs to: by its name, before it has one by its URL."""
    own = member.name or member.peer_url
    named = ((unit.member_name if member.name else unit.peer_url, unit) for unit in units)
    return next((unit for name, unit in named if name == own), None)


def may_remove(
    member: EtcdMember, members: Sequence[EtcdMember], healthy: Collection[int]
) -> bool:
    """Tell whether the voters that remain keep a quorum of living members."""
    if member.is_learner:
        return True
    rest = [one for one in members if not one.is_learner and one.id != member.id]
    return bool(rest) and sum(one.id in healthy for one in rest) > len(rest) // 2


def plan(
    members: Sequence[EtcdMember],
    units: Sequence[Unit],
    *,
    known: Collection[str],
    leaving: Collection[str],
    wanted: Collection[str],
    healthy: Collection[int],
) -> Change | None:
    """Return the next change of etcd's membership, None when there is none to make now.

    known are the members of all units there are, also of those that this unit has not met yet,
    leaving those on their way out: of votes too many theirs go first, lest they leave no quorum.
    One change at a time: departed members first; a learner on its way is let finish; then
    growth before shrinking, so that a vote that moves is never missing.
    """
    ordered = sorted(members, key=lambda one: one.id)
    for member in ordered:
        gone = not owner(member, units) and member.name not in known
        if gone and may_remove(member, members, healthy):
            return Remove(member)
    if any(member.is_learner for member in members):
        return None
    owners = {unit.name for member in members if (unit := owner(member, units))}
    for unit in units:
        if unit.member_name in wanted and unit.name not in owners:
            return Add(unit)
    unwanted = [unit for unit in units if unit.member_name not in wanted]
    surplus = [member for member in ordered if owner(member, unwanted)]
    going = [member for member in ordered if surplus and member.name in leaving]
    spare = next((one for one in (*going, *surplus) if may_remove(one, members, healthy)), None)
    return Remove(spare) if spare else None


@dataclass(frozen=True)
class Member:
    """A member as Patroni's GET /cluster tells; role is leader, sync_standby or replica."""

    name: str
    host: str
    port: int
    role: str
    state: str
    timeline: int = 0
    lag_bytes: int | None = None
    pending_restart: bool = False

    @property
    def is_primary(self) -> bool:
        """Whether it holds the leader lock."""
        return self.role in ("leader", "master")

    @property
    def is_running(self) -> bool:
        """Whether PostgreSQL serves; streaming is what Patroni 3.1 and later call a replica."""
        return self.state in ("running", "streaming")


def primary(members: Sequence[Member]) -> Member | None:
    """Return the member that holds the leader lock."""
    return next((one for one in members if one.is_primary), None)


def successor(members: Sequence[Member], living: Collection[str]) -> Member | None:
    """Return the member that a departing primary hands over to: the synchronous one first."""
    able = [one for one in members if not one.is_primary and one.is_running and one.name in living]
    return min(able, key=lambda one: (one.role != "sync_standby", one.name), default=None)


def next_restart(members: Sequence[Member]) -> str | None:
    """Return the member that restarts next for its changed parameters: the primary last.

    A replica refuses to start with fewer connections than its primary, and only raising exists.
    While one is on its way down or up, nobody is next.
    """
    if any(one.state in ON_THE_WAY for one in members):
        return None
    waiting = [one for one in members if one.pending_restart and one.is_running]
    first = min(waiting, key=lambda one: (one.is_primary, one.name), default=None)
    return first.name if first else None


def max_connections(clients: int, now: int) -> int:
    """Return max_connections for this many related units: in steps, and never lower than now.

    A step is a restart of every member, for which reads wait: nine regions need none.
    """
    needed = CONNECTIONS_PER_CLIENT * (clients + 1)
    return now if needed <= now else -(-needed // CONNECTIONS_STEP) * CONNECTIONS_STEP
