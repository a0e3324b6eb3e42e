# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import sys
from pathlib import Path

import pytest

from charmed_lab import down, host, lxd


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "root"
    (root / "test").mkdir(parents=True)
    monkeypatch.setattr(down, "ROOT", root)
    monkeypatch.setattr(sys, "argv", ["lab/down"])
    monkeypatch.setattr(host, "require_root", lambda: None)
    monkeypatch.setattr(host, "ensure_lxd", lambda: None)
    monkeypatch.delenv("LAB_STAGE", raising=False)
    return root


def test_without_lxd_only_files_are_removed(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lxd, "is_answering", lambda: False)
    monkeypatch.setattr(down.shutil, "which", lambda _: None)
    assert down.command() == 0
    assert not root.exists()


def test_another_stage_keeps_the_caches_and_is_named_with_its_command(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(lxd, "is_answering", lambda: True)
    monkeypatch.setattr(down, "take_down", lambda _: None)
    assert down.command() == 0
    assert "`sudo LAB_STAGE=test lab/down` removes stage test" in capsys.readouterr().out
    assert root.exists()
