# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Files and templates: read, compare, write, say whether it changed."""

import contextlib
import errno
import os
import pwd
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

import jinja2

# What the path itself names, and without waiting for a pipe's other end.
ITSELF = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def render(template: Path, **values: object) -> str:
    """Render a Jinja template; raises jinja2.UndefinedError for a value that is missing."""
    environment = jinja2.Environment(  # noqa: S701 - configuration files, not HTML
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)


def ensure_file(path: Path, text: str, *, mode: int = 0o644, owner: str = "root") -> bool:
    """Make a file have this text, mode and owner (with the owner's own group).

    Returns whether anything changed. The file is replaced in one step, so that a reader or a
    power cut never meets half of it. So is a link: in a daemon's directory it may lead anywhere.
    """
    account = pwd.getpwnam(owner)
    with _opened(path) as stream:
        if stream and stream.read() == text.encode():
            return _ensure_access(stream.fileno(), mode, account)
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, text.encode(), mode, account.pw_uid, account.pw_gid)
    return True


def ensure_access(path: Path, *, mode: int, owner: str) -> bool:
    """Make a file have this mode and owner, whatever it says; returns whether either changed.

    Raises OSError for a link, and where there is none.
    """
    with open(os.open(path, ITSELF), "rb") as stream:
        return _ensure_access(stream.fileno(), mode, pwd.getpwnam(owner))


def ensure_no_link(path: Path) -> bool:
    """Remove a link, whatever it leads to; returns whether there was one."""
    return path.is_symlink() and ensure_absent(path)


def rewrite(path: Path, content: bytes) -> None:
    """Replace what a file has in one step; its mode, owner and group stay."""
    stat = path.stat()
    _replace(path, content, stat.st_mode & 0o7777, stat.st_uid, stat.st_gid)


def ensure_absent(path: Path) -> bool:
    """Remove a file if it is there; returns whether it was."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        return True
    return False


@contextlib.contextmanager
def _opened(path: Path) -> Generator[BinaryIO | None]:
    """Open the file that the path itself names; None where there is none, or a link."""
    try:
        handle = os.open(path, ITSELF)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP):
            raise
        yield None
        return
    with open(handle, "rb") as stream:
        yield stream


def _replace(path: Path, content: bytes, mode: int, uid: int, gid: int) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    candidate = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            os.fchown(stream.fileno(), uid, gid)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        candidate.replace(path)
    finally:
        candidate.unlink(missing_ok=True)


def _ensure_access(handle: int, mode: int, account: pwd.struct_passwd) -> bool:
    stat = os.fstat(handle)
    changed = False
    if stat.st_mode & 0o7777 != mode:
        os.fchmod(handle, mode)
        changed = True
    if (stat.st_uid, stat.st_gid) != (account.pw_uid, account.pw_gid):
        os.fchown(handle, account.pw_uid, account.pw_gid)
        changed = True
    return changed
