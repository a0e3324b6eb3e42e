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


def test_a_voter_that_leaves_does_not_count(ctl: MagicMock):
    known = {A.name: True, B.name: True, C.name: False}
    membership.ensure_etcd(cluster.Spec(A, (B,), "postgresql-ha", KEYS), known)
    assert ctl.apply.call_args_list[0].args[0] == cluster.Remove(VOTERS[1])
