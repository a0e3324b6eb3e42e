# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The application's secret: what every member needs to know, and nobody else."""

import dataclasses
from collections.abc import Mapping

import ops

import cluster
import tls
from charmed_maas import secrets

LABEL = "members"


def ensure(model: ops.Model) -> str:
    """Have the secret; returns its ID. Only the leader may."""
    if secret := secrets.own(model, LABEL):
        return secrets.short_id(secret)
    cert, key = tls.new_ca(model.app.name)
    passwords = ("superuser", "replication", "rewind", "rest")
    content = {"ca-cert": cert, "ca-key": key}
    content |= {name: secrets.new_password() for name in passwords}
    return model.app.add_secret(content, label=LABEL).id or ""


def parse(content: Mapping[str, str]) -> cluster.Keys | None:
    """Return the keys that the secret holds, None when one lacks."""
    fields = [field.name for field in dataclasses.fields(cluster.Keys)]
    values = {name: content.get(name.replace("_", "-"), "") for name in fields}
    return cluster.Keys(**values) if all(values.values()) else None
