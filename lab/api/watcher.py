# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The watcher of a whole model: first all that is there, then what has changed since."""

import threading
from typing import Any

from charmed_lab.client import ClientError

from . import translation
from .facades import APIError, Connection, Params, method

POLL_S = 0.5


class Watcher:
    """One client's view of its model, brought up to date by `next`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._told: translation.Entities = {}
        self.stopped = threading.Event()

    def next(self) -> list[list[Any]]:
        """Return what has changed; wait until something has. APIError once it is stopped."""
        while not self.stopped.is_set():
            try:
                now = _snapshot(self._connection)
            except ClientError:
                # The controller is away, or the model is gone: there is no news.
                now = self._told
            if deltas := changes(self._told, now):
                self._told = now
                return deltas
            self.stopped.wait(POLL_S)
        raise APIError("watcher was stopped", "stopped")


def changes(before: translation.Entities, now: translation.Entities) -> list[list[Any]]:
    """Return the deltas between two views, as [kind, "change" or "remove", data]."""
    gone = [
        [kind, "remove", data] for (kind, one), data in before.items() if (kind, one) not in now
    ]
    new = [[key[0], "change", data] for key, data in now.items() if before.get(key) != data]
    return gone + new


def _snapshot(connection: Connection) -> translation.Entities:
    about, config = connection.about(), connection.ask("model_config")
    model = {
        "model-uuid": connection.uuid,
        "name": about["name"],
        "life": about["life"],
        "owner": "admin",
        "controller-uuid": connection.session.ask("controller")["uuid"],
        "is-controller": False,
        "config": {key: one["Value"] for key, one in config.items()},
    }
    found, relations = connection.ask("status")["status"], connection.ask("relations")
    told = translation.entities(found, relations, model)
    begun = connection.begun.get(connection.uuid, [])
    for task in connection.ask("tasks", ids=begun) if begun else []:
        told["action", task["id"]] = translation.action_info(connection.uuid, task)
    return told


@method("Client", "WatchAll")
def _watch_all(connection: Connection, _: Params) -> dict[str, Any]:
    """Begin to watch the model."""
    name = str(len(connection.watchers) + 1)
    connection.watchers[name] = Watcher(connection)
    return {"watcher-id": name}


def _named(connection: Connection, params: Params) -> Watcher:
    if watcher := connection.watchers.get(str(params["watcher-id"])):
        return watcher
    raise APIError("unknown watcher id", "not found")


@method("AllWatcher", "Next")
def _next(connection: Connection, params: Params) -> dict[str, Any]:
    """Tell what has changed, once something has."""
    return {"deltas": _named(connection, params).next()}


@method("AllWatcher", "Stop")
def _stop(connection: Connection, params: Params) -> dict[str, Any]:
    """End a watcher; who waits for it is told so."""
    _named(connection, params).stopped.set()
    return {}
