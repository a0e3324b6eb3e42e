# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Serve the API of the stage that LAB_STAGE names, with the client's files in a directory."""

import argparse
import asyncio
import logging
import secrets
import signal
import sys
from pathlib import Path

from charmed_lab.client import ClientError, Session
from charmed_lab.stage import Stage, StageError

from . import controller_calls, login, server
from .facades import APIError


async def serve(stage: Stage, directory: Path) -> None:
    """Serve until SIGTERM."""
    session, password, stop = Session(stage=stage), secrets.token_urlsafe(24), asyncio.Event()
    version, uuid = controller_calls.version(session), session.ask("controller")["uuid"]
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    certificate, key = login.certificate()
    api = server.API(stage, password)
    async with api.listen(login.context(certificate, key), str(login.ADDRESS)) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        login.write_files(directory, port, uuid, version, certificate, password)
        logging.getLogger(__name__).info("serving stage %s on port %s", stage.name, port)
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser("lab/bin/api", description=__doc__)
    parser.add_argument("directory", type=Path, help="becomes the JUJU_DATA of clients")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(serve(Stage.current(), arguments.directory))
    except (APIError, ClientError, StageError) as error:
        print(f"ERROR {error}", file=sys.stderr)
        sys.exit(1)
