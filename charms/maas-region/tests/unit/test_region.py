# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import os
import pwd
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import yaml

import region
from charmed_maas import commands

SETTINGS = region.Settings(
    maas_url="http://10.0.0.100/MAAS",
    address="10.0.0.10",
    database_host="127.0.0.1",
    database_port=15432,
    database_name="maasdb",
    database_user="maasdb",
    database_pass="pw",
    num_workers=4,
)


@pytest.mark.parametrize(
    ("url", "vip"),
    [
        ("", ""),
        ("http://10.0.0.1:5240/MAAS", ""),
        ("http://[fd00::1]:5240/MAAS", ""),
        ("http://10.0.0.100/MAAS", "10.0.0.100"),
        ("http://[fd00::100]:8080/MAAS", "fd00::100"),
    ],
)
def test_a_url_through_the_vip_is_known_from_a_regions_own(url: str, vip: str):
    assert region.vip_of(url) == vip


def test_the_vip_of_regiond_conf_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(region, "CONFIG", tmp_path / "regiond.conf")
    assert region.configured_vip() == ""
    region.CONFIG.write_text("maas_url: http://10.0.0.100/MAAS\n")
    assert region.configured_vip() == "10.0.0.100"


class Machine:
    """A machine whose systemd and MAAS only note what they are told."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.active = "inactive"
        self.dead: set[str] = set()
        self.since_us = 0
        self.fails = False
        self.refuses: list[list[str]] = []
        self.enabled = "disabled"

    def run(self, argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if "show" in argv:
            value = f"{self.since_us}" if "InactiveExitTimestampMonotonic" in argv else self.active
            value = "failed" if argv[-1] in self.dead else value
            return subprocess.CompletedProcess(argv, 0, stdout=f"{value}\n")
        if "is-enabled" in argv:
            return subprocess.CompletedProcess(argv, 0, stdout=f"{self.enabled}\n")
        self.calls.append(argv[1:])
        if argv[1:] in self.refuses:
            raise commands.CommandError(f"systemctl cannot {argv[1]} {argv[-1]}")
        if argv[1] == "restart" and self.fails:
            raise commands.CommandError("systemctl exited with 1: maas-temporal failed")
        return subprocess.CompletedProcess(argv, 0, stdout="", stderr="")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine with regiond installed."""
    monkeypatch.setattr(region, "CONFIG", tmp_path / "regiond.conf")
    monkeypatch.setattr(region, "STARTED_WITH", tmp_path / "OURS/started-with")
    for name in ("DATA", "OURS", "UNITS"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(region, name, tmp_path / name)
    monkeypatch.setattr(region.apt_source, "SOURCE_PARTS", tmp_path)
    (region.UNITS / region.REGIOND).touch()
    me = pwd.getpwuid(os.getuid())
    monkeypatch.setattr("pwd.getpwnam", lambda _: me)
    monkeypatch.setattr(region, "version", lambda: "1:3.7.3")
    machine = Machine()
    monkeypatch.setattr("charmed_maas.commands.run", machine.run)
    return machine


def test_the_configuration_keeps_what_is_not_the_charms():
    text = region.render_config(SETTINGS, {"debug": True, "maas_url": "http://old/MAAS"})
    assert yaml.safe_load(text) == {
        "broadcast_address": "10.0.0.10",
        "database_host": "127.0.0.1",
        "database_name": "maasdb",
        "database_pass": "pw",
        "database_port": 15432,
        "database_user": "maasdb",
        "debug": True,
        "maas_url": "http://10.0.0.100/MAAS",
        "num_workers": 4,
    }


def test_no_number_of_workers_leaves_the_present_one():
    text = region.render_config(replace(SETTINGS, num_workers=0), {"num_workers": 7})
    assert yaml.safe_load(text)["num_workers"] == 7
    assert "num_workers" not in yaml.safe_load(
        region.render_config(replace(SETTINGS, num_workers=0), {})
    )


def test_a_password_that_looks_like_yaml_survives():
    text = region.render_config(replace(SETTINGS, database_pass="0x10: {"), {})
    assert yaml.safe_load(text)["database_pass"] == "0x10: {"


def test_a_region_is_configured_once_it_was_started_with_its_file(machine: Machine):
    assert region.ensure_config(SETTINGS)
    assert region.CONFIG.stat().st_mode & 0o777 == 0o640
    assert not region.is_configured(SETTINGS), "a hook killed here must restart it next time"
    region.start()
    assert machine.calls == [["enable", "--now", region.REGIOND]]
    assert region.is_configured(SETTINGS)
    assert not region.ensure_config(SETTINGS)

    changed = replace(SETTINGS, maas_url="http://10.0.0.101/MAAS")
    assert not region.is_configured(changed)
    region.ensure_config(changed)
    region.restart()
    assert machine.calls[-1] == ["restart", region.REGIOND]
    assert region.is_configured(changed)


def test_services_are_those_that_this_maas_has(machine: Machine):
    assert region.services() == [region.REGIOND]
    (region.UNITS / "maas-temporal.service").touch()
    (region.UNITS / "maas-apiserver.service").touch()
    assert region.services() == [region.REGIOND, "maas-apiserver.service", "maas-temporal.service"]


def test_a_service_that_fails_does_not_restart_regiond_at_every_event(machine: Machine):
    region.ensure_config(SETTINGS)
    machine.fails = True
    with pytest.raises(region.RegionError):
        region.restart()
    assert not region.is_configured(SETTINGS), "regiond itself was not restarted"
    machine.since_us = int((time.monotonic() + 60) * 1e6)
    with pytest.raises(region.RegionError):
        region.restart()
    assert region.is_configured(SETTINGS)


def test_one_dead_service_is_told_from_all(machine: Machine):
    (region.UNITS / "maas-temporal.service").touch()
    assert not region.is_any_running()
    machine.active = "active"
    assert region.is_running()
    assert region.is_any_running()
    machine.dead.add("maas-temporal.service")
    assert not region.is_running()
    assert region.is_any_running()


@pytest.mark.parametrize(
    "question",
    [region.is_running, region.is_any_running, region.age_s],
    ids=lambda one: one.__name__,
)
def test_a_systemd_that_does_not_answer_is_an_error_of_the_regions(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, question: Callable[[], object]
):
    no_answer = commands.CommandError("systemctl did not end within 60 s")
    monkeypatch.setattr("charmed_maas.commands.run", mock.Mock(side_effect=no_answer))
    with pytest.raises(region.RegionError, match="did not end within 60 s"):
        question()


def test_nginx_stops_first_and_last(machine: Machine):
    region.stop()
    assert machine.calls == [
        ["stop", region.HTTP],
        ["disable", "--now", region.REGIOND],
        ["stop", region.HTTP],
    ]


def test_what_systemd_does_not_stop_keeps_nothing_else_from_stopping(machine: Machine):
    region.CONFIG.write_text("maas_url: x\n")
    region.start()
    machine.calls.clear()
    machine.refuses = [["stop", region.HTTP]]
    with pytest.raises(region.RegionError, match=f"cannot stop {region.HTTP}"):
        region.stop()
    assert machine.calls[1] == ["disable", "--now", region.REGIOND]
    assert region.started_at(), "nobody may take it for one that was never started"


IDENTITY = ("maas_id", "maas_uuid", "secret")


def _serve() -> None:
    for name in IDENTITY:
        (region.DATA / name).write_text("x\n")
    for name in ("certificates", "image-storage"):
        (region.DATA / name).mkdir()
    (region.DATA / "certificates/cluster.pem").write_text("x")
    region.ensure_config(SETTINGS)
    region.start()


def _left() -> set[str]:
    return {one.name for one in region.DATA.rglob("*") if one.is_file()}


def test_a_region_forgets_what_it_was_but_keeps_images(machine: Machine):
    _serve()
    source = region.apt_source.SOURCE_PARTS / "charmed-maas-region.list"
    source.touch()
    assert region.system_id() == "x"
    region.forget()
    assert region.system_id() == region.shared_secret() == ""
    assert not region.CONFIG.exists()
    assert not source.exists()
    assert not _left()
    assert (region.DATA / "image-storage").is_dir()


def test_a_region_leaves_no_credential_behind(machine: Machine):
    for name in ("api-key", "password-of-admin", "password-of-other.new"):
        (region.OURS / name).write_text("x\n")
    region.forget()
    assert not list(region.OURS.iterdir())


def test_leaving_spares_a_rack_on_the_same_machine(machine: Machine):
    _serve()
    machine.enabled = "enabled"
    region.forget()
    assert _left() == {*IDENTITY, "cluster.pem"}
    assert not region.CONFIG.exists()


def test_urls_have_ipv6_in_brackets():
    assert region.url("10.0.0.1") == "http://10.0.0.1:5240/MAAS"
    assert region.url("fd00::1") == "http://[fd00::1]:5240/MAAS"
