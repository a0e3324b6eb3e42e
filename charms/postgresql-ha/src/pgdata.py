# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""PGDATA on this machine: where it is, what it holds, and how it is set aside and put back.

Data is never deleted: what a unit leaves behind stands under ASIDE, named by the cluster's
system identifier, beside a note on whether other members went on after it. That is on the file
system of the data, which may be a disk of its own: to move must never mean to copy.
"""

import contextlib
import json
import logging
import pwd
import re
import shutil
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import paths
from charmed_maas import commands, files

POSTGRESQL = Path("/usr/lib/postgresql")
ROOT = Path("/var/lib/postgresql")
ASIDE = ROOT / "removed"
NOTE = "about.json"
PID_FILE = "postmaster.pid"
# pg_controldata's words, of the latest checkpoint and of what a replica has replayed.
ENDS = ("Latest checkpoint location", "Minimum recovery ending location")
TIMELINES = ("Latest checkpoint's TimeLineID", "Min recovery ending loc's timeline")
FIELDS = ("timeline", "lsn", "path", "cluster_id", "went_on")
# Exists from before initdb until Patroni reports a whole primary: what is there may be half.
BOOTSTRAPPING = paths.STATE / "bootstrapping"


logger = logging.getLogger(__name__)


class PgdataError(Exception):
    """Data is not what it should be; fit for an action's failure."""


@dataclass(frozen=True, order=True)
class Copy:
    """Data that was set aside; timeline and LSN order copies of the same cluster by age."""

    timeline: int
    lsn: int
    path: str
    cluster_id: str
    went_on: Sequence[str] = ()


def version() -> str:
    """Return the newest installed major version of PostgreSQL, "" when there is none."""
    found = [path.parent.parent.name for path in POSTGRESQL.glob("*/bin/postgres")]
    return max(found, key=int, default="")


def path(scope: str) -> Path:
    """Return where this cluster's data is: that of the newest version that has any."""
    found = [one.parent for one in ROOT.glob(f"*/{scope}/PG_VERSION")]
    old = [one for one in found if one.parent.name.isdigit()]
    return max(old, key=lambda one: int(one.parent.name), default=ROOT / version() / scope)


def binaries(data: Path) -> Path:
    """Return the directory of the programs that fit the data."""
    return POSTGRESQL / data.parent.name / "bin"


def cluster_id(data: Path) -> str:
    """Return the system identifier of the data, "" when there is none."""
    return _control(data).get("Database system identifier", "")


def position(data: Path) -> tuple[int, int]:
    """Return the timeline and the LSN up to which the data surely goes.

    Of a primary that was shut down it is where its last record begins, of a replica where that
    ends, though both have the same rows: the last record is a checkpoint then, and left out.
    """
    control = _control(data)
    timelines = tuple(int(control.get(name, "0")) for name in TIMELINES)
    checkpoint, recovered = (_lsn(control.get(name, "0/0")) for name in ENDS)
    if recovered > checkpoint and _ends_with_checkpoint(data, control):
        recovered = checkpoint
    return max(timelines), max(checkpoint, recovered)


def _ends_with_checkpoint(data: Path, control: Mapping[str, str]) -> bool:
    """Tell whether a replica has replayed nothing after its latest checkpoint."""
    start, end = (control[name] for name in ENDS)
    timeline, recovered = (control[name] for name in TIMELINES)
    if timeline != recovered:
        return False
    span = (f"--start={start}", f"--end={end}", f"--timeline={timeline}", "--limit=2")
    argv = [str(_tool(data, "pg_waldump")), f"--path={data / 'pg_wal'}", *span]
    try:
        return len(commands.run(argv).stdout.splitlines()) == 1
    except commands.CommandError as error:
        logger.info("%s: %s", data, error)
        return False


def ensure_parent(data: Path) -> None:
    """Have the directory that Patroni makes, renames and replaces the data in."""
    ensure_directory(data.parent, mode=0o755, owner="postgres")


def set_aside(data: Path, went_on: Sequence[str]) -> Path | None:
    """Move the data aside, with a note of the members that went on without it.

    Returns where it is now, None when there was none. Raises PgdataError.
    """
    identifier = cluster_id(data)
    if not identifier:
        return None
    timeline, lsn = position(data)
    with _told(f"{data} cannot be set aside"):
        target = _place_for(identifier, data)
        about = Copy(timeline, lsn, str(target), identifier, tuple(sorted(went_on)))
        files.ensure_file(target.parent / NOTE, json.dumps(asdict(about), indent=1) + "\n")
        _forget_process(data / PID_FILE)
        data.rename(target)
    return target


def keep_unknown(data: Path) -> Path | None:
    """Move data aside that is of no known cluster; returns where it is now, None without any.

    Raises PgdataError.
    """
    if not data.is_dir() or not any(data.iterdir()):
        return None
    with _told(f"{data} cannot be set aside"):
        return data.rename(_place_for("unknown", data))


def copies(identifier: str) -> list[Copy]:
    """Return this cluster's data that was set aside on this machine, the newest last."""
    found: list[Copy] = []
    for note in ASIDE.glob(f"{identifier}-*/{NOTE}"):
        about = json.loads(note.read_text())
        if Path(about["path"]).is_dir():
            found.append(Copy(*(about[name] for name in FIELDS)))
    return sorted(found)


def inspect(source: Path, identifier: str) -> Copy:
    """Return what data at any path is; raises PgdataError when it is not this cluster's."""
    found = cluster_id(source)
    if not found:
        raise PgdataError(f"{source} holds no data of PostgreSQL")
    if found != identifier:
        raise PgdataError(f"{source} is of the cluster {found}, not {identifier}")
    if (source / PID_FILE).exists():
        raise PgdataError(f"{source} has a postmaster.pid: stop the PostgreSQL that uses it first")
    major = (source / "PG_VERSION").read_text().strip()
    if not (POSTGRESQL / major / "bin" / "postgres").is_file():
        raise PgdataError(f"{source} needs PostgreSQL {major}, which is not installed here")
    return Copy(*position(source), str(source), found)


def put_back(copy: Copy, scope: str) -> Path:
    """Make a copy the unit's data again and return where it is; one set aside moves back.

    Raises PgdataError.
    """
    source = Path(copy.path)
    major = (source / "PG_VERSION").read_text().strip()
    target = ROOT / major / scope
    if cluster_id(target):
        raise PgdataError(f"{target} has data already")
    with _told(f"{source} cannot be put to {target}"):
        ensure_parent(target)
        # Half a copy of another member's, say: of no cluster, but not ours to delete.
        keep_unknown(target)
        if source.is_relative_to(ASIDE):
            source.rename(target)
        else:
            _copy(source, target)
    return target


def ensure_directory(directory: Path, *, mode: int, owner: str) -> None:
    """Have a directory with this mode and owner."""
    account = pwd.getpwnam(owner)
    directory.mkdir(parents=True, exist_ok=True)
    stat = directory.stat()
    if stat.st_mode & 0o7777 != mode:
        directory.chmod(mode)
    if (stat.st_uid, stat.st_gid) != (account.pw_uid, account.pw_gid):
        shutil.chown(directory, account.pw_uid, account.pw_gid)


def _place_for(identifier: str, data: Path) -> Path:
    """Return where data is set aside to; what is above it is there."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    place = ASIDE / f"{identifier}-{stamp}"
    for directory in (ASIDE, place):
        ensure_directory(directory, mode=0o755, owner="root")
    return place / data.parent.name


def _forget_process(path: Path) -> None:
    """Remove the PID of a PostgreSQL that died with its machine: inspect would heed it."""
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
        if not Path(f"/proc/{int(path.read_text().split()[0])}").exists():
            path.unlink()


@contextlib.contextmanager
def _told(what: str) -> Generator[None]:
    """Raise what the system or a tool refuses as PgdataError."""
    try:
        yield
    except OSError as error:
        raise PgdataError(f"{what}: {error.strerror or error}") from error
    except commands.CommandError as error:
        raise PgdataError(f"{what}: {error}") from error


def _copy(source: Path, target: Path) -> None:
    """Copy data from elsewhere: it may lie on a disk that goes away again."""
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    commands.run(["/bin/cp", "-a", str(source), str(part)], timeout_s=3600)
    commands.run(["/bin/chown", "-R", "postgres:postgres", str(part)], timeout_s=600)
    part.chmod(0o700)
    part.rename(target)


def _control(data: Path) -> dict[str, str]:
    """Return what pg_controldata tells, {} when there is no data."""
    if not (data / "global" / "pg_control").is_file() or not (data / "PG_VERSION").is_file():
        return {}
    tool = _tool(data, "pg_controldata")
    if not tool.is_file():
        raise PgdataError(f"{data} needs {tool}, which is not installed")
    done = commands.run([str(tool), str(data)], env={"LC_ALL": "C"}, check=False)
    pairs = re.findall(r"^([^:\n]+):\s+(\S.*)$", done.stdout, re.MULTILINE)
    return dict(pairs) if done.returncode == 0 else {}


def _tool(data: Path, name: str) -> Path:
    return POSTGRESQL / (data / "PG_VERSION").read_text().strip() / "bin" / name


def _lsn(text: str) -> int:
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)
