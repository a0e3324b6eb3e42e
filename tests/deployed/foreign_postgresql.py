# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""A database by another charm: two plain PostgreSQL servers, and databags as Charmhub's writes.

Its charm does nothing. What that charm's leader would write, the story writes with its hook tools:
`postgresql_client` v0, one primary in `endpoints`, nothing by which a proxy could ask members.
"""

import json
import secrets
import zipfile
from pathlib import Path

import jubilant

ENDPOINT = "database"
DATABASE, STANDBY_ROLE = "maasdb", "standby"
PORT = 5432
METADATA = f"""name: postgresql
summary: Writes the databags of another database's charm.
description: It is told what to write.
assumes: [juju]
provides:
  {ENDPOINT}: {{interface: postgresql_client}}
"""
DISPATCH = "#!/bin/sh\nexec status-set active\n"
PRIMARY = """
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null
set -- $(pg_lsclusters -h)
echo "listen_addresses = '*'" >/etc/postgresql/$1/$2/conf.d/all.conf
for end in '{database} {role}' 'replication {standby}'; do
  echo "host $end all scram-sha-256" >>/etc/postgresql/$1/$2/pg_hba.conf
done
pg_ctlcluster $1 $2 restart
"""
REPLICA = """
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null
set -- $(pg_lsclusters -h)
pg_ctlcluster $1 $2 stop
rm -rf $6
export PGPASSWORD={password}
runuser -u postgres -- pg_basebackup -c fast -h {primary} -U {standby} -D $6 -R
echo "listen_addresses = '*'" >/etc/postgresql/$1/$2/conf.d/all.conf
echo "host {database} {role} all scram-sha-256" >>/etc/postgresql/$1/$2/pg_hba.conf
pg_ctlcluster $1 $2 start
"""


def charm(like: Path, target: Path) -> Path:
    """Make the charm's file, for the bases of another one."""
    with zipfile.ZipFile(like) as other, zipfile.ZipFile(target, "w") as new:
        new.writestr("metadata.yaml", METADATA)
        new.writestr("manifest.yaml", other.read("manifest.yaml"))
        dispatch = zipfile.ZipInfo("dispatch")
        dispatch.external_attr = 0o100755 << 16
        new.writestr(dispatch, DISPATCH)
    return target


class ForeignPostgreSQL:
    """An application of two units: the first one's server is the primary, until it fails over."""

    def __init__(self, juju: jubilant.Juju, app: str, requirer: str) -> None:
        self._juju = juju
        self._app, self._requirer = app, requirer
        units = juju.status().apps[app].units
        self._primary, self._replica = sorted(units)
        self._leader = next(name for name, unit in units.items() if unit.leader)
        self.address = {name: unit.public_address for name, unit in units.items()}
        found = self._on_leader(f"relation-ids {ENDPOINT}").split()
        (self._relation,) = found
        # MAAS interpolates it unescaped: only what a URL may hold.
        self._role = f"relation-{self._relation.rpartition(':')[2]}"
        self._password = secrets.token_hex(16)
        self._secret = ""

    def serve(self) -> None:
        """Install both servers, make the database that was asked for, and tell of it."""
        asked = json.loads(self._on_leader(f"{self._relation_get} --format json"))
        assert asked["database"] == DATABASE
        assert {"username", "password"} <= set(json.loads(asked["requested-secrets"]))
        standby = secrets.token_hex(16)
        names = {"database": DATABASE, "role": self._role, "standby": STANDBY_ROLE}
        self._on(self._primary, PRIMARY.format(**names))
        self._sql(f"CREATE ROLE {STANDBY_ROLE} REPLICATION LOGIN PASSWORD '{standby}'")
        self._sql(f"CREATE ROLE \"{self._role}\" LOGIN PASSWORD '{self._password}'")
        self._sql(f'CREATE DATABASE {DATABASE} OWNER "{self._role}"')
        primary = self.address[self._primary]
        self._on(self._replica, REPLICA.format(**names, password=standby, primary=primary))
        self._secret = self._granted(self._login)
        self._tell(
            **{"database": DATABASE, "secret-user": self._secret, "subordinated": "false"},
            **{"secret-tls": self._granted("tls=False"), "prefix-databases": "[]"},
            **{"version": "16", "data": json.dumps({"database": DATABASE})},
            **self._endpoints(),
        )
        for unit in self.address:
            self._on(unit, f"relation-set -r {self._relation} state=ready")

    def fail_over(self) -> None:
        """End the primary, promote the other server, and tell of it as that charm does."""
        self._on(
            self._primary, "set -- $(pg_lsclusters -h); pg_ctlcluster $1 $2 stop -m immediate"
        )
        self._on(self._replica, "set -- $(pg_lsclusters -h); pg_ctlcluster $1 $2 promote")
        self._primary, self._replica = self._replica, self._primary
        self._tell(**self._endpoints())

    def change_password(self) -> str:
        """Set another password, end all connections that used the old one; returns the new."""
        self._password = secrets.token_hex(16)
        self._sql(f"ALTER ROLE \"{self._role}\" PASSWORD '{self._password}'")
        # A new revision has what it is given, and nothing of the one before.
        self._on_leader(f"secret-set {self._secret} {self._login}")
        self._sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE usename = '{self._role}'"
        )
        return self._password

    def _granted(self, content: str) -> str:
        """Make a secret that the regions may read; returns its ID."""
        made = self._on_leader(f"secret-add {content}").strip()
        self._on_leader(f"secret-grant {made} --relation {self._relation}")
        return made

    @property
    def _login(self) -> str:
        uri = f"postgresql://{self._role}:{self._password}@{self.address[self._primary]}:{PORT}"
        return f"username={self._role} password={self._password} uris={uri}/{DATABASE}"

    @property
    def _relation_get(self) -> str:
        return f"relation-get -r {self._relation} --app - {self._requirer}"

    def _endpoints(self) -> dict[str, str]:
        ends = [f"{self.address[one]}:{PORT}" for one in (self._primary, self._replica)]
        return dict(zip(("endpoints", "read-only-endpoints"), ends, strict=True))

    def _tell(self, **fields: str) -> None:
        words = " ".join(f"'{key}={value}'" for key, value in fields.items())
        self._on_leader(f"relation-set -r {self._relation} --app {words}")

    def _sql(self, statement: str) -> None:
        command = statement.replace("'", "'\\''")
        self._on(self._primary, f"cd /; runuser -u postgres -- psql -qc '{command}'")

    def _on_leader(self, command: str) -> str:
        return self._on(self._leader, command)

    def _on(self, unit: str, command: str) -> str:
        return self._juju.exec(f"set -e\n{command}", unit=unit, wait=300).stdout
