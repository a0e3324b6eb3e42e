# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""A rack that sees neither a region nor a failover peer stops its dhcpd, by a timer of its own.

Its regions may take it for dead and have another rack promoted; both would then hand out the same
addresses. It stops after half of the grace that the regions give it. MAAS starts dhcpd again once
a region has sent it a configuration: the one from before may be outdated.
"""

import json
import logging
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import dhcpd
import rack
from charmed_maas import files, python_timer

TIMER = "maas-rack-isolation"
TEMPLATE = Path(__file__).parent / "templates" / TIMER
# The regions' grace in seconds, where the job reads it.
GRACE = rack.STATE / "dhcp-grace"
# Since when this rack is alone; a reboot forgets it, and dhcpd's configuration with it.
ALONE = Path("/run/maas-rack-alone.json")
# In these states dhcpd does not hear its partner; in every other one it does, or just did.
UNHEARD = ("", "unknown-state", "startup", "communications-interrupted", "partner-down")

logger = logging.getLogger(__name__)


def ensure(grace_s: int) -> bool:
    """Have the timer where dead racks are replaced after grace_s, none with 0; returns changed."""
    if not grace_s:
        return remove()
    changed = files.ensure_file(GRACE, f"{grace_s}\n")
    return python_timer.ensure(TIMER, TEMPLATE, __file__) or changed


def remove() -> bool:
    """Take the timer away; returns whether there was one."""
    removed = python_timer.remove(TIMER)
    files.ensure_absent(ALONE)
    return files.ensure_absent(GRACE) or removed


def hears_no_peer(states: Iterable[str]) -> bool:
    """Tell whether dhcpd hears none of its failover peers, given its state for each.

    One without any has nobody who would be promoted in its place.
    """
    told = list(states)
    return bool(told) and all(one in UNHEARD for one in told)


def look(now: float) -> bool:
    """Look once; returns whether dhcpd was stopped."""
    text = dhcpd.config()
    # The regions are asked only when no peer is heard, which is rare.
    if not hears_no_peer(_states(text, dhcpd.parse_peers(text))) or rack.region_serves():
        files.ensure_absent(ALONE)
        return False
    since = _since(now)
    if now - since < int(GRACE.read_text()) / 2:
        return False
    logger.warning("neither a region nor a failover peer for %.0f s: dhcpd stops", now - since)
    dhcpd.stop()
    files.ensure_absent(ALONE)
    return True


def _states(text: str, peers: list[dhcpd.Peer]) -> list[str]:
    try:
        return [one.state for one in dhcpd.failovers(text, peers).values()] if peers else []
    except dhcpd.DHCPError as error:
        # One that hangs may hand out addresses as soon as it goes on.
        logger.info("%s", error)
        return ["" for _ in peers]


def _since(now: float) -> float:
    """Return since when this rack is alone, and note it; by the clock that no one sets."""
    try:
        return float(json.loads(ALONE.read_text()))
    except (FileNotFoundError, ValueError):
        files.ensure_file(ALONE, json.dumps(now))
        return now


def main() -> int:
    """Run as the timer's job."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if GRACE.exists():
        look(time.monotonic())
    return 0


if __name__ == "__main__":
    sys.exit(main())
