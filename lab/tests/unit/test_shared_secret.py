# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""With which shared secret the stand-in's two daemons meet while it is changed."""

import threading
from collections.abc import Iterator

import pytest
from maas_standin import database, rackd, racks, rpc

OLD, NEW = "00" * 16, "11" * 16


class Region:
    """A worker that takes one rack's connection; what the database has is `secret`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.secret = OLD
        self.admitted: list[bool] = []
        monkeypatch.setattr(racks._Handler, "_serve", lambda *_: self.admitted.append(True))
        monkeypatch.setattr(database.Pool, "run", self._run)
        self.server = racks.Server(0, database.Pool({}, "test", 1), ("uvwxyz", 1))

    def _run(self, work: object, *_: object) -> str:
        assert work is database.shared_secret
        return self.secret

    def meet(self, rack: rackd.Rack) -> bool:
        """Let a rack connect once; tell whether it was admitted."""
        self.admitted.clear()
        before = set(threading.enumerate())
        once = threading.Thread(target=self.server.handle_request)
        once.start()
        port = self.server.server_address[1]
        rack.connect({"r1:pid=1": [("127.0.0.1", port)]})
        once.join(timeout=10)
        # Theirs alone: what other tests left behind does not end.
        for thread in set(threading.enumerate()) - before:
            thread.join(timeout=10)
        return bool(self.admitted)


@pytest.fixture
def region(monkeypatch: pytest.MonkeyPatch) -> Iterator[Region]:
    monkeypatch.setattr(rackd.Rack, "_register", _refuse)
    made = Region(monkeypatch)
    yield made
    made.server.server_close()


def _refuse(*_: object) -> None:
    raise rpc.ChannelError("enough")


def test_a_region_takes_a_new_secret_from_the_database_at_once(region: Region):
    assert region.meet(rackd.Rack(OLD))
    region.secret = NEW
    assert not region.meet(rackd.Rack(OLD))
    assert region.meet(rackd.Rack(NEW))


def test_a_rack_keeps_the_one_that_it_was_started_with(
    region: Region, monkeypatch: pytest.MonkeyPatch
):
    rack = rackd.Rack(OLD)
    monkeypatch.setattr("maas_standin.host.read", lambda _: NEW)
    assert region.meet(rack)
