# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The hook tools that are about secrets."""

import time
from typing import Any

from . import output, secrets
from .model import JujuError, Model, Relation, Scope, Secret
from .store import Store
from .toolcall import Call, UsageError

# Removals are committed before updates (recording 30), grants after what they grant is there.
ORDER = ("revoke", "remove", "add", "set", "track", "grant")


class SecretTools:
    """The secret tools of a hook's context, and their part of its commit."""

    store: Store
    unit_name: str
    secret_ops: list[tuple[str, str, dict[str, Any]]]

    @property
    def model(self) -> Model:
        """The model as it is now."""
        raise NotImplementedError

    @property
    def app_name(self) -> str:
        """The unit's application."""
        raise NotImplementedError

    def _relation(self, call: Call) -> tuple[Relation, Scope]:
        raise NotImplementedError

    def _secret_id(self, call: Call, *, missing: str = "missing secret URI") -> str:
        if not call.words:
            raise UsageError(missing)
        try:
            return secrets.parse_id(call.words[0])
        except JujuError as error:
            raise UsageError(str(error)) from error

    def _secret_changes(self, call: Call, words: list[str]) -> dict[str, Any]:
        """Return what a call of secret-add or secret-set asks for."""
        options, changes = call.options, dict[str, Any]()
        try:
            listed = call.files[name] if (name := options.get("file")) else ""
            content = secrets.parse_content(words, listed, call.files.__getitem__)
            if rotate := options.get("rotate"):
                secrets.check_rotate(rotate)
                changes["rotate"] = rotate
            if expire := options.get("expire"):
                changes["expires"] = secrets.parse_expiry(expire, time.time())
        except JujuError as error:
            raise UsageError(str(error)) from error
        changes |= {key: options[key] for key in ("label", "description") if key in options}
        return {**changes, "content": content} if content else changes

    def _secret_add(self, call: Call) -> str:
        owner = call.options.get("owner", "application")
        if owner not in ("application", "unit"):
            raise UsageError(f'secret owner "{owner}" not valid')
        changes = self._secret_changes(call, call.words)
        if "content" not in changes:
            raise UsageError("missing secret value or filename")
        changes["owner"] = self.unit_name if owner == "unit" else self.app_name
        if owner == "application" and not self.model.is_leader(self.unit_name):
            raise JujuError("this unit is not the leader")
        label = changes.get("label")
        for verb, _, other in self.secret_ops:
            if verb == "add" and label and other.get("label") == label:
                raise JujuError(f'secret with label "{label}" already exists')
        secret_id = secrets.new_id()
        self.secret_ops.append(("add", secret_id, changes))
        return f"secret://{self.model.uuid}/{secret_id}"

    def _secret_set(self, call: Call) -> None:
        secret_id = self._secret_id(call)
        changes = self._secret_changes(call, call.words[1:])
        for verb, known, pending in self.secret_ops:
            if known == secret_id and verb in ("add", "set"):
                pending |= changes
                return
        self.secret_ops.append(("set", secret_id, changes))

    def _secret_remove(self, call: Call) -> None:
        revision = int(call.options.get("revision", "0"))
        self.secret_ops.append(("remove", self._secret_id(call), {"revision": revision}))

    def _secret_get(self, call: Call) -> Any:
        label = call.options.get("label", "")
        if not call.words and not label:
            raise UsageError("require either a secret URI or label")
        named = self._secret_id(call) if call.words else ""
        content = self._secret_content(named, label, call)
        if len(call.words) > 1:
            key = call.words[1]
            if key not in content:
                raise JujuError(f'secret key value "{key}" not found')
            return content[key]
        return content

    def _secret_content(self, named: str, label: str, call: Call) -> dict[str, str]:
        latest = call.flag("refresh") or call.flag("peek")
        for verb, known, pending in self.secret_ops:
            meant = known == named or (not named and pending.get("label") == label)
            if verb == "add" and meant:
                return dict(pending["content"])
        secret = self._find(named, label)
        with self.store.look():
            # A refused read is remembered all the same: Juju then tells of new revisions.
            revision = secrets.read(self.model, self.unit_name, secret, label=label, peek=latest)
        with self.store.change():
            pass
        if call.flag("refresh"):
            self.secret_ops.append(("track", secret.id, {}))
        if latest:
            for verb, known, pending in self.secret_ops:
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

    def _secret_ids(self, call: Call) -> list[str] | None:
        found = [one.id for one in secrets.managed(self.model, self.unit_name)]
        found += [secret_id for verb, secret_id, _ in self.secret_ops if verb == "add"]
        return found or None

    def _secret_info_get(self, call: Call) -> dict[str, Any]:
        label = call.options.get("label", "")
        if not call.words and not label:
            raise UsageError("require either a secret URI or label")
        named = self._secret_id(call) if call.words else ""
        for verb, known, pending in self.secret_ops:
            if verb == "add" and (known == named or (label and pending.get("label") == label)):
                kind = "unit" if pending["owner"] == self.unit_name else "application"
                return {known: {"revision": 1, "label": pending.get("label", ""), "owner": kind}}
        return {(secret := self._managed(named, label)).id: self._secret_info(secret)}

    def _managed(self, named: str, label: str) -> Secret:
        for secret in secrets.managed(self.model, self.unit_name):
            if secret.id == named or (not named and secret.label == label):
                return secret
        raise JujuError(f'secret "{named or label}" not found')

    def _secret_info(self, secret: Secret) -> dict[str, Any]:
        owner = "unit" if secret.owner == self.unit_name else "application"
        about: dict[str, Any] = {"revision": secret.latest, "label": secret.label, "owner": owner}
        if secret.description:
            about["description"] = secret.description
        about["rotation"] = secret.rotate
        if expires := secret.revisions[str(secret.latest)].expires:
            about["expiry"] = output.iso_space(expires).replace(" ", "T")
        if secret.rotate_at:
            about["rotates"] = output.iso_space(secret.rotate_at).replace(" ", "T")
        access = [
            {
                "target": ("unit-" if "/" in who else "application-") + who.replace("/", "-"),
                "scope": f"relation-{self.model.relations[by].key}",
                "role": "view",
            }
            for who, by in sorted(secret.grants.items())
        ]
        return {**about, "access": access} if access else about

    def _secret_grant(self, call: Call) -> None:
        secret_id = self._secret_id(call)
        pending = any(verb == "add" and known == secret_id for verb, known, _ in self.secret_ops)
        relation, _ = self._relation(call)
        if not pending:
            self._managed(secret_id, "")
        who = call.options.get("unit") or relation.remote(self.app_name).application
        by = {"who": who, "by": str(relation.id)}
        self.secret_ops.append(("grant", secret_id, by))

    def _secret_revoke(self, call: Call) -> None:
        secret_id = self._secret_id(call)
        who = call.options.get("unit") or call.options.get("app")
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
        if by_leader and not self.model.is_leader(self.unit_name):
            raise JujuError(f"{by_leader}create secrets: this unit is not the leader")
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
            words = {"set": "updating", "remove": "removing", "grant": "granting"}
            what = words.get(verb, "revoking")
            refused = f'"{self.unit_name}" is not allowed to manage this secret'
            raise JujuError(f"{what} secrets: {refused}")
        if verb == "set":
            secrets.update(secret, changes, now)
        elif verb == "remove":
            secrets.remove(self.model, secret, changes["revision"])
        elif verb == "grant":
            secret.grants[changes["who"]] = changes["by"]
        else:
            secret.grants.pop(changes["who"], None)
