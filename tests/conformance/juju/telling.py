# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The recorded chapters in their order, each with what was prepared for it."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import acts
from player import SECRET, Answer, Player
from recorded import Dispatch, Scenario, load

FILES = {
    "hello.txt": "hello",
    "params.yaml": "word: from-file\ncount: 4\n",
    "bad.charm": "not a zip\n",
    "sec.yaml": "password: from-file\n",
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
    "23-exec-ssh-scp",
    "24-buffered-changes",
    "34-charm-secrets-granted-first-database",
    "40-failing-hook",
    "50-refresh",
    "51-reboot",
]
# What there is time for in every run.
SHORT = [*LAB[:4], "20-config", "22-errors-of-tools", "24-buffered-changes"]
SHOP = [
    "70-bundle",
    "71-bundle-again",
    "76-bundle-again-that-works",
    "32-more-charm-secrets",
    "52-leader-kill",
    "60-remove-relation",
    "61-remove-unit",
    "62-remove-application",
]
SECRETS = ["30-charm-secrets", "31-user-secrets"]
# What the probe of a story has besides: that of the second recordings removed what had expired.
PROBES = {"secrets": ("removes-expired",)}


@dataclass(frozen=True)
class Story:
    """A row of scenarios that were recorded in one model, each on what the one before left."""

    name: str
    scenarios: list[str] = field(hash=False)

    def recorded(self) -> list[Dispatch]:
        """Return all that was recorded of it."""
        return [one for name in self.scenarios for one in load(name).dispatches]


@dataclass
class Chapter:
    """One scenario as it was recorded and as the lab played it."""

    recorded: Scenario
    played: list[Dispatch]
    answers: list[tuple[dict[str, Any], Answer]]
    names: Mapping[str, str] = field(default_factory=dict[str, str])


def play(player: Player, story: Story) -> list[Chapter]:
    """Play a story from an empty model on."""
    prepare(player, machines=3 if story.name in ("shop", "secrets") else 4)
    chapters: list[Chapter] = []
    if story.name == "secrets":
        deploy_two(player)
        chapters.append(Chapter(Scenario("before"), player.gather("before"), []))
    elif story.name != "shop":
        use_up_unit_0(player)
    for name in story.scenarios:
        began = time.monotonic()
        chapters.append(tell(player, name))
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return chapters


def prepare(player: Player, *, machines: int, unused: int = 0) -> None:
    """Make the model, its machines and the packed probes; the first machines may go again."""
    for name, text in FILES.items():
        (player.folder / name).write_text(text)
    (player.folder / "dirwithcharm").mkdir(exist_ok=True)
    for name in ("probe-a", "probe-b"):
        player.pack(f"{name}.charm", name)
    player.pack("probe-a2.charm", "probe-a", changed_options)
    player.must("add-model", "--no-switch", player.model)
    player.must("model-config", "update-status-hook-interval=60m")
    player.must("add-machine", "-n", str(machines))
    while any(
        one["juju-status"]["current"] != "started" for one in player.status()["machines"].values()
    ):
        time.sleep(0.5)
    for number in range(unused):
        player.must("remove-machine", "--no-prompt", str(number))
    while len(player.status()["machines"]) > machines - unused:
        time.sleep(0.5)
    player.keep_logs()


def changed_options(config: str) -> str:
    """Return the options of the probe's second revision: one changed, one gone, one new."""
    lines = config.replace("default: hello,", "default: hello-2,").splitlines()
    kept = [line for line in lines if "ratio:" not in line]
    return "\n".join([*kept, "  added: {type: string, default: new, description: New.}", ""])


def use_up_unit_0(player: Player) -> None:
    """Bring the numbers of machines, units and relations to where the recordings begin."""
    player.must("deploy", "./probe-a.charm", "--to", "0")
    player.must("remove-application", "--no-prompt", "--force", "probe-a")
    while player.status()["applications"]:
        time.sleep(0.3)
    player.gather("before")


def deploy_two(player: Player) -> None:
    """Deploy what the secrets' recordings begin with: related before there was any secret."""
    for machine in ("0", "1", "2"):
        acts.take_out(player, machine)
    player.must("deploy", "./probe-a.charm", "-n", "3", "--to", "0,1,2")
    player.must("deploy", "./probe-b.charm", "-n", "0")
    player.must("integrate", "probe-a:source", "probe-b:sink")
    acts.bring_back(player, "0")
    while not player.units()["probe-a/0"].get("leader"):
        time.sleep(0.2)
    for machine in ("1", "2"):
        acts.bring_back(player, machine)
    player.settle()
    for machine in ("0", "1"):
        player.must("add-unit", "probe-b", "--to", machine)
    player.settle()


def tell(player: Player, name: str) -> Chapter:
    """Play one scenario; return what was recorded beside what happened."""
    recorded = load(name)
    for path in (acts.BUNDLES / name).glob("*.yaml"):
        (player.folder / path.name).write_text(path.read_text())
    player.recorded += recorded.dispatches
    answers: list[tuple[dict[str, Any], Answer]] = []
    for command in recorded.commands:
        if "argv" in command:
            if any(word not in player.names for word in SECRET.findall(json.dumps(command))):
                player.gather(name)
                _learn(player)
            answers.append((command, answer := _run(player, command)))
            _learn_secrets(player, command, answer)
        elif act := acts.of(name, command.get("note", "")):
            act(player)
        acts.wait(player, name, command)
    if recorded.dispatches:
        # Where only commands were recorded, what they led to belongs to the next scenario.
        player.settle()
        player.gather(name)
    _learn(player)
    played = [one for one in player.log if one.scenario == name]
    return Chapter(recorded, played, answers, dict(player.names))


def _run(player: Player, command: Mapping[str, Any]) -> Answer:
    for file, text in command.get("files", {}).items():
        asked = json.loads(player.live(text))
        # The action takes its list of calls as a text.
        asked["calls"] = json.dumps(asked["calls"])
        if not asked["exit"]:
            del asked["exit"]
        (player.folder / file).write_text(json.dumps(asked))
    return player.run(*[player.live(word) for word in command["argv"]])


def secrets(dispatches: list[Dispatch]) -> Iterator[tuple[tuple[str, str, int], str]]:
    """Return each secret that a charm added, by its application, label and place in order."""
    count: dict[tuple[str, str], int] = {}
    for one in dispatches:
        for call in one.calls:
            if call.tool == "secret-add" and call.rc == 0:
                label = call.args[call.args.index("--label") + 1] if "--label" in call.args else ""
                what = (one.app, label)
                count[what] = count.get(what, 0) + 1
                yield (*what, count[what]), re.sub(r".*/", "", call.out.strip())


def _learn_secrets(player: Player, command: Mapping[str, Any], answer: Answer) -> None:
    """Pair the secrets that a command made or listed with those of the recording."""
    if command["argv"][0] == "add-secret":
        both = zip(SECRET.findall(command["stdout"]), SECRET.findall(answer.stdout), strict=False)
        player.names.update(both)
    if command["argv"] == ["secrets", "--format", "json"] and not answer.rc:
        listed = [
            {(one["owner"], one.get("label", one.get("name"))): key for key, one in found.items()}
            for found in (json.loads(command["stdout"]), json.loads(answer.stdout))
        ]
        player.names.update({key: listed[1].get(what, key) for what, key in listed[0].items()})


def leaders(dispatches: list[Dispatch]) -> dict[str, str]:
    """Return the unit of each application that was elected last."""
    return {one.app: one.unit for one in dispatches if one.name == "leader-elected"}


def _learn(player: Player) -> None:
    """Pair secrets and leaders of the recording with those of the lab."""
    live = dict(secrets(player.log))
    for what, identity in secrets(player.recorded):
        if what in live:
            player.names[identity] = live[what]
    chosen = leaders(player.log)
    for app, was in leaders(player.recorded).items():
        now = chosen.get(app, was)
        if player.names.get(was, was) != now:
            other = next((a for a, b in player.names.items() if b == now), now)
            player.names[other], player.names[was] = player.names.get(was, was), now
