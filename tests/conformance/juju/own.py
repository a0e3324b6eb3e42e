# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What a unit has itself brought about until a moment: its status, its state, its secrets."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from history import COMMIT_S, History
from recorded import Call, Dispatch

JUJUS_WORDS = {
    "install": "installing charm software",
    "stop": "stopping charm software",
    "remove": "cleaning up prior to charm deletion",
}


def status(history: History, one: Dispatch) -> dict[str, Any]:
    """Return the workload status that an event finds: it is set at once, whatever follows."""
    found = ("unknown", "")
    for other in history.of[one.unit]:
        if other.began > one.began:
            break
        if other.name in JUJUS_WORDS:
            found = ("maintenance", JUJUS_WORDS[other.name])
        if other is one:
            break
        for call in _made(other, "status-set"):
            words = [word for word in call.args[1:] if word != "--"]
            found = (words[0], words[1] if len(words) > 1 else "")
    return {"status": found[0], "message": found[1], "status-data": {}}


def state(history: History, one: Dispatch) -> dict[str, str] | None:
    """Return what an event finds that earlier ones kept."""
    found: dict[str, str] = {}
    for other in history.of[one.unit]:
        if other.began >= one.began:
            break
        for call in other.calls if other.exit == 0 else []:
            if call.rc == 0 and call.tool == "state-set":
                found |= json.loads(call.stdin) if call.stdin else {}
                found |= dict(word.split("=", 1) for word in call.args[1:] if "=" in word)
            if call.rc == 0 and call.tool == "state-delete":
                found.pop(call.args[-1], None)
    return found or None


def leads(one: Dispatch) -> bool:
    """Tell whether an event was told that its unit leads: `rules` says whether that is so."""
    return any(call.out is True for call in one.calls if call.tool == "is-leader")


@dataclass
class Secret:
    """A secret with the content of each revision, and when it was made."""

    id: str
    owner: str
    began: float
    about: dict[str, str]
    revisions: list[tuple[float, dict[str, str]]]
    ended: float = float("inf")
    granted: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def latest(self, since: float, until: float) -> list[tuple[int, dict[str, str]]]:
        """Return the revisions that may be the latest at some time between two moments."""
        numbered = [(at, n, what) for n, (at, what) in enumerate(self.revisions, 1) if at <= until]
        over = [n for at, n, _ in numbered if at + COMMIT_S < since]
        return [(n, what) for _, n, what in numbered if n >= max(over, default=1)]


class Secrets:
    """All secrets that the charms of one history made with plain `key=value` content."""

    def __init__(self, history: History) -> None:
        self.all: dict[str, Secret] = {}
        self._pinned: dict[tuple[str, str], list[tuple[float, Any]]] = defaultdict(list)
        for one in sorted(history.all, key=lambda one: one.ended):
            for call in one.calls if one.exit == 0 else []:
                if call.rc == 0:
                    self._apply(history, one, call)

    def _apply(self, history: History, one: Dispatch, call: Call) -> None:
        if call.tool == "secret-add":
            made = made_by(one, call)
            self.all[made.id] = made
        elif call.tool == "secret-get" and "--peek" not in call.args:
            self._pinned[one.unit, self.id_of(one, call)].append((one.ended, call.out))
        elif secret := self.all.get(self.id_of(one, call)):
            if call.tool == "secret-set" and (content := _content(call)):
                if content != secret.revisions[-1][1]:
                    secret.revisions.append((one.ended, content))
            elif call.tool == "secret-remove" and "--revision" not in call.args:
                secret.ended = one.ended
            elif call.tool == "secret-grant":
                number = _option(call, "--relation").rpartition(":")[2]
                secret.granted.append((one.ended, history.remote_app(one, f":{number}")))

    def id_of(self, one: Dispatch, call: Call) -> str:
        """Return which secret a call is about."""
        named = [found[1] for word in call.args[1:] if (found := ID.fullmatch(word))]
        label = _option(call, "--label")
        owners = (one.unit, one.app)
        labelled = [
            secret.id
            for secret in self.all.values()
            if label and secret.owner in owners and secret.about["label"] == label
        ]
        return (named + labelled or [""])[0]

    def managed(self, one: Dispatch) -> list[str] | None:
        """Return the secrets that a unit may change when an event begins."""
        owners = (one.unit, one.app) if leads(one) else (one.unit,)
        found = [
            secret.id
            for secret in self.all.values()
            if secret.owner in owners and secret.began <= one.began < secret.ended
        ]
        return sorted(found) or None

    def is_new(self, one: Dispatch, call: Call) -> bool:
        """Tell whether a call made a secret that no later one made again."""
        return self.all[made_by(one, call).id].began == one.ended

    def may_get(self, one: Dispatch, call: Call) -> bool:
        """Tell whether a unit may have read this: the latest, or what it read first."""
        secret = self.all.get(self.id_of(one, call))
        if not secret:
            return False
        pinned = [what for at, what in self._pinned[one.unit, secret.id] if at < one.began]
        if pinned and not {"--peek", "--refresh"} & set(call.args):
            return call.out == pinned[-1]
        # What an event tells of is committed, whatever else may be on its way.
        is_told = one.env.get("JUJU_SECRET_ID", "").endswith(secret.id)
        since = one.began + (COMMIT_S if is_told else 0.0)
        return call.out in [what for _, what in secret.latest(since, one.ended)]

    def may_inform(self, one: Dispatch, call: Call) -> bool:
        """Tell whether an answer of secret-info-get follows from what was made of the secret."""
        secret = self.all.get(self.id_of(one, call))
        if call.rc:
            unmade = not secret or one.began <= secret.began
            return unmade and call.err.endswith(" not found")
        if not secret or not isinstance(call.out, dict) or list(call.out) != [secret.id]:
            return False
        said = dict(call.out[secret.id])
        access = said.pop("access", [])
        granted = {f"application-{app}" for at, app in secret.granted if at < one.began}
        about = secret.about | {"owner": "unit" if secret.owner == one.unit else "application"}
        revisions = [number for number, _ in secret.latest(one.began, one.ended)]
        return (
            said.pop("revision") in revisions
            and {key: what for key, what in about.items() if what} == said
            and {who["target"] for who in access} == granted
        )


ID = re.compile(r"(?:secret:)?(?://[0-9a-f-]{36}/)?([0-9a-v]{20})")


def made_by(one: Dispatch, call: Call) -> Secret:
    """Return the secret that a call of secret-add makes."""
    found = ID.fullmatch(call.out.strip())
    assert found, call.out
    owner = one.unit if _option(call, "--owner") == "unit" else one.app
    about = {key: _option(call, f"--{key}") for key in ("label", "description")}
    about["rotation"] = _option(call, "--rotate") or "never"
    return Secret(found[1], owner, one.ended, about, [(one.ended, _content(call))])


def _option(call: Call, name: str) -> str:
    return call.args[call.args.index(name) + 1] if name in call.args else ""


def _content(call: Call) -> dict[str, str]:
    words = [word for word in call.args[1:] if "=" in word and not word.startswith("-")]
    return dict(word.split("=", 1) for word in words)


def _made(one: Dispatch, tool: str) -> Iterator[Call]:
    return (call for call in one.calls if call.tool == tool and call.rc == 0)
