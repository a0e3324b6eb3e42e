# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Controllers in the database: who is who, what they run, where their interfaces are."""

import ipaddress
import secrets
import typing

from maas_standin import VERSION, database

RACK = 2
REGION = 3
REGION_AND_RACK = 4
# MAAS leaves out what reads like another character.
ID_CHARACTERS = "abcdefghkmnpqrstwxy34678"
RACK_SERVICES = (
    "proxy_rack",
    "ntp_rack",
    "syslog_rack",
    "tftp",
    "dhcpd",
    "dhcpd6",
    "agent",
    "rackd",
    "http",
)


def _find(
    cursor: database.Cursor, system_id: str, hostname: str, macs: list[str]
) -> dict[str, typing.Any] | None:
    """Return the node that a controller is: by ID first, else by hostname or any MAC."""
    cursor.execute("SELECT * FROM maasserver_node WHERE system_id = %s", (system_id,))
    if row := cursor.fetchone():
        return row
    cursor.execute(
        "SELECT n.* FROM maasserver_node n WHERE n.hostname = %s OR EXISTS (SELECT 1 FROM"
        " maasserver_interface i WHERE i.node_id = n.id AND i.mac_address = ANY(%s))"
        " ORDER BY n.id LIMIT 1",
        (hostname, macs),
    )
    return cursor.fetchone()


def register(
    cursor: database.Cursor, kind: int, system_id: str, facts: dict[str, typing.Any]
) -> dict[str, typing.Any]:
    """Find or make the node of a controller and refresh what is known of it."""
    macs = [link["mac_address"] for link in facts["interfaces"]]
    node = _find(cursor, system_id, facts["hostname"], macs)
    if node is None:
        cursor.execute(
            "INSERT INTO maasserver_node (system_id, hostname, node_type,"
            " current_commissioning_script_set_id) VALUES"
            " (%s, %s, %s, nextval('maasserver_scriptset_id_seq')) RETURNING *",
            (_new_system_id(cursor), facts["hostname"], kind),
        )
        node = cursor.fetchone()
    elif node["node_type"] not in (kind, REGION_AND_RACK):
        kind = REGION_AND_RACK
    else:
        kind = node["node_type"]
    cursor.execute(
        "UPDATE maasserver_node SET node_type = %(kind)s, hostname = %(hostname)s,"
        " architecture = 'amd64/generic', osystem = %(osystem)s,"
        " distro_series = %(distro_series)s, cpu_count = %(cpu_count)s, memory = %(memory)s,"
        " updated = now() WHERE id = %(id)s",
        {**facts, "kind": kind, "id": node["id"]},
    )
    cursor.execute(
        "INSERT INTO maasserver_controllerinfo (node_id, version) VALUES (%s, %s)"
        " ON CONFLICT (node_id) DO UPDATE SET version = EXCLUDED.version, updated = now()",
        (node["id"], VERSION),
    )
    if facts["virtual"]:
        cursor.execute(
            "INSERT INTO maasserver_node_tags VALUES (%s, 'virtual') ON CONFLICT DO NOTHING",
            (node["id"],),
        )
    refresh_interfaces(cursor, node["id"], facts["interfaces"])
    return node


def _new_system_id(cursor: database.Cursor) -> str:
    while True:
        system_id = "".join(secrets.choice(ID_CHARACTERS) for _ in range(6))
        cursor.execute("SELECT 1 FROM maasserver_node WHERE system_id = %s", (system_id,))
        if cursor.fetchone() is None:
            return system_id


def refresh_interfaces(
    cursor: database.Cursor, node_id: int, links: list[dict[str, typing.Any]]
) -> None:
    """Make the database's picture of a controller's network that of its machine.

    As in `update_services`, what is so already is not written.
    """
    names = [link["name"] for link in links]
    cursor.execute(
        "DELETE FROM maasserver_interface WHERE node_id = %s AND NOT name = ANY(%s)",
        (node_id, names),
    )
    for link in links:
        cursor.execute(
            "INSERT INTO maasserver_interface (node_id, name, mac_address, enabled)"
            " SELECT n.* FROM (VALUES (%s, %s, %s, %s)) n (node_id, name, mac, enabled)"
            " WHERE NOT EXISTS (SELECT 1 FROM maasserver_interface i"
            " WHERE (i.node_id, i.name, i.mac_address, i.enabled)"
            " = (n.node_id, n.name, n.mac, n.enabled)) ON CONFLICT (node_id, name)"
            " DO UPDATE SET mac_address = EXCLUDED.mac_address, enabled = EXCLUDED.enabled",
            (node_id, link["name"], link["mac_address"], link["enabled"]),
        )
        cursor.execute(
            "SELECT id, vlan_id FROM maasserver_interface WHERE node_id = %s AND name = %s",
            (node_id, link["name"]),
        )
        _refresh_links(cursor, cursor.fetchone(), link["addresses"])


def _refresh_links(
    cursor: database.Cursor, interface: dict[str, typing.Any], addresses: list[str]
) -> None:
    """Put an interface's addresses into their subnets, made where they are new."""
    parsed = [ipaddress.ip_interface(text) for text in addresses]
    cursor.execute(
        "DELETE FROM maasserver_staticipaddress WHERE interface_id = %s"
        " AND NOT ip = ANY(%s::inet[])",
        (interface["id"], [str(address.ip) for address in parsed]),
    )
    for address in parsed:
        subnet = _ensure_subnet(cursor, str(address.network), interface["vlan_id"])
        cursor.execute(
            "INSERT INTO maasserver_staticipaddress (ip, interface_id, subnet_id)"
            " SELECT n.* FROM (VALUES (%s::inet, %s, %s)) n (ip, interface_id, subnet_id)"
            " WHERE NOT EXISTS (SELECT 1 FROM maasserver_staticipaddress s"
            " WHERE (s.ip, s.interface_id) = (n.ip, n.interface_id)) ON CONFLICT DO NOTHING",
            (str(address.ip), interface["id"], subnet["id"]),
        )
        cursor.execute(
            "UPDATE maasserver_interface SET vlan_id = %s WHERE id = %s AND"
            " vlan_id IS DISTINCT FROM %s",
            (subnet["vlan_id"], interface["id"], subnet["vlan_id"]),
        )


def _ensure_subnet(
    cursor: database.Cursor, cidr: str, vlan_id: int | None
) -> dict[str, typing.Any]:
    """Return a subnet; a new one is in its interface's VLAN, the default one or a new fabric."""
    cursor.execute("SELECT id, vlan_id FROM maasserver_subnet WHERE cidr = %s", (cidr,))
    if row := cursor.fetchone():
        return row
    if vlan_id is None:
        cursor.execute("SELECT count(*) AS subnets FROM maasserver_subnet")
        if cursor.fetchone()["subnets"]:
            cursor.execute("INSERT INTO maasserver_fabric (name) VALUES (NULL) RETURNING id")
            cursor.execute(
                "INSERT INTO maasserver_vlan (name, vid, fabric_id)"
                " VALUES ('untagged', 0, %s) RETURNING id",
                (cursor.fetchone()["id"],),
            )
        else:
            cursor.execute("SELECT min(id) AS id FROM maasserver_vlan")
        vlan_id = cursor.fetchone()["id"]
    cursor.execute(
        "INSERT INTO maasserver_subnet (name, cidr, vlan_id) VALUES (%s, %s, %s)"
        " RETURNING id, vlan_id",
        (cidr, cidr, vlan_id),
    )
    return cursor.fetchone()


def update_services(
    cursor: database.Cursor, node_id: int, services: dict[str, tuple[str, str]]
) -> None:
    """Write what a rack says about its services.

    As MAAS does, what is so already is not written, nor its row locked: each lock is a commit,
    and where commits wait (the synchronous replica died) every connection of a worker soon does.
    """
    for name, (status, info) in services.items():
        cursor.execute(
            "INSERT INTO maasserver_service (node_id, name, status, status_info)"
            " SELECT n.* FROM (VALUES (%s, %s, %s, %s)) n (node_id, name, status, info)"
            " WHERE NOT EXISTS (SELECT 1 FROM maasserver_service s"
            " WHERE (s.node_id, s.name, s.status, s.status_info)"
            " = (n.node_id, n.name, n.status, n.info)) ON CONFLICT (node_id, name)"
            " DO UPDATE SET status = EXCLUDED.status, status_info = EXCLUDED.status_info,"
            " updated = now()",
            (node_id, name, status, info),
        )


def update_rackd_status(cursor: database.Cursor) -> None:
    """Set each rack's rackd service by the share of regions that it is connected to.

    A region that has no process left counts as one that nobody is connected to. A rack that has
    registered and has yet to be connected stays unknown: MAAS was never seen to call one dead.
    """
    cursor.execute(
        "SELECT k.id, avg(coalesce(share, 0)) AS share, bool_or(coalesce(share, 0) > 0) AS alive,"
        " (SELECT status FROM maasserver_service WHERE node_id = k.id AND name = 'rackd') AS last"
        " FROM maasserver_node k CROSS JOIN maasserver_node r LEFT JOIN LATERAL ("
        "  SELECT avg((EXISTS (SELECT 1 FROM maasserver_regioncontrollerprocessendpoint e"
        "   JOIN maasserver_regionrackrpcconnection c ON c.endpoint_id = e.id"
        "   WHERE e.process_id = p.id AND c.rack_controller_id = k.id))::int) AS share"
        "  FROM maasserver_regioncontrollerprocess p WHERE p.region_id = r.id) s ON true"
        " WHERE k.node_type IN (2, 4) AND r.node_type IN (3, 4) GROUP BY k.id"
    )
    for row in cursor.fetchall():
        status, info = "running", ""
        if not row["alive"]:
            status = "unknown" if row["last"] == "unknown" else "dead"
        elif row["share"] < 1:
            status = "degraded"
            info = f"{row['share']:.0%} connected to region controllers."
        update_services(cursor, row["id"], {"rackd": (status, info)})
