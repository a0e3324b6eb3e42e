# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the leader's unit does for the whole cluster: etcd's membership, Patroni's settings."""

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import cluster
import etcdctl
import member
import patroni

logger = logging.getLogger(__name__)

# etcd refuses a change for about 5 seconds after the one before.
SETTLE_TIMEOUT_S = 8.0


@dataclass(frozen=True)
class Etcd:
    """Etcd's membership: the names of the units listed, the addresses of the voters.

    missing are the units that are to vote and have no member that is up, or none yet.
    """

    units: tuple[str, ...] = ()
    voters: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def ensure_etcd(spec: cluster.Spec, known: Mapping[str, bool]) -> Etcd:
    """Make the changes of etcd's membership that are due, a few seconds at most.

    known are the names of all units there are, and whether each is to stay: those on their way out
    remove their members themselves, unless one vote is too many before that. Raises
    etcdctl.EtcdError and rest.RestError.
    """
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    primary = cluster.primary(member.client(spec).members())
    while True:
        listed = etcdctl.members(spec.units)
        healthy = etcdctl.healthy(listed, spec.units)
        wanted = _wanted(spec, listed, known, primary.name if primary else None)
        change = cluster.plan(
            listed,
            spec.staying,
            known=[name.replace("/", "-") for name in known],
            leaving=[name.replace("/", "-") for name, stays in known.items() if not stays],
            wanted=wanted,
            healthy=healthy,
        )
        if not change or time.monotonic() > deadline:
            return _etcd(spec, listed, wanted - {one.name for one in listed if one.id in healthy})
        voting = [unit for unit in spec.units if etcdctl.votes(unit, listed)]
        if etcdctl.apply(change, voting):
            logger.info("etcd membership: %s", change)
        else:
            time.sleep(1)


def ensure_config(spec: cluster.Spec, clients: int, *, strict: bool) -> bool:
    """Have the cluster-wide configuration; returns whether it changed. Raises rest.RestError."""
    api = member.client(spec)
    found = api.config()
    parameters = (found.get("postgresql") or {}).get("parameters") or {}
    wanted = patroni.dynamic_config(
        len(spec.staying), clients, int(parameters.get("max_connections", 0)), strict=strict
    )
    changes = patroni.difference(wanted, found)
    if changes:
        api.patch_config(changes)
    return bool(changes)


def _etcd(spec: cluster.Spec, listed: list[cluster.EtcdMember], missing: Collection[str]) -> Etcd:
    owners = [cluster.owner(one, spec.units) for one in listed]
    # Also the vote of a unit that is gone counts, until it is removed.
    voters = {
        unit.address if unit else urlsplit(one.peer_url).hostname or ""
        for one, unit in zip(listed, owners, strict=True)
        if not one.is_learner
    }
    return Etcd(
        tuple(sorted(unit.name for unit in owners if unit)),
        tuple(sorted(voters - {""})),
        tuple(unit.name for unit in spec.units if unit.member_name in missing),
    )


def _wanted(
    spec: cluster.Spec,
    listed: list[cluster.EtcdMember],
    known: Mapping[str, bool],
    primary: str | None,
) -> frozenset[str]:
    current = [one.name for one in listed if not one.is_learner]
    # A voter that this unit cannot read of counts, lest a healthy one is taken for surplus.
    unread = known.keys() - {unit.name for unit in spec.units}
    silent = [cluster.Unit(name, "") for name in unread if known[name]]
    counted = [*spec.staying, *(unit for unit in silent if unit.member_name in current)]
    return cluster.voters(counted, current, primary)
