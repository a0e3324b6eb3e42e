# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What `juju` printed: exit code, text, JSON, and tables by their cells."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from compare import Report
from names import MAC, TIMES, UUID
from player import Answer
from telling import Chapter

# What the recorded set-up and the lab are made of, and what is counted differently.
MADE_OF = [
    (UUID, "<uuid>"),
    (MAC, "<mac>"),
    (TIMES, "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\dZ?\b"), "<time>"),
    (re.compile(r"Action id \d+"), "Action id <number>"),
    (re.compile(r"\b10\.\d+\.\d+\.\d+(?=/24)"), "<address>"),
    (re.compile(r"\b10\.\d+\.\d+\.\d+\b"), "<address>"),
    (re.compile(r"fd77:[0-9a-f:]+(/64)?"), "<IPv6>"),
    (re.compile(r"manual:<address>|\b\w+-m\d+\b"), "<instance>"),
    (re.compile(r"(?<=\s)(probe|lab) +(unmanaged|lab) +4.0.15"), "lab  lab  4.0.15"),
    (re.compile(r"^(probe-\w  .*?|dry  .*?)\d+( +(yes|no)\b)", re.MULTILINE), r"\1 <number>\2"),
    (re.compile(r"\bjj\d+\b"), "<instance>"),
    (re.compile(r"Manually provisioned machine"), "Running"),
    (re.compile(r"\b(operation|task)s? \"?\d+\"?"), r"\1 <number>"),
    (re.compile(r"id \"\d+\""), 'id "<number>"'),
    (re.compile(r"revision \d+"), "revision <number>"),
    (re.compile(r"local:(probe-\w|dry)-\d+"), r"local:\1-<number>"),
    (re.compile(r"\bprobe:"), "lab:"),
    (re.compile(r"\breplay-(lab|shop|short)\b"), r"\1"),
]
# What the hook tools answered is compared call by call.
COUNTED = {
    "calls",
    "id",
    "operation",
    "charm-rev",
    "took",
    "timing",
    "started",
    "completed",
    "enqueued",
}
HARDWARE = {"hardware", "network-interfaces", "ip-addresses", "instance-id", "hostname"}
SET_UP = {"controller", "cloud", "region", "name", "timestamp", "model-status", "constraints"}


def compare_commands(chapters: list[Chapter]) -> Report:
    """Compare the answers of all commands of a story."""
    report = Report()
    for chapter in chapters:
        names = {live: was for was, live in chapter.names.items()}
        for command, answer in chapter.answers:
            what = command["argv"][0]
            found = list(differences(command, answer, names))
            report.count(what, equal=not found)
            said = " ".join(command["argv"])[:90]
            report.differences += [f"{chapter.recorded.name} {said}: {one}" for one in found]
    return report


def differences(
    command: Mapping[str, Any], answer: Answer, names: Mapping[str, str]
) -> Iterator[str]:
    """Return what is different in one answer."""
    if answer.rc != command["rc"]:
        yield f"exit code {answer.rc} instead of {command['rc']}: {answer.stderr.strip()[:200]}"
    was, now = _named(command["stderr"], {}), _named(answer.stderr, names)
    if was != now:
        yield f"stderr {now!r} instead of {was!r}"
    try:
        old, new = json.loads(command["stdout"]), json.loads(answer.stdout)
    except ValueError:
        was, now = _table(_named(command["stdout"], {})), _table(_named(answer.stdout, names))
        if was != now:
            yield f"stdout {now!r} instead of {was!r}"
        return
    yield from _values(_tree(old, {}), _tree(new, names), "")


def _named(text: str, names: Mapping[str, str]) -> str:
    if names:
        words = "|".join(re.escape(name) for name in names)
        text = re.sub(rf"(?<![\w-])({words})(?!\w)", lambda found: names[found[1]], text)
    for pattern, name in MADE_OF:
        text = pattern.sub(name, text)
    return text


def _table(text: str) -> list[list[str]]:
    """Return the cells of a table, whose widths depend on what is in them."""
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


def _tree(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            re.sub(r"^\d+$", "<number>", key)
            if isinstance(one, dict) and "unit" in one
            else _named(key, names): "…"
            if key in COUNTED | HARDWARE | SET_UP and not isinstance(one, dict)
            else _tree(one, names)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_tree(one, names) for one in value]
    return _named(value, names) if isinstance(value, str) else value


def _values(was: Any, now: Any, where: str) -> Iterator[str]:
    """Return where two JSON values differ."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted(was.keys() | now.keys()):
            at = f"{where}.{key}" if where else str(key)
            if key not in now:
                yield f"no {at}: {was[key]!r}"[:300]
            elif key not in was:
                yield f"more {at}: {now[key]!r}"[:300]
            else:
                yield from _values(was[key], now[key], at)
    elif was != now:
        yield f"{where}: {now!r} instead of {was!r}"[:600]
