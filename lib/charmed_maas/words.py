# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Words fit for a status, a log and an action's result."""

import sys
from collections.abc import Sequence

SHOWN = 3


def one_line(text: str, max_length: int = sys.maxsize) -> str:
    """Return what others say in one line, without control characters, and not much longer."""
    printable = "".join(one if one.isprintable() else " " for one in text)
    words = " ".join(printable.split())
    return words if len(words) <= max_length else f"{words[:max_length]} …"


def with_cause(said: str, cause: str) -> str:
    """Return what is said, and what caused it where that is known."""
    return f"{said}; {cause}" if cause else said


def listed(names: Sequence[str], shown: int = SHOWN) -> str:
    """Return names as people list them, not all of many."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
