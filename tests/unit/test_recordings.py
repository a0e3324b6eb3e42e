# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The page that says how many of MAAS's recorded answers are compared, and the recordings."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAAS = ROOT / "tests/conformance/maas"
RECORDINGS = MAAS / "recordings"
# Whoever loads a recording by its name; those of requests and commands are replayed all.
READERS = [*MAAS.glob("*.py"), ROOT / "lab/tests/unit/test_recorded_answers.py"]
ROW = re.compile(r"\| `([\w/-]+)` \| (\d+) \| (\d*) ?\| (\d+) \| (.*?) \|(.*)\|")
SHARE = 95


@dataclass(frozen=True)
class Row:
    recorded: int
    artefacts: int
    compared: int
    share: str
    left_out: str

    @property
    def answers(self) -> int:
        """How many there are to compare."""
        return self.recorded - self.artefacts


def table() -> dict[str, Row]:
    lines = map(ROW.fullmatch, (MAAS / "README.md").read_text().splitlines())
    return {
        line[1]: Row(int(line[2]), int(line[3] or 0), int(line[4]), line[5], line[6].strip())
        for line in lines
        if line
    }


def in_tree() -> dict[str, list[Path]]:
    """Return the recordings of each directory."""
    found: dict[str, list[Path]] = {}
    for path in sorted(RECORDINGS.rglob("*.json")):
        found.setdefault(str(path.parent.relative_to(RECORDINGS)), []).append(path)
    return found


def of_another_version(path: Path) -> bool:
    """Tell whether the answer stands in for an artefact."""
    return "response_of" in json.loads(path.read_text())


def test_every_directory_has_its_row():
    rows = table()
    assert set(in_tree()) == {name for name, row in rows.items() if row.compared}


@pytest.mark.parametrize(("name", "row"), table().items(), ids=table())
def test_row_counts_what_is_there(name: str, row: Row):
    paths = in_tree().get(name, [])
    replaced = [path for path in paths if of_another_version(path)]
    assert row.compared == len(paths) - len(replaced)
    assert len(replaced) <= row.artefacts
    assert row.share == (f"{100 * row.compared // row.answers} %" if row.answers else "none")


@pytest.mark.parametrize(("name", "row"), table().items(), ids=table())
def test_what_is_left_out_is_named_with_its_reason(name: str, row: Row):
    named = re.findall(r"`([\w-]+)`: \w+", row.left_out)
    assert len(named) == row.answers - row.compared
    there = {path.stem for path in in_tree().get(name, [])}
    assert not there & set(named)
    # In a small directory a single answer is more than what may be left out: it says so.
    misses = f"**`{name}` misses it**" in (MAAS / "README.md").read_text()
    assert misses is (row.compared * 100 < SHARE * row.answers)
    assert not misses or len(named) == 1


def test_every_recording_that_is_no_request_or_command_is_read_by_a_test():
    texts = "".join(path.read_text() for path in READERS)
    for name, paths in in_tree().items():
        if name.partition("/")[0] not in ("cli", "http"):
            unread = [path.stem for path in paths if f'"{name}/{path.stem}"' not in texts]
            assert not unread, name
