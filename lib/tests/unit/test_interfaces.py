# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Each interface: what one side publishes, the other reads, and nonsense is only reported."""

from typing import Any

import garbage
import ops
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops import testing

from charmed_maas import databag
from charmed_maas.interfaces import db, maas_api, maas_rpc

DATABASE = db.ProviderAppData(
    primary=("10.0.0.1", 5432),
    replicas=(("10.0.0.2", 5432), ("fd00::3", 5432)),
    members=(("10.0.0.1", 5432), ("10.0.0.2", 5432)),
    database="maasdb",
    version="17.5",
    secret_user="secret:abc",
    health_port=8008,
    health_ca=garbage.CA,
    voters=("10.0.0.1", "fd00::3"),
)
SERVICE = maas_api.Service("maas", 5240, check="/MAAS/api/2.0/version/")
SIDES = (
    DATABASE,
    db.RequirerAppData("maasdb"),
    db.RequirerUnitData("10.0.0.2"),
    maas_api.ProviderAppData((SERVICE, maas_api.Service("rpc", 5242, 5242, "tcp"))),
    maas_api.ProviderUnitData("10.0.0.1", ready=True),
    maas_api.RequirerAppData("10.0.0.100", "http://10.0.0.100/MAAS"),
    maas_api.RequirerAppData(no_vip=True),
    maas_api.RequirerUnitData("10.0.0.3", ready=True),
    maas_rpc.ProviderAppData(
        "http://10.0.0.100/MAAS", ("http://10.0.0.1:5240/MAAS",), "secret:x", 3600
    ),
    maas_rpc.RequirerUnitData("rack-0", "abc123", 120),
    maas_rpc.RequirerAppData("0a1b2c3d"),
)


@pytest.mark.parametrize("side", SIDES, ids=lambda side: type(side).__qualname__)
def test_what_is_written_is_read_back(side: Any):
    bag: dict[str, str] = {}
    databag.write(bag, side.to_databag())
    assert type(side).from_databag(bag) == side
    assert not databag.write(bag, side.to_databag())


@pytest.mark.parametrize("side", SIDES, ids=lambda side: type(side).__qualname__)
def test_every_field_is_optional_and_unknown_ones_are_ignored(side: Any):
    assert type(side).from_databag({}) == type(side)()
    assert type(side).from_databag({"from-a-later-version": "x"}) == type(side)()


@pytest.mark.parametrize("side", SIDES, ids=lambda side: type(side).__qualname__)
@settings(deadline=None)  # A shared machine has no tight times.
@given(
    value=st.one_of(st.text(), st.sampled_from(["null", "[null]", "[[]]", '[{"name": "a b"}]']))
)
def test_garbled_fields_are_refused_by_name_or_harmless(side: Any, value: str):
    for key in side.to_databag():
        try:
            type(side).from_databag({key: value})
        except databag.DatabagError as error:
            assert ": " in str(error)


class Region(ops.CharmBase):
    """A requirer of db that records what it gets."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        self.database = db.DatabaseRequirer(self, "db")
        self.api = maas_api.MAASAPIProvider(self, "api")
        framework.observe(self.database.on.changed, self._on_changed)
        framework.observe(self.on.update_status, self._on_changed)
        self.seen: list[db.DatabaseConnection | None] = []

    def _on_changed(self, _: ops.EventBase) -> None:
        if self.unit.is_leader():
            self.database.request("maasdb")
        self.seen.append(self.database.get())


META = {
    "name": "region",
    "requires": {"db": {"interface": "postgresql_client"}},
    "provides": {"api": {"interface": "maas_api"}},
}


def _run(remote: dict[str, str], secrets: list[testing.Secret]) -> tuple[Region, testing.State]:
    context = testing.Context(Region, meta=META)
    relation = testing.Relation("db", remote_app_data=remote)
    state = testing.State(relations=[relation], secrets=secrets, leader=True)
    with context(context.on.relation_changed(relation), state) as manager:
        out = manager.run()
        return manager.charm, out


def test_requirer_asks_and_gets_a_connection():
    secret = testing.Secret({"username": "maas", "password": "pw"})
    remote = db.ProviderAppData(("10.0.0.1", 5432), secret_user=secret.id).to_databag()
    charm, out = _run({key: value for key, value in remote.items() if value}, [secret])
    (relation,) = out.relations
    assert relation.local_app_data["database"] == "maasdb"
    connection = charm.seen[-1]
    assert connection is not None
    assert connection.credentials == db.Credentials("maas", "pw")
    assert connection.provider.primary == ("10.0.0.1", 5432)


def test_requirer_waits_for_a_secret_that_is_not_granted_yet():
    remote = {"endpoints": "10.0.0.1:5432", "secret-user": "secret:d0g0c9n8rvnc3c1e5sj0"}
    charm, _ = _run(remote, [])
    assert charm.seen[-1] is None
    assert charm.database.problems == []


def test_requirer_reports_nonsense_and_does_not_obey_it():
    charm, _ = _run({"endpoints": "10.0.0.1:5432,evil", "secret-user": "secret:x"}, [])
    assert charm.seen[-1] is None
    assert charm.database.problems == ["remote sent endpoints: 'evil' is not address:port"]


class Database(ops.CharmBase):
    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        self.db = db.DatabaseProvider(self, "db")
        framework.observe(self.db.on.changed, self._on_changed)
        framework.observe(self.on.update_status, self._on_changed)

    def _on_changed(self, _: ops.EventBase) -> None:
        self.db.publish_admitted()


def test_a_unit_is_admitted_by_the_address_it_writes_else_by_jujus():
    vip = {"ingress-address": "10.0.0.100"}
    assert _admitted(vip | {"address": "10.0.0.2"}) == '["10.0.0.2"]'
    assert _admitted(vip) == '["10.0.0.100"]'
    assert _admitted(vip | {"address": "0.0.0.0/0"}) == '["10.0.0.100"]'


def _admitted(unit: dict[str, str]) -> str:
    meta = {"name": "database", "provides": {"db": {"interface": "postgresql_client"}}}
    context = testing.Context(Database, meta=meta)
    relation = testing.Relation(
        "db", remote_app_data={"database": "maasdb"}, remote_units_data={0: unit}
    )
    out = context.run(context.on.update_status(), testing.State(relations=[relation]))
    return out.get_relation(relation.id).local_unit_data["admitted"]


def test_a_provider_unit_tells_whom_it_admits():
    meta = {"name": "database", "provides": {"db": {"interface": "postgresql_client"}}}
    context = testing.Context(Database, meta=meta)
    relation = testing.Relation(
        "db",
        remote_app_data={"database": "maasdb"},
        remote_units_data={
            2: {"ingress-address": "10.0.0.2"},
            10: {"ingress-address": "10.0.0.10"},
        },
    )
    event = context.on.relation_changed(relation, remote_unit=2)
    out = context.run(event, testing.State(relations=[relation]))
    assert out.get_relation(relation.id).local_unit_data["admitted"] == '["10.0.0.2","10.0.0.10"]'


@pytest.mark.parametrize("value", ['["10.0.0.1","10.0.0.0/8"]', '["db1"]', "[1]", '"10.0.0.1"'])
def test_voters_are_addresses_or_refused_by_name(value: str):
    with pytest.raises(databag.DatabagError, match="voters: ") as refused:
        db.ProviderAppData.from_databag({"voters": value})
    assert str(refused.value).count("voters") == 1


def test_a_voter_that_is_named_twice_has_one_vote():
    bag = {"voters": '["10.0.0.1","10.0.0.2","10.0.0.1"]'}
    assert db.ProviderAppData.from_databag(bag).voters == ("10.0.0.1", "10.0.0.2")


def test_a_unit_of_haproxy_vip_that_says_nothing_or_nonsense_takes_no_part():
    relation = testing.Relation(
        "api",
        remote_app_data={"vip": "10.0.0.100", "url": "http://10.0.0.100/MAAS"},
        remote_units_data={
            10: {"address": "10.0.0.2", "ready": "true"},
            2: {"address": "not one", "ready": "true"},
            3: {},
        },
    )
    context = testing.Context(Region, meta=META)
    with context(context.on.update_status(), testing.State(relations=[relation])) as manager:
        found = manager.charm.api.vip_units()
    assert found == {
        "remote/2": maas_api.RequirerUnitData(),
        "remote/3": maas_api.RequirerUnitData(),
        "remote/10": maas_api.RequirerUnitData("10.0.0.2", ready=True),
    }
