# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import subprocess
from pathlib import Path

import pytest

import haproxy
import keepalived
from charmed_maas import commands


class Systemd:
    """The lib's systemd module, with services that do what they are told."""

    SystemdError = haproxy.systemd.SystemdError
    ensure_files = staticmethod(haproxy.systemd.ensure_files)
    remove_files = staticmethod(haproxy.systemd.remove_files)

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.enabled: set[str] = set()
        self.did: list[str] = []
        self.on_load = lambda: None

    def is_running(self, name: str) -> bool:
        return name in self.running

    def enable(self, name: str) -> None:
        self.enabled.add(name)

    def disable(self, name: str) -> None:
        self.enabled.discard(name)

    def start(self, name: str) -> None:
        self._load("start", name)

    def ensure_running(self, name: str) -> bool:
        self.enable(name)
        if started := not self.is_running(name):
            self.start(name)
        return started

    def restart(self, name: str) -> None:
        self._load("restart", name)

    def reload(self, name: str) -> None:
        self._load("reload", name)

    def stop(self, name: str) -> bool:
        if name not in self.running:
            return False
        self.did.append("stop")
        self.running.discard(name)
        return True

    def do(self, verb: str) -> None:
        """Take what ensure_files and remove_files have to say."""
        self.did.append(verb)

    def _load(self, verb: str, name: str) -> None:
        self.did.append(verb)
        self.running.add(name)
        self.on_load()


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> Systemd:
    fake = Systemd()
    monkeypatch.setattr(haproxy.systemd, "_do", fake.do)
    monkeypatch.setattr(haproxy, "systemd", fake)
    monkeypatch.setattr(keepalived, "systemd", fake)
    return fake


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A root directory in which both daemons' files lie, and commands that succeed."""
    for module in (haproxy, keepalived):
        for name, value in vars(module).copy().items():
            if isinstance(value, Path) and value.is_absolute() and name != "TEMPLATES":
                monkeypatch.setattr(module, name, tmp_path / value.relative_to("/"))
    monkeypatch.setattr("charmed_maas.files.os.fchown", lambda *_: None)
    monkeypatch.setattr("charmed_maas.files.os.chown", lambda *_: None)
    monkeypatch.setattr(
        commands, "run", lambda argv, **_: subprocess.CompletedProcess(argv, 0, "", "")
    )
    return tmp_path
