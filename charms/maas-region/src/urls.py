# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The URLs that MAAS is reached by, alike on all regions: the leader chooses, others follow."""

import functools

import ops

import own_url
import peers
import region
from charmed_maas.interfaces import maas_api


class URLs:
    """What one unit goes by; own is the option's, "" for none."""

    def __init__(
        self, unit: ops.Unit, own: str, their_peers: peers.Peers, api: maas_api.MAASAPIProvider
    ) -> None:
        self._unit, self._own, self._peers, self._api = unit, own, their_peers, api

    def maas(self) -> str:
        """Return the URL through the VIP, or of one region while there is none."""
        if not self._unit.is_leader():
            return self._peers.app().maas_url
        if through_vip := self._api.get():
            return through_vip.url
        last = self._peers.app().maas_url
        # A relation that is missing or silent for a while must not restart every region, twice.
        if self._api.problems or (region.vip_of(last) and not self._api.has_no_vip()):
            return last
        staying = [one.address for one in self._peers.units().values() if not one.leaving]
        return region.url(staying[0]) if staying and staying[0] else ""

    def own(self) -> str:
        """Return the option's URL once it has led to the VIP, "" before.

        What was taken stays until another one is, or the option is empty: a name that cannot be
        resolved for a while, leads elsewhere or is a typo must not restart every region, twice.
        """
        last = self._peers.app().own_url
        if self._api.has_no_vip():
            return ""
        if not self._unit.is_leader():
            return last
        if self._own == last or not self.problem:
            return self._own
        return last if self._own else ""

    def regions(self) -> str:
        """Return the URL that regions have as MAAS's own."""
        return self.own() or self.maas()

    @functools.cached_property
    def problem(self) -> str:
        """Why the option's URL does not lead to the VIP, "" when it does; the leader's."""
        if not self._own or not self._unit.is_leader():
            return ""
        through_vip = self._api.get()
        if not through_vip or not through_vip.vip:
            return f"{own_url.OPTION}: there is no VIP to go by it: integrate api with haproxy-vip"
        return own_url.problem(self._own, through_vip.url, through_vip.vip)
