# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The `rpc` relation: maas-region tells maas-rack where the regions are.

The region application writes the MAAS URL (the VIP's), every region's own URL and the ID of the
Juju secret that holds the MAAS shared secret (field `secret`), granted to the relation; with
`dhcp-grace` also after how many seconds the regions replace a dead rack as DHCP server.
Each rack unit writes its host name and, once MAAS gave it one, its system ID, by which a region
deletes the controller after the unit has gone; with `dhcp-grace` also by which grace it stops its
own DHCP once it is cut off, for only then may another rack be promoted. On both sides that is 0,
or in the limits of charmed_maas.failover: by a shorter one a rack would stop its DHCP for nothing.
The rack application writes the mark of the shared secret that all its racks run with, once they
do: only then the regions, too, go on to a new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import ops

from charmed_maas import databag, failover, secrets
from charmed_maas.interfaces.endpoint import Endpoint

SECRET_FIELD = "secret"  # noqa: S105 - the name of a field


@dataclass(frozen=True)
class ProviderAppData:
    """What the region application writes."""

    maas_url: str = ""
    region_urls: tuple[str, ...] = ()
    secret_id: str = ""
    dhcp_grace_s: int = 0

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "ProviderAppData":
        """Parse; raises databag.DatabagError."""
        return cls(
            maas_url=databag.url(data, "maas-url"),
            region_urls=tuple(
                databag.check_url("region-urls", one)
                for one in databag.strings(data, "region-urls")
            ),
            secret_id=databag.secret_id(data, "secret-id"),
            dhcp_grace_s=_grace_s(data),
        )

    def to_databag(self) -> dict[str, str]:
        """Return every field, "" for one that is to be absent."""
        return {
            "maas-url": self.maas_url,
            "region-urls": databag.dump(list(self.region_urls)) if self.region_urls else "",
            "secret-id": self.secret_id,
            "dhcp-grace": str(self.dhcp_grace_s) if self.dhcp_grace_s else "",
        }


@dataclass(frozen=True)
class RequirerAppData:
    """What the rack application writes."""

    secret_mark: str = ""

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "RequirerAppData":
        """Parse; raises databag.DatabagError."""
        return cls(databag.word(data, "secret-mark"))

    def to_databag(self) -> dict[str, str]:
        """Return every field, "" for one that is to be absent."""
        return {"secret-mark": self.secret_mark}


@dataclass(frozen=True)
class RequirerUnitData:
    """What each rack unit writes."""

    hostname: str = ""
    system_id: str = ""
    dhcp_grace_s: int = 0

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "RequirerUnitData":
        """Parse; raises databag.DatabagError."""
        return cls(
            databag.word(data, "hostname"),
            databag.system_id(data, "system-id"),
            _grace_s(data),
        )

    def to_databag(self) -> dict[str, str]:
        """Return every field, "" for one that is to be absent."""
        return {
            "hostname": self.hostname,
            "system-id": self.system_id,
            "dhcp-grace": str(self.dhcp_grace_s) if self.dhcp_grace_s else "",
        }


def _grace_s(data: Mapping[str, str]) -> int:
    """Return the field dhcp-grace, 0 when absent; raises databag.DatabagError."""
    key, least, most = "dhcp-grace", failover.MIN_GRACE_S, failover.MAX_GRACE_S
    found = databag.whole_number(data, key)
    if found and not least <= found <= most:
        raise databag.DatabagError(f"{key}: {found} is neither 0 nor {least} to {most}")
    return found


@dataclass(frozen=True)
class Enrolment:
    """What a rack needs to join: URLs, the MAAS URL first, and the shared secret.

    region_urls are the regions' own, by which a rack knows how many there are; dhcp_grace_s is 0
    where no dead rack is replaced.
    """

    urls: tuple[str, ...]
    shared_secret: str
    region_urls: tuple[str, ...] = ()
    dhcp_grace_s: int = 0


class MAASRPCProvider(Endpoint):
    """The region's side."""

    def publish(self, data: ProviderAppData) -> None:
        """Write the application databag of each relation; only the leader may."""
        for relation in self.relations:
            self.write(relation, self.model.app, data.to_databag())

    def dhcp_grace_s(self) -> int:
        """Return the grace that the racks were told last; only the leader may."""
        found = [
            self.parse(relation, self.model.app, ProviderAppData.from_databag)
            for relation in self.relations
        ]
        return max((one.dhcp_grace_s for one in found if one), default=0)

    def have_followed(self, secret: str) -> bool:
        """Tell whether the racks of every relation say that they run with a shared secret."""
        data = [
            self.parse(one, one.app, RequirerAppData.from_databag) or RequirerAppData()
            for one in self.relations
            if one.units
        ]
        return all(one.secret_mark == secrets.mark(secret) for one in data)

    def unit_data(self, relation: ops.Relation, unit: ops.Unit) -> RequirerUnitData | None:
        """Return what one rack wrote: read it only in that rack's own event."""
        return self.parse(relation, unit, RequirerUnitData.from_databag)


class MAASRPCRequirer(Endpoint):
    """The rack's side."""

    def get(self) -> Enrolment | None:
        """Return what the relation with the lowest ID offers, None until it is whole."""
        if not self.relations or not (app := self.relations[0].app):
            return None
        data = self.parse(self.relations[0], app, ProviderAppData.from_databag)
        if not data or not data.maas_url or not data.secret_id:
            return None
        secret = (secrets.read(self.model, data.secret_id) or {}).get(SECRET_FIELD)
        if not secret:
            return None
        urls = tuple(dict.fromkeys((data.maas_url, *data.region_urls)))
        return Enrolment(urls, secret, data.region_urls, data.dhcp_grace_s)

    def publish(self, data: RequirerUnitData) -> None:
        """Write this unit's databag of each relation."""
        for relation in self.relations:
            self.write(relation, self.model.unit, data.to_databag())

    def has_told(self, secret_mark: str) -> bool:
        """Tell whether the leader wrote this mark last; only the leader may ask."""
        data = RequirerAppData(secret_mark).to_databag()
        return all(
            one.data[self.model.app].get(key, "") == value
            for one in self.relations
            for key, value in data.items()
        )

    def publish_app(self, data: RequirerAppData) -> None:
        """Write the application databag of each relation; only the leader may."""
        for relation in self.relations:
            self.write(relation, self.model.app, data.to_databag())
