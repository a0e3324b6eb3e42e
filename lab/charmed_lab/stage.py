# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""A stage: one model with its machines, networks and state, named and placed."""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/var/lib/charmed-maas-lab")
REPOSITORY = Path(__file__).resolve().parents[2]
BASES = {"debian@12": "bookworm", "debian@13": "trixie"}
DEFAULT_BASE = "debian@13"

# The second octet of a stage's networks: lab/up's, lab/test's, and one to try things on.
# The build containers have 10.86.9.0/24.
OCTETS = {"lab": 88, "test": 89, "spare": 86}
FIRST_MACHINE = 10
MAX_MACHINES = 90
VIP_HOST = 100


class LabError(Exception):
    """What a command of the lab ends with; the message is for its user."""


class StageError(LabError):
    """The environment names a stage or base that does not exist."""


@dataclass(frozen=True)
class Stage:
    """Where one model lives: its names, addresses and directories."""

    name: str = "lab"
    base: str = DEFAULT_BASE

    def __post_init__(self) -> None:
        """Refuse names that have no addresses or image."""
        if self.name not in OCTETS:
            raise StageError(f"LAB_STAGE is {self.name!r}; it must be one of {', '.join(OCTETS)}")
        if self.base not in BASES:
            raise StageError(f"LAB_BASE is {self.base!r}; it must be one of {', '.join(BASES)}")

    @classmethod
    def current(cls) -> "Stage":
        """Return the stage that LAB_STAGE and LAB_BASE name."""
        return cls(os.environ.get("LAB_STAGE", "lab"), os.environ.get("LAB_BASE", DEFAULT_BASE))

    @property
    def release(self) -> str:
        """Debian's name of the base."""
        return BASES[self.base]

    @property
    def golden(self) -> str:
        """The stopped container that machines of this base are copies of."""
        return f"maaslab-golden-{self.release}"

    @property
    def state(self) -> Path:
        """The directory of all that the stage keeps."""
        return ROOT / self.name

    @property
    def run(self) -> Path:
        """The directory of the daemon's socket and process ID."""
        return self.state / "run"

    @property
    def hooks(self) -> Path:
        """The directory that every machine sees as /var/lib/juju/lab."""
        return self.state / "hooks"

    @property
    def bundle(self) -> Path:
        """The directory of the deployed bundle.yaml and its charms."""
        return self.state / "bundle"

    @property
    def apt(self) -> Path:
        """The local apt repository; shared by stages, machines see it as /srv/lab-apt."""
        return ROOT / "apt" / self.release

    @property
    def bridge(self) -> str:
        """The network that carries Juju, MAAS and the VIP (eth0)."""
        return f"{self.name}-br0"

    @property
    def dhcp_bridge(self) -> str:
        """The network whose DHCP belongs to the racks (eth1)."""
        return f"{self.name}-dhcp0"

    @property
    def subnet(self) -> ipaddress.IPv4Network:
        """The addresses of eth0."""
        return ipaddress.IPv4Network(f"10.{OCTETS[self.name]}.0.0/24")

    @property
    def dhcp_subnet(self) -> ipaddress.IPv4Network:
        """The addresses of eth1."""
        return ipaddress.IPv4Network(f"10.{OCTETS[self.name]}.1.0/24")

    @property
    def gateway(self) -> ipaddress.IPv4Address:
        """The host's own address on the bridge."""
        return self.subnet[1]

    @property
    def vip(self) -> ipaddress.IPv4Address:
        """The virtual address that the overlay sets."""
        return self.subnet[VIP_HOST]

    def machine_name(self, number: str) -> str:
        """Return the name of a machine's container."""
        return f"{self.name}-m{number}"

    def address(self, number: str) -> str:
        """Return a machine's address on the bridge."""
        return str(self.subnet[self._host(number)])

    def dhcp_address(self, number: str) -> str:
        """Return a machine's address on the racks' network."""
        return str(self.dhcp_subnet[self._host(number)])

    def _host(self, number: str) -> int:
        if not number.isdecimal() or int(number) >= MAX_MACHINES:
            raise StageError(f"machine {number!r}: a lab has machines 0 to {MAX_MACHINES - 1}")
        return FIRST_MACHINE + int(number)
