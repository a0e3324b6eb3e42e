# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""How many hook tools an event runs: the number of racks matters only while something changes."""

import dataclasses
from collections import Counter
from typing import Any

import cost
import pytest
from ops import testing
from test_charm import MARK, OLD, SECRET, VIP_URL, replaced, rpc, state

import charm

MANY = 100
EVENTS = [
    *("install", "start", "upgrade-charm", "config-changed", "update-status", "leader-elected"),
    "secret-changed",
    *(f"peers-relation-{name}" for name in ("joined", "changed", "departed")),
    *(f"rpc-relation-{name}" for name in ("joined", "changed", "departed", "broken")),
]


def _tools(
    event: str, racks: int, *, leader: bool = True, current: bool = True, told: str = MARK
) -> Counter[str]:
    """Return which hook tools an event runs on the last rack; told is what the regions know."""
    bags = {number: {"maas-url": VIP_URL, "secret-mark": MARK} for number in range(racks)}
    peers = testing.PeerRelation("peers", peers_data=bags)  # type: ignore[arg-type]
    regions = dataclasses.replace(rpc(), local_app_data={"secret-mark": told} if leader else {})
    relations: dict[str, Any] = {"peers": peers, "rpc": regions}
    context = testing.Context(charm.MAASRackCharm, unit_id=racks)
    about = cost.event(context, event, relations, SECRET)
    names = [f"maas-rack/{number}" for number in range(racks + 1)]
    with replaced() as workload, cost.counted(names, {}) as found:
        workload.is_current.return_value = current
        context.run(about, state(regions, peers, leader=leader))
    return found


@pytest.mark.parametrize("leader", [True, False], ids=["leader", "other"])
@pytest.mark.parametrize("event", EVENTS)
def test_an_event_runs_the_same_hook_tools_with_many_racks_as_with_two(event: str, leader: bool):
    found = _tools(event, 1, leader=leader)
    assert found["relation_get"] > 0
    assert _tools(event, MANY, leader=leader) == found


@pytest.mark.parametrize(
    "changing",
    [{"leader": False, "current": False}, {"told": OLD}, {"current": False, "told": OLD}],
    ids=["not restarted yet", "the leader has not told the regions", "both"],
)
def test_while_a_url_or_secret_changes_each_other_racks_databag_is_read_once(
    changing: dict[str, Any],
):
    more = _tools("update-status", MANY, **changing) - _tools("update-status", 1, **changing)
    assert more == {"relation_get": MANY - 1}
