# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Ask the lab's juju what the recorded operator asked, and collect what the probes saw."""

import datetime
import json
import re
import subprocess
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recorded import Dispatch, of_probe

PROBE = Path(__file__).parent / "probe"
PROBE_LOG = "/var/log/juju-probe"
SETTLED_S = 1.3
TIMEOUT_S = 600
SECRET = re.compile(r"\b[a-v0-9]{20}\b")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EXPIRY = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+Z")


@dataclass(frozen=True)
class Answer:
    """What a command printed and ended with."""

    rc: int
    stdout: str
    stderr: str


@dataclass
class Player:
    """One model of the lab, and what has happened in it so far."""

    juju: str
    model: str
    folder: Path
    added: tuple[str, ...] = ()
    names: dict[str, str] = field(default_factory=dict[str, str])
    log: list[Dispatch] = field(default_factory=list[Dispatch])
    # When each command was asked, and its words.
    asked: list[tuple[float, list[str]]] = field(default_factory=list[tuple[float, list[str]]])
    recorded: list[Dispatch] = field(default_factory=list[Dispatch])
    _read: dict[str, int] = field(default_factory=dict[str, int])

    def run(self, *arguments: str) -> Answer:
        """Run one command in the model, from the folder with the charms."""
        command, *rest = arguments
        argv = [self.juju, command]
        if command not in ("add-model", "destroy-model", "models"):
            argv += ["-m", self.model]
        self.asked.append((time.time(), [*arguments]))
        done = subprocess.run(
            argv + rest, cwd=self.folder, capture_output=True, text=True, timeout=TIMEOUT_S
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def must(self, *arguments: str) -> str:
        """Run a command that has to succeed."""
        answer = self.run(*arguments)
        assert answer.rc == 0, f"juju {' '.join(arguments)}: {answer.stderr}"
        return answer.stdout

    def status(self) -> dict[str, Any]:
        """Return the model's status."""
        return json.loads(self.must("status", "--format", "json"))

    def units(self) -> dict[str, dict[str, Any]]:
        """Return the units of the status by name."""
        applications = self.status().get("applications") or {}
        return {n: u for app in applications.values() for n, u in (app.get("units") or {}).items()}

    def settle(self, until: Callable[[], bool] = lambda: True) -> None:
        """Wait until every agent has been idle for a while."""
        deadline, before, since = time.monotonic() + TIMEOUT_S, "", 0.0
        while True:
            units = self.units()
            now, seen = time.monotonic(), json.dumps(units)
            if seen != before:
                before, since = seen, now
            idle = all(
                one["juju-status"]["current"] in ("idle", "lost") and "life" not in one
                for one in units.values()
            )
            if idle and now - since > SETTLED_S and until():
                return
            assert now < deadline, f"the units do not settle: {seen}"
            time.sleep(0.5)

    def keep_logs(self) -> None:
        """Let the probes write to a folder here, which outlasts their machines."""
        self.logs.mkdir()
        self.logs.chmod(0o777)
        disk = ["probe-log", "disk", f"source={self.logs}", f"path={PROBE_LOG}"]
        for machine in self.status()["machines"].values():
            add = ["lxc", "config", "device", "add", machine["instance-id"], *disk]
            subprocess.run(add, check=True, capture_output=True)

    def gather(self, scenario: str) -> list[Dispatch]:
        """Return the dispatches since the last time, oldest first."""
        fresh: list[Dispatch] = []
        for path in self.logs.glob("*.jsonl"):
            lines = path.read_text().splitlines()
            known, self._read[path.name] = self._read.get(path.name, 0), len(lines)
            records = map(json.loads, lines[known:])
            fresh += [of_probe(one, scenario) for one in records if self._is_ours(one)]
        fresh.sort(key=lambda one: one.began)
        self.log += fresh
        return fresh

    @property
    def logs(self) -> Path:
        """The folder with a file of each unit's dispatches."""
        return self.folder / "logs"

    def _is_ours(self, record: dict[str, Any]) -> bool:
        return record["env"]["JUJU_MODEL_NAME"] == self.model

    def live(self, text: str) -> str:
        """Put the lab's names where a recorded text has the recording's."""
        words = "|".join(re.escape(name) for name in self.names)
        if words:
            text = re.sub(rf"(?<![\w-])({words})(?!\w)", lambda found: self.names[found[1]], text)
        if self.log:
            text = UUID.sub(self.log[-1].env["JUJU_MODEL_UUID"], text)
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=20)
        return EXPIRY.sub(soon.strftime("%Y-%m-%dT%H:%M:%SZ"), text)

    def pack(self, file: str, name: str, config: Callable[[str], str] = str) -> None:
        """Pack the probe under a charm name, with what its story adds."""
        with zipfile.ZipFile(self.folder / file, "w", zipfile.ZIP_DEFLATED) as charm:
            for path in sorted(PROBE.iterdir()):
                text = path.read_text()
                if path.name == "metadata.yaml":
                    text = text.replace("name: probe\n", f"name: {name}\n", 1)
                if path.name == "config.yaml":
                    text = config(text)
                info = zipfile.ZipInfo(path.name)
                info.external_attr = (0o755 if path.name == "dispatch" else 0o644) << 16
                charm.writestr(info, text)
            for path in self.added:
                charm.writestr(path, "")
