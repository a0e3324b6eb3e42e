# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from collections.abc import Iterator
from unittest.mock import MagicMock, create_autospec, patch

import pytest

import cluster
import etcdctl
import membership
import rest

A, B, C = (cluster.Unit(f"postgresql-ha/{n}", f"10.0.0.{n + 1}") for n in range(3))
KEYS = cluster.Keys("CA", "CAKEY", "superpw", "replpw", "rewindpw", "restpw")
VOTERS = [
    cluster.EtcdMember(n, unit.member_name, unit.peer_url) for n, unit in enumerate((A, B, C))
]
PRIMARY = cluster.Member("postgresql-ha-0", A.address, 5432, "leader", "running")


@pytest.fixture
def ctl() -> Iterator[MagicMock]:
    api = create_autospec(rest.Client, instance=True)
    api.members.return_value = [PRIMARY]
    found = create_autospec(etcdctl)
    found.members.return_value = list(VOTERS)
    found.healthy.return_value = {0, 1, 2}
    with (
        patch.object(membership, "etcdctl", found),
        patch.object(membership.member, "client", lambda _spec: api),
        patch.object(membership, "SETTLE_TIMEOUT_S", 0.1),
    ):
        yield found


def test_a_voter_that_cannot_be_read_of_keeps_the_others_voting(ctl: MagicMock):
    known = {A.name: True, B.name: True, C.name: True}
    membership.ensure_etcd(cluster.Spec(A, (B,), "postgresql-ha", KEYS), known)
    ctl.apply.assert_not_called()


@pytest.mark.parametrize("peers", [(B,), (B, C)])
def test_a_voter_that_leaves_goes_before_one_that_stays(
    ctl: MagicMock, peers: tuple[cluster.Unit, ...]
):
    known = {A.name: True, B.name: True, C.name: False}
    listed = list(VOTERS)
    ctl.members.side_effect = lambda _: list(listed)
    ctl.apply.side_effect = lambda change, _: listed.remove(change.member) or True
    spec = cluster.Spec(A, peers, "postgresql-ha", KEYS, leaving=frozenset({C.name}))
    assert membership.ensure_etcd(spec, known).voters == (A.address,)
    changes = [call.args[0] for call in ctl.apply.call_args_list]
    assert changes == [cluster.Remove(VOTERS[2]), cluster.Remove(VOTERS[1])]


def test_votes_are_told_by_address_also_those_of_units_that_are_gone(ctl: MagicMock):
    learner = cluster.EtcdMember(4, "postgresql-ha-4", "https://10.0.0.5:2380", is_learner=True)
    gone = cluster.EtcdMember(3, "postgresql-ha-3", "https://[fd00::4]:2380")
    ctl.members.return_value = [*VOTERS, learner, gone]
    ctl.healthy.return_value = {0, 1}
    known = {unit.name: True for unit in (A, B, C)}
    etcd = membership.ensure_etcd(cluster.Spec(A, (B, C), "postgresql-ha", KEYS), known)
    assert etcd.units == (A.name, B.name, C.name)
    assert etcd.voters == (A.address, B.address, C.address, "fd00::4")
    assert etcd.missing == (C.name,)
