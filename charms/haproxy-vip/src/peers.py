# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the units of haproxy-vip tell each other: addresses, and whom they advertise to.

A unit's keepalived may start only once the others send it their advertisements, or two units
would hold the VIP. So each unit publishes the addresses that its keepalived knows. It also says
whether it held the VIP when it last looked: a change wakes the others, who then look themselves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ops

import charmed_maas.peers
from charmed_maas import databag

PEERS = "peers"


@dataclass(frozen=True)
class Peer:
    """Another unit: its address and the addresses that its keepalived advertises to.

    One that does not stay still runs keepalived until its own hook has stopped it and taken
    its address back: without advertisements it would take the VIP as well.
    """

    unit: str
    address: str
    known: tuple[str, ...]
    stays: bool = True


def others(model: ops.Model) -> list[Peer]:
    """Return the other units that have published an address, by unit number.

    What another revision of this charm garbled counts as not published.
    """
    found: list[Peer] = []
    if not (relation := model.get_relation(PEERS)):
        return found
    for unit, stays in charmed_maas.peers.present_units(relation).items():
        data = relation.data[unit]
        try:
            address = databag.address(data, "address")
            known = databag.strings(data, "peers")
        except databag.DatabagError:
            continue
        if address:
            found.append(Peer(unit.name, address, known, stays))
    return found


def publish(
    model: ops.Model, address: str, known: Sequence[str], *, is_vip_holder: bool = False
) -> None:
    """Write this unit's databag."""
    if relation := model.get_relation(PEERS):
        values = {
            "address": address,
            "peers": databag.dump(list(known)) if known else "",
            "vip-holder": "true" if is_vip_holder else "",
        }
        databag.write(relation.data[model.unit], values)


def unaware(found: Sequence[Peer], own: str, is_alive: Callable[[str], bool]) -> list[str]:
    """Return the units that live but do not advertise to this one yet."""
    return [peer.unit for peer in found if own not in peer.known and is_alive(peer.address)]
