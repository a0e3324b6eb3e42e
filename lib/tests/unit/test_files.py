# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import getpass
import os
from pathlib import Path
from typing import Any

import jinja2
import pytest

from charmed_maas import files

ME = getpass.getuser()


def test_ensure_file_writes_once(tmp_path: Path):
    path = tmp_path / "etc" / "x.conf"
    assert files.ensure_file(path, "a\n", mode=0o640, owner=ME)
    before = path.stat()
    assert not files.ensure_file(path, "a\n", mode=0o640, owner=ME)
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert after.st_mode & 0o777 == 0o640


def test_ensure_file_mends_the_mode_alone(tmp_path: Path):
    path = tmp_path / "x"
    files.ensure_file(path, "a", mode=0o600, owner=ME)
    inode = path.stat().st_ino
    path.chmod(0o666)
    assert files.ensure_file(path, "a", mode=0o600, owner=ME)
    assert path.stat().st_ino == inode
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_is_replaced_and_what_it_leads_to_is_left_alone(tmp_path: Path):
    path, target = tmp_path / "x", tmp_path / "target"
    target.write_text("a")
    target.chmod(0o600)
    path.symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        files.ensure_access(path, mode=0o644, owner=ME)
    assert files.ensure_file(path, "a", mode=0o644, owner=ME)
    assert not path.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o644
    assert target.stat().st_mode & 0o777 == 0o600
    assert not files.ensure_no_link(path)
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    assert files.ensure_no_link(path)
    assert not path.is_symlink()


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_who_swaps_a_file_for_a_link_meanwhile_is_not_given_what_it_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, target = tmp_path / "x", tmp_path / "target"
    path.write_text("a")
    target.write_text("a")
    open_itself = os.open

    def swap(*arguments: Any, **given: Any) -> int:
        handle = open_itself(*arguments, **given)
        path.unlink()
        path.symlink_to(target)
        return handle

    monkeypatch.setattr("os.open", swap)
    files.ensure_file(path, "a", mode=0o640, owner="nobody")
    files.ensure_no_link(path)
    path.write_text("a")
    files.ensure_access(path, mode=0o640, owner="nobody")
    assert (target.stat().st_uid, target.stat().st_mode & 0o777) == (0, 0o644)


def test_a_pipe_is_replaced_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "x")
    assert files.ensure_file(tmp_path / "x", "a", owner=ME)
    assert (tmp_path / "x").read_text() == "a"


def test_access_is_mended_whatever_a_file_says(tmp_path: Path):
    path = tmp_path / "x"
    path.write_text("a")
    path.chmod(0o600)
    assert files.ensure_access(path, mode=0o640, owner=ME)
    assert not files.ensure_access(path, mode=0o640, owner=ME)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("a", 0o640)


def test_a_failed_write_leaves_the_old_file_and_no_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "x"
    files.ensure_file(path, "old", owner=ME)

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="space"):
        files.ensure_file(path, "new", owner=ME)
    with pytest.raises(OSError, match="space"):
        files.rewrite(path, b"new")
    assert [one.name for one in tmp_path.iterdir()] == ["x"]
    assert path.read_text() == "old"


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_rewritten_file_is_another_of_the_same_mode_owner_and_group(tmp_path: Path):
    path = tmp_path / "x"
    path.write_bytes(b"old \xff")
    path.chmod(0o640)
    os.chown(path, 1234, 4321)
    before = path.stat()
    files.rewrite(path, b"new \xff")
    after = path.stat()
    assert path.read_bytes() == b"new \xff"
    assert after.st_ino != before.st_ino
    assert (after.st_mode & 0o7777, after.st_uid, after.st_gid) == (0o640, 1234, 4321)


def test_ensure_absent(tmp_path: Path):
    path = tmp_path / "x"
    path.touch()
    assert files.ensure_absent(path)
    assert not files.ensure_absent(path)


def test_render_refuses_a_missing_value(tmp_path: Path):
    (tmp_path / "t.j2").write_text("{{ one }} {{ two }}\n")
    assert files.render(tmp_path / "t.j2", one=1, two=2) == "1 2\n"
    with pytest.raises(jinja2.UndefinedError):
        files.render(tmp_path / "t.j2", one=1)
