# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What the client may ask: the controller's calls, and the questions that change nothing."""

import hashlib
import time
from typing import Any

from . import output, secrets, status
from .controller import Controller
from .lookup import CONTROLLER
from .model import JUJU_VERSION, MODEL_DEFAULTS, JujuError, Model, Secret
from .secret_tools import new_id


class API(Controller):
    """All methods of the daemon's socket."""

    def models(self) -> list[dict[str, Any]]:
        """Return each model with its counts."""
        return [
            {
                "name": model.name,
                "uuid": model.uuid,
                "life": model.life,
                "machines": {one.number: one.instance_id for one in model.machines.values()},
                "applications": sorted(model.applications),
                "units": len(model.units),
                "secrets": len(model.secrets),
            }
            for model in self._store.world.models.values()
        ]

    def controller(self) -> dict[str, Any]:
        """Return what the controller says of itself."""
        world = self._store.world
        machines = sum(len(model.machines) for model in world.models.values())
        return {"uuid": world.controller_uuid, "seed": world.seed, "machines": machines}

    def status(self, model: str) -> dict[str, Any]:
        """Return the whole status of a model, and its relations."""
        found = self._model(model)
        return {
            "status": status.full(found, CONTROLLER, time.time()),
            "relations": status.relation_rows(found),
        }

    def show_unit(self, model: str, name: str) -> dict[str, Any]:
        """Return all about a unit."""
        found = self._model(model)
        if name not in found.units:
            raise JujuError(f"unit {name} not found")
        return status.unit_info(found, found.units[name])

    def show_application(self, model: str, name: str) -> dict[str, Any]:
        """Return all about an application."""
        found = self._model(model)
        if name not in found.applications:
            raise JujuError(f"application {name} not found")
        app = found.applications[name]
        names = sorted(["", "juju-info", *found.charm_of(name).endpoints])
        return {
            "charm": found.charm_of(name).name,
            "base": app.base.removesuffix("/stable"),
            "constraints": {"arch": "amd64"},
            "principal": True,
            "exposed": app.exposed,
            "remote": False,
            "life": app.life,
            "endpoint-bindings": dict.fromkeys(names, "alpha"),
        }

    def config(self, model: str, name: str) -> dict[str, Any]:
        """Return an application's options as `juju config` prints them."""
        found = self._model(model)
        if name not in found.applications:
            raise JujuError(f"application {name} not found (not found)")
        app, charm = found.applications[name], found.charm_of(name)
        trust = {
            "default": False,
            "description": "Does this application have access to trusted credentials",
            "source": "user" if app.trust else "default",
            "type": "bool",
            "value": app.trust,
        }
        options = {
            key: _option(about, key in app.config, app.config.get(key))
            for key, about in sorted(charm.options.items())
        }
        return {
            "application": name,
            "application-config": {"trust": trust},
            "charm": charm.name,
            "settings": options,
        }

    def model_config(self, model: str) -> dict[str, Any]:
        """Return the model's options with where they come from."""
        config = self._model(model).config
        values = {"agent-version": JUJU_VERSION} | MODEL_DEFAULTS | config
        set_here = {"agent-version", *config}
        return {
            key: {"Value": values[key], "Source": "model" if key in set_here else "default"}
            for key in sorted(values)
        }

    def actions(self, model: str, name: str) -> dict[str, Any]:
        """Return the schemas of an application's actions."""
        found = self._model(model)
        if name not in found.applications:
            raise JujuError(f'application "{name}" not found')
        return found.charm_of(name).actions

    def machine_of(self, model: str, target: str) -> str:
        """Return the stage's number of the machine that a unit, leader or number means."""
        found = self._model(model)
        app, slash, number = target.partition("/")
        if slash:
            if number == "leader" and app in found.applications:
                target = found.applications[app].leader or target
            if target not in found.units:
                raise JujuError(f'unit "{target}" not found')
            target = found.units[target].machine
        if target not in found.machines:
            missing = f'machine "{target}": machine not found'
            raise JujuError(f'getting UUID for machine "{target}": {missing}')
        return found.machines[target].slot

    def units_of(self, model: str, names: list[str]) -> list[str]:
        """Return the units of applications."""
        found = self._model(model)
        for name in names:
            self._application(found, name)
        return [unit.name for name in names for unit in found.units_of(name)]

    def machine_numbers(self, model: str) -> list[str]:
        """Return the machines of a model."""
        return sorted(self._model(model).machines, key=int)

    def operations(self, model: str) -> list[dict[str, Any]]:
        """Return operations with their tasks."""
        found = self._model(model)
        return [
            {**vars(one), "tasks": [vars(found.tasks[task]) for task in one.tasks]}
            for one in found.operations.values()
        ]

    def history(self, model: str, name: str) -> list[dict[str, Any]]:
        """Return the statuses that a unit had."""
        found = self._model(model)
        return self._unit(found, name).history

    def log(self, model: str, skip: int) -> list[list[Any]]:
        """Return the lines of a model's log from a given one on."""
        return self._store.logged(self._model(model).name)[skip:]

    # The operator's secrets.

    def _user_secret(self, model: Model, name: str) -> Secret:
        for secret in model.secrets.values():
            if name in (secret.id, f"secret:{secret.id}") or (
                not secret.owner and secret.label == name
            ):
                return secret
        missing = f'secret with label "{name}" not found'
        raise JujuError(f'getting user secret for label "{name}": {missing}')

    def add_secret(self, model: str, name: str, content: dict[str, str], info: str) -> str:
        """Make a secret of the model; return its URI."""
        secret_id = new_id()
        changes = {"label": name, "description": info, "content": content}
        secrets.add(self._model(model), secret_id, "", changes, time.time())
        return f"secret:{secret_id}"

    def update_secret(self, model: str, name: str, changes: dict[str, Any]) -> None:
        """Change a secret of the model."""
        secrets.update(self._user_secret(self._model(model), name), changes, time.time())

    def remove_secret(self, model: str, name: str, revision: int) -> None:
        """Remove a secret of the model, or one revision."""
        found = self._model(model)
        secret = self._user_secret(found, name)
        if revision and str(revision) not in secret.revisions:
            raise JujuError(f"secret revision not found: secret:{secret.id}/{revision}")
        secrets.remove(found, secret, revision)

    def grant_secret(self, model: str, name: str, apps: list[str], grant: bool) -> None:
        """Let applications read a secret of the model, or no longer."""
        found = self._model(model)
        try:
            secret = self._user_secret(found, name)
        except JujuError as error:
            raise JujuError(f"{error} (secret not found)") from error
        for app in apps:
            if app not in found.applications:
                where = f'cannot change access to "secret:{secret.id}" for "{app}"'
                missing = f'application "{app}" not found'
                raise JujuError(f"failed to grant/revoke secret: {where}: {missing}")
            if grant:
                secret.grants[app] = ""
            else:
                secret.grants.pop(app, None)

    def secrets(self, model: str) -> dict[str, Any]:
        """Return all secrets without their content."""
        return {one.id: _about(one) for _, one in sorted(self._model(model).secrets.items())}

    def show_secret(
        self, model: str, name: str, reveal: bool, revisions: bool, revision: int
    ) -> dict[str, Any]:
        """Return one secret, with content or revisions when asked."""
        found = self._model(model)
        secret = self._user_secret(found, name)
        about = _about(secret)
        number = str(revision or secret.latest)
        if revisions:
            about["revisions"] = [_revision(key, one) for key, one in secret.revisions.items()]
            scope = f"model-{found.uuid}"
            about["access"] = [
                {"target": f"application-{who}", "scope": scope, "role": "view"}
                for who in sorted(secret.grants)
            ]
        if reveal and number not in secret.revisions:
            about["error"] = f"secret {secret.id} revision {number} not found"
        elif reveal:
            content = secret.revisions[number].content
            text = "".join(f"{key}{content[key]}" for key in sorted(content))
            checksum = {"checksum": hashlib.sha256(text.encode()).hexdigest()}
            about = {"revision": about.pop("revision")} | checksum | about
            about["content"] = {"Data": content}
        return {secret.id: about}


def _option(about: dict[str, Any], is_set: bool, value: Any) -> dict[str, Any]:
    default = about.get("default")
    found: dict[str, Any] = {} if default is None else {"default": default}
    found["description"] = about.get("description", "")
    source = "user" if is_set else "unset" if default is None else "default"
    found |= {"source": source, "type": about["type"]}
    return found if source == "unset" else found | {"value": value if is_set else default}


def _about(secret: Secret) -> dict[str, Any]:
    found: dict[str, Any] = {"revision": secret.latest, "rotation": secret.rotate}
    found["owner"] = secret.owner or "<model>"
    if secret.description:
        found["description"] = secret.description
    if secret.label:
        found["label" if secret.owner else "name"] = secret.label
    times = {"created": output.iso(secret.created), "updated": output.iso(secret.updated)}
    return found | times


def _revision(number: str, one: Any) -> dict[str, Any]:
    created = output.iso(one.created)
    return {"revision": int(number), "backend": "internal", "created": created, "updated": created}
