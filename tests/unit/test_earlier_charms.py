# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""docs/earlier-charms.md names tests that exist, or says why there is none."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/earlier-charms.md").read_text()
# As pytest names a test: a class may stand in between.
TEST = re.compile(r"`([\w/.-]+\.py)((?:::\w+)+)`")
REASON = re.compile(r"does not apply: \S.*")


def _rows() -> list[list[str]]:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines][1:]


def _is_test(path: Path, names: list[str]) -> bool:
    """Tell whether a file has a test function under its names, from the outermost on."""
    body = ast.parse(path.read_text()).body if path.is_file() else []
    for name in names[:-1]:
        classes = [one for one in body if isinstance(one, ast.ClassDef) and one.name == name]
        body = classes[0].body if classes else []
    functions = [one.name for one in body if isinstance(one, ast.FunctionDef)]
    return names[-1].startswith("test_") and names[-1] in functions


def test_every_test_that_the_page_names_exists():
    named = TEST.findall(PAGE)
    assert named
    assert PAGE.count("::test_") == len(named), "one is not written as a test's name"
    for path, names in named:
        assert _is_test(ROOT / path, names.split("::")[1:]), f"{path}{names}"


def test_every_row_has_a_test_or_the_reason_why_not():
    rows = _rows()
    numbers = [int(found[0]) for row in rows if (found := re.match("[0-9]+", row[0]))]
    assert numbers == list(range(1, 38))
    for row in rows:
        assert len(row) == 4, row
        kept = row[3]
        tests = [TEST.fullmatch(one) for one in kept.split(", ")]
        assert all(tests) or REASON.fullmatch(kept), row
