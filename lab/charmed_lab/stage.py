# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""A stage: one model with its machines, networks and state, named and placed."""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from . import versions

ROOT = Path("/var/lib/charmed-maas-lab")
REPOSITORY = Path(__file__).resolve().parents[2]
BASES = {"debian@12": "bookworm", "debian@13": "trixie"}
DEFAULT_BASE = "debian@13"

# The second octet of a stage's networks: lab/up's, lab/test's, and some to try things on.
# The build containers have 10.86.9.0/24.
OCTETS = {"lab": 88, "test": 89, "spare": 86, "spare2": 85, "spare3": 87}
FIRST_MACHINE = 10
MAX_MACHINES = 90
VIP_HOST = 100


class LabError(Exception):
    """What a command of the lab ends with; the message is for its user."""


class StageError(LabError):
    """The environment names a stage or base that does not exist."""


@dataclass
class Stage:
    """Where one model lives: its names, addresses and directories."""

    name: str = "lab"
    base: str = DEFAULT_BASE
    # The Juju that it gets when it is made; empty: the one that it has, or the default.
    juju: str = ""

    def __post_init__(self) -> None:
        """Derive all from the names; refuse those that have no addresses or image."""
        name, base = self.name, self.base
        if name not in OCTETS:
            raise StageError(f"LAB_STAGE is {name!r}; it must be one of {', '.join(OCTETS)}")
        if base not in BASES:
            raise StageError(f"LAB_BASE is {base!r}; it must be one of {', '.join(BASES)}")
        if self.juju not in ("", *versions.VERSIONS):
            known = ", ".join(versions.VERSIONS)
            raise StageError(f"LAB_JUJU is {self.juju!r}; it must be one of {known}")
        self.release = BASES[base]
        # The stopped container that machines of this base are copies of.
        self.golden = f"maaslab-golden-{self.release}"
        # The container that packs charms for this base.
        self.builder = f"maaslab-build-{self.release}"
        self.state = ROOT / name
        # The daemon's socket; what every machine sees as /var/lib/juju/lab; what is deployed.
        self.run = self.state / "run"
        self.hooks = self.state / "hooks"
        self.bundle = self.state / "bundle"
        # The local apt repository; shared by stages, machines see it as /srv/lab-apt.
        self.apt = ROOT / "apt" / self.release
        # eth0 carries Juju, MAAS and the VIP; the DHCP of eth1 belongs to the racks.
        self.bridge, self.dhcp_bridge = f"{name}-br0", f"{name}-dhcp0"
        self.subnet = ipaddress.IPv4Network(f"10.{OCTETS[name]}.0.0/24")
        # With room for a rack's many clients; 10.86.9.0/24 is the build containers'.
        self.dhcp_subnet = ipaddress.IPv4Network(f"10.{OCTETS[name]}.4.0/22")
        self.gateway, self.vip = self.subnet[1], self.subnet[VIP_HOST]

    @classmethod
    def current(cls) -> "Stage":
        """Return the stage that LAB_STAGE, LAB_BASE and LAB_JUJU name."""
        get = os.environ.get
        return cls(get("LAB_STAGE", "lab"), get("LAB_BASE", DEFAULT_BASE), get("LAB_JUJU", ""))

    def machine_name(self, number: str) -> str:
        """Return the name of a machine's container."""
        return f"{self.name}-m{number}"

    def address(self, number: str) -> str:
        """Return a machine's address on the bridge."""
        return str(self.subnet[_host(number)])

    def dhcp_address(self, number: str) -> str:
        """Return a machine's address on the racks' network."""
        return str(self.dhcp_subnet[_host(number)])


def _host(number: str) -> int:
    if not number.isdecimal() or int(number) >= MAX_MACHINES:
        raise StageError(f"machine {number!r}: a lab has machines 0 to {MAX_MACHINES - 1}")
    return FIRST_MACHINE + int(number)
