# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""LXD without containers."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from charmed_lab import init, lxd


class FakeLXD:
    """LXD's answers, kept in dictionaries; commands answer as the test says."""

    answer: Callable[[], tuple[int, bytes]]

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.instances: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.inits: dict[str, subprocess.Popen[bytes]] = {}
        self.answer = lambda: (0, b"running\n1\n")
        for name in ("get", "request", "push", "set_state", "delete_instance", "run"):
            monkeypatch.setattr(lxd, name, getattr(self, name))
        monkeypatch.setattr(init, "is_frozen", self.is_frozen)

    def get(self, path: str) -> Any:
        name = path.split("/")[2]
        found = self.instances.get(name)
        if found and path.endswith("/state"):
            return {"pid": self.inits[name].pid if name in self.inits else 0}
        return found

    def request(self, method: str, path: str, data: Any = None) -> Any:
        self.calls.append(method)
        if path.startswith("/images/"):
            return {"target": "fingerprint"}
        if method == "POST":
            made = json.loads(json.dumps({"status": "Stopped", **data}))
            source = self.instances.get(data["source"].get("source"), {"config": {}})
            made["config"] = source["config"] | made["config"]
            self.instances[data["name"]] = made
        if method == "GET" and path != "/instances":
            return self.instances[path.split("/")[2]]
        if method == "PATCH":
            self.instances[path.split("/")[2]]["config"] |= data["config"]
        return [f"/1.0/instances/{name}" for name in self.instances]

    def push(self, instance: str, remote: str, content: bytes) -> None:
        self.instances[instance][remote] = content

    def set_state(self, instance: str, action: str, *, force: bool = False) -> None:
        self.calls.append(action)
        states = {"start": "Running", "stop": "Stopped", "freeze": "Frozen", "unfreeze": "Running"}
        self.instances[instance]["status"] = states[action]
        if action == "start":
            self.inits[instance] = subprocess.Popen(["sleep", "60"])
        if action == "stop":
            self.power_off(instance)

    def power_off(self, instance: str) -> None:
        init = self.inits.pop(instance)
        init.kill()
        init.wait()

    def is_frozen(self, pid: int) -> bool:
        frozen = {n for n, found in self.instances.items() if found["status"] == "Frozen"}
        return pid in {self.inits[name].pid for name in frozen}

    def delete_instance(self, instance: str) -> None:
        if self.instances.pop(instance, None):
            self.calls.append("delete")
        if instance in self.inits:
            self.power_off(instance)

    def run(self, instance: str, argv: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        self.argv = argv
        code, output = self.answer()
        return subprocess.CompletedProcess(argv, code, output, b"")
