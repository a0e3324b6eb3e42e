# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import subprocess
import sys
from pathlib import Path

import pytest

from charmed_lab import checks
from charmed_lab.checks import Count


def report(**numbers: int) -> str:
    attributes = " ".join(f'{key}="{value}"' for key, value in numbers.items())
    return f"<testsuites><testsuite {attributes}/></testsuites>"


def test_skipped_tests_count_nowhere():
    text = report(tests=10, failures=2, errors=1, skipped=3)
    assert checks.count(text, 1) == Count(4, 3)


def test_a_run_without_report_failed():
    assert checks.count("", 0) == Count(0, 1)


def test_a_killed_run_failed_though_no_test_did():
    assert checks.count(report(tests=3, failures=0, errors=0, skipped=0), 137) == Count(3, 1)


def test_counts_add_up():
    assert str(Count(3, 0) + Count(1, 2)) == "4 passed, 2 failed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def test_a(): pass\ndef test_b(): assert 0\n", Count(1, 1)),
        ("import nothing_like_that\n", Count(0, 1)),
        ("x = 1\n", Count(0, 1)),
    ],
)
def test_real_runs_are_counted(tmp_path: Path, text: str, expected: Count):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(text)
    assert checks.pytest("test_it.py", cwd=tmp_path) == expected


def test_the_command_ends_with_the_sum_and_fails_without_a_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(checks.CHECKS, "format", lambda: Count(2, 0))
    monkeypatch.setitem(checks.CHECKS, "lint", lambda: Count(0, 1))
    assert checks.main(["format"]) == 0
    assert checks.main(["format", "lint"]) == 1
    assert checks.main([]) == 1
    assert capsys.readouterr().out.splitlines()[-2] == "2 passed, 1 failed"


def test_an_unknown_check_fails():
    done = subprocess.run(
        [sys.executable, "-m", "charmed_lab.checks", "nope"],
        check=False,
        capture_output=True,
        cwd=Path(checks.__file__).parents[1],
    )
    assert done.returncode != 0
