# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The words of the unit status."""

from collections.abc import Collection, Mapping, Sequence

import ops

import charmed_maas.peers
import cluster
import etcd
import etcdctl
import member
import patroni
import peers
import quorum
import rest
import succession
from charmed_maas import addresses, journal, systemd, words

DCS_AGE_S = 30
# Beside the units that are to be started and removed.
MAX_CAUSE = 80
# What a daemon that does not do what it is told raises.
FAILURES = (etcdctl.EtcdError, systemd.SystemdError)
FEW = {
    1: "1 unit: no high availability, add two units",
    2: "2 units: no automatic failover, add a unit",
}


def before_running(
    view: cluster.View, others: Mapping[str, peers.UnitData], own: peers.UnitData
) -> ops.StatusBase | None:
    """Return what a unit that is no member yet waits for, None for a member."""
    step = cluster.step(view)
    if step in (cluster.Step.WAIT_KEYS, cluster.Step.WAIT_NOMINATION):
        return ops.WaitingStatus("for the leader to prepare the cluster")
    copies = step is cluster.Step.RUN and not view.own_cluster_id
    if copies and view.leaving.issuperset(view.members):
        return _waits_for(view.members, view.leaving)
    if step is cluster.Step.WAIT_PEERS:
        return _waits_for(view.unmet, view.leaving)
    if step is cluster.Step.WAIT_BOOTSTRAP:
        return ops.WaitingStatus(f"for {view.bootstrap_unit} to bootstrap the cluster")
    if step is cluster.Step.BOOTSTRAP_UNIT_GONE:
        return ops.BlockedStatus(
            f"{view.bootstrap_unit} was to bootstrap the cluster and is gone: "
            f"run bootstrap confirm={view.bootstrap_unit} on the leader"
        )
    if step is cluster.Step.LAST_MEMBER_GONE:
        where = _newest(view.me, others, own)
        return ops.BlockedStatus(
            f"the last member of cluster {view.cluster_id} is gone, "
            f"run adopt-data{where}, or bootstrap confirm={view.cluster_id} on the leader"
        )
    return None


def _waits_for(units: Collection[str], leaving: frozenset[str]) -> ops.StatusBase:
    names = ", ".join(addresses.by_unit_number(units))
    leave = leaving.issuperset(units)
    what = f"to copy what {names} has before it leaves" if leave else f"to meet {names}"
    return ops.WaitingStatus(f"{what}; {way_out(units)}")


def running(
    spec: cluster.Spec, listed: Collection[str], no_vote: Collection[str] = ()
) -> ops.StatusBase:
    """Return what a member does, or lacks.

    listed are the units with a member of etcd, as was known last; no_vote those whose vote it
    lacks.
    """
    # First, for a Patroni that was started without a quorum does not answer.
    try:
        silent = quorum.silent(spec) if quorum.without_s(spec) > DCS_AGE_S else None
    except etcdctl.EtcdError as error:
        return ops.BlockedStatus(failed(error))
    if silent is not None:
        return _without_quorum(spec, [one for one in silent if one in listed or not listed])
    try:
        members = member.client(spec).members()
    except rest.RestError:
        cause = journal.first_cause([patroni.SERVICE], recent=True)
        cause = cause or f"if it stays, see {member.JOURNAL}"
        return ops.MaintenanceStatus(words.with_cause("Patroni does not answer yet", cause))
    own = next((one for one in members if one.name == spec.me.member_name), None)
    primary = cluster.primary(members)
    if not primary:
        return _without_primary(spec, members)
    if not own or not own.is_running:
        state = f": {own.state}" if own else ""
        return ops.MaintenanceStatus(f"joining the cluster{state}")
    if not own.is_primary and not member.is_serving(spec):
        units = {unit.member_name: unit.name for unit in spec.units}
        return ops.WaitingStatus(
            f"to follow {units.get(primary.name, primary.name)}: "
            "if this stays for minutes, run reinitialise"
        )
    role = {"leader": "primary", "master": "primary", "sync_standby": "synchronous replica"}
    few = FEW.get(len(spec.staying))
    names = ", ".join(addresses.by_unit_number(no_vote))
    lacks = f"etcd lacks the vote of {names}" if names else ""
    return ops.ActiveStatus("; ".join(filter(None, (role.get(own.role, "replica"), lacks, few))))


def failed(error: Exception) -> str:
    """Return one of FAILURES, and the daemon's own reason where its journal has one."""
    # systemctl names the service that it speaks of, be it another one.
    named = [one for one in (etcd.SERVICE, patroni.SERVICE) if one in str(error)]
    services = [etcd.SERVICE] if isinstance(error, etcdctl.EtcdError) else named
    cause = journal.first_cause(services) if services else ""
    return words.brief(str(error), cause)


def unreadable(problems: Sequence[str]) -> str:
    """Return what it means that the application's own databag is nonsense."""
    return (
        f"{'; '.join(problems)}: the daemons run on and nothing is changed "
        "until relation-set --app on the leader's unit repairs it"
    )


def garbled(problems: Sequence[str], me: str) -> list[str]:
    """Return what is wrong with databags, and what mends a peer's."""
    return [charmed_maas.peers.with_remedy(one, me) for one in problems]


def lost_cluster_id(holder: str) -> str:
    """Return what to do where the application's databag lost what a unit still has."""
    return (
        f"the peers databag lost cluster-id, and {holder} has a cluster: set it on this unit with "
        "relation-set --app to what pg_controldata tells there"
    )


def way_out(units: Collection[str]) -> str:
    """Return what to do about units whose machines are lost: adopt-data waits for their removal.

    All of them, for a member that is left out of the new cluster could go on with the old one.
    """
    if not units:
        return "if that cannot be, run adopt-data"
    names = " ".join(addresses.by_unit_number(units))
    return f"if they never return: juju remove-unit --force {names}, then run adopt-data"


def _without_quorum(spec: cluster.Spec, silent: Sequence[str]) -> ops.StatusBase:
    """Return which machines to start; the way out names every peer, for it is without them all."""
    cause = words.one_line(etcd.first_cause(), MAX_CAUSE)
    here = f", and here it does not run ({cause})" if cause else ""
    off = addresses.by_unit_number(one for one in silent if one != spec.me.name)
    remedy = "mend that" if cause else "start the other members' machines again"
    if off:
        remedy = f"start the machine{'s' if off[1:] else ''} of {', '.join(off)} again"
    return ops.BlockedStatus(
        f"etcd has no quorum{here}: {remedy}; {way_out([unit.name for unit in spec.peers])}"
    )


def _without_primary(spec: cluster.Spec, members: Sequence[cluster.Member]) -> ops.StatusBase:
    awaited = succession.awaited(spec, quorum.in_step(spec), members)
    return (
        ops.BlockedStatus(last_rows(spec, awaited))
        if awaited
        else ops.WaitingStatus(f"for a primary: if this stays for a minute, see {member.JOURNAL}")
    )


def last_rows(spec: cluster.Spec, awaited: Sequence[str]) -> str:
    """Return what to do about the units that alone have the last rows and do not run."""
    names = {unit.name for unit in spec.units}
    there = [name for name in awaited if name in names]
    may_be = f"no primary, for the last rows may be on {' and '.join(awaited)} only"
    if there:
        return f"{may_be}: start {' or '.join(there)}'s machine again; {way_out(there)}"
    return f"{may_be}, which left: run adopt-data"


def _newest(me: str, others: Mapping[str, peers.UnitData], own: peers.UnitData) -> str:
    """Return where data that was set aside is the newest, as words behind adopt-data."""
    best = succession.newest(peers.places({me: own, **others}))
    if not best:
        return " path=... with its data"
    return "" if best == me else f" on {best}"
