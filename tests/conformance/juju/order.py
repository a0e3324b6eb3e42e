# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The rules that every order of events keeps to, whichever of the allowed ones came about."""

import itertools
from collections import defaultdict
from collections.abc import Iterator

from history import COMMIT_S, History
from recorded import Dispatch

BEFORE_START = ("install", "leader-elected", "config-changed", "start", "upgrade-charm")
JUJUS_KEYS = ("ingress-address", "egress-subnets")
LAST = ("stop", "remove")
# The machine may be another unit's when it is time to try again.
FIRST_TRY_S, LAST_TRY_S, LATE_S = 5.0, 300.0, 5.0


def violations(history: History) -> Iterator[str]:
    """Return what is against a rule in a whole history."""
    yield from _one_at_a_time(history)
    for unit, dispatches in history.of.items():
        events = [one for one in dispatches if not one.is_action]
        found = [*_own_order(events), *_leads(history.of[unit]), *_tries(events)]
        found += [*_relations(events), *_app_first(history, events), *_told(history, events)]
        yield from (f"{unit}: {one}" for one in found)


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


def _leads(dispatches: list[Dispatch]) -> Iterator[str]:
    """Once a unit leads, nothing comes before leader-elected but that it enters its relations.

    So it is elected before its first config-changed, if it leads by then.
    """
    leads = False
    for one in dispatches:
        if leads and one.kind != "relation-created" and one.name != "leader-elected":
            yield f"{one} while it leads and was not told"
        if one.name == "leader-elected":
            return
        leads = leads or any(call.tool == "is-leader" and call.out is True for call in one.calls)


def _tries(events: list[Dispatch]) -> Iterator[str]:
    """A failed event comes again until it succeeds or is given up, after 5 s, 10 s and so on.

    Before that only when somebody mended what failed: so one that fails again was not early.
    """
    pause_s = FIRST_TRY_S
    for one, other in itertools.pairwise(events):
        if not one.exit or one.key != other.key:
            pause_s = FIRST_TRY_S
            continue
        waited_s = other.began - one.ended
        if other.exit and not pause_s * 0.95 <= waited_s <= pause_s * 1.2 + LATE_S:
            yield f"{other} was tried again after {waited_s:.1f} s instead of {pause_s:.0f} s"
        pause_s = min(pause_s * 2, LAST_TRY_S)


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


def _app_first(history: History, events: list[Dispatch]) -> Iterator[str]:
    """What the other application had written is told before any of its units that joins."""
    for at, one in enumerate(events):
        number, app = one.relation.rpartition(":")[2], one.env.get("JUJU_REMOTE_APP", "")
        if one.kind != "relation-joined":
            continue
        written = [when for when, _ in history.bags.get((number, app), [])]
        written = [when for when in written if when + COMMIT_S < one.began]
        told = [
            other.began
            for other in events[:at]
            if (other.kind, other.relation) == ("relation-changed", one.relation)
            and not other.remote
        ]
        if written and max(told, default=0.0) < written[-1]:
            yield f"{one} before its application's change"


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
        most = len(since) + 1 + _others_writes(history, number, owner, dispatches)
        if len(changes) > most:
            yield f"{changes[-1]} {len(changes)} times, for {most} changes"
        is_left = is_leaving or number in gone
        if commits and not is_left and dispatches[-1].began < commits[-1] - 0.01:
            yield f"the last change of {owner} in relation {number} was never told"


def _others_writes(history: History, number: str, owner: str, dispatches: list[Dispatch]) -> int:
    """Return how many contents were read that no event had written: `juju exec` writes, too."""
    known = [bag for _, bag in history.bags.get((number, owner), [])]
    found = list[dict[str, str]]()
    for one in dispatches:
        for call in one.calls:
            is_it = call.tool == "relation-get" and call.args[-1] == owner
            if is_it and one.relation in call.args and isinstance(call.out, dict):
                bag = {key: it for key, it in call.out.items() if key not in JUJUS_KEYS}
                found += [bag] if bag and bag not in [*known, *found] else []
    return len(found)
