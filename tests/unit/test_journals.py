# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What is read of a journal, with the shells in between, and the words of the watchdog itself."""

import json
import subprocess
from pathlib import Path
from typing import Any

import journals
import pytest

from charmed_maas import watchdog

# Like journalctl -g on a journal of JSON lines, and it notes how it was called.
JOURNALCTL = """#!/bin/sh
printf "%s\\n" "$@" >"$(dirname $0)/called"
while [ "$1" != -g ]; do shift; done
grep -E "$(printf %s "$2" | sed 's/^^/"MESSAGE": "/')" "$(dirname $0)/journal"
"""
UNIT = "haproxy-vip/0"


class Machine:
    """A machine that has a journal, reached by way of two shells."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "journalctl").write_text(JOURNALCTL)
        (directory / "journalctl").chmod(0o755)

    def says(self, *lines: tuple[float, str]) -> None:
        rows = [{"MESSAGE": said, "__REALTIME_TIMESTAMP": f"{at * 1e6:.0f}"} for at, said in lines]
        (self._directory / "journal").write_text("".join(json.dumps(row) + "\n" for row in rows))

    @property
    def called(self) -> list[str]:
        return (self._directory / "called").read_text().splitlines()

    def on_machine(self, unit: str, command: str) -> str:
        env = {"PATH": f"{self._directory}:/usr/bin:/bin"}
        argv = ["sh", "-c", f"sh -c '{command}'"]
        return subprocess.run(argv, env=env, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def machine(tmp_path: Path) -> Any:
    return Machine(tmp_path)


def test_words_with_spaces_are_found_since_then_in_order(machine: Any):
    machine.says(
        (20.5, "rack-1 is promoted"), (10.2, "rack-1 is promoted"), (20.6, "rack-1 is whole")
    )
    found = journals.told(machine, [UNIT, UNIT], ["a", "b"], "rack-1 is promoted", 20.4)
    assert found == [journals.Line(20.5, "rack-1 is promoted")] * 2
    assert machine.called[:-1] == ["-q", "-o", "json", "--since=@20", "-u", "a", "-u", "b", "-g"]


def test_that_nothing_was_said_is_no_error(machine: Any):
    machine.says((1, "something else"))
    assert journals.told(machine, [UNIT], ["a"], "rack-1 is promoted", 0) == []


def test_a_kill_is_read_in_the_words_of_the_watchdog(
    machine: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def systemctl(*arguments: str) -> str:
        return ""

    monkeypatch.setattr(watchdog, "_systemctl", systemctl)
    said: list[str] = []
    for name in ("keepalived.service", "haproxy.service"):
        unit = watchdog.Unit(1, restarts=True)
        watchdog._kill(watchdog.Service(name), unit, "has not run for 21 s")
        said.append(capsys.readouterr().out.strip().removeprefix("<4>"))
    machine.says(*((50 + n, words) for n, words in enumerate(said)), (60, "keepalived.service up"))
    assert journals.kills(machine, UNIT, "keepalived.service", 40) == [journals.Kill(50, 21)]
    assert "haproxy-vip-watchdog.service" in machine.called
