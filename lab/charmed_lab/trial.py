# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Test everything on one bare machine: `lab/test [PART …]`."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from . import checks, console, down, host, juju, pack, up
from .checks import Count
from .console import StepError
from .stage import REPOSITORY, LabError, Stage

STAGE = "test"
LONG_BASE = "debian@12"
VENV = host.VENV.with_name("venv-test")
OPERATOR_VENV = host.VENV.with_name("venv-operator")
EVERY_RUN = (*checks.CHECKS, "pack", "lab")
PARTS = (*EVERY_RUN, "lab-long", "lab-speed", "operator")
DEPLOY = "tests/integration/test_deploy.py"
LAB_FAULTS = "tests/faults/test_fault.py"
FAULTS = "tests/faults"
# In one go, for they share the bundle; tests/conftest.py has their order.
STORIES = ("tests/integration", FAULTS, "tests/scale")
REST = (*STORIES, f"--ignore={DEPLOY}", f"--ignore={LAB_FAULTS}")
# What a long run adds its figures to, and what makes the page about them.
FIGURES, PAGE = REPOSITORY / "docs/life.json", REPOSITORY / "tests/deployed/life.py"
# Stories marked `long` are told by the part lab-long only.
SHORT = ("-m", "not long")
CONFORMANCE = "tests/conformance/juju"
# On machines of its own, and mostly waiting: it is told while the bundle comes up.
STANDIN = "tests/conformance/maas"
Turn = Sequence[Sequence[str]]
SHORT_TURNS: Sequence[Turn] = (
    [(CONFORMANCE, *SHORT)],
    [(LAB_FAULTS,)],
    [(DEPLOY,), (STANDIN, *SHORT)],
    [(*REST, *SHORT)],
)
OPERATOR = "tests/operator"
# pytest-operator's client speaks to no other.
OPERATOR_JUJU = "3.6"
API, API_TOOLS = REPOSITORY / "lab/bin/api", REPOSITORY / "lab/api/bin"
API_START_S = 20


def enter_environment() -> None:
    """Go on in the Python environment of the tests; make it first."""
    host.require_root()
    host.ensure_packages(for_tests=True)
    host.ensure_venv(VENV, host.test_requirements())
    python = VENV / "bin/python"
    if sys.prefix != str(VENV):
        os.environ["PATH"] = f"{VENV}/bin:{os.environ['PATH']}"
        argv = [str(python), "-m", "charmed_lab.trial", *sys.argv[1:]]
        os.execv(python, argv)  # noqa: S606 (no shell is what is wanted)


@contextmanager
def fresh(stage: Stage) -> Iterator[None]:
    """Begin a stage anew; leave nothing of it behind but its logs."""
    host.ensure_lxd()
    down.take_down(stage)
    try:
        yield
    finally:
        console.say("taking the test stage down")
        down.keep_logs(stage)
        down.take_down(stage)


def run_lab(stage: Stage, turns: Sequence[Turn], figures: Path | None = None) -> Count:
    """Tell stories on a fresh stage, turn after turn; add their figures to a file."""
    env = _environment(stage) | ({"FIGURES": str(figures)} if figures else {})
    total = Count()
    with fresh(stage):
        begin(stage)
        for turn in turns:
            with console.step(f"telling {' and '.join(story[0] for story in turn)}"):
                told = _tell(turn, env)
            total += sum(told, Count())
            if any(one.failed and DEPLOY in story for one, story in zip(told, turn, strict=True)):
                console.say("the bundle did not come up: the other stories are not told")
                break
    return total + nothing_left(stage)


def _tell(turn: Turn, env: dict[str, str]) -> list[Count]:
    """Tell a turn's stories side by side; what others than the first print comes at the end.

    Who ends this process by a signal waits for the others; a terminal's Ctrl-C reaches all.
    """
    first, *others = turn
    tell = partial(checks.pytest, "-s", "--durations=15", "--durations-min=1", env=env)
    with ExitStack() as stack:
        outputs = [stack.enter_context(TemporaryFile("w+", errors="replace")) for _ in others]
        for story, output in zip(others, outputs, strict=True):
            stack.callback(_print, story[0], output)
        executor = stack.enter_context(ThreadPoolExecutor())
        told = [
            executor.submit(tell, *story, output=output)
            for story, output in zip(others, outputs, strict=True)
        ]
        return [tell(*first), *(one.result() for one in told)]


def _print(story: str, output: IO[str]) -> None:
    output.seek(0)
    print(f"{story}:\n{output.read()}", end="", flush=True)


def begin(stage: Stage) -> None:
    """Bring a fresh stage to an empty model, with the bundle at hand."""
    charms = up.prepare(stage)
    juju.ensure_daemon(stage)
    up.place(stage, charms)
    juju.run(stage, "add-model", up.MODEL, otherwise="the model cannot be made")


def nothing_left(stage: Stage) -> Count:
    """Count whether a stage that was taken down is gone."""
    left = down.remains(stage)
    console.say(f"left of the test stage: {', '.join(left) or 'nothing'}")
    return Count(0, 1) if left else Count(1, 0)


def run_operator(stage: Stage) -> Count:
    """Run the suite of pytest-operator on a fresh stage, through the API."""
    host.ensure_venv(OPERATOR_VENV, host.operator_requirements(), ())
    python = OPERATOR_VENV / "bin/python"
    with fresh(stage):
        begin(stage)
        with serving(stage) as directory:
            path = os.pathsep.join([str(API_TOOLS), str(API.parent), os.environ["PATH"]])
            env = {**_environment(stage), "JUJU_DATA": str(directory), "PATH": path}
            told = ("-s", "--durations=0", "--durations-min=1", OPERATOR, "--model", up.MODEL)
            total = checks.pytest(*told, prefix=(python, "-m"), env=env)
    return total + nothing_left(stage)


@contextmanager
def serving(stage: Stage) -> Iterator[Path]:
    """Serve a stage's API; yield the directory that holds the client's files."""
    directory, log = stage.state / "client", stage.state / "api.log"
    process = host.spawn([str(API), str(directory)], log, juju.environment(stage))
    deadline = time.monotonic() + API_START_S
    try:
        while not (directory / "controllers.yaml").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text().strip().rpartition("\n")[2]
                raise StepError(f"the lab's API does not start: {said}")
            time.sleep(0.1)
        yield directory
    finally:
        process.terminate()
        process.wait()


def run_long(stage: Stage) -> Count:
    """Tell everything on both bases, keep the figures, and run pytest-operator's suite."""
    deploy, rest = [(DEPLOY,)], [REST]
    count = run_lab(stage, [[(CONFORMANCE, "-m", "long")], deploy, rest], FIGURES)
    count += run_lab(Stage(STAGE, LONG_BASE, stage.juju), [deploy, rest], FIGURES)
    console.run([sys.executable, str(PAGE)], otherwise="the page of the figures is not written")
    return count + run_operator(Stage(STAGE, juju=OPERATOR_JUJU))


def run_part(part: str) -> Count:
    """Run one part and count its results; a step that fails is one failure."""
    console.say(f"=== {part}")
    try:
        stage = Stage(STAGE, juju=os.environ.get("LAB_JUJU", ""))
        if part == "pack":
            with fresh(stage):
                up.prepare(stage)
            return Count(len(pack.charm_names()), 0)
        if part == "lab":
            return run_lab(stage, SHORT_TURNS)
        if part == "operator":
            return run_operator(Stage(STAGE, juju=OPERATOR_JUJU))
        if part == "lab-long":
            return run_long(stage)
        if part == "lab-speed":
            return run_lab(stage, [[("tests/speed",)]])
    except LabError as error:
        print(f"ERROR: {error}", flush=True)
        return Count(0, 1)
    return checks.CHECKS[part]()


def command() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser("lab/test", description=__doc__)
    parser.add_argument("part", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}")
    parts = parser.parse_args().part or EVERY_RUN
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    enter_environment()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    total, lines = Count(), list[str]()
    for part in parts:
        begun = time.monotonic()
        result = run_part(part)
        took = time.monotonic() - begun
        lines.append(f"{part:10} {result.passed:4} passed {result.failed} failed {took:5.0f} s")
        total += result
    print(*lines, sep="\n")
    console.say("done")
    print(total)
    return 1 if total.failed or not total.passed else 0


def _environment(stage: Stage) -> dict[str, str]:
    """Return what the stories know of the stage."""
    return {
        **juju.environment(stage),
        "JUJU": str(juju.CLIENT),
        "FAULT": str(REPOSITORY / "lab/bin/fault"),
        "BUNDLE": str(stage.bundle / "bundle.yaml"),
        "OVERLAY": str(stage.bundle / "overlay.yaml"),
        "MODEL": up.MODEL,
    }


if __name__ == "__main__":
    console.main(command)
