# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import time
from pathlib import Path

import pytest

import dhcpd
import witness_server
from charmed_maas import commands, files, witness

PEER = dhcpd.Peer("failover-vlan-5001", 5001, "10.1.0.3", "10.1.0.4")
LOST = dhcpd.Failover("communications-interrupted", 1795361569)
ASKED: witness.Body = {"peer": "10.1.0.4", "own": "10.1.0.3"}


@pytest.fixture(autouse=True)
def _rack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dhcpd, "config", lambda: "text")
    monkeypatch.setattr(dhcpd, "parse_peers", lambda _: [PEER])
    monkeypatch.setattr(dhcpd, "failovers", lambda *_: {5001: LOST})
    monkeypatch.setattr(dhcpd, "is_running", lambda: True)
    monkeypatch.setattr(
        dhcpd, "answers", lambda own, peer: (own, peer) != ("10.1.0.3", "10.1.0.4")
    )


def test_states_are_told_by_vlan(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time, "time", lambda: 1795361569 + 90.7)
    assert witness_server.respond({}) == {
        "dhcpd": True,
        "vlans": {"5001": {"state": "communications-interrupted", "for": 90}},
    }


def test_whether_the_peers_address_answers_is_told_where_asked():
    assert witness_server.respond(ASKED)["peer-answers"] is False
    assert witness_server.respond({**ASKED, "peer": "10.1.0.9"})["peer-answers"] is True


def test_the_address_that_dhcpd_knows_its_peer_by_is_asked_for_too(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(dhcpd, "answers", lambda _, peer: peer == PEER.address)
    other: witness.Body = {"peer": "10.1.0.99", "own": "10.1.0.3"}
    assert witness_server.respond(other)["peer-answers"] is False
    assert witness_server.respond({**other, "vlan": 5001})["peer-answers"] is True


def test_a_failover_is_forgotten_where_asked(monkeypatch: pytest.MonkeyPatch):
    forgotten: list[int] = []
    monkeypatch.setattr(dhcpd, "forget", forgotten.append)
    assert witness_server.respond({"forget": 5001}) == {"forgotten": True}
    assert forgotten == [5001]
    assert "problem" in witness_server.respond({"forget": "x"})


def test_a_command_that_fails_is_told(monkeypatch: pytest.MonkeyPatch):
    def fails(*_: object):
        raise commands.CommandError("arping cannot be run: No such file")

    monkeypatch.setattr(dhcpd, "answers", fails)
    assert witness_server.respond(ASKED)["problem"] == "arping cannot be run: No such file"


@pytest.mark.parametrize("asked", [{"peer": "10.1.0.4"}, {**ASKED, "peer": "-I eth0"}])
def test_a_question_that_makes_no_sense_gets_no_answer_about_the_peer(asked: witness.Body):
    told = witness_server.respond(asked)
    assert told["problem"]
    assert "peer-answers" not in told


def test_a_dhcpd_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch):
    def silent(*_: object):
        raise dhcpd.DHCPError("dhcpd does not answer by OMAPI: refused")

    monkeypatch.setattr(dhcpd, "failovers", silent)
    told = witness_server.respond(ASKED)
    assert told == {
        "dhcpd": True,
        "vlans": {},
        "problem": "dhcpd does not answer by OMAPI: refused",
    }


@pytest.mark.parametrize("one", [witness_server.SOCKET, witness_server.SERVICE])
def test_units_are_rendered_whole(one: Path):
    values = {"python": "/p", "path": "/lib", "module": "/m", "port": 7913}
    text = files.render(witness_server.TEMPLATES / f"{one.name}.j2", **values)
    assert "ListenStream=7913\n" in text or "ExecStart=/p /m\n" in text
