# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What this unit writes down of the model, for when it cannot be asked.

The timer works from it, as does a unit whose relations end as it dies, and one whose peer's
databag cannot be read.
"""

import json
from typing import Any

import cluster
import paths
from charmed_maas import files


def write(spec: cluster.Spec) -> None:
    """Remember what the daemons are configured from."""
    state = {
        "unit": spec.me.name,
        "address": spec.me.address,
        "scope": spec.scope,
        "peers": [[unit.name, unit.address] for unit in spec.peers],
        "rest": spec.keys.rest,
    }
    files.ensure_file(paths.MEMBER, json.dumps(state, indent=1) + "\n", mode=0o600)


def read() -> dict[str, Any]:
    """Return what was remembered, {} when there is nothing."""
    try:
        return json.loads(paths.MEMBER.read_text())
    except (FileNotFoundError, ValueError):
        return {}


def spec(unit: str) -> cluster.Spec | None:
    """Return what a unit's daemons were configured from, enough to leave with, None for nothing.

    Another unit's member on this machine is none of its business.
    """
    found = read()
    if not found or is_anothers(unit):
        return None
    keys = cluster.Keys("", "", "", "", "", rest=found["rest"])
    me = cluster.Unit(found["unit"], found["address"])
    return cluster.Spec(me, tuple(peers()), found["scope"], keys)


def is_anothers(unit: str) -> bool:
    """Tell whether the member on this machine is not this unit's."""
    return read().get("unit", unit) != unit


def peers() -> list[cluster.Unit]:
    """Return the peers that the last reconcile knew."""
    return [cluster.Unit(name, address) for name, address in read().get("peers", [])]
