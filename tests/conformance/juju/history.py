# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What a charm may see at a moment, by Juju's rules and what had happened until then.

Between units the order of events is open, and with it what one unit already sees of another.
These rules say what may be seen in the order that came about; they hold for the recordings too.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from recorded import Call, Dispatch

# A dispatch is committed a moment after its process has ended.
COMMIT_S = 1.5
READS = ("relation-joined", "relation-changed")


class History:
    """All dispatches of one model in the order they began."""

    def __init__(self, dispatches: Iterable[Dispatch]) -> None:
        self.all = sorted(dispatches, key=lambda one: one.began)
        self.of: dict[str, list[Dispatch]] = defaultdict(list)
        # By relation number and owner: when the bag was written, and what it was then.
        self.bags: dict[tuple[str, str], list[tuple[float, dict[str, str]]]] = defaultdict(list)
        for one in self.all:
            self.of[one.unit].append(one)
        for one in sorted(self.all, key=lambda one: one.ended):
            if one.exit == 0:
                self._commit(one)

    def _commit(self, one: Dispatch) -> None:
        for call in one.calls:
            if call.tool == "relation-set" and call.rc == 0:
                number, is_app, changes = _written(call)
                bag = self.bags[number, one.app if is_app else one.unit]
                before = bag[-1][1] if bag else {}
                after = {k: v for k, v in (before | changes).items() if v != ""}
                if after != before:
                    bag.append((one.ended, after))

    def values(self, number: str, owner: str, key: str, since: float, until: float) -> set[Any]:
        """Return what a key may be for one who read it between two moments."""
        bag = self.bags.get((number, owner), [])
        sure = [values for at, values in bag if at + COMMIT_S < since]
        open_ = [values for at, values in bag if since <= at + COMMIT_S and at <= until]
        return {one.get(key) for one in [sure[-1] if sure else {}, *open_]}

    def keys(self, number: str, owner: str) -> set[str]:
        """Return all keys that events ever wrote to a databag."""
        return {key for _, bag in self.bags.get((number, owner), []) for key in bag}

    def may_read(self, reader: Dispatch, number: str, owner: str, key: str, value: Any) -> bool:
        """Tell whether a charm may have read a value of a databag."""
        pending = self._pending(reader, number)
        mine = {pending[key]} if key in pending else set[str]()
        if owner == reader.unit:
            own = [v for at, v in self.bags.get((number, owner), []) if at <= reader.began]
            return value in {own[-1].get(key) if own else None} | mine
        since = reader.began
        if "/" in owner:
            told = [
                one.began
                for one in self.of[reader.unit]
                if one.began <= reader.began
                and one.remote == owner
                and one.relation.rpartition(":")[2] == number
                and one.kind in READS
            ]
            since = told[-1] if told else 0.0
        mine = mine if "/" not in owner else set[str]()
        return value in self.values(number, owner, key, since, reader.ended) | mine

    def _pending(self, reader: Dispatch, number: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for call in reader.calls:
            if call.tool == "relation-set" and call.rc == 0:
                written, _, changes = _written(call)
                found |= changes if written == number else {}
        return found

    def members(self, reader: Dispatch, relation: str) -> list[str]:
        """Return the units that relation-list must show: joined, and not departed."""
        found: set[str] = set()
        for one in self.of[reader.unit]:
            if one.began > reader.began:
                break
            if one.relation == relation and one.kind == "relation-joined":
                found.add(one.remote)
            elif one.relation == relation and one.kind == "relation-departed":
                found.discard(one.remote)
            elif one.relation == relation and one.kind == "relation-broken":
                found.clear()
        return sorted(found)

    def relations(self, reader: Dispatch) -> tuple[set[str], set[str]]:
        """Return the relations that a unit is in, and those that it may be in already."""
        been, coming = set[str](), set[str]()
        for one in self.of[reader.unit]:
            if one.relation and one.began <= reader.began:
                been.add(one.relation)
            elif one.relation and one.kind == "relation-created":
                coming.add(one.relation)
            if one.kind == "relation-broken" and one.ended < reader.began:
                been.discard(one.relation)
        return been, been | coming

    def relations_of(self, app: str) -> set[str]:
        """Return all relations that units of an application were ever in."""
        units = [events for unit, events in self.of.items() if unit.startswith(f"{app}/")]
        return {one.relation for events in units for one in events if one.relation}

    def remote_app(self, reader: Dispatch, relation: str) -> str:
        """Return the application at the other end of a relation; of peers it is the own one."""
        number = relation.rpartition(":")[2]
        ends = {one.app for one in self.all if one.relation.rpartition(":")[2] == number}
        return next(iter(ends - {reader.app}), reader.app)

    def ports(self, unit: str, until: float) -> set[str]:
        """Return what a unit has opened by a moment, as far as it was granted and committed."""
        found: set[str] = set()
        for one in self.of[unit]:
            if one.exit or one.ended > until:
                continue
            if one.name == "remove":
                return set()
            for call in one.calls:
                if call.rc == 0 and call.tool == "open-port":
                    found.add(call.args[1])
                if call.rc == 0 and call.tool == "close-port":
                    found.discard(call.args[1])
        return found

    def machine(self, unit: str) -> str:
        """Return the machine that a unit is on."""
        return self.of[unit][0].env["JUJU_MACHINE_ID"] if unit in self.of else ""

    def is_taken(self, reader: Dispatch, port: str) -> bool:
        """Tell whether another unit of the machine has a port open."""
        machine = self.machine(reader.unit)
        return any(
            port in self.ports(unit, reader.ended)
            for unit in self.of
            if unit != reader.unit and self.machine(unit) == machine
        )

    def units(self, app: str, at: float) -> tuple[set[str], set[str]]:
        """Return the units of an application that are there, and those that may be."""
        sure, may = set[str](), set[str]()
        for unit, events in self.of.items():
            if unit.startswith(f"{app}/"):
                last = events[-1]
                is_gone = last.name == "remove" and last.ended < at
                may |= set() if is_gone else {unit}
                is_going = last.name == "remove" and last.ended < at + COMMIT_S
                sure |= {unit} if events[0].began < at and not is_gone and not is_going else set()
        return sure, may

    def is_leaving(self, unit: str) -> bool:
        """Tell whether a unit was removed, sooner or later."""
        return any(one.name in ("stop", "remove") for one in self.of[unit])

    def statuses(self, unit: str, since: float, until: float) -> set[str]:
        """Return what a unit's workload status may be between two moments.

        It is what the unit itself set last, also where an event of its failed.
        """
        found = {"waiting"}
        for early, late, word in itertools.chain.from_iterable(map(_statuses, self.of[unit])):
            if early <= until:
                found = {word} | (found if late + COMMIT_S > since else set())
        return found


def _statuses(one: Dispatch) -> Iterator[tuple[float, float, str]]:
    """Return when at the earliest and latest an event set which workload status."""
    if one.name in ("install", "stop"):
        # Juju says so itself a moment before these begin.
        yield one.began - COMMIT_S, one.began, "maintenance"
    for call in one.calls:
        if call.tool == "status-set" and call.rc == 0:
            yield one.began, one.ended, call.args[1]
    if one.name == "remove":
        yield one.began, one.ended, "terminated"


def _written(call: Call) -> tuple[str, bool, dict[str, str]]:
    """Return a relation's number, whether its application was meant, and the changes."""
    number = call.args[call.args.index("-r") + 1].rpartition(":")[2]
    words = [word for word in call.args if "=" in word and not word.startswith("-")]
    pairs = dict(word.split("=", 1) for word in words)
    return number, "--app" in call.args, (json.loads(call.stdin) if call.stdin else {}) | pairs
