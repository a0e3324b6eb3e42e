# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Runs on a unit's machine: kills the unit's dispatches at moments that a seed decides.

It gets a word to be known by, the unit, the seed, a pattern for the names of the hooks, how many
to kill, and the longest time in seconds that such hooks run before one is killed. It prints a line
for each that it killed, and ends after the last. The times grow, so that what is begun again gets
further each time. An empty line each second ends it when nobody reads any more.
"""

import contextlib
import os
import random
import re
import signal
import sys
import time

UNIT, SEED, HOOKS, KILLS, LONGEST_S = sys.argv[2:]
SHORTEST_S = 0.05
# The first is early: of some changes a unit has less than a second to do.
FIRST_S = 0.3
POLL_S = 0.05
over: set[str] = set()


def environment(pid: str) -> dict[str, str]:
    """Return a process's environment, nothing of one that is gone."""
    try:
        with open(f"/proc/{pid}/environ") as file:
            return dict(one.split("=", 1) for one in file.read().split("\0") if "=" in one)
    except (OSError, UnicodeDecodeError):
        return {}


def dispatch() -> tuple[str, str, list[int]]:
    """Return the hook that the unit runs now, its context and its processes, the charm's first."""
    found: dict[str, dict[str, str]] = {}
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        variables = environment(pid)
        path = variables.get("JUJU_DISPATCH_PATH", "")
        is_over = variables.get("JUJU_CONTEXT_ID", "") in over
        if variables.get("JUJU_UNIT_NAME") == UNIT and path.startswith("hooks/") and not is_over:
            found[pid] = variables
    if not found:
        return "", "", []
    # The dispatch began first, and all else of it is its child.
    pids = sorted(map(int, found))
    about = found[str(pids[0])]
    hook = about["JUJU_DISPATCH_PATH"].removeprefix("hooks/")
    return hook, about["JUJU_CONTEXT_ID"], pids


def kill_after(running_s: float, *, alone: bool) -> str:
    """Kill what runs once such hooks have run for so long; returns what that was."""
    ran_s = 0.0
    last = told = time.monotonic()
    while True:
        time.sleep(POLL_S)
        hook, context, pids = dispatch()
        now = time.monotonic()
        if now - told > 1:
            print(flush=True)
            told = now
        if hook and re.fullmatch(HOOKS, hook):
            ran_s += now - last
            if ran_s >= running_s:
                over.add(context)
                for pid in pids[:1] if alone else pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return f"{hook} {'alone' if alone else 'with all it started'}"
        last = now


def main() -> None:
    """Kill."""
    rng = random.Random(SEED)
    longest_s = [FIRST_S, *[float(LONGEST_S)] * (int(KILLS) - 1)]
    times_s = sorted(SHORTEST_S * (one / SHORTEST_S) ** rng.random() for one in longest_s)
    for running_s in times_s:
        killed = kill_after(running_s, alone=rng.random() < 0.5)
        print(f"{UNIT} {killed} after {running_s:.2f} s", flush=True)


main()
