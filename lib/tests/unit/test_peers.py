# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import datetime
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from ops import hookcmds

from charmed_maas import agents, peers


@dataclass(frozen=True)
class Named:
    """What of a unit is looked at."""

    name: str


def _relation(*names: str) -> Any:
    return SimpleNamespace(units={Named(name) for name in names})


def _goal_state(
    units: dict[str, str], relations: dict[str, dict[str, str]] | None = None
) -> hookcmds.GoalState:
    now = datetime.datetime.now(datetime.UTC)

    def goals(statuses: dict[str, str]) -> dict[str, hookcmds.Goal]:
        return {name: hookcmds.Goal(status=one, since=now) for name, one in statuses.items()}

    known = {name: goals(one) for name, one in (relations or {}).items()}
    return hookcmds.GoalState(units=goals(units), relations=known)


def _goals(monkeypatch: pytest.MonkeyPatch, **statuses: str) -> None:
    answer = _goal_state({name.replace("_", "/"): one for name, one in statuses.items()})
    monkeypatch.setattr(hookcmds, "goal_state", lambda: answer)


def test_a_unit_that_relation_list_remembers_but_that_is_gone_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
):
    _goals(monkeypatch, a_0="active", a_10="active", a_9="allocating", a_3="dying")
    found = peers.living_units(_relation("a/10", "a/9", "a/3", "a/4"))
    assert [unit.name for unit in found] == ["a/9", "a/10"]


def test_a_unit_on_its_way_out_is_present_until_it_is_gone(monkeypatch: pytest.MonkeyPatch):
    _goals(monkeypatch, a_0="active", a_10="active", a_3="dying", a_5="dead")
    found = peers.present_units(_relation("a/10", "a/3", "a/4", "a/5"), peers.goal_state())
    assert {unit.name: stays for unit, stays in found.items()} == {"a/3": False, "a/10": True}


def test_without_an_answer_every_peer_is_present():
    for goals in (_goal_state({}), None):
        found = peers.present_units(_relation("a/10", "a/3"), goals)
        assert {unit.name: stays for unit, stays in found.items()} == {"a/3": True, "a/10": True}
    assert peers.unlisted(_relation("a/10"), None) == set()


def test_a_dying_unit_that_is_listed_no_more_is_told_from_one_that_is_gone():
    goals = _goal_state({"a/10": "active", "a/3": "dying", "a/4": "dead", "a/5": "dying"})
    assert peers.unlisted(_relation("a/10", "a/5"), goals) == {"a/3"}


def test_a_unit_knows_that_it_leaves_also_when_all_do():
    goals = _goal_state({"a/0": "dying", "a/1": "active"})
    assert peers.is_leaving(goals, "a/0")
    assert not peers.is_leaving(goals, "a/1")
    assert peers.is_leaving(goals, "a/2")
    assert peers.is_leaving(_goal_state({"a/0": "dying"}), "a/0")
    assert not peers.is_leaving(_goal_state({}), "a/0")
    assert not peers.is_leaving(None, "a/0")


def test_who_is_on_the_machine_too_is_a_unit_that_stays_and_has_its_agent_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(agents, "AGENTS", tmp_path)
    for name in ("unit-a-1", "unit-a-2", "unit-a-4", "unit-a-b-3"):
        (tmp_path / name).mkdir()
    _goals(monkeypatch, a_1="dying", a_2="dying", a_3="active")
    assert peers.beside("a/1") == "", "one goes, one is elsewhere"
    _goals(monkeypatch, a_1="dying", a_3="active", a_4="waiting")
    assert peers.beside("a/1") == "a/4"
    _goals(monkeypatch, a_1="active")
    assert peers.beside("a/1") == ""
    refused = hookcmds.Error(
        returncode=1, cmd=["goal-state"], stdout="", stderr="ERROR permission denied"
    )
    monkeypatch.setattr(hookcmds, "goal_state", Mock(side_effect=refused))
    assert peers.beside("a/1") == "", "Juju knows nothing any more"
    monkeypatch.undo()
    assert peers.beside("a/1") == "", "without Juju"


def test_without_a_relation_there_are_no_peers():
    assert peers.living_units(None) == []
    assert peers.present_units(None, None) == {}


def test_an_endpoint_without_units_is_empty_and_one_without_an_answer_is_unknown():
    goals = _goal_state({"a/0": "active"}, {"rpc": {"r": "joined"}, "db": {"p/1": "dying"}})
    assert peers.living(goals) == {"a/0"}
    assert peers.living(goals, "rpc") == set()
    assert peers.living(goals, "db") == set()
    assert peers.living(goals, "api") is None
    assert peers.living(_goal_state({})) is None
    assert peers.living(None, "rpc") is None


def test_the_units_of_another_model_are_unknown():
    goals = _goal_state({"a/0": "active"}, {"rpc": {"lab:admin/racks.maas-rack": "joined"}})
    assert peers.living(goals, "rpc") is None


@pytest.mark.parametrize(
    ("sender", "remedy"),
    [
        ("maas-region/1", ": bring maas-region/1 to this unit's revision of the charm"),
        ("maas-region/0", ""),
        ("maas-region", ""),
        ("maas-region-b/1", ""),
        ("maas-rack", ""),
    ],
)
def test_a_peer_that_cannot_be_read_is_told_with_what_mends_it(sender: str, remedy: str):
    problem = f"{sender} sent ready: 'x' is neither true nor false"
    assert peers.with_remedy(problem, "maas-region/0") == f"{problem}{remedy}"
