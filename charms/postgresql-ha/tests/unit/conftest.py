# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import MagicMock, create_autospec, patch

import pytest
from ops import testing

import charm
import cluster
import member
import membership
import pgdata
import postgresql
import quorum
import remembered
import rest

ID = "7711148789758909984"
ADDRESS = "10.0.0.1"
CONTENT = {
    "ca-cert": "CA",
    "ca-key": "CAKEY",
    "superuser": "superpw",
    "replication": "replpw",
    "rewind": "rewindpw",
    "rest": "restpw",
}
MEMBERS = [
    cluster.Member("postgresql-ha-0", ADDRESS, 5432, "leader", "running"),
    cluster.Member("postgresql-ha-1", "10.0.0.2", 5432, "sync_standby", "streaming"),
    cluster.Member("postgresql-ha-2", "10.0.0.3", 5432, "replica", "streaming"),
]


@dataclass
class Machine:
    """The unit's machine and daemons, replaced: what they say and what they were told."""

    member: Any
    membership: Any
    quorum: Any
    remembered: Any
    postgresql: Any
    api: Any
    cluster_id: str = ""
    aside: pgdata.Copy | None = None
    dying: set[str] = field(default_factory=set)

    def names(self) -> list[str]:
        """The functions of member that change something, in the order they were called."""
        calls = ("bootstrap", "run", "leave", "clear", "adopt", "reinitialise")
        return [name for name, *_ in self.member.mock_calls if name in calls]


@contextlib.contextmanager
def replaced() -> Iterator[Machine]:
    """Replace the unit's machine and daemons."""
    found = Machine(
        create_autospec(member),
        create_autospec(membership),
        create_autospec(quorum),
        create_autospec(remembered),
        MagicMock(),
        create_autospec(rest.Client),
    )
    found.member.MemberError = member.MemberError
    found.member.JOURNAL = member.JOURNAL
    found.quorum.without_s.return_value = 0.0
    found.quorum.is_lost.return_value = False
    found.quorum.silent.return_value = None
    found.quorum.in_step.return_value = ["postgresql-ha-0", "postgresql-ha-1"]
    found.api.members.return_value = list(MEMBERS)
    found.member.client.return_value = found.api
    found.member.take_over.return_value = ""
    found.member.own_cluster_id.side_effect = lambda _scope: found.cluster_id
    found.member.set_aside.side_effect = lambda _id: found.aside
    found.remembered.peers.return_value = []
    found.remembered.spec.return_value = None
    found.member.run.return_value = "voter"
    found.member.admits.return_value = ()
    found.membership.ensure_etcd.return_value = membership.Etcd(
        ("postgresql-ha/0",), ("10.0.0.1",)
    )
    names = ("install", "connect", "ensure_database", "revoke")
    mocks = {name: create_autospec(getattr(postgresql, name)) for name in names}
    mocks["version"] = MagicMock(return_value="17.2")
    found.postgresql = MagicMock(**mocks)
    with (
        patch.multiple(postgresql, **mocks),
        patch.object(charm, "member", found.member),
        patch.object(charm.actions, "member", found.member),
        patch.object(charm.status, "member", found.member),
        patch.object(charm.actions, "quorum", found.quorum),
        patch.object(charm.status, "quorum", found.quorum),
        patch.object(charm, "membership", found.membership),
        patch.object(charm, "remembered", found.remembered),
    ):
        yield found


@pytest.fixture
def machine() -> Iterator[Machine]:
    with replaced() as found:
        yield found


@pytest.fixture
def ctx() -> testing.Context[charm.PostgreSQLHACharm]:
    return testing.Context(charm.PostgreSQLHACharm)


@dataclass
class Model:
    """A model to start from: the peers' databags and the secret that all may read."""

    app: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    peers: dict[int, dict[str, str]] = field(default_factory=dict)
    leader: bool = False
    db: testing.Relation | None = None
    config: dict[str, str | int | float | bool] = field(default_factory=dict)
    address: str = ADDRESS

    def state(self) -> testing.State:
        """The state with all of it."""
        secret = testing.Secret(CONTENT, label="members", owner="app")
        app = {"secret-id": secret.id, **self.app} if self.app else {}
        relation = testing.PeerRelation(
            "peers", local_app_data=app, local_unit_data=self.own, peers_data=self.peers
        )
        address = testing.Network(
            "peers",
            [testing.BindAddress([testing.Address(self.address)])],
            ingress_addresses=[self.address],
        )
        return testing.State(
            leader=self.leader,
            relations=[relation, *([self.db] if self.db else [])],
            secrets=[secret] if self.app else [],
            networks=[address],
            config=self.config,
            planned_units=1 + len(self.peers),
        )


def peer_data(state: testing.State) -> tuple[dict[str, str], dict[str, str]]:
    """The application's and this unit's databag of the peer relation."""
    relation = next(iter(state.get_relations("peers")))
    assert isinstance(relation, testing.PeerRelation)
    return dict(relation.local_app_data), dict(relation.local_unit_data)
