# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What a unit knows of etcd's quorum, with its daemons' answers given."""

import dataclasses
import time
from typing import Any

import pytest

import cluster
import etcdctl
import quorum
import rest
from charmed_maas import systemd

ME = cluster.Unit("postgresql-ha/0", "10.0.0.1")
SPEC = cluster.Spec(ME, (), "postgresql-ha", cluster.Keys("", "", "", "", "", "pw"))
HOUR = 3600


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Patroni says of itself, and for how long the daemons have been up."""
    found: dict[str, Any] = {"patroni": {}, "age_s": HOUR}
    monkeypatch.setattr(rest.Client, "status", lambda *_: found["patroni"])
    monkeypatch.setattr(systemd, "age_s", lambda _: found["age_s"])
    return found


def test_it_is_told_for_how_long_etcd_was_not_heard_of(answers: dict[str, Any]):
    answers["patroni"] = {"dcs_last_seen": int(time.time()) - 60}
    assert 59 < quorum.without_s(SPEC) < 65


@pytest.mark.parametrize("patroni", [{}, {"dcs_last_seen": 0}])
def test_a_patroni_that_never_heard_of_etcd_has_lacked_it_since_its_start(
    answers: dict[str, Any], patroni: dict[str, Any]
):
    answers["patroni"] = patroni
    assert quorum.without_s(SPEC) == HOUR
    assert not quorum.has_followed(SPEC)


@pytest.mark.parametrize(("age_s", "has_followed"), [(HOUR, True), (30, False)])
def test_an_etcd_that_is_younger_than_the_last_word_may_have_missed_some(
    answers: dict[str, Any], age_s: int, has_followed: bool
):
    answers.update(patroni={"dcs_last_seen": int(time.time()) - 60}, age_s=age_s)
    assert quorum.has_followed(SPEC) is has_followed


@pytest.mark.parametrize(
    ("agreed", "own", "names"),
    [(["a-1"], ["a-0"], ["a-1"]), ([], ["a-0"], ["a-0"]), ([], [], [])],
)
def test_what_a_quorum_knows_goes_before_what_this_unit_knows(
    monkeypatch: pytest.MonkeyPatch, agreed: list[str], own: list[str], names: list[str]
):
    answers = {True: agreed, False: own}
    monkeypatch.setattr(etcdctl, "in_step", lambda *_, agreed: answers[agreed])
    assert quorum.in_step(SPEC) == names


@pytest.mark.parametrize(
    ("listen", "healthy", "silent"),
    [("01", "", ["a/2"]), ("", "", ["a/0", "a/1", "a/2"]), ("012", "", []), ("12", "2", None)],
)
def test_who_does_not_answer_is_asked_once_and_told_where_nobody_has_a_quorum(
    monkeypatch: pytest.MonkeyPatch, listen: str, healthy: str, silent: list[str] | None
):
    asked: list[str] = []

    def is_listening(unit: cluster.Unit) -> bool:
        asked.append(unit.name)
        return unit.name[-1] in listen

    monkeypatch.setattr(etcdctl, "is_listening", is_listening)
    monkeypatch.setattr(etcdctl, "has_quorum", lambda unit: unit.name[-1] in (healthy or "-"))
    units = [cluster.Unit(f"a/{n}", f"10.0.0.{n + 1}") for n in range(3)]
    spec = dataclasses.replace(SPEC, me=units[0], peers=tuple(units[1:]))
    assert quorum.silent(spec) == silent
    assert asked == ["a/0", "a/1", "a/2"]
    assert quorum.is_lost(spec) is (silent is not None)


def test_a_member_that_does_not_say_so_in_time_has_not_lost_its_quorum(
    monkeypatch: pytest.MonkeyPatch,
):
    def has_quorum(_: cluster.Unit) -> bool:
        raise etcdctl.EtcdError("etcdctl took over 15 s")

    monkeypatch.setattr(etcdctl, "is_listening", lambda _: True)
    monkeypatch.setattr(etcdctl, "has_quorum", has_quorum)
    with pytest.raises(etcdctl.EtcdError):
        quorum.is_lost(SPEC)
