# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Connections to MAAS's PostgreSQL: many, real, and reopened after an outage."""

import collections.abc
import contextlib
import itertools
import logging
import os
import queue
import select
import threading
import time
import typing

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras

logger = logging.getLogger(__name__)

LOCK_CLASS = 20120116
LOCK_STARTUP = 1
HEAD = "0026"

Cursor = typing.Any
T = typing.TypeVar("T")

ATTEMPTS = 10
COLLISIONS = (
    psycopg2.errors.SerializationFailure,
    psycopg2.errors.DeadlockDetected,
    psycopg2.errors.UniqueViolation,
)
CONNECTION_LOST = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    psycopg2.errors.ReadOnlySqlTransaction,
)


def connect(config: dict[str, typing.Any], application_name: str) -> typing.Any:
    """Open one connection to the database that regiond.conf names."""
    host = str(config["database_host"])
    if "," in host:  # MAAS reaches libpq and asyncpg; the latter takes one host only.
        raise psycopg2.OperationalError(
            f'could not translate host name "{host}" to address: Name or service not known'
        )
    connection = psycopg2.connect(
        host=host,
        port=config["database_port"],
        dbname=config["database_name"],
        user=config["database_user"],
        password=config["database_pass"],
        application_name=application_name,
        connect_timeout=10,
        keepalives=int(config["database_keepalive"]),
        keepalives_idle=config["database_keepalive_idle"],
        keepalives_interval=config["database_keepalive_interval"],
        keepalives_count=config["database_keepalive_count"],
        cursor_factory=psycopg2.extras.RealDictCursor,
    )
    connection.set_session(isolation_level=psycopg2.extensions.ISOLATION_LEVEL_REPEATABLE_READ)
    return connection


class Pool:
    """A fixed number of connections, handed out in turn."""

    def __init__(self, config: dict[str, typing.Any], application_name: str, size: int) -> None:
        self._config = config
        self._application_name = application_name
        self._idle: queue.Queue[tuple[int, typing.Any]] = queue.Queue()
        self._outages = 0
        self._lock = threading.Lock()
        for _ in range(size):
            self._idle.put((0, None))

    def open_all(self) -> None:
        """Open every connection that is not open yet."""
        for _ in range(self._idle.qsize()):
            with self.connection() as connection:
                connection.rollback()

    def _usable(self, outage: int, connection: typing.Any) -> bool:
        """Tell whether a connection that may have lived through an outage still works."""
        if connection is None or connection.closed:
            return False
        if outage == self._outages:
            return True
        try:
            connection.cursor().execute("SELECT 1")
            connection.rollback()
        except CONNECTION_LOST:
            connection.close()
            return False
        return True

    @contextlib.contextmanager
    def connection(self) -> collections.abc.Iterator[typing.Any]:
        """Lend a connection; one that broke is not lent again."""
        outage, connection = self._idle.get()
        try:
            if not self._usable(outage, connection):
                connection = None
                connection = connect(self._config, self._application_name)
            outage = self._outages
            yield connection
        except CONNECTION_LOST:
            with self._lock:
                self._outages += 1
            if connection is not None:
                connection.close()
            connection = None
            raise
        finally:
            self._idle.put((outage, connection))

    def run(self, work: collections.abc.Callable[..., T], *arguments: typing.Any) -> T:
        """Call work(cursor, ...) in a transaction, again if it collides with another."""
        with self.connection() as connection:
            return _retry(connection, work, *arguments)

    def locked(self, work: collections.abc.Callable[..., T], *arguments: typing.Any) -> T:
        """Do the same while holding MAAS's start-up lock across all regions."""
        with self.connection() as connection:
            _retry(connection, _lock, "pg_advisory_lock")
            try:
                return _retry(connection, work, *arguments)
            finally:
                if not connection.closed:  # A closed connection has lost its lock already.
                    _retry(connection, _lock, "pg_advisory_unlock")


def _lock(cursor: Cursor, function: str) -> None:
    cursor.execute(f"SELECT {function}(%s, %s)", (LOCK_CLASS, LOCK_STARTUP))


def _retry(
    connection: typing.Any, work: collections.abc.Callable[..., T], *arguments: typing.Any
) -> T:
    for attempt in itertools.count(1):
        try:
            with connection.cursor() as cursor:
                result = work(cursor, *arguments)
            connection.commit()
        except COLLISIONS:
            connection.rollback()
            if attempt == ATTEMPTS:
                raise
            time.sleep(attempt * (0.01 + os.getpid() % 7 / 500))  # Not in step with the other.
        except BaseException:
            # The pool shall never hand on a transaction that somebody was interrupted in.
            if not connection.closed:
                connection.rollback()
            raise
        else:
            return result
    raise AssertionError("unreachable")


def is_migrated(cursor: Cursor) -> bool:
    """Tell whether dbupgrade has brought this database to our version."""
    cursor.execute("SELECT to_regclass('public.alembic_version') AS found")
    if cursor.fetchone()["found"] is None:
        return False
    cursor.execute("SELECT version_num FROM alembic_version")
    row = cursor.fetchone()
    return row is not None and row["version_num"] == HEAD


def get_setting(cursor: Cursor, name: str, default: typing.Any = None) -> typing.Any:
    """Return a value of MAAS's own settings."""
    cursor.execute("SELECT value FROM maasserver_config WHERE name = %s", (name,))
    row = cursor.fetchone()
    return default if row is None else row["value"]


def put_setting(cursor: Cursor, name: str, value: typing.Any) -> None:
    """Write a value of MAAS's own settings."""
    cursor.execute(
        "INSERT INTO maasserver_config (name, value) VALUES (%s, %s)"
        " ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value",
        (name, psycopg2.extras.Json(value)),
    )


def shared_secret(cursor: Cursor) -> str:
    """Return what racks have to know, nothing before the first region made it."""
    cursor.execute("SELECT value FROM maasserver_secret WHERE path = 'global/rpc-shared'")
    row = cursor.fetchone()
    return row["value"]["secret"] if row else ""


class Listener(threading.Thread):
    """A connection of its own that waits for notifications, reconnecting for ever."""

    RETRY_S = 3

    def __init__(
        self,
        config: dict[str, typing.Any],
        application_name: str,
        handlers: dict[str, collections.abc.Callable[[str], None]],
    ) -> None:
        super().__init__(name="listener", daemon=True)
        self._config = config
        self._application_name = application_name
        self._handlers = handlers

    def run(self) -> None:
        """Listen until the process ends."""
        while True:
            try:
                self._listen(connect(self._config, self._application_name))
            except CONNECTION_LOST as error:
                logger.error("Listener lost the database, retrying: %s", str(error).strip())
                time.sleep(self.RETRY_S)

    def _listen(self, connection: typing.Any) -> None:
        with contextlib.closing(connection):
            connection.autocommit = True
            with connection.cursor() as cursor:
                for channel in self._handlers:
                    cursor.execute(f"LISTEN {channel}")
            # What was notified while nobody listened is made up for.
            for handler in self._handlers.values():
                handler("")
            while True:
                select.select([connection], [], [], 60)
                connection.poll()
                while connection.notifies:
                    notice = connection.notifies.pop(0)
                    self._handlers[notice.channel](notice.payload)
