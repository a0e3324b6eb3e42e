# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Relations, as the operator makes and removes them."""

import time
from collections.abc import Sequence

from . import uniter
from .lookup import Lookup
from .model import Endpoint, JujuError, Model, Relation


class Relating(Lookup):
    """The calls about relations."""

    def _end(self, app: str, endpoint: Endpoint) -> Endpoint:
        return Endpoint(app, endpoint.name, endpoint.role, endpoint.interface)

    def _relate(self, model: Model, ends: list[Endpoint]) -> None:
        number = model.take("relation")
        model.relations[str(number)] = Relation(number, ends, time.time())

    def _ends(self, model: Model, text: str) -> list[Endpoint]:
        app, _, name = text.partition(":")
        if app not in model.applications:
            return []
        known = model.charm_of(app).endpoints.values()
        return [
            self._end(app, one)
            for one in known
            if one.name == name or (not name and one.role != "peer")
        ]

    def integrate(self, model: str, one: str, other: str) -> None:
        """Relate two applications."""
        found = self._model(model)
        where = f'adding relation between endpoints "{one}" and "{other}"'
        try:
            pair = self._compatible(found, one, other)
        except JujuError as error:
            raise JujuError(
                f'{where}: cannot relate endpoints "{one}" and "{other}": {error}'
            ) from error
        texts = {str(end) for end in pair}
        for relation in found.relations.values():
            if {str(end) for end in relation.endpoints} == texts:
                words = " ".join(str(end) for end in pair)
                named = ", ".join(f'"{end}"' for end in pair)
                raise JujuError(
                    f"{where}: cannot add relation {named}: relation {words}: already exists"
                )
        self._relate(found, pair)

    def _compatible(self, model: Model, one: str, other: str) -> list[Endpoint]:
        first, second = self._ends(model, one), self._ends(model, other)
        sides = ((first, one), (second, other))
        if missing := [text for ends, text in sides if not ends]:
            words = " and ".join(missing)
            raise JujuError(f"no candidates for {words}: relation endpoint not found")
        pairs = [
            [left, right]
            for left in first
            for right in second
            if {left.role, right.role} == {"provider", "requirer"}
            and left.interface == right.interface
        ]
        if not pairs:
            raise JujuError("no compatible endpoints found between applications")
        if len(pairs) > 1:
            may = "; ".join(f'"{left} {right}"' for left, right in pairs)
            raise JujuError(f'ambiguous relation: "{one} {other}" could refer to {may}')
        return pairs[0]

    def remove_relation(self, model: str, ends: list[str], number: int, force: bool) -> None:
        """Begin to remove a relation, named by its ends or its number."""
        found = self._model(model)
        for relation in found.relations.values():
            if relation.is_peer or not _means(relation, ends, number):
                continue
            uniter.destroy_relation(found, relation)
            return
        words = " ".join(ends)
        raise JujuError(f"relation with endpoints [{words}] or id {number} not found (not found)")


def _means(relation: Relation, ends: Sequence[str], number: int) -> bool:
    """Tell whether a relation is meant by its number or by both its ends."""
    if not ends:
        return relation.id == number
    left, right = relation.endpoints

    def fits(text: str, end: Endpoint) -> bool:
        return text in (str(end), end.application)

    one, other = ends
    return (fits(one, left) and fits(other, right)) or (fits(one, right) and fits(other, left))
