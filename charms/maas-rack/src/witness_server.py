# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Answering the regions what this rack's dhcpd knows of its failover peers.

systemd listens and starts this for each question: charmed_maas.witness has who may ask.
"""

import logging
import sys
import time
from pathlib import Path

import dhcpd
import peer_leases
import rack
from charmed_maas import addresses, commands, python_unit, systemd, witness

NAME = "maas-rack-witness"
TEMPLATE = Path(__file__).parent / "templates" / NAME

logger = logging.getLogger(__name__)


def ensure() -> bool:
    """Have systemd listen for questions; returns whether anything changed."""
    return python_unit.ensure(NAME, TEMPLATE, __file__, by="socket", port=witness.PORT)


def remove() -> bool:
    """Listen no more; returns whether there was anything."""
    return python_unit.remove(NAME, by="socket")


def respond(question: witness.Body) -> witness.Body:
    """Return whether dhcpd runs, and its failover states by VLAN, each with its age in seconds.

    With `peer`, whose address is asked for, also whether anybody has it on the link of this
    rack's address `own`, or has the address that dhcpd knows its peer by on the VLAN `vlan`; and
    for how many seconds more leases last that the peer gave there unknown to dhcpd.
    With `forget`, a VLAN's ID, nothing but that its failover of before is forgotten.
    """
    if "forget" in question:
        return _forget(question["forget"])
    text = dhcpd.config()
    peers = dhcpd.parse_peers(text)
    told: witness.Body = {"dhcpd": dhcpd.is_running(), "vlans": {}}
    try:
        failovers = dhcpd.failovers(text, peers)
        told["vlans"] = {
            str(vlan): {"state": one.state, "for": max(0, int(time.time()) - one.since)}
            for vlan, one in failovers.items()
        }
        if "peer" in question:
            there = [one for one in peers if one.vlan == question.get("vlan")]
            pairs = {(one.own, one.address) for one in there}
            pairs.add((str(question["own"]), str(question["peer"])))
            told["peer-answers"] = any(_answers(own, peer) for own, peer in sorted(pairs))
            asked = str(question["peer"])
            lasts = [
                peer_leases.last_s({one.address, asked}, failovers[one.vlan]) for one in there
            ]
            told["unknown-leases-for"] = max(lasts, default=0)
    except (dhcpd.DHCPError, commands.CommandError, KeyError, ValueError, OSError) as error:
        told["problem"] = str(error)
    return told


def _forget(vlan: object) -> witness.Body:
    try:
        dhcpd.forget(int(str(vlan)))
    except (dhcpd.DHCPError, systemd.SystemdError, OSError, ValueError) as error:
        return {"problem": str(error)}
    return {"forgotten": True}


def _answers(own: str, peer: str) -> bool:
    return dhcpd.answers(addresses.parse_address(own), addresses.parse_address(peer))


def main() -> int:
    """Answer the one question on standard input, which is the connection."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        secret = rack.SECRET.read_text().strip()
        witness.answer(sys.stdin.buffer, sys.stdout.buffer, secret, respond)
    except (FileNotFoundError, witness.WitnessError) as error:
        logger.info("the other side %s", error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
