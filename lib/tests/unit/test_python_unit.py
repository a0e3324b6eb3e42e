# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import sys
from pathlib import Path
from unittest import mock

import pytest

from charmed_maas import python_unit, systemd

MODULE = "/var/lib/juju/agents/unit-x-0/charm/src/job.py"
TIMER = "x-job.timer"


@pytest.fixture
def did(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, ...]]:
    """What systemd is told; templates beside the unit files."""
    did: list[tuple[str, ...]] = []
    (tmp_path / "units").mkdir()
    (tmp_path / "job.service.j2").write_text("{{ python }} {{ path }} {{ module }} {{ of }}\n")
    (tmp_path / "job.timer.j2").write_text("every minute\n")
    monkeypatch.setattr(systemd, "UNITS", tmp_path / "units")
    monkeypatch.setattr(systemd, "_do", lambda *words: did.append(words))
    monkeypatch.setattr(systemd, "ensure_running", mock.create_autospec(systemd.ensure_running))
    monkeypatch.setattr("charmed_maas.files.os.fchown", lambda *_: None)
    monkeypatch.setattr("charmed_maas.files.os.chown", lambda *_: None)
    return did


def ensure(tmp_path: Path) -> bool:
    with mock.patch.object(systemd, "ensure_running", return_value=False) as run:
        changed = python_unit.ensure("x-job", tmp_path / "job", MODULE, of="x")
    run.assert_called_once_with(TIMER)
    return changed


def test_a_timer_is_made_once(did: list[tuple[str, ...]], tmp_path: Path):
    assert ensure(tmp_path)
    library = Path(python_unit.__file__).parents[1]
    text = (tmp_path / "units/x-job.service").read_text()
    assert text == f"{sys.executable} {library} {MODULE} x\n"
    assert did == [("daemon-reload",), ("restart", TIMER)]
    assert not ensure(tmp_path)
    assert len(did) == 2


def test_a_timer_that_a_killed_hook_only_wrote_is_made_by_the_next(
    did: list[tuple[str, ...]], tmp_path: Path
):
    with (
        mock.patch.object(systemd, "restart", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        ensure(tmp_path)
    did.clear()
    assert ensure(tmp_path)
    assert did == [("daemon-reload",), ("restart", TIMER)]


def test_a_timer_that_was_stopped_is_started(did: list[tuple[str, ...]], tmp_path: Path):
    ensure(tmp_path)
    with mock.patch.object(systemd, "ensure_running", return_value=True):
        assert python_unit.ensure("x-job", tmp_path / "job", MODULE, of="x")


def test_a_socket_starts_a_service_for_each_connection(did: list[tuple[str, ...]], tmp_path: Path):
    (tmp_path / "job@.service.j2").write_text("{{ python }} {{ module }}\n")
    (tmp_path / "job.socket.j2").write_text("{{ port }}\n")
    assert python_unit.ensure("x-job", tmp_path / "job", MODULE, by="socket", port=7913)
    units = {one.name: one.read_text() for one in (tmp_path / "units").iterdir()}
    assert units["x-job@.service"] == f"{sys.executable} {MODULE}\n"
    assert units["x-job.socket"] == "7913\n"
    assert did == [("daemon-reload",), ("restart", "x-job.socket")]
    assert python_unit.remove("x-job", by="socket")
    assert not list((tmp_path / "units").iterdir())


def test_removal_leaves_nothing(did: list[tuple[str, ...]], tmp_path: Path):
    assert not python_unit.remove("x-job")
    assert did == []
    ensure(tmp_path)
    did.clear()
    assert python_unit.remove("x-job")
    assert did == [("disable", "--quiet", "--now", TIMER), ("daemon-reload",)]
    assert not list((tmp_path / "units").iterdir())
