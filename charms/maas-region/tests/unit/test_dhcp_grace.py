# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
from collections.abc import Callable

import pytest

import dhcp_grace
from dhcp_grace import Grace


class Database:
    """A table that statements of the module make, forget and fill."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, int]] | None = None
        self.found: list[tuple[object, ...]] = []

    def cursor(self) -> contextlib.AbstractContextManager["Database"]:
        return contextlib.nullcontext(self)

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> None:
        if statement == dhcp_grace.CREATE:
            self.rows = self.rows or {}
        elif statement == dhcp_grace.FORGET:
            (kept,) = values
            self.rows = {one: row for one, row in (self.rows or {}).items() if one in list(kept)}  # type: ignore[call-overload]
        elif statement == dhcp_grace.WRITE:
            present_s, racks, applied = values
            new = {one: (present_s, s) for one, s in zip(racks, applied, strict=True)}  # type: ignore[call-overload]
            self.rows = (self.rows or {}) | new  # type: ignore[operator]
        elif statement == dhcp_grace.READ:
            self.found = [(one, *row, 7.5) for one, row in (self.rows or {}).items()]
        else:
            self.found = [(self.rows is not None,)]

    def fetchone(self) -> tuple[object, ...]:
        return self.found[0]

    def fetchall(self) -> list[tuple[object, ...]]:
        return self.found


@pytest.fixture
def kept(connect_to: Callable[[object], None]) -> Database:
    found = Database()
    connect_to(found)
    return found


def test_what_the_leader_tells_every_timer_reads(kept: Database):
    assert dhcp_grace.read(kept) == {}  # type: ignore[arg-type]
    assert dhcp_grace.tell(300, {"aaa": 120, "bbb": 0})
    assert dhcp_grace.read(kept) == {"aaa": Grace(300, 120, 7.5), "bbb": Grace(300, 0, 7.5)}  # type: ignore[arg-type]


def test_what_a_departed_rack_told_stays_and_no_other(kept: Database):
    dhcp_grace.tell(120, {"aaa": 120, "bbb": 120, "ccc": 120})
    dhcp_grace.tell(300, {"bbb": 0}, ["aaa", "zzz"])
    assert kept.rows == {"aaa": (120, 120), "bbb": (300, 0)}
    dhcp_grace.tell(0, {"bbb": 0}, ["aaa"])
    assert kept.rows == {}


def test_without_a_grace_nothing_is_kept_of_any_rack(kept: Database):
    dhcp_grace.tell(300, {"aaa": 120})
    assert dhcp_grace.tell(0, {"aaa": 120})
    assert dhcp_grace.read(kept) == {}  # type: ignore[arg-type]
