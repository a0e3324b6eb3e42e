# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Whose a VIP is already: a region's, a unit's, or, as ARP tells, some other machine's."""

import logging
import re
from collections.abc import Collection, Mapping

import keepalived
import network
from charmed_maas import apt_source, arping, commands

logger = logging.getLogger(__name__)

# Two answers, for a machine with two interfaces on a network may give one from each.
ANSWERS, ARP_S = 2, 2
ANSWER = re.compile(
    r"^(?:Unicast|Broadcast) (?:reply|request) from (\S+) \[((?:[0-9A-F]{2}:){5}[0-9A-F]{2})\]",
    re.MULTILINE,
)


def install() -> None:
    """Install what the network is asked with; without it the charm does not ask, and goes on."""
    try:
        arping.install()
    except apt_source.SourceError as error:
        logger.warning("nobody is asked whether a VIP is free: %s", error)


def refuse_own(
    vip: str, owners: Mapping[str, str], unit: str, here: Collection[network.Interface]
) -> None:
    """Raise NetworkError when the VIP is a machine's own address; owners by address."""
    own = network.own_addresses(here) if keepalived.configured_vip() != vip else ()
    network.refuse_own(vip, {**owners, **dict.fromkeys(own, unit)})


def may_take(
    vip: str,
    place: network.Place,
    here: Collection[network.Interface],
    units: Collection[str],
    *,
    are_all: bool,
) -> bool:
    """Tell whether no other machine has a VIP that is new here; raises NetworkError when one has.

    units are the other units' addresses: they take the VIP one after the other. Until they are
    all, whoever answers may be a unit, too: False.
    """
    if keepalived.configured_vip() == vip or not (mac := _foreign(vip, place, here, units)):
        return True
    if are_all:
        words = f"{mac} answers for it on {place.interface}"
        raise network.NetworkError(f"vip {vip} is in use: {words}: set a free one")
    return False


def _foreign(
    vip: str, place: network.Place, here: Collection[network.Interface], units: Collection[str]
) -> str:
    """Return the MAC of a machine that has the VIP and is none of ours, "" where nobody tells."""
    if ":" in vip:
        return ""
    if not arping.is_installed():
        logger.warning("nobody is asked whether vip %s is free: %s is missing", vip, arping.ARPING)
        return ""
    own = {interface.mac for interface in here}
    try:
        found = _macs(vip, place) - own
        if any(found & _macs(unit, place) for unit in (units if found else ())):
            logger.info("vip %s is a unit's already: %s answer for it", vip, sorted(found))
            return ""
    except commands.CommandError as error:
        logger.warning("nobody can tell whether vip %s is free: %s", vip, error)
        return ""
    return min(found, default="")


def _macs(address: str, place: network.Place) -> set[str]:
    """Return the MACs that answer for an address; raises CommandError.

    The own address is named, for a unit may have told one of another subnet.
    """
    argv = [arping.ARPING, "-c", str(ANSWERS), "-w", str(ARP_S)]
    argv += ["-I", place.interface, "-s", place.own]
    done = commands.run([*argv, address], env={"LC_ALL": "C.UTF-8"}, check=False)
    found = {mac.lower() for who, mac in ANSWER.findall(done.stdout) if who == address}
    # It exits with 1 also where fewer answer than are waited for.
    if done.returncode not in (0, 1) or (done.returncode == 0 and not found):
        words = (done.stderr or done.stdout).strip()[-200:]
        raise commands.CommandError(f"arping exited with {done.returncode}: {words}")
    return found
