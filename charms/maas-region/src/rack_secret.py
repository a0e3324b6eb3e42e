# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""When a region takes another shared secret: once for each, after the racks.

MAAS demands the one that its database has at every handshake, but reads the one that it encrypts
with, and writes the file, at a start only. A region that starts anew before the racks have
followed would not be found again by those that have the old one still.

With which one MAAS was started is noted apart: a rack on the same machine writes the same file.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

import region
from charmed_maas import files

TAKEN = region.OURS / "shared-secret-taken"
WAITING = region.OURS / "shared-secret-waiting"
# Racks whose machines are dead never follow. A rack takes seconds; a thousand may take longer.
MAX_WAIT_S = 1800.0


def must_take(secret: str, have_followed: Callable[[str], bool]) -> bool:
    """Tell whether MAAS has to start anew for the secret that its database has."""
    if not secret or has_taken(secret):
        return False
    if not TAKEN.is_file() and not region.shared_secret():
        return False
    return have_followed(secret) or _waited_long(secret)


def has_taken(secret: str) -> bool:
    """Tell whether MAAS runs with this secret; notes what its file says where nothing is noted.

    That is the first secret, which MAAS made after it was started, as no rack has another yet.
    """
    if not TAKEN.is_file() and secret == region.shared_secret():
        _took(secret)
    return TAKEN.is_file() and TAKEN.read_text() == region.digest(secret)


@contextlib.contextmanager
def noted(secret: str) -> Iterator[None]:
    """Note the database's secret, "" for none yet, if regiond is started in this context.

    Also by a command that fails with another service: it must not come again at every event.
    """
    began = time.monotonic()
    try:
        yield
    finally:
        if region.age_s() <= time.monotonic() - began:
            _took(secret)


def _took(secret: str) -> None:
    if secret:
        files.ensure_file(TAKEN, region.digest(secret), mode=0o600)
    else:
        files.ensure_absent(TAKEN)
    files.ensure_absent(WAITING)


def _waited_long(secret: str) -> bool:
    """Tell whether this region has waited for the racks as long as it may; notes its begin."""
    digest = region.digest(secret)
    known, _, since = WAITING.read_text().partition(" ") if WAITING.is_file() else ("", "", "")
    # One that begins later than now was noted while the clock was ahead.
    if known != digest or float(since) > time.time():
        files.ensure_file(WAITING, f"{digest} {time.time():.0f}", mode=0o600)
        return False
    return time.time() - float(since) > MAX_WAIT_S
