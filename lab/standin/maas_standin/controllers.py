# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Region and rack controllers, as MAAS's API serves them."""

import typing

from maas_standin import data, database, networks, nodes, web

Row = dict[str, typing.Any]

_COLUMNS = (
    *("system_id", "hostname", "node_type", "version", "description", "architecture", "osystem"),
    *("distro_series", "cpu_count", "cpu_speed", "memory", "swap_size", "power_state"),
    "hardware_uuid",
)
_TYPE_NAMES = {2: "Rack controller", 3: "Region controller", 4: "Region and rack controller"}
_NODES = (
    "SELECT n.*, c.version, z.name AS zone, z.description AS zone_description, d.name AS domain,"
    " d.authoritative, d.ttl, ARRAY(SELECT t.tag FROM maasserver_node_tags t"
    "  WHERE t.node_id = n.id ORDER BY t.tag) AS tags"
    " FROM maasserver_node n LEFT JOIN maasserver_controllerinfo c ON c.node_id = n.id"
    " JOIN maasserver_zone z ON z.id = n.zone_id"
    " JOIN maasserver_domain d ON d.id = n.domain_id"
)
RACKS = "n.node_type IN (2, 4)"
REGIONS = "n.node_type IN (3, 4)"


def _render_links(cursor: database.Cursor, interface_id: int) -> list[Row]:
    cursor.execute(
        "SELECT id, host(ip) AS ip, subnet_id FROM maasserver_staticipaddress"
        " WHERE interface_id = %s ORDER BY id",
        (interface_id,),
    )
    return [
        {
            "id": row["id"],
            "mode": "static",
            "ip_address": row["ip"],
            "subnet": networks.get_subnets(cursor, "id = %s", row["subnet_id"])[0],
        }
        for row in cursor.fetchall()
    ]


def _render_interfaces(cursor: database.Cursor, node: Row) -> list[Row]:
    cursor.execute(
        "SELECT * FROM maasserver_interface WHERE node_id = %s ORDER BY id", (node["id"],)
    )
    return [
        data.load("constants.json")["interface"]
        | {
            "system_id": node["system_id"],
            "id": row["id"],
            "name": row["name"],
            "mac_address": row["mac_address"],
            "enabled": row["enabled"],
            "link_connected": row["enabled"],
            "vlan": next(iter(networks.get_vlans(cursor, "v.id = %s", row["vlan_id"])), None),
            "links": _render_links(cursor, row["id"]),
            "resource_uri": f"{web.PREFIX}/nodes/{node['system_id']}/interfaces/{row['id']}/",
        }
        for row in cursor.fetchall()
    ]


def _render_places(node: Row) -> Row:
    return {
        "zone": {
            "name": node["zone"],
            "description": node["zone_description"],
            "id": node["zone_id"],
            "resource_uri": f"{web.PREFIX}/zones/{node['zone']}/",
        },
        "domain": {
            "name": node["domain"],
            "authoritative": node["authoritative"],
            "ttl": node["ttl"],
            "is_default": node["domain_id"] == 0,
            "id": node["domain_id"],
            "resource_record_count": 0,
            "resource_uri": f"{web.PREFIX}/domains/{node['domain_id']}/",
        },
    }


def _render_services(cursor: database.Cursor, node: Row) -> list[Row]:
    cursor.execute(
        "SELECT name, status, status_info FROM maasserver_service WHERE node_id = %s ORDER BY id",
        (node["id"],),
    )
    return [dict(row) for row in cursor.fetchall()]


def _render(cursor: database.Cursor, node: Row, kind: str) -> Row:
    """Return a controller as the API shows it."""
    fields = {name: node[name] for name in _COLUMNS} | {
        "fqdn": f"{node['hostname']}.{node['domain']}",
        "node_type_name": _TYPE_NAMES[node["node_type"]],
        "tag_names": node["tags"],
        "current_commissioning_result_id": node["current_commissioning_script_set_id"],
        "current_testing_result_id": node["current_testing_script_set_id"],
        "current_installation_result_id": node["current_installation_script_set_id"],
        "interface_set": _render_interfaces(cursor, node),
        "resource_uri": f"{web.PREFIX}/{kind}/{node['system_id']}/",
    }
    if kind == "rackcontrollers":
        fields["service_set"] = _render_services(cursor, node)
    return data.load("constants.json")["controller"] | fields | _render_places(node)


def _list(request: web.Request, where: str, kind: str) -> web.Response:
    """Return the controllers of a kind, also by hostname or ID as MAAS takes them."""
    values: list[str] = []
    for name, column in (("hostname", "n.hostname"), ("id", "n.system_id")):
        if name in request.query:
            where += f" AND {column} = %s"
            values.append(request.query[name])
    request.cursor.execute(f"{_NODES} WHERE {where} ORDER BY n.id", values)
    rows = request.cursor.fetchall()
    return web.Response([_render(request.cursor, node, kind) for node in rows])


def _get(cursor: database.Cursor, system_id: str, where: str) -> Row:
    cursor.execute(f"{_NODES} WHERE {where} AND n.system_id = %s", (system_id,))
    if (node := cursor.fetchone()) is None:
        raise web.not_found("RackController" if where == RACKS else "RegionController")
    return node


def _racks(request: web.Request) -> web.Response:
    return _list(request, RACKS, "rackcontrollers")


def _rack(request: web.Request, system_id: str) -> web.Response:
    node = _get(request.cursor, system_id, RACKS)
    return web.Response(_render(request.cursor, node, "rackcontrollers"))


def _regions(request: web.Request) -> web.Response:
    return _list(request, REGIONS, "regioncontrollers")


def _region(request: web.Request, system_id: str) -> web.Response:
    node = _get(request.cursor, system_id, REGIONS)
    return web.Response(_render(request.cursor, node, "regioncontrollers"))


def _delete_node(cursor: database.Cursor, node: Row, remaining_kind: int) -> web.Response:
    """Delete a controller, or the half of it that is asked for."""
    if node["node_type"] == nodes.REGION_AND_RACK:
        cursor.execute(
            "UPDATE maasserver_node SET node_type = %s WHERE id = %s",
            (remaining_kind, node["id"]),
        )
    else:
        cursor.execute("DELETE FROM maasserver_node WHERE id = %s", (node["id"],))
    return web.Response("", 204, web.TEXT)


def _delete_region(request: web.Request, system_id: str) -> web.Response:
    node = _get(request.cursor, system_id, REGIONS)
    request.cursor.execute(
        "SELECT 1 FROM maasserver_regioncontrollerprocess WHERE region_id = %s", (node["id"],)
    )
    if request.cursor.fetchone():
        reason = f"Unable to delete {node['hostname']} as it's currently running."
        raise web.HTTPError(400, reason)
    return _delete_node(request.cursor, node, nodes.RACK)


def _delete_rack(request: web.Request, system_id: str) -> web.Response:
    node = _get(request.cursor, system_id, RACKS)
    is_forced = request.query.get("force", "").lower() in ("true", "1", "yes")
    _move_dhcp(request.cursor, node, is_forced=is_forced)
    return _delete_node(request.cursor, node, nodes.REGION)


def _move_dhcp(cursor: database.Cursor, node: Row, *, is_forced: bool) -> None:
    """Give a leaving rack's VLANs to another rack that is there."""
    cursor.execute(
        "SELECT v.id, v.name, v.secondary_rack_id, coalesce(f.name, 'fabric-' || f.id) AS fabric,"
        " (SELECT min(r.right_node_id) FROM maasserver_routable_pairs r"
        "  JOIN maasserver_node n ON n.id = r.right_node_id AND n.node_type IN (2, 4)"
        "  WHERE r.left_node_id = %(id)s AND r.vlan_id = v.id) AS other"
        " FROM maasserver_vlan v JOIN maasserver_fabric f ON f.id = v.fabric_id"
        " WHERE v.primary_rack_id = %(id)s AND v.dhcp_on",
        node,
    )
    served = cursor.fetchall()
    orphans = [row for row in served if not (row["secondary_rack_id"] or row["other"])]
    if orphans and not is_forced:
        names = ", ".join(f"{row['fabric']}.{row['name']}" for row in orphans)
        raise web.HTTPError(
            400,
            f"Unable to delete '{node['hostname']}'; it is currently set as a primary rack"
            f" controller on VLANs {names} and no other rack controller can provide DHCP.",
        )
    for row in served:
        heir = row["secondary_rack_id"] or row["other"]
        cursor.execute(
            "UPDATE maasserver_vlan SET primary_rack_id = %s, secondary_rack_id = NULL,"
            " dhcp_on = %s WHERE id = %s",
            (heir, heir is not None, row["id"]),
        )


ROUTES: list[tuple[str, web.Resource]] = [
    (r"/rackcontrollers/", web.Resource({("GET", None): _racks}, has_anonymous=True)),
    (
        r"/rackcontrollers/(?P<system_id>[^/]+)/",
        web.Resource({("GET", None): _rack, ("DELETE", None): _delete_rack}),
    ),
    (r"/regioncontrollers/", web.Resource({("GET", None): _regions}, has_anonymous=True)),
    (
        r"/regioncontrollers/(?P<system_id>[^/]+)/",
        web.Resource({("GET", None): _region, ("DELETE", None): _delete_region}),
    ),
]
