# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What an operator may ask a region to do."""

import dataclasses

import ops

import accounts
import api
import controllers
import dhcp
import health_table
import peers
import questions
import survey
from charmed_maas import addresses, secrets
from charmed_maas.interfaces import db, maas_api, maas_rpc

MAX_WAIT_S = 60.0


class Actions(ops.Object):
    """The actions of charmcraft.yaml; each fails with a sentence."""

    def __init__(
        self,
        charm: ops.CharmBase,
        units: peers.Peers,
        database: db.DatabaseRequirer,
        vip: maas_api.MAASAPIProvider,
        racks: maas_rpc.MAASRPCProvider,
    ) -> None:
        super().__init__(charm, "actions")
        self._charm = charm
        self._peers = units
        self._database = database
        self._vip = vip
        self._racks = racks
        on = charm.on
        self.framework.observe(on["create-admin"].action, self._on_create_admin)
        self.framework.observe(on["get-api-key"].action, self._on_get_api_key)
        self.framework.observe(on["list-controllers"].action, self._on_list_controllers)
        self.framework.observe(on["delete-controller"].action, self._on_delete_controller)
        self.framework.observe(on["enable-dhcp"].action, self._on_enable_dhcp)
        self.framework.observe(on["health"].action, self._on_health)

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

    def _on_enable_dhcp(self, event: ops.ActionEvent) -> None:
        if not self._is_serving(event):
            return
        places = [event.params[name] for name in ("subnet", "vlan") if name in event.params]
        if len(places) != 1:
            event.fail("give either subnet, its CIDR, or vlan, MAAS's ID of the VLAN")
            return
        start, end = str(event.params["start"]), str(event.params["end"])
        is_alone = bool(event.params.get("alone", False))
        try:
            done = dhcp.enable(places[0], start, end, alone=is_alone)
        except (accounts.AccountError, api.APIError) as error:
            event.fail(str(error))
            return
        for problem in done.unasked:
            event.log(f"{problem}: if it served DHCP here before, look at its status")
        event.set_results(
            {"vlan": done.vlan, "primary": done.primary, "secondary": done.secondary}
        )

    def _on_health(self, event: ops.ActionEvent) -> None:
        """Tell what is redundant; also where nothing serves, and never a failure."""
        wait_s = float(event.params.get("wait", questions.MAAS_S))
        model = dataclasses.replace(self._model(), maas_s=min(max(wait_s, 0.1), MAX_WAIT_S))
        answer = health_table.render(survey.look(model))
        event.set_results({"json": answer.json, "summary": answer.summary, "table": answer.table})

    def _model(self) -> survey.Model:
        """Return what Juju knows of the machines; of racks only the names, for they are many."""
        app, regions = self._peers.app(), self._peers.units()
        connection, vip = self._database.get(), self._vip.get()
        given = connection.provider if connection else db.ProviderAppData()
        racks = [unit.name for one in self._racks.relations for unit in one.units]
        return survey.Model(
            me=self._charm.unit.name,
            regions=tuple(
                survey.Unit(name, one.address, not one.paused) for name, one in regions.items()
            ),
            database=survey.DatabaseUnits(
                tuple(address for address, _ in given.members),
                given.health_port,
                given.health_ca,
                given.voters,
                is_related=bool(self._database.relations),
            ),
            vip=vip.vip if vip else "",
            url=vip.url if vip else app.maas_url,
            vip_units=tuple(
                survey.Unit(name, one.address, one.ready)
                for name, one in self._vip.vip_units().items()
            ),
            members=tuple(dict.fromkeys((*app.members, *self._peers.regions()))),
            departed=app.departed,
            units=(*regions, *addresses.by_unit_number(racks)),
        )

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
