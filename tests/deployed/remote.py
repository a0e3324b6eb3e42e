# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Scripts of the tests that run on units' machines, and say on the way what they do."""

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jubilant

Process = subprocess.Popen[str]


@contextlib.contextmanager
def python(juju: jubilant.Juju, unit: str, script: Path, *words: object) -> Iterator[Process]:
    """Run a Python script on a unit's machine as root; waits for its end after the context.

    What it reads is what the caller writes.
    """
    command = ["sudo", "python3", "-u", "-c", script.read_text(), *map(str, words)]
    model = ["--model", juju.model] if juju.model else []
    with subprocess.Popen(
        [juju.cli_binary, "ssh", *model, unit, shlex.join(command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        yield process


def end(process: Process) -> None:
    """End the connection with its children: one that lives on would keep the pipe open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
