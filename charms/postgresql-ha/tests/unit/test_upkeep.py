# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock, create_autospec, patch

import pytest

import cluster
import etcd
import etcdctl
import rest
import upkeep

A, B = (cluster.Unit(f"postgresql-ha/{n}", f"10.0.0.{n + 1}") for n in range(2))
LEADER = cluster.Member("postgresql-ha-0", A.address, 5432, "leader", "running")
REPLICA = cluster.Member("postgresql-ha-1", B.address, 5432, "sync_standby", "streaming")
MEMBER_A = cluster.EtcdMember(1, A.member_name, A.peer_url)
LEARNER_B = cluster.EtcdMember(2, "", B.peer_url, is_learner=True)


@pytest.fixture
def ctl(tmp_path: Path) -> Iterator[MagicMock]:
    mock = create_autospec(etcdctl)
    mock.EtcdError = etcdctl.EtcdError
    mock.members.return_value = [MEMBER_A]
    with (
        patch.object(upkeep, "etcdctl", mock),
        patch.object(upkeep.paths, "ETCD", tmp_path / "etcd"),
        patch.object(upkeep.paths, "MEMBER", tmp_path / "member.json"),
        patch.object(upkeep.paths, "LOCK", tmp_path / "lock"),
        patch.object(etcd, "converge", return_value="voter"),
    ):
        yield mock


@pytest.fixture
def api() -> MagicMock:
    mock = create_autospec(rest.Client, instance=True)
    mock.members.return_value = [LEADER, REPLICA]
    return mock


def converge() -> MagicMock:
    assert isinstance(etcd.converge, MagicMock)
    return etcd.converge


def test_a_unit_that_was_added_starts_its_member(ctl: MagicMock, api: MagicMock):
    ctl.members.return_value = [MEMBER_A, LEARNER_B]
    upkeep.work(B, [A], api)
    converge().assert_called_once_with(B, [B, A])


def test_a_unit_that_was_removed_ends_its_member(ctl: MagicMock, api: MagicMock):
    upkeep.paths.ETCD.mkdir()
    upkeep.work(B, [A], api)
    converge().assert_called_once_with(B, [B, A])


def test_a_unit_that_has_no_part_in_etcd_leaves_it_alone(ctl: MagicMock, api: MagicMock):
    upkeep.work(B, [A], api)
    ctl.members.return_value = []
    upkeep.paths.ETCD.mkdir()
    upkeep.work(B, [A], api)
    converge().assert_not_called()


def test_only_the_primarys_machine_gives_etcds_leadership_away(ctl: MagicMock, api: MagicMock):
    upkeep.work(B, [A], api)
    ctl.move_leader.assert_not_called()
    upkeep.work(A, [B], api)
    ctl.move_leader.assert_called_once_with(A, [A, B])


def test_a_pending_restart_is_made_in_turn(ctl: MagicMock, api: MagicMock):
    changed = [
        cluster.Member(
            "postgresql-ha-0", A.address, 5432, "leader", "running", pending_restart=True
        ),
        cluster.Member(
            "postgresql-ha-1", B.address, 5432, "sync_standby", "streaming", pending_restart=True
        ),
    ]
    api.members.return_value = changed
    upkeep.work(A, [B], api)
    api.restart.assert_not_called()
    upkeep.work(B, [A], api)
    api.restart.assert_called_once_with(B)


def test_without_a_cluster_nothing_is_done(ctl: MagicMock):
    assert upkeep.main() == 0
    ctl.members.assert_not_called()


def test_what_cannot_be_reached_is_told_and_no_failure(ctl: MagicMock):
    state = {"unit": A.name, "address": A.address, "peers": [], "rest": "pw"}
    upkeep.paths.MEMBER.write_text(json.dumps(state))
    ctl.members.side_effect = etcdctl.EtcdError("no route")
    assert upkeep.main() == 0
    ctl.members.assert_called_once()
