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


def load(path: Path, store: Path, revision: int) -> Charm:
    """Read a .charm file and keep a copy of it for the machines."""
    with zipfile.ZipFile(path) as packed:
        names = set(packed.namelist())

        def read(name: str) -> dict[str, Any]:
            return (yaml.safe_load(packed.read(name)) if name in names else None) or {}

        metadata, options = read("metadata.yaml"), read("config.yaml").get("options") or {}
        listed, manifest = read("actions.yaml"), read("manifest.yaml")
    if "dispatch" not in names:
        raise JujuError(f'charm "{path.name}" has no dispatch; the lab runs only packed charms')
    for key in LEFT_OUT:
        if metadata.get(key):
            raise JujuError(f'charm "{metadata["name"]}" has {key}, which the lab leaves out')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    archive = f"{metadata['name']}-{digest}.charm"
    store.mkdir(parents=True, exist_ok=True)
    store.chmod(0o755)
    if not (store / archive).exists():
        shutil.copyfile(path, store / f"{archive}.new")
        (store / f"{archive}.new").chmod(0o644)
        (store / f"{archive}.new").replace(store / archive)
    bases = [f"{base['name']}@{base['channel']}" for base in manifest.get("bases", [])]
    return Charm(
        url=f"local:{metadata['name']}-{revision}",
        name=metadata["name"],
        revision=revision,
        archive=archive,
        base=bases[0] if bases else "ubuntu@24.04",
        bases=bases,
        description=metadata.get("description", ""),
        endpoints=_endpoints(metadata),
        options=options,
        actions={name: actions.schema(name, one or {}) for name, one in sorted(listed.items())},
    )


def _endpoints(metadata: dict[str, Any]) -> dict[str, Endpoint]:
    found: dict[str, Endpoint] = {}
    for kind, role in ROLES.items():
        for name, about in (metadata.get(kind) or {}).items():
            if about.get("scope") == "container":
                raise JujuError(f'endpoint "{name}" has scope container, which the lab leaves out')
            found[name] = Endpoint("", name, role, about["interface"])
    return dict(sorted(found.items()))


def parse_options(charm: Charm, values: dict[str, Any]) -> dict[str, Any]:
    """Return values for a charm's options, typed; texts are parsed as the command line's."""
    parsed = {}
    for key, value in values.items():
        if key not in charm.options:
            raise JujuError(f'unknown option "{key}"')
        parsed[key] = parse_option(key, charm.options[key]["type"], value)
    return parsed


def parse_option(key: str, kind: str, value: Any) -> Any:
    """Return a value as its option's type."""
    wrong = JujuError(f'option "{key}" expected {kind}, got "{value}"')
    if kind in ("string", "secret"):
        if not isinstance(value, str):
            raise JujuError(f'option "{key}" expected {kind}, got {value!r}')
        if kind == "secret" and value:
            try:
                return f"secret:{secrets.parse_id(value)}"
            except JujuError as error:
                message = f'invalid secret URI for option "{key}": {error}'
                raise JujuError(message) from error
        return value
    if kind == "boolean":
        words = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}
        if str(value).lower() not in words:
            raise wrong
        return words[str(value).lower()]
    if isinstance(value, bool):
        raise wrong
    try:
        return int(value) if kind == "int" else float(value)
    except (TypeError, ValueError):
        raise wrong from None
