# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The daemons of this unit that the watchdog's timer asks, and how; imports little.

PostgreSQL is not among them: one that hangs is Patroni's to judge.
"""

import json
import sys

import paths
from charmed_maas import probes, watchdog

CHARM = "postgresql-ha"
PATRONI_PORT = 8008
# Its members', on which etcd answers without a quorum, too; its clients wait for one.
ETCD_PORT = 2380


def patroni_answers() -> bool:
    """Ask Patroni; that it has not heard from etcd for long is an answer, too."""
    return _answers(PATRONI_PORT, "/liveness")


def etcd_answers() -> bool:
    """Ask etcd for its version."""
    return _answers(ETCD_PORT, "/version")


def _answers(port: int, path: str) -> bool:
    try:
        address = json.loads(paths.MEMBER.read_text())["address"]
        context = paths.tls_context()
    except (OSError, ValueError, KeyError):
        return True  # A hook is at work: nothing to ask with.
    request = f"GET {path} HTTP/1.0\r\n\r\n".encode()
    return probes.tcp_answers(
        address, port, request, lambda one: context.wrap_socket(one, server_hostname=address)
    )


SERVICES = (
    # A copy of the primary's data, or a long recovery, does not keep it from answering.
    watchdog.Service("postgresql-ha-patroni.service", patroni_answers, grace_s=60, main_only=True),
    # It listens, but does not answer, while it reads its log after a start.
    watchdog.Service("postgresql-ha-etcd.service", etcd_answers, grace_s=120),
)

if __name__ == "__main__":
    sys.exit(watchdog.main(CHARM, SERVICES))
