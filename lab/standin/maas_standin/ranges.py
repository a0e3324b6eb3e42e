# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Which IP ranges MAAS takes, and in what words it refuses the others."""

import ipaddress
import typing

from maas_standin import database, web


def _check_form(data: dict[str, str]) -> tuple[typing.Any, typing.Any]:
    """Return the two ends of the range that a form asks for."""
    kind = data.get("type", "")
    if kind not in ("dynamic", "reserved"):
        reason = f"Select a valid choice. {kind} is not one of the available choices."
        raise web.invalid({"type": [reason if kind else "This field is required."]})
    ends = []
    for field in ("start_ip", "end_ip"):
        if field not in data:
            raise web.HTTPError(500, f"'{field}'")
        try:
            ends.append(ipaddress.ip_address(data[field]))
        except ValueError as error:
            raise web.invalid({field: ["Enter a valid IPv4 or IPv6 address."]}) from error
    if ends[0] > ends[1]:
        raise web.HTTPError(500, "lower bound IP greater than upper bound!")
    return ends[0], ends[1]


def _has_conflict(
    cursor: database.Cursor, subnet_id: int, kind: str, start: str, end: str
) -> bool:
    """Tell whether a range overlaps another, or a dynamic one somebody's address."""
    cursor.execute(
        "SELECT 1 FROM maasserver_iprange WHERE subnet_id = %s AND start_ip <= %s"
        " AND end_ip >= %s",
        (subnet_id, end, start),
    )
    if cursor.fetchone():
        return True
    if kind != "dynamic":
        return False
    cursor.execute(
        "SELECT 1 FROM maasserver_staticipaddress WHERE subnet_id = %s AND ip BETWEEN %s AND %s",
        (subnet_id, start, end),
    )
    return cursor.fetchone() is not None


def create(cursor: database.Cursor, user_id: int, data: dict[str, str]) -> int:
    """Make an IP range and return its ID."""
    start, end = _check_form(data)
    cursor.execute(
        "SELECT id FROM maasserver_subnet WHERE cidr >> %s AND cidr >> %s",
        (str(start), str(end)),
    )
    if (subnet := cursor.fetchone()) is None:
        raise web.HTTPError(500, "'subnet'")
    kind = data["type"]
    if _has_conflict(cursor, subnet["id"], kind, str(start), str(end)):
        reason = f"Requested {kind} range conflicts with an existing IP address or range."
        raise web.invalid({"start_ip": [reason], "end_ip": [reason]})
    cursor.execute(
        "INSERT INTO maasserver_iprange (type, start_ip, end_ip, comment, subnet_id, user_id)"
        " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
        (kind, str(start), str(end), data.get("comment", ""), subnet["id"], user_id),
    )
    return cursor.fetchone()["id"]
