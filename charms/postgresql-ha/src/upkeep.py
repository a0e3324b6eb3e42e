# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the cluster needs done when no hook runs: started by a timer on every member.

It works from what the last hook wrote down. It starts this unit's etcd member once the list has
it, promotes it when it has caught up, keeps etcd's leader off the primary's machine, and
restarts PostgreSQL when its parameters wait for that, one member at a time. It changes nothing
that the model decides.
"""

import fcntl
import json
import logging
import sys

import cluster
import etcdctl
import paths
import rest

logger = logging.getLogger("postgresql-ha")


def main() -> int:
    """Do what is to be done now."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        state = json.loads(paths.MEMBER.read_text())
    except (FileNotFoundError, ValueError):
        return 0
    me = cluster.Unit(state["unit"], state["address"])
    peers = [cluster.Unit(name, address) for name, address in state["peers"]]
    with paths.LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0  # A hook is at work on the same things.
        try:
            work(me, peers, rest.Client([me, *peers], state["rest"]))
        except (etcdctl.EtcdError, rest.RestError) as error:
            logger.warning("%s", error)
    return 0


def work(me: cluster.Unit, peers: list[cluster.Unit], api: rest.Client) -> None:
    """Make each step that is due."""
    follow_member_list(me, peers)
    members = api.members()
    primary = cluster.primary(members)
    is_primary = primary and primary.name == me.member_name
    if is_primary and etcdctl.is_healthy(me) and etcdctl.move_leader(me, [me, *peers]):
        logger.info("gave etcd's leadership away from the primary's machine")
    if cluster.next_restart(members) == me.member_name:
        logger.info("restarts PostgreSQL for changed parameters")
        api.restart(me)


def follow_member_list(me: cluster.Unit, peers: list[cluster.Unit]) -> None:
    """Start, promote or end this unit's etcd member if the list says so."""
    listed = etcdctl.members([*peers, me])
    mine = next((one for one in listed if cluster.owner(one, [me])), None)
    is_due = mine.is_learner or not mine.name if mine else bool(listed) and paths.ETCD.is_dir()
    if is_due:
        import etcd  # Rarely needed, and slow to load for something that runs all the time.

        part = etcd.converge(me, [me, *peers])
        logger.info("this unit's part in etcd: %s", part or "none")


if __name__ == "__main__":
    sys.exit(main())
