# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the leader tells the timers of all regions: through MAAS's database.

A file on each region would stay as it was where a unit's agent is down, and that unit's timer
would go by it.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import database
import migration

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's own name

TIMEOUT_S = 2

logger = logging.getLogger(__name__)


def tell(what: str, write: Callable[["Connection"], None]) -> bool:
    """Have write put what is told into the database; returns whether the timers know it now."""
    try:
        login = migration.login_from_config()
        with database.connect(login, f"charmed-maas {what}", timeout_s=TIMEOUT_S) as connection:
            write(connection)
    except (FileNotFoundError, database.DatabaseError) as error:
        logger.info("the regions' timers do not know of any change of %s yet: %s", what, error)
        return False
    return True
