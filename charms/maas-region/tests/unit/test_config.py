# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from pathlib import Path

import pytest
import yaml

import config

CHARMCRAFT = Path(__file__).parents[2] / "charmcraft.yaml"


def test_the_defaults_are_the_charms():
    options = yaml.safe_load(CHARMCRAFT.read_text())["config"]["options"]
    assert {name: one["default"] for name, one in options.items()} == config.DEFAULTS


@pytest.mark.parametrize("missing", config.DEFAULTS)
def test_an_option_that_the_applications_revision_lacks_has_its_default(missing: str):
    given = {name: value for name, value in config.DEFAULTS.items() if name != missing}
    assert config.Config.of(given) == config.Config.of(config.DEFAULTS)
    assert not config.Config.of(given).problem
