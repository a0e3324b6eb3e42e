# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Killers of dispatches on units' machines: SIGKILL at moments that a seed decides."""

import contextlib
import re
import threading
from pathlib import Path

import jubilant
import remote

SCRIPT = Path(__file__).with_name("hook_killer.py")
MARK = "charmed-maas-hook-killer"
RETRY_S = 0.3


class Killers:
    """Killers that run while a phase lasts; use them as a context manager."""

    def __init__(self, juju: jubilant.Juju, seed: int) -> None:
        self._juju = juju
        self._seed = seed
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._processes: list[remote.Process] = []
        self._units: set[str] = set()
        self.killed: list[str] = []

    def __enter__(self) -> "Killers":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for process in self._processes:
            remote.end(process)
        for unit in self._units:
            # Its machine may be gone, with all that ran there.
            with contextlib.suppress(jubilant.CLIError):
                self._juju.ssh(unit, f"sudo pkill -f [c]{MARK[1:]} || true")
        for thread in self._threads:
            thread.join(timeout=30)
        print("\n  killed", "\n  killed ".join(self.killed) or "nothing", end="", flush=True)

    def strike(self, unit: str, hooks: str, *, kills: int, longest_s: float) -> None:
        """Kill so many of a unit's dispatches of the hooks that match, as soon as it is there."""
        self._units.add(unit)
        words = (MARK, unit, f"{self._seed} {unit}", hooks, kills, longest_s)
        thread = threading.Thread(target=self._keep_striking, args=(unit, *words), daemon=True)
        thread.start()
        self._threads.append(thread)

    def struck(self, unit: str, hooks: str) -> bool:
        """Tell whether a dispatch of the unit's hooks that match was killed."""
        words = [line.split()[:2] for line in self.killed]
        return any(who == unit and re.fullmatch(hooks, hook) for who, hook in words)

    def _keep_striking(self, unit: str, *words: object) -> None:
        """Run the script until it has ended well; a new unit has no machine yet."""
        while not self._stopping.is_set():
            with remote.python(self._juju, unit, SCRIPT, *words) as process:
                self._processes.append(process)
                assert process.stdout
                self.killed += [line for one in process.stdout if (line := one.strip())]
            if process.returncode == 0:
                return
            self._stopping.wait(RETRY_S)
