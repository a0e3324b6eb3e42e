# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import sys
from pathlib import Path
from unittest.mock import create_autospec

import pytest

import timers
import upkeep
import watched
from charmed_maas import systemd, watchdog_timer


def test_both_timers_come_and_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    watchdog = create_autospec(watchdog_timer)
    monkeypatch.setattr(timers, "watchdog_timer", watchdog)
    monkeypatch.setattr(systemd, "UNITS", tmp_path)
    monkeypatch.setattr(systemd, "ensure_running", create_autospec(systemd.ensure_running))
    monkeypatch.setattr(systemd, "_do", lambda *_: None)
    monkeypatch.setattr("charmed_maas.files.os.fchown", lambda *_: None)
    timers.ensure()
    text = (tmp_path / "postgresql-ha-reconcile.service").read_text()
    assert f"ExecStart={sys.executable} {upkeep.__file__}\n" in text
    assert f"PYTHONPATH={Path(systemd.__file__).parents[1]}\n" in text
    assert f"ConditionPathExists={upkeep.__file__}\n" in text, "a forced removal leaves it"
    assert "OnUnitInactiveSec=15\n" in (tmp_path / "postgresql-ha-reconcile.timer").read_text()
    watchdog.ensure.assert_called_once_with("postgresql-ha", watched.__file__)
    timers.remove()
    watchdog.remove.assert_called_once_with("postgresql-ha")
    assert not list(tmp_path.iterdir())
