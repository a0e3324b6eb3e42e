# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import logging
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import claims
import network
from charmed_maas import apt_source, arping, commands

VIP, OWN, PEER = "10.0.0.100", "10.0.0.11", "10.0.0.12"
PLACE = network.Place("eth0", OWN)
HERE = network.parse_interfaces('[{"ifname":"eth0","address":"52:54:00:ab:cd:11"}]')
PRINTER, OTHER, SECOND = "52:54:00:ab:cd:66", "52:54:00:ab:cd:12", "52:54:00:ab:cd:13"

Asked = list[Sequence[str]]
Link = Callable[..., Asked]


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Link:
    """Have machines answer by ARP, in arping's own words; returns what it is asked."""
    program = tmp_path / "arping"
    monkeypatch.setattr(arping, "ARPING", str(program))
    monkeypatch.setattr(claims.keepalived, "CONFIG", tmp_path / "keepalived.conf")
    program.touch()

    def answering(table: dict[str, list[str]], *, words: str = "", code: int = 0) -> Asked:
        asked: Asked = []

        def run(
            argv: Sequence[str], *, env: dict[str, str], **_: Any
        ) -> subprocess.CompletedProcess[str]:
            assert env == {"LC_ALL": "C.UTF-8"}
            asked.append(argv)
            macs = table.get(argv[-1], [])
            lines = [f"Unicast reply from {argv[-1]} [{one.upper()}]  0.550ms" for one in macs]
            text = "\n".join([f"ARPING {argv[-1]} from {OWN} eth0", *lines, words])
            return subprocess.CompletedProcess(argv, code or len(macs) < 2, text, "")

        monkeypatch.setattr(commands, "run", run)
        return asked

    return answering


def may_take(vip: str = VIP, *, units: Sequence[str] = (PEER,), are_all: bool = True) -> bool:
    return claims.may_take(vip, PLACE, HERE, units, are_all=are_all)


def test_a_vip_that_nobody_answers_for_is_free(link: Link):
    asked = link({})
    assert may_take()
    assert [argv[1:] for argv in asked] == [
        ["-c", "2", "-w", "2", "-I", "eth0", "-s", OWN, VIP],
    ]


@pytest.mark.parametrize("answers", [1, 2])
def test_a_vip_that_a_foreign_machine_has_is_refused_with_its_mac(link: Link, answers: int):
    link({VIP: [PRINTER] * answers, PEER: [OTHER, OTHER]})
    words = f"^vip {VIP} is in use: {PRINTER} answers for it on eth0: set a free one$"
    with pytest.raises(network.NetworkError, match=words):
        may_take()


def test_another_unit_that_took_it_a_moment_ago_is_not_foreign(link: Link):
    link({VIP: [OTHER, OTHER], PEER: [OTHER, OTHER]})
    assert may_take(units=["10.0.0.14", PEER])
    with pytest.raises(network.NetworkError, match=OTHER):
        may_take(units=["10.0.0.14"])


def test_a_unit_whose_two_interfaces_answer_is_one_machine(link: Link):
    link({VIP: [SECOND, OTHER], PEER: [OTHER, SECOND]})
    assert may_take()
    link({VIP: [SECOND], PEER: [OTHER, SECOND]})
    assert may_take()


def test_this_machine_is_not_foreign(link: Link):
    link({VIP: [HERE[0].mac]})
    assert may_take()


def test_who_answers_may_be_a_unit_that_is_not_known_yet(link: Link):
    link({VIP: [PRINTER]})
    assert not may_take(are_all=False)
    link({})
    assert may_take(are_all=False)


def test_what_keepalived_has_already_is_not_asked_for(link: Link):
    asked = link({VIP: [PRINTER]})
    text = f"# Managed by the charm haproxy-vip\nvirtual_ipaddress {{\n        {VIP}/24 dev eth0\n"
    claims.keepalived.CONFIG.write_text(text)
    assert may_take()
    assert asked == []
    with pytest.raises(network.NetworkError, match=r"10\.0\.0\.9 is in use"):
        link({"10.0.0.9": [PRINTER]})
        may_take("10.0.0.9")


def test_an_ipv6_vip_is_not_asked_for(link: Link):
    asked = link({"fd00::100": [PRINTER]})
    assert may_take("fd00::100")
    assert asked == []


@pytest.mark.parametrize(
    "line",
    [
        f"Unicast reply from 10.0.0.99 [{PRINTER.upper()}]  0.550ms",
        f"Unicast reply from {VIP} [52:54:00]  0.550ms",
        f"who has {VIP}: Unicast reply from {VIP} [{PRINTER.upper()}]",
    ],
)
def test_what_is_no_answer_for_the_address_is_none(link: Link, line: str):
    link({}, words=line)
    assert may_take()


def test_a_host_that_asks_from_the_vip_has_it(link: Link):
    link({}, words=f"Broadcast request from {VIP} [{PRINTER.upper()}]")
    with pytest.raises(network.NetworkError, match=PRINTER):
        may_take()


@pytest.mark.parametrize("failing", [VIP, PEER])
@pytest.mark.parametrize(
    "outcome",
    [
        commands.CommandError("arping cannot be run: No such file"),
        subprocess.CompletedProcess([], 2, "", "arping: Device eth0 not available."),
        subprocess.CompletedProcess([], 0, "60 bytes from 52:54:00:AB:CD:66", ""),
    ],
)
def test_a_tool_that_fails_refuses_nothing_and_is_logged(
    link: Link,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failing: str,
    outcome: Any,
):
    link({VIP: [PRINTER]})
    answered = commands.run

    def run(argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if argv[-1] != failing:
            return answered(argv, **options)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(commands, "run", run)
    with caplog.at_level(logging.WARNING):
        assert may_take()
    assert f"nobody can tell whether vip {VIP} is free: arping" in caplog.text


def test_arping_is_installed_only_where_it_is_missing_and_removes_nothing(
    link: Link, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    install = mock.Mock()
    monkeypatch.setattr(apt_source, "install", install)
    claims.install()
    install.assert_not_called()
    Path(arping.ARPING).unlink()
    claims.install()
    install.assert_called_once_with(["iputils-arping"], may_remove=False)
    refused = apt_source.SourceError("iputils-arping cannot be installed: no mirror")
    install.side_effect = refused
    claims.install()
    assert "iputils-arping cannot be installed: no mirror" in caplog.text


def test_without_arping_nobody_is_asked_and_no_event_waits_for_apt(
    link: Link, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    asked = link({VIP: [PRINTER]})
    monkeypatch.setattr(apt_source, "install", lambda *_: pytest.fail("apt is asked"))
    Path(arping.ARPING).unlink()
    assert may_take()
    assert asked == []
    assert f"nobody is asked whether vip {VIP} is free" in caplog.text
