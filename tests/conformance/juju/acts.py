# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the recorder did besides calling `juju`, and what it had to wait for."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

from player import Player

INTERVAL = "update-status-hook-interval"
# Juju tries a failed event again after 5 to 6 seconds, then after 10 to 12.
RETRIES_S = 19
EXPIRY_S = 21


def of(scenario: str, note: str) -> Callable[[Player], None] | None:
    """Return what the recorder did at a note that is no command."""
    known = {
        "51-reboot reboot of machine": _reboot,
        "52-leader-kill leader red/2": _stop_leader,
    }
    said = f"{scenario} {note}"
    return next((act for start, act in known.items() if said.startswith(start)), None)


def wait(player: Player, scenario: str, command: Mapping[str, Any]) -> None:
    """Wait for what comes by the clock after a command."""
    words = " ".join(command.get("argv", ()))
    if "--expire" in str(command.get("files", "")):
        time.sleep(EXPIRY_S)
    if scenario == "40-failing-hook" and words.startswith("exec"):
        time.sleep(RETRIES_S)
    if words.endswith("fail-on=update-status"):
        player.settle()
        player.must("model-config", f"{INTERVAL}=5s")
        player.settle(lambda: len(_in_error(player)) == 2)
        player.must("model-config", f"{INTERVAL}=60m")


def _in_error(player: Player) -> list[str]:
    units = player.units()
    return [name for name in units if units[name]["workload-status"]["current"] == "error"]


def _reboot(player: Player) -> None:
    _fault("poweroff", player, "probe-a/3")
    _fault("poweron", player, "probe-a/3")
    player.settle(lambda: _is_running(player, "probe-a/3"))


def _is_running(player: Player, unit: str) -> bool:
    return player.run("ssh", unit, "true").rc == 0


def _stop_leader(player: Player) -> None:
    """Take the leader's machine out until there is another leader."""
    leader = player.names.get("red/2", "red/2")
    _fault("freeze", player, leader)
    while player.units()[leader].get("leader"):
        time.sleep(1)
    _fault("thaw", player, leader)
    player.settle(lambda: _is_running(player, leader))


def _fault(action: str, player: Player, unit: str) -> None:
    status = player.status()
    units = {n: u for app in status["applications"].values() for n, u in app["units"].items()}
    container = status["machines"][units[unit]["machine"]]["instance-id"]
    subprocess.run([os.environ["FAULT"], action, container], check=True)
