# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What the host's kernel knows of a machine's first process, its init, before LXD does."""

import re
from contextlib import suppress
from pathlib import Path

PF_EXITING = 0x4
CGROUPS = Path("/sys/fs/cgroup")
# What a machine's init is once systemd has stopped everything: it waits 90 s for what has come in
# since, as nobody does over a network that is down. Debian 12 has it in /lib.
SHUTDOWN = re.compile(rb"(/usr)?/lib/systemd/systemd-shutdown\0")


def started(pid: int) -> str | None:
    """Return when a process started, in ticks since the host's boot; None when it is ending."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # LXD calls a container running until its init is gone; the kernel knows earlier.
    return None if fields[0] in "ZX" or int(fields[6]) & PF_EXITING else fields[19]


def has_shut_down(pid: int) -> bool:
    """Tell whether an init has given way to what ends the machine."""
    try:
        return bool(SHUTDOWN.match(Path(f"/proc/{pid}/cmdline").read_bytes()))
    except OSError:
        return False


def others_in(first: int) -> list[int]:
    """Return the processes that share a machine with its init."""
    found = list[int]()
    with suppress(OSError):
        namespace = Path(f"/proc/{first}/ns/pid").readlink()
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                if int(entry.name) != first and (entry / "ns/pid").readlink() == namespace:
                    found.append(int(entry.name))
    return found


def is_frozen(pid: int) -> bool:
    """Tell whether a process's control group is frozen, in either version of them."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        groups = {line.split(":", 2)[1]: line.split(":", 2)[2][1:] for line in lines}
        if "freezer" in groups:
            state = CGROUPS / "freezer" / groups["freezer"] / "freezer.state"
            return state.read_text() != "THAWED\n"
        group = CGROUPS / groups[""]
        files = [one / "cgroup.freeze" for one in (group, *group.parents)]
        return any(file.exists() and file.read_text() == "1\n" for file in files)
    except (OSError, KeyError):
        return False
