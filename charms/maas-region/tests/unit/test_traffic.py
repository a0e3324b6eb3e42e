# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Which requests a region takes: what HAProxy hears, and when a drained region may stop."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import db_proxy
import draining
import region
import traffic
import traffic_server
from charmed_maas import systemd


@pytest.fixture(autouse=True)
def share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "traffic"
    monkeypatch.setattr(traffic, "SHARE", path)
    monkeypatch.setattr(draining, "NOTICED_S", 0.1)
    return path


@pytest.fixture
def port(share: Path) -> Iterator[int]:
    """The port of the service, started as systemd does."""
    with socket.create_server(("", 0)) as server:
        free = server.getsockname()[1]
    argv = [sys.executable, "-I", "-S", traffic_server.__file__, str(free), str(share)]
    with subprocess.Popen(argv) as process:
        yield free
        process.kill()


def _ask(port: int, says: bytes = b"") -> bytes:
    """Ask as HAProxy does, again until the service is there."""
    end = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(says)
                return connection.makefile("rb").read()
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_haproxy_hears_what_the_region_says_last(port: int):
    assert _ask(port) == b"100%\n"
    traffic.drain()
    assert _ask(port) == b"0%\n"
    assert traffic.take()
    assert not traffic.take()
    assert _ask(port) == b"100%\n"


def test_a_drain_that_nobody_ends_ends(port: int, share: Path):
    traffic.drain()
    old = time.time() - traffic_server.FORGOTTEN_S
    os.utime(share, (old, old))
    assert _ask(port) == b"100%\n"
    traffic.drain()
    assert _ask(port) == b"0%\n"
    ahead = time.time() + 1000
    os.utime(share, (ahead, ahead))
    assert _ask(port) == b"100%\n"


def test_one_that_hangs_up_or_talks_harms_nobody(port: int):
    assert _ask(port) == b"100%\n"
    for _ in range(5):
        socket.create_connection(("127.0.0.1", port)).close()
        with contextlib.suppress(OSError):
            _ask(port, b"x" * 1_000_000)
    assert _ask(port) == b"100%\n"


@pytest.fixture
def maas(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """MAAS's port, with a request under way."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(region, "PORT", server.getsockname()[1])
        yield server


def test_it_drains_until_the_last_request_is_done(maas: socket.socket, share: Path):
    client = socket.create_connection(maas.getsockname())
    served, _ = maas.accept()
    assert draining.is_busy(region.PORT)
    told: list[str] = []

    def end() -> None:
        told.append(share.read_text())
        client.close()
        served.close()

    threading.Timer(1, end).start()
    began = time.monotonic()
    traffic.drain()
    assert time.monotonic() - began >= 1
    assert told == ["0%\n"]
    assert not draining.is_busy(region.PORT)


def test_a_request_that_does_not_end_keeps_no_region_for_ever(
    maas: socket.socket, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(draining, "DRAINED_S", 0.2)
    with socket.create_connection(maas.getsockname()), maas.accept()[0]:
        assert draining.is_busy(region.PORT)
        traffic.drain()
        assert draining.is_busy(region.PORT)


@pytest.mark.parametrize(("state", "said"), [("stopping", b"0%\n"), ("running", b"100%\n")])
def test_only_a_machine_that_goes_down_drains_when_the_service_stops(
    port: int,
    share: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    said: bytes,
):
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\n[ "$*" = is-system-running ] && echo {state}\n')
    systemctl.chmod(0o755)
    monkeypatch.setattr(draining, "SYSTEMCTL", str(systemctl))
    monkeypatch.setattr(sys, "argv", ["draining.py", "0", str(share)])
    draining.main()
    assert _ask(port) == said


def test_a_drain_waits_until_haproxy_has_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(draining, "NOTICED_S", 0.5)
    began = time.monotonic()
    traffic.drain()
    assert time.monotonic() - began >= 0.5


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The unit files by name, as they are rendered."""
    for name in ("UNIT", "DRAIN"):
        monkeypatch.setattr(traffic, name, tmp_path / getattr(traffic, name).name)
    monkeypatch.setattr(systemd, "_ask", lambda *_: "")
    monkeypatch.setattr(systemd, "_do", lambda *did: done.append(did))
    done: list[tuple[str, ...]] = []
    assert traffic.ensure()
    assert ("start", "--no-block", traffic.DRAIN.name) in done, "MAAS may take its time to start"
    assert ("restart", traffic.UNIT.name) in done
    return {path.name: path.read_text() for path in tmp_path.glob("*.service")}


def _value(unit: str, key: str) -> str:
    (found,) = [line for line in unit.splitlines() if line.startswith(f"{key}=")]
    return found.partition("=")[2]


def test_a_machine_that_goes_down_drains_before_it_stops_anything_of_maas(units: dict[str, str]):
    drain = units[traffic.DRAIN.name]
    before = {region.HTTP, *region.SERVICES, db_proxy.SERVICE, traffic.UNIT.name}
    assert before <= set(_value(drain, "After").split())
    told = [draining.__file__, str(region.PORT), str(traffic.SHARE)]
    assert _value(drain, "ExecStop").split() == [sys.executable, "-I", "-S", *told]
    assert _value(drain, "RemainAfterExit") == "yes", "what is not active is not stopped"
    assert _value(drain, "WantedBy") == "multi-user.target"
    server = [traffic_server.__file__, str(traffic.PORT), str(traffic.SHARE)]
    assert _value(units[traffic.UNIT.name], "ExecStart").split()[-3:] == server


def test_a_drain_has_no_more_than_the_standard_library():
    script = f"import runpy; runpy.run_path({draining.__file__!r})"
    subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True)


def test_what_was_made_is_removed(
    units: dict[str, str], share: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert set(units) == {traffic.UNIT.name, traffic.DRAIN.name}
    done: list[tuple[str, ...]] = []
    monkeypatch.setattr(systemd, "_do", lambda *did: done.append(did))
    share.write_text(draining.NOTHING)
    traffic.remove()
    assert list(tmp_path.iterdir()) == []
    stopped = [did[-1] for did in done if "--now" in did]
    assert stopped == [traffic.DRAIN.name, traffic.UNIT.name]
