# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import socket
from collections.abc import Callable

import pytest

import rack
import watched
from charmed_maas import probes

SERVICES = {one.name: one for one in watched.SERVICES}


def test_rackd_and_what_it_runs_are_watched():
    assert set(SERVICES) == {
        rack.SERVICE,
        "maas-http.service",
        "maas-dhcpd.service",
        "maas-dhcpd6.service",
        "maas-agent.service",
    }


@pytest.mark.parametrize(
    ("name", "port"),
    [
        (rack.SERVICE, 5249),
        ("maas-http.service", 5248),
        ("maas-dhcpd.service", 7911),
        ("maas-dhcpd6.service", 7912),
    ],
)
def test_each_is_asked_at_its_own_port(monkeypatch: pytest.MonkeyPatch, name: str, port: int):
    asked: list[int] = []

    def answers(_: str, at: int, __: bytes) -> bool:
        asked.append(at)
        return False

    monkeypatch.setattr(probes, "tcp_answers", answers)
    assert not SERVICES[name].answers()
    assert asked == [port]


@pytest.mark.parametrize("answers", [watched.dhcpd_answers, watched.dhcpd6_answers])
def test_a_dhcpd_that_does_not_greet_hangs(
    monkeypatch: pytest.MonkeyPatch, answers: Callable[[], bool]
):
    monkeypatch.setattr(probes, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        ports = dict.fromkeys(watched.OMAPI_PORTS, server.getsockname()[1])
        monkeypatch.setattr(watched, "OMAPI_PORTS", ports)
        assert not answers()
    assert answers(), "one without OMAPI cannot be asked"
