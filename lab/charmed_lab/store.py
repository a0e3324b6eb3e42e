# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Where the daemon keeps its models: one JSON file, replaced at every commit, and a log."""

import dataclasses
import functools
import json
import os
import threading
import time
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import versions
from .model import Model


@dataclass
class World:
    """All that the daemon must not forget."""

    seed: int
    controller_uuid: str
    models: dict[str, Model] = field(default_factory=dict)
    juju: str = versions.DEFAULT


def decode(kind: Any, value: Any) -> Any:
    """Turn parsed JSON back into the dataclass, list or dict that it was."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        known = {name: decode(hints[name], item) for name, item in value.items() if name in hints}
        return kind(**known)
    if isinstance(kind, types.UnionType):
        inner = next(one for one in typing.get_args(kind) if one is not types.NoneType)
        return None if value is None else decode(inner, value)
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is list:
        return [decode(arguments[0], item) for item in value]
    if typing.get_origin(kind) is dict:
        return {key: decode(arguments[1], item) for key, item in value.items()}
    return value


_hints = functools.cache(typing.get_type_hints)


class Store:
    """The world, its lock, and the file that follows each change."""

    def __init__(self, directory: Path, fresh: World) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "models.json"
        self._log = directory / "debug.log"
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)
        self._saved = self._path.read_text() if self._path.exists() else _encode(fresh)
        self.world: World = decode(World, json.loads(self._saved))

    @contextmanager
    def change(self) -> Iterator[World]:
        """Hold the lock; keep what was changed, or on an exception nothing of it."""
        with self._lock:
            try:
                yield self.world
            except BaseException:
                # An interrupted change is none, just as one that failed.
                self.world = decode(World, json.loads(self._saved))
                raise
            if self._save():
                self.changed.notify_all()

    @contextmanager
    def look(self) -> Iterator[World]:
        """Hold the lock to read."""
        with self._lock:
            yield self.world

    def _save(self) -> bool:
        text = _encode(self.world)
        if text == self._saved:
            return False
        temporary = self._path.with_suffix(".new")
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        self._saved = text
        return True

    def log(self, model: str, entity: str, level: str, module: str, message: str) -> None:
        """Append a line to the log that `juju debug-log` shows; model is the model's UUID."""
        record = [time.time(), model, entity, level, module, message]
        with self._lock, self._log.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def logged(self, model: str) -> list[list[Any]]:
        """Return the log of the model with a UUID, oldest first."""
        if not self._log.exists():
            return []
        records = map(_parse, self._log.read_text().splitlines())
        return [record for record in records if record and record[1] == model]


def _parse(line: str) -> list[Any]:
    """Return a record of the log; nothing of one at which the daemon was killed."""
    try:
        return json.loads(line)
    except ValueError:
        return []


def _encode(world: World) -> str:
    return json.dumps(world, default=vars)
