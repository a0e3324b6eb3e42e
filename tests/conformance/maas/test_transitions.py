# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What changes over time comes in the recorded order, in about the recorded time."""

from collections.abc import Callable
from typing import Any

import pytest
from recordings import load
from world import World

ALL = "9"
# States of a recorded rack that may go unseen here, and why.
UNSEEN = {
    "degraded": "all workers are connected within 0.1 s, in which nobody looks; MAAS took 1.4 s",
}


@pytest.fixture(params=["recorded", "other"])
def world(request: pytest.FixtureRequest, worlds: Callable[[str], World]) -> World:
    world = worlds(request.param)
    world.advance(ALL)
    return world


def _states(seen: list[tuple[float, Any]]) -> list[Any]:
    """Return what was seen, each state once."""
    return list(dict.fromkeys(state for _, state in seen))


def test_a_region_comes_up_through_refusal_and_502(world: World) -> None:
    recorded = load("time/region-startup").content["first_region_on_migrated_empty_database"]
    transitions = recorded["transitions_of_/MAAS/rpc/_on_r1"]
    states = [0 if isinstance(step["status"], str) else step["status"] for step in transitions]
    assert _states(world.observed["first region"]) == list(dict.fromkeys(states))


def test_a_region_leaves_its_identity_in_files(world: World) -> None:
    recorded = load("time/files-written-by-first-region-start").content["files"]
    expected = sorted(
        f"{path.rpartition('/')[2]} {file['mode'].lstrip('0')} {file['owner']} {file['group']}"
        f" {file['size']}"
        for path, file in recorded.items()
    )
    assert world.observed["files"] == expected


def test_a_rack_becomes_known_then_running(world: World) -> None:
    recorded = load("time/rack-startup").content["first_rack_k2"]["transitions"]
    racks = (rack for step in recorded for rack in step["rackcontrollers"])
    told = ["unknown", *(rack["service_set"]["rackd"][0] for rack in racks)]
    expected = list(dict.fromkeys(told))
    for rack in ("k1", "k2"):
        states = _states(world.observed[f"rack {rack}"])
        names = [state.split()[0] if state else "unknown" for state in states]
        seen = list(dict.fromkeys(names))
        assert seen == [one for one in expected if one in seen or one not in UNSEEN]
        assert states[-1] == "running"


def test_a_region_holds_the_recorded_number_of_connections(world: World) -> None:
    recorded = load("time/postgresql-connections").content
    # The other one ran MAAS's API server as well, which nothing stands in for.
    client = "10.99.0.12"
    second = next(row for row in recorded["per_client"] if row["client"] == client)
    rows = recorded["per_client_and_application"]
    names = {row[1].rpartition("-")[0] for row in rows if row[0] == client}
    live = world.observed["connections"]
    for region in ("r1", "r2"):
        mine = {name: n for (address, name), n in live.items() if address == world.address(region)}
        more = 5 * (world.cast.workers - recorded["num_workers"])
        assert sum(mine.values()) == second["connections"] + more, mine
        assert {name.rpartition("-")[0] for name in mine} == names


def test_a_killed_region_is_dropped_when_maas_drops_it(world: World) -> None:
    recorded = load("time/region-killed").content
    gone = recorded["transitions_of_/MAAS/rpc/_on_r1"][-1]["t"]
    racks = recorded["rackcontrollers_on_r1"][-1]["rackcontrollers"]
    assert gone - 20 < world.observed["gone after"] < gone + 20
    states = [" ".join(rack["service_set"]["rackd"]) for rack in racks]
    assert world.observed["racks then"] == states


def test_of_a_killed_region_no_connection_is_left(world: World) -> None:
    moments = {
        "connections": "time/postgresql-connections",
        "connections then": "time/postgresql-connections-r2-dead",
    }
    for region, client in (("r1", "10.99.0.11"), ("r2", "10.99.0.12")):
        live: list[int] = []
        recorded: list[int] = []
        for moment, name in moments.items():
            held = world.observed[moment].items()
            live.append(sum(n for (address, _), n in held if address == world.address(region)))
            rows = load(name).content["per_client"]
            recorded.append(sum(row["connections"] for row in rows if row["client"] == client))
        # How many they are is compared above: the first one ran MAAS's API server as well.
        assert (live[1] == 0, live[1] - live[0] == 0) == (
            recorded[1] == 0,
            recorded[1] - recorded[0] == 0,
        ), region


def test_a_deleted_region_returns_under_a_new_id(world: World) -> None:
    recorded = load("time/region-startup").content["second_region_restarted_after_it_was_deleted"]
    before, after = world.observed["ids of a deleted region"]
    assert (before == after) == (len(set(recorded["maas_id_before_and_after"])) == 1)


def test_an_outage_of_the_database_heals_by_itself(world: World) -> None:
    recorded = load("time/postgresql-outage-rpc-transitions").content
    down = next(event["utc"] for event in recorded["events"] if event["event"].endswith("down"))
    for region in ("r1", "r2"):
        steps = (step for step in recorded["transitions"] if step["host"] == region)
        expected = [step["status"] for step in steps if step["utc"] > down]
        # A connection that is found broken later gives 500 once more, as on the recorded r1.
        states = [state[region] for _, state in world.observed["outage"]]
        assert list(dict.fromkeys(states)) == list(dict.fromkeys(expected)), region
    assert world.observed["back after"] < 30


def test_a_deleted_rack_forgets_the_secret_only(world: World) -> None:
    recorded = load("time/rack-files-after-delete").content["k1"]
    identity = ("secret", "maas_id", "maas_uuid", "rpc.state")
    left = {line.split()[-1] for line in recorded.splitlines()} & set(identity)
    assert set(world.observed["files of a deleted rack"]) & set(identity) == left


def test_the_controllers_tables_have_the_recorded_columns(world: World) -> None:
    for table, columns in (
        load("db/tables-of-controllers-and-processes").content["columns"].items()
    ):
        rows = world.sql(
            "SELECT column_name, data_type, is_nullable FROM information_schema.columns"
            f" WHERE table_name = '{table}' ORDER BY ordinal_position",
            world.cast.database,
        )
        expected = [[c["column"], c["type"], c["nullable"]] for c in columns]
        assert rows == expected, table
