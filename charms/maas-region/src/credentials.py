# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""MAAS's shared secret and the charms' own API key, in Juju secrets of the application.

MAAS's database is the truth for both, for it may be another MAAS's of before: what is found there
is adopted, and rotating changes it there first. So a hook that ends in between loses nothing: the
next one publishes what the database has.
"""

import logging
from collections.abc import Iterable

import ops

import accounts
import api
import database
import migration
import peers
import rack_secret
import region
import serving
from charmed_maas import secrets
from charmed_maas.interfaces import maas_rpc

SHARED_SECRET = "shared-secret"  # noqa: S105 - the label of a Juju secret
API_KEY = "internal-api-key"
KEY_FIELD = "api-key"

logger = logging.getLogger(__name__)


class RotationError(Exception):
    """A secret cannot be rotated now; the message says why."""


REFUSALS = (RotationError, database.DatabaseError, accounts.AccountError, api.APIError)


class Credentials(ops.Object):
    """The two Juju secrets, and how they change."""

    def __init__(self, charm: ops.CharmBase, units: peers.Peers, rotation: str) -> None:
        super().__init__(charm, "credentials")
        self._charm = charm
        self._peers = units
        self._rotation = ops.SecretRotate(rotation)
        on = charm.on
        self.framework.observe(on["rotate-secrets"].action, self._on_rotate_secrets)
        self.framework.observe(on.secret_rotate, self._on_secret_rotate)
        self.framework.observe(on.secret_remove, self._on_secret_remove)
        for event in (on.secret_changed, on.update_status):
            self.framework.observe(event, self._take_api_key)

    def publish(self, relations: Iterable[ops.Relation], outcome: serving.Outcome | None) -> str:
        """As the leader, keep both in Juju secrets, the shared one granted to each relation.

        Returns its ID, "" until MAAS made it.
        """
        if outcome and outcome.is_serving:
            self._publish_api_key()
        current = outcome.shared_secret if outcome else ""
        if not current and not secrets.own(self.model, SHARED_SECRET):
            # A region that has just started for the first time has it in its file.
            current = region.shared_secret()
            if not current:
                return ""
        secret = self._ensure(SHARED_SECRET, {maas_rpc.SECRET_FIELD: current} if current else {})
        for relation in relations:
            secret.grant(relation)
        return secrets.short_id(secret)

    def _publish_api_key(self) -> None:
        self._keep_published(only_missing=True)
        try:
            self._ensure(API_KEY, {KEY_FIELD: accounts.internal_api_key()})
        except accounts.AccountError as error:
            logger.info("no API key to publish yet: %s", error)

    def _take_api_key(self, event: ops.EventBase) -> None:
        """Take over the leader's key: a new one, or where this unit has none."""
        if not self._charm.unit.is_leader():
            self._keep_published(only_missing=not isinstance(event, ops.SecretChangedEvent))

    def _keep_published(self, *, only_missing: bool) -> None:
        if only_missing and accounts.API_KEY.is_file():
            return
        if secret := secrets.own(self.model, API_KEY):
            accounts.keep(secret.get_content(refresh=True)[KEY_FIELD])

    def _on_rotate_secrets(self, event: ops.ActionEvent) -> None:
        if not self._charm.unit.is_leader():
            event.fail(f"run it on the leader: juju run {self._charm.app.name}/leader …")
            return
        try:
            self._require_ready()
            self._rotate_api_key()
            event.set_results({"api-key": "changed"})
            self._rotate_shared_secret()
            follow = "changed; first the racks take it, one at a time, then the regions"
            event.set_results({"shared-secret": follow})
        except REFUSALS as error:
            event.fail(str(error))

    def _on_secret_rotate(self, event: ops.SecretRotateEvent) -> None:
        """Rotate what Juju says is due; what cannot be now is due again at its next time."""
        try:
            self._require_ready()
            if event.secret.label == SHARED_SECRET:
                self._rotate_shared_secret()
            elif event.secret.label == API_KEY:
                self._rotate_api_key()
        except REFUSALS as error:
            logger.warning("%s is not rotated: %s", event.secret.label, error)

    def _on_secret_remove(self, event: ops.SecretRemoveEvent) -> None:
        """Let a revision go that nobody reads any more."""
        event.remove_revision()

    def _require_ready(self) -> None:
        """Raise RotationError where this unit could not publish what it changes."""
        if not self._peers.own().ready:
            raise RotationError("MAAS does not serve on this unit yet: see its status")

    def _rotate_api_key(self) -> None:
        self._ensure(API_KEY, {KEY_FIELD: api.renew_key()})

    def _rotate_shared_secret(self) -> None:
        application = f"charmed-maas rotate {self._charm.unit.name}"
        with database.connect(migration.login_from_config(), application) as connection:
            current = database.shared_secret(connection)
            if not current:
                raise RotationError(
                    "the database has no shared secret: MAAS keeps it elsewhere, as in a Vault"
                )
            if not rack_secret.has_taken(current):
                raise RotationError("the last shared secret is still on its way to all: wait")
            new = secrets.new_hexadecimal()
            database.set_shared_secret(connection, new)
        self._ensure(SHARED_SECRET, {maas_rpc.SECRET_FIELD: new})

    def _ensure(self, label: str, content: dict[str, str]) -> ops.Secret:
        """Have a secret with this content, {} for what it has, that Juju rotates as asked."""
        secret = secrets.own(self.model, label)
        if secret is None:
            return self._charm.app.add_secret(content, label=label, rotate=self._rotation)
        # Refreshed, so that nobody reads the revisions of before any more.
        if secret.get_content(refresh=True) != content and content:
            secret.set_content(content)
        if (secret.get_info().rotation or ops.SecretRotate.NEVER) != self._rotation:
            secret.set_info(rotate=self._rotation)
        return secret
