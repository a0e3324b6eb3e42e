# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What an event costs: whatever the number of racks, and when there is nothing to do.

The packed charm is dispatched on its machine by `juju exec`, as Juju would. Racks beyond the
bundle's are in the controller's model only, as if they lived on a machine that is away.
"""

import json
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from maas import MAAS

from charmed_lab.model import Machine, Model, Scope, Status, Unit
from charmed_lab.stage import Stage
from charmed_lab.store import Store, World

RACKS = "maas-rack"
AWAY = "999"
FIRST = 1000
SIZES = (1, 10, 100, 1000)
CPU_S = 1.5
# A leader that knows no rack yet asks for each of a thousand.
EXEC_S = 600
# Runs the charm with each hook tool behind a script that notes its name. A file counts as changed
# with its inode, mtime or ctime; a service as restarted with its process, start or reload.
# Not .unit-state.db: ops itself notes each event there before it is handled, and strikes it out.
# What timers and daemons write under /run is not the event's; the database proxy's is the charm's.
MEASURE = """
import json, os, resource, subprocess, sys, tempfile, time

TOPS = ["/etc", "/usr/local", "/var/lib/maas", "/var/lib/charmed-maas", "/var/lib/haproxy-vip",
    "/var/lib/haproxy", "/var/lib/maas-rack-charm", "/var/lib/postgresql-ha", os.getcwd(),
    "/run/maas-db-proxy"]
DAEMONS = ("/var/lib/postgresql-ha/etcd",)
SHOWN = "-pId,Type,ExecMainPID,ActiveEnterTimestampMonotonic,ExecReload"

def files():
    paths = (os.path.join(at, one) for top in TOPS for at, _, names in os.walk(top)
        for one in names if not at.startswith(DAEMONS) and not one.startswith(".unit-state.db"))
    found = {path: os.lstat(path) for path in paths if os.path.lexists(path)}
    return {path: (one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for path, one in found.items()}

def services():
    out = subprocess.check_output(["systemctl", "show", SHOWN, "*.service"], text=True)
    shown = [dict(line.split("=", 1) for line in one.splitlines()) for one in out.split("\\n\\n")]
    return {one["Id"]: one for one in shown if one.get("Type", "oneshot") != "oneshot"}

def differing(before, after):
    return sorted(key for key in {**before, **after} if before.get(key) != after.get(key))

given = json.loads(sys.argv[1])
with tempfile.TemporaryDirectory() as counting:
    real = os.environ["PATH"].partition(":")[0]
    for name in os.listdir(real):
        with open(f"{counting}/{name}", "w") as script:
            note = f"echo {name} >>{counting}/.called"
            script.write(f'#!/bin/sh\\n{note}\\nexec {real}/{name} "$@"\\n')
        os.chmod(script.name, 0o755)
    env = {key: value for key, value in os.environ.items() if not key.startswith("JUJU_ACTION")}
    env |= {**given, "PATH": f"{counting}:{env['PATH']}"}
    there, running = files(), services()
    used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(["./dispatch"], env=env, check=True)
    took, then = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({
        "calls": open(f"{counting}/.called").read().split(),
        "wall_s": took,
        "cpu_s": then.ru_utime + then.ru_stime - used.ru_utime - used.ru_stime,
        "changed": differing(there, files()),
        "restarted": differing(running, services()),
    }))
"""


class Cost(NamedTuple):
    """What one dispatch took and did."""

    calls: list[str]
    wall_s: float
    cpu_s: float
    changed: list[str]
    restarted: list[str]


def dispatch(maas: MAAS, unit: str, event: str, **variables: str) -> Cost:
    """Run an event of a unit's charm once more, and measure it."""
    given = json.dumps({"JUJU_DISPATCH_PATH": f"hooks/{event}", **variables})
    command = f"python3 -c {shlex.quote(MEASURE)} {shlex.quote(given)}"
    task = maas.juju.exec(command, unit=unit, wait=EXEC_S)
    return Cost(**json.loads(task.stdout.splitlines()[-1]))


@contextmanager
def racks_beyond(power: Callable[..., None], model: str, count: int) -> Iterator[None]:
    """Have a number of racks more in the model, settled; none is left afterwards."""
    directory = Stage.current().state / "juju"
    file = directory / "models.json"
    power("controller-down")
    before = file.read_bytes()
    try:
        with Store(directory, World(0, "")).change() as world:
            add_racks(world.models[model], count)
        power("controller-up")
        yield
    finally:
        power("controller-down")
        _replace(file, before)
        power("controller-up")


def _replace(file: Path, content: bytes) -> None:
    new = file.with_suffix(".test")
    new.write_bytes(content)
    new.replace(file)


def add_racks(model: Model, count: int) -> None:
    """Add units whose events and everybody's about them are over."""
    app, now = model.applications[RACKS], time.time()
    status = Status("active", "", now)
    model.machines[AWAY] = Machine(AWAY, AWAY, "", AWAY, app.base, status, status)
    present = list(model.units.values())
    for number in range(FIRST, FIRST + count):
        unit = Unit(f"{RACKS}/{number}", AWAY, status, Status("idle", "", now), charm=app.charm)
        unit.installed, unit.started, unit.config_pending = True, True, 0
        model.units[unit.name] = unit
        for relation in model.relations_of(RACKS):
            key = str(relation.id)
            unit.scopes[key] = Scope(created=True)
            relation.scope.append(unit.name)
            own = {} if relation.is_peer else {"hostname": f"r{number}", "system-id": f"s{number}"}
            relation.write(unit.name, {"ingress-address": "192.0.2.1", **own})
            for other in present:
                if key in other.scopes and (relation.is_peer or other.application != RACKS):
                    other.scopes[key].members[unit.name] = relation.versions[unit.name]


def events(maas: MAAS) -> list[tuple[str, str, dict[str, str]]]:
    """Return what is dispatched: the unit, the event, the variables that it comes with."""
    leader, rack = maas.leader("maas-region"), sorted(maas.units(RACKS))[0]
    other = next(name for name in sorted(maas.units("maas-region")) if name != leader)
    relation_id = maas.juju.exec("relation-ids rpc", unit=leader).stdout.strip()
    peers_id = maas.juju.exec("relation-ids peers", unit=rack).stdout.strip()
    about = {"JUJU_REMOTE_APP": RACKS, "JUJU_REMOTE_UNIT": f"{RACKS}/{FIRST}"}
    rpc = {"JUJU_RELATION": "rpc", "JUJU_RELATION_ID": relation_id, **about}
    peers = {"JUJU_RELATION": "peers", "JUJU_RELATION_ID": peers_id, **about}
    return [
        # The first one writes down whom no leader before knew, the second one knows all.
        (leader, "leader-elected", {}),
        (leader, "leader-elected", {}),
        (leader, "update-status", {}),
        (leader, "rpc-relation-changed", rpc),
        (other, "rpc-relation-joined", rpc),
        (other, "update-status", {}),
        (rack, "peers-relation-changed", peers),
    ]


Figure = Callable[[str, float], None]


def test_ten_racks_cost_no_call_more_than_one(
    maas: MAAS, power: Callable[..., None], figure: Figure
):
    _tell(maas, power, figure, SIZES[:2])


# Two minutes and more, in which the controller starts anew for each size.
@pytest.mark.long
def test_an_events_calls_do_not_depend_on_the_number_of_racks(
    maas: MAAS, power: Callable[..., None], figure: Figure
):
    _tell(maas, power, figure, SIZES)


def _tell(maas: MAAS, power: Callable[..., None], figure: Figure, sizes: tuple[int, ...]) -> None:
    """Dispatch each event with each number of racks, print the table, compare the calls."""
    wanted, leader = events(maas), maas.leader("maas-region")
    costs: dict[int, list[Cost]] = {}
    for size in sizes:
        maas.wait_settled()
        with racks_beyond(power, str(maas.juju.model), size):
            # A controller that has just started first looks after the agents of all its units.
            dispatch(maas, wanted[-1][0], "update-status")
            costs[size] = [dispatch(maas, unit, name, **more) for unit, name, more in wanted]
    maas.wait_settled()
    print(f"\n  {'hook-tool calls, wall s, CPU s with racks':54}", *(f"{n:>16}" for n in sizes))
    for at, (unit, name, _) in enumerate(wanted):
        told = [costs[size][at] for size in sizes]
        cells = (f"{len(one.calls):5} {one.wall_s:5.2f} {one.cpu_s:4.2f}" for one in told)
        print(f"  {unit:14} {name:39}", *cells)
    for at, (unit, name, _) in enumerate(wanted):
        told = {size: costs[size][at] for size in sizes}
        whose = "the leader" if unit == leader else unit.partition("/")[0]
        for size, one in told.items():
            what = f"{at + 1}. {name} of {whose} with {size} racks"
            figure(f"{what}: {len(one.calls)} calls, of CPU", one.cpu_s)
            figure(f"{what}: of wall time", one.wall_s)
        _assert_constant(name, told)


def _assert_constant(event: str, told: dict[int, Cost]) -> None:
    """Assert that the calls are the same, but for one a rack when a leader is new."""
    # It alone reads what each rack wrote while it did not lead: docs/scale.md.
    beyond = {size: size if event == "leader-elected" else 0 for size in told}
    # ops asks again whether the unit leads once that is 30 s ago.
    asked = {
        size: [tool for tool in one.calls if tool != "is-leader"] for size, one in told.items()
    }
    fixed = {size: len(tools) - beyond[size] for size, tools in asked.items()}
    assert len(set(fixed.values())) == 1, f"{event}: {fixed}"
    least, most = min(told), max(told)
    more = Counter(asked[most]) - Counter(asked[least])
    assert more == Counter({"relation-get": beyond[most] - beyond[least]})


@pytest.mark.parametrize("app", ["postgresql-ha", "maas-region", "haproxy-vip", RACKS])
def test_an_event_with_nothing_to_do_changes_nothing(maas: MAAS, app: str, figure: Figure):
    for unit in sorted(maas.units(app)):
        cost = dispatch(maas, unit, "update-status")
        figure(f"{unit}: {len(cost.calls)} calls, of CPU", cost.cpu_s)
        figure(f"{unit}: of wall time", cost.wall_s)
        assert cost.changed == []
        assert cost.restarted == []
        assert cost.cpu_s < CPU_S
