# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What was printed: the recording equals itself, and what is left out is left out there only."""

import json
from collections.abc import Callable
from typing import Any

import commandline
import pytest
from player import Answer
from recorded import load
from telling import LAB, SECRETS, SHOP, Chapter

Change = Callable[[Answer], Answer]
DEAD = {"applications": {"dry": {"life": "dead"}}}
ALIVE: dict[str, Any] = {"applications": {}}
SECRET = {"owner": "dry", "revision": 1}


def compare(names: list[str], change: Change) -> commandline.Report:
    """Compare the recorded answers as if the lab had given them, with something changed."""
    chapters = list[Chapter]()
    for name in names:
        scenario = load(name)
        answers = list[tuple[dict[str, Any], Answer]]()
        for one in [one for one in scenario.commands if "argv" in one]:
            said = commandline.without_dead(one) if name in commandline.STAYED else one
            answers.append((one, change(Answer(said["rc"], said["stdout"], said["stderr"]))))
        chapters.append(Chapter(scenario, scenario.dispatches, answers))
    return commandline.compare_commands(chapters)


@pytest.mark.parametrize("names", [LAB, SHOP, SECRETS], ids=["lab", "shop", "secrets"])
def test_recording_equals_itself(names: list[str]) -> None:
    report = compare(names, lambda answer: answer)
    assert not report.differences
    assert report.calls == report.equal


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: Answer(answer.rc + 1, answer.stdout, answer.stderr),
        lambda answer: Answer(answer.rc, answer.stdout + "more", answer.stderr),
        lambda answer: Answer(answer.rc, answer.stdout, answer.stderr + "more"),
    ],
    ids=["exit code", "stdout", "stderr"],
)
def test_every_change_of_an_answer_is_a_difference(change: Change) -> None:
    assert not +compare(SHOP, change).equal


def differences(scenario: str, argv: str, was: Any, now: Any) -> list[str]:
    command = {"argv": argv.split(), "rc": 0, "stderr": "", "stdout": json.dumps(was)}
    chapter = Chapter(load(scenario), [], [(command, Answer(0, json.dumps(now), ""))])
    return commandline.compare_commands([chapter]).differences


@pytest.mark.parametrize(
    ("place", "is_seen"),
    [
        ("machines.0.hostname", False),
        ("machines.0.instance-id", False),
        ("machines.0.constraints", True),
        ("machines.0.base.name", True),
        ("applications.a.charm-rev", False),
        ("applications.a.charm-name", True),
        ("applications.a.base.name", True),
        ("applications.a.units.a/0.hostname", True),
        ("model.name", False),
        ("model.region", True),
        ("model.type", True),
    ],
)
def test_what_is_the_set_ups_is_left_out_at_its_place_only(place: str, is_seen: bool) -> None:
    was, now = "this", "that"
    for key in reversed(place.split(".")):
        was, now = {key: was}, {key: now}
    assert bool(differences("10-deploy-one", "status --format json", was, now)) == is_seen
    assert differences("10-deploy-one", "show-unit a/0 --format json", was, now)


@pytest.mark.parametrize(
    ("scenario", "was", "now", "is_equal"),
    [
        ("21-actions", DEAD, ALIVE, True),
        ("10-deploy-one", DEAD, ALIVE, False),
        ("60-remove-relation", DEAD, ALIVE, False),
        ("21-actions", DEAD, DEAD, False),
        ("21-actions", ALIVE, DEAD, False),
        ("21-actions", {"applications": {"dry": {"life": "dying"}}}, ALIVE, False),
        ("21-actions", {"applications": {"wet": {"life": "dead"}}}, ALIVE, False),
    ],
)
def test_only_the_dead_application_is_left_out(
    scenario: str, was: Any, now: Any, is_equal: bool
) -> None:
    assert bool(differences(scenario, "status --format json", was, now)) != is_equal


def test_only_the_secret_of_the_dead_application_is_left_out() -> None:
    argv = "secrets --format json"
    assert not differences("34-charm-secrets-granted-first-database", argv, {"x": SECRET}, {})
    assert differences("34-charm-secrets-granted-first-database", argv, {}, {"x": SECRET})
    assert differences("30-charm-secrets", argv, {"x": SECRET}, {})
    other = {"x": SECRET | {"owner": "probe-a"}}
    assert differences("34-charm-secrets-granted-first-database", argv, other, {})


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
