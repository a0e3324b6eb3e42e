# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from pathlib import Path

import pytest

import cluster
import paths
import remembered

KEYS = cluster.Keys("", "", "", "", "", rest="pw")
ME = cluster.Unit("postgresql-ha/0", "10.0.0.1")
PEER = cluster.Unit("postgresql-ha/1", "10.0.0.2")


@pytest.fixture(autouse=True)
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this machine's member be that of postgresql-ha/0."""
    monkeypatch.setattr(paths, "MEMBER", tmp_path / "member.json")
    monkeypatch.setattr("charmed_maas.files.os.fchown", lambda *_: None)
    remembered.write(cluster.Spec(ME, (PEER,), "postgresql-ha", KEYS))


def test_a_unit_leaves_by_what_it_wrote_down():
    found = remembered.spec("postgresql-ha/0")
    assert found == cluster.Spec(ME, (PEER,), "postgresql-ha", KEYS)


def test_a_unit_never_leaves_for_another_ones_member_on_its_machine():
    assert remembered.spec("second/0") is None
    assert remembered.is_anothers("second/0")


def test_where_nothing_was_written_nobody_leaves(tmp_path: Path):
    (tmp_path / "member.json").unlink()
    assert remembered.spec("postgresql-ha/0") is None
    assert not remembered.is_anothers("second/0")
