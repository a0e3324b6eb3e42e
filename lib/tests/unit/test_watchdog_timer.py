# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import sys
from pathlib import Path
from unittest import mock

import pytest

from charmed_maas import systemd, watchdog_timer

MODULE = "/var/lib/juju/agents/unit-x-0/charm/src/watched.py"


@pytest.fixture
def systemctl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> mock.MagicMock:
    fake = mock.create_autospec(systemd)
    fake.enable.return_value = False
    monkeypatch.setattr(watchdog_timer, "systemd", fake)
    monkeypatch.setattr(watchdog_timer, "UNITS", tmp_path)
    monkeypatch.setattr(watchdog_timer, "RUN", tmp_path)
    monkeypatch.setattr("charmed_maas.files.os.fchown", lambda *_: None)
    monkeypatch.setattr("charmed_maas.files.os.chown", lambda *_: None)
    return fake


def did(systemctl: mock.MagicMock) -> list[str]:
    return [name for name, *_ in systemctl.mock_calls if "is_running" not in name]


def test_a_timer_is_made_once(systemctl: mock.MagicMock, tmp_path: Path):
    assert watchdog_timer.ensure("x", MODULE)
    assert did(systemctl) == ["daemon_reload", "enable", "restart"]
    text = (tmp_path / "x-watchdog.service").read_text()
    assert f"ExecStart={sys.executable} -S {MODULE}\n" in text
    library = Path(watchdog_timer.__file__).parents[1]
    assert f"Environment=PYTHONPATH={library}\n" in text
    systemctl.reset_mock()
    assert not watchdog_timer.ensure("x", MODULE)
    assert did(systemctl) == ["enable"]


def test_a_timer_that_was_stopped_is_started(systemctl: mock.MagicMock):
    watchdog_timer.ensure("x", MODULE)
    systemctl.is_running.return_value = False
    assert watchdog_timer.ensure("x", MODULE)
    systemctl.start.assert_called_once_with("x-watchdog.timer")


def test_removal_leaves_nothing(systemctl: mock.MagicMock, tmp_path: Path):
    assert not watchdog_timer.remove("x")
    systemctl.stop.assert_not_called()
    watchdog_timer.ensure("x", MODULE)
    (tmp_path / "x-watchdog").write_text("")
    assert watchdog_timer.remove("x")
    systemctl.stop.assert_called_once_with("x-watchdog.timer")
    systemctl.disable.assert_called_once_with("x-watchdog.timer")
    assert list(tmp_path.iterdir()) == []
