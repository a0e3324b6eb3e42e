# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The hook tools: what a charm may ask and set while one of its events runs."""

import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import output, ports, uniter
from .arguments import UsageError
from .model import DYING, JujuError, Status, Task, Unit, tag
from .network_tools import NetworkTools
from .secret_tools import SecretTools
from .toolcall import Call, parse

STATUSES = ("maintenance", "blocked", "waiting", "active")
KEY_RULE = (
    "must start and end with lowercase alphanumeric, and contain only lowercase alphanumeric "
    "and hyphens"
)
# What a tool says that is called without any word.
MISSING = {
    "application-version-set": "no version specified",
    "close-port": "no port or range specified",
    "juju-log": "no message specified",
    "network-get": "no arguments specified",
    "open-port": "no port or range specified",
    "resource-get": "missing required resource name",
    "secret-grant": "missing secret URI",
    "secret-remove": "missing secret URI",
    "secret-revoke": "missing secret URI",
    "secret-set": "missing secret URI",
    "storage-add": "storage name required",
    "status-set": "invalid args, require <status> [message]",
}
ACTION_KEY = re.compile(r"[a-z0-9](([a-z0-9-]*)?[a-z0-9])?")


class HookContext(SecretTools, NetworkTools):
    """One event or action with all its tools: the tool `is-leader` is `_do_is_leader`."""

    def call(
        self, tool: str, args: Sequence[str], files: Mapping[str, str]
    ) -> tuple[int, str, str]:
        """Run one tool; return its exit code, standard output and standard error."""
        if "--help" in args or "-h" in args:
            return 0, f"Usage: {tool} [options]\n", ""
        run: Callable[[Call], Any] = getattr(self, f"_do_{tool.replace('-', '_')}")
        try:
            call = parse(tool, args, files)
            if tool in MISSING and not call.words:
                raise UsageError(MISSING[tool])
            answer = run(call)
        except UsageError as error:
            return 2, "", f"ERROR {error}\n"
        except JujuError as error:
            return 1, "", f"ERROR {error}\n"
        return 0, _show(answer, call.get("format", "smart")), ""

    # Configuration, leadership, statuses, versions, logs.

    def _do_config_get(self, call: Call) -> Any:
        settings = self.model.settings(self.app_name)
        if call.words:
            return settings.get(call.words[0])
        every = call.flag("all")
        return {key: value for key, value in settings.items() if every or value is not None}

    def _do_is_leader(self, call: Call) -> bool:
        return self.is_leader

    def _do_status_get(self, call: Call) -> Any:
        if call.flag("application"):
            self.require_leader("finding application status: ")
            found = self.model.app_status(self.app_name)
            if not call.flag("include-data"):
                return _status_word(found, call)
            units = self.model.units_of(self.app_name)
            about = {unit.name: _full_status(unit.workload) for unit in units}
            return {"application-status": {**_full_status(found), "units": about}}
        # Read once a hook: a status-set after it does not show (recording 22).
        self.status = self.status or self.unit.workload
        full = call.flag("include-data")
        return _full_status(self.status) if full else _status_word(self.status, call)

    def _do_status_set(self, call: Call) -> None:
        current, message = call.words[0], " ".join(call.words[1:])
        if current not in STATUSES:
            raise UsageError(f'invalid status "{current}", expected one of [{" ".join(STATUSES)}]')
        with self.store.change():
            if not call.flag("application"):
                self.unit.set_workload(current, message, time.time())
                return
            self.require_leader()
            self.model.applications[self.app_name].status = Status(current, message, time.time())

    def _do_application_version_set(self, call: Call) -> None:
        with self.store.change():
            self.model.applications[self.app_name].version = call.words[0]

    def _do_juju_log(self, call: Call) -> None:
        level = "DEBUG" if call.flag("debug") else call.get("log-level", "INFO").upper()
        self.log(level, f"unit.{self.unit_name}.juju-log", " ".join(call.words))

    # Ports.

    def _ports(self) -> dict[str, list[str]]:
        """Return the unit's open ports by endpoint, with what waits for the commit."""
        if self.opened is None:
            self.opened = {key: list(value) for key, value in self.unit.ports.items()}
        return self.opened

    def _do_open_port(self, call: Call) -> None:
        wanted = self._port(call)
        if clash := ports.clash(self.model, self.unit, self._ports(), wanted):
            raise JujuError(f'cannot open {wanted} (unit "{self.unit_name}"): {clash}')
        for endpoint in call.get("endpoints").split(","):
            found = self._ports().setdefault(endpoint, [])
            if wanted not in found:
                found.append(wanted)

    def _do_close_port(self, call: Call) -> None:
        wanted = self._port(call)
        for endpoint in call.get("endpoints").split(","):
            for name in [endpoint] if endpoint else self._ports():
                if wanted in self._ports().get(name, []):
                    self._ports()[name].remove(wanted)

    def _port(self, call: Call) -> str:
        try:
            return ports.parse(call.words[0])
        except JujuError as error:
            raise UsageError(str(error)) from error

    def _do_opened_ports(self, call: Call) -> list[str]:
        found: dict[str, list[str]] = {}
        for endpoint, ranges in self._ports().items():
            for one in ranges:
                found.setdefault(one, []).append(endpoint or "*")
        told = call.flag("endpoints")
        ranges = sorted(found, key=ports.order)
        return [f"{one} ({', '.join(sorted(found[one]))})" if told else one for one in ranges]

    # The unit's own state, the model's goal.

    def _states(self) -> dict[str, str]:
        if self.state is None:
            self.state = dict(self.unit.state)
        return self.state

    def _do_state_get(self, call: Call) -> Any:
        if call.words and call.words[0] != "-":
            return self._states().get(call.words[0], Ellipsis)
        state = dict(sorted(self._states().items()))
        return None if self.model.version.prints_null_state and not state else state

    def _do_state_set(self, call: Call) -> None:
        self._states().update(call.pairs())

    def _do_state_delete(self, call: Call) -> None:
        if call.words:
            self._states().pop(call.words[0], None)

    def _do_goal_state(self, call: Call) -> dict[str, Any]:
        model = self.model
        units = {unit.name: _goal(unit) for unit in model.units_of(self.app_name)}
        related: dict[str, dict[str, Any]] = {}
        for relation in model.relations_of(self.app_name):
            if relation.is_peer:
                continue
            goals = related.setdefault(relation.own(self.app_name).name, {})
            remote = relation.remote(self.app_name).application
            status = "joined" if relation.scope else "joining"
            goals[remote] = {"status": status, "since": output.iso_space(relation.since)}
            goals |= {unit.name: _goal(unit) for unit in model.units_of(remote)}
        if model.version.mixes_goals:
            every = {name: goal for goals in related.values() for name, goal in goals.items()}
            related = dict.fromkeys(related, every)
        by_name = {name: dict(sorted(related[name].items())) for name in sorted(related)}
        return {"units": units, "relations": by_name}

    # Actions.

    def _action(self) -> Task:
        if self.task is None or self.task.is_exec:
            raise JujuError("not running an action")
        return self.task

    def _do_action_get(self, call: Call) -> Any:
        value: Any = self._action().parameters
        for key in call.words[0].split(".") if call.words else []:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def _do_action_set(self, call: Call) -> None:
        self._action()
        for word in call.words:
            path, equals, value = word.partition("=")
            if not equals:
                raise UsageError(f'argument "{word}" must be of the form key...=value')
            *parents, last = path.split(".")
            for key in (*parents, last):
                if not ACTION_KEY.fullmatch(key):
                    raise UsageError(f'key "{key}" {KEY_RULE}')
            where = self.results
            for key in parents:
                inner = where.get(key)
                where[key] = inner if isinstance(inner, dict) else {}
                where = where[key]
            where[last] = value

    def _do_action_fail(self, call: Call) -> None:
        self._action()
        no_reason = "action failed without reason given, check action for errors"
        self.failure = " ".join(call.words) or no_reason

    def _do_action_log(self, call: Call) -> None:
        task_id = self._action().id
        with self.store.change():
            self.model.tasks[task_id].log.append([time.time(), " ".join(call.words)])

    # The rest.

    def _do_juju_reboot(self, call: Call) -> None:
        if self.task is not None:
            raise JujuError("juju-reboot is not supported when running an action.")
        self.reboot = True
        if call.flag("now"):
            raise JujuError("juju-reboot --now is not part of the lab")

    def _do_credential_get(self, call: Call) -> None:
        raise JujuError("cannot access cloud credentials: permission denied")

    def _do_resource_get(self, call: Call) -> None:
        where = f"{self.gateway}:17070/model/{self.model.uuid}/units/{tag(self.unit_name)}"
        get = f"HTTP request failed: Get https://{where}/resources/{call.words[0]}"
        app = uuid.uuid5(uuid.UUID(self.model.uuid), self.app_name)
        getting = f"getting UUID of resource {call.words[0]} for application {app}"
        raise JujuError(f"could not download resource: {get}: {getting}: resource not found")

    def _do_storage_list(self, call: Call) -> list[str]:
        return []

    def _do_storage_get(self, call: Call) -> None:
        raise UsageError("no storage instance specified")

    def _do_storage_add(self, call: Call) -> None:
        # It is refused, with everything else of the hook, when that is committed.
        self.storage = self.storage or call.words[0].partition("=")[0]

    # The commit.

    def flush(self, now: float) -> None:
        """Apply all that was buffered; the store's change must be open around it."""
        model, unit = self.model, self.unit
        if self.storage:
            adding = f'preparing storage additions: preparing storage add "{self.storage}"'
            identity = uuid.uuid5(uuid.UUID(model.uuid), unit.name)
            getting = f'getting unit "{identity}" storage directive: storage name not supported'
            raise JujuError(f'{adding} for unit "{unit.name}": {getting}')
        for (key, owner), changes in self.writes.items():
            if relation := model.relations.get(key):
                if owner == self.app_name:
                    self.require_leader("executing leadership func: ")
                relation.write(owner, changes)
        for key in unit.scopes:
            uniter.write_addresses(model, model.relations[key], unit)
        if self.opened is not None:
            known = {"", *model.charm_of(self.app_name).endpoints}
            if unknown := sorted(set(self.opened) - known):
                identity = uuid.uuid5(uuid.UUID(model.uuid), unit.name)
                looking = f'update ports: looking up relation endpoint uuids for unit "{identity}"'
                named = f"[{' '.join(unknown)}] does exist on unit {identity}"
                raise JujuError(f"{looking}: invalid endpoint(s); {named}")
            unit.ports = {key: value for key, value in self.opened.items() if value}
        if self.state is not None:
            unit.state = self.state
        self.flush_secrets(now)


def _show(value: Any, style: str) -> str:
    if value is Ellipsis:
        return ""
    if style == "json":
        return output.to_json(value) + "\n"
    shown = {"yaml": output.to_yaml, "smart": output.to_smart}
    return shown[style](value) if style in shown else ""


def _status_word(status: Status, call: Call) -> Any:
    word = status.current
    return {"status": word} if call.get("format") in ("json", "yaml") else word


def _full_status(status: Status) -> dict[str, Any]:
    return {"message": status.message, "status": status.current, "status-data": {}}


def _goal(unit: Unit) -> dict[str, str]:
    # Not that an event failed: goal-state says what the unit set (recording 40).
    status = unit.workload
    word = "dying" if unit.life == DYING else status.current
    return {"status": word, "since": output.iso_space(status.since)}


NAMES = sorted(
    name.removeprefix("_do_").replace("_", "-")
    for name in dir(HookContext)
    if name.startswith("_do_")
)
