# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the leader tells the timers of all regions: through MAAS's database.

A file on each region would stay as it was where a unit's agent is down, and that unit's timer
would go by it.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import psycopg2

import database
import migration

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's own name

TIMEOUT_S = 2
# A statement longer than this is cancelled: with no synchronous replica a strict primary has one
# wait until there is one, which no timeout of PostgreSQL's ends, and the hook holds Juju's lock.
STATEMENT_S = 5.0

logger = logging.getLogger(__name__)


def tell(what: str, write: Callable[["Connection"], None]) -> bool:
    """Have write put what is told into the database; returns whether the timers know it now."""
    try:
        login = migration.login_from_config()
        with database.connect(login, f"charmed-maas {what}", timeout_s=TIMEOUT_S) as connection:
            with _in_time(connection) as is_late:
                write(connection)
            if is_late.is_set():
                # What was cancelled may look done: no other member need have it.
                raise database.DatabaseError("no replica confirms it")
    except (FileNotFoundError, database.DatabaseError) as error:
        logger.info("the regions' timers do not know of any change of %s yet: %s", what, error)
        return False
    return True


@contextlib.contextmanager
def _in_time(connection: "Connection") -> Generator[threading.Event]:
    """Cancel each statement that takes too long; yields what tells whether one did."""
    is_late, is_done = threading.Event(), threading.Event()

    def cancel() -> None:
        while not is_done.wait(STATEMENT_S):
            is_late.set()
            with contextlib.suppress(psycopg2.Error):
                connection.cancel()

    thread = threading.Thread(target=cancel, daemon=True)
    thread.start()
    try:
        yield is_late
    finally:
        is_done.set()
        thread.join()
