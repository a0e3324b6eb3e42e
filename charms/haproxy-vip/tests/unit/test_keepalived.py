# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import dataclasses
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest
from conftest import Systemd

import haproxy
import keepalived
import network
from charmed_maas import agents, commands


def takes_multicast(name: str) -> bool:
    """Tell whether an interface has IFF_MULTICAST: keepalived looks at it itself."""
    return bool(int(Path(f"/sys/class/net/{name}/flags").read_text(), 16) & 0x1000)


INTERFACE = next((name for _, name in socket.if_nameindex() if takes_multicast(name)), "")
GROUP = keepalived.Group(
    unit="haproxy-vip/2",
    vip="10.0.0.100",
    prefix=32,
    interface=INTERFACE,
    own="10.0.0.12",
    peers=("10.0.0.10", "10.0.0.11"),
    vrrp_id=100,
    advert_interval_s=0.5,
)


@pytest.mark.skipif(
    not (os.path.exists(keepalived.KEEPALIVED) and os.geteuid() == 0 and INTERFACE),
    reason="needs keepalived, root and a network interface",
)
@pytest.mark.parametrize("peers", [(), ("10.0.0.10",), ("10.0.0.10", "10.0.0.11")])
def test_keepalived_takes_what_is_rendered(
    peers: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for module, name in ((haproxy, "DOWN"), (keepalived, "PAUSED"), (keepalived, "MOVING")):
        monkeypatch.setattr(module, name, tmp_path / name)
        (tmp_path / name).write_text("0\n")
    path = tmp_path / "keepalived.conf"
    path.write_text(keepalived.render_config(dataclasses.replace(GROUP, peers=peers)))
    done = subprocess.run(
        [keepalived.KEEPALIVED, "--config-test", "-f", path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_priorities_differ_and_are_high():
    found = [dataclasses.replace(GROUP, unit=f"haproxy-vip/{n}").priority for n in range(200)]
    assert len(set(found)) == 200
    assert min(found) >= 50


def block(text: str, first: str) -> list[str]:
    """Return the lines of one block of a configuration."""
    return [
        line.strip() for line in text.partition(f"{first} {{\n")[2].split("\n}")[0].split("\n")
    ]


def test_the_first_peer_brings_no_new_check():
    alone = keepalived.render_config(dataclasses.replace(GROUP, peers=()))
    found = block(alone, "vrrp_script own_address")
    assert found == block(keepalived.render_config(GROUP), "vrrp_script own_address")
    assert "show to 10.0.0.12 |" in found[0]
    tracked = alone.partition("track_script {")[2].partition("}")[0].split()
    assert tracked == ["haproxy_answers", "own_address"]


def test_a_slow_machine_is_not_taken_for_another_one():
    found = block(keepalived.render_config(GROUP), "vrrp_script own_address")
    assert found[1:] == ["interval 1", "timeout 3", "fall 3", "rise 1", "init_fail"]


def test_a_single_unit_is_unicast_too_and_has_no_peer(machine: Path, systemd: Systemd):
    """Between multicast and unicast keepalived drops the VIP."""
    keepalived.ensure_config(dataclasses.replace(GROUP, peers=()))
    text = keepalived.CONFIG.read_text()
    assert text.partition("unicast_peer {")[2].partition("}")[0].split() == ["10.0.0.12"]
    assert keepalived.configured_own() == "10.0.0.12"
    assert keepalived.configured_peers() == []


def test_what_is_written_is_read_back(machine: Path, systemd: Systemd):
    assert keepalived.configured_vip() == ""
    assert keepalived.configured_peers() == []
    assert keepalived.configured_own() == ""
    assert keepalived.ensure_config(GROUP)
    assert keepalived.configured_own() == "10.0.0.12"
    assert keepalived.configured_vip() == "10.0.0.100"
    assert keepalived.configured_peers() == ["10.0.0.10", "10.0.0.11"]


def test_another_units_group_is_its_own_while_its_agent_is_here(
    machine: Path, systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(agents, "AGENTS", tmp_path / "agents")
    keepalived.ensure_config(GROUP)
    name = GROUP.unit.replace("/", "-")
    assert keepalived.other_unit("second-vip/0") == "", "it is gone"
    (tmp_path / "agents" / f"unit-{name}").mkdir(parents=True)
    assert keepalived.other_unit("second-vip/0") == GROUP.unit
    assert keepalived.other_unit(GROUP.unit) == ""


def test_systemd_is_told_of_a_drop_in_that_a_killed_hook_only_wrote(
    machine: Path, systemd: Systemd
):
    keepalived.ensure_config(GROUP)
    keepalived.ensure_running()
    systemd.did.clear()
    other = dataclasses.replace(GROUP, vip="10.0.0.101")
    with (
        mock.patch("charmed_maas.systemd._do", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        keepalived.ensure_config(other)
    assert keepalived.ensure_config(other)
    assert keepalived.ensure_running()
    assert systemd.did == ["daemon-reload", "reload"]
    assert not keepalived.ensure_config(other)
    assert not keepalived.ensure_running()


def test_a_systemd_that_refuses_is_told_as_keepaliveds_error(machine: Path, systemd: Systemd):
    refusal = keepalived.systemd.SystemdError("systemctl exited with 1: no")
    with (
        mock.patch("charmed_maas.systemd._do", side_effect=refusal),
        pytest.raises(keepalived.KeepalivedError, match="exited with 1: no"),
    ):
        keepalived.ensure_config(GROUP)


def test_a_configuration_that_goes_back_after_a_killed_hook_is_loaded(
    machine: Path, systemd: Systemd
):
    keepalived.ensure_config(GROUP)
    keepalived.ensure_running()
    keepalived.ensure_config(dataclasses.replace(GROUP, advert_interval_s=1))
    with (
        mock.patch.object(keepalived.files, "ensure_file", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        keepalived.ensure_running()
    keepalived.ensure_config(GROUP)
    systemd.did.clear()
    assert keepalived.ensure_running()
    assert systemd.did == ["reload"]


def test_the_daemon_is_touched_only_for_a_change(machine: Path, systemd: Systemd):
    keepalived.ensure_config(GROUP)
    assert keepalived.ensure_running()
    assert not keepalived.ensure_config(GROUP)
    assert not keepalived.ensure_running()
    assert keepalived.ensure_config(dataclasses.replace(GROUP, peers=("10.0.0.10",)))
    assert keepalived.ensure_running()
    assert systemd.did == ["daemon-reload", "start", "reload"]


def test_a_hook_killed_before_the_reload_is_made_good(machine: Path, systemd: Systemd):
    keepalived.ensure_config(GROUP)
    keepalived.ensure_running()
    keepalived.ensure_config(dataclasses.replace(GROUP, advert_interval_s=1))
    assert not keepalived.ensure_config(dataclasses.replace(GROUP, advert_interval_s=1))
    assert keepalived.ensure_running()


def test_a_refused_configuration_stays_out(
    machine: Path, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
):
    keepalived.ensure_config(GROUP)
    words = "(/tmp/x.conf: Line 31) WARNING - interface eth9 for vrrp_instance doesn't exist\n"
    monkeypatch.setattr(
        commands, "run", lambda argv, **_: subprocess.CompletedProcess(argv, 5, "", words)
    )
    before = keepalived.CONFIG.read_text()
    with pytest.raises(keepalived.KeepalivedError, match="eth9 for vrrp_instance doesn't exist"):
        keepalived.ensure_config(dataclasses.replace(GROUP, interface="eth9"))
    assert keepalived.CONFIG.read_text() == before


def test_a_killed_keepalived_leaves_no_vip_behind(machine: Path, systemd: Systemd):
    keepalived.ensure_config(GROUP)
    drop_in = keepalived.DROP_IN.read_text()
    assert f"ExecStopPost=-/usr/sbin/ip address delete 10.0.0.100/32 dev {INTERFACE}" in drop_in


def test_a_flag_is_written_in_place_so_that_keepalived_sees_it(machine: Path, systemd: Systemd):
    keepalived.ensure_config(GROUP)
    inode = keepalived.PAUSED.stat().st_ino
    assert keepalived.set_flag(keepalived.PAUSED, on=True)
    assert not keepalived.set_flag(keepalived.PAUSED, on=True)
    assert keepalived.is_set(keepalived.PAUSED)
    assert keepalived.PAUSED.stat().st_ino == inode
    keepalived.ensure_config(GROUP)
    assert keepalived.is_set(keepalived.PAUSED), "a pause outlives every hook"


def test_removal_leaves_nothing(machine: Path, systemd: Systemd):
    keepalived.ensure_config(GROUP)
    keepalived.ensure_running()
    keepalived.set_flag(keepalived.LEAVING, on=True)
    keepalived.remove()
    assert not [path for path in machine.rglob("*") if path.is_file()]
    assert not systemd.running
    assert not systemd.enabled


@pytest.mark.parametrize(
    ("taken", "problem"),
    [(True, ""), (False, "no other unit took the VIP: this one keeps it")],
)
def test_moving_waits_for_another_unit_and_always_ends(
    machine: Path, systemd: Systemd, monkeypatch: pytest.MonkeyPatch, taken: bool, problem: str
):
    monkeypatch.setattr(keepalived, "TAKEOVER_MARGIN_S", -2)
    keepalived.ensure_config(dataclasses.replace(GROUP, advert_interval_s=0.51))
    seen: list[bool] = []

    def answers(address: str, _: int, **__: float) -> bool:
        if address != GROUP.vip:
            return True
        seen.append(keepalived.is_set(keepalived.MOVING))
        return taken

    monkeypatch.setattr(network, "answers", answers)
    assert keepalived.move_vip(GROUP.vip, ()) == problem
    assert seen
    assert all(seen)
    assert not keepalived.is_set(keepalived.MOVING)


@pytest.mark.parametrize(
    ("alive", "paused"),
    [
        ((), ()),
        (GROUP.peers, GROUP.peers),
        (GROUP.peers[:1], GROUP.peers[:1]),
    ],
    ids=["all off", "all paused", "one off, one paused"],
)
def test_the_vip_is_not_let_go_where_nobody_can_take_it(
    machine: Path,
    systemd: Systemd,
    monkeypatch: pytest.MonkeyPatch,
    alive: Sequence[str],
    paused: Sequence[str],
):
    keepalived.ensure_config(GROUP)
    told: list[bool] = []
    monkeypatch.setattr(network, "answers", lambda address, _, **__: address in alive)
    monkeypatch.setattr(keepalived, "set_flag", lambda _, *, on: told.append(on))
    words = "every other unit is off or paused: this one keeps the VIP"
    assert keepalived.move_vip(GROUP.vip, paused) == words
    assert not told


def test_another_owners_keepalived_is_neither_stopped_nor_taken(machine: Path, systemd: Systemd):
    keepalived.CONFIG.parent.mkdir(parents=True)
    keepalived.CONFIG.write_text("virtual_ipaddress { 10.0.0.7/24 }\n")
    systemd.running.add(keepalived.SERVICE)
    systemd.enabled.add(keepalived.SERVICE)
    with pytest.raises(keepalived.KeepalivedError, match="is not this charm's: move it away"):
        keepalived.ensure_config(GROUP)
    assert not keepalived.stop()
    assert not keepalived.ensure_idle()
    keepalived.remove()
    assert keepalived.configured_vip() == ""
    assert systemd.running == systemd.enabled == {keepalived.SERVICE}
    assert keepalived.CONFIG.read_text() == "virtual_ipaddress { 10.0.0.7/24 }\n"
