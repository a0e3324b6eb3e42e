# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from unittest.mock import call, create_autospec

import pytest

import systemd
import timers
import watched
from charmed_maas import watchdog_timer


def test_both_timers_come_and_go(monkeypatch: pytest.MonkeyPatch):
    units, watchdog = create_autospec(systemd), create_autospec(watchdog_timer)
    monkeypatch.setattr(timers, "systemd", units)
    monkeypatch.setattr(timers, "watchdog_timer", watchdog)
    timers.ensure()
    units.ensure_timer.assert_called_once_with(timers.SERVICE, timers.TIMER)
    watchdog.ensure.assert_called_once_with("postgresql-ha", watched.__file__)
    timers.remove()
    watchdog.remove.assert_called_once_with("postgresql-ha")
    assert units.ensure_absent.mock_calls == [call(timers.TIMER), call(timers.SERVICE)]
