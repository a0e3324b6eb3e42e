# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from collections.abc import Callable

import pytest

import database
import migration
import told


def test_what_is_told_is_written(connect_to: Callable[[object], None]):
    kept, written = object(), list[object]()
    connect_to(kept)
    assert told.tell("rows", written.append)
    assert written == [kept]


@pytest.mark.parametrize(
    ("away", "error"),
    [
        ((database, "connect"), database.DatabaseError("away")),
        ((migration, "login_from_config"), FileNotFoundError("no config")),
    ],
)
def test_nobody_knows_while_the_database_is_away(
    connect_to: Callable[[object], None],
    monkeypatch: pytest.MonkeyPatch,
    away: tuple[object, str],
    error: Exception,
):
    def fails(*_: object, **__: object):
        raise error

    written = list[object]()
    connect_to(object())
    monkeypatch.setattr(*away, fails)
    assert not told.tell("rows", written.append)
    assert written == []


def test_nobody_knows_what_could_not_be_written(connect_to: Callable[[object], None]):
    def write(_: object) -> None:
        raise database.DatabaseError("gone meanwhile")

    connect_to(object())
    assert not told.tell("rows", write)
