# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Asking a rack what its dhcpd knows of its failover peers, with no Juju around.

The regions' timer asks by TCP, one line of JSON each way. Both sides prove by an HMAC that they
know MAAS's shared secret, which regions and racks have anyway; the asker's nonce makes an old
answer worthless. Nothing that is said is secret.
"""

import hashlib
import hmac
import json
import secrets
import socket
from collections.abc import Callable
from typing import BinaryIO, cast

# Beside dhcpd's OMAPI (7911, 7912), outside of what MAAS keeps for itself.
PORT = 7913
CONNECT_S, TIMEOUT_S = 3.0, 20.0
MAX_LINE = 65536

Body = dict[str, object]


class WitnessError(Exception):
    """The other side does not answer, or does not know the secret; fit for a status message."""


def ask(address: str, secret: str, question: Body) -> Body:
    """Return a rack's answer to a question; raises WitnessError."""
    nonce = secrets.token_hex(16)
    try:
        with socket.create_connection((address, PORT), timeout=CONNECT_S) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.sendall(_seal(secret, "question", nonce, question))
            with connection.makefile("rb") as stream:
                line = stream.readline(MAX_LINE)
    except OSError as error:
        raise WitnessError(f"does not answer at {address}:{PORT}") from error
    return _open(secret, "answer", line, nonce)[1]


def answer(asked: BinaryIO, told: BinaryIO, secret: str, respond: Callable[[Body], Body]) -> None:
    """Answer the one question that a stream has; raises WitnessError and says nothing."""
    nonce, question = _open(secret, "question", asked.readline(MAX_LINE))
    told.write(_seal(secret, "answer", nonce, respond(question)))
    told.flush()


def _seal(secret: str, kind: str, nonce: str, body: Body) -> bytes:
    text = json.dumps(body, sort_keys=True)
    mac = _mac(secret, kind, nonce, text)
    return json.dumps({"nonce": nonce, "body": text, "mac": mac}).encode() + b"\n"


def _open(secret: str, kind: str, line: bytes, nonce: str = "") -> tuple[str, Body]:
    """Return nonce and body of a sealed line; the nonce must be this one, if one is given."""
    try:
        sealed = json.loads(line)
        told, text, mac = (str(sealed[key]) for key in ("nonce", "body", "mac"))
        body: object = json.loads(text)
    except (ValueError, KeyError, TypeError) as error:
        raise WitnessError(f"sends no sealed {kind}") from error
    is_fresh = not nonce or hmac.compare_digest(told.encode(), nonce.encode())
    known = _mac(secret, kind, told, text)
    if not (is_fresh and hmac.compare_digest(known.encode(), mac.encode())):
        raise WitnessError("does not know MAAS's shared secret")
    if not isinstance(body, dict):
        raise WitnessError(f"sends no sealed {kind}")
    return told, cast("Body", body)


def _mac(secret: str, kind: str, nonce: str, text: str) -> str:
    message = f"charmed-maas {kind}\n{nonce}\n{text}".encode()
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
