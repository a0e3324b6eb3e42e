# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The commands about the controller, models and machines."""

import sys
import time
from typing import Any

from . import output, status
from .arguments import UsageError
from .client import CONTROLLER, ClientError, Session, assignments, command, say, short_name
from .model import seconds

KEYS = (
    'To use "juju ssh", "juju scp" and "juju debug-hooks" ssh public keys need to be added to '
    'the model with "juju add-ssh-key"'
)


# The controller and its models.


@command("version", "all", formats="json smart yaml")
def _version(session: Session) -> None:
    about = {"git-commit": "", "git-tree-state": "lab", "compiler": "python", "official": False}
    version = f"{session.ask('controller')['version']}-ubuntu-amd64"
    if session.flag("all"):
        session.show({"version": version, **about})
    else:
        session.show(version, "text", text=f"{version}\n")


@command("whoami", left_out="c controller", formats="json tabular yaml")
def _whoami(session: Session) -> None:
    current = session.current
    text = f"Controller:  {CONTROLLER}\nModel:       {current or '<no-current-model>'}\n"
    found = {"controller": CONTROLLER, "model": current, "user": "admin"}
    session.show(found, "text", text=f"{text}User:        admin\n")


@command(
    "add-model", "config= no-switch", "model name is required", left_out="c controller credential"
)
def _add_model(session: Session) -> None:
    name = session.words[0]
    config = assignments(session.options.get("config", []), typed=False)
    session.ask("add_model", name=name, config=config)
    if not session.flag("no-switch"):
        session.current = name
    say(f"Added '{name}' model with credential 'default' for user 'admin'\n{KEYS}")


@command("switch", "", "no model given")
def _switch(session: Session) -> None:
    name, old = short_name(session.words[0]), session.current
    session.ask("model_config", model=name)
    new = f"{CONTROLLER}:admin/{name}"
    before = f"{CONTROLLER}:admin/{old}" if old else f"{CONTROLLER} (controller)"
    session.current = name
    say(f"{new} (no change)" if old == name else f"{before} -> {new}")


@command(
    "models list-models",
    "all",
    left_out="c controller exact-time user uuid",
    formats="json tabular yaml",
)
def _models(session: Session) -> None:
    current, uuid = session.current, session.ask("controller")["uuid"]
    models: list[dict[str, Any]] = []
    rows: list[list[str]] = []
    for one in session.ask("models"):
        about = _model_info(one, uuid)
        models.append(about)
        name = one["name"] + ("*" if one["name"] == current else "")
        counts = [str(len(one["machines"])), str(one["units"] or "-")]
        state = about["status"]["current"]
        rows.append([name, status.CLOUD, status.CLOUD, state, *counts, "admin", "just now"])
    header = "Model,Cloud/Region,Type,Status,Machines,Units,Access,Last connection"
    text = f"Controller: {CONTROLLER}\n\n" + output.table(header, rows, right=(4, 5))
    found: dict[str, Any] = {"models": models}
    session.show(found | ({"current-model": current} if current else {}), "text", text=text)


def _model_info(one: dict[str, Any], controller_uuid: str) -> dict[str, Any]:
    state = "available" if one["life"] == "alive" else "destroying"
    return {
        "name": f"admin/{one['name']}",
        "short-name": one["name"],
        "model-uuid": one["uuid"],
        "model-type": "iaas",
        "controller-uuid": controller_uuid,
        "controller-name": CONTROLLER,
        "is-controller": False,
        "cloud": status.CLOUD,
        "type": status.CLOUD,
        "life": one["life"],
        "status": {"current": state, "since": "just now"},
        "access": "admin",
        "last-connection": "just now",
        "agent-version": one["version"],
    }


@command("show-model", formats="json yaml", empty=True)
def _show_model(session: Session) -> None:
    name = session.words[0] if session.words else session.model
    found = [one for one in session.ask("models") if one["name"] == short_name(name)]
    if not found:
        raise ClientError(f"model {CONTROLLER}:{name} not found")
    about = _model_info(found[0], session.ask("controller")["uuid"])
    user = {"display-name": "admin"} | {
        key: about.pop(key) for key in ("access", "last-connection")
    }
    about["users"] = {"admin": user}
    about["machines"] = {number: {"cores": 0} for number in found[0]["machines"]}
    internal = {"num-secrets": found[0]["secrets"], "status": "active"}
    session.show({short_name(name): about | {"secret-backends": {"internal": internal}}})


@command(
    "destroy-model",
    "timeout= no-prompt force no-wait destroy-storage release-storage",
    "no model specified",
)
def _destroy_model(session: Session) -> None:
    force, name = session.flag("force"), short_name(session.words[0])
    timeout = seconds(session.get("timeout") or "0s")
    if session.get("timeout") and not force:
        raise UsageError("--timeout can only be used with --force (dangerous)")
    if session.flag("no-wait") and not force:
        raise UsageError("--no-wait without --force not valid")
    session.ask("model_config", model=name)
    if not session.flag("no-prompt"):
        _warn_of_destruction(session, name)
        raise ClientError("model destruction: aborted")
    at_once = force and (not timeout or session.flag("no-wait"))
    session.ask("destroy_model", model=name, force=at_once)
    say("Destroying model\n")
    began, told = time.monotonic(), "never"
    while found := [one for one in session.ask("models") if one["name"] == name]:
        left = len(found[0]["applications"])
        text = f", {left} application(s)" if left else ""
        if text != told:
            say(f"Waiting for model to be removed{text}...")
            told = text
        if timeout and time.monotonic() - began > timeout:
            session.ask("destroy_model", model=name, force=True)
        time.sleep(0.5)
    say("Model destroyed.")


def _warn_of_destruction(session: Session, name: str) -> None:
    found = session.ask("status", model=name)["status"]
    machines, apps = found["machines"], found["applications"]
    affects = f'will destroy the "{name}" model and affect the following resources'
    say(f"WARNING This command {affects}. It cannot be stopped.\n")
    for kind, fate, names in (
        ("machine", "destroyed", [f"{one} ({machines[one]['instance-id']})" for one in machines]),
        ("application", "removed", list(apps)),
    ):
        if names:
            say(f" - {len(names)} {kind}{'s' if len(names) > 1 else ''} will be {fate}")
            say(f"  - {kind} list: " + " ".join(f'"{one}"' for one in names))
    say(" - 0 filesystem and 0 volume will be destroyed\n")
    ask = "To continue, enter the name of the model to be unregistered: "
    print(ask, end="", file=sys.stderr)


@command(
    "model-config",
    "reset= no-color",
    left_out="color file ignore-read-only-fields",
    formats="json tabular yaml",
)
def _model_config(session: Session) -> None:
    values, reset = [word for word in session.words if "=" in word], session.all("reset")
    if values or reset:
        given = assignments(values, typed=False)
        for key in session.call("set_model_config", values=given, reset=reset):
            known = "is not defined in the current model configuration: possible misspelling"
            say(f'WARNING key "{key}" {known}')
        return
    found = session.call("model_config")
    if session.words:
        key = session.words[0]
        if key not in found:
            where = f'the currently targeted model: "admin/{session.model}"'
            raise ClientError(f'"{key}" is not a key of {where}')
        value = found[key]["Value"]
        session.show(value, "text", text=output.to_smart(value))
        return
    rows = [
        (key, one["Source"], output.to_json(one["Value"]).strip('"') or '""')
        for key, one in found.items()
    ]
    if session.get("format") == "yaml":
        found = {key: {k.lower(): one[k] for k in one} for key, one in found.items()}
    session.show(found, "text", text=output.table("Attribute,From,Value", rows))


# Machines.


@command("add-machine", "base= num-units=", left_out="constraints disks private-key public-key")
def _add_machine(session: Session) -> None:
    if session.words:
        what = f'placement "{session.words[0]}"'
        raise UsageError(f"{what} is not part of the lab: it makes its machines")
    count, base = session.number("num-units", 1), session.get("base")
    for one in session.call("add_machines", count=count, base=base):
        say(f"created machine {one}")


@command(
    "remove-machine",
    "no-prompt force",
    "no machines specified",
    left_out="dry-run keep-instance no-wait",
)
def _remove_machine(session: Session) -> None:
    for one in session.words:
        units = session.call("remove_machine", number=one, force=session.flag("force"))
        print(f"will remove machine {one}", *units, sep="\n- will remove unit ")
