# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The figures that are kept, the page that is made from them, and the stories they are of."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import figures
import life
import pytest

ROOT = Path(__file__).parents[2]
LABS_OWN = "tests/faults/test_fault.py"
RUNS = json.loads(life.FIGURES.read_text())


def report(when: str, outcome: str) -> Any:
    return SimpleNamespace(
        when=when,
        duration=1.0,
        passed=outcome == "passed",
        failed=outcome == "failed",
        skipped=outcome == "skipped",
    )


def collected() -> set[str]:
    folders = [f"tests/{name}" for name in ("integration", "faults", "scale")]
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", f"--ignore={LABS_OWN}"]
    done = subprocess.run(
        [*command, *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return {line for line in done.stdout.splitlines() if "::" in line}


def test_every_case_that_has_figures_is_still_told():
    named = {name for run in RUNS for name in run["cases"]}
    assert named, "no figures"
    assert not named - collected()


def test_every_case_passed_when_it_was_told_last():
    last = {
        (run["base"], name): case["outcome"] for run in RUNS for name, case in run["cases"].items()
    }
    assert not [case for case, outcome in last.items() if outcome != "passed"]


def test_page_is_made_from_the_figures():
    assert life.TABLE.read_text() == life.text(RUNS)


def test_every_run_is_of_a_commit():
    life.refuse_untraceable(RUNS)


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_run_of_no_commit_is_refused_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, is_kept: bool
):
    kept, added, page = tmp_path / "kept.json", tmp_path / "added.json", tmp_path / "page.md"
    monkeypatch.setattr(life, "FIGURES", kept)
    monkeypatch.setattr(life, "TABLE", page)
    dirty = [RUNS[0] | {"commit": "0123abc-dirty"}]
    kept.write_text(json.dumps(RUNS[:1] + (dirty if is_kept else [])))
    added.write_text(json.dumps([] if is_kept else dirty))
    before = kept.read_text()
    with pytest.raises(SystemExit, match="0123abc-dirty had changes that are in no commit"):
        life.main([str(added)])
    assert kept.read_text() == before
    assert not page.exists()


@pytest.mark.parametrize(
    ("phases", "outcome"),
    [
        ([("setup", "passed"), ("call", "passed"), ("teardown", "passed")], "passed"),
        ([("setup", "passed"), ("call", "failed"), ("teardown", "passed")], "failed"),
        ([("setup", "passed"), ("call", "passed"), ("teardown", "failed")], "failed"),
        ([("setup", "failed")], "failed"),
    ],
)
def test_a_case_passes_only_if_every_phase_does(
    phases: list[tuple[str, str]], outcome: str, tmp_path: Path
):
    run = figures.Run()
    for when, came in phases:
        run.outcome("one", report(when, came))
    run.add_to(tmp_path / "runs.json")
    (kept,) = json.loads((tmp_path / "runs.json").read_text())
    assert kept["cases"]["one"]["outcome"] == outcome
    assert kept["commit"]


def test_runs_are_added_and_one_that_told_nothing_is_not(tmp_path: Path):
    path = tmp_path / "runs.json"
    for told in (["passed"], ["skipped"], ["passed"]):
        run = figures.Run()
        for outcome in told:
            run.outcome("one", report("call", outcome))
        run.add_to(path)
    assert len(json.loads(path.read_text())) == 2


def test_page_gives_least_and_most_of_passed_cases_and_counts_the_others():
    about = {"date": "d", "commit": "c", "base": "debian@13", "juju": "4.0", "cores": 2}
    reads = {"all": 10, "failed": 0, "in-flight": 0, "gap-s": 0.1}
    rows = {"acknowledged": 5, "lost": 0, "gap-s": 0.2}

    def run(outcome: str, gap_s: float) -> dict[str, Any]:
        case = {
            "outcome": outcome,
            "took_s": 1.0,
            "measured": {"back": gap_s},
            "reads": {**reads, "gap-s": gap_s},
            "rows": rows,
        }
        return {**about, "memory-gib": 24, "cases": {"tests/a.py::test_it_dies[one|two]": case}}

    page = life.text([run("passed", 0.1), run("passed", 0.3), run("failed", 9)])
    row = next(line for line in page.splitlines() if "it dies" in line)
    assert "it dies: one\\|two | 2 of 3 |" in row
    assert "0.1 to 0.3 s" in row
    assert "| back | it dies: one\\|two | 3 | 0.1 to 9 |" in page
    assert "| debian@13 | 1 | 3 | 2 | 15 | 0 | 2 | 24 |" in page
    assert "| d | c | debian@13 | 4.0 | 2 | 24 | 3 | 3 |" in page
