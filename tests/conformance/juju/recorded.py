# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What a real controller did: its commands and dispatches, and those of the lab in one form."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent / "recordings"
JSON = "--format=json"


@dataclass(frozen=True)
class Late:
    """An event that the scenario before it had led to, and the recorder counted with the next."""

    scenario: str
    belongs_to: str
    unit: str
    event: str


# It came half a second before the first command of 50, from the restart of the agents in 40.
LATE = Late("50-refresh", "40-failing-hook", "probe-a/1", "secret-expired")


@dataclass(frozen=True)
class Call:
    """One call of a hook tool and what it answered."""

    args: list[str]
    rc: int
    out: Any
    err: str
    stdin: str = ""

    @property
    def tool(self) -> str:
        return self.args[0]


@dataclass
class Dispatch:
    """One event or action of a unit, as the probe saw it."""

    unit: str
    path: str
    began: float
    ended: float
    exit: int
    cwd: str
    uid: int
    env: dict[str, str]
    calls: list[Call]
    scenario: str = ""

    @property
    def app(self) -> str:
        return self.unit.partition("/")[0]

    @property
    def name(self) -> str:
        return self.path.partition("/")[2]

    @property
    def is_action(self) -> bool:
        return self.path.startswith("actions/")

    @property
    def relation(self) -> str:
        return self.env.get("JUJU_RELATION_ID", "")

    @property
    def kind(self) -> str:
        """The event without its endpoint: relation-joined, config-changed."""
        return self.name.removeprefix(f"{self.env.get('JUJU_RELATION', '')}-")

    @property
    def remote(self) -> str:
        return self.env.get("JUJU_REMOTE_UNIT", "")

    @property
    def key(self) -> tuple[str, ...]:
        """What the event is and whom it is about."""
        return (self.path, self.relation, self.remote)

    def __str__(self) -> str:
        return " ".join(part for part in (self.unit, *self.key) if part)


@dataclass
class Scenario:
    """A recorded chapter: what the operator asked, and what the units did."""

    name: str
    commands: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    dispatches: list[Dispatch] = field(default_factory=list[Dispatch])


def load(name: str) -> Scenario:
    """Return one recorded scenario."""
    scenario = _read(name)
    if name == LATE.scenario:
        scenario.dispatches.remove(_late())
    if name == LATE.belongs_to:
        scenario.dispatches.append(replace(_late(), scenario=name))
    return scenario


def _late() -> Dispatch:
    """Return the event that came before the first command of its scenario."""
    return next(
        one
        for one in _read(LATE.scenario).dispatches
        if (one.unit, one.name) == (LATE.unit, LATE.event)
    )


def _read(name: str) -> Scenario:
    content = json.loads((ROOT / f"{name}.json").read_text())
    calls = [Call(*one) for one in content["calls"]]
    dispatches = [
        Dispatch(
            one["unit"],
            one["dispatch"],
            one["began"],
            one["ended"],
            one["exit"],
            one["cwd"],
            one["uid"],
            content["environment"] | one["env"],
            [calls[number] for number in one["calls"]],
            name,
        )
        for one in content["dispatches"]
    ]
    return Scenario(name, content["commands"], dispatches)


def of_probe(record: dict[str, Any], scenario: str) -> Dispatch:
    """Return a line of the probe's own log as a dispatch."""
    asked = list(_before(record))
    did = [Call(c["args"], c["rc"], c["out"], c["err"], c.get("stdin", "")) for c in record["did"]]
    return Dispatch(
        record["unit"],
        record["dispatch"],
        record["began"],
        record["time"],
        record["exit"],
        record["cwd"],
        record["uid"],
        record["env"],
        asked + did,
        scenario,
    )


def _answer(value: Any, *args: str) -> Call:
    """Return a call of the probe's snapshot: only a refusal has its exit code in it."""
    if isinstance(value, dict) and set(value) == {"rc", "err"}:
        return Call([*args], value["rc"], "", value["err"])
    return Call([*args], 0, value, "")


def _before(record: dict[str, Any]) -> Iterator[Call]:
    """Return the calls of the probe's snapshot in their order."""
    seen, unit, env = record["before"], record["unit"], record["env"]
    yield _answer(seen["is-leader"], "is-leader", JSON)
    yield _answer(seen["config"], "config-get", JSON)
    yield _answer(seen["goal-state"], "goal-state", JSON)
    yield _answer(seen["ports"], "opened-ports", JSON)
    yield _answer(seen["status"], "status-get", "--include-data", JSON)
    yield _answer(seen["secret-ids"], "secret-ids", JSON)
    yield _answer(seen["state"], "state-get", JSON)
    for endpoint, entry in seen["relations"].items():
        yield _answer(entry["ids"], "relation-ids", JSON, endpoint)
        for relation, one in entry["each"].items():
            yield from _of_relation(one, endpoint, relation, unit.partition("/")[0])
        yield _answer(entry["network"], "network-get", JSON, endpoint)
    if this := seen.get("this-relation"):
        relation, remote = env["JUJU_RELATION_ID"], env.get("JUJU_REMOTE_UNIT", "")
        get = ("relation-get", JSON, "-r", relation, "-")
        yield _answer(this["list"], "relation-list", JSON, "-r", relation)
        yield _answer(this["own"], *get, unit)
        if "remote" in this:
            yield _answer(this["remote"], *get, remote)


def _of_relation(one: dict[str, Any], endpoint: str, relation: str, app: str) -> Iterator[Call]:
    get = ("relation-get", JSON, "-r", relation)
    yield _answer(one["units"], "relation-list", JSON, "-r", relation)
    yield _answer(one["app"], "relation-list", JSON, "--app", "-r", relation)
    yield _answer(one["own-app"], *get, "--app", "-", app)
    if "remote-app" in one:
        yield _answer(one["remote-app"], *get, "--app", "-", one["app"])
    for name, bag in one["bags"].items():
        yield _answer(bag, *get, "-", name)
    yield _answer(one["network"], "network-get", JSON, "-r", relation, endpoint)
    yield _answer(one["model"], "relation-model-get", JSON, "-r", relation)
