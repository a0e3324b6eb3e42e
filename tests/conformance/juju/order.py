# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The rules that every order of events keeps to, whichever of the allowed ones came about."""

import itertools
from collections import defaultdict
from collections.abc import Iterator

from history import COMMIT_S, History
from recorded import Dispatch

BEFORE_START = ("install", "leader-elected", "config-changed", "start", "upgrade-charm")
LAST = ("stop", "remove")


def violations(history: History) -> Iterator[str]:
    """Return what is against a rule in a whole history."""
    yield from _one_at_a_time(history)
    for unit, dispatches in history.of.items():
        events = [one for one in dispatches if not one.is_action]
        for found in (*_own_order(events), *_relations(events), *_told(history, events)):
            yield f"{unit}: {found}"


def _one_at_a_time(history: History) -> Iterator[str]:
    """No two dispatches of one machine ever overlap."""
    by_machine: dict[str, list[Dispatch]] = defaultdict(list)
    for one in history.all:
        by_machine[one.env["JUJU_MACHINE_ID"]].append(one)
    for machine, dispatches in by_machine.items():
        for one, other in itertools.pairwise(dispatches):
            if other.began < one.ended - 0.01:
                yield f"machine {machine}: {other} began during {one}"


def _own_order(events: list[Dispatch]) -> Iterator[str]:
    """A unit is installed, enters its relations, starts, and only then hears of others."""
    names = [one.name for one in events]
    if names[0] != "install":
        yield f"begins with {names[0]}"
    start = names.index("start") if "start" in names else 0
    created = [at for at, one in enumerate(events) if one.kind == "relation-created"]
    for at, one in enumerate(events[:start]):
        allowed = one.name in BEFORE_START or one.kind == "relation-created"
        if not allowed:
            yield f"{one} before start"
        if one.name in ("leader-elected", "config-changed") and not one.exit:
            late = [other for other in created if at < other < start]
            yield from (f"{events[other]} after {one}" for other in late)
    for word in LAST:
        if word in names:
            after = names[names.index(word) + 1 :]
            yield from (f"{name} after {word}" for name in after if name not in LAST)


def _relations(events: list[Dispatch]) -> Iterator[str]:
    """Each relation goes from created over joined, changed and departed to broken."""
    by_relation: dict[str, list[Dispatch]] = defaultdict(list)
    for one in events:
        if one.relation and not one.exit:
            by_relation[one.relation].append(one)
    for found in by_relation.values():
        members: set[str] = set()
        for at, one in enumerate(found):
            if (one.kind == "relation-created") != (at == 0):
                yield f"{one} is event {at} of its relation"
            if one.kind == "relation-broken" and (members or one is not found[-1]):
                yield f"{one} with members {sorted(members)} or events after it"
            if not one.remote:
                continue
            if (one.kind == "relation-joined") == (one.remote in members):
                yield f"{one} while the members are {sorted(members)}"
            yield from _next_to(one, found[at + 1 : at + 2])
            (members.discard if one.kind == "relation-departed" else members.add)(one.remote)


def _next_to(one: Dispatch, following: list[Dispatch]) -> Iterator[str]:
    """In its relation, changed about the same unit comes right after joined."""
    for after in following if one.kind == "relation-joined" else []:
        if (after.kind, after.remote) != ("relation-changed", one.remote):
            yield f"{after} right after {one}"


def _told(history: History, events: list[Dispatch]) -> Iterator[str]:
    """Every change is told, and none more often than there were changes."""
    heard: dict[tuple[str, str], list[Dispatch]] = defaultdict(list)
    gone: set[str] = set()
    for one in events:
        number = one.relation.rpartition(":")[2]
        owner = one.remote or one.env.get("JUJU_REMOTE_APP", "")
        if one.kind in ("relation-joined", "relation-changed") and not one.exit:
            heard[number, owner].append(one)
        if one.kind in ("relation-departed", "relation-broken"):
            gone.add(number)
    is_leaving = bool({one.name for one in events} & set(LAST))
    for (number, owner), dispatches in heard.items():
        commits = [at for at, _ in history.bags.get((number, owner), [])]
        changes = [one for one in dispatches if one.kind == "relation-changed"]
        since = [at for at in commits if at + COMMIT_S > dispatches[0].began]
        if len(changes) > len(since) + 1:
            yield f"{changes[-1]} {len(changes)} times, for {len(since) + 1} changes"
        is_left = is_leaving or number in gone
        if commits and not is_left and dispatches[-1].began < commits[-1] - 0.01:
            yield f"the last change of {owner} in relation {number} was never told"
