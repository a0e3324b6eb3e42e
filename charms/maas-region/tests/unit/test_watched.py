# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import db_proxy
import region
import watched
from charmed_maas import probes

SERVICES = {one.name: one for one in watched.SERVICES}


@contextlib.contextmanager
def worker(path: Path, *, hangs: bool) -> Iterator[None]:
    """A worker's socket; one that does not hang refuses what is asked."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def refuse() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        if not hangs:
            threading.Thread(target=refuse, daemon=True).start()
        yield


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(watched, "DATA", str(tmp_path))
    monkeypatch.setattr(probes, "TIMEOUT_S", 0.2)
    return tmp_path


def test_all_of_a_regions_services_are_watched():
    assert set(SERVICES) == {*region.SERVICES, region.HTTP, db_proxy.SERVICE}
    assert region.PORT == watched.PORT
    text = db_proxy.render_config(db_proxy.Members(()))
    assert f"stats socket {watched.PROXY_SOCKET} " in text


def test_one_worker_that_hangs_is_enough(data: Path):
    with (
        worker(data / "maas-regiond-webapp.sock.0", hangs=False),
        worker(data / "maas-regiond-webapp.sock.1", hangs=True),
    ):
        assert not watched.workers_answer()


def test_a_region_that_waits_for_its_database_does_not_hang(data: Path):
    assert watched.workers_answer()
    with worker(data / "maas-regiond-webapp.sock.0", hangs=True):
        pass
    assert watched.workers_answer(), "what a killed region left"


@pytest.mark.parametrize(
    ("name", "port"), [("maas-http.service", 5240), ("maas-temporal.service", 9000)]
)
def test_what_serves_http_is_asked_there(monkeypatch: pytest.MonkeyPatch, name: str, port: int):
    monkeypatch.setattr(probes, "http_answers", lambda at: at != port)
    assert not SERVICES[name].answers()


def test_the_proxy_is_asked_at_its_socket(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watched, "PROXY_SOCKET", str(data / "admin.sock"))
    with worker(data / "admin.sock", hangs=True):
        assert not watched.proxy_answers()
