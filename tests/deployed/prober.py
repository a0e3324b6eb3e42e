# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Reads through the VIP 50 times a second from outside the machines and records every answer.

As a command (`prober.py URL LOG`) it reads until it gets SIGTERM; as a module it starts that
command and makes a report from its log. A read has one connection of its own and no retry; it
fails when it has no 200 within 5 s.
"""

import asyncio
import bisect
import errno
import itertools
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

INTERVAL_S = 0.02
TIMEOUT_S = 5.0
STRUCK_S = 1.0
# What a machine says, once a second at most, to who asks it for an address that it let go.
UNREACHABLE = f"OSError {errno.EHOSTUNREACH}"


@dataclass(frozen=True)
class Read:
    """One read: when it began and ended (seconds since the epoch), and what came of it."""

    began: float
    ended: float
    outcome: str

    @property
    def failed(self) -> bool:
        """Anything but a 200 in time."""
        return self.outcome != "200"


@dataclass(frozen=True)
class Report:
    """What the prober saw."""

    reads: list[Read]
    moves: list[tuple[float, float]]

    @property
    def failures(self) -> list[Read]:
        """The reads that failed."""
        return [read for read in self.reads if read.failed]

    @property
    def failures_in_flight(self) -> list[Read]:
        """Failed reads whose connection was open while the VIP moved; an HTTP status is none."""
        away = self._away()
        return [
            read
            for read in self.failures
            if not read.outcome.isdigit()
            and any(
                read.began <= end and read.ended >= start
                for start, end in (away if read.outcome == UNREACHABLE else self.moves)
            )
        ]

    def _away(self) -> list[tuple[float, float]]:
        """Return the moves, each from the last answer before its new holder was seen.

        The MAC address does not show that the old holder let go. What nobody holds for longer
        than a read waits is an outage and no move.
        """
        ends = sorted(read.ended for read in self.reads if not read.failed)
        periods: list[tuple[float, float]] = []
        for start, end in self.moves:
            before = bisect.bisect_left(ends, start)
            last = ends[before - 1] if before else start
            periods.append((last if end - last < TIMEOUT_S else start, end))
        return periods

    @property
    def longest_gap_s(self) -> float:
        """The longest time between two answered reads."""
        ends = sorted(read.ended for read in self.reads if not read.failed)
        return max((b - a for a, b in itertools.pairwise(ends)), default=float("inf"))

    def since(self, when: float) -> "Report":
        """Return what was seen of it since then, in seconds since the epoch."""
        reads = [read for read in self.reads if read.began >= when]
        return Report(reads, [(start, end) for start, end in self.moves if end >= when])

    def moving_since(self, struck: float) -> "Report":
        """Return the same, its first move from then on reckoned from what made the VIP move.

        That is when its holder's HAProxy died, in seconds since the epoch: with it died what was
        in flight, and nothing is taken until another holder is there. That must not be long.
        """
        at, (found, seen) = next((n, m) for n, m in enumerate(self.moves) if m[0] > struck)
        assert found - struck <= STRUCK_S, f"the VIP moved {found - struck:.2f} s after its cause"
        moves = [*self.moves[:at], (struck, seen), *self.moves[at + 1 :]]
        reads = [one for one in self.reads if not (one.failed and struck <= one.began <= found)]
        return Report(reads, moves)

    def assert_no_failed_read(self) -> None:
        """No failed read, besides those in flight when the VIP moved.

        That is those that were open before, and at most two for each move that began meanwhile.
        """
        in_flight = self.failures_in_flight
        starts = [start for start, _ in self.moves]
        meanwhile = [
            read
            for read in in_flight
            if not any(read.began <= start <= read.ended for start in starts)
        ]
        others = [read for read in self.failures if read not in in_flight]
        assert len(self.reads) > 50, "the prober hardly ran"
        assert not others, f"{len(others)} failed reads, the first: {others[0]}"
        assert len(meanwhile) <= 2 * len(self.moves), (meanwhile, self.moves)

    def __str__(self) -> str:
        """One line for the log of the tests."""
        return (
            f"{len(self.reads)} reads, {len(self.failures)} failed"
            f" ({len(self.failures_in_flight)} in flight of {len(self.moves)} VIP moves),"
            f" longest gap {self.longest_gap_s:.2f} s"
        )


class Prober:
    """A running prober; use it as a context manager, then read `report`."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._is_judged = False

    def __enter__(self) -> "Prober":
        self._process = subprocess.Popen([sys.executable, __file__, self.url, str(self.log)])
        time.sleep(1)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(timeout=30) == 0, "the prober itself failed"
        if self._is_judged:
            self.report.assert_no_failed_read()

    def assert_no_failed_read(self) -> None:
        """No failed read until now, as a report has it; nor until the prober ends."""
        self._is_judged = True
        self.report.assert_no_failed_read()

    @property
    def report(self) -> Report:
        """What was recorded until now."""
        entries: list[dict[str, Any]] = [
            json.loads(line) for line in self.log.read_text().splitlines()
        ]
        reads = [
            Read(one["began"], one["ended"], one["outcome"]) for one in entries if "outcome" in one
        ]
        holders = [(one["at"], one["holder"], one["since"]) for one in entries if "holder" in one]
        return Report(reads, [(since, at) for at, _, since in holders[1:]])


async def _read(host: str, port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        await writer.drain()
        status = (await reader.readline()).split()
        body = await reader.read()
        return status[1].decode() if len(status) > 1 and body else "cut off"
    finally:
        writer.close()


async def _record(url: str, log: Any, open_reads: set[Any]) -> None:
    parts = urlsplit(url)
    began = time.time()
    try:
        outcome = await asyncio.wait_for(
            _read(parts.hostname or "", parts.port or 80, parts.path), TIMEOUT_S
        )
    except TimeoutError:
        outcome = "timeout"
    except OSError as error:
        outcome = f"{type(error).__name__} {error.errno}"
    log.write(json.dumps({"began": began, "ended": time.time(), "outcome": outcome}) + "\n")
    open_reads.discard(asyncio.current_task())


def _holder(address: str) -> str:
    """Return the MAC address that answers for the VIP: it changes when the VIP moves."""
    for line in Path("/proc/net/arp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[0] == address and fields[3] != "00:00:00:00:00:00":
            return fields[3]
    return ""


async def _watch_holder(address: str, log: Any) -> None:
    known, since = "", time.time()
    while True:
        holder = _holder(address)
        if holder and holder != known:
            log.write(json.dumps({"at": time.time(), "holder": holder, "since": since}) + "\n")
            known = holder
        if holder:
            since = time.time()
        await asyncio.sleep(INTERVAL_S)


async def _main(url: str, log_path: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    open_reads: set[Any] = set()
    with log_path.open("a", buffering=1) as log:
        watcher = asyncio.create_task(_watch_holder(urlsplit(url).hostname or "", log))
        due = time.monotonic()
        while not stop.is_set():
            task = asyncio.create_task(_record(url, log, open_reads))
            open_reads.add(task)
            due = max(due + INTERVAL_S, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
        await asyncio.gather(*open_reads)
        watcher.cancel()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2])))
