# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Words fit for a status, a log and an action's result."""

import re
import sys
from collections.abc import Sequence

SHOWN = 3
BRIEF = 300
# What commands says of one that failed; its last words may begin amid a traceback.
WHO = re.compile(r".*?exited with -?\d+: ")
TRACEBACK = re.compile(r'Traceback \(most recent call last\)|^\s*File ".*", line \d', re.MULTILINE)


def one_line(text: str, max_length: int = sys.maxsize) -> str:
    """Return what others say in one line, without control characters, and not much longer."""
    printable = "".join(one if one.isprintable() else " " for one in text)
    words = " ".join(printable.split())
    return words if len(words) <= max_length else f"{words[:max_length]} …"


def with_cause(said: str, cause: str) -> str:
    """Return what is said, and what caused it where that is known."""
    return f"{said}; {cause}" if cause else said


def brief(said: str, cause: str = "") -> str:
    """Return what is said and what caused it, as one line that a status has room for.

    Of a traceback the last line is left, which tells what it is about; of what is too long, its
    two ends.
    """
    told = _two_ends(one_line(cause), BRIEF * 2 // 3)
    room = BRIEF - len(with_cause("", told))
    return with_cause(_two_ends(one_line(_last_words(said)), room), told)


def listed(names: Sequence[str], shown: int = SHOWN) -> str:
    """Return names as people list them, not all of many."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def _last_words(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    if len(lines) < 2 or not TRACEBACK.search(said):
        return said
    who = WHO.match(said)
    return f"{who.group() if who else ''}{lines[-1]}"


def _two_ends(line: str, max_length: int) -> str:
    if len(line) <= max_length:
        return line
    cut = " … "
    first = (max_length - len(cut)) // 2
    return line[:first] + cut + line[first + len(cut) - max_length :]
