# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The same probe under other names, in other numbers and elsewhere: the same rules hold.

There is no recording of this; what the lab answers here it cannot have by heart.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import order
import pytest
import rules
import yaml
from history import History
from keeping import kept
from player import PROBE, Player
from recorded import ROOT, Call, Dispatch, load
from telling import LAB, SHOP, Story, prepare

Change = Callable[[Dispatch], Dispatch]
CHARMS = ("north", "south")
OPTIONS = yaml.safe_load((PROBE / "config.yaml").read_text())["options"]
DEFAULTS = {key: one["default"] for key, one in OPTIONS.items() if "default" in one}
SCENARIOS = sorted(path.stem for path in ROOT.glob("*.json"))


def same(one: Dispatch) -> Dispatch:
    return one


def play(player: Player) -> dict[str, str]:
    """Play; return the address that each unit had."""
    found: dict[str, str] = {}

    def ask(*words: str) -> None:
        player.must(*words)
        player.settle()
        player.gather("")
        found.update({name: one["public-address"] for name, one in player.units().items()})

    player.pack("magnet.charm", "magnet")
    player.pack("needle.charm", "needle")
    prepare(player, machines=7, unused=3)
    player.must("deploy", "./needle.charm", "south", "--to", "5")
    ask("deploy", "./magnet.charm", "north", "-n", "4", "--to", "3,4,5,6")
    ask("integrate", "north:source", "south:sink")
    ask("config", "north", "text=other")
    ask("add-unit", "south", "-n", "2", "--to", "6,4")
    ask("run", "north/leader", "rotate")
    ask("integrate", "south:source", "north:sink")
    leader = next(name for name, one in player.units().items() if one.get("leader"))
    ask("remove-unit", "--no-prompt", leader)
    ask("add-unit", "north", "--to", "4")
    ask("remove-relation", "north:source", "south:sink")
    ask("remove-application", "--no-prompt", "south")
    return found


@dataclass(frozen=True)
class Played:
    """Every dispatch, the address that each unit had, and when each command was asked."""

    log: list[Dispatch]
    addresses: dict[str, str]
    asked: list[tuple[float, list[str]]]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    def make() -> Played:
        player = Player(os.environ["JUJU"], "compass", tmp_path_factory.mktemp("compass"))
        try:
            addresses = play(player)
            return Played(player.log, addresses, player.asked)
        finally:
            player.run("destroy-model", "--no-prompt", "--force", player.model)

    return kept("other-names", make)


@pytest.fixture(scope="module")
def world(played: Played) -> rules.World:
    options = rules.options(CHARMS, DEFAULTS, played.asked)
    return rules.World(History(played.log), played.addresses, options)


@pytest.fixture(scope="module")
def history(world: rules.World) -> History:
    return world.history


@pytest.mark.long
class TestOtherNames:
    def test_order_of_events_keeps_to_the_rules(self, history: History) -> None:
        found = list(order.violations(history))
        assert not found, "\n".join(found)

    def test_answers_follow_from_what_happened(self, world: rules.World) -> None:
        found = list(world.wrong_answers())
        assert not found, "\n".join(found)

    def test_environments_are_those_of_the_recordings(self, history: History) -> None:
        known = [(one.name, rules.environment(one)) for one in recorded()]
        found = [
            str(one) for one in history.all if (one.name, rules.environment(one)) not in known
        ]
        assert not found, "\n".join(found)

    def test_much_happened(self, history: History) -> None:
        names = {one.name for one in history.all}
        assert {"secret-changed", "source-relation-broken", "peers-relation-departed"} <= names
        assert len(history.all) > 150


def recorded() -> list[Dispatch]:
    """Return all that was recorded."""
    return [one for name in SCENARIOS for one in load(name).dispatches]


def recorded_world(change: Change = same) -> rules.World:
    """Return what was recorded until the first secret was changed, as the rules want it."""
    dispatches = Story("", LAB[:4]).recorded()
    for one in load("21-actions").dispatches:
        # Options and databags had been changed in between.
        kept = [call for call in one.calls if call.tool.startswith("secret-")]
        if one.name in ("rotate", "secret-changed", "secret-remove"):
            leads = [call for call in one.calls if call.tool == "is-leader"]
            dispatches.append(replace(one, calls=leads + kept))
    address = {
        name: unit["public-address"]
        for command in load("13-integrate").commands
        if command.get("argv") == ["status", "--format", "json"]
        for app in json.loads(command["stdout"])["applications"].values()
        for name, unit in app["units"].items()
    }
    asked = [(1.0, ["config", "probe-a", "text=from-cli"])]
    options = rules.options(("probe-a", "probe-b"), DEFAULTS, asked)
    return rules.World(History(map(change, dispatches)), address, options)


def test_rules_hold_for_the_recordings() -> None:
    found = list(recorded_world().wrong_answers())
    assert not found, "\n".join(found)


@pytest.mark.parametrize("tool", sorted(rules.RULES.keys() - {"open-port", "action-get"}))
@pytest.mark.parametrize("which", ["first", "last"])
def test_answer_that_is_always_the_same_is_noticed(tool: str, which: str) -> None:
    answers = [
        call
        for one in recorded_world().history.all
        for call in one.calls
        if (call.tool, call.rc) == (tool, 0)
    ]
    canned = answers[0 if which == "first" else -1] if answers else None
    if tool == "relation-model-get":
        # All have the same, so it has to be another model's.
        canned = replace(answers[0], out={"uuid": "another"})
    if tool == "secret-info-get":
        # It was asked once.
        about = {key: one | {"revision": 2} for key, one in answers[0].out.items()}
        canned = replace(answers[0], out=about)
    if tool == "unit-get":
        canned = Call(["unit-get", "private-address"], 0, "10.77.0.12\n", "")

    def change(one: Dispatch) -> Dispatch:
        assert canned
        calls = [replace(it, out=canned.out) if it.tool == tool else it for it in one.calls]
        return replace(one, calls=[*calls, canned] if tool == "unit-get" else calls)

    assert any(f": {tool} " in one for one in recorded_world(change).wrong_answers())


def test_application_at_the_other_end_is_held_against_the_relation() -> None:
    def change(one: Dispatch) -> Dispatch:
        calls = [
            replace(it, out="another") if it.tool == "relation-list" and "--app" in it.args else it
            for it in one.calls
        ]
        return replace(one, calls=calls)

    assert any(" --app " in one for one in recorded_world(change).wrong_answers())


@pytest.mark.parametrize("names", [LAB, SHOP], ids=["lab", "shop"])
def test_rule_for_leaders_holds_for_the_recordings(names: list[str]) -> None:
    for one in (history := History(Story("", names).recorded())).all:
        for call in one.calls:
            if call.tool == "is-leader":
                assert rules.RULES["is-leader"](rules.World(history), one, call)
