# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import os
from unittest.mock import MagicMock

import pytest

import postgresql


def test_a_verifier_is_recognised_by_its_password():
    verifier = postgresql.scram_verifier("geheim", os.urandom(16))
    assert postgresql.is_password("geheim", verifier)
    assert not postgresql.is_password("anders", verifier)
    assert not postgresql.is_password("geheim", "")
    assert not postgresql.is_password("geheim", "md5abc")


def test_the_verifier_is_what_postgresql_computes():
    # Recorded: ALTER ROLE x PASSWORD 'pencil' with this salt (also RFC 7677's example).
    salt = b"[m\x99h\x9d\x125\x8e\xec\xa0K\x14\x126\xfa\x81"
    assert postgresql.scram_verifier("pencil", salt) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


@pytest.mark.parametrize("name", ["maasdb", "maas-db", "_x", "a" * 48])
def test_names_that_databases_may_have(name: str):
    assert postgresql.check_database(name) == ""


@pytest.mark.parametrize(
    "name",
    ["", "postgres", "template1", "replicator", "pg_x", "Maas", "a b", 'x"; DROP', "a" * 49, "1a"],
)
def test_names_that_databases_may_not_have(name: str):
    assert "cannot be the name" in postgresql.check_database(name)


def test_no_statement_waits_for_a_synchronous_replica_or_a_silent_primary(
    monkeypatch: pytest.MonkeyPatch,
):
    connect, run = MagicMock(), MagicMock()
    monkeypatch.setattr(postgresql.psycopg2, "connect", connect)
    monkeypatch.setattr(postgresql.commands, "run", run)
    with postgresql.connect("10.0.0.1", "secret"):
        pass
    given = connect.call_args.kwargs
    assert {"-c statement_timeout=30000", postgresql.LOCAL} == {
        f"-c {one.strip()}" for one in given["options"].split("-c")[1:]
    }
    assert given["tcp_user_timeout"] == 20_000
    idle, interval, count = (given[f"keepalives_{name}"] for name in ("idle", "interval", "count"))
    assert idle + interval * count <= 20
    postgresql.is_writable()
    assert run.call_args.kwargs["env"]["PGOPTIONS"] == postgresql.LOCAL
