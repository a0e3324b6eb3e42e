# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What a departing member gives to those that stay: the primary's place, the only vote.

The machine may vanish with the end of the hook, so that this waits, for a bounded time, for
daemons of others; never for another unit's hook.
"""

import logging
import time
from collections.abc import Sequence

import cluster
import etcd
import etcdctl
import gate
import patroni
import rest
from charmed_maas import addresses

logger = logging.getLogger(__name__)

VOTE_TIMEOUT_S = 90.0
HEIR_TIMEOUT_S = 120.0
# etcd refuses a change for about 5 seconds after the one before, of another leaver's; a vote left
# behind may be the survivors' quorum.
LIST_TIMEOUT_S = 60.0


class NoHeirError(Exception):
    """The unit has rows, or a vote, that none of those that stay has; fit for a log."""


def hand_over(spec: cluster.Spec, api: rest.Client) -> list[str]:
    """Give primary and only vote to others; returns the names of the members that go on.

    After a replica those are all that run, the primary even if it is on its way out too. Where it
    cannot be seen they are all that stay. Raises NoHeirError while nothing was changed: Juju may
    give the machine back with the only copy of the last rows, and runs the hook again otherwise.
    """
    try:
        members, heir = _find_heir(spec, api)
        is_primary = _is_primary(spec.me, members)
        staying = {unit.name for unit in spec.staying} | spec.unmet
        if is_primary and staying and not (heir and heir.role == "sync_standby"):
            names = ", ".join(addresses.by_unit_number(staying))
            raise NoHeirError(
                f"{spec.me.name} has rows that are not on {names} yet: it stays until they are, "
                "or until no other unit is to stay"
            )
        heirs = [one for one in spec.staying if heir and one.member_name == heir.name]
        if heirs and not _ensure_vote(spec, heirs):
            raise NoHeirError(
                f"{heirs[0].name} does not take etcd's only vote: {spec.me.name} stays"
            )
        if is_primary and heir:
            gate.shut(patroni.PORT)
            api.switchover(spec.me.member_name, heir.name)
        elif is_primary and not spec.staying and len(members) > 1:
            api.patch_config({"pause": True})
    except (rest.RestError, etcdctl.EtcdError) as error:
        logger.warning("leaves without handing over: %s", error)
        return [unit.name for unit in spec.staying] or _unseen(spec, api)
    if is_primary and not heir:
        return []
    names = [one.name for one in members if one.is_running]
    after = spec.staying if is_primary else spec.peers
    return [unit.name for unit in after if unit.member_name in names]


def leave_etcd(spec: cluster.Spec) -> bool:
    """Take this unit's member off etcd's list before its daemon stops for good.

    A vote that stays listed counts against the survivors: with two listed one alone is no quorum.
    Those that leave too may stop while they are asked, and are asked last. Who votes may change
    until the very end, by a leader that does not know yet who leaves.
    """
    going = tuple(unit for unit in spec.peers if unit.name in spec.leaving)
    staying = tuple(unit for unit in spec.peers if unit.name not in spec.leaving)
    deadline = time.monotonic() + LIST_TIMEOUT_S
    while True:
        _ensure_vote(spec, staying)
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

    Patroni lets no other take over. When the synchronous one has just left it takes a loop or two,
    when the only one is restarting, longer.
    """
    deadline = time.monotonic() + HEIR_TIMEOUT_S
    staying = [unit.member_name for unit in spec.staying]
    while True:
        members = api.members()
        heir = cluster.successor(members, staying)
        waits = bool(staying) and _is_primary(spec.me, members)
        if not waits or (heir and heir.role == "sync_standby") or time.monotonic() > deadline:
            return members, heir
        time.sleep(1)


def _unseen(spec: cluster.Spec, api: rest.Client) -> list[str]:
    """Return who may go on after a unit that sees none of the others, which all leave as well.

    After the primary that is nobody; a replica cannot tell.
    """
    is_primary = api.status(spec.me).get("role") in rest.PRIMARY
    return ["unknown"] if spec.peers and not is_primary else []


def _is_primary(me: cluster.Unit, members: Sequence[cluster.Member]) -> bool:
    found = cluster.primary(members)
    return bool(found and found.name == me.member_name)


def _ensure_vote(spec: cluster.Spec, heirs: Sequence[cluster.Unit]) -> bool:
    """Have a voter among the units that stay before this unit's vote goes; tell whether there is.

    Units that leave together each see the other's vote, which is none to rely on. The machine may
    vanish with the end of the hook, so that this waits for the heir's timer.
    """
    listed = etcdctl.members([spec.me])
    if not heirs or not listed or any(etcdctl.votes(unit, listed) for unit in spec.staying):
        return True
    names = {one.name or one.peer_url for one in listed}
    heir = min(heirs, key=lambda unit: not names & {unit.member_name, unit.peer_url})
    if etcd.hand_over(spec.me, heir, VOTE_TIMEOUT_S):
        return True
    logger.warning("%s did not become a voter in time", heir.name)
    return False
