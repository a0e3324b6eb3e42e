# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Which peers there are, as the controller sees it and not as a unit's agent remembers it."""

import logging
from collections.abc import Mapping

import ops
from ops import hookcmds

from charmed_maas import addresses, agents

logger = logging.getLogger(__name__)

# What mends an address that two units have.
OTHER_ADDRESS = "remove the unit whose machine is gone, or give one of the two another address"


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


def is_leaving(goals: hookcmds.GoalState | None, unit_name: str) -> bool:
    """Tell whether a unit of this application is on its way out; known before any event says so.

    And still known after its peers relation broke, as it may before the others do (recorded).
    """
    return goals is not None and bool(goals.units) and unit_name not in _staying(goals.units)


def beside(unit_name: str) -> str:
    """Return a unit of this application that is to stay on this machine, too; "" for none.

    What a unit that goes would stop and forget is that one's, as after `add-unit --to`.
    """
    try:
        goals = goal_state()
    except hookcmds.Error as error:
        # Of a unit that is all but gone Juju may know nothing: that must not keep it.
        logger.info("%s", error)
        return ""
    others = (living(goals) or set[str]()) - {unit_name}
    return next((name for name in addresses.by_unit_number(others) if agents.is_here(name)), "")


def present_units(
    relation: ops.Relation | None, goals: hookcmds.GoalState | None
) -> dict[ops.Unit, bool]:
    """Return the units of a peers relation that are not gone, and whether each is to stay.

    Juju 4.0.15 sends no relation-departed to the surviving peers of a removed unit and goes on
    listing it in relation-list (recorded; 3.6 does send it); only goal-state knows better.
    It does not wake a survivor: a departing unit changes its own databag, which does, and
    update-status finds whoever had no time for that.
    """
    if relation is None:
        return {}
    units = sorted(relation.units, key=lambda unit: addresses.unit_number(unit.name))
    if goals is None or not goals.units:
        return dict.fromkeys(units, True)
    staying = _staying(goals.units)
    gone = {name for name, goal in goals.units.items() if goal.status == "dead"}
    return {unit: unit.name in staying for unit in units if unit.name in goals.units.keys() - gone}


def living_units(relation: ops.Relation | None) -> list[ops.Unit]:
    """Return the units of a peers relation that are neither gone nor on their way out."""
    found = present_units(relation, goal_state() if relation else None)
    return [unit for unit, stays in found.items() if stays]


def unlisted(relation: ops.Relation, goals: hookcmds.GoalState | None) -> set[str]:
    """Return the units on their way out that Juju lists no more, though their daemons run.

    Juju 3.6 runs relation-departed in the peers as soon as a unit is to go, not once it has gone.
    """
    known = goals.units if goals else {}
    dying = {name for name, goal in known.items() if goal.status == "dying"}
    return dying - {unit.name for unit in relation.units}


def with_remedy(problem: str, me: str) -> str:
    """Return "X sent ...", with what mends it where X is another unit of this one's application.

    Each unit's hooks write its databag anew: what stays wrong is another revision's. An address
    that two units have is not, and has its own remedy.
    """
    if problem.endswith(OTHER_ADDRESS):
        return problem
    sender = problem.partition(" ")[0]
    application, _, number = sender.partition("/")
    if sender == me or not number or application != me.partition("/")[0]:
        return problem
    return f"{problem}: bring {sender} to this unit's revision of the charm"


def _staying(goals: Mapping[str, hookcmds.Goal]) -> set[str]:
    return {
        name
        for name, goal in goals.items()
        if _is_unit(name) and goal.status not in ("dying", "dead")
    }


def _is_unit(name: str) -> bool:
    return name.rpartition("/")[2].isdecimal()
