# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Relations, as the operator makes and removes them."""

import dataclasses
import time

from . import uniter
from .model import Endpoint, JujuError, Model, Relation


def relate(model: Model, *ends: Endpoint) -> None:
    """Make a relation."""
    number = model.take("relation")
    model.relations[str(number)] = Relation(number, list(ends), time.time())


def relate_peers(model: Model, app: str, old: set[str]) -> None:
    """Make the peer relations of an application whose charm did not have them before."""
    for name, endpoint in model.charm_of(app).endpoints.items():
        if endpoint.role == "peer" and name not in old:
            relate(model, dataclasses.replace(endpoint, application=app))


def _ends(model: Model, text: str) -> list[Endpoint]:
    """Return the endpoints that `application` or `application:endpoint` may mean."""
    app, _, name = text.partition(":")
    known = model.charm_of(app).endpoints.values() if app in model.applications else ()
    return [
        dataclasses.replace(one, application=app)
        for one in known
        if one.name == name or (not name and one.role != "peer")
    ]


def integrate(model: Model, one: str, other: str) -> None:
    """Relate two applications."""
    where = f'adding relation between endpoints "{one}" and "{other}"'
    try:
        pair = _compatible(model, one, other)
    except JujuError as error:
        cannot = f'cannot relate endpoints "{one}" and "{other}"'
        raise JujuError(f"{where}: {cannot}: {error}") from error
    if problem := _problem(model, pair):
        named = ", ".join(f'"{end}"' for end in pair)
        wrong = f"relation {pair[0]} {pair[1]}: {problem}"
        raise JujuError(f"{where}: cannot add relation {named}: {wrong}")
    relate(model, *pair)


def _problem(model: Model, pair: tuple[Endpoint, Endpoint]) -> str:
    """Return why two endpoints cannot be related now; a dying relation counts as well."""
    known = [{str(end) for end in relation.endpoints} for relation in model.relations.values()]
    if {str(end) for end in pair} in known:
        return "already exists"
    for end in pair:
        if 0 < end.limit <= sum(str(end) in ends for ends in known):
            would = f"would exceed its maximum relation limit of {end.limit}"
            return f"establishing a new relation for {end} {would}"
    return ""


def _compatible(model: Model, one: str, other: str) -> tuple[Endpoint, Endpoint]:
    first, second = _ends(model, one), _ends(model, other)
    if missing := [text for ends, text in ((first, one), (second, other)) if not ends]:
        words = " and ".join(missing)
        raise JujuError(f"no candidates for {words}: relation endpoint not found")
    pairs = [
        (left, right)
        for left in first
        for right in second
        if {left.role, right.role} == {"provider", "requirer"}
        and left.interface == right.interface
    ]
    if not pairs:
        raise JujuError("no compatible endpoints found between applications")
    if len(pairs) > 1:
        pairs.sort(key=lambda pair: pair[0].role)
        may = "; ".join(f'"{left} {right}"' for left, right in pairs)
        raise JujuError(f'ambiguous relation: "{one} {other}" could refer to {may}')
    return pairs[0]


def remove_relation(model: Model, ends: list[str], number: int) -> None:
    """Begin to remove a relation, named by its ends or its number."""
    for relation in model.relations.values():
        if not relation.is_peer and _means(relation, ends, number):
            uniter.destroy_relation(model, relation)
            return
    words = " ".join(ends)
    raise JujuError(f"relation with endpoints [{words}] or id {number} not found (not found)")


def _means(relation: Relation, ends: list[str], number: int) -> bool:
    """Tell whether a relation is meant by its number or by both its ends."""
    if not ends:
        return relation.id == number
    names = [(str(end), end.application) for end in relation.endpoints]
    return any(ends[0] in names[at] and ends[1] in names[1 - at] for at in (0, 1))
