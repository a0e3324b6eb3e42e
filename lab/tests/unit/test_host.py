# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What the lab needs of its host, and the one sentence that is said where it is missing."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charmed_lab import console, host, lxd, up
from charmed_lab.console import StepError
from charmed_lab.stage import Stage

DEBIAN = {"ID": "debian", "VERSION_ID": "12"}


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Debian on which nothing of the lab is, and nothing is done."""
    monkeypatch.setattr(host, "ROOT", tmp_path)
    monkeypatch.setattr(host, "NO_CLUSTER", tmp_path / "postgresql-common/none.conf")
    monkeypatch.setattr(console, "LOG", tmp_path / "commands.log")
    monkeypatch.setattr(host, "LXD_TIMEOUT_S", 0.0)
    monkeypatch.setattr(host.platform, "freedesktop_os_release", lambda: DEBIAN)
    monkeypatch.setattr(lxd, "is_answering", lambda: False)
    monkeypatch.setattr(lxd, "get", lambda _: None)
    monkeypatch.setattr(host, "spawn", lambda *_: None)
    monkeypatch.setattr(host, "_forget_dead_daemon", lambda: None)
    monkeypatch.setattr(host, "_installed", lambda _: set())
    return tmp_path


def answering(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[list[str]], tuple[int, str, str]]
) -> None:
    """Let every command of the host answer with an exit code, its output and its errors."""

    def run(argv: list[Any], **_: object) -> subprocess.CompletedProcess[bytes]:
        code, out, err = answer([str(word) for word in argv])
        return subprocess.CompletedProcess(argv, code, out.encode(), err.encode())

    monkeypatch.setattr(subprocess, "run", run)


def test_another_user_than_root_is_told_to_become_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StepError, match=r"run it as root \(sudo\)"):
        up.prepare(Stage())


def test_a_full_disk_is_told_before_anything_is_made(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    usage = shutil.disk_usage("/")._replace(free=3 * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StepError, match="has 3 GiB free; the lab needs 15: free some"):
        up.prepare(Stage())


def test_another_distribution_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch):
    release = {"ID": "fedora", "PRETTY_NAME": "Fedora 43"}
    monkeypatch.setattr(host.platform, "freedesktop_os_release", lambda: release)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "lxc" else name)
    with pytest.raises(StepError, match=r"Fedora 43 lacks lxc: install LXD 5 or later"):
        host.ensure_packages()


@pytest.mark.parametrize("has_systemd", [True, False])
def test_an_lxd_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, *, has_systemd: bool):
    systemd = Path("/run/systemd/system")
    monkeypatch.setattr(Path, "is_dir", lambda path: has_systemd or path != systemd)
    answering(monkeypatch, lambda _: (1, "", "Failed to start lxd.service"))
    said = "systemd cannot start LXD" if has_systemd else "LXD does not start; .* says why"
    with pytest.raises(StepError, match=said):
        host.ensure_lxd()


def test_addresses_that_somebody_uses_are_told(monkeypatch: pytest.MonkeyPatch):
    routes = json.dumps([{"dst": "10.88.0.0/16", "dev": "vpn0"}])
    answering(monkeypatch, lambda _: (0, routes, ""))
    with pytest.raises(StepError, match=r"10\.88\.0\.0/24 is in use on vpn0: the lab needs it"):
        host.ensure_networks(Stage())


def test_an_unreachable_mirror_is_told_with_apts_reason(monkeypatch: pytest.MonkeyPatch):
    answering(monkeypatch, lambda _: (100, "", "E: Could not resolve 'deb.debian.org'"))
    said = "apt cannot install the host's packages.* Could not resolve 'deb.debian.org'"
    with pytest.raises(StepError, match=said):
        host.ensure_packages()


@pytest.mark.parametrize("for_tests", [False, True])
def test_tests_want_the_daemons_that_check_configurations_and_none_that_stays(
    monkeypatch: pytest.MonkeyPatch, *, for_tests: bool
):
    release = {"ID": "debian", "VERSION_ID": "13"}
    monkeypatch.setattr(host.platform, "freedesktop_os_release", lambda: release)
    monkeypatch.setattr(host, "_installed", lambda _: set(host.PACKAGES.split()))
    commands = list[list[str]]()

    def answer(argv: list[str]) -> tuple[int, str, str]:
        commands.append(argv)
        return (0, "", "")

    answering(monkeypatch, answer)
    host.ensure_packages(for_tests=for_tests)
    installed = [argv[4:] for argv in commands if "install" in argv]
    assert installed == ([["haproxy", "keepalived", "postgresql"]] if for_tests else [])
    assert host.NO_CLUSTER.exists() == for_tests


def test_an_unreachable_package_index_is_told_with_pips_reason(
    bare: Path, monkeypatch: pytest.MonkeyPatch
):
    def answer(argv: list[str]) -> tuple[int, str, str]:
        (bare / "venv").mkdir(exist_ok=True)
        is_pip = argv[0].endswith("/pip")
        return (
            (1, "", "ERROR: No matching distribution found for PyYAML") if is_pip else (0, "", "")
        )

    answering(monkeypatch, answer)
    said = "pip cannot install the lab's Python packages.* No matching distribution found"
    with pytest.raises(StepError, match=said):
        host.ensure_venv(bare / "venv", ["PyYAML"])


def test_a_step_that_fails_ends_a_command_with_one_sentence(capsys: pytest.CaptureFixture[str]):
    def command() -> int:
        raise StepError("this cannot be done: do that")

    with pytest.raises(SystemExit, match="1"):
        console.main(command)
    assert capsys.readouterr().err == "ERROR: this cannot be done: do that\n"


def test_another_users_route_is_found_and_the_default_route_is_not():
    subnet = Stage().subnet
    default = {"dst": "default", "dev": "eth0"}
    assert host.overlapping(subnet, [default, {"dst": "10.87.0.0/24", "dev": "br"}]) is None
    assert host.overlapping(subnet, [default, {"dst": "10.0.0.0/8", "dev": "vpn"}]) == "vpn"
    assert host.overlapping(subnet, [{"dst": "10.88.0.7", "dev": "tun"}]) == "tun"


def test_every_pin_is_one_exact_version():
    names = [pin.partition("==")[0].lower() for pin in host.pins()]
    assert all("==" in pin for pin in host.pins())
    assert len(set(names)) == len(names)


def test_the_suite_of_pytest_operator_has_pins_of_its_own():
    pins = dict(line.split("==") for line in host.operator_requirements())
    assert pins.keys() >= {"juju", "pytest-operator", "websockets", "cryptography", "PyYAML"}
    assert pins["pytest"].startswith("8.")
    # What both environments run the lab's API with is the same.
    common = [f"{name}=={pins[name]}" for name in ("websockets", "cryptography", "PyYAML")]
    assert set(common) <= set(host.pins())


def test_everything_that_tests_import_is_pinned():
    pinned = {pin.partition("==")[0].lower() for pin in host.pins()}
    wanted = {name.partition("[")[0].lower() for name in host.test_requirements()}
    assert wanted <= pinned
