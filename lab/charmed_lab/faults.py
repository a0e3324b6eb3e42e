# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Break a machine on purpose, from outside: `fault ACTION TARGET [SERVICE]`."""

import subprocess
import sys
from typing import Any

from . import console, juju
from .console import StepError
from .machines import Machines, nic_names
from .stage import Stage

USAGE = """\
usage: fault ACTION TARGET [SERVICE]
  poweroff, poweron   take a machine's power away, and give it back
  freeze, thaw        stop all its processes where they are, and let them go on
  cut, heal           drop all that it sends and receives, and stop doing so
  kill                SIGKILL the processes of a systemd SERVICE in it
TARGET is a Juju machine number or a unit. The stage is LAB_STAGE's, `lab` by default."""
ACTIONS = ("poweroff", "poweron", "freeze", "thaw", "cut", "heal", "kill")
NFT = "/usr/sbin/nft"
IP = "/usr/sbin/ip"
TABLE = """\
table bridge {table} {{
  set cut {{ type ifname; }}
  chain sent {{
    type filter hook prerouting priority -300; policy accept;
    iifname @cut drop
  }}
  chain received {{
    type filter hook postrouting priority 300; policy accept;
    oifname @cut drop
  }}
}}
"""


def slot_of(stage: Stage, target: str, report: dict[str, Any]) -> str:
    """Return the stage's number of a machine in a status, or of a unit's machine.

    It is not Juju's in a second model, and where Juju's is beyond what a stage has.
    """
    units, machines = juju.units(report), report["machines"]
    number = str(units[target]["machine"]) if target in units else target
    if number not in machines:
        known = ", ".join((*sorted(units), *machines)) or "none"
        raise StepError(f"no unit or machine {target}; there are: {known}")
    return machines[number]["instance-id"].removeprefix(stage.machine_name(""))


def parse(argv: list[str]) -> tuple[str, str, str | None]:
    """Return action, target and service of a command line; the usage is the error."""
    action, target, service = [*argv, None, None, None][:3]
    wanted = 3 if action == "kill" else 2
    if action not in ACTIONS or target is None or len(argv) != wanted:
        raise StepError(USAGE)
    return action, target, service


def cut(stage: Stage, number: str) -> None:
    """Drop every frame from and to a machine, also after it is powered on again."""
    if not _nft(f"list table bridge maaslab_{stage.name}"):
        _nft(TABLE.format(table=f"maaslab_{stage.name}"), must=True)
    for nic in nic_names(stage, number):
        _nft(f'add element bridge maaslab_{stage.name} cut {{ "{nic}" }}', must=True)


def heal(stage: Stage, number: str) -> None:
    """Let a machine's frames through; nothing happens when it is not cut off."""
    for nic in nic_names(stage, number):
        _nft(f'delete element bridge maaslab_{stage.name} cut {{ "{nic}" }}')


def heal_all(stage: Stage) -> None:
    """Forget every cut of the stage."""
    _nft(f"delete table bridge maaslab_{stage.name}")


def unplug(stage: Stage, number: str) -> None:
    """Let a machine fall silent before its processes die; it gets new NICs when it starts.

    The kernel of a container outlives its processes and would refuse connections in their stead,
    which tells clients sooner than a machine without power does.
    """
    for nic in nic_names(stage, number):
        # A machine that is off has no NIC.
        subprocess.run([IP, "link", "set", nic, "down"], capture_output=True, check=False)


def kill(machines: Machines, number: str, service: str) -> None:
    """Kill a service's processes, as a crash would."""
    done = machines.exec(number, ["systemctl", "is-active", service])
    if done.stdout.strip() != b"active":
        raise StepError(f"{service} is {done.stdout.decode().strip()} on machine {number}")
    machines.exec(number, ["systemctl", "kill", "-s", "KILL", service])


def act(stage: Stage, action: str, number: str, service: str | None) -> None:
    """Do one fault to one machine."""
    machines = Machines(stage)
    by_machines = {
        "poweroff": machines.stop,
        "poweron": machines.start,
        "freeze": machines.freeze,
        "thaw": machines.thaw,
    }
    if action == "poweroff":
        unplug(stage, number)
    if action in by_machines:
        by_machines[action](number)
    elif action == "kill":
        kill(machines, number, str(service))
    else:
        {"cut": cut, "heal": heal}[action](stage, number)


def command() -> int:
    """Run the command line."""
    action, target, service = parse(sys.argv[1:])
    stage = Stage.current()
    act(stage, action, slot_of(stage, target, juju.status(stage)), service)
    return 0


def _nft(script: str, *, must: bool = False) -> bool:
    argv = [NFT, *script.split()] if script.startswith("list") else [NFT, "-f", "-"]
    done = subprocess.run(argv, input=script.encode(), capture_output=True, check=False)
    if must and done.returncode != 0:
        raise StepError(f"nft refused: {done.stderr.decode().strip()}")
    return done.returncode == 0


if __name__ == "__main__":
    console.main(command)
