# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Disks that can be full: a file system of its own for one directory of a machine.

All machines share one pool, which must not be filled; its quotas say EDQUOT, not ENOSPC, and a
machine at its quota cannot be given more through LXD.
"""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

from . import console, lxd
from .console import StepError
from .machines import Machines
from .stage import Stage

DEVICE = "fault-disk"
SIZE = 4 * 2**30
# A machine sees what was in the directory before only below another mount of its root.
MOVE = """\
set -e
mkdir -p /run/below
mount --bind / /run/below
trap 'umount /run/below' EXIT
cp -a "/run/below$1/." "$1/"
"""
USERS = 'find /proc/[0-9]*/fd /proc/[0-9]*/cwd -lname "$1" -o -lname "$1/*" 2>/dev/null'


def fill(stage: Stage, number: str, directory: str) -> None:
    """Leave no room on a directory's own disk, which takes no room on the host's."""
    directory = os.path.normpath(directory)
    device = _device(stage, number)
    if device is None:
        _give(stage, number, directory)
    elif device["path"] != directory:
        raise StepError(f"machine {number} has its own disk at {device['path']}, not {directory}")
    descriptor = os.open(_ballast(stage, number), os.O_CREAT | os.O_WRONLY)
    try:
        step, end = SIZE, os.fstat(descriptor).st_size
        while step >= 4096:
            try:
                os.posix_fallocate(descriptor, end, step)
                end += step
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                # What a refused attempt has reserved stays so, which is what is wanted.
                step //= 2
    finally:
        os.close(descriptor)


def free(stage: Stage, number: str) -> None:
    """Make room again; the data stay on their own disk."""
    _ballast(stage, number).unlink(missing_ok=True)


def full(stage: Stage, number: str) -> str | None:
    """Return the directory of a machine whose disk is full."""
    device = _device(stage, number)
    return str(device["path"]) if device and _ballast(stage, number).exists() else None


def mount_all(stage: Stage) -> None:
    """Mount what the host had mounted before it was booted."""
    for image in _folder(stage).glob("*.img"):
        if not os.path.ismount(image.with_suffix("")):
            _mount(image)


def forget(stage: Stage) -> None:
    """Remove the disks of a stage without machines."""
    for image in _folder(stage).glob("*.img"):
        _remove(image)


def _give(stage: Stage, number: str, directory: str) -> None:
    """Move a directory that nobody has open to a disk of its own."""
    machines = Machines(stage)
    if machines.exec(number, ["test", "-d", directory]).returncode or directory == "/":
        raise StepError(
            f"machine {number} has no directory {directory} to put on a disk of its own"
        )
    if users := machines.exec(number, ["sh", "-c", USERS, "-", directory]).stdout.split():
        pids = ", ".join(sorted({path.decode().split("/")[2] for path in users}))
        raise StepError(
            f"process {pids} of machine {number} has {directory} open: stop its service, do this "
            "again, start it; once on its own disk, the directory is filled while it is in use"
        )
    image = _folder(stage) / f"{number}.img"
    _remove(image)
    image.parent.mkdir(exist_ok=True)
    with image.open("wb") as file:
        file.truncate(SIZE)
    mkfs = ["mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", image]
    console.run(mkfs, otherwise="a disk cannot be made")
    data = _mount(image) / "data"
    data.mkdir()
    name = stage.machine_name(number)
    pid = lxd.request("GET", f"/instances/{name}/state")["pid"]
    owner = Path(f"/proc/{pid}").stat().st_uid
    os.chown(data, owner, owner)
    device = {"type": "disk", "source": str(data), "path": directory}
    lxd.request("PATCH", f"/instances/{name}", {"devices": {DEVICE: device}})
    moved = machines.exec(number, ["sh", "-c", MOVE, "-", directory])
    if moved.returncode != 0:
        raise StepError(
            f"{directory} cannot be moved to its disk: {moved.stderr.decode().strip()}"
        )


def _device(stage: Stage, number: str) -> dict[str, Any] | None:
    found = lxd.get(f"/instances/{stage.machine_name(number)}") or {"devices": {}}
    return found["devices"].get(DEVICE)


def _folder(stage: Stage) -> Path:
    return stage.state / "disks"


def _ballast(stage: Stage, number: str) -> Path:
    return _folder(stage) / number / "ballast"


def _mount(image: Path) -> Path:
    at = image.with_suffix("")
    at.mkdir(exist_ok=True)
    console.run(["mount", "-o", "loop", image, at], otherwise="a disk cannot be mounted")
    return at


def _remove(image: Path) -> None:
    at = image.with_suffix("")
    if os.path.ismount(at):
        console.run(["umount", at], otherwise="a disk is in use")
    shutil.rmtree(at, ignore_errors=True)
    image.unlink(missing_ok=True)
