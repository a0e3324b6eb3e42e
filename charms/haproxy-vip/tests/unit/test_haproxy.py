# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import os
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from conftest import Systemd

import haproxy
import routes
from charmed_maas import commands
from charmed_maas.interfaces.maas_api import Backend, Service

SERVICES = (
    Service("maas", 5240, 0, "http", "/MAAS/api/2.0/version/", 7914),
    Service("temporal", 5271, 5271, "tcp"),
)


def render(
    *numbers: int, balance: str = "leastconn", services: Sequence[Service] = SERVICES
) -> str:
    backends = [Backend(f"maas-region/{one}", f"10.0.0.{10 + one}", True) for one in numbers]
    found = routes.build(services, backends, vip="10.0.0.100", port=80)
    return haproxy.render_config(found, balance=balance, maxconn=4096)


class Daemon:
    """A HAProxy that runs with what lay in its file when it was last told to load it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, systemd: Systemd) -> None:
        self.loaded = ""
        self.refuses = ""
        self.state = "1\n# be_name srv_name srv_addr srv_port\n"
        self.state_at_load = ""
        self.systemd = systemd
        systemd.on_load = self.load
        monkeypatch.setattr(haproxy, "_ask", self.ask)
        monkeypatch.setattr(haproxy, "RELOAD_TIMEOUT_S", 0.01)

    def load(self) -> None:
        text = haproxy.CONFIG.read_text()
        self.state_at_load = haproxy.SERVER_STATE.read_text()
        if self.systemd.did[-1] != "reload":
            haproxy.DOWN.write_text("0\n")
        if not (self.refuses and self.refuses in text):
            self.loaded = text

    def ask(self, command: str) -> str:
        if haproxy.SERVICE not in self.systemd.running:
            return ""
        found = [line.strip() for line in self.loaded.splitlines() if "description" in line]
        return {
            "show info": "Name: HAProxy\n" + "".join(found).replace(" ", ": "),
            "show servers state": self.state,
        }[command]


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch, systemd: Systemd, machine: Path) -> Daemon:
    haproxy.CONFIG.parent.mkdir(parents=True)
    haproxy.CONFIG.write_text("distribution\n")
    monkeypatch.setattr(haproxy, "_is_distributions", lambda text: text == "distribution\n")
    return Daemon(monkeypatch, systemd)


def test_a_region_that_tells_its_share_is_asked_for_it_and_another_is_not():
    asked = "default-server agent-check agent-port 7914 agent-inter 1s"
    assert render(0, 1).count(asked) == 1
    assert "agent-check" not in render(0, 1, services=[replace(SERVICES[0], agent_port=0)])
    assert "agent-check" not in render(0, 1, services=SERVICES[1:])


@pytest.mark.skipif(not os.path.exists(haproxy.HAPROXY), reason="needs haproxy")
@pytest.mark.parametrize("balance", ["leastconn", "roundrobin", "source"])
@pytest.mark.parametrize("services", [(), SERVICES, SERVICES[:1], SERVICES[1:]])
@pytest.mark.parametrize("regions", [(), (0,), (0, 1, 9)])
def test_haproxy_takes_what_is_rendered(
    balance: str, services: Sequence[Service], regions: tuple[int, ...], tmp_path: Path
):
    path = tmp_path / "haproxy.cfg"
    path.write_text(render(*regions, balance=balance, services=services))
    done = subprocess.run([haproxy.HAPROXY, "-c", "-f", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "[ALERT]" not in done.stderr
    warnings = [line for line in done.stderr.splitlines() if "[WARNING]" in line]
    # Of the state of before there is none here.
    assert [line for line in warnings if "server state file" not in line] == []


def test_only_reads_are_sent_twice():
    text = render(0, 1)
    assert "retry-on conn-failure empty-response 500 502\n    retries 6\n" in text
    assert "http-request disable-l7-retry if !METH_GET" in text
    uploads = text.partition("\nbackend maas-uploads")[2].partition("frontend")[0]
    assert "retry-on" not in uploads
    assert "hash-type consistent" in uploads


def test_a_region_is_up_while_maas_itself_answers():
    regions = render(0, 1).partition("\nbackend maas-regions")[2].partition("\nbackend ")[0]
    assert "    option httpchk\n" in regions
    assert "http-check send meth GET uri /MAAS/api/2.0/version/ " in regions
    assert "    http-check expect status 200\n" in regions
    assert "    default-server check " in regions


def test_the_client_cannot_choose_its_address():
    assert "http-request set-header X-Forwarded-For %[src]" in render(0)


def test_the_same_input_gives_the_same_text_and_another_another_digest():
    assert render(0, 1) == render(0, 1)
    assert haproxy._digest(render(0)) != haproxy._digest(render(0, 1))


def test_the_distributions_haproxy_is_started_anew_once(daemon: Daemon, systemd: Systemd):
    systemd.running.add(haproxy.SERVICE)
    assert haproxy.ensure_config(render(0))
    assert systemd.did == ["daemon-reload", "restart"]
    assert haproxy.SERVICE in systemd.enabled
    assert not haproxy.ensure_config(render(0))
    assert systemd.did == ["daemon-reload", "restart"]


def test_a_change_reloads(daemon: Daemon, systemd: Systemd):
    haproxy.ensure_config(render(0))
    systemd.did.clear()
    assert haproxy.ensure_config(render(0, 1))
    assert systemd.did == ["reload"]
    assert daemon.loaded == render(0, 1)


def test_a_hook_killed_before_the_reload_is_made_good(daemon: Daemon, systemd: Systemd):
    haproxy.ensure_config(render(0))
    haproxy.CONFIG.write_text(render(0, 1))
    systemd.did.clear()
    assert haproxy.ensure_config(render(0, 1))
    assert daemon.loaded == render(0, 1)


def test_the_distributions_haproxy_starts_anew_also_when_a_hook_was_killed_before(
    daemon: Daemon, systemd: Systemd
):
    systemd.running.add(haproxy.SERVICE)
    with (
        mock.patch.object(systemd, "restart", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        haproxy.ensure_config(render(0))
    assert haproxy.ensure_config(render(0))
    assert systemd.did[-1] == "restart"
    assert haproxy.DOWN.read_text() == "0\n"


def test_systemd_is_told_of_a_drop_in_that_a_killed_hook_only_wrote(
    daemon: Daemon, systemd: Systemd
):
    with (
        mock.patch("charmed_maas.systemd._do", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        haproxy.ensure_config(render(0))
    assert haproxy.DROP_IN.exists()
    haproxy.ensure_config(render(0))
    assert systemd.did == ["daemon-reload", "restart"]


def test_what_a_killed_reload_left_for_it_is_for_no_later_start(daemon: Daemon):
    haproxy.ensure_config(render(0))
    haproxy.SERVER_STATE.write_text("1\nmaas-regions maas-region-0\n")
    assert not haproxy.ensure_config(render(0))
    assert haproxy.SERVER_STATE.read_text() == ""


def test_a_haproxy_that_is_down_is_started(daemon: Daemon, systemd: Systemd):
    haproxy.ensure_config(render(0))
    systemd.running.clear()
    assert haproxy.ensure_config(render(0))
    assert haproxy.SERVICE in systemd.running


def test_a_failing_reload_restores_what_was_there(daemon: Daemon, systemd: Systemd):
    haproxy.ensure_config(render(0))
    daemon.refuses = "maas-region-1"
    with pytest.raises(haproxy.HAProxyError, match="does not run with the new"):
        haproxy.ensure_config(render(0, 1))
    assert haproxy.CONFIG.read_text() == render(0) == daemon.loaded


def test_one_that_dies_in_a_reload_leaves_what_was_there(
    daemon: Daemon, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
):
    def inactive(_: str):
        raise haproxy.systemd.SystemdError("haproxy.service is not active, cannot reload.")

    haproxy.ensure_config(render(0))
    monkeypatch.setattr(haproxy.systemd, "reload", inactive)
    with pytest.raises(haproxy.HAProxyError, match="is not active, cannot reload"):
        haproxy.ensure_config(render(0, 1))
    assert haproxy.CONFIG.read_text() == render(0)


def test_one_that_hangs_is_left_to_the_watchdog(
    daemon: Daemon, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
):
    haproxy.ensure_config(render(0))
    monkeypatch.setattr(haproxy, "_ask", lambda _: "")
    with socket.socket(socket.AF_UNIX) as silent:
        haproxy.SOCKET.parent.mkdir(parents=True)
        silent.bind(str(haproxy.SOCKET))
        silent.listen()
        monkeypatch.setattr(haproxy.watched, "SOCKET", str(haproxy.SOCKET))
        monkeypatch.setattr(haproxy.watched.probes, "TIMEOUT_S", 0.1)
        did = list(systemd.did)
        assert haproxy.hangs()
        assert not haproxy.ensure_config(render(0))
        assert systemd.did == did
    assert not haproxy.hangs()


def test_a_refused_text_never_reaches_the_file(daemon: Daemon, monkeypatch: pytest.MonkeyPatch):
    words = "[NOTICE] (1) : x\n[ALERT]    (1) : config : unknown keyword 'x'\n"
    monkeypatch.setattr(
        commands, "run", lambda argv, **_: subprocess.CompletedProcess(argv, 1, "", words)
    )
    with pytest.raises(haproxy.HAProxyError, match="unknown keyword 'x'"):
        haproxy.ensure_config(render(0))
    assert haproxy.CONFIG.read_text() == "distribution\n"


def test_a_reload_keeps_drained_servers_and_a_later_start_does_not(daemon: Daemon):
    daemon.state = (
        "1\n# be_name srv_name srv_addr srv_port\n"
        "maas-regions maas-region-0 10.0.0.10 5240\n"
        "maas-regions maas-region-1 10.0.0.77 5240\n"
    )
    haproxy.ensure_config(render(0))
    haproxy.ensure_config(render(0, 1))
    assert "maas-region-0" in daemon.state_at_load
    assert "maas-region-1" not in daemon.state_at_load, "its address changed"
    assert haproxy.SERVER_STATE.read_text() == ""


def test_a_reload_forgets_what_a_region_that_drains_asked_for():
    """Lines of HAProxy 3.0: who drains by hand has a state of its own."""
    columns = (
        "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight"
        " srv_iweight srv_time_since_last_change srv_check_status srv_fqdn srv_port\n"
    )
    by_hand = "4 maas-regions 1 maas-region-0 10.0.0.10 2 8 1 1 9 15 - 5240"
    asked = "4 maas-regions 2 maas-region-1 10.0.0.11 2 0 {} 1 9 15 - 5240"
    dump = columns + "\n".join([by_hand, asked.format(0), ""])
    kept = columns + "\n".join([by_hand, asked.format(1), ""])
    assert haproxy.kept_state(dump, render(0, 1)) == kept


def test_idle_gives_the_distribution_its_file_back(daemon: Daemon, systemd: Systemd):
    haproxy.ensure_config(render(0))
    assert haproxy.ensure_idle()
    assert haproxy.CONFIG.read_text() == "distribution\n"
    assert not list(haproxy.DROP_IN.parent.iterdir())
    assert not systemd.running
    assert not systemd.enabled
    systemd.did.clear()
    assert not haproxy.ensure_idle()
    assert not systemd.did


def test_regions_are_counted_once(monkeypatch: pytest.MonkeyPatch):
    answer = (
        "# pxname,svname,status,\nmaas-regions,maas-region-0,UP,\n"
        "maas-regions,maas-region-1,DOWN,\nmaas-uploads,maas-region-0,UP,\n"
        "maas-uploads,maas-region-1,DOWN,\n"
    )
    monkeypatch.setattr(haproxy, "_ask", lambda _: answer)
    assert haproxy.servers() == [
        haproxy.ServerState("maas-region-0", True),
        haproxy.ServerState("maas-region-1", False),
    ]


def test_connections_fit_the_limit_of_open_files(monkeypatch: pytest.MonkeyPatch):
    limit = ["1000"]
    monkeypatch.setattr(
        commands,
        "run",
        lambda argv, **_: subprocess.CompletedProcess(argv, 0, f"{limit[0]}\n", ""),
    )
    assert haproxy.maxconn() == 300
    limit[0] = "524288"
    most = haproxy.maxconn()
    assert 300 < most <= haproxy.MAX_MAXCONN
    limit[0] = "infinity"
    assert haproxy.maxconn() == most, "the limit of systemd itself holds"


def test_the_port_is_read_from_what_is_served(daemon: Daemon):
    assert haproxy.configured_port() == 0
    haproxy.ensure_config(render(0))
    assert haproxy.configured_port() == 80


def test_the_configured_servers_are_told(daemon: Daemon):
    assert haproxy.configured_servers() == {}
    haproxy.ensure_config(render(0, 12))
    assert haproxy.configured_servers() == {
        "maas-region-0": "10.0.0.10",
        "maas-region-12": "10.0.0.22",
    }


@pytest.mark.parametrize(("was_there", "stopped"), [("", True), ("2.8.16-0ubuntu1", False)])
def test_only_a_haproxy_that_we_installed_is_stopped(
    machine: Path,
    systemd: Systemd,
    monkeypatch: pytest.MonkeyPatch,
    was_there: str,
    stopped: bool,
):
    monkeypatch.setattr(haproxy.apt_source, "version", lambda _: was_there)
    monkeypatch.setattr(haproxy.apt_source, "install", lambda _: True)
    systemd.running.add(haproxy.SERVICE)
    assert haproxy.install()
    assert (haproxy.SERVICE not in systemd.running) == stopped


def test_another_owners_haproxy_is_neither_stopped_nor_taken(daemon: Daemon, systemd: Systemd):
    haproxy.CONFIG.write_text("an operator's\n")
    systemd.running.add(haproxy.SERVICE)
    with pytest.raises(haproxy.HAProxyError, match="is not this charm's: move it away"):
        haproxy.ensure_config(render(0))
    haproxy.stop()
    assert haproxy.SERVICE in systemd.running
    assert haproxy.CONFIG.read_text() == "an operator's\n"
    assert systemd.did == ["daemon-reload"]


def test_the_packages_own_configuration_is_known_by_dpkg(monkeypatch: pytest.MonkeyPatch):
    shipped = (
        " /etc/default/haproxy 0 \n /etc/haproxy/haproxy.cfg d41d8cd98f00b204e9800998ecf8427e\n"
    )
    answer = subprocess.CompletedProcess([], 0, shipped, "")
    monkeypatch.setattr(haproxy.commands, "run", lambda *_, **__: answer)
    assert haproxy._is_distributions("")
    assert not haproxy._is_distributions("global\n")
