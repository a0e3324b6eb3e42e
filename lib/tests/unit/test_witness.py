# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import io
import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from charmed_maas import witness

SECRET = "00ff" * 8


class Rack:
    """The other side, on a port of its own: it answers one question after the other."""

    def __init__(self) -> None:
        self.secret = SECRET
        self.edit: Callable[[bytes], bytes] = bytes
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            told = io.BytesIO()
            with connection, connection.makefile("rb") as asked:
                try:
                    witness.answer(asked, told, self.secret, lambda body: {"echo": body})
                except witness.WitnessError:
                    continue
                connection.sendall(self.edit(told.getvalue()))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def rack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rack]:
    rack = Rack()
    monkeypatch.setattr(witness, "PORT", rack.port)
    yield rack
    rack.close()


def test_a_question_is_answered(rack: Rack):
    assert witness.ask("127.0.0.1", SECRET, {"vlan": 5001}) == {"echo": {"vlan": 5001}}


@pytest.mark.usefixtures("rack")
def test_whoever_does_not_know_the_secret_is_told_nothing():
    with pytest.raises(witness.WitnessError, match="sends no sealed answer"):
        witness.ask("127.0.0.1", "11", {})


def test_an_answer_that_was_changed_counts_for_nothing(rack: Rack):
    rack.edit = lambda line: line.replace(b"5001", b"5002")
    with pytest.raises(witness.WitnessError, match="does not know MAAS's shared secret"):
        witness.ask("127.0.0.1", SECRET, {"vlan": 5001})


def test_an_old_answer_counts_for_nothing(rack: Rack):
    kept: list[bytes] = []

    def replay(line: bytes) -> bytes:
        kept.append(line)
        return kept[0]

    rack.edit = replay
    witness.ask("127.0.0.1", SECRET, {})
    with pytest.raises(witness.WitnessError, match="does not know MAAS's shared secret"):
        witness.ask("127.0.0.1", SECRET, {})


@pytest.mark.parametrize("said", [b"", b"x" * 10, b"[1]\n", b"{}\n"])
def test_nonsense_is_no_answer(rack: Rack, said: bytes):
    rack.edit = lambda _: said
    with pytest.raises(witness.WitnessError, match="sends no sealed answer"):
        witness.ask("127.0.0.1", SECRET, {})


def test_a_body_that_is_no_object_is_no_answer(rack: Rack):
    def listed(line: bytes) -> bytes:
        nonce = json.loads(line)["nonce"]
        seal = witness._seal  # pyright: ignore[reportPrivateUsage]
        return seal(SECRET, "answer", nonce, [1])  # pyright: ignore[reportArgumentType]

    rack.edit = listed
    with pytest.raises(witness.WitnessError, match="sends no sealed answer"):
        witness.ask("127.0.0.1", SECRET, {})


def test_a_rack_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        monkeypatch.setattr(witness, "PORT", nobody.getsockname()[1])
    with pytest.raises(witness.WitnessError, match=r"does not answer at 127\.0\.0\.1"):
        witness.ask("127.0.0.1", SECRET, {})
