# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the recorder did besides calling `juju`, and what it had to wait for."""

import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from player import Player

BUNDLES = Path(__file__).parent / "bundles"
INTERVAL = "update-status-hook-interval"
# What is asked while units are in error must be asked before they are tried again: after the
# first failure there are 5 seconds, after the third there are 20.
TRIES = 3
EXPIRY_S = 21
ENQUEUED_S = 1.5

Act = Callable[[Player], None]


def of(scenario: str, note: str) -> Act | None:
    """Return what the recorder did at a note that is no command."""
    known: dict[str, Act] = {
        "51-reboot reboot of machine": _power_off,
        "52-leader-kill leader red/2": _stop_leader,
        "71-bundle-again the very same bundle": _deploy_bundle,
    }
    said = f"{scenario} {note}"
    return next((act for start, act in known.items() if said.startswith(start)), None)


def wait(player: Player, scenario: str, command: Mapping[str, Any]) -> None:
    """Wait for what comes by the clock after a command, and until all have settled."""
    words = " ".join(command.get("argv", ()))
    if "--background" in words:
        _run_beside(player, command["argv"])
    if "--expire" in str(command.get("files", "")):
        time.sleep(EXPIRY_S)
    tries = {"fail-on=config-changed": 1, "status-get; config-get number": TRIES}
    if scenario == "40-failing-hook" and words.endswith(tuple(tries)):
        # What is asked next is asked before they are tried again.
        _wait_for_tries(player, scenario, next(tries[end] for end in tries if words.endswith(end)))
        return
    if words.endswith("fail-on=update-status"):
        player.settle()
        player.must("model-config", f"{INTERVAL}=5s")
        player.settle(lambda: len(_in_error(player)) == 2)
        player.must("model-config", f"{INTERVAL}=60m")
    if command.get("settles"):
        # The last look at a machine that is down.
        if scenario == "51-reboot" and command.get("note") == "machine down":
            bring_back(player, _machine(player, "probe-a/3"), "poweron")
        elif scenario == "52-leader-kill" and "argv" in command:
            bring_back(player, _machine(player, _old_leader(player)))
        player.settle()


def _run_beside(player: Player, argv: Sequence[str]) -> None:
    """Run beside the story what the lab does not run in the background itself."""
    words = [player.live(word) for word in argv if word != "--background"]
    threading.Thread(target=player.run, args=words, daemon=True).start()
    time.sleep(ENQUEUED_S)


def _deploy_bundle(player: Player) -> None:
    """Deploy the bundle that the second half of the recordings begins with.

    Who is elected is who is there: only machine 2 is at first, then also machine 0. So those lead
    that led in the recordings, and the units beside the leader that is stopped later are the same.
    """
    bundle = (BUNDLES / "76-bundle-again-that-works/bundle.yaml").read_text()
    (player.folder / "first.yaml").write_text(bundle)
    for machine in ("0", "1"):
        take_out(player, machine)
    player.must("deploy", "./first.yaml", "--map-machines=existing")
    for leader, machine in (("red/2", "0"), ("blue/0", "1")):
        while not player.units()[leader].get("leader"):
            time.sleep(0.2)
        bring_back(player, machine)
    player.settle()


def _wait_for_tries(player: Player, scenario: str, number: int) -> None:
    """Wait until each unit that fails has been tried so often, and is in error."""
    tries: Counter[str] = Counter()
    while len(tries) < 3 or min(tries.values()) < number or len(_in_error(player)) < 3:
        time.sleep(0.2)
        player.gather(scenario)
        failed = [one for one in player.log if one.scenario == scenario and one.exit]
        tries = Counter(one.unit for one in failed)


def _in_error(player: Player) -> list[str]:
    units = player.units()
    return [name for name in units if units[name]["workload-status"]["current"] == "error"]


def _power_off(player: Player) -> None:
    take_out(player, _machine(player, "probe-a/3"), "poweroff")


def _stop_leader(player: Player) -> None:
    """Take the leader's machine out until there is another leader.

    The options had been reset before, without a recording.
    """
    player.must("config", "red", "--reset", "number,text")
    leader = _old_leader(player)
    take_out(player, _machine(player, leader))
    while player.units()[leader].get("leader"):
        time.sleep(1)


def _old_leader(player: Player) -> str:
    return player.names.get("red/2", "red/2")


def take_out(player: Player, machine: str, action: str = "freeze") -> None:
    """Stop a machine, and wait until Juju has noticed."""
    _fault(action, player, machine)
    while _state(player, machine) != "down":
        time.sleep(0.2)


def bring_back(player: Player, machine: str, action: str = "thaw") -> None:
    """Let a machine go on, and wait until Juju has noticed."""
    _fault(action, player, machine)
    while _state(player, machine) != "started":
        time.sleep(0.2)


def _state(player: Player, machine: str) -> str:
    return player.status()["machines"][machine]["juju-status"]["current"]


def _machine(player: Player, unit: str) -> str:
    return player.units()[unit]["machine"]


def _fault(action: str, player: Player, machine: str) -> None:
    container = player.status()["machines"][machine]["instance-id"]
    subprocess.run([os.environ["FAULT"], action, container], check=True)
