# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""For how long a departed rack stays in MAAS as a VLAN's, for its DHCP to move first.

MAAS gives the place of one that is deleted to another, and asks nobody: the timer of dhcp_ha does
so by its usual rules. How long it had for that is kept in MAAS's database, for any region deletes.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

import api
import dhcp_grace

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's own name

# Beyond the grace: that timer comes every 30 s, may have to ask twice, and counts the grace anew
# after a failover of the database. And as long as MAAS's leases last, for those that the rack gave
# unknown to the other hold a promotion. No longer: who removed the unit says that the rack is gone
# for good, and it may have been the only witness. At least 15 min in all (failover.MIN_GRACE_S).
LEASE_S = 600
BEYOND_S = 180 + LEASE_S
# One that was not found for this long has returned meanwhile, or nobody looked.
GAP_S = 300

CREATE = """
CREATE TABLE IF NOT EXISTS charmed_maas.dhcp_hold (system_id text PRIMARY KEY,
  since timestamptz NOT NULL DEFAULT now(), seen timestamptz NOT NULL DEFAULT now())
"""
FORGET = """
DELETE FROM charmed_maas.dhcp_hold
  WHERE NOT system_id = ANY(%s) OR seen < now() - %s * interval '1 s'
"""
# A clock that was ahead then holds it no longer than the time from now on.
SEE = """
INSERT INTO charmed_maas.dhcp_hold AS old (system_id) SELECT unnest(%s::text[])
  ON CONFLICT (system_id) DO UPDATE SET seen = now(), since = least(old.since, now())
"""
READ = "SELECT system_id FROM charmed_maas.dhcp_hold WHERE since > now() - %s * interval '1 s'"


def held(connection: "Connection", client: api.Client, gone: Collection[str]) -> set[str]:
    """Return which racks stay of those that have departed and are dead; raises api.APIError.

    None where dhcp_ha replaces no racks, and none that serves alone: nobody bears witness to it.
    """
    graces = dhcp_grace.read(connection)
    if not graces or not gone:
        return set()
    pairs = [one.racks for one in client.vlans_with_dhcp() if one.secondary]
    racks = sorted({one for pair in pairs for one in pair}.intersection(gone))
    hold_s = max(one.present_s for one in graces.values()) + BEYOND_S
    with connection.cursor() as cursor:
        cursor.execute(CREATE)
        cursor.execute(FORGET, (racks, GAP_S))
        cursor.execute(SEE, (racks,))
        cursor.execute(READ, (hold_s,))
        return {str(row[0]) for row in cursor.fetchall()}
