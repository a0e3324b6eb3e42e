# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What Juju's unit agent does: choose an event, run it in the machine, commit it."""

import logging
import random
import secrets as tokens
import shlex
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from . import actions, environment, machine_tools, uniter
from .hooktools import NAMES, Context
from .machines import Completed, MachineError
from .model import Hook, JujuError, Model, Task, Unit
from .stage import LabError
from .store import Store

logger = logging.getLogger(__name__)
# What a shell reports for SIGKILL and SIGTERM: such a hook is run again, it has not failed.
KILLED = (137, 143, -9, -15)
IDLE_S = 1.0


class MachinesAPI(Protocol):
    """What the agents need of the machines."""

    def create(self, number: str) -> None:
        """Bring up a machine."""

    def delete(self, number: str) -> None:
        """Delete a machine."""

    def instance_id(self, number: str) -> str:
        """Return the name of a machine's container."""
        ...

    def address(self, number: str) -> str:
        """Return a machine's address."""
        ...

    def state(self, number: str) -> str:
        """Return running, stopped, frozen or absent."""
        ...

    def boot_id(self, number: str) -> str | None:
        """Return what changes with every boot."""
        ...

    def exec(
        self,
        number: str,
        argv: list[str],
        *,
        env: dict[str, str] | None = None,
        cwd: str = "/",
        stdin: bytes = b"",
        timeout_s: float | None = None,
    ) -> Completed:
        """Run a command in a machine."""
        ...


@dataclass
class Runtime:
    """What all agents of a daemon share."""

    store: Store
    machines: MachinesAPI
    hooks: Path
    gateway: str
    rng: random.Random
    home: str = machine_tools.HOME
    contexts: dict[str, Context] = field(default_factory=dict)
    stopping: threading.Event = field(default_factory=threading.Event)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)

    def machine_lock(self, slot: str) -> threading.Lock:
        """Return the lock that lets one dispatch at a time run on a machine."""
        with self.store.look():
            return self._locks.setdefault(slot, threading.Lock())


class UnitAgent(threading.Thread):
    """One unit's agent."""

    def __init__(self, runtime: Runtime, model: str, unit: str) -> None:
        super().__init__(name=f"{model}:{unit}", daemon=True)
        self._runtime, self._store = runtime, runtime.store
        self._model_name, self._unit_name = model, unit

    # The loop.

    def run(self) -> None:
        """Run events until the unit is gone."""
        while not self._runtime.stopping.is_set():
            try:
                if not self._step():
                    return
            except LabError as error:
                # The event stays the unit's; it is run again when the machine is back.
                logger.info("%s: %s", self._unit_name, error)
                self._runtime.stopping.wait(IDLE_S)
            except Exception:
                # A defect of the lab's own must not end an agent: it is logged, then tried again.
                logger.exception("agent of %s", self._unit_name)
                self._runtime.stopping.wait(IDLE_S)

    def _step(self) -> bool:
        """Run one event if there is one; tell whether the unit still exists."""
        with self._store.look() as world:
            found = world.models.get(self._model_name)
            unit = found.units.get(self._unit_name) if found else None
            if not found or not unit:
                return False
            machine = found.machines[unit.machine]
            if not machine.present or not self.has_work(found, unit):
                self._store.changed.wait(IDLE_S)
                return True
            slot = machine.slot
        with self._runtime.machine_lock(slot):
            self._run_next(slot)
        return True

    def has_work(self, model: Model, unit: Unit) -> bool:
        """Tell whether the unit has anything to run or settle."""
        rng = random.Random(0)  # noqa: S311 - it shuffles, it keeps no secret
        return bool(
            uniter.is_dead(unit)
            or uniter.may_skip(unit)
            or _waiting_task(model, unit)
            or uniter.wants_scopes(model, unit)
            or uniter.next_hook(model, unit, time.time(), rng)
        )

    def _run_next(self, slot: str) -> None:
        """Choose again under the machine's lock, and run."""
        now, rng = time.time(), self._runtime.rng
        with self._store.change() as world:
            found = world.models.get(self._model_name)
            unit = found.units.get(self._unit_name) if found else None
            if not found or not unit or not found.machines[unit.machine].present:
                return
            uniter.leave_uncreated(found, unit)
            if uniter.is_dead(unit):
                uniter.remove_unit(found, unit.name)
                return
            if uniter.may_skip(unit):
                uniter.finish(found, unit, now, rng)
                return
            uniter.enter_scopes(found, unit)
            task, hook = None, uniter.urgent_hook(found, unit, now, rng)
            if not hook and not (task := _waiting_task(found, unit)):
                hook = uniter.next_hook(found, unit, now, rng)
            leftover = hook.context if hook else ""
            if hook:
                hook = replace(hook, context=_context_id(unit.name, hook.name))
                uniter.begin(found, unit, hook, now)
            elif task:
                self._begin_task(found, unit, task, now)
        if leftover:
            self._kill(slot, leftover)
        if hook:
            self._run_hook(slot, hook)
        elif task:
            self._run_task(slot, task)

    # Hooks.

    def _run_hook(self, slot: str, hook: Hook) -> None:
        if hook.kind in ("install", "upgrade-charm"):
            self._unpack(slot)
        context = Context(self._store, self._model_name, self._unit_name, hook=hook)
        done = self._dispatch(
            slot, context, hook.context, f"hooks/{hook.name}", environment.of_hook(hook)
        )
        for text, level in ((done.stdout, "DEBUG"), (done.stderr, "WARNING")):
            for line in text.decode(errors="replace").splitlines():
                context.log(level, f"unit.{self._unit_name}.{hook.name}", line)
        if done.returncode in KILLED:
            self._runtime.stopping.wait(IDLE_S)
            return
        failure = f"exit status {done.returncode}" if done.returncode else ""
        if not failure:
            failure = self._commit(context)
        operation, via = "juju.worker.uniter.operation", "(via hook dispatching script: dispatch)"
        if failure:
            context.log("ERROR", operation, f'hook "{hook.name}" {via} failed: {failure}')
            with self._store.change():
                uniter.fail(context.unit, time.time(), self._runtime.rng)
            return
        context.log("INFO", operation, f'ran "{hook.name}" hook {via}')
        if context.reboot:
            self._runtime.machines.exec(slot, ["systemctl", "reboot"])

    def _commit(self, context: Context) -> str:
        """Apply what the hook asked for; return why that was refused."""
        now = time.time()
        try:
            with self._store.change():
                self._require_contact()
                context.flush(now)
                uniter.finish(context.model, context.unit, now, self._runtime.rng)
                if uniter.is_dead(context.unit):
                    uniter.remove_unit(context.model, self._unit_name)
        except JujuError as error:
            context.log("ERROR", "juju.worker.uniter.context", f"cannot apply changes: {error}")
            return str(error)
        return ""

    def _require_contact(self) -> None:
        """Refuse to commit for a machine that the controller could not hear."""
        model = self._store.world.models[self._model_name]
        machine = model.machines[model.units[self._unit_name].machine]
        if not machine.present:
            raise MachineError(f"machine {machine.number} cannot be reached")

    def _dispatch(
        self, slot: str, context: Context, context_id: str, path: str, extra: dict[str, str]
    ) -> Completed:
        with self._store.look():
            env = self._environment(context, context_id) | extra
        env["JUJU_DISPATCH_PATH"] = path
        return self._exec(slot, context, context_id, [f"{env['CHARM_DIR']}/dispatch"], env)

    def _exec(
        self, slot: str, context: Context, context_id: str, argv: list[str], env: dict[str, str]
    ) -> Completed:
        """Run a command with a hook's context around it."""
        self._runtime.contexts[context_id] = context
        try:
            return self._runtime.machines.exec(slot, argv, env=env, cwd=env["CHARM_DIR"])
        finally:
            del self._runtime.contexts[context_id]

    def _environment(self, context: Context, context_id: str) -> dict[str, str]:
        runtime = self._runtime
        return environment.base(
            runtime.home, runtime.gateway, context.model, context.unit, context_id
        )

    def _unpack(self, slot: str) -> None:
        """Put the application's charm into the unit's directory, and its tools beside."""
        with self._store.look() as world:
            model = world.models[self._model_name]
            charm = model.charm_of(self._unit_name.partition("/")[0])
            if model.units[self._unit_name].charm == charm.url:
                return
        home, name = self._runtime.home, environment.tag(self._unit_name)
        archive = f"{home}/lab/charms/{charm.archive}"
        places = [archive, f"{home}/agents/{name}", f"{home}/tools/{name}", f"{home}/lab/jujuc"]
        argv = ["python3", "-c", machine_tools.UNPACK, *places, charm.url, *NAMES]
        done = self._runtime.machines.exec(slot, argv)
        if done.returncode:
            raise MachineError(f"cannot unpack {charm.url}: {done.stderr.decode()}")
        with self._store.change() as world:
            world.models[self._model_name].units[self._unit_name].charm = charm.url

    def _kill(self, slot: str, context_id: str) -> None:
        self._runtime.machines.exec(slot, ["python3", "-c", machine_tools.KILL, context_id])

    # Actions and commands.

    def _begin_task(self, model: Model, unit: Unit, task: Task, now: float) -> None:
        problem = ""
        if task.name != "juju-exec":
            schema = model.charm_of(unit.application).actions[task.name]
            problem = actions.problem(schema, task.parameters)
            task.parameters = actions.with_defaults(schema, task.parameters)
        if problem:
            task.status, task.completed = "error", now
            task.message = f'cannot run "{task.name}" action: validation failed: {problem}'
            return
        task.status, task.started = "running", now
        task.context = _context_id(unit.name, task.name)
        unit.set_agent("executing", f"running action {task.name}", now)

    def _run_task(self, slot: str, task: Task) -> None:
        if task.status != "running":
            return
        context = Context(self._store, self._model_name, self._unit_name, task=task)
        extra = {
            "JUJU_ACTION_NAME": task.name,
            "JUJU_ACTION_TAG": f"action-{task.id}",
            "JUJU_ACTION_UUID": task.id,
        }
        try:
            if task.name == "juju-exec":
                done = self._run_command(slot, context, task, extra)
            else:
                path = f"actions/{task.name}"
                done = self._dispatch(slot, context, task.context, path, extra)
        except LabError as error:
            done = Completed(-1, b"", str(error).encode())
        self._end_task(context, task, done)

    def _run_command(
        self, slot: str, context: Context, task: Task, extra: dict[str, str]
    ) -> Completed:
        with self._store.look():
            env = self._environment(context, task.context) | extra
        argv = ["/bin/bash", "-c", task.parameters["command"]]
        return self._exec(slot, context, task.context, argv, env)

    def _end_task(self, context: Context, task: Task, done: Completed) -> None:
        results: dict[str, Any] = {**context.results, "return-code": done.returncode}
        for name, text in (("stdout", done.stdout), ("stderr", done.stderr)):
            if text:
                results[name] = text.decode(errors="replace")
        status, message = "completed", ""
        if done.returncode:
            status = "completed" if task.name == "juju-exec" else "failed"
            message = "" if task.name == "juju-exec" else f"exit status {done.returncode}"
        elif refused := self._commit_task(context):
            status, message = "failed", "committing requested changes failed"
            results["stderr"] = results.get("stderr", "") + refused
        elif context.failure is not None:
            status, message = "failed", context.failure
        with self._store.change() as world:
            model, now = world.models[self._model_name], time.time()
            kept = model.tasks[task.id]
            kept.status, kept.message, kept.results = status, message, results
            kept.completed = now
            if unit := model.units.get(self._unit_name):
                unit.set_agent("idle", "", now)

    def _commit_task(self, context: Context) -> str:
        try:
            with self._store.change():
                context.flush(time.time())
        except JujuError as error:
            return str(error)
        return ""


def _context_id(unit: str, name: str) -> str:
    return f"{unit}-{name}-{tokens.token_hex(16)}"


def _waiting_task(model: Model, unit: Unit) -> Task | None:
    """Return the task that a unit may run next: even in error, but not before install."""
    if not unit.installed or unit.queued or (unit.hook and not unit.failed):
        return None
    waiting = (task for task in model.tasks.values() if task.receiver == unit.name)
    return next((task for task in waiting if task.status == "pending"), None)


def machine_command(command: str) -> list[str]:
    """Return how `juju exec --machine` runs a command: as ubuntu, where that user exists."""
    quoted = shlex.quote(command)
    as_ubuntu = f"exec runuser -u ubuntu -- /bin/bash -c {quoted}"
    return [
        "/bin/sh",
        "-c",
        f"if id ubuntu >/dev/null 2>&1; then {as_ubuntu}; fi; exec /bin/bash -c {quoted}",
    ]
