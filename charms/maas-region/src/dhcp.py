# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Turning MAAS's DHCP on for a subnet or a VLAN, with two racks where there are two."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

import api
import witnesses


@dataclass(frozen=True)
class Enabled:
    """On which VLAN DHCP is on now, and the host names of its racks.

    unasked are those that may know of a failover there from before, and why they were not made to
    forget it.
    """

    vlan: str
    primary: str
    secondary: str
    unasked: tuple[str, ...] = ()


def enable(place: str | int, start: str, end: str, *, alone: bool) -> Enabled:
    """Turn DHCP on, with a range of addresses; raises as api.ask does.

    place is a subnet by its CIDR, or a VLAN by MAAS's ID of it. With one rack there only if alone:
    its death would end DHCP. What MAAS refuses, it refuses in its own words, and nothing has
    changed.
    """
    return api.ask(lambda client: _enable(client, place, (start, end), alone=alone))


def _enable(
    client: api.Client, place: str | int, ends: tuple[str, str], *, alone: bool
) -> Enabled:
    vlan = _vlan(client.subnets(), place, ends)
    if vlan.racks:
        raise api.APIError(
            f"{vlan.name} has a rack for DHCP already: change it in MAAS, which is yours"
        )
    racks = [
        one for one in client.racks() if one.status in api.RUNNING and _can_serve(one, vlan, ends)
    ]
    if not racks:
        raise api.APIError(f"no rack that runs has an address in {vlan.name}")
    if len(racks) == 1 and not alone:
        raise api.APIError(
            f"only {racks[0].hostname} has an address in {vlan.name}: add a rack there,"
            " or give alone=true"
        )
    chosen = racks[:2]
    made = client.create_range(*ends)
    try:
        # Of a DHCP that was on here before: beside a rack that still knows of its partner then,
        # one that does not would answer nobody for an hour (recover-wait).
        asked = witnesses.Witnesses(chosen)
        unasked = [asked.forget(one.system_id, vlan) for one in chosen]
        client.turn_dhcp_on(vlan, *_two(one.system_id for one in chosen))
    except api.APIError as refused:
        try:
            client.delete_range(made)
        except api.APIError as error:
            raise api.APIError(f"{refused}; its range stays in MAAS: {error}") from refused
        raise
    names = _two(one.hostname for one in chosen)
    return Enabled(vlan.name, *names, tuple(one for one in unasked if one))


def _can_serve(rack: api.Controller, vlan: api.VLAN, ends: tuple[str, str]) -> bool:
    """Tell whether a rack has an address in a VLAN, and an IPv6 one for an IPv6 range."""
    return any(link == vlan.id and (":" in own) == (":" in ends[0]) for link, own in rack.links)


def _two(names: Iterable[str]) -> tuple[str, str]:
    """Return the first two, "" where there is no second."""
    first, second = (*names, "")[:2]
    return first, second


def _vlan(subnets: Iterable[api.Subnet], place: str | int, ends: tuple[str, str]) -> api.VLAN:
    """Return the VLAN to serve; MAAS takes a range on any subnet, so it is looked at here."""
    there = [one for one in subnets if place in (one.cidr, one.vlan.id)]
    if not there:
        what = (
            f"subnet {place[:60]!r}: give its CIDR"
            if isinstance(place, str)
            else f"subnet on VLAN {place}: give the VLAN's ID"
        )
        raise api.APIError(f"MAAS knows no {what}, as MAAS shows it")
    if not any(_is_on(one.cidr, ends) for one in there):
        cidrs = " or ".join(one.cidr for one in there)
        raise api.APIError(f"{' and '.join(ends)} are not both on {cidrs}")
    return there[0].vlan


def _is_on(cidr: str, ends: tuple[str, str]) -> bool:
    """Tell whether both ends are on a subnet; of what is no address MAAS says so."""
    try:
        return all(ipaddress.ip_address(one) in ipaddress.ip_network(cidr) for one in ends)
    except ValueError:
        return True
