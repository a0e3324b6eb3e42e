# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
import hashlib
from pathlib import Path

import pytest

from charmed_maas import given


@pytest.fixture(autouse=True)
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the two files that a daemon reads."""
    for name in ("conf", "certificate"):
        (tmp_path / name).write_text(f"{name}\n")
    monkeypatch.setattr("charmed_maas.files.os.fchown", lambda *_: None)
    monkeypatch.setattr("charmed_maas.files.os.chown", lambda *_: None)
    return tmp_path


def give(etc: Path, *, killed: bool = False) -> None:
    """Tell the daemon of its files; the hook may be killed before it has done all."""
    with contextlib.suppress(KeyboardInterrupt), given.noted(etc / "note", *read(etc)):
        if killed:
            raise KeyboardInterrupt


def read(etc: Path) -> list[Path]:
    return [etc / "conf", etc / "certificate"]


def is_current(etc: Path) -> bool:
    return given.is_current(etc / "note", *read(etc))


def test_a_daemon_has_what_it_was_given_until_a_file_changes(etc: Path):
    assert not is_current(etc)
    give(etc)
    assert is_current(etc)
    (etc / "certificate").write_text("another\n")
    assert not is_current(etc)


def test_what_a_killed_hook_only_wrote_is_given_by_the_next(etc: Path):
    give(etc)
    (etc / "conf").write_text("other\n")
    give(etc, killed=True)
    assert not is_current(etc)
    give(etc)
    assert is_current(etc)


def test_what_was_before_a_killed_hook_is_given_again(etc: Path):
    """The daemon may have been told; then the configuration goes back to what was noted."""
    give(etc)
    (etc / "conf").write_text("other\n")
    give(etc, killed=True)
    (etc / "conf").write_text("conf\n")
    assert not is_current(etc)


def test_what_is_written_while_the_daemon_is_told_counts_as_not_given(etc: Path):
    with given.noted(etc / "note", *read(etc)):
        (etc / "conf").write_text("written meanwhile\n")
    assert not is_current(etc)


def test_the_note_of_a_charm_before_is_understood(etc: Path):
    (etc / "note").write_text(hashlib.sha256(b"conf\n").hexdigest())
    assert given.is_current(etc / "note", etc / "conf")


def test_looking_writes_nothing(etc: Path):
    give(etc)
    before = (etc / "note").stat()
    assert is_current(etc)
    after = (etc / "note").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_nobody_but_root_reads_what_is_known_of_a_file_with_secrets(etc: Path):
    give(etc)
    assert (etc / "note").stat().st_mode & 0o777 == 0o600
