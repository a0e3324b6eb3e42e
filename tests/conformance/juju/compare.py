# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Hold what the lab did against what was recorded: unit by unit, call by call."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import openness
from history import History
from names import Names
from player import SECRET
from recorded import Call, Dispatch
from telling import Chapter, secrets

TIMER = "hooks/update-status"


@dataclass
class Report:
    """How many calls were equal, and what was different."""

    calls: Counter[str] = field(default_factory=Counter[str])
    equal: Counter[str] = field(default_factory=Counter[str])
    differences: list[str] = field(default_factory=list[str])

    def count(self, tool: str, *, equal: bool) -> None:
        self.calls[tool] += 1
        self.equal[tool] += equal

    def table(self, what: str = "calls") -> str:
        """Return `N of M calls equal` for each hook tool."""
        rows = [
            f"{tool:24} {self.equal[tool]} of {self.calls[tool]} {what} equal"
            for tool in sorted(self.calls)
        ]
        return "\n".join(rows)


def secret_names(dispatches: list[Dispatch]) -> dict[str, str]:
    """Name each secret by its application, label and place in order."""
    return {identity: "<secret {} {} {}>".format(*what) for what, identity in secrets(dispatches)}


def compare(chapters: list[Chapter]) -> Report:
    """Compare all chapters of one story."""
    units = {live: was for was, live in chapters[-1].names.items() if "/" in was}
    recorded = [one for chapter in chapters for one in chapter.recorded.dispatches]
    played = [one for chapter in chapters for one in chapter.played]
    told = {was: now for was, now in chapters[-1].names.items() if SECRET.fullmatch(was)}
    names = (
        Names(recorded, secret_names(recorded) | {was: f"<{was}>" for was in told}, {}),
        Names(
            played, secret_names(played) | {now: f"<{was}>" for was, now in told.items()}, units
        ),
    )
    histories = History(recorded), History(played)
    report = Report()
    for chapter in [one for one in chapters if one.recorded.dispatches]:
        for unit, (old, new) in sorted(by_unit(chapter, names).items()):
            for found in events(old, new, names):
                report.differences.append(f"{chapter.recorded.name} {unit}: {found}")
            for was, now in pairs(old, new, names):
                _compare_dispatch(report, names, histories, was, now)
    return report


def by_unit(
    chapter: Chapter, names: tuple[Names, Names]
) -> dict[str, tuple[list[Dispatch], list[Dispatch]]]:
    """Return each unit's dispatches, recorded and played; the timer's are its own affair."""
    found: dict[str, tuple[list[Dispatch], list[Dispatch]]] = defaultdict(lambda: ([], []))
    for side, dispatches in enumerate((chapter.recorded.dispatches, chapter.played)):
        for one in dispatches:
            secret = one.env.get("JUJU_SECRET_ID", "")
            is_again = one.name == "secret-expired" and names[0].has_expired(one, secret)
            if (one.path != TIMER or one.exit) and not is_again:
                found[names[side].units(one.unit)][side].append(one)
    return found


def pairs(
    old: list[Dispatch], new: list[Dispatch], names: tuple[Names, Names]
) -> Iterator[tuple[Dispatch, Dispatch]]:
    """Pair each event with the recorded one of the same name, end and place in order."""
    by_key: dict[str, list[Dispatch]] = defaultdict(list)
    for one in old:
        by_key[f"{names[0].key(one)} {one.exit}"].append(one)
    count: Counter[str] = Counter()
    for one in new:
        key = f"{names[1].key(one)} {one.exit}"
        if found := by_key.get(key):
            yield found[min(count[key], len(found) - 1)], one
            count[key] += 1


def events(old: list[Dispatch], new: list[Dispatch], names: tuple[Names, Names]) -> Iterator[str]:
    """Return what is different in the order of a unit's events."""
    was, now = strands(old, names[0]), strands(new, names[1])
    for strand in sorted(was.keys() | now.keys()):
        if was.get(strand, []) != now.get(strand, []):
            yield f"{strand}: {now.get(strand, [])} instead of {was.get(strand, [])}"


def strands(dispatches: list[Dispatch], names: Names) -> dict[str, list[str]]:
    """Return the events in the threads whose order within is not open.

    Those of the unit itself are one, those of a relation with one remote unit another. How often
    a change is told depends on how many came at once.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for one in dispatches:
        strand = "own"
        if one.relation:
            strand = f"{one.relation} {names.units(one.remote) or 'app'}"
        word = f"{one.kind}{' fails' if one.exit else ''}"
        if one.kind == "relation-changed" and found[strand][-1:] == [word]:
            continue
        if one.exit and not one.is_action and found[strand][-1:] == [word]:
            continue
        found[strand].append(word)
    return found


def _compare_dispatch(
    report: Report,
    names: tuple[Names, Names],
    histories: tuple[History, History],
    was: Dispatch,
    now: Dispatch,
) -> None:
    where = f"{was.scenario} {names[1].units(str(now))}"
    if was.exit != now.exit:
        report.differences.append(f"{where}: exit {now.exit} instead of {was.exit}")
    old, new = names[0].environment(was), names[1].environment(now)
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            report.differences.append(f"{where}: {key}={new.get(key)} instead of {old.get(key)}")
    known = [names[0].call(was, call) for call in was.calls]
    recorded: dict[str, list[Call]] = defaultdict(list)
    gone = [
        str(named.args)
        for call, named in zip(was.calls, known, strict=True)
        if isinstance(call.out, dict) and any(names[0].has_expired(was, key) for key in call.out)
    ]
    for call in known:
        recorded[str(call.args)].append(call)
    for call in now.calls:
        named = names[1].call(now, call)
        if str(named.args) in gone:
            continue
        same = recorded[str(named.args)]
        expected = same.pop(0) if same else _alike(named, known)
        judge(report, where, histories[1], now, call, named, expected)


def _alike(named: Call, known: list[Call]) -> Call | None:
    """Return for a relation that was not there yet what was said of another one."""
    if named.tool not in ("network-get", "relation-model-get"):
        return None
    return next((one for one in known if one.tool == named.tool and one.out == named.out), None)


def judge(
    report: Report,
    where: str,
    history: History,
    now: Dispatch,
    call: Call,
    named: Call,
    expected: Call | None,
) -> None:
    """Count one call, equal or not."""
    if expected is not None and (named.rc, named.out, named.err) == (
        expected.rc,
        expected.out,
        expected.err,
    ):
        report.count(call.tool, equal=True)
        return
    is_help = openness.is_help(named, expected)
    if is_help or openness.is_open(history, now, call, named, expected):
        report.count(call.tool, equal=True)
        return
    report.count(call.tool, equal=False)
    was = (expected.rc, expected.out, expected.err) if expected else "no such call"
    report.differences.append(
        f"{where}: {' '.join(named.args)}: {(named.rc, named.out, named.err)} instead of {was}"
    )
