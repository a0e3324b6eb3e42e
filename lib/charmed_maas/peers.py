# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Which peers there are, as the controller sees it and not as a unit's agent remembers it."""

from collections.abc import Mapping

import ops
from ops import hookcmds


def goal_state() -> hookcmds.GoalState | None:
    """Return what the controller knows; None without a Juju agent, as in unit tests."""
    try:
        return hookcmds.goal_state()
    except FileNotFoundError:
        return None


def living(goals: hookcmds.GoalState | None, endpoint_name: str = "") -> set[str] | None:
    """Return the names of this application's units, or of an endpoint's, that are to stay.

    None where goal-state says nothing of them; an endpoint whose application has no unit left
    is known and empty.
    """
    if goals is None:
        return None
    if not endpoint_name:
        return _staying(goals.units) or None
    known = goals.relations.get(endpoint_name)
    # Of an application in another model there is only the offer's URL, and none of its units.
    if known is None or any("/" in name and not _is_unit(name) for name in known):
        return None
    return _staying(known)


def living_units(relation: ops.Relation | None) -> list[ops.Unit]:
    """Return the units of a peers relation that are neither gone nor on their way out.

    Juju 4.0.15 sends no relation-departed to the surviving peers of a removed unit and goes on
    listing it in relation-list (recorded; 3.6 does send it); only goal-state knows better.
    One hook-tool call. It does not wake a survivor: a departing unit changes its own databag,
    which does, and update-status finds whoever had no time for that.
    """
    if relation is None:
        return []
    names = living(goal_state())
    return sorted(
        (unit for unit in relation.units if names is None or unit.name in names), key=_number
    )


def _staying(goals: Mapping[str, hookcmds.Goal]) -> set[str]:
    return {
        name
        for name, goal in goals.items()
        if _is_unit(name) and goal.status not in ("dying", "dead")
    }


def _is_unit(name: str) -> bool:
    return name.rpartition("/")[2].isdecimal()


def _number(unit: ops.Unit) -> int:
    return int(unit.name.rpartition("/")[2])
