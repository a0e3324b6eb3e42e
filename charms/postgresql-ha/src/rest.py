# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The client of Patroni's REST API; light, for the timer loads it often."""

import base64
import http.client
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import cluster
import paths

PORT = 8008
USER = "patroni"
# The role of one that leads, as it tells it itself: since Patroni 4, and before.
PRIMARY = ("primary", "master")
TIMEOUT_S = 5.0


class RestError(Exception):
    """Patroni cannot be reached or refused; fit for a log."""


class Client:
    """Asks the members of a cluster, in the order given, until one answers."""

    def __init__(self, units: Sequence[cluster.Unit], password: str) -> None:
        self._units = tuple(units)
        login = base64.b64encode(f"{USER}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}

    def members(self) -> list[cluster.Member]:
        """Return every member of the cluster as the first unit that answers has them."""
        return [_member(one) for one in self._first("GET", "/cluster").get("members", [])]

    def config(self) -> dict[str, Any]:
        """Return the cluster-wide configuration."""
        return self._first("GET", "/config")

    def patch_config(self, changes: dict[str, Any]) -> None:
        """Change the cluster-wide configuration."""
        self._first("PATCH", "/config", changes)

    def switchover(self, leader: str, candidate: str) -> None:
        """Make another member the primary; both are healthy."""
        body = {"leader": leader, "candidate": candidate}
        self._first("POST", "/switchover", body, timeout_s=60)

    def failover(self, candidate: str) -> None:
        """Make a member the primary of a cluster that has none; it may lack rows."""
        self._first("POST", "/failover", {"candidate": candidate}, timeout_s=60)

    def status(self, unit: cluster.Unit) -> dict[str, Any]:
        """Return what one member says of itself; {} when it cannot be asked."""
        try:
            status, text = self._request(unit, "GET", "/patroni")
        except RestError:
            return {}
        return _object(text) if status in (200, 503) else {}

    def dcs_seen(self, unit: cluster.Unit) -> int:
        """Return when one member last heard from etcd, in seconds since the epoch.

        0 where it has not since it was started: it does not answer until then.
        """
        seen = self.status(unit).get("dcs_last_seen")
        return seen if isinstance(seen, int) else 0

    def position(self, unit: cluster.Unit) -> tuple[int, int]:
        """Return the timeline of a replica and how far in it its data goes; (0, 0) if unknown."""
        status = self.status(unit)
        places = (status.get("xlog") or {}).values()
        reached = max((place for place in places if type(place) is int), default=0)
        return (int(status.get("timeline") or 0), reached) if reached else (0, 0)

    def is_primary(self, unit: cluster.Unit) -> bool:
        """Tell whether one member is a running primary with the leader lock."""
        try:
            return self._request(unit, "GET", "/primary")[0] == 200
        except RestError:
            return False

    def restart(self, unit: cluster.Unit) -> None:
        """Restart one member's PostgreSQL if its parameters wait for that."""
        status, text = self._request(
            unit, "POST", "/restart", {"restart_pending": True}, timeout_s=60
        )
        if status not in (200, 202):
            raise RestError(f"restart answered {status}: {text[:200]}")

    def _first(
        self,
        verb: str,
        path: str,
        body: dict[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> dict[str, Any]:
        problem = "no member is known"
        for unit in self._units:
            try:
                status, text = self._request(unit, verb, path, body, timeout_s=timeout_s)
            except RestError as error:
                problem = str(error)
                continue
            if status in (200, 202):
                return _object(text)
            problem = f"{verb} {path} at {unit.name} answered {status}: {text[:200]}"
            if verb != "GET":
                break
        raise RestError(problem)

    def _request(
        self,
        unit: cluster.Unit,
        verb: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> tuple[int, str]:
        try:
            connection = http.client.HTTPSConnection(
                unit.address, PORT, timeout=timeout_s, context=paths.tls_context()
            )
            text = json.dumps(body) if body is not None else None
            connection.request(verb, path, text, self._headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise RestError(f"Patroni of {unit.name}: {error}") from error


def wait(ready: Callable[[], bool], timeout_s: float) -> bool:
    """Wait until this unit's own member is ready, at most so long."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def _member(item: dict[str, Any]) -> cluster.Member:
    lag = item.get("lag")
    return cluster.Member(
        name=str(item.get("name")),
        host=str(item.get("host", "")),
        port=int(item.get("port", 0)),
        role=str(item.get("role")),
        state=str(item.get("state")),
        timeline=int(item.get("timeline") or 0),
        lag_bytes=lag if isinstance(lag, int) else None,
        pending_restart=bool(item.get("pending_restart")),
    )


def _object(text: str) -> dict[str, Any]:
    try:
        found: object = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
