# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The hook tools that are about secrets."""

import time
from typing import Any

from . import output, secrets
from .arguments import UsageError
from .model import JujuError, Secret
from .relation_tools import RelationTools
from .toolcall import Call

# Removals are committed before updates (recording 30), grants after what they grant is there.
ORDER = ("revoke", "remove", "add", "set", "track", "grant")
DOING = {"set": "updating", "remove": "removing", "grant": "granting", "revoke": "revoking"}


class SecretTools(RelationTools):
    """The secret tools of a hook's context, and their part of its commit."""

    def _secret_id(self, call: Call) -> str:
        try:
            return secrets.parse_id(call.words[0])
        except JujuError as error:
            raise UsageError(str(error)) from error

    def _named(self, call: Call) -> tuple[str, str]:
        """Return the ID and the label by which a call means a secret; one may be empty."""
        if not call.words and not call.get("label"):
            raise UsageError("require either a secret URI or label")
        return self._secret_id(call) if call.words else "", call.get("label")

    def _changes(self, call: Call, words: list[str]) -> dict[str, Any]:
        """Return what a call of secret-add or secret-set asks for."""
        changes: dict[str, Any] = {}
        try:
            listed = call.files[name] if (name := call.get("file")) else ""
            content = secrets.parse_content(words, listed, call.files.__getitem__)
            if rotate := call.get("rotate"):
                if rotate not in secrets.ROTATION:
                    raise JujuError(f'rotate policy "{rotate}" not valid')
                changes["rotate"] = rotate
            if expire := call.get("expire"):
                changes["expires"] = secrets.parse_expiry(expire, time.time())
        except JujuError as error:
            raise UsageError(str(error)) from error
        for key in ("label", "description"):
            if key in call.options:
                changes[key] = call.get(key)
        return {**changes, "content": content} if content else changes

    def _added(self, named: str, label: str) -> tuple[str, dict[str, Any]] | None:
        """Return a secret that this hook adds, by its ID or its label."""
        for verb, known, changes in self.secret_ops:
            by_label = not named and label and changes.get("label") == label
            if verb == "add" and (known == named or by_label):
                return known, changes
        return None

    def _do_secret_add(self, call: Call) -> str:
        owner, label = call.get("owner", "application"), call.get("label")
        if owner not in ("application", "unit"):
            raise UsageError(f'secret owner "{owner}" not valid')
        changes = self._changes(call, call.words)
        if "content" not in changes:
            raise UsageError("missing secret value or filename")
        changes["owner"] = self.unit_name if owner == "unit" else self.app_name
        if owner == "application":
            self.require_leader()
        if self._added("", label):
            raise JujuError(f'secret with label "{label}" already exists')
        self.secret_ops.append(("add", secret_id := secrets.new_id(), changes))
        return f"secret://{self.model.uuid}/{secret_id}"

    def _do_secret_set(self, call: Call) -> None:
        secret_id = self._secret_id(call)
        changes = self._changes(call, call.words[1:])
        for verb, known, pending in self.secret_ops:
            if known == secret_id and verb in ("add", "set"):
                pending |= changes
                return
        self.secret_ops.append(("set", secret_id, changes))

    def _do_secret_remove(self, call: Call) -> None:
        secret_id, revision = self._secret_id(call), call.number("revision")
        self.secret_ops.append(("remove", secret_id, {"revision": revision}))

    def _do_secret_get(self, call: Call) -> Any:
        content = self._content(*self._named(call), call)
        if len(call.words) < 2:
            return content
        if call.words[1] not in content:
            raise JujuError(f'secret key value "{call.words[1]}" not found')
        return content[call.words[1]]

    def _content(self, named: str, label: str, call: Call) -> dict[str, str]:
        if added := self._added(named, label):
            return dict(added[1]["content"])
        latest = call.flag("refresh") or call.flag("peek")
        secret = self._find(named, label)
        with self.store.look():
            # A refused read is remembered all the same: Juju then tells of new revisions.
            revision = secrets.read(self.model, self.unit_name, secret, label=label, peek=latest)
        with self.store.change():
            pass
        if call.flag("refresh"):
            self.secret_ops.append(("track", secret.id, {}))
        for verb, known, pending in self.secret_ops if latest else []:
            if verb == "set" and known == secret.id and "content" in pending:
                return dict(pending["content"])
        return dict(revision.content)

    def _find(self, named: str, label: str) -> Secret:
        found = self.model.secrets.get(named) if named else None
        if named and not found:
            raise JujuError("getting latest secret revision: secret not found")
        found = found or secrets.find(self.model, self.unit_name, label)
        if not found:
            raise JujuError(f'secret URI for consumer label "{label}" not found')
        return found

    def _do_secret_ids(self, call: Call) -> list[str] | None:
        found = [one.id for one in secrets.managed(self.model, self.unit_name)]
        found += [secret_id for verb, secret_id, _ in self.secret_ops if verb == "add"]
        return found or None

    def _do_secret_info_get(self, call: Call) -> dict[str, Any]:
        named, label = self._named(call)
        if added := self._added(named, label):
            known, changes = added
            owner = self._kind(changes["owner"])
            return {known: {"revision": 1, "label": changes.get("label", ""), "owner": owner}}
        secret = self._managed(named, label)
        return {secret.id: self._info(secret)}

    def _kind(self, owner: str) -> str:
        return "unit" if owner == self.unit_name else "application"

    def _managed(self, named: str, label: str) -> Secret:
        for secret in secrets.managed(self.model, self.unit_name):
            if secret.id == named or (not named and secret.label == label):
                return secret
        raise JujuError(f'secret "{named or label}" not found')

    def _info(self, secret: Secret) -> dict[str, Any]:
        access = [
            {
                "target": ("unit-" if "/" in who else "application-") + who.replace("/", "-"),
                "scope": f"relation-{self.model.relations[by].key}",
                "role": "view",
            }
            for who, by in sorted(secret.grants.items())
        ]
        about = {"revision": secret.latest, "label": secret.label}
        return about | output.filled(
            owner=self._kind(secret.owner),
            description=secret.description,
            rotation=secret.rotate,
            expiry=_time(secret.revisions[str(secret.latest)].expires),
            rotates=_time(secret.rotate_at),
            access=access,
        )

    def _do_secret_grant(self, call: Call) -> None:
        secret_id, (relation, _) = self._secret_id(call), self._relation(call)
        if not self._added(secret_id, ""):
            self._managed(secret_id, "")
        who = call.get("unit") or relation.remote(self.app_name).application
        self.secret_ops.append(("grant", secret_id, {"who": who, "by": str(relation.id)}))

    def _do_secret_revoke(self, call: Call) -> None:
        secret_id, who = self._secret_id(call), call.get("unit") or call.get("app")
        if not who:
            who = self._relation(call)[0].remote(self.app_name).application
        self.secret_ops.append(("revoke", secret_id, {"who": who}))

    def flush_secrets(self, now: float) -> None:
        """Apply what was buffered; ids that are not there any more are skipped."""
        for verb, secret_id, changes in sorted(self.secret_ops, key=lambda op: ORDER.index(op[0])):
            if verb == "add":
                self._flush_add(secret_id, changes, now)
            elif secret := self.model.secrets.get(secret_id):
                self._flush_one(verb, secret, changes, now)

    def _flush_add(self, secret_id: str, changes: dict[str, Any], now: float) -> None:
        owner = changes["owner"]
        by_leader = "executing leadership func: " if "/" not in owner else ""
        if by_leader:
            self.require_leader(f"{by_leader}create secrets: ")
        try:
            secrets.add(self.model, secret_id, owner, changes, now)
        except JujuError as error:
            message = f'{by_leader}create secrets: creating secret "{secret_id}": {error}'
            raise JujuError(message) from error

    def _flush_one(self, verb: str, secret: Secret, changes: dict[str, Any], now: float) -> None:
        if verb == "track":
            secrets.track(secret, self.unit_name)
            return
        if not secrets.manages(self.model, self.unit_name, secret):
            refused = f'"{self.unit_name}" is not allowed to manage this secret'
            raise JujuError(f"{DOING[verb]} secrets: {refused}")
        if verb == "set":
            secrets.update(secret, changes, now)
        elif verb == "remove":
            secrets.remove(self.model, secret, changes["revision"])
        elif verb == "grant":
            secret.grants[changes["who"]] = changes["by"]
        else:
            secret.grants.pop(changes["who"], None)


def _time(when: float) -> str:
    return output.iso_space(when).replace(" ", "T") if when else ""
