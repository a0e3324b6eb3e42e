# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from pathlib import Path

import pytest

import dhcp_status
import dhcpd
import isolation
from dhcp_status import Remark
from dhcpd import Failover

# 2026-11-28 12:00 UTC.
NOW = 1795867200
PAIR = 'failover peer "failover-vlan-5001" {\n    address 10.1.0.3;\n}\n'


@pytest.mark.parametrize(
    "failovers",
    [
        {},
        {5001: Failover("normal", NOW - 900)},
        {5001: Failover("startup", NOW - 20)},
        {5001: Failover("communications-interrupted", NOW - 59)},
    ],
)
def test_what_is_normal_or_does_not_last_is_not_told(failovers: dict[int, Failover]):
    assert list(dhcp_status.describe(failovers, NOW)) == []


@pytest.mark.parametrize(
    ("state", "for_s", "text", "answers"),
    [
        (
            "communications-interrupted",
            60,
            "without the other rack since 2026-11-28 11:59 UTC (communications-interrupted)",
            True,
        ),
        ("recover-wait", 600, "answers nobody until 2026-11-28 12:50 UTC (recover-wait)", False),
        (
            "potential-conflict",
            120,
            "answers nobody since 2026-11-28 11:58 UTC (potential-conflict)",
            False,
        ),
        # dhcpd does not know what its configuration has.
        ("", 86400, "without the other rack since 2026-11-27 12:00 UTC (unknown-state)", True),
    ],
)
def test_what_is_not_normal_and_lasts_is_told(state: str, for_s: int, text: str, answers: bool):
    (remark,) = dhcp_status.describe({5001: Failover(state, NOW - for_s)}, NOW)
    assert remark == Remark(f"DHCP on VLAN 5001 {text}", answers)


def test_vlans_in_the_same_state_are_told_together():
    failovers = {vlan: Failover("partner-down", NOW - vlan) for vlan in (5009, 5003, 5001, 5002)}
    (remark,) = dhcp_status.describe(failovers, NOW)
    assert remark == Remark(
        "DHCP on VLAN 5001, 5002, 5003 and 1 more without the other rack since"
        " 2026-11-28 10:36 UTC (partner-down)",
        answers=True,
    )


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(isolation, "STOPPED", tmp_path / "stopped")
    monkeypatch.setattr(dhcpd, "CONFIG", tmp_path / "dhcpd.conf")
    monkeypatch.setattr(dhcpd, "is_running", lambda: True)
    return dhcpd.CONFIG


def test_a_rack_that_serves_no_dhcp_has_nothing_to_tell(config: Path):
    assert dhcp_status.remarks() == []


def test_a_dhcpd_that_was_stopped_for_being_alone_is_told(config: Path):
    isolation.STOPPED.touch()
    assert dhcp_status.remarks() == [
        Remark("dhcpd stopped, until a region sends its configuration", answers=False)
    ]


@pytest.mark.parametrize("cause", ["", "dhcpd: Permission denied"])
def test_a_dhcpd_that_does_not_run_is_told_with_its_cause(
    config: Path, monkeypatch: pytest.MonkeyPatch, cause: str
):
    config.write_text(PAIR)
    monkeypatch.setattr(dhcpd, "is_running", lambda: False)
    monkeypatch.setattr(dhcpd, "first_cause", lambda: cause)
    (remark,) = dhcp_status.remarks()
    assert remark.text == "dhcpd does not run" + (f"; {cause}" if cause else "")
    assert not remark.answers


def test_a_dhcpd_that_does_not_tell_is_told(config: Path):
    config.write_text(PAIR)
    assert dhcp_status.remarks() == [Remark("dhcpd.conf has no key for OMAPI", answers=False)]


def test_a_dhcpd_without_failover_is_not_asked(config: Path):
    config.write_text("subnet 10.1.0.0 netmask 255.255.255.0 {}\n")
    assert dhcp_status.remarks() == []
