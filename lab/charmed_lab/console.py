# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What the operator sees: steps with elapsed seconds, and one sentence when one fails."""

import fcntl
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .stage import ROOT, LabError

LOG = ROOT / "commands.log"
LOGIN = re.compile(r"(?<=://)[^/\s'\"@]+@")
_started = time.monotonic()


class StepError(LabError):
    """A step cannot be done; the message says what the operator can do."""


def say(text: str) -> None:
    """Print a line with the elapsed seconds before it."""
    print(f"[{time.monotonic() - _started:4.0f} s] {text}", flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what begins, and how long it took when that was noticeable."""
    say(f"{text} …")
    begun = time.monotonic()
    yield
    if (took := time.monotonic() - begun) >= 1:
        say(f"{text}: done in {took:.0f} s")


@contextmanager
def alone(what: str) -> Iterator[None]:
    """Keep other commands of the lab from making the same things at the same time."""
    ROOT.mkdir(parents=True, exist_ok=True)
    with (ROOT / f"{what}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another command of the lab is at work: waiting for it …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(
    argv: Sequence[str | Path],
    *,
    otherwise: str,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a command, log what it says and return its output; fail with `otherwise`."""
    environment = None if env is None else {**os.environ, **env}
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, env=environment, cwd=cwd, check=False
        )
    except OSError as error:
        raise StepError(f"{otherwise} ({error})") from error
    output = done.stdout.decode(errors="replace")
    errors = LOGIN.sub("", done.stderr.decode(errors="replace"))
    log(f"$ {' '.join(map(str, argv))}\n{output}{errors}-> {done.returncode}\n")
    if done.returncode != 0:
        raise StepError(f"{otherwise} ({_last(errors) or _last(output)}; all of it: {LOG})")
    return output


def _last(output: str) -> str:
    """Return the last line that says something; charmcraft's last one names its log."""
    lines = (line.strip() for line in output.splitlines())
    said = [line for line in lines if line and not line.startswith("Full execution log")]
    return said[-1] if said else ""


def log(text: str) -> None:
    """Append to the log of commands, without the logins of URLs."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    LOG.touch(0o600)
    LOG.chmod(0o600)
    with LOG.open("a") as file:
        file.write(LOGIN.sub("", text))


def main(command: Callable[[], int]) -> None:
    """Run a command line; end with one sentence when a step fails."""
    try:
        sys.exit(command())
    except LabError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped; run the same command again to continue", file=sys.stderr)
        sys.exit(130)
