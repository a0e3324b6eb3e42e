# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the lab's own share of a charm's time is: 60 units of the probe on five machines.

Wall times are of one run, on what the machine had to spare; each is printed.
"""

import itertools
import json
import os
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jubilant
import pytest

MACHINES, APPLICATIONS, UNITS = 5, 6, 10
CALLS = 50
IDLE_S = 60
SETTLE_S = 1800
# The bounds that lab/README.md promises.
CALL_MS, DISPATCH_S, IDLE_SHARE = 15.0, 0.6, 0.01
LOG = "/var/log/speed-probe"

METADATA = """
name: speed
summary: one line for each event
description: asks for its peers' data, writes its own and says that it is active
peers: {peers: {interface: speed}}
"""
MANIFEST = "bases: [{architectures: [amd64], channel: '13', name: debian}]\n"
ACTIONS = "noop: {description: nothing}\n"
DISPATCH = f"""#!/bin/sh
case $JUJU_DISPATCH_PATH in actions/*) exit 0;; esac
began=$(date +%s.%N)
for relation in $(relation-ids peers); do
    relation-set -r $relation last=$JUJU_DISPATCH_PATH
    for unit in $(relation-list -r $relation); do
        relation-get -r $relation - $unit >/dev/null
    done
done
status-set active "$JUJU_DISPATCH_PATH"
echo $JUJU_UNIT_NAME $began $(date +%s.%N) $JUJU_DISPATCH_PATH >>{LOG}
"""
# Beside the calls, the start of their client's interpreter with nothing asked.
TIMED = f"""
now() {{ date +%s%N; }}
one=$(now)
for i in $(seq {CALLS}); do is-leader >/dev/null; done
two=$(now)
for i in $(seq {CALLS}); do /usr/bin/perl -e 1; done
echo $one $two $(now)
"""


class Event(NamedTuple):
    """One dispatch: whose, from when to when in seconds since 1970."""

    unit: str
    began: float
    ended: float


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[jubilant.Juju]:
    """Sixty units, settled."""
    charm = pack(tmp_path_factory.mktemp("speed") / "speed.charm")
    juju = jubilant.Juju(cli_binary=os.environ["JUJU"], wait_timeout=SETTLE_S)
    juju.add_model("speed", config={"update-status-hook-interval": "60m"})
    began = time.monotonic()
    juju.cli("add-machine", "-n", str(MACHINES))
    for number in range(APPLICATIONS):
        places = [str(place % MACHINES) for place in range(UNITS)]
        juju.deploy(charm, f"speed{number}", num_units=UNITS, to=places)
    juju.wait(settled, error=jubilant.any_error, delay=3, successes=3)
    print(f"\n60 units settled in {time.monotonic() - began:.0f} s")
    yield juju
    juju.destroy_model("speed", force=True, no_wait=True)


def settled(status: jubilant.Status) -> bool:
    """Whether there are all units, active and idle."""
    units = [unit for app in status.apps.values() for unit in app.units.values()]
    return len(units) == APPLICATIONS * UNITS and all(
        unit.is_active and unit.juju_status.current == "idle" for unit in units
    )


def pack(path: Path) -> Path:
    """Pack a charm without any library: what it takes is the lab's time."""
    parts = {"metadata.yaml": METADATA, "manifest.yaml": MANIFEST, "actions.yaml": ACTIONS}
    with zipfile.ZipFile(path, "w") as charm:
        for name, text in {**parts, "dispatch": DISPATCH}.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o755 << 16
            charm.writestr(info, text)
    return path


def events(juju: jubilant.Juju, machine: str) -> list[Event]:
    """Return what ran on a machine, oldest first."""
    lines = juju.ssh(machine, f"cat {LOG}").splitlines()
    found = [line.split() for line in lines]
    return sorted(
        (Event(one[0], float(one[1]), float(one[2])) for one in found), key=lambda e: e.began
    )


def longest_wait(ran: list[Event]) -> int:
    """Return how many events of others ran at most between two events of one unit."""
    last: dict[str, int] = defaultdict(int)
    waits = []
    for number, event in enumerate(ran):
        waits.append(number - last[event.unit])
        last[event.unit] = number
    return max(waits)


def test_no_unit_is_starved(lab: jubilant.Juju) -> None:
    for machine in lab.status().machines:
        ran = events(lab, machine)
        units = {event.unit for event in ran}
        wait = longest_wait(ran)
        each = sum(event.ended - event.began for event in ran) / len(ran)
        print(
            f"machine {machine}: {len(ran)} events of {len(units)} units, {each:.2f} s each;"
            f" a unit waited for at most {wait} events of others"
        )
        assert len(units) == APPLICATIONS * UNITS / MACHINES
        assert all(one.ended <= two.began for one, two in itertools.pairwise(ran))
        # A unit that all others overtake with all they have would wait for everything.
        assert wait < len(ran) / 4


def test_a_tool_costs_little_more_than_its_client(lab: jubilant.Juju) -> None:
    costs = []
    for _ in range(5):
        one, two, three = map(int, lab.exec(TIMED, unit="speed0/0").stdout.split())
        costs.append(((two - one) - (three - two)) / CALLS / 1e6)
    print(f"\na call over its client's start: {', '.join(f'{c:.1f}' for c in sorted(costs))} ms")
    assert min(costs) <= CALL_MS


def test_an_empty_dispatch_is_soon_over(lab: jubilant.Juju) -> None:
    at = lab.status().apps["speed0"].units
    machine = at["speed0/0"].machine
    here = [
        n
        for app in lab.status().apps.values()
        for n, u in app.units.items()
        if u.machine == machine
    ]
    took = []
    for _ in range(3):
        alone, together = (timed_run(lab, units) for units in (here[:1], here))
        took.append((together - alone) / (len(here) - 1))
    print(f"\na dispatch with nothing to do: {', '.join(f'{t:.2f}' for t in sorted(took))} s")
    assert min(took) <= DISPATCH_S


def timed_run(juju: jubilant.Juju, units: list[str]) -> float:
    """Return how long the action that does nothing takes on units of one machine, in seconds."""
    began = time.monotonic()
    answers = json.loads(juju.cli("run", *units, "noop", "--format", "json"))
    assert {one["status"] for one in answers.values()} == {"completed"}
    return time.monotonic() - began


def test_an_idle_lab_costs_nothing(lab: jubilant.Juju) -> None:
    lab.wait(settled, delay=1, successes=10)
    before = processor_seconds()
    time.sleep(IDLE_S)
    share = (processor_seconds() - before) / IDLE_S
    print(f"\nidle, with 60 units: {share:.2%} of a core")
    assert share < IDLE_SHARE


def processor_seconds() -> float:
    """Return what the stage's daemon has used, in seconds of a core."""
    mark = f"LAB_STAGE={os.environ['LAB_STAGE']}".encode()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            if b"charmed_lab.daemon" in words and mark in (path / "environ").read_bytes().split(
                b"\0"
            ):
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue
    raise AssertionError("the stage has no daemon")
