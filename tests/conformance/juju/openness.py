# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Whether a different answer follows from another order of events that Juju allows."""

import re
from typing import Any

import yaml
from history import History
from names import Names
from recorded import Call, Dispatch

TAKEN = re.compile(r'port range conflicts with \S+ \(unit "([^"]+)"\)')
KEY = re.compile(r"[a-z](-?[a-z0-9]){2,}")

# Juju says the second while no unit is in the relation yet.
JOINED = ("joined", "joining")


def is_help(named: Call, expected: Call | None) -> bool:
    """Tell whether an answer is the beginning of the recorded help, which is prose."""
    if expected is None or "--help" not in named.args:
        return False
    return named.out != "" and expected.out.startswith(named.out.rstrip())


def is_open(
    history: History, now: Dispatch, call: Call, named: Call, expected: Call | None
) -> bool:
    """Tell whether an answer is right for the order that came about."""
    if call.tool == "open-port":
        return _port_is_open(history, now, call)
    if call.tool == "secret-add" and expected is not None and expected.rc == 2:
        return call.rc == 2 and _names_bad_key(call) and _names_bad_key(expected)
    if call.rc != 0 or (expected is not None and expected.rc != 0):
        return False
    if call.tool == "opened-ports" and "--endpoints" not in call.args and _is_first(now, call):
        return set(call.out) == history.ports(now.unit, now.began)
    if call.tool in ("relation-ids", "relation-list"):
        return _list_is_open(history, now, call, expected)
    if call.tool == "relation-get" and "-r" in call.args and isinstance(call.out, dict):
        return _bag_is_open(history, now, call, named, expected)
    if call.tool == "goal-state" and expected is not None and isinstance(call.out, str):
        # Juju sorts by names, which are others where another unit leads.
        return yaml.safe_load(named.out) == yaml.safe_load(expected.out)
    if call.tool == "goal-state" and expected is not None:
        return _goal_is_open(history, now, call.out, expected.out)
    return False


def _list_is_open(history: History, now: Dispatch, call: Call, expected: Call | None) -> bool:
    about = call.args[-1]
    if call.tool == "relation-ids":
        sure, may = (
            {one for one in known if one.startswith(f"{about}:")}
            for known in history.relations(now)
        )
        return isinstance(call.out, list) and sure <= set(call.out) <= may
    if "--app" in call.args:
        return expected is None and call.out == history.remote_app(now, about)
    return call.out == history.members(now, about)


def has_no_cause(history: History, now: Dispatch, call: Call, names: Names) -> bool:
    """Tell whether the probe had no cause for a recorded call in the order that came about.

    It asks about relations that `relation-ids` told it of and units that `relation-list` did in
    the same event, and for a secret that it was told of; those answers are compared themselves.
    """
    if call.tool == "secret-get":
        return now.kind == "relation-changed" and _is_not_told(history, now)
    relation = call.args[call.args.index("-r") + 1] if "-r" in call.args else ""
    if not relation or (now.is_action and call.tool == "relation-set"):
        return False
    if relation not in {now.relation, *_listed(now, "relation-ids")}:
        return relation in history.relations_of(now.app)
    about = call.args[-1]
    if call.tool != "relation-get" or "--app" in call.args or "/" not in about:
        return False
    known = (now.unit, now.remote, *_listed(now, "relation-list", relation))
    return about not in map(names.units, known)


def _listed(now: Dispatch, tool: str, *about: str) -> list[str]:
    """Return all that the lists of one tool hold in an event."""
    lists = [one.out for one in now.calls if one.tool == tool and {*about} <= {*one.args}]
    return [name for names in lists if isinstance(names, list) for name in names]


def _is_not_told(history: History, now: Dispatch) -> bool:
    """Tell whether the other application may not have said yet which secret is meant."""
    number, app = now.relation.rpartition(":")[2], now.env.get("JUJU_REMOTE_APP", "")
    return history.may_read(now, number, app, "secret", None)


def _names_bad_key(call: Call) -> bool:
    """Tell whether one of several badly formed keys is refused.

    Of the same two Juju named the first in recording 34 and the second in 30.
    """
    keys = [re.split("[#=]", word)[0] for word in call.args if "=" in word]
    return call.err in [f'ERROR key "{key}" not valid' for key in keys if not KEY.fullmatch(key)]


def _is_first(now: Dispatch, call: Call) -> bool:
    """Tell whether the call came before the event opened or closed anything itself."""
    before = now.calls[: now.calls.index(call)]
    return isinstance(call.out, list) and not any(
        one.tool in ("open-port", "close-port") for one in before
    )


def _port_is_open(history: History, now: Dispatch, call: Call) -> bool:
    """Tell whether a port was granted, or refused for another unit's, as the machine has it."""
    if call.rc == 1 and (found := TAKEN.search(call.err)):
        return history.machine(found[1]) == history.machine(now.unit)
    return call.rc == 0 and len(call.args) == 2 and not history.is_taken(now, call.args[1])


def _bag_is_open(
    history: History, now: Dispatch, call: Call, named: Call, expected: Call | None
) -> bool:
    owner = call.args[-1]
    number = call.args[call.args.index("-r") + 1].rpartition(":")[2]
    was: dict[str, Any] = expected.out if expected and isinstance(expected.out, dict) else {}
    for key in named.out.keys() | was.keys() | history.keys(number, owner):
        if key in ("ingress-address", "egress-subnets") and expected is None and "/" in owner:
            continue
        if named.out.get(key) == was.get(key):
            continue
        if not history.may_read(now, number, owner, key, call.out.get(key)):
            return False
    return True


def _goal_is_open(history: History, now: Dispatch, live: Any, was: Any) -> bool:
    if not isinstance(live, dict) or not isinstance(was, dict) or live.keys() != was.keys():
        return False
    if not _units_are_open(history, now, now.app, live["units"]):
        return False
    for related in live["relations"].values():
        units = {name: about for name, about in related.items() if "/" in name}
        apps = related.keys() - units.keys()
        if any(related[app]["status"] not in JOINED for app in apps):
            return False
        for app in apps | {name.partition("/")[0] for name in units}:
            of_app = {name: one for name, one in units.items() if name.startswith(f"{app}/")}
            if not _units_are_open(history, now, app, of_app):
                return False
    been, may = history.relations(now)
    # They are the application's: a unit on its way out is told of those that it has left.
    may |= history.relations_of(now.app)
    endpoints = {one.partition(":")[0] for one in been} - {"peers"}
    return endpoints <= live["relations"].keys() <= {one.partition(":")[0] for one in may}


def _units_are_open(history: History, now: Dispatch, app: str, units: dict[str, Any]) -> bool:
    """Tell whether these may be an application's units at the moment, in these states."""
    sure, may = history.units(app, now.began)
    return sure <= units.keys() <= may and all(
        about["status"] in history.statuses(unit, now.began, now.ended)
        or (about["status"] == "dying" and history.is_leaving(unit))
        for unit, about in units.items()
    )
