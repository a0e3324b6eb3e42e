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
from typing import Any

from . import actions, environment, machine_tools, uniter
from .hooktools import NAMES, HookContext
from .machines import Completed, MachineError, Machines
from .model import Hook, JujuError, Model, Task, Unit, tag
from .stage import LabError
from .store import Store, World

logger = logging.getLogger(__name__)
# What a shell reports for SIGKILL and SIGTERM: such a hook is run again, it has not failed.
KILLED = (137, 143, -9, -15)
IDLE_S = 1.0
# Only time makes work for an idle unit that nobody has changed: update-status, a secret's expiry.
SETTLED_S = 5.0
OPERATION = "juju.worker.uniter.operation"


@dataclass
class Runtime:
    """What all agents of a daemon share."""

    store: Store
    machines: Machines
    gateway: str
    rng: random.Random
    home: str = machine_tools.HOME
    contexts: dict[str, HookContext] = field(default_factory=dict)
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

    def _find(self, world: World) -> tuple[Model, Unit] | None:
        model = world.models.get(self._model_name)
        unit = model.units.get(self._unit_name) if model else None
        return (model, unit) if model and unit else None

    def _step(self) -> bool:
        """Run one event if there is one; tell whether the unit still exists."""
        with self._store.look() as world:
            if not (found := self._find(world)):
                return False
            model, unit = found
            machine = model.machines[unit.machine]
            if not machine.present or not self.has_work(model, unit):
                self._store.changed.wait(IDLE_S if unit.failed else SETTLED_S)
                return True
        with self._runtime.machine_lock(machine.slot):
            self._run_next(machine.slot)
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
            found = self._find(world)
            if not found or not found[0].machines[found[1].machine].present:
                return
            model, unit = found
            uniter.leave_uncreated(model, unit)
            if uniter.is_dead(unit):
                uniter.remove_unit(model, unit.name)
                return
            if uniter.may_skip(unit):
                uniter.finish(model, unit, now, rng)
                return
            uniter.enter_scopes(model, unit)
            task, hook = None, uniter.urgent_hook(model, unit, now, rng)
            if not hook and not (task := _waiting_task(model, unit)):
                hook = uniter.next_hook(model, unit, now, rng)
            left = _left_over(model, unit.machine)
            if hook:
                hook = replace(hook, context=_context_id(unit.name, hook.name))
                uniter.begin(model, unit, hook, now)
            elif task:
                _begin_task(model, unit, task, now)
        if left:
            argv = ["python3", "-c", machine_tools.KILL, *left]
            self._runtime.machines.exec(slot, argv)
        if hook:
            self._run_hook(slot, hook)
        elif task and task.status == "running":
            self._run_task(slot, task)

    # Hooks.

    def _run_hook(self, slot: str, hook: Hook) -> None:
        if hook.kind in ("install", "upgrade-charm"):
            self._unpack(slot)
        context = self._context(hook=hook)
        with self._store.look():
            is_skipped = context.unit.skips_hooks and hook.kind != "update-status"
        done = Completed(0, b"", b"")
        if not is_skipped:
            done = self._dispatch(slot, context, hook.context, environment.of_hook(hook))
        self._log_output(context, hook, done)
        if done.returncode in KILLED:
            self._runtime.stopping.wait(IDLE_S)
            return
        if done.returncode and self._runtime.machines.is_ending(slot):
            # Juju's agent ends with its machine, and runs the event again after the boot.
            raise MachineError(f"machine {slot} shuts down")
        failure = f"exit status {done.returncode}" if done.returncode else ""
        if not failure and (failure := self._commit(context)):
            context.log("ERROR", "juju.worker.uniter.context", f"cannot apply changes: {failure}")
        via = "(via hook dispatching script: dispatch)"
        if failure:
            context.log("ERROR", OPERATION, f'hook "{hook.name}" {via} failed: {failure}')
            with self._store.change() as world:
                if self._find(world):
                    uniter.fail(context.unit, time.time(), self._runtime.rng)
            return
        word = "skipped" if is_skipped else "ran"
        context.log("INFO", OPERATION, f'{word} "{hook.name}" hook {via}')
        if context.reboot:
            self._runtime.machines.exec(slot, ["systemctl", "reboot"])

    def _log_output(self, context: HookContext, hook: Hook, done: Completed) -> None:
        for text, level in ((done.stdout, "DEBUG"), (done.stderr, "WARNING")):
            for line in text.decode(errors="replace").splitlines():
                context.log(level, f"unit.{self._unit_name}.{hook.name}", line)

    def _context(self, **what: Any) -> HookContext:
        gateway = self._runtime.gateway
        return HookContext(self._store, self._model_name, self._unit_name, gateway=gateway, **what)

    def _commit(self, context: HookContext) -> str:
        """Apply what an event or action asked for; return why that was refused."""
        now = time.time()
        try:
            with self._store.change() as world:
                if not self._find(world):
                    return "the unit is gone"
                model, unit = context.model, context.unit
                if context.hook and not model.machines[unit.machine].present:
                    # The controller could not hear it.
                    raise MachineError(f"machine {unit.machine} cannot be reached")
                context.flush(now)
                if context.hook:
                    uniter.finish(model, unit, now, self._runtime.rng)
                if uniter.is_dead(unit):
                    uniter.remove_unit(model, unit.name)
        except JujuError as error:
            return str(error)
        return ""

    def _dispatch(
        self, slot: str, context: HookContext, context_id: str, extra: dict[str, str]
    ) -> Completed:
        """Run the charm, or the command of `juju exec`, with a context around it."""
        runtime, task = self._runtime, context.task
        with self._store.look():
            env = environment.base(runtime.home, runtime.gateway, context.model, context.unit)
        env |= extra | {"JUJU_CONTEXT_ID": context_id}
        argv = [f"{env['CHARM_DIR']}/dispatch"]
        if task and task.is_exec:
            argv = ["/bin/bash", "-c", task.parameters["command"]]
        runtime.contexts[context_id] = context
        try:
            return runtime.machines.exec(slot, argv, env=env, cwd=env["CHARM_DIR"])
        finally:
            del runtime.contexts[context_id]

    def _unpack(self, slot: str) -> None:
        """Put the application's charm into the unit's directory, and its tools beside."""
        with self._store.look() as world:
            model = world.models[self._model_name]
            charm = model.charm_of(self._unit_name.partition("/")[0])
            unit = model.units[self._unit_name]
            # A failed upgrade-charm is tried again as it is: a unit in error is not upgraded.
            if unit.charm == charm.url or unit.retries:
                return
        home, name = self._runtime.home, tag(self._unit_name)
        archive = f"{home}/lab/charms/{charm.archive}"
        places = [archive, f"{home}/agents/{name}", f"{home}/tools/{name}", f"{home}/lab/jujuc"]
        argv = ["python3", "-c", machine_tools.UNPACK, *places, charm.url, *NAMES]
        done = self._runtime.machines.exec(slot, argv)
        if done.returncode:
            raise MachineError(f"cannot unpack {charm.url}: {done.stderr.decode()}")
        with self._store.change() as world:
            world.models[self._model_name].units[self._unit_name].charm = charm.url

    # Actions and commands.

    def _run_task(self, slot: str, task: Task) -> None:
        context = self._context(task=task)
        try:
            done = self._dispatch(slot, context, task.context, environment.of_task(task))
        except LabError as error:
            done = Completed(-1, b"", str(error).encode())
        results = {**context.results, **results_of(done)}
        status, message = "completed", ""
        if done.returncode and not task.is_exec:
            status, message = "failed", f"exit status {done.returncode}"
        elif done.returncode >= 0 and (refused := self._commit(context)):
            # Of `juju exec` what it asked for is applied whatever it ended with (recording 23).
            status, message = "failed", "committing requested changes failed"
            results["stderr"] = results.get("stderr", "") + refused
        elif context.failure is not None and not done.returncode:
            status, message = "failed", context.failure
        with self._store.change() as world:
            model = world.models[self._model_name]
            kept = model.tasks[task.id]
            if kept.status != "running":
                return
            kept.status, kept.message, kept.results = status, message, results
            kept.context = ""
            if unit := model.units.get(self._unit_name):
                unit.set_agent("idle", "", time.time())


def _context_id(unit: str, name: str) -> str:
    return f"{unit}-{name}-{tokens.token_hex(16)}"


def _left_over(model: Model, machine: str) -> list[str]:
    """Forget and return what ran on a machine when the last daemon died; all else has ended."""
    units = {unit.name: unit for unit in model.units_on(machine)}
    tasks = [task for task in model.tasks.values() if task.receiver in units]
    ran = [one for one in (*(unit.hook for unit in units.values()), *tasks) if one and one.context]
    contexts = [one.context for one in ran]
    for one in ran:
        one.context = ""
    return contexts


def _waiting_task(model: Model, unit: Unit) -> Task | None:
    """Return the task that a unit may run next: even in error, but not before install."""
    if not unit.installed or unit.queued or (unit.hook and not unit.failed):
        return None
    waiting = (task for task in model.tasks.values() if task.receiver == unit.name)
    return next((task for task in waiting if task.status == "pending"), None)


def _begin_task(model: Model, unit: Unit, task: Task, now: float) -> None:
    """Note that a task starts, unless its parameters do not fit its action."""
    if not task.is_exec:
        schema = model.charm_of(unit.application).actions[task.name]
        problem = actions.problem(schema, task.parameters)
        task.parameters = actions.with_defaults(schema, task.parameters)
        if problem:
            task.status = "error"
            task.message = f'cannot run "{task.name}" action: validation failed: {problem}'
            return
    task.status, task.started = "running", now
    task.context = _context_id(unit.name, task.name)
    unit.set_agent("executing", f"running action {task.name}", now)


def results_of(done: Completed) -> dict[str, Any]:
    """Return what a command left, as a task's results have it."""
    results: dict[str, Any] = {"return-code": done.returncode}
    for name, text in (("stdout", done.stdout), ("stderr", done.stderr)):
        if text:
            results[name] = text.decode(errors="replace")
    return results


def machine_command(command: str) -> list[str]:
    """Return how `juju exec --machine` runs a command: as ubuntu, where that user exists."""
    run = f"/bin/bash -c {shlex.quote(command)}"
    as_ubuntu = f"if id ubuntu >/dev/null 2>&1; then exec runuser -u ubuntu -- {run}; fi"
    return ["/bin/sh", "-c", f"{as_ubuntu}; exec {run}"]
