# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The databases of related applications, as the leader serves them."""

import dataclasses
from collections.abc import Sequence

import ops

import cluster
import keys
import patroni
import postgresql
import rest
from charmed_maas import secrets
from charmed_maas.interfaces import db


def accepted(requests: Sequence[db.DatabaseRequest]) -> tuple[list[db.DatabaseRequest], list[str]]:
    """Return the requests that can be served, and what is wrong with the others."""
    good: list[db.DatabaseRequest] = []
    problems: list[str] = []
    for request in requests:
        problem = postgresql.check_database(request.database)
        if not problem and (first := _owner(request.database, good)):
            problem = f"{request.database} is the database of {first}: ask for another name"
        if problem:
            problems.append(f"{request.app}: {problem}")
        else:
            good.append(request)
    return good, problems


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
) -> None:
    """Have every database that is asked for, end the logins of those that no more are.

    Raises postgresql.PostgresqlError.
    """
    primary = cluster.primary(members)
    if not primary or not primary.is_running:
        return
    with postgresql.connect(primary.host, spec.keys.superuser) as connection:
        postgresql.revoke(connection, [request.database for request in requests])
        for request in requests:
            secret = _credentials(provider.model, request)
            password = secret.get_content(refresh=True)["password"]
            postgresql.ensure_database(connection, request.database, password)
            data = _data(request.database, members, primary, spec)
            full = dataclasses.replace(data, secret_user=keys.short_id(secret))
            provider.publish(request.relation, full)


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


def _owner(database: str, requests: Sequence[db.DatabaseRequest]) -> str:
    return next((one.app for one in requests if one.database == database), "")
