# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Runs on a region's machine: inserts numbered rows through that region's database proxy.

It gets its own name and the first number as arguments and prints each number once PostgreSQL
acknowledged it. A failed insert is never tried again: its row may or may not be there.
"""

import glob
import sys
import time

AGENTS = "/var/lib/juju/agents"
sys.path[:0] = glob.glob(f"{AGENTS}/unit-maas-region-*/charm/venv/lib/python3*/site-packages")

import psycopg2  # noqa: E402 - from the charm's own environment
import yaml  # noqa: E402

TABLE = "charmed_maas_test_rows"


def connect():
    """Connect as the region does now, quicker to give up."""
    with open("/etc/maas/regiond.conf") as file:
        config = yaml.safe_load(file)
    connection = psycopg2.connect(
        host=config["database_host"],
        port=config["database_port"],
        dbname=config["database_name"],
        user=config["database_user"],
        password=config["database_pass"],
        connect_timeout=3,
        application_name="charmed-maas-test-writer",
    )
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS {TABLE}"
            " (writer text, number bigint, PRIMARY KEY (writer, number))"
        )
    return connection


def main(name: str, number: int) -> None:
    """Insert for ever."""
    connection = None
    while True:
        try:
            connection = connection or connect()
            with connection.cursor() as cursor:
                cursor.execute(f"INSERT INTO {TABLE} VALUES (%s, %s)", (name, number))
            print(number, flush=True)
        except (psycopg2.Error, OSError) as error:
            print(
                "error", str(error).strip().replace("\n", " ")[:200], file=sys.stderr, flush=True
            )
            if connection is not None:
                connection.close()
            connection = None
            time.sleep(0.2)
        number += 1
        time.sleep(0.05)


main(sys.argv[1], int(sys.argv[2]))
