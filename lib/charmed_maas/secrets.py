# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Juju secrets and the random values in them."""

import hashlib
import secrets

import ops


def new_password() -> str:
    """Return a random password of 43 URL-safe characters (256 bits).

    URL-safe because MAAS puts its database password unescaped into a URL.
    """
    return secrets.token_urlsafe(32)


def new_hexadecimal() -> str:
    """Return 16 random bytes in hexadecimal, as MAAS makes the secret that racks enrol with."""
    return secrets.token_hex(16)


def mark(secret: str) -> str:
    """Return by what two secrets are told apart, "" for none: 32 bits, which lead to neither."""
    return hashlib.sha256(secret.encode()).hexdigest()[:8] if secret else ""


def read(model: ops.Model, secret_id: str) -> dict[str, str] | None:
    """Return the newest content of a secret, None while it is not there or not granted."""
    try:
        return model.get_secret(id=secret_id).get_content(refresh=True)
    except (ops.SecretNotFoundError, ops.ModelError):
        return None


def own(model: ops.Model, label: str) -> ops.Secret | None:
    """Return this application's secret with the label, None before it was made."""
    try:
        return model.get_secret(label=label)
    except ops.SecretNotFoundError:
        return None


def short_id(secret: ops.Secret) -> str:
    """Return a secret's ID in the one form that does not depend on how it was found."""
    found = secret.id or secret.get_info().id
    return f"secret:{found.rpartition('/')[2].rpartition(':')[2]}"
