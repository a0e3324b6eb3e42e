# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Files and templates: read, compare, write, say whether it changed."""

import contextlib
import os
import pwd
import tempfile
from pathlib import Path

import jinja2


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
    power cut never meets half of it.
    """
    account = pwd.getpwnam(owner)
    if _has(path, text.encode()):
        return _ensure_access(path, mode, account)
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, text.encode(), mode, account.pw_uid, account.pw_gid)
    return True


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


def _has(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except FileNotFoundError:
        return False


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


def _ensure_access(path: Path, mode: int, account: pwd.struct_passwd) -> bool:
    stat = path.stat()
    changed = False
    if stat.st_mode & 0o7777 != mode:
        path.chmod(mode)
        changed = True
    if (stat.st_uid, stat.st_gid) != (account.pw_uid, account.pw_gid):
        os.chown(path, account.pw_uid, account.pw_gid)
        changed = True
    return changed
