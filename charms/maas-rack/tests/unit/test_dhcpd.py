# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pypureomapi
import pytest

import dhcpd
from charmed_maas import arping, commands

# As MAAS 3.7 writes it, but for the pools.
CONFIG = """\
omapi-port 7911;
key omapi_key {
    algorithm HMAC-MD5;
    secret "c2VjcmV0";
};
omapi-key omapi_key;

failover peer "failover-vlan-5001" {
    primary;
    address 10.1.0.3;
    peer address 10.1.0.4;
    max-response-delay 60;
    max-unacked-updates 10;
    load balance max seconds 3;
    mclt 3600;
    split 255;
}
failover peer "failover-vlan-5007" {
    secondary;
    address 10.7.0.3;
    peer address 10.7.0.4;
}
"""
PEERS = [
    dhcpd.Peer("failover-vlan-5001", 5001, "10.1.0.3", "10.1.0.4"),
    dhcpd.Peer("failover-vlan-5007", 5007, "10.7.0.3", "10.7.0.4"),
]


OBJECTS = {
    "failover-vlan-5001": {
        b"local-state": b"\0\0\0\2",
        b"partner-state": b"\0\0\0\2",
        b"local-stos": b"\x6a\0\0\0",
    },
    "failover-vlan-5007": {b"local-state": b"\0\0\0\xfe", b"local-stos": b"\x6a\0\0\1"},
}


class Omapi:
    """dhcpd's side of OMAPI, as pypureomapi shows it."""

    def __init__(self, host: str, port: int, name: bytes, key: bytes, timeout: float) -> None:
        assert (host, port, name, key) == ("127.0.0.1", 7911, b"omapi_key", b"c2VjcmV0")
        assert timeout > 0

    def lookup_by_failoverstate(self, *, raw: bool, name: str) -> dict[bytes, bytes]:
        assert raw
        if name not in OBJECTS:
            raise pypureomapi.OmapiErrorNotFound
        return OBJECTS[name]

    def close(self) -> None:
        pass


def test_peers_are_read_from_the_configuration():
    assert dhcpd.parse_peers(CONFIG) == PEERS
    assert dhcpd.parse_peers("") == []


def test_states_are_asked_by_omapi(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pypureomapi, "Omapi", Omapi)
    assert dhcpd.failovers(CONFIG, PEERS) == {
        5001: dhcpd.Failover("normal", 0x6A000000),
        5007: dhcpd.Failover("recover-wait", 0x6A000001),
    }
    unknown = dhcpd.Peer("failover-vlan-1", 1, "", "")
    assert dhcpd.failovers(CONFIG, [*PEERS, unknown])[1] == dhcpd.Failover()


def test_a_dhcpd_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object, **__: object):
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(pypureomapi, "Omapi", refused)
    with pytest.raises(dhcpd.DHCPError, match=r"OMAPI: .*refused"):
        dhcpd.failovers(CONFIG, PEERS)
    with pytest.raises(dhcpd.DHCPError, match="has no key"):
        dhcpd.failovers("", PEERS)


@pytest.mark.parametrize(("code", "answers"), [(0, True), (1, False)])
def test_an_address_is_asked_for_on_the_link_of_an_own_one(
    monkeypatch: pytest.MonkeyPatch, code: int, answers: bool
):
    ran: list[Sequence[str]] = []

    def run(argv: Sequence[str], **_: object):
        ran.append(argv)
        out = "7: eth1    inet 10.1.0.3/24 brd 10.1.0.255 scope global eth1\n"
        is_arping = argv[0] == arping.ARPING
        return subprocess.CompletedProcess(argv, code * is_arping, "" if is_arping else out, "")

    monkeypatch.setattr(commands, "run", run)
    assert dhcpd.answers("10.1.0.3", "10.1.0.4") is answers
    assert ran[-1][-3:] == ["-I", "eth1", "10.1.0.4"]


LEASES = """\
server-duid "x";

lease 10.1.0.100 {
  binding state active;
}
failover peer "failover-vlan-5001" state {
  my state normal at 6 2026/11/28 09:30:44;
  partner state normal at 6 2026/11/28 09:30:44;
}
failover peer "failover-vlan-5007" state {
  my state normal at 6 2026/11/28 09:30:44;
}
failover peer "failover-vlan-5001" state {
  my state communications-interrupted at 6 2026/11/28 09:31:03;
}
lease 10.1.0.101 {
  binding state free;
}
"""


class Machine:
    """dhcpd's service and files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.running, self.hangs = True, False
        self.did: list[str] = []
        monkeypatch.setattr(dhcpd, "LEASES", directory / "dhcpd.leases")
        monkeypatch.setattr(dhcpd, "CONFIG", directory / "dhcpd.conf")
        monkeypatch.setattr(dhcpd.systemd, "is_running", lambda _: self.running)
        monkeypatch.setattr(dhcpd.systemd, "stop", self.stop)
        monkeypatch.setattr(dhcpd.systemd, "restart", self.did.append)
        dhcpd.LEASES.write_text(LEASES)

    def stop(self, service: str) -> bool:
        self.did.append("stop")
        if self.hangs:
            raise dhcpd.systemd.SystemdError(f"{service} did not end")
        return self.running


@pytest.mark.parametrize("running", [True, False])
def test_a_vlans_failover_is_forgotten_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, running: bool
):
    machine = Machine(monkeypatch, tmp_path)
    machine.running = running
    dhcpd.forget(5001)
    kept = dhcpd.LEASES.read_text()
    assert "failover-vlan-5001" not in kept
    assert "communications-interrupted" not in kept
    assert "failover-vlan-5007" in kept
    assert kept.count("lease 10.1.0.10") == 2
    assert machine.did == ["stop", *([dhcpd.SERVICE] if running else [])]
    dhcpd.forget(5001)
    assert len(machine.did) == 1 + running


def test_leases_that_cannot_be_written_stay_and_dhcpd_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    machine = Machine(monkeypatch, tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        dhcpd.forget(5001)
    assert dhcpd.LEASES.read_text() == LEASES
    assert machine.did == ["stop", dhcpd.SERVICE]
    machine.hangs = True
    with pytest.raises(dhcpd.systemd.SystemdError, match="did not end"):
        dhcpd.forget(5001)
    assert dhcpd.LEASES.read_text() == LEASES
    assert machine.did == ["stop", dhcpd.SERVICE] * 2


def test_what_is_no_text_in_the_leases_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    Machine(monkeypatch, tmp_path)
    uid = b'  uid "\377\xff";\n'
    dhcpd.LEASES.write_bytes(uid + LEASES.encode())
    dhcpd.forget(5001)
    kept = dhcpd.LEASES.read_bytes()
    assert kept.startswith(uid)
    assert b"failover-vlan-5001" not in kept


def test_a_failover_that_is_in_use_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    machine = Machine(monkeypatch, tmp_path)
    dhcpd.CONFIG.write_text(CONFIG)
    with pytest.raises(dhcpd.DHCPError, match="still serves VLAN 5001"):
        dhcpd.forget(5001)
    assert dhcpd.LEASES.read_text() == LEASES
    assert machine.did == []


def test_an_arping_that_cannot_ask_is_no_evidence(monkeypatch: pytest.MonkeyPatch):
    def run(argv: Sequence[str], **_: object):
        code = 2 if argv[0] == arping.ARPING else 0
        return subprocess.CompletedProcess(argv, code, "7: eth1 inet 10.1.0.3/24\n", "")

    monkeypatch.setattr(commands, "run", run)
    with pytest.raises(dhcpd.DHCPError, match="arping exited with 2"):
        dhcpd.answers("10.1.0.3", "10.1.0.4")


def test_an_own_address_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch):
    done = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(commands, "run", lambda *_, **__: done)
    with pytest.raises(dhcpd.DHCPError, match=r"no interface has 10\.1\.0\.3"):
        dhcpd.answers("10.1.0.3", "10.1.0.4")
