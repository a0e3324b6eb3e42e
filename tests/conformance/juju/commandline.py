# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What `juju` printed: exit code, text, JSON, and tables by their cells."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from compare import Report
from history import History
from names import MAC, TIMES, UUID
from player import Answer
from recorded import Dispatch
from telling import LAB, Chapter

# What the recorded set-up and the lab are made of, and what is counted differently.
MADE_OF = [
    (UUID, "<uuid>"),
    (MAC, "<mac>"),
    (TIMES, "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\dZ?\b"), "<time>"),
    (re.compile(r"\b\d+ (second|minute|hour)s? ago\b|\bjust now\b"), "<ago>"),
    (re.compile(r"(?<=-)[0-9a-f]{32}\b"), "<context>"),
    (re.compile(r"(?<=JUJU_ACTION_)(TAG=action-|UUID=)\d+"), r"\1<number>"),
    (re.compile(r"(/tmp/juju-exec\d+/script\.sh|/bin/bash)(?=: line )"), "<script>"),
    (re.compile(r"Action id \d+"), "Action id <number>"),
    (re.compile(r"\b10\.\d+\.\d+\.\d+(?=/24)"), "<address>"),
    (re.compile(r"\b10\.\d+\.\d+\.\d+\b"), "<address>"),
    (re.compile(r"fd77:[0-9a-f:]+(/64)?"), "<IPv6>"),
    (re.compile(r"manual:<address>|\b\w+-m\d+\b"), "<instance>"),
    (re.compile(r"(?<=\s)(probe|lab) +(unmanaged|lab) +4.0.15"), "lab  lab  4.0.15"),
    (re.compile(r"^(probe-\w  .*?|dry  .*?)\d+( +(yes|no)\b)", re.MULTILINE), r"\1 <number>\2"),
    (re.compile(r"\bjj\d+\b"), "<instance>"),
    (re.compile(r"Manually provisioned machine"), "Running"),
    (re.compile(r"\b([Oo]peration|task)s? \"?\d+\"?"), r"\1 <number>"),
    (re.compile(r"id \"\d+\""), 'id "<number>"'),
    (re.compile(r"revision \d+"), "revision <number>"),
    (re.compile(r"local:(probe-\w|dry)-\d+"), r"local:\1-<number>"),
    (re.compile(r"\bprobe:"), "lab:"),
    (re.compile(r"\breplay-(lab|short|secrets)\b"), "lab"),
    (re.compile(r"\breplay-shop\b|\bbundles\b"), "shop"),
]
# What is the set-up's, or counted differently, by the command and the place in its answer. What
# the hook tools answered (`calls`) is compared call by call.
BLIND = re.compile(
    r"(run|exec) [^.]+\.(id|results\.calls|timing\.(enqueued|started|completed))"
    r"|status applications\.[^.]+\.charm-rev"
    r"|status controller\.timestamp"
    r"|status machines\.\d+\.(hardware|hostname|instance-id|ip-addresses)"
    r"|status machines\.\d+\.network-interfaces\.eth0\.ip-addresses"
    r"|status model\.(cloud|controller|name)"
)
# The first database of the recordings deleted no secret: so this application stayed, dead.
DEAD = "dry"
STAYED = {name for name in LAB if name >= "14"}
PORTS = re.compile(r"[\d,-]+/(tcp|udp)\S*")

Ports = Mapping[str, set[str]]


@dataclass(frozen=True)
class Places:
    """The names of the lab's units in the recording, and the machines of both by those names.

    Where another unit leads than in the recording the two have each other's names, and so places.
    """

    names: Mapping[str, str] = field(default_factory=dict[str, str])
    was: Mapping[str, str] = field(default_factory=dict[str, str])
    now: Mapping[str, str] = field(default_factory=dict[str, str])
    granted: tuple[Ports, Ports] = ({}, {})

    @property
    def is_swapped(self) -> bool:
        """Whether any unit has another name."""
        return any("/" in live and live != was for live, was in self.names.items())

    def machine(self, unit: str, found: str) -> str:
        """Return a unit's machine: the recorded one where it is where it is to be."""
        return self.was[unit] if unit in self.was and found == self.now.get(unit) else found

    def is_right(self, unit: str, was: list[str], now: list[str]) -> bool:
        """Tell whether a unit shows its ports: of the units of a machine the first gets one."""
        recorded, played = (granted.get(unit) for granted in self.granted)
        return was == now if recorded == played else set(now) == played


def compare_commands(chapters: list[Chapter]) -> Report:
    """Compare the answers of all commands of a story."""
    report = Report()
    was, now = list[Dispatch](), list[Dispatch]()
    for chapter in chapters:
        names = {live: was for was, live in chapter.names.items()}
        was += chapter.recorded.dispatches
        now += chapter.played
        granted = (ports(was, {}), ports(now, names))
        places = Places(names, machines(was, {}), machines(now, names), granted)
        for command, answer in chapter.answers:
            what = command["argv"][0]
            command = without_dead(command) if chapter.recorded.name in STAYED else command
            found = list(differences(command, answer, places))
            report.count(what, equal=not found)
            said = " ".join(command["argv"])[:90]
            report.differences += [f"{chapter.recorded.name} {said}: {one}" for one in found]
    return report


def without_dead(command: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a recorded command as if the dead application and its secret were gone from it."""
    text = command["stdout"]
    try:
        tree = json.loads(text)
    except ValueError:
        lines = text.splitlines(keepends=True)
        return {**command, "stdout": "".join(one for one in lines if not _is_dead(one))}
    known = tree.get("applications", {}) if command["argv"][0] == "status" else {}
    if DEAD in known and known[DEAD].get("life") == "dead":
        del known[DEAD]
    if command["argv"][0] == "secrets":
        tree = {key: one for key, one in tree.items() if one["owner"] != DEAD}
    return {**command, "stdout": json.dumps(tree)}


def machines(dispatches: Iterable[Dispatch], names: Mapping[str, str]) -> dict[str, str]:
    """Return the machine of each unit, by the recording's names."""
    return {names.get(one.unit, one.unit): one.env["JUJU_MACHINE_ID"] for one in dispatches}


def ports(dispatches: list[Dispatch], names: Mapping[str, str]) -> Ports:
    """Return the ports that each unit has opened, by the recording's names."""
    history = History(dispatches)
    return {names.get(unit, unit): history.ports(unit, math.inf) for unit in history.of}


def differences(command: Mapping[str, Any], answer: Answer, places: Places) -> Iterator[str]:
    """Return what is different in one answer."""
    if answer.rc != command["rc"]:
        yield f"exit code {answer.rc} instead of {command['rc']}: {answer.stderr.strip()[:200]}"
    was, now = _named(command["stderr"], {}), _named(answer.stderr, places.names)
    if was != now:
        yield f"stderr {now!r} instead of {was!r}"
    try:
        old, new = json.loads(command["stdout"]), json.loads(answer.stdout)
    except ValueError:
        was, now = _table(command["stdout"], Places()), _table(answer.stdout, places)
        if command["argv"][0] == "secrets":
            # Those of one owner come in any order.
            was, now = sorted(was), sorted(now)
        if was != now and not _is_open(was, now, places):
            yield from _rows(was, now)
        return
    asked = command["argv"][0]
    yield from _values(_tree(old, Places(), asked), _tree(new, places, asked), "", places)


def _named(text: str, names: Mapping[str, str]) -> str:
    if names:
        both = dict(names) | {
            a.replace("/", "-"): b.replace("/", "-") for a, b in names.items() if "/" in a
        }
        words = "|".join(re.escape(name) for name in both)
        text = re.sub(rf"(?<![\w-])((?:unit-)?)({words})(?!\w)", lambda m: m[1] + both[m[2]], text)
    for pattern, name in MADE_OF:
        text = pattern.sub(name, text)
    return text


def _table(text: str, places: Places) -> list[list[str]]:
    """Return the cells of a table, whose widths depend on what is in them."""
    lines = _named(text, places.names).splitlines()
    rows = [re.split(r" {2,}", line.strip()) for line in lines]
    unit = rows[0][0].rstrip(":") if rows else ""
    for row in rows:
        if len(row) > 3:
            row[2] = "idle" if row[2] == "executing" else row[2]
            row[3] = places.machine(row[0].rstrip("*"), row[3])
        elif row[0].startswith('machine: "'):
            row[0] = f'machine: "{places.machine(unit, row[0][10:-1])}"'
    return rows


def _rows(was: list[list[str]], now: list[list[str]]) -> Iterator[str]:
    """Return which rows of a table differ, wherever a unit with another name is in it."""
    gone, more = ([row for row in a if row not in b] for a, b in ((was, now), (now, was)))
    if len(gone) != len(more) or not gone:
        yield f"stdout {now!r} instead of {was!r}"
        return
    for old, new in zip(sorted(gone), sorted(more), strict=True):
        yield f"row {new!r} instead of {old!r}"


def _is_dead(line: str) -> bool:
    """Tell whether a row is about the dead application, or a secret of its."""
    row = re.split(r" {2,}", line.strip())
    return (row[0] == DEAD and "unknown" in row) or row[2:3] == [DEAD]


def _is_open(was: list[list[str]], now: list[list[str]], places: Places) -> bool:
    """Tell whether only places of units differ, or which of a machine's units got the port."""
    both = [
        [[cell for cell in row if not PORTS.fullmatch(cell)] for row in rows]
        for rows in (was, now)
    ]
    return sorted(both[0]) == sorted(both[1]) if places.is_swapped else both[0] == both[1]


def _tree(value: Any, places: Places, where: str, about: str = "") -> Any:
    if isinstance(value, dict):
        found = {re.sub(r"^\d+$", _number(one), key): one for key, one in value.items()}
        if found.get("current") == "executing":
            # Whether an agent still is at work is a question of time.
            found = {key: one for key, one in found.items() if key != "message"}
            found["current"] = "idle"
        if "juju-status" in found and "workload-status" in found:
            found.setdefault("open-ports", [])
        return {
            (name := _named(key, places.names)): _leaf(one, places, f"{where}{dot}{name}", about)
            if not isinstance(one, dict)
            else _tree(one, places, f"{where}{dot}{name}", name)
            for key, one in found.items()
            for dot in (" " if " " not in where else ".",)
        }
    return _leaf(value, places, where, about)


def _leaf(value: Any, places: Places, where: str, about: str) -> Any:
    """Return a value that is no mapping, unless nothing is to be seen there."""
    if BLIND.fullmatch(where):
        return "…"
    if where.endswith(".machine") and isinstance(value, str):
        return places.machine(about, value)
    if isinstance(value, list):
        return [_tree(one, places, f"{where}[]") for one in value]
    return _named(value, places.names) if isinstance(value, str) else value


def _number(value: Any) -> str:
    """Return what stands for a number as a key: a task's counts differently, a machine's not."""
    return "<number>" if isinstance(value, dict) and "unit" in value else r"\g<0>"


def _values(was: Any, now: Any, where: str, places: Places) -> Iterator[str]:
    """Return where two JSON values differ."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted(was.keys() | now.keys()):
            at = f"{where}.{key}" if where else str(key)
            if key not in now:
                yield f"no {at}: {was[key]!r}"[:300]
            elif key not in was:
                yield f"more {at}: {now[key]!r}"[:300]
            elif key in ("open-ports", "opened-ports"):
                if not places.is_right(where.rpartition(".")[2], was[key] or [], now[key] or []):
                    yield f"{at}: {now[key]} instead of {was[key]}"
            else:
                yield from _values(was[key], now[key], at, places)
    elif was != now:
        yield f"{where}: {now!r} instead of {was!r}"[:600]
