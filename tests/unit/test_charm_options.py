# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Every option of the charms is changed by a story, and by one that there is."""

import ast
from pathlib import Path

import charm_options
import yaml

TESTS = Path(__file__).parents[1]


def test_every_option_is_changed_by_a_story():
    changed = [(one.app, one.name) for one in charm_options.OPTIONS] + [*charm_options.OTHERS]
    files = TESTS.parent.glob("charms/*/charmcraft.yaml")
    charms = [yaml.safe_load(path.read_text()) for path in files]
    assert len(charms) == 4
    assert sorted(changed) == sorted(
        (one["name"], option) for one in charms for option in one["config"]["options"]
    )


def test_the_stories_that_change_an_option_exist():
    for story in set(charm_options.OTHERS.values()):
        file, _, name = story.partition("::")
        found = [
            one.name
            for one in ast.parse((TESTS / file).read_text()).body
            if isinstance(one, ast.FunctionDef)
        ]
        assert name in found, story
