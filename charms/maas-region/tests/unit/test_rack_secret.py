# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import stat
from pathlib import Path

import pytest

import rack_secret
import region

OLD, NEW, NEWER = "00" * 16, "11" * 16, "22" * 16


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the notes are; MAAS has been started just now, its file has the old secret."""
    for name in ("TAKEN", "WAITING"):
        monkeypatch.setattr(rack_secret, name, tmp_path / name)
    monkeypatch.setattr(region, "shared_secret", lambda: OLD)
    monkeypatch.setattr(region, "age_s", lambda: 0.0)
    return tmp_path


def _nobody(_: str) -> bool:
    return False


def test_racks_that_never_follow_are_waited_for_so_long(monkeypatch: pytest.MonkeyPatch):
    now = [1000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    assert not rack_secret.must_take(NEW, _nobody)
    now[0] += rack_secret.MAX_WAIT_S - 1
    assert not rack_secret.must_take(NEW, _nobody)
    now[0] += 2
    assert rack_secret.must_take(NEW, _nobody)
    assert not rack_secret.must_take(NEWER, _nobody), "for each secret anew"


def test_a_wait_that_began_while_the_clock_was_ahead_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
):
    now = [90000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    rack_secret.must_take(NEW, _nobody)
    now[0] = 1000.4
    assert not rack_secret.must_take(NEW, _nobody)
    now[0] += rack_secret.MAX_WAIT_S + 1
    assert rack_secret.must_take(NEW, _nobody)


def test_nobody_is_asked_while_nothing_changes():
    assert not rack_secret.must_take(OLD, lambda _: pytest.fail("asked"))


def _start(secret: str) -> None:
    with rack_secret.noted(secret):
        pass


def test_what_was_taken_is_taken_once(folder: Path):
    _start(NEW)
    assert not rack_secret.must_take(NEW, lambda _: True)
    assert rack_secret.must_take(NEWER, lambda _: True)


def test_no_note_holds_a_secret(folder: Path):
    rack_secret.must_take(NEW, _nobody)
    waiting = rack_secret.WAITING.read_text()
    _start(NEW)
    assert not rack_secret.WAITING.exists()
    assert NEW not in waiting + rack_secret.TAKEN.read_text()
    assert stat.S_IMODE(rack_secret.TAKEN.stat().st_mode) == 0o600


def test_the_note_goes_before_the_file_that_a_rack_may_write(monkeypatch: pytest.MonkeyPatch):
    _start(OLD)
    monkeypatch.setattr(region, "shared_secret", lambda: NEW)
    assert rack_secret.has_taken(OLD)
    assert not rack_secret.has_taken(NEW)
    assert rack_secret.must_take(NEW, lambda _: True)


def test_the_first_secret_is_noted_once_maas_has_made_it(monkeypatch: pytest.MonkeyPatch):
    _start("")
    assert rack_secret.has_taken(OLD)
    monkeypatch.setattr(region, "shared_secret", lambda: NEW)
    assert not rack_secret.has_taken(NEW)


def test_a_regiond_that_went_on_has_taken_nothing(monkeypatch: pytest.MonkeyPatch):
    _start(OLD)
    monkeypatch.setattr(region, "age_s", lambda: 600.0)
    _start(NEW)
    assert rack_secret.has_taken(OLD)
