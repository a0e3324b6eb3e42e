# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
import json
from collections.abc import Callable

import pytest

import departures
from departures import Told


class Database:
    """A table of one row that statements of the module make and fill."""

    def __init__(self) -> None:
        self.exists = False
        self.rows: list[tuple[object, ...]] = []
        self.found: list[tuple[object, ...]] = []

    def cursor(self) -> contextlib.AbstractContextManager["Database"]:
        return contextlib.nullcontext(self)

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> None:
        if statement == departures.CREATE:
            self.exists = True
        elif statement == departures.WRITE:
            assert self.exists
            told, controllers = values
            self.rows = [(told, json.loads(str(controllers)))]
        elif statement == departures.READ:
            self.found = self.rows
        else:
            self.found = [(self.exists,)]

    def fetchone(self) -> tuple[object, ...] | None:
        return self.found[0] if self.found else None


@pytest.fixture
def kept(connect_to: Callable[[object], None]) -> Database:
    found = Database()
    connect_to(found)
    return found


def test_what_the_leader_tells_every_timer_reads(kept: Database):
    assert departures.read(kept) == Told()  # type: ignore[arg-type]
    assert departures.tell([("rack", "bbb333"), ("region", "aaa111")], 100)
    assert departures.read(kept) == Told(  # type: ignore[arg-type]
        100, frozenset({("rack", "bbb333"), ("region", "aaa111")})
    )
    assert departures.tell([], 200)
    assert departures.read(kept) == Told(200)  # type: ignore[arg-type]


def test_a_table_that_was_never_filled_says_nothing(kept: Database):
    kept.exists = True
    assert departures.read(kept) == Told()  # type: ignore[arg-type]


def test_only_what_the_leader_could_know_has_returned():
    told = Told(200, frozenset({("rack", "bbb333")}))
    assert not told.has_returned("rack", "bbb333", 100)
    assert told.has_returned("region", "bbb333", 100)
    assert told.has_returned("rack", "bbb444", 200)
    # The leader found the database away, or is of a revision that tells nobody.
    assert not told.has_returned("rack", "bbb444", 201)
    assert not Told().has_returned("rack", "bbb444", 100)
