# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Whatever the other side writes is a valid value or an error that names the field."""

import dataclasses
import ipaddress
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import garbage
import ops
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ops import testing
from test_interfaces import SERVICE, SIDES

from charmed_maas import addresses, apt_source, commands, databag, failover, files
from charmed_maas.interfaces import db, maas_api, maas_rpc

ONE_PER_SIDE = {type(one): one for one in SIDES if one != maas_api.RequirerAppData(no_vip=True)}
HOSTS = garbage.hosts
PORTS = st.integers(1, 65535)
ENDPOINTS = st.lists(st.tuples(HOSTS, PORTS), max_size=5).map(tuple)
WORDS = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9.:+~-]{0,20}", fullmatch=True)
SYSTEM_IDS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,40}", fullmatch=True)
URLS = st.builds("http://{}:{}/MAAS".format, HOSTS.map(addresses.url_host), PORTS)
SECRET_IDS = st.builds("secret:{}".format, st.from_regex(r"[a-v0-9]{20}", fullmatch=True))
SERVICES = st.builds(
    maas_api.Service,
    name=st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
    backend_port=PORTS,
    listen_port=st.integers(0, 65535),
    mode=st.sampled_from(maas_api.MODES),
    check=st.just("") | st.from_regex(r"(/[A-Za-z0-9._-]{1,20}){1,9}/?", fullmatch=True),
    agent_port=st.integers(0, 65535),
)
# What Juju and this charm's other revisions write beside it.
EXTRA: dict[type, dict[str, str]] = {
    db.RequirerUnitData: {"ingress-address": "10.0.0.7"},
    maas_api.RequirerAppData: {"no-vip": "true"},
}
GRACES = st.just(0) | st.integers(failover.MIN_GRACE_S, failover.MAX_GRACE_S)
PUBLISHED = st.one_of(
    st.builds(
        db.ProviderAppData,
        primary=st.none() | st.tuples(HOSTS, PORTS),
        replicas=ENDPOINTS,
        members=ENDPOINTS,
        database=WORDS,
        version=WORDS,
        secret_user=st.just("") | SECRET_IDS,
        health_port=st.integers(0, 65535),
        health_ca=st.sampled_from(["", SIDES[0].health_ca]),
        voters=st.lists(HOSTS, max_size=3, unique=True).map(tuple),
    ),
    st.builds(db.RequirerAppData, WORDS),
    st.builds(db.RequirerUnitData, HOSTS),
    st.builds(maas_api.ProviderAppData, st.lists(SERVICES, max_size=3).map(tuple)),
    st.builds(maas_api.ProviderUnitData, HOSTS, st.booleans()),
    st.builds(maas_api.RequirerAppData, HOSTS, URLS, st.booleans()),
    st.builds(maas_api.RequirerUnitData, HOSTS, st.booleans()),
    st.builds(
        maas_rpc.ProviderAppData, URLS, st.lists(URLS, max_size=3).map(tuple), SECRET_IDS, GRACES
    ),
    st.builds(maas_rpc.RequirerUnitData, WORDS, SYSTEM_IDS, GRACES),
    st.builds(maas_rpc.RequirerAppData, WORDS),
)
BAGS: dict[Any, dict[str, str]] = {
    side: {**garbage.written(good), **EXTRA.get(side, {})} for side, good in ONE_PER_SIDE.items()
}


def sides() -> st.SearchStrategy[tuple[Any, dict[str, str]]]:
    """Return each side of each interface with a garbled databag of its own."""
    return st.sampled_from(sorted(BAGS, key=str)).flatmap(
        lambda side: st.tuples(st.just(side), garbage.databags(BAGS[side]))
    )


def assert_read(found: Any) -> None:
    """Assert that what was read is valid, and the same when it is written and read again."""
    assert_valid(found)
    assert type(found).from_databag(garbage.written(found)) == found


def assert_valid(value: Any) -> None:
    """Assert of every value within that it is what its field is said to be."""
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        for one in found if isinstance(found, tuple) else (found,):
            if dataclasses.is_dataclass(one):
                assert_valid(one)
            elif isinstance(one, str):
                assert one.replace("\n", "" if field.name == "health_ca" else "\n").isprintable()
                assert len(one) <= databag.MAX_LENGTH
            if isinstance(one, (str, int)):
                _ASSERTS.get(field.name, lambda _: True)(one)


def _assert_address(text: str) -> None:
    assert not text or (str(ipaddress.ip_address(text)) == text and "%" not in text)


def _assert_url(text: str) -> None:
    assert not text or (urlsplit(text).hostname and len(text) <= databag.MAX_URL)


def _assert_check(text: str) -> None:
    assert not set(text) & set("#'\"\\ ${}%\n")


def _assert_system_id(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.-]{0,128}", text)


def _assert_grace(grace_s: int) -> None:
    assert grace_s == 0 or 120 <= grace_s <= 3600


_ASSERTS: dict[str, Any] = {
    **dict.fromkeys(("address", "vip", "voters"), _assert_address),
    **dict.fromkeys(("url", "maas_url", "region_urls"), _assert_url),
    "check": _assert_check,
    "dhcp_grace_s": _assert_grace,
    "system_id": _assert_system_id,
}


@garbage.FAST
@given(sides())
@example((db.ProviderAppData, {"endpoints": "10.0.0.1:" + "9" * 4000}))
@example((db.ProviderAppData, {"endpoints": "10.0.0.1:" + "9" * 5000}))
@example((db.ProviderAppData, {"secret-user": "\U0001f600" * 40_000}))
@example((db.ProviderAppData, {"health-ca": "-----BEGIN CERTIFICATE-----\nx\n"}))
@example((maas_api.RequirerAppData, {"url": "http://h/" + "x" * 60_000}))
@example((maas_api.RequirerAppData, {"url": "http://[fe80::1%eth0]/"}))
@example((maas_api.ProviderUnitData, {"address": "::ffff:10.0.0.1"}))
@example((maas_rpc.RequirerUnitData, {"system-id": "x" * 60_000}))
@example((maas_rpc.ProviderAppData, {"dhcp-grace": "1"}))
@example((maas_rpc.RequirerUnitData, {"dhcp-grace": "999999"}))
def test_a_databag_is_valid_or_refused_by_the_fields_name(given_: tuple[Any, dict[str, str]]):
    side, bag = given_
    if found := garbage.parse(side.from_databag, bag):
        assert_read(found)


@pytest.mark.parametrize("side", BAGS, ids=lambda side: side.__qualname__)
def test_each_field_of_each_known_kind_is_valid_or_named_with_its_sender(side: Any):
    for found in garbage.read_each(side.from_databag, BAGS[side]):
        assert_read(found)


def test_each_known_kind_of_what_juju_says_of_an_address_is_valid_or_named():
    for found in garbage.read_each(db._ingress_address, EXTRA[db.RequirerUnitData]):
        _assert_address(found)


def assert_services(found: maas_api.ProviderAppData) -> None:
    """Assert of every service that it can stand in haproxy.cfg."""
    assert_valid(found)
    for one in found.services:
        assert re.fullmatch(r"[A-Za-z0-9-]{1,60}", one.name)
        assert one.mode in maas_api.MODES
        assert 1 <= one.backend_port <= 65535


def test_each_field_of_a_service_of_each_known_kind_is_valid_or_named():
    (good, *_) = json.loads(BAGS[maas_api.ProviderAppData]["services"])
    good |= {"listen_port": "80", "agent_port": "7914"}
    for found in garbage.read_each(maas_api.ProviderAppData.from_databag, good, within="services"):
        assert_services(found)


@garbage.FAST
@given(
    garbage.entries({**dataclasses.asdict(SERVICE), "listen_port": 80}).map(
        lambda text: {"services": text}
    )
)
@example({"services": '[{"name": "a", "backend_port": "x", "mode": "http"}]'})
@example({"services": '[{"name": "a", "backend_port": 1, "mode": "http", "check": "/#"}]'})
@example({"services": '[{"name": "a", "backend_port": 1, "mode": "http", "check": "/\'"}]'})
@example({"services": f'[{{"name": "{"a" * 3000}", "backend_port": 1, "mode": "tcp"}}]'})
def test_services_are_valid_or_refused_by_the_fields_name(bag: dict[str, str]):
    if found := garbage.parse(maas_api.ProviderAppData.from_databag, bag):
        assert_services(found)


@garbage.FAST
@given(PUBLISHED)
def test_what_is_published_is_read_back(data: Any):
    bag = garbage.written(data)
    assert type(data).from_databag(bag) == data
    assert not databag.write(bag, data.to_databag())


@garbage.FAST
@given(garbage.values | st.ip_addresses().map(str), PORTS)
@example("::ffff:10.0.0.1", 1)
def test_an_address_is_canonical_or_refused_with_a_sentence(text: str, port: int):
    try:
        found = addresses.parse_address(text)
    except ValueError as error:
        garbage.assert_fit(str(error))
        return
    assert addresses.parse_address(found) == found
    assert addresses.split_host_port(addresses.join_host_port(found, port)) == (found, port)
    assert ipaddress.ip_network(addresses.host_cidr(found)).num_addresses == 1


class Both(ops.CharmBase):
    """Both ends of every interface, asked for all that they know."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        self.ends = (
            db.DatabaseProvider(self, "db-out"),
            db.DatabaseRequirer(self, "db-in"),
            maas_api.MAASAPIProvider(self, "api-out"),
            maas_api.MAASAPIRequirer(self, "api-in"),
            maas_rpc.MAASRPCProvider(self, "rpc-out"),
            maas_rpc.MAASRPCRequirer(self, "rpc-in"),
        )
        framework.observe(self.on.update_status, self._on_update_status)

    def _on_update_status(self, _: ops.EventBase) -> None:
        db_out, db_in, api_out, api_in, rpc_out, rpc_in = self.ends
        db_out.requests()
        db_in.get()
        api_out.get()
        api_out.has_no_vip()
        api_in.services()
        api_in.backends()
        rpc_in.get()
        for relation in rpc_out.relations:
            for unit in relation.units:
                rpc_out.unit_data(relation, unit)
        for problem in (one for end in self.ends for one in end.problems):
            garbage.assert_fit(problem)
            assert re.match(r"remote(/0)? sent [a-z-]+: ", problem)


ENDS = {
    "requires": {"db-in": "postgresql_client", "api-in": "maas_api", "rpc-in": "maas_rpc"},
    "provides": {"db-out": "postgresql_client", "api-out": "maas_api", "rpc-out": "maas_rpc"},
}
META = {
    "name": "both",
    **{
        role: {name: {"interface": one} for name, one in ends.items()}
        for role, ends in ENDS.items()
    },
}
FIELDS = {key: text for one in SIDES for key, text in one.to_databag().items() if text}


@garbage.EVENT
@given(app=garbage.databags(FIELDS), unit=garbage.databags(FIELDS))
def test_an_endpoint_names_who_sent_what(app: dict[str, str], unit: dict[str, str]):
    relations = [
        testing.Relation(name, remote_app_data=app, remote_units_data={0: unit})
        for ends in ENDS.values()
        for name in ends
    ]
    context = testing.Context(Both, meta=META)
    context.run(context.on.update_status(), testing.State(relations=relations))


@garbage.FAST
@given(username=garbage.texts, password=garbage.texts)
@example("maas", "a\x00b")
def test_credentials_are_printable_or_nobody_connects(username: str, password: str):
    found = db.Credentials.parse({"username": username, "password": password})
    assert not found or (found.username + found.password).isprintable()


LINE = "deb [trusted=yes] http://mirror.example/maas noble main"
STANZA = "Types: deb\nURIs: http://mirror.example/maas\nSuites: noble\nComponents: main"


def spoilt(good: str) -> st.SearchStrategy[str]:
    """Return a good source with nonsense anywhere within."""
    return st.builds(
        lambda at, text: good[:at] + text + good[at:], st.integers(0, len(good)), garbage.values
    )


@garbage.FAST
@given(garbage.values | spoilt(LINE) | spoilt("ppa:maas/3.7") | spoilt(STANZA))
@example(f"# A comment of its own.\n\n{STANZA}")
@example("deb http://a\ndeb http://b c")
@example("deb http://a b \x00")
@example("Types: deb\x85URIs: http://a\x85Suites: b")
@example("Types: deb\n\nURIs: http://a\n\nSuites: b")
@example("Types: deb\nURIs: http://a\nSuites: b\nX: \ud800")
def test_a_source_is_one_line_a_whole_stanza_or_refused(source: str):
    try:
        suffix, text = apt_source.render(source)
    except apt_source.SourceError as error:
        assert str(error).startswith("source ")
        garbage.assert_fit(str(error))
        return
    text.encode()
    lines = text.removeprefix(apt_source.HEADER).removesuffix("\n").split("\n")
    assert all(line.replace("\t", " ").isprintable() for line in lines)
    if suffix == ".list":
        assert len(lines) == 1
        assert lines[0].startswith(("deb", "# ppa:"))
        return
    bare = "\n".join(line for line in lines if not line.startswith("#")).strip()
    stanzas = re.split(r"\n(?:[ \t]*\n)+", bare)
    for stanza in stanzas:
        names = {line.partition(":")[0].lower() for line in stanza.split("\n")}
        assert {"types", "uris", "suites"} <= names


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("templates") / "one.j2"
    path.write_text("key {{ value }}\n")
    return path


@garbage.FAST
@given(value=garbage.values)
def test_a_value_is_never_a_template(template: Path, value: str):
    assert files.render(template, value=value) == f"key {value}\n"


@garbage.FAST
@given(argument=garbage.values)
@example("a\x00b")
@example("\ud800")
@example("\U0001f600" * 40_000)
def test_a_command_that_cannot_take_its_argument_is_an_error_of_its_module(argument: str):
    try:
        commands.run(["/bin/true", argument])
    except commands.CommandError as error:
        garbage.assert_fit(str(error))
