# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""MAAS's DHCP on the second network of the machines, and clients there."""

import contextlib
import ipaddress
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import remote
from maas import MAAS, eventually

CLIENT = Path(__file__).with_name("dhcp_client.py")
# Where the range begins, and a number of clients that it has addresses for.
FIRST, CLIENTS = 100, 500
NORMAL = "'state': 'normal'"


def assert_distinct(given: dict[int, str]) -> None:
    """Assert that every client got an address, and no two the same."""
    assert all(given.values()), given
    assert len(set(given.values())) == len(given), given


class DHCP:
    """One subnet that has DHCP; clients are numbers, and live on a region's machine.

    A context manager: they ask over one connection, which needs no controller once it is there.
    """

    def __init__(self, maas: MAAS) -> None:
        self._maas = maas
        vip = ipaddress.ip_address(maas.vip)
        self._subnet: dict[str, Any] = next(
            one
            for one in maas.get("subnets/")
            if vip not in ipaddress.ip_network(one["cidr"]) and "." in one["cidr"]
        )
        self.network = ipaddress.IPv4Network(self._subnet["cidr"])
        self.vlan_id: int = self._subnet["vlan"]["id"]
        self._vlan = f"vlans/{self.vlan_id}/"
        # A machine with neither rack, which hears both as a machine to be booted does.
        racks = {unit.machine for unit in maas.units("maas-rack").values()}
        regions = maas.units("maas-region").items()
        self._host = next(name for name, unit in regions if unit.machine not in racks)
        show = f"ip -o -4 address show to {self.network}"
        self._interface = maas.on_machine(self._host, show).split()[1]
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        machine = remote.python(self._maas.juju, self._host, CLIENT, self._interface)
        self._clients = self._open.enter_context(machine)
        self._open.callback(remote.end, self._clients)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def enable(self, **other: str | int | None) -> dict[str, Any]:
        """Turn it on by the charm's action, and return its results.

        other are parameters instead of the subnet's own, None for without one.
        """
        wish = {
            "subnet": str(self.network),
            "start": self._at(FIRST),
            "end": self._at(FIRST + CLIENTS - 1),
            **other,
        }
        given = {name: value for name, value in wish.items() if value is not None}
        return self._maas.juju.run(self._maas.leader("maas-region"), "enable-dhcp", given).results

    def disable(self) -> None:
        """Turn it off, and forget the range."""
        self._maas.change("PUT", self._vlan, dhcp_on="false", primary_rack="", secondary_rack="")
        for one in self._maas.get("ipranges/"):
            if one["type"] == "dynamic":
                self._maas.change("DELETE", f"ipranges/{one['id']}/")

    def racks(self) -> tuple[str, str]:
        """The host names of the primary and the secondary rack, "" for none."""
        names = {one["system_id"]: name for name, one in self._maas.controllers("rack").items()}
        vlan = self._maas.get(self._vlan)
        primary, secondary = (
            names.get(vlan[f"{role}_rack"] or "", "") for role in ("primary", "secondary")
        )
        return primary, secondary

    def unit(self, rack: str) -> str:
        """The unit of maas-rack by its host name."""
        ids = {one["system_id"]: name for name, one in self._maas.controllers("rack").items()}
        for unit in self._maas.units("maas-rack"):
            if ids.get(self._maas.on_machine(unit, "cat /var/lib/maas/maas_id").strip()) == rack:
                return unit
        raise AssertionError(f"no unit is {rack}")

    def state(self, unit: str) -> str:
        """dhcpd's failover state on a rack, as its charm tells the regions."""
        charm = f"/var/lib/juju/agents/unit-{unit.replace('/', '-')}/charm"
        ask = "import witness_server; print(witness_server.respond({}))"
        return self._maas.on_machine(
            unit, f'cd {charm} && PYTHONPATH=src venv/bin/python -c "{ask}"'
        )

    def wait_normal(self, *units: str) -> None:
        """Wait until dhcpd of each of these racks is in failover state normal."""
        for unit in units:
            eventually(lambda unit=unit: NORMAL in self.state(unit), timeout_s=120, what="normal")

    def is_on(self, unit: str) -> bool:
        """Tell whether a rack's dhcpd runs."""
        active = self._maas.on_machine(unit, "systemctl is-active maas-dhcpd; true")
        return active.strip() == "active"

    def address(self, unit: str) -> str:
        """A rack's address in the subnet."""
        show = f"ip -o -4 address show to {self.network}"
        return self._maas.on_machine(unit, show).split()[3].partition("/")[0]

    def ask(
        self, wishes: dict[int, str] | Iterable[int], *, timeout_s: float = 60
    ) -> dict[int, str]:
        """Have clients ask for an address, or renew theirs; returns what each one got."""
        given = wishes if isinstance(wishes, dict) else dict.fromkeys(wishes, "")
        process = self._clients
        assert process.stdin
        assert process.stdout
        print(json.dumps([timeout_s, given]), file=process.stdin, flush=True)
        told = process.stdout.readline()
        assert told, "the clients' machine is gone"
        return {int(number): address for number, address in json.loads(told).items()}

    def _at(self, number: int) -> str:
        return str(self.network[number])
