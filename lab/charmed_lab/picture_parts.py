# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What a picture shows, read from what `juju status --format json` tells, and in which order."""

import re
from collections import Counter
from typing import Any

Entity = dict[str, Any]
BADGES = ("VIP holder", "primary")


def status(entity: Entity, key: str) -> dict[str, str]:
    """Return a status; what Juju could not tell is `failed`."""
    if "status-error" in entity:
        return {"current": "failed", "message": entity["status-error"]}
    return {"current": "unknown", "message": ""} | (entity.get(key) or {})


def badge(unit: Entity) -> str:
    """Return what a unit says it is; the message of one that is not active may be old."""
    now = status(unit, "workload-status")
    said = [name for name in BADGES if re.match(rf"{name}\b", now["message"])]
    return said[0] if said and now["current"] == "active" else ""


def by_number(found: dict[str, Entity] | None) -> dict[str, Entity]:
    """Return machines or units in the order that people count them in: 2 before 10."""

    def key(item: tuple[str, Entity]) -> list[tuple[int, str]]:
        parts = item[0].split("/")
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

    return dict(sorted((found or {}).items(), key=key))


def applications(report: Entity) -> dict[str, Entity]:
    """Return the applications, and those of other models that are consumed, in a good order."""
    offered = report.get("application-endpoints") or {}
    found = offered | (report.get("applications") or {})
    row = order(list(found), [key[:2] for key in relations(found)])
    return {name: found[name] for name in row}


def units(apps: dict[str, Entity]) -> dict[str, Entity]:
    """Return all units; subordinates follow their principals, to their machines."""
    found: dict[str, Entity] = {}
    for app in apps.values():
        for name, unit in by_number(app.get("units")).items():
            found[name] = unit
            for other, one in by_number(unit.get("subordinates")).items():
                found[other] = {"machine": unit.get("machine"), "principal": name} | one
    return found


def machines(report: Entity, placed: dict[str, Entity]) -> dict[str, Entity]:
    """Return the machines, with those that only units know of; `` is where none is yet."""
    found = by_number(report.get("machines"))
    inside = {number for one in found.values() for number in one.get("containers") or {}}
    wanted = {unit.get("machine") or "" for unit in placed.values()}
    return found | {number: {} for number in sorted(wanted - inside - set(found))}


def relations(apps: dict[str, Entity]) -> dict[tuple[str, str, str], dict[str, set[str]]]:
    """Return each side's endpoints by two applications and an interface; peers are left out."""
    found: dict[tuple[str, str, str], dict[str, set[str]]] = {}
    for name, app in apps.items():
        for endpoint, others in (app.get("relations") or {}).items():
            for one in others:
                other = one.get("related-application")
                if other != name and other in apps:
                    key = (min(name, other), max(name, other), one.get("interface", ""))
                    found.setdefault(key, {}).setdefault(name, set()).add(endpoint)
    return dict(sorted(found.items()))


def order(names: list[str], pairs: list[tuple[str, str]]) -> list[str]:
    """Return applications in a row in which related ones are near each other."""
    degree = Counter(name for pair in pairs for name in pair)
    row: list[str] = []

    def length(tried: list[str]) -> tuple[int, list[str]]:
        at = {name: place for place, name in enumerate(tried)}
        return sum(abs(at[a] - at[b]) for a, b in pairs if a in at and b in at), tried

    for name in sorted(names, key=lambda one: (-degree[one], one)):
        row = min(([*row[:at], name, *row[at:]] for at in range(len(row) + 1)), key=length)
    return row


def lanes(spans: list[tuple[int, int]]) -> list[int]:
    """Return for each span the lane in which it overlaps no other, short ones lowest."""
    found: dict[int, int] = {}
    for one in sorted(range(len(spans)), key=lambda it: spans[it][1] - spans[it][0]):
        low, high = spans[one]
        near = {found[it] for it in found if low < spans[it][1] and spans[it][0] < high}
        found[one] = next(lane for lane in range(len(spans)) if lane not in near)
    return [found[one] for one in range(len(spans))]
