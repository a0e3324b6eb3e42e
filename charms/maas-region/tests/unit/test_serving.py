# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg2
import pytest

import database
import db_proxy
import health
import migration
import named
import others
import rack_secret
import region
import serving
import traffic
import turns
from charmed_maas import systemd
from others import Found
from serving import Stage

CLUSTER = "8c649c6f-9ff2-4aae-aa3a-3ddba6812151"
WISH = serving.Wish(
    unit="maas-region/1",
    members=db_proxy.Members((("10.0.0.1", 5432),)),
    login=database.Login("maasdb", "maasdb", "pw"),
    maas_url="http://10.0.0.100/MAAS",
    address="10.0.0.11",
    num_workers=4,
    expected_cluster="",
    versions={},
    others=(),
    have_followed=lambda _: True,
)
MIGRATED = database.State(CLUSTER, "1:3.7.3", "", is_empty=False)
OLD, NEW = "00" * 16, "11" * 16


class Machine:
    """The workload modules, replaced; a migrated database, MAAS running as wished."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.region = mock.create_autospec(region, Settings=region.Settings)
        self.region.RegionError = region.RegionError
        self.region.version.return_value = "1:3.7.3"
        self.region.is_running.return_value = True
        self.region.is_any_running.return_value = True
        self.region.is_configured.return_value = True
        self.region.age_s.return_value = 600.0
        self.region.first_cause.return_value = "regiond: OSError: x"
        self.region.shared_secret.return_value = OLD
        self.wait = mock.MagicMock(return_value="")
        self.states: list[database.State | database.DatabaseError] = [MIGRATED]
        self.jobs = [False]
        self.free = True
        self.start = mock.MagicMock()
        self.proxy = mock.MagicMock()
        monkeypatch.setattr(serving, "region", self.region)
        monkeypatch.setattr(named, "ensure_options", lambda: False)
        monkeypatch.setattr(health, "wait", self.wait)
        monkeypatch.setattr(region, "shared_secret", self.region.shared_secret)
        monkeypatch.setattr(region, "age_s", self.region.age_s)
        self.region.restart.side_effect = self.begin
        for name in ("TAKEN", "WAITING"):
            monkeypatch.setattr(rack_secret, name, tmp_path / name)
        monkeypatch.setattr(region, "version", self.region.version)
        monkeypatch.setattr(db_proxy, "ensure", self.proxy)
        monkeypatch.setattr(db_proxy, "first_cause", lambda: "proxy: Address already in use")
        monkeypatch.setattr(db_proxy, "no_primary", lambda: "")
        monkeypatch.setattr(migration, "start", self.start)
        monkeypatch.setattr(migration, "is_running", lambda: self._next(self.jobs))
        monkeypatch.setattr(migration, "is_newer", lambda *_: False)
        monkeypatch.setattr(database, "connect", lambda *_: contextlib.nullcontext())
        monkeypatch.setattr(database, "state", lambda _: self._next(self.states))
        monkeypatch.setattr(database, "try_lock", lambda *_: self.free)
        self.holder = "charmed-maas restart maas-region/2"
        monkeypatch.setattr(database, "holder", lambda *_: self.holder)
        self.traffic = mock.create_autospec(traffic)
        self.traffic.take.return_value = True
        self.there = {"10.0.0.12": Found.SERVES}
        monkeypatch.setattr(others, "ask", self._ask)
        monkeypatch.setattr(
            others, "any_serves", lambda all_: Found.SERVES in self._ask(all_).values()
        )
        self.problem = ""
        monkeypatch.setattr(health, "problem", lambda: self.problem)
        monkeypatch.setattr(serving, "traffic", self.traffic)
        monkeypatch.setattr("time.sleep", lambda _: None)

    def _ask(self, addresses: Iterable[str]) -> dict[str, Found]:
        return {one: self.there.get(one, Found.ABSENT) for one in addresses}

    def begin(self) -> None:
        """Have regiond begin now."""
        self.region.age_s.return_value = 0.0

    @staticmethod
    def _next(values: list[Any]) -> Any:
        value = values.pop(0) if len(values) > 1 else values[0]
        if isinstance(value, Exception):
            raise value
        return value


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Return a machine that serves."""
    return Machine(monkeypatch, tmp_path)


def test_a_region_that_runs_as_wished_is_left_alone(machine: Machine):
    assert serving.ensure(WISH) == serving.Outcome(Stage.SERVING, cluster=CLUSTER)
    machine.start.assert_not_called()
    for verb in (machine.region.start, machine.region.restart, machine.region.ensure_config):
        verb.assert_not_called()


def test_maas_is_told_of_the_proxy_and_never_of_the_primary(machine: Machine):
    serving.ensure(WISH)
    serving.ensure(replace(WISH, members=db_proxy.Members((("10.0.0.2", 6432),))))
    before, after = (one.args[0] for one in machine.region.is_configured.call_args_list)
    assert (before.database_host, before.database_port) == ("127.0.0.1", 15432)
    assert before == after
    assert machine.proxy.call_count == 2
    machine.region.restart.assert_not_called()


def test_a_new_database_is_migrated_before_maas_starts(machine: Machine):
    machine.states = [database.State(), database.State(migrating_unit=WISH.unit), MIGRATED]
    machine.jobs = [True, False]
    machine.region.is_any_running.return_value = False
    machine.region.start.side_effect = lambda: machine.start.assert_called_once_with(
        WISH.unit, "", "1:3.7.3", ""
    )
    assert serving.ensure(WISH) == serving.Outcome(Stage.SERVING, cluster=CLUSTER)
    machine.region.start.assert_called_once_with()


def test_maas_does_not_run_while_its_database_is_migrated(machine: Machine):
    machine.states = [database.State(CLUSTER, "1:3.7.2", is_empty=False), MIGRATED]
    machine.start.side_effect = lambda *_: machine.region.stop.assert_called_once_with()
    machine.region.stop.side_effect = lambda: machine.region.is_any_running.configure_mock(
        return_value=False
    )
    with mock.patch.object(migration, "is_newer", lambda *_: True):
        assert serving.ensure(WISH).stage is Stage.SERVING
    machine.region.start.assert_called_once_with()


def test_a_database_that_needs_no_migration_stops_nothing(machine: Machine):
    serving.ensure(WISH)
    serving.ensure(replace(WISH, expected_cluster=CLUSTER))
    machine.region.stop.assert_not_called()


def test_a_process_from_before_the_migration_is_restarted_in_its_turn(machine: Machine):
    machine.states = [replace(MIGRATED, migrated_ago_s=300.0)]
    machine.free = False
    assert serving.ensure(WISH).stage is Stage.QUEUED

    machine.free = True
    machine.region.restart.side_effect = lambda: machine.region.age_s.configure_mock(
        return_value=0.5
    )
    assert serving.ensure(WISH).stage is Stage.SERVING
    assert serving.ensure(WISH).stage is Stage.SERVING
    machine.region.restart.assert_called_once_with()


def test_a_primary_whose_clock_is_behind_restarts_nothing(machine: Machine):
    machine.states = [replace(MIGRATED, migrated_ago_s=-300.0)]
    assert serving.ensure(WISH).stage is Stage.SERVING
    machine.region.restart.assert_not_called()


def test_a_new_shared_secret_is_taken_in_turn_once_the_racks_have_it(machine: Machine):
    machine.states = [replace(MIGRATED, shared_secret=NEW)]
    asked: list[str] = []
    waiting = replace(WISH, have_followed=lambda secret: bool(asked.append(secret)))
    outcome = serving.ensure(waiting)
    assert (outcome.stage, outcome.shared_secret) == (Stage.SERVING, NEW)
    assert asked == [NEW]
    assert NEW not in repr(outcome) + repr(machine.states)
    machine.region.restart.assert_not_called()

    machine.free = False
    assert serving.ensure(WISH).stage is Stage.QUEUED
    machine.free = True
    assert serving.ensure(WISH).stage is Stage.SERVING
    machine.region.restart.assert_called_once_with()
    assert serving.ensure(WISH).stage is Stage.SERVING
    machine.region.restart.assert_called_once_with()


def _begin_with(machine: Machine, secret: str) -> None:
    """Start MAAS while its database has this secret."""
    machine.states = [replace(MIGRATED, shared_secret=secret)]
    machine.region.is_any_running.return_value = False
    machine.region.start.side_effect = machine.begin
    assert serving.ensure(WISH).is_serving
    machine.region.start.assert_called_once_with()
    machine.region.start.side_effect = None
    machine.region.is_any_running.return_value = True
    machine.region.age_s.return_value = 600.0


@pytest.mark.parametrize("at_start", [OLD, ""], ids=["the database's", "made by MAAS then"])
def test_a_rack_that_writes_the_file_first_hides_no_new_secret(machine: Machine, at_start: str):
    _begin_with(machine, at_start)
    machine.states = [replace(MIGRATED, shared_secret=OLD)]
    serving.ensure(WISH)
    machine.region.restart.assert_not_called()
    # The rack is on the same machine.
    machine.region.shared_secret.return_value = NEW
    machine.states = [replace(MIGRATED, shared_secret=NEW)]
    serving.ensure(replace(WISH, have_followed=lambda _: False))
    machine.region.restart.assert_not_called()
    serving.ensure(WISH)
    serving.ensure(WISH)
    machine.region.restart.assert_called_once_with()


def test_a_start_is_noted_before_a_rack_can_write_the_file(machine: Machine):
    _begin_with(machine, OLD)
    machine.region.shared_secret.return_value = NEW
    machine.states = [replace(MIGRATED, shared_secret=NEW)]
    serving.ensure(WISH)
    machine.region.restart.assert_called_once_with()


def test_what_another_service_starts_is_no_start_of_regiond(machine: Machine):
    _begin_with(machine, OLD)
    machine.states = [replace(MIGRATED, shared_secret=NEW)]
    machine.region.is_running.return_value = False
    serving.ensure(replace(WISH, have_followed=lambda _: False))
    assert machine.region.start.call_count == 2
    machine.region.is_running.return_value = True
    serving.ensure(WISH)
    machine.region.restart.assert_called_once_with()


def test_regiond_takes_a_secret_once_though_another_service_fails(machine: Machine):
    _begin_with(machine, OLD)
    machine.states = [replace(MIGRATED, shared_secret=NEW)]

    def fail() -> None:
        machine.begin()
        raise region.RegionError("systemctl exited with 1")

    machine.region.restart.side_effect = fail
    assert serving.ensure(WISH).stage is Stage.FAILED
    assert serving.ensure(WISH).stage is Stage.SERVING
    machine.region.restart.assert_called_once_with()


def test_a_restored_databases_secret_is_adopted_and_not_replaced(machine: Machine):
    machine.states = [replace(MIGRATED, shared_secret=NEW)]
    assert serving.ensure(WISH).shared_secret == NEW
    machine.region.restart.assert_called_once_with()
    assert serving.ensure(WISH).shared_secret == NEW
    machine.region.restart.assert_called_once_with()


@pytest.mark.parametrize(("own", "database_has"), [(OLD, OLD), (OLD, ""), ("", NEW)])
def test_a_region_with_the_databases_secret_or_none_yet_is_left_alone(
    machine: Machine, own: str, database_has: str
):
    machine.region.shared_secret.return_value = own
    machine.states = [replace(MIGRATED, shared_secret=database_has)]
    assert serving.ensure(WISH).stage is Stage.SERVING
    machine.region.restart.assert_not_called()


def test_a_hook_waits_for_no_other_units_migration(machine: Machine):
    machine.states = [database.State(migrating_unit="maas-region/0")]
    machine.jobs = [True]
    outcome = serving.ensure(WISH)
    assert outcome == serving.Outcome(Stage.ELSEWHERE, "maas-region/0 migrates the database")
    machine.region.start.assert_not_called()


def test_a_long_migration_outlives_the_hook(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    machine.states = [database.State(migrating_unit=WISH.unit)]
    machine.jobs = [True]
    monkeypatch.setattr(migration, "WAIT_S", 0.01)
    assert serving.ensure(WISH).stage is Stage.MIGRATING
    machine.region.start.assert_not_called()


def test_a_database_that_goes_away_meanwhile_is_waited_for(machine: Machine):
    gone = database.DatabaseError("gone")
    machine.states = [database.State(), gone, gone, MIGRATED]
    machine.jobs = [True, True, True, False]
    assert serving.ensure(WISH).stage is Stage.SERVING


def test_a_failed_migration_says_where_to_look(machine: Machine):
    machine.states = [database.State()]
    outcome = serving.ensure(WISH)
    assert outcome.stage is Stage.FAILED
    assert "journalctl -u maas-region-migrate.service" in outcome.detail
    machine.region.start.assert_not_called()


def test_another_clusters_database_is_refused(machine: Machine):
    outcome = serving.ensure(replace(WISH, expected_cluster="0ee85464"))
    assert outcome.stage is Stage.REFUSED
    assert CLUSTER in outcome.detail
    machine.start.assert_not_called()


@pytest.mark.parametrize(
    ("holds", "is_stopped"),
    [
        (MIGRATED, True),
        (database.State(is_empty=False), True),
        # MAAS can do nothing there, and goes on once its database is back.
        (database.State(), False),
    ],
    ids=["another cluster", "an unmarked MAAS", "nothing"],
)
def test_no_region_serves_another_clusters_database(
    machine: Machine, holds: database.State, is_stopped: bool
):
    machine.states = [holds]
    outcome = serving.ensure(replace(WISH, expected_cluster="0ee85464"))
    assert outcome.stage is Stage.REFUSED
    assert machine.region.stop.called is is_stopped
    machine.region.start.assert_not_called()


@pytest.mark.parametrize(
    ("holder", "told"),
    [
        ("charmed-maas restart maas-region/2", "maas-region/2 has it"),
        ("charmed-maas pause maas-region/1", "maas-region/1 has it"),
        ("charmed-maas leave", "a region that leaves has it"),
        ("", ""),
    ],
)
def test_who_has_the_turn_is_told_by_those_that_wait_for_it(
    machine: Machine, holder: str, told: str
):
    machine.region.is_configured.return_value = False
    machine.free = False
    machine.holder = holder
    assert serving.ensure(WISH) == serving.Outcome(Stage.QUEUED, told)


def test_a_changed_url_restarts_when_it_is_this_units_turn(machine: Machine):
    machine.region.is_configured.return_value = False
    machine.free = False
    assert serving.ensure(WISH).stage is Stage.QUEUED
    machine.region.ensure_config.assert_not_called()

    machine.free = True
    assert serving.ensure(WISH).stage is Stage.SERVING
    machine.region.restart.assert_called_once_with()


def test_in_its_turn_a_region_drains_and_keeps_it_until_haproxy_sends_requests_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    machine.region.is_configured.return_value = False
    told = mock.MagicMock()
    told.attach_mock(machine.traffic.drain, "drain")
    told.attach_mock(machine.region.restart, "restart")
    told.attach_mock(machine.wait, "wait")
    told.attach_mock(machine.traffic.take, "take")
    monkeypatch.setattr("time.sleep", told.sleep)

    @contextlib.contextmanager
    def connect(_: object, name: str) -> Iterator[None]:
        yield
        if "restart" in name:
            told.end_of_turn()

    monkeypatch.setattr(database, "connect", connect)
    serving.ensure(replace(WISH, others=("10.0.0.12",)))
    turn = [one[0] for one in told.mock_calls if one[0]]
    assert turn[: turn.index("end_of_turn")] == ["drain", "restart", "wait", "take", "sleep"]


@pytest.mark.parametrize("addresses", [(), ("10.0.0.13",)])
def test_where_no_other_region_answers_a_drain_would_be_an_outage(
    machine: Machine, addresses: tuple[str, ...]
):
    machine.region.is_configured.return_value = False
    serving.ensure(replace(WISH, others=addresses))
    machine.region.restart.assert_called_once_with()
    machine.traffic.drain.assert_not_called()


def test_the_next_region_restarts_only_once_the_one_before_serves(machine: Machine):
    machine.region.is_configured.return_value = False
    machine.there["10.0.0.13"] = Found.BEHIND
    wish = replace(WISH, others=("10.0.0.12", "10.0.0.13"))
    assert serving.ensure(wish) == serving.Outcome(
        Stage.QUEUED, "MAAS on 10.0.0.13 does not serve"
    )
    machine.region.restart.assert_not_called()
    machine.region.ensure_config.assert_not_called()

    machine.there["10.0.0.13"] = Found.ABSENT
    assert serving.ensure(wish).stage is Stage.SERVING
    machine.region.restart.assert_called_once_with()


def test_a_region_that_does_not_serve_waits_for_none_that_does_not_either(machine: Machine):
    machine.region.is_configured.return_value = False
    machine.there["10.0.0.13"] = Found.BEHIND
    machine.problem = "MAAS answers 502"
    serving.ensure(replace(WISH, others=("10.0.0.13",)))
    machine.region.restart.assert_called_once_with()


@pytest.mark.parametrize("version", ["1:3.7.2", "1:3.8.0"])
def test_no_region_runs_on_another_versions_schema_while_it_waits_for_the_others(
    machine: Machine, version: str
):
    machine.states = [replace(MIGRATED, version=version)]
    with mock.patch.object(migration, "is_newer", lambda *_: version == "1:3.7.2"):
        outcome = serving.ensure(replace(WISH, versions={"maas-region/0": "1:3.7.2"}))
    assert outcome.stage is Stage.REFUSED
    machine.region.stop.assert_called_once_with()
    machine.start.assert_not_called()


def test_a_region_pauses_in_its_turn_where_another_serves(machine: Machine):
    pause = (WISH.login, WISH.unit, ["10.0.0.12"])
    machine.free = False
    assert "another region restarts" in serving.pause_in_turn(*pause)
    machine.free = True
    machine.there["10.0.0.12"] = Found.BEHIND
    assert "no other region serves" in serving.pause_in_turn(*pause)
    machine.region.stop.assert_not_called()
    machine.there["10.0.0.12"] = Found.SERVES
    assert serving.pause_in_turn(*pause) == ""
    machine.traffic.drain.assert_called_once_with()
    machine.region.stop.assert_called_once_with()


def test_a_region_that_does_not_stop_takes_requests_again_and_says_why(machine: Machine):
    machine.region.stop.side_effect = region.RegionError("systemctl exited with 1: no")
    said = serving.pause_in_turn(WISH.login, WISH.unit, ["10.0.0.12"])
    assert said == "systemctl exited with 1: no; regiond: OSError: x"
    # Also at the next boot, and with what had stopped before systemd refused.
    machine.region.start.assert_called_once_with()
    machine.traffic.take.assert_called_once_with()


def test_a_paused_region_that_does_not_stop_stays_drained(machine: Machine):
    machine.region.stop.side_effect = region.RegionError("systemctl exited with 1: no")
    assert serving.pause() == serving.Outcome(
        Stage.FAILED, "systemctl exited with 1: no", cause="regiond: OSError: x"
    )
    machine.traffic.take.assert_not_called()


def test_what_does_not_stop_without_a_database_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    stop = mock.Mock(side_effect=systemd.SystemdError("systemctl exited with 1: no"))
    monkeypatch.setattr(db_proxy, "stop", stop)
    assert serving.stop() == serving.Outcome(
        Stage.FAILED, "systemctl exited with 1: no", cause="proxy: Address already in use"
    )
    machine.region.stop.side_effect = region.RegionError("systemctl did not end within 90 s")
    failure = serving.stop()
    assert failure
    assert failure.detail == "systemctl did not end within 90 s"
    stop.assert_called_once_with()


def test_a_region_does_not_pause_while_nobody_can_tell_whose_turn_it_is(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    away = mock.Mock(side_effect=database.DatabaseError("away"))
    monkeypatch.setattr(database, "connect", away)
    said = serving.pause_in_turn(WISH.login, WISH.unit, ["10.0.0.12"])
    assert said == "the database does not answer: away"
    machine.region.stop.assert_not_called()


def test_a_region_that_comes_late_does_not_stay_drained(machine: Machine):
    machine.region.is_configured.return_value = False
    machine.wait.return_value = "MAAS answers 502"
    wish = replace(WISH, others=("10.0.0.12",))
    assert serving.ensure(wish).stage is Stage.UNHEALTHY
    machine.traffic.drain.assert_called_once_with()
    machine.traffic.take.assert_called_with()


def test_a_region_whose_drain_was_cut_short_takes_requests_while_it_waits_for_its_turn(
    machine: Machine,
):
    machine.region.is_configured.return_value = False
    machine.free = False
    assert serving.ensure(WISH).stage is Stage.QUEUED
    machine.traffic.take.assert_called_once_with()


def test_a_region_that_does_not_start_does_not_stay_drained(machine: Machine):
    machine.region.is_configured.return_value = False
    machine.region.restart.side_effect = region.RegionError("maas-regiond.service failed")
    wish = replace(WISH, others=("10.0.0.12",))
    assert serving.ensure(wish).stage is Stage.FAILED
    machine.traffic.drain.assert_called_once_with()
    machine.traffic.take.assert_called_once_with()


def test_what_a_killed_hook_left_drained_takes_requests_at_the_next_event(machine: Machine):
    assert serving.ensure(WISH).stage is Stage.SERVING
    machine.traffic.take.assert_called_once_with()


@pytest.fixture
def leaving(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine that serves and is to leave; the clock goes on by ten seconds a look."""
    clock = itertools.count(step=10)
    monkeypatch.setattr(turns, "time", mock.Mock(monotonic=lambda: next(clock)))
    monkeypatch.setattr(turns, "region", machine.region)
    monkeypatch.setattr(db_proxy, "remove", lambda: None)
    monkeypatch.setattr(migration, "login_from_config", lambda: WISH.login)
    return machine


def test_who_leaves_waits_for_its_turn(leaving: Machine, monkeypatch: pytest.MonkeyPatch):
    answers = [False, False, True]
    held = list[bool]()
    closed = list[bool]()

    @contextlib.contextmanager
    def connect(*_: object) -> Iterator[None]:
        yield
        closed.append(True)

    monkeypatch.setattr(database, "connect", connect)
    monkeypatch.setattr(database, "try_lock", lambda *_: answers.pop(0))
    leaving.region.stop.side_effect = lambda: held.append(not answers and not closed)
    serving.leave()
    assert held == [True]
    assert closed == [True]


def test_who_leaves_goes_in_the_end_though_its_turn_does_not_come(
    leaving: Machine, caplog: pytest.LogCaptureFixture
):
    leaving.free = False
    serving.leave()
    leaving.region.stop.assert_called_once_with()
    leaving.region.forget.assert_called_once_with()
    assert "leaves while another region restarts" in caplog.text


@pytest.mark.parametrize("error", [database.DatabaseError("away"), FileNotFoundError("no config")])
def test_who_leaves_without_a_database_waits_for_nobody(
    leaving: Machine, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    monkeypatch.setattr(database, "connect", mock.Mock(side_effect=error))
    serving.leave()
    leaving.region.stop.assert_called_once_with()
    leaving.region.forget.assert_called_once_with()


def test_a_database_that_fails_over_while_a_region_waits_for_its_turn_keeps_it_no_longer(
    leaving: Machine, monkeypatch: pytest.MonkeyPatch
):
    breaks = mock.Mock(side_effect=psycopg2.OperationalError("server closed the connection"))

    @contextlib.contextmanager
    def connect(*_: object) -> Iterator[None]:
        try:
            yield
        except psycopg2.Error as error:
            raise database.DatabaseError(str(error)) from error

    monkeypatch.setattr(database, "connect", connect)
    monkeypatch.setattr(database, "try_lock", breaks)
    serving.leave()
    leaving.region.stop.assert_called_once_with()
    leaving.region.forget.assert_called_once_with()


def test_who_leaves_forgets_which_maas_it_was_though_systemd_refuses_to_stop_it(
    leaving: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    remove = mock.Mock(side_effect=systemd.SystemdError("no proxy"))
    monkeypatch.setattr(db_proxy, "remove", remove)
    leaving.region.stop.side_effect = region.RegionError("no regiond")
    serving.leave()
    remove.assert_called_once_with()
    leaving.region.forget.assert_called_once_with()
    assert "leaves in any case: no regiond" in caplog.text
    assert "leaves in any case: no proxy" in caplog.text


def test_a_region_that_does_not_run_leaves_without_a_turn(leaving: Machine):
    leaving.region.is_any_running.return_value = False
    leaving.free = False
    serving.leave()
    leaving.region.stop.assert_called_once_with()
    turns.time.sleep.assert_not_called()  # type: ignore[attr-defined]


@pytest.mark.parametrize("verb", [serving.pause, serving.leave])
def test_where_systemd_does_not_tell_what_runs_it_is_taken_to(
    leaving: Machine, verb: Callable[[], None]
):
    no_answer = region.RegionError("systemctl did not end within 60 s")
    leaving.region.is_any_running.side_effect = no_answer
    verb()
    leaving.traffic.drain.assert_called_once_with()
    leaving.region.stop.assert_called_once_with()


@pytest.mark.parametrize("verb", [serving.pause, serving.leave])
def test_it_drains_before_it_stops(leaving: Machine, verb: Callable[[], None]):
    machine = leaving
    machine.region.stop.side_effect = machine.traffic.drain.assert_called_once_with
    verb()
    machine.region.stop.assert_called_once_with()

    machine.region.is_any_running.return_value = False
    machine.traffic.drain.reset_mock()
    machine.region.stop.side_effect = None
    verb()
    machine.traffic.drain.assert_not_called()


def test_new_settings_reach_a_regiond_that_runs_beside_a_dead_service(machine: Machine):
    machine.region.is_configured.return_value = False
    machine.region.is_running.return_value = False
    machine.region.is_any_running.return_value = True
    machine.free = False
    assert serving.ensure(WISH).stage is Stage.QUEUED

    machine.free = True
    assert serving.ensure(WISH).stage is Stage.SERVING
    machine.region.restart.assert_called_once_with()
    machine.region.start.assert_not_called()


def test_a_dead_service_is_started_and_the_others_go_on(machine: Machine):
    machine.region.is_running.return_value = False
    assert serving.ensure(WISH).stage is Stage.SERVING
    machine.region.start.assert_called_once_with()
    machine.region.restart.assert_not_called()


def test_a_region_that_does_not_run_needs_no_turn(machine: Machine):
    machine.region.is_configured.return_value = False
    machine.region.is_running.return_value = False
    machine.region.is_any_running.return_value = False
    machine.free = False
    assert serving.ensure(WISH).stage is Stage.SERVING
    machine.region.start.assert_called_once_with()


def test_no_primary_is_told_from_a_refusal(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    machine.states = [database.DatabaseError("password authentication failed")]
    assert serving.ensure(WISH).detail == "password authentication failed"
    monkeypatch.setattr(db_proxy, "no_primary", lambda: db_proxy.NO_PRIMARY)
    outcome = serving.ensure(WISH)
    assert outcome == serving.Outcome(Stage.UNREACHABLE, "no member of it is primary now")
    machine.region.stop.assert_not_called()


def test_a_bind_that_does_not_start_keeps_no_region_from_serving(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    refused = mock.Mock(side_effect=region.RegionError("systemctl exited with 1"))
    monkeypatch.setattr(named, "ensure_options", refused)
    monkeypatch.setattr(named, "first_cause", lambda: "named: /etc/bind/x:1: unknown option")
    outcome = serving.ensure(WISH)
    assert outcome.is_serving
    assert outcome.detail == (
        "MAAS's DNS: systemctl exited with 1; named: /etc/bind/x:1: unknown option"
    )


def test_a_region_that_does_not_serve_is_told(machine: Machine):
    machine.wait.return_value = "MAAS answers 502"
    outcome = serving.ensure(WISH)
    assert outcome == serving.Outcome(
        Stage.UNHEALTHY, "MAAS answers 502", CLUSTER, "regiond: OSError: x"
    )


def test_a_failing_command_is_told(machine: Machine):
    machine.proxy.side_effect = db_proxy.ProxyError("haproxy exited with 1")
    assert serving.ensure(WISH) == serving.Outcome(
        Stage.FAILED, "haproxy exited with 1", cause="proxy: Address already in use"
    )


def test_why_maas_does_not_start_is_told(machine: Machine):
    machine.region.is_any_running.return_value = False
    machine.region.start.side_effect = region.RegionError("systemctl exited with 1")
    assert serving.ensure(WISH) == serving.Outcome(
        Stage.FAILED, "systemctl exited with 1", cause="regiond: OSError: x"
    )
