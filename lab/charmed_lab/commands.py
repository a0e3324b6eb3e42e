# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The commands about applications, units and relations."""

import re
import sys
import zipfile
from pathlib import Path
from typing import Any

from . import bundle, bundle_file, output, status
from .arguments import UsageError
from .client import ClientError, Session, assignments, command, say

APP_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*")
NO_APPLICATION = "no application specified"
NO_NAME = "no application name specified"
TWO_ENDS = "a relation must involve two applications"


# Applications and units.


@command(
    "deploy",
    "base= config= constraints= num-units= overlay= map-machines= to= trust force dry-run",
    "no charm or bundle specified",
    left_out="attach-storage bind channel device resource revision storage",
)
def _deploy(session: Session) -> None:
    path = Path(session.words[0])
    if path.is_dir():
        attempt = f'attempting to deploy "{session.words[0]}"'
        raise ClientError(f"{attempt}: deploying from directory not supported")
    if not path.exists():
        if "/" in session.words[0] or path.suffix in (".charm", ".yaml"):
            raise ClientError(f'no charm was found at "{session.words[0]}"')
        raise ClientError(f'"{path}" is not a local charm; the lab does not know Charmhub')
    if zipfile.is_zipfile(path):
        _deploy_charm(session, path)
    elif path.suffix == ".charm":
        raise ClientError(f"cannot deploy bundle: {bundle.REFUSED}:\n{bundle_file.EMPTY}")
    else:
        bundle.deploy(session)


def _deploy_charm(session: Session, path: Path) -> None:
    if (given := session.words[1:2]) and not APP_NAME.fullmatch(given[0]):
        upper = ", unexpected uppercase character" if given[0] != given[0].lower() else ""
        raise UsageError(f'invalid application name "{given[0]}"{upper}')
    if session.flag("dry-run"):
        say("ignoring dry-run flag for local charms")
    count = session.number("num-units", 1)
    charm = session.call("upload", path=str(path.resolve()))
    base = bundle.supported_base(session.get("base"), charm)
    name, what = (given or [charm["name"]])[0], f'"{charm["name"]}", revision {charm["revision"]}'
    say(
        f"Located local charm {what}\n"
        f'Deploying "{name}" from local charm {what} on {base or charm["base"]}/stable'
    )
    session.call(
        "deploy",
        url=charm["url"],
        name=name,
        trust=session.flag("trust"),
        count=count,
        to=session.all("to"),
        base=base,
        config=_charm_config(session, name),
    )


def _charm_config(session: Session, name: str) -> dict[str, Any]:
    """Return the options of --config: key=value, or a YAML file by application."""
    config: dict[str, Any] = {}
    for one in session.options.get("config", []):
        if "=" in one:
            config |= assignments([one])
            continue
        found = output.from_yaml(Path(one).read_text())
        about = found.get(name, {}) if isinstance(found, dict) else None
        if not isinstance(about, dict):
            raise ClientError(f'"{one}" does not map application names to their options')
        config |= about
    return config


@command("add-unit", "num-units= to=", NO_APPLICATION, left_out="attach-storage")
def _add_unit(session: Session) -> None:
    count, to = session.number("num-units", 1), session.all("to")
    session.call("add_units", name=session.words[0], count=count, to=to)


REMOVAL = "no-prompt force destroy-storage dry-run"


@command("remove-unit", f"num-units= {REMOVAL}", "no units specified", left_out="no-wait")
def _remove_unit(session: Session) -> None:
    names, force, failed = session.words, session.flag("force"), False
    if count := session.number("num-units"):
        names = session.call("units_to_remove", name=names[0], count=count)
    elif bad := [name for name in names if "/" not in name]:
        raise UsageError(f'invalid unit name "{bad[0]}"')
    for name in names:
        try:
            if not session.flag("dry-run"):
                session.call("remove_unit", name=name, force=force)
            print(f"will remove unit {name}")
        except ClientError as error:
            say(f"ERROR removing unit {name} failed: {error}")
            failed = True
    if failed:
        raise ClientError("")


@command("remove-application", REMOVAL, NO_APPLICATION, left_out="no-wait")
def _remove_application(session: Session) -> None:
    asks, force, failed = not session.flag("no-prompt"), session.flag("force"), False
    dry = session.flag("dry-run") or asks
    if dry:
        say("WARNING This command will perform the following actions:")
    for name in session.words:
        try:
            units = session.call("remove_application", name=name, force=force, dry=dry)
            print(f"will remove application {name}", *units, sep="\n- will remove unit ")
        except ClientError as error:
            say(f"ERROR {error}")
            failed = True
    if asks and not session.flag("dry-run"):
        print("\nContinue [y/N]? ", end="", file=sys.stderr)
        raise ClientError("application removal: aborted")
    if failed:
        raise ClientError("")


def _refuse_if_stuck(session: Session, option: str, applications: list[str]) -> None:
    """Refuse what an option does for units in error or lost; for others it does nothing."""
    found = session.call("status")["status"]
    chosen = status.select(found, applications) if applications else found
    for app in chosen["applications"].values():
        for name, unit in app.get("units", {}).items():
            states = {unit["workload-status"]["current"], unit["juju-status"]["current"]}
            if states & {"error", "lost"}:
                raise UsageError(f"option --{option} is not part of the lab while {name} is stuck")


@command(
    "refresh",
    "path= config= force force-base force-units trust",
    NO_APPLICATION,
    left_out="base bind channel resource revision storage switch",
)
def _refresh(session: Session) -> None:
    name, path = session.words[0], session.get("path")
    if not path:
        raise ClientError("refreshing a local charm requires either --path or --switch")
    if not Path(path).exists():
        raise ClientError(f'"{path}": file does not exist')
    found = session.call("status")["status"]["applications"].get(name)
    if found is None:
        raise ClientError(f'"{name}" deploy incomplete, please try refresh again in a little bit.')
    if session.flag("force-units"):
        _refuse_if_stuck(session, "force-units", [name])
    config = _charm_config(session, name)
    charm = session.call("upload", path=str(Path(path).resolve()))
    if not session.flag("force-base"):
        bundle.supported_base("@".join(found["base"].values()), charm)
    ends = session.call("refresh", name=name, url=charm["url"])
    say(
        f'Added local charm "{charm["name"]}", revision {charm["revision"]}, to the model\n'
        f'no change to endpoints in space "alpha": {", ".join(ends)}'
    )
    if config:
        session.call("set_config", name=name, values=config, reset=[])
    if session.get("trust"):
        session.call("trust", name=name, remove=not session.flag("trust"))


@command(
    "config", "reset= file= no-color", NO_NAME, left_out="color", formats="json yaml", empty=True
)
def _config(session: Session) -> None:
    name, *words = session.words
    given = assignments([word for word in words if "=" in word])
    keys, reset = [word for word in words if "=" not in word], session.all("reset")
    if session.get("file"):
        raise ClientError("config yaml not supported not implemented")
    if both := sorted(set(given) & set(reset)):
        raise UsageError(f'cannot set and reset key "{both[0]}" simultaneously')
    if len(keys) > 1:
        raise UsageError("cannot specify multiple keys to get")
    found = session.call("config", name=name)
    if given or reset:
        session.call("set_config", name=name, values=given, reset=reset)
        return
    if not keys:
        session.show(found)
        return
    every = {**found["settings"], **found["application-config"]}
    if keys[0] not in every:
        where = f'"{name}" application config or charm settings.'
        raise ClientError(f'key "{keys[0]}" not found in {where}')
    value = every[keys[0]].get("value", "")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    session.show(value, "text", text=f"{text}\n")


@command("trust", "remove", NO_NAME, left_out="scope")
def _trust(session: Session) -> None:
    session.call("trust", name=session.words[0], remove=session.flag("remove"))


@command("expose unexpose", "", NO_NAME, left_out="endpoints to-cidrs to-spaces")
def _expose(session: Session) -> None:
    session.call("expose", name=session.words[0], exposed=session.command == "expose")


@command("integrate relate", left_out="via")
def _integrate(session: Session) -> None:
    if len(session.words) != 2:
        raise UsageError("an integration must involve two applications")
    session.call("integrate", one=session.words[0], other=session.words[1])


@command("remove-relation", "force", TWO_ENDS)
def _remove_relation(session: Session) -> None:
    words = session.words
    by_number = len(words) == 1 and words[0].isdecimal()
    if not by_number and len(words) != 2:
        raise UsageError(TWO_ENDS)
    ends, number = (list[str](), int(words[0])) if by_number else (words, 0)
    if session.flag("force"):
        _refuse_if_stuck(session, "force", [one.partition(":")[0] for one in ends])
    session.call("remove_relation", ends=ends, number=number)


@command("resolved resolve", "all no-retry")
def _resolved(session: Session) -> None:
    units, every, retry = session.words, session.flag("all"), not session.flag("no-retry")
    if not units and not every:
        raise UsageError("no unit specified")
    session.call("resolved", units=units, every=every, retry=retry)


# Looking.


@command(
    "status",
    "relations no-color utc integrations",
    left_out="color retry-count retry-delay storage",
    formats="json tabular yaml",
)
def _status(session: Session) -> None:
    answer = session.call("status")
    found = answer["status"]
    if session.words:
        found = status.select(found, session.words)
    wanted = session.flag("relations") or session.flag("integrations")
    if session.get("format") == "yaml":
        for machine in found["machines"].values():
            machine.pop("modification-status")
    text = status.tabular(found, answer["relations"] if wanted else None)
    session.show(found, "tabular", text=text)
    if not found["machines"] and not found["applications"]:
        empty = f'\nModel "admin/{session.model}" is empty.'
        say("Nothing matched specified filter." if session.words else empty)


@command(
    "show-unit",
    "endpoint= related-unit= app",
    "no unit name specified",
    formats="json smart yaml",
    empty=True,
)
def _show_unit(session: Session) -> None:
    found = {name: session.call("show_unit", name=name) for name in session.words}
    for about in found.values():
        _narrow(about, session)
    for about in found.values() if session.get("format") != "json" else []:
        about["opened-ports"] = about["opened-ports"] or []
        for relation in about["relation-info"]:
            if relation["local-unit"]["data"] is None:
                del relation["local-unit"]
    session.show(found)


def _narrow(about: dict[str, Any], session: Session) -> None:
    """Leave of a unit's relations what the options ask for."""
    endpoint, wanted = session.get("endpoint"), session.get("related-unit")
    relations = about["relation-info"]
    about["relation-info"] = [one for one in relations if endpoint in ("", one["endpoint"])]
    if not wanted and not session.flag("app"):
        return
    for relation in about["relation-info"]:
        relation["local-unit"] = {"in-scope": False, "data": None}
        related = relation.pop("related-units", {})
        if wanted in related and not session.flag("app"):
            relation["related-units"] = {wanted: related[wanted]}
