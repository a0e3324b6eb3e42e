# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The commands that reach into a machine: ssh and scp."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from . import lxd
from .arguments import UsageError
from .client import ClientError, Session, command
from .machines import MachineError, Machines

# The options of ssh that are about the connection, which the lab has not; some with a value.
SSH_VALUES = ("-o", "-i", "-F")
SSH_FAILED = 255
SSH_FLAGS = ("-4", "-6", "-C", "-T", "-n", "-q")


def _reach(session: Session, target: str) -> tuple[str, list[str]]:
    """Return the running instance that a target is on, and the command that logs in there."""
    user, _, host = target.rpartition("@")
    machine = session.call("machine_of", target=host)
    try:
        instance = Machines(session.stage).running_instance(machine)
    except MachineError as error:
        raise ClientError(str(error), SSH_FAILED) from error
    login = user or "ubuntu"
    is_known = lxd.run(instance, ["id", "-u", login]).returncode == 0
    return instance, ["su", "-l", login if is_known else "root"]


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
    instance, login = _reach(session, target)
    if code := _enter(instance, [*login, "-c", " ".join(words)] if words else login):
        raise ClientError("", code)


def _enter(instance: str, argv: list[str]) -> int:
    """Run a command in an instance on this terminal, or with these pipes."""
    sys.stdout.flush()
    # A caller may have closed it.
    if sys.stdin and sys.stdin.isatty() and sys.stdout.isatty():
        return subprocess.run(["lxc", "exec", instance, "--", *argv], check=False).returncode
    return lxd.follow(instance, argv, None, sys.stdout.buffer, sys.stderr.buffer)


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
    instance, login = _reach(session, host)
    packed = lxd.run(instance, [*login, "-c", script])
    if packed.returncode:
        raise ClientError(f"exit status 1 (scp: {path}: No such file or directory)")
    script = _unpacking(name, to)
    _check(
        subprocess.run(["sh", "-c", script], input=packed.stdout, capture_output=True, check=False)
    )


def _send(session: Session, source: Path, to: str) -> None:
    host, _, path = to.partition(":")
    if not source.exists():
        raise ClientError(f"exit status 1 (scp: stat local {source!s}: No such file or directory)")
    instance, login = _reach(session, host)
    source = source.resolve()
    argv = ["tar", "-C", str(source.parent), "-cf", "-", source.name]
    packed = subprocess.run(argv, capture_output=True, check=True)
    script = _unpacking(source.name, path or ".")
    _check(lxd.run(instance, [*login, "-c", script], stdin=packed.stdout))


def _unpacking(name: str, to: str) -> str:
    """Return what unpacks one packed file or tree: into a folder there is, else as a new name."""
    where, entry = shlex.quote(to), shlex.quote(name)
    return (
        f"set -e; if [ -d {where} ]; then tar -C {where} --no-same-owner -xf -; else "
        f"new=$(mktemp -d); tar -C $new --no-same-owner -xf -; mv -f $new/{entry} {where}; "
        "rmdir $new; fi"
    )


def _check(done: subprocess.CompletedProcess[bytes]) -> None:
    if done.returncode:
        raise ClientError(f"exit status 1 (scp: {done.stderr.decode().strip()})")
