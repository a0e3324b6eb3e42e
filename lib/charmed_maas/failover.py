# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The states of ISC dhcpd's failover, in the words of dhcpd.leases(5), and what they mean."""

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
