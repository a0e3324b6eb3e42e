# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Whatever a database, haproxy-vip, a rack, a peer or an operator writes: named, never obeyed."""

import dataclasses
import json
import re
import urllib.parse
from typing import Any, cast
from unittest import mock

import garbage
import pytest
import requests
import yaml
from conftest import CLUSTER, replaced
from hypothesis import example, given
from hypothesis import strategies as st
from ops import testing
from requests import adapters
from test_charm import DATABASE, OTHER, _local, _state
from test_peers import APP, UNIT

import charm
import controllers
import db_proxy
import peers
import region
import serving
import settings
from charmed_maas import apt_source
from charmed_maas.interfaces import db, maas_api, maas_rpc

GOOD_UNIT = {**garbage.written(UNIT), "ready": "true", "leaving": "true", "cluster": CLUSTER}
WHOLE_DATABASE = {
    **DATABASE,
    "read-only-endpoints": "10.0.0.2:5432",
    "version": "17.5",
    "voters": '["10.0.0.1","10.0.0.2"]',
}
WHOLE_OTHER = {
    **OTHER,
    "leaving": "false",
    "paused": "false",
    "started": "1795361569",
    "cluster": CLUSTER,
}
RACK = {"hostname": "rack-0", "system-id": "abc123", "dhcp-grace": "120"}
VIP = {"vip": "10.0.0.100", "url": "http://10.0.0.100/MAAS"}
GOOD_APP = garbage.written(APP)
MEMBER = {"unit": "maas-rack/3", "kind": "rack", "system-id": "abc123", "dhcp-grace": "120"}
DEPARTED = {"kind": "rack", "system-id": "abc123", "since": 1795361569}
WORDS = st.from_regex(r"[a-z0-9]{1,10}", fullmatch=True)
URLS = st.just("http://10.0.0.100/MAAS")
PUBLISHED = st.one_of(
    st.builds(
        peers.UnitData,
        garbage.hosts,
        st.booleans(),
        st.booleans(),
        st.booleans(),
        WORDS,
        st.just("1:3.7.3-17560-g.5c3a2a6-0ubuntu1~24.04.1"),
        WORDS,
        st.uuids().map(str),
    ),
    st.builds(
        peers.AppData,
        st.uuids().map(str),
        URLS,
        st.lists(
            st.builds(controllers.Member, WORDS.map("{}/7".format), st.just("rack"), WORDS),
            max_size=3,
        ).map(tuple),
        st.lists(
            st.builds(controllers.Departed, st.just("region"), WORDS, st.integers(0, 1 << 33)),
            max_size=3,
        ).map(tuple),
        st.just("http://maas.test/MAAS"),
    ),
)


def assert_peer(found: peers.UnitData) -> None:
    """Assert that what a peer wrote is short and plain, and is the same when read again."""
    texts = [str(value) for value in dataclasses.astuple(found)]
    assert all(text.isprintable() and len(text) <= 128 for text in texts)
    assert re.fullmatch(r"[A-Za-z0-9_.-]{0,128}", found.system_id)
    assert peers.UnitData.from_databag(garbage.written(found)) == found


@garbage.FAST
@given(garbage.databags(GOOD_UNIT))
@example({"system-id": "x" * 60_000})
def test_a_peers_databag_is_valid_or_named(bag: dict[str, str]):
    if found := garbage.parse(peers.UnitData.from_databag, bag):
        assert_peer(found)


def test_each_field_of_a_peer_of_each_known_kind_is_valid_or_named():
    for found in garbage.read_each(peers.UnitData.from_databag, GOOD_UNIT | WHOLE_OTHER):
        assert_peer(found)


def assert_written_down(found: peers.AppData) -> None:
    """Assert that MAAS can be asked for each controller, and the same when it is read again."""
    for one in (*found.members, *found.departed):
        assert one.kind in ("region", "rack")
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", one.system_id)
    assert all(one.since < 1e12 for one in found.departed)
    assert peers.AppData.from_databag(garbage.written(found)) == found


@garbage.FAST
@given(
    garbage.databags(GOOD_APP)
    | garbage.entries(MEMBER).map(lambda text: {"controllers": text})
    | garbage.entries(DEPARTED).map(lambda text: {"departed": text})
)
@example({"departed": json.dumps([{**DEPARTED, "since": "9" * 5000}])})
@example({"departed": json.dumps([{**DEPARTED, "since": "٣"}])})
@example({"controllers": json.dumps([{**MEMBER, "system-id": "../users/admin"}])})
def test_what_a_leader_wrote_is_valid_or_named(bag: dict[str, str]):
    if found := garbage.parse(peers.AppData.from_databag, bag):
        assert_written_down(found)


@pytest.mark.parametrize(
    ("good", "within"),
    [(GOOD_APP, ""), (MEMBER, "controllers"), (DEPARTED | {"since": "1795361569"}, "departed")],
    ids=["the databag", "a controller", "a departed one"],
)
def test_each_field_that_a_leader_wrote_of_each_known_kind_is_valid_or_named(
    good: dict[str, str], within: str
):
    for found in garbage.read_each(peers.AppData.from_databag, good, within=within):
        assert_written_down(found)


@garbage.FAST
@given(PUBLISHED)
def test_what_is_published_is_read_back(data: Any):
    assert type(data).from_databag(garbage.written(data)) == data


@garbage.FAST
@given(st.lists(garbage.databags(RACK), max_size=3))
@example([{"system-id": "x" * 60_000}] * 2)
def test_what_racks_write_never_makes_what_is_written_down_unreadable(bags: list[dict[str, str]]):
    found = [garbage.parse(maas_rpc.RequirerUnitData.from_databag, bag) for bag in bags]
    members = tuple(
        controllers.Member(f"maas-rack/{number}", "rack", one.system_id, one.dhcp_grace_s)
        for number, one in enumerate(found)
        if one and one.system_id
    )
    data = peers.AppData(CLUSTER, "http://10.0.0.100/MAAS", members)
    assert peers.AppData.from_databag(garbage.written(data)) == data


@garbage.FAST
@given(garbage.databags(DATABASE), garbage.texts, garbage.texts, st.integers(0, 10))
def test_regiond_conf_says_what_was_given_and_no_more(
    bag: dict[str, str], username: str, password: str, workers: int
):
    given_ = garbage.parse(db.ProviderAppData.from_databag, bag)
    login = db.Credentials.parse({"username": username, "password": password})
    if not given_ or not login:
        return
    configured = region.Settings(
        maas_url="http://10.0.0.100/MAAS",
        address="10.0.0.1",
        database_host=db_proxy.ADDRESS,
        database_port=db_proxy.PORT,
        database_name=given_.database,
        database_user=login.username,
        database_pass=login.password,
        num_workers=workers,
    )
    wanted = {**dataclasses.asdict(configured), "debug": True, "broadcast_address": "10.0.0.1"}
    del wanted["address"]
    if not workers:
        del wanted["num_workers"]
    assert yaml.safe_load(region.render_config(configured, {"debug": True})) == wanted


@garbage.FAST
@given(garbage.databags(DATABASE))
@example({**DATABASE, "members": '["10.0.0.1:5432\\n    server evil 10.6.6.6:80"]'})
def test_the_proxys_lines_are_the_templates_and_one_slot_a_member(bag: dict[str, str]):
    if not (given_ := garbage.parse(db.ProviderAppData.from_databag, bag)):
        return
    members = db_proxy.Members.of(
        given_.primary, given_.members, given_.health_port, given_.health_ca
    )
    lines = db_proxy.render_config(members).split("\n")
    bare = db_proxy.Members((), members.health_port, members.health_ca)
    others = [line for line in lines if not line.startswith("    server ")]
    bare_lines = db_proxy.render_config(bare).split("\n")
    assert others == [line for line in bare_lines if not line.startswith("    server ")]
    servers = [line for line in lines if line.startswith("    server ")]
    used = [line for line in servers if not line.endswith(" disabled")]
    assert len(used) == len(set(members.endpoints))
    line = r"    server member-\d+ [0-9a-f.:\[\]]+:\d+ tcp-ut 10s( disabled)?"
    assert all(re.fullmatch(line, one) for one in servers)


def _serves_with_a_new_secret(wish: serving.Wish) -> serving.Outcome:
    """As a region whose database has another shared secret than it was started with."""
    wish.have_followed("00ff" * 8)
    return serving.Outcome(serving.Stage.SERVING, cluster=CLUSTER)


@garbage.EVENT
@given(
    garbage.databags(WHOLE_DATABASE),
    garbage.databags({**VIP, "no-vip": "true"}),
    garbage.databags({"address": "10.0.0.3", "ready": "true"}),
    garbage.databags({"secret-mark": "0a1b2c3d"}),
    garbage.databags(RACK),
    garbage.databags(WHOLE_OTHER),
    st.booleans(),
)
@example(DATABASE, {}, {}, {}, {}, {"ready": "true"}, True)
@example(DATABASE, {"url": "http://h/" + "x" * 60_000}, {}, {}, {}, OTHER, True)
@example(DATABASE, VIP, {"address": "nowhere"}, {}, {}, OTHER, False)
@example(DATABASE, VIP, {"ready": "True"}, {}, {}, OTHER, True)
@example(DATABASE, VIP, {}, {"secret-mark": "a b"}, {}, OTHER, True)
@example({**WHOLE_DATABASE, "voters": '["nowhere"]'}, VIP, {}, {}, RACK, WHOLE_OTHER, True)
@example({**WHOLE_DATABASE, "read-only-endpoints": ":"}, VIP, {}, {}, RACK, WHOLE_OTHER, True)
@example({**WHOLE_DATABASE, "version": "\x1b[31m"}, VIP, {}, {}, RACK, WHOLE_OTHER, True)
@example(WHOLE_DATABASE, VIP, {}, {}, {**RACK, "dhcp-grace": "٣"}, WHOLE_OTHER, True)
@example(WHOLE_DATABASE, VIP, {}, {}, RACK, {**WHOLE_OTHER, "leaving": "True"}, True)
@example(WHOLE_DATABASE, VIP, {}, {}, RACK, {**WHOLE_OTHER, "paused": "True"}, True)
@example(WHOLE_DATABASE, VIP, {}, {}, RACK, {**WHOLE_OTHER, "started": "x" * 60_000}, True)
@example(WHOLE_DATABASE, VIP, {}, {}, RACK, {**WHOLE_OTHER, "cluster": "../**"}, True)
def test_an_event_names_the_offender_or_goes_on(
    database: dict[str, str],
    vip: dict[str, str],
    vip_unit: dict[str, str],
    racks: dict[str, str],
    rack: dict[str, str],
    other: dict[str, str],
    leader: bool,
):
    rpc = testing.Relation(
        "rpc", remote_app_name="maas-rack", remote_app_data=racks, remote_units_data={0: rack}
    )
    api = testing.Relation(
        "api",
        remote_app_name="haproxy-vip",
        remote_app_data=vip,
        remote_units_data={0: vip_unit},
    )
    before = _state(
        leader=leader,
        db=testing.Relation("db", remote_app_name="postgresql-ha", remote_app_data=database),
        api=api,
        rpc=rpc,
        peers=testing.PeerRelation("peers", peers_data={1: other}),
    )
    context = testing.Context(charm.MAASRegionCharm)
    with replaced() as workload:
        workload.serving.ensure.side_effect = _serves_with_a_new_secret
        out = context.run(context.on.relation_changed(rpc, remote_unit=0), before)
    garbage.assert_fit(out.unit_status.message)
    workload.serving.stop.assert_not_called()
    if out.unit_status.name == "blocked":
        senders = "postgresql-ha|haproxy-vip(/0)?|maas-rack(/0)?|maas-region/1"
        assert re.match(f"({senders}) sent [a-z-]+: ", out.unit_status.message)
    else:
        for parser, bag in (
            (db.ProviderAppData, database),
            (maas_api.RequirerAppData, vip),
            (maas_rpc.RequirerAppData, racks),
            (maas_rpc.RequirerUnitData, rack),
            (peers.UnitData, other),
        ):
            assert garbage.parse(parser.from_databag, bag), (parser, bag)
        # Whose VIP nobody uses is not asked.
        if garbage.parse(maas_api.RequirerAppData.from_databag, vip).url:
            assert garbage.parse(maas_api.RequirerUnitData.from_databag, vip_unit)
    if workload.serving.ensure.called and out.unit_status.name != "blocked":
        assert garbage.parse(maas_rpc.RequirerAppData.from_databag, racks)
    written = _local(out, "peers").local_app_data
    assert peers.AppData.from_databag(written)
    assert maas_rpc.ProviderAppData.from_databag(_local(out, "rpc").local_app_data)


@garbage.EVENT
@given(garbage.databags(GOOD_APP), st.booleans())
def test_what_was_written_down_and_cannot_be_read_is_named(app: dict[str, str], leader: bool):
    written = testing.PeerRelation("peers", peers_data={1: OTHER}, local_app_data=app)
    context = testing.Context(charm.MAASRegionCharm)
    with replaced() as workload:
        out = context.run(context.on.update_status(), _state(leader=leader, peers=written))
    garbage.assert_fit(out.unit_status.message)
    workload.serving.stop.assert_not_called()
    if garbage.parse(peers.AppData.from_databag, app) is None:
        assert re.match(r"maas-region sent [a-z-]+: ", out.unit_status.message)
        assert _local(out, "peers").local_app_data == app


@garbage.EVENT
@given(
    garbage.values,
    st.integers() | st.sampled_from([0, 1, 10, 11]),
    st.integers() | st.sampled_from([119, 120, 3600, 3601]),
    garbage.values | st.sampled_from(["never", "monthly", "Monthly"]),
)
@example("deb http://a\ndeb http://b c", 4, 120, "never")
def test_an_option_is_taken_or_named(source: str, workers: int, grace_s: int, rotation: str):
    context = testing.Context(charm.MAASRegionCharm)
    options = {"source": source, "num-workers": workers}
    before = _state(config=options | {"dhcp-ha-grace": grace_s, "secret-rotation": rotation})
    with replaced() as workload:
        workload.region.install.side_effect = apt_source.render
        out = context.run(context.on.config_changed(), before)
    message = out.unit_status.message
    garbage.assert_fit(message)
    workload.serving.stop.assert_not_called()
    assert 0 <= workload.serving.ensure.call_args.args[0].num_workers <= region.MAX_WORKERS
    assert 120 <= int(_local(out, "rpc").local_app_data["dhcp-grace"]) <= 3600
    if out.unit_status.name == "blocked":
        named = ("num-workers", "dhcp-ha-grace", "secret-rotation")
        assert message.startswith(("source ", *(f"set {name} to " for name in named)))


ENSURE_SETTINGS = settings.ensure
PAGE = "<html>\r\n<head><title>x</title></head>\r\n<body>nginx</body></html>\r\n"
# Status and body of MAAS's answer to what is set, and whether it is about the value.
ANSWERS = (
    (200, "OK", False),
    (400, '{"upstream_dns": ["Invalid IP address: not; provide a list of IP addresses"]}', True),
    (400, "No provided value!", True),
    (400, f'["{"x" * 70_000}\\u0000\\n"]', True),
    (500, "argument of type 'NoneType' is not iterable", True),
    (502, PAGE, False),
    (503, PAGE, False),
    (504, PAGE, False),
    (0, "", False),
)


class MAAS:
    """Answers as MAAS does where it has none of the settings; sent is what it was given."""

    def __init__(self, status: int, body: str) -> None:
        self._status, self._body = status, body
        self.sent: list[list[tuple[str, str]]] = []

    def send(self, request: requests.PreparedRequest, **__: object) -> Any:
        answer = requests.Response()
        answer.status_code, answer._content, answer.encoding = 200, b"null", "utf-8"
        if request.method == "POST":
            body = cast("bytes", request.body).decode()
            self.sent.append(urllib.parse.parse_qsl(body, keep_blank_values=True))
            if not self._status:
                raise requests.ConnectionError
            answer.status_code, answer._content = self._status, self._body.encode()
        return answer


@garbage.EVENT
@given(
    st.fixed_dictionaries(dict.fromkeys(settings.OPTIONS, garbage.values)),
    st.sampled_from(ANSWERS),
)
@example({"upstream-dns": "x&op=y", "ntp-servers": "", "http-proxy": "a\x00b"}, ANSWERS[0])
@example({"upstream-dns": "10.0.0.1", "ntp-servers": "x" * (1 << 20)}, ANSWERS[3])
@example({"http-proxy": "a\ud800"}, ANSWERS[1])
@example({"ntp-servers": "a\x00"}, ANSWERS[4])
@example({"ntp-servers": "a"}, ANSWERS[6])
def test_a_setting_is_given_to_maas_as_it_is_or_its_option_is_named(
    options: dict[str, str], answer: tuple[int, str, bool]
):
    status, body, is_refusal = answer
    maas = MAAS(status, body)
    context = testing.Context(charm.MAASRegionCharm)
    with (
        replaced() as workload,
        mock.patch.object(adapters.HTTPAdapter, "send", maas.send),
    ):
        workload.settings.ensure.side_effect = ENSURE_SETTINGS
        out = context.run(context.on.config_changed(), _state(config=options))
    message = out.unit_status.message
    garbage.assert_fit(message)
    workload.serving.ensure.assert_called_once()
    wanted = {name: value.strip() for name, value in options.items() if value.strip()}
    for sent in maas.sent:
        (_, name), (_, value) = sent
        assert [key for key, _ in sent] == ["name", "value"]
        assert value == wanted[name.replace("_", "-")]
    if is_refusal and wanted:
        assert out.unit_status.name == "blocked"
        assert message.partition(": ")[0] in wanted
    else:
        assert out.unit_status.name == "active"


@garbage.EVENT
@given(garbage.values | st.from_regex(r"https?://[a-z.:\[\]%/-]{0,20}/MAAS", fullmatch=True))
def test_an_own_url_is_named_where_it_is_not_the_vips(url: str):
    context = testing.Context(charm.MAASRegionCharm)
    before = _state(config={"maas-url": url}, api=testing.Relation("api", remote_app_data=VIP))
    with replaced() as workload:
        out = context.run(context.on.config_changed(), before)
    message = out.unit_status.message
    garbage.assert_fit(message)
    assert workload.serving.ensure.call_args.args[0].maas_url == VIP["url"]
    assert message.startswith("maas-url: ") or not url.strip()
