# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from pathlib import Path

import pytest

from charmed_maas import agents


def test_a_unit_is_here_while_its_agent_has_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(agents, "AGENTS", tmp_path)
    assert not agents.is_here("haproxy-vip/10")
    (tmp_path / "unit-haproxy-vip-10").mkdir()
    assert agents.is_here("haproxy-vip/10")
    assert not agents.is_here("haproxy-vip/1")
