# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The other regions, asked at their own addresses: who serves while this one does not."""

import enum
import urllib.error
from collections.abc import Iterable

import local_http
import region

TIMEOUT_S = 5.0


class Found(enum.Enum):
    """What is at a region's address."""

    SERVES = "MAAS answers"
    BEHIND = "the machine is there, MAAS does not answer"
    ABSENT = "nobody is there"


def ask(addresses: Iterable[str]) -> dict[str, Found]:
    """Return what is at each address."""
    return {one: _ask(one) for one in addresses}


def any_serves(addresses: Iterable[str]) -> bool:
    """Tell whether MAAS answers at one of these addresses."""
    return any(_ask(one) is Found.SERVES for one in addresses)


def _ask(address: str) -> Found:
    try:
        local_http.fetch(f"{region.url(address)}/api/2.0/version/", timeout_s=TIMEOUT_S)
    except urllib.error.HTTPError:
        return Found.BEHIND
    except urllib.error.URLError as error:
        is_there = isinstance(error.reason, ConnectionRefusedError)
        return Found.BEHIND if is_there else Found.ABSENT
    except OSError:
        # It has taken the connection.
        return Found.BEHIND
    return Found.SERVES
