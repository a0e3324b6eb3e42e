# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The secret by which racks enrol: MAAS makes it, a Juju secret takes it to them."""

from collections.abc import Iterable

import ops

import region
from charmed_maas import secrets
from charmed_maas.interfaces import maas_rpc

LABEL = "shared-secret"


def publish(charm: ops.CharmBase, relations: Iterable[ops.Relation]) -> str:
    """Grant the secret to each relation; returns its ID, "" until MAAS made it."""
    text = region.shared_secret()
    if not text:
        return ""
    content = {maas_rpc.SECRET_FIELD: text}
    secret = secrets.own(charm.model, LABEL)
    if secret is None:
        secret = charm.app.add_secret(content, label=LABEL)
    elif secret.peek_content() != content:
        secret.set_content(content)
    for relation in relations:
        secret.grant(relation)
    return secrets.short_id(secret)
