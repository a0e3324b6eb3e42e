# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The parameters of actions, checked as Juju checks them."""

from collections.abc import Mapping
from typing import Any

from . import output

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def schema(name: str, action: Mapping[str, Any], *, extra: bool = False) -> dict[str, Any]:
    """Return the schema of an action as actions.yaml has it."""
    found = {
        "additionalProperties": action.get("additionalProperties", extra),
        "description": action.get("description", "No description"),
        "properties": action.get("params") or {},
        "title": name,
        "type": "object",
    }
    return {**found, "required": action["required"]} if action.get("required") else found


def problem(rules: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """Return why parameters do not fit an action's schema, or nothing."""
    known = rules["properties"]
    for name in rules.get("required", []):
        if name not in parameters:
            given = output.to_json(dict(parameters))
            return f'(root) : "{name}" property is missing and required, given {given}'
    for name, value in sorted(parameters.items()):
        if name not in known:
            if rules["additionalProperties"]:
                continue
            given = output.to_json(dict(parameters))
            return f'(root) : additional property "{name}" is not allowed, given {given}'
        if said := _wrong_value(f"(root).{name}", known[name] or {}, value):
            return said
    return ""


def _wrong_value(where: str, rule: Mapping[str, Any], value: Any) -> str:
    kind, given = rule.get("type"), output.to_json(value)
    if kind and not _is_of(kind, value):
        return f"{where} : must be of type {kind}, given {given}"
    if "enum" in rule and value not in rule["enum"]:
        allowed = output.to_json(rule["enum"])
        return f"{where} : must match one of the enum values {allowed}, given {given}"
    low, high = rule.get("minimum"), rule.get("maximum")
    if low is not None and value < low:
        return f"{where} : must be greater than or equal to {low}, given {given}"
    if high is not None and value > high:
        return f"{where} : must be less than or equal to {high}, given {given}"
    return ""


def _is_of(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES.get(kind, ()))


def with_defaults(rules: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with the defaults of those that are not given."""
    defaults = {
        name: rule["default"]
        for name, rule in rules["properties"].items()
        if rule and "default" in rule
    }
    return {**defaults, **parameters}
