# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The comparison itself: the recording equals itself, and each kind of change is noticed."""

import dataclasses
import json
from collections.abc import Callable

import commandline
import order
import pytest
from compare import compare
from differences import check
from history import History
from player import Answer
from recorded import Call, Dispatch, load
from telling import Chapter

SCENARIOS = ["10-deploy-one", "11-add-units", "12-second-app-colocated", "13-integrate"]


def replay(change: Callable[[Dispatch], Dispatch | None] = lambda one: one) -> list[Chapter]:
    """Return the recordings as if the lab had played them, with something changed."""
    return [
        Chapter(
            load(name), [d for one in load(name).dispatches if (d := change(one)) is not None], []
        )
        for name in SCENARIOS
    ]


def with_calls(tool: str, **changes: object) -> Callable[[Dispatch], Dispatch]:
    """Return a change of all answers of one tool."""

    def change(one: Dispatch) -> Dispatch:
        calls: list[Call] = [
            dataclasses.replace(call, **changes) if call.tool == tool else call
            for call in one.calls
        ]
        return dataclasses.replace(one, calls=calls)

    return change


def test_recording_equals_itself() -> None:
    report = compare(replay())
    assert not report.differences
    assert report.calls == report.equal
    assert sum(report.calls.values()) > 2000


@pytest.mark.parametrize(
    "tool", ["is-leader", "config-get", "relation-get", "relation-list", "goal-state"]
)
def test_another_answer_is_a_difference(tool: str) -> None:
    report = compare(replay(with_calls(tool, out={"else": "thing"})))
    assert report.differences
    assert report.equal[tool] < report.calls[tool] / 10


def test_another_exit_code_is_a_difference() -> None:
    report = compare(replay(with_calls("open-port", rc=3)))
    assert report.equal["open-port"] == 0


@pytest.mark.parametrize("name", ["leader-elected", "start", "source-relation-joined"])
def test_missing_event_is_a_difference(name: str) -> None:
    assert compare(replay(lambda one: None if one.name == name else one)).differences


def test_missing_variable_is_a_difference() -> None:
    def change(one: Dispatch) -> Dispatch:
        env = {key: value for key, value in one.env.items() if key != "JUJU_REMOTE_APP"}
        return dataclasses.replace(one, env=env)

    assert any("JUJU_REMOTE_APP=None" in one for one in compare(replay(change)).differences)


def test_change_that_is_not_told_is_against_the_rules() -> None:
    def is_told(one: Dispatch) -> bool:
        return one.name == "sink-relation-changed" and one.remote == "probe-a/1"

    dispatches = [
        one for ch in replay(lambda one: None if is_told(one) else one) for one in ch.played
    ]
    assert list(order.violations(History(dispatches)))


def test_unlisted_difference_is_an_error() -> None:
    assert check("calls", ["10-deploy-one probe-a/1: something"], ["10-deploy-one"])


@pytest.mark.parametrize("machine", ["2", "3"])
def test_who_leads_instead_has_the_others_name_and_place(machine: str) -> None:
    places = commandline.Places(
        {"b/1": "b/0", "b/0": "b/1"}, {"b/0": "1", "b/1": "2"}, {"b/0": "2", "b/1": "1"}
    )
    printed = [
        ('{{"b/0": {{"machine": "{}"}}}}', ('{{"b/1": {{"machine": "{}"}}}}')),
        ("b/0*  active  idle  {}", "b/1*  active  idle  {}"),
        ('b/0:\n  machine: "{}"\n', 'b/1:\n  machine: "{}"\n'),
        ("on unit-b-0", "on unit-b-1"),
    ]
    for was, now in printed:
        command = {"argv": ["status"], "rc": 0, "stderr": "", "stdout": was.format("1")}
        answer = Answer(0, now.format(machine), "")
        found = list(commandline.differences(command, answer, places))
        assert bool(found) == (machine != "2" and "{}" in now), found


GRANTED = ({"a/0": {"1/tcp"}, "b/0": set[str]()}, {"a/0": set[str](), "b/0": {"1/tcp"}})


@pytest.mark.parametrize("shown", [["b/0"], ["a/0"], ["a/0", "b/0"], []])
def test_port_is_whose_event_was_first_and_nobody_elses(shown: list[str]) -> None:
    def status(having: list[str]) -> str:
        states = {"workload-status": {}, "juju-status": {}}
        ports = {"open-ports": ["1/tcp"]}
        units = {name: states | (ports if name in having else {}) for name in ("a/0", "b/0")}
        return json.dumps({"units": units})

    command = {"argv": ["status"], "rc": 0, "stderr": "", "stdout": status(["a/0"])}
    answer = Answer(0, status(shown), "")
    found = commandline.differences(command, answer, commandline.Places(granted=GRANTED))
    assert bool(list(found)) == (shown != ["b/0"])
