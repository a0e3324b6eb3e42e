# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The daemons of this unit that the watchdog's timer asks, and how; imports next to nothing."""

import sys

from charmed_maas import probes, watchdog

CHARM = "maas-region"
PORT = 5240
TEMPORAL_METRICS_PORT = 9000
PROXY_SOCKET = "/run/maas-db-proxy/admin.sock"
DATA = "/var/lib/maas"
WORKER_SOCKETS = "maas-regiond-webapp.sock."


def workers_answer() -> bool:
    """Ask each of regiond's workers at the socket where nginx does."""
    sockets = probes.entries(DATA, WORKER_SOCKETS)
    return all(probes.unix_answers(path, probes.NO_REQUEST) for path in sockets)


def nginx_answers() -> bool:
    """Ask nginx where HAProxy does."""
    return probes.http_answers(PORT)


def temporal_answers() -> bool:
    """Ask Temporal where it tells its metrics."""
    return probes.http_answers(TEMPORAL_METRICS_PORT)


def proxy_answers() -> bool:
    """Ask the database's proxy at its socket, which serves without a primary too."""
    return probes.unix_answers(PROXY_SOCKET, b"show version\n")


# MAAS listens late after a start; those of a later or an earlier MAAS are just not there.
SERVICES = (
    watchdog.Service("maas-regiond.service", workers_answer, grace_s=120),
    watchdog.Service("maas-http.service", nginx_answers),
    watchdog.Service("maas-db-proxy.service", proxy_answers),
    watchdog.Service("maas-temporal.service", temporal_answers, grace_s=120),
    # These answer nothing without the database: that nobody stopped them is all that is known.
    watchdog.Service("maas-apiserver.service", grace_s=120),
    watchdog.Service("maas-temporal-worker.service", grace_s=120),
)

if __name__ == "__main__":
    sys.exit(watchdog.main(CHARM, SERVICES))
