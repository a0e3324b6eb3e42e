# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from pathlib import Path
from unittest.mock import MagicMock, create_autospec

import pytest
import yaml

import cluster
import patroni
from charmed_maas import systemd

A = cluster.Unit("postgresql-ha/0", "10.0.0.1")
B = cluster.Unit("postgresql-ha/1", "10.0.0.2")
KEYS = cluster.Keys("CA", "CAKEY", "superpw", "replpw", "rewindpw", "restpw")
CLIENTS = (cluster.Client("maasdb", "10.0.0.7"), cluster.Client("maasdb", "fd00::7"))
SPEC = cluster.Spec(B, (A,), "postgresql-ha", KEYS, CLIENTS)
DATA = Path("/var/lib/postgresql/17/postgresql-ha")


def config(*, bootstrap: bool = False) -> dict[str, dict[str, object]]:
    return yaml.safe_load(patroni.render_config(SPEC, DATA, bootstrap=bootstrap, strict=False))


def test_only_the_bootstrapping_unit_can_make_a_cluster():
    assert "dcs" in config(bootstrap=True)["bootstrap"]
    assert config()["bootstrap"] == {"method": "refuse", "refuse": {"command": "/bin/false"}}


def test_pg_hba_admits_members_and_related_units_only():
    rules = [rule.split() for rule in patroni.pg_hba(SPEC)]
    hosts = {rule[3] for rule in rules if rule[0] != "local"}
    assert hosts == {"10.0.0.1/32", "10.0.0.2/32", "10.0.0.7/32", "fd00::7/128"}
    assert [rule[1:3] for rule in rules if rule[3] == "10.0.0.7/32"] == [['"maasdb"', '"maasdb"']]
    assert all(rule[-1] in ("scram-sha-256", "peer") for rule in rules)


def test_the_order_of_units_and_clients_does_not_matter():
    other = cluster.Spec(B, (A,), "postgresql-ha", KEYS, tuple(reversed(CLIENTS)))
    assert patroni.pg_hba(other) == patroni.pg_hba(SPEC)
    assert config()["etcd3"]["hosts"] == ["10.0.0.1:2379", "10.0.0.2:2379"]


def test_timers_leave_room_for_two_retries():
    dynamic = patroni.dynamic_config(3, 3, 0, strict=False)
    total = int(str(dynamic["loop_wait"])) + 2 * int(str(dynamic["retry_timeout"]))
    assert total <= int(str(dynamic["ttl"]))


def test_nothing_is_patched_that_is_so_already():
    wanted = patroni.dynamic_config(3, 3, 500, strict=False)
    assert patroni.difference(wanted, {**wanted, "pause": True}) == {}
    strict = patroni.dynamic_config(3, 9, 500, strict=True)
    assert patroni.difference(strict, wanted) == {
        "synchronous_mode_strict": True,
        "postgresql": {"parameters": {"max_connections": 1000}},
    }


def test_a_pause_is_not_taken_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def write(path: Path, text: str, **_: object) -> bool:
        return bool(path.write_text(text))

    monkeypatch.setattr(patroni.files, "ensure_file", write)
    copy = tmp_path / "patroni.dynamic.json"
    copy.write_text('{"pause": true, "ttl": 20}')
    patroni.forget_pause(tmp_path)
    assert copy.read_text() == '{"ttl": 20}'


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """A daemon that runs, with its files elsewhere."""
    for name in ("CONFIG", "LOADED", "UNIT"):
        monkeypatch.setattr(patroni, name, tmp_path / name)
    monkeypatch.setattr(patroni.paths, "CERTIFICATE", tmp_path / "CERTIFICATE")
    monkeypatch.setattr(patroni.gate, "FILE", tmp_path / "gate.nft")
    (tmp_path / "CERTIFICATE").write_text("certificate")
    monkeypatch.setattr("charmed_maas.files.pwd.getpwnam", MagicMock())
    monkeypatch.setattr("charmed_maas.files.os.fchown", lambda *_: None)
    monkeypatch.setattr("charmed_maas.files._ensure_access", lambda *_: False)
    mock = create_autospec(systemd)
    mock.ensure_files.side_effect = systemd.ensure_files
    mock.ensure_running.return_value = False
    monkeypatch.setattr(systemd, "_do", lambda *_: None)
    monkeypatch.setattr(patroni, "systemd", mock)
    return mock


def test_a_configuration_that_a_killed_hook_left_unread_is_read_in_the_next(daemon: MagicMock):
    patroni.ensure_running(changed=patroni.ensure_config("a: 1", DATA))
    daemon.reload.reset_mock()
    assert patroni.ensure_config("a: 2", DATA), "here the hook is killed"
    patroni.ensure_running(changed=patroni.ensure_config("a: 2", DATA))
    daemon.reload.assert_called_once_with(patroni.SERVICE)
    assert not patroni.ensure_config("a: 2", DATA)


def test_a_new_certificate_is_read(daemon: MagicMock):
    patroni.ensure_running(changed=patroni.ensure_config("a: 1", DATA))
    patroni.paths.CERTIFICATE.write_text("another")
    assert patroni.ensure_config("a: 1", DATA)


def test_a_daemon_that_starts_reads_all_by_itself(daemon: MagicMock):
    daemon.ensure_running.return_value = True
    assert patroni.ensure_running(changed=patroni.ensure_config("a: 1", DATA))
    daemon.reload.assert_not_called()
    assert not patroni.ensure_config("a: 1", DATA)


def test_systemd_reads_the_unit_file_that_a_killed_hook_only_wrote(
    daemon: MagicMock, monkeypatch: pytest.MonkeyPatch
):
    told: list[str] = []
    monkeypatch.setattr(systemd, "_do", MagicMock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        patroni.ensure_config("a: 1", DATA)
    assert patroni.UNIT.exists()
    monkeypatch.setattr(systemd, "_do", told.append)
    patroni.ensure_config("a: 1", DATA)
    patroni.ensure_config("a: 1", DATA)
    assert told == ["daemon-reload"]
