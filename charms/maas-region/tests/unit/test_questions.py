# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
import functools
import http.client
import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import garbage
import pytest

import accounts
import api
import database
import migration
import questions
import region
from charmed_maas import commands, witness
from findings import PRIMARY, REPLICA, SYNCHRONOUS, DHCPServer, Failover, Unknown

HERE = "127.0.0.1"
LOOPS = {"eventloops": {"r1:pid=3254": [[HERE, 5250]], "r2:pid=4112": [["10.99.0.12", 5250]]}}
# As Patroni 4 answers; 3 has the same keys.
MEMBERS = {
    "members": [
        {"name": "postgresql-ha-0", "role": "leader", "state": "running", "host": "10.0.0.1"},
        {
            "name": "postgresql-ha-1",
            "role": "sync_standby",
            "state": "streaming",
            "host": "10.0.0.2",
        },
        {"name": "postgresql-ha-2", "role": "replica", "state": "starting", "host": "10.0.0.3"},
    ],
    "scope": "postgresql-ha",
}


class Pages(http.server.BaseHTTPRequestHandler):
    """Answers what it is given by path: status and body."""

    def __init__(self, pages: dict[str, tuple[int, bytes]], *rest: Any) -> None:
        self._pages = pages
        super().__init__(*rest)

    def do_GET(self) -> None:
        status, body = self._pages.get(self.path, (404, b"no"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, tuple[int, bytes]]]:
    """Serve pages where MAAS and Patroni would."""
    found: dict[str, tuple[int, bytes]] = {}
    server = http.server.ThreadingHTTPServer((HERE, 0), functools.partial(Pages, found))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(region, "PORT", server.server_address[1])
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def _json(value: object) -> tuple[int, bytes]:
    return 200, json.dumps(value).encode()


def test_a_region_serves_when_it_lists_its_own_workers(pages: dict[str, Any]):
    pages["/MAAS/rpc/"] = _json(LOOPS)
    assert questions.region_problem(HERE) == ""
    pages["/MAAS/rpc/"] = _json({"eventloops": {"r2:pid=1": [["10.0.0.2", 5250]]}})
    assert questions.region_problem(HERE) == "MAAS does not list this region's workers"
    pages["/MAAS/rpc/"] = (502, b"<html>")
    assert questions.region_problem(HERE) == "MAAS answers 502"


def test_a_url_that_brings_an_answer_has_no_problem(pages: dict[str, Any]):
    url = f"http://{HERE}:{region.PORT}/MAAS"
    assert questions.url_problem(url) == "MAAS answers 404"
    pages["/MAAS/rpc/"] = _json(LOOPS)
    assert questions.url_problem(url) == ""


@pytest.mark.parametrize("strict", [True, False])
def test_patroni_tells_roles_states_and_the_option(
    pages: dict[str, Any], monkeypatch: pytest.MonkeyPatch, strict: bool
):
    def plain(host: str, port: int, *, timeout: float, context: Any) -> Any:
        assert context.check_hostname
        return http.client.HTTPConnection(host, port, timeout=timeout)

    monkeypatch.setattr(http.client, "HTTPSConnection", plain)
    pages["/cluster"] = _json(MEMBERS)
    pages["/config"] = _json({"synchronous_mode": True, "synchronous_mode_strict": strict})
    found = questions.cluster(HERE, region.PORT, garbage.CA)
    assert found.is_strict == strict
    assert found.members == {
        "10.0.0.1": (PRIMARY, ""),
        "10.0.0.2": (SYNCHRONOUS, ""),
        "10.0.0.3": (REPLICA, "starting"),
    }
    pages["/cluster"] = (503, b"")
    with pytest.raises(OSError, match="Patroni answers 503"):
        questions.cluster(HERE, region.PORT, garbage.CA)


def test_nonsense_in_an_answer_is_told_as_such(pages: dict[str, Any]):
    for body in (b"[]", b"{}", b'{"eventloops": null}', b'{"eventloops": {"a": [[]]}}', b"\xff"):
        pages["/MAAS/rpc/"] = (200, body)
        answer = questions.Question(lambda: questions.region_problem(HERE)).answer()
        assert answer == Unknown("nonsense in the answer")


def test_who_does_not_answer_in_time_is_given_up():
    start = time.monotonic()
    question = questions.Question(lambda: time.sleep(30), 0.05)
    assert question.answer() == Unknown("no answer in 0.05 s")
    assert time.monotonic() - start < 5


def test_an_answer_can_be_waited_for_less_long_and_looked_at_again():
    told = threading.Event()
    question = questions.Question(lambda: told.wait(30), 30)
    start = time.monotonic()
    assert isinstance(question.answer(start + 0.05), Unknown)
    assert time.monotonic() - start < 5
    told.set()
    assert question.answer() is True


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (TimeoutError("timed out"), "no answer in 1 s"),
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (http.client.BadStatusLine("x"), "x"),
        (api.APIError("Forbidden", 401), "Forbidden"),
        (accounts.AccountError("no such user"), "no such user"),
        (database.DatabaseError(""), "DatabaseError"),
        (commands.CommandError("ip exited with 1\nmore"), "ip exited with 1"),
        (KeyError("members"), "nonsense in the answer"),
    ],
)
def test_why_there_is_no_answer_is_said_in_an_operators_words(error: Exception, why: str):
    ask = mock.Mock(side_effect=error)
    assert questions.Question(ask).answer() == Unknown(why)


def test_a_machine_that_refuses_lives(monkeypatch: pytest.MonkeyPatch):
    connect = mock.create_autospec(socket.create_connection)
    monkeypatch.setattr(socket, "create_connection", connect)
    assert questions.machine_problem("10.0.0.1") == ""
    connect.side_effect = ConnectionRefusedError
    assert questions.machine_problem("10.0.0.1") == ""
    connect.side_effect = TimeoutError
    with pytest.raises(TimeoutError):
        questions.machine_problem("10.0.0.1")


def test_the_kernel_tells_addresses_and_neighbours(monkeypatch: pytest.MonkeyPatch):
    printed = {
        "address": '[{"ifname":"lo","addr_info":[{"local":"127.0.0.1"}]},{"ifname":"eth0"}]',
        "neighbour": '[{"dst":"10.0.0.2","dev":"eth0","lladdr":"52:54:00:00:00:02"},'
        '{"dst":"10.0.0.3","dev":"eth0","state":["FAILED"]}]',
    }
    monkeypatch.setattr(commands, "run", lambda argv, **_: mock.Mock(stdout=printed[argv[-1]]))
    assert questions.own_addresses() == {"127.0.0.1"}
    assert questions.neighbours() == {"10.0.0.2": "52:54:00:00:00:02"}


def test_maas_is_asked_with_the_key_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(accounts, "API_KEY", tmp_path / "api-key")
    client = mock.create_autospec(api.Client)
    monkeypatch.setattr(api, "Client", client)
    for ask in (questions.racks, questions.vlans):
        with pytest.raises(accounts.AccountError, match="no API key here yet"):
            ask(HERE)
    (tmp_path / "api-key").write_text("a:b:c\n")
    assert questions.racks("10.0.0.2") == client.return_value.racks.return_value
    client.assert_called_with("a:b:c", address="10.0.0.2", timeout_s=questions.MAAS_S)
    assert questions.vlans("10.0.0.3", 9.0) == client.return_value.vlans_with_dhcp.return_value
    client.assert_called_with("a:b:c", address="10.0.0.3", timeout_s=9.0)


def _rack(
    monkeypatch: pytest.MonkeyPatch, told: witness.Body, secret: str = "5ec2e7"
) -> threading.Thread:
    """Have a rack at HERE that answers one question."""
    listener = socket.create_server((HERE, 0))
    monkeypatch.setattr(witness, "PORT", listener.getsockname()[1])
    monkeypatch.setattr(region, "shared_secret", lambda: "5ec2e7")

    def serve() -> None:
        refused = contextlib.suppress(witness.WitnessError)
        with (
            listener,
            listener.accept()[0] as end,
            end.makefile("rb") as asked,
            end.makefile("wb") as answer,
            refused,
        ):
            witness.answer(asked, answer, secret, lambda _: told)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_rack_tells_of_its_dhcpd(monkeypatch: pytest.MonkeyPatch):
    normal = {"state": "normal", "for": 90}
    thread = _rack(monkeypatch, {"dhcpd": True, "vlans": {"5001": normal}})
    assert questions.dhcpd(HERE) == DHCPServer(True, {5001: Failover("normal", 90)})
    thread.join()
    thread = _rack(monkeypatch, {"dhcpd": False, "vlans": {}, "problem": "refused"})
    assert questions.dhcpd(HERE) == DHCPServer(False, {}, "refused")
    thread.join()


@pytest.mark.parametrize(
    ("told", "secret", "why"),
    [
        ({"dhcpd": True, "vlans": [1]}, "5ec2e7", "nonsense in the answer"),
        ({}, "0ther0", "sends no sealed answer"),
    ],
)
def test_a_rack_that_tells_nonsense_or_knows_another_secret_is_unknown(
    monkeypatch: pytest.MonkeyPatch, told: witness.Body, secret: str, why: str
):
    thread = _rack(monkeypatch, told, secret)
    assert questions.Question(lambda: questions.dhcpd(HERE)).answer() == Unknown(why)
    thread.join()


@pytest.mark.parametrize(("problem", "made"), [("", True), ("MAAS answers 502", False)])
def test_the_key_is_made_where_maas_serves_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str, made: bool
):
    monkeypatch.setattr(accounts, "API_KEY", tmp_path / "api-key")
    here = questions.Question(lambda: problem)
    key = mock.create_autospec(accounts.internal_api_key)
    monkeypatch.setattr(accounts, "internal_api_key", key)
    questions.ensure_api_key(here)
    assert key.called == made
    key.side_effect = accounts.AccountError("no")
    questions.ensure_api_key(here)
    accounts.API_KEY.write_text("a:b:c\n")
    key.reset_mock()
    questions.ensure_api_key(here)
    assert not key.called


def _connection(monkeypatch: pytest.MonkeyPatch, *rows: Sequence[tuple[object, ...]]) -> mock.Mock:
    connection = mock.MagicMock()
    cursor = connection.cursor.return_value.__enter__.return_value
    cursor.fetchall.side_effect = rows
    monkeypatch.setattr("psycopg2.connect", lambda **_: connection)
    monkeypatch.setattr(migration, "login_from_config", lambda: database.Login("m", "m", "p"))
    return cursor


def test_the_database_is_asked_for_controllers(monkeypatch: pytest.MonkeyPatch):
    _connection(monkeypatch, [("aaa000", "r0", True, True)])
    assert questions.controllers() == [database.Controller("aaa000", "r0", True, True)]


def test_a_bmc_without_a_note_of_its_racks_stays_in_the_list(monkeypatch: pytest.MonkeyPatch):
    rows = ([("n1",), ("n2",)], [("n1", ["kkk111"]), ("manual", ["kkk111"])])
    _connection(monkeypatch, *rows)
    assert questions.bmcs() == {"n1": ("kkk111",), "n2": ()}


def test_where_maas_switches_nothing_it_is_asked_for_no_reach(monkeypatch: pytest.MonkeyPatch):
    cursor = _connection(monkeypatch, [])
    assert questions.bmcs() == {}
    assert cursor.execute.call_count == 1


# The form of real MAAS 3.7.3's answers, shortened.
VLAN = {
    "vid": 0,
    "dhcp_on": True,
    "fabric": "fabric-0",
    "fabric_id": 0,
    "name": "untagged",
    "id": 5001,
}
FABRICS = [
    {"id": 0, "name": "fabric-0", "vlans": [
        {**VLAN, "primary_rack": "wwtnny", "secondary_rack": "hsgcck"},
        {**VLAN, "id": 5002, "vid": 50, "name": "VLAN 50", "primary_rack": "wwtnny"},
        {**VLAN, "vid": 60, "dhcp_on": False, "primary_rack": None, "secondary_rack": None},
    ]},
    {"id": 1, "name": "fabric-1", "vlans": []},
]  # fmt: skip
RACK = {
    "system_id": "hsgcck",
    "hostname": "k2",
    "service_set": [{"name": "rackd", "status": "running", "status_info": ""}],
    "interface_set": [
        {"vlan": VLAN, "links": [{"id": 2, "mode": "static", "ip_address": "10.99.0.22"}]},
        {"vlan": None, "links": [{"id": 3, "mode": "link_up"}]},
    ],
}


def test_maas_lists_vlans_with_dhcp_and_racks_with_their_addresses(
    monkeypatch: pytest.MonkeyPatch,
):
    answers = {"fabrics/": FABRICS, "rackcontrollers/": [RACK]}

    def request(_session: object, _verb: str, url: str, **_: object) -> mock.Mock:
        base, name = url.split("/2.0/")
        assert base == f"http://[fd00::2]:{region.PORT}/MAAS/api"
        return mock.Mock(ok=True, json=lambda: answers[name])

    monkeypatch.setattr("requests.Session.request", request)
    client = api.Client("a:b:c", address="fd00::2", timeout_s=1.0)
    assert client.vlans_with_dhcp() == [
        api.VLAN("fabric-0 untagged", 5001, "fabrics/0/vlans/0/", "wwtnny", "hsgcck"),
        api.VLAN("fabric-0 VLAN 50", 5002, "fabrics/0/vlans/50/", "wwtnny"),
    ]
    assert [one.racks for one in client.vlans_with_dhcp()] == [("wwtnny", "hsgcck"), ("wwtnny",)]
    links = ((5001, "10.99.0.22"),)
    assert client.racks() == [api.Controller("rack", "hsgcck", "k2", "running", links)]
