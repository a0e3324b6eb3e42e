# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""How long a rack waits for the racks whose turn to restart comes before its own."""

import json
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from charmed_maas import files

# Since when this unit waits, and behind whom.
WAITING = Path("/var/lib/maas-rack-charm/waiting-since")
MAX_WAIT_S = 120.0
# A unit's turn may be over for that long before it notices, at update-status (every five minutes
# unless a model says otherwise), and it then restarts and settles: the next one leaves it that.
TURN_S = 360.0


def waited_long(ahead: Collection[str]) -> bool:
    """Tell whether this unit has waited as long as it may for those who go before it.

    The wait begins anew whenever they change. Those behind one whose machine is dead go one after
    the other, too: a unit waits longer the more go before it.
    """
    now, noted = time.time(), _waiting()
    # One that begins later than now was noted while the clock was ahead.
    if noted.get("ahead") != sorted(ahead) or noted["since"] > now:
        noted = dict[str, Any](since=now, ahead=sorted(ahead))
        files.ensure_file(WAITING, json.dumps(noted))
    return now - noted["since"] > MAX_WAIT_S + TURN_S * (len(ahead) - 1)


def end_wait() -> bool:
    """Forget that this unit waited: the next change is another wait. Returns whether it did."""
    return files.ensure_absent(WAITING)


def _waiting() -> dict[str, Any]:
    try:
        found = json.loads(WAITING.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    # An earlier revision noted the time alone.
    return found if isinstance(found, dict) else {}
