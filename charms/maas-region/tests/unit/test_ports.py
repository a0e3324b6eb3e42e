# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import pytest
from ops import hookcmds

import ports


def test_only_what_is_closed_is_opened(monkeypatch: pytest.MonkeyPatch):
    opened: list[tuple[int, int | None]] = []

    def open_port(protocol: str, port: int, *, to_port: int | None) -> None:
        assert protocol == "tcp"
        opened.append((port, to_port))

    monkeypatch.setattr(hookcmds, "open_port", open_port)
    monkeypatch.setattr(hookcmds, "opened_ports", lambda: [hookcmds.Port("tcp", 5240)])
    assert ports.ensure_open()
    assert opened == [(5250, 5270)]

    both = [hookcmds.Port("tcp", 5240), hookcmds.Port("tcp", 5250, to_port=5270)]
    monkeypatch.setattr(hookcmds, "opened_ports", lambda: both)
    assert not ports.ensure_open()
