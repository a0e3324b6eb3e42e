# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the units of maas-rack tell each other: with what their rackd was started.

By it they restart one after the other when the MAAS URL or the shared secret changes. Of the
secret only its mark is told, by which two are told apart.
"""

from collections.abc import Collection
from dataclasses import dataclass

import ops

import charmed_maas.peers
from charmed_maas import addresses, databag

PEERS = "peers"


@dataclass(frozen=True)
class Started:
    """What a unit's rackd was started with; no URL where it was not, no mark in old databags."""

    url: str = ""
    mark: str = ""

    def is_as(self, wanted: "Started") -> bool:
        """Tell whether it need not restart to run as wanted."""
        return not self.url or (self.url == wanted.url and self.mark in ("", wanted.mark))


def publish(model: ops.Model, started: Started) -> None:
    """Write this unit's databag."""
    if relation := model.get_relation(PEERS):
        values = {"maas-url": started.url, "secret-mark": started.mark}
        databag.write(relation.data[model.unit], values)


def others(model: ops.Model) -> dict[str, Started]:
    """Return what the other living units were started with."""
    relation = model.get_relation(PEERS)
    if not relation:
        return {}
    found = {
        unit.name: relation.data[unit]
        for unit in charmed_maas.peers.living_units(relation)
        if unit != model.unit
    }
    return {
        name: Started(bag.get("maas-url", ""), bag.get("secret-mark", ""))
        for name, bag in found.items()
    }


def ahead(started: dict[str, Started], unit: str, wanted: Started) -> list[str]:
    """Return the units that restart before this one does."""
    own = addresses.unit_number(unit)
    return [
        name
        for name, one in started.items()
        if addresses.unit_number(name) < own and not one.is_as(wanted)
    ]


def common_mark(started: Collection[Started]) -> str:
    """Return the mark of the secret that every rackd runs with, "" while they differ."""
    marks = {one.mark for one in started if one.url}
    return marks.pop() if len(marks) == 1 else ""
