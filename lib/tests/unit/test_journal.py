# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import json
import re
import subprocess
import time

import pytest

from charmed_maas import commands, journal, systemd
from charmed_maas.journal import Line

SYMPTOM = Line("regiond", "maasserver: [error] Error while calling ScanNetworks: no connection.")
EXCEPTION = Line("regiond", "\tbuiltins.ValueError: not a port")
HELD = "bind() to 0.0.0.0:5240 failed (98: Address already in use)"
GRAVE = Line("regiond", "\tOSError: [Errno 98] Address already in use")


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ([], ""),
        ([Line("regiond", "twisted.scripts: [info] twistd starting up.")], ""),
        ([SYMPTOM, SYMPTOM], f"regiond: {SYMPTOM.message}"),
        ([SYMPTOM, EXCEPTION], "regiond: builtins.ValueError: not a port"),
        ([SYMPTOM, EXCEPTION, GRAVE], "regiond: OSError: [Errno 98] Address already in use"),
        (
            [Line("systemd", "A process of this unit has been killed by the OOM killer.", 3)],
            "systemd: A process of this unit has been killed by the OOM killer.",
        ),
        # Said in passing, it is nobody's trouble.
        ([Line("regiond", "[info] retrying: Permission denied")], ""),
        # What a machine's journal had, and in which order.
        (
            [
                Line("systemd", "Failed to start maas-http.service - MAAS HTTP service.", 3),
                Line("nginx", f"2026/11/28 12:36:09 [emerg] 47229#47229: {HELD}"),
                Line("nginx", "2026/11/28 12:36:09 [emerg] 47229#47229: still could not bind()"),
            ],
            f"nginx: 2026/11/28 12:36:09 [emerg] 47229#47229: {HELD}",
        ),
    ],
)
def test_the_first_of_the_gravest_kind_is_the_cause(lines: list[Line], cause: str):
    assert journal.cause_of(lines) == cause


def test_a_cause_is_short_and_keeps_no_password():
    told = journal.cause_of([Line("api", "OperationalError: postgresql://maas:s3cret@db/x\n" * 9)])
    assert "s3cret" not in told
    assert told.startswith("api: OperationalError: postgresql://db/x")
    assert len(told) < journal.MAX_LENGTH + 10
    assert "\n" not in told


@pytest.mark.parametrize(
    "said",
    [
        "ExternalProcessError: Command `ipmipower -u maas -p s3cret -h x` returned 1",
        "PowerActionError: ipmi --password s3cret",
        "ValueError: DSN host=x password=s3cret",
        "ValueError: {'token': 's3cret'}",
        "OperationalError: postgresql://maas:a/b@s3cret@db/x",
    ],
)
def test_a_secret_beside_its_name_is_left_out(said: str):
    assert "s3cret" not in journal.cause_of([Line("x", said)])


def test_a_refused_password_is_told():
    said = 'FATAL:  password authentication failed for user "maasdb"'
    assert journal.cause_of([Line("x", said)]) == f"x: {' '.join(said.split())}"


def test_rows_are_parsed_and_nonsense_is_left_out():
    row = {"MESSAGE": "hello", "SYSLOG_IDENTIFIER": "regiond", "PRIORITY": "3"}
    rows = [json.dumps(row), "{", json.dumps({"PRIORITY": "3"}), json.dumps(["MESSAGE"])]
    rows.append(json.dumps({"MESSAGE": [104, 105, 255], "_COMM": "nginx"}))
    assert journal.parse("\n".join(rows)) == [
        Line("regiond", "hello", 3),
        Line("nginx", "hi\ufffd", 6),
    ]


def _of_etcd(**fields: object) -> str:
    return json.dumps({"MESSAGE": json.dumps(fields), "SYSLOG_IDENTIFIER": "etcd", "PRIORITY": 6})


def test_etcd_is_told_in_its_words_and_not_in_its_loggers():
    held = "listen tcp 10.0.0.1:2380: bind: address already in use"
    about = {"ts": "2026-11-29T02:32:48.973606Z", "caller": "etcdmain/etcd.go:204"}
    warned = _of_etcd(level="warn", **about, msg="cannot reach a peer", error="refused")
    failed = _of_etcd(level="fatal", **about, msg="discovery failed", error=held, stacktrace="x")
    assert journal.cause_of(journal.parse(f"{warned}\n{failed}")) == (
        f"etcd: discovery failed: {held}"
    )
    assert journal.cause_of(journal.parse(warned)) == ""


def test_what_is_grave_is_so_in_small_letters_too():
    first = _of_etcd(level="error", msg="failed to purge", error="context canceled")
    then = _of_etcd(level="fatal", msg="discovery failed", error="no space left on device")
    assert journal.cause_of(journal.parse(f"{first}\n{then}")) == (
        "etcd: discovery failed: no space left on device"
    )


@pytest.mark.parametrize("said", ['{"level": FATAL', '{"level":' * 100_000 + " FATAL"])
def test_what_only_looks_like_etcds_is_told_as_it_is(said: str):
    (line,) = journal.parse(json.dumps({"MESSAGE": said, "SYSLOG_IDENTIFIER": "x"}))
    assert line == Line("x", said)


@pytest.mark.parametrize(
    ("state", "running_s", "recent", "since_s"),
    [
        ("active", 3600, False, 3600),
        ("active", 60, False, journal.RECENT_S),
        ("activating", 0, False, journal.RECENT_S),
        ("active", 3600, True, journal.RECENT_S),
        ("active", 60, True, 60),
        ("activating", 0, True, journal.RECENT_S),
    ],
)
def test_the_journal_is_asked_since_the_start_or_for_the_last_minutes(
    monkeypatch: pytest.MonkeyPatch, state: str, running_s: int, *, recent: bool, since_s: int
):
    asked: list[list[str]] = []
    since_us = int((time.monotonic() - running_s) * 1e6)

    def run(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(argv)
        shown = f"ActiveEnterTimestampMonotonic={since_us}\nActiveState={state}\n"
        out = json.dumps({"MESSAGE": "x: ERROR", "SYSLOG_IDENTIFIER": "r"})
        return subprocess.CompletedProcess(argv, 0, shown if "show" in argv else out, "")

    monkeypatch.setattr(commands, "run", run)
    assert journal.first_cause(["r.service"], recent=recent) == "r: x: ERROR"
    (since,) = [word for word in asked[-1] if word.startswith("--since=@")]
    ago = time.time() - int(since.removeprefix("--since=@"))
    assert abs(ago - since_s) < 30
    assert asked[-1][-2:] == ["--unit", "r.service"]


def test_lines_of_another_matter_are_left_out(monkeypatch: pytest.MonkeyPatch):
    told = [{"MESSAGE": text, "PRIORITY": "3"} for text in ("Server a is DOWN", "no such file")]
    found = subprocess.CompletedProcess([], 0, "\n".join(map(json.dumps, told)), "")
    monkeypatch.setattr(commands, "run", lambda *_, **__: found)
    monkeypatch.setattr(journal.systemd, "age_s", lambda _: 0.0)
    assert journal.first_cause(["h.service"]) == ": Server a is DOWN"
    assert journal.first_cause(["h.service"], but=re.compile("is DOWN")) == ": no such file"


def test_a_systemd_that_does_not_answer_tells_no_cause(monkeypatch: pytest.MonkeyPatch):
    def age_s(_: str) -> float:
        raise systemd.SystemdError("systemctl took over 60 s")

    monkeypatch.setattr(journal.systemd, "age_s", age_s)
    assert journal.first_cause(["h.service"]) == ""
