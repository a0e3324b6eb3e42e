# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The database proxy's server slots, and moving them in the process that runs.

A reload leaves MAAS's connections to an old process, which checks no health any more. Members
therefore come and go in slots that the file has anyway. (HAProxy's `add server` would need none,
but refuses tcp-ut: 2.6, 3.0.)
"""

import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

SOCKET = Path("/run/maas-db-proxy/admin.sock")
TIMEOUT_S = 5.0
PAUSE_S = 0.02
# More than a cluster that votes has use for; more members make more slots, by a reload.
NUMBER = 9
BACKEND = "primary"
# Nobody listens there, should HAProxy ever go to a slot that is disabled.
SPARE = ("127.0.0.1", 1)
LINE = re.compile(
    r"^( {4}server member-\d+) (\S+):(\d{1,5})( tcp-ut \S+)( disabled)?$", re.MULTILINE
)
# srv_admin_state: the bits of its own of what `set server state` and `disabled` set.
FORCED_MAINT, FORCED_DRAIN = 0x01, 0x08

Endpoint = tuple[str, int]
# By the slot's number, None for a spare one.
Slots = tuple[Endpoint | None, ...]


class SlotsError(Exception):
    """HAProxy does not answer, or did not do what it was told."""


def parse(text: str) -> Slots:
    """Return the slots of a configuration."""
    return tuple(
        None if disabled else (host.removeprefix("[").removesuffix("]"), int(port))
        for _, host, port, _, disabled in LINE.findall(text)
    )


def without(text: str) -> str:
    """Return a configuration without what its slots hold: equal texts need no reload."""
    return LINE.sub(r"\1\4", text)


def assign(current: Slots, wanted: Sequence[Endpoint]) -> Slots:
    """Return the slots for these members: who has one keeps it, others take the first free."""
    held = {end: slot for slot, end in reversed([*enumerate(current)]) if end in wanted}
    slots: list[Endpoint | None] = [None] * max(NUMBER, len(current), len(set(wanted)))
    for end, slot in held.items():
        slots[slot] = end
    free = [slot for slot, end in enumerate(slots) if end is None]
    for slot, end in zip(free, sorted(set(wanted) - set(held)), strict=False):
        slots[slot] = end
    return tuple(slots)


def have_strayed(wanted: Slots) -> bool:
    """Tell whether HAProxy says that its slots hold something else.

    It says nothing when it does not answer (the watchdog's timer kills what hangs), or has another
    number of slots: that may be an old process, for a moment after a reload.
    """
    try:
        return bool(_differing(wanted))
    except SlotsError:
        return False


def ensure(wanted: Slots, *, has_health: bool) -> bool:
    """Have the running process's slots hold this; returns whether they did not.

    A slot is as wanted after its last command only, so what a killed hook left out, the next one
    does from the start. HAProxy's answers are words for people: what it has afterwards counts.
    has_health: a member's health tells whether it is the primary; before, nothing goes to it.
    """
    if not (moves := _differing(wanted)):
        return False
    said = [_ask(command) for slot, end in moves.items() for command in _park(slot, end)]
    # HAProxy 3.0 takes an address a moment after its answer; nothing may go to the old one.
    _wait(lambda: all(_running()[slot][0] == (end or SPARE) for slot, end in moves.items()), said)
    used = [slot for slot, end in moves.items() if end]
    said += [_ask(command) for slot in used for command in _open(slot, has_health=has_health)]
    _wait(lambda: not _differing(wanted), said)
    return True


def _differing(wanted: Slots) -> dict[int, Endpoint | None]:
    """Return what is wanted of the slots that hold something else."""
    running = _running()
    if len(running) != len(wanted):
        raise SlotsError(f"HAProxy has {len(running)} slots, not {len(wanted)}")
    return {
        slot: end
        for slot, end in enumerate(wanted)
        if running[slot] != (end or SPARE, end is not None)
    }


def _park(slot: int, end: Endpoint | None) -> Iterator[str]:
    """Yield the commands that end a slot's connections and give it an address."""
    server = f"{BACKEND}/member-{slot + 1}"
    address, port = end or SPARE
    yield f"set server {server} state maint"
    yield f"shutdown sessions server {server}"
    yield f"set server {server} addr {address} port {port}"


def _open(slot: int, *, has_health: bool) -> Iterator[str]:
    """Yield the commands that let connections go to a slot."""
    server = f"{BACKEND}/member-{slot + 1}"
    if has_health:
        # HAProxy takes what leaves maintenance for up until its first check. A replica would be
        # the only one that is up while there is no primary, and new connections would wait while
        # there is; from draining, where nothing is sent to it, it may go down first. The one
        # endpoint without health is the primary: nothing waits for a check of it.
        yield f"set server {server} state drain"
        yield f"set server {server} health down"
    yield f"set server {server} state ready"


def _wait(condition: Callable[[], bool], said: Sequence[str]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > end:
            raise SlotsError(f"HAProxy did not do it: {' '.join(' '.join(said).split())}")
        time.sleep(PAUSE_S)


def _running() -> tuple[tuple[Endpoint, bool], ...]:
    """Return each slot's address, and whether HAProxy may go there."""
    lines = _ask(f"show servers state {BACKEND}").splitlines()
    columns = next((line[2:].split() for line in lines if line.startswith("# ")), [])
    rows = [dict(zip(columns, line.split(), strict=False)) for line in lines[2:] if line]
    try:
        return tuple(
            (
                (row["srv_addr"], int(row["srv_port"])),
                not int(row["srv_admin_state"]) & (FORCED_MAINT | FORCED_DRAIN),
            )
            for row in rows
        )
    except (KeyError, ValueError) as error:
        raise SlotsError(f"HAProxy's servers are not known: {lines[:1]}") from error


def _ask(command: str) -> str:
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT_S)
            client.connect(str(SOCKET))
            client.sendall(f"{command}\n".encode())
            while part := client.recv(65536):
                answer += part
    except OSError as error:
        raise SlotsError(f"{SOCKET}: {error}") from error
    return answer.decode(errors="replace")
