# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""ISC dhcpd's failover: its states in the words of dhcpd.leases(5), what they mean, and times."""

NORMAL = "normal"
RECOVER_WAIT = "recover-wait"
# In these states dhcpd answers no client: dhcpd.conf(5), "STARTING UP".
SILENT = (
    *("startup", "recover", RECOVER_WAIT, "recover-done"),
    *("potential-conflict", "paused", "shutdown"),
)
# In these states its partner is away (draft-ietf-dhc-failover-12).
PARTNER_AWAY = ("communications-interrupted", "partner-down")
# In these states dhcpd does not hear its partner; in every other one it does, or just did.
UNHEARD = ("", "unknown-state", "startup", *PARTNER_AWAY)
# What MAAS writes as mclt into dhcpd.conf: as long, in seconds, recover-wait lasts.
MCLT_S = 3600
# After how many seconds the regions replace a dead rack as DHCP server. dhcpd notices a cut link
# after 60 s (max-response-delay), and a rack that is alone stops its own a quarter of the grace
# and up to 20 s later (maas-rack's isolation.py): before any promotion.
MIN_GRACE_S, MAX_GRACE_S = 120, 3600
