# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import json

import pytest

import cluster
import rest

UNITS = [cluster.Unit(f"postgresql-ha/{n}", f"10.0.0.{n + 1}") for n in range(2)]


class Patroni:
    """Answers a client in place of both members; keeps what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, tuple[int, str] | rest.RestError] = {}
        self.asked: list[tuple[object, ...]] = []
        monkeypatch.setattr(rest.Client, "_request", self._request)
        self.client = rest.Client(UNITS, "pw")

    def _request(self, unit: cluster.Unit, *request: object, timeout_s: float = 5) -> object:
        self.asked.append((unit.name, *request))
        answer = self.answers[unit.name]
        if isinstance(answer, rest.RestError):
            raise answer
        return answer


@pytest.fixture
def patroni(monkeypatch: pytest.MonkeyPatch) -> Patroni:
    return Patroni(monkeypatch)


def test_a_failover_names_no_leader(patroni: Patroni):
    patroni.answers["postgresql-ha/0"] = (200, "Successfully failed over")
    patroni.client.failover("postgresql-ha-0")
    assert patroni.asked == [
        ("postgresql-ha/0", "POST", "/failover", {"candidate": "postgresql-ha-0"})
    ]


def test_a_change_that_is_refused_is_asked_of_nobody_else(patroni: Patroni):
    patroni.answers["postgresql-ha/0"] = (412, "candidate does not exist")
    with pytest.raises(rest.RestError, match="answered 412: candidate does not exist"):
        patroni.client.failover("postgresql-ha-0")
    assert len(patroni.asked) == 1


@pytest.mark.parametrize(
    ("answer", "position"),
    [
        (
            {"timeline": 3, "xlog": {"received_location": 90, "replayed_location": 80}},
            (3, 90),
        ),
        # It has streamed nothing since it was started, and replayed what was there.
        ({"timeline": 3, "xlog": {"received_location": None, "replayed_location": 80}}, (3, 80)),
        ({"timeline": 3, "xlog": {"replayed_location": 80, "paused": True}}, (3, 80)),
        ({"state": "start failed"}, (0, 0)),
    ],
)
def test_how_far_a_replicas_data_goes(
    patroni: Patroni, answer: dict[str, object], position: tuple[int, int]
):
    patroni.answers["postgresql-ha/1"] = (503, json.dumps(answer))
    assert patroni.client.position(UNITS[1]) == position


def test_a_member_that_does_not_answer_is_nowhere(patroni: Patroni):
    patroni.answers["postgresql-ha/1"] = rest.RestError("away")
    assert patroni.client.position(UNITS[1]) == (0, 0)
