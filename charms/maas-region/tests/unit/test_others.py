# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import http.server
import socket
import threading
from collections.abc import Iterator

import pytest

import others
import region
from others import Found

HERE = "127.0.0.1"


class _Region(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        known = self.path == "/MAAS/api/2.0/version/"
        self.send_response(self.status if known else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Region]]:
    handler = type("Region", (_Region,), {})
    with http.server.HTTPServer((HERE, 0), handler) as server:
        monkeypatch.setattr(region, "PORT", server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield handler
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "found"), [(200, Found.SERVES), (502, Found.BEHIND), (503, Found.BEHIND)]
)
def test_a_region_serves_when_its_api_answers(served: type[_Region], status: int, found: Found):
    served.status = status
    assert others.ask([HERE]) == {HERE: found}
    assert others.any_serves([HERE]) == (found is Found.SERVES)


def test_a_machine_that_refuses_is_there(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server((HERE, 0)) as free:
        monkeypatch.setattr(region, "PORT", free.getsockname()[1])
    assert others.ask([HERE]) == {HERE: Found.BEHIND}


def test_a_machine_that_takes_connections_and_says_nothing_is_there(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(others, "TIMEOUT_S", 0.2)
    with socket.create_server((HERE, 0)) as silent:
        monkeypatch.setattr(region, "PORT", silent.getsockname()[1])
        assert others.ask([HERE]) == {HERE: Found.BEHIND}


def test_a_machine_that_takes_no_connection_is_away(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(others, "TIMEOUT_S", 0.2)
    with socket.create_server((HERE, 0), backlog=0) as full, socket.socket() as queued:
        # What does not fit the queue is dropped without a word, as a dead machine does.
        queued.connect(full.getsockname())
        monkeypatch.setattr(region, "PORT", full.getsockname()[1])
        assert others.ask([HERE]) == {HERE: Found.ABSENT}
    assert not others.any_serves([])
