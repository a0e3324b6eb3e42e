# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import errno
import os
import pwd
from pathlib import Path
from unittest.mock import MagicMock, create_autospec

import pytest

import pgdata

ASIDE, ROOT = pgdata.ASIDE, pgdata.ROOT
ID = "7711148789758909984"
CONTROL = """pg_control version number:            1700
Database system identifier:           {id}
Latest checkpoint location:           {checkpoint}
Latest checkpoint's TimeLineID:       {timeline}
Minimum recovery ending location:     {recovery}
Min recovery ending loc's timeline:   {recovered}
"""
# Prints the records that follow the checkpoint, two at most, as it is asked to.
WALDUMP = """#!/bin/sh
case "$*" in
  *--start=0/5244B70\\ --end=0/5244BE8\\ --timeline=3\\ --limit=2) cat "${1#--path=}/records" ;;
  *) echo "pg_waldump: error: invalid WAL location" >&2; exit 1 ;;
esac
"""
CHECKPOINT = "rmgr: XLOG        len (rec/tot):    114/   114, tx: 0, lsn: 0/05244B70, shutdown\n"
COMMIT = "rmgr: Transaction len (rec/tot):     46/    46, tx: 751, lsn: 0/05244BE8, COMMIT\n"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's directories under a temporary one, owned by who runs the tests."""
    monkeypatch.setattr(pgdata, "POSTGRESQL", tmp_path / "lib")
    monkeypatch.setattr(pgdata, "ROOT", tmp_path / "data")
    monkeypatch.setattr(pgdata, "ASIDE", tmp_path / "data/removed")
    account = pwd.getpwuid(Path.home().stat().st_uid)
    monkeypatch.setattr(pgdata.pwd, "getpwnam", lambda _name: account)
    for major in ("15", "17"):
        programs = tmp_path / "lib" / major / "bin"
        programs.mkdir(parents=True)
        (programs / "postgres").touch()
        tool = programs / "pg_controldata"
        tool.write_text('#!/bin/sh\ncat "$1/global/pg_control"\n')
        tool.chmod(0o755)
        tool = programs / "pg_waldump"
        tool.write_text(WALDUMP)
        tool.chmod(0o755)
    return tmp_path


def make(
    path: Path,
    *,
    timeline: int = 1,
    lsn: str = "0/500",
    recovery: str = "0/0",
    recovered: int = 0,
) -> Path:
    (path / "global").mkdir(parents=True)
    (path / "PG_VERSION").write_text("17\n")
    recovered = 0 if recovery == "0/0" else recovered or timeline
    control = CONTROL.format(
        id=ID, checkpoint=lsn, timeline=timeline, recovery=recovery, recovered=recovered
    )
    (path / "global" / "pg_control").write_text(control)
    (path / "row").write_text("kept")
    return path


def test_the_newest_version_is_used_and_old_data_keeps_its_own(root: Path):
    assert pgdata.version() == "17"
    assert pgdata.path("pg") == root / "data/17/pg"
    make(root / "data/15/pg")
    (root / "data/15/pg/PG_VERSION").write_text("15\n")
    assert pgdata.path("pg") == root / "data/15/pg"
    assert pgdata.binaries(pgdata.path("pg")) == root / "lib/15/bin"


def test_data_says_whose_it_is_and_how_far_it_goes(root: Path):
    data = make(root / "data/17/pg", timeline=3, lsn="1/10", recovery="0/FFFFFFFF")
    assert pgdata.cluster_id(data) == ID
    assert pgdata.position(data) == (3, (1 << 32) + 16)
    assert pgdata.cluster_id(root / "nowhere") == ""


def test_data_is_set_aside_and_put_back_whole(root: Path):
    data = make(root / "data/17/pg")
    moved = pgdata.set_aside(data, [])
    assert moved and not data.exists()
    assert moved.parent.parent == root / "data/removed"
    (copy,) = pgdata.copies(ID)
    assert (copy.path, copy.timeline, copy.went_on) == (str(moved), 1, [])
    assert pgdata.copies("8") == []
    assert pgdata.put_back(copy, "pg") == data
    assert (data / "row").read_text() == "kept"
    assert pgdata.copies(ID) == []


def test_setting_aside_again_does_nothing(root: Path):
    assert pgdata.set_aside(root / "data/17/pg", []) is None


@pytest.mark.parametrize(
    ("records", "lsn"),
    [(CHECKPOINT, 0x5244B70), (CHECKPOINT + COMMIT, 0x5244BE8), ("", 0x5244BE8)],
)
def test_a_replica_that_ends_with_its_primarys_last_checkpoint_goes_as_far_as_that(
    root: Path, records: str, lsn: int
):
    """Figures of PostgreSQL 17: a primary that was shut down, and its synchronous replica."""
    primary = make(root / "elsewhere", timeline=3, lsn="0/5244B70")
    replica = make(root / "data/17/pg", timeline=3, lsn="0/5244B70", recovery="0/5244BE8")
    (replica / "pg_wal").mkdir()
    (replica / "pg_wal" / "records").write_text(records)
    assert pgdata.position(primary) == (3, 0x5244B70)
    assert pgdata.position(replica) == (3, lsn)


def test_a_replicas_wal_that_cannot_be_read_is_no_reason_to_take_less(root: Path):
    replica = make(root / "data/17/pg", timeline=3, lsn="0/5244A00", recovery="0/5244BE8")
    assert pgdata.position(replica) == (3, 0x5244BE8)
    (root / "lib/17/bin/pg_waldump").unlink()
    assert pgdata.position(replica) == (3, 0x5244BE8)


def test_a_replica_that_followed_to_another_timeline_goes_as_far_as_it_replayed(root: Path):
    data, recovery = root / "data/17/pg", "0/5244BE8"
    replica = make(data, timeline=3, lsn="0/5244B70", recovery=recovery, recovered=4)
    (replica / "pg_wal").mkdir()
    (replica / "pg_wal" / "records").write_text(CHECKPOINT)
    assert pgdata.position(replica) == (4, 0x5244BE8)


def test_the_newest_copy_is_last(root: Path, monkeypatch: pytest.MonkeyPatch):
    for second, (timeline, lsn) in enumerate([(2, "0/10"), (1, "F/0"), (2, "0/9")]):
        data = make(root / "data/17/pg", timeline=timeline, lsn=lsn)
        monkeypatch.setattr(pgdata.time, "strftime", lambda *_, n=second: f"T{n}")
        pgdata.set_aside(data, ["postgresql-ha/1"])
    assert [(one.timeline, one.lsn) for one in pgdata.copies(ID)] == [
        (1, 15 << 32),
        (2, 9),
        (2, 16),
    ]


def test_data_is_never_put_back_over_other_data(root: Path):
    pgdata.set_aside(make(root / "data/17/pg"), [])
    make(root / "data/17/pg")
    with pytest.raises(pgdata.PgdataError, match="has data already"):
        pgdata.put_back(pgdata.copies(ID)[0], "pg")


def test_data_elsewhere_is_looked_at_first(root: Path):
    source = make(root / "elsewhere")
    assert pgdata.inspect(source, ID).path == str(source)
    with pytest.raises(pgdata.PgdataError, match=f"is of the cluster {ID}, not 8"):
        pgdata.inspect(source, "8")
    with pytest.raises(pgdata.PgdataError, match="holds no data"):
        pgdata.inspect(root, ID)
    (source / "postmaster.pid").touch()
    with pytest.raises(pgdata.PgdataError, match="stop the PostgreSQL"):
        pgdata.inspect(source, ID)


@pytest.mark.parametrize(("pid", "is_there"), [("4194305", False), (str(os.getpid()), True)])
def test_a_postgresql_that_died_with_its_machine_does_not_keep_its_data_from_being_adopted(
    root: Path, pid: str, *, is_there: bool
):
    data = make(root / "data/17/pg")
    (data / "postmaster.pid").write_text(f"{pid}\n{data}\n")
    moved = pgdata.set_aside(data, [])
    assert moved
    assert (moved / "postmaster.pid").exists() is is_there
    if not is_there:
        assert pgdata.inspect(moved, ID).path == str(moved)


def test_data_of_a_version_that_is_not_installed_is_refused(root: Path):
    source = make(root / "elsewhere")
    (root / "lib/17/bin/postgres").unlink()
    with pytest.raises(pgdata.PgdataError, match="needs PostgreSQL 17"):
        pgdata.inspect(source, ID)


def test_data_stays_on_its_file_system():
    assert ASIDE.is_relative_to(ROOT)


def test_data_is_moved_and_never_copied(root: Path, monkeypatch: pytest.MonkeyPatch):
    data = make(root / "data/17/pg")

    def other_disk(_self: Path, _target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "rename", other_disk)
    with pytest.raises(pgdata.PgdataError, match="cannot be set aside: Invalid cross-device link"):
        pgdata.set_aside(data, [])
    assert (data / "row").read_text() == "kept"
    assert pgdata.copies(ID) == []


def test_what_is_in_the_way_is_moved_aside_too(root: Path):
    data = make(root / "data/17/pg")
    moved = pgdata.set_aside(data, [])
    (data / "base").mkdir(parents=True)
    (data / "base/half").write_text("of another member's")
    assert pgdata.put_back(pgdata.copies(ID)[0], "pg") == data
    assert moved and not moved.exists()
    assert (data / "row").read_text() == "kept"
    assert [one.read_text() for one in root.glob("data/removed/unknown-*/17/base/half")] == [
        "of another member's"
    ]


def test_data_that_cannot_be_copied_is_a_sentence(root: Path, monkeypatch: pytest.MonkeyPatch):
    source = make(root / "elsewhere")
    monkeypatch.setattr(
        pgdata.commands, "run", create_autospec(pgdata.commands.run, side_effect=refuse)
    )
    copy = pgdata.Copy(1, 1, str(source), ID)
    with pytest.raises(pgdata.PgdataError, match=r"cannot be put to .*: cp exited with 1"):
        pgdata.put_back(copy, "pg")


def refuse(argv: list[str], **_: object) -> object:
    if argv[0] == "/bin/cp":
        raise pgdata.commands.CommandError("cp exited with 1: No space left on device")
    return MagicMock(stdout="")


def test_a_version_file_that_a_power_loss_left_empty_breaks_nothing(root: Path):
    data = pgdata.ROOT / "17/postgresql-ha"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("")
    assert pgdata.path("postgresql-ha") == data


@pytest.mark.parametrize("is_there", [True, False])
def test_where_no_data_is_none_of_an_unknown_cluster_is_kept(root: Path, is_there: bool):
    data = root / "data/17/postgresql-ha"
    if is_there:
        data.mkdir(parents=True)
    assert pgdata.keep_unknown(data) is None
    assert not (root / "data/removed").exists()
    assert data.exists() is is_there


def test_data_of_an_unknown_cluster_is_moved_aside(root: Path):
    data = root / "data/17/postgresql-ha"
    (data / "base").mkdir(parents=True)
    moved = pgdata.keep_unknown(data)
    assert moved
    assert (moved / "base").is_dir()
    assert not data.exists()
