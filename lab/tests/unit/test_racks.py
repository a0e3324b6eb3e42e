# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""A worker's side of its racks, without a database."""

import socket

import pytest
from maas_standin import database, dhcp, racks, rpc

NODE = {"id": 1, "system_id": "abcdef", "hostname": "rack-0"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> racks.Server:
    def run(_: object, work: object, *__: object) -> object:
        assert work is dhcp.configure
        return {"dhcpd": "text", "dhcpd_interfaces": "eth1"}

    monkeypatch.setattr(database.Pool, "run", run)
    monkeypatch.setattr(racks.Server, "publish", lambda _: None)
    made = racks.Server(0, database.Pool({}, "test", 1), ("uvwxyz", 1))
    made.server_close()
    return made


def test_a_rack_that_connects_is_told_its_dhcp_once(server: racks.Server):
    region, rack = (rpc.Channel(end) for end in socket.socketpair())
    server.connect(region, NODE)
    server.push_dhcp()
    server.dismiss("abcdef")
    assert [rack.receive() for _ in range(2)] == [
        {"command": "configure_dhcp", "dhcpd": "text", "dhcpd_interfaces": "eth1"},
        {"command": "disassociate"},
    ]
    region.close()
    rack.close()


def test_racks_that_are_gone_do_not_keep_others_from_being_told(server: racks.Server):
    gone, other_end = (rpc.Channel(end) for end in socket.socketpair())
    other_end.close()
    server.connect(gone, NODE)
    region, rack = (rpc.Channel(end) for end in socket.socketpair())
    server.connect(region, NODE | {"hostname": "rack-1"})
    server.dismiss("abcdef")
    commands = [rack.receive()["command"] for _ in range(2)]
    assert commands == ["configure_dhcp", "disassociate"]
    for channel in (gone, region, rack):
        channel.close()
