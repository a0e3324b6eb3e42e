# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from charmed_maas import probes


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "TIMEOUT_S", 0.2)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def serve(listener: socket.socket, answer: bytes) -> None:
    def once() -> None:
        with listener.accept()[0] as connection:
            if answer:
                connection.sendall(answer)

    threading.Thread(target=once, daemon=True).start()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_a_refusal_and_an_end_are_answers(listener: socket.socket, answer: bytes):
    serve(listener, answer)
    assert probes.http_answers(port(listener))


def test_a_server_that_speaks_first_needs_no_question(listener: socket.socket):
    serve(listener, b"\0\0\0d")
    assert probes.tcp_answers("127.0.0.1", port(listener), b"")


def test_who_accepts_and_says_nothing_does_not_answer(listener: socket.socket):
    assert not probes.http_answers(port(listener))


def test_nobody_listening_is_no_hang(listener: socket.socket, tmp_path: Path):
    listener.close()
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = port(other)
    assert probes.http_answers(free)
    assert probes.unix_answers(str(tmp_path / "missing"), b"x")


def test_a_socket_that_nobody_accepts_on_does_not_answer(tmp_path: Path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(0)
        assert not probes.unix_answers(path, b"x"), "it is in the queue now"
        begun = time.monotonic()
        assert not probes.unix_answers(path, b"x"), "which is full"
        assert time.monotonic() - begun < 0.2


@pytest.mark.parametrize("root", ["", "systemd"])
def test_processes_are_those_of_the_services_cgroup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str
):
    monkeypatch.setattr(probes, "CGROUPS", (str(tmp_path), str(tmp_path / "systemd")))
    place = tmp_path / root / "system.slice" / "x.service"
    place.mkdir(parents=True)
    (place / "cgroup.procs").write_text("12\n345\n")
    assert probes.processes("x.service") == [12, 345]
    assert probes.processes("y.service") == []


def test_a_stopped_process_is_told_from_a_living_one():
    with subprocess.Popen(["sh", "-c", "while :; do sleep 0.01; done"]) as process:
        try:
            assert not probes.any_stopped([process.pid])
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.1)
            assert probes.any_stopped([1, process.pid])
            before = probes.switches([process.pid])
            time.sleep(0.1)
            assert probes.switches([process.pid]) == before > 0
            process.send_signal(signal.SIGCONT)
            time.sleep(0.1)
            assert not probes.any_stopped([process.pid])
            assert probes.switches([process.pid]) > before
        finally:
            process.kill()
    assert not probes.any_stopped([process.pid])
    assert probes.switches([process.pid]) == 0


def test_entries_are_paths(tmp_path: Path):
    for name in ("b.sock.1", "b.sock.0", "other"):
        (tmp_path / name).touch()
    found = probes.entries(str(tmp_path), "b.sock.")
    assert found == [str(tmp_path / "b.sock.0"), str(tmp_path / "b.sock.1")]
    assert probes.entries(str(tmp_path / "missing"), "b") == []
