# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The stories, each played once on the lab, in a model of its own."""

import os
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from keeping import kept
from player import Player
from recorded import load
from telling import PROBES, Chapter, Story, play


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Story], list[Chapter]]:
    if os.environ.get("LAB_JUJU") == "3.6":
        pytest.skip("only Juju 4.0.15 was recorded")
    chapters: dict[str, list[Chapter]] = {}

    def tell_now(story: Story) -> list[Chapter]:
        folder = tmp_path_factory.mktemp(story.name)
        model, added = f"replay-{story.name}", PROBES.get(story.name, ())
        player = Player(os.environ["JUJU"], model, folder, added)
        began = time.monotonic()
        try:
            return play(player, story)
        finally:
            player.run("destroy-model", "--no-prompt", "--force", player.model)
            print(f"the story {story.name} took {time.monotonic() - began:.0f} s")

    def tell(story: Story) -> list[Chapter]:
        if story.name not in chapters:
            # A story that breaks off is not told again.
            chapters[story.name] = []
            found: list[Chapter] = kept(story.name, lambda: tell_now(story))
            # What was recorded may be read otherwise than when it was played.
            chapters[story.name] = [
                replace(one, recorded=load(one.recorded.name)) if one.recorded.commands else one
                for one in found
            ]
        assert chapters[story.name], "the story was not told to its end"
        return chapters[story.name]

    return tell
