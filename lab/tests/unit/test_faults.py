# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from typing import Any

import pytest

from charmed_lab import faults
from charmed_lab.console import StepError

REPORT: dict[str, Any] = {
    "applications": {
        "maas-region": {"units": {"maas-region/0": {"machine": "0"}}},
        "maas-rack": {"units": {"maas-rack/1": {"machine": "4"}}},
        "nothing": {},
    }
}


def test_a_unit_stands_for_its_machine():
    assert faults.machine_of("maas-rack/1", REPORT) == "4"


def test_an_unknown_unit_is_refused_with_those_there_are():
    with pytest.raises(StepError, match=r"no unit maas-rack/9.*maas-rack/1, maas-region/0"):
        faults.machine_of("maas-rack/9", REPORT)


def test_parse():
    assert faults.parse(["cut", "3"]) == ("cut", "3", None)
    assert faults.parse(["kill", "a/0", "nginx"]) == ("kill", "a/0", "nginx")


@pytest.mark.parametrize(
    "argv", [[], ["cut"], ["explode", "3"], ["kill", "3"], ["cut", "3", "x"], ["kill"] * 4]
)
def test_a_wrong_command_line_gets_the_usage(argv: list[str]):
    with pytest.raises(StepError, match="usage: fault"):
        faults.parse(argv)
