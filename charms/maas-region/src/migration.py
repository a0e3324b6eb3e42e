# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Migrating the MAAS database: by one unit, in a transient systemd unit that outlives a hook.

The job holds a PostgreSQL advisory lock on a connection of its own. Who gets the lock migrates;
when the lock's connection dies, so does the job with all its processes.
"""

import argparse
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

import database
import region
from charmed_maas import commands, journal

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's own name

SERVICE = "maas-region-migrate.service"
SYSTEMD_RUN = "/usr/bin/systemd-run"
DPKG = "/usr/bin/dpkg"
WAIT_S = 60.0
# A failover of the database ends the job; it then begins anew, five times at most. No time ends
# it: how long a large MAAS takes is not known, and the lock goes with the job.
PROPERTIES = (
    "Type=exec",
    "Restart=on-failure",
    "RestartSec=5",
    "RestartPreventExitStatus=2",
    "StartLimitIntervalSec=3600",
    "StartLimitBurst=5",
)
REFUSED = 2

logger = logging.getLogger(__name__)


class MigrationError(Exception):
    """Migrating the database failed; fit for a status message."""


class RefusedError(MigrationError):
    """This database must not be migrated by this unit."""


def obstacle(
    state: database.State, expected_cluster: str, own: str, versions: Mapping[str, str]
) -> str:
    """Return why this database must not be migrated or served by this unit, "" when it may.

    versions are the MAAS versions of all units; own is this unit's. While a unit migrates, what
    the others have was asked before, and this one queues up behind it.
    """
    if expected_cluster and state.cluster != expected_cluster:
        found = f"cluster {state.cluster}" if state.cluster else "another MAAS"
        if state.is_empty:
            found = "no MAAS"
        return (
            f"the database holds {found}, expected {expected_cluster}: integrate db with the"
            " database of that cluster again"
        )
    if not state.version or state.version == own:
        return ""
    if not is_newer(own, state.version):
        return (
            f"MAAS {own} is older than the database, which is at {state.version}:"
            " upgrade the packages on this unit"
        )
    others = sorted(name for name, version in versions.items() if version != own)
    if others and not state.migrating_unit:
        return (
            f"MAAS {own} here, the database is at {state.version}:"
            f" upgrade the packages on {', '.join(others)} too"
        )
    return ""


def is_newer(version: str, other: str) -> bool:
    """Tell whether a package version is newer than another, as dpkg orders them."""
    argv = [DPKG, "--compare-versions", version, "gt", other]
    return _run(argv, check=False).returncode == 0


def start(unit: str, expected_cluster: str, version: str, before: str) -> None:
    """Start the job unless it runs; raises MigrationError.

    before is the version that the database had when all units were found ready for this one.
    """
    if is_running():
        return
    _run([region.SYSTEMCTL, "reset-failed", SERVICE], check=False)
    argv = [SYSTEMD_RUN, f"--unit={SERVICE}", "--quiet"]
    argv += ["--description=Migration of the MAAS database"]
    argv += [f"--property={one}" for one in PROPERTIES]
    argv += [f"--setenv=PYTHONPATH={Path(__file__).parent}", sys.executable, __file__]
    argv += ["--unit", unit, "--cluster", expected_cluster, "--version", version]
    argv += ["--before", before]
    _run(argv)


def is_running() -> bool:
    """Tell whether the job runs or waits for its turn on this machine."""
    return _show("ActiveState") in ("active", "activating", "deactivating")


def failure() -> MigrationError:
    """Return why the job failed, in its own words where its journal tells."""
    log = f"journalctl -u {SERVICE}"
    cause = journal.first_cause([SERVICE])
    return MigrationError(
        f"the migration failed: {cause} ({log})"
        if cause
        else f"the migration failed: {log} on this unit says why"
    )


def migrate(unit: str, expected_cluster: str, version: str, before: str) -> None:
    """Take the lock, migrate if still needed, and record it; raises on any failure."""
    login = login_from_config()
    with database.connect(login, f"{database.MIGRATE_AS}{unit}") as connection:
        while not database.try_lock(connection, database.MIGRATE):
            time.sleep(1)
        state = database.state(connection)
        if state.version == version:
            return
        if problem := obstacle(state, expected_cluster, version, {}):
            raise RefusedError(problem)
        if state.version != before:
            # The units that have it have not said whether they are ready for one more.
            raise RefusedError(f"another unit has migrated the database to {state.version}")
        # The holder before may be dead while the server still works for its dbupgrade.
        ended = database.end_connections_of_maas(connection)
        while database.are_open(connection, ended):
            time.sleep(1)
        _dbupgrade(connection)
        database.record_migration(connection, version)


def login_from_config() -> database.Login:
    """Return what regiond.conf says about the database."""
    config = region.read_config()
    return database.Login(
        str(config.get("database_name", "")),
        str(config.get("database_user", "")),
        str(config.get("database_pass", "")),
    )


def _dbupgrade(connection: "Connection") -> None:
    """Run MAAS's migration while the lock's connection lives; kill it when that dies."""
    with subprocess.Popen([region.MAAS_REGION, "dbupgrade"], env=region.ENV) as process:
        try:
            while process.poll() is None:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                time.sleep(1)
        except psycopg2.Error:
            process.kill()
            raise
    if process.returncode != 0:
        raise MigrationError(f"maas-region dbupgrade exited with {process.returncode}")


def _show(key: str) -> str:
    argv = [region.SYSTEMCTL, "show", "--property", key, "--value", SERVICE]
    return _run(argv, check=False).stdout.strip()


def _run(argv: list[str], *, check: bool = True) -> "subprocess.CompletedProcess[str]":
    try:
        return commands.run(argv, check=check)
    except commands.CommandError as error:
        raise MigrationError(str(error)) from error


def main() -> int:
    """Run as the transient unit."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser()
    for name in ("--unit", "--cluster", "--version", "--before"):
        parser.add_argument(name, required=True)
    arguments = parser.parse_args()
    # systemd stops the whole group; Python would leave dbupgrade to it anyway.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
    try:
        migrate(arguments.unit, arguments.cluster, arguments.version, arguments.before)
    except (MigrationError, database.DatabaseError) as error:
        logger.error("%s", error)
        return REFUSED if isinstance(error, RefusedError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
