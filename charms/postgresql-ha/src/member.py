# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""This unit's member of the cluster as a whole: etcd, Patroni, PostgreSQL and the data.

Everything here may be killed at any point and run again. A lock keeps the hooks and the timer
from working on the daemons at the same time.
"""

import contextlib
import dataclasses
import fcntl
import logging
import shutil
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import cluster
import etcd
import etcdctl
import gate
import handover
import paths
import patroni
import pgdata
import postgresql
import remembered
import rest
import timers
import tls
from charmed_maas import agents, commands, files, systemd

logger = logging.getLogger(__name__)

START_TIMEOUT_S = 50.0
# A bootstrap that takes longer than this on a slow machine is taken for one that was cut short.
BOOTSTRAP_TIMEOUT_S = 300.0
RESTARTED_S = 30.0
RELOAD_TIMEOUT_S = 8.0
JOURNAL = f"journalctl -u {patroni.SERVICE}"


class MemberError(Exception):
    """The member cannot do what it was asked to; fit for an action's failure."""


def client(spec: cluster.Spec) -> rest.Client:
    """Return a client of the cluster's REST API that asks this unit first."""
    return rest.Client((spec.me, *spec.peers), spec.keys.rest)


def take_over(unit: str) -> str:
    """Clear what a unit that is gone left running on this machine.

    Returns what stands in the way: another unit whose agent is still there.
    """
    if not remembered.is_anothers(unit):
        return ""
    found = remembered.read()
    if agents.is_here(found["unit"]):
        return f"{found['unit']} runs PostgreSQL on this machine: use another machine"
    with _locked():
        _clear(found["scope"], went_on=["unknown"])
    return ""


def bootstrap(spec: cluster.Spec, *, strict: bool) -> str:
    """Make the cluster's first member, or go on as it; returns the system identifier."""
    with _locked():
        tls.ensure(spec.keys, spec.me)
        data = pgdata.path(spec.scope)
        unfinished = pgdata.BOOTSTRAPPING.exists()
        anew = not (_is_at_work(spec) if unfinished else pgdata.cluster_id(data))
        if anew:
            _start_over(data, is_own=unfinished)
        pgdata.ensure_parent(data)
        remembered.write(spec)
        etcd.bootstrap(spec.me)
        if anew:
            _mark_begin()
        text = patroni.render_config(spec, data, bootstrap=True, strict=strict)
        patroni.ensure_running(changed=patroni.ensure_config(text, data))
        if not rest.wait(lambda: client(spec).is_primary(spec.me), START_TIMEOUT_S):
            return ""
        files.ensure_absent(pgdata.BOOTSTRAPPING)
        return pgdata.cluster_id(data)


def run(spec: cluster.Spec, cluster_id: str, *, strict: bool, admitted: bool) -> str:
    """Be a member of the cluster that exists; returns this unit's part in etcd.

    Without data yet it copies the primary's, which it can do once it is admitted there.
    """
    with _locked():
        renewed = tls.ensure(spec.keys, spec.me)
        remembered.write(spec)
        timers.ensure()
        part = _converge(spec)
        data = pgdata.path(spec.scope)
        if pgdata.cluster_id(data) not in ("", cluster_id):
            _stop(data)
            pgdata.set_aside(data, ["another cluster"])
            data = pgdata.path(spec.scope)
        pgdata.ensure_parent(data)
        text = patroni.render_config(spec, data, bootstrap=False, strict=strict)
        changed = patroni.ensure_config(text, data)
        if not (admitted or pgdata.cluster_id(data) or patroni.is_running()):
            return part
        started = patroni.ensure_running(changed=changed or renewed)
        # At boot systemd has started it before the hook; a member that had its time keeps
        # no other hook waiting.
        rest.wait(lambda: is_serving(spec), START_TIMEOUT_S - patroni.age_s())
        if changed and not started:
            # Patroni reads it in its next loop; who is woken after this hook must be let in.
            rest.wait(lambda: patroni.is_in_force(spec, data), RELOAD_TIMEOUT_S)
        return part


def is_serving(spec: cluster.Spec) -> bool:
    """Tell whether this unit's PostgreSQL is the primary, or a replica that streams."""
    found = client(spec).status(spec.me)
    if found.get("state") != "running":
        return False
    return found.get("role") in rest.PRIMARY or postgresql.is_streaming()


def admits(spec: cluster.Spec) -> tuple[str, ...]:
    """Return the members that this unit's PostgreSQL lets in while it is the primary."""
    is_primary = patroni.is_running() and client(spec).is_primary(spec.me)
    return tuple(unit.name for unit in spec.units) if is_primary else ()


def own_cluster_id(scope: str) -> str:
    """Return the system identifier of this unit's data; "" while a bootstrap is unfinished."""
    if pgdata.BOOTSTRAPPING.exists() or not pgdata.version():
        return ""
    return pgdata.cluster_id(pgdata.path(scope))


def set_aside(cluster_id: str) -> pgdata.Copy | None:
    """Return the newest data of the cluster that was set aside on this machine."""
    return next(reversed(pgdata.copies(cluster_id)), None)


def copy_at(path: str, cluster_id: str) -> pgdata.Copy:
    """Return what data at a path is; raises pgdata.PgdataError when it is not the cluster's."""
    return pgdata.inspect(Path(path), cluster_id)


def leave(spec: cluster.Spec) -> None:
    """Leave the cluster: hand over what this member holds, set its data aside.

    Where no unit stays, the cluster goes to rest with the primary's data as the last: nobody is
    promoted after it.
    """
    if remembered.is_anothers(spec.me.name):
        return
    with _locked():
        spec = dataclasses.replace(spec, leaving=spec.leaving | {spec.me.name})
        data = pgdata.path(spec.scope)
        went_on = handover.hand_over(spec, client(spec))
        _stop(data)
        if etcd.is_initialised() and not handover.leave_etcd(spec):
            logger.warning("etcd keeps %s listed: a survivor removes it", spec.me.member_name)
        _clear(spec.scope, went_on)


def clear(unit: str, scope: str) -> None:
    """Stop everything and set the data aside; nothing to do after leave."""
    if remembered.is_anothers(unit):
        return
    with _locked():
        # Data that is still here did not leave in order: who went on after it nobody saw.
        _clear(scope, ["unknown"])


def adopt(spec: cluster.Spec, copy: pgdata.Copy | None, *, strict: bool) -> None:
    """Form a cluster of one from data that was set aside, or from this unit's own without a copy.

    Raises MemberError.
    """
    with _locked():
        tls.ensure(spec.keys, spec.me)
        _stop(pgdata.path(spec.scope))
        etcd.remove_data()
        data = pgdata.put_back(copy, spec.scope) if copy else pgdata.path(spec.scope)
        patroni.forget_pause(data)
        remembered.write(spec)
        etcd.bootstrap(spec.me)
        text = patroni.render_config(spec, data, bootstrap=False, strict=strict)
        patroni.ensure_running(changed=patroni.ensure_config(text, data))
        if not rest.wait(lambda: client(spec).is_primary(spec.me), START_TIMEOUT_S):
            raise MemberError(f"PostgreSQL did not start on {data}: see {JOURNAL}")
        # Patroni holds the lock a little before PostgreSQL has left its recovery.
        rest.wait(postgresql.is_writable, START_TIMEOUT_S)
        try:
            postgresql.set_passwords(patroni.passwords(spec.keys))
        except commands.CommandError as error:
            raise MemberError(f"the members' passwords cannot be set: {error}") from error
        timers.ensure()


def promote(spec: cluster.Spec) -> None:
    """Make this replica the primary of a cluster that has none, with the rows that it has.

    Raises MemberError, rest.RestError.
    """
    with _locked():
        client(spec).failover(spec.me.member_name)
        if not rest.wait(lambda: client(spec).is_primary(spec.me), START_TIMEOUT_S):
            raise MemberError(f"Patroni did not make this unit the primary: see {JOURNAL}")


def reinitialise(spec: cluster.Spec) -> str:
    """Rebuild this replica from the primary; returns where its data was set aside.

    Raises pgdata.PgdataError, with the replica running as before.
    """
    with _locked():
        data = pgdata.path(spec.scope)
        _stop(data)
        try:
            moved = pgdata.set_aside(data, ["the primary"])
        finally:
            patroni.ensure_running(changed=False)
        if not rest.wait(lambda: is_serving(spec), START_TIMEOUT_S):
            logger.info("the copy from the primary takes longer")
        return str(moved or "")


def _converge(spec: cluster.Spec) -> str:
    try:
        return etcd.converge(spec.me, spec.units)
    except etcdctl.EtcdError as error:
        # Patroni keeps the database going without etcd as long as all members see each other.
        logger.warning("etcd: %s", error)
        return ""


def _is_at_work(spec: cluster.Spec) -> bool:
    """Tell whether Patroni has made the cluster since the last hook, or may still be at it.

    A Patroni that is younger than the attempt was started again in its midst, by a reboot say, and
    may wait for ever on half of a cluster.
    """
    if not patroni.is_running():
        return False
    if client(spec).is_primary(spec.me):
        return True
    age_s = time.time() - pgdata.BOOTSTRAPPING.stat().st_mtime
    return age_s < BOOTSTRAP_TIMEOUT_S and age_s - patroni.age_s() < RESTARTED_S


def _start_over(data: Path, *, is_own: bool) -> None:
    """Throw a bootstrap of its own away that was cut short: nobody was ever let in.

    Other data may be of a cluster whose files cannot be read, and is kept.
    """
    _stop(data)
    if not is_own:
        pgdata.keep_unknown(data)
    _mark_begin()
    etcd.remove_data()
    shutil.rmtree(data, ignore_errors=True)


def _mark_begin() -> None:
    files.ensure_file(pgdata.BOOTSTRAPPING, f"{time.time_ns()}\n")


def _stop(data: Path) -> None:
    patroni.stop()
    postgresql.stop(data)


def _clear(scope: str, went_on: Sequence[str]) -> None:
    timers.remove()
    if pgdata.version():
        data = pgdata.path(scope)
        _stop(data)
        if pgdata.BOOTSTRAPPING.exists():
            shutil.rmtree(data, ignore_errors=True)
            files.ensure_absent(pgdata.BOOTSTRAPPING)
        pgdata.set_aside(data, went_on)
    gate.open_again()
    etcd.remove_data()
    for unit in (patroni.UNIT, etcd.UNIT):
        systemd.ensure_stopped(unit)
        systemd.remove_files(unit)
    shutil.rmtree(paths.CONFIGURATION, ignore_errors=True)
    files.ensure_absent(paths.MEMBER)


@contextlib.contextmanager
def _locked() -> Generator[None]:
    with paths.LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
