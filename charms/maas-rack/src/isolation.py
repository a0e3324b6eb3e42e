# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""A rack that hears no region, and not every failover peer, stops its dhcpd by its own timer.

Its regions may take it for dead and have another rack promoted; both would then hand out the same
addresses. dhcpd notices after 60 s that a cut link is silent (max-response-delay), and a quarter
of the regions' grace later it stops. So it does where the machine stood still for as long. It
starts again once a region has sent it a configuration: the one from before may be outdated.
"""

import logging
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import dhcpd
import rack
from charmed_maas import failover, files, python_unit, systemd

TIMER = "maas-rack-isolation"
TEMPLATE = Path(__file__).parent / "templates" / TIMER
# The regions' grace in seconds, where the job reads it.
GRACE = rack.STATE / "dhcp-grace"
# Since when this rack is alone; a reboot forgets it, and dhcpd's configuration with it.
ALONE = Path("/run/maas-rack-alone")
# When this rack was last looked at, by the wall clock; a reboot forgets it, too.
LOOKED = Path("/run/maas-rack-looked")
# dhcpd was stopped here, and no region has sent a configuration since.
STOPPED = rack.STATE / "dhcp-stopped"
PART_OF_GRACE = 1 / 4

logger = logging.getLogger(__name__)


def ensure(grace_s: int) -> bool:
    """Have the timer where dead racks are replaced after grace_s, none with 0; returns changed.

    With 0, too, one that stopped dhcpd stays until that is back.
    """
    if not grace_s and not STOPPED.exists():
        return remove()
    if grace_s:
        changed = files.ensure_file(GRACE, f"{grace_s}\n")
    else:
        changed = any([files.ensure_absent(path) for path in (GRACE, ALONE, LOOKED)])
    return python_unit.ensure(TIMER, TEMPLATE, __file__, stopped=STOPPED) or changed


def remove() -> bool:
    """Take the timer away; returns whether there was one."""
    removed = python_unit.remove(TIMER)
    for path in (ALONE, LOOKED, STOPPED):
        files.ensure_absent(path)
    return files.ensure_absent(GRACE) or removed


def misses_a_peer(states: Iterable[str]) -> bool:
    """Tell whether dhcpd does not hear one of its failover peers, given its state for each.

    That one may be promoted. A rack without any peer has nobody who would be.
    """
    return any(one in failover.UNHEARD for one in states)


def look(now: float) -> bool:
    """Look once; returns whether dhcpd was stopped."""
    text = dhcpd.config()
    if STOPPED.exists():
        _bring_back(text)
        return False
    # The regions are asked only when a peer is not heard, which is rare.
    if not misses_a_peer(_states(text, dhcpd.parse_peers(text))) or rack.hears_a_region():
        files.ensure_absent(ALONE)
        return False
    since = _since(now)
    if now - since < _patience_s():
        return False
    _stop(f"no region, and not every failover peer, is heard for {now - since:.0f} s")
    return True


def look_for_a_pause(wall: float) -> bool:
    """Stop dhcpd where nobody looked for long; returns whether it was stopped.

    The machine stood still, and another rack may have been promoted. That shows by the wall clock
    (time.time()), for the monotonic one stands still with a machine that some hypervisors suspend.
    Set forward for as long, it costs one start of rackd and dhcpd; set back, it tells nothing.
    """
    looked = _number(LOOKED, wall)
    sent = dhcpd.sent()
    # What a region has sent since is not outdated; without a configuration nobody looks.
    still_s = wall - (max(looked, sent) if sent <= wall else looked)
    stands = still_s > _patience_s() and bool(dhcpd.parse_peers(dhcpd.config()))
    if stands:
        _stop(f"this machine stood still for {still_s:.0f} s")
    files.ensure_file(LOOKED, f"{wall}\n")
    return stands


def _stop(why: str) -> None:
    logger.warning("%s: dhcpd stops", why)
    files.ensure_file(STOPPED, "")
    dhcpd.stop()
    files.ensure_absent(ALONE)


def _patience_s() -> float:
    return int(GRACE.read_text()) * PART_OF_GRACE


def _bring_back(text: str) -> None:
    """Have a region send a configuration again, unless one has: a connection may have lasted.

    Whether rackd hears it is not asked: one that hangs does once it is started anew.
    """
    if not text and rack.region_serves():
        logger.warning("a region answers again: rackd starts anew, and dhcpd with it")
        systemd.restart(rack.SERVICE)
        text = "sent"
    if text:
        files.ensure_absent(STOPPED)


def _states(text: str, peers: list[dhcpd.Peer]) -> list[str]:
    try:
        return [one.state for one in dhcpd.failovers(text, peers).values()]
    except dhcpd.DHCPError as error:
        # One that hangs may hand out addresses as soon as it goes on.
        logger.info("%s", error)
        return ["" for _ in peers]


def _since(now: float) -> float:
    """Return since when this rack is alone, and note it; by the clock that no one sets."""
    since = _number(ALONE, now)
    files.ensure_file(ALONE, f"{since}\n")
    return since


def _number(path: Path, otherwise: float) -> float:
    try:
        return float(path.read_text())
    except (FileNotFoundError, ValueError):
        return otherwise


def main() -> int:
    """Run as the timer's job."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if GRACE.exists():
        if not look_for_a_pause(time.time()):
            look(time.monotonic())
    elif STOPPED.exists():
        _bring_back(dhcpd.config())
    return 0


if __name__ == "__main__":
    sys.exit(main())
