# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Which controllers have departed, as the leader said last: kept in MAAS's database.

A region whose agent is down keeps the file that its last hook wrote, and its timer would delete a
rack that has long been related again: what the leader said since holds there too.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import database
import told

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's own name

# told is by the leader's clock, as are the times at which controllers departed.
CREATE = """
CREATE TABLE IF NOT EXISTS charmed_maas.departed (singleton boolean PRIMARY KEY DEFAULT true
  CHECK (singleton), told bigint NOT NULL, controllers json NOT NULL)
"""
WRITE = """
INSERT INTO charmed_maas.departed (told, controllers) VALUES (%s, %s)
  ON CONFLICT (singleton) DO UPDATE
  SET told = excluded.told, controllers = excluded.controllers
"""
READ = "SELECT told, controllers FROM charmed_maas.departed"


@dataclass(frozen=True)
class Told:
    """What the leader said, and when (seconds since 1970): each one's kind and ID."""

    at: int = 0
    controllers: frozenset[tuple[str, str]] = frozenset()

    def has_returned(self, kind: str, system_id: str, since: int) -> bool:
        """Tell whether one that departed once is no longer among them.

        What happened since nobody could be told, or a leader of an earlier revision has not.
        """
        return since <= self.at and (kind, system_id) not in self.controllers


def tell(controllers: Iterable[tuple[str, str]], now: int) -> bool:
    """Have every region's timer know which controllers have departed; returns whether they do."""
    row = (now, json.dumps(sorted(controllers)))

    def write(connection: "Connection") -> None:
        with connection.cursor() as cursor:
            cursor.execute(CREATE)
            cursor.execute(WRITE, row)

    return told.tell("departures", write)


def read(connection: "Connection") -> Told:
    """Return what the leader said last; nothing where none has."""
    with connection.cursor() as cursor:
        if not database.has_table(cursor, "charmed_maas.departed"):
            return Told()
        cursor.execute(READ)
        at, found = cursor.fetchone() or (0, [])
    pairs = cast("list[list[object]]", found)
    return Told(int(at), frozenset((str(kind), str(system_id)) for kind, system_id in pairs))
