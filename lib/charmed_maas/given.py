# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What a daemon was last given of the files that it reads only when it is told to.

A hook may be killed between writing a file and telling the daemon. So a note is kept of what the
daemon has, a digest of the files: taken away before the daemon is told, written after. The next
event compares, and tells it again unless the note says that it has them.
"""

import contextlib
import hashlib
from collections.abc import Generator
from pathlib import Path

from charmed_maas import files


def is_current(note: Path, *read: Path) -> bool:
    """Tell whether the daemon was given these files as they are now."""
    return note.is_file() and note.read_text() == _digest(read)


@contextlib.contextmanager
def noted(note: Path, *read: Path) -> Generator[None]:
    """Note that the daemon has these files, once the block has told it without an error."""
    # Of before: what is written meanwhile may come too late for the daemon.
    digest = _digest(read)
    files.ensure_absent(note)
    yield
    files.ensure_file(note, digest, mode=0o600)


def _digest(read: tuple[Path, ...]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in read)).hexdigest()
