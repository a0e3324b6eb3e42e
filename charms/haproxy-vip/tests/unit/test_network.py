# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import json
import os
import socket

import pytest

import network
from charmed_maas import commands

LINKS = json.dumps(
    [
        {
            "ifname": "lo",
            "addr_info": [{"local": "127.0.0.1", "prefixlen": 8, "scope": "host"}],
        },
        {
            "ifname": "eth0",
            "address": "52:54:00:00:00:11",
            "addr_info": [
                {"local": "10.0.0.11", "prefixlen": 24, "scope": "global"},
                {"local": "10.0.0.100", "prefixlen": 32, "scope": "global"},
                {"local": "fd00::11", "prefixlen": 64, "scope": "global"},
                {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
            ],
        },
        {
            "ifname": "eth1",
            "addr_info": [{"local": "10.1.0.11", "prefixlen": 24, "scope": "global"}],
        },
    ]
)
FOUND = network.parse_interfaces(LINKS)
SOCKETS = """\
LISTEN 0 511  0.0.0.0:80 0.0.0.0:* users:(("nginx",pid=2147483647,fd=6))
LISTEN 0 128  [::]:22 [::]:* users:(("sshd",pid=2147483647,fd=4))
LISTEN 0 128  *:8080 *:*
LISTEN 0 128  127.0.0.1:8404 0.0.0.0:*
LISTEN 0 128  10.0.0.100:5271 0.0.0.0:* users:(("x",pid=2147483647,fd=4))
LISTEN 0 128  127.0.0.53%lo:53 0.0.0.0:*
"""


@pytest.mark.parametrize(
    ("vip", "interface", "own"),
    [
        ("10.0.0.100", "eth0", "10.0.0.11"),
        ("10.1.0.100", "eth1", "10.1.0.11"),
        ("fd00::100", "eth0", "fd00::11"),
    ],
)
def test_the_vip_goes_where_its_subnet_is(vip: str, interface: str, own: str):
    assert network.place(FOUND, vip) == network.Place(interface, own)


@pytest.mark.parametrize(
    ("vip", "name", "words"),
    [
        ("192.0.2.1", "", "192.0.2.1 is in no subnet of any interface"),
        ("10.0.0.100", "eth1", "10.0.0.100 is in no subnet of interface eth1"),
        ("10.0.0.100", "eth9", "interface eth9 does not exist"),
        ("10.0.0.255", "", "10.0.0.255 is in no subnet"),
        ("10.0.0.0", "", "10.0.0.0 is in no subnet"),
        ("10.0.0.11", "", "10.0.0.11 is in no subnet"),
    ],
)
def test_a_vip_that_fits_nowhere_is_refused(vip: str, name: str, words: str):
    with pytest.raises(network.NetworkError, match=words):
        network.place(FOUND, vip, name=name)


def test_an_interface_has_its_mac():
    assert [one.mac for one in FOUND] == ["", "52:54:00:00:00:11", ""]


def test_a_units_own_address_is_refused_naming_the_unit():
    with pytest.raises(network.NetworkError, match=r"vip 10.0.0.12 is maas-region/1's own"):
        network.refuse_own("10.0.0.12", {"10.0.0.12": "maas-region/1"})
    network.refuse_own("10.0.0.13", {"10.0.0.12": "maas-region/1"})


@pytest.mark.parametrize(
    ("port", "who"),
    [
        (80, "nginx"),
        (22, "sshd"),
        (8080, "a process"),
        (8404, ""),
        (5271, "x"),
        (53, ""),
        (81, ""),
    ],
)
def test_who_stands_in_the_way_on_a_port(port: int, who: str):
    found = network.parse_listeners(SOCKETS)
    assert network.holder(found, "10.0.0.100", port, own_unit="haproxy.service") == who


def test_our_own_socket_is_not_in_the_way():
    found = [network.Listener("10.0.0.100", 80, "haproxy", "haproxy.service")]
    assert network.holder(found, "10.0.0.100", 80, own_unit="haproxy.service") == ""
    named = network.holder(found, "10.0.0.100", 80, own_unit="nginx.service")
    assert named == "haproxy (haproxy.service)"


@pytest.mark.skipif(not os.path.exists(network.SS), reason="needs ss")
def test_a_real_listener_is_found():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port in {one.port for one in network.listeners()}


def test_only_what_is_taken_is_held(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(network, "listeners", lambda: network.parse_listeners(SOCKETS))
    monkeypatch.setattr(
        network, "bind_error", lambda _, port: "Permission denied" if port == 81 else ""
    )
    held = network.held_ports("10.0.0.100", [80, 81, 82], own_unit="haproxy.service")
    assert held == {80: "is held by nginx", 81: "cannot be had: Permission denied"}


def test_a_machine_that_refuses_is_alive():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert network.answers("127.0.0.1", port)
    assert network.answers("127.0.0.1", port)


def test_a_machine_that_is_silent_is_not_alive(monkeypatch: pytest.MonkeyPatch):
    def silent(*_: object, **__: object):
        raise TimeoutError

    monkeypatch.setattr(network.socket, "create_connection", silent)
    assert not network.answers("10.0.0.12", 80)


def test_interfaces_come_from_ip(monkeypatch: pytest.MonkeyPatch):
    ran: list[list[str]] = []

    def run(argv: list[str]):
        ran.append(argv)
        return type("Done", (), {"stdout": LINKS})

    monkeypatch.setattr(commands, "run", run)
    assert network.own_addresses(network.interfaces()) == {
        *("10.0.0.11", "10.0.0.100", "10.1.0.11", "fd00::11")
    }
    assert ran == [[network.IP, "-j", "address", "show", "up"]]


def test_one_lost_packet_makes_no_machine_dead(monkeypatch: pytest.MonkeyPatch):
    answers = [False, False, True]
    monkeypatch.setattr(network, "answers", lambda *_, **__: answers.pop(0))
    assert network.is_alive("10.0.0.12", 80)
    monkeypatch.setattr(network, "answers", lambda *_, **__: False)
    assert not network.is_alive("10.0.0.12", 80)
