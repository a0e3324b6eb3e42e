# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What a charm may be told in the order that came about, without a recording to compare with."""

import re
from collections.abc import Iterator, Mapping

import openness
from history import History
from recorded import JSON, Call, Dispatch

RULED = (
    "goal-state",
    "open-port",
    "opened-ports",
    "relation-get",
    "relation-ids",
    "relation-list",
)

ENDINGS = {
    "JUJU_ACTION_TAG": r"\d+",
    "JUJU_ACTION_UUID": r"\d+",
    "JUJU_CONTEXT_ID": "[0-9a-f]{32}",
    "JUJU_RELATION_ID": r"\d+",
    "JUJU_SECRET_ID": "[a-v0-9]{20}",
    "JUJU_SECRET_REVISION": r"\d+",
}


def wrong_answers(history: History, addresses: Mapping[str, str]) -> Iterator[str]:
    """Return the answers of hook tools that do not follow from what had happened."""
    for one in history.all:
        for call in one.calls:
            if not _is_right(history, one, call, addresses):
                yield f"{one}: {' '.join(call.args)}: {call.rc} {call.out} {call.err}"


def _is_right(history: History, one: Dispatch, call: Call, addresses: Mapping[str, str]) -> bool:
    if call.tool == "is-leader":
        return _may_lead(history, one, says=call.out is True or call.out == "True\n")
    if call.tool == "network-get" and isinstance(call.out, dict):
        return call.rc == 0 and call.out["ingress-addresses"] == [addresses.get(one.unit)]
    if call.tool in RULED and (JSON in call.args or call.tool == "open-port"):
        expected = call if call.tool == "goal-state" else None
        return openness.is_open(history, one, call, call, expected)
    return call.rc == 0


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
