# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""When a region takes another shared secret: once for each, after the racks.

MAAS demands the one that its database has at every handshake, but reads the one that it encrypts
with, and writes the file, at a start only. A region that starts anew before the racks have
followed would not be found again by those that have the old one still.
"""

import time
from collections.abc import Callable

import region
from charmed_maas import files

TAKEN = region.OURS / "shared-secret-taken"
WAITING = region.OURS / "shared-secret-waiting"
# Racks whose machines are dead never follow. A rack takes seconds; a thousand may take longer.
MAX_WAIT_S = 1800.0


def must_take(secret: str, have_followed: Callable[[str], bool]) -> bool:
    """Tell whether MAAS has to start anew for the secret that its database has."""
    if secret in ("", region.shared_secret()) or not region.shared_secret():
        return False
    # Once: a MAAS that cannot write its file must not restart at every event.
    if TAKEN.is_file() and TAKEN.read_text() == region.digest(secret):
        return False
    return have_followed(secret) or _waited_long(secret)


def took(secret: str) -> None:
    """Note that MAAS was started anew while its database had this secret."""
    files.ensure_file(TAKEN, region.digest(secret), mode=0o600)
    files.ensure_absent(WAITING)


def _waited_long(secret: str) -> bool:
    """Tell whether this region has waited for the racks as long as it may; notes its begin."""
    digest = region.digest(secret)
    known, _, since = WAITING.read_text().partition(" ") if WAITING.is_file() else ("", "", "")
    if known != digest:
        files.ensure_file(WAITING, f"{digest} {time.time():.0f}", mode=0o600)
        return False
    return time.time() - float(since) > MAX_WAIT_S
