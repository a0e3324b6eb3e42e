# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import sys
import time
from pathlib import Path
from unittest import mock

import pytest

import dhcpd
import peer_leases
import witness_server
from charmed_maas import commands, systemd, witness

PEER = dhcpd.Peer("failover-vlan-5001", 5001, "10.1.0.3", "10.1.0.4")
LOST = dhcpd.Failover("communications-interrupted", 1795361569)
ASKED: witness.Body = {"peer": "10.1.0.4", "own": "10.1.0.3"}


@pytest.fixture(autouse=True)
def _rack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dhcpd, "config", lambda: "text")
    monkeypatch.setattr(dhcpd, "parse_peers", lambda _: [PEER])
    monkeypatch.setattr(dhcpd, "failovers", lambda *_: {5001: LOST})
    monkeypatch.setattr(dhcpd, "is_running", lambda: True)
    monkeypatch.setattr(peer_leases, "last_s", lambda *_: 0)
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


def test_how_long_unknown_leases_of_the_peer_last_is_told_of_the_vlan_that_is_asked_about(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(
        peer_leases,
        "last_s",
        lambda servers, state: 77 * (PEER.address in servers and state == LOST),
    )
    assert witness_server.respond({**ASKED, "vlan": 5001})["unknown-leases-for"] == 77
    assert witness_server.respond({**ASKED, "vlan": 5002})["unknown-leases-for"] == 0


def test_a_journal_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch):
    def fails(*_: object):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(peer_leases, "last_s", fails)
    told = witness_server.respond({**ASKED, "vlan": 5001})
    assert "Permission denied" in str(told["problem"])


def test_a_failover_is_forgotten_where_asked(monkeypatch: pytest.MonkeyPatch):
    forgotten: list[int] = []
    monkeypatch.setattr(dhcpd, "forget", forgotten.append)
    assert witness_server.respond({"forget": 5001}) == {"forgotten": True}
    assert forgotten == [5001]
    assert "problem" in witness_server.respond({"forget": "x"})
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(dhcpd, "forget", mock.Mock(side_effect=full))
    assert witness_server.respond({"forget": 5001}) == {"problem": str(full)}


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


def test_systemd_listens_and_starts_the_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    did: list[tuple[str, ...]] = []
    monkeypatch.setattr(systemd, "UNITS", tmp_path)
    monkeypatch.setattr(systemd, "_do", lambda *words: did.append(words))
    monkeypatch.setattr(systemd, "ensure_running", lambda _: False)
    monkeypatch.setattr("charmed_maas.files.os.fchown", lambda *_: None)
    assert witness_server.ensure()
    assert did == [("daemon-reload",), ("restart", "maas-rack-witness.socket")]
    assert "ListenStream=7913\n" in (tmp_path / "maas-rack-witness.socket").read_text()
    start = f"ExecStart={sys.executable} {witness_server.__file__}\n"
    assert start in (tmp_path / "maas-rack-witness@.service").read_text()
    assert not witness_server.ensure()
    assert witness_server.remove()
    assert not list(tmp_path.iterdir())
