# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What a rack reports is written where it is new, by a PostgreSQL of the test's own."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import throwaway
from maas_standin import nodes
from psycopg2.extras import RealDictCursor

SCHEMA = Path(nodes.__file__).parent / "data/schema.sql"
RACK = """
INSERT INTO maasserver_node (id, system_id, hostname, node_type) VALUES (9, 'abc123', 'k0', 2)
"""
SERVICES = {"dhcpd": ("off", ""), "dhcpd6": ("off", "")}
LINK = {
    "name": "eth0",
    "mac_address": "02:00:00:00:00:01",
    "enabled": True,
    "addresses": ["10.0.1.1/24", "10.0.1.2/24"],
}
READ = """
SELECT s.name, status, status_info, i.mac_address, i.enabled, count(a.ip) AS addresses
  FROM maasserver_service s JOIN maasserver_interface i USING (node_id)
  LEFT JOIN maasserver_staticipaddress a ON a.interface_id = i.id
  WHERE s.node_id = 9 GROUP BY 1, 2, 3, 4, 5 ORDER BY 1
"""


@pytest.fixture
def cursor() -> Iterator[Any]:
    """A cursor on the stand-in's tables, with one rack that has reported nothing."""
    with throwaway.postgresql() as directory:
        made = psycopg2.connect(
            host=directory, user="maas", dbname="postgres", cursor_factory=RealDictCursor
        )
        with contextlib.closing(made):
            cursor = made.cursor()
            cursor.execute(SCHEMA.read_text())
            cursor.execute(RACK)
            made.commit()
            yield cursor


def _writes(cursor: Any, services: dict[str, tuple[str, str]], link: dict[str, Any]) -> bool:
    """Report, and tell whether that took a transaction that its commit has to be written for."""
    nodes.update_services(cursor, 9, services)
    nodes.refresh_interfaces(cursor, 9, [link])
    cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS writes")
    writes = cursor.fetchone()["writes"]
    cursor.connection.commit()
    return writes


def test_a_report_of_what_is_known_writes_and_locks_nothing(cursor: Any):
    assert _writes(cursor, SERVICES, LINK)
    assert not _writes(cursor, SERVICES, LINK)


@pytest.mark.parametrize(
    ("services", "link", "row"),
    [
        ({"dhcpd": ("running", "")}, {}, ("running", "", LINK["mac_address"], True, 2)),
        ({"dhcpd": ("off", "why")}, {}, ("off", "why", LINK["mac_address"], True, 2)),
        ({}, {"mac_address": "02:00:00:00:00:02"}, ("off", "", "02:00:00:00:00:02", True, 2)),
        ({}, {"enabled": False}, ("off", "", LINK["mac_address"], False, 2)),
        ({}, {"addresses": ["10.0.1.2/24"]}, ("off", "", LINK["mac_address"], True, 1)),
        ({}, {"addresses": []}, ("off", "", LINK["mac_address"], True, 0)),
    ],
)
def test_what_has_changed_is_written(
    cursor: Any, services: dict[str, tuple[str, str]], link: dict[str, Any], row: tuple[Any, ...]
):
    _writes(cursor, SERVICES, LINK)
    assert _writes(cursor, SERVICES | services, LINK | link)
    cursor.execute(READ)
    found = cursor.fetchone()
    assert tuple(found[key] for key in list(found)[1:]) == row
