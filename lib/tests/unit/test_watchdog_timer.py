# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import sys
from pathlib import Path

import pytest

from charmed_maas import systemd, watchdog_timer

MODULE = "/var/lib/juju/agents/unit-x-0/charm/src/watched.py"


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine whose systemd does nothing."""
    monkeypatch.setattr(systemd, "_do", lambda *_: None)
    monkeypatch.setattr(systemd, "_ask", lambda *_: "")
    monkeypatch.setattr(systemd, "UNITS", tmp_path)
    monkeypatch.setattr(watchdog_timer, "RUN", tmp_path)
    monkeypatch.setattr("charmed_maas.files.os.fchown", lambda *_: None)
    monkeypatch.setattr("charmed_maas.files.os.chown", lambda *_: None)


def test_the_timer_runs_the_charms_module_with_the_library(tmp_path: Path):
    assert watchdog_timer.ensure("x", MODULE)
    text = (tmp_path / "x-watchdog.service").read_text()
    assert f"ExecStart={sys.executable} -S {MODULE}\n" in text
    library = Path(watchdog_timer.__file__).parents[1]
    assert f"Environment=PYTHONPATH={library}\n" in text
    assert "OnUnitActiveSec=10\n" in (tmp_path / "x-watchdog.timer").read_text()


def test_removal_leaves_nothing(tmp_path: Path):
    assert not watchdog_timer.remove("x")
    watchdog_timer.ensure("x", MODULE)
    (tmp_path / "x-watchdog").write_text("")
    assert watchdog_timer.remove("x")
    assert list(tmp_path.iterdir()) == []
