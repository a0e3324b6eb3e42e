# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The region's HTTP server: one thread per request, behind nginx, on a UNIX socket."""

import dataclasses
import http.server
import json
import logging
import pathlib
import re
import socketserver
import typing
import urllib.parse

import psycopg2

from maas_standin import database, oauth

logger = logging.getLogger(__name__)

PREFIX = "/MAAS/api/2.0"
# Where MAAS's maas-apiserver answers, which tells of failures in words of its own.
API_SERVER = "/MAAS/a/"
API_SERVER_FAILED = {
    "code": 500,
    "message": "Unexpected internal server error. Please check the server logs for more details.",
    "details": None,
    "kind": "Error",
}
TEXT = "text/plain"
JSON = "application/json"
UTF8 = "; charset=utf-8"


class HTTPError(Exception):
    """An answer that is not the expected one."""

    def __init__(self, status: int, body: typing.Any, content_type: str = TEXT + UTF8) -> None:
        super().__init__(body)
        self.response = Response(body, status, content_type, is_error=True)


@dataclasses.dataclass
class Response:
    """What goes back to the client."""

    body: typing.Any = ""
    status: int = 200
    content_type: str = JSON + UTF8
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    is_error: bool = False

    def payload(self) -> bytes:
        """Return the body as bytes; what is no text is JSON."""
        body = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return body.encode()


@dataclasses.dataclass
class Request:
    """What a handler needs to know of a request."""

    method: str
    path: str
    query: dict[str, str]
    data: dict[str, str]
    authorization: str
    cursor: database.Cursor
    user: dict[str, typing.Any] = dataclasses.field(default_factory=dict)


Handler = typing.Callable[..., Response]


@dataclasses.dataclass
class Resource:
    """The operations that one kind of path has, by method and `op`."""

    operations: dict[tuple[str, str | None], Handler]
    is_public: bool = False
    # MAAS answers some resources without a key, but knows no operation for such a client.
    has_anonymous: bool = False


def not_found(kind: str) -> HTTPError:
    """Return MAAS's answer for an object that does not exist."""
    return HTTPError(404, f"No {kind} matches the given query.", TEXT)


def invalid(errors: dict[str, list[str]]) -> HTTPError:
    """Return MAAS's answer to a form with errors."""
    return HTTPError(400, errors, JSON + UTF8)


class Application:
    """Routes requests to resources, each in one database transaction."""

    def __init__(
        self,
        pool: database.Pool,
        routes: list[tuple[str, Resource]],
        plain: dict[str, Handler],
    ) -> None:
        self._pool = pool
        self._routes = [(re.compile(pattern), resource) for pattern, resource in routes]
        self._plain = plain

    def answer(
        self, method: str, path: str, query: dict[str, str], data: dict[str, str], key: str
    ) -> Response:
        """Return the answer to one request."""

        def work(cursor: database.Cursor) -> Response:
            return self._dispatch(Request(method, path, query, data, key, cursor))

        try:
            return self._pool.run(work)
        except HTTPError as error:
            return error.response
        except psycopg2.Error as error:
            logger.error("500 %s %s: %s", method, path, error)
            if path.startswith(API_SERVER):
                return Response(API_SERVER_FAILED, 500, JSON, is_error=True)
            return Response(str(error), 500, TEXT + UTF8, is_error=True)

    def _dispatch(self, request: Request) -> Response:
        # Every request of MAAS's reads its settings, so none is answered without a database.
        database.get_setting(request.cursor, "maas_url")
        if handler := self._plain.get(request.path):
            return handler(request)
        if request.path.startswith(API_SERVER):
            raise HTTPError(404, {"detail": "Not Found"}, JSON)
        if not request.path.startswith("/MAAS/api/"):
            target = urllib.parse.quote(request.path, safe="")
            headers = {"Location": f"/MAAS/?next={target}", "Vary": "Cookie"}
            return Response("", 302, "text/html; charset=utf-8", headers, is_error=True)
        for pattern, resource in self._routes:
            if match := pattern.fullmatch(request.path.removeprefix(PREFIX)):
                return self._call(resource, request, match.groupdict())
        raise HTTPError(404, f"Unknown API endpoint: {request.path}.")

    def _call(self, resource: Resource, request: Request, names: dict[str, str]) -> Response:
        op = request.query.get("op")
        unknown = HTTPError(400, f"Unrecognised signature: method={request.method} op={op}")
        if not resource.is_public:
            user = self._authenticate(request)
            if user is None:
                if resource.has_anonymous:
                    raise unknown
                raise HTTPError(401, "Forbidden", TEXT)
            request.user = user
        handler = resource.operations.get((request.method, op))
        if handler is None:
            raise unknown
        response = handler(request, **names)
        vary = "Authorization" if resource.is_public else "Authorization, Cookie"
        response.headers.setdefault("Vary", vary)
        return response

    def _authenticate(self, request: Request) -> dict[str, typing.Any] | None:
        try:
            return oauth.authenticate(request.cursor, request.authorization)
        except oauth.RefusedError as error:
            refusal = HTTPError(401, f"Authorization Error: {error}", "text/html; charset=utf-8")
            refusal.response.headers["WWW-Authenticate"] = 'OAuth realm="OAuth"'
            raise refusal from error


class _RequestHandler(http.server.BaseHTTPRequestHandler):
    """Speaks HTTP/1.0 with nginx."""

    application: Application
    is_verbose = False
    timeout = 900

    def address_string(self) -> str:
        """Return the client that nginx names."""
        return self.headers.get("X-Real-IP", "-") if hasattr(self, "headers") else "-"

    def log_message(self, format: str, *args: typing.Any) -> None:
        """Log requests if regiond.conf asks for it."""
        if self.is_verbose:
            logger.info("%s %s", self.address_string(), format % args)

    def _answer(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        form = self.rfile.read(length).decode(errors="replace")
        method = "GET" if self.command == "HEAD" else self.command
        response = self.application.answer(
            method,
            urllib.parse.unquote(parts.path),
            dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True)),
            dict(urllib.parse.parse_qsl(form, keep_blank_values=True)),
            self.headers.get("Authorization", ""),
        )
        payload = response.payload()
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("X-Frame-Options", "DENY")
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The server of one worker."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, path: str, application: Application, *, is_verbose: bool) -> None:
        pathlib.Path(path).unlink(missing_ok=True)
        attributes = {"application": application, "is_verbose": is_verbose}
        super().__init__(path, type("Handler", (_RequestHandler,), attributes))
        # nginx's workers run as another user than MAAS.
        pathlib.Path(path).chmod(0o666)

    def drain(self) -> None:
        """Wait for the requests that were accepted."""
        self.server_close()

    def get_request(self) -> tuple[typing.Any, typing.Any]:
        """Give the handler an address of the form that it expects."""
        request, _ = super().get_request()
        return request, ("unix", 0)
