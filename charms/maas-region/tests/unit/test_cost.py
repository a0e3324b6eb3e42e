# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""How many hook tools an event runs: the number of racks does not matter, but to a new leader."""

import json
from collections import Counter
from typing import Any

import cost
import pytest
from ops import testing
from test_charm import DATABASE, LOGIN, OTHER, OWN, _state

import charm

MANY = 100
EVENTS = [
    *("install", "start", "upgrade-charm", "config-changed", "update-status", "secret-changed"),
    *(f"rpc-relation-{name}" for name in ("created", "joined", "changed", "departed", "broken")),
    *(f"peers-relation-{name}" for name in ("joined", "changed", "departed", "broken")),
    *("db-relation-changed", "db-relation-broken", "api-relation-changed", "api-relation-broken"),
]

pytestmark = pytest.mark.usefixtures("workload")


def _tools(
    event: str, racks: int, *, leader: bool = True, known: bool = True, grace: str = "120"
) -> Counter[str]:
    """Return which hook tools an event runs in a model with racks that were written down, or not.

    grace is by which the racks stop their own DHCP.
    """
    names = [f"maas-rack/{number}" for number in range(racks)]
    ids = {name: name.replace("/", "-") for name in names}
    members = [
        {"unit": name, "kind": "rack", "system-id": ids[name], "dhcp-grace": grace or "0"}
        for name in names
    ]
    bag = {"dhcp-grace": grace} if grace else {}
    relations: dict[str, Any] = {
        "rpc": testing.Relation(
            "rpc",
            remote_app_name="maas-rack",
            remote_units_data={n: {"system-id": ids[name], **bag} for n, name in enumerate(names)},
            local_app_data=bag,
        ),
        "peers": testing.PeerRelation(
            "peers",
            peers_data={1: OTHER},
            local_unit_data={"address": OWN, "ready": "true"},
            local_app_data={"controllers": json.dumps(members)} if known else {},
        ),
        "db": testing.Relation("db", remote_app_data=DATABASE),
        "api": testing.Relation("api", remote_units_data={0: {"address": "10.0.0.3"}}),
    }
    context = testing.Context(charm.MAASRegionCharm)
    about = cost.event(context, event, relations, LOGIN)
    state = _state(leader=leader, config={"dhcp-ha": bool(grace)}, **relations)
    with cost.counted(["maas-region/0", "maas-region/1"], {"rpc": names}) as found:
        context.run(about, state)
    return found


@pytest.mark.parametrize("leader", [True, False], ids=["leader", "other"])
@pytest.mark.parametrize("event", EVENTS)
def test_an_event_runs_the_same_hook_tools_with_many_racks_as_with_one(event: str, leader: bool):
    found = _tools(event, 1, leader=leader)
    assert found["relation_get"] > 0
    assert _tools(event, MANY, leader=leader) == found


@pytest.mark.parametrize("event", ["rpc-relation-changed", "update-status", "config-changed"])
def test_nor_do_racks_matter_that_nobody_has_written_down(event: str):
    assert _tools(event, MANY, known=False) == _tools(event, 1, known=False)


def test_a_new_leader_reads_each_racks_databag_where_graces_matter_or_it_was_not_written_down():
    def more(**given: Any) -> Counter[str]:
        event = "leader-elected"
        return _tools(event, MANY, **given) - _tools(event, 1, **given)

    assert more() == more(known=False) == more(known=False, grace="") == {"relation_get": MANY - 1}
    assert not more(grace="")
    assert not more(leader=False)
