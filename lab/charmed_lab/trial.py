# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Test everything on one bare machine: `lab/test [PART …]`."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from . import checks, console, down, host, juju, pack, up
from .checks import Count
from .stage import REPOSITORY, LabError, Stage

STAGE = "test"
LONG_BASE = "debian@12"
VENV = host.VENV.with_name("venv-test")
EVERY_RUN = (*checks.CHECKS, "pack", "lab")
PARTS = (*EVERY_RUN, "lab-long", "lab-speed")
DEPLOY = "tests/integration/test_deploy.py"
REST = ("tests/integration", f"--ignore={DEPLOY}")
# Stories marked `long` are told by the part lab-long only.
SHORT = ("-m", "not long")
CONFORMANCE = "tests/conformance"
FAULTS = "tests/faults"


def enter_environment() -> None:
    """Go on in the Python environment of the tests; make it first."""
    host.require_root()
    host.ensure_packages()
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


def run_lab(stage: Stage, stories: Sequence[Sequence[str]]) -> Count:
    """Tell stories on a fresh stage."""
    total = Count()
    with fresh(stage):
        charms = up.prepare(stage)
        juju.ensure_daemon(stage)
        up.place(stage, charms)
        juju.run(stage, "add-model", up.MODEL, otherwise="the model cannot be made")
        for arguments in stories:
            console.say(f"telling {arguments[0]}")
            told = checks.pytest(
                "-s", "--durations=15", "--durations-min=1", *arguments, env=_environment(stage)
            )
            total += told
            if told.failed and DEPLOY in arguments:
                console.say("the bundle did not come up: the other stories are not told")
                break
    left = down.remains(stage)
    console.say(f"left of the test stage: {', '.join(left) or 'nothing'}")
    return total + (Count(0, 1) if left else Count(1, 0))


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
            told = [(CONFORMANCE, *SHORT), (FAULTS,), (DEPLOY,), (*REST, *SHORT)]
            there = [story for story in told if (REPOSITORY / story[0]).exists()]
            return run_lab(stage, there)
        if part == "lab-long":
            told = [(f"{CONFORMANCE}/juju", "-m", "long"), (DEPLOY,), REST]
            count = run_lab(stage, told)
            return count + run_lab(Stage(STAGE, LONG_BASE, stage.juju), [(DEPLOY,)])
        if part == "lab-speed":
            return run_lab(stage, [("tests/speed",)])
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
    counts = {part: run_part(part) for part in parts}
    for part, result in counts.items():
        print(f"{part:10} {result.passed} passed {result.failed} failed")
    total = sum(counts.values(), Count())
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
