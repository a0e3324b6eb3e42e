# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The racks of the `rpc` relation: what each one wrote, and what all of them are told.

A rack's databag is read in that rack's own event; beside it an event reads one at most, for what
it costs must not grow with the racks.
"""

import random
from collections.abc import Iterable

import ops

import controllers
import dhcp_grace
import peers
from charmed_maas.interfaces import maas_rpc


class Racks(ops.Object):
    """This application's side of the relation."""

    def __init__(self, charm: ops.CharmBase, name: str, units: peers.Peers) -> None:
        super().__init__(charm, "racks")
        self._charm = charm
        self._peers = units
        self.noted: list[controllers.Member] = []
        # Before the endpoint: its `changed` reconciles with what these note.
        self.framework.observe(charm.on[name].relation_changed, self._on_changed)
        for event in (charm.on.leader_elected, charm.on.update_status):
            self.framework.observe(event, self._note_others)
        self.endpoint = maas_rpc.MAASRPCProvider(charm, name)

    def _on_changed(self, event: ops.RelationChangedEvent) -> None:
        """Note what a rack wrote."""
        if event.unit:
            self._note(event.relation, [event.unit])

    def _note_others(self, event: ops.EventBase) -> None:
        """As the leader, note what racks wrote while there was another leader, or none.

        A new leader notes the racks that none has written down, and all where their graces
        matter; any other event one, an unknown one before all others. Which one is left to
        chance, for a rack may have no ID for long.
        """
        if not self._charm.unit.is_leader():
            return
        known = {member.unit for member in self._peers.app().members}
        for relation in self.endpoint.relations:
            units = sorted(relation.units, key=lambda one: one.name)
            unknown = [one for one in units if one.name not in known]
            if not isinstance(event, ops.LeaderElectedEvent):
                wanted = unknown or units
                units = [random.choice(wanted)] if wanted else []  # noqa: S311 - no secret
            elif not self.endpoint.dhcp_grace_s():
                units = unknown
            self._note(relation, units)

    def _note(self, relation: ops.Relation, units: Iterable[ops.Unit]) -> None:
        for unit in units:
            data = self.endpoint.unit_data(relation, unit)
            if data and data.system_id:
                self.noted.append(
                    controllers.Member(unit.name, "rack", data.system_id, data.dhcp_grace_s)
                )

    def publish(
        self,
        maas_url: str,
        region_urls: Iterable[str],
        secret_id: str,
        grace_s: int,
        members: Iterable[controllers.Member],
    ) -> None:
        """Tell the racks where to go, and the grace once the regions' timers know it; as leader.

        A rack must never have a longer one than the timers go by.
        """
        told_s = self.endpoint.dhcp_grace_s()
        if grace_s or told_s:
            applied = _graces(one for one in members if one.kind == "rack")
            # Each of them until MAAS knows it no more.
            gone = [one.system_id for one in self._peers.app().departed if one.kind == "rack"]
            grace_s = grace_s if dhcp_grace.tell(grace_s, applied, gone) else told_s
        self.endpoint.publish(
            maas_rpc.ProviderAppData(maas_url, tuple(region_urls), secret_id, grace_s)
        )


def _graces(racks: Iterable[controllers.Member]) -> dict[str, int]:
    """Return the grace of each rack by its ID, of units that claim one ID the most careful.

    No rack may be replaced while it still serves: without a grace it is not, and the longest is
    waited for.
    """
    found: dict[str, int] = {}
    for one in racks:
        other_s = found.get(one.system_id, one.dhcp_grace_s)
        is_known = other_s and one.dhcp_grace_s
        found[one.system_id] = max(other_s, one.dhcp_grace_s) if is_known else 0
    return found
