# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The `db` relation: interface postgresql_client v0, as Charmhub's postgresql speaks it.

The requirer (maas-region) writes into its application databag which database it wants. Each of
its units writes its own `address`, from which it connects, for a VIP that the machine holds may
be Juju's `ingress-address` (canonical/operator#1556). The field is an extra, optional one: the
provider admits the ingress-address of a unit that writes none.
The provider writes into its application databag one primary endpoint, the replicas and the ID of
a Juju secret with username and password, granted to the relation.

Extra, optional fields of the provider's, which let the requirer's local proxy follow a failover
with no relation event: `members` (every member's endpoint), `health-port` (Patroni's REST API:
`OPTIONS /primary` is 200 on the primary only) and `health-ca` (the CA that signs it). `voters` are
the addresses of the machines whose etcd had a vote when the provider's leader last looked.
Each provider unit writes `admitted` into its unit databag: the addresses from which it takes
connections now. A requirer's unit that was refused is so woken when it no longer is.
The field `data` of the original library is a cache of its own that nobody else may read.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import ops

from charmed_maas import addresses, databag, secrets
from charmed_maas.interfaces.endpoint import Endpoint

Endpoints = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class ProviderAppData:
    """What the provider's application writes; primary and members are (address, port)."""

    primary: tuple[str, int] | None = None
    replicas: Endpoints = ()
    members: Endpoints = ()
    database: str = ""
    version: str = ""
    secret_user: str = ""
    health_port: int = 0
    health_ca: str = ""
    voters: tuple[str, ...] = ()

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "ProviderAppData":
        """Parse; raises databag.DatabagError."""
        endpoints = _endpoints("endpoints", databag.text(data, "endpoints"))
        return cls(
            primary=endpoints[0] if endpoints else None,
            replicas=_endpoints("read-only-endpoints", databag.text(data, "read-only-endpoints")),
            members=_endpoints("members", ",".join(databag.strings(data, "members"))),
            database=databag.text(data, "database"),
            version=databag.text(data, "version"),
            secret_user=databag.secret_id(data, "secret-user"),
            health_port=databag.port(data, "health-port"),
            health_ca=databag.pem(data, "health-ca"),
            # They are counted, and one that is named twice has one vote.
            voters=tuple(dict.fromkeys(databag.addresses_of(data, "voters"))),
        )

    def to_databag(self) -> dict[str, str]:
        """Return every field, "" for one that is to be absent."""
        return {
            "endpoints": addresses.join_host_port(*self.primary) if self.primary else "",
            "read-only-endpoints": ",".join(
                addresses.join_host_port(*one) for one in self.replicas
            ),
            "members": databag.dump([addresses.join_host_port(*one) for one in self.members])
            if self.members
            else "",
            "database": self.database,
            "version": self.version,
            "secret-user": self.secret_user,
            "tls": "False",
            "health-port": str(self.health_port) if self.health_port else "",
            "health-ca": self.health_ca,
            "voters": databag.dump(list(self.voters)) if self.voters else "",
        }


@dataclass(frozen=True)
class RequirerAppData:
    """What the requirer's application writes."""

    database: str = ""

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "RequirerAppData":
        """Parse; raises databag.DatabagError."""
        return cls(database=databag.text(data, "database"))

    def to_databag(self) -> dict[str, str]:
        """Return every field."""
        return {
            "database": self.database,
            "requested-secrets": databag.dump(["username", "password"]),
        }


@dataclass(frozen=True)
class RequirerUnitData:
    """What each of the requirer's units writes."""

    address: str = ""

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "RequirerUnitData":
        """Parse; raises databag.DatabagError."""
        return cls(address=databag.address(data, "address"))

    def to_databag(self) -> dict[str, str]:
        """Return every field, "" for one that is to be absent."""
        return {"address": self.address}


@dataclass(frozen=True)
class DatabaseRequest:
    """A related application's wish for a database, and from where it will connect."""

    relation: ops.Relation
    app: str
    database: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Credentials:
    """The content of the secret `secret-user`."""

    username: str
    password: str

    @classmethod
    def parse(cls, content: Mapping[str, str]) -> "Credentials | None":
        """Return what the secret holds, None while it is not whole or cannot be a login."""
        username, password = content.get("username", ""), content.get("password", "")
        is_whole = username and password and (username + password).isprintable()
        return cls(username, password) if is_whole else None


@dataclass(frozen=True)
class DatabaseConnection:
    """Everything a region needs to reach its database."""

    provider: ProviderAppData
    credentials: Credentials


class DatabaseProvider(Endpoint):
    """The database's side."""

    def requests(self) -> list[DatabaseRequest]:
        """Return a request for each relation that asks for a database, by relation ID."""
        found: list[DatabaseRequest] = []
        for relation in self.relations:
            if not (app := relation.app):
                continue
            data = self.parse(relation, app, RequirerAppData.from_databag)
            if data and data.database:
                hosts = self._unit_addresses(relation)
                found.append(DatabaseRequest(relation, app.name, data.database, hosts))
        return found

    def publish(self, relation: ops.Relation, data: ProviderAppData) -> None:
        """Write the application databag of one relation; only the leader may."""
        self.write(relation, self.model.app, data.to_databag())

    def publish_admitted(self) -> None:
        """Tell each relation's units that this unit now takes connections from their addresses."""
        for request in self.requests():
            admitted = databag.dump(list(request.addresses))
            self.write(request.relation, self.model.unit, {"admitted": admitted})

    def _unit_addresses(self, relation: ops.Relation) -> tuple[str, ...]:
        units = {unit.name: unit for unit in relation.units}
        found = (
            self._unit_address(relation, units[name]) for name in addresses.by_unit_number(units)
        )
        return tuple(dict.fromkeys(one for one in found if one))

    def _unit_address(self, relation: ops.Relation, unit: ops.Unit) -> str:
        data = self.parse(relation, unit, RequirerUnitData.from_databag)
        if data and data.address:
            return data.address
        return self.parse(relation, unit, _ingress_address) or ""


class DatabaseRequirer(Endpoint):
    """The region's side."""

    def request(self, database: str) -> None:
        """Ask for a database on each relation; only the leader may."""
        for relation in self.relations:
            self.write(relation, self.model.app, RequirerAppData(database).to_databag())

    def publish_unit(self, data: RequirerUnitData) -> None:
        """Write this unit's databag of each relation."""
        for relation in self.relations:
            self.write(relation, self.model.unit, data.to_databag())

    def get(self) -> DatabaseConnection | None:
        """Return the connection of the relation with the lowest ID, None until it is whole."""
        if not self.relations or not (app := self.relations[0].app):
            return None
        data = self.parse(self.relations[0], app, ProviderAppData.from_databag)
        if not data or not data.primary or not data.secret_user:
            return None
        credentials = Credentials.parse(secrets.read(self.model, data.secret_user) or {})
        return DatabaseConnection(data, credentials) if credentials else None


def _ingress_address(data: Mapping[str, str]) -> str:
    return databag.address(data, "ingress-address")


def _endpoints(key: str, value: str) -> Endpoints:
    try:
        return tuple(addresses.split_host_port(one) for one in value.split(",") if one)
    except ValueError as error:
        raise databag.DatabagError(f"{key}: {error}") from error
