# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the units of maas-rack tell each other: with what their rackd was started.

By it they restart one after the other when the MAAS URL or the shared secret changes. Of the
secret only its mark is told, by which two are told apart.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import charmed_maas.peers
import rack
from charmed_maas import addresses, databag
from charmed_maas.interfaces import endpoint

PEERS = "peers"
MARK = re.compile(rf"[0-9a-f]{{{rack.MARK_DIGITS}}}|{rack.LOST}")


@dataclass(frozen=True)
class Started:
    """What a unit's rackd was started with; no URL where it was not, no mark in old databags."""

    url: str = ""
    mark: str = ""

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "Started":
        """Parse; raises databag.DatabagError."""
        mark = databag.matching(data, "secret-mark", MARK, "secret's mark")
        return cls(databag.url(data, "maas-url"), mark)

    def to_databag(self) -> dict[str, str]:
        """Return every field, "" for one that is to be absent."""
        return {"maas-url": self.url, "secret-mark": self.mark}

    def is_as(self, wanted: "Started") -> bool:
        """Tell whether it need not restart to run as wanted."""
        return not self.url or (self.url == wanted.url and self.mark in ("", wanted.mark))


class Peers(endpoint.Endpoint):
    """This unit's side of the peers relation."""

    def publish(self, started: Started) -> None:
        """Write this unit's databag."""
        for relation in self.relations:
            self.write(relation, self.model.unit, started.to_databag())

    def others(self) -> dict[str, Started]:
        """Return what the other living units were started with.

        One that cannot be read is left out and in problems: nobody waits for it.
        """
        found = {
            unit.name: self.parse(relation, unit, Started.from_databag)
            for relation in self.relations
            for unit in charmed_maas.peers.living_units(relation)
            if unit != self.model.unit
        }
        return {name: started for name, started in found.items() if started}


def ahead(started: dict[str, Started], unit: str, wanted: Started) -> list[str]:
    """Return the units that restart before this one does, in their order."""
    own = addresses.unit_number(unit)
    return [
        name
        for name in addresses.by_unit_number(started)
        if addresses.unit_number(name) < own and not started[name].is_as(wanted)
    ]


def common_mark(started: Collection[Started]) -> str:
    """Return the mark of the secret that every rackd runs with, "" while they differ."""
    marks = {one.mark for one in started if one.url}
    return marks.pop() if len(marks) == 1 else ""
