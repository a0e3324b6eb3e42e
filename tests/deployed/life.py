# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Makes docs/life.md from docs/life.json, the figures of the runs that were kept.

`python tests/deployed/life.py [RUN.json …]` adds the runs of other files first.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FIGURES, TABLE = ROOT / "docs/life.json", ROOT / "docs/life.md"
BASE = "debian@13"
# Of before such runs were refused. What they alone tell stays until a clean run has told it.
UNTRACEABLE = ("cd13305-dirty",)
HEAD = """# What it lives through

Every change of shape and every shock that the stories of `tests/` tell to a deployed bundle, and
what a prober (50 reads a second through the VIP) and a writer on each region's machine saw. Made
from [life.json](life.json) by `tests/deployed/life.py`; `FIGURES=docs/life.json` adds a run, as
`sudo ./lab/test lab-long` does. Where a case was told more than once, the least and the most are
given: of the runs that passed. `measured` tells of all runs that came so far, also of those that
failed after it, so its `n` may be more. Where a case failed, the charm or the story was mended:
each case passed when it was told last. `in flight` is how many of the `failed` reads were under
way while the VIP itself moved. A run was judged by the stories of its own commit: a limit that
came later (at most 30 s with two VIP holders, say) does not hold for it.

Every story with rows asserts that none which was acknowledged is lost. Every story with reads
asserts that none failed, besides those in flight: without an HTTP answer, and open while the VIP
moved, of which at most two a move may have begun during it. These alone assert less:

- The primary is lost: its machine's power, its Patroni or PostgreSQL killed, either of them hung.
  MAAS asks its database for every answer: no primary, no answer. The longest gap is to be less
  than 60 s; with a hung Patroni, less than the time until it is another process.
- HAProxy of the VIP holder is killed: what was in flight is gone, and nobody takes a connection
  until the VIP has moved. Reads that began after its death and before that count as in flight
  here, for at most one second. The column `in flight` has not all of them, `failed` has.
- A daemon hangs that reads pass: HAProxy of the VIP holder, or a region's database proxy, nginx
  or regiond. What it was sent waits until the VIP moves, or until HAProxy's checks take another
  region; at the latest until the local probe has failed for 30 s and the daemon is killed. The
  longest gap is to be less than the time until it is another process.
- Nothing is there that could answer: all machines off at once, two of three database members off,
  `db` removed, MAAS stopped for an upgrade, all units of maas-region or haproxy-vip gone until as
  many have joined again. MAAS is to answer again, 20 reads in a row, within a time.
- MAAS's URL changes, by another address of the VIP or its port. No read fails at the new one from
  its first answer on.
- A unit whose agent runs no hook but update-status lives through joins, departures and a
  switchover: 20 reads in a row are to be answered at the end.
"""
# What the figures were measured on, and how a column calls it.
MACHINE = {"cores": "cores", "memory-gib": "memory (GiB)"}
COLUMNS = (
    *("what", "passed", "took", "reads", "failed", "in flight", "longest gap"),
    *("rows", "lost", "longest gap of rows"),
)

Run = dict[str, Any]
Case = dict[str, Any]


def text(runs: Iterable[Run]) -> str:
    """Return the page about these runs."""
    runs = list(runs)
    parts = [HEAD, _summary(runs)]
    ours = [run for run in runs if run["base"] == BASE]
    names = _names(ours)
    for file in dict.fromkeys(name.partition("::")[0] for name in names):
        cases = {name: _told(ours, name) for name in names if name.startswith(f"{file}::")}
        parts.append(f"## {_sentence(file.rpartition('/')[2].removesuffix('.py'))}\n")
        parts.append(_table(COLUMNS, [_row(name, told) for name, told in cases.items()]))
        if measured := [row for name, told in cases.items() for row in _measured(name, told)]:
            parts.append(_table(("measured", "in", "n", "seconds"), measured))
    others = [run for run in runs if run["base"] != BASE]
    for base in dict.fromkeys(run["base"] for run in others):
        its = [run for run in others if run["base"] == base]
        rows = [(_sentence(name), _passed(_told(its, name))) for name in _names(its)]
        parts.append(f"## On {base}\n\nFor compatibility; its times are not compared.\n")
        parts.append(_table(("what", "passed"), rows))
    parts.append(f"## The runs\n\n{_about(runs)}")
    return "\n".join(parts)


def _names(runs: list[Run]) -> list[str]:
    return sorted({name for run in runs for name in run["cases"]})


def _told(runs: list[Run], name: str) -> list[Case]:
    return [run["cases"][name] for run in runs if name in run["cases"]]


def _summary(runs: list[Run]) -> str:
    columns = ("base", "cases", "told", "passed", "rows", "lost", *MACHINE.values())
    rows: list[tuple[object, ...]] = []
    for about, its in _grouped(runs, ("base", *MACHINE)).items():
        told = [case for run in its for case in run["cases"].values()]
        passed = sum(case["outcome"] == "passed" for case in told)
        written = [case["rows"] for case in told if case["rows"]]
        counts = (f"{sum(one[key] for one in written):,}" for key in ("acknowledged", "lost"))
        rows.append((about[0], len(_names(its)), len(told), passed, *counts, *about[1:]))
    return _table(columns, rows)


def _about(runs: list[Run]) -> str:
    columns = ("date", "commit", "base", "Juju", *MACHINE.values(), "runs", "cases")
    groups = _grouped(runs, ("date", "commit", "base", "juju", *MACHINE))
    return _table(
        columns,
        [
            (*about, len(its), sum(len(run["cases"]) for run in its))
            for about, its in groups.items()
        ],
    )


def _grouped(runs: list[Run], keys: Iterable[str]) -> dict[tuple[object, ...], list[Run]]:
    groups: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(tuple(run[key] for key in keys), []).append(run)
    return groups


def _row(name: str, told: list[Case]) -> tuple[object, ...]:
    good = [case for case in told if case["outcome"] == "passed"]

    def span(kind: str, key: str, unit: str = "") -> str:
        return _span([case[kind][key] for case in good if case[kind]], unit)

    return (
        _sentence(name),
        _passed(told),
        _span([round(case["took_s"]) for case in good], " s"),
        *(span("reads", key) for key in ("all", "failed", "in-flight")),
        span("reads", "gap-s", " s"),
        *(span("rows", key) for key in ("acknowledged", "lost")),
        span("rows", "gap-s", " s"),
    )


def _measured(name: str, told: list[Case]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for what in dict.fromkeys(what for case in told for what in case["measured"]):
        times = [case["measured"][what] for case in told if what in case["measured"]]
        rows.append((what, _sentence(name), len(times), _span(times)))
    return rows


def _passed(told: list[Case]) -> str:
    return f"{sum(case['outcome'] == 'passed' for case in told)} of {len(told)}"


def _span(numbers: list[float], unit: str = "") -> str:
    if not numbers:
        return ""
    least, most = f"{min(numbers):,}", f"{max(numbers):,}"
    return f"{least}{unit}" if least == most else f"{least} to {most}{unit}"


def _sentence(name: str) -> str:
    name, bracket, parameters = name.rpartition("::")[2].partition("[")
    words = name.removeprefix("test_").replace("_", " ")
    return f"{words}: {parameters.removesuffix(']')}" if bracket else words


def _table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [columns, ["---"] * len(list(columns)), *rows]
    cells = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def refuse_untraceable(runs: Iterable[Run]) -> None:
    """Exit where a run's code was in no commit: nobody can look at what its figures are of."""
    for run in runs:
        if run["commit"].endswith("-dirty") and run["commit"] not in UNTRACEABLE:
            sys.exit(
                f"the run of {run['date']} on {run['base']} is refused: {run['commit']} had "
                "changes that are in no commit. Commit them and tell its stories again"
            )


def main(files: list[str]) -> None:
    """Add the runs of the files and write the page."""
    runs = json.loads(FIGURES.read_text()) if FIGURES.exists() else []
    for file in files:
        runs += json.loads(Path(file).read_text())
    # Also those that FIGURES has added to the file itself.
    refuse_untraceable(runs)
    runs.sort(key=lambda run: run["date"])
    FIGURES.write_text(json.dumps(runs, indent=1, sort_keys=True) + "\n")
    TABLE.write_text(text(runs))


if __name__ == "__main__":
    main(sys.argv[1:])
