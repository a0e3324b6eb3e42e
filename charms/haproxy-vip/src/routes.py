# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""From the regions' services to HAProxy's frontends and backends: values to values."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from charmed_maas import addresses
from charmed_maas.interfaces.maas_api import Backend, Service


class RouteError(Exception):
    """The services that the regions ask for do not fit together; fit for a status message."""


@dataclass(frozen=True)
class Server:
    """One region in a backend; the id is the same on every unit, for consistent hashing."""

    name: str
    endpoint: str
    id: int


@dataclass(frozen=True)
class Route:
    """One service: where the VIP listens, which servers take it.

    track is the HTTP backend whose health checks also stand for a TCP service's servers. On
    agent_port the servers say which share of new requests they take, 0 for nowhere.
    """

    name: str
    mode: str
    port: int
    bind: str
    check: str
    servers: tuple[Server, ...]
    track: str = ""
    agent_port: int = 0


def build(
    services: Sequence[Service], backends: Sequence[Backend], *, vip: str, port: int
) -> list[Route]:
    """Return the routes by port; raises RouteError when two want the same one."""
    chosen = serving(backends)
    tracked = next((f"{one.name}-regions" for one in services if one.mode == "http"), "")
    routes = [
        Route(
            name=service.name,
            mode=service.mode,
            port=service.listen_port or port,
            bind=addresses.join_host_port(vip, service.listen_port or port),
            check=service.check,
            servers=_servers(chosen, service.backend_port),
            track=tracked if service.mode == "tcp" else "",
            agent_port=service.agent_port,
        )
        for service in services
    ]
    for kind in ("port", "name"):
        values = [getattr(route, kind) for route in routes]
        if twice := {value for value in values if values.count(value) > 1}:
            raise RouteError(f"the regions ask twice for {kind} {min(twice)}")
    return sorted(routes, key=lambda route: route.port)


def serving(backends: Sequence[Backend]) -> list[Backend]:
    """Return the regions that take traffic; all of them when none says so.

    HAProxy's own health checks still tell which of those answers. Of units with one address, as
    where one replaces another on its machine, there is the newest: it is one region.
    """
    found = [one for one in backends if one.ready] or backends
    return list({one.address: one for one in found}.values())


def with_kept(
    backends: Sequence[Backend], configured: Mapping[str, str], staying: Collection[str]
) -> list[Backend]:
    """Add the regions that stay, that HAProxy has and that the relation does not show.

    Of a relation that goes Juju takes the units away one after the other, and those of a new one
    come one by one: meanwhile every region serves on. configured are HAProxy's servers.
    """
    hidden = set(staying) - {one.unit for one in backends}
    kept = [
        Backend(unit, configured[_server_name(unit)], ready=True)
        for unit in hidden
        if _server_name(unit) in configured
    ]
    return sorted([*backends, *kept], key=lambda one: addresses.unit_number(one.unit))


def bindable(
    found: Sequence[Route],
    held: Mapping[int, str],
    *,
    backends: Sequence[Backend],
    here: Collection[str],
) -> list[Route]:
    """Return the routes that this machine can serve; held says of a port why not.

    A TCP service is left out where a region on this machine answers (its services bind their
    ports on every address, sooner or later) or somebody else does. An HTTP one raises
    RouteError.
    """
    has_region = any(backend.address in here for backend in backends)
    served: list[Route] = []
    for route in found:
        if route.mode == "http" and route.port in held:
            raise RouteError(f"port {route.port} {held[route.port]}: set port to a free one")
        if route.mode == "http" or not (has_region or route.port in held):
            served.append(route)
    return served


def _servers(backends: Sequence[Backend], port: int) -> tuple[Server, ...]:
    return tuple(
        Server(
            name=_server_name(one.unit),
            endpoint=addresses.join_host_port(one.address, port),
            id=addresses.unit_number(one.unit) + 1,
        )
        for one in backends
    )


def _server_name(unit: str) -> str:
    return unit.replace("/", "-")
