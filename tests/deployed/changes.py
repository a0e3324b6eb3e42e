# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Changes through MAAS's API around a story: none of them is sent a second time by anybody.

They go over one connection for as long as HAProxy keeps it, as many clients of MAAS's do.
"""

import threading
from dataclasses import dataclass, field

import requests
from maas import MAAS

SETTING = "http_proxy"
INTERVAL_S = 0.1


@dataclass
class Changes:
    """Sets one of MAAS's settings ten times a second while entered; what failed, and how many."""

    maas: MAAS
    made: int = 0
    failures: list[str] = field(default_factory=list[str])
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Changes":
        self._url = f"{self.maas.url}/api/2.0/maas/?op=set_config"
        self._before = str(self.maas.setting(SETTING) or "")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._is_over = not self._thread.is_alive()
        self._over.set()
        self._thread.join(60)
        if kind is None:
            self.maas.set_setting(SETTING, self._before)

    def _run(self) -> None:
        while not self._over.wait(INTERVAL_S):
            value = f"http://192.0.2.80:{8000 + self.made % 1000}"
            try:
                answer = self.maas.session.post(
                    self._url,
                    data={"name": SETTING, "value": value},
                    headers={"Connection": "keep-alive"},
                    timeout=30,
                )
                answer.raise_for_status()
                self.made += 1
            except requests.RequestException as error:
                self.failures.append(f"{type(error).__name__}: {error}")

    def assert_none_failed(self) -> None:
        """Every change was taken; and there were some."""
        assert self.made > 20, f"only {self.made} changes"
        assert not self._is_over, "they ended before the story did"
        assert not self.failures, f"{len(self.failures)} changes failed: {self.failures[:3]}"

    def __str__(self) -> str:
        return f"{self.made} changes by the API, {len(self.failures)} failed"
