# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What DHCP a rack has to serve, from the database."""

import base64
import ipaddress
import secrets
import typing

import psycopg2.extras

from maas_standin import database, dhcpd_conf, settings

Row = dict[str, typing.Any]
Addresses = list[ipaddress.IPv4Address]


class DHCPError(Exception):
    """No configuration can be made of what the database says."""


def ensure_omapi_key(cursor: database.Cursor) -> str:
    """Return the key by which every dhcpd takes commands; who needs it first makes it."""
    cursor.execute("SELECT value FROM maasserver_secret WHERE path = 'global/omapi-key'")
    if row := cursor.fetchone():
        return row["value"]["secret"]
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    cursor.execute(
        "INSERT INTO maasserver_secret (path, value) VALUES ('global/omapi-key', %s)",
        (psycopg2.extras.Json({"secret": key}),),
    )
    return key


def _get_setting(cursor: database.Cursor, name: str) -> typing.Any:
    return database.get_setting(cursor, name, settings.DEFAULTS[name])


def _served_vlans(cursor: database.Cursor, node_id: int) -> list[Row]:
    """Return the VLANs that a rack serves, as far as it has an interface there."""
    cursor.execute(
        "SELECT v.id, v.primary_rack_id, v.secondary_rack_id FROM maasserver_vlan v"
        " WHERE v.dhcp_on AND %(id)s IN (v.primary_rack_id, v.secondary_rack_id) AND EXISTS"
        " (SELECT 1 FROM maasserver_interface i WHERE i.vlan_id = v.id AND i.node_id = %(id)s)"
        " ORDER BY v.id",
        {"id": node_id},
    )
    return cursor.fetchall()


def _addresses(cursor: database.Cursor, node_id: int | None, vlan_id: int) -> list[Row]:
    """Return a rack's addresses on a VLAN; those on subnets with more dynamic ranges first."""
    cursor.execute(
        "SELECT host(a.ip) AS ip, i.name AS interface FROM maasserver_staticipaddress a"
        " JOIN maasserver_interface i ON i.id = a.interface_id"
        " JOIN maasserver_subnet s ON s.id = a.subnet_id"
        " WHERE i.node_id = %s AND s.vlan_id = %s AND family(a.ip) = 4"
        " ORDER BY (SELECT count(*) FROM maasserver_iprange r"
        "  WHERE r.subnet_id = s.id AND r.type = 'dynamic') DESC, i.id, a.ip",
        (node_id, vlan_id),
    )
    return cursor.fetchall()


def _parse(rows: list[Row]) -> Addresses:
    return [ipaddress.IPv4Address(row["ip"]) for row in rows]


def _region_addresses(cursor: database.Cursor) -> Addresses:
    cursor.execute(
        "SELECT host(a.ip) AS ip FROM maasserver_staticipaddress a"
        " JOIN maasserver_interface i ON i.id = a.interface_id"
        " JOIN maasserver_node n ON n.id = i.node_id"
        " WHERE n.node_type IN (3, 4) AND family(a.ip) = 4 GROUP BY a.ip ORDER BY a.ip"
    )
    return _parse(cursor.fetchall())


def _ntp_servers(cursor: database.Cursor, racks: list[int]) -> Addresses:
    """Return the external servers if they alone are wanted, else one address of each rack."""
    if _get_setting(cursor, "ntp_external_only"):
        return dhcpd_conf.find_addresses(_get_setting(cursor, "ntp_servers") or "")
    servers: Addresses = []
    for rack in racks:
        cursor.execute(
            "SELECT host(a.ip) AS ip FROM maasserver_staticipaddress a"
            " JOIN maasserver_interface i ON i.id = a.interface_id"
            " JOIN maasserver_subnet s ON s.id = a.subnet_id"
            " JOIN maasserver_vlan v ON v.id = s.vlan_id"
            " WHERE i.node_id = %s AND i.enabled AND family(a.ip) = 4"
            " ORDER BY v.dhcp_on DESC, a.ip LIMIT 1",
            (rack,),
        )
        servers += _parse(cursor.fetchall())
    return servers


def _subnets(cursor: database.Cursor, vlan_id: int) -> list[Row]:
    cursor.execute(
        "SELECT id, cidr::text AS cidr, host(gateway_ip) AS gateway FROM maasserver_subnet"
        " WHERE vlan_id = %s AND family(cidr) = 4 ORDER BY cidr",
        (vlan_id,),
    )
    return cursor.fetchall()


def _ranges(cursor: database.Cursor, subnet_id: int) -> tuple[dhcpd_conf.Range, ...]:
    cursor.execute(
        "SELECT host(start_ip) AS start, host(end_ip) AS end FROM maasserver_iprange"
        " WHERE subnet_id = %s AND type = 'dynamic' ORDER BY id",
        (subnet_id,),
    )
    return tuple(
        (ipaddress.IPv4Address(row["start"]), ipaddress.IPv4Address(row["end"]))
        for row in cursor.fetchall()
    )


def _subnet(
    cursor: database.Cursor, row: Row, own: Addresses, racks: Addresses, ntp: Addresses
) -> dhcpd_conf.Subnet:
    network = ipaddress.IPv4Network(row["cidr"])
    return dhcpd_conf.Subnet(
        network,
        ranges=_ranges(cursor, row["id"]),
        router=ipaddress.IPv4Address(row["gateway"]) if row["gateway"] else None,
        next_server=next((address for address in own if address in network), own[0]),
        dns_servers=dhcpd_conf.dns_servers(
            network,
            racks=racks if _get_setting(cursor, "use_rack_proxy") else [],
            regions=_region_addresses(cursor),
            has_router=row["gateway"] is not None,
        ),
        ntp_servers=tuple(ntp),
    )


def _vlan(cursor: database.Cursor, row: Row, node_id: int) -> dhcpd_conf.VLAN | None:
    """Return what a rack serves on a VLAN, None if it has no address there."""
    primary, secondary = row["primary_rack_id"], row["secondary_rack_id"]
    found = _addresses(cursor, node_id, row["id"])
    other = secondary if node_id == primary else primary
    others = _parse(_addresses(cursor, other, row["id"]))
    if secondary is not None and not (found and others):
        # MAAS fails here too, and leaves the racks with what they have.
        raise DHCPError(f"A rack of VLAN {row['id']} has no address on it.")
    if not found:
        return None
    own = _parse(found)
    racks = [rack for rack in (node_id, other if secondary else None) if rack is not None]
    ntp = _ntp_servers(cursor, racks)
    in_order = own + others if node_id == primary else others + own
    return dhcpd_conf.VLAN(
        row["id"],
        found[0]["interface"],
        tuple(_subnet(cursor, s, own, in_order, ntp) for s in _subnets(cursor, row["id"])),
        dhcpd_conf.Peer(node_id == primary, own[0], others[0]) if secondary else None,
    )


def configure(cursor: database.Cursor, node_id: int) -> dict[str, str]:
    """Return what a rack's two files have to hold; both are empty if it serves nothing."""
    rows = _served_vlans(cursor, node_id)
    vlans = [vlan for row in rows if (vlan := _vlan(cursor, row, node_id)) is not None]
    key = ensure_omapi_key(cursor) if vlans else ""
    cursor.execute("SELECT name FROM maasserver_domain ORDER BY id LIMIT 1")
    text = dhcpd_conf.render(vlans, key, cursor.fetchone()["name"])
    return {"dhcpd": text, "dhcpd_interfaces": dhcpd_conf.interfaces(vlans)}
