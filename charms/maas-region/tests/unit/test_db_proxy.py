# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import shutil
import subprocess
from pathlib import Path

import pytest

import db_proxy
import db_slots
from charmed_maas import commands

CA = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
THREE = (("10.0.0.3", 5432), ("10.0.0.1", 5432), ("10.0.0.2", 5432))


def test_every_member_is_a_server_in_a_stable_order_and_other_slots_are_disabled():
    text = db_proxy.render_config(db_proxy.Members(THREE, 8008, CA))
    servers = [line.split()[1:] for line in text.splitlines() if line.startswith("    server ")]
    assert servers[:4] == [
        ["member-1", "10.0.0.1:5432", "tcp-ut", "10s"],
        ["member-2", "10.0.0.2:5432", "tcp-ut", "10s"],
        ["member-3", "10.0.0.3:5432", "tcp-ut", "10s"],
        ["member-4", "127.0.0.1:1", "tcp-ut", "10s", "disabled"],
    ]
    assert len(servers) == db_slots.NUMBER
    assert all(line[1:] == servers[3][1:] for line in servers[4:])
    assert text == db_proxy.render_config(db_proxy.Members(tuple(reversed(THREE)), 8008, CA))
    assert "meth OPTIONS uri /primary" in text
    assert "on-marked-down shutdown-sessions" in text


def test_the_text_changes_with_the_ca_so_that_a_reload_follows():
    one = db_proxy.render_config(db_proxy.Members(THREE, 8008, CA))
    assert one != db_proxy.render_config(db_proxy.Members(THREE, 8008, f"{CA}\n"))


def test_without_health_there_is_the_primary_alone():
    assert db_proxy.Members.of(("10.0.0.1", 5432), THREE, 0, "").endpoints == (("10.0.0.1", 5432),)
    assert db_proxy.Members.of(("10.0.0.1", 5432), THREE, 8008, CA).endpoints == THREE
    text = db_proxy.render_config(db_proxy.Members((("fd00::1", 6432),)))
    assert "server member-1 [fd00::1]:6432" in text
    assert "httpchk" not in text


@pytest.mark.skipif(not shutil.which("haproxy", path="/usr/sbin"), reason="needs haproxy")
@pytest.mark.parametrize("health_port", [0, 8008])
def test_haproxy_takes_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, health_port: int
):
    ca = tmp_path / "ca.pem"
    monkeypatch.setattr(db_proxy, "HEALTH_CA", ca)
    key = tmp_path / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=x"]
    argv = [*request, "-keyout", str(key), "-out", str(ca)]
    subprocess.run(argv, check=True, capture_output=True)
    config = tmp_path / "haproxy.cfg"
    config.write_text(db_proxy.render_config(db_proxy.Members(THREE, health_port, CA)))
    done = subprocess.run(
        ["/usr/sbin/haproxy", "-c", "-f", str(config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_a_connection_to_a_machine_that_is_gone_ends_without_a_health_check():
    """An old process checks no health; HAProxy takes no tcp-ut from default-server."""
    text = db_proxy.render_config(db_proxy.Members(THREE, 8008, CA))
    servers = [line for line in text.splitlines() if line.startswith("    server ")]
    assert all(line.removesuffix(" disabled").endswith(" tcp-ut 10s") for line in servers)


def test_the_primary_is_the_one_server_that_is_up():
    text = (
        "# pxname,svname,status,type,addr,\n"
        "primary,member-1,DOWN,2,10.0.0.1:5432,\n"
        "primary,member-2,UP,2,10.0.0.2:5432,\n"
        "primary,BACKEND,UP,1,,\n"
    )
    assert db_proxy.parse_primary(text) == "10.0.0.2:5432"
    assert db_proxy.parse_primary(text.replace("DOWN", "UP 1/2")) == ""
    assert db_proxy.parse_primary(text.replace("UP", "DOWN")) == ""


@pytest.mark.parametrize(
    ("check", "told"),
    [
        ("L4TOUT", "; health of 10.0.0.1:5432: Layer4 timeout"),
        ("* L4TOUT", "; health of 10.0.0.1:5432: Layer4 timeout"),
        ("L7RSP", "; health of 10.0.0.1:5432: Layer4 timeout"),
        ("L7STS", ""),
        ("* L7STS", ""),
        ("INI", ""),
        ("", ""),
    ],
)
def test_a_member_whose_health_is_not_known_is_named(check: str, told: str):
    text = (
        "# pxname,svname,status,type,addr,check_status,last_chk,check_desc,\n"
        f"primary,member-1,DOWN,2,10.0.0.1:5432,{check},,Layer4 timeout,\n"
        "primary,member-2,DOWN,2,10.0.0.2:5432,L7STS,No,Layer7 wrong status,\n"
        "primary,member-3,MAINT,2,127.0.0.1:1,,,,\n"
        "primary,BACKEND,DOWN,1,,,,,\n"
    )
    assert db_proxy.parse_no_primary(text) == f"no member of it is primary now{told}"
    assert db_proxy.parse_no_primary(text.replace("member-2,DOWN", "member-2,UP")) == ""


class TestEnsure:
    @pytest.fixture(autouse=True)
    def machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine whose systemd only notes what it is told."""
        self.calls: list[tuple[str, ...]] = []
        self.running = False
        self.killed_at = ""
        self.answers = True
        for name in ("CONFIG", "HEALTH_CA", "LOADED", "UNIT"):
            monkeypatch.setattr(db_proxy, name, tmp_path / getattr(db_proxy, name).name)
        # Nobody answers there, so that every change is a reload.
        monkeypatch.setattr(db_slots, "SOCKET", tmp_path / "admin.sock")
        monkeypatch.setattr("charmed_maas.commands.run", self._run)

    def _run(self, argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        verb = tuple(argv[1:])
        if self.killed_at in verb:
            raise KeyboardInterrupt
        if "is-active" in verb:
            if not self.answers:
                raise commands.CommandError("systemctl did not end within 60 s")
            return subprocess.CompletedProcess(argv, 0 if self.running else 3)
        if "is-enabled" in verb:
            return subprocess.CompletedProcess(argv, 0, stdout="enabled\n")
        if verb[0] in ("start", "reload"):
            self.running = True
            db_proxy.LOADED.write_text(db_proxy.CONFIG.read_text())
        self.calls.append(verb)
        return subprocess.CompletedProcess(argv, 0)

    def test_it_starts_once_and_reloads_for_a_change_only(self):
        assert db_proxy.ensure(db_proxy.Members(THREE, 8008, CA))
        assert ("start", db_proxy.SERVICE) in self.calls
        self.calls.clear()
        assert not db_proxy.ensure(db_proxy.Members(THREE, 8008, CA))
        assert self.calls == []
        assert db_proxy.ensure(db_proxy.Members(THREE[:2], 8008, CA))
        assert self.calls[-1] == ("reload", db_proxy.SERVICE)

    def test_a_systemd_that_does_not_answer_is_told(self):
        self.answers = False
        with pytest.raises(db_proxy.ProxyError, match="systemctl did not end within 60 s"):
            db_proxy.ensure(db_proxy.Members(THREE, 8008, CA))

    def test_a_reload_that_a_killed_hook_left_out_is_made_up_for(self):
        db_proxy.ensure(db_proxy.Members(THREE, 8008, CA))
        db_proxy.ensure_config(db_proxy.Members(THREE[:2], 8008, CA))
        self.calls.clear()
        assert db_proxy.ensure(db_proxy.Members(THREE[:2], 8008, CA))
        assert self.calls == [("reload", db_proxy.SERVICE)]

    def test_members_that_come_and_go_are_no_reload(self, monkeypatch: pytest.MonkeyPatch):
        given: list[db_slots.Slots] = []

        def ensure(wanted: db_slots.Slots, *, has_health: bool) -> bool:
            assert has_health
            # What runs is in between now: neither text, should this hook be killed.
            assert db_proxy.LOADED.read_text() not in texts
            given.append(wanted)
            return True

        monkeypatch.setattr(db_slots, "ensure", ensure)
        one, two = (db_proxy.Members(ends, 8008, CA) for ends in (THREE, THREE[1:]))
        texts = [db_proxy.render_config(each) for each in (one, two)]
        db_proxy.ensure(one)
        self.calls.clear()
        assert db_proxy.ensure(two)
        # 10.0.0.3 left; the others stay where they were.
        assert given == [(("10.0.0.1", 5432), ("10.0.0.2", 5432), *[None] * 7)]
        assert db_proxy.LOADED.read_text() == db_proxy.CONFIG.read_text()
        assert not db_proxy.ensure(two)
        assert ("reload", db_proxy.SERVICE) not in self.calls

    def test_another_ca_is_a_reload(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delattr(db_slots, "ensure")
        db_proxy.ensure(db_proxy.Members(THREE, 8008, CA))
        db_proxy.ensure(db_proxy.Members(THREE[1:], 8008, f"{CA}\n"))
        assert self.calls[-1] == ("reload", db_proxy.SERVICE)

    def test_systemd_reads_the_unit_file_that_a_killed_hook_only_wrote(self):
        self.killed_at = "daemon-reload"
        with pytest.raises(KeyboardInterrupt):
            db_proxy.ensure(db_proxy.Members(THREE, 8008, CA))
        self.killed_at = ""
        db_proxy.ensure(db_proxy.Members(THREE, 8008, CA))
        assert ("daemon-reload",) in self.calls
        assert self.calls.index(("daemon-reload",)) < self.calls.index(("start", db_proxy.SERVICE))

    def test_removal_leaves_nothing(self):
        db_proxy.ensure(db_proxy.Members(THREE, 8008, CA))
        db_proxy.remove()
        assert self.calls[-1] == ("daemon-reload",)
        assert list(db_proxy.UNIT.parent.iterdir()) == [db_proxy.LOADED]

    def test_a_refused_candidate_leaves_the_file(self, monkeypatch: pytest.MonkeyPatch):
        db_proxy.ensure(db_proxy.Members(THREE, 8008, CA))
        before = db_proxy.CONFIG.read_text()

        def refuse(_: Path) -> None:
            raise db_proxy.ProxyError("no")

        monkeypatch.setattr(db_proxy, "validate", refuse)
        with pytest.raises(db_proxy.ProxyError):
            db_proxy.ensure(db_proxy.Members(THREE[:1], 8008, CA))
        assert db_proxy.CONFIG.read_text() == before
        assert not db_proxy.CONFIG.with_suffix(".candidate").exists()
