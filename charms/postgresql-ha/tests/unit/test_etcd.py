# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What a unit does with its etcd member, with etcdctl and systemd replaced."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock, create_autospec, patch

import pytest
import yaml

import cluster
import etcd
import etcdctl
from charmed_maas import systemd

A, B, C = (cluster.Unit(f"postgresql-ha/{n}", f"10.0.0.{n + 1}") for n in range(3))
VOTER_A, VOTER_B, VOTER_C = (
    cluster.EtcdMember(n, unit.member_name, unit.peer_url) for n, unit in enumerate((A, B, C), 1)
)
MOVED_A = dataclasses.replace(VOTER_A, peer_url="https://10.0.0.9:2380")
ADDED_A = cluster.EtcdMember(1, "", A.peer_url, is_learner=True)


def write_log(data: Path) -> Path:
    """Have a member's log, and return it."""
    log = data / "member/wal/0000000000000000-0000000000000000.wal"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    return log


class Etcd:
    """etcd's member list as asked for, and the member's data on this machine."""

    def __init__(self, data: Path, ctl: MagicMock, daemon: MagicMock) -> None:
        self.data = data
        self.ctl = ctl
        self.calls = MagicMock()
        self.calls.attach_mock(ctl, "ctl")
        self.calls.attach_mock(daemon, "systemd")

    def initialise(self) -> Path:
        """Have a member's data, and return a file of it."""
        return write_log(self.data)

    def order(self, *names: str) -> list[str]:
        """Those of the named calls that were made, in order."""
        called = [name.rpartition(".")[2] for name, *_ in self.calls.mock_calls]
        return [name for name in called if name in names]


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """A daemon that runs, with its files elsewhere."""
    for name in ("CONFIG", "LOADED", "DATA", "UNIT"):
        monkeypatch.setattr(etcd, name, tmp_path / name)
    write_log(tmp_path / "DATA")
    monkeypatch.setattr(etcd, "pgdata", MagicMock())
    monkeypatch.setattr("charmed_maas.files.pwd.getpwnam", MagicMock())
    monkeypatch.setattr("charmed_maas.files.os.fchown", lambda *_: None)
    monkeypatch.setattr("charmed_maas.files._ensure_access", lambda *_: False)
    mock = create_autospec(systemd)
    mock.ensure_files.side_effect = systemd.ensure_files
    mock.ensure_running.return_value = False
    monkeypatch.setattr(systemd, "_do", lambda *_: None)
    monkeypatch.setattr(etcd, "systemd", mock)
    monkeypatch.setattr(etcd.etcdctl, "is_healthy", lambda _: True)
    return mock


def test_an_address_that_a_killed_hook_only_wrote_down_is_taken_in_the_next(daemon: MagicMock):
    etcd.bootstrap(A)
    moved = cluster.Unit(A.name, "10.0.0.9")
    daemon.restart.side_effect = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        etcd.bootstrap(moved)
    daemon.restart.side_effect = None
    daemon.restart.reset_mock()
    etcd.bootstrap(moved)
    daemon.restart.assert_called_once_with(etcd.SERVICE)
    etcd.bootstrap(moved)
    daemon.restart.assert_called_once_with(etcd.SERVICE)


def test_a_unit_file_that_a_killed_hook_only_wrote_is_run_by_after_the_next(
    daemon: MagicMock, monkeypatch: pytest.MonkeyPatch
):
    etcd.bootstrap(A)
    daemon.restart.side_effect = KeyboardInterrupt
    monkeypatch.setattr(etcd.files, "render", lambda *_, **__: "[Service]\n")
    with pytest.raises(KeyboardInterrupt):
        etcd.bootstrap(A)
    daemon.restart.side_effect = None
    daemon.restart.reset_mock()
    etcd.bootstrap(A)
    daemon.restart.assert_called_once_with(etcd.SERVICE)


def test_a_daemon_that_starts_reads_all_by_itself(daemon: MagicMock):
    daemon.ensure_running.return_value = True
    etcd.bootstrap(A)
    daemon.restart.assert_not_called()
    daemon.ensure_running.return_value = False
    etcd.bootstrap(A)
    daemon.restart.assert_not_called()


def token() -> str:
    return yaml.safe_load(etcd.CONFIG.read_text())["initial-cluster-token"]


def test_each_bootstrap_makes_a_cluster_of_its_own(daemon: MagicMock):
    found = []
    for _ in range(2):
        shutil.rmtree(etcd.DATA)
        etcd.bootstrap(A)
        found.append(token())
        write_log(etcd.DATA)
    assert len({*found, etcd.CLUSTER}) == 3
    etcd.bootstrap(A)
    assert token() == found[-1]
    daemon.restart.assert_not_called()


def test_a_member_that_started_with_the_token_of_old_goes_on(daemon: MagicMock):
    initial = f"{A.member_name}={A.peer_url}"
    before = etcd.render_config(A, initial, "new", "postgresql-ha")
    etcd.CONFIG.write_text(before)
    daemon.ensure_running.return_value = True
    etcd.bootstrap(A)
    daemon.ensure_running.return_value = False
    etcd.bootstrap(A)
    assert etcd.CONFIG.read_text() == before.replace("state: new", "state: existing")
    daemon.restart.assert_not_called()


def test_a_member_that_lost_its_log_fails_and_begins_no_other_cluster(daemon: MagicMock):
    shutil.rmtree(etcd.DATA)
    etcd.bootstrap(A)
    assert yaml.safe_load(etcd.CONFIG.read_text())["initial-cluster-state"] == "new"
    log = write_log(etcd.DATA)
    first = token()
    for _ in range(2):
        etcd.bootstrap(A)
        config = yaml.safe_load(etcd.CONFIG.read_text())
        assert config["initial-cluster-state"] == "existing"
        assert token() == first
    daemon.restart.assert_not_called()
    log.unlink()
    assert not etcd.is_initialised()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Etcd]:
    ctl = create_autospec(etcdctl)
    ctl.EtcdError = etcdctl.EtcdError
    daemon = create_autospec(systemd)
    with (
        patch.object(etcd, "etcdctl", ctl),
        patch.object(etcd, "systemd", daemon),
        patch.object(etcd, "DATA", tmp_path / "etcd"),
        patch.object(etcd, "CONFIG", tmp_path / "etcd.yml"),
        patch.object(etcd, "LOADED", tmp_path / "etcd.loaded"),
        patch.object(etcd, "UNIT", tmp_path / "etcd.service"),
        patch.object(etcd, "_ensure_files") as files,
        patch.object(etcd.files, "ensure_file"),
    ):
        (tmp_path / "etcd.yml").touch()
        (tmp_path / "etcd.service").touch()
        ctl.ensure_files = files
        yield Etcd(tmp_path / "etcd", ctl, daemon)


def test_a_member_that_was_removed_and_added_again_starts_with_nothing(world: Etcd):
    old = world.initialise()
    world.ctl.members.return_value = [VOTER_B, ADDED_A]
    world.ctl.is_listening.side_effect = [False, True]
    world.ctl.votes.return_value = True
    assert etcd.converge(A, [A, B]) == "voter"
    assert not old.exists()
    name = f"{A.member_name}={A.peer_url},{B.member_name}={B.peer_url}"
    world.ctl.ensure_files.assert_called_once_with(A, name, "existing", etcd.CLUSTER)


def test_a_member_that_has_just_started_keeps_its_data(world: Etcd):
    own = world.initialise()
    world.ctl.members.return_value = [VOTER_B, ADDED_A]
    world.ctl.is_listening.return_value = True
    etcd.converge(A, [A, B])
    assert own.exists()


@pytest.mark.parametrize(
    ("listed", "listening", "asked"),
    [
        ([MOVED_A], [A], [A]),
        ([MOVED_A, VOTER_B, VOTER_C], [A, B, C], [B, C]),
        ([MOVED_A, VOTER_B, VOTER_C], [A, C], [C]),
        ([MOVED_A, dataclasses.replace(VOTER_B, is_learner=True)], [A, B], [A]),
    ],
)
def test_a_new_address_is_told_through_those_that_can_be_asked(
    world: Etcd,
    listed: list[cluster.EtcdMember],
    listening: list[cluster.Unit],
    asked: list[cluster.Unit],
):
    """B of the first two units has no etcd; a learner takes no changes."""
    world.initialise()
    world.ctl.members.return_value = listed
    world.ctl.votes.side_effect = etcdctl.votes
    world.ctl.is_listening.side_effect = lambda unit: unit in listening
    assert etcd.converge(A, [A, B, C][: max(2, len(listed))]) == "voter"
    world.ctl.update_peer_url.assert_called_once_with(MOVED_A, A, asked)


@pytest.mark.parametrize("mine", [VOTER_A, dataclasses.replace(VOTER_A, is_learner=True)])
def test_a_member_that_lost_its_data_is_to_be_added_anew(world: Etcd, mine: cluster.EtcdMember):
    world.ctl.members.return_value = [mine, VOTER_B, VOTER_C]
    world.ctl.healthy.return_value = {VOTER_B.id, VOTER_C.id}
    assert etcd.converge(A, [A, B, C]) == ""
    world.ctl.remove_member.assert_called_once_with(A, [B, C])
    assert world.order("ensure_stopped", "remove_member", "ensure_running") == [
        "ensure_stopped",
        "remove_member",
    ]


def test_what_an_etcd_left_that_could_not_start_is_no_data(world: Etcd):
    left = world.data / "member/snap"
    left.mkdir(parents=True)
    world.ctl.members.return_value = [VOTER_A, VOTER_B, VOTER_C]
    world.ctl.healthy.return_value = {VOTER_B.id, VOTER_C.id}
    assert etcd.converge(A, [A, B, C]) == ""
    assert not left.exists()
    world.ctl.remove_member.assert_called_once_with(A, [B, C])


@pytest.mark.parametrize("healthy", [{VOTER_B.id}, set()])
def test_a_vote_whose_data_is_lost_stays_while_the_others_need_it(world: Etcd, healthy: set[int]):
    world.ctl.members.return_value = [VOTER_A, VOTER_B, VOTER_C]
    world.ctl.healthy.return_value = healthy
    assert etcd.converge(A, [A, B, C]) == ""
    assert world.order("ensure_stopped", "remove_member", "ensure_running") == []


def test_a_member_off_the_list_of_a_living_majority_goes(world: Etcd):
    old = world.initialise()
    world.ctl.members.return_value = [VOTER_B]
    world.ctl.is_healthy.side_effect = lambda unit: unit == B
    assert etcd.converge(A, [A, B]) == ""
    assert not old.exists()


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        ('{"leader":"a-0","sync_standby":"a-1"}', ["a-0", "a-1"]),
        ('{"leader":"a-0","sync_standby":null}', ["a-0"]),
        ("", []),
        ("null", []),
    ],
)
def test_who_is_in_step(answer: str, names: list[str]):
    with (
        patch.object(etcdctl, "_etcdctl", return_value=answer) as run,
        patch.object(etcdctl, "is_listening", side_effect=lambda unit: unit is B),
    ):
        assert etcdctl.in_step([A, B], "postgresql-ha", agreed=True) == names
    assert run.call_args.args[0] == [B]
    assert "--consistency=l" in run.call_args.args


def test_who_was_in_step_is_known_without_a_quorum():
    with (
        patch.object(etcdctl, "_etcdctl", return_value='{"leader":"a-0"}') as run,
        patch.object(etcdctl, "is_listening", return_value=True),
    ):
        assert etcdctl.in_step([A], "postgresql-ha", agreed=False) == ["a-0"]
    assert "--consistency=s" in run.call_args.args
