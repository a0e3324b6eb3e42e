# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from pathlib import Path
from typing import Any

import pytest

from charmed_lab import apt_repo, console
from charmed_lab.stage import Stage


def test_a_repository_that_was_cut_short_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def build(argv: list[Any], **_: object) -> str:
        if argv[0] == apt_repo.STANDIN / "build":
            (argv[1] / "maas.deb").touch()
        return "Package: maas\n"

    def killed(_: Path, target: Path) -> None:
        raise KeyboardInterrupt(target.name)

    monkeypatch.setattr("charmed_lab.stage.ROOT", tmp_path)
    monkeypatch.setattr(console, "run", build)
    stage = Stage()
    apt_repo.ensure(stage)
    (stage.apt / "sources").write_text("of older sources")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", killed)
        apt_repo.ensure(stage)
    assert not (stage.apt / "sources").exists()
    apt_repo.ensure(stage)
    assert {path.name for path in stage.apt.iterdir()} == {"Packages", "maas.deb", "sources"}
    monkeypatch.setattr(console, "run", lambda *_, **__: pytest.fail("built again"))
    apt_repo.ensure(stage)
