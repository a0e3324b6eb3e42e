# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the processes of this machine are started with: `argument_reader.py`, as root.

It looks ten times a second until it reads a line, a JSON list of words: only then need anybody
know them. It prints a JSON list of how often it looked and the arguments that had one of them. A
process that comes and goes between two looks is not seen.
"""

import contextlib
import json
import select
import sys
from pathlib import Path

PAUSE_S = 0.1


def look() -> set[bytes]:
    """Return the arguments of each process."""
    found: set[bytes] = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # It has ended.
            found.add(path.read_bytes())
    return found


seen: set[bytes] = set()
looks = 0
while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
    seen |= look()
    looks += 1
words = json.loads(sys.stdin.readline())
told = [
    one.replace(b"\0", b" ").decode(errors="replace")
    for one in sorted(seen)
    if any(word.encode() in one for word in words)
]
print(json.dumps([looks, told]))
