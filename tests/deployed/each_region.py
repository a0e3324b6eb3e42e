# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Every region asked at its own address around a story: how many serve at a time."""

import threading
import time
from dataclasses import dataclass, field

import requests
from maas import MAAS

INTERVAL_S = 0.25
# As long as HAProxy waits for the same answer.
TIMEOUT_S = 5.0


@dataclass
class EachRegion:
    """Asks all regions four times a second while entered."""

    maas: MAAS
    _asked: dict[str, int] = field(default_factory=dict[str, int])
    _away: dict[str, list[tuple[float, float]]] = field(
        default_factory=dict[str, list[tuple[float, float]]]
    )
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "EachRegion":
        units = self.maas.units("maas-region")
        addresses = {name: unit.public_address for name, unit in units.items()}
        self._threads = [
            threading.Thread(target=self._ask, args=item, daemon=True)
            for item in addresses.items()
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self, unit: str, address: str) -> None:
        self._asked[unit], self._away[unit] = 0, []
        while not self._over.wait(INTERVAL_S):
            began = time.monotonic()
            try:
                url = f"http://{address}:5240/MAAS/api/2.0/version/"
                is_served = requests.get(url, timeout=TIMEOUT_S).status_code == requests.codes.ok
            except requests.RequestException:
                is_served = False
            self._asked[unit] += 1
            if not is_served:
                self._away[unit].append((began, time.monotonic()))

    def least(self) -> int:
        """The least number of regions that served at a time."""
        assert all(count > 20 for count in self._asked.values()), self._asked
        away_together = max(
            (
                sum(any(b < ended and began < e for b, e in ends) for ends in self._away.values())
                for one in self._away.values()
                for began, ended in one
            ),
            default=0,
        )
        return len(self._asked) - away_together

    def __str__(self) -> str:
        return f"{self.least()} of {len(self._asked)} regions served at any time"
