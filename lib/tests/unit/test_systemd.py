# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import subprocess
from collections.abc import Callable, Sequence

import pytest

from charmed_maas import commands, systemd

UNIT = "x.service"


class FakeSystemctl:
    """systemctl's answers, by verb; what it was told to change."""

    def __init__(self) -> None:
        self.says = {"is-active": "inactive", "is-enabled": "disabled"}
        self.did: list[Sequence[str]] = []
        self.fails = False

    def run(self, argv: Sequence[str], *, check: bool = True, **_: object):
        verb = argv[1]
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


def test_unit_files_are_read_again(systemctl: FakeSystemctl):
    systemd.daemon_reload()
    assert systemctl.did == [["daemon-reload"]]
