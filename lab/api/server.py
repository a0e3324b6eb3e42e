# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The websocket server: requests of one connection are answered side by side, in threads."""

import asyncio
import concurrent.futures
import contextlib
import http
import json
import logging
import re
import ssl
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from charmed_lab.client import ClientError, Session
from charmed_lab.stage import Stage

from . import controller_calls, facades, model_calls, watcher
from .facades import APIError, Connection

logger = logging.getLogger(__name__)
ROOMS = (controller_calls, model_calls, watcher)  # Each registers its methods.
THREADS = 64
PATH = re.compile(r"(?:/model/(?P<uuid>[0-9a-f-]{36}))?/api")


class API:
    """All connections to one stage."""

    def __init__(self, stage: Stage, password: str) -> None:
        self._stage = stage
        self._password = password
        self._begun: dict[str, list[str]] = {}
        # A watcher keeps its thread until there is news.
        self._threads = concurrent.futures.ThreadPoolExecutor(THREADS)

    def listen(self, context: ssl.SSLContext, host: str) -> Server:
        """Return a server on a free port, to be entered."""
        return serve(self._serve, host, 0, ssl=context, process_request=_refuse_other_paths)

    async def _serve(self, link: ServerConnection) -> None:
        """Answer one connection until it ends, each request as soon as it can be."""
        path = PATH.fullmatch(link.request.path) if link.request else None
        uuid, session = (path and path["uuid"]) or "", Session(stage=self._stage)
        connection = Connection(session, self._password, self._begun, uuid)
        answers = set[asyncio.Task[None]]()
        try:
            async for message in link:
                answer = asyncio.create_task(self._answer(link, connection, message))
                answers.add(answer)
                answer.add_done_callback(answers.discard)
        except ConnectionClosed:
            logger.info("a client went away without a word")
        finally:
            for one in connection.watchers.values():
                one.stopped.set()

    async def _answer(
        self, link: ServerConnection, connection: Connection, message: str | bytes
    ) -> None:
        loop, request = asyncio.get_running_loop(), json.loads(message)
        answer = await loop.run_in_executor(self._threads, respond, connection, request)
        with contextlib.suppress(ConnectionClosed):
            await link.send(json.dumps(answer))


def respond(connection: Connection, request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request, or why there is none (juju/rpc/jsoncodec)."""
    number = {"request-id": request.get("request-id")}
    try:
        return number | {"response": facades.call(connection, request)}
    except (APIError, ClientError) as error:
        code = error.code if isinstance(error, APIError) else ""
        logger.info("refused: %s", error)
        return number | {"error": str(error), "error-code": code, "response": {}}
    except Exception as error:
        # A defect here must be told to who waits for the answer, or he waits for ever.
        logger.exception("in %s.%s", request.get("type"), request.get("request"))
        return number | {"error": f"the lab's API failed: {error!r}", "response": {}}


def _refuse_other_paths(link: ServerConnection, request: Request) -> Response | None:
    if PATH.fullmatch(request.path):
        return None
    return link.respond(http.HTTPStatus.NOT_FOUND, f"{request.path} is not implemented\n")
