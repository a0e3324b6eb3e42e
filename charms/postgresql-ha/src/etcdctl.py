# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""etcdctl: the one place that asks etcd's members and changes their list."""

import contextlib
import json
import socket
from collections.abc import Sequence
from typing import Any

import cluster
import paths
from charmed_maas import commands

ETCDCTL = "/usr/bin/etcdctl"
CONNECT_TIMEOUT_S = 1.0
# What etcd answers while it settles: the same request is good a little later.
NOT_YET = (
    "unhealthy cluster",
    "in sync with leader",
    "too many learner",
    "not enough started",
    "leader changed",
)


class EtcdError(Exception):
    """etcd cannot be reached or refused; fit for a log."""


def members(units: Sequence[cluster.Unit]) -> list[cluster.EtcdMember]:
    """Return the member list as the first of these units that answers has it, [] if none does."""
    for unit in units:
        if not is_listening(unit):
            continue
        with contextlib.suppress(EtcdError):
            found = json.loads(_etcdctl([unit], "member", "list"))
            return [_parse(one) for one in found["members"]]
    return []


def is_listening(unit: cluster.Unit) -> bool:
    """Tell whether something accepts connections on the unit's client port."""
    address = (unit.address, cluster.CLIENT_PORT)
    try:
        # With a handshake, for etcd logs a warning about a connection that ends without one.
        with (
            socket.create_connection(address, timeout=CONNECT_TIMEOUT_S) as connection,
            paths.tls_context().wrap_socket(connection, server_hostname=unit.address),
        ):
            return True
    except OSError:
        return False


def is_healthy(unit: cluster.Unit) -> bool:
    """Tell whether a unit's member answers and has a quorum."""
    return is_listening(unit) and has_quorum(unit)


def has_quorum(unit: cluster.Unit) -> bool:
    """Tell whether the member of a unit that listens has a quorum."""
    return bool(_health([unit]).get(unit.client_url))


def healthy(members_: Sequence[cluster.EtcdMember], units: Sequence[cluster.Unit]) -> set[int]:
    """Return the IDs of the members that answer and have a quorum."""
    owners = {one.id: cluster.owner(one, units) for one in members_ if not one.is_learner}
    alive = [unit for unit in owners.values() if unit and is_listening(unit)]
    health = _health(alive)
    return {id_ for id_, unit in owners.items() if unit and health.get(unit.client_url)}


def votes(unit: cluster.Unit, listed: Sequence[cluster.EtcdMember]) -> bool:
    """Tell whether the unit's member is a voter that has started once."""
    mine = next((one for one in listed if cluster.owner(one, [unit])), None)
    return bool(mine and mine.name and not mine.is_learner)


def apply(change: cluster.Change, voters: Sequence[cluster.Unit]) -> bool:
    """Make one change of the membership; False when etcd wants to be asked again later."""
    asked = list(voters)
    if isinstance(change, cluster.Add):
        unit = change.unit
        arguments = ("add", unit.member_name, f"--peer-urls={unit.peer_url}", "--learner")
    else:
        arguments = ("remove", _hex(change.member))
        # Not the one to be removed: it stops before it answers.
        asked = [unit for unit in voters if not cluster.owner(change.member, [unit])]
    return _try_change(asked, "member", *arguments)


def remove_member(me: cluster.Unit, peers: Sequence[cluster.Unit]) -> bool:
    """Leave the member list, through the members that remain; False when they refuse."""
    listed = members(peers)
    mine = next((one for one in listed if cluster.owner(one, [me])), None)
    if not mine:
        return bool(listed)
    voting = [unit for unit in peers if votes(unit, listed) and is_listening(unit)]
    return bool(voting) and _try_change(voting, "member", "remove", _hex(mine))


def move_leader(me: cluster.Unit, units: Sequence[cluster.Unit]) -> bool:
    """Give etcd's leadership to another healthy voter if this unit's member has it.

    When primary and etcd leader die together the next etcd leader renews every lease, and the
    failover takes the longer for it.
    """
    status = json.loads(_etcdctl([me], "endpoint", "status"))[0]["Status"]
    if status["leader"] != status["header"]["member_id"]:
        return False
    listed = [one for one in members([me]) if not one.is_learner and not cluster.owner(one, [me])]
    able = sorted(healthy(listed, units))
    if not able:
        return False
    _etcdctl([me], "move-leader", f"{able[0]:x}")
    return True


def in_step(units: Sequence[cluster.Unit], scope: str, *, agreed: bool) -> list[str]:
    """Return the primary and its synchronous replica as Patroni last noted them.

    As a quorum agrees, or what these units' members have of it without one; [] without an answer.
    """
    key = f"/service/{scope}/sync"
    consistency = f"--consistency={'l' if agreed else 's'}"
    asked = [unit for unit in units if is_listening(unit)]
    with contextlib.suppress(EtcdError, ValueError, AttributeError):
        found = json.loads(_etcdctl(asked, "get", key, consistency, "--print-value-only"))
        names = (found.get("leader"), *(found.get("sync_standby") or "").split(","))
        return [name for name in names if name]
    return []


def promote(member: cluster.EtcdMember, voters: Sequence[cluster.Unit]) -> bool:
    """Make a learner a voter; False while it has not caught up."""
    return _try_change(voters, "member", "promote", _hex(member))


def update_peer_url(
    member: cluster.EtcdMember, me: cluster.Unit, units: Sequence[cluster.Unit]
) -> None:
    """Tell the members at which address this unit's member is now."""
    _etcdctl(units, "member", "update", _hex(member), f"--peer-urls={me.peer_url}")


def _try_change(units: Sequence[cluster.Unit], *arguments: str) -> bool:
    try:
        _etcdctl([unit for unit in units if is_listening(unit)], *arguments)
    except EtcdError as error:
        if any(reason in str(error) for reason in NOT_YET):
            return False
        raise
    return True


def _health(units: Sequence[cluster.Unit]) -> dict[str, bool]:
    if not units:
        return {}
    out = _etcdctl(units, "endpoint", "health", check=False)
    try:
        return {one["endpoint"]: bool(one["health"]) for one in json.loads(out)}
    except ValueError:
        return {}


def _parse(item: dict[str, Any]) -> cluster.EtcdMember:
    urls = item.get("peerURLs") or [""]
    return cluster.EtcdMember(
        int(item["ID"]), item.get("name", ""), urls[0], bool(item.get("isLearner"))
    )


def _hex(member: cluster.EtcdMember) -> str:
    return f"{member.id:x}"


def _etcdctl(units: Sequence[cluster.Unit], *arguments: str, check: bool = True) -> str:
    # Only what is read is asked for as JSON: for that, 3.5 panics after a promotion it made.
    asks = arguments[0] == "endpoint" or arguments[:2] == ("member", "list")
    argv = [ETCDCTL, *arguments, *(["--write-out=json"] if asks else [])]
    if not units:
        raise EtcdError("no member of etcd can be reached")
    env = {
        "ETCDCTL_API": "3",
        "ETCDCTL_ENDPOINTS": ",".join(unit.client_url for unit in units),
        "ETCDCTL_CACERT": str(paths.CA),
        "ETCDCTL_CERT": str(paths.CERTIFICATE),
        "ETCDCTL_KEY": str(paths.KEY),
        "ETCDCTL_DIAL_TIMEOUT": "2s",
        "ETCDCTL_COMMAND_TIMEOUT": "5s",
    }
    try:
        done = commands.run(argv, env=env, timeout_s=15, check=False)
    except commands.CommandError as error:
        raise EtcdError(str(error)) from error
    if check and done.returncode != 0:
        raise EtcdError(_reason(arguments, done.stderr))
    return done.stdout


def _reason(arguments: Sequence[str], stderr: str) -> str:
    """Return etcdctl's own last word, without the client's log lines and a panic's stack."""
    lines = [line for line in stderr.splitlines() if line.startswith(("Error:", "panic:"))]
    return f"etcdctl {' '.join(arguments[:2])}: {(lines or [stderr.strip()])[-1][:300]}"
