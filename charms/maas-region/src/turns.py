# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Whose turn it is to be away: one region restarts, pauses or leaves at a time."""

import contextlib
import logging
import time
from collections.abc import Generator
from typing import TYPE_CHECKING

import psycopg2

import database
import migration
import region

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's own name

logger = logging.getLogger(__name__)

# As long as one region drains, restarts and serves again, all but the longest drains.
TURN_S = 90.0


@contextlib.contextmanager
def to_leave() -> Generator[None]:
    """Have the turn of those that restart, lest another region is away as well.

    Who leaves waits for it a while and goes in any case: its machine may be given back.
    """
    if not _may_run():
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            login = migration.login_from_config()
            connection = stack.enter_context(database.connect(login, "charmed-maas leave"))
            deadline = time.monotonic() + TURN_S
            while not database.try_lock(connection, database.RESTART):
                if time.monotonic() > deadline:
                    logger.warning("leaves while another region restarts")
                    break
                time.sleep(1)
        except (FileNotFoundError, database.DatabaseError, psycopg2.Error) as error:
            # What the database says while it is asked comes as it is: the connection is not over.
            logger.info("leaves without a turn: %s", error)
        yield


def _may_run() -> bool:
    try:
        return region.is_any_running()
    except region.RegionError as error:
        logger.info("whether MAAS runs is not known: %s", error)
        return True


def whose(connection: "Connection") -> str:
    """Return who has the turn, in words for a status; "" where nobody has it any more.

    The connections that take it are named "charmed-maas restart maas-region/1", or "pause"; of a
    unit that leaves the name is not there.
    """
    name = database.holder(connection, database.RESTART)
    unit = name.rpartition(" ")[2]
    who = unit if "/" in unit else "a region that leaves"
    return f"{who} has it" if name else ""
