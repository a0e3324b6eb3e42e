# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The gate before this unit's PostgreSQL: shut while it stops, and while its place is given away.

A PostgreSQL that shuts down answers each new connection with an error, which goes on to whoever
asked the client. A connection that is refused is tried again by the client's proxy and meets the
new primary. Patroni's unit shuts it for each stop, a reboot's too, and opens it once PostgreSQL
has ended: then the kernel refuses by itself.
"""

import logging

import paths
from charmed_maas import commands, files

logger = logging.getLogger(__name__)

NFT = "/usr/sbin/nft"
TABLE = "inet postgresql_ha"
FILE = paths.CONFIGURATION / "gate.nft"
# By the first packet alone, so that no connection has to be tracked.
RULES = f"""
table {TABLE} {{
  chain clients {{
    type filter hook input priority filter; policy accept;
    tcp dport %d tcp flags & (syn|ack) == syn reject with tcp reset
  }}
}}
"""


def ensure_file(port: int) -> bool:
    """Have the rules where Patroni's unit finds them."""
    return files.ensure_file(FILE, RULES.lstrip() % port)


def shut(port: int) -> None:
    """Refuse new connections; those that are open stay."""
    try:
        commands.run([NFT, "-f", "-"], stdin=RULES % port)
    except commands.CommandError as error:
        # Without it a few requests fail that else would wait.
        logger.warning("the gate stays open: %s", error)


def open_again() -> None:
    """Let everybody in whom PostgreSQL admits; nothing to do where it is not shut."""
    commands.run([NFT, "delete", "table", *TABLE.split()], check=False)
