# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The daemons of this unit that the watchdog's timer asks, and how; imports next to nothing."""

import sys

from charmed_maas import probes, watchdog

CHARM = "maas-rack"
RACKD_PORT = 5249
NGINX_PORT = 5248
OMAPI_PORTS = {"maas-dhcpd.service": 7911, "maas-dhcpd6.service": 7912}


def rackd_answers() -> bool:
    """Ask rackd where it tells its metrics."""
    return probes.http_answers(RACKD_PORT)


def nginx_answers() -> bool:
    """Ask the nginx that serves images and what machines boot with."""
    return probes.http_answers(NGINX_PORT)


def dhcpd_answers() -> bool:
    """Wait for dhcpd's greeting: by OMAPI the server speaks first."""
    return probes.tcp_answers("127.0.0.1", OMAPI_PORTS["maas-dhcpd.service"], b"")


def dhcpd6_answers() -> bool:
    """Wait for the greeting of the one for IPv6."""
    return probes.tcp_answers("127.0.0.1", OMAPI_PORTS["maas-dhcpd6.service"], b"")


SERVICES = (
    watchdog.Service("maas-rackd.service", rackd_answers, grace_s=120),
    watchdog.Service("maas-http.service", nginx_answers),
    watchdog.Service("maas-dhcpd.service", dhcpd_answers, grace_s=60),
    watchdog.Service("maas-dhcpd6.service", dhcpd6_answers, grace_s=60),
    watchdog.Service("maas-agent.service", grace_s=120),
)

if __name__ == "__main__":
    sys.exit(watchdog.main(CHARM, SERVICES))
