# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What can be learnt about a MAAS: regions, database, VIP, racks. Plain values, no I/O.

A machine is an address: units that share one share the machine.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from charmed_maas import failover

PRIMARY = "primary"
SYNCHRONOUS = "synchronous replica"
REPLICA = "replica"
Item = TypeVar("Item")


@dataclass(frozen=True)
class Unknown:
    """What could not be learnt, and why."""

    why: str


@dataclass(frozen=True)
class Region:
    """A unit of maas-region; problem "" is one that serves."""

    unit: str
    address: str
    problem: str = ""


@dataclass(frozen=True)
class Member:
    """A member of the database; problem "" is one that serves, answers is its Patroni's."""

    address: str
    role: str = ""
    problem: str = ""
    answers: bool = True


@dataclass(frozen=True)
class Database:
    """The members and the addresses of the votes, () where nobody tells of them."""

    members: tuple[Member, ...]
    voters: tuple[str, ...] = ()
    is_strict: bool = False

    @property
    def primary(self) -> Member | None:
        """The member that takes writes."""
        serving = (one for one in self.members if not one.problem)
        return next((one for one in serving if one.role == PRIMARY), None)


@dataclass(frozen=True)
class VIPUnit:
    """A unit of haproxy-vip; problem "" is one that holds the VIP or can take it."""

    unit: str
    address: str = ""
    problem: str = ""


@dataclass(frozen=True)
class VIP:
    """The VIP: the address of the machine that holds it, and why MAAS does not answer there."""

    address: str
    units: tuple[VIPUnit, ...]
    holder: str | Unknown
    problem: str = ""


@dataclass(frozen=True)
class Rack:
    """A rack controller; status is what MAAS says of its rackd."""

    system_id: str
    hostname: str
    address: str
    status: str

    @property
    def is_alive(self) -> bool:
        """A degraded one has lost some regions only."""
        return self.status in ("running", "degraded")


@dataclass(frozen=True)
class Served:
    """What racks do for others: DHCP on a VLAN (the primary rack first), or reaching a BMC.

    id is the VLAN's.
    """

    name: str
    racks: tuple[str, ...]
    id: int = 0


@dataclass(frozen=True)
class Failover:
    """The state of dhcpd's failover on a VLAN, and for how many seconds it has been in it."""

    state: str = ""
    for_s: int = 0


@dataclass(frozen=True)
class DHCPServer:
    """A rack's dhcpd: its failover by the VLAN's ID; problem is why a running one tells none."""

    runs: bool
    failovers: Mapping[int, Failover] = field(default_factory=dict[int, Failover])
    problem: str = ""


@dataclass(frozen=True)
class Strays:
    """Controllers that only MAAS knows, units that only Juju knows, and how many both do."""

    in_maas: tuple[str, ...] = ()
    in_juju: tuple[str, ...] = ()
    in_both: int = 0


@dataclass(frozen=True)
class Findings:
    """All that was learnt; vip is None where there is none, and MAAS's URL leads to url_host.

    dhcpds go by the racks' IDs.
    """

    regions: tuple[Region, ...]
    database: Database | Unknown
    vip: VIP | None
    url_host: str
    racks: tuple[Rack, ...] | Unknown
    vlans: tuple[Served, ...] | Unknown
    bmcs: tuple[Served, ...] | Unknown
    controllers: Strays | Unknown
    dhcpds: Mapping[str, DHCPServer | Unknown] = field(
        default_factory=dict[str, "DHCPServer | Unknown"]
    )

    @functools.cached_property
    def living(self) -> dict[str, Rack]:
        """The racks that live, by ID."""
        return {one.system_id: one for one in known(self.racks) if one.is_alive}

    @functools.cached_property
    def dhcp_alone(self) -> dict[str, list[str]]:
        """The VLANs that one machine's racks alone serve, by machine; under "" those of none."""
        return self._alone(known(self.vlans), self._answers_clients)

    @functools.cached_property
    def bmcs_alone(self) -> dict[str, list[str]]:
        """The BMCs that one machine's racks alone reach, by machine; under "" those of none.

        Of one without racks MAAS has not found out yet.
        """
        return self._alone([one for one in known(self.bmcs) if one.racks])

    def _answers_clients(self, vlan: Served, rack: str) -> bool:
        """Tell whether a living rack's dhcpd answers on a VLAN; it does where nobody says no."""
        dhcpd = self.dhcpds.get(rack)
        if not isinstance(dhcpd, DHCPServer):
            return True
        state = dhcpd.failovers.get(vlan.id, Failover()).state
        return dhcpd.runs and state not in failover.SILENT

    def _alone(
        self,
        items: Sequence[Served],
        does: Callable[[Served, str], bool] = lambda *_: True,
    ) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        if isinstance(self.racks, Unknown):
            return found
        for item in items:
            able = {
                self.living[one].address
                for one in item.racks
                if one in self.living and does(item, one)
            }
            if len(able) < 2:
                found.setdefault(next(iter(able), ""), []).append(item.name)
        return found


def known(items: "tuple[Item, ...] | Unknown") -> "tuple[Item, ...]":
    """Return what was learnt, nothing where nothing was."""
    return () if isinstance(items, Unknown) else items
