# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The `api` relation: maas-region provides its HTTP API to haproxy-vip.

Each region unit writes its address and whether it takes traffic now; the region application
writes which services are to be balanced. haproxy-vip's application writes back the VIP and the
MAAS URL that goes through it, or that it has no VIP; while it says neither, MAAS keeps its URL.
Each unit of haproxy-vip writes its own address and whether it takes part: holds the VIP or stands
by to take it. Which one holds it no databag tells, for that changes with no event.
Where several haproxy-vip applications are related, every one of them serves, and MAAS's own URL
is that of the relation with the lowest ID.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import ops

from charmed_maas import addresses, databag
from charmed_maas.interfaces.endpoint import Endpoint

MODES = ("http", "tcp")
# Both stand in haproxy.cfg as they are.
NAME = re.compile(r"[A-Za-z0-9-]{1,60}")
PATH = re.compile(r"/[A-Za-z0-9/._~-]{0,200}")


@dataclass(frozen=True)
class Service:
    """One port to balance; check is the path of an HTTP health check, "" for a TCP one.

    listen_port 0 leaves the port on the VIP to haproxy-vip's option `port`. On agent_port a region
    answers HAProxy's agent check, 0 for none.
    """

    name: str
    backend_port: int
    listen_port: int = 0
    mode: str = "http"
    check: str = ""
    agent_port: int = 0

    @classmethod
    def parse(cls, item: object) -> "Service":
        """Parse one object of the list; raises databag.DatabagError."""
        if not isinstance(item, dict):
            raise databag.DatabagError("services: an entry is no object")
        found = cast("dict[str, object]", item)
        fields = {key: str(value) for key, value in found.items() if isinstance(value, str | int)}
        try:
            service = cls(
                name=databag.text(fields, "name"),
                backend_port=databag.port(fields, "backend_port"),
                listen_port=databag.port(fields, "listen_port"),
                mode=databag.text(fields, "mode"),
                check=databag.text(fields, "check"),
                agent_port=databag.port(fields, "agent_port"),
            )
        except databag.DatabagError as error:
            raise databag.DatabagError(f"services: {error}") from error
        plain = NAME.fullmatch(service.name) and service.name.strip("-")
        if not plain or not service.backend_port or service.mode not in MODES:
            raise databag.DatabagError(f"services: {service.name[:60]!r} is not a service")
        if service.check and not PATH.fullmatch(service.check):
            raise databag.DatabagError(f"services: {service.name} has a check that is no path")
        return service


@dataclass(frozen=True)
class ProviderAppData:
    """What the region application writes."""

    services: tuple[Service, ...] = ()

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "ProviderAppData":
        """Parse; raises databag.DatabagError."""
        return cls(tuple(Service.parse(one) for one in databag.objects(data, "services")))

    def to_databag(self) -> dict[str, str]:
        """Return every field."""
        return {
            "services": databag.dump(
                [
                    {key: str(value) for key, value in asdict(one).items() if value}
                    for one in self.services
                ]
            )
        }


@dataclass(frozen=True)
class ProviderUnitData:
    """What each region unit writes."""

    address: str = ""
    ready: bool = False

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "ProviderUnitData":
        """Parse; raises databag.DatabagError."""
        return cls(databag.address(data, "address"), databag.boolean(data, "ready"))

    def to_databag(self) -> dict[str, str]:
        """Return every field."""
        return {"address": self.address, "ready": str(self.ready).lower()}


@dataclass(frozen=True)
class RequirerAppData:
    """What haproxy-vip's application writes back; no_vip says that there is none on purpose."""

    vip: str = ""
    url: str = ""
    no_vip: bool = False

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "RequirerAppData":
        """Parse; raises databag.DatabagError."""
        return cls(
            databag.address(data, "vip"), databag.url(data, "url"), databag.boolean(data, "no-vip")
        )

    def to_databag(self) -> dict[str, str]:
        """Return every field, "" for one that is to be absent."""
        return {"vip": self.vip, "url": self.url, "no-vip": "true" if self.no_vip else ""}


@dataclass(frozen=True)
class RequirerUnitData:
    """What each unit of haproxy-vip writes; ready is one that holds the VIP or stands by."""

    address: str = ""
    ready: bool = False

    @classmethod
    def from_databag(cls, data: Mapping[str, str]) -> "RequirerUnitData":
        """Parse; raises databag.DatabagError."""
        return cls(databag.address(data, "address"), databag.boolean(data, "ready"))

    def to_databag(self) -> dict[str, str]:
        """Return every field, "" for one that is to be absent."""
        return {"address": self.address, "ready": "true" if self.ready else ""}


@dataclass(frozen=True)
class Backend:
    """One region unit as haproxy-vip sees it; unit is its name, as maas-region/3."""

    unit: str
    address: str
    ready: bool


class MAASAPIProvider(Endpoint):
    """The region's side."""

    def publish_unit(self, data: ProviderUnitData) -> None:
        """Write this unit's databag of each relation."""
        for relation in self.relations:
            self.write(relation, self.model.unit, data.to_databag())

    def publish_app(self, data: ProviderAppData) -> None:
        """Write the application databag of each relation; only the leader may."""
        for relation in self.relations:
            self.write(relation, self.model.app, data.to_databag())

    def get(self) -> RequirerAppData | None:
        """Return VIP and URL of the relation with the lowest ID that has them."""
        found = self._through_vip()
        return found[1] if found else None

    def vip_units(self) -> dict[str, RequirerUnitData]:
        """Return what each unit behind get()'s VIP says of itself, by unit number."""
        if not (found := self._through_vip()):
            return {}
        units = {unit.name: unit for unit in found[0].units}
        return {
            name: self.parse(found[0], units[name], RequirerUnitData.from_databag)
            or RequirerUnitData()
            for name in addresses.by_unit_number(units)
        }

    def _through_vip(self) -> tuple[ops.Relation, RequirerAppData] | None:
        for relation in self.relations:
            if not (app := relation.app):
                continue
            data = self.parse(relation, app, RequirerAppData.from_databag)
            if data and data.url:
                return relation, data
        return None

    def has_no_vip(self) -> bool:
        """Tell whether every haproxy-vip says that it has no VIP, not only nothing yet."""
        said = [
            self.parse(relation, relation.app, RequirerAppData.from_databag)
            for relation in self.relations
            if relation.app
        ]
        return bool(said) and all(one is not None and one.no_vip for one in said)


class MAASAPIRequirer(Endpoint):
    """haproxy-vip's side."""

    def services(self) -> tuple[Service, ...]:
        """Return the services of the relation with the lowest ID that has them."""
        for relation in self.relations:
            if not (app := relation.app):
                continue
            data = self.parse(relation, app, ProviderAppData.from_databag)
            if data and data.services:
                return data.services
        return ()

    def backends(self) -> list[Backend]:
        """Return the region units that have an address, by unit number."""
        found: list[Backend] = []
        for relation in self.relations:
            units = {unit.name: unit for unit in relation.units}
            for name in addresses.by_unit_number(units):
                data = self.parse(relation, units[name], ProviderUnitData.from_databag)
                if data and data.address:
                    found.append(Backend(name, data.address, data.ready))
        return found

    def publish(self, data: RequirerAppData) -> None:
        """Write the application databag of each relation; only the leader may."""
        for relation in self.relations:
            self.write(relation, self.model.app, data.to_databag())

    def publish_unit(self, data: RequirerUnitData) -> None:
        """Write this unit's databag of each relation."""
        for relation in self.relations:
            self.write(relation, self.model.unit, data.to_databag())
