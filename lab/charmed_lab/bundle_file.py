# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""A bundle's file: read with its overlays, and refused for what Juju refuses."""

import re
from pathlib import Path
from typing import Any

import yaml

from .client import ClientError

TOP = [
    "applications",
    "bundle",
    "default-base",
    "description",
    "machines",
    "name",
    "relations",
    "saas",
    "tags",
]
APPLICATION = [
    "annotations",
    "base",
    "bindings",
    "channel",
    "charm",
    "constraints",
    "devices",
    "expose",
    "num_units",
    "options",
    "plan",
    "resources",
    "revision",
    "scale",
    "storage",
    "to",
    "trust",
    "offers",
    "exposed-endpoints",
]
PLACEMENT = re.compile(r"(?:(\w+):)?(?:(new)|([a-z][a-z0-9-]*?)(?:/(\d+))?|(\d+))")


def load(path: Path, overlays: list[Path]) -> tuple[dict[str, Any], list[str]]:
    """Read a bundle with its overlays; return it and what is unknown in it."""
    try:
        first, *more = [one for one in yaml.safe_load_all(path.read_text()) if one] or [{}]
        more += [yaml.safe_load(one.read_text()) or {} for one in overlays]
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ClientError(
            "cannot deploy bundle: cannot unmarshal bundle contents: unmarshal "
            f"document 0: yaml: line {where}: {error.problem}"
        ) from error
    if not isinstance(first, dict) or not first:
        raise ClientError("cannot deploy bundle: malformed bundle: bundle is empty not valid")
    for overlay in more:
        _merge(first, overlay)
    unknown = [
        f"field {key} not found in type charm.bundleData" for key in first if key not in TOP
    ]
    for app in first.get("applications", {}).values():
        known = [key for key in app if key in APPLICATION]
        unknown += [f"field {key} not found in applications" for key in app if key not in known]
    return first, unknown


def _merge(bundle: dict[str, Any], overlay: dict[str, Any]) -> None:
    """Lay an overlay over a bundle: maps merge, lists replace, emptiness deletes."""
    relations = overlay.pop("relations", None)
    if relations:
        bundle["relations"] = bundle.get("relations", []) + relations
    for key, value in overlay.items():
        if value is None or value in ({}, []):
            _delete(bundle, key)
        elif isinstance(value, dict) and isinstance(bundle.get(key), dict):
            _merge(bundle[key], value)
        else:
            bundle[key] = value


def _delete(bundle: dict[str, Any], key: str) -> None:
    bundle.pop(key, None)


def problems(bundle: dict[str, Any], folder: Path) -> list[str]:
    """Return what Juju refuses a bundle for."""
    apps, machines = bundle.get("applications") or {}, bundle.get("machines") or {}
    if not apps:
        return ["at least one application must be specified"]
    found = [
        f"invalid machine id {_quote(key)} found in machines"
        for key in machines
        if not str(key).isdecimal()
    ]
    used: set[str] = set()
    for name, app in sorted(apps.items()):
        found += _charm_problems(name, app, folder)
        if len(app.get("to", [])) > app.get("num_units", 0):
            found.append(f'too many units specified in unit placement for application "{name}"')
        for one in app.get("to", []):
            found += _placement_problems(str(one), apps, machines, used)
    for pair in bundle.get("relations", []):
        for end in pair:
            if end.partition(":")[0] not in apps:
                words = " ".join(_quote(one) for one in pair)
                found.append(
                    f"relation [{words}] refers to application "
                    f'"{end.partition(":")[0]}" not defined in this bundle'
                )
    found += [
        f'machine "{key}" is not referred to by a placement directive'
        for key in machines
        if str(key) not in used
    ]
    return found


def _quote(text: Any) -> str:
    return f'"{text}"'


def _charm_problems(name: str, app: dict[str, Any], folder: Path) -> list[str]:
    charm = str(app.get("charm", ""))
    if not charm.startswith((".", "/")):
        parse = f'cannot parse name and/or revision in URL "{charm}": name "{charm}" not valid'
        return [f'invalid charm URL in application "{name}": {parse}']
    if not (folder / charm).exists():
        return [f'charm path in application "{name}" does not exist: {charm}']
    return []


def _placement_problems(
    text: str, apps: dict[str, Any], machines: dict[Any, Any], used: set[str]
) -> list[str]:
    parts = PLACEMENT.fullmatch(text)
    if not parts:
        return [f'invalid placement syntax "{text}"']
    container, new, app, _, machine = parts.groups()
    if container:
        return [f'placement "{text}": containers are not part of the lab']
    used.add(machine or "")
    if machine and machine not in {str(key) for key in machines}:
        return [f'placement "{text}" refers to a machine not defined in this bundle']
    if app and not new and app not in apps:
        used.add(text)
        return [f'placement "{text}" refers to an application not defined in this bundle']
    return []
