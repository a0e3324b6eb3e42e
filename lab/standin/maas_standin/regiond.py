# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The master process of a region: identity, workers, heartbeats, the services beside it."""

import logging
import os
import pathlib
import secrets
import signal
import subprocess
import sys
import time
import typing
import uuid

import psycopg2
import psycopg2.extras

from maas_standin import database, dns, frontend, host, local_config, nodes

logger = logging.getLogger(__name__)

RETRY_S = 3
HEARTBEAT_S = 15
EXPIRE_S = 90
CHECK_S = 5
SERVICES_S = 30
POOL_SIZE = 9


class Stopped(Exception):  # noqa: N818  It is no error.
    """systemd wants the region to end."""


def _raise_stopped(*_: typing.Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


def _ensure_secret(cursor: database.Cursor) -> str:
    """Return the secret that racks must know; the first region makes it."""
    if secret := database.shared_secret(cursor):
        return secret
    secret = secrets.token_hex(16)
    cursor.execute(
        "INSERT INTO maasserver_secret (path, value) VALUES ('global/rpc-shared', %s)",
        (psycopg2.extras.Json({"secret": secret}),),
    )
    return secret


def _ensure_setting(cursor: database.Cursor, name: str, value: typing.Any) -> typing.Any:
    """Return a setting, first set to a value if it has none."""
    found = database.get_setting(cursor, name)
    if found is None:
        database.put_setting(cursor, name, value)
    return found or value


def _enter(
    cursor: database.Cursor, config: dict[str, typing.Any]
) -> tuple[int, dict[pathlib.Path, str]]:
    """Take this region's place among the controllers."""
    facts = host.describe()
    node = nodes.register(cursor, nodes.REGION, host.read(host.MAAS_ID), facts)
    cursor.execute(
        "DELETE FROM maasserver_regioncontrollerprocess WHERE region_id = %s", (node["id"],)
    )
    _ensure_setting(cursor, "maas_name", facts["hostname"])
    database.put_setting(cursor, "maas_url", config["maas_url"])
    files = {
        host.MAAS_ID: node["system_id"],
        host.MAAS_UUID: _ensure_setting(cursor, "uuid", str(uuid.uuid4())),
        host.SECRET: _ensure_secret(cursor),
    }
    return node["id"], files


def _require_migrated(cursor: database.Cursor) -> None:
    if not database.is_migrated(cursor):
        raise psycopg2.OperationalError("the database is not migrated; run maas-region dbupgrade")


def _start_up(pool: database.Pool, config: dict[str, typing.Any]) -> int:
    """Wait for a migrated database, enter it and return this region's node."""
    while True:
        try:
            pool.run(_require_migrated)
            node_id, files = pool.locked(_enter, config)
            break
        except psycopg2.Error as error:
            logger.error("Error during start-up, retrying: %s", str(error).strip())
            time.sleep(RETRY_S)
    for path, text in files.items():
        host.write(path, text)
    return node_id


class Workers:
    """The worker processes and their ports."""

    def __init__(self, count: int) -> None:
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._ports: dict[int, int] = {}
        self._count = min(count, 10)

    def ensure(self) -> bool:
        """Start the workers that do not run; tell whether any had to be started."""
        dead = [n for n in range(self._count) if self._is_dead(n)]
        pipes = {number: self._start(number) for number in dead}
        for number, pipe in pipes.items():
            with os.fdopen(pipe, encoding="ascii") as stream:
                self._ports[number] = int(stream.read() or 0)
        return bool(dead)

    def _is_dead(self, number: int) -> bool:
        process = self._processes.get(number)
        return process is None or process.poll() is not None

    def _start(self, number: int) -> int:
        """Start a worker; return where it tells its port, or nothing if it fails."""
        reader, writer = os.pipe()
        command = [sys.executable, "-B", "-m", "maas_standin.worker", str(number), str(writer)]
        self._processes[number] = subprocess.Popen(
            command, stdin=subprocess.PIPE, pass_fds=[writer]
        )
        os.close(writer)
        return reader

    def endpoints(self) -> list[tuple[int, int]]:
        """Return (PID, port) of every worker that serves."""
        return [
            (self._processes[number].pid, port)
            for number, port in sorted(self._ports.items())
            if port and not self._is_dead(number)
        ]

    def open(self) -> None:
        """Let the workers serve clients: the other regions know them now."""
        for process in self._processes.values():
            if process.stdin:
                process.stdin.close()

    def stop(self) -> None:
        """Let the workers finish their requests and end."""
        for process in self._processes.values():
            process.terminate()
        self.open()
        for process in self._processes.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _own_addresses(cursor: database.Cursor, node_id: int) -> list[str]:
    """Return where racks can reach this region and no other."""
    addresses = host.addresses()
    cursor.execute(
        "SELECT host(a.ip) AS ip FROM maasserver_staticipaddress a"
        " JOIN maasserver_interface i ON i.id = a.interface_id"
        " JOIN maasserver_node n ON n.id = i.node_id"
        " WHERE n.id <> %s AND n.node_type = ANY(%s) AND a.ip = ANY(%s::inet[])",
        (node_id, [nodes.REGION, nodes.REGION_AND_RACK], addresses),
    )
    shared = {row["ip"] for row in cursor.fetchall()}
    # A machine that was replaced may still be listed under the only address that we have.
    return [address for address in addresses if address not in shared] or addresses


def _heartbeat(cursor: database.Cursor, node_id: int, endpoints: list[tuple[int, int]]) -> None:
    """Tell the other regions which workers of this one are alive, and where."""
    pids = [pid for pid, _ in endpoints]
    cursor.execute(
        "DELETE FROM maasserver_regioncontrollerprocess WHERE region_id = %s"
        " AND NOT pid = ANY(%s)",
        (node_id, pids),
    )
    addresses = _own_addresses(cursor, node_id)
    for pid, port in endpoints:
        cursor.execute(
            "INSERT INTO maasserver_regioncontrollerprocess (region_id, pid) VALUES (%s, %s)"
            " ON CONFLICT (region_id, pid) DO UPDATE SET updated = now() RETURNING id",
            (node_id, pid),
        )
        process_id = cursor.fetchone()["id"]
        cursor.execute(
            "DELETE FROM maasserver_regioncontrollerprocessendpoint WHERE process_id = %s"
            " AND (port <> %s OR NOT address = ANY(%s::inet[]))",
            (process_id, port, addresses),
        )
        for address in addresses:
            cursor.execute(
                "INSERT INTO maasserver_regioncontrollerprocessendpoint"
                " (process_id, address, port) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                (process_id, address, port),
            )


def _expire(cursor: database.Cursor) -> None:
    """Drop the workers of regions that have been silent for too long."""
    cursor.execute(
        "DELETE FROM maasserver_regioncontrollerprocess"
        " WHERE updated < now() - make_interval(secs => %s)",
        (EXPIRE_S,),
    )
    nodes.update_rackd_status(cursor)


def _leave(cursor: database.Cursor, node_id: int) -> None:
    cursor.execute(
        "DELETE FROM maasserver_regioncontrollerprocess WHERE region_id = %s", (node_id,)
    )
    nodes.update_rackd_status(cursor)


def _serve(pool: database.Pool, node_id: int, workers: Workers) -> typing.NoReturn:
    """Keep the workers, their heartbeats and the services beside them going."""
    beat = services = 0.0
    while True:
        now = time.monotonic()
        started = workers.ensure()
        try:
            if started or now - beat >= HEARTBEAT_S:
                pool.run(_heartbeat, node_id, workers.endpoints())
                workers.open()
                beat = now
            pool.run(_expire)
        except psycopg2.Error as error:
            logger.error("Heartbeat failed: %s", str(error).strip())
            beat = 0.0
        if now - services >= SERVICES_S:
            frontend.ensure_running()
            services = now
        time.sleep(CHECK_S)


def main() -> None:
    """Run a region until systemd stops it."""
    config = local_config.read_region()
    level = logging.DEBUG if config["debug"] else logging.INFO
    logging.basicConfig(stream=sys.stdout, level=level, format="%(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _raise_stopped)
    pool = database.Pool(config, "maas-regiond-NO_ID", POOL_SIZE)
    workers = Workers(config["num_workers"])
    node_id = 0
    try:
        frontend.ensure_config(min(config["num_workers"], 10))
        frontend.ensure_running()
        node_id = _start_up(pool, config)
        pool.open_all()
        write_options = dns.Writer(pool)
        database.Listener(config, "maas-regiond-NO_ID", {"sys_dns": write_options}).start()
        _serve(pool, node_id, workers)
    except Stopped:
        logger.info("Stopping.")
        try:
            if node_id:
                pool.run(_leave, node_id)
        except psycopg2.Error as error:
            logger.error("Cannot leave the other regions' lists: %s", str(error).strip())
        workers.stop()
