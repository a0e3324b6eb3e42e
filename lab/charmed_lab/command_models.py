# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The commands about the controller, models and machines."""

import time
from typing import Any

from . import output, status
from .client import (
    CONTROLLER,
    VERSION,
    ClientError,
    Line,
    Session,
    assignments,
    command,
    number,
    say,
    show,
    usage,
)

KEYS = (
    'To use "juju ssh", "juju scp" and "juju debug-hooks" ssh public keys need to be added to '
    'the model with "juju add-ssh-key"'
)


# The controller and its models.


@command("version", flags="all")
def _version(_: Session, line: Line) -> None:
    if not line.flag("all"):
        show(line, VERSION, "text", text=f"{VERSION}\n")
        return
    source = {"git-commit": "", "git-tree-state": "lab", "compiler": "python", "official": False}
    show(line, {"version": VERSION, **source})


@command("whoami")
def _whoami(session: Session, line: Line) -> None:
    found = {"controller": CONTROLLER, "model": session.current, "user": "admin"}
    text = f"Controller:  {CONTROLLER}\nModel:       {session.current or '<no-current-model>'}\n"
    show(line, found, "text", text=f"{text}User:        admin\n")


@command("controllers list-controllers", flags="refresh")
def _controllers(session: Session, line: Line) -> None:
    about = session.call("controller")
    one = {
        "user": "admin",
        "access": "superuser",
        "uuid": about["uuid"],
        "cloud": status.CLOUD,
        "agent-version": status.JUJU_VERSION,
        "seed": about["seed"],
    }
    found = {"controllers": {CONTROLLER: one}, "current-controller": CONTROLLER}
    row = (f"{CONTROLLER}*", session.current, "admin", "superuser", status.CLOUD)
    header = ("Controller", "Model", "User", "Access", "Cloud/Region")
    show(line, found, "text", text=output.table(header, [row]))


@command(
    "add-model",
    "config credential controller",
    "no-switch",
    least=1,
    missing="model name is required",
)
def _add_model(session: Session, line: Line) -> None:
    name = line.words[0]
    config = assignments(line.options.get("config", []), typed=False)
    session.call("add_model", name=name, config=config)
    if not line.flag("no-switch"):
        session.current = name
    say(f"Added '{name}' model with credential 'default' for user 'admin'\n{KEYS}")


@command("switch", least=1, missing="no model given")
def _switch(session: Session, line: Line) -> None:
    name = line.words[0].rpartition(":")[2].rpartition("/")[2]
    session.call("model_config", model=name)
    old, new = session.current, f"{CONTROLLER}:admin/{name}"
    before = f"{CONTROLLER}:admin/{old}" if old else f"{CONTROLLER} (controller)"
    session.current = name
    say(f"{new} (no change)" if old == name else f"{before} -> {new}")


@command("models list-models", flags="all")
def _models(session: Session, line: Line) -> None:
    current, uuid = session.current, session.call("controller")["uuid"]
    models, rows = [], []
    for one in session.call("models"):
        models.append(_model_info(one, uuid))
        star = "*" if one["name"] == current else ""
        units = str(one["units"] or "-")
        state = "available" if one["life"] == "alive" else "destroying"
        rows.append(
            (
                one["name"] + star,
                status.CLOUD,
                status.CLOUD,
                state,
                str(len(one["machines"])),
                units,
                "admin",
                "just now",
            )
        )
    header = (
        "Model",
        "Cloud/Region",
        "Type",
        "Status",
        "Machines",
        "Units",
        "Access",
        "Last connection",
    )
    text = f"Controller: {CONTROLLER}\n\n" + output.table(header, rows, right=(4, 5))
    found: dict[str, Any] = {"models": models}
    show(line, found | ({"current-model": current} if current else {}), "text", text=text)


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
        "agent-version": status.JUJU_VERSION,
    }


@command("show-model")
def _show_model(session: Session, line: Line) -> None:
    name = line.words[0] if line.words else session.model(line)
    short, uuid = name.rpartition(":")[2].rpartition("/")[2], session.call("controller")["uuid"]
    for one in session.call("models"):
        if one["name"] == short:
            about = _model_info(one, uuid)
            access = about.pop("access"), about.pop("last-connection")
            user = {"display-name": "admin", "access": access[0], "last-connection": access[1]}
            about |= {
                "users": {"admin": user},
                "machines": {name: {"cores": 0} for name in one["machines"]},
                "secret-backends": {
                    "internal": {"num-secrets": one["secrets"], "status": "active"}
                },
            }
            show(line, {short: about})
            return
    raise ClientError(f"model {CONTROLLER}:{name} not found", empty=True)


@command(
    "destroy-model",
    "timeout",
    "no-prompt force no-wait destroy-storage release-storage",
    least=1,
    missing="no model specified",
)
def _destroy_model(session: Session, line: Line) -> None:
    force, name = line.flag("force"), line.words[0].rpartition(":")[2].rpartition("/")[2]
    timeout = line.get("timeout")
    if timeout and not force:
        raise usage("--timeout can only be used with --force (dangerous)")
    session.call("model_config", model=name)
    if not line.flag("no-prompt"):
        raise ClientError("model destruction: aborted")
    session.call("destroy_model", model=name, force=force and not timeout)
    say("Destroying model\n")
    began, told = time.monotonic(), "never"
    while found := [one for one in session.call("models") if one["name"] == name]:
        left = len(found[0]["applications"])
        text = f", {left} application(s)" if left else ""
        if text != told:
            say(f"Waiting for model to be removed{text}...")
            told = text
        if timeout and time.monotonic() - began > float(timeout.rstrip("s")):
            session.call("destroy_model", model=name, force=True)
        time.sleep(0.5)
    say("Model destroyed.")


@command("model-config", "reset file", "color")
def _model_config(session: Session, line: Line) -> None:
    model, values = session.model(line), [word for word in line.words if "=" in word]
    reset = line.all("reset")
    if values or reset:
        given = assignments(values, typed=False)
        for key in session.call("set_model_config", model=model, values=given, reset=reset):
            say(
                f'WARNING key "{key}" is not defined in the current model configuration: '
                "possible misspelling"
            )
        return
    found = session.call("model_config", model=model)
    if line.words:
        key = line.words[0]
        if key not in found:
            raise ClientError(
                f'"{key}" is not a key of the currently targeted model: "admin/{model}"'
            )
        show(line, found[key]["Value"], "text", text=output.to_smart(found[key]["Value"]))
        return
    rows = [
        (key, one["Source"], output.to_json(one["Value"]).strip('"') or '""')
        for key, one in found.items()
    ]
    lower = {key: {"value": one["Value"], "source": one["Source"]} for key, one in found.items()}
    text = output.table(("Attribute", "From", "Value"), rows)
    show(line, lower if line.get("format") == "yaml" else found, "text", text=text)


# Machines.


@command("add-machine", "base constraints num-units disks", "")
def _add_machine(session: Session, line: Line) -> None:
    if line.words:
        raise usage(f'placement "{line.words[0]}" is not part of the lab: it makes its machines')
    count, base = number(line, "num-units", 1), line.get("base")
    for one in session.call("add_machines", model=session.model(line), count=count, base=base):
        say(f"created machine {one}")


@command(
    "remove-machine",
    "timeout",
    "no-prompt force keep-instance no-wait",
    least=1,
    missing="no machines specified",
)
def _remove_machine(session: Session, line: Line) -> None:
    model, force = session.model(line), line.flag("force")
    for one in line.words:
        units = session.call("remove_machine", model=model, number=one, force=force)
        print(
            "\n".join([f"will remove machine {one}", *(f"- will remove unit {u}" for u in units)])
        )


@command("machines list-machines", flags="color utc")
def _machines(session: Session, line: Line) -> None:
    model = session.model(line)
    found = session.call("status", model=model)["status"]
    only = {
        "model": found["model"],
        "machines": found["machines"],
        "applications": {},
        "controller": found["controller"],
    }
    text = status.tabular(only, None).partition("\n\n")[2]
    show(line, {"model": model, "machines": found["machines"]}, "text", text=text)
