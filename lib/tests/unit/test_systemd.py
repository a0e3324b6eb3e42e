# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from charmed_maas import commands, systemd

UNIT = "x.service"


class FakeSystemctl:
    """systemctl's answers, by verb; what it was told to change."""

    def __init__(self) -> None:
        self.says = {"is-active": "inactive", "is-enabled": "disabled"}
        self.did: list[Sequence[str]] = []
        self.asked = 0
        self.fails = False
        self.killed_at = ""
        self.since_us = 0

    def run(self, argv: Sequence[str], *, check: bool = True, **_: object):
        verb = argv[1]
        if verb == "show":
            self.asked += 1
            active, enabled = self.says["is-active"], self.says["is-enabled"]
            since = f"ActiveEnterTimestampMonotonic={self.since_us}\n" if self.since_us else ""
            text = f"ActiveState={active}\nUnitFileState={enabled}\n{since}"
            return subprocess.CompletedProcess(argv, 0, text, "")
        if verb == self.killed_at:
            raise KeyboardInterrupt
        if verb in self.says:
            assert not check, "systemctl exits with more than 0 for no"
            return subprocess.CompletedProcess(argv, 3, f"{self.says[verb]}\n", "")
        self.did.append(argv[1:])
        if self.fails:
            raise commands.CommandError("systemctl exited with 1: Job failed")
        return subprocess.CompletedProcess(argv, 0, "", "")


@pytest.fixture
def systemctl(monkeypatch: pytest.MonkeyPatch) -> FakeSystemctl:
    fake = FakeSystemctl()
    monkeypatch.setattr(commands, "run", fake.run)
    return fake


@pytest.mark.parametrize(
    ("state", "running"),
    [("active", True), ("activating", True), ("failed", False), ("inactive", False), ("", False)],
)
def test_a_service_that_is_about_to_run_runs(systemctl: FakeSystemctl, state: str, running: bool):
    systemctl.says["is-active"] = state
    assert systemd.is_running(UNIT) == running


def test_enabling_and_disabling_touch_only_what_differs(systemctl: FakeSystemctl):
    assert not systemd.disable(UNIT)
    assert systemd.enable(UNIT)
    systemctl.says["is-enabled"] = "enabled"
    assert not systemd.enable(UNIT)
    assert systemd.disable(UNIT)
    assert systemctl.did == [["enable", "--quiet", UNIT], ["disable", "--quiet", UNIT]]


@pytest.mark.parametrize(("state", "stopped"), [("inactive", False), ("activating", True)])
def test_only_a_service_that_runs_is_stopped(systemctl: FakeSystemctl, state: str, stopped: bool):
    systemctl.says["is-active"] = state
    assert systemd.stop(UNIT) == stopped
    assert bool(systemctl.did) == stopped


@pytest.mark.parametrize("verb", [systemd.start, systemd.restart, systemd.reload])
def test_a_service_that_fails_says_what_systemctl_said(
    systemctl: FakeSystemctl, verb: Callable[[str], None]
):
    verb(UNIT)
    systemctl.fails = True
    with pytest.raises(systemd.SystemdError, match="Job failed"):
        verb(UNIT)


@pytest.mark.parametrize(
    ("active", "enabled", "told"),
    [
        ("active", "enabled", []),
        ("active", "disabled", ["enable"]),
        ("failed", "enabled", ["start"]),
        ("inactive", "", ["enable", "start"]),
    ],
)
def test_what_runs_and_is_enabled_costs_one_question(
    systemctl: FakeSystemctl, active: str, enabled: str, told: list[str]
):
    systemctl.says.update({"is-active": active, "is-enabled": enabled})
    assert systemd.ensure_running(UNIT) == ("start" in told)
    assert [verb for verb, *_ in systemctl.did] == told
    assert systemctl.asked == 1


def test_what_systemd_does_not_know_is_empty(systemctl: FakeSystemctl):
    assert systemd.show(UNIT, "ActiveState", "X") == {
        "ActiveState": "inactive",
        "UnitFileState": "disabled",
        "X": "",
    }


@pytest.mark.parametrize(
    ("state", "since_us", "age_s"),
    [("active", 40_000_000, 60), ("inactive", 40_000_000, 0), ("active", 0, 0)],
)
def test_the_age_is_that_of_a_running_service(
    systemctl: FakeSystemctl,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    since_us: int,
    age_s: int,
):
    monkeypatch.setattr(systemd.time, "monotonic", lambda: 100.0)
    systemctl.says["is-active"], systemctl.since_us = state, since_us
    assert systemd.age_s(UNIT) == age_s


def test_a_unit_is_stopped_for_good_where_it_has_a_file(systemctl: FakeSystemctl, tmp_path: Path):
    systemd.ensure_stopped(tmp_path / UNIT)
    assert not systemctl.did
    (tmp_path / UNIT).touch()
    systemd.ensure_stopped(tmp_path / UNIT)
    assert systemctl.did == [["disable", "--quiet", "--now", UNIT]]


def test_services_are_masked_once(
    systemctl: FakeSystemctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(systemd, "UNITS", tmp_path)
    systemd.mask(UNIT, "y.service")
    (tmp_path / UNIT).symlink_to("/dev/null")
    systemd.mask(UNIT, "y.service")
    (tmp_path / "y.service").symlink_to("/dev/null")
    systemd.mask(UNIT, "y.service")
    assert systemctl.did == [
        ["mask", "--quiet", UNIT, "y.service"],
        ["mask", "--quiet", "y.service"],
    ]


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[Path, str]:
    """Unit files that are to be there."""
    monkeypatch.setattr("charmed_maas.files.os.fchown", lambda *_: None)
    monkeypatch.setattr("charmed_maas.files.os.chown", lambda *_: None)
    return {tmp_path / f"x.{kind}": f"[{kind}]\n" for kind in ("service", "timer")}


def ensure(units: dict[Path, str]) -> bool:
    return systemd.ensure_files(units, then=lambda: systemd.restart(UNIT))


def written(directory: Path) -> dict[Path, tuple[int, int]]:
    """Return each file's inode and modification time; reading a file changes neither."""
    stats = {path: path.stat() for path in directory.iterdir()}
    return {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in stats.items()}


def test_systemd_reads_unit_files_once_and_then_comes_what_they_are_for(
    systemctl: FakeSystemctl, units: dict[Path, str]
):
    assert ensure(units)
    assert systemctl.did == [["daemon-reload"], ["restart", UNIT]]
    assert {path: path.read_text() for path in units} == units
    (directory,) = {path.parent for path in units}
    before = written(directory)
    assert not ensure(units)
    assert len(systemctl.did) == 2
    assert written(directory) == before
    assert ensure(dict.fromkeys(units, "other\n"))
    assert systemctl.did[2:] == [["daemon-reload"], ["restart", UNIT]]


@pytest.mark.parametrize("moment", ["daemon-reload", "restart"])
def test_unit_files_that_a_killed_hook_only_wrote_are_in_force_after_the_next(
    systemctl: FakeSystemctl, units: dict[Path, str], moment: str
):
    ensure(units)
    systemctl.killed_at = moment
    changed = dict.fromkeys(units, "other\n")
    with pytest.raises(KeyboardInterrupt):
        ensure(changed)
    systemctl.killed_at = ""
    systemctl.did.clear()
    assert ensure(changed)
    assert systemctl.did == [["daemon-reload"], ["restart", UNIT]]
    assert not ensure(changed)


def test_systemd_forgets_unit_files_once(systemctl: FakeSystemctl, units: dict[Path, str]):
    assert not systemd.remove_files(*units)
    assert not systemctl.did
    ensure(units)
    systemctl.did.clear()
    assert systemd.remove_files(*units)
    assert systemctl.did == [["daemon-reload"]]
    (directory,) = {path.parent for path in units}
    assert not list(directory.iterdir())
    assert not systemd.remove_files(*units)


def test_a_removal_that_was_killed_is_finished_and_its_files_can_come_again(
    systemctl: FakeSystemctl, units: dict[Path, str]
):
    ensure(units)
    for _ in range(2):
        systemctl.killed_at = "daemon-reload"
        with contextlib.suppress(KeyboardInterrupt):
            systemd.remove_files(*units)
        systemctl.killed_at = ""
        assert ensure(units), "systemd may have forgotten them since"
    systemctl.killed_at = "daemon-reload"
    with contextlib.suppress(KeyboardInterrupt):
        systemd.remove_files(*units)
    systemctl.killed_at = ""
    assert systemd.remove_files(*units), "systemd has not forgotten them yet"


def test_unit_files_of_which_systemd_was_told_by_no_note_are_removed(
    systemctl: FakeSystemctl, units: dict[Path, str]
):
    for path, text in units.items():
        path.write_text(text)
    assert systemd.remove_files(*units)
    assert systemctl.did == [["daemon-reload"]]


def test_who_goes_takes_each_step_though_systemd_refuses_one(caplog: pytest.LogCaptureFixture):
    taken: list[str] = []

    def refused() -> None:
        raise systemd.SystemdError("systemctl exited with 1: no")

    told = systemd.try_each(lambda: taken.append("a"), refused, lambda: taken.append("b"))
    assert told == ["systemctl exited with 1: no"]
    assert taken == ["a", "b"]
    assert "systemctl exited with 1: no" in caplog.text

    def fails() -> None:
        raise ValueError("none of systemd's")

    with pytest.raises(ValueError, match="none of systemd"):
        systemd.try_each(fails, lambda: taken.append("c"))
    assert taken == ["a", "b"]
