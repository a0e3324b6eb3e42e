# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import pytest

import cluster
import succession

ME, B, C = (cluster.Unit(f"postgresql-ha/{n}", f"10.0.0.{n + 1}") for n in range(3))
SPEC = cluster.Spec(ME, (B, C), "postgresql-ha", cluster.Keys("", "", "", "", "", ""))


def replica(unit: cluster.Unit, state: str = "running") -> cluster.Member:
    return cluster.Member(unit.member_name, unit.address, 5432, "replica", state)


@pytest.mark.parametrize(
    ("in_step", "members", "awaited"),
    [
        (["postgresql-ha-1"], [replica(ME), replica(C)], [B.name]),
        (["postgresql-ha-1", "postgresql-ha-2"], [replica(ME)], [B.name, C.name]),
        # It is gone from the model as well, and has a name with a hyphen as all of them have.
        (["postgresql-ha-17"], [replica(ME)], ["postgresql-ha/17"]),
        # Its PostgreSQL cannot start: nobody else has its rows for that.
        (["postgresql-ha-1"], [replica(ME), replica(B, "start failed")], [B.name]),
        # The synchronous replica is there and takes over, or this unit is it.
        (["postgresql-ha-1", "postgresql-ha-2"], [replica(ME), replica(C)], []),
        (["postgresql-ha-1", "postgresql-ha-0"], [replica(ME, "starting")], []),
        # It has just been booted.
        (["postgresql-ha-1"], [replica(ME), replica(B, "starting")], []),
        # Patroni's note of it has not been there yet, or etcd could not be asked.
        ([], [replica(ME)], []),
    ],
)
def test_who_alone_has_the_last_rows(
    in_step: list[str], members: list[cluster.Member], awaited: list[str]
):
    assert succession.awaited(SPEC, in_step, members) == awaited


@pytest.mark.parametrize(
    ("places", "best"),
    [
        ({ME.name: (2, 900), B.name: (2, 901)}, B.name),
        ({ME.name: (1, 900), B.name: (2, 100)}, B.name),
        ({ME.name: (2, 900), B.name: (0, 0)}, ME.name),
        # Of equals the lowest number, by number: each unit comes to the same.
        ({"postgresql-ha/10": (2, 900), "postgresql-ha/9": (2, 900)}, "postgresql-ha/9"),
        ({"postgresql-ha/9": (2, 900), "postgresql-ha/10": (2, 900)}, "postgresql-ha/9"),
        # But that one was set aside while others ran.
        ({"postgresql-ha/9": (2, 900, 0), "postgresql-ha/10": (2, 900, 1)}, "postgresql-ha/10"),
        ({}, ""),
    ],
)
def test_whose_data_goes_furthest(places: dict[str, tuple[int, ...]], best: str):
    assert succession.newest(places) == best
