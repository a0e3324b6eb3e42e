# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""PostgreSQL: its packages, and the roles and databases of related applications.

Each related application has one database and one role that owns it, both named as the database
it asked for: a relation that comes back finds the same role with a new password.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import re
from collections.abc import Collection, Generator
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

import paths
import patroni
import pgdata
from charmed_maas import apt_source, commands, files, systemd

PACKAGES = ("postgresql", "patroni", "python3-etcd", "etcd-server", "etcd-client", "nftables")
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/postgresql-ha.conf")
DISTRIBUTION_UNITS = ("etcd.service", "patroni.service")
DATABASE = re.compile(r"[a-z_][a-z0-9_-]{0,47}")
RESERVED = ("postgres", "template0", "template1", "replicator", "rewinder", "public", "none")
ITERATIONS = 4096
CONNECT_TIMEOUT_S = 5
# Nothing that the charm writes waits for a synchronous replica, which has no limit: there may be
# none before this machine's hooks go on. What a failover loses of it the next event writes again.
LOCAL = "-c synchronous_commit=local"


class PostgresqlError(Exception):
    """The primary cannot be reached or refused; fit for a log."""


def install() -> bool:
    """Install what is missing, with nothing of the distribution's own running.

    Raises apt_source.SourceError.
    """
    files.ensure_file(NO_CLUSTER, "create_main_cluster = false\n")
    systemd.mask(*DISTRIBUTION_UNITS)
    return apt_source.install(PACKAGES)


def stop(data: Path) -> None:
    """Stop a PostgreSQL that Patroni left running."""
    if not (data / "postmaster.pid").exists():
        return
    tool = pgdata.binaries(data) / "pg_ctl"
    argv = [str(tool), "stop", "-D", str(data), "-m", "fast", "-w", "-t", "60"]
    commands.run(argv, user="postgres", timeout_s=70, check=False)


def version() -> str:
    """Return the installed PostgreSQL's version, as 17.2; "" when there is none."""
    major = pgdata.version()
    found = re.match(r"[\d.]+", apt_source.version(f"postgresql-{major}")) if major else None
    return found.group() if found else ""


def check_database(name: str) -> str:
    """Return what is wrong with the name of a database, "" when it may be used."""
    if not DATABASE.fullmatch(name) or name in RESERVED or name.startswith("pg_"):
        return f"{name[:60]!r} cannot be the name of a database and its role"
    return ""


@contextlib.contextmanager
def connect(host: str, password: str) -> Generator[Any]:
    """Connect to the primary as the superuser; each statement is a transaction of its own."""
    try:
        connection = psycopg2.connect(
            host=host,
            port=patroni.PORT,
            user=patroni.SUPERUSER,
            password=password,
            dbname="postgres",
            sslmode="verify-ca",
            sslrootcert=str(paths.CA),
            connect_timeout=CONNECT_TIMEOUT_S,
            options=f"-c statement_timeout=30000 {LOCAL}",
            keepalives_idle=5,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=20_000,
            application_name="postgresql-ha",
        )
    except psycopg2.Error as error:
        raise PostgresqlError(f"the primary at {host}: {error}") from error
    try:
        connection.autocommit = True
        yield connection
    except psycopg2.Error as error:
        raise PostgresqlError(f"the primary at {host}: {error}") from error
    finally:
        connection.close()


def ensure_database(connection: Any, name: str, password: str) -> bool:
    """Have the database and the role that owns it and may log in with this password."""
    changed = _ensure_role(connection, name, password)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if not cursor.fetchone():
            identifier = sql.Identifier(name)
            cursor.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(identifier))
            changed = True
        cursor.execute("SELECT has_database_privilege('public', %s, 'CONNECT')", (name,))
        if cursor.fetchone()[0]:
            statement = "REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC"
            cursor.execute(sql.SQL(statement).format(sql.Identifier(name)))
            changed = True
    return changed


def revoke(connection: Any, keep: Collection[str]) -> list[str]:
    """End the logins of every owning role that no relation stands for any more.

    The databases stay. Returns the names of the roles that were ended.
    """
    query = (
        "SELECT r.rolname FROM pg_roles r JOIN pg_database d ON d.datdba = r.oid"
        " WHERE d.datname = r.rolname AND r.rolcanlogin AND NOT r.rolsuper"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        ended = sorted(row[0] for row in cursor.fetchall() if row[0] not in keep)
        for name in ended:
            cursor.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(name)))
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
                (name,),
            )
    return ended


def set_passwords(passwords: dict[str, str]) -> None:
    """Give the members' own roles these passwords, on this unit's primary through its socket."""
    text = "".join(
        f"ALTER ROLE \"{name}\" PASSWORD '{scram_verifier(password, os.urandom(16))}';\n"
        for name, password in sorted(passwords.items())
    )
    _psql(text)


def is_writable() -> bool:
    """Tell whether this unit's PostgreSQL takes writes."""
    try:
        return _psql("SELECT pg_is_in_recovery();") == "f"
    except commands.CommandError:
        return False


def is_streaming() -> bool:
    """Tell whether this unit's replica gets what the primary writes."""
    try:
        return _psql("SELECT status FROM pg_stat_wal_receiver;") == "streaming"
    except commands.CommandError:
        return False


def scram_verifier(password: str, salt: bytes) -> str:
    """Return what PostgreSQL keeps of a password (RFC 5803), so that no log sees the password."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(one).decode() for one in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def is_password(password: str, verifier: str) -> bool:
    """Tell whether a verifier that PostgreSQL keeps is this password's."""
    found = re.fullmatch(rf"SCRAM-SHA-256\${ITERATIONS}:([^$]+)\$.*", verifier)
    if not found:
        return False
    salt = base64.b64decode(found.group(1))
    return hmac.compare_digest(verifier, scram_verifier(password, salt))


def _psql(text: str) -> str:
    argv = ["/usr/bin/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", "postgres"]
    env = {"LC_ALL": "C.UTF-8", "PGOPTIONS": LOCAL}
    done = commands.run(argv, stdin=text, user="postgres", env=env)
    return done.stdout.strip()


def _ensure_role(connection: Any, name: str, password: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolcanlogin, coalesce(rolpassword, '') FROM pg_authid WHERE rolname = %s",
            (name,),
        )
        found = cursor.fetchone()
        if found and found[0] and is_password(password, found[1]):
            return False
        verb = "ALTER" if found else "CREATE"
        statement = sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
            sql.SQL(verb),
            sql.Identifier(name),
            sql.Literal(scram_verifier(password, os.urandom(16))),
        )
        cursor.execute(statement)
    return True
