# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The commands about applications, units and relations."""

import re
from pathlib import Path
from typing import Any

import yaml

from . import bundle, output, status
from .client import ClientError, Line, Session, assignments, command, number, say, show, usage

APP_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*")


# Applications and units.


@command(
    "deploy",
    "base bind channel config constraints num-units overlay map-machines resource revision "
    "storage to attach-storage",
    "trust force dry-run",
    least=1,
    missing="no charm or bundle specified",
)
def _deploy(session: Session, line: Line) -> None:
    path = Path(line.words[0])
    if path.is_dir():
        raise ClientError(f'attempting to deploy "{path}": deploying from directory not supported')
    for name in ("bind", "resource", "storage", "attach-storage", "channel", "revision"):
        if line.get(name):
            raise usage(f"option --{name} is not part of the lab")
    if not path.exists():
        if "/" in line.words[0] or path.suffix in (".charm", ".yaml"):
            raise ClientError(f'no charm was found at "{line.words[0]}"')
        raise ClientError(f'"{path}" is not a local charm; the lab does not know Charmhub')
    if path.suffix != ".charm":
        bundle.deploy(session, line)
        return
    _deploy_charm(session, line, path)


def _deploy_charm(session: Session, line: Line, path: Path) -> None:
    model = session.model(line)
    if len(line.words) > 1 and not APP_NAME.fullmatch(line.words[1]):
        name = line.words[1]
        upper = ", unexpected uppercase character" if name != name.lower() else ""
        raise usage(f'invalid application name "{name}"{upper}')
    charm = session.call("upload", model=model, path=str(path.resolve()))
    base = line.get("base").removesuffix("/stable")
    if base and base not in charm["bases"]:
        raise ClientError(
            f'base "{base}/stable" is not supported, supported bases are: '
            f"{', '.join(charm['bases'])}"
        )
    name = line.words[1] if len(line.words) > 1 else charm["name"]
    what = f'"{charm["name"]}", revision {charm["revision"]}'
    say(
        f"Located local charm {what}\n"
        f'Deploying "{name}" from local charm {what} on {base or charm["base"]}/stable'
    )
    session.call(
        "deploy",
        model=model,
        url=charm["url"],
        name=name,
        trust=line.flag("trust"),
        count=number(line, "num-units", 1),
        to=line.all("to"),
        base=base,
        config=deploy_config(line, name),
    )


def deploy_config(line: Line, name: str) -> dict[str, Any]:
    """Return the options of --config: key=value, or a YAML file by application."""
    config: dict[str, Any] = {}
    for one in line.options.get("config", []):
        if "=" in one:
            config |= assignments([one])
        else:
            config |= yaml.safe_load(Path(one).read_text()).get(name, {})
    return config


@command("add-unit", "num-units to attach-storage", least=1, missing="no application specified")
def _add_unit(session: Session, line: Line) -> None:
    session.call(
        "add_units",
        model=session.model(line),
        name=line.words[0],
        count=number(line, "num-units", 1),
        to=line.all("to"),
    )


@command(
    "remove-unit",
    "num-units timeout",
    "no-prompt force no-wait destroy-storage dry-run",
    least=1,
    missing="no units specified",
)
def _remove_unit(session: Session, line: Line) -> None:
    model, names = session.model(line), line.words
    if count := number(line, "num-units", 0):
        names = session.call("units_to_remove", model=model, name=names[0], count=count)
    elif bad := [name for name in names if "/" not in name]:
        raise usage(f'invalid unit name "{bad[0]}"')
    failed = False
    for name in names:
        try:
            if not line.flag("dry-run"):
                session.call("remove_unit", model=model, name=name, force=line.flag("force"))
            print(f"will remove unit {name}")
        except ClientError as error:
            say(f"ERROR removing unit {name} failed: {error}")
            failed = True
    if failed:
        raise ClientError("")


@command(
    "remove-application",
    "timeout",
    "no-prompt force no-wait destroy-storage dry-run",
    least=1,
    missing="no application specified",
)
def _remove_application(session: Session, line: Line) -> None:
    model, asks = session.model(line), not line.flag("no-prompt")
    dry = line.flag("dry-run") or asks
    if dry:
        say("WARNING This command will perform the following actions:")
    failed = False
    for name in line.words:
        try:
            units = session.call(
                "remove_application", model=model, name=name, force=line.flag("force"), dry=dry
            )
        except ClientError as error:
            say(f"ERROR {error}")
            failed = True
            continue
        print(
            "\n".join(
                [
                    f"will remove application {name}",
                    *(f"- will remove unit {unit}" for unit in units),
                ]
            )
        )
    if asks and not line.flag("dry-run"):
        raise ClientError("application removal: aborted")
    if failed:
        raise ClientError("")


@command(
    "refresh",
    "path switch base channel config constraints resource revision storage",
    "force force-base force-units trust",
    least=1,
    missing="no application specified",
)
def _refresh(session: Session, line: Line) -> None:
    model, name = session.model(line), line.words[0]
    path = line.get("path") or line.get("switch")
    if not path:
        raise ClientError("refreshing a local charm requires either --path or --switch")
    if not Path(path).exists():
        raise ClientError(f'"{path}": file does not exist')
    session.call("config", model=model, name=name)
    charm = session.call("upload", model=model, path=str(Path(path).resolve()))
    ends = session.call("refresh", model=model, name=name, url=charm["url"])
    say(
        f'Added local charm "{charm["name"]}", revision {charm["revision"]}, to the model\n'
        f'no change to endpoints in space "alpha": {", ".join(ends)}'
    )
    if config := deploy_config(line, name):
        session.call("set_config", model=model, name=name, values=config, reset=[])


@command(
    "config", "reset file", "color no-color", least=1, missing="no application name specified"
)
def _config(session: Session, line: Line) -> None:
    model, name = session.model(line), line.words[0]
    values, reset = [word for word in line.words[1:] if "=" in word], line.all("reset")
    keys = [word for word in line.words[1:] if "=" not in word]
    if line.get("file"):
        raise ClientError("config yaml not supported not implemented", empty=True)
    given = assignments(values)
    if both := sorted(set(given) & set(reset)):
        raise usage(f'cannot set and reset key "{both[0]}" simultaneously')
    if len(keys) > 1:
        raise usage("cannot specify multiple keys to get")
    try:
        found = session.call("config", model=model, name=name)
        if given or reset:
            session.call("set_config", model=model, name=name, values=given, reset=reset)
            return
    except ClientError as error:
        raise ClientError(str(error), empty=True) from error
    if not keys:
        show(line, found)
        return
    every = {**found["settings"], **found["application-config"]}
    if keys[0] not in every:
        raise ClientError(
            f'key "{keys[0]}" not found in "{name}" application config or charm settings.',
            empty=True,
        )
    value = every[keys[0]].get("value", "")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    show(line, value, "text", text=f"{text}\n")


@command("trust", "scope", "remove", least=1, missing="no application name specified")
def _trust(session: Session, line: Line) -> None:
    session.call(
        "trust", model=session.model(line), name=line.words[0], remove=line.flag("remove")
    )


@command("expose", least=1, missing="no application name specified")
def _expose(session: Session, line: Line) -> None:
    session.call("expose", model=session.model(line), name=line.words[0], exposed=True)


@command("unexpose", least=1, missing="no application name specified")
def _unexpose(session: Session, line: Line) -> None:
    session.call("expose", model=session.model(line), name=line.words[0], exposed=False)


@command("integrate relate", "via")
def _integrate(session: Session, line: Line) -> None:
    if len(line.words) != 2:
        raise usage("an integration must involve two applications")
    session.call("integrate", model=session.model(line), one=line.words[0], other=line.words[1])


@command(
    "remove-relation", "", "force", least=1, missing="a relation must involve two applications"
)
def _remove_relation(session: Session, line: Line) -> None:
    by_number = len(line.words) == 1 and line.words[0].isdecimal()
    if not by_number and len(line.words) != 2:
        raise usage("a relation must involve two applications")
    session.call(
        "remove_relation",
        model=session.model(line),
        force=line.flag("force"),
        ends=[] if by_number else line.words,
        number=int(line.words[0]) if by_number else 0,
    )


@command("resolved resolve", "", "all no-retry")
def _resolved(session: Session, line: Line) -> None:
    if not line.words and not line.flag("all"):
        raise usage("no unit specified")
    session.call(
        "resolved",
        model=session.model(line),
        units=line.words,
        every=line.flag("all"),
        retry=not line.flag("no-retry"),
    )


# Looking.


@command(
    "status",
    "",
    "relations color no-color utc integrations",
    formats=("oneline", "short"),
)
def _status(session: Session, line: Line) -> None:
    model = session.model(line)
    answer = session.call("status", model=model)
    found = answer["status"]
    if line.words:
        found = status.select(found, line.words)
    wanted = line.flag("relations") or line.flag("integrations")
    rows = answer["relations"] if wanted else None
    if line.get("format") == "yaml":
        for machine in found["machines"].values():
            machine.pop("modification-status")
    brief = line.get("format") in ("oneline", "short")
    text = status.oneline(found) if brief else status.tabular(found, rows)
    show(line, found, "tabular", text=text)
    if not found["machines"] and not found["applications"]:
        empty = (
            "Nothing matched specified filter."
            if line.words
            else f'\nModel "admin/{model}" is empty.'
        )
        say(empty)


@command("show-unit", "endpoint related-unit", "app", least=1, missing="no unit name specified")
def _show_unit(session: Session, line: Line) -> None:
    found = {}
    for name in line.words:
        try:
            about = session.call("show_unit", model=session.model(line), name=name)
        except ClientError as error:
            raise ClientError(str(error), empty=True) from error
        _select_relations(line, about["relation-info"])
        if line.get("format") != "json":
            about["opened-ports"] = about["opened-ports"] or []
        found[name] = about
    show(line, found)


def _select_relations(line: Line, relations: list[dict[str, Any]]) -> None:
    if wanted := line.get("endpoint"):
        relations[:] = [one for one in relations if one["endpoint"] == wanted]
    for one in relations:
        if line.flag("app") or line.get("related-unit"):
            one["local-unit"] = {"in-scope": False, "data": None}
            only = {line.get("related-unit")}
            one["related-units"] = {k: v for k, v in one["related-units"].items() if k in only}
        if not one["related-units"]:
            del one["related-units"]
        if line.get("format") != "json" and one["local-unit"]["data"] is None:
            del one["local-unit"]


@command("show-application", least=1, missing="an application name must be supplied")
def _show_application(session: Session, line: Line) -> None:
    model, found = session.model(line), {}
    for name in line.words:
        try:
            found[name] = session.call("show_application", model=model, name=name)
        except ClientError as error:
            raise ClientError(str(error), empty=True) from error
    show(line, found)


@command(
    "show-status-log",
    "days from-date type",
    "include-status-updates utc num-units",
    least=1,
    missing="entity name is missing",
)
def _show_status_log(session: Session, line: Line) -> None:
    found = session.call("history", model=session.model(line), name=line.words[0])[-20:]
    rows = [
        (output.since(one["since"]), one["type"], one["current"], one["message"]) for one in found
    ]
    listed = [
        {
            "status": one["current"],
            "message": one["message"],
            "since": output.iso(one["since"]),
            "type": one["type"],
        }
        for one in found
    ]
    text = output.table(("Time", "Type", "Status", "Message"), rows)
    show(line, listed, "text", text=text)
