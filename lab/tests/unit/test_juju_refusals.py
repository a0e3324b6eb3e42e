# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The command line's usual mistakes, and what of Juju's it refuses by name."""

import json
from pathlib import Path
from typing import Any

import pytest
from local import Juju

from charmed_lab import output

RECORDED = json.loads((Path(__file__).parent / "recorded_yaml.json").read_text())


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda one: " ".join(one["argv"]))
def test_yaml_is_written_as_juju_writes_it(recorded: dict[str, Any]) -> None:
    text = recorded["stdout"]
    assert output.to_yaml(output.from_yaml(text)) == text


def test_an_empty_key_of_status_is_quoted(juju: Juju) -> None:
    juju("deploy", "./probe.charm", "-n", "0")
    text = juju("status", "--format", "yaml")[1]
    assert '\n    endpoint-bindings:\n      "": alpha\n      juju-info: alpha\n' in text
