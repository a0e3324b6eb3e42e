# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Whatever is configured or written, no line of haproxy.cfg or keepalived.conf is anybody's."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any
from unittest import mock

import garbage
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ops import testing
from test_charm import SERVICES, Machine, api, peer, region, replaced, state

import charm
import config
import haproxy
import keepalived
import peers
import routes
from charmed_maas import databag
from charmed_maas.interfaces import maas_api

GOOD = {
    "vip": "10.0.0.100/24",
    "port": 80,
    "interface": "eth0",
    "vrrp-id": 0,
    "advert-interval": 0.5,
    "balance": "leastconn",
}
INTS = st.integers() | st.sampled_from([0, 53, 80, 255, 5240, 65535])
# Juju itself refuses a value that is not of the option's type.
OPTIONS = {
    "vip": garbage.values | st.ip_addresses().map(str) | st.ip_addresses().map("{}/64".format),
    "port": INTS,
    "interface": garbage.values,
    "vrrp-id": INTS,
    "advert-interval": st.floats(),
    "balance": garbage.values | st.sampled_from(config.BALANCES),
}
options = st.sampled_from(sorted(OPTIONS)).flatmap(
    lambda key: OPTIONS[key].map(lambda value: {**GOOD, key: value})
)
HOSTS = garbage.hosts


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with replaced() as found:
        yield found


@garbage.FAST
@given(options)
@example({**GOOD, "interface": "eth\x00"})
@example({**GOOD, "interface": "eth\ud800"})
@example({**GOOD, "interface": "ééééééééé"})
@example({**GOOD, "vip": "10.0.0.100/0"})
def test_an_option_is_valid_or_named(given_: dict[str, Any]):
    try:
        found = config.parse(given_)
    except config.ConfigError as error:
        assert str(error).partition(" ")[0] in GOOD
        garbage.assert_fit(str(error))
        return
    assert not found.vip or 1 <= found.prefix <= 128
    assert len(found.interface.encode()) <= 15
    assert re.fullmatch(r"[^\s\"'{}#!/:]*", found.interface)
    assert 0 <= found.vrrp_id <= 255
    assert re.fullmatch(r"\d+(\.\d{1,2})?", f"{found.advert_interval_s:g}")


def services() -> st.SearchStrategy[tuple[maas_api.Service, ...]]:
    """Return what passes the boundary of what a region may ask for."""
    good = {
        "name": "maas",
        "backend_port": 5240,
        "listen_port": 80,
        "mode": "http",
        "check": "/x",
        "agent_port": 7914,
    }
    text = garbage.entries(good) | st.just(SERVICES["services"])

    def read(value: str) -> tuple[maas_api.Service, ...]:
        found = garbage.parse(maas_api.ProviderAppData.from_databag, {"services": value})
        return found.services if found else ()

    return text.map(read)


@garbage.FAST
@given(services(), st.lists(HOSTS, max_size=4), st.sampled_from(config.BALANCES))
def test_haproxy_cfg_has_the_sections_and_servers_of_its_routes_alone(
    asked: tuple[maas_api.Service, ...], hosts: list[str], balance: str
):
    backends = [maas_api.Backend(f"r/{n}", host, ready=True) for n, host in enumerate(hosts)]
    try:
        found = routes.build(asked, backends, vip="10.0.0.100", port=80)
    except routes.RouteError as error:
        garbage.assert_fit(str(error))
        return
    text = haproxy.render_config(found, balance=balance, maxconn=1000)
    sections = [line for line in text.split("\n") if re.match(r"[^\s#]", line)]
    wanted = ["global", "defaults", "frontend status"]
    for one in found:
        wanted += [f"frontend {one.name}-in", f"backend {one.name}-regions"]
        wanted += [f"backend {one.name}-uploads"] if one.mode == "http" else []
    assert sections == wanted
    binds = re.findall(r"^    bind (?!127)(.*)$", text, re.MULTILINE)
    assert binds == [f"{one.bind} transparent" for one in found]
    groups = sum(2 if one.mode == "http" else 1 for one in found)
    servers = re.findall(r"^    server r-(\d+) (\S+) id \d+( track \S+)?$", text, re.MULTILINE)
    assert len(servers) == text.count("    server ") == groups * len(set(hosts))
    checks = re.findall(r"^    http-check send meth GET uri (\S+) ver", text, re.MULTILINE)
    assert checks == [one.check for one in found if one.mode == "http" and one.check]
    assert max(map(len, text.split("\n"))) < 2000


@garbage.FAST
@given(options, st.lists(HOSTS, max_size=4))
def test_keepalived_conf_has_the_lines_of_the_template(given_: dict[str, Any], known: list[str]):
    try:
        found = config.parse(given_)
    except config.ConfigError:
        return
    group = keepalived.Group(
        unit="haproxy-vip/3",
        vip=found.vip,
        prefix=found.prefix,
        interface=found.interface or "eth0",
        own="10.0.0.11",
        peers=known,
        vrrp_id=found.vrrp_id,
        advert_interval_s=found.advert_interval_s,
    )
    plain = dataclasses.replace(group, vip="V", interface="I", vrrp_id=0, advert_interval_s=0)
    lines = keepalived.render_config(group).split("\n")
    expected = keepalived.render_config(plain).split("\n")
    assert len(lines) == len(expected)
    changed = [new for new, old in zip(lines, expected, strict=True) if new != old]
    directives = {line.split()[0] for line in changed}
    assert directives <= {"interface", "virtual_router_id", "advert_int", group.vip_cidr}
    assert all(len(line.split()) in (2, 3) for line in changed)


GOOD_PEER = {
    "address": "10.0.0.12",
    "peers": '["10.0.0.11"]',
    "vip-holder": "true",
    "paused": "true",
}
PEER = garbage.databags(GOOD_PEER)


def peer_bags(vip: str) -> st.SearchStrategy[tuple[str, dict[str, str]]]:
    return st.tuples(st.just(vip), PEER)


def assert_peers(found: peers.Others, vip: str) -> None:
    """Assert that keepalived can advertise to each of them."""
    for one in found.peers:
        assert (":" in one.address) == (":" in vip)
        assert one.address != "10.0.0.11"
        assert all(text.isprintable() for text in (one.address, *one.known))


def assert_readable(bag: dict[str, str]) -> None:
    """Assert that a peer's databag is valid: each reader raises for what is not."""
    databag.address(bag, "address")
    databag.strings(bag, "peers")
    databag.boolean(bag, "paused")


@pytest.mark.parametrize("vip", ["10.0.0.100", "fd00::100"])
def test_each_field_of_a_peer_of_each_known_kind_is_read_or_named(vip: str):
    unit, model = mock.Mock(), mock.Mock()
    unit.name, model.unit.name = "haproxy-vip/1", "haproxy-vip/0"
    for field, bag in garbage.each_known(GOOD_PEER):
        model.get_relation.return_value = mock.Mock(units={unit}, data={unit: bag})
        found = peers.others(model, vip, "10.0.0.11", None)
        assert_peers(found, vip)
        if found.problems:
            garbage.assert_told(found.problems, unit.name, field)
        else:
            assert_readable(bag)
            assert len(found.peers) == bool(bag.get("address"))


@garbage.EVENT
@given(peer_bags("10.0.0.100") | peer_bags("fd00::100"))
@example(("10.0.0.100", {"address": "fd00::12"}))
@example(("10.0.0.100", {"address": "10.0.0.11"}))
@example(("10.0.0.100", {"address": "10.0.0.12", "paused": "True"}))
def test_a_peer_is_of_the_vips_family_or_named(
    machine: Machine, given_: tuple[str, dict[str, str]]
):
    vip, bag = given_
    context = testing.Context(charm.HAProxyVIPCharm)
    with context(context.on.update_status(), state(peer({1: bag}))) as manager:
        found = peers.others(manager.charm.model, vip, "10.0.0.11", None)
    assert_peers(found, vip)
    for problem in found.problems:
        assert re.match(r"haproxy-vip/1 sent (address|peers|paused): ", problem)
        garbage.assert_fit(problem)
    if bag.get("paused", "false") not in ("true", "false"):
        assert not found.peers
        assert found.problems


@garbage.EVENT
@given(PEER)
@example({"address": "10.0.0.12", "paused": "True"})
@example({"address": " 10.0.0.12", "paused": "true"})
@example({"address": "10.0.0.12\n    server evil 10.6.6.6:80", "paused": "true"})
def test_nobody_gives_the_vip_to_a_peer_that_may_be_paused(bag: dict[str, str]):
    context = testing.Context(charm.HAProxyVIPCharm)
    with context(context.on.update_status(), state(peer({1: bag}))) as manager:
        paused = peers.paused(manager.charm.model)
    address = garbage.parse(lambda data: databag.address(data, "address"), bag)
    may_be = bag.get("paused", "false") != "false"
    assert paused == ({address} if address and may_be else set())


@garbage.FAST
@given(st.lists(st.sampled_from(["10.0.0.11", "10.0.0.12", "10.0.0.13"]), max_size=5))
def test_an_address_is_advertised_to_once_and_never_to_oneself(hosts: list[str]):
    found = tuple(peers.Peer(f"haproxy-vip/{n}", one, ()) for n, one in enumerate(hosts))
    for problems in ((), ("haproxy-vip/9 sent address: x",)):
        known = peers.to_advertise(
            peers.Others(found, problems), ["10.0.0.11", "10.0.0.14"], "10.0.0.11"
        )
        assert len(known) == len(set(known))
        assert "10.0.0.11" not in known


APP = garbage.databags(SERVICES)
UNIT = garbage.databags(region())


@garbage.EVENT
@given(APP, UNIT, PEER, options)
@example(dict(SERVICES), region(), {"address": "fd00::12"}, GOOD)
@example(dict(SERVICES), region(), {"address": "10.0.0.11"}, GOOD)
@example(dict(SERVICES), region(), {}, {**GOOD, "advert-interval": float("nan")})
@example(dict(SERVICES), region(), {}, {**GOOD, "advert-interval": -1e308})
def test_an_event_names_the_offender_or_goes_on(
    machine: Machine,
    app: dict[str, str],
    unit: dict[str, str],
    other: dict[str, str],
    given_: dict[str, Any],
):
    machine.haproxy.is_managed.return_value = True
    machine.keepalived.is_running.return_value = True
    machine.keepalived.stop.reset_mock()
    asked = api({0: unit})
    asked = dataclasses.replace(asked, remote_app_data=app)
    context = testing.Context(charm.HAProxyVIPCharm)
    after = context.run(context.on.config_changed(), state(asked, peer({1: other}), config=given_))
    message = after.unit_status.message
    garbage.assert_fit(message)
    machine.keepalived.stop.assert_not_called()
    if after.unit_status.name == "blocked":
        senders = (
            r"maas-region sent services|maas-region/0 sent (address|ready)",
            r"haproxy-vip/1 sent (address|peers|paused)",
        )
        own = rf"^(set )?({'|'.join(GOOD)}) |^the regions ask twice for (port|name) "
        assert re.search(rf"\b({'|'.join(senders)}): |{own}", message), message
        return
    assert config.parse(given_).vip
    assert garbage.parse(maas_api.ProviderAppData.from_databag, app), app
    assert garbage.parse(maas_api.ProviderUnitData.from_databag, unit), unit
    assert_readable(other)
