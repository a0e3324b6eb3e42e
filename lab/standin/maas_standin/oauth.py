# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""OAuth 1.0 with PLAINTEXT signatures, as MAAS's API keys are used."""

import re
import time
import typing
import urllib.parse

from maas_standin import database

THRESHOLD_S = 300


class RefusedError(Exception):
    """A signature that is not accepted; the text is MAAS's."""


def _parse(header: str) -> dict[str, str]:
    """Return the fields of an Authorization header, quoted or not."""
    fields = {}
    for part in re.split(r",\s*", header.removeprefix("OAuth").strip()):
        name, _, value = part.partition("=")
        fields[name] = urllib.parse.unquote(value.strip('"'))
    return fields


def authenticate(cursor: database.Cursor, header: str) -> dict[str, typing.Any] | None:
    """Return the user that a request is signed by, or None if it is not signed."""
    fields = _parse(header) if header.startswith("OAuth") else {}
    needed = ("consumer_key", "token", "signature", "nonce", "timestamp")
    if not all(f"oauth_{name}" in fields for name in needed):
        return None
    cursor.execute(
        "SELECT id FROM piston3_consumer WHERE key = %s", (fields["oauth_consumer_key"],)
    )
    consumer = cursor.fetchone()
    if consumer is None:
        raise RefusedError("Invalid API key.")
    cursor.execute(
        "SELECT t.secret, u.* FROM piston3_token t JOIN auth_user u ON u.id = t.user_id"
        " WHERE t.key = %s AND t.consumer_id = %s",
        (fields["oauth_token"], consumer["id"]),
    )
    user = cursor.fetchone()
    if user is None:
        raise RefusedError(f"'Invalid access token: {fields['oauth_token']}'")
    _check_timestamp(fields["oauth_timestamp"])
    _use_nonce(cursor, fields)
    if fields["oauth_signature"] != f"&{user['secret']}":
        raise RefusedError(
            f"'Invalid signature. Expected signature base string: &{user['secret']}'"
        )
    return user


def _check_timestamp(text: str) -> None:
    now = int(time.time())
    given = int(text) if text.isdecimal() else 0
    if abs(now - given) > THRESHOLD_S:
        raise RefusedError(
            f"'Expired timestamp: given {given} and now {now} has a greater difference"
            f" than threshold {THRESHOLD_S}'"
        )


def _use_nonce(cursor: database.Cursor, fields: dict[str, str]) -> None:
    cursor.execute(
        "INSERT INTO piston3_nonce (token_key, consumer_key, key) VALUES (%s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        (fields["oauth_token"], fields["oauth_consumer_key"], fields["oauth_nonce"]),
    )
    if cursor.rowcount == 0:
        raise RefusedError(f"'Nonce already used: {fields['oauth_nonce']}'")
