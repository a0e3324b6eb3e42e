# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The figures of a run of the stories, and the JSON file that keeps the runs.

The file holds a list of runs, oldest first. A run has its commit, date, base, Juju and the size of
the machine, and its cases by pytest's name. A case has its outcome, the seconds it took,
what it `measured` (seconds by what they are of), and where it was watched: reads, failed reads,
those in flight while the VIP moved, the longest gap in seconds, and the same of rows.
"""

import json
import os
import subprocess
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prober import Report
from writers import Writers

ROOT = Path(__file__).parents[2]


@dataclass
class Case:
    """What one test of a run came to."""

    outcome: str = ""
    took_s: float = 0
    measured: dict[str, float] = field(default_factory=dict[str, float])
    reads: dict[str, float] = field(default_factory=dict[str, float])
    rows: dict[str, float] = field(default_factory=dict[str, float])

    def read(self, report: Report) -> None:
        """Keep what a prober saw."""
        self.reads = {
            "all": len(report.reads),
            "failed": len(report.failures),
            "in-flight": len(report.failures_in_flight),
            "gap-s": round(report.longest_gap_s, 2),
        }

    def wrote(self, writers: Writers, lost: int) -> None:
        """Keep what the writers saw."""
        self.rows = {
            "acknowledged": len(writers.acknowledged),
            "lost": lost,
            "gap-s": round(writers.longest_gap_s, 2),
        }


class Run:
    """The cases of this run, until they are written down."""

    def __init__(self) -> None:
        self._cases: dict[str, Case] = {}
        # Seconds by file, with what stands around its tests.
        self.took_s: defaultdict[str, float] = defaultdict(float)

    def case(self, name: str) -> Case:
        """Return the case of a test, by pytest's name."""
        return self._cases.setdefault(name, Case())

    def outcome(self, name: str, report: pytest.TestReport) -> None:
        """Keep what came of a phase of a test: it passed only if every phase did."""
        self.took_s[name.partition("::")[0]] += report.duration
        if report.skipped or (report.passed and report.when != "call"):
            return
        case = self.case(name)
        if report.when == "call":
            case.took_s = round(report.duration, 1)
        case.outcome = "failed" if report.failed else case.outcome or "passed"

    def add_to(self, path: Path) -> None:
        """Add the run to a file of runs; one without a case is none."""
        cases = {name: asdict(case) for name, case in self._cases.items() if case.outcome}
        if not cases:
            return
        runs = json.loads(path.read_text()) if path.exists() else []
        runs.append({**_about(), "cases": cases})
        path.write_text(json.dumps(runs, indent=1, sort_keys=True) + "\n")


def _about() -> dict[str, Any]:
    memory_b = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d"),
        "base": os.environ.get("LAB_BASE", ""),
        "juju": os.environ.get("LAB_JUJU") or "4.0",
        "cores": os.cpu_count(),
        "memory-gib": round(memory_b / 2**30),
    }


def _commit() -> str:
    """Return the commit, and whether more than docs/, where the figures go, was changed since."""
    commit = _git("describe", "--always").strip() or "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    return f"{commit}-dirty" if changed else commit


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
