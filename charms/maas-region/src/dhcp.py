# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Turning MAAS's DHCP on for a subnet, with two racks where there are two."""

from dataclasses import dataclass

import api


@dataclass(frozen=True)
class Enabled:
    """On which VLAN DHCP is on now, and the host names of its racks."""

    vlan: str
    primary: str
    secondary: str


def enable(cidr: str, start: str, end: str, *, alone: bool) -> Enabled:
    """Turn DHCP on for a subnet, with a range of addresses; raises as api.ask does.

    With one rack there only if alone: its death would end DHCP. What MAAS refuses, it refuses in
    its own words, and nothing has changed.
    """
    return api.ask(lambda client: _enable(client, cidr, (start, end), alone=alone))


def _enable(client: api.Client, cidr: str, ends: tuple[str, str], *, alone: bool) -> Enabled:
    vlan = client.vlan_of(cidr)
    if vlan is None:
        raise api.APIError(f"MAAS knows no subnet {cidr[:60]!r}: give its CIDR, as MAAS shows it")
    if vlan.racks:
        raise api.APIError(
            f"{vlan.name} has a rack for DHCP already: change it in MAAS, which is yours"
        )
    racks = [
        one
        for one in client.racks()
        if one.status in api.RUNNING and any(link == vlan.id for link, _ in one.links)
    ]
    if not racks:
        raise api.APIError(f"no rack that runs has an address in {vlan.name}")
    if len(racks) == 1 and not alone:
        raise api.APIError(
            f"only {racks[0].hostname} has an address in {vlan.name}: add a rack there,"
            " or give alone=true"
        )
    primary, secondary = racks[0], racks[1] if len(racks) > 1 else None
    made = client.create_range(*ends)
    try:
        client.turn_dhcp_on(vlan, primary.system_id, secondary.system_id if secondary else "")
    except api.APIError:
        client.delete_range(made)
        raise
    return Enabled(vlan.name, primary.hostname, secondary.hostname if secondary else "")
