# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from charmed_maas import commands, probes, watchdog

NAME = "x.service"
KILL = ["kill", "--signal=KILL", "--kill-whom=all", NAME]


class Machine:
    """A machine with one service, a clock, and systemd."""

    FOREVER = (0.0, 1e9)

    def __init__(self) -> None:
        self.now = 10_000.0
        self.started = 1_000.0
        self.state = "active"
        self.restart = "always"
        self.hangs = (0.0, 0.0)
        self.pauses: list[float] = []
        self.stopped = False
        self.pids = [7]
        self.switches = 0
        self.did: list[Sequence[str]] = []
        self.fails = False

    def run(self, argv: Sequence[str], **_: object):
        if self.fails:
            raise commands.CommandError("systemctl did not end within 60 s")
        if argv[1] != "show":
            self.did.append(argv[1:])
            return subprocess.CompletedProcess(argv, 0, "", "")
        text = (
            f"Restart={self.restart}\nActiveState={self.state}\n"
            f"ActiveEnterTimestampMonotonic={self.started * 1e6:.0f}\n"
        )
        return subprocess.CompletedProcess(argv, 0, text, "")

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Sleep, or for as long as the machine is frozen then; 0: systemd ends the run."""
        pause = self.pauses.pop(0) if self.pauses else seconds
        self.now += pause
        if not pause:
            raise SystemExit

    def answers(self) -> bool:
        return not self.hangs[0] <= self.now < self.hangs[1]

    def tick(self, *services: watchdog.Service, times: int = 1) -> None:
        for _ in range(times):
            with contextlib.suppress(SystemExit):
                watchdog.main("x", services)
            self.now += 10.0

    def service(
        self, *, ticks: bool = False, main_only: bool = False, condition: str = "/"
    ) -> watchdog.Service:
        return watchdog.Service(
            NAME,
            self.answers,
            ticks=ticks,
            main_only=main_only,
            condition=condition,
            grace_s=60,
        )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    found = Machine()
    monkeypatch.setattr(watchdog, "time", found)
    monkeypatch.setattr(watchdog, "RUN", str(tmp_path))
    monkeypatch.setattr(commands, "run", found.run)
    monkeypatch.setattr(probes, "processes", lambda _: found.pids)
    monkeypatch.setattr(probes, "any_stopped", lambda _: found.stopped)
    monkeypatch.setattr(probes, "switches", lambda _: found.switches)
    return found


def test_who_answers_costs_no_question_to_systemd(
    machine: Machine, capsys: pytest.CaptureFixture[str]
):
    machine.fails = True
    machine.tick(machine.service(), times=10)
    assert capsys.readouterr().out == ""


def test_who_has_not_answered_for_30_s_is_killed_once(
    machine: Machine, capsys: pytest.CaptureFixture[str]
):
    machine.hangs = machine.FOREVER
    machine.tick(machine.service())
    assert machine.did == [KILL]
    assert machine.now == 10_040
    said = "<4>x.service has not answered for 30 s: it is killed and started again\n"
    assert capsys.readouterr().out == said
    # systemd has not got to it yet, or it is stuck in the kernel.
    machine.tick(machine.service(), times=5)
    assert machine.did == [KILL], "within its grace"
    machine.tick(machine.service())
    assert machine.did == [KILL, KILL]


def test_waiting_for_the_next_look_does_not_outlast_the_30_s(machine: Machine):
    def answers() -> bool:
        machine.now += 1.5
        return False

    machine.tick(watchdog.Service(NAME, answers))
    assert machine.did == [KILL]
    # The look that ended it began after exactly 30 s, and took 1.5 s.
    assert machine.now == 10_000 + 31.5 + 10


def test_who_is_given_less_time_is_killed_sooner(machine: Machine):
    machine.tick(watchdog.Service(NAME, lambda: False, hung_s=20.0))
    assert machine.did == [KILL]
    assert machine.now == 10_000 + 20 + 10


def test_an_answer_in_between_begins_anew(machine: Machine):
    machine.hangs = (10_000, 10_029)
    machine.tick(machine.service())
    machine.hangs = (machine.now, machine.now + 29)
    machine.tick(machine.service())
    assert machine.did == []


def test_a_machine_that_was_frozen_begins_anew(machine: Machine):
    machine.hangs = machine.FOREVER
    machine.pauses = [2, 2, 300]
    machine.tick(machine.service())
    assert machine.did == [KILL]
    assert machine.now == 10_000 + 304 + 30 + 10


def test_a_run_that_was_ended_is_continued_by_the_next(machine: Machine, tmp_path: Path):
    machine.hangs = machine.FOREVER
    machine.pauses = [2, 2, 0]
    machine.tick(machine.service(), times=2)
    assert machine.did == [KILL]
    assert machine.now == 10_000 + 30 + 10


def test_a_reboot_begins_anew(machine: Machine, tmp_path: Path):
    machine.hangs = machine.FOREVER
    machine.pauses = [2, 2, 0]
    machine.tick(machine.service())
    (tmp_path / "x-watchdog").unlink()
    machine.tick(machine.service())
    assert machine.now == 10_014 + 30 + 10


@pytest.mark.parametrize("text", ["x.service 1 2", "x.service a b c d", "\nx.service 1 2 3 4 5"])
def test_a_record_that_was_cut_short_is_none(machine: Machine, tmp_path: Path, text: str):
    (tmp_path / "x-watchdog").write_text(text)
    machine.tick(machine.service())
    assert (tmp_path / "x-watchdog").read_text() == "x.service 0 0 0 0"


@pytest.mark.parametrize("state", ["activating", "deactivating", "failed", "inactive"])
def test_who_starts_or_ends_is_left_alone(machine: Machine, state: str):
    machine.hangs, machine.state = machine.FOREVER, state
    machine.tick(machine.service(), times=10)
    assert machine.did == []


def test_a_reload_that_never_ends_is_a_hang(machine: Machine):
    machine.hangs, machine.state = machine.FOREVER, "reloading"
    machine.tick(machine.service())
    assert machine.did == [KILL]


def test_who_was_started_a_little_while_ago_is_left_alone(machine: Machine):
    machine.hangs, machine.started = machine.FOREVER, machine.now
    machine.tick(machine.service(), times=6)
    assert machine.did == []
    machine.tick(machine.service())
    assert machine.did == [KILL]


def test_who_has_no_process_is_not_asked(machine: Machine):
    machine.hangs, machine.pids = machine.FOREVER, []
    machine.tick(machine.service(), machine.service(ticks=True), times=10)
    assert machine.did == []


def test_anothers_daemon_is_left_alone(machine: Machine, tmp_path: Path):
    machine.hangs = machine.FOREVER
    mark = tmp_path / "drop-in"
    machine.tick(machine.service(condition=str(mark)), times=10)
    assert machine.did == []
    mark.touch()
    machine.tick(machine.service(condition=str(mark)))
    assert machine.did == [KILL]


def test_who_was_stopped_is_killed_whatever_else_answers(
    machine: Machine, capsys: pytest.CaptureFixture[str]
):
    machine.stopped = True
    machine.tick(machine.service())
    assert machine.did == [KILL]
    assert "has been stopped for 30 s" in capsys.readouterr().out


def test_of_patroni_only_patroni_is_looked_at_and_killed(machine: Machine):
    machine.stopped = True
    machine.tick(machine.service(main_only=True), times=10)
    assert machine.did == []
    machine.hangs = machine.FOREVER
    machine.tick(machine.service(main_only=True))
    assert machine.did == [["kill", "--signal=KILL", "--kill-whom=main", NAME]]


def test_who_should_tick_and_does_not_is_killed(machine: Machine):
    for _ in range(10):
        machine.switches += 5
        machine.tick(machine.service(ticks=True))
    assert machine.did == []
    machine.tick(machine.service(ticks=True))
    assert machine.did == [KILL]


@pytest.mark.parametrize("restart", ["no", "on-success"])
def test_who_systemd_does_not_start_again_is_started(machine: Machine, restart: str):
    machine.hangs, machine.restart = machine.FOREVER, restart
    machine.tick(machine.service())
    assert machine.did == [KILL, ["restart", "--no-block", NAME]]


def test_a_systemd_that_does_not_answer_is_told(
    machine: Machine, capsys: pytest.CaptureFixture[str]
):
    machine.hangs, machine.fails = machine.FOREVER, True
    machine.tick(machine.service(), times=5)
    assert capsys.readouterr().out.startswith("<4>systemctl did not end within 60 s\n")


def test_a_run_imports_next_to_nothing():
    loaded = "import sys, charmed_maas.watchdog; print(*sys.modules)"
    root = Path(watchdog.__file__).parents[1]
    argv = [sys.executable, "-S", "-c", loaded]
    done = subprocess.run(
        argv, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=True
    )
    heavy = {"jinja2", "json", "logging", "ops", "pathlib", "re", "ssl", "subprocess"}
    assert not heavy & set(done.stdout.split())
