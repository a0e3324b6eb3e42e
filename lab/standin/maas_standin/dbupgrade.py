# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Bring a database to our version, as dbupgrade does: not safe for two at once."""

import re
import sys
import time
import typing

from maas_standin import data, database

# MAAS runs hundreds of statements where we run dozens; whoever waits for a migration,
# or is switched off in the middle of one, must meet it here too.
SECONDS_PER_REVISION = 0.5
PREFIX = "INFO  [alembic.runtime.migration]"


def _revisions() -> list[tuple[str, str, str]]:
    """Return (revision, title, SQL) of each step."""
    parts = re.split(r"^-- revision: (\S+) (.*)\n", data.read("schema.sql"), flags=re.MULTILINE)[
        1:
    ]
    return list(zip(parts[::3], parts[1::3], parts[2::3], strict=True))


def _current(cursor: database.Cursor) -> str:
    """Return the revision of the database, after making the table that tells it."""
    cursor.execute("SELECT to_regclass('public.alembic_version') AS found")
    if cursor.fetchone()["found"] is None:
        cursor.execute(
            "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL,"
            " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
        return ""
    cursor.execute("SELECT version_num FROM alembic_version")
    row = cursor.fetchone()
    return row["version_num"] if row else ""


def _migrate_schema(cursor: database.Cursor) -> None:
    print(f"{PREFIX} Context impl PostgresqlImpl.", file=sys.stderr)
    print(f"{PREFIX} Will assume transactional DDL.", file=sys.stderr)
    current = _current(cursor)
    for revision, title, sql in _revisions():
        if revision <= current:
            continue
        print(f"{PREFIX} Running upgrade {current} -> {revision}, {title}", file=sys.stderr)
        cursor.execute(sql)
        cursor.execute("SELECT pg_sleep(%s)", (SECONDS_PER_REVISION,))
        current = revision
    cursor.execute("DELETE FROM alembic_version")
    cursor.execute("INSERT INTO alembic_version VALUES (%s)", (current,))


def _migrate_temporal(cursor: database.Cursor) -> None:
    """Make the schemas that need an owner's rights; we run no Temporal in them."""
    for schema in ("temporal", "temporal_visibility"):
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    cursor.execute("CREATE EXTENSION IF NOT EXISTS btree_gin WITH SCHEMA temporal_visibility")


def run(config: dict[str, typing.Any]) -> None:
    """Migrate the database that regiond.conf names."""
    connection = database.connect(config, "maas-dbupgrade")
    try:
        # The schema is one transaction: a migration that dies leaves the database as it was.
        connection.set_session(isolation_level="READ COMMITTED")
        with connection, connection.cursor() as cursor:
            _migrate_schema(cursor)
        print("Running Temporal migrations:")
        with connection, connection.cursor() as cursor:
            _migrate_temporal(cursor)
        time.sleep(SECONDS_PER_REVISION)
        print("  Applied all migrations.")
    finally:
        connection.close()
