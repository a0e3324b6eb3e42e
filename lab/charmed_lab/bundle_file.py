# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""A bundle's file: read with its overlays, and refused for what Juju refuses."""

import re
from pathlib import Path
from typing import Any

import yaml

from . import output
from .arguments import UsageError
from .client import ClientError

TOP = "applications bundle default-base description machines name relations saas tags"
APPLICATION = (
    "annotations base bindings channel charm constraints devices expose exposed-endpoints "
    "num_units offers options plan resources revision scale storage to trust"
)
# What of it the lab has not: it would be another model without. README.md lists the same.
LEFT_OUT = (
    "bindings channel devices exposed-endpoints offers plan resources revision scale storage"
)
LEFT_OUT_ABOVE = "saas"
LEFT_OUT_OF_MACHINES = "annotations base constraints"
TYPES: dict[str, tuple[type, str]] = {
    **{key: (dict, "map") for key in ("annotations", "applications", "machines", "options")},
    **{key: (str, "text") for key in ("base", "charm", "constraints", "default-base")},
    **{key: (bool, "boolean") for key in ("expose", "trust")},
    **{key: (list, "list") for key in ("relations", "to")},
    "num_units": (int, "number"),
}
PLACEMENT = re.compile(
    r"(?:(?P<container>\w+):)?"
    r"(?:(?P<new>new)|(?P<app>[a-z][a-z0-9-]*?)(?:/(?P<number>\d+))?|(?P<machine>\d+))"
)
EMPTY = "at least one application must be specified"


def load(path: Path, overlays: list[Path]) -> tuple[dict[str, Any], list[str]]:
    """Read a bundle with its overlays; return it and what is unknown in it."""
    failed = "cannot deploy bundle:"
    try:
        first, *more = [one for one in output.all_from_yaml(path.read_text()) if one] or [{}]
        more += [output.from_yaml(one.read_text()) or {} for one in overlays]
    except yaml.MarkedYAMLError as error:
        marks = [one.line for one in (error.context_mark, error.problem_mark) if one and one.line]
        # What Go's parser calls what it misses, and the lines that it counts.
        missing = "<block end>" in str(error.problem)
        problem = "did not find expected key" if missing else error.problem
        what = f"unmarshal document 0: yaml: line {(marks or [0])[0]}: {problem}"
        raise ClientError(f"{failed} cannot unmarshal bundle contents: {what}") from error
    if not isinstance(first, dict) or not first:
        raise ClientError(f"{failed} malformed bundle: bundle is empty not valid")
    for one in (first, *more):
        if wrong := _misshapen(one):
            raise ClientError(f"{failed} cannot unmarshal bundle contents: {wrong[0]}")
    for overlay in more:
        gone = {name for name, app in (overlay.get("applications") or {}).items() if not app}
        _merge(first, overlay)
        # With an application its relations go.
        related = first.get("relations") or []
        kept = [
            ends for ends in related if not {str(end).partition(":")[0] for end in ends} & gone
        ]
        first |= {"relations": kept} if related else {}
    _refuse_left_out(first)
    for name, app in (first.get("applications") or {}).items():
        first["applications"][name] = {k: v for k, v in (app or {}).items() if v is not None}
    return first, _unknown(path.read_text())


def _misshapen(bundle: Any) -> list[str]:
    """Return what is of another type than Juju wants."""
    wrong = _wrong_types("the bundle", bundle)
    for kind in () if wrong else ("applications", "machines"):
        for name, about in (bundle.get(kind) or {}).items():
            wrong += _wrong_types(f'"{name}" in {kind}', about or {})
    relations = [] if wrong else bundle.get("relations") or []
    are_ends = [
        isinstance(one, list) and all(isinstance(e, str) for e in one) for one in relations
    ]
    return wrong if all(are_ends) else ["relations is not a list of lists of endpoints"]


def _wrong_types(where: str, about: Any) -> list[str]:
    if not isinstance(about, dict):
        return [f"{where} is not a map"]
    return [
        f"{key} of {where} is not a {TYPES[key][1]}"
        for key, value in about.items()
        if key in TYPES and value is not None and not isinstance(value, TYPES[key][0])
    ]


def _refuse_left_out(bundle: dict[str, Any]) -> None:
    """Refuse by name what the lab would deploy without."""
    found = [("the bundle", bundle, LEFT_OUT_ABOVE)]
    for name, app in (bundle.get("applications") or {}).items():
        found.append((f'application "{name}"', app or {}, LEFT_OUT))
    for name, machine in (bundle.get("machines") or {}).items():
        found.append((f'machine "{name}"', machine or {}, LEFT_OUT_OF_MACHINES))
    for where, about, left_out in found:
        for key in left_out.split():
            if about.get(key) not in (None, {}, []):
                raise UsageError(f"{key} of {where} in a bundle is not part of the lab")


def _unknown(text: str) -> list[str]:
    """Return the fields of a bundle's file that Juju does not know, with their lines."""
    root = next(yaml.compose_all(text, yaml.SafeLoader))
    found = [(key, TOP, "type charm.bundleData") for key, _ in root.value]
    for _, apps in [pair for pair in root.value if pair[0].value == "applications"]:
        for app in [one for _, one in apps.value if isinstance(one, yaml.MappingNode)]:
            found += [(key, APPLICATION, "applications") for key, _ in app.value]
    return [
        f"line {key.start_mark.line + 1}: field {key.value} not found in {where}"
        for key, known, where in found
        if key.value not in known.split()
    ]


def _merge(bundle: dict[str, Any], overlay: dict[str, Any]) -> None:
    """Lay an overlay over a bundle: maps merge, lists replace, emptiness deletes."""
    if relations := overlay.pop("relations", None):
        bundle["relations"] = bundle.get("relations", []) + relations
    for key, value in overlay.items():
        if value is None or value in ({}, []):
            bundle.pop(key, None)
        elif isinstance(value, dict) and isinstance(bundle.get(key), dict):
            _merge(bundle[key], value)
        else:
            bundle[key] = value


def problems(bundle: dict[str, Any], folder: Path) -> list[str]:
    """Return what Juju refuses a bundle for."""
    apps = bundle.get("applications") or {}
    machines = [str(key) for key in bundle.get("machines") or {}]
    if not apps:
        return [EMPTY]
    found = [
        f'invalid machine id "{key}" found in machines' for key in machines if not key.isdecimal()
    ]
    used: set[str] = set()
    for name, app in sorted(apps.items()):
        found += _charm_problems(name, str(app.get("charm", "")), folder)
        if len(app.get("to", [])) > app.get("num_units", 0):
            found.append(f'too many units specified in unit placement for application "{name}"')
        for one in app.get("to", []):
            found += _placement_problems(str(one), apps, machines, used)
    for pair in bundle.get("relations") or []:
        words = " ".join(f'"{one}"' for one in pair)
        if len(pair) != 2:
            found.append(f"relation [{words}] has {len(pair)} endpoint(s), not 2")
            continue
        missing = [end.partition(":")[0] for end in pair if end.partition(":")[0] not in apps]
        refers = f"relation [{words}] refers to application"
        found += [f'{refers} "{app}" not defined in this bundle' for app in missing]
    unused = [key for key in machines if key not in used]
    return found + [
        f'machine "{key}" is not referred to by a placement directive' for key in unused
    ]


def _charm_problems(name: str, charm: str, folder: Path) -> list[str]:
    if not charm.startswith((".", "/")):
        parse = f'cannot parse name and/or revision in URL "{charm}": name "{charm}" not valid'
        return [f'invalid charm URL in application "{name}": {parse}']
    if not (folder / charm).exists():
        return [f'charm path in application "{name}" does not exist: {charm}']
    return []


def _placement_problems(
    text: str, apps: dict[str, Any], machines: list[str], used: set[str]
) -> list[str]:
    parts = PLACEMENT.fullmatch(text)
    if not parts:
        return [f'invalid placement syntax "{text}"']
    if parts["container"]:
        return [f'placement "{text}": containers are not part of the lab']
    used.add(parts["machine"] or "")
    if parts["machine"] and parts["machine"] not in machines:
        return [f'placement "{text}" refers to a machine not defined in this bundle']
    if parts["app"] and parts["app"] not in apps:
        return [f'placement "{text}" refers to an application not defined in this bundle']
    return []
