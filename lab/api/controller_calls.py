# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Logging in, and what is asked of the controller: its models and its cloud."""

import hmac
from typing import Any

from charmed_lab import status
from charmed_lab.client import Session

from . import facades, translation
from .facades import APIError, Connection, Params, method

USER = "admin"


def version(session: Session) -> str:
    """Return the controller's version; APIError unless it is 3.x, all that libjuju 3.6 takes."""
    found = str(session.ask("controller").get("version", "4.0"))
    if found.startswith("3."):
        return found
    raise APIError(f"the API needs a model of --juju 3.6; this one is {found}", "not supported")


@method("Admin", "Login")
def _login(connection: Connection, params: Params) -> dict[str, Any]:
    given = f"{params.get('auth-tag')} {params.get('credentials')}".encode()
    if not hmac.compare_digest(given, f"{translation.OWNER} {connection.password}".encode()):
        raise APIError("invalid entity name or password", "unauthorized access")
    server, access = version(connection.session), {"controller-access": "superuser"}
    if connection.uuid:
        connection.model = connection.about()["name"]
        access["model-access"] = "admin"
    connection.is_open = True
    offered = sorted(connection.facades)
    found = {
        "controller-tag": f"controller-{connection.session.ask('controller')['uuid']}",
        "user-info": {"display-name": USER, "identity": translation.OWNER, **access},
        "facades": [{"name": one, "versions": [facades.VERSIONS[one]]} for one in offered],
        "server-version": server,
    }
    return found | ({"model-tag": f"model-{connection.uuid}"} if connection.uuid else {})


@method("Pinger", "Ping")
def _ping(_: Connection, __: Params) -> dict[str, Any]:
    return {}


@method("Cloud", "Clouds")
def _clouds(_: Connection, __: Params) -> dict[str, Any]:
    cloud = {"type": status.CLOUD, "auth-types": ["empty"], "regions": []}
    return {"clouds": {translation.CLOUD: cloud}}


@method("Controller", "AllModels")
def _all_models(connection: Connection, _: Params) -> dict[str, Any]:
    models = connection.session.ask("models")
    owned = {"owner-tag": translation.OWNER, "type": "iaas"}
    return {
        "user-models": [
            {"model": {"name": one["name"], "uuid": one["uuid"], **owned}} for one in models
        ]
    }


@method("ModelManager", "ListModelSummaries")
def _summaries(connection: Connection, _: Params) -> dict[str, Any]:
    models = connection.session.ask("models")
    access = {"user-access": "admin"}
    return {"results": [{"result": _model(connection, one) | access} for one in models]}


@method("ModelManager", "ModelInfo")
def _model_info(connection: Connection, params: Params) -> dict[str, Any]:
    models = {one["uuid"]: one for one in connection.session.ask("models")}
    asked = [models.get(facades.name_of(entity["tag"])) for entity in params["entities"]]
    if not all(asked):
        raise APIError("permission denied", "unauthorized access")
    users = {"users": [{"user": USER, "display-name": USER, "access": "admin"}]}
    return {"results": [{"result": _model(connection, one) | users} for one in asked if one]}


def _model(connection: Connection, one: dict[str, Any]) -> dict[str, Any]:
    """Return what ModelInfo and ModelSummary have in common."""
    state = "available" if one["life"] == "alive" else "destroying"
    return {
        "name": one["name"],
        "uuid": one["uuid"],
        "type": "iaas",
        "controller-uuid": connection.session.ask("controller")["uuid"],
        "is-controller": False,
        "provider-type": status.CLOUD,
        "cloud-tag": translation.CLOUD,
        "owner-tag": translation.OWNER,
        "life": one["life"],
        "status": {"status": state, "info": ""},
        "agent-version": one["version"],
    }
