# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Answering HAProxy's agent check with what a file says: a share of new requests, as `100%`.

A service of its own, which keeps no memory and reads nothing of who asks. HAProxy takes no answer
for no news.
"""

import contextlib
import socket
import sys
import time
from pathlib import Path

WHOLE = "100%\n"
ANSWER_S = 1.0
# Longer than a drain and a restart take. A hook that died in between, or a MAAS that came late,
# must not leave a region that serves without requests: whether it does HAProxy's checks know.
FORGOTTEN_S = 180.0


def share(path: Path) -> str:
    """Return what the file says; all requests without one, or with one from before."""
    try:
        age_s = time.time() - path.stat().st_mtime
        return path.read_text() if 0 <= age_s < FORGOTTEN_S else WHOLE
    except OSError:
        return WHOLE


def listen(port: int) -> socket.socket:
    """Listen on every address of this machine."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def main() -> None:
    """Serve for ever: traffic_server.py PORT FILE."""
    port, path = int(sys.argv[1]), Path(sys.argv[2])
    with listen(port) as server:
        while True:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(ANSWER_S)
                connection.sendall(share(path).encode())


if __name__ == "__main__":
    main()
