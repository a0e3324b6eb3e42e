# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the two sides of every interface have in common."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import ops

from charmed_maas import databag

Parsed = TypeVar("Parsed")


class Changed(ops.EventBase):
    """Something about the relation changed."""


class EndpointEvents(ops.ObjectEvents):
    """The one event of an endpoint."""

    changed = ops.EventSource(Changed)


class Endpoint(ops.Object):
    """One side of an interface: its relations, its one event, what was wrong with databags."""

    on = EndpointEvents()  # pyright: ignore

    def __init__(self, charm: ops.CharmBase, relation_name: str) -> None:
        super().__init__(charm, relation_name)
        self.charm = charm
        self.relation_name = relation_name
        self.problems: list[str] = []
        events = charm.on[relation_name]
        for event in (
            events.relation_created,
            events.relation_joined,
            events.relation_changed,
            events.relation_departed,
            events.relation_broken,
        ):
            self.framework.observe(event, self._on_relation_event)

    @property
    def relations(self) -> list[ops.Relation]:
        """The endpoint's relations by ID; one that breaks just now is left out."""
        return sorted(self.model.relations[self.relation_name], key=lambda one: one.id)

    def parse(
        self,
        relation: ops.Relation,
        source: ops.Unit | ops.Application,
        parser: Callable[[Mapping[str, str]], Parsed],
    ) -> Parsed | None:
        """Parse a remote databag; None and an entry in problems when it is nonsense."""
        try:
            return parser(relation.data[source])
        except databag.DatabagError as error:
            problem = f"{source.name} sent {error}"
            if problem not in self.problems:
                self.problems.append(problem)
            return None

    def write(
        self, relation: ops.Relation, own: ops.Unit | ops.Application, values: Mapping[str, str]
    ) -> None:
        """Write the fields of an own databag that differ."""
        databag.write(relation.data[own], values)

    def _on_relation_event(self, _: ops.RelationEvent) -> None:
        self.on.changed.emit()
