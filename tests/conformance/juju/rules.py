# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What a charm may be told in the order that came about, without a recording to compare with."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import openness
import own
from history import History
from recorded import Call, Dispatch

# From when on an application had which options.
Since = tuple[float, dict[str, Any]]
# A command that sets an option takes a moment, and so does the answer that was being read then.
SET_S = 2.0
MAY_FAIL = ("open-port", "secret-info-get")
ACTION_DEFAULTS: dict[str, dict[str, Any]] = {"rotate": {}}
ENDINGS = {
    "JUJU_ACTION_TAG": r"\d+",
    "JUJU_ACTION_UUID": r"\d+",
    "JUJU_CONTEXT_ID": "[0-9a-f]{32}",
    "JUJU_RELATION_ID": r"\d+",
    "JUJU_SECRET_ID": "[a-v0-9]{20}",
    "JUJU_SECRET_REVISION": r"\d+",
}


@dataclass
class World:
    """What happened, and what the operator knows of it."""

    history: History
    # The address of each unit, and since when each application had which options.
    addresses: Mapping[str, str] = field(default_factory=dict[str, str])
    options: Mapping[str, list[Since]] = field(default_factory=dict[str, list[Since]])

    @cached_property
    def secrets(self) -> own.Secrets:
        return own.Secrets(self.history)

    def wrong_answers(self) -> Iterator[str]:
        """Return the answers of hook tools that do not follow from what had happened."""
        for one in self.history.all:
            for call in one.calls:
                rule = RULES.get(call.tool, _says_nothing)
                if call.rc != 0 and call.tool not in MAY_FAIL:
                    yield f"{one}: {' '.join(call.args)}: {call.rc} {call.err}"
                elif not rule(self, one, call):
                    yield f"{one}: {' '.join(call.args)}: {call.rc} {call.out} {call.err}"


def options(
    apps: Iterable[str], defaults: Mapping[str, Any], asked: Iterable[tuple[float, list[str]]]
) -> dict[str, list[Since]]:
    """Return what each application's options were after each command that set one as a text."""
    found = {app: [(0.0, dict(defaults))] for app in apps}
    for at, (command, *words) in asked:
        if command == "config" and (sets := [word for word in words[1:] if "=" in word]):
            before = found[words[0]][-1][1]
            changes = dict(word.split("=", 1) for word in sets)
            found[words[0]].append((at, before | changes))
    return found


def _says_nothing(_: World, __: Dispatch, call: Call) -> bool:
    return call.out == "" and call.err == ""


def _is_leader(world: World, one: Dispatch, call: Call) -> bool:
    return _may_lead(world.history, one, says=call.out is True or call.out == "True\n")


def _ordered(world: World, one: Dispatch, call: Call) -> bool:
    expected = call if call.tool == "goal-state" else None
    return openness.is_open(world.history, one, call, call, expected)


def _bag(world: World, one: Dispatch, call: Call) -> bool:
    """A databag has its owner's address, and what its owner wrote."""
    owner, bag = call.args[-1], dict(call.out)
    if "/" in owner:
        address = world.addresses[owner]
        jujus = (bag.pop("ingress-address", ""), bag.pop("egress-subnets", ""))
        if jujus != (address, f"{address}/32"):
            return False
    return _ordered(world, one, replace(call, out=bag))


def _network(world: World, one: Dispatch, call: Call) -> bool:
    address = world.addresses[one.unit]
    bound = [each["value"] for nic in call.out["bind-addresses"] for each in nic["addresses"]]
    networks = (call.out["ingress-addresses"], call.out["egress-subnets"])
    return address in bound and networks == ([address], [f"{address}/32"])


def _config(world: World, one: Dispatch, call: Call) -> bool:
    """What an application's options are at once, or were until just before."""
    known = world.options[one.app]
    over = [at for at, _ in known if at + SET_S < one.began]
    return call.out in [what for at, what in known if max(over, default=0.0) <= at <= one.ended]


RULES: dict[str, Callable[[World, Dispatch, Call], bool]] = {
    **dict.fromkeys(("goal-state", "open-port", "opened-ports"), _ordered),
    **dict.fromkeys(("relation-ids", "relation-list"), _ordered),
    "action-get": lambda _, one, call: call.out == ACTION_DEFAULTS[one.name],
    "config-get": _config,
    "is-leader": _is_leader,
    "network-get": _network,
    "relation-get": _bag,
    "relation-model-get": lambda _, one, call: call.out == {"uuid": one.env["JUJU_MODEL_UUID"]},
    "secret-add": lambda world, one, call: world.secrets.is_new(one, call),
    "secret-get": lambda world, one, call: world.secrets.may_get(one, call),
    "secret-ids": lambda world, one, call: (
        (sorted(call.out) if call.out else call.out) == world.secrets.managed(one)
    ),
    "secret-info-get": lambda world, one, call: world.secrets.may_inform(one, call),
    "state-get": lambda world, one, call: call.out == own.state(world.history, one),
    "status-get": lambda world, one, call: call.out == own.status(world.history, one),
    "unit-get": lambda world, one, call: call.out.strip() == world.addresses[one.unit],
}


def _may_lead(history: History, one: Dispatch, *, says: bool) -> bool:
    """Tell whether a unit may be told that it leads, or that it does not.

    It does from when it gets the lease, a moment before leader-elected, until another has it.
    """
    elected = [other for other in history.all if other.name == "leader-elected"]
    elected = [other for other in elected if other.app == one.app]
    told = sum(other.began <= one.began for other in elected)
    now, following = elected[max(told - 1, 0)], elected[max(told, 1) :][:1]
    if says:
        return one.unit in [other.unit for other in (now, *following)]
    return one.unit != now.unit or bool(following)


def environment(one: Dispatch) -> dict[str, str]:
    """Return an event's environment without anything that is the model's own."""
    tag, env = f"unit-{one.unit.replace('/', '-')}", dict(one.env)
    for key in ("JUJU_MACHINE_ID", "JUJU_MODEL_NAME", "JUJU_MODEL_UUID", "JUJU_API_ADDRESSES"):
        env[key] = "<own>"
    for key in ("JUJU_REMOTE_APP", "JUJU_REMOTE_UNIT", "JUJU_DEPARTING_UNIT"):
        if env.get(key):
            env[key] = _kin(one, env[key])
    for key, ending in ENDINGS.items():
        if key in env:
            env[key] = re.sub(f"{ending}$", "<number>", env[key])
    return {k: v.replace(tag, "<tag>").replace(one.unit, "<unit>") for k, v in env.items()}


def _kin(one: Dispatch, name: str) -> str:
    """Return what a unit or application is to the one that an event is about."""
    if name == one.unit:
        return "<unit>"
    kind = "unit" if "/" in name else "application"
    return f"<peer {kind}>" if name.partition("/")[0] == one.app else f"<remote {kind}>"
