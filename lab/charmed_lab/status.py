# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""`juju status` and its relatives: the model as Juju describes it."""

from typing import Any

from . import output, ports
from .model import Application, Machine, Model, Relation, Status, Unit

CLOUD = "lab"
LOST = "agent lost, see `juju debug-logs` or `juju show-status-log` for more information"
SILENT = "agent is not communicating with the server"
APPS = "App,Version,Status,Scale,Charm,Channel,Rev,Exposed,Message"
HARDWARE = "arch=amd64"
MACHINES = "Machine,State,Address,Inst id,Base,AZ,Message"


def full(model: Model, controller: str, now: float) -> dict[str, Any]:
    """Return what `juju status --format json` prints."""
    about = {
        "name": model.name,
        "type": "iaas",
        "controller": controller,
        "cloud": CLOUD,
        "version": model.version.number,
        "model-status": {"current": "available", "since": output.since(model.since)},
    }
    about |= output.filled(sla=model.version.sla)
    machines = sorted(model.machines.values(), key=lambda one: int(one.number))
    apps = sorted(model.applications.values(), key=lambda one: one.name)
    return {
        "model": about,
        "machines": {one.number: _machine(one) for one in machines},
        "applications": {one.name: _application(model, one) for one in apps},
        "storage": {},
        "controller": {"timestamp": output.clock(now) + "Z"},
    }


def _status(status: Status, **more: str) -> dict[str, Any]:
    since = output.since(status.since) if status.since else ""
    return output.filled(current=status.current, message=status.message, since=since) | more


def _base(text: str) -> dict[str, str]:
    name, _, channel = text.partition("@")
    return {"name": name, "channel": channel.removesuffix("/stable")}


def _machine(machine: Machine) -> dict[str, Any]:
    address = machine.address
    about = {
        "instance-id": machine.instance_id,
        "machine-status": _status(machine.status, life=machine.life),
        "modification-status": {},
        "base": _base(machine.base),
    }
    status = {"juju-status": _status(machine.agent, life=machine.life)}
    if not address:
        return status | about
    link = {"ip-addresses": [f"{address}/24"], "mac-address": machine.mac}
    link |= {"gateway": address.rpartition(".")[0] + ".1", "space": "alpha", "is-up": True}
    names = {"hostname": machine.hostname, "dns-name": address, "ip-addresses": [address]}
    return status | names | about | {"network-interfaces": {"eth0": link}, "hardware": HARDWARE}


def _application(model: Model, app: Application) -> dict[str, Any]:
    charm = model.charms[app.charm]
    units = model.units_of(app.name)
    lost = bool(units) and all(_is_lost(model, unit) for unit in units)
    status = Status("unknown") if lost and not app.status else model.app_status(app.name)
    found: dict[str, Any] = {
        "charm": charm.url,
        "base": _base(app.base),
        "charm-origin": "local",
        "charm-name": charm.name,
        "charm-rev": charm.revision,
        "exposed": app.exposed,
        "life": app.life,
        "application-status": _status(status),
    }
    related: dict[str, list[dict[str, str]]] = {}
    for relation in model.relations_of(app.name):
        own, remote = relation.own(app.name), relation.remote(app.name)
        one = {"related-application": remote.application, "interface": own.interface}
        related.setdefault(own.name, []).append(one | {"scope": "global"})
    return found | output.filled(
        relations=dict(sorted(related.items())),
        units={unit.name: _unit(model, unit) for unit in units},
        version=app.version,
        endpoint_bindings=dict.fromkeys(sorted(["", "juju-info", *charm.endpoints]), "alpha"),
    )


def _is_lost(model: Model, unit: Unit) -> bool:
    return model.machines[unit.machine].agent.current == "down"


def _unit(model: Model, unit: Unit) -> dict[str, Any]:
    workload, agent = unit.shown(), unit.agent
    if _is_lost(model, unit):
        workload = Status("unknown", LOST, workload.since)
        agent = Status("lost", SILENT, agent.since)
    version = output.filled(version=unit.charm and model.version.number)
    return output.filled(
        workload_status=_status(workload),
        juju_status=_status(agent) | version,
        leader=model.is_leader(unit.name),
        machine=unit.machine,
        open_ports=open_ports(unit),
        public_address=model.machines[unit.machine].address,
    )


def open_ports(unit: Unit) -> list[str]:
    """Return a unit's open ports, sorted."""
    return sorted({one for ranges in unit.ports.values() for one in ranges}, key=ports.order)


def select(found: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """Keep what `juju status WORD...` asks for: applications, units, machines."""
    apps = {}
    for name, app in found["applications"].items():
        units = {key: one for key, one in app.get("units", {}).items() if key in words}
        if name in words:
            apps[name] = app
        elif units:
            apps[name] = app | {"units": units}
    on = {one["machine"] for app in apps.values() for one in app.get("units", {}).values()}
    machines = {key: one for key, one in found["machines"].items() if key in words or key in on}
    return found | {"applications": apps, "machines": machines}


def tabular(found: dict[str, Any], relations: list[list[str]] | None) -> str:
    """Return what `juju status` prints by default."""
    model, apps = found["model"], found["applications"]
    header = "Model,Controller,Cloud/Region,Version,SLA,Timestamp"
    row = [model[key] for key in ("name", "controller", "cloud", "version", "sla") if key in model]
    row.append(found["controller"]["timestamp"])
    tables = [output.table(header if "sla" in model else header.replace("SLA,", ""), [row])]
    units = [_unit_row(*item) for app in apps.values() for item in app.get("units", {}).items()]
    for header, rows, right in (
        (APPS, [_app_row(*item) for item in apps.items()], (3, 6)),
        ("Unit,Workload,Agent,Machine,Public address,Ports,Message", units, ()),
        (MACHINES, [_machine_row(*item) for item in found["machines"].items()], ()),
        ("Integration provider,Requirer,Interface,Type,Message", relations, ()),
    ):
        if rows:
            tables.append(output.table(header, rows, right=right))
    return "\n".join(tables)


def _app_row(name: str, app: dict[str, Any]) -> list[str]:
    units = list(app.get("units", {}).values())
    ready = sum(unit["juju-status"]["current"] in ("idle", "executing") for unit in units)
    scale = f"{len(units)}" if ready == len(units) else f"{ready}/{len(units)}"
    status = app["application-status"]
    shown = [name, app.get("version", ""), status["current"], scale, app["charm-name"], ""]
    exposed = "yes" if app["exposed"] else "no"
    return [*shown, str(app["charm-rev"]), exposed, status.get("message", "")]


def _unit_row(name: str, unit: dict[str, Any]) -> list[str]:
    workload, star = unit["workload-status"], "*" if unit.get("leader") else ""
    states = [workload["current"], unit["juju-status"]["current"]]
    places = [unit["machine"], unit.get("public-address", "")]
    opened = ports.brief(unit.get("open-ports", []))
    return [name + star, *states, *places, opened, workload.get("message", "")]


def _machine_row(number: str, machine: dict[str, Any]) -> list[str]:
    base = f"{machine['base']['name']}@{machine['base']['channel']}"
    places = [machine.get("dns-name", ""), machine["instance-id"], base, ""]
    message = machine["machine-status"].get("message", "")
    return [number, machine["juju-status"]["current"], *places, message]


def relation_rows(model: Model) -> list[list[str]]:
    """Return the rows of the table of relations."""
    return sorted(_relation_row(relation) for relation in model.relations.values())


def _relation_row(relation: Relation) -> list[str]:
    ends = relation.endpoints if len(relation.endpoints) == 2 else relation.endpoints * 2
    first, second = sorted(ends, key=lambda end: end.role)
    kind = "peer" if relation.is_peer else "regular"
    message = "" if relation.scope else "joining"
    return [str(first), str(second), first.interface, kind, message]


def unit_info(model: Model, unit: Unit) -> dict[str, Any]:
    """Return what `juju show-unit` prints."""
    app = model.applications[unit.application]
    found = output.filled(workload_version=app.version) | {
        "machine": unit.machine,
        "opened-ports": open_ports(unit) or None,
        "public-address": model.machines[unit.machine].address,
        "charm": app.charm,
        "leader": model.is_leader(unit.name),
        "life": unit.life,
    }
    related = sorted(model.relations_of(app.name), key=lambda one: (one.is_peer, -one.id))
    return found | {"relation-info": [_relation_info(model, one, unit) for one in related]}


def _relation_info(model: Model, relation: Relation, unit: Unit) -> dict[str, Any]:
    own, remote = relation.own(unit.application), relation.remote(unit.application)

    def about(name: str) -> dict[str, Any]:
        return {"in-scope": name in relation.scope, "data": relation.bags.get(name, {})}

    shown = own if model.version.shows_own_data else remote
    hidden = {"in-scope": False, "data": None}
    others = [name for name in relation.scope if name.startswith(f"{remote.application}/")]
    related = {name: about(name) for name in sorted(others) if name != unit.name}
    found = {
        "relation-id": relation.id,
        "endpoint": own.name,
        "related-endpoint": remote.name,
        "application-data": relation.bags.get(shown.application, {}),
        "local-unit": about(unit.name) if relation.is_peer else hidden,
    }
    return found | ({"related-units": related} if related else {})
