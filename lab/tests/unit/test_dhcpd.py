# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The rack's side of DHCP, with a systemd that takes notes."""

import socket
import stat
from pathlib import Path

import pytest
from maas_standin import dhcpd, host, rpc

# As dhcpd 4.4.3 with -t, which writes a few lines more.
REFUSES = """\
#!/bin/sh
for file; do :; done
if grep -q mclx "$file"; then
    echo "$file line 9: invalid statement in peer declaration" >&2
    exit 1
fi
"""


class Systemd:
    def __init__(self) -> None:
        self.state = "inactive"
        self.asked: list[str] = []

    def systemctl(self, verb: str, unit: str) -> int:
        assert unit == "maas-dhcpd"
        self.asked.append(verb)
        self.state = "inactive" if verb == "stop" else "active"
        return 0

    def is_active(self, _: str) -> bool:
        return self.state == "active"

    def unit_state(self, _: str) -> tuple[str, str]:
        return self.state, "exit-code" if self.state == "failed" else "success"


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    made = Systemd()
    for name in ("systemctl", "is_active", "unit_state"):
        monkeypatch.setattr(host, name, getattr(made, name))
    daemon = tmp_path / "dhcpd"
    daemon.write_text(REFUSES)
    daemon.chmod(0o755)
    monkeypatch.setattr(dhcpd, "DHCPD", str(daemon))
    (tmp_path / "var").mkdir()
    monkeypatch.setattr(dhcpd, "CONF", tmp_path / "var/dhcpd.conf")
    monkeypatch.setattr(dhcpd, "INTERFACES", tmp_path / "var/dhcpd-interfaces")
    return made


def _files() -> dict[str, str]:
    return {path.name: path.read_text() for path in dhcpd.CONF.parent.iterdir()}


def test_what_many_workers_tell_restarts_dhcpd_once(systemd: Systemd):
    service = dhcpd.Service()
    for _ in range(3):
        service.configure("text", "eth1")
    assert _files() == {"dhcpd.conf": "text", "dhcpd-interfaces": "eth1"}
    assert stat.S_IMODE(dhcpd.CONF.stat().st_mode) == 0o640  # The key is in it.
    assert systemd.asked == ["restart"]
    assert service.check() == ("running", "")


def test_a_change_of_either_file_restarts_dhcpd(systemd: Systemd):
    service = dhcpd.Service()
    service.configure("text", "eth1")
    service.configure("other text", "eth1")
    service.configure("other text", "eth1 eth2")
    assert _files() == {"dhcpd.conf": "other text", "dhcpd-interfaces": "eth1 eth2"}
    assert systemd.asked == ["restart"] * 3


def test_nothing_to_serve_leaves_nothing_behind(systemd: Systemd):
    service = dhcpd.Service()
    service.configure("", "")
    assert service.check() == ("off", "")
    service.configure("text", "eth1")
    service.configure("", "")
    assert _files() == {}
    assert systemd.asked == ["restart", "stop"]
    assert service.check() == ("off", "")


def test_what_dhcpd_refuses_changes_nothing(systemd: Systemd, caplog: pytest.LogCaptureFixture):
    service = dhcpd.Service()
    service.configure("text", "eth1")
    service.configure("mclx 3600;", "eth2")
    assert _files() == {"dhcpd.conf": "text", "dhcpd-interfaces": "eth1"}
    assert systemd.asked == ["restart"]
    assert "invalid statement in peer declaration" in caplog.text
    assert service.check() == ("running", "")


def test_a_dhcpd_that_died_is_started_again(systemd: Systemd):
    service = dhcpd.Service()
    service.configure("text", "eth1")
    systemd.state = "failed"
    assert service.check() == ("running", "")
    systemd.state = "inactive"
    service.configure("text", "eth1")
    assert systemd.asked == ["restart", "start", "start"]


@pytest.mark.parametrize(
    ("state", "is_expected", "told"),
    [
        ("active", True, ("running", "")),
        ("active", False, ("running", "")),
        ("inactive", False, ("off", "")),
        ("failed", False, ("off", "")),
        ("inactive", True, ("dead", "maas-dhcpd is currently stopped.")),
        (
            "failed",
            True,
            ("dead", "maas-dhcpd failed to start, process result: (Result: exit-code)"),
        ),
    ],
)
def test_states_have_the_words_of_maas(state: str, is_expected: bool, told: tuple[str, str]):
    assert dhcpd.describe(state, "exit-code", is_expected=is_expected) == told


def test_a_rack_is_told_the_same_thing_once():
    ends = socket.socketpair()
    region, rack = (rpc.Channel(end) for end in ends)
    try:
        assert region.send_changed({"dhcpd": "a"})
        assert not region.send_changed({"dhcpd": "a"})
        region.send({"command": "pong"})
        assert not region.send_changed({"dhcpd": "a"})
        assert region.send_changed({"dhcpd": ""})
        told = [rack.receive() for _ in range(3)]
        assert told == [{"dhcpd": "a"}, {"command": "pong"}, {"dhcpd": ""}]
    finally:
        region.close()
        rack.close()
