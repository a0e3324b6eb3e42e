# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The commands that reach into a machine: ssh and scp."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from .arguments import UsageError
from .client import ClientError, Session, command
from .machines import MachineError, Machines

# The options of ssh that are about the connection, which the lab has not; some with a value.
SSH_VALUES = ("-o", "-i", "-F")
SSH_FAILED = 255
SSH_FLAGS = ("-4", "-6", "-C", "-T", "-n", "-q")


def _reach(session: Session, target: str) -> list[str]:
    """Return the command before a command to run on a unit's machine."""
    user, _, host = target.rpartition("@")
    machine = session.call("machine_of", target=host)
    try:
        prefix = Machines(session.stage).shell_argv(machine)
    except MachineError as error:
        raise ClientError(str(error), SSH_FAILED) from error
    login = user or "ubuntu"
    # Without a standard input of its own it would eat what is meant for the command.
    known = subprocess.run(
        [*prefix, "id", "-u", login], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return [*prefix, "su", "-l", login if known.returncode == 0 else "root"]


@command(
    "ssh",
    "no-host-key-checks proxy",
    "no target name specified",
    left_out="container pty remote",
    rest=True,
)
def _ssh(session: Session) -> None:
    target, *words = session.words
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "--":
            break
        if option[:2] in SSH_VALUES:
            del words[: option in SSH_VALUES]
        elif option not in SSH_FLAGS:
            raise UsageError(f"ssh option {option} is not part of the lab")
    reach = _reach(session, target)
    sys.stdout.flush()
    done = subprocess.run([*reach, "-c", " ".join(words)] if words else reach, check=False)
    if done.returncode:
        raise ClientError("", done.returncode)


@command(
    "scp",
    "no-host-key-checks proxy",
    "at least two arguments required",
    left_out="container remote",
    least=2,
)
def _scp(session: Session) -> None:
    words = [word for word in session.words if word not in ("-r", "-p", "-q", "-C")]
    if unknown := [word for word in words if word.startswith("-")]:
        raise UsageError(f"scp option {unknown[0]} is not part of the lab")
    *sources, to = words
    for source in sources:
        if _is_remote(source):
            _fetch(session, source, to)
        elif _is_remote(to):
            _send(session, Path(source), to)
        else:
            raise UsageError("one of the paths must be on a unit or machine")


def _is_remote(text: str) -> bool:
    host, colon, _ = text.partition(":")
    return bool(colon) and not host.startswith((".", "/"))


def _fetch(session: Session, source: str, to: str) -> None:
    host, _, path = source.partition(":")
    folder, name = os.path.split(path)
    script = f"tar -C {shlex.quote(folder or '.')} -cf - {shlex.quote(name)}"
    packed = subprocess.run(
        [*_reach(session, host), "-c", script], capture_output=True, check=False
    )
    if packed.returncode:
        raise ClientError(f"exit status 1 (scp: {path}: No such file or directory)")
    _unpack(packed.stdout, name, ["sh"], to)


def _send(session: Session, source: Path, to: str) -> None:
    host, _, path = to.partition(":")
    if not source.exists():
        raise ClientError(f"exit status 1 (scp: stat local {source!s}: No such file or directory)")
    reach, source = _reach(session, host), source.resolve()
    argv = ["tar", "-C", str(source.parent), "-cf", "-", source.name]
    packed = subprocess.run(argv, capture_output=True, check=True)
    _unpack(packed.stdout, source.name, reach, path or ".")


def _unpack(data: bytes, name: str, reach: list[str], to: str) -> None:
    """Unpack one packed file or tree: into a folder that is there, else under the new name."""
    where, entry = shlex.quote(to), shlex.quote(name)
    script = (
        f"set -e; if [ -d {where} ]; then tar -C {where} --no-same-owner -xf -; else "
        f"new=$(mktemp -d); tar -C $new --no-same-owner -xf -; mv -f $new/{entry} {where}; "
        "rmdir $new; fi"
    )
    done = subprocess.run([*reach, "-c", script], input=data, capture_output=True, check=False)
    if done.returncode:
        raise ClientError(f"exit status 1 (scp: {done.stderr.decode().strip()})")
