# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The shared secret as an operator hands it to a rack."""

import binascii
import getpass
import sys

from maas_standin import host


class SecretError(Exception):
    """The text is no secret; the message is MAAS's."""


def read_input() -> str:
    """Return the first line of standard input, or what is typed at a terminal."""
    if sys.stdin.isatty():
        return getpass.getpass("Secret (hex/base16 encoded): ")
    return sys.stdin.readline()


def install(text: str) -> None:
    """Write the secret; an empty one changes nothing, as in MAAS."""
    secret = text.strip()
    try:
        binascii.unhexlify(secret)
    except (binascii.Error, ValueError) as error:
        raise SecretError(f"Secret could not be decoded: {error}") from error
    if secret:
        host.write(host.SECRET, secret)
