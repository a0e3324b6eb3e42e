# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import shlex
import subprocess
from unittest.mock import create_autospec

import pytest

import gate
import patroni
from charmed_maas import files

UNIT = patroni.TEMPLATES / f"{patroni.SERVICE}.j2"


def command(kind: str) -> list[str]:
    """Return a command of Patroni's unit, with echo in the place of nft."""
    text = files.render(
        UNIT, config="C", data="D", aside="A", nft="/bin/echo", gate="G", table=gate.TABLE
    )
    (line,) = [one for one in text.splitlines() if one.startswith(f"{kind}=")]
    return shlex.split(line.removeprefix(f"{kind}=-+"))


def run(kind: str, main_pid: str) -> str:
    environment = {"MAINPID": main_pid} if main_pid else {}
    return subprocess.check_output(command(kind), env=environment, text=True).strip()


def test_a_patroni_that_is_stopped_shuts_the_gate_first_and_opens_it_after():
    assert run("ExecStop", "77") == "-f G"
    assert run("ExecStopPost", "") == "delete table inet postgresql_ha"


def test_a_patroni_that_died_shuts_no_gate():
    # systemd runs ExecStop then, too; PostgreSQL goes on.
    assert run("ExecStop", "") == ""


def test_patronis_unit_finds_the_rules(monkeypatch: pytest.MonkeyPatch):
    write = create_autospec(files.ensure_file)
    monkeypatch.setattr(gate.files, "ensure_file", write)
    gate.ensure_file(5432)
    path, text = write.call_args.args
    assert path == gate.FILE
    assert "tcp dport 5432 " in text
