# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import os
import pwd
import subprocess
from pathlib import Path

import pytest

import named
import region
from charmed_maas import commands


class Machine:
    """A machine on which MAAS writes what edit says into bind's options."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.edit = ""
        self.failure = ""
        self.killed_by = ""

    def run(self, argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.calls.append(argv)
        if self.killed_by in argv:
            raise KeyboardInterrupt
        if self.failure:
            raise commands.CommandError(self.failure)
        if "edit_named_options" in argv:
            named.OPTIONS.write_text(self.edit)
        return subprocess.CompletedProcess(argv, 0, stdout="", stderr="")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine whose bind has no options yet."""
    monkeypatch.setattr(named, "OPTIONS", tmp_path / "named.conf.options")
    monkeypatch.setattr(named, "OPTIONS_SEEN", tmp_path / "named-options-seen")
    me = pwd.getpwuid(os.getuid())
    monkeypatch.setattr("pwd.getpwnam", lambda _: me)
    machine = Machine()
    monkeypatch.setattr(commands, "run", machine.run)
    return machine


def test_options_are_edited_when_they_changed_and_named_restarts(machine: Machine):
    assert not named.ensure_options(), "without bind there is nothing to edit"
    named.OPTIONS.write_text("options { };\n")
    machine.edit = 'options { include "maas"; };\n'
    assert named.ensure_options()
    assert "--migrate-conflicting-options" in machine.calls[0]
    assert machine.calls[1] == [region.SYSTEMCTL, "restart", named.SERVICE]
    machine.calls.clear()
    assert not named.ensure_options()
    assert machine.calls == []

    named.OPTIONS.write_text(machine.edit + "// by hand\n")
    machine.edit = named.OPTIONS.read_text()
    assert named.ensure_options()
    assert len(machine.calls) == 1, "what is as it was restarts nothing"


def test_a_failing_edit_is_told(machine: Machine):
    named.OPTIONS.write_text("options { };\n")
    machine.failure = "maas-region exited with 1: no"
    with pytest.raises(region.RegionError, match="exited with 1: no"):
        named.ensure_options()


def test_named_restarts_in_the_next_hook_when_one_was_killed_after_the_edit(machine: Machine):
    named.OPTIONS.write_text("options { };\n")
    machine.edit = 'options { include "maas"; };\n'
    machine.killed_by = "restart"
    with pytest.raises(KeyboardInterrupt):
        named.ensure_options()
    machine.killed_by = ""
    machine.calls.clear()
    assert named.ensure_options()
    assert [region.SYSTEMCTL, "restart", named.SERVICE] in machine.calls
    assert not named.ensure_options()
