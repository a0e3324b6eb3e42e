# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import json
import socket
import urllib.error
from email.message import Message

import pytest

import health
import local_http
import region


def test_own_event_loops_make_a_region_healthy():
    loops = {"r1:pid=12": [["10.0.0.10", 5250]], "r10:pid=7": [["10.0.0.11", 5250]]}
    text = json.dumps({"eventloops": loops}).encode()
    assert health.own_event_loops(text, "r1") == ""
    assert health.own_event_loops(text, "r1.maas") == ""
    assert "does not list" in health.own_event_loops(text, "r2")
    assert "does not list" in health.own_event_loops(b'{"eventloops": {}}', "r1")
    for nonsense in (b"<html>", b"[]", b'{"eventloops": null}', b"{}"):
        assert "nonsense" in health.own_event_loops(nonsense, "r1")


@pytest.mark.parametrize(
    ("path", "code", "told"),
    [
        ("/MAAS/rpc/", 502, "MAAS answers 502"),
        ("/MAAS/api/2.0/version/", 500, "MAAS answers 500"),
        ("/MAAS/api/2.0/version/", 301, health.OWN_TLS),
    ],
)
def test_an_answer_that_is_no_200_is_told(
    monkeypatch: pytest.MonkeyPatch, path: str, code: int, told: str
):
    loops = {f"{socket.gethostname().partition('.')[0]}:pid=1": []}

    def get(_: int, asked: str, **__: object) -> bytes:
        if asked == path:
            raise urllib.error.HTTPError("u", code, "", Message(), None)
        return json.dumps({"eventloops": loops}).encode()

    monkeypatch.setattr(local_http, "get", get)
    assert health.problem().startswith(told)


def test_it_waits_a_minute_from_the_start_and_no_longer(monkeypatch: pytest.MonkeyPatch):
    answers = ["MAAS answers 502", "MAAS answers 502", ""]
    monkeypatch.setattr(health, "problem", lambda: answers.pop(0))
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(region, "age_s", lambda: 5.0)
    assert health.wait() == ""

    answers = ["MAAS answers 502"]
    monkeypatch.setattr(region, "age_s", lambda: 61.0)
    assert health.wait() == "MAAS answers 502"
    assert answers == []


def test_it_does_not_wait_for_ever_for_one_that_dies_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
):
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr("time.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    monkeypatch.setattr(health, "problem", lambda: "MAAS answers 502")
    monkeypatch.setattr(region, "age_s", lambda: 5.0)
    assert health.wait() == "MAAS answers 502"
    assert clock[0] == 100.0 + health.START_S - 5.0
