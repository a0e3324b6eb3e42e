# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What all hook tools share: one call of a tool, and the event or action around it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from .arguments import Arguments, UsageError, take_apart
from .model import Hook, JujuError, Model, Status, Task, Unit, tag
from .store import Store

VALUES = (
    "format output relation file log-level endpoints label description expire rotate owner unit "
    "app revision"
)
FLAGS = (
    "app application include-data all debug now peek refresh update endpoints "
    "ingress-address bind-address primary-address egress-subnets"
)
SHORT = {"r": "relation", "l": "log-level", "o": "output"}
# These are followed by a value elsewhere, and by none in these tools.
NO_VALUE = {
    "relation-get": "app",
    "relation-set": "app",
    "relation-list": "app",
    "opened-ports": "endpoints",
}


@dataclass
class Call(Arguments):
    """One call of a tool: its options, its other arguments, and the files that it names."""

    files: Mapping[str, str] = field(default_factory=dict)

    def pairs(self) -> dict[str, str]:
        """Return the key=value arguments, and those of --file."""
        text = self.files.get(self.get("file"), "")
        try:
            # JSON is what charms send.
            read: dict[str, Any] = json.loads(text)
        except ValueError:
            read = yaml.safe_load(text) or {}
        found = {str(key): "" if value is None else str(value) for key, value in read.items()}
        for word in self.words:
            key, equals, value = word.partition("=")
            if not equals or not key:
                raise UsageError(f'expected "key=value", got "{word}"')
            found[key] = value
        return found


def parse(tool: str, args: Sequence[str], files: Mapping[str, str]) -> Call:
    """Take the command line of a tool apart."""
    call, values = Call(files=files), set(VALUES.split()) - {NO_VALUE.get(tool)}
    take_apart(call, args, values=values, flags=FLAGS.split(), short=SHORT)
    return call


@dataclass
class Context:
    """What one event or action may see, and what it wants committed."""

    store: Store
    model_name: str
    unit_name: str
    hook: Hook | None = None
    task: Task | None = None
    writes: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    app_reads: dict[str, dict[str, str]] = field(default_factory=dict)
    status: Status | None = None
    opened: dict[str, list[str]] | None = None
    state: dict[str, str] | None = None
    secret_ops: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    failure: str | None = None
    reboot: bool = False
    storage: str = ""
    gateway: str = ""

    @property
    def model(self) -> Model:
        """The model as it is now; the store's lock must be held."""
        return self.store.world.models[self.model_name]

    @property
    def unit(self) -> Unit:
        """The unit as it is now."""
        return self.model.units[self.unit_name]

    @property
    def app_name(self) -> str:
        """The unit's application."""
        return self.unit_name.partition("/")[0]

    @property
    def is_leader(self) -> bool:
        """Whether the unit holds its application's lease."""
        return self.model.is_leader(self.unit_name)

    def require_leader(self, doing: str = "") -> None:
        """Refuse what only the leader may do."""
        if not self.is_leader:
            raise JujuError(f"{doing}this unit is not the leader")

    def log(self, level: str, module: str, message: str) -> None:
        """Write to the model's log in the unit's name."""
        # A hook may outlive its model by a moment.
        if model := self.store.world.models.get(self.model_name):
            self.store.log(model.uuid, tag(self.unit_name), level, module, message)
