# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Opening MAAS's ports, its workers' as a range, which ops.Unit.set_ports cannot."""

from ops import hookcmds

import region

PORTS = ((region.PORT, None), (region.FIRST_WORKER_PORT, region.LAST_WORKER_PORT))


def ensure_open() -> bool:
    """Open those of MAAS's ports that are closed; returns whether any was."""
    opened = {(one.port, one.to_port) for one in hookcmds.opened_ports()}
    closed = [one for one in PORTS if one not in opened]
    for port, to_port in closed:
        hookcmds.open_port("tcp", port, to_port=to_port)
    return bool(closed)
