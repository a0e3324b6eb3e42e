# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What is asked of one model: its status, its options, its applications, its actions."""

import time
from typing import Any

from charmed_lab import status
from charmed_lab.client import ClientError

from . import facades, translation
from .facades import APIError, Connection, Params, method


@method("Client", "FullStatus")
def _full_status(connection: Connection, params: Params) -> dict[str, Any]:
    found = connection.ask("status")["status"]
    if patterns := params.get("patterns"):
        found = status.select(found, patterns)
    return translation.full_status(found, connection.ask("relations"), time.time())


# Options.


@method("ModelConfig", "ModelGet")
def _model_get(connection: Connection, _: Params) -> dict[str, Any]:
    found = connection.ask("model_config")
    values = {key: {"value": one["Value"], "source": one["Source"]} for key, one in found.items()}
    return {"config": values}


@method("ModelConfig", "ModelSet")
def _model_set(connection: Connection, params: Params) -> dict[str, Any]:
    connection.ask("set_model_config", values=params["config"], reset=[])
    return {}


@method("Application", "Get")
def _get(connection: Connection, params: Params) -> dict[str, Any]:
    name = params["application"]
    found = connection.ask("config", name=name)
    app = connection.ask("status")["status"]["applications"][name]
    return {
        "application": name,
        "charm": found["charm"],
        "config": found["settings"],
        "application-config": found["application-config"],
        "constraints": {},
        "base": translation.base(app),
        "channel": "",
        "endpoint-bindings": app["endpoint-bindings"],
    }


def _error(error: ClientError) -> dict[str, str]:
    return {"message": str(error), "code": "not found" if "not found" in str(error) else ""}


# Units.


@method("Application", "AddUnits")
def _add_units(connection: Connection, params: Params) -> dict[str, Any]:
    places = params.get("placement") or []
    if params.get("attach-storage") or any(one["scope"] != "#" for one in places):
        raise APIError("storage and places but machines: not implemented", "not implemented")
    name, to = params["application"], [one["directive"] for one in places]
    return {"units": connection.ask("add_units", name=name, count=params["num-units"], to=to)}


@method("Application", "DestroyUnit")
def _destroy_unit(connection: Connection, params: Params) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    for one in params["units"]:
        name, force = facades.name_of(one["unit-tag"]), bool(one.get("force"))
        try:
            if not one.get("dry-run"):
                connection.ask("remove_unit", name=name, force=force)
            results.append({"info": {}})
        except ClientError as error:
            results.append({"error": _error(error)})
    return {"results": results}


# Actions.


@method("Action", "ApplicationsCharmsActions")
def _charm_actions(connection: Connection, params: Params) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    for entity in params["entities"]:
        schemas = connection.ask("actions", name=facades.name_of(entity["tag"])).items()
        found = {key: {"description": one["description"], "params": one} for key, one in schemas}
        results.append({"application-tag": entity["tag"], "actions": found})
    return {"results": results}


@method("Action", "EnqueueOperation")
def _enqueue(connection: Connection, params: Params) -> dict[str, Any]:
    return _begin(connection, params["actions"])


@method("Action", "Run")
def _run(connection: Connection, params: Params) -> dict[str, Any]:
    units = params.get("units") or []
    units += connection.ask("units_of", names=params.get("applications") or [])
    tags = [facades.tag_of(one) for one in [*units, *(params.get("machines") or [])]]
    given = {"name": "juju-exec", "parameters": {"command": params["commands"]}}
    return _begin(connection, [given | {"receiver": tag} for tag in tags])


def _begin(connection: Connection, actions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return params.EnqueuedActions; each action is an operation of its own to the lab."""
    begun, operation = list[dict[str, Any]](), ""
    for one in actions:
        try:
            given = {"name": one["name"], "parameters": one.get("parameters") or {}}
            receivers = [facades.name_of(one["receiver"])]
            asked = connection.ask("enqueue", receivers=receivers, **given)
            if asked["failures"]:
                raise ClientError(asked["failures"][0])
        except ClientError as error:
            begun.append({"error": _error(error)})
            continue
        operation = operation or f"operation-{asked['operation']}"
        ids = list(asked["tasks"])
        connection.begun.setdefault(connection.uuid, []).extend(ids)
        begun.append(translation.action_result(connection.ask("tasks", ids=ids)[0]))
    return {"operation": operation, "actions": begun}


@method("Action", "Actions")
def _actions(connection: Connection, params: Params) -> dict[str, Any]:
    ids = [facades.name_of(one["tag"]) for one in params["entities"]]
    return {"results": list(map(translation.action_result, connection.ask("tasks", ids=ids)))}
