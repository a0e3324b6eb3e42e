# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Writers on every region's machine, whose acknowledged rows are logged outside the machines."""

import itertools
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import jubilant
import remote

SCRIPT = Path(__file__).with_name("row_writer.py")
TABLE = "charmed_maas_test_rows"
SITE_PACKAGES = "/var/lib/juju/agents/unit-maas-region-*/charm/venv/lib/python3*/site-packages"


@dataclass
class Writer:
    """One unit's writer: it is started again whenever its machine ends it."""

    unit: str
    acknowledged: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])


class Writers:
    """Writers on some units of maas-region; use them as a context manager."""

    def __init__(self, juju: jubilant.Juju, units: Iterable[str]) -> None:
        self._juju = juju
        self._first = list(units)
        self._writers: list[Writer] = []
        self._run = f"{time.time():.0f}"
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._processes: dict[str, remote.Process] = {}

    def __enter__(self) -> "Writers":
        self.wait_for_a_row_from_each(self._first)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for process in self._processes.values():
            remote.end(process)
        for thread in self._threads:
            thread.join(timeout=30)

    def wait_for_a_row_from_each(self, units: Iterable[str]) -> None:
        """Wait until another row from each unit is acknowledged; a new one gets its writer."""
        wanted = set(units)
        assert wanted, "no unit to write on"
        for unit in sorted(wanted - {writer.unit for writer in self._writers}):
            writer = Writer(unit)
            self._writers.append(writer)
            thread = threading.Thread(target=self._keep_writing, args=(writer,), daemon=True)
            thread.start()
            self._threads.append(thread)
        before = {one.unit: len(one.acknowledged) for one in self._writers if one.unit in wanted}
        deadline = time.monotonic() + 60
        while silent := [
            one.unit for one in self._writers if len(one.acknowledged) == before.get(one.unit)
        ]:
            assert time.monotonic() < deadline, f"no row from {silent} in 60 s"
            time.sleep(0.2)

    def _keep_writing(self, writer: Writer) -> None:
        number = 0
        while not self._stopping.is_set():
            self._write(writer, number)
            number = max((one for _, one in writer.acknowledged), default=number) + 1000
            self._stopping.wait(1)

    def _write(self, writer: Writer, first: int) -> None:
        name = f"{self._run}-{writer.unit}"
        with remote.python(self._juju, writer.unit, SCRIPT, name, first) as process:
            self._processes[writer.unit] = process
            assert process.stdout
            for line in process.stdout:
                if self._stopping.is_set():
                    break
                if line.strip().isdigit():
                    writer.acknowledged.append((time.time(), int(line)))

    @property
    def acknowledged(self) -> set[tuple[str, int]]:
        """Return every (writer, number) that was acknowledged."""
        return {
            (f"{self._run}-{writer.unit}", number)
            for writer in self._writers
            for _, number in writer.acknowledged
        }

    @property
    def longest_gap_s(self) -> float:
        """The longest time in which no writer got an acknowledgement."""
        times = sorted(at for writer in self._writers for at, _ in writer.acknowledged)
        return max((b - a for a, b in itertools.pairwise(times)), default=float("inf"))

    def lost(self, rows: set[tuple[str, int]]) -> set[tuple[str, int]]:
        """Return the acknowledged rows that are not among these."""
        return self.acknowledged - rows

    def __str__(self) -> str:
        """One line for the log of the tests."""
        return (
            f"{len(self.acknowledged)} acknowledged rows, longest gap {self.longest_gap_s:.2f} s"
        )
