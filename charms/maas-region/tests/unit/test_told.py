# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from unittest import mock

import psycopg2
import pytest
import throwaway
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's own name

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


def test_nobody_knows_what_no_replica_confirms_and_no_hook_waits_for_one(
    monkeypatch: pytest.MonkeyPatch,
):
    """Each statement is one that waits, and is done once it is cancelled."""

    @contextlib.contextmanager
    def connect(*_: object, **__: object) -> Iterator[Connection]:
        with contextlib.closing(
            psycopg2.connect(host=directory, user="maas", dbname="postgres")
        ) as found:
            found.autocommit = True
            yield found

    def write(connection: Connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO rows VALUES (1)")
            cursor.execute("INSERT INTO rows VALUES (2)")

    monkeypatch.setattr(told, "STATEMENT_S", 0.2)
    monkeypatch.setattr(migration, "login_from_config", lambda: None)
    monkeypatch.setattr(database, "connect", connect)
    with throwaway.postgresql() as directory, connect() as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE rows (one integer)")
        cursor.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        cursor.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)
        assert not told.tell("rows", write)
        cursor.execute("SELECT count(*) FROM rows")
        assert cursor.fetchone() == (2,)
        cursor.execute("ALTER SYSTEM RESET synchronous_standby_names")
        cursor.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)
        assert told.tell("rows", write)


def test_a_cancel_that_fails_is_tried_again(
    connect_to: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
):
    def cancel() -> None:
        cancelled.append(True)
        if len(cancelled) == 1:
            raise psycopg2.OperationalError("too many connections")
        done.set()

    cancelled, done = list[bool](), threading.Event()
    monkeypatch.setattr(told, "STATEMENT_S", 0.01)
    connect_to(mock.Mock(cancel=cancel))
    assert not told.tell("rows", lambda _: None if done.wait(60) else pytest.fail("waits"))
