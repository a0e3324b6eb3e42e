# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Reading and writing databags: what the other side wrote is checked here, once.

A reader raises DatabagError for a value of the wrong kind, and returns the empty value for a
field that is absent. Writers leave a value that does not change untouched.
"""

import json
import re
import ssl
from collections.abc import Mapping, MutableMapping
from typing import cast
from urllib.parse import urlsplit

from charmed_maas import addresses

MAX_LENGTH = 64 * 1024
MAX_URL = 1024
# IDs, host names, versions: a longer one would only grow what it is written on into.
WORD = re.compile(r"[A-Za-z0-9][\w.:+~-]{0,127}", re.ASCII)
UNIT = re.compile(r"[a-z0-9-]{1,100}/[0-9]{1,9}")
# It stands in the paths of MAAS's API.
SYSTEM_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,127}", re.ASCII)
SECRET_ID = re.compile(r"(secret:)?[\w/-]{1,100}", re.ASCII)


class DatabagError(ValueError):
    """A field of a databag has a value that cannot be used; the message names the field."""


def text(data: Mapping[str, str], key: str) -> str:
    """Return a field as printable text, "" when absent."""
    value = data.get(key, "")
    if len(value) > MAX_LENGTH:
        raise DatabagError(f"{key}: {len(value)} characters are too many")
    if not value.isprintable():
        raise DatabagError(f"{key}: has control characters")
    return value


def word(data: Mapping[str, str], key: str) -> str:
    """Return a field that holds an ID, a host name or a version, "" when absent."""
    return matching(data, key, WORD, "word")


def system_id(data: Mapping[str, str], key: str) -> str:
    """Return a field that holds MAAS's ID of a controller, "" when absent."""
    return matching(data, key, SYSTEM_ID, "system ID")


def secret_id(data: Mapping[str, str], key: str) -> str:
    """Return a field that holds the ID of a Juju secret, "" when absent."""
    return matching(data, key, SECRET_ID, "secret's ID")


def matching(data: Mapping[str, str], key: str, pattern: re.Pattern[str], what: str) -> str:
    """Return a field that a pattern describes, "" when absent."""
    value = data.get(key, "")
    if value and not pattern.fullmatch(value):
        raise DatabagError(f"{key}: {value[:60]!r} is not a {what}")
    return value


def pem(data: Mapping[str, str], key: str) -> str:
    """Return a field that holds PEM certificates as OpenSSL takes them, "" when absent."""
    value = data.get(key, "")
    is_text = len(value) <= MAX_LENGTH and value.isascii()
    if value and not (
        is_text and value.replace("\n", "").isprintable() and _has_certificate(value)
    ):
        raise DatabagError(f"{key}: is not a PEM certificate")
    return value


def boolean(data: Mapping[str, str], key: str) -> bool:
    """Return a field that says true or false, False when absent."""
    value = data.get(key, "false")
    if value not in ("true", "false"):
        raise DatabagError(f"{key}: {value[:60]!r} is neither true nor false")
    return value == "true"


def address(data: Mapping[str, str], key: str) -> str:
    """Return a field that holds one IP address, "" when absent."""
    value = text(data, key)
    try:
        return addresses.parse_address(value) if value else ""
    except ValueError as error:
        raise DatabagError(f"{key}: {error}") from error


def port(data: Mapping[str, str], key: str) -> int:
    """Return a field that holds a TCP port, 0 when absent."""
    value = text(data, key)
    if not value:
        return 0
    try:
        return addresses.parse_port(value)
    except ValueError as error:
        raise DatabagError(f"{key}: {value[:60]!r} is not a port") from error


def whole_number(data: Mapping[str, str], key: str) -> int:
    """Return a field that holds a number from 0 on, of at most six digits; 0 when absent."""
    value = text(data, key)
    if value and not re.fullmatch(r"[0-9]{1,6}", value):
        raise DatabagError(f"{key}: {value[:60]!r} is not a whole number")
    return int(value or 0)


def url(data: Mapping[str, str], key: str) -> str:
    """Return a field that holds an http(s) URL, "" when absent."""
    value = text(data, key)
    return check_url(key, value) if value else ""


def check_url(key: str, value: str) -> str:
    """Return the URL; raises DatabagError that names the field."""
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    # A scope's % leads elsewhere on each machine.
    if not valid or len(value) > MAX_URL or set(value) & set(' "%'):
        raise DatabagError(f"{key}: {value[:60]!r} is not a URL")
    return value


def _has_certificate(text: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except ssl.SSLError:
        return False
    return text.startswith("-----BEGIN CERTIFICATE-----\n")


def strings(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    """Return a field that holds a JSON list of printable strings, () when absent."""
    found = objects(data, key)
    if not all(isinstance(item, str) and item.isprintable() for item in found):
        raise DatabagError(f"{key}: is not a list of strings")
    return tuple(cast("list[str]", found))


def addresses_of(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    """Return a field that holds a JSON list of IP addresses, () when absent."""
    try:
        return tuple(addresses.parse_address(one) for one in strings(data, key))
    except ValueError as error:
        words = str(error).removeprefix(f"{key}: ")
        raise DatabagError(f"{key}: {words}") from error


def objects(data: Mapping[str, str], key: str, *, max_length: int = MAX_LENGTH) -> list[object]:
    """Return a field that holds a JSON list, [] when absent."""
    value = data.get(key, "")
    if not value:
        return []
    if len(value) > max_length:
        raise DatabagError(f"{key}: {len(value)} characters are too many")
    try:
        found: object = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise DatabagError(f"{key}: is not JSON") from error
    if not isinstance(found, list):
        raise DatabagError(f"{key}: is not a JSON list")
    return cast("list[object]", found)


def dump(value: object) -> str:
    """Return JSON that is the same for the same value, whatever the order it was made in."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def write(databag: MutableMapping[str, str], values: Mapping[str, str]) -> bool:
    """Write the fields that differ, delete those that became empty; returns whether any did."""
    changed = False
    for key, value in values.items():
        if databag.get(key, "") == value:
            continue
        changed = True
        if value:
            databag[key] = value
        else:
            del databag[key]
    return changed
