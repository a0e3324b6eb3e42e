# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What this unit knows of etcd's quorum, also where there is none any more."""

import time

import cluster
import etcd
import etcdctl
import patroni
import rest
from charmed_maas import systemd


def without_s(spec: cluster.Spec) -> float:
    """Return for how long this unit's Patroni has not heard from etcd, at most since its start."""
    seen = _seen(spec)
    return time.time() - seen if seen else patroni.age_s()


def is_lost(spec: cluster.Spec) -> bool:
    """Tell whether no member of etcd has a quorum."""
    return silent(spec) is not None


def silent(spec: cluster.Spec) -> list[str] | None:
    """Return the units on which no etcd answers, None where a member has a quorum.

    Raises etcdctl.EtcdError where a member that listens does not say so in time: that quorum is
    not known to be lost, and nobody may act as if it were.
    """
    names = list[str]()
    for unit in spec.units:
        if not etcdctl.is_listening(unit):
            names.append(unit.name)
        elif etcdctl.has_quorum(unit):
            return None
    return names


def in_step(spec: cluster.Spec) -> list[str]:
    """Return the members that have every acknowledged row, or had when etcd last had a quorum."""
    agreed = etcdctl.in_step(spec.units, spec.scope, agreed=True)
    return agreed or etcdctl.in_step([spec.me], spec.scope, agreed=False)


def has_followed(spec: cluster.Spec) -> bool:
    """Tell whether this unit's etcd and Patroni were at work when they last saw a quorum.

    While either was down the others may have gone on: what is known here is older then.
    """
    seen = _seen(spec)
    return bool(seen) and systemd.age_s(etcd.SERVICE) > time.time() - seen


def _seen(spec: cluster.Spec) -> int:
    return rest.Client([spec.me], spec.keys.rest).dcs_seen(spec.me)
