# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""By which grace each rack stops its own DHCP once it is cut off: kept in MAAS's database.

The leader writes it there before it tells the racks a grace, and every region's timer reads it
there: a file on each region would stay as it was where a unit's agent is down, and its timer then
promote by a grace that the racks no longer have.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import database
import told

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's own name

# since is when what a row says was written first; by a clock that was ahead then, it is anew.
CREATE = """
CREATE TABLE IF NOT EXISTS charmed_maas.dhcp_grace (system_id text PRIMARY KEY,
  present_s integer NOT NULL, applied_s integer NOT NULL,
  since timestamptz NOT NULL DEFAULT now())
"""
FORGET = "DELETE FROM charmed_maas.dhcp_grace WHERE NOT system_id = ANY(%s)"
WRITE = """
INSERT INTO charmed_maas.dhcp_grace AS old (system_id, present_s, applied_s)
  SELECT id, %s, applied_s FROM unnest(%s::text[], %s::integer[]) AS new (id, applied_s)
  ON CONFLICT (system_id) DO UPDATE
  SET since = now(), present_s = excluded.present_s, applied_s = excluded.applied_s
  WHERE (old.present_s, old.applied_s) <> (excluded.present_s, excluded.applied_s)
    OR old.since > now()
"""
READ = """
SELECT system_id, present_s, applied_s, extract(epoch FROM now() - since)::float
  FROM charmed_maas.dhcp_grace
"""


@dataclass(frozen=True)
class Grace:
    """The regions' grace, the one that a rack has applied, 0 for none, and how long both hold."""

    present_s: int = 0
    applied_s: int = 0
    held_s: float = 0


def tell(present_s: int, applied: Mapping[str, int], departed: Collection[str] = ()) -> bool:
    """Have every region's timer know the regions' grace, 0 for none, and that of each rack.

    applied goes by the racks' IDs. Of those that have departed it stays as they told it last: it
    holds until they are dead, and replaced. Returns whether they know.
    """

    def write_all(connection: "Connection") -> None:
        if present_s:
            write(connection, present_s, applied, departed)
        else:
            write(connection, 0, {})

    return told.tell("DHCP grace", write_all)


def write(
    connection: "Connection",
    present_s: int,
    applied: Mapping[str, int],
    departed: Collection[str] = (),
) -> None:
    """Write what differs; what is as it was goes on holding."""
    racks = list(applied)
    with connection.cursor() as cursor:
        cursor.execute(CREATE)
        cursor.execute(FORGET, ([*racks, *departed],))
        cursor.execute(WRITE, (present_s, racks, list(applied.values())))


def read(connection: "Connection") -> dict[str, Grace]:
    """Return each rack's grace by its ID; {} where no rack is to be replaced."""
    with connection.cursor() as cursor:
        if not database.has_table(cursor, "charmed_maas.dhcp_grace"):
            return {}
        cursor.execute(READ)
        return {str(row[0]): Grace(*row[1:]) for row in cursor.fetchall()}
