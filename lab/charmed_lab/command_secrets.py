# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The commands about the operator's secrets."""

import base64
import time
from pathlib import Path
from typing import Any

import yaml

from . import output, secrets
from .client import Line, Session, command, show, usage
from .model import JujuError


def _content(line: Line, words: list[str]) -> dict[str, str]:
    """Return the keys and values given: key=value, key#base64=…, key#file=…, or --file."""
    content: dict[str, str] = {}
    if name := line.get("file"):
        content = {str(k): str(v) for k, v in yaml.safe_load(Path(name).read_text()).items()}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise usage(f'key value "{word}" not valid')
        key, _, kind = key.partition("#")
        if kind == "file":
            value = Path(value).read_text()
        elif kind == "base64":
            value = base64.b64decode(value).decode()
        content[key] = value
    for key in content:
        try:
            secrets.check_key(key)
        except JujuError as error:
            raise usage(str(error)) from error
    return content


@command("add-secret", "file info", least=1, missing="missing secret name")
def _add_secret(session: Session, line: Line) -> None:
    content = _content(line, line.words[1:])
    if not content:
        raise usage("missing secret value or filename")
    print(
        session.call(
            "add_secret",
            model=session.model(line),
            name=line.words[0],
            content=content,
            info=line.get("info"),
        )
    )


@command("update-secret", "file info name", "auto-prune", least=1, missing="missing secret URI")
def _update_secret(session: Session, line: Line) -> None:
    changes: dict[str, Any] = {}
    if content := _content(line, line.words[1:]):
        changes["content"] = content
    for option, key in (("info", "description"), ("name", "label")):
        if value := line.get(option):
            changes[key] = value
    if line.get("auto-prune"):
        changes["auto_prune"] = line.flag("auto-prune")
    if not changes:
        raise usage("missing secret value or filename")
    session.call("update_secret", model=session.model(line), name=line.words[0], changes=changes)


@command("remove-secret", "revision", least=1, missing="missing secret URI")
def _remove_secret(session: Session, line: Line) -> None:
    session.call(
        "remove_secret",
        model=session.model(line),
        name=line.words[0],
        revision=int(line.get("revision", "0")),
    )


def _grant(session: Session, line: Line, *, grant: bool) -> None:
    session.call(
        "grant_secret",
        model=session.model(line),
        name=line.words[0],
        apps=line.words[1].split(","),
        grant=grant,
    )


@command("grant-secret", least=2, missing="missing secret name or application")
def _grant_secret(session: Session, line: Line) -> None:
    _grant(session, line, grant=True)


@command("revoke-secret", least=2, missing="missing secret name or application")
def _revoke_secret(session: Session, line: Line) -> None:
    _grant(session, line, grant=False)


@command("secrets list-secrets", "owner")
def _secrets(session: Session, line: Line) -> None:
    found = session.call("secrets", model=session.model(line))
    if owner := line.get("owner"):
        owner = owner.removeprefix("application-")
        found = {key: one for key, one in found.items() if one["owner"] == owner}
    now = time.time()
    rows = [
        (
            key,
            one.get("name", "-"),
            one["owner"],
            one["rotation"],
            str(one["revision"]),
            output.ago(_when(one["updated"]), now),
        )
        for key, one in found.items()
    ]
    header = ("ID", "Name", "Owner", "Rotation", "Revision", "Last updated")
    show(line, found, "text", text=output.table(header, rows, right=(4,)))


def _when(text: str) -> float:
    return secrets.parse_expiry(text, 0.0)


@command("show-secret", "revision", "reveal revisions", least=1, missing="missing secret URI")
def _show_secret(session: Session, line: Line) -> None:
    if line.flag("revisions") and line.flag("reveal"):
        raise usage("specify either --revisions or --reveal but not both")
    found = session.call(
        "show_secret",
        model=session.model(line),
        name=line.words[0],
        reveal=line.flag("reveal"),
        revisions=line.flag("revisions"),
        revision=int(line.get("revision", "0")),
    )
    if line.get("format") != "json":
        for one in found.values():
            if "content" in one:
                one["content"] = one["content"]["Data"]
    show(line, found)
