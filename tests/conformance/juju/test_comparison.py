# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The comparison itself: the recording equals itself, and each kind of change is noticed."""

import dataclasses
import functools
import json
from collections import Counter
from collections.abc import Callable

import order
import pytest
from compare import TIMER, compare
from differences import KNOWN, check
from history import History
from recorded import Call, Dispatch, load
from telling import LAB, SECRETS, SHOP, Chapter

STORIES = {"lab": LAB, "shop": SHOP, "secrets": SECRETS}
Change = Callable[[Dispatch], Dispatch | None]
scenario = functools.cache(load)


def same(one: Dispatch) -> Dispatch:
    return one


def replay(names: list[str], change: Change = same) -> list[Chapter]:
    """Return the recordings as if the lab had played them, with something changed."""
    return [
        Chapter(
            scenario(name),
            [d for one in scenario(name).dispatches if (d := change(one)) is not None],
            [],
        )
        for name in names
    ]


def with_calls(tool: str, **changes: object) -> Change:
    """Return a change of all answers of one tool."""

    def change(one: Dispatch) -> Dispatch:
        calls: list[Call] = [
            dataclasses.replace(call, **changes) if call.tool == tool else call
            for call in one.calls
        ]
        return dataclasses.replace(one, calls=calls)

    return change


def without_calls(tool: str) -> Change:
    """Return a change that drops all calls of one tool."""
    return lambda one: dataclasses.replace(
        one, calls=[call for call in one.calls if call.tool != tool]
    )


def with_variable(name: str, value: str | None) -> Change:
    """Return a change of a variable wherever there is one; none drops it."""

    def change(one: Dispatch) -> Dispatch:
        env = {key: it if key != name else value for key, it in one.env.items()}
        return dataclasses.replace(one, env={k: it for k, it in env.items() if it is not None})

    return change


def with_exit(was: int, now: int) -> Change:
    """Return a change of what events ended with."""
    return lambda one: dataclasses.replace(one, exit=now) if one.exit == was else one


@pytest.mark.parametrize("names", STORIES.values(), ids=STORIES)
def test_recording_equals_itself(names: list[str]) -> None:
    report = compare(replay(names))
    assert not report.differences
    assert report.calls == report.equal
    recorded = [one for name in names for one in scenario(name).dispatches]
    recorded = [one for one in recorded if one.path != TIMER or one.exit]
    assert report.calls == Counter(call.tool for one in recorded for call in one.calls)


CHANGES: dict[str, tuple[Change, str]] = {
    **{
        f"another answer of {tool}": (with_calls(tool, out={"else": "thing"}), tool)
        for tool in ("is-leader", "config-get", "relation-get", "relation-list", "goal-state")
    },
    **{
        f"no {tool}": (without_calls(tool), f"{tool} ")
        for tool in ("is-leader", "config-get", "relation-set", "secret-get", "secret-grant")
    },
    "empty databags": (with_calls("relation-get", out={}), "relation-get"),
    "open-port ends with 3": (with_calls("open-port", rc=3), "open-port"),
    "no calls at all": (lambda one: dataclasses.replace(one, calls=[]), "was not called"),
    "no leader-elected": (lambda o: None if o.name == "leader-elected" else o, "not played"),
    "no joined": (lambda o: None if o.kind == "relation-joined" else o, "not played"),
    "no actions": (lambda o: None if o.is_action else o, "not played"),
    "exit 77": (with_exit(1, 77), "exit=77 instead of 1"),
    "exit 0": (with_exit(1, 0), "was never recorded"),
    "exit 1": (with_exit(0, 1), "was not played"),
    "no JUJU_REMOTE_APP": (with_variable("JUJU_REMOTE_APP", None), "JUJU_REMOTE_APP=None"),
    "another who departs": (with_variable("JUJU_DEPARTING_UNIT", "x/7"), "JUJU_DEPARTING_UNIT=x"),
    "another label": (with_variable("JUJU_SECRET_LABEL", "wrong"), "JUJU_SECRET_LABEL=wrong"),
    "another user": (lambda one: dataclasses.replace(one, uid=1000), "uid=1000"),
    "another directory": (lambda one: dataclasses.replace(one, cwd="/"), "cwd=/"),
}
# What a story has none of: units that leave, calls or events of a kind.
HAS_NONE = {
    ("lab", "another who departs"),
    ("secrets", "another who departs"),
    ("secrets", "open-port ends with 3"),
    ("secrets", "no leader-elected"),
    ("secrets", "no joined"),
    ("secrets", "exit 77"),
    ("secrets", "exit 0"),
    ("shop", "exit 77"),
    ("shop", "exit 0"),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("story", STORIES)
def test_change_is_a_difference(story: str, what: str) -> None:
    change, said = CHANGES[what]
    report = compare(replay(STORIES[story], change))
    assert any(said in one for one in report.differences) == ((story, what) not in HAS_NONE)


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("tool", ["is-leader", "config-get", "secret-ids", "relation-ids"])
def test_calls_that_were_not_made_are_counted(story: str, tool: str) -> None:
    recorded = compare(replay(STORIES[story])).calls[tool]
    report = compare(replay(STORIES[story], without_calls(tool)))
    assert (report.equal[tool], report.calls[tool]) == (0, recorded)


def test_event_about_another_unit_is_not_paired() -> None:
    def change(one: Dispatch) -> Dispatch:
        is_it = one.kind == "relation-departed"
        env = one.env | ({"JUJU_REMOTE_UNIT": "blue/7"} if is_it else {})
        return dataclasses.replace(one, env=env)

    found = compare(replay(SHOP, change)).differences
    assert any("was never recorded" in one for one in found)
    assert any("was not played" in one for one in found)


def test_of_two_badly_formed_keys_either_may_be_refused() -> None:
    def refusing(key: str) -> Change:
        def change(one: Dispatch) -> Dispatch:
            calls = [
                dataclasses.replace(call, err=f'ERROR key "{key}" not valid')
                if "ab=v" in call.args
                else call
                for call in one.calls
            ]
            return dataclasses.replace(one, calls=calls)

        return change

    found = {key: compare(replay(SECRETS, refusing(key))).differences for key in ("ab", "x", "b")}
    assert [key for key in found if not found[key]] == ["ab", "x"]


@pytest.mark.parametrize(("seconds", "is_equal"), [({1: 2, 2: 1}, True), ({1: 9}, False)])
def test_waiting_actions_come_in_any_order(seconds: dict[int, int], is_equal: bool) -> None:
    def change(one: Dispatch) -> Dispatch:
        calls = [
            dataclasses.replace(call, out={"seconds": seconds[call.out["seconds"]]})
            if call.tool == "action-get" and call.out.get("seconds") in seconds
            else call
            for call in one.calls
        ]
        return dataclasses.replace(one, calls=calls)

    assert bool(compare(replay(["21-actions"], change)).differences) != is_equal


def violations(names: list[str], change: Change) -> list[str]:
    played = [one for chapter in replay(names, change) for one in chapter.played]
    return list(order.violations(History(played)))


def moved(name: str, seconds: float) -> Change:
    """Return a change of when an event came."""
    return lambda one: (
        dataclasses.replace(one, began=one.began + seconds, ended=one.ended + seconds)
        if one.name == name
        else one
    )


def test_leader_is_elected_before_anything_is_configured() -> None:
    found = violations(LAB[:4], moved("leader-elected", 3))
    assert any("config-changed while it leads and was not told" in one for one in found)


def test_application_is_told_before_its_units() -> None:
    def change(one: Dispatch) -> Dispatch | None:
        return None if one.name == "sink-relation-changed" and not one.remote else one

    found = violations(LAB[:4], change)
    assert any("sink-relation-joined" in one and "before its application" in one for one in found)


@pytest.mark.parametrize("seconds", [-2, 20])
def test_failed_event_is_tried_again_in_time(seconds: float) -> None:
    failing = [one for one in scenario("40-failing-hook").dispatches if one.exit == 1]
    second = [one for one in failing if one.unit == failing[0].unit][1]

    def change(one: Dispatch) -> Dispatch:
        by = seconds if one is second else 0.0
        return dataclasses.replace(one, began=one.began + by, ended=one.ended + by)

    names = LAB[: LAB.index("40-failing-hook") + 1]
    assert any("was tried again after" in one for one in violations(names, change))


def test_change_that_is_not_told_is_against_the_rules() -> None:
    def is_told(one: Dispatch) -> bool:
        return one.name == "sink-relation-changed" and one.remote == "probe-a/1"

    assert violations(LAB[:4], lambda one: None if is_told(one) else one)


def test_unlisted_difference_is_an_error() -> None:
    assert check("calls", ["10-deploy-one probe-a/1: something"], ["10-deploy-one"])


def test_listed_difference_is_no_other_and_must_still_be_there() -> None:
    known = json.loads(KNOWN.read_text())["calls"]
    listed = [f"{one['scenario']} {exact}" for one in known for exact in one["exactly"]]
    scenarios = [one["scenario"] for one in known]
    assert not check("calls", listed, scenarios)
    longer = f"{listed[0]}, and more"
    assert longer in check("calls", [*listed, longer], scenarios)
    assert check("calls", listed[1:], scenarios)
