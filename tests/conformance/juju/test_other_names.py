# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The same probe under other names, in other numbers and elsewhere: the same rules hold.

There is no recording of this; what the lab answers here it cannot have by heart.
"""

import os
from dataclasses import dataclass

import order
import pytest
import rules
from history import History
from keeping import kept
from player import Player
from recorded import ROOT, Dispatch, load
from telling import LAB, SHOP, Story, prepare

SCENARIOS = sorted(path.stem for path in ROOT.glob("*.json"))


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
def history(played: Played) -> History:
    return History(played.log)


@pytest.fixture(scope="module")
def addresses(played: Played) -> dict[str, str]:
    return played.addresses


@pytest.mark.long
class TestOtherNames:
    def test_order_of_events_keeps_to_the_rules(self, history: History) -> None:
        found = list(order.violations(history))
        assert not found, "\n".join(found)

    def test_answers_follow_from_what_happened(
        self, history: History, addresses: dict[str, str]
    ) -> None:
        found = list(rules.wrong_answers(history, addresses))
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


@pytest.mark.parametrize("names", [LAB, SHOP], ids=["lab", "shop"])
def test_rule_for_leaders_holds_for_the_recordings(names: list[str]) -> None:
    found = rules.wrong_answers(History(Story("", names).recorded()), {})
    assert not [one for one in found if ": is-leader " in one]
