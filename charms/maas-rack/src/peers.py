# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the units of maas-rack tell each other: with which MAAS URL their rackd was started.

By it they restart one after the other when the MAAS URL changes.
"""

import ops

import charmed_maas.peers
from charmed_maas import addresses, databag

PEERS = "peers"


def publish(model: ops.Model, maas_url: str) -> None:
    """Write this unit's databag."""
    if relation := model.get_relation(PEERS):
        databag.write(relation.data[model.unit], {"maas-url": maas_url})


def before(model: ops.Model) -> dict[str, str]:
    """Return the MAAS URLs of the living units with lower numbers."""
    relation = model.get_relation(PEERS)
    if not relation:
        return {}
    own = addresses.unit_number(model.unit.name)
    return {
        unit.name: relation.data[unit].get("maas-url", "")
        for unit in charmed_maas.peers.living_units(relation)
        if addresses.unit_number(unit.name) < own
    }


def is_turn(started: dict[str, str], maas_url: str) -> bool:
    """Tell whether every unit before this one runs with the URL, or does not run at all."""
    return all(url in ("", maas_url) for url in started.values())
