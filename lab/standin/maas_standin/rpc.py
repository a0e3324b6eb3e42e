# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The wire between racks and regions: JSON lines over TCP, both sides proving the secret.

MAAS speaks AMP here; nobody but its own two daemons listens in, so ours need not.
"""

import contextlib
import hashlib
import hmac
import json
import secrets
import socket
import threading
import typing

TIMEOUT_S = 20
MAX_LINE = 1 << 20

Message = dict[str, typing.Any]


class ChannelError(Exception):
    """The other side is gone, or talks nonsense."""


class AuthenticationError(ChannelError):
    """The other side does not know the secret."""


class Channel:
    """One connection; several threads may send, one receives."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(TIMEOUT_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connection = connection
        self._stream = connection.makefile("rb")
        self._lock = threading.Lock()
        self._last: Message = {}

    def send(self, message: Message) -> None:
        """Send one message."""
        try:
            with self._lock:
                self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise ChannelError(str(error)) from error

    def send_changed(self, message: Message) -> bool:
        """Send a message if it is not the one sent in this way last; tell whether it was."""
        if message == self._last:
            return False
        self.send(message)
        self._last = message
        return True

    def receive(self) -> Message:
        """Return the next message."""
        try:
            line = self._stream.readline(MAX_LINE)
            message = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError) as error:
            raise ChannelError(str(error)) from error
        if not isinstance(message, dict):
            raise ChannelError("Connection was closed.")
        return message

    def close(self) -> None:
        """Drop the connection; whoever receives from it wakes up."""
        with contextlib.suppress(OSError):  # The other side may have closed it already.
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def _digest(secret: str, challenge: str, salt: str) -> str:
    key = bytes.fromhex(secret)
    return hmac.new(key, (challenge + salt).encode(), hashlib.sha256).hexdigest()


def _answer(channel: Channel, secret: str) -> None:
    """Prove that we know the secret."""
    challenge = str(channel.receive().get("challenge", ""))
    salt = secrets.token_hex(16)
    channel.send({"digest": _digest(secret, challenge, salt), "salt": salt})


def _demand(channel: Channel, secret: str) -> None:
    """Let the other side prove that it knows the secret."""
    challenge = secrets.token_hex(16)
    channel.send({"challenge": challenge})
    answer = channel.receive()
    expected = _digest(secret, challenge, str(answer.get("salt", "")))
    if not hmac.compare_digest(expected, str(answer.get("digest", ""))):
        raise AuthenticationError("The other side does not know the secret.")


def authenticate_rack(channel: Channel, secret: str) -> None:
    """Run a region's side of the mutual check."""
    _answer(channel, secret)
    _demand(channel, secret)


def authenticate_region(channel: Channel, secret: str) -> None:
    """Run a rack's side of the mutual check."""
    _demand(channel, secret)
    _answer(channel, secret)
