# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Which requests this region takes: haproxy-vip asks each second, with no Juju in between.

A region that is to stop says so first, serves what it has, and stops when that is done. HAProxy
multiplies its server's weight by the share, and leaves alone a drain by hand. Uploads in chunks
go to the region that has the ones before, and TCP services where they are: neither drains.
"""

import sys
from pathlib import Path

import db_proxy
import draining
import region
import traffic_server
from charmed_maas import files, systemd

PORT = 7914
UNIT = systemd.UNITS / "maas-region-traffic.service"
# Apart from it, as it starts after MAAS has: of no use before, and MAAS may take its time.
DRAIN = systemd.UNITS / "maas-region-drain.service"
TEMPLATES = Path(__file__).parent / "templates"
# A reboot forgets it: MAAS starts again without a hook.
SHARE = Path("/run/maas-region-traffic")


def ensure() -> bool:
    """Have haproxy-vip's question answered, and a drain when the machine goes down.

    Returns whether anything changed.
    """
    traffic = files.render(
        TEMPLATES / f"{UNIT.name}.j2",
        python=sys.executable,
        module=traffic_server.__file__,
        port=PORT,
        share=SHARE,
    )
    drain = files.render(
        TEMPLATES / f"{DRAIN.name}.j2",
        python=sys.executable,
        module=draining.__file__,
        port=region.PORT,
        share=SHARE,
        services=(region.HTTP, *region.SERVICES, db_proxy.SERVICE, UNIT.name),
    )
    texts = {UNIT: traffic, DRAIN: drain}
    changed = systemd.ensure_files(texts, then=lambda: systemd.restart(UNIT.name))
    changed |= systemd.ensure_running(UNIT.name)
    return systemd.ensure_running(DRAIN.name, wait=False) or changed


def remove() -> None:
    """Answer no more, and forget."""
    for unit in (DRAIN, UNIT):
        systemd.ensure_stopped(unit)
    systemd.remove_files(UNIT, DRAIN)
    files.ensure_absent(SHARE)


def take() -> bool:
    """Take new requests; returns whether this region took none."""
    return files.ensure_absent(SHARE)


def drain() -> None:
    """Take no new requests, and return once those under way are done, or most of them are."""
    draining.drain(SHARE, region.PORT)
