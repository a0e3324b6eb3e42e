# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The lab's controller: one process per stage that serves the client and runs the agents."""

import json
import logging
import os
import random
import socketserver
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import leases, machine_tools, uniter, versions
from .agent import Runtime, UnitAgent, machine_command, results_of
from .api import API
from .machines import Machines, reachable
from .model import ALIVE, DYING, JujuError, Machine, Model, Status
from .stage import LabError, Stage
from .store import Store, World

logger = logging.getLogger(__name__)
POLL_S = 1.0
PROVISION_RETRY_S = 10.0


class Daemon:
    """The threads around the store: servers, agents, provisioning, leases."""

    def __init__(self, stage: Stage, machines: Machines, seed: int) -> None:
        self._stage = stage
        fresh = World(seed, str(uuid.uuid4()), juju=stage.juju or versions.DEFAULT)
        self.store = Store(stage.state / "juju", fresh)
        rng = random.Random(self.store.world.seed)  # noqa: S311 - it shuffles
        self.runtime = Runtime(self.store, machines, str(stage.gateway), rng)
        self.api = API(self.store, stage.hooks / "charms", rng)
        self._machines = machines
        self._agents: dict[str, UnitAgent] = {}
        self._workers: dict[str, threading.Thread] = {}
        self._provision_slots = threading.BoundedSemaphore(2)

    def start(self) -> None:
        """Start all threads."""
        logger.info("stage %s, seed %s", self._stage.name, self.store.world.seed)
        self._interrupt_tasks()
        self._stage.hooks.mkdir(parents=True, exist_ok=True)
        program = self._stage.hooks / "jujuc"
        program.write_text(machine_tools.JUJUC)
        program.chmod(0o755)
        self._stage.run.mkdir(parents=True, exist_ok=True)
        (self._stage.run / "seed").write_text(str(self.store.world.seed))
        self._listen(self._stage.run / "api.sock", self._answer_client, mode=0o600)
        self._listen(self._stage.hooks / machine_tools.TOOL_SOCKET, self._answer_tool, mode=0o666)
        for loop in (self._supervise, self._watch_machines):
            threading.Thread(target=self._forever, args=(loop,), daemon=True).start()

    def _interrupt_tasks(self) -> None:
        """Fail the actions that ran when the last daemon ended."""
        with self.store.change() as world:
            for model in world.models.values():
                for task in model.tasks.values():
                    if task.status == "running":
                        task.status, task.message = "failed", "action terminated"
                        if unit := model.units.get(task.receiver):
                            unit.set_agent("idle", "", time.time())

    def _listen(self, path: Path, answer: Callable[[bytes], bytes], *, mode: int) -> None:
        """Answer one question a connection on a unix socket."""

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                if question := self.rfile.read():
                    self.wfile.write(answer(question))

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            request_queue_size = 128

        path.unlink(missing_ok=True)
        server = Server(str(path), Handler)
        path.chmod(mode)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def _forever(self, loop: Callable[[], None]) -> None:
        while not self.runtime.stopping.is_set():
            try:
                loop()
            except Exception:
                # A defect of one loop must not end it, nor the daemon: logged, then tried again.
                logger.exception("in %s", loop.__name__)
                self.runtime.stopping.wait(POLL_S)

    # Answers.

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Answer one call of the API."""
        call, params = getattr(self.api, question["method"]), question["params"]
        try:
            with self.store.change():
                if "model" in params:
                    params = {**params, "model": self.api.find(params["model"])}
                return {"result": call(**params)}
        except JujuError as error:
            return {"error": str(error)}

    def _answer_client(self, question: bytes) -> bytes:
        return json.dumps(self.ask(json.loads(question))).encode()

    def _answer_tool(self, question: bytes) -> bytes:
        """Run one hook tool for a process that knows its context."""
        context_id, tool, count, *words = question.decode("utf-8", "surrogateescape").split("\0")
        args, rest = words[: int(count)], words[int(count) :]
        files = dict(zip(rest[::2], rest[1::2], strict=True))
        context = self.runtime.contexts.get(context_id)
        if context is None:
            code, out, err = 1, "", "ERROR this tool runs only inside a hook or action\n"
        else:
            with self.store.look():
                code, out, err = context.call(tool, args, files)
        said = out.encode("utf-8", "surrogateescape")
        return f"{code} {len(said)}\n".encode() + said + err.encode("utf-8", "surrogateescape")

    # Agents, provisioning, removal.

    def _supervise(self) -> None:
        """Start what should run and is not running; give leases; drop what has ended."""
        with self.store.look():
            self.store.changed.wait(POLL_S)
            # Not the world of before the wait: a refused call puts another in its place.
            models = list(self.store.world.models.values())
            for model in models:
                for unit in model.units:
                    agent = self._agents.get(f"{model.uuid} {unit}")
                    if not agent or not agent.is_alive():
                        agent = UnitAgent(self.runtime, model.name, unit)
                        self._agents[f"{model.uuid} {unit}"] = agent
                        agent.start()
                for machine in model.machines.values():
                    self._ensure_worker(model, machine)
            now = time.time()
            is_idle = not any(self._is_over(one) or leases.due(one, now) for one in models)
        # To change something writes the whole world down: not every second for nothing.
        if is_idle:
            return
        with self.store.change() as world:
            for model in list(world.models.values()):
                for app in leases.due(model, now):
                    leases.grant(model, app, now, self.runtime.rng)
                if self._is_over(model):
                    del world.models[model.name]

    def _is_over(self, model: Model) -> bool:
        return model.life == DYING and not model.applications and not model.machines

    def _ensure_worker(self, model: Model, machine: Machine) -> None:
        """Create a machine that is not there yet, delete one that ends, run its commands."""
        tasks = [one for one in model.tasks.values() if one.receiver == machine.number]
        if machine.life == DYING and not model.units_on(machine.number):
            work = self._delete
        elif machine.instance_id == "pending":
            work = self._create
        elif any(task.status == "pending" for task in tasks):
            work = self._run_commands
        else:
            return
        key = f"{model.uuid} {machine.number}"
        if key not in self._workers or not self._workers[key].is_alive():
            args = (work, model.name, machine.number, machine.slot)
            worker = threading.Thread(target=self._work, args=args, daemon=True)
            worker.start()
            self._workers[key] = worker

    def _work(
        self, work: Callable[[str, str, str], None], model: str, number: str, slot: str
    ) -> None:
        try:
            work(model, number, slot)
        except LabError as error:
            if self.runtime.stopping.is_set():
                return
            logger.warning("machine %s: %s", number, error)
            with self.store.change() as world:
                machine = world.models[model].machines[number]
                machine.status = Status("provisioning error", str(error), time.time())
            self.runtime.stopping.wait(PROVISION_RETRY_S)

    def _create(self, model: str, number: str, slot: str) -> None:
        with self._provision_slots:
            self._machines.create(slot)
        mac = self._ask(slot, "cat", "/sys/class/net/eth0/address")
        hostname, address = self._ask(slot, "hostname"), self._machines.address(slot)
        with self.store.change() as world:
            machine, now = world.models[model].machines[number], time.time()
            machine.address, machine.mac, machine.hostname = address, mac, hostname
            machine.instance_id = self._machines.instance_id(slot)
            machine.boot_id, machine.present = self._machines.boot_id(slot), True
            machine.status = Status("running", "Running", now)
            machine.agent = Status("started", "", now)
            for unit in world.models[model].units_on(number):
                unit.set_workload("waiting", "agent initialising", now)

    def _ask(self, slot: str, *argv: str) -> str:
        done = self._machines.exec(slot, list(argv), timeout_s=30)
        return done.told(f"machine {slot} does not tell: {argv[0]}")

    def _delete(self, model: str, number: str, slot: str) -> None:
        self._machines.delete(slot)
        with self.store.change() as world:
            world.models[model].machines.pop(number, None)

    def _run_commands(self, model: str, number: str, slot: str) -> None:
        """Run what `juju exec --machine` asked for."""
        with self.store.change() as world:
            tasks = world.models[model].tasks.values()
            task = next(t for t in tasks if t.receiver == number and t.status == "pending")
            task.status, task.started = "running", time.time()
            task_id, command = task.id, task.parameters["command"]
        try:
            results = results_of(self._machines.exec(slot, machine_command(command)))
        except LabError as error:
            results = {"return-code": 1, "stderr": str(error)}
        with self.store.change() as world:
            task = world.models[model].tasks[task_id]
            task.results, task.status = results, "completed"

    # Machines that come and go.

    def _watch_machines(self) -> None:
        """Note which machines can be reached, and which have booted again."""
        with self.store.look() as world:
            known = [
                (model.name, replace(machine))
                for model in world.models.values()
                for machine in model.machines.values()
                if machine.address and machine.life == ALIVE
            ]
        for model, before in known:
            number, address = before.number, before.address
            try:
                boot_id = self._machines.boot_id(before.slot)
                if boot_id and boot_id != before.boot_id:
                    address = self._machines.address(before.slot) or address
            except LabError as error:
                logger.warning("machine %s: %s", number, error)
                continue
            if boot_id is None:
                self._machines.end_sessions(before.slot)
            present = boot_id is not None and reachable(address)
            # A change is written down and wakes every agent.
            if present == before.present and boot_id in (None, before.boot_id):
                continue
            with self.store.change() as world:
                found = world.models.get(model)
                if found and number in found.machines:
                    found.machines[number].address = address
                    self._note(found, found.machines[number], boot_id, present=present)
        self.runtime.stopping.wait(POLL_S)

    def _note(self, model: Model, machine: Machine, boot_id: str | None, *, present: bool) -> None:
        if present != machine.present:
            machine.present = present
            lost = Status("down", "agent is not communicating with the server", time.time())
            machine.agent = Status("started", "", time.time()) if present else lost
            for unit in model.units_on(machine.number) if present else []:
                # An agent that lost its controller runs its workers anew (recording 52).
                uniter.restarted(unit)
        if present and boot_id != machine.boot_id:
            machine.boot_id = boot_id
            for unit in model.units_on(machine.number):
                uniter.rebooted(unit)


def main() -> None:
    """Run the daemon of the stage that LAB_STAGE names, in the foreground."""
    # What Juju leaves open is shuffled by this number.
    seed = int(os.environ.get("LAB_SEED") or random.SystemRandom().randrange(10**6))
    form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(level=logging.INFO, format=form)
    stage = Stage.current()
    daemon = Daemon(stage, Machines(stage), seed)
    daemon.start()
    daemon.runtime.stopping.wait()


if __name__ == "__main__":
    main()
