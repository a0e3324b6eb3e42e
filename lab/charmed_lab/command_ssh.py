# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The commands that reach into a machine: ssh and scp."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from .client import ClientError, Line, Session, command, usage
from .machines import Machines

# What ssh options before the command take a value.
SSH_VALUES = ("-o", "-i", "-p", "-l", "-F", "-L", "-R", "-D")


def _reach(session: Session, line: Line, target: str) -> list[str]:
    """Return the command before a command to run on a unit's machine."""
    user, at, host = target.rpartition("@")
    model = session.model(line)
    slot = session.call("machine_of", model=model, target=host if at else target)
    prefix = Machines(session.stage).shell_argv(slot)
    login = user or "ubuntu"
    # Without a standard input of its own it would eat what is meant for the command.
    known = subprocess.run(
        [*prefix, "id", "-u", login], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    login = login if known.returncode == 0 else "root"
    return [*prefix, "su", "-l", login]


@command(
    "ssh",
    "container",
    "no-host-key-checks proxy pty",
    least=1,
    missing="no target name specified",
    rest=True,
)
def _ssh(session: Session, line: Line) -> None:
    target, *words = line.words
    reach = _reach(session, line, target)
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "--":
            break
        if option in SSH_VALUES and words:
            words.pop(0)
    sys.stdout.flush()
    done = subprocess.run([*reach, "-c", " ".join(words)] if words else reach, check=False)
    if done.returncode:
        raise ClientError("", done.returncode)


@command(
    "scp",
    "container",
    "no-host-key-checks proxy",
    least=2,
    missing="at least two arguments required",
)
def _scp(session: Session, line: Line) -> None:
    words = [word for word in line.words if word not in ("-r", "-p", "-q", "-C")]
    if unknown := [word for word in words if word.startswith("-")]:
        raise usage(f"scp option {unknown[0]} is not part of the lab")
    *sources, to = words
    for source in sources:
        if _is_remote(source):
            _fetch(session, line, source, to)
        elif _is_remote(to):
            _send(session, line, Path(source), to)
        else:
            raise usage("one of the paths must be on a unit or machine")


def _is_remote(text: str) -> bool:
    host, colon, _ = text.partition(":")
    return bool(colon) and not host.startswith((".", "/"))


def _fetch(session: Session, line: Line, source: str, to: str) -> None:
    host, _, path = source.partition(":")
    reach = _reach(session, line, host)
    folder, name = shlex.quote(os.path.dirname(path) or "."), shlex.quote(os.path.basename(path))
    pack = subprocess.run(
        [*reach, "-c", f"tar -C {folder} -cf - {name}"], capture_output=True, check=False
    )
    if pack.returncode:
        raise ClientError(f"exit status 1 (scp: {path}: No such file or directory)")
    _untar(pack.stdout, os.path.basename(path), ["tar"], to)


def _send(session: Session, line: Line, source: Path, to: str) -> None:
    host, _, path = to.partition(":")
    if not source.exists():
        raise ClientError(f"exit status 1 (scp: stat local {source!s}: No such file or directory)")
    reach = _reach(session, line, host)
    pack = subprocess.run(
        ["tar", "-C", str(source.resolve().parent), "-cf", "-", source.resolve().name],
        capture_output=True,
        check=True,
    )
    _untar(pack.stdout, source.resolve().name, reach, path or ".")


def _untar(data: bytes, name: str, reach: list[str], to: str) -> None:
    """Unpack one packed file or tree: into a folder that is there, else under the new name."""
    where, entry = shlex.quote(to), shlex.quote(name)
    script = (
        f"set -e; if [ -d {where} ]; then tar -C {where} --no-same-owner -xf -; else "
        f"new=$(mktemp -d); tar -C $new --no-same-owner -xf -; mv -f $new/{entry} {where}; "
        "rmdir $new; fi"
    )
    shell = ["sh", "-c", script] if reach == ["tar"] else [*reach, "-c", script]
    done = subprocess.run(shell, input=data, capture_output=True, check=False)
    if done.returncode:
        raise ClientError(f"exit status 1 (scp: {done.stderr.decode().strip()})")
