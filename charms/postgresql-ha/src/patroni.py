# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Patroni, which runs PostgreSQL: its configuration and its daemon on this unit."""

import json
from pathlib import Path

import yaml

import cluster
import gate
import paths
import pgdata
import rest
from charmed_maas import addresses, files, given, systemd

SERVICE = "postgresql-ha-patroni.service"
UNIT = systemd.UNITS / SERVICE
TEMPLATES = Path(__file__).parent / "templates"
CONFIG = paths.CONFIGURATION / "patroni.yml"
# What the daemon was last started or reloaded with.
LOADED = paths.CONFIGURATION / "patroni.loaded"
PGPASS = "/run/postgresql-ha/pgpass"
PORT = 5432
SUPERUSER = "postgres"
REPLICATION = "replicator"
REWIND = "rewinder"
HEADER = "# Managed by the charm; changes are overwritten.\n"


def render_config(spec: cluster.Spec, data: Path, *, bootstrap: bool, strict: bool) -> str:
    """Return this member's configuration.

    Only the one unit that bootstraps gets the means to: with the others' a Patroni that finds no
    cluster in etcd stops instead of making a second one.
    """
    rest_api = addresses.join_host_port(spec.me.address, rest.PORT)
    key_pair = {"certfile": str(paths.CERTIFICATE), "keyfile": str(paths.POSTGRES_KEY)}
    config: dict[str, object] = {
        "scope": spec.scope,
        "name": spec.me.member_name,
        "restapi": {
            "listen": rest_api,
            "connect_address": rest_api,
            **key_pair,
            "cafile": str(paths.CA),
            # Health checks need no certificate, changes need one and the password.
            "verify_client": "optional",
            "authentication": {"username": rest.USER, "password": spec.keys.rest},
        },
        "ctl": {"cacert": str(paths.CA), **key_pair},
        "etcd3": {
            "hosts": [
                addresses.join_host_port(unit.address, cluster.CLIENT_PORT) for unit in spec.units
            ],
            "protocol": "https",
            "cacert": str(paths.CA),
            "cert": str(paths.CERTIFICATE),
            "key": str(paths.POSTGRES_KEY),
        },
        "bootstrap": _bootstrap(len(spec.units), strict=strict) if bootstrap else _refuse(),
        "postgresql": _postgresql(spec, data),
    }
    return HEADER + yaml.safe_dump(config, sort_keys=False)


def dynamic_config(
    units: int, clients: int, connections_now: int, *, strict: bool
) -> dict[str, object]:
    """Return the part of the cluster-wide configuration that the charm keeps."""
    return {
        "ttl": 20,
        "loop_wait": 5,
        "retry_timeout": 5,
        "primary_start_timeout": 0,
        "primary_stop_timeout": 15,
        "maximum_lag_on_failover": 1048576,
        "max_timelines_history": 50,
        "check_timeline": True,
        "synchronous_mode": True,
        "synchronous_mode_strict": strict,
        "synchronous_node_count": 2 if units >= 5 else 1,
        "failsafe_mode": True,
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            "remove_data_directory_on_rewind_failure": False,
            "remove_data_directory_on_diverged_timelines": False,
            "parameters": _parameters(cluster.max_connections(clients, connections_now)),
        },
    }


def difference(wanted: dict[str, object], found: dict[str, object]) -> dict[str, object]:
    """Return what of the wanted configuration the found one has otherwise, as PATCH takes it."""
    changes: dict[str, object] = {}
    for key, value in wanted.items():
        other = found.get(key)
        if isinstance(value, dict):
            inner = difference(value, other if isinstance(other, dict) else {})
            if inner:
                changes[key] = inner
        elif other != value:
            changes[key] = value
    return changes


def ensure_config(text: str, data: Path) -> bool:
    """Have configuration and unit file; returns whether the daemon was not given it yet."""
    gate.ensure_file(PORT)
    place = {"data": data, "aside": pgdata.ASIDE}
    nft = {"nft": gate.NFT, "gate": gate.FILE, "table": gate.TABLE}
    unit = files.render(TEMPLATES / f"{SERVICE}.j2", config=CONFIG, **place, **nft)
    systemd.ensure_files({UNIT: unit})
    files.ensure_file(CONFIG, text, mode=0o600, owner="postgres")
    return not given.is_current(LOADED, CONFIG, paths.CERTIFICATE)


def ensure_running(*, changed: bool) -> bool:
    """Have the daemon running with its present configuration; returns whether it was started."""
    if not changed:
        return systemd.ensure_running(SERVICE)
    with given.noted(LOADED, CONFIG, paths.CERTIFICATE):
        started = systemd.ensure_running(SERVICE)
        if not started:
            systemd.reload(SERVICE)
    return started


def is_in_force(spec: cluster.Spec, data: Path) -> bool:
    """Tell whether PostgreSQL was given the present rules of who may connect."""
    try:
        lines = (data / "pg_hba.conf").read_text().splitlines()
    except OSError:
        return False
    return [line for line in lines if not line.startswith("#")] == pg_hba(spec)


def is_running() -> bool:
    """Tell whether the daemon runs."""
    return systemd.is_running(SERVICE)


def age_s() -> float:
    """Return for how long the daemon has been running; 0 when it does not."""
    return systemd.age_s(SERVICE)


def stop() -> None:
    """Stop the daemon, and with it PostgreSQL, now and at boot."""
    systemd.ensure_stopped(UNIT)


def passwords(keys: cluster.Keys) -> dict[str, str]:
    """Return the members' own roles and their passwords."""
    return {SUPERUSER: keys.superuser, REPLICATION: keys.replication, REWIND: keys.rewind}


def forget_pause(data: Path) -> None:
    """Take the pause out of the data's own copy of the cluster-wide configuration."""
    copy = data / "patroni.dynamic.json"
    if copy.is_file():
        config = json.loads(copy.read_text())
        if config.pop("pause", None):
            files.ensure_file(copy, json.dumps(config), mode=0o600, owner="postgres")


def _bootstrap(units: int, *, strict: bool) -> dict[str, object]:
    return {
        "dcs": dynamic_config(units, 0, 0, strict=strict),
        "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
    }


def _refuse() -> dict[str, object]:
    return {"method": "refuse", "refuse": {"command": "/bin/false"}}


def _parameters(max_connections: int) -> dict[str, object]:
    return {
        "max_connections": max_connections,
        "max_wal_senders": 16,
        "max_replication_slots": 16,
        "wal_log_hints": "on",
        # What a replica may miss without a slot, and with one: it is made anew beyond that, lest
        # what is kept for it fills the primary's disk.
        "wal_keep_size": "1GB",
        "max_slot_wal_keep_size": "4GB",
        "password_encryption": "scram-sha-256",
        # A client's machine that died gives its connections and locks back soon.
        "tcp_keepalives_idle": 5,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 3,
        "tcp_user_timeout": 20000,
        "wal_sender_timeout": "15s",
        "wal_receiver_timeout": "15s",
    }


def _postgresql(spec: cluster.Spec, data: Path) -> dict[str, object]:
    server = {"sslmode": "verify-ca", "sslrootcert": str(paths.CA)}
    return {
        # Every address: one that is not there yet at boot would be left out for good.
        # pg_hba admits the members and the related units alone.
        "listen": f"*:{PORT}",
        "connect_address": addresses.join_host_port(spec.me.address, PORT),
        "data_dir": str(data),
        "bin_dir": str(pgdata.binaries(data)),
        "pgpass": PGPASS,
        "use_unix_socket": True,
        "use_unix_socket_repl": True,
        "authentication": {
            "superuser": {"username": SUPERUSER, "password": spec.keys.superuser, **server},
            "replication": {"username": REPLICATION, "password": spec.keys.replication, **server},
            "rewind": {"username": REWIND, "password": spec.keys.rewind, **server},
        },
        "basebackup": [{"checkpoint": "fast"}],
        "parameters": {
            "unix_socket_directories": "/run/postgresql",
            "ssl": "on",
            "ssl_cert_file": str(paths.CERTIFICATE),
            "ssl_key_file": str(paths.POSTGRES_KEY),
            "ssl_ca_file": str(paths.CA),
        },
        "pg_hba": pg_hba(spec),
    }


def pg_hba(spec: cluster.Spec) -> list[str]:
    """Return who may connect: members among themselves, each related unit to its database."""
    rules = ["local all postgres peer", f"local replication {REPLICATION} scram-sha-256"]
    for unit in spec.units:
        host = addresses.host_cidr(unit.address)
        rules += [
            f"hostssl replication {REPLICATION} {host} scram-sha-256",
            f"hostssl postgres {REWIND} {host} scram-sha-256",
            f"hostssl all {SUPERUSER} {host} scram-sha-256",
        ]
    rules += [
        f'host "{one.database}" "{one.database}" {addresses.host_cidr(one.address)} scram-sha-256'
        for one in sorted(spec.clients, key=lambda one: (one.database, one.address))
    ]
    return rules
