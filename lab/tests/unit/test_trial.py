# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from charmed_lab import checks, console, down, host, juju, trial, up
from charmed_lab.checks import Count
from charmed_lab.stage import Stage


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the stage, in order."""
    said: list[str] = []
    for module, names in (
        (host, ("ensure_lxd",)),
        (juju, ("ensure_daemon", "run")),
        (up, ("prepare", "place")),
        (down, ("take_down", "keep_logs")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, lambda *_, name=name, **__: said.append(name))
    monkeypatch.setattr(down, "remains", lambda _: [])
    return said


TURNS = [[(trial.CONFORMANCE,)], [(trial.DEPLOY,), (trial.STANDIN,)], [trial.REST]]


@pytest.mark.parametrize(
    ("failing", "told"), [(trial.CONFORMANCE, 4), (trial.DEPLOY, 3), (trial.STANDIN, 4)]
)
def test_only_a_bundle_that_does_not_come_up_ends_the_telling(
    done: list[str], monkeypatch: pytest.MonkeyPatch, failing: str, told: int
):
    def tell(*arguments: str, **_: object) -> Count:
        return Count(0, 1) if failing in arguments else Count(1, 0)

    monkeypatch.setattr(checks, "pytest", tell)
    assert trial.run_lab(Stage("test"), TURNS) == Count(told, 1)
    assert done[-2:] == ["keep_logs", "take_down"]


@pytest.mark.usefixtures("done")
def test_what_is_told_beside_another_story_is_printed_when_both_are_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    both = threading.Barrier(2)

    def tell(*arguments: str, output: IO[str] | None = None, **_: object) -> Count:
        if trial.REST[0] not in arguments:
            both.wait(timeout=30)
        print(f"told {arguments[-1]}", file=output or sys.stdout)
        return Count(1, 0)

    monkeypatch.setattr(checks, "pytest", tell)
    trial.run_lab(Stage("test"), TURNS[1:])
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("told")]
    assert said == [f"told {story[-1]}" for turn in TURNS[1:] for story in turn]


@pytest.mark.usefixtures("done")
def test_a_machine_that_stays_is_a_failure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checks, "pytest", lambda *_, **__: Count(1, 0))
    monkeypatch.setattr(down, "remains", lambda _: ["test-m0"])
    assert trial.run_lab(Stage("test"), TURNS) == Count(4, 1)


def test_packing_leaves_no_stage(done: list[str], monkeypatch: pytest.MonkeyPatch):
    assert trial.run_part("pack").failed == 0
    assert done[-3:] == ["prepare", "keep_logs", "take_down"]

    def refuse(_: Stage) -> None:
        raise console.StepError("charmcraft cannot pack a")

    monkeypatch.setattr(up, "prepare", refuse)
    assert trial.run_part("pack") == Count(0, 1)
    assert done[-1] == "take_down"


@pytest.mark.usefixtures("done")
def test_stories_are_told_on_the_juju_that_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    told: list[str] = []

    def tell(stage: Stage, _: object, figures: Path) -> Count:
        assert figures == trial.FIGURES
        told.append(f"{stage.base} {stage.juju}")
        return Count()

    monkeypatch.setenv("LAB_JUJU", "3.6")
    monkeypatch.setattr(trial, "run_lab", tell)
    monkeypatch.setattr(console, "run", lambda argv, **_: told.append(argv[-1]))
    monkeypatch.setattr(trial, "run_operator", lambda stage: told.append(stage.juju) or Count())
    trial.run_part("lab-long")
    assert told == ["debian@13 3.6", "debian@12 3.6", str(trial.PAGE), "3.6"]
    monkeypatch.setenv("LAB_JUJU", "3.5")
    assert trial.run_part("pack") == Count(0, 1)


class Process:
    """An API that has ended already, or that lives until it is told to end."""

    def __init__(self, code: int | None = None) -> None:
        self.code = code

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        self.code = -15

    def wait(self) -> None:
        assert self.code is not None


def test_the_suite_of_pytest_operator_runs_while_the_api_is_served(
    done: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    stage, process, told = Stage("test"), Process(), dict[str, str]()
    stage.state = tmp_path

    def spawn(argv: list[str], *_: object) -> Process:
        Path(argv[1]).mkdir()
        (Path(argv[1]) / "controllers.yaml").touch()
        return process

    def tell(*_: str, prefix: Sequence[Path | str], env: dict[str, str]) -> Count:
        assert process.code is None
        assert prefix[0] == trial.OPERATOR_VENV / "bin/python"
        told.update(env)
        return Count(6, 0)

    monkeypatch.setattr(host, "ensure_venv", lambda *_: None)
    monkeypatch.setattr(host, "spawn", spawn)
    monkeypatch.setattr(checks, "pytest", tell)
    assert trial.run_operator(stage) == Count(7, 0)
    assert (told["JUJU_DATA"], process.code) == (str(tmp_path / "client"), -15)
    assert "lab/api/bin" in told["PATH"].split(os.pathsep)[0]
    assert done[-2:] == ["keep_logs", "take_down"]


def test_an_api_that_ends_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    stage = Stage("test")
    stage.state = tmp_path

    def spawn(_: list[str], log: Path, __: object) -> Process:
        log.write_text("serving\nERROR no model\n")
        return Process(1)

    monkeypatch.setattr(host, "spawn", spawn)
    with pytest.raises(console.StepError, match="does not start: ERROR no model"):
        trial.serving(stage).__enter__()
