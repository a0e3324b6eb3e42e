# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Fabrics, VLANs, subnets and IP ranges, as MAAS's API serves them."""

import typing

from maas_standin import data, database, ranges, vlans, web

Row = dict[str, typing.Any]

_VLANS = (
    "SELECT v.*, coalesce(f.name, 'fabric-' || f.id) AS fabric, p.system_id AS primary_rack,"
    " s.system_id AS secondary_rack FROM maasserver_vlan v"
    " JOIN maasserver_fabric f ON f.id = v.fabric_id"
    " LEFT JOIN maasserver_node p ON p.id = v.primary_rack_id"
    " LEFT JOIN maasserver_node s ON s.id = v.secondary_rack_id"
)
_SUBNETS = "SELECT * FROM maasserver_subnet"
_RANGES = (
    "SELECT r.*, u.username, u.email, u.is_superuser FROM maasserver_iprange r"
    " LEFT JOIN auth_user u ON u.id = r.user_id"
)


def render_user(user: Row) -> Row:
    """Return a user as the API shows it."""
    return {
        "is_superuser": user["is_superuser"],
        "username": user["username"],
        "email": user["email"],
        "is_local": True,
        "resource_uri": f"{web.PREFIX}/users/{user['username']}/",
    }


def _render_vlan(row: Row) -> Row:
    return {
        "vid": row["vid"],
        "mtu": row["mtu"],
        "dhcp_on": row["dhcp_on"],
        "external_dhcp": row["external_dhcp"],
        "relay_vlan": row["relay_vlan_id"],
        "fabric": row["fabric"],
        "primary_rack": row["primary_rack"],
        "space": "undefined",
        "secondary_rack": row["secondary_rack"],
        "fabric_id": row["fabric_id"],
        "id": row["id"],
        "name": row["name"],
        "resource_uri": f"{web.PREFIX}/vlans/{row['id']}/",
    }


def get_vlans(cursor: database.Cursor, where: str = "true", *values: typing.Any) -> list[Row]:
    """Return VLANs as the API shows them."""
    cursor.execute(" ".join((_VLANS, "WHERE", where, "ORDER BY v.id")), values)
    return [_render_vlan(row) for row in cursor.fetchall()]


def get_subnets(cursor: database.Cursor, where: str = "true", *values: typing.Any) -> list[Row]:
    """Return subnets as the API shows them."""
    cursor.execute(" ".join((_SUBNETS, "WHERE", where, "ORDER BY id")), values)
    return [
        data.load("constants.json")["subnet"]
        | {
            "name": row["name"],
            "vlan": get_vlans(cursor, "v.id = %s", row["vlan_id"])[0],
            "cidr": row["cidr"],
            "gateway_ip": row["gateway_ip"],
            "id": row["id"],
            "resource_uri": f"{web.PREFIX}/subnets/{row['id']}/",
        }
        for row in cursor.fetchall()
    ]


def get_ipranges(cursor: database.Cursor, where: str = "true", *values: typing.Any) -> list[Row]:
    """Return IP ranges as the API shows them."""
    cursor.execute(
        " ".join((_RANGES, "WHERE", where, "ORDER BY r.id")),
        values,
    )
    return [
        {
            "subnet": get_subnets(cursor, "id = %s", row["subnet_id"])[0],
            "type": row["type"],
            "start_ip": row["start_ip"],
            "end_ip": row["end_ip"],
            "user": render_user(row) if row["username"] else None,
            "comment": row["comment"],
            "id": row["id"],
            "resource_uri": f"{web.PREFIX}/ipranges/{row['id']}/",
        }
        for row in cursor.fetchall()
    ]


def _get_fabric(cursor: database.Cursor, fabric: str) -> Row:
    cursor.execute(
        "SELECT id, class_type, coalesce(name, 'fabric-' || id) AS name FROM maasserver_fabric"
        " WHERE id::text = %s OR coalesce(name, 'fabric-' || id) = %s",
        (fabric, fabric),
    )
    if (row := cursor.fetchone()) is None:
        raise web.not_found("Fabric")
    return row


def _render_fabric(cursor: database.Cursor, row: Row) -> Row:
    return {
        "class_type": row["class_type"],
        "id": row["id"],
        "vlans": get_vlans(cursor, "v.fabric_id = %s", row["id"]),
        "name": row["name"],
        "resource_uri": f"{web.PREFIX}/fabrics/{row['id']}/",
    }


def _fabrics(request: web.Request) -> web.Response:
    request.cursor.execute("SELECT id::text FROM maasserver_fabric ORDER BY maasserver_fabric.id")
    names = [row["id"] for row in request.cursor.fetchall()]
    cursor = request.cursor
    return web.Response([_render_fabric(cursor, _get_fabric(cursor, name)) for name in names])


def _fabric(request: web.Request, fabric: str) -> web.Response:
    return web.Response(_render_fabric(request.cursor, _get_fabric(request.cursor, fabric)))


def _fabric_vlans(request: web.Request, fabric: str) -> web.Response:
    row = _get_fabric(request.cursor, fabric)
    return web.Response(get_vlans(request.cursor, "v.fabric_id = %s", row["id"]))


def _vlan_id(cursor: database.Cursor, names: dict[str, str]) -> int:
    """Return the ID of the VLAN that a path names, by ID or by fabric and VID."""
    if "id" in names:
        cursor.execute("SELECT id FROM maasserver_vlan WHERE id = %s", (names["id"],))
    else:
        fabric = _get_fabric(cursor, names["fabric"])
        vid = "0" if names["vid"] == "untagged" else names["vid"]
        cursor.execute(
            "SELECT id FROM maasserver_vlan WHERE fabric_id = %s AND vid::text = %s",
            (fabric["id"], vid),
        )
    if (row := cursor.fetchone()) is None:
        raise web.not_found("VLAN")
    return row["id"]


def _vlan(request: web.Request, **names: str) -> web.Response:
    vlan_id = _vlan_id(request.cursor, names)
    return web.Response(get_vlans(request.cursor, "v.id = %s", vlan_id)[0])


def _update_vlan(request: web.Request, **names: str) -> web.Response:
    vlan_id = _vlan_id(request.cursor, names)
    vlans.update(request.cursor, vlan_id, request.data)
    return web.Response(get_vlans(request.cursor, "v.id = %s", vlan_id)[0])


def _create_vlan(request: web.Request, fabric: str) -> web.Response:
    row = _get_fabric(request.cursor, fabric)
    vlan_id = vlans.create(request.cursor, row["id"], request.data)
    return web.Response(get_vlans(request.cursor, "v.id = %s", vlan_id)[0])


def _subnets(request: web.Request) -> web.Response:
    return web.Response(get_subnets(request.cursor))


def _subnet(request: web.Request, id: str) -> web.Response:
    found = get_subnets(request.cursor, "id::text = %s OR cidr::text = %s", id, id)
    if not found:
        raise web.not_found("Subnet")
    return web.Response(found[0])


def _spaces(request: web.Request) -> web.Response:
    """Return the one space that everything without a space is in."""
    space = {
        "description": "Backward compatibility object to ensure objects not associated"
        " with a space can be found.",
        "subnets": get_subnets(request.cursor),
        "vlans": get_vlans(request.cursor),
        "resource_uri": f"{web.PREFIX}/spaces/undefined/",
        "id": -1,
        "name": "undefined",
    }
    return web.Response([space])


def _ipranges(request: web.Request) -> web.Response:
    return web.Response(get_ipranges(request.cursor))


def _create_iprange(request: web.Request) -> web.Response:
    range_id = ranges.create(request.cursor, request.user["id"], request.data)
    return web.Response(get_ipranges(request.cursor, "r.id = %s", range_id)[0])


def _iprange(request: web.Request, id: str) -> web.Response:
    found = get_ipranges(request.cursor, "r.id = %s", id)
    if not found:
        raise web.not_found("IPRange")
    return web.Response(found[0])


def _delete_iprange(request: web.Request, id: str) -> web.Response:
    request.cursor.execute("DELETE FROM maasserver_iprange WHERE id = %s", (id,))
    if request.cursor.rowcount == 0:
        raise web.not_found("IPRange")
    return web.Response("", 204, web.TEXT)


_VLAN = web.Resource({("GET", None): _vlan, ("PUT", None): _update_vlan})

ROUTES: list[tuple[str, web.Resource]] = [
    (r"/fabrics/", web.Resource({("GET", None): _fabrics})),
    (r"/fabrics/(?P<fabric>[^/]+)/", web.Resource({("GET", None): _fabric})),
    (
        r"/fabrics/(?P<fabric>[^/]+)/vlans/",
        web.Resource({("GET", None): _fabric_vlans, ("POST", None): _create_vlan}),
    ),
    (r"/fabrics/(?P<fabric>[^/]+)/vlans/(?P<vid>[^/]+)/", _VLAN),
    (r"/vlans/(?P<id>\d+)/", _VLAN),
    (r"/subnets/", web.Resource({("GET", None): _subnets})),
    (r"/subnets/(?P<id>[^/]+)/", web.Resource({("GET", None): _subnet})),
    (r"/spaces/", web.Resource({("GET", None): _spaces})),
    (r"/ipranges/", web.Resource({("GET", None): _ipranges, ("POST", None): _create_iprange})),
    (
        r"/ipranges/(?P<id>\d+)/",
        web.Resource({("GET", None): _iprange, ("DELETE", None): _delete_iprange}),
    ),
]
