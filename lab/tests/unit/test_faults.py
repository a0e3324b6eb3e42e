# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from typing import Any

import pytest

from charmed_lab import faults
from charmed_lab.console import StepError
from charmed_lab.stage import Stage

REPORT: dict[str, Any] = {
    "applications": {
        "maas-region": {"units": {"maas-region/0": {"machine": "0"}}},
        "maas-rack": {"units": {"maas-rack/1": {"machine": "4"}}},
        "nothing": {},
    },
    "machines": {"0": {"instance-id": "test-m5"}, "4": {"instance-id": "test-m4"}},
}


@pytest.mark.parametrize(("target", "slot"), [("maas-rack/1", "4"), ("maas-region/0", "5")])
def test_a_unit_stands_for_its_machine(target: str, slot: str):
    assert faults.slot_of(Stage("test"), target, REPORT) == slot


def test_a_machine_of_juju_is_found_under_its_number_on_the_stage():
    assert faults.slot_of(Stage("test"), "0", REPORT) == "5"


@pytest.mark.parametrize("target", ["maas-rack/9", "5"])
def test_an_unknown_target_is_refused_with_those_there_are(target: str):
    known = "maas-rack/1, maas-region/0, 0, 4"
    with pytest.raises(StepError, match=f"no unit or machine {target}; there are: {known}"):
        faults.slot_of(Stage("test"), target, REPORT)


def test_parse():
    assert faults.parse(["cut", "3"]) == ("cut", "3", None)
    assert faults.parse(["kill", "a/0", "nginx"]) == ("kill", "a/0", "nginx")


@pytest.mark.parametrize(
    "argv", [[], ["cut"], ["explode", "3"], ["kill", "3"], ["cut", "3", "x"], ["kill"] * 4]
)
def test_a_wrong_command_line_gets_the_usage(argv: list[str]):
    with pytest.raises(StepError, match="usage: fault"):
        faults.parse(argv)
