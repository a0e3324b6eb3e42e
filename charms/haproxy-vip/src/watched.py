# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The daemons of this unit that the watchdog's timer asks, and how; imports next to nothing."""

import sys

from charmed_maas import probes, watchdog

CHARM = "haproxy-vip"
SOCKET = "/run/haproxy/admin.sock"
DROP_IN = "/etc/systemd/system/{}.d/haproxy-vip.conf"


def haproxy_answers() -> bool:
    """Ask HAProxy at its socket: its ports are closed to all while maxconn is reached."""
    return probes.unix_answers(SOCKET, b"show version\n")


SERVICES = (
    watchdog.Service(
        "haproxy.service", haproxy_answers, condition=DROP_IN.format("haproxy.service")
    ),
    # Nothing can be asked of it; it advertises or listens, and checks its address each second.
    # One that hangs keeps the VIP while another unit takes it: with up to 10 s until the first
    # look and what its start takes, the two shall not have it for longer than 30 s.
    watchdog.Service(
        "keepalived.service",
        ticks=True,
        hung_s=20.0,
        condition=DROP_IN.format("keepalived.service"),
    ),
)

if __name__ == "__main__":
    sys.exit(watchdog.main(CHARM, SERVICES))
