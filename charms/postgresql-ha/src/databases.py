# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The databases of related applications, as the leader serves them."""

import dataclasses
from collections.abc import Sequence

import ops

import cluster
import patroni
import peers
import postgresql
import rest
from charmed_maas import secrets
from charmed_maas.interfaces import db

OTHER_NAME = "have it ask for another name"


class Databases(db.DatabaseProvider):
    """The endpoint, with what each relation was served last.

    A relation keeps its database as long as it is there: what its application asks for may become
    nonsense, and is told, but takes nothing away from clients that are at work.
    """

    def __init__(self, charm: ops.CharmBase, relation_name: str, own: peers.Peers) -> None:
        super().__init__(charm, relation_name)
        self._peers = own

    def requests(self) -> list[db.DatabaseRequest]:
        """Return what each relation is to have, by relation ID."""
        app = self._peers.app_data() or peers.AppData()
        living = {one.id: one for one in self.relations if one.app}
        kept = {id_: name for id_, name in app.databases if id_ in living}
        owners = {name: id_ for id_, name in kept.items()}
        asked = {one.relation.id: one.database for one in super().requests()}
        found: list[db.DatabaseRequest] = []
        for id_, relation in living.items():
            name, last = asked.get(id_, ""), kept.get(id_, "")
            taker = living[owners.get(name, id_)]
            problem = _problem(name, last, "" if taker is relation else taker.app.name)
            if problem:
                self._tell(f"{relation.app.name}: {problem}")
                name = last
            if name:
                owners.setdefault(name, id_)
                hosts = self._unit_addresses(relation)
                found.append(db.DatabaseRequest(relation, relation.app.name, name, hosts))
        return found

    def _tell(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def clients(requests: Sequence[db.DatabaseRequest]) -> tuple[cluster.Client, ...]:
    """Return from where which database may be used."""
    return tuple(
        cluster.Client(request.database, address)
        for request in requests
        for address in request.addresses
    )


def serve(
    provider: db.DatabaseProvider,
    requests: Sequence[db.DatabaseRequest],
    members: Sequence[cluster.Member],
    spec: cluster.Spec,
    *,
    voters: Sequence[str] = (),
) -> bool:
    """Have every database that is asked for, end the logins of those that no more are.

    voters are the addresses of the machines with a vote, which each relation is told. Returns
    whether there was a primary to do it on. Raises postgresql.PostgresqlError.
    """
    primary = cluster.primary(members)
    if not primary or not primary.is_running:
        return False
    with postgresql.connect(primary.host, spec.keys.superuser) as connection:
        postgresql.revoke(connection, [request.database for request in requests])
        for request in requests:
            secret = _credentials(provider.model, request)
            password = secret.get_content(refresh=True)["password"]
            postgresql.ensure_database(connection, request.database, password)
            data = _data(request.database, members, primary, spec)
            full = dataclasses.replace(
                data, secret_user=secrets.short_id(secret), voters=tuple(voters)
            )
            provider.publish(request.relation, full)
    return True


def forget(model: ops.Model, relation: ops.Relation) -> None:
    """Remove the credentials of a relation that broke."""
    if secret := secrets.own(model, _label(relation)):
        secret.remove_all_revisions()


def _data(
    database: str,
    members: Sequence[cluster.Member],
    primary: cluster.Member,
    spec: cluster.Spec,
) -> db.ProviderAppData:
    # By the model and not by Patroni, which forgets a member that is down for a while.
    everyone = tuple((unit.address, patroni.PORT) for unit in spec.units)
    serving = tuple(
        (one.host, one.port)
        for one in sorted(members, key=lambda one: one.name)
        if one.is_running and not one.is_primary
    )
    return db.ProviderAppData(
        primary=(primary.host, primary.port),
        replicas=serving,
        members=everyone,
        database=database,
        version=postgresql.version(),
        health_port=rest.PORT,
        health_ca=spec.keys.ca_cert,
    )


def _credentials(model: ops.Model, request: db.DatabaseRequest) -> ops.Secret:
    if secret := secrets.own(model, _label(request.relation)):
        return secret
    content = {"username": request.database, "password": secrets.new_password()}
    secret = model.app.add_secret(content, label=_label(request.relation))
    secret.grant(request.relation)
    return secret


def _label(relation: ops.Relation) -> str:
    return f"db-{relation.id}"


def _problem(name: str, last: str, taker: str) -> str:
    """Return why a relation cannot have the database that it asks for, "" when it can."""
    if not name:
        problem = "asks for no database: have it ask for one" if last else ""
    elif taker:
        problem = f"{name} is the database of {taker}: {OTHER_NAME}"
    elif problem := postgresql.check_database(name):
        problem = f"{problem}: {OTHER_NAME}"
    return f"{problem}; it keeps {last} while it is related" if problem and last else problem
