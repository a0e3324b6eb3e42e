# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
import functools
import os
import signal
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg2
import pytest

import database
import migration
import region
from charmed_maas import commands, journal
from database import State

A, B = "8c649c6f-9ff2-4aae-aa3a-3ddba6812151", "0ee85464-d464-4c52-a705-ccbab5cd4023"
OLD, NEW = "1:3.7.2-1", "1:3.7.10-1"
IS_NEWER = migration.is_newer


@pytest.fixture(autouse=True)
def _dpkg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "is_newer", lambda one, other: (one, other) == (NEW, OLD))


def test_a_new_cluster_may_migrate_an_empty_database():
    assert migration.obstacle(State(), "", OLD, {}) == ""


def test_a_cluster_that_served_never_migrates_an_empty_database():
    problem = migration.obstacle(State(), A, OLD, {})
    assert problem.startswith(f"the database holds no MAAS, expected {A}: integrate db with")


def test_a_cluster_that_served_never_takes_anothers_database():
    problem = migration.obstacle(State(cluster=B, version=OLD, is_empty=False), A, OLD, {})
    assert f"holds cluster {B}, expected {A}" in problem
    unmarked = migration.obstacle(State(is_empty=False), A, OLD, {})
    assert "holds another MAAS" in unmarked


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("python3: MemoryError: x", "python3: MemoryError: x (journalctl -u maas-region-migrate"),
        ("", "journalctl -u maas-region-migrate.service on this unit says why"),
    ],
)
def test_why_the_job_failed_is_told(monkeypatch: pytest.MonkeyPatch, cause: str, told: str):
    causes = {(migration.SERVICE,): cause}
    monkeypatch.setattr(journal, "first_cause", lambda names: causes[tuple(names)])
    assert str(migration.failure()).startswith(f"the migration failed: {told}")


def test_the_same_version_needs_nothing():
    assert migration.obstacle(State(A, OLD, "", False), A, OLD, {"maas-region/1": NEW}) == ""


def test_an_older_package_is_told_to_upgrade():
    problem = migration.obstacle(State(A, NEW, "", False), A, OLD, {})
    assert problem == (
        f"MAAS {OLD} is older than the database, which is at {NEW}: upgrade the packages on this"
        " unit"
    )


def test_a_newer_package_waits_until_all_units_have_it():
    state = State(A, OLD, "", False)
    versions = {"maas-region/0": NEW, "maas-region/1": OLD}
    problem = migration.obstacle(state, A, NEW, versions)
    assert problem.endswith("upgrade the packages on maas-region/1 too")
    assert migration.obstacle(state, A, NEW, {"maas-region/0": NEW, "maas-region/1": NEW}) == ""


@pytest.mark.skipif(not os.path.exists(migration.DPKG), reason="needs dpkg")
def test_versions_are_ordered_as_numbers_and_not_as_text():
    assert IS_NEWER(NEW, OLD)
    assert not IS_NEWER(OLD, NEW)
    assert not IS_NEWER(NEW, NEW)


def test_behind_a_unit_that_migrates_this_one_queues_up():
    state = State(A, OLD, "maas-region/1", False)
    assert migration.obstacle(state, A, NEW, {"maas-region/1": OLD}) == ""
    assert "holds cluster" in migration.obstacle(state, B, NEW, {"maas-region/1": OLD})


def test_dbupgrade_dies_with_the_connection_that_has_the_lock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    started: list[subprocess.Popen[Any]] = []
    popen = subprocess.Popen

    def start(*given: Any, **options: Any) -> subprocess.Popen[Any]:
        started.append(popen(*given, **options))
        return started[-1]

    # It would end well by itself.
    dbupgrade = tmp_path / "maas-region"
    dbupgrade.write_text("#!/bin/sh\nexec /bin/sleep 5\n")
    dbupgrade.chmod(0o755)
    monkeypatch.setattr(region, "MAAS_REGION", str(dbupgrade))
    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr("time.sleep", lambda _: None)
    connection = mock.MagicMock()
    execute = connection.cursor.return_value.__enter__.return_value.execute
    execute.side_effect = [None, None, psycopg2.OperationalError("server closed the connection")]
    with pytest.raises(psycopg2.OperationalError, match="server closed the connection"):
        migration._dbupgrade(connection)
    assert [one.returncode for one in started] == [-signal.SIGKILL]


def test_no_password_is_in_a_command_line(monkeypatch: pytest.MonkeyPatch):
    ran: list[list[str]] = []

    def note(argv: list[str], **_: Any) -> Any:
        ran.append(argv)
        # The job is not there, and dbupgrade ends well.
        done = mock.MagicMock(returncode=0, stdout="inactive\n")
        done.__enter__.return_value = done
        return done

    monkeypatch.setattr(region, "read_config", lambda: {"database_pass": "hunter2"})
    monkeypatch.setattr("charmed_maas.commands.run", note)
    monkeypatch.setattr(subprocess, "Popen", note)
    migration.start("maas-region/0", A, NEW, OLD)
    migration._dbupgrade(mock.MagicMock())
    assert [one for one in ran if migration.SYSTEMD_RUN in one]
    assert [region.MAAS_REGION, "dbupgrade"] in ran
    assert "hunter2" not in str(ran)


def test_a_machine_that_runs_no_command_is_told(monkeypatch: pytest.MonkeyPatch):
    no_answer = commands.CommandError("systemctl did not end within 60 s")
    monkeypatch.setattr("charmed_maas.commands.run", mock.Mock(side_effect=no_answer))
    start = functools.partial(migration.start, "maas-region/0", A, NEW, OLD)
    for step in (start, migration.is_running, functools.partial(IS_NEWER, NEW, OLD)):
        with pytest.raises(migration.MigrationError, match="did not end within 60 s"):
            step()


class TestJob:
    @pytest.fixture(autouse=True)
    def database_is_replaced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The job's database: an empty one whose lock is free."""
        self.state = State()
        self.locked = [True]
        self.open_for = 0
        self.upgrade = mock.MagicMock()
        self.record = mock.MagicMock()
        monkeypatch.setattr("time.sleep", lambda _: None)
        monkeypatch.setattr(migration, "login_from_config", lambda: database.Login("d", "u", "p"))
        monkeypatch.setattr(
            database, "connect", lambda *_: contextlib.nullcontext(mock.MagicMock())
        )
        monkeypatch.setattr(database, "try_lock", lambda *_: self.locked.pop(0))
        self.ended = mock.MagicMock(return_value=[7, 8])
        monkeypatch.setattr(database, "end_connections_of_maas", self.ended)
        monkeypatch.setattr(database, "are_open", self._are_open)
        monkeypatch.setattr(database, "state", lambda _: self.state)
        monkeypatch.setattr(database, "record_migration", self.record)
        monkeypatch.setattr(migration, "_dbupgrade", self.upgrade)

    def _are_open(self, _: object, pids: list[int]) -> bool:
        assert pids == [7, 8]
        self.upgrade.assert_not_called()
        self.open_for -= 1
        return self.open_for >= 0

    def test_it_migrates_and_records(self):
        migration.migrate("maas-region/0", "", OLD, "")
        self.upgrade.assert_called_once()
        assert self.record.call_args.args[1] == OLD

    def test_it_waits_for_the_lock_and_ends_what_a_dead_holder_has_open(self):
        self.locked = [False, False, True]
        self.open_for = 2
        migration.migrate("maas-region/0", "", OLD, "")
        assert self.locked == []
        assert self.open_for == -1
        self.ended.assert_called_once()
        self.upgrade.assert_called_once()

    def test_what_another_unit_has_done_is_not_done_again(self):
        self.state = State(A, OLD, "", False)
        migration.migrate("maas-region/0", "", OLD, "")
        self.ended.assert_not_called()
        self.upgrade.assert_not_called()
        self.record.assert_not_called()

    def test_what_another_unit_has_made_of_it_meanwhile_is_migrated_no_further(self):
        self.state = State(A, OLD, "", False)
        with pytest.raises(migration.RefusedError, match=f"migrated the database to {OLD}"):
            migration.migrate("maas-region/0", A, NEW, "1:3.7.1-1")
        self.upgrade.assert_not_called()

    def test_it_looks_again_whether_the_database_is_the_right_one(self):
        with pytest.raises(migration.MigrationError, match="holds no MAAS"):
            migration.migrate("maas-region/0", A, OLD, "")
        self.upgrade.assert_not_called()

    def test_a_failed_upgrade_is_not_recorded(self):
        self.upgrade.side_effect = migration.MigrationError("dbupgrade exited with 1")
        with pytest.raises(migration.MigrationError):
            migration.migrate("maas-region/0", "", OLD, "")
        self.record.assert_not_called()
