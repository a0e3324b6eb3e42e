# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""From what the lab's controller tells to what the API says: plain data in, plain data out.

`found` is what `juju status --format json` prints; `relations` is the controller's list with
`id`, `status` and `endpoints` (`application`, `name`, `role`, `interface`). Shapes are those of
juju/rpc/params: status.go, multiwatcher.go, action.go.
"""

import datetime
from collections.abc import Iterator
from typing import Any

from charmed_lab import output

from .facades import tag_of

CLOUD = "cloud-lab"
OWNER = "user-admin"
NO_TIME = "0001-01-01T00:00:00Z"
# Juju names the sides of a relation in this order.
ROLES = ("requirer", "provider", "peer")
# What of a machine has the same name in both.
MACHINE = ("hostname", "dns-name", "ip-addresses", "instance-id", "network-interfaces", "hardware")

Data = dict[str, Any]
Entities = dict[tuple[str, str], Data]


def moment(when: float) -> str:
    """Return a time as Go writes it; 0 is one that has not come."""
    return output.iso(when) if when else NO_TIME


def since(status: Data) -> str | None:
    """Return a status's time, which `juju status` prints in words."""
    if not (text := status.get("since")):
        return None
    read = datetime.datetime.strptime(text, "%d %b %Y %H:%M:%SZ")
    return f"{read.isoformat()}Z"


def _detailed(status: Data) -> Data:
    given = {key: status.get(key, "") for key in ("version", "life")}
    return {"status": status.get("current", ""), **_said(status, "info"), **given}


def _info(status: Data) -> Data:
    given = {key: status.get(key, "") for key in ("current", "version")}
    return {**given, **_said(status, "message")}


def _said(status: Data, key: str) -> Data:
    return {key: status.get("message", ""), "since": since(status), "data": {}}


def full_status(found: Data, relations: list[Data], now: float) -> Data:
    """Return params.FullStatus; what the lab never has (offers, branches) is left out."""
    about, apps = found["model"], found["applications"]
    model = {key: about[key] for key in ("name", "type", "version")}
    model |= {"cloud-tag": CLOUD, "model-status": _detailed(about["model-status"])}
    return {
        "model": model,
        "machines": {number: _machine(number, one) for number, one in found["machines"].items()},
        "applications": {name: _application(one) for name, one in apps.items()},
        "relations": [_relation(one) for one in relations if _ends(one)[0]["application"] in apps],
        "controller-timestamp": moment(now),
    }


def _machine(number: str, one: Data) -> Data:
    return {key: one[key] for key in MACHINE if key in one} | {
        "id": number,
        "agent-status": _detailed(one["juju-status"]),
        "instance-status": _detailed(one["machine-status"]),
        "modification-status": _detailed(one["modification-status"]),
        "base": base(one),
    }


def base(one: Data) -> dict[str, str]:
    """Return params.Base of a machine or application."""
    return {"name": one["base"]["name"], "channel": f"{one['base']['channel']}/stable"}


def _application(one: Data) -> Data:
    related, app_version = one.get("relations", {}), one.get("version", "")
    given = ("charm", "charm-rev", "exposed", "life", "endpoint-bindings")
    return {key: one[key] for key in given} | {
        "base": base(one),
        "relations": {
            name: [end["related-application"] for end in ends] for name, ends in related.items()
        },
        "units": {name: _unit(unit, app_version) for name, unit in one.get("units", {}).items()},
        "status": _detailed(one["application-status"]),
        "workload-version": app_version,
    }


def _unit(one: Data, app_version: str) -> Data:
    return {
        "agent-status": _detailed(one["juju-status"]),
        "workload-status": _detailed(one["workload-status"]),
        "workload-version": app_version,
        "machine": one["machine"],
        "opened-ports": one.get("open-ports", []),
        "public-address": one.get("public-address", ""),
        "leader": one.get("leader", False),
    }


def _ends(relation: Data) -> list[Data]:
    return sorted(relation["endpoints"], key=lambda end: ROLES.index(end["role"]))


def _key(relation: Data) -> str:
    return " ".join(f"{end['application']}:{end['name']}" for end in _ends(relation))


def _relation(one: Data) -> Data:
    ends = [{key: end[key] for key in ("application", "name", "role")} for end in _ends(one)]
    return {
        "id": one["id"],
        "key": _key(one),
        "interface": one["endpoints"][0]["interface"],
        "scope": "global",
        "endpoints": [end | {"subordinate": False} for end in ends],
        "status": _detailed({"current": one["status"]}),
    }


def entities(found: Data, relations: list[Data], model: Data) -> Entities:
    """Return what a watcher tells of a model, by kind and ID; `model` is params.ModelUpdate.

    Lives of units are missing in what is told here, as they are in `juju status`.
    """
    uuid = {"model-uuid": model["model-uuid"]}
    told = {("model", model["model-uuid"]): model}
    for kind, data in _parts(found, relations):
        told[kind, str(data.get("name", data.get("id")))] = uuid | data
    return told


def _parts(found: Data, relations: list[Data]) -> Iterator[tuple[str, Data]]:
    for number, machine in found["machines"].items():
        yield "machine", _machine_info(number, machine)
    for name, app in found["applications"].items():
        yield "application", _application_info(name, app)
        of = {"application": name, "base": _base_text(app), "charm-url": app["charm"]}
        for unit_name, unit in app.get("units", {}).items():
            yield "unit", {"name": unit_name, **of, **_unit_info(unit)}
    for relation in relations:
        yield "relation", _relation_info(relation)


def _base_text(one: Data) -> str:
    return f"{one['base']['name']}@{one['base']['channel']}"


def _machine_info(number: str, one: Data) -> Data:
    scope = {"type": "ipv4", "scope": "local-cloud", "space-name": "alpha"}
    return {
        "id": number,
        "instance-id": one["instance-id"],
        "agent-status": _info(one["juju-status"]),
        "instance-status": _info(one["machine-status"]),
        "life": one["machine-status"].get("life", "alive"),
        "base": _base_text(one),
        "addresses": [{"value": address, **scope} for address in one.get("ip-addresses", [])],
        "hostname": one.get("hostname", ""),
    }


def _application_info(name: str, one: Data) -> Data:
    return {
        "name": name,
        "exposed": one["exposed"],
        "charm-url": one["charm"],
        "owner-tag": OWNER,
        "life": one["life"],
        "min-units": 0,
        "constraints": {},
        "subordinate": False,
        "status": _info(one["application-status"]),
        "workload-version": one.get("version", ""),
    }


def _unit_info(unit: Data) -> Data:
    address = unit.get("public-address", "")
    return {
        "public-address": address,
        "private-address": address,
        "machine-id": unit["machine"],
        "principal": "",
        "subordinate": False,
        "workload-status": _info(unit["workload-status"]),
        "agent-status": _info(unit["juju-status"]),
    }


def _relation_info(one: Data) -> Data:
    more = {"optional": False, "limit": 0, "scope": "global"}
    ends = [
        {
            "application-name": end["application"],
            "relation": {key: end[key] for key in ("name", "role", "interface")} | more,
        }
        for end in _ends(one)
    ]
    return {"key": _key(one), "id": one["id"], "endpoints": ends}


def action_info(uuid: str, task: Data) -> Data:
    """Return params.ActionInfo, which a watcher tells."""
    given = ("id", "receiver", "name", "parameters", "status", "message", "results")
    return {"model-uuid": uuid} | {key: task[key] for key in given} | _times(task)


def action_result(task: Data) -> Data:
    """Return params.ActionResult."""
    action = {key: task[key] for key in ("name", "parameters")}
    action |= {"tag": f"action-{task['id']}", "receiver": tag_of(task["receiver"])}
    log = [{"timestamp": moment(when), "message": text} for when, text in task["log"]]
    said = {"status": task["status"], "message": task["message"], "output": task["results"]}
    return {"action": action, "log": log, **said, **_times(task)}


def _times(task: Data) -> dict[str, str]:
    return {key: moment(task[key]) for key in ("enqueued", "started")}
