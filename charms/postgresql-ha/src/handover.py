# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What a departing member gives to those that stay: the primary's place, the only vote.

The machine may vanish with the end of the hook, so that this waits, for a bounded time, for
daemons of others; never for another unit's hook.
"""

import logging
import time

import cluster
import etcd
import etcdctl
import gate
import patroni
import rest

logger = logging.getLogger(__name__)

VOTE_TIMEOUT_S = 90.0
HEIR_TIMEOUT_S = 30.0
# etcd refuses a change for about 5 seconds after the one before, of another leaver's.
LIST_TIMEOUT_S = 15.0


def hand_over(spec: cluster.Spec, api: rest.Client) -> list[str]:
    """Give primary and only vote to others; returns the names of the members that go on."""
    try:
        members, heir = _find_heir(spec, api)
        primary = cluster.primary(members)
        is_primary = bool(primary and primary.name == spec.me.member_name)
        if not heir:
            if is_primary and len(members) > 1:
                api.patch_config({"pause": True})
            return []
        _hand_over_vote(spec, next(one for one in spec.staying if one.member_name == heir.name))
        if is_primary:
            gate.shut(patroni.PORT)
            api.switchover(spec.me.member_name, heir.name)
    except (rest.RestError, etcdctl.EtcdError) as error:
        logger.warning("leaves without handing over: %s", error)
        return []
    names = [one.name for one in members if one.is_running]
    return [unit.name for unit in spec.staying if unit.member_name in names]


def leave_etcd(spec: cluster.Spec) -> bool:
    """Take this unit's member off etcd's list before its daemon stops for good.

    A vote that stays listed counts against the survivors: with two listed one alone is no quorum.
    Those that leave too may stop while they are asked, and are asked last.
    """
    going = tuple(unit for unit in spec.peers if unit.name in spec.leaving)
    staying = tuple(unit for unit in spec.peers if unit.name not in spec.leaving)
    deadline = time.monotonic() + LIST_TIMEOUT_S
    while True:
        if any(_is_removed(spec.me, units) for units in (staying, going) if units):
            return True
        if not staying or time.monotonic() > deadline:
            return not spec.peers
        time.sleep(1)


def _is_removed(me: cluster.Unit, units: tuple[cluster.Unit, ...]) -> bool:
    try:
        return etcdctl.remove_member(me, units)
    except etcdctl.EtcdError as error:
        logger.info("etcd keeps %s for now: %s", me.member_name, error)
        return False


def _find_heir(
    spec: cluster.Spec, api: rest.Client
) -> tuple[list[cluster.Member], cluster.Member | None]:
    """Return the members, and the one to hand over to once Patroni made it synchronous.

    Patroni lets no other take over; when the synchronous one has just left it takes a loop or two.
    """
    deadline = time.monotonic() + HEIR_TIMEOUT_S
    staying = [unit.member_name for unit in spec.staying]
    while True:
        members = api.members()
        primary = cluster.primary(members)
        heir = cluster.successor(members, staying)
        waits = heir and heir.role != "sync_standby"
        is_primary = primary and primary.name == spec.me.member_name
        if not (waits and is_primary) or time.monotonic() > deadline:
            return members, heir
        time.sleep(1)


def _hand_over_vote(spec: cluster.Spec, heir: cluster.Unit) -> None:
    """Make the heir a voter if this unit has the only vote.

    The machine may vanish with the end of the hook, so that this waits for the heir's timer.
    """
    voting = [one for one in etcdctl.members([spec.me]) if not one.is_learner]
    alone = len(voting) == 1 and cluster.owner(voting[0], [spec.me])
    if alone and not etcd.hand_over(spec.me, heir, VOTE_TIMEOUT_S):
        logger.warning("%s did not become a voter in time", heir.name)
