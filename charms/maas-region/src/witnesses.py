# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Asking racks about DHCP failover, each at any of its addresses (charmed_maas.witness)."""

from collections.abc import Iterable
from typing import cast

import api
import dhcp_plan
import region
from charmed_maas import witness, words


class Witnesses:
    """The racks that one look asks."""

    def __init__(self, racks: Iterable[api.Controller]) -> None:
        self._addresses = {one.system_id: one.addresses for one in racks}
        self._names = {one.system_id: one.hostname for one in racks}
        # Asked about many VLANs, one that is away must not use up the job's time.
        self._away: dict[str, witness.WitnessError] = {}

    def ask(
        self, survivor: dhcp_plan.Rack, vlan: api.VLAN, dead: dhcp_plan.Rack
    ) -> dhcp_plan.Evidence:
        """Return what a survivor says of the one that seems dead."""
        question: witness.Body = {"peer": dead.address, "own": survivor.address, "vlan": vlan.id}
        try:
            said = self._ask(survivor.system_id, question)
        except witness.WitnessError as error:
            return dhcp_plan.Evidence(problem=str(error))
        if problem := said.get("problem"):
            return dhcp_plan.Evidence(problem=f"says: {words.one_line(str(problem), 100)}")
        # A rack of an earlier revision does not tell.
        lasts = said.get("unknown-leases-for", 0)
        return dhcp_plan.Evidence(
            _state(said, str(vlan.id)),
            said.get("peer-answers") is not False,
            unknown_leases_s=lasts if isinstance(lasts, int) else 0,
        )

    def forget(self, rack: str, vlan: api.VLAN) -> str:
        """Have a rack forget a VLAN's failover of before; returns why it does not."""
        try:
            said = self._ask(rack, {"forget": vlan.id})
        except witness.WitnessError as error:
            return f"{self._names[rack]} {error}"
        if said.get("forgotten") is True:
            return ""
        problem = words.one_line(str(said.get("problem", "nothing")), 100)
        return f"{self._names[rack]} says: {problem}"

    def _ask(self, rack: str, question: witness.Body) -> witness.Body:
        if rack in self._away:
            raise self._away[rack]
        failure = witness.WitnessError("has no address")
        for address in self._addresses[rack]:
            try:
                return witness.ask(address, region.shared_secret(), question)
            except witness.WitnessError as error:
                failure = error
        self._away[rack] = failure
        raise failure


def _state(said: witness.Body, vlan: str) -> str:
    vlans = said.get("vlans")
    one: object = cast("dict[str, object]", vlans).get(vlan) if isinstance(vlans, dict) else None
    return str(cast("dict[str, object]", one).get("state", "")) if isinstance(one, dict) else ""
