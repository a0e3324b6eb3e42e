# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Whatever a region, a peer or a leader writes: named, and no rule or key of the daemons'."""

import dataclasses
import json
import re
from typing import Any

import garbage
import pytest
import yaml
from conftest import ID, Model, peer_data, replaced
from hypothesis import example, given
from hypothesis import strategies as st
from ops import testing
from test_charm import JOINED, region
from test_patroni import DATA, KEYS, SPEC

import charm
import cluster
import etcd
import patroni
import peers
import postgresql
from charmed_maas import databag
from charmed_maas.interfaces import db

APP = {
    "bootstrap-unit": "postgresql-ha/0",
    "cluster-id": ID,
    "etcd-members": '["postgresql-ha/0"]',
    "databases": '["7:maasdb"]',
    "secret-id": "secret:d0g0c9n8rvnc3c1e5sj0",
}
UNIT = {
    "address": "10.0.0.2",
    "cluster-id": ID,
    "etcd": "voter",
    "set-aside": "3/117440512",
    "outlived": "true",
    "leaving": "true",
    "admits": '["postgresql-ha/0"]',
}
NAMES = st.integers(0, 999).map("postgresql-ha/{}".format)
LISTS = st.lists(NAMES, max_size=3).map(tuple)
IDENTIFIERS = st.integers(0, (1 << 64) - 1).map(str)
POSITIONS = st.tuples(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1))
DATABASES = st.lists(st.tuples(st.integers(0, 999), st.just("maasdb")), max_size=3)
PUBLISHED = st.one_of(
    st.builds(
        peers.AppData,
        secret_id=st.just("") | st.just("secret:d0g0c9n8rvnc3c1e5sj0"),
        bootstrap_unit=st.just("") | NAMES,
        cluster_id=st.just("") | IDENTIFIERS,
        etcd_members=LISTS.map(lambda names: tuple(sorted(names))),
        databases=DATABASES.map(lambda found: tuple(sorted(found))),
    ),
    st.builds(
        peers.UnitData,
        address=st.just("") | garbage.hosts,
        cluster_id=st.just("") | IDENTIFIERS,
        etcd=st.sampled_from(["", "voter", "learner"]),
        set_aside=st.none() | POSITIONS,
        outlived=st.booleans(),
        leaving=st.booleans(),
        admits=LISTS,
    ),
)


@garbage.FAST
@given(PUBLISHED)
def test_what_is_published_is_read_back(data: Any):
    bag = garbage.written(data)
    assert type(data).from_databag(bag) == data


def assert_peer(found: peers.UnitData) -> None:
    """Assert that what a peer wrote can stand in paths, and is the same when it is read again."""
    assert re.fullmatch(r"[0-9]{0,20}", found.cluster_id)
    assert re.fullmatch(r"[A-Za-z0-9.:+~_-]{0,128}", found.etcd)
    assert peers.UnitData.from_databag(garbage.written(found)) == found


@garbage.FAST
@given(garbage.databags(UNIT))
@example({"set-aside": f"1/{'9' * 5000}"})
@example({"cluster-id": "/etc"})
@example({"cluster-id": "x" * 60_000})
def test_a_peers_databag_is_valid_or_named(bag: dict[str, str]):
    if found := garbage.parse(peers.UnitData.from_databag, bag):
        assert_peer(found)


def test_each_field_of_a_peer_of_each_known_kind_is_valid_or_named():
    for found in garbage.read_each(peers.UnitData.from_databag, UNIT):
        assert_peer(found)


def assert_written_down(found: peers.AppData) -> None:
    """Assert that what a leader wrote can stand in paths and SQL, and is read again."""
    assert re.fullmatch(r"[0-9]{0,20}", found.cluster_id)
    assert re.fullmatch(r"([a-z0-9-]+/[0-9]+)?", found.bootstrap_unit)
    assert re.fullmatch(r"(secret:)?[A-Za-z0-9_/-]{0,100}", found.secret_id)
    assert not any(postgresql.check_database(name) for _, name in found.databases)
    again = peers.AppData.from_databag(garbage.written(found))
    assert set(again.databases) == set(found.databases)
    assert again.cluster_id == found.cluster_id


@garbage.FAST
@given(garbage.databags(APP))
@example({"databases": json.dumps([f"{'9' * 5000}:maasdb"])})
@example({"databases": json.dumps(['7:x" "x" 0.0.0.0/0 trust #'])})
@example({"databases": json.dumps(["7:postgres"])})
@example({"cluster-id": "../**"})
@example({"bootstrap-unit": "x" * 60_000})
@example({"secret-id": "\U0001f600" * 40_000})
def test_what_a_leader_wrote_is_valid_or_named(bag: dict[str, str]):
    if found := garbage.parse(peers.AppData.from_databag, bag):
        assert_written_down(found)


def test_each_field_that_a_leader_wrote_of_each_known_kind_is_valid_or_named():
    for found in garbage.read_each(peers.AppData.from_databag, APP):
        assert_written_down(found)


@garbage.FAST
@given(garbage.values)
@example("maasdb\n")
@example('x" "x" 0.0.0.0/0 trust #')
def test_a_databases_name_is_plain_or_refused_with_a_sentence(name: str):
    if problem := postgresql.check_database(name):
        garbage.assert_fit(problem)
    else:
        assert re.fullmatch(r"[a-z_][a-z0-9_-]{0,47}", name)


def specs() -> st.SearchStrategy[cluster.Spec]:
    """Return what daemons may be configured from: whatever passed the boundary."""
    units = st.lists(garbage.hosts, max_size=4).map(
        lambda hosts: tuple(
            cluster.Unit(f"postgresql-ha/{number}", host) for number, host in enumerate(hosts, 2)
        )
    )
    names = st.from_regex(postgresql.DATABASE, fullmatch=True)
    clients = st.lists(st.builds(cluster.Client, names, garbage.hosts), max_size=4).map(tuple)
    keys = st.text(max_size=20).map(
        lambda text: dataclasses.replace(KEYS, superuser=text, rest=text)
    )
    return st.builds(
        lambda me, units, clients, keys: dataclasses.replace(
            SPEC, me=cluster.Unit("postgresql-ha/1", me), peers=units, clients=clients, keys=keys
        ),
        garbage.hosts,
        units,
        clients,
        keys,
    )


@garbage.FAST
@given(specs())
def test_pg_hba_has_one_rule_a_client_and_three_a_member(spec: cluster.Spec):
    rules = patroni.pg_hba(spec)
    assert len(rules) == 2 + 3 * len(spec.units) + len(spec.clients)
    host = r"[0-9a-f.:]+/(32|128)"
    for rule in rules[2:]:
        member = re.fullmatch(
            rf"hostssl (replication|postgres|all) [a-z]+ {host} scram-sha-256", rule
        )
        client = re.fullmatch(rf'host "([a-z0-9_-]+)" "\1" {host} scram-sha-256', rule)
        assert member or client
    assert not any("/0" in rule for rule in rules)


def shape(value: Any) -> Any:
    """Return the keys of a mapping, all the way down."""
    return {key: shape(one) for key, one in value.items()} if isinstance(value, dict) else None


PATRONI = {
    one: shape(yaml.safe_load(patroni.render_config(SPEC, DATA, bootstrap=one, strict=False)))
    for one in (True, False)
}
ETCD = shape(yaml.safe_load(etcd.render_config(SPEC.me, "x", "new", "y")))


@garbage.FAST
@given(specs(), st.booleans())
def test_patroni_yml_has_the_templates_keys_and_the_given_values(
    spec: cluster.Spec, bootstrap: bool
):
    text = yaml.safe_load(patroni.render_config(spec, DATA, bootstrap=bootstrap, strict=False))
    assert shape(text) == PATRONI[bootstrap]
    assert text["postgresql"]["pg_hba"] == patroni.pg_hba(spec)
    assert len(text["etcd3"]["hosts"]) == len(spec.units)
    logins = text["postgresql"]["authentication"]
    assert logins["superuser"]["password"] == spec.keys.superuser
    assert text["restapi"]["authentication"]["password"] == spec.keys.rest


@garbage.FAST
@given(garbage.hosts, st.sampled_from(["new", "existing"]), garbage.hosts)
def test_etcd_yml_has_the_templates_keys_and_the_given_values(
    address: str, state: str, other: str
):
    units = [cluster.Unit("postgresql-ha/0", address), cluster.Unit("postgresql-ha/1", other)]
    initial = ",".join(f"{one.member_name}={one.peer_url}" for one in units)
    text = yaml.safe_load(etcd.render_config(units[0], initial, state, "y"))
    assert shape(text) == ETCD
    assert text["initial-cluster"] == initial
    assert text["listen-peer-urls"] == units[0].peer_url


REGION = garbage.databags({"database": "maasdb", "requested-secrets": '["username"]'})
REGION_UNIT = garbage.databags({"address": "10.0.0.7", "ingress-address": "10.0.0.7"})


@garbage.EVENT
@given(REGION, REGION_UNIT, garbage.databags(UNIT), st.booleans())
@example({"database": "maasdb"}, {"address": "0.0.0.0/0"}, UNIT, True)
@example({"database": "maasdb"}, {}, {**UNIT, "cluster-id": "/etc", "leaving": "false"}, True)
def test_an_event_names_the_offender_or_goes_on(
    app: dict[str, str], unit: dict[str, str], other: dict[str, str], leader: bool
):
    relation = dataclasses.replace(region(), remote_app_data=app, remote_units_data={0: unit})
    model = Model(
        app={"cluster-id": ID}, peers={1: other, 2: JOINED[2]}, leader=leader, db=relation
    )
    context = testing.Context(charm.PostgreSQLHACharm)
    with replaced() as machine:
        machine.cluster_id = ID
        out = context.run(context.on.update_status(), model.state())
    garbage.assert_fit(out.unit_status.message)
    assert machine.names() == ["run"]
    spec = machine.member.run.call_args.args[0]
    assert all(one.database == "maasdb" for one in spec.clients)
    if out.unit_status.name == "blocked":
        senders = (
            "maas-region sent database",
            "maas-region/0 sent (ingress-)?address",
            f"postgresql-ha/1 sent ({'|'.join(UNIT)})",
            # The one whose address the peer before it claims.
            "postgresql-ha/2 sent address",
            "maas-region",
        )
        assert re.search(rf"\b({'|'.join(senders)}): ", out.unit_status.message)
        return
    assert garbage.parse(peers.UnitData.from_databag, other), other
    asked = garbage.parse(db.RequirerAppData.from_databag, app)
    assert asked, app
    if asked.database:
        assert not postgresql.check_database(asked.database)
        # Where nobody asks for a database, from where does not matter.
        found = garbage.parse(db.RequirerUnitData.from_databag, unit)
        assert found, unit
        assert found.address or databag.address(unit, "ingress-address") is not None


@pytest.mark.parametrize("one", ["10.0.0.1", "10.0.0.2"])
@pytest.mark.parametrize("two", ["10.0.0.1", "10.0.0.2", "10.0.0.3"])
def test_a_peer_with_anothers_address_is_named_and_stays_where_it_was(one: str, two: str):
    known = {1: {**JOINED[1], "address": one}, 2: {**JOINED[2], "address": two}}
    context = testing.Context(charm.PostgreSQLHACharm)
    with replaced() as machine:
        machine.cluster_id = ID
        machine.remembered.peers.return_value = [cluster.Unit("postgresql-ha/2", "10.0.0.3")]
        model = Model(app={"cluster-id": ID}, peers=known)
        out = context.run(context.on.update_status(), model.state())
    units = machine.member.run.call_args.args[0].units
    assert len({unit.address for unit in units}) == len(units)
    if len({"10.0.0.1", one, two}) < 3:
        pattern = r"postgresql-ha/[12] sent address: 10\.0\.0\.[12] is postgresql-ha/[01]'s"
        assert re.fullmatch(f"{pattern}: remove the unit .*", out.unit_status.message)


@garbage.EVENT
@given(garbage.databags(APP), st.booleans())
@example({**APP, "databases": json.dumps(['7:x" "x" 0.0.0.0/0 trust #'])}, True)
@example({**APP, "databases": json.dumps(["7:postgres"])}, True)
@example({**APP, "secret-id": "\U0001f600" * 40_000}, True)
@example({**APP, "secret-id": "secret:x y"}, False)
def test_what_a_leader_wrote_and_cannot_be_read_is_named(app: dict[str, str], leader: bool):
    gone = dataclasses.replace(region(), remote_app_data={"database": ""}, id=7)
    model = Model(app=app, peers=JOINED, leader=leader, db=gone)
    context = testing.Context(charm.PostgreSQLHACharm)
    with replaced() as machine:
        machine.cluster_id = ID
        out = context.run(context.on.update_status(), model.state())
    garbage.assert_fit(out.unit_status.message)
    for call in (machine.member.leave, machine.member.clear):
        call.assert_not_called()
    for call in machine.member.run.call_args_list:
        names = [one.database for one in call.args[0].clients]
        assert not any(postgresql.check_database(name) for name in names)
    if app and garbage.parse(peers.AppData.from_databag, app) is None:
        assert re.match(r"postgresql-ha sent [a-z-]+: ", out.unit_status.message)
        assert {**peer_data(out)[0], **app} == peer_data(out)[0]
        assert machine.names() == []


@pytest.mark.parametrize("strict", [True, False])
def test_the_one_option_is_juju_s_own_to_check(strict: bool):
    context = testing.Context(charm.PostgreSQLHACharm)
    model = Model(app={"cluster-id": ID}, peers=JOINED, config={"synchronous-mode-strict": strict})
    with replaced() as machine:
        machine.cluster_id = ID
        context.run(context.on.config_changed(), model.state())
    assert machine.member.run.call_args.kwargs["strict"] is strict


@garbage.FAST
@given(garbage.databags({"admitted": '["10.0.0.7"]', "database": "maasdb"}))
def test_a_request_is_valid_or_named(bag: dict[str, str]):
    found = garbage.parse(db.RequirerAppData.from_databag, bag)
    assert not found or found.database.isprintable()
