# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What else the client may ask: questions, tasks, and the operator's secrets."""

import base64
import hashlib
import time
from typing import Any

from . import output, secrets, status, versions
from .controller import Controller
from .model import MODEL_DEFAULTS, JujuError, Model, Secret, Task

CONTROLLER = "lab"


class API(Controller):
    """All methods of the daemon's socket."""

    def find(self, name: str) -> Model:
        """Return the model of a name, which may have controller and owner before it."""
        short = name.rpartition(":")[2].rpartition("/")[2]
        if found := self._store.world.models.get(short):
            return found
        raise JujuError(f"model {CONTROLLER}:{name} not found")

    # Questions.

    def models(self) -> list[dict[str, Any]]:
        """Return each model with its counts."""
        return [
            {
                "name": model.name,
                "uuid": model.uuid,
                "life": model.life,
                "machines": list(model.machines),
                "applications": sorted(model.applications),
                "units": len(model.units),
                "secrets": len(model.secrets),
                "version": model.version.number,
            }
            for model in self._store.world.models.values()
        ]

    def controller(self) -> dict[str, Any]:
        """Return what the controller says of itself."""
        world = self._store.world
        return {"uuid": world.controller_uuid, "version": versions.VERSIONS[world.juju].number}

    def status(self, model: Model) -> dict[str, Any]:
        """Return a model's whole status, its relations, and what a bundle's deploy must know."""
        full = status.full(model, CONTROLLER, time.time())
        rows = status.relation_rows(model)
        noted = {
            app.name: {"annotations": app.annotations, "constraints": app.constraints}
            for app in model.applications.values()
        }
        found = {"status": full, "relations": rows, "sequences": dict(model.sequences)}
        return found | {"noted": noted, "juju": model.juju}

    def show_unit(self, model: Model, name: str) -> dict[str, Any]:
        """Return all about a unit."""
        if name not in model.units:
            raise JujuError(f"unit {name} not found")
        return status.unit_info(model, model.units[name])

    def config(self, model: Model, name: str) -> dict[str, Any]:
        """Return an application's options as `juju config` prints them."""
        if name not in model.applications:
            raise JujuError(f"application {name} not found (not found)")
        app, charm = model.applications[name], model.charm_of(name)
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
        about = {"application": name, "application-config": {"trust": trust}}
        return about | {"charm": charm.name, "settings": options}

    def model_config(self, model: Model) -> dict[str, Any]:
        """Return the model's options with where they come from."""
        values = {"agent-version": model.version.number} | MODEL_DEFAULTS | model.config
        set_here = {"agent-version", *model.config}
        return {
            key: {"Value": values[key], "Source": "model" if key in set_here else "default"}
            for key in sorted(values)
        }

    def actions(self, model: Model, name: str) -> dict[str, Any]:
        """Return the schemas of an application's actions."""
        if name not in model.applications:
            raise JujuError(f'application "{name}" not found')
        return model.charm_of(name).actions

    def machine_of(self, model: Model, target: str) -> str:
        """Return the stage's number of the machine that a unit, leader or number means."""
        app, slash, number = target.partition("/")
        if slash:
            if number == "leader" and app in model.applications:
                target = model.applications[app].leader or target
            target = model.unit(target).machine
        if target not in model.machines:
            missing = f'machine "{target}": machine not found'
            raise JujuError(f'getting UUID for machine "{target}": {missing}')
        return model.machines[target].slot

    def units_of(self, model: Model, names: list[str]) -> list[str]:
        """Return the units of applications."""
        apps = [model.application(name) for name in names]
        return [unit.name for app in apps for unit in model.units_of(app.name)]

    def relations(self, model: Model) -> list[dict[str, Any]]:
        """Return the relations with their numbers and sides, peers' too."""
        return [
            {
                "id": one.id,
                "status": "joined" if one.scope else "joining",
                "endpoints": [vars(end) for end in one.endpoints],
            }
            for one in model.relations.values()
        ]

    def log(self, model: Model, skip: int) -> list[list[Any]]:
        """Return the lines of a model's log from a given one on."""
        return self._store.logged(model.uuid)[skip:]

    # Actions and commands.

    def enqueue(
        self, model: Model, receivers: list[str], name: str, parameters: Any
    ) -> dict[str, Any]:
        """Give units or machines something to run; return the operation and what failed."""
        if not isinstance(parameters, dict):
            raise JujuError("params must contain a YAML map with string keys")
        is_exec, now = name == "juju-exec", time.time()
        targets = [_receiver(model, one) for one in receivers]
        for target in [] if is_exec else targets:
            if name not in model.charm_of(target.partition("/")[0]).actions:
                raise JujuError(f'action "{name}" not defined for unit "{target}". (not found)')
        number, tasks, failures = str(model.take("operation")), dict[str, str](), list[str]()
        for target in targets:
            task = Task(str(model.take("operation")), target, name, parameters, now)
            kind = "unit" if "/" in target else "machine"
            if target in (model.units if kind == "unit" else model.machines):
                model.tasks[task.id] = task
                tasks[task.id] = target
            else:
                linking = "linking task to unit: " if kind == "unit" else ""
                missing = f'getting {kind} UUID for "{target}": {kind} "{target}" not found'
                failures.append(f"{linking}{missing}")
        return {"operation": number, "failures": failures, "tasks": tasks}

    def tasks(self, model: Model, ids: list[str]) -> list[dict[str, Any]]:
        """Return tasks as they are now."""
        if not set(ids) <= set(model.tasks):
            raise JujuError("id not found")
        return [vars(model.tasks[one]) for one in ids]

    # The operator's secrets.

    def add_secret(self, model: Model, name: str, content: dict[str, str], info: str) -> str:
        """Make a secret of the model; return its URI."""
        changes = {"label": name, "description": info, "content": content}
        return f"secret:{secrets.add(model, secrets.new_id(), '', changes, time.time()).id}"

    def update_secret(self, model: Model, name: str, changes: dict[str, Any]) -> None:
        """Change a secret of the model."""
        secrets.update(_user_secret(model, name), changes, time.time())

    def remove_secret(self, model: Model, name: str, revision: int) -> None:
        """Remove a secret of the model, or one revision."""
        secret = _user_secret(model, name)
        if revision and str(revision) not in secret.revisions:
            raise JujuError(f"secret revision not found: secret:{secret.id}/{revision}")
        secrets.remove(model, secret, revision)

    def grant_secret(self, model: Model, name: str, apps: list[str], grant: bool) -> None:
        """Let applications read a secret of the model, or no longer."""
        try:
            secret = _user_secret(model, name)
        except JujuError as error:
            raise JujuError(f"{error} (secret not found)") from error
        for app in apps:
            if app not in model.applications:
                where = f'cannot change access to "secret:{secret.id}" for "{app}"'
                missing = f'application "{app}" not found'
                raise JujuError(f"failed to grant/revoke secret: {where}: {missing}")
            if grant:
                secret.grants[app] = ""
            else:
                secret.grants.pop(app, None)

    def secrets(self, model: Model) -> dict[str, Any]:
        """Return all secrets without their content."""
        return {one.id: _about(one) for _, one in sorted(model.secrets.items())}

    def show_secret(
        self, model: Model, name: str, reveal: bool, revisions: bool, revision: int
    ) -> dict[str, Any]:
        """Return one secret, with content or revisions when asked."""
        try:
            secret = _user_secret(model, name)
        except JujuError as error:
            raise JujuError(f'secret "{name}" not found') from error
        about, number = _about(secret), str(revision or secret.latest)
        if revisions:
            about["revisions"] = [_revision(key, one) for key, one in secret.revisions.items()]
        if secret.grants:
            about["access"] = [
                _access(model, who, by) for who, by in sorted(secret.grants.items())
            ]
        if reveal and number not in secret.revisions:
            about["error"] = f"secret {secret.id} revision {number} not found"
        elif reveal:
            content = secret.revisions[number].content
            packed = {k: base64.b64encode(v.encode()).decode() for k, v in sorted(content.items())}
            text = output.to_json(packed)
            checksum = {"checksum": hashlib.sha256(text.encode()).hexdigest()}
            about = {"revision": about.pop("revision")} | checksum | about
            about["content"] = {"Data": content}
        return {secret.id: about}


def _access(model: Model, who: str, by: str) -> dict[str, str]:
    """Return who may read a secret, and over what: a relation, or the model for a user's."""
    kind = "unit" if "/" in who else "application"
    relation = model.relations.get(by)
    scope = f"relation-{relation.key}" if relation else f"model-{model.uuid}"
    return {"target": f"{kind}-{who.replace('/', '-')}", "scope": scope, "role": "view"}


def _receiver(model: Model, named: str) -> str:
    """Return the unit or machine that runs a task: `leader` is a unit, too."""
    app, slash, number = named.partition("/")
    if slash and app not in model.applications:
        missing = f'getting charm UUID for application "{app}": application "{app}" not found'
        raise JujuError(f"adding action operation: adding action operation: {missing}")
    if number != "leader":
        return named
    if leader := model.applications[app].leader:
        return leader
    raise JujuError(f'could not determine leader for "{app}"')


def _option(about: dict[str, Any], is_set: bool, value: Any) -> dict[str, Any]:
    default = about.get("default")
    found: dict[str, Any] = {} if default is None else {"default": default}
    found["description"] = about.get("description", "")
    source = "user" if is_set else "unset" if default is None else "default"
    found |= {"source": source, "type": about["type"]}
    return found if source == "unset" else found | {"value": value if is_set else default}


def _user_secret(model: Model, name: str) -> Secret:
    for secret in model.secrets.values():
        by_name = not secret.owner and secret.label == name
        if by_name or name in (secret.id, f"secret:{secret.id}"):
            return secret
    missing = f'secret with label "{name}" not found'
    raise JujuError(f'getting user secret for label "{name}": {missing}')


def _about(secret: Secret) -> dict[str, Any]:
    return output.filled(
        revision=secret.latest,
        rotation=secret.rotate,
        owner=secret.owner or "<model>",
        description=secret.description,
        label=secret.owner and secret.label,
        name="" if secret.owner else secret.label,
        created=output.iso(secret.created),
        updated=output.iso(secret.updated),
    )


def _revision(number: str, one: Any) -> dict[str, Any]:
    created = output.iso(one.created)
    return {"revision": int(number), "backend": "internal", "created": created, "updated": created}
