# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import getpass
from pathlib import Path

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
    assert [one.name for one in tmp_path.iterdir()] == ["x"]
    assert path.read_text() == "old"


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
