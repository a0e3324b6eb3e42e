# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Packed charms: what a .charm file says of itself, and the values its options take."""

import hashlib
import shutil
import zipfile
from pathlib import Path
from typing import Any

import yaml

from . import actions, secrets
from .model import Charm, Endpoint, JujuError

ROLES = {"peers": "peer", "provides": "provider", "requires": "requirer"}
LEFT_OUT = ("storage", "resources", "containers", "subordinate", "extra-bindings")
BOOLEANS = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


def _read(path: Path, name: str) -> dict[str, Any]:
    """Return what one YAML file of a packed charm says."""
    with zipfile.ZipFile(path) as packed:
        return (yaml.safe_load(packed.read(name)) if name in packed.namelist() else None) or {}


def bases(path: Path) -> list[str]:
    """Return the bases that a packed charm is for; Juju takes the first."""
    listed = _read(path, "manifest.yaml").get("bases") or []
    return [f"{base['name']}@{base['channel']}" for base in listed] or ["ubuntu@24.04"]


def load(path: Path, store: Path, *, extra: bool) -> Charm:
    """Read a .charm file and keep a copy of it for the machines.

    With `extra` its actions take parameters that they do not name, unless they say otherwise.
    """
    if not zipfile.Path(path, "dispatch").exists():
        raise JujuError(f'charm "{path.name}" has no dispatch; the lab runs only packed charms')
    metadata = _read(path, "metadata.yaml")
    for key in LEFT_OUT:
        if metadata.get(key):
            raise JujuError(f'charm "{metadata["name"]}" has {key}, which the lab leaves out')
    listed = sorted(_read(path, "actions.yaml").items())
    return Charm(
        name=metadata["name"],
        archive=_keep(path, metadata["name"], store),
        bases=bases(path),
        endpoints=_endpoints(metadata),
        options=_read(path, "config.yaml").get("options") or {},
        actions={name: actions.schema(name, one or {}, extra=extra) for name, one in listed},
    )


def _keep(path: Path, name: str, store: Path) -> str:
    """Copy a packed charm to where the machines see it; return the copy's name."""
    archive = f"{name}-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}.charm"
    store.mkdir(parents=True, exist_ok=True)
    store.chmod(0o755)
    if not (store / archive).exists():
        new = store / f"{archive}.new"
        shutil.copyfile(path, new)
        new.chmod(0o644)
        new.replace(store / archive)
    return archive


def _endpoints(metadata: dict[str, Any]) -> dict[str, Endpoint]:
    found: dict[str, Endpoint] = {}
    for kind, role in ROLES.items():
        for name, about in (metadata.get(kind) or {}).items():
            if about.get("scope") == "container":
                raise JujuError(f'endpoint "{name}" has scope container, which the lab leaves out')
            limit = int(about.get("limit") or 0)
            found[name] = Endpoint("", name, role, about["interface"], limit)
    return dict(sorted(found.items()))


def parse_options(charm: Charm, values: dict[str, Any]) -> dict[str, Any]:
    """Return values for a charm's options, typed; texts are parsed as the command line's."""
    for key in values:
        if key not in charm.options:
            raise JujuError(f'unknown option "{key}"')
    kinds = {key: charm.options[key]["type"] for key in values}
    return {key: parse_option(key, kinds[key], value) for key, value in values.items()}


def parse_option(key: str, kind: str, value: Any) -> Any:
    """Return a value as its option's type."""
    wrong = JujuError(f'option "{key}" expected {kind}, got "{value}"')
    if kind in ("string", "secret"):
        if not isinstance(value, str):
            raise JujuError(f'option "{key}" expected {kind}, got {value!r}')
        if kind == "string" or not value:
            return value
        try:
            return f"secret:{secrets.parse_id(value)}"
        except JujuError as error:
            raise JujuError(f'invalid secret URI for option "{key}": {error}') from error
    if kind == "boolean":
        if str(value).lower() not in BOOLEANS:
            raise wrong
        return BOOLEANS[str(value).lower()]
    if isinstance(value, bool):
        raise wrong
    try:
        return int(value) if kind == "int" else float(value)
    except (TypeError, ValueError):
        raise wrong from None
