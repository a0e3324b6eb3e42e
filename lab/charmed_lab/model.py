# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The model: what Juju's controller knows, as plain data without I/O."""

import re
from dataclasses import dataclass, field
from typing import Any

from . import versions

ALIVE, DYING = "alive", "dying"
UPDATE_STATUS = "update-status-hook-interval"
RETRY_HOOKS = "automatically-retry-hooks"
MODEL_DEFAULTS: dict[str, Any] = {
    RETRY_HOOKS: True,
    "default-base": "",
    "http-proxy": "",
    "https-proxy": "",
    "juju-http-proxy": "",
    "juju-https-proxy": "",
    "juju-no-proxy": "127.0.0.1,localhost,::1",
    "no-proxy": "127.0.0.1,localhost,::1",
    UPDATE_STATUS: "5m",
}
# The worst status of the units is the application's, unless its leader set one.
SEVERITY = ["error", "blocked", "maintenance", "waiting", "active", "terminated", "unknown"]
UNIT_S = {"h": 3600, "m": 60, "s": 1}


class JujuError(Exception):
    """What the controller refuses, in the words of Juju."""


@dataclass
class Status:
    """A status word with its message, and since when."""

    current: str = "unknown"
    message: str = ""
    since: float = 0.0


@dataclass
class Endpoint:
    """One side of a relation."""

    application: str
    name: str
    role: str
    interface: str
    # How many relations it may have; 0 for any number.
    limit: int = 0

    def __str__(self) -> str:
        return f"{self.application}:{self.name}"


@dataclass
class Charm:
    """A packed charm that was uploaded to the model."""

    name: str
    archive: str
    bases: list[str]
    endpoints: dict[str, Endpoint]
    options: dict[str, dict[str, Any]]
    actions: dict[str, dict[str, Any]]
    revision: int = 0

    @property
    def url(self) -> str:
        """What Juju calls this revision of the charm."""
        return f"local:{self.name}-{self.revision}"


@dataclass
class Machine:
    """A machine of the model; `slot` is its number on the stage."""

    number: str
    slot: str
    address: str
    instance_id: str
    base: str
    status: Status
    agent: Status
    life: str = ALIVE
    boot_id: str | None = None
    mac: str = ""
    hostname: str = ""
    present: bool = False


@dataclass
class Hook:
    """One event that a unit runs, and what its environment says of it."""

    kind: str
    relation: int | None = None
    endpoint: str = ""
    remote_app: str = ""
    remote_unit: str = ""
    departing: str = ""
    version: int = 0
    secret: str = ""
    label: str = ""
    revision: int = 0
    context: str = ""

    @property
    def name(self) -> str:
        """The name of the hook as Juju prints it."""
        return f"{self.endpoint}-{self.kind}" if self.relation is not None else self.kind

    @property
    def running(self) -> str:
        """What `juju status` says of the agent while the hook runs."""
        about = f" for {self.remote_unit}" if self.remote_unit else ""
        if self.secret:
            about = f" for {self.secret}/{self.revision}" if self.revision else ""
        return f"running {self.name} hook{about}"


@dataclass
class Scope:
    """What one unit's agent remembers of one relation that it entered."""

    members: dict[str, int] = field(default_factory=dict)
    apps: dict[str, int] = field(default_factory=dict)
    changed_pending: str = ""
    created: bool = False
    stale: bool = False
    cached: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass
class Unit:
    """A unit, with the state that its agent keeps."""

    name: str
    machine: str
    workload: Status
    agent: Status
    life: str = ALIVE
    forced: bool = False
    charm: str = ""
    installed: bool = False
    started: bool = False
    elected: bool = False
    settings_told: bool = False
    expired_told: list[str] = field(default_factory=list)
    config_pending: int = 1
    hook: Hook | None = None
    queued: list[str] = field(default_factory=list)
    failed: bool = False
    failed_since: float = 0.0
    retries: int = 0
    retry_at: float = 0.0
    resolved: str = ""
    # Its events but update-status are committed without running the charm: a fault of the lab's.
    skips_hooks: bool = False
    update_status_at: float = 0.0
    ports: dict[str, list[str]] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    scopes: dict[str, Scope] = field(default_factory=dict)

    @property
    def application(self) -> str:
        """The name of the unit's application."""
        return self.name.partition("/")[0]

    @property
    def number(self) -> int:
        """The number after the slash."""
        return int(self.name.partition("/")[2])

    def set_agent(self, current: str, message: str, now: float) -> None:
        """Set what the agent does."""
        self.agent = Status(current, message, now)

    def set_workload(self, current: str, message: str, now: float) -> None:
        """Set the workload's status."""
        self.workload = Status(current, message, now)

    def shown(self) -> Status:
        """Return the workload status that `juju status` prints."""
        if not self.failed or not self.hook:
            return self.workload
        return Status("error", f'hook failed: "{self.hook.name}"', self.failed_since)


@dataclass
class Application:
    """An application."""

    name: str
    charm: str
    base: str
    life: str = ALIVE
    exposed: bool = False
    trust: bool = False
    config: dict[str, Any] = field(default_factory=dict)
    constraints: str | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    status: Status | None = None
    version: str = ""
    leader: str = ""
    lease_until: float = 0.0
    renewed: float = 0.0


@dataclass
class Relation:
    """A relation with its databags and who is in it."""

    id: int
    endpoints: list[Endpoint]
    since: float
    life: str = ALIVE
    bags: dict[str, dict[str, str]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    scope: list[str] = field(default_factory=list)

    @property
    def is_peer(self) -> bool:
        """Whether it is an application's relation with itself."""
        return len(self.endpoints) == 1

    @property
    def key(self) -> str:
        """The relation as secrets name it in their access scopes."""
        ends = (str(one).replace(":", ".") for one in self.endpoints)
        return "#".join(sorted(ends, reverse=True))

    def own(self, app: str) -> Endpoint:
        """Return the side of an application."""
        return next(one for one in self.endpoints if one.application == app)

    def remote(self, app: str) -> Endpoint:
        """Return the other side, which is the same one for peers."""
        return next((one for one in self.endpoints if one.application != app), self.endpoints[0])

    def write(self, owner: str, changes: dict[str, str]) -> None:
        """Apply changes to a databag; nothing happens when they change nothing."""
        bag = self.bags.setdefault(owner, {})
        after = {key: value for key, value in {**bag, **changes}.items() if value != ""}
        if after != bag:
            self.bags[owner] = dict(sorted(after.items()))
            self.versions[owner] = self.versions.get(owner, 0) + 1


@dataclass
class Consumer:
    """What one unit tracks of a secret."""

    revision: int = 0
    notified: int = 0
    label: str = ""


@dataclass
class Revision:
    """One revision of a secret's content."""

    content: dict[str, str]
    created: float
    expires: float = 0.0
    obsolete_told: bool = False


@dataclass
class Secret:
    """A secret; its owner is a unit, an application or, when empty, the model."""

    id: str
    owner: str
    created: float
    updated: float
    label: str = ""
    description: str = ""
    rotate: str = "never"
    rotate_at: float = 0.0
    latest: int = 0
    auto_prune: bool = False
    revisions: dict[str, Revision] = field(default_factory=dict)
    grants: dict[str, str] = field(default_factory=dict)
    consumers: dict[str, Consumer] = field(default_factory=dict)


@dataclass
class Task:
    """An action or a command that a unit or machine runs."""

    id: str
    receiver: str
    name: str
    parameters: dict[str, Any]
    enqueued: float
    status: str = "pending"
    message: str = ""
    results: dict[str, Any] = field(default_factory=dict)
    log: list[list[Any]] = field(default_factory=list)
    started: float = 0.0
    context: str = ""

    @property
    def is_exec(self) -> bool:
        """Whether it is a command of `juju exec`, not an action."""
        return self.name == "juju-exec"


@dataclass
class Model:
    """One model with all that is in it."""

    name: str
    uuid: str
    since: float
    life: str = ALIVE
    config: dict[str, Any] = field(default_factory=dict)
    charms: dict[str, Charm] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    applications: dict[str, Application] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    relations: dict[str, Relation] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    juju: str = versions.DEFAULT

    @property
    def version(self) -> versions.Version:
        """The Juju that the model has."""
        return versions.VERSIONS[self.juju]

    def take(self, sequence: str) -> int:
        """Return the next number of a sequence; numbers are never used twice."""
        number = self.sequences.get(sequence, 0)
        self.sequences[sequence] = number + 1
        return number

    def option(self, name: str) -> Any:
        """Return a value of the model's configuration."""
        return self.config.get(name, MODEL_DEFAULTS.get(name))

    def application(self, name: str) -> Application:
        """Return an application; one that is not there is refused."""
        if name in self.applications:
            return self.applications[name]
        raise JujuError(f'application "{name}" not found (not found)')

    def unit(self, name: str) -> Unit:
        """Return a unit; one that is not there is refused."""
        if name in self.units:
            return self.units[name]
        raise JujuError(f'unit "{name}" not found')

    def units_of(self, app: str) -> list[Unit]:
        """Return an application's units by number."""
        found = (unit for unit in self.units.values() if unit.application == app)
        return sorted(found, key=lambda unit: unit.number)

    def units_on(self, machine: str) -> list[Unit]:
        """Return the units of a machine."""
        return [unit for unit in self.units.values() if unit.machine == machine]

    def relations_of(self, app: str) -> list[Relation]:
        """Return the relations that an application takes part in."""
        found = self.relations.values()
        return [one for one in found if any(end.application == app for end in one.endpoints)]

    def charm_of(self, app: str) -> Charm:
        """Return the charm of an application."""
        return self.charms[self.applications[app].charm]

    def is_leader(self, unit: str) -> bool:
        """Tell whether a unit holds its application's lease."""
        app = self.applications.get(unit.partition("/")[0])
        return app is not None and app.leader == unit

    def settings(self, app: str) -> dict[str, Any]:
        """Return all options of an application with their values, set or default."""
        options, config = self.charm_of(app).options, self.applications[app].config
        return {key: config.get(key, options[key].get("default")) for key in sorted(options)}

    def app_status(self, app: str) -> Status:
        """Return an application's status: what its leader set, or its worst unit's."""
        found = self.applications[app]
        if found.status:
            return found.status
        shown = [unit.shown() for unit in self.units_of(app)]
        if not shown:
            return Status("unknown")
        return min(shown, key=lambda status: SEVERITY.index(status.current))


def tag(unit: str) -> str:
    """Return a unit's name as paths and logs have it."""
    return "unit-" + unit.replace("/", "-")


def seconds(text: str) -> float:
    """Return a duration such as 1h5m, 2m or 30s in seconds."""
    if re.fullmatch(r"([\d.]+[hms])*[\d.]+", text):
        raise ValueError(f"time: missing unit in duration {text!r}")
    if not re.fullmatch(r"([\d.]+[hms])+", text):
        raise ValueError(f"time: invalid duration {text!r}")
    return sum(float(one[:-1]) * UNIT_S[one[-1]] for one in re.findall(r"[\d.]+[hms]", text))
