# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""A worker's side of its connections to racks."""

import contextlib
import logging
import socketserver
import threading
import typing

import psycopg2

from maas_standin import database, dhcp, nodes, rpc

logger = logging.getLogger(__name__)

REFRESH_S = 10


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens for racks on the worker's RPC port."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, pool: database.Pool, process: tuple[str, int]) -> None:
        super().__init__(("", port), _Handler)
        self.pool = pool
        self._system_id, self._pid = process
        self._lock = threading.Lock()
        self._dhcp_lock = threading.Lock()
        self._connected: dict[rpc.Channel, dict[str, typing.Any]] = {}

    def connect(self, channel: rpc.Channel, node: dict[str, typing.Any]) -> None:
        """Note that a rack is connected."""
        with self._lock:
            self._connected[channel] = node
        self.publish()
        self.push_dhcp()

    def disconnect(self, channel: rpc.Channel) -> None:
        """Note that a rack is gone."""
        with self._lock:
            known = self._connected.pop(channel, None)
        if known:
            self.publish()

    def publish(self) -> None:
        """Write into the database which racks are connected to this worker."""
        with self._lock:
            racks = sorted({node["id"] for node in self._connected.values()})
        try:
            self.pool.run(self._write_connections, racks)
        except psycopg2.Error as error:
            logger.error("Cannot write the racks' connections yet: %s", str(error).strip())

    def _write_connections(self, cursor: database.Cursor, racks: list[int]) -> None:
        cursor.execute(
            "SELECT min(e.id) AS id FROM maasserver_regioncontrollerprocessendpoint e"
            " JOIN maasserver_regioncontrollerprocess p ON p.id = e.process_id"
            " JOIN maasserver_node n ON n.id = p.region_id"
            " WHERE n.system_id = %s AND p.pid = %s AND e.port = %s",
            (self._system_id, self._pid, self.server_address[1]),
        )
        endpoint = cursor.fetchone()["id"]
        if endpoint is None:
            return
        cursor.execute(
            "DELETE FROM maasserver_regionrackrpcconnection WHERE endpoint_id = %s"
            " AND NOT rack_controller_id = ANY(%s)",
            (endpoint, racks),
        )
        cursor.execute(
            "INSERT INTO maasserver_regionrackrpcconnection (endpoint_id, rack_controller_id)"
            " SELECT %s, id FROM maasserver_node n WHERE id = ANY(%s) AND NOT EXISTS"
            " (SELECT 1 FROM maasserver_regionrackrpcconnection"
            " WHERE endpoint_id = %s AND rack_controller_id = n.id) ON CONFLICT DO NOTHING",
            (endpoint, racks, endpoint),
        )
        nodes.update_rackd_status(cursor)

    def push_dhcp(self, _: str = "") -> None:
        """Tell each rack the DHCP that it has to serve, if that is not what it was told last."""
        with self._lock:
            connected = dict(self._connected)
        # One thread at a time: none is to send what it read before another's newer text.
        with self._dhcp_lock:
            for channel, node in connected.items():
                self._push_dhcp(channel, node)

    def _push_dhcp(self, channel: rpc.Channel, node: dict[str, typing.Any]) -> None:
        try:
            files = self.pool.run(dhcp.configure, node["id"])
            if channel.send_changed({"command": "configure_dhcp", **files}):
                logger.info("Rack %s was sent its DHCP.", node["hostname"])
        except (dhcp.DHCPError, psycopg2.Error) as error:
            logger.error("No DHCP for rack %s yet: %s", node["hostname"], str(error).strip())
        except rpc.ChannelError as error:
            logger.info("Rack %s is gone: %s", node["hostname"], error)

    def dismiss(self, system_id: str) -> None:
        """Tell a rack that was deleted to forget the secret; with no ID, check all."""
        with self._lock:
            connected = dict(self._connected)
        if not system_id:
            self.publish()
            return
        for channel, node in connected.items():
            if node["system_id"] == system_id:
                logger.info("Rack %s (%s) was deleted.", node["hostname"], system_id)
                # It may be gone already; the listener that calls us must live on.
                with contextlib.suppress(rpc.ChannelError):
                    channel.send({"command": "disassociate"})


class _Handler(socketserver.BaseRequestHandler):
    """One rack's connection."""

    def __init__(self, request: typing.Any, address: typing.Any, server: Server) -> None:
        self._server = server
        super().__init__(request, address, server)

    def handle(self) -> None:
        """Check the rack, then serve it until it goes."""
        channel = rpc.Channel(self.request)
        try:
            # MAAS, too, reads it at each handshake: its file is written at a start only.
            rpc.authenticate_rack(channel, self._server.pool.run(database.shared_secret))
            self._serve(channel)
        except rpc.AuthenticationError:
            logger.error("Rack at %s FAILED authentication.", self.client_address[0])
        except rpc.ChannelError as error:
            logger.info("Rack at %s disconnected: %s", self.client_address[0], error)
        except psycopg2.Error as error:
            logger.error("Rack at %s dropped: %s", self.client_address[0], str(error).strip())
        finally:
            self._server.disconnect(channel)
            channel.close()

    def _serve(self, channel: rpc.Channel) -> None:
        hello = channel.receive()
        node, uuid = self._server.pool.locked(_register, hello)
        channel.send({"system_id": node["system_id"], "uuid": uuid})
        logger.info("Rack %s (%s) connected.", node["hostname"], node["system_id"])
        self._server.connect(channel, node)
        while True:
            message = channel.receive()
            if "services" in message:
                self._server.pool.run(_update, node["id"], message)
            channel.send({"command": "pong"})


def _register(cursor: database.Cursor, hello: rpc.Message) -> tuple[dict[str, typing.Any], str]:
    node = nodes.register(cursor, nodes.RACK, hello["system_id"], hello["facts"])
    cursor.execute(
        "INSERT INTO maasserver_service (node_id, name) SELECT %s, unnest(%s)"
        " ON CONFLICT DO NOTHING",
        (node["id"], list(nodes.RACK_SERVICES)),
    )
    return node, database.get_setting(cursor, "uuid", "")


def _update(cursor: database.Cursor, node_id: int, message: rpc.Message) -> None:
    cursor.execute("SELECT 1 FROM maasserver_node WHERE id = %s", (node_id,))
    if cursor.fetchone():
        nodes.update_services(cursor, node_id, message["services"])
        nodes.refresh_interfaces(cursor, node_id, message["interfaces"])
