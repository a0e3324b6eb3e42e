# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The recorded story, played on the lab: every event, its environment, and every call in it."""

from collections.abc import Callable

import order
import pytest
from commandline import compare_commands
from compare import Report, compare
from differences import check
from history import History
from telling import LAB, SECRETS, SHOP, SHORT, Chapter, Story

STORIES = [
    pytest.param(Story("short", SHORT), id="short"),
    pytest.param(Story("lab", LAB), id="lab"),
    pytest.param(Story("shop", SHOP), id="shop"),
    pytest.param(Story("secrets", SECRETS), id="secrets"),
]


@pytest.mark.long
@pytest.mark.parametrize("story", STORIES)
class TestReplay:
    def test_order_of_events_keeps_to_the_rules(
        self, story: Story, told: Callable[[Story], list[Chapter]]
    ) -> None:
        chapters = told(story)
        found = list(order.violations(History(one for ch in chapters for one in ch.played)))
        assert not found, "\n".join(found)

    def test_calls_are_answered_as_recorded(
        self, story: Story, told: Callable[[Story], list[Chapter]]
    ) -> None:
        report: Report = compare(told(story))
        print(f"\n{report.table()}")
        found = check("calls", report.differences, story.scenarios)
        assert not found, "\n".join(found)

    def test_commands_are_answered_as_recorded(
        self, story: Story, told: Callable[[Story], list[Chapter]]
    ) -> None:
        report = compare_commands(told(story))
        print(f"\n{report.table('answers')}")
        found = check("commands", report.differences, story.scenarios)
        assert not found, "\n".join(found)


@pytest.mark.parametrize("names", [LAB, SHOP], ids=["lab", "shop"])
def test_rules_hold_for_the_recordings(names: list[str]) -> None:
    found = list(order.violations(History(Story("", names).recorded())))
    assert not found, "\n".join(found)
