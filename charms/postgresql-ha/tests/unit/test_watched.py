# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import json
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import cluster
import etcd
import paths
import patroni
import rest
import tls
import watched
from charmed_maas import probes

ME = cluster.Unit("postgresql-ha/0", "127.0.0.1")


@pytest.fixture(autouse=True)
def unit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A unit with a certificate, whose daemons would listen on the loopback."""
    monkeypatch.setattr(probes, "TIMEOUT_S", 0.5)
    for name in ("MEMBER", "CA", "CERTIFICATE", "KEY"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    ca, ca_key = tls.new_ca("test")
    certificate, key = tls.issue(cluster.Keys(ca, ca_key, "", "", "", ""), ME)
    paths.CA.write_text(ca)
    paths.CERTIFICATE.write_text(certificate)
    paths.KEY.write_text(key)
    paths.MEMBER.write_text(json.dumps({"unit": ME.name, "address": ME.address}))
    return tmp_path


def serve(server: socket.socket) -> None:
    """Answer one request as etcd does: to who has a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(paths.CA))
    context.load_cert_chain(paths.CERTIFICATE, paths.KEY)
    context.verify_mode = ssl.CERT_REQUIRED

    def once() -> None:
        with context.wrap_socket(server.accept()[0], server_side=True) as connection:
            assert connection.recv(100).startswith(b"GET /")
            connection.sendall(b"HTTP/1.0 503 Service Unavailable\r\n\r\n")

    threading.Thread(target=once, daemon=True).start()


def test_patroni_and_etcd_are_watched_and_postgresql_is_not_touched():
    found = {one.name: one.main_only for one in watched.SERVICES}
    assert found == {patroni.SERVICE: True, etcd.SERVICE: False}
    assert rest.PORT == watched.PATRONI_PORT
    assert f":{watched.ETCD_PORT}" in ME.peer_url


@pytest.mark.parametrize(
    ("answers", "port"),
    [(watched.patroni_answers, "PATRONI_PORT"), (watched.etcd_answers, "ETCD_PORT")],
)
def test_an_answer_that_says_no_is_an_answer(
    monkeypatch: pytest.MonkeyPatch, answers: Callable[[], bool], port: str
):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(watched, port, server.getsockname()[1])
        assert not answers(), "nobody has answered yet"
        server.accept()[0].close()
        serve(server)
        assert answers()
    assert answers(), "it is not there: systemd's to start"


@pytest.mark.parametrize("lost", ["member", "certificate"])
def test_without_the_means_to_ask_nobody_is_killed(unit: Path, lost: str):
    (unit / lost).unlink()
    assert watched.patroni_answers()
