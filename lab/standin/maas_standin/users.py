# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Users and their API keys."""

import base64
import hashlib
import secrets
import string

from maas_standin import database

KEY_CHARACTERS = string.ascii_letters + string.digits
CONSUMER_NAME = "MAAS consumer"


def _random(length: int) -> str:
    return "".join(secrets.choice(KEY_CHARACTERS) for _ in range(length))


def hash_password(password: str, rounds: int = 600_000) -> str:
    """Return a password as the database keeps it."""
    salt = _random(22)
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), rounds)
    return f"pbkdf2_sha256${rounds}${salt}${base64.b64encode(digest).decode()}"


def exists(cursor: database.Cursor, username: str, email: str) -> bool:
    """Tell whether either name is taken."""
    cursor.execute("SELECT 1 FROM auth_user WHERE username = %s OR email = %s", (username, email))
    return cursor.fetchone() is not None


def create_admin(cursor: database.Cursor, username: str, email: str, password: str) -> None:
    """Make an administrator with a first API key."""
    cursor.execute(
        "INSERT INTO auth_user (username, email, password, is_superuser)"
        " VALUES (%s, %s, %s, true) RETURNING id",
        (username, email, hash_password(password)),
    )
    create_key(cursor, cursor.fetchone()["id"])


def find(cursor: database.Cursor, username: str) -> int | None:
    """Return the ID of a user."""
    cursor.execute("SELECT id FROM auth_user WHERE username = %s", (username,))
    row = cursor.fetchone()
    return row["id"] if row else None


def create_key(cursor: database.Cursor, user_id: int, name: str = CONSUMER_NAME) -> str:
    """Make an API key and return it as MAAS prints it."""
    consumer, token, secret = _random(18), _random(18), _random(32)
    cursor.execute(
        "INSERT INTO piston3_consumer (name, key, secret, user_id) VALUES (%s, %s, '', %s)"
        " RETURNING id",
        (name, consumer, user_id),
    )
    cursor.execute(
        "INSERT INTO piston3_token (key, secret, user_id, consumer_id) VALUES (%s, %s, %s, %s)",
        (token, secret, user_id, cursor.fetchone()["id"]),
    )
    return f"{consumer}:{token}:{secret}"


def keys(cursor: database.Cursor, user_id: int) -> list[tuple[str, str]]:
    """Return (key, name) of a user's API keys, oldest first."""
    cursor.execute(
        "SELECT c.name, c.key || ':' || t.key || ':' || t.secret AS key FROM piston3_token t"
        " JOIN piston3_consumer c ON c.id = t.consumer_id WHERE t.user_id = %s ORDER BY t.id",
        (user_id,),
    )
    return [(row["key"], row["name"]) for row in cursor.fetchall()]


def delete_key(cursor: database.Cursor, user_id: int, key: str) -> bool:
    """Delete an API key; tell whether there was one."""
    cursor.execute(
        "DELETE FROM piston3_consumer c USING piston3_token t WHERE t.consumer_id = c.id"
        " AND t.user_id = %s AND c.key || ':' || t.key || ':' || t.secret = %s",
        (user_id, key),
    )
    return cursor.rowcount > 0


def delete_token(cursor: database.Cursor, user_id: int, token: str) -> bool:
    """Delete an API key by its token alone; tell whether there was one."""
    cursor.execute(
        "DELETE FROM piston3_consumer c USING piston3_token t WHERE t.consumer_id = c.id"
        " AND t.user_id = %s AND t.key = %s",
        (user_id, token),
    )
    return cursor.rowcount > 0


def rename_key(cursor: database.Cursor, user_id: int, key: str, name: str) -> bool:
    """Rename an API key; tell whether there was one."""
    cursor.execute(
        "UPDATE piston3_consumer c SET name = %s FROM piston3_token t WHERE t.consumer_id = c.id"
        " AND t.user_id = %s AND c.key || ':' || t.key || ':' || t.secret = %s",
        (name, user_id, key),
    )
    return cursor.rowcount > 0
