# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Whether this machine's region serves, asked of itself: not whether a process runs."""

import http
import json
import socket
import time
import urllib.error

import local_http
import region

START_S = 60.0
OWN_TLS = (
    "MAAS's own TLS is on, which the VIP does not serve: run `sudo maas-region config_tls disable`"
    " on a region"
)


def problem() -> str:
    """Return what is wrong with this region, "" when it serves.

    It serves when its own event loops are listed, which takes its workers, nginx and the
    database, and when it answers what HAProxy asks: with TLS of its own MAAS redirects that alone.
    """
    try:
        text = local_http.get(region.PORT, "/MAAS/rpc/")
        local_http.get(region.PORT, "/MAAS/api/2.0/version/")
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.MOVED_PERMANENTLY:
            return OWN_TLS
        return f"MAAS answers {error.code}"
    except OSError as error:
        return f"MAAS does not answer ({getattr(error, 'reason', error)})"
    return own_event_loops(text, socket.gethostname())


def own_event_loops(text: bytes, hostname: str) -> str:
    """Return what is wrong with the answer of /MAAS/rpc/, "" when it lists this host."""
    try:
        loops = json.loads(text)["eventloops"]
        own = [name for name in loops if name.startswith(f"{hostname.partition('.')[0]}:pid=")]
    except (ValueError, KeyError, TypeError):
        return "MAAS answers nonsense in /MAAS/rpc/"
    return "" if own else "MAAS does not list this region's workers yet"


def wait() -> str:
    """Wait until the region serves, at most a minute from its start; returns problem().

    That start is the one before this call: a regiond that dies again and again is always young.
    """
    deadline = time.monotonic() + START_S - region.age_s()
    while (found := problem()) and time.monotonic() < deadline:
        time.sleep(1)
    return found
