# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Which peers there are, as the controller sees it and not as a unit's agent remembers it."""

import ops
from ops import hookcmds


def living_units(relation: ops.Relation | None) -> list[ops.Unit]:
    """Return the units of a peers relation that are neither gone nor on their way out.

    Juju 4.0.15 sends no relation-departed to the surviving peers of a removed unit and goes on
    listing it in relation-list (recorded; 3.6 does send it); only goal-state knows better.
    One hook-tool call. It does not wake a survivor: a departing unit changes its own databag,
    which does, and update-status finds whoever had no time for that.
    """
    if relation is None:
        return []
    try:
        goals = hookcmds.goal_state().units
    except FileNotFoundError:
        # Without a Juju agent, as in unit tests, there is nobody else to ask.
        return sorted(relation.units, key=_number)
    living = {name for name, goal in goals.items() if goal.status not in ("dying", "dead")}
    return sorted((unit for unit in relation.units if unit.name in living), key=_number)


def _number(unit: ops.Unit) -> int:
    return int(unit.name.rpartition("/")[2])
