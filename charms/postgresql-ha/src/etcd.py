# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""etcd, the store of Patroni's leader lock: its daemon on this unit, and its membership."""

import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

import cluster
import etcdctl
import paths
import pgdata
from charmed_maas import files, given, journal, systemd

SERVICE = "postgresql-ha-etcd.service"
UNIT = systemd.UNITS / SERVICE
TEMPLATES = Path(__file__).parent / "templates"
CONFIG = paths.CONFIGURATION / "etcd.yml"
# What the daemon was last started with.
LOADED = paths.CONFIGURATION / "etcd.loaded"
DATA = paths.ETCD
# The token of a member that joins, which has its identifiers from the others.
CLUSTER = "postgresql-ha"
START_TIMEOUT_S = 30.0


def render_config(me: cluster.Unit, initial_cluster: str, state: str, token: str) -> str:
    """Return etcd's configuration; the initial values matter to a member's first start only."""
    trust: dict[str, object] = {
        "cert-file": str(paths.CERTIFICATE),
        "key-file": str(paths.ETCD_KEY),
        "client-cert-auth": True,
        "trusted-ca-file": str(paths.CA),
    }
    config: dict[str, object] = {
        "name": me.member_name,
        "data-dir": str(DATA),
        "listen-peer-urls": me.peer_url,
        "listen-client-urls": f"{me.client_url},https://127.0.0.1:{cluster.CLIENT_PORT}",
        "initial-advertise-peer-urls": me.peer_url,
        "advertise-client-urls": me.client_url,
        "initial-cluster": initial_cluster,
        "initial-cluster-state": state,
        "initial-cluster-token": token,
        "client-transport-security": trust,
        "peer-transport-security": trust,
        "heartbeat-interval": 100,
        "election-timeout": 1000,
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": "1h",
        # Patroni speaks to the gateway, which a configuration file turns off unless told.
        "enable-grpc-gateway": True,
        "logger": "zap",
        "log-level": "warn",
    }
    header = "# Managed by the charm; changes are overwritten.\n"
    return header + yaml.safe_dump(config, sort_keys=False)


def bootstrap(me: cluster.Unit) -> None:
    """Start as the only member of a new etcd cluster, or go on as it."""
    if not is_initialised():
        # etcd makes its identifiers of token and address: with the token of a cluster that was
        # lost here, that one's other members would take this one for theirs when they come back.
        token = f"{CLUSTER}-{time.time_ns()}"
        _start(me, f"{me.member_name}={me.peer_url}", "new", token)
    else:
        _ensure_running(me)
    _wait(lambda: etcdctl.is_healthy(me), f"etcd did not get ready within {START_TIMEOUT_S:g} s")


def converge(me: cluster.Unit, units: Sequence[cluster.Unit]) -> str:
    """Start, go on or stop as etcd's member list says of this unit.

    Returns "voter", "learner", or "" when it is no member. A learner that has caught up is
    promoted. Raises etcdctl.EtcdError when its own daemon does not come up.
    """
    others = [unit for unit in units if unit != me]
    listed = etcdctl.members(others) or etcdctl.members([me])
    mine = next((one for one in listed if cluster.owner(one, [me])), None)
    if is_initialised() and mine and not mine.name and not etcdctl.is_listening(me):
        # Removed and added again: the data is of the member that is never to come back.
        remove_data()
    if is_initialised():
        if listed and not mine and not etcdctl.is_healthy(me) and _is_linearizable(others):
            remove_data()
            return ""
        _ensure_running(me)
        if mine and mine.peer_url != me.peer_url:
            etcdctl.update_peer_url(mine, me, _voting(others, listed) or [me])
    elif not mine:
        return ""
    elif mine.name:
        _give_up(me, mine, listed, others)
        return ""
    else:
        _start(me, _initial_cluster(listed, me), "existing", CLUSTER)
    if mine and mine.is_learner:
        _wait(lambda: etcdctl.is_listening(me), "etcd did not start")
        return "voter" if _promote(mine, others) else "learner"
    return "voter" if mine else ""


def is_initialised() -> bool:
    """Tell whether this unit has a member's data.

    etcd makes the folder before it knows whether it can start, its log only when it does.
    """
    return any((DATA / "member/wal").glob("*.wal"))


def hand_over(me: cluster.Unit, heir: cluster.Unit, timeout_s: float) -> bool:
    """Make another unit's member a voter before the only voter leaves.

    The heir starts and promotes its member by its own timer; this waits for it.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        listed = etcdctl.members([me, heir])
        if etcdctl.votes(heir, listed):
            return True
        # Another unit that leaves may be adding it at the same time.
        with contextlib.suppress(etcdctl.EtcdError):
            if not any(cluster.owner(one, [heir]) for one in listed):
                etcdctl.apply(cluster.Add(heir), [me])
        time.sleep(1)
    return False


def remove_data() -> None:
    """Stop the member and remove its data, which is only a copy of what the others have."""
    systemd.ensure_stopped(UNIT)
    shutil.rmtree(DATA, ignore_errors=True)


def first_cause() -> str:
    """Return why etcd does not run here, in its own words; "" while it does."""
    if systemd.show(SERVICE, "SubState")["SubState"] == "running":
        return ""
    return journal.first_cause([SERVICE])


def _ensure_running(me: cluster.Unit) -> None:
    """Run the initialised member; restart it only when its addresses or its unit changed."""
    try:
        old: dict[str, str] = yaml.safe_load(CONFIG.read_text())
        names = ("initial-cluster", "initial-cluster-state", "initial-cluster-token")
        initial = [old[name] for name in names]
    except (OSError, yaml.YAMLError, TypeError, KeyError):
        initial = [f"{me.member_name}={me.peer_url}", "existing", CLUSTER]
    _ensure_files(me, *initial)
    if given.is_current(LOADED, CONFIG, UNIT):
        systemd.ensure_running(SERVICE)
        _seal(me, *initial)
        return
    with given.noted(LOADED, CONFIG, UNIT):
        if not systemd.ensure_running(SERVICE):
            systemd.restart(SERVICE)


def _seal(me: cluster.Unit, initial_cluster: str, state: str, token: str) -> None:
    """Have a member that lost its log fail, and not begin another cluster under the same IDs.

    While it has its log it heeds none of this, and is not restarted for it.
    """
    if state == "new":
        _ensure_files(me, initial_cluster, "existing", token)
        with given.noted(LOADED, CONFIG, UNIT):
            pass


def _start(me: cluster.Unit, *initial: str) -> None:
    remove_data()
    _ensure_files(me, *initial)
    with given.noted(LOADED, CONFIG, UNIT):
        systemd.ensure_running(SERVICE)


def _ensure_files(me: cluster.Unit, *initial: str) -> None:
    """Have configuration and unit file, which the daemon reads at a start."""
    pgdata.ensure_directory(DATA, mode=0o700, owner="etcd")
    files.ensure_file(CONFIG, render_config(me, *initial))
    unit = files.render(TEMPLATES / f"{SERVICE}.j2", config=CONFIG, data=DATA)
    systemd.ensure_files({UNIT: unit})


def _give_up(
    me: cluster.Unit,
    mine: cluster.EtcdMember,
    listed: Sequence[cluster.EtcdMember],
    others: Sequence[cluster.Unit],
) -> None:
    """Take a member that lost its data off the list, for the leader to add it anew.

    Started with nothing under its old ID it would panic, or forget what it voted for. Where the
    others have no quorum without it, it is left alone: they may come back.
    """
    if cluster.may_remove(mine, listed, etcdctl.healthy(listed, others)):
        # A daemon that still runs on deleted files would start over once it is off the list.
        remove_data()
        etcdctl.remove_member(me, others)


def _initial_cluster(listed: Sequence[cluster.EtcdMember], me: cluster.Unit) -> str:
    pairs = [(one.name or me.member_name, one.peer_url) for one in listed]
    return ",".join(sorted(f"{name}={url}" for name, url in pairs))


def _promote(mine: cluster.EtcdMember, others: Sequence[cluster.Unit]) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S / 2
    listed = etcdctl.members(others)
    voting = [unit for unit in others if etcdctl.votes(unit, listed)]
    while voting and not etcdctl.promote(mine, voting):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return bool(voting)


def _voting(
    units: Sequence[cluster.Unit], listed: Sequence[cluster.EtcdMember]
) -> list[cluster.Unit]:
    """Return the units that take a change: some have no member, and a learner takes none."""
    return [unit for unit in units if etcdctl.votes(unit, listed) and etcdctl.is_listening(unit)]


def _is_linearizable(units: Sequence[cluster.Unit]) -> bool:
    """Tell whether these units have a quorum: a list from a stale member proves nothing."""
    return any(etcdctl.is_healthy(unit) for unit in units)


def _wait(ready: Callable[[], bool], reason: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not ready():
        if time.monotonic() > deadline:
            raise etcdctl.EtcdError(reason)
        time.sleep(0.3)
