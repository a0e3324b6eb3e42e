# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import http.server
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest
import yaml

import peers
import rack
import turns
from charmed_maas import commands, secrets

VIP_URL = "http://10.0.0.100/MAAS"
URLS = [VIP_URL, "http://10.0.0.11:5240/MAAS", "http://[fd00::12]:5240/MAAS"]
SECRET = "00ff" * 8
CONNECTIONS = """\
0 0 10.0.0.31:40000 10.0.0.11:5250
0 0 10.0.0.31:40002 10.0.0.11:5251
0 0 [fd00::31]:40004 [fd00::12]:5250
0 0 [::ffff:10.0.0.31]:40006 [::ffff:10.0.0.13]:5253
0 0 10.0.0.31:40008 10.9.9.9:5250
"""


class Machine:
    """A machine on which maas-rack and systemd do what the real ones do to files."""

    SystemdError = rack.systemd.SystemdError
    try_each = staticmethod(rack.systemd.try_each)

    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []
        self.env: dict[str, str] = {}
        self.did: list[str] = []
        self.running = True
        self.enabled = True
        self.starts = True
        self.connections = CONNECTIONS

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        env: dict[str, str] | None = None,
        **_: object,
    ):
        self.env = env or {}
        self.ran.append(tuple(argv[1:]))
        if argv[1] == "config":
            config = {"maas_url": list(argv[3::2]), "cluster_uuid": "x"}
            rack.CONFIG.write_text(yaml.safe_dump(config))
        elif argv[1] == "install-shared-secret":
            rack.SECRET.write_text(stdin.strip())
        return subprocess.CompletedProcess(argv, 0, self.connections, "")

    def is_running(self, _: str) -> bool:
        return self.running

    def restart(self, _: str) -> None:
        self.did.append("restart")
        if not self.starts:
            raise self.SystemdError("no")
        self.running = True

    def stop(self, _: str) -> bool:
        if not self.running:
            return False
        self.did.append("stop")
        self.running = False
        return True

    def enable(self, _: str) -> None:
        self.enabled = True

    def disable(self, _: str) -> None:
        self.enabled = False


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    fake = Machine()
    for name, value in vars(rack).copy().items():
        if isinstance(value, Path):
            monkeypatch.setattr(rack, name, tmp_path / value.relative_to("/"))
    monkeypatch.setattr(turns, "WAITING", tmp_path / "waiting-since")
    for folder in (rack.VAR, rack.CONFIG.parent):
        folder.mkdir(parents=True)
    rack.CONFIG.write_text("maas_url: http://localhost:5240/MAAS\n")
    monkeypatch.setattr(rack, "systemd", fake)
    monkeypatch.setattr(commands, "run", fake.run)
    account = rack.files.pwd.getpwnam("root")
    monkeypatch.setattr("charmed_maas.files.pwd.getpwnam", lambda _: account)
    monkeypatch.setattr("charmed_maas.files.os.fchown", lambda *_: None)
    monkeypatch.setattr("charmed_maas.files.os.chown", lambda *_: None)
    return fake


def test_the_list_of_regions_is_written_only_when_it_differs(machine: Machine):
    assert rack.ensure_config(URLS)
    assert machine.ran == [
        ("config", "--region-url", URLS[0], "--region-url", URLS[1], "--region-url", URLS[2])
    ]
    assert rack.CONFIG.stat().st_mode & 0o777 == 0o640
    assert not rack.ensure_config(URLS)
    assert rack.ensure_config(URLS[:2])
    assert len(machine.ran) == 2
    assert not machine.did, "rackd learns of regions from the regions"


def test_maas_rack_runs_without_the_hooks_environment(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTHONPATH", "lib:src:venv")
    rack.ensure_config(URLS)
    assert "PYTHONPATH" not in machine.env


def test_the_secret_goes_by_stdin(machine: Machine):
    assert rack.ensure_secret(SECRET)
    assert machine.ran == [("install-shared-secret",)]
    assert rack.SECRET.stat().st_mode & 0o777 == 0o640
    assert not rack.ensure_secret(SECRET)


def test_a_secret_in_capitals_is_installed_once(machine: Machine):
    rack.ensure_secret(SECRET.upper())
    rack.SECRET.write_text(SECRET)
    assert not rack.ensure_secret(SECRET.upper())


def test_a_secret_that_a_region_took_away_is_installed_again(machine: Machine):
    rack.ensure_secret(SECRET)
    rack.SECRET.unlink()
    assert rack.ensure_secret(SECRET)


def test_no_link_of_the_user_maas_leads_to_another_file(machine: Machine, tmp_path: Path):
    others = tmp_path / "others"
    others.write_text(f"maas_url: [{URLS[0]}]\n")
    for path, ensure in (
        (rack.CONFIG, lambda: rack.ensure_config(URLS[:1])),
        (rack.SECRET, lambda: rack.ensure_secret(SECRET)),
    ):
        path.unlink(missing_ok=True)
        path.symlink_to(others)
        others.chmod(0o600)
        assert ensure()
        assert not path.is_symlink()
        assert others.stat().st_mode & 0o777 == 0o600
        others.write_text(SECRET)
    assert rack.SECRET.read_text() == SECRET
    assert machine.ran[-1] == ("install-shared-secret",)


def test_a_rackd_that_may_have_started_without_its_secret_starts_anew_in_its_turn(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    wanted = peers.Started(VIP_URL, secrets.mark(SECRET))
    rack.ensure_secret(SECRET)
    assert rack.started_url() == "", "nobody waits for one that has not started yet"
    rack.restart(VIP_URL, SECRET)
    rack.SECRET.unlink()
    with monkeypatch.context() as killed:
        killed.setattr(rack, "_ensure_owner", mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            rack.ensure_secret(SECRET)
    rack.ensure_secret(SECRET)
    assert len(machine.ran) == 2
    assert not rack.is_current(VIP_URL, SECRET)
    told = peers.Started(rack.started_url(), rack.started_mark())
    assert peers.ahead({"r/0": told}, "r/1", wanted) == ["r/0"]
    assert peers.common_mark([told, wanted]) == ""
    rack.restart(VIP_URL, SECRET)
    assert rack.is_current(VIP_URL, SECRET)


def test_a_new_secret_is_not_what_rackd_was_started_with_before_its_turn(machine: Machine):
    rack.ensure_secret(SECRET)
    rack.restart(VIP_URL, SECRET)
    rack.ensure_secret("11" * 16)
    assert rack.started_mark() == secrets.mark(SECRET)
    # systemd may have started it with the other one meanwhile.
    rack.ensure_secret(SECRET)
    assert not rack.is_current(VIP_URL, SECRET)


@pytest.mark.parametrize("secret", ["", "xyz", "abc", "00 ff", "00\nff"])
def test_a_secret_that_is_not_hexadecimal_is_refused_unread(machine: Machine, secret: str):
    with pytest.raises(rack.RackError, match="not hexadecimal: look at maas-region") as refusal:
        rack.ensure_secret(secret)
    assert not secret or secret not in str(refusal.value)
    assert not machine.ran


def test_what_rackd_was_started_with_is_remembered(machine: Machine):
    assert not rack.is_current(VIP_URL, SECRET)
    assert rack.started_mark() == ""
    rack.restart(VIP_URL, SECRET)
    assert rack.started_mark() == secrets.mark(SECRET)
    assert rack.is_current(VIP_URL, SECRET)
    assert rack.started_url() == VIP_URL
    assert not rack.is_current(URLS[1], SECRET)
    assert not rack.is_current(VIP_URL, "11" * 16)
    assert SECRET not in rack.STARTED.read_text()
    machine.running = False
    assert not rack.is_current(VIP_URL, SECRET)


@pytest.mark.parametrize(("cause", "told"), [("rackd: no disk", "rackd: no disk"), ("", "no")])
def test_a_rackd_that_does_not_start_says_why_and_where_to_look(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, cause: str, told: str
):
    machine.starts = False
    monkeypatch.setattr(rack.journal, "first_cause", lambda _: cause)
    with pytest.raises(rack.RackError, match=f"see journalctl -u {rack.SERVICE}; {told}$"):
        rack.restart(VIP_URL, SECRET)
    assert not rack.is_current(VIP_URL, SECRET)


def test_of_a_traceback_its_cause_is_told_in_one_line(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    frames = '  File "/usr/lib/python3/dist-packages/maas/x.py", line 1\n    x()\n' * 5
    error = commands.CommandError(f"maas-rack exited with 1: {frames}ValueError: no\tsecret\n \n")
    monkeypatch.setattr(commands, "run", mock.Mock(side_effect=error))
    with pytest.raises(rack.RackError) as refusal:
        rack.ensure_config(URLS)
    assert str(refusal.value) == "maas-rack exited with 1: ValueError: no secret"
    silent = commands.CommandError("maas-rack did not end within 60 s")
    monkeypatch.setattr(commands, "run", mock.Mock(side_effect=silent))
    with pytest.raises(rack.RackError, match=f"^{silent}$"):
        rack.ensure_config(URLS)


def test_a_restart_ends_the_wait(machine: Machine):
    assert not turns.waited_long(["r/0"])
    rack.restart(VIP_URL, SECRET)
    assert not turns.end_wait()


def test_who_is_connected_to_no_region_has_nothing_to_wait_for(machine: Machine):
    assert rack.can_wait({"10.0.0.11", "10.0.0.12"})
    assert not rack.can_wait({"10.0.0.12"})
    machine.running = False
    assert not rack.can_wait({"10.0.0.11"})


def enrol() -> None:
    rack.ensure_config(URLS)
    rack.ensure_secret(SECRET)
    rack.restart(VIP_URL, SECRET)
    for path in (rack.SYSTEM_ID, rack.RPC_STATE, rack.VAR / "maas_uuid"):
        path.write_text("x")
    (rack.VAR / "certificates").mkdir()
    (rack.VAR / "certificates/cluster.key").write_text("x")


def test_leaving_forgets_everything(machine: Machine):
    enrol()
    assert rack.leave()
    assert not [path for path in rack.VAR.parents[2].rglob("*") if path.is_file()]
    assert not machine.running
    assert not machine.enabled
    machine.did.clear()
    assert not rack.leave()
    assert not machine.did


@pytest.mark.usefixtures("machine")
def test_removal_takes_its_own_apt_source_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(rack.apt_source, "SOURCE_PARTS", tmp_path / "parts")
    monkeypatch.setattr(rack.apt_source, "install", lambda *_: False)
    rack.install("deb [trusted=yes] file:/srv/apt ./")
    others = tmp_path / "parts/charmed-maas-region.list"
    others.touch()
    assert {path.name for path in others.parent.iterdir()} == {
        "charmed-maas-rack.list",
        others.name,
    }
    rack.remove()
    assert list(others.parent.iterdir()) == [others]


def test_what_systemd_does_not_stop_is_forgotten_too(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    enrol()

    def refuse(_: str) -> bool:
        raise rack.systemd.SystemdError("systemctl did not end within 120 s")

    monkeypatch.setattr(machine, "stop", refuse)
    assert rack.leave()
    assert not rack.SECRET.exists()
    assert not machine.enabled


def test_leaving_spares_a_region_on_the_same_machine(machine: Machine):
    enrol()
    rack.REGION_CONFIG.write_text("database_host: localhost\n")
    rack.leave()
    kept = {path.name for path in rack.VAR.rglob("*") if path.is_file()}
    assert kept == {"secret", "maas_id", "maas_uuid", "cluster.key"}
    assert not rack.CONFIG.exists()


def test_a_rack_that_was_never_enrolled_is_stopped(machine: Machine):
    assert rack.leave()
    assert not machine.running
    assert not machine.enabled


def test_connections_count_by_region(machine: Machine):
    regions = rack.hosts([*URLS[1:], "http://10.0.0.13:5240/MAAS", "http://10.0.0.14:5240/MAAS"])
    assert rack.connected(regions) == {"10.0.0.11", "fd00::12", "10.0.0.13"}


@pytest.fixture
def server() -> Iterator[int]:
    """A region's HTTP server: its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/MAAS/rpc/" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found.server_address[1]
        found.shutdown()


def test_a_region_is_heard_by_answer_and_connection_of_a_rackd_that_lives(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, server: int
):
    monkeypatch.setattr(rack.watched, "RACKD_PORT", server)
    rack.ensure_config([f"http://127.0.0.1:{server}/MAAS"])
    assert rack.hears_a_region()
    machine.connections = ""
    assert not rack.hears_a_region()
    assert rack.region_serves()


def test_a_rackd_that_hangs_hears_no_region_though_its_connections_last(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, server: int
):
    monkeypatch.setattr("charmed_maas.probes.TIMEOUT_S", 0.2)
    rack.ensure_config([f"http://127.0.0.1:{server}/MAAS"])
    # The kernel takes connections for a process that does not.
    with socket.create_server(("127.0.0.1", 0)) as hung:
        monkeypatch.setattr(rack.watched, "RACKD_PORT", hung.getsockname()[1])
        assert not rack.hears_a_region()


def test_a_region_without_its_database_is_none(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, server: int
):
    monkeypatch.setattr(rack.watched, "RACKD_PORT", server)
    rack.ensure_config([f"http://127.0.0.1:{server}/other"])
    assert not rack.hears_a_region()


def test_settling_ends_when_every_region_is_connected(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        rack.SYSTEM_ID.write_text("abc123\n")

    monkeypatch.setattr(rack.time, "sleep", sleep)
    rack.settle({"10.0.0.11"})
    assert len(slept) == 1
    assert rack.system_id() == "abc123"


@pytest.mark.parametrize("text", ["", "maas_url: http://a/MAAS", "maas_url: [a, b]", "- x", ": :"])
def test_whatever_lies_in_rackd_conf_is_replaced(machine: Machine, text: str):
    rack.CONFIG.write_text(text)
    assert rack.ensure_config(URLS)
    assert not rack.ensure_config(URLS)
