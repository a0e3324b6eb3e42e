# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""A worker process of a region: HTTP on a socket, racks on a port."""

import contextlib
import logging
import os
import pathlib
import signal
import sys
import threading
import time
import types
import typing

from maas_standin import api, database, host, local_config, racks, web

logger = logging.getLogger(__name__)

POOL_SIZE = 4
PORTS = range(5250, 5260)


def _listen(pool: database.Pool, system_id: str) -> racks.Server:
    """Take the first free port that MAAS has for its workers."""
    for port in PORTS:
        try:
            return racks.Server(port, pool, (system_id, os.getpid()))
        except OSError:
            continue
    raise SystemExit("No port is free for racks.")


def _refresh_connections(server: racks.Server) -> None:
    while True:
        time.sleep(racks.REFRESH_S)
        server.publish()
        server.push_dhcp()


def _run(*threads: typing.Callable[[], None]) -> None:
    for target in threads:
        threading.Thread(target=target, daemon=True).start()


def main(number: int, ready: int) -> None:
    """Serve until told to stop; tell the port on a file descriptor once it listens."""
    config = local_config.read_region()
    system_id = host.read(host.MAAS_ID)
    name = f"maas-regiond-{system_id}"
    pool = database.Pool(config, name, POOL_SIZE)
    pool.open_all()
    rack_server = _listen(pool, system_id)
    handlers = {"sys_rack_delete": rack_server.dismiss, "sys_dhcp": rack_server.push_dhcp}
    database.Listener(config, name, handlers).start()
    stopping = threading.Event()

    def stop(_: int, __: types.FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _run(rack_server.serve_forever, lambda: _refresh_connections(rack_server))
    # A master that is told to stop meanwhile does not read this any more.
    with contextlib.suppress(BrokenPipeError), os.fdopen(ready, "w", encoding="ascii") as stream:
        stream.write(str(rack_server.server_address[1]))
    sys.stdin.read()  # Ends when the master has made us known: until then nginx says 502.
    if stopping.is_set():
        return
    application = web.Application(pool, api.ROUTES, api.PLAIN)
    socket_path = str(host.VAR / f"maas-regiond-webapp.sock.{number}")
    server = web.Server(socket_path, application, is_verbose=bool(config["debug_http"]))
    _run(server.serve_forever)
    stopping.wait()
    pathlib.Path(socket_path).unlink(missing_ok=True)  # No new request, the others are finished.
    server.shutdown()
    server.drain()


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(name)s: %(message)s")
    main(int(sys.argv[1]), int(sys.argv[2]))
