# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The checks that need no machine: `python -m charmed_lab.checks format|lint|static|unit …`.

One more runs by its name alone: `coverage`.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from .stage import REPOSITORY

# No result is worth less than a failure: a killed or empty run must not count as nothing.
NO_REPORT = (0, 1)
COVERAGE = [sys.executable, "-m", "coverage"]


@dataclass(frozen=True)
class Count:
    """How many checks passed and failed."""

    passed: int = 0
    failed: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.passed + other.passed, self.failed + other.failed)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed"


def ruff_format() -> Count:
    """Check that every file is formatted."""
    return _command("ruff", "format", "--check", "--quiet", ".")


def lint() -> Count:
    """Check the rules of the style, and the spelling."""
    argv = ["git", "-c", f"safe.directory={REPOSITORY}", "ls-files", "-z"]
    tracked = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, check=False).stdout
    files = [name for name in tracked.decode().split("\0") if name and "recordings" not in name]
    spelling = _command("codespell", "-L", "ans,aks,nd,te,assertIn", *files)
    return _command("ruff", "check", "--quiet", ".") + spelling


def static() -> Count:
    """Check the types of all rooms; each has its own import paths in the root pyproject.toml."""
    return _command("pyright", "--pythonpath", sys.executable)


def unit() -> Count:
    """Run the unit tests: one process a room, for four modules are called `charm`.

    As many at once as there are cores; what each prints appears when it has ended.
    """
    with tempfile.TemporaryDirectory() as scratch:
        return _each_room(Path(scratch), is_covered=False)


def coverage() -> Count:
    """Run the unit tests, which takes longer then, and print the lines that none of them runs."""
    with tempfile.TemporaryDirectory() as scratch:
        total = _each_room(Path(scratch), is_covered=True)
        data = [f"--data-file={scratch}/all", f"--rcfile={REPOSITORY / 'pyproject.toml'}"]
        files = [str(path) for path in Path(scratch).glob("cover-*")]
        _run([*COVERAGE, "combine", "--quiet", *data, *files])
        _run([*COVERAGE, "report", *data])
    return total


def pytest(
    *arguments: str | Path,
    cwd: Path = REPOSITORY,
    prefix: Sequence[str | Path] = (sys.executable, "-m"),
    env: Mapping[str, str] | None = None,
    output: IO[str] | None = None,
) -> Count:
    """Run pytest and count its results from the report that it writes.

    It prints where this process does, unless output is given.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        argv = [*prefix, "pytest", "-q", f"--junit-xml={report}", *arguments]
        code = _run(argv, cwd, env, output)
        return count(report.read_text() if report.exists() else "", code)


def count(report: str, code: int) -> Count:
    """Count the results in a JUnit report; a run that failed without one failed is one failed."""
    try:
        suites = ElementTree.fromstring(report).iter("testsuite")  # noqa: S314 (our own pytest's)
    except ElementTree.ParseError:
        return Count(*NO_REPORT)
    passed = failed = 0
    for suite in suites:
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        failed += bad
        passed += int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0))
    return Count(passed, failed if code == 0 or failed else 1)


def _each_room(scratch: Path, *, is_covered: bool) -> Count:
    charms = [path.parent for path in REPOSITORY.glob("charms/*/charmcraft.yaml")]
    rooms = [*charms, REPOSITORY / "lab", REPOSITORY / "lib", REPOSITORY]
    # Whose tests are the most take longest: last, they would run alone.
    rooms.sort(key=lambda room: -sum(path.stat().st_size for path in room.glob("tests/unit/*.py")))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return sum(pool.map(lambda room: _room(room, scratch, is_covered), rooms), Count())


def _room(room: Path, scratch: Path, is_covered: bool) -> Count:
    prefix: list[str | Path] = [sys.executable, "-m"]
    if is_covered and room != REPOSITORY:
        source = room / "src" if (room / "src").is_dir() else room
        options = [f"--data-file={scratch}/cover-{room.name}", f"--source={source}", "--branch"]
        prefix = [*COVERAGE, "run", *options, "--omit=*/tests/*", "-m"]
    with (scratch / f"{room.name}.log").open("w+") as output:
        found = pytest("tests/unit", cwd=room, prefix=prefix, output=output)
        output.seek(0)
        name = room.name if room != REPOSITORY else "root"
        print(f"--- unit tests of {name}\n{output.read()}", end="", flush=True)
    return found


def _command(*argv: str) -> Count:
    """Run a tool of this environment as one check."""
    tool = Path(sys.executable).with_name(argv[0])
    return Count(1, 0) if _run([tool, *argv[1:]]) == 0 else Count(0, 1)


def _run(
    argv: Sequence[str | Path],
    cwd: Path = REPOSITORY,
    env: Mapping[str, str] | None = None,
    output: IO[str] | None = None,
) -> int:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    sys.stdout.flush()
    done = subprocess.run(
        argv, cwd=cwd, env=environment, stdout=output, stderr=output, check=False
    )
    return done.returncode


CHECKS = {"format": ruff_format, "lint": lint, "static": static, "unit": unit}


def main(names: Sequence[str]) -> int:
    """Run the named checks and print their sum."""
    total = Count()
    for name in names:
        print(f"=== {name}", flush=True)
        total += {**CHECKS, "coverage": coverage}[name]()
    print(total)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
