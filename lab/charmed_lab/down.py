# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Remove what `lab/up` made: `lab/down`."""

import argparse
import shutil

from . import console, faults, host, juju, lxd
from .machines import Machines
from .stage import BASES, OCTETS, ROOT, Stage


def take_down(stage: Stage) -> None:
    """Remove a stage: daemon, machines, networks and state; what is gone already is no error."""
    juju.stop_daemon(stage)
    machines = Machines(stage)
    if numbers := machines.numbers():
        with console.step(f"deleting {len(numbers)} machines of stage {stage.name}"):
            for number in numbers:
                machines.delete(number)
    faults.forget(stage)
    for network in (stage.bridge, stage.dhcp_bridge):
        _delete(f"/networks/{network}")
    shutil.rmtree(stage.state, ignore_errors=True)


def remains(stage: Stage) -> list[str]:
    """Return what is left of a stage: names of machines and networks, the path of its state."""
    machines = [stage.machine_name(number) for number in Machines(stage).numbers()]
    bridges = (stage.bridge, stage.dhcp_bridge)
    networks = [name for name in bridges if lxd.get(f"/networks/{name}") is not None]
    return [*machines, *networks, *([str(stage.state)] if stage.state.exists() else [])]


def keep_logs(stage: Stage) -> None:
    """Copy the daemon's log out of the state that is about to go."""
    kept = ROOT / "logs"
    kept.mkdir(parents=True, exist_ok=True)
    for log in stage.state.glob("*.log"):
        shutil.copyfile(log, kept / f"{stage.name}-{log.name}")


def others(stage: Stage) -> list[str]:
    """Return the names of the other stages that are up."""
    return [name for name in OCTETS if name != stage.name and (ROOT / name).exists()]


def clear_caches() -> None:
    """Remove golden and build containers, pool, network, images and environment."""
    with console.step("removing images, pool and caches"):
        for base in BASES:
            stage = Stage(base=base)
            lxd.delete_instance(stage.golden)
            lxd.delete_instance(stage.builder)
            if alias := lxd.get(f"/images/aliases/{stage.golden}"):
                _delete(f"/images/{alias['target']}")
        _delete(f"/networks/{host.BUILD_BRIDGE}")
        _delete(f"/storage-pools/{lxd.POOL}")
        shutil.rmtree(ROOT, ignore_errors=True)


def command() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser("lab/down", description=__doc__)
    parser.add_argument("--keep-caches", action="store_true", help="keep images for the next up")
    arguments = parser.parse_args()
    host.require_root()
    stage = Stage.current()
    if not lxd.is_answering() and not (ROOT.exists() and shutil.which("lxd")):
        shutil.rmtree(ROOT, ignore_errors=True)
        console.say("nothing of the lab is there")
        return 0
    host.ensure_lxd()
    take_down(stage)
    if left := others(stage):
        console.say(f"stage {', '.join(left)} is still up: images and caches stay")
        for name in left:
            console.say(f"`sudo LAB_STAGE={name} lab/down` removes stage {name}")
    elif arguments.keep_caches:
        console.say(f"images and caches stay in {ROOT} and LXD's pool {lxd.POOL}")
    else:
        clear_caches()
        console.say("all that the lab made is gone; LXD and other packages stay installed")
    return 0


def _delete(path: str) -> None:
    if lxd.get(path) is not None:
        lxd.request("DELETE", path)


if __name__ == "__main__":
    console.main(command)
