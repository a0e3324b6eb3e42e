# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""A rack is let in by the shared secret alone."""

import re
from collections.abc import Callable

import pytest
from recordings import load
from world import World

ALL = "9"
LOG = "journalctl -u maas-rackd -o cat --no-pager --since @"


def _install(world: World, secret: str) -> str:
    """Give the rack a secret and start it; return when that was."""
    moment = world.run("k1", "date +%s").strip()
    world.run(
        "k1",
        f"echo {secret} | maas-rack install-shared-secret;"
        " chown maas:maas /var/lib/maas/secret; systemctl restart maas-rackd",
    )
    return moment


@pytest.mark.parametrize("name", ["recorded", "other"])
def test_a_rack_comes_in_with_the_right_secret_only(
    name: str, worlds: Callable[[str], World]
) -> None:
    world = worlds(name)
    world.advance(ALL)
    # The story ended with the rack's deletion: it starts again, has no secret, waits for one.
    state = "systemctl is-active maas-rackd || :"
    world.wait(lambda: world.run("k1", state).strip(), "active")
    assert world.rackd("k1") is None

    moment = _install(world, "00112233445566778899aabbccddeeff")
    refused = load("time/rackd-log-wrong-secret").content["log_lines"][0].partition("[info] ")[2]
    text = re.escape(re.sub(r"'.*?'", "WORKER", refused)).replace("WORKER", "'.*?'")
    world.wait(lambda: bool(re.search(text, world.run("k1", f"{LOG}{moment}"))), wanted=True)
    assert world.rackd("k1") is None

    _install(world, world.run("r1", "cat /var/lib/maas/secret").strip())
    world.wait(lambda: world.rackd("k1"), "running")
