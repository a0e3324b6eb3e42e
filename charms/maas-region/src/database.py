# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The MAAS database: connections through the proxy, our marker in it, advisory locks.

The marker is one row in a schema of ours: which cluster this database is, and for which MAAS
version it was migrated.
"""

import contextlib
import math
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg2

import db_proxy

if TYPE_CHECKING:
    from collections.abc import Generator

    from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's own name
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - psycopg2's own name

NAME = "maasdb"
# MAAS's own advisory locks are (20120116, n).
LOCKS = 1668112737
MIGRATE = 1
CONTROLLERS = 2
RESTART = 3
DHCP = 4
MIGRATE_AS = "charmed-maas migrate "
# MAAS names its own connections maas-regiond-ID whatever it is asked for, others it leaves unnamed
# (seen with 3.7.3): its dbupgrade cannot be told from them.
OF_MAAS = (
    "datname = current_database() AND usename = current_user"
    " AND (application_name = '' OR application_name LIKE 'maas%')"
)
# A holder whose machine died is noticed in about 20 s, and its locks are free again.
KEEPALIVE = (
    "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=20000"
)

# Where MAAS keeps by what racks and regions know each other, unless in a Vault.
SECRET_PATH = "global/rpc-shared"  # noqa: S105 - the name of a row

BMC_REACH = """
WITH reach AS (
  SELECT bmc_id, rack_controller_id AS rack_id
    FROM maasserver_bmcroutablerackcontrollerrelationship WHERE routable
  UNION
  SELECT b.id, k.id FROM maasserver_bmc b
    JOIN maasserver_staticipaddress own ON own.id = b.ip_address_id
    JOIN maasserver_staticipaddress other ON other.subnet_id = own.subnet_id
    JOIN maasserver_interface_ip_addresses link ON link.staticipaddress_id = other.id
    JOIN maasserver_interface i ON i.id = link.interface_id
    JOIN maasserver_node k ON k.current_config_id = i.node_config_id
    WHERE k.node_type IN (2, 4) AND other.ip IS NOT NULL)
SELECT n.hostname, array_agg(DISTINCT k.system_id::text)
  FROM maasserver_node n JOIN reach USING (bmc_id) JOIN maasserver_node k ON k.id = reach.rack_id
  WHERE n.node_type = 0 GROUP BY n.hostname
"""


class DatabaseError(Exception):
    """The database does not answer, or refuses; fit for a status message."""


@dataclass(frozen=True)
class Login:
    """What opens the database through the proxy."""

    database: str
    username: str
    password: str


@dataclass(frozen=True)
class State:
    """What the database says: its marker ("" without one), who migrates it, its tables.

    migrated_ago_s is by the database's own clock. shared_secret is "" before a region made it.
    """

    cluster: str = ""
    version: str = ""
    migrating_unit: str = ""
    is_empty: bool = True
    migrated_ago_s: float = math.inf
    shared_secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class Controller:
    """A controller as MAAS's database has it: a region, a rack, or both."""

    system_id: str
    hostname: str
    is_region: bool
    is_rack: bool


@contextlib.contextmanager
def connect(login: Login, application_name: str, *, timeout_s: int = 5) -> "Generator[Connection]":
    """Open an autocommit connection to the primary; raises DatabaseError for all that fails.

    timeout_s is for connecting; libpq takes none below 2.
    """
    try:
        connection = psycopg2.connect(
            host=db_proxy.ADDRESS,
            port=db_proxy.PORT,
            dbname=login.database,
            user=login.username,
            password=login.password,
            connect_timeout=timeout_s,
            application_name=application_name,
            options=KEEPALIVE,
            target_session_attrs="read-write",
        )
    except psycopg2.Error as error:
        raise DatabaseError(_first_line(error)) from error
    try:
        connection.autocommit = True
        yield connection
    except psycopg2.Error as error:
        raise DatabaseError(_first_line(error)) from error
    finally:
        connection.close()


def state(connection: "Connection") -> State:
    """Read the marker, the unit that migrates now, and whether there are tables."""
    with connection.cursor() as cursor:
        marker = None
        if has_table(cursor, "charmed_maas.cluster"):
            cursor.execute(
                "SELECT id::text, version, extract(epoch FROM now() - migrated)"
                " FROM charmed_maas.cluster"
            )
            marker = cursor.fetchone()
        is_empty = not has_table(cursor, "public.maasserver_node")
        cluster, version, ago_s = marker or ("", "", math.inf)
        migrating = holder(connection, MIGRATE).removeprefix(MIGRATE_AS)
        secret = shared_secret(connection)
        return State(cluster, version, migrating, is_empty, float(ago_s), secret)


def has_table(cursor: "Cursor", name: str) -> bool:
    """Tell whether the database has a table, named with its schema."""
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (name,))
    return bool((cursor.fetchone() or (False,))[0])


def shared_secret(connection: "Connection") -> str:
    """Return the secret by which racks enrol, "" where the database has none."""
    with connection.cursor() as cursor:
        if not has_table(cursor, "public.maasserver_secret"):
            return ""
        cursor.execute(
            "SELECT value->>'secret' FROM maasserver_secret WHERE path = %s", (SECRET_PATH,)
        )
        return str((cursor.fetchone() or ("",))[0] or "")


def set_shared_secret(connection: "Connection", secret: str) -> None:
    """Have MAAS demand another secret of racks; raises DatabaseError where it keeps none here."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE maasserver_secret SET value = jsonb_build_object('secret', %s::text),"
            " updated = now() WHERE path = %s",
            (secret, SECRET_PATH),
        )
        if not cursor.rowcount:
            raise DatabaseError("the database has no shared secret: MAAS keeps it elsewhere")


def record_migration(connection: "Connection", version: str) -> None:
    """Write the marker after a migration; the cluster's ID stays what it was."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS charmed_maas")
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS charmed_maas.cluster ("
            "singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton), id uuid NOT NULL,"
            " version text NOT NULL, migrated timestamptz NOT NULL)"
        )
        cursor.execute(
            "INSERT INTO charmed_maas.cluster (id, version, migrated) VALUES (%s, %s, now())"
            " ON CONFLICT (singleton) DO UPDATE SET version = excluded.version, migrated = now()",
            (str(uuid.uuid4()), version),
        )


def try_lock(connection: "Connection", key: int) -> bool:
    """Take one of our advisory locks for the life of the connection, if it is free."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCKS, key))
        return bool((cursor.fetchone() or (False,))[0])


def end_connections_of_maas(connection: "Connection") -> list[int]:
    """End what MAAS itself has open in this database; returns the server's processes to await.

    Those that come later are not meant.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OF_MAAS}"  # noqa: S608 - a constant
        )
        return [int(pid) for pid, _ in cursor.fetchall()]


def are_open(connection: "Connection", pids: list[int]) -> bool:
    """Tell whether any of these server processes still lives."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", (pids,))
        return bool((cursor.fetchone() or (0,))[0])


def controllers(connection: "Connection") -> list[Controller]:
    """Return the controllers that MAAS knows, in the order of host names."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT system_id, hostname, node_type IN (3, 4), node_type IN (2, 4)"
            " FROM maasserver_node WHERE node_type IN (2, 3, 4) ORDER BY hostname"
        )
        return [Controller(*row) for row in cursor.fetchall()]


def bmc_reach(connection: "Connection") -> dict[str, tuple[str, ...]]:
    """Return the machines that MAAS switches, with the IDs of the racks that reach their BMCs.

    As MAAS itself tells whether anybody does: those with an address in the BMC's subnet, and those
    that it noted a route for (3.7 also tries others in the subnet's VLAN, which need not reach
    it). () where it noted nobody: it then asks every rack.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.hostname FROM maasserver_node n JOIN maasserver_bmc b ON b.id = n.bmc_id"
            " WHERE n.node_type = 0 AND b.power_type NOT IN ('', 'manual')"
        )
        found: dict[str, tuple[str, ...]] = {str(row[0]): () for row in cursor.fetchall()}
        if found:
            cursor.execute(BMC_REACH)
            found |= {
                str(name): tuple(racks) for name, racks in cursor.fetchall() if name in found
            }
    return found


def holder(connection: "Connection", key: int) -> str:
    """Return the name of the connection that has one of our advisory locks, "" of none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted AND classid = %s AND objid = %s"
            " AND objsubid = 2 AND datname = current_database()",
            (LOCKS, key),
        )
        return str((cursor.fetchone() or ("",))[0])


def _first_line(error: psycopg2.Error) -> str:
    """Return the server's own words, without how libpq came to them."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rpartition("FATAL:  ")[2][:200]
