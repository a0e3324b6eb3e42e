# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The stage's daemon and its command line, as the commands around them use them."""

import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from . import console, host, pack, versions
from .console import StepError
from .stage import REPOSITORY, Stage

CLIENT = REPOSITORY / "lab/bin/juju"
CODE = REPOSITORY / "lab/charmed_lab"
DAEMON = "charmed_lab.daemon"
START_TIMEOUT_S = 20


def environment(stage: Stage) -> dict[str, str]:
    """Return the variables by which a command finds the stage."""
    return {"LAB_STAGE": stage.name, "LAB_BASE": stage.base, "LAB_JUJU": stage.juju}


def ensure_daemon(stage: Stage) -> None:
    """Start the daemon unless it answers; one of older code ends, its model stays."""
    modules = [str(path.relative_to(REPOSITORY)) for path in sorted(CODE.glob("*.py"))]
    code, mark = pack.fingerprint(modules), stage.run / "code"
    if is_answering(stage) and mark.exists() and mark.read_text() == code:
        return
    stop_daemon(stage)
    stage.run.mkdir(parents=True, exist_ok=True)
    stage.hooks.mkdir(parents=True, exist_ok=True)
    log = stage.state / "daemon.log"
    env = {**environment(stage), "PYTHONPATH": str(REPOSITORY / "lab")}
    with console.step("starting the lab's Juju"):
        process = host.spawn([str(host.VENV / "bin/python"), "-m", DAEMON], log, env)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not is_answering(stage):
            if process.poll() is not None or time.monotonic() > deadline:
                raise StepError(f"the lab's Juju does not start; {log} says why")
            time.sleep(0.1)
    console.say(f"Juju's choices are shuffled by LAB_SEED={(stage.run / 'seed').read_text()}")
    mark.write_text(code)


def require_version(stage: Stage) -> None:
    """Refuse to go on with another Juju than the one that was asked for."""
    number = run(stage, "version", otherwise="juju version failed").partition("-")[0]
    if stage.juju and number != versions.VERSIONS[stage.juju].number:
        anew = f"run lab/down first, then lab/up --juju {stage.juju}"
        raise StepError(f"stage {stage.name} has Juju {number}: {anew}")


def stop_daemon(stage: Stage) -> None:
    """End every daemon of the stage, at once."""
    for pid in _daemons(stage):
        os.kill(pid, signal.SIGKILL)
    while _daemons(stage):
        time.sleep(0.05)


def is_answering(stage: Stage) -> bool:
    """Tell whether the daemon accepts connections."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(stage.run / "api.sock")) == 0


def run(stage: Stage, *arguments: str, otherwise: str, cwd: Path | None = None) -> str:
    """Run the lab's juju and return its output."""
    argv = [CLIENT, *arguments]
    return console.run(argv, otherwise=otherwise, env=environment(stage), cwd=cwd)


def models(stage: Stage) -> list[str]:
    """Return the short names of the models."""
    output = run(stage, "models", "--format", "json", otherwise="juju models failed")
    return [model["short-name"] for model in json.loads(output)["models"]]


def status(stage: Stage, model: str | None = None) -> dict[str, Any]:
    """Return what `juju status` says of a model, or of the current one."""
    arguments = ["status", "--format", "json", *(["-m", model] if model else [])]
    return json.loads(run(stage, *arguments, otherwise="juju status failed"))


def units(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the units of a status by name."""
    applications = report.get("applications") or {}
    return {
        name: unit
        for application in applications.values()
        for name, unit in (application.get("units") or {}).items()
    }


def _daemons(stage: Stage) -> list[int]:
    """Return the process IDs of the stage's daemons."""
    mark = f"LAB_STAGE={stage.name}"
    return [pid for pid, argv, env in host.processes() if DAEMON in argv and mark in env]
