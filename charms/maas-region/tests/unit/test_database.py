# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What MAAS's database is asked, by a PostgreSQL that is there for the test alone."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg2
import pytest
import throwaway

import api
import database
import dhcp_grace
import dhcp_hold
import health_table
from findings import Findings, Rack, Served, Strays, Unknown

SCHEMA = Path(__file__).parents[4] / "lab/standin/maas_standin/data/schema.sql"
# As MAAS 3.7 makes them in the first step of its schema, as far as they are read.
MAAS = {
    "maasserver_node": {
        "id": "bigint",
        "system_id": "character varying",
        "hostname": "character varying",
        "node_type": "integer",
        "bmc_id": "bigint",
        "current_config_id": "bigint",
    },
    "maasserver_bmc": {
        "id": "bigint",
        "power_type": "character varying",
        "ip_address_id": "bigint",
    },
    "maasserver_bmcroutablerackcontrollerrelationship": {
        "routable": "boolean",
        "bmc_id": "bigint",
        "rack_controller_id": "bigint",
    },
    "maasserver_interface": {"id": "bigint", "node_config_id": "bigint"},
    "maasserver_interface_ip_addresses": {
        "interface_id": "bigint",
        "staticipaddress_id": "bigint",
    },
    "maasserver_staticipaddress": {"id": "bigint", "ip": "inet", "subnet_id": "bigint"},
}
# r0 is on subnets 1, 2 and 3, r1 on 1, r2 on 3; of n0 both that live reach the BMC by its subnet.
# A region and a machine are on subnet 2, and r1 once was: nobody of them switches anything there.
RACKS = {"aaa000": "r0", "aaa111": "r1", "aaa222": "r2"}
ROWS = """
INSERT INTO maasserver_bmc (id, power_type, ip_address_id) VALUES
  (70, 'ipmi', 50), (71, 'ipmi', 51), (72, 'ipmi', 52), (73, 'lxd', NULL), (74, 'redfish', 51),
  (75, 'ipmi', NULL), (76, 'manual', NULL), (77, '', 51);
INSERT INTO maasserver_node (id, system_id, hostname, node_type, bmc_id, current_config_id) VALUES
  (1, 'aaa000', 'r0', 2, NULL, 101), (2, 'aaa111', 'r1', 4, NULL, 102),
  (3, 'aaa222', 'r2', 2, NULL, 103), (4, 'aaa333', 'region', 3, NULL, 104),
  (10, 'bbb000', 'both', 0, 70, 110), (11, 'bbb111', 'only-r0', 0, 71, 111),
  (12, 'bbb222', 'r2-is-dead', 0, 72, 112), (13, 'bbb333', 'routed', 0, 73, 113),
  (14, 'bbb444', 'near-and-routed', 0, 74, 114), (15, 'bbb555', 'untold', 0, 75, 115),
  (16, 'bbb666', 'by-hand', 0, 76, 116), (17, 'bbb777', 'no-type', 0, 77, 117),
  (18, 'bbb888', 'no-bmc', 0, NULL, 118);
INSERT INTO maasserver_interface (id, node_config_id) VALUES
  (21, 101), (22, 102), (23, 103), (24, 104), (25, 111);
INSERT INTO maasserver_staticipaddress (id, ip, subnet_id) VALUES
  (31, '10.0.1.1', 1), (32, '10.0.2.1', 2), (33, '10.0.3.1', 3), (34, '10.0.1.2', 1),
  (35, NULL, 2), (36, '10.0.3.2', 3), (37, '10.0.2.9', 2), (38, '10.0.2.8', 2),
  (50, '10.0.1.50', 1), (51, '10.0.2.50', 2), (52, '10.0.3.50', 3), (53, '10.0.9.50', NULL);
INSERT INTO maasserver_interface_ip_addresses (interface_id, staticipaddress_id) VALUES
  (21, 31), (21, 32), (21, 33), (22, 34), (22, 35), (23, 36), (24, 37), (25, 38);
INSERT INTO maasserver_bmcroutablerackcontrollerrelationship
  (bmc_id, rack_controller_id, routable) VALUES
  (73, 1, false), (73, 2, true), (74, 2, true), (75, 1, false);
"""
REACH = {
    "both": ("aaa000", "aaa111"),
    "only-r0": ("aaa000",),
    "r2-is-dead": ("aaa000", "aaa222"),
    "routed": ("aaa111",),
    "near-and-routed": ("aaa000", "aaa111"),
    "untold": (),
}
# Two racks of the lab in one subnet as the stand-in keeps them, and what is done there by hand: a
# machine whose BMC the rack r0 alone is noted to reach.
STANDIN = """
INSERT INTO maasserver_subnet (id, name, cidr, vlan_id) VALUES (1, 's', '10.0.1.0/24', 5001);
INSERT INTO maasserver_node (id, system_id, hostname, node_type) VALUES
  (101, 'aaa000', 'r0', 2), (102, 'aaa111', 'r1', 2);
INSERT INTO maasserver_interface (id, node_id, name, mac_address) VALUES
  (21, 101, 'eth0', '02:00:00:00:00:01'), (22, 102, 'eth0', '02:00:00:00:00:02');
INSERT INTO maasserver_staticipaddress (ip, interface_id, subnet_id) VALUES
  ('10.0.1.1', 21, 1), ('10.0.1.2', 22, 1);
"""
BY_HAND = """
WITH made AS (INSERT INTO maasserver_bmc (power_type) VALUES ('ipmi') RETURNING id),
  noted AS (INSERT INTO maasserver_bmcroutablerackcontrollerrelationship
    (bmc_id, rack_controller_id, routable)
    SELECT made.id, k.id, k.hostname = 'r0' FROM made, maasserver_node k
      WHERE k.node_type IN (2, 4))
INSERT INTO maasserver_node (system_id, hostname, bmc_id) SELECT 'bmc000', 'node-0', id FROM made;
"""
IN_THEIR_SUBNET = """
WITH own AS (INSERT INTO maasserver_staticipaddress (ip, subnet_id) VALUES ('10.0.1.50', 1)
  RETURNING id)
UPDATE maasserver_bmc SET ip_address_id = own.id FROM own;
"""
UNDONE = """
DELETE FROM maasserver_node WHERE system_id = 'bmc000';
DELETE FROM maasserver_bmc b
  WHERE NOT EXISTS (SELECT 1 FROM maasserver_node n WHERE n.bmc_id = b.id);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The directory of a PostgreSQL's socket."""
    with throwaway.postgresql() as directory:
        yield directory


@pytest.fixture
def connection(server: str) -> Iterator[Any]:
    """Connect to an empty database; what is made in it is gone afterwards."""
    made = psycopg2.connect(host=server, user="maas", dbname="postgres")
    with contextlib.closing(made):
        yield made
        made.rollback()


def _run(connection: Any, text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text)


def test_the_reach_of_bmcs_is_read_from_maas_own_columns(connection: Any):
    for table, columns in MAAS.items():
        _run(connection, f"CREATE TABLE {table} ({', '.join(map(' '.join, columns.items()))})")
    assert database.bmc_reach(connection) == {}
    _run(connection, ROWS)
    found = database.bmc_reach(connection)
    assert {name: tuple(sorted(racks)) for name, racks in found.items()} == REACH


def test_health_tells_of_bmcs_that_one_living_rack_alone_reaches():
    racks = [
        Rack(key, name, f"10.0.0.2{n}", "dead" if name == "r2" else "running")
        for n, (key, name) in enumerate(RACKS.items())
    ]
    found = Findings(
        regions=(),
        database=Unknown("not asked"),
        vip=None,
        url_host="",
        racks=tuple(racks),
        vlans=(),
        bmcs=tuple(Served(name, keys) for name, keys in REACH.items()),
        controllers=Strays(),
    )
    rows = json.loads(health_table.render(found).json)["rows"]
    assert [(one["machine"], one["state"]) for one in rows if one["what"] == "BMC"] == [
        ("10.0.0.20", "racks here alone reach the BMC of only-r0, r2-is-dead"),
        ("10.0.0.21", "racks here alone reach the BMC of routed"),
        ("-", "MAAS switches 6 machines; of 1 it has not noted which racks reach the BMC"),
    ]


def test_the_stand_in_has_the_columns_under_maas_names(connection: Any):
    _run(connection, SCHEMA.read_text())
    with connection.cursor() as cursor:
        cursor.execute("SELECT table_name, column_name, data_type FROM information_schema.columns")
        there = set(cursor.fetchall())
    assert (
        not {(table, *one) for table, columns in MAAS.items() for one in columns.items()} - there
    )
    _run(connection, STANDIN)
    assert database.bmc_reach(connection) == {}
    _run(connection, BY_HAND)
    assert database.bmc_reach(connection) == {"node-0": ("aaa000",)}
    _run(connection, IN_THEIR_SUBNET)
    assert database.bmc_reach(connection) == {"node-0": ("aaa000", "aaa111")}
    _run(connection, UNDONE)
    assert database.bmc_reach(connection) == {}


def test_a_lock_names_the_connection_that_has_it(connection: Any, server: str):
    connection.autocommit = True  # As the charm's: in a transaction who is there stays as seen.
    assert database.holder(connection, database.RESTART) == ""
    name = "charmed-maas restart maas-region/2"
    other = psycopg2.connect(host=server, user="maas", dbname="postgres", application_name=name)
    with contextlib.closing(other):
        assert database.try_lock(other, database.RESTART)
        assert not database.try_lock(connection, database.RESTART)
        assert database.holder(connection, database.RESTART) == name
        assert database.holder(connection, database.MIGRATE) == ""


def test_what_a_clock_wrote_that_was_ahead_counts_from_when_it_is_set_back(connection: Any):
    _run(connection, "CREATE SCHEMA charmed_maas")
    dhcp_grace.write(connection, 300, {"aaa": 120, "bbb": 120})
    ahead = "since = now() + interval '1 day'"
    past = "since = now() - interval '1 min'"
    _run(connection, f"UPDATE charmed_maas.dhcp_grace SET {past} WHERE system_id = 'aaa'")
    _run(connection, f"UPDATE charmed_maas.dhcp_grace SET {ahead} WHERE system_id = 'bbb'")
    dhcp_grace.write(connection, 300, {"aaa": 120, "bbb": 120})
    grace = dhcp_grace.Grace(300, 120)
    assert dhcp_grace.read(connection) == {"aaa": replace(grace, held_s=60.0), "bbb": grace}

    client = mock.create_autospec(api.Client, instance=True)
    client.vlans_with_dhcp.return_value = [api.VLAN("pxe", 5001, "", "aaa", "bbb")]
    assert dhcp_hold.held(connection, client, ["aaa", "bbb"]) == {"aaa", "bbb"}
    gone = f"since = now() - interval '{300 + dhcp_hold.BEYOND_S} s'"
    _run(connection, f"UPDATE charmed_maas.dhcp_hold SET {gone} WHERE system_id = 'aaa'")
    _run(connection, f"UPDATE charmed_maas.dhcp_hold SET {ahead} WHERE system_id = 'bbb'")
    assert dhcp_hold.held(connection, client, ["aaa", "bbb"]) == {"bbb"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT system_id FROM charmed_maas.dhcp_hold WHERE since = now()")
        assert cursor.fetchall() == [("bbb",)]
