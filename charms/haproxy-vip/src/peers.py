# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the units of haproxy-vip tell each other: addresses, and whom they advertise to.

A unit's keepalived may start only once the others send it their advertisements, or two units
would hold the VIP. So each unit publishes the addresses that its keepalived knows. It also says
whether it held the VIP when it last looked: nobody reads that, but a change wakes the others, who
then look themselves. And whether it is paused: the VIP is not given away where nobody can take it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import ops
from ops import hookcmds

import charmed_maas.peers
from charmed_maas import addresses, databag, words

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


@dataclass(frozen=True)
class Others:
    """The other units that have published an address, and what is wrong with whoever garbled it.

    What cannot be read is not nothing: that unit's keepalived runs. So does that of the units
    that Juju lists no more though they have not gone yet. listed is how many Juju lists that are
    to stay, with or without an address. silent are those that are known to Juju alone.
    """

    peers: tuple[Peer, ...] = ()
    problems: tuple[str, ...] = ()
    unlisted: frozenset[str] = frozenset()
    listed: int = 0
    silent: tuple[str, ...] = ()

    @property
    def addresses(self) -> list[str]:
        """The addresses of those that can be read."""
        return [peer.address for peer in self.peers]

    @property
    def not_known(self) -> str:
        """What lacks while not every unit is known, and of whom, where Juju names them."""
        lacks = "the other units' addresses"
        return f"{lacks}: {words.listed(self.silent)}" if self.silent else lacks


def others(model: ops.Model, vip: str, own: str, goals: hookcmds.GoalState | None) -> Others:
    """Return the other units, by unit number; goals is what the controller knows.

    One whose address is this unit's own, or not of the VIP's family, is one that cannot be read:
    keepalived refuses a peer of another family.
    """
    found: list[Peer] = []
    problems: list[str] = []
    if not (relation := model.get_relation(PEERS)):
        return Others()
    present = charmed_maas.peers.present_units(relation, goals)
    for unit, stays in present.items():
        data = relation.data[unit]
        try:
            address = databag.address(data, "address")
            known = databag.strings(data, "peers")
            databag.boolean(data, "paused")
        except databag.DatabagError as error:
            said = f"{unit.name} sent {error}"
            problems.append(charmed_maas.peers.with_remedy(said, model.unit.name))
            continue
        if clash := _clash(address, vip, own):
            problems.append(f"{unit.name} sent address: {clash}")
        elif address:
            found.append(Peer(unit.name, address, known, stays))
    unlisted = charmed_maas.peers.unlisted(relation, goals) - {model.unit.name}
    staying = charmed_maas.peers.living(goals) or {
        unit.name for unit, stays in present.items() if stays
    }
    silent = (staying | unlisted) - {model.unit.name, *(peer.unit for peer in found if peer.stays)}
    return Others(
        peers=tuple(found),
        problems=tuple(problems),
        unlisted=frozenset(unlisted),
        listed=sum(present.values()),
        silent=tuple(addresses.by_unit_number(silent)),
    )


def to_advertise(found: Others, configured: Sequence[str], own: str) -> list[str]:
    """Return the addresses that keepalived is to advertise to; configured are those it has.

    While a unit cannot be read none of them is dropped, for any may be that unit's.
    """
    kept = configured if found.problems or found.unlisted else ()
    return [one for one in dict.fromkeys((*kept, *found.addresses)) if one != own]


def _clash(address: str, vip: str, own: str) -> str:
    """Return why no other unit of this VIP's group can have an address, and what mends that."""
    if address and address == own:
        return f"{address} is this unit's own: {charmed_maas.peers.OTHER_ADDRESS}"
    if address and vip and (":" in address) != (":" in vip):
        return f"{address} is not of the family of vip {vip}: set vip to one of that family"
    return ""


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


def publish_paused(model: ops.Model, *, on: bool) -> None:
    """Tell the others whether this unit can take the VIP, also when nothing else can be told."""
    if relation := model.get_relation(PEERS):
        databag.write(relation.data[model.unit], {"paused": "true" if on else ""})


def paused(model: ops.Model) -> set[str]:
    """Return the addresses of the other units that are paused, or of which nobody can tell."""
    if not (relation := model.get_relation(PEERS)):
        return set()
    told = [relation.data[unit] for unit in relation.units]
    return {_address(data) for data in told if data.get("paused", "false") != "false"} - {""}


def _address(data: Mapping[str, str]) -> str:
    """Return a unit's address, "" where it cannot be read: keepalived has it from before."""
    try:
        return databag.address(data, "address")
    except databag.DatabagError:
        return ""


def unaware(found: Sequence[Peer], own: str, is_alive: Callable[[str], bool]) -> list[str]:
    """Return the units that live but do not advertise to this one yet."""
    return [peer.unit for peer in found if own not in peer.known and is_alive(peer.address)]
