# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What the stand-in answers whatever its state, held against what a real MAAS answered.

tests/conformance asks everything that was recorded, on machines.
"""

import contextlib
import http.client
import json
import logging
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from maas_standin import (
    api,
    database,
    host,
    local_config,
    rack_command,
    rackd,
    region_command,
    web,
)

RECORDINGS = Path(__file__).parents[3] / "tests/conformance/maas/recordings"
COMMANDS = {"maas-rack": rack_command.main, "maas-region": region_command.main}
NOWHERE = "http://10.99.0.99:5240/MAAS", "http://10.99.0.98:5240/MAAS"


def load(name: str) -> dict[str, Any]:
    return json.loads((RECORDINGS / f"{name}.json").read_text())


# --- commands


class Shell:
    """Runs the stand-in's commands as root of a machine."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setattr(os, "geteuid", lambda: 0)

    def __call__(self, *argv: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", list(argv))
        try:
            code = COMMANDS[argv[0]]()
        except SystemExit as error:
            code = int(error.code or 0)
        said = self._capsys.readouterr()
        return code, said.out, said.err


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


@pytest.mark.parametrize(
    "name",
    [
        "maas-region-help",
        "maas-region-no-arguments",
        "maas-region-unknown-subcommand",
        "rack/config-05-unknown-option",
        "rack/help",
        "rack/no-arguments",
        "rack/unknown-subcommand",
    ],
)
def test_command_says_what_that_of_maas_says(shell: Shell, name: str):
    recorded = load(f"cli/{name}")
    expected = recorded["exit_code"], recorded["stdout"], recorded["stderr"]
    assert shell(*recorded["argv"]) == expected


@pytest.mark.parametrize(
    "argv",
    [
        ("maas-rack", "edit-named-options", "--dry-run"),
        ("maas-rack", "get-named-conf"),
        ("maas-rack", "observe-arp", "eth0"),
        ("maas-rack", "observe-beacons", "--help"),
        ("maas-rack", "observe-mdns"),
        ("maas-rack", "scan-network", "--threads", "3"),
        ("maas-region", "changepassword", "admin"),
        ("maas-region", "config_tls", "enable"),
        ("maas-region", "help", "migrate"),
    ],
)
def test_what_the_stand_in_only_names_ends_with_an_error(shell: Shell, argv: tuple[str, ...]):
    name = argv[2] if argv[1] == "help" else argv[1]
    assert shell(*argv) == (1, "", f"The stand-in has no {name}.\n")


# --- requests


class Cursor:
    """A database in which one user has the key that a request is signed with."""

    rowcount = 1

    def __init__(self, secret: str) -> None:
        self._row = {"id": 1, "value": "", "secret": secret}

    def execute(self, *_: object) -> None:
        pass

    def fetchone(self) -> dict[str, Any]:
        return self._row


class Connection(http.client.HTTPConnection):
    """Speaks to a worker as its nginx does."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Connection]:
    # Nothing listens there: a database that is down.
    config = {
        **{"database_host": "127.0.0.1", "database_port": 1, "database_name": "maasdb"},
        **{"database_user": "maas", "database_pass": "", "database_conn_max_age": 1},
        **{"database_keepalive": True, "database_keepalive_idle": 1},
        **{"database_keepalive_interval": 1, "database_keepalive_count": 1},
    }
    path = str(tmp_path / "socket")
    application = web.Application(database.Pool(config, "test", 1), api.ROUTES, api.PLAIN)
    server = web.Server(path, application, is_verbose=False)
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    yield Connection(path)
    server.shutdown()
    server.server_close()
    thread.join()


def ask(worker: Connection, request: dict[str, Any]) -> tuple[int, str | None, str]:
    """Send a recorded request, signed now if it was; return status, type and body."""
    path = request["url"].partition(":5240")[2]
    now = f'oauth_timestamp="{int(time.time())}"'
    headers = {
        name: re.sub(r'oauth_timestamp="\d+"', now, value)
        for name, value in request["headers"].items()
    }
    with contextlib.closing(worker):
        worker.request(request["method"], path, request["body"], headers)
        answer = worker.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()


def check(worker: Connection, recorded: dict[str, Any]) -> None:
    status, kind, text = ask(worker, recorded["request"])
    response = recorded["response"]
    assert (status, kind) == (response["status"], response["headers"]["Content-Type"])
    if "json" in response:
        assert json.loads(text) == response["json"]
    else:
        assert text == response["body"]


@pytest.mark.parametrize(
    "name",
    [
        "other/apiserver-v2",
        "other/apiserver-v3-root",
        "other/metadata",
        "read/machines-empty",
        "read/machines-without-auth",
    ],
)
def test_region_answers_as_maas(worker: Connection, monkeypatch: pytest.MonkeyPatch, name: str):
    recorded = load(f"http/{name}")
    signature = recorded["request"]["headers"].get("Authorization", "")
    cursor = Cursor("".join(re.findall(r'oauth_signature="%26(\w+)"', signature)))
    monkeypatch.setattr(database.Pool, "run", lambda _, work: work(cursor))
    check(worker, recorded)


def test_api_server_fails_as_maas_does_without_a_database(worker: Connection):
    check(worker, load("http/postgresql-down/apiserver-v3"))


# --- what a rack's log says


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what this thread logged: others that tests left behind may do so, too."""
    mine = threading.get_ident()
    return [record.getMessage() for record in caplog.records if record.thread == mine]


def test_rack_says_of_which_urls_no_region_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(local_config, "read_rack", lambda: {"maas_url": list(NOWHERE)})
    monkeypatch.setattr(rackd, "STATE", tmp_path / "rpc.state")
    # What a URL without a region gives, without asking a network of which nothing is known.
    monkeypatch.setattr(rackd, "_fetch", lambda _: {})
    caplog.set_level(logging.INFO)
    assert rackd.find_regions() == {}
    (line,) = load("time/rackd-log-no-reachable-region")["log_lines"]
    asked = line[line.index("(While requesting") :]
    # The cause that MAAS tells before is Twisted's.
    assert said(caplog) == [f"Region not available. {asked}"]


def test_rack_waits_for_its_secret_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    secret = tmp_path / "secret"
    monkeypatch.setattr(host, "SECRET", secret)
    waited: list[float] = []
    mine, really_sleep = threading.get_ident(), time.sleep

    def sleep(seconds: float) -> None:
        if threading.get_ident() != mine:
            return really_sleep(seconds)
        waited.append(seconds)
        if sum(waited) >= 90:  # As long as MAAS's log was watched.
            secret.write_text("00" * 16)
        return None

    monkeypatch.setattr(rackd.time, "sleep", sleep)
    caplog.set_level(logging.DEBUG)
    assert rackd._wait_for_secret()
    assert sum(waited) == 90
    assert [line for line in load("time/rackd-log-no-secret-file")["log_lines"] if line] == []
    assert said(caplog) == []
