# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The recorded chapters in their order, each with what was prepared for it."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from player import SECRET, Answer, Player
from recordings import Dispatch, Scenario, load

FILES = {
    "hello.txt": "from a file\n",
    "params.yaml": "word: from-file\ncount: 5\n",
    "bad.charm": "not a zip\n",
}
# In the recordings the unit number 0 was used up before, by a deploy that was taken back.
LAB = [
    "10-deploy-one",
    "11-add-units",
    "12-second-app-colocated",
    "13-integrate",
    "14-dry-run-of-local-charm",
    "20-config",
    "21-actions",
    "22-errors-of-tools",
    "24-buffered-changes",
    "34-charm-secrets-granted-first-database",
    "40-failing-hook",
    "50-refresh",
    "51-reboot",
]
SHOP = [
    "76-bundle-again-that-works",
    "32-more-charm-secrets",
    "52-leader-kill",
    "60-remove-relation",
    "61-remove-unit",
    "62-remove-application",
]


@dataclass
class Chapter:
    """One scenario as it was recorded and as the lab played it."""

    recorded: Scenario
    played: list[Dispatch]
    answers: list[tuple[dict[str, Any], Answer]]
    names: Mapping[str, str] = field(default_factory=dict[str, str])


def prepare(player: Player, *, machines: int) -> None:
    """Make the model, its machines and the packed probes."""
    for name, text in FILES.items():
        (player.folder / name).write_text(text)
    (player.folder / "dirwithcharm").mkdir(exist_ok=True)
    for name in ("probe-a", "probe-b"):
        player.pack(f"{name}.charm", name)
    more = "  added: {type: string, default: new, description: New.}\n"
    player.pack("probe-a2.charm", "probe-a", more)
    player.must("add-model", "--no-switch", player.model)
    player.must("model-config", "update-status-hook-interval=60m")
    player.must("add-machine", "-n", str(machines))
    while any(
        one["juju-status"]["current"] != "started" for one in player.status()["machines"].values()
    ):
        time.sleep(0.5)


def use_up_unit_0(player: Player) -> None:
    """Bring the numbers of machines, units and relations to where the recordings begin."""
    player.must("deploy", "./probe-a.charm", "--to", "0")
    player.must("remove-application", "--no-prompt", "--force", "probe-a")
    while player.status()["applications"]:
        time.sleep(0.3)


def tell(player: Player, name: str) -> Chapter:
    """Play one scenario; return what was recorded beside what happened."""
    recorded = load(name)
    answers: list[tuple[dict[str, Any], Answer]] = []
    learned: list[Dispatch] = []
    for command in recorded.commands:
        if "argv" in command:
            text = json.dumps(command)
            if any(word not in player.names for word in SECRET.findall(text)):
                learned += player.gather(name)
                learn_secrets(player, recorded)
            answers.append((command, _run(player, command)))
        if command.get("settles", 0):
            player.settle()
    played = learned + player.gather(name)
    learn_secrets(player, recorded)
    _learn_leaders(player, recorded)
    return Chapter(recorded, played, answers, dict(player.names))


def _run(player: Player, command: Mapping[str, Any]) -> Answer:
    for file, text in command.get("files", {}).items():
        (player.folder / file).write_text(player.live(text))
    return player.run(*[player.live(word) for word in command["argv"]])


def secrets(dispatches: list[Dispatch]) -> Iterator[tuple[tuple[str, str, int], str]]:
    """Return each secret that a charm added, by its application, label and place in order."""
    count: dict[tuple[str, str], int] = {}
    for one in dispatches:
        for call in one.calls:
            if call.tool == "secret-add" and call.rc == 0 and one.exit == 0:
                label = call.args[call.args.index("--label") + 1] if "--label" in call.args else ""
                what = (one.app, label)
                count[what] = count.get(what, 0) + 1
                yield (*what, count[what]), re.sub(r".*/", "", call.out.strip())


def learn_secrets(player: Player, recorded: Scenario) -> None:
    """Pair the secrets of the recording with those of the lab, by how they came to be."""
    known = dict(secrets(_RECORDED.setdefault(player.model, [])))
    del known, recorded


_RECORDED: dict[str, list[Dispatch]] = {}


def _learn_leaders(player: Player, recorded: Scenario) -> None:
    del player, recorded
