# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import subprocess
from pathlib import Path
from typing import Any

import pytest

from charmed_lab import console, image
from charmed_lab.console import StepError

LOGIN = "https://user:secret@index.invalid/simple"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(console, "LOG", tmp_path / "commands.log")
    return tmp_path / "commands.log"


def test_the_log_is_its_owners_and_knows_no_login(log: Path):
    log.touch(0o644)
    with pytest.raises(StepError, match=r"in vain \(no https://index.invalid/simple;"):
        script = f"echo {LOGIN}; echo no {LOGIN} >&2; exit 1"
        console.run(["sh", "-c", script], otherwise="in vain")
    assert log.stat().st_mode & 0o777 == 0o600
    text = log.read_text()
    assert "https://index.invalid/simple" in text
    assert "secret" not in text


def test_a_script_is_on_no_command_line(log: Path, monkeypatch: pytest.MonkeyPatch):
    run, ran = subprocess.run, list[list[str]]()

    def here(argv: list[str], **more: Any) -> Any:
        ran.append(argv)
        return run(argv[argv.index("--") + 1 :], **more)

    monkeypatch.setattr(console.subprocess, "run", here)
    script = f"set -e; export INDEX='{LOGIN}'; cat; echo $INDEX; false; echo went on"
    with pytest.raises(StepError, match="in vain"):
        image.execute("golden", script, otherwise="in vain")
    assert "secret" not in str(ran)
    assert "went on\n" not in log.read_text().partition("$ ")[2]
    assert image.execute("golden", script.replace("false", "true"), otherwise="") == (
        f"{LOGIN}\nwent on\n"
    )
