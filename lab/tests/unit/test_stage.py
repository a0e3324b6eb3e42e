# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import ipaddress

import pytest

from charmed_lab.stage import MAX_MACHINES, OCTETS, Stage, StageError


def test_environment_names_the_stage(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAB_STAGE", "test")
    monkeypatch.setenv("LAB_BASE", "debian@12")
    monkeypatch.setenv("LAB_JUJU", "3.6")
    stage = Stage.current()
    assert (stage.name, stage.release, stage.juju) == ("test", "bookworm", "3.6")
    assert stage.golden.endswith("bookworm")


def test_lab_on_debian_13_is_the_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("LAB_STAGE", raising=False)
    monkeypatch.delenv("LAB_BASE", raising=False)
    monkeypatch.delenv("LAB_JUJU", raising=False)
    assert Stage.current() == Stage("lab", "debian@13")


@pytest.mark.parametrize(
    ("name", "base", "juju"),
    [("prod", "debian@13", ""), ("lab", "debian@11", ""), ("lab", "debian@13", "3.5")],
)
def test_unknown_stage_base_or_juju_is_refused(name: str, base: str, juju: str):
    with pytest.raises(StageError, match="must be one of"):
        Stage(name, base, juju)


def test_addresses_follow_the_machine_number():
    stage = Stage("test")
    assert stage.address("0") == "10.89.0.10"
    assert stage.address("7") == "10.89.0.17"
    assert stage.dhcp_address("7") == "10.89.4.17"
    assert str(stage.vip) == "10.89.0.100"
    assert str(stage.gateway) == "10.89.0.1"
    assert stage.machine_name("7") == "test-m7"


@pytest.mark.parametrize("number", ["0/lxd/1", "-1", "", str(MAX_MACHINES)])
def test_what_is_no_machine_number_has_no_address(number: str):
    with pytest.raises(StageError, match="0 to"):
        Stage().address(number)


def test_no_machine_has_the_vip():
    for name in OCTETS:
        stage = Stage(name)
        addresses = {stage.address(str(number)) for number in range(MAX_MACHINES)}
        assert str(stage.vip) not in addresses


def test_stages_share_no_address():
    subnets = [subnet for n in OCTETS for subnet in (Stage(n).subnet, Stage(n).dhcp_subnet)]
    assert len(set(subnets)) == len(subnets)
    assert all(subnet.subnet_of(ipaddress.IPv4Network("10.80.0.0/12")) for subnet in subnets)
