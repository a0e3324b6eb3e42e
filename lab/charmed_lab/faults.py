# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Break a machine on purpose, from outside: `fault ACTION …`."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from . import console, disks, juju, links, lxd
from .client import Session, short_name
from .console import StepError
from .links import ALL
from .machines import Machines
from .model import Model
from .stage import Stage
from .store import Store, World

# What an action is about, and what it does. TARGET, A, B, FROM and TO are machines.
ACTIONS = {
    "poweroff": ("TARGET", "take the machine's power away; every process is gone at once"),
    "poweron": ("TARGET", "give it back"),
    "freeze": ("TARGET", "stop all its processes where they are; its network is silent, too"),
    "thaw": ("TARGET", "let a frozen machine go on"),
    "cut": ("A [B]", "drop all that A sends and receives; with B, only between A and B"),
    "half-cut": ("FROM|all TO|all", "drop what FROM sends to TO, not what comes back"),
    "slow": ("TARGET [WHAT]", "`network`: 250 kB/s in all; `cpu`: a tenth of a core; or both"),
    "disk-full": ("TARGET DIRECTORY", "nobody can write in DIRECTORY: no space left on device"),
    "disk-free": ("TARGET", "make room there again"),
    "kill": ("TARGET SERVICE", "SIGKILL the processes of a systemd service in it"),
    "hang": ("TARGET SERVICE", "SIGSTOP them: they neither answer nor end"),
    "skip-hooks": ("UNIT", "Juju takes its events but update-status for run: the charm is not"),
    "run-hooks": ("UNIT", "run them again"),
    "shuffle": ("SEED", "what Juju leaves open, as the order of relations, goes by this number"),
    "heal": ("TARGET|all [B]", "undo TARGET's but poweroff and skip-hooks; with B, their cut"),
    "controller-down": ("", "SIGKILL the lab's Juju; machines and workloads go on"),
    "controller-up": ("", "start it again, with all that it knew"),
    "list": ("", "show what is in force, as the words that would do it"),
}
FOOT = """
TARGET is a Juju machine, a unit (which means its machine) or a container. The stage is
LAB_STAGE's, `lab` by default. `heal all` undoes all that `list` shows, poweroff and
controller-down included. `disk-full` gives DIRECTORY a disk of its own the first time: then, and
only then, no process may have it open. What a machine does to itself, reboots included, ends
`freeze` and `hang` only."""
CPU = "limits.cpu.allowance"
SHARE = "20ms/200ms"
STOPPED_S = 20
PROC = Path("/proc")
Fault = tuple[str, ...]


def usage() -> str:
    """Return the help."""
    lines = [f"  {f'{name} {words}':28}{text}" for name, (words, text) in ACTIONS.items()]
    return "\n".join(["usage: fault ACTION …", *lines]) + FOOT


def parse(argv: list[str]) -> tuple[str, list[str]]:
    """Return the action of a command line and its words; the usage is the error."""
    action, words = (argv[0], argv[1:]) if argv else ("", [])
    wanted = ACTIONS.get(action, ("A B C", ""))[0].split()
    least = len([word for word in wanted if not word.startswith("[")])
    if action not in ACTIONS or not least <= len(words) <= len(wanted):
        raise StepError(usage())
    if action == "slow" and words[1:] not in ([], ["network"], ["cpu"]):
        raise StepError(usage())
    if action == "shuffle" and not words[0].isdecimal():
        raise StepError(usage())
    return action, words


def model_in_use(stage: Stage) -> Model:
    """Return the current model from the controller's file, for the controller may be down."""
    models = Store(stage.state / "juju", World(0, "")).world.models
    choice = stage.state / "client.json"
    chosen = json.loads(choice.read_text())["model"] if choice.exists() else ""
    name = short_name(os.environ.get("JUJU_MODEL") or chosen)
    return models.get(name, Model("", "", 0))


def slot_of(stage: Stage, target: str, model: Model) -> str:
    """Return the stage's number of a machine, of a unit's machine or of a container.

    It is not Juju's in a second model, and where Juju's is beyond what a stage has.
    """
    number = model.units[target].machine if target in model.units else target
    if number in model.machines:
        return model.machines[number].slot
    prefix = stage.machine_name("")
    if target.startswith(prefix) and target.removeprefix(prefix) in Machines(stage).numbers():
        return target.removeprefix(prefix)
    known = ", ".join((*sorted(model.units), *model.machines)) or "none"
    raise StepError(f"no unit or machine {target}; there are: {known}")


def act(stage: Stage, action: str, *words: str) -> None:
    """Do one action; machines are given by the stage's numbers."""
    machines = Machines(stage)
    actions: dict[str, Callable[..., None]] = {
        "poweroff": lambda one: _power_off(stage, one),
        "poweron": machines.start,
        "freeze": lambda one: _freeze(stage, one),
        "thaw": lambda one: _thaw(stage, one),
        "cut": lambda one, other=ALL: _both_ways(links.drop, stage, one, other),
        "half-cut": lambda sender, receiver: links.drop(stage, sender, receiver),
        "slow": lambda one, what="": _slow(stage, one, what),
        "disk-full": lambda one, directory: disks.fill(stage, one, directory),
        "disk-free": lambda one: disks.free(stage, one),
        "kill": lambda one, service: _signal(machines, one, service, "KILL"),
        "hang": lambda one, service: _hang(stage, one, service),
        "skip-hooks": lambda unit: _skip_hooks(stage, unit, skip=True),
        "run-hooks": lambda unit: _skip_hooks(stage, unit, skip=False),
        "shuffle": lambda seed: Session(stage=stage).ask("shuffle", seed=int(seed)),
        "heal": lambda one, other=None: heal(stage, one, other),
        "controller-down": lambda: juju.stop_daemon(stage),
        "controller-up": lambda: juju.ensure_daemon(stage),
    }
    actions[action](*words)


def undo(stage: Stage, action: str, *words: str) -> None:
    """Undo one fault that is in force."""
    actions: dict[str, Callable[..., None]] = {
        "poweroff": Machines(stage).start,
        "freeze": lambda one: _thaw(stage, one),
        "cut": lambda one, other=ALL: _both_ways(links.let_through, stage, one, other),
        "half-cut": lambda sender, receiver: links.let_through(stage, sender, receiver),
        "slow": lambda one, what: _hurry(stage, one, what),
        "disk-full": lambda one, _: disks.free(stage, one),
        "hang": lambda one, service: _resume(stage, one, service),
        "controller-down": lambda: juju.ensure_daemon(stage),
        "skip-hooks": lambda unit: _skip_hooks(stage, unit, skip=False),
    }
    actions[action](*words)


def in_force(stage: Stage) -> list[Fault]:
    """Return every fault that can be seen; machines are given by the stage's numbers."""
    machines = Machines(stage)
    found: list[Fault] = []
    silent = links.marked(stage, "silent")
    states = {
        number: lxd.get(f"/instances/{stage.machine_name(number)}")
        for number in machines.numbers()
    }
    for number, instance in states.items():
        if instance is None or instance["config"].get("user.ready") != "true":
            continue
        if instance["status"] == "Frozen" or number in silent:
            found.append(("freeze", number))
        if instance["config"].get(CPU):
            found.append(("slow", number, "cpu"))
        if directory := disks.full(stage, number):
            found.append(("disk-full", number, directory))
        found += [("hang", number, service) for service in sorted(_hung(stage, number))]
        if instance["status"] == "Stopped":
            found.append(("poweroff", number))
    found += [("slow", number, "network") for number in sorted(links.marked(stage, "slow"))]
    found += _cuts(links.dropped(stage))
    if not juju.is_answering(stage) and stage.run.exists():
        found.append(("controller-down",))
    units = model_in_use(stage).units.values() if stage.run.exists() else ()
    return found + [("skip-hooks", unit.name) for unit in units if unit.skips_hooks]


def heal(stage: Stage, number: str, other: str | None = None) -> None:
    """Undo a machine's faults but poweroff and skip-hooks, or a cut between two, or `all`."""
    if number == ALL:
        heal_all(stage)
    elif other is not None:
        _both_ways(links.let_through, stage, number, other)
    else:
        _undo_all(stage, lambda fault: number in fault and fault[0] != "poweroff")


def heal_all(stage: Stage) -> None:
    """Undo every fault of the stage."""
    disks.mount_all(stage)
    _undo_all(stage, lambda _: True)


def forget(stage: Stage) -> None:
    """Leave nothing of the faults of a stage without machines."""
    links.forget(stage)
    disks.forget(stage)


def _undo_all(stage: Stage, is_meant: Callable[[Fault], bool]) -> None:
    # What hangs in a frozen machine can be seen once that is thawed.
    for first in (("freeze",), tuple(ACTIONS)):
        for fault in filter(is_meant, in_force(stage)):
            if fault[0] in first:
                console.say(f"undoing {' '.join(fault)}")
                undo(stage, *fault)


def _cuts(dropped: set[tuple[str, str]]) -> list[Fault]:
    """Return what is dropped as cuts, and as half ones where one direction is open."""
    both = {(a, b) for a, b in dropped if (b, a) in dropped and a != ALL and (b == ALL or a < b)}
    cuts: list[Fault] = [("cut", a) if b == ALL else ("cut", a, b) for a, b in sorted(both)]
    halves = sorted(pair for pair in dropped if pair[::-1] not in dropped)
    return [*cuts, *(("half-cut", *pair) for pair in halves)]


def _both_ways(change: Callable[[Stage, str, str], None], stage: Stage, a: str, b: str) -> None:
    change(stage, a, b)
    change(stage, b, a)


def _power_off(stage: Stage, number: str) -> None:
    links.unplug(stage, number)
    Machines(stage).stop(number)
    links.unmark(stage, "silent", number)


def _freeze(stage: Stage, number: str) -> None:
    """Stop a machine and silence it: the host's kernel would go on answering in its stead."""
    links.mark(stage, "silent", number)
    Machines(stage).freeze(number)


def _thaw(stage: Stage, number: str) -> None:
    Machines(stage).thaw(number)
    links.unmark(stage, "silent", number)


def _slow(stage: Stage, number: str, what: str) -> None:
    if what != "cpu":
        links.mark(stage, "slow", number)
    if what != "network":
        _set_cpu(stage, number, SHARE)


def _hurry(stage: Stage, number: str, what: str) -> None:
    if what == "cpu":
        _set_cpu(stage, number, "")
    else:
        links.unmark(stage, "slow", number)


def _set_cpu(stage: Stage, number: str, share: str) -> None:
    lxd.request("PATCH", f"/instances/{stage.machine_name(number)}", {"config": {CPU: share}})


def _signal(machines: Machines, number: str, service: str, name: str) -> None:
    """Send a signal to the processes of a service that runs."""
    done = machines.exec(number, ["systemctl", "is-active", service])
    if done.stdout.strip() != b"active":
        raise StepError(f"{service} is {done.stdout.decode().strip()} on machine {number}")
    machines.exec(number, ["systemctl", "kill", "-s", name, service])


def _hang(stage: Stage, number: str, service: str) -> None:
    """Stop the processes of a service that runs; a busy kernel stops them a moment later."""
    _signal(Machines(stage), number, service, "STOP")
    deadline = time.monotonic() + STOPPED_S
    while service not in _hung(stage, number):
        if time.monotonic() > deadline:
            raise StepError(f"{service} on machine {number} did not stop in {STOPPED_S} s")
        time.sleep(0.05)


def _skip_hooks(stage: Stage, unit: str, *, skip: bool) -> None:
    model = model_in_use(stage).name
    Session(stage=stage).ask("skip_hooks", model=model, name=unit, skip=skip)


def _hung(stage: Stage, number: str) -> dict[str, list[int]]:
    """Return the stopped processes of a machine's services, as the host sees them."""
    # LXC puts a number behind the name where another container's directory was left.
    name = rf"lxc\.payload\.{re.escape(stage.machine_name(number))}(?:-\d+)?"
    place = re.compile(rf"/{name}/.*?([^/\n]+\.service)")
    found: dict[str, list[int]] = {}
    for path in PROC.glob("[0-9]*"):
        try:
            if (path / "stat").read_text().rpartition(")")[2].split()[0] != "T":
                continue
            service = place.search((path / "cgroup").read_text())
        except OSError:
            continue
        if service:
            found.setdefault(service[1], []).append(int(path.name))
    return found


def _resume(stage: Stage, number: str, service: str) -> None:
    for pid in _hung(stage, number).get(service, ()):
        os.kill(pid, signal.SIGCONT)


def command() -> int:
    """Run the command line."""
    if sys.argv[1:] in (["help"], ["-h"], ["--help"]):
        print(usage())
        return 0
    action, words = parse(sys.argv[1:])
    stage = Stage.current()
    model = model_in_use(stage)
    if action == "list":
        known = {machine.slot: number for number, machine in model.machines.items()}
        for name, *rest in in_force(stage):
            named = [
                known.get(one, stage.machine_name(one)) if one.isdecimal() else one for one in rest
            ]
            print(" ".join((name, *named)))
        return 0
    for place, kind in enumerate(ACTIONS[action][0].split()[: len(words)]):
        name, _, everybody = kind.strip("[]").partition("|")
        if name in ("TARGET", "A", "B", "FROM", "TO") and words[place] != (everybody or None):
            words[place] = slot_of(stage, words[place], model)
    act(stage, action, *words)
    return 0


if __name__ == "__main__":
    console.main(command)
