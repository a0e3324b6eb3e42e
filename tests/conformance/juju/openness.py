# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Whether a different answer follows from another order of events that Juju allows."""

import re
from typing import Any

import yaml
from history import History
from recorded import Call, Dispatch

TAKEN = re.compile(r'port range conflicts with \S+ \(unit "([^"]+)"\)')

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
    if call.rc != 0 or (expected is not None and expected.rc != 0):
        return False
    if call.tool == "opened-ports" and "--endpoints" not in call.args and _is_first(now, call):
        return set(call.out) == history.ports(now.unit, now.began)
    if call.tool == "relation-ids" and isinstance(call.out, list):
        endpoint = call.args[-1]
        sure, may = history.relations(now)
        ids = set(call.out)
        return {one for one in sure if one.startswith(f"{endpoint}:")} <= ids <= may
    if call.tool == "relation-list" and "--app" not in call.args:
        return call.out == history.members(now, call.args[-1])
    if call.tool == "relation-list":
        return expected is None
    if call.tool == "relation-get" and "-r" in call.args and isinstance(call.out, dict):
        return _bag_is_open(history, now, call, named, expected)
    if call.tool == "goal-state" and expected is not None and isinstance(call.out, str):
        # Juju sorts by names, which are others where another unit leads.
        return yaml.safe_load(named.out) == yaml.safe_load(expected.out)
    if call.tool == "goal-state" and expected is not None:
        return _goal_is_open(history, now, call.out, expected.out)
    return False


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
    for key in named.out.keys() | was.keys():
        if key in ("ingress-address", "egress-subnets") and expected is None:
            continue
        if named.out.get(key) == was.get(key):
            continue
        if not history.may_read(now, number, owner, key, call.out.get(key)):
            return False
    return True


def _goal_is_open(history: History, now: Dispatch, live: Any, was: Any) -> bool:
    if not isinstance(live, dict) or live.keys() != was.keys():
        return False
    sure, may = history.units(now.app, now.began)
    if not sure <= live["units"].keys() <= may:
        return False
    for unit, about in live["units"].items():
        if about["status"] not in history.statuses(unit, now.began, now.ended) | {"dying"}:
            return False
    related = [one for found in live["relations"].values() for one in found.items()]
    if any("/" not in name and about["status"] not in JOINED for name, about in related):
        return False
    been, may = history.relations(now)
    # They are the application's: a unit on its way out is told of those that it has left.
    may |= history.relations_of(now.app)
    endpoints = {one.partition(":")[0] for one in been} - {"peers"}
    return endpoints <= live["relations"].keys() <= {one.partition(":")[0] for one in may}
