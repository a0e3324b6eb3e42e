# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import os
from pathlib import Path
from unittest import mock

import pytest

import dhcpd
import isolation
import rack
from charmed_maas import python_unit

PEER = dhcpd.Peer("failover-vlan-5001", 5001, "10.1.0.3", "10.1.0.4")
GRACE_S = 120


class Rack:
    """dhcpd and the regions, as far as they are asked."""

    def __init__(self) -> None:
        self.peers = [PEER]
        self.state = "normal"
        self.states: dict[int, str] = {}
        self.config = ""
        self.restarted = 0
        self.has_region = False
        self.hears = True
        self.stopped = 0
        self.asked_regions = 0

    def failovers(self, _: str, peers: list[dhcpd.Peer]) -> dict[int, dhcpd.Failover]:
        if self.state == "silent":
            raise dhcpd.DHCPError("dhcpd does not answer by OMAPI")
        return {one.vlan: dhcpd.Failover(self.states.get(one.vlan, self.state)) for one in peers}

    def region_serves(self) -> bool:
        self.asked_regions += 1
        return self.has_region

    def hears_a_region(self) -> bool:
        return self.region_serves() and self.hears

    def restart(self, service: str) -> None:
        assert service == rack.SERVICE
        self.restarted += 1

    def stop(self) -> None:
        self.stopped += 1


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Rack:
    found = Rack()
    monkeypatch.setattr(isolation, "ALONE", tmp_path / "alone.json")
    monkeypatch.setattr(isolation, "LOOKED", tmp_path / "looked")
    monkeypatch.setattr(dhcpd, "CONFIG", tmp_path / "dhcpd.conf")
    monkeypatch.setattr(isolation, "GRACE", tmp_path / "grace")
    isolation.GRACE.write_text(f"{GRACE_S}\n")
    monkeypatch.setattr(isolation, "STOPPED", tmp_path / "stopped")
    monkeypatch.setattr(isolation.systemd, "restart", found.restart)
    monkeypatch.setattr(dhcpd, "config", lambda: found.config)
    monkeypatch.setattr(dhcpd, "parse_peers", lambda _: found.peers)
    monkeypatch.setattr(dhcpd, "failovers", found.failovers)
    monkeypatch.setattr(dhcpd, "stop", found.stop)
    monkeypatch.setattr(rack, "region_serves", found.region_serves)
    monkeypatch.setattr(rack, "hears_a_region", found.hears_a_region)
    return found


@pytest.mark.parametrize("state", ["communications-interrupted", "partner-down", "silent"])
def test_a_rack_that_hears_nobody_stops_dhcpd_after_a_part_of_the_grace(
    alone: Rack, state: str, caplog: pytest.LogCaptureFixture
):
    alone.state = state
    assert not isolation.look(1000)
    assert not isolation.look(1029)
    assert isolation.look(1030)
    assert alone.stopped == 1
    assert isolation.STOPPED.exists()
    told = "no region, and not every failover peer, is heard for 30 s: dhcpd stops"
    assert caplog.messages[-1] == told


def test_one_of_many_peers_that_is_not_heard_is_enough(alone: Rack):
    alone.peers = [PEER, dhcpd.Peer("failover-vlan-5007", 5007, "10.7.0.3", "10.7.0.4")]
    alone.states = {5001: "normal", 5007: "communications-interrupted"}
    isolation.look(1000)
    assert isolation.look(1030)


def test_dhcp_comes_back_with_a_region_though_its_connection_lasted(alone: Rack):
    isolation.STOPPED.write_text("")
    assert not isolation.look(1000)
    assert (alone.restarted, isolation.STOPPED.exists()) == (0, True)
    alone.has_region = True
    assert not isolation.look(1010)
    assert (alone.restarted, isolation.STOPPED.exists()) == (1, False)


def test_a_configuration_that_a_region_has_sent_meanwhile_is_enough(alone: Rack):
    isolation.STOPPED.write_text("")
    alone.config = "omapi-port 7911;"
    assert not isolation.look(1000)
    assert (alone.restarted, isolation.STOPPED.exists()) == (0, False)


@pytest.mark.parametrize("state", ["normal", "recover", "potential-conflict"])
def test_a_rack_that_hears_its_peer_goes_on_and_asks_no_region(alone: Rack, state: str):
    alone.state = state
    assert not isolation.look(1000)
    assert not isolation.look(2000)
    assert not alone.asked_regions


def test_a_rack_that_hears_a_region_goes_on(alone: Rack):
    alone.state, alone.has_region = "communications-interrupted", True
    assert not isolation.look(1000)
    assert not isolation.look(2000)


def test_a_region_that_serves_but_is_not_heard_keeps_no_dhcpd(alone: Rack):
    alone.state, alone.has_region, alone.hears = "communications-interrupted", True, False
    isolation.look(1000)
    assert isolation.look(1030)
    assert not isolation.look(1040)
    assert (alone.restarted, isolation.STOPPED.exists()) == (1, False), "a restart is the cure"


def test_a_rack_without_a_failover_peer_goes_on(alone: Rack):
    alone.peers = []
    assert not isolation.look(1000)
    assert not isolation.look(2000)


def test_whoever_was_heard_meanwhile_begins_anew(alone: Rack):
    alone.state = "communications-interrupted"
    isolation.look(1000)
    alone.has_region = True
    isolation.look(1025)
    alone.has_region = False
    assert not isolation.look(1035)
    assert not isolation.look(1064)
    assert isolation.look(1065)


def send(when: float) -> None:
    """Have a region send a configuration."""
    dhcpd.CONFIG.touch()
    os.utime(dhcpd.CONFIG, (when, when))


def test_a_machine_that_stood_still_stops_dhcpd_though_it_hears_everybody(alone: Rack):
    send(500)
    alone.has_region = True
    assert not isolation.look_for_a_pause(1000)
    assert not isolation.look_for_a_pause(1030)
    assert isolation.look_for_a_pause(1061)
    assert (alone.stopped, isolation.STOPPED.exists()) == (1, True)
    assert not isolation.look(2000)
    assert (alone.restarted, isolation.STOPPED.exists()) == (1, False)


def test_a_configuration_that_waited_while_the_machine_stood_still_is_outdated(alone: Rack):
    send(1005)
    isolation.look_for_a_pause(1000)
    isolation.STOPPED.write_text("")
    alone.config = "omapi-port 7911;"
    assert isolation.look_for_a_pause(1500)
    assert (alone.stopped, isolation.STOPPED.exists()) == (1, True)


def test_what_was_sent_after_a_long_time_without_dhcp_is_served(alone: Rack):
    isolation.look_for_a_pause(1000)
    send(90000)
    assert not isolation.look_for_a_pause(90010)
    assert not isolation.look_for_a_pause(90020)


def test_after_a_reboot_nothing_is_known_and_nothing_stops(alone: Rack):
    send(500)
    assert not isolation.look_for_a_pause(90000)


def test_nobody_is_promoted_for_a_rack_without_a_failover_peer(alone: Rack):
    send(500)
    alone.peers = []
    isolation.look_for_a_pause(1000)
    assert not isolation.look_for_a_pause(90000)


def test_a_clock_that_is_set_back_stops_nothing_and_hides_no_later_pause(alone: Rack):
    send(89000)
    isolation.look_for_a_pause(90000)
    assert not isolation.look_for_a_pause(1000)
    assert not isolation.look_for_a_pause(1010)
    assert isolation.look_for_a_pause(1100)


def test_a_clock_that_is_set_forward_costs_one_start(alone: Rack):
    send(500)
    isolation.look_for_a_pause(1000)
    assert isolation.look_for_a_pause(90000)
    assert not isolation.look_for_a_pause(90010)
    assert alone.stopped == 1


def test_the_job_looks_by_the_wall_clock_first(alone: Rack, monkeypatch: pytest.MonkeyPatch):
    send(500)
    now = [1000.0]
    monkeypatch.setattr(isolation.time, "time", lambda: now[0])
    isolation.STOPPED.write_text("")
    alone.has_region = True
    assert isolation.main() == 0
    assert alone.restarted == 1
    now[0] += 500
    assert isolation.main() == 0
    assert (alone.stopped, alone.restarted) == (1, 1)
    assert isolation.STOPPED.exists()


def test_the_timer_is_there_only_where_dead_racks_are_replaced(alone: Rack):
    isolation.GRACE.unlink()
    isolation.LOOKED.write_text("1000")
    with mock.patch.object(isolation, "python_unit", autospec=python_unit) as timer:
        timer.ensure.return_value = timer.remove.return_value = False
        assert isolation.ensure(90)
        assert isolation.GRACE.read_text() == "90\n"
        timer.ensure.assert_called_once_with(
            isolation.TIMER, isolation.TEMPLATE, mock.ANY, stopped=isolation.STOPPED
        )
        assert not isolation.ensure(90)
        assert isolation.ensure(0)
        timer.remove.assert_called_once_with(isolation.TIMER)
    assert not isolation.GRACE.exists()
    assert not isolation.LOOKED.exists(), "when it is back, it would have stood still"
    assert isolation.main() == 0


def test_who_is_no_longer_replaced_brings_back_what_it_stopped_first(alone: Rack):
    isolation.STOPPED.write_text("")
    isolation.LOOKED.write_text("1000")
    alone.has_region = False
    with mock.patch.object(isolation, "python_unit", autospec=python_unit) as timer:
        assert isolation.ensure(0)
        assert isolation.main() == 0
        assert isolation.STOPPED.exists(), "the status says so meanwhile"
        assert not isolation.LOOKED.exists()
        alone.has_region = True
        assert isolation.main() == 0
        assert (alone.restarted, isolation.STOPPED.exists()) == (1, False)
        timer.remove.assert_not_called()
        alone.state, alone.has_region = "communications-interrupted", False
        assert isolation.main() == 0
        assert (alone.stopped, isolation.ALONE.exists()) == (0, False)
        isolation.ensure(0)
        timer.remove.assert_called_once_with(isolation.TIMER)
