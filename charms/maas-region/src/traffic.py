# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Which requests this region takes: haproxy-vip asks each second, with no Juju in between.

A region that is to stop says so first, serves what it has, and stops when that is done. HAProxy
multiplies its server's weight by the share, and leaves alone a drain by hand. Uploads in chunks
go to the region that has the ones before, and TCP services where they are: neither drains.
"""

import sys
from pathlib import Path

import draining
import region
import traffic_server
from charmed_maas import files, systemd

PORT = 7914
UNIT = systemd.UNITS / "maas-region-traffic.service"
TEMPLATE = Path(__file__).parent / "templates" / f"{UNIT.name}.j2"
# A reboot forgets it: MAAS starts again without a hook.
SHARE = Path("/run/maas-region-traffic")


def ensure() -> bool:
    """Have haproxy-vip's question answered; returns whether anything changed."""
    text = files.render(
        TEMPLATE,
        python=sys.executable,
        module=traffic_server.__file__,
        port=PORT,
        share=SHARE,
        draining=draining.__file__,
        maas_port=region.PORT,
    )
    changed = systemd.ensure_files({UNIT: text}, then=lambda: systemd.restart(UNIT.name))
    return systemd.ensure_running(UNIT.name) or changed


def remove() -> None:
    """Answer no more, and forget."""
    systemd.ensure_stopped(UNIT)
    systemd.remove_files(UNIT)
    files.ensure_absent(SHARE)


def take() -> bool:
    """Take new requests; returns whether this region took none."""
    return files.ensure_absent(SHARE)


def drain() -> None:
    """Take no new requests, and return once those under way are done, or most of them are."""
    draining.drain(SHARE, region.PORT)
