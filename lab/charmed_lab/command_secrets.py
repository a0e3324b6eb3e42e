# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The commands about the operator's secrets."""

import time
from pathlib import Path
from typing import Any

from . import output, secrets
from .arguments import UsageError
from .client import Session, command
from .model import JujuError

NO_URI = "missing secret URI"
NO_VALUE = "missing secret value or filename"


def _content(session: Session) -> dict[str, str]:
    name = session.get("file")
    listed = Path(name).read_text() if name else ""
    try:
        return secrets.parse_content(
            session.words[1:], listed, lambda path: Path(path).read_text()
        )
    except JujuError as error:
        raise UsageError(str(error)) from error


@command("add-secret", "file= info=", "missing secret name")
def _add_secret(session: Session) -> None:
    if not (content := _content(session)):
        raise UsageError(NO_VALUE)
    info = session.get("info")
    print(session.call("add_secret", name=session.words[0], content=content, info=info))


@command("update-secret", "file= info= name= auto-prune", NO_URI)
def _update_secret(session: Session) -> None:
    changes: dict[str, Any] = {}
    if content := _content(session):
        changes["content"] = content
    for option, key in (("info", "description"), ("name", "label")):
        if value := session.get(option):
            changes[key] = value
    if session.get("auto-prune"):
        changes["auto_prune"] = session.flag("auto-prune")
    if not changes:
        raise UsageError(NO_VALUE)
    session.call("update_secret", name=session.words[0], changes=changes)


@command("remove-secret", "revision=", NO_URI)
def _remove_secret(session: Session) -> None:
    revision = session.number("revision")
    session.call("remove_secret", name=session.words[0], revision=revision)


@command("grant-secret revoke-secret", "", "missing secret name or application", least=2)
def _grant_secret(session: Session) -> None:
    apps, grant = session.words[1].split(","), session.command == "grant-secret"
    session.call("grant_secret", name=session.words[0], apps=apps, grant=grant)


@command("secrets list-secrets", "owner=", formats="json tabular yaml")
def _secrets(session: Session) -> None:
    found = session.call("secrets")
    if owner := session.get("owner").removeprefix("application-"):
        found = {key: one for key, one in found.items() if one["owner"] == owner}
    rows = [_secret_row(key, one) for key, one in found.items()]
    header = "ID,Name,Owner,Rotation,Revision,Last updated"
    session.show(found, "text", text=output.table(header, rows, right=(4,)))


def _secret_row(key: str, one: dict[str, Any]) -> list[str]:
    updated = output.ago(secrets.parse_expiry(one["updated"], 0.0), time.time())
    name, revision = one.get("name", "-"), str(one["revision"])
    return [key, name, one["owner"], one["rotation"], revision, updated]


@command(
    "show-secret",
    "revision= reveal revisions",
    NO_URI,
    left_out="r",
    formats="json yaml",
    empty=True,
)
def _show_secret(session: Session) -> None:
    reveal, revisions = session.flag("reveal"), session.flag("revisions")
    if revisions and reveal:
        raise UsageError("specify either --revisions or --reveal but not both")
    asked = {"reveal": reveal, "revisions": revisions, "revision": session.number("revision")}
    found = session.call("show_secret", name=session.words[0], **asked)
    if session.get("format") != "json":
        for one in found.values():
            if "content" in one:
                one["content"] = one["content"]["Data"]
    session.show(found)
