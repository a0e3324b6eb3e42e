# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What dhcpd 4.4.3 heard of its peer's leases, with its words as a rack's journal had them."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import dhcpd
import peer_leases
from charmed_maas import commands

PEER = {"10.89.4.13", "10.89.4.113"}
LOST_AT = 1795910379
LOST = dhcpd.Failover("communications-interrupted", LOST_AT)
CONFIG = "  default-lease-time 600;\n  max-lease-time 600;\n"
CLIENT = "02:00:00:00:00:2f"
# 23:59:02, 37 s before dhcpd noticed that its peer is away.
TAKEN_AT = 1795910342
TAKEN = (
    f"{TAKEN_AT}.180998 test-m4 dhcpd[2008]: DHCPREQUEST for 10.89.5.141 (10.89.4.13)"
    f" from {CLIENT} via eth1: lease owned by peer\n"
)
OWN = (
    f"{TAKEN_AT}.2 test-m4 dhcpd[2008]: DHCPREQUEST for 10.89.4.198 (10.89.4.14)"
    " from 02:00:00:00:00:30 via eth1\n"
)
LEASE = """lease 10.89.5.141 {{
  starts 6 2026/11/28 {starts};
  ends 0 2026/11/29 00:08:39;
  binding state active;
  next binding state expired;
  hardware ethernet {client};
}}
"""
FREE = """lease 10.89.5.141 {
  starts 6 2026/11/28 23:58:34;
  binding state free;
}
"""


class Rack:
    """A rack whose dhcpd has heard and knows what it is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.heard, self.config, self.now = TAKEN, CONFIG, LOST_AT + 60
        self.leases = tmp_path / "dhcpd.leases"
        self.leases.write_text(FREE)
        self.asked: list[list[str]] = []
        monkeypatch.setattr(dhcpd, "LEASES", self.leases)
        monkeypatch.setattr(dhcpd, "config", lambda: self.config)
        monkeypatch.setattr(time, "time", lambda: self.now + 0.5)
        monkeypatch.setattr(commands, "run", self._run)

    def _run(self, argv: list[str], *, timeout_s: float) -> SimpleNamespace:
        assert timeout_s < 20
        self.asked.append(argv)
        return SimpleNamespace(stdout=self.heard)


@pytest.fixture
def rack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Rack:
    return Rack(monkeypatch, tmp_path)


def test_a_lease_that_dhcpd_never_heard_of_lasts_as_long_as_maas_has_it(rack: Rack):
    assert peer_leases.last_s(PEER, LOST) == TAKEN_AT + 600 - rack.now
    assert f"--since=@{LOST_AT - 90}" in rack.asked[0]
    rack.now = TAKEN_AT + 601
    assert peer_leases.last_s(PEER, LOST) == 0


def test_the_last_of_them_counts(rack: Rack):
    rack.heard += TAKEN.replace("2f", "30").replace(str(TAKEN_AT), str(TAKEN_AT + 20))
    assert peer_leases.last_s(PEER, LOST) == TAKEN_AT + 620 - rack.now


def test_a_lease_that_the_peer_told_of_is_none(rack: Rack):
    rack.leases.write_text(FREE + LEASE.format(starts="23:59:02", client=CLIENT))
    assert peer_leases.last_s(PEER, LOST) == 0


@pytest.mark.parametrize(
    ("starts", "client"), [("23:58:39", CLIENT), ("23:59:02", "02:00:00:00:00:99")]
)
def test_a_lease_that_is_known_from_before_or_of_another_client_is_one(
    rack: Rack, starts: str, client: str
):
    rack.leases.write_text(LEASE.format(starts=starts, client=client))
    assert peer_leases.last_s(PEER, LOST) == TAKEN_AT + 600 - rack.now


@pytest.mark.parametrize("heard", ["", OWN, TAKEN.replace("10.89.4.13", "10.1.0.13")])
def test_what_this_rack_or_another_vlans_peer_gave_is_none(rack: Rack, heard: str):
    rack.heard = heard
    assert peer_leases.last_s(PEER, LOST) == 0


@pytest.mark.parametrize("state", ["normal", "recover", ""])
def test_while_the_peer_is_heard_nothing_is_looked_for(rack: Rack, state: str):
    assert peer_leases.last_s(PEER, dhcpd.Failover(state, LOST_AT)) == 0
    assert not rack.asked


def test_a_peer_that_is_away_for_long_costs_no_longer_look(rack: Rack):
    rack.now = LOST_AT + 9 * 86400
    peer_leases.last_s(PEER, LOST)
    assert f"--since=@{rack.now - 600}" in rack.asked[0]


@pytest.mark.parametrize("config", ["", "max-lease-time 86400;\n"])
def test_no_lease_lasts_for_longer_than_what_dhcpd_gives_without_its_partner(
    rack: Rack, config: str
):
    rack.config = config
    assert peer_leases.last_s(PEER, LOST) == TAKEN_AT + 3600 - rack.now


@pytest.mark.parametrize(
    "heard",
    [
        TAKEN.replace(f"from {CLIENT}", f"from {CLIENT} (node-0 (old) x)"),
        TAKEN.replace("10.89.4.13", "10.89.4.113"),
    ],
)
def test_a_client_with_a_name_and_another_address_of_the_peer_are_heard_too(
    rack: Rack, heard: str
):
    rack.heard = heard
    assert peer_leases.last_s(PEER, LOST) == TAKEN_AT + 600 - rack.now


def test_a_client_that_has_another_address_since_has_none_of_the_peer(rack: Rack):
    """It was not answered there, say, for the peer died."""
    other = LEASE.format(starts="23:59:20", client=CLIENT).replace("5.141", "4.198")
    rack.leases.write_text(FREE + other + "\xff")
    assert peer_leases.last_s(PEER, LOST) == 0
