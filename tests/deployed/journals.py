# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What services told in their machines' journals, and when."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from maas import MAAS

# Two shells read it: no single quote may be in it, and what -g looks for has spaces.
READ = 'journalctl -q -o json --since=@{since} {services} -g "{words}" || true'
# What a charm's watchdog says of a daemon that it kills: lib/charmed_maas/watchdog.py.
KILLED = "it is killed and started again"
FAILED_S = re.compile(rf" for (\d+) s: {KILLED}$")


@dataclass(frozen=True, order=True)
class Line:
    """A line of a journal: when, in seconds since 1970, and what was said."""

    at: float
    words: str


@dataclass(frozen=True)
class Kill:
    """When a watchdog killed a daemon, and for how long it had had no sign of life from it."""

    at: float
    failed_s: int


def told(
    maas: MAAS, units: Iterable[str], services: Iterable[str], words: str, since: float
) -> list[Line]:
    """Return what these services said with these words on the units' machines, in order."""
    named = " ".join(f"-u {service}" for service in services)
    command = READ.format(since=int(since), services=named, words=words)
    lines = [line for unit in units for line in maas.on_machine(unit, command).splitlines()]
    found = map(json.loads, lines)
    all_ = (Line(int(one["__REALTIME_TIMESTAMP"]) / 1e6, one["MESSAGE"]) for one in found)
    return sorted(line for line in all_ if line.at >= since)


def kills(maas: MAAS, unit: str, service: str, since: float) -> list[Kill]:
    """Return how often the watchdog of a unit's charm has killed a daemon of it since then."""
    watchdog = f"{unit.partition('/')[0]}-watchdog.service"
    lines = told(maas, [unit], [watchdog], f"^{service} .*{KILLED}", since)
    return [
        Kill(line.at, int(found[1])) for line in lines if (found := FAILED_S.search(line.words))
    ]
