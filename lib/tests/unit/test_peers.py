# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import datetime
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from ops import hookcmds

from charmed_maas import peers


@dataclass(frozen=True)
class Named:
    """What of a unit is looked at."""

    name: str


def _relation(*names: str) -> Any:
    return SimpleNamespace(units={Named(name) for name in names})


def _goals(monkeypatch: pytest.MonkeyPatch, **statuses: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    goals = {
        name.replace("_", "/"): hookcmds.Goal(status=status, since=now)
        for name, status in statuses.items()
    }
    answer = hookcmds.GoalState(units=goals, relations={})
    monkeypatch.setattr(hookcmds, "goal_state", lambda: answer)


def test_a_unit_that_relation_list_remembers_but_that_is_gone_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
):
    _goals(monkeypatch, a_0="active", a_10="active", a_9="allocating", a_3="dying")
    found = peers.living_units(_relation("a/10", "a/9", "a/3", "a/4"))
    assert [unit.name for unit in found] == ["a/9", "a/10"]


def test_without_a_relation_there_are_no_peers():
    assert peers.living_units(None) == []
