# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Which changes of a VLAN MAAS takes, and in what words it refuses the others."""

import typing

from maas_standin import database, web

Row = dict[str, typing.Any]

PRIMARY_DEAD = (
    "The primary rack controller must be up and running to set a secondary rack controller."
    " Without the primary the secondary DHCP service will not be able to synchronize,"
    " preventing it from responding to DHCP requests."
)
NO_PRIMARY = "dhcp can only be turned on when a primary rack controller is set."
NO_RANGE = "dhcp can only be turned on when a dynamic IP range is defined."
SAME_RACK = "The primary and secondary rack must be different"


def _find_rack(cursor: database.Cursor, vid: int, name: str) -> int | None:
    """Return the rack of that ID or hostname if it has an interface on a VLAN of that VID."""
    cursor.execute(
        "SELECT n.id FROM maasserver_node n JOIN maasserver_interface i ON i.node_id = n.id"
        " JOIN maasserver_vlan v ON v.id = i.vlan_id WHERE n.node_type IN (2, 4)"
        " AND v.vid = %s AND %s IN (n.system_id, n.hostname) LIMIT 1",
        (vid, name),
    )
    row = cursor.fetchone()
    return row["id"] if row else None


def _is_rackd_dead(cursor: database.Cursor, node_id: int) -> bool:
    cursor.execute(
        "SELECT 1 FROM maasserver_service WHERE node_id = %s AND name = 'rackd'"
        " AND status = 'dead'",
        (node_id,),
    )
    return cursor.fetchone() is not None


def _has_dynamic_range(cursor: database.Cursor, vlan_id: int) -> bool:
    cursor.execute(
        "SELECT 1 FROM maasserver_iprange r JOIN maasserver_subnet s ON s.id = r.subnet_id"
        " WHERE r.type = 'dynamic' AND s.vlan_id = %s LIMIT 1",
        (vlan_id,),
    )
    return cursor.fetchone() is not None


def _parse_racks(
    cursor: database.Cursor, vlan: Row, data: dict[str, str], errors: dict[str, list[str]]
) -> None:
    """Set the racks that a form names."""
    for field in ("primary_rack", "secondary_rack"):
        if field not in data:
            continue
        name = data[field]
        vlan[f"{field}_id"] = _find_rack(cursor, vlan["vid"], name) if name else None
        if name and vlan[f"{field}_id"] is None:
            reason = f"Select a valid choice. {name} is not one of the available choices."
            errors[field] = [reason]


def _check_racks(
    cursor: database.Cursor,
    old: Row,
    new: Row,
    data: dict[str, str],
    errors: dict[str, list[str]],
) -> None:
    """Apply the rules between the two racks and DHCP."""
    primary, secondary = new["primary_rack_id"], new["secondary_rack_id"]
    if primary is not None and primary == secondary:
        if "secondary_rack" in data and data.get("primary_rack") == data["secondary_rack"]:
            errors.setdefault("__all__", []).append(SAME_RACK)
        new["secondary_rack_id"] = None
    elif primary is not None and primary == old["secondary_rack_id"]:
        new["secondary_rack_id"] = None  # MAAS drops the new secondary when the two change places.
    elif primary is None and "primary_rack" in data and not errors and secondary is not None:
        new["primary_rack_id"], new["secondary_rack_id"] = secondary, None
    if new["dhcp_on"] and new["primary_rack_id"] is None:
        errors.setdefault("__all__", []).append(NO_PRIMARY)
    unchanged = new["primary_rack_id"] == old["primary_rack_id"]
    asked = data.get("secondary_rack") and new["secondary_rack_id"] and unchanged
    if asked and primary and _is_rackd_dead(cursor, primary):
        errors.setdefault("__all__", []).append(PRIMARY_DEAD)


def _parse_mtu(vlan: Row, text: str, errors: dict[str, list[str]]) -> None:
    low, high = 552, 65535
    if not text.isdecimal():
        errors["mtu"] = ["Enter a whole number."]
    elif int(text) < low:
        errors["mtu"] = [f"Ensure this value is greater than or equal to {low}."]
    elif int(text) > high:
        errors["mtu"] = [f"Ensure this value is less than or equal to {high}."]
    else:
        vlan["mtu"] = int(text)


def update(cursor: database.Cursor, vlan_id: int, data: dict[str, str]) -> None:
    """Change a VLAN as a form says, or raise what MAAS would answer."""
    cursor.execute("SELECT * FROM maasserver_vlan WHERE id = %s FOR UPDATE", (vlan_id,))
    old = cursor.fetchone()
    new = dict(old)
    errors: dict[str, list[str]] = {}
    if "dhcp_on" in data:
        new["dhcp_on"] = data["dhcp_on"].lower() not in ("", "0", "f", "false")
    if "mtu" in data:
        _parse_mtu(new, data["mtu"], errors)
    new["name"] = data.get("name", new["name"])
    _parse_racks(cursor, new, data, errors)
    if new["dhcp_on"] and not old["dhcp_on"] and not _has_dynamic_range(cursor, vlan_id):
        errors["dhcp_on"] = [NO_RANGE]
    _check_racks(cursor, old, new, data, errors)
    if errors:
        raise web.invalid(errors)
    cursor.execute(
        "UPDATE maasserver_vlan SET dhcp_on = %(dhcp_on)s, mtu = %(mtu)s, name = %(name)s,"
        " primary_rack_id = %(primary_rack_id)s, secondary_rack_id = %(secondary_rack_id)s,"
        " updated = now() WHERE id = %(id)s",
        new,
    )


def create(cursor: database.Cursor, fabric_id: int, data: dict[str, str]) -> int:
    """Make a VLAN in a fabric and return its ID."""
    vid = data.get("vid", "")
    if not vid:
        raise web.invalid({"vid": ["This field is required."]})
    if not vid.isdecimal() or int(vid) > 4094:
        raise web.invalid({"vid": ["VID must be between 0 and 4094."]})
    cursor.execute(
        "INSERT INTO maasserver_vlan (fabric_id, vid, name) VALUES (%s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING id",
        (fabric_id, int(vid), data.get("name") or f"VLAN {vid}"),
    )
    if (row := cursor.fetchone()) is None:
        reason = "A VLAN with the specified VID already exists in the destination fabric."
        raise web.invalid({"vid": [reason]})
    return row["id"]
