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
    # What the charm did not ask, because in the order that came about it had no cause to.
    absent: Counter[str] = field(default_factory=Counter[str])
    differences: list[str] = field(default_factory=list[str])

    def count(self, tool: str, *, equal: bool) -> None:
        self.calls[tool] += 1
        self.equal[tool] += equal

    def table(self, what: str = "calls") -> str:
        """Return `N of M calls equal` for each hook tool, where M counts what was recorded."""
        rows = list[str]()
        for tool in sorted(self.calls):
            other = f", {absent} had no cause to be made" if (absent := self.absent[tool]) else ""
            rows.append(f"{tool:24} {self.equal[tool]} of {self.calls[tool]} {what} equal{other}")
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
            where = f"{chapter.recorded.name} {unit}"
            report.differences += [f"{where}: {found}" for found in events(old, new, names)]
            for pair in pairs(old, new, names):
                Comparison(report, names, histories[1], pair).run(where)
    return report


def by_unit(
    chapter: Chapter, names: tuple[Names, Names]
) -> dict[str, tuple[list[Dispatch], list[Dispatch]]]:
    """Return each unit's dispatches, recorded and played; the timer's are its own affair."""
    found: dict[str, tuple[list[Dispatch], list[Dispatch]]] = defaultdict(lambda: ([], []))
    for side, dispatches in enumerate((chapter.recorded.dispatches, chapter.played)):
        for one in dispatches:
            if one.path != TIMER or one.exit:
                found[names[side].units(one.unit)][side].append(one)
    return found


@dataclass(frozen=True)
class Pair:
    """An event as it was recorded and as it was played; of some there is one only.

    Each recorded event is counted in one pair, and so is each of its calls.
    """

    was: Dispatch | None
    now: Dispatch | None
    is_counted: bool = True


def pairs(old: list[Dispatch], new: list[Dispatch], names: tuple[Names, Names]) -> Iterator[Pair]:
    """Pair each event with the recorded one of the same name, end and place in order.

    How often a change is told or a failed event tried again is open (`order.py` has its rules):
    of those the last one stands for what the other side has more.
    """
    by_key: dict[str, tuple[list[Dispatch], list[Dispatch]]] = defaultdict(lambda: ([], []))
    for side, dispatches in enumerate((old, new)):
        for one in dispatches:
            by_key[names[side].key(one)][side].append(one)
    for was, now in by_key.values():
        may_repeat = bool(was and now) and _may_repeat(was[0]) and _may_repeat(now[0])
        for at in range(max(len(was), len(now))):
            is_counted = at < len(was)
            if may_repeat:
                yield Pair(was[min(at, len(was) - 1)], now[min(at, len(now) - 1)], is_counted)
            else:
                one, other = (side[at] if at < len(side) else None for side in (was, now))
                yield Pair(one, other, is_counted)


def _may_repeat(one: Dispatch) -> bool:
    return one.kind == "relation-changed" or bool(one.exit and not one.is_action)


def events(old: list[Dispatch], new: list[Dispatch], names: tuple[Names, Names]) -> Iterator[str]:
    """Return what is different in the order of a unit's events."""
    was, now = strands(old, names[0]), strands(new, names[1])
    for strand in sorted(was.keys() | now.keys()):
        if was.get(strand, []) != now.get(strand, []):
            yield f"{strand}: {now.get(strand, [])} instead of {was.get(strand, [])}"


def strands(dispatches: list[Dispatch], names: Names) -> dict[str, list[str]]:
    """Return the events in the threads whose order within is not open.

    Those of the unit itself are one, those of a relation with one remote unit another. How often
    a change is told depends on how many came at once, and how often a failed event is tried again
    on when somebody mends it.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for one in dispatches:
        strand = "own"
        if one.relation:
            strand = f"{one.relation} {names.units(one.remote) or 'app'}"
        word = f"{one.kind}{' fails' if one.exit else ''}"
        if _may_repeat(one) and found[strand][-1:] == [word]:
            continue
        found[strand].append(word)
    return found


@dataclass
class Comparison:
    """One event of both sides, call by call."""

    report: Report
    names: tuple[Names, Names]
    history: History
    pair: Pair

    def run(self, where: str) -> None:
        """Report what differs, and count the recorded calls."""
        was, now = self.pair.was, self.pair.now
        known = [self.names[0].call(was, call) for call in was.calls] if was else []
        if was and now:
            self._compare(was, now, known)
            return
        for call in known:
            self._count(call, equal=False)
        about = self.names[0 if was else 1].units(str(was or now))
        only = "was not played" if was else "was never recorded"
        self.report.differences.append(f"{where}: {about} {only}")

    def _count(self, call: Call, *, equal: bool) -> None:
        if self.pair.is_counted:
            self.report.count(call.tool, equal=equal)

    def _compare(self, was: Dispatch, now: Dispatch, known: list[Call]) -> None:
        where = f"{was.scenario} {self.names[1].units(str(now))}"
        old, new = self.names[0].surroundings(was), self.names[1].surroundings(now)
        self.report.differences += [
            f"{where}: {key}={new.get(key)} instead of {old.get(key)}"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]
        recorded: dict[str, list[Call]] = defaultdict(list)
        for call in known:
            recorded[str(call.args)].append(call)
        for call in now.calls:
            named = self.names[1].call(now, call)
            same = recorded[str(named.args)]
            self._judge(where, call, named, same.pop(0) if same else None, known)
        for call in [one for left in recorded.values() for one in left]:
            self._miss(where, now, call)

    def _judge(
        self, where: str, call: Call, named: Call, expected: Call | None, known: list[Call]
    ) -> None:
        """Report a call that was answered differently; only one that was recorded counts."""
        now = self.pair.now
        assert now
        like = expected or _alike(named, known)
        answer = (named.rc, named.out, named.err)
        is_equal = bool(like) and answer == (like.rc, like.out, like.err)
        is_equal = is_equal or openness.is_help(named, like)
        is_equal = is_equal or openness.is_open(self.history, now, call, named, like)
        if expected:
            self._count(expected, equal=is_equal)
        if not is_equal:
            instead = (like.rc, like.out, like.err) if like else "no such call"
            said = f"{' '.join(named.args)}: {answer} instead of {instead}"
            self.report.differences.append(f"{where}: {said}")

    def _miss(self, where: str, now: Dispatch, call: Call) -> None:
        """Report a recorded call that was not made, unless there was no cause to make it."""
        if openness.has_no_cause(self.history, now, call, self.names[1]):
            if self.pair.is_counted:
                self.report.absent[call.tool] += 1
                self.report.calls[call.tool] += 1
            return
        self._count(call, equal=False)
        said = f"{' '.join(call.args)} was not called, which said {call.out}"
        self.report.differences.append(f"{where}: {said}")


def _alike(named: Call, known: list[Call]) -> Call | None:
    """Return for a relation that was not there yet what was said of another one."""
    if named.tool not in ("network-get", "relation-model-get"):
        return None
    return next((one for one in known if one.tool == named.tool and one.out == named.out), None)
