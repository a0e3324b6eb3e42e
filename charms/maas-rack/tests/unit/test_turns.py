# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Who restarts when: a rack's wait, and many racks that follow a new URL."""

import itertools
import random
from collections.abc import Collection
from pathlib import Path

import pytest

import peers
import rack
import turns

OLD, WANTED = peers.Started("http://old/MAAS", "a"), peers.Started("http://new/MAAS", "a")
# Juju's own, between two update-status; a hook that restarts rackd waits at most so long for it.
LOOK_S, RESTART_S = 300, int(rack.SETTLE_TIMEOUT_S)
FIRST = 1_000_000


@pytest.fixture(autouse=True)
def waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(turns, "WAITING", tmp_path / "waiting-since")


class Racks:
    """Units that look at every change of a databag and at update-status, each on a machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int) -> None:
        self._set, self._path = monkeypatch.setattr, tmp_path
        self.now = FIRST
        self.published = {f"r/{number}": OLD for number in range(count)}
        # As seeds, so that a failure can be seen again.
        offsets = random.Random(count)
        self._looks = {name: self.now + offsets.randrange(LOOK_S) for name in self.published}
        self.busy: dict[str, int] = {}
        self.started: dict[str, int] = {}
        self.most_at_once = 0
        self._set(turns.time, "time", lambda: float(self.now))

    def run(self, dead: Collection[str]) -> None:
        living = [name for name in self.published if name not in dead]
        changed = True
        while any(self.published[name] != WANTED for name in living):
            for name in living:
                is_due = self.now >= self._looks[name]
                if is_due:
                    self._looks[name] += LOOK_S
                if (changed or is_due) and name not in self.started and self._goes(name):
                    self.started[name] = self.now
                    self.busy[name] = self.now + RESTART_S
                    self.most_at_once = max(self.most_at_once, len(self.busy))
            self.now += 1
            ended = [name for name, end in self.busy.items() if end <= self.now]
            for name in ended:
                del self.busy[name]
                self.published[name] = WANTED
            changed = bool(ended)

    def _goes(self, name: str) -> bool:
        self._set(turns, "WAITING", self._path / name)
        others = {other: one for other, one in self.published.items() if other != name}
        ahead = peers.ahead(others, name, WANTED)
        return not ahead or turns.waited_long(ahead)


@pytest.mark.parametrize("count", [8, 20])
def test_racks_restart_one_after_the_other_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int
):
    racks = Racks(monkeypatch, tmp_path, count)
    racks.run(dead=())
    assert list(racks.started) == list(racks.published)
    assert racks.most_at_once == 1
    assert racks.now - FIRST == count * RESTART_S


@pytest.mark.parametrize("count", [8, 20])
@pytest.mark.parametrize("dead", [["r/0"], ["r/3"], ["r/0", "r/5"]])
def test_behind_a_dead_machine_never_two_restart_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int, dead: list[str]
):
    racks = Racks(monkeypatch, tmp_path, count)
    racks.run(dead)
    assert list(racks.started) == [name for name in racks.published if name not in dead]
    assert racks.most_at_once == 1


def test_one_dead_machine_delays_each_rack_behind_it_by_one_wait(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    racks = Racks(monkeypatch, tmp_path, 8)
    racks.run(["r/3"])
    times = list(racks.started.values())
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert gaps[:2] == [RESTART_S] * 2
    for gap in gaps[2:]:
        # It goes at the first look after the wait.
        assert turns.MAX_WAIT_S < gap - RESTART_S <= turns.MAX_WAIT_S + LOOK_S


def test_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch):
    now = [1000.0]
    monkeypatch.setattr(turns.time, "time", lambda: now[0])
    assert not turns.waited_long(["r/0"])
    now[0] += turns.MAX_WAIT_S
    assert not turns.waited_long(["r/0"])
    now[0] += 1
    assert turns.waited_long(["r/0"])
    assert turns.end_wait()
    assert not turns.waited_long(["r/0"])


def test_a_wait_begins_anew_behind_others(monkeypatch: pytest.MonkeyPatch):
    now = [1000.0]
    monkeypatch.setattr(turns.time, "time", lambda: now[0])
    assert not turns.waited_long(["r/0", "r/1"])
    now[0] += turns.MAX_WAIT_S + 1
    assert not turns.waited_long(["r/1", "r/0"]), "the one before this goes first"
    now[0] += turns.TURN_S
    assert not turns.waited_long(["r/0"])
    assert not turns.waited_long(["r/1"])
    now[0] += turns.MAX_WAIT_S + 1
    assert turns.waited_long(["r/1"])


def test_a_wait_that_began_while_the_clock_was_ahead_begins_anew(monkeypatch: pytest.MonkeyPatch):
    now = [9000.0]
    monkeypatch.setattr(turns.time, "time", lambda: now[0])
    turns.waited_long(["r/0"])
    now[0] = 1000.0
    assert not turns.waited_long(["r/0"])
    now[0] += turns.MAX_WAIT_S + 1
    assert turns.waited_long(["r/0"])


def test_a_wait_that_ended_without_a_restart_is_forgotten(monkeypatch: pytest.MonkeyPatch):
    assert not turns.end_wait()
    monkeypatch.setattr(turns.time, "time", lambda: 1000.0)
    assert not turns.waited_long(["r/0"])
    assert turns.end_wait()
    monkeypatch.setattr(turns.time, "time", lambda: 1e6)
    assert not turns.waited_long(["r/0"])


@pytest.mark.parametrize("left", ["1000\n", "", "[]", "{"])
def test_whatever_an_earlier_revision_noted_a_wait_begins(
    monkeypatch: pytest.MonkeyPatch, left: str
):
    monkeypatch.setattr(turns.time, "time", lambda: 9000.0)
    turns.WAITING.write_text(left)
    assert not turns.waited_long(["r/0"])
    monkeypatch.setattr(turns.time, "time", lambda: 9001.0 + turns.MAX_WAIT_S)
    assert turns.waited_long(["r/0"])
