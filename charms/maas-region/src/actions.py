# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What an operator may ask a region to do."""

import ops

import accounts
import api
import controllers
import peers
from charmed_maas import secrets


class Actions(ops.Object):
    """The actions of charmcraft.yaml; each fails with a sentence."""

    def __init__(self, charm: ops.CharmBase, units: peers.Peers) -> None:
        super().__init__(charm, "actions")
        self._charm = charm
        self._peers = units
        on = charm.on
        self.framework.observe(on["create-admin"].action, self._on_create_admin)
        self.framework.observe(on["get-api-key"].action, self._on_get_api_key)
        self.framework.observe(on["list-controllers"].action, self._on_list_controllers)
        self.framework.observe(on["delete-controller"].action, self._on_delete_controller)

    def _on_create_admin(self, event: ops.ActionEvent) -> None:
        username, email = str(event.params["username"]), str(event.params["email"])
        secret_id = str(event.params.get("password-secret", ""))
        if not self._is_serving(event):
            return
        try:
            if not secret_id:
                path = accounts.create_admin_with_file(username, email)
                event.set_results({"username": username, "password-file": str(path)})
            elif password := self._password(event, secret_id):
                accounts.create_admin(username, email, password)
                event.set_results({"username": username})
        except accounts.AccountError as error:
            event.fail(str(error))

    def _on_get_api_key(self, event: ops.ActionEvent) -> None:
        if not self._is_serving(event):
            return
        try:
            keys = accounts.api_keys(str(event.params["username"]))
        except accounts.AccountError as error:
            event.fail(str(error))
            return
        event.set_results({"api-key": "\n".join(keys)})

    def _on_list_controllers(self, event: ops.ActionEvent) -> None:
        if not self._is_serving(event):
            return
        try:
            found = controllers.listed()
        except (accounts.AccountError, api.APIError) as error:
            event.fail(str(error))
            return
        for kind in api.KINDS:
            lines = [one.describe() for one in found if one.kind == kind]
            event.set_results({f"{kind}s": "\n".join(lines)})

    def _on_delete_controller(self, event: ops.ActionEvent) -> None:
        if not self._is_serving(event):
            return
        name, force = str(event.params["name"]), bool(event.params.get("force", False))
        try:
            event.set_results({"deleted": controllers.delete(name, force=force).describe()})
        except (accounts.AccountError, api.APIError) as error:
            event.fail(str(error))

    def _is_serving(self, event: ops.ActionEvent) -> bool:
        """Tell whether MAAS serves here; fail the action when it does not."""
        if self._peers.own().ready:
            return True
        event.fail("MAAS does not serve on this unit yet: see its status")
        return False

    def _password(self, event: ops.ActionEvent, secret_id: str) -> str:
        """Return the password in a user secret, "" and a failed action without one."""
        password = (secrets.read(self.model, secret_id) or {}).get("password", "")
        if password and password.isprintable():
            return password
        event.fail(
            f"secret {secret_id} has no usable field `password`, or is not granted: "
            f"juju grant-secret {secret_id} {self._charm.app.name}"
        )
        return ""
