# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Where this unit's files are that more than one module names; imports next to nothing."""

import ssl
from pathlib import Path

CONFIGURATION = Path("/etc/postgresql-ha")
STATE = Path("/var/lib/postgresql-ha")
# What the timer needs to know of the model.
MEMBER = STATE / "member.json"
ETCD = STATE / "etcd"
LOCK = Path("/run/lock/postgresql-ha.lock")

TLS = CONFIGURATION / "tls"
CA = TLS / "ca.crt"
CERTIFICATE = TLS / "unit.crt"
KEY = TLS / "unit.key"
ETCD_KEY = TLS / "etcd.key"
POSTGRES_KEY = TLS / "postgres.key"


def tls_context() -> ssl.SSLContext:
    """Return what a client needs to trust the members and to be trusted by them."""
    context = ssl.create_default_context(cafile=str(CA))
    context.load_cert_chain(CERTIFICATE, KEY)
    return context
