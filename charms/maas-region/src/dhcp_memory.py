# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What one look of dhcp_ha leaves to the next, on any region: in MAAS's database, by its clock."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's own name


@dataclass(frozen=True)
class Memory:
    """What one look leaves to the next, on any region.

    That is when it was and by whose clock, which racks are dead since when, which ones a VLAN was
    given last as (primary, secondary), by whomever, and what an operator should know. Times are
    the database's, in seconds since 1970; racks and VLANs go by their IDs.
    """

    looked: float = 0
    clock: str = ""
    dead_since: Mapping[str, float] = field(default_factory=dict[str, float])
    given: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Now:
    """The time by the one clock that all regions share, the database primary's; clock is which.

    Another primary's may be ahead, and would age every death by that much.
    """

    time: float
    clock: str = ""


def recall(connection: "Connection") -> Memory:
    """Read what the look before left."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS charmed_maas.dhcp (singleton boolean PRIMARY KEY"
            " DEFAULT true CHECK (singleton), memory json NOT NULL)"
        )
        cursor.execute("SELECT memory FROM charmed_maas.dhcp")
        row = cursor.fetchone()
    if not row:
        return Memory()
    kept = cast("dict[str, object]", row[0])
    dead_since, given = (cast("dict[str, object]", kept[key]) for key in ("dead_since", "given"))
    return Memory(
        float(str(kept["looked"])),
        str(kept.get("clock", "")),
        {key: float(str(value)) for key, value in dead_since.items()},
        {key: _pair(value) for key, value in given.items()},
        tuple(str(one) for one in cast("list[object]", kept.get("told", []))),
    )


def remember(connection: "Connection", memory: Memory) -> None:
    """Leave to the next look what it needs."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO charmed_maas.dhcp (memory) VALUES (%s)"
            " ON CONFLICT (singleton) DO UPDATE SET memory = excluded.memory",
            (json.dumps(dataclasses.asdict(memory)),),
        )


def now(connection: "Connection") -> Now:
    """Return the time; each promotion of a primary begins a timeline, which names a WAL file."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM now())::float,"
            " left(pg_walfile_name(pg_current_wal_lsn()), 8)"
        )
        at, clock = cursor.fetchone() or (0.0, "")
        return Now(float(at), str(clock))


def _pair(value: object) -> tuple[str, str]:
    primary, secondary = cast("list[object]", value)
    return str(primary), str(secondary)
