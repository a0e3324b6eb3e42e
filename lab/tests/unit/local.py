# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""A stage without containers: machines that run commands as processes of the test."""

import json
import subprocess
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from charmed_lab import client, daemon
from charmed_lab.machines import Completed, MachineError

TIMEOUT_S = 120.0
DISPATCH = Path(__file__).parent / "probe_dispatch.py"
METADATA: dict[str, Any] = {
    "name": "probe",
    "description": "Records what the agent does.",
    "peers": {"peers": {"interface": "probe-peers"}},
    "provides": {"source": {"interface": "probe"}},
    "requires": {"sink": {"interface": "probe"}},
}
OPTIONS = {
    "fail-on": {"type": "string", "default": "", "description": "Fail in the event of this name."},
    "flag": {"type": "boolean", "default": False, "description": "A bool."},
    "ratio": {"type": "float", "default": 0.5, "description": "A float."},
    "text": {"type": "string", "default": "hello", "description": "A string."},
    "token": {"type": "secret", "description": "A secret."},
    "number": {"type": "int", "default": 7, "description": "An int."},
    "unset": {"type": "string", "description": "No default."},
}
ACTIONS = {
    "call": {
        "description": "Run hook tools.",
        "params": {"calls": {"type": "array"}, "exit": {"type": "integer"}},
    },
    "fail": {"description": "Fail."},
}


@dataclass
class LocalStage:
    """The directories of a stage, below one of the test's."""

    state: Path
    name: str = "unit"
    gateway: str = "127.0.0.1"
    juju: str = ""

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def hooks(self) -> Path:
        return self.state / "home" / "lab"


@dataclass
class LocalMachines:
    """Machines that are directories; what is off cannot run anything."""

    state_dir: Path
    boots: dict[str, int] = field(default_factory=dict)
    off: set[str] = field(default_factory=set)
    ending: set[str] = field(default_factory=set)

    def create(self, number: str) -> None:
        self.boots.setdefault(number, 1)

    def delete(self, number: str) -> None:
        self.boots.pop(number, None)

    def instance_id(self, number: str) -> str:
        return f"unit-m{number}"

    def address(self, number: str) -> str:
        return f"127.0.1.{number}"

    def state(self, number: str) -> str:
        return "stopped" if number in self.off else "running"

    def boot_id(self, number: str) -> str | None:
        return None if number in self.off or number not in self.boots else str(self.boots[number])

    def is_ending(self, number: str) -> bool:
        return number in self.ending

    def end_sessions(self, number: str) -> None:
        """Nobody is in what cannot run anything."""

    def reboot(self, number: str) -> None:
        self.boots[number] += 1

    def exec(
        self,
        number: str,
        argv: list[str],
        *,
        env: dict[str, str] | None = None,
        cwd: str = "/",
        stdin: bytes = b"",
        timeout_s: float | None = None,
    ) -> Completed:
        if self.boot_id(number) is None:
            raise MachineError(f"machine {number} is stopped")
        if argv[0] == "cat":
            return Completed(0, b"00:16:3e:00:00:01\n", b"")
        done = subprocess.run(
            argv, env=env, cwd=cwd, input=stdin, capture_output=True, timeout=60, check=False
        )
        return Completed(done.returncode, done.stdout, done.stderr)


@dataclass
class Lab:
    """A running daemon with a model, and what its charms recorded."""

    folder: Path
    machines: LocalMachines
    daemon: daemon.Daemon

    def call(self, method: str, **params: Any) -> Any:
        answer = self.daemon.ask({"method": method, "params": {"model": "m", **params}})
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["result"]

    def refused(self, method: str, **params: Any) -> str:
        question = {"method": method, "params": {"model": "m", **params}}
        return self.daemon.ask(question)["error"]

    def deploy(self, name: str = "probe", count: int = 1, **more: Any) -> None:
        charm = self.call("upload", path=str(pack(self.folder, **more.pop("charm", {}))))
        given = {"to": [], "config": {}, "base": "", "trust": False, **more}
        self.call("deploy", url=charm["url"], name=name, count=count, **given)

    def run(self, unit: str, calls: list[Any], **params: Any) -> list[dict[str, Any]]:
        """Run hook tools in an action; return what each answered."""
        task = self.action(unit, "call", {"calls": calls, **params})
        return json.loads(task["results"]["calls"])

    def action(self, unit: str, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        asked = self.call("enqueue", receivers=[unit], name=name, parameters=parameters)
        ids = list(asked["tasks"])
        self.wait(lambda: self.call("tasks", ids=ids)[0]["status"] not in ("pending", "running"))
        return self.call("tasks", ids=ids)[0]

    def records(self, unit: str = "") -> list[dict[str, Any]]:
        """Return what the charms recorded, oldest first."""
        path = self.folder / "records.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        # The last one may still be on its way.
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [one for one in found if not unit or one["unit"] == unit]

    def hooks(self, unit: str = "") -> list[str]:
        """Return the names of the events that ran, with who they are about."""
        found = []
        for one in self.records(unit):
            name = one["dispatch"].removeprefix("hooks/")
            about = one["env"].get("JUJU_REMOTE_UNIT")
            found.append(f"{name} {about}" if about else name)
        return found

    def wait(self, condition: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"in vain; events were {self.hooks()}")
            time.sleep(0.02)

    def settle(self) -> None:
        """Wait until no agent has anything to do."""
        self.wait(self._is_idle)

    def config_changed(self, values: dict[str, str], reset: list[str]) -> int:
        """Set and reset probe's options; return how often config-changed ran for that."""
        before = self.hooks().count("config-changed")
        self.call("set_config", name="probe", values=values, reset=reset)
        self.settle()
        return self.hooks().count("config-changed") - before

    def _is_idle(self) -> bool:
        with self.daemon.store.look() as world:
            model = world.models["m"]
            return all(
                unit.started
                and not unit.hook
                and not self.daemon._agents[f"{model.uuid} {unit.name}"].has_work(model, unit)
                for unit in model.units.values()
                if model.machines[unit.machine].present
            ) and all(one.instance_id != "pending" for one in model.machines.values())

    def stop(self) -> None:
        """Stop, and wait for who makes machines: the folder goes with the test."""
        self.daemon.runtime.stopping.set()
        for worker in list(self.daemon._workers.values()):
            worker.join(TIMEOUT_S)


class Juju:
    """Runs commands of the client in this process."""

    def __init__(self, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
        self.lab, self._capsys = lab, capsys

    def __call__(self, *args: str) -> tuple[int, str, str]:
        """Return a command's exit code, standard output and standard error."""
        code = client.execute(self.lab.daemon._stage, list(args))
        done = self._capsys.readouterr()
        return code, done.out, done.err


def pack(folder: Path, name: str = "probe", **more: Any) -> Path:
    """Pack the probe charm under a name."""
    path = folder / f"{name}.charm"
    parts = {
        "metadata.yaml": {**METADATA, "name": name, **more},
        "config.yaml": {"options": OPTIONS},
        "actions.yaml": ACTIONS,
        "manifest.yaml": {"bases": [{"name": "ubuntu", "channel": "24.04"}]},
    }
    with zipfile.ZipFile(path, "w") as packed:
        info = zipfile.ZipInfo("dispatch")
        info.external_attr = 0o100755 << 16
        packed.writestr(
            info, DISPATCH.read_text().replace("RECORDS", str(folder / "records.jsonl"))
        )
        for part, content in parts.items():
            packed.writestr(part, yaml.safe_dump(content))
    return path


def start(
    folder: Path, machines: LocalMachines | None = None, seed: int = 1, juju: str = ""
) -> Lab:
    """Start a daemon on a folder; a second one continues where the first was ended."""
    machines = machines or LocalMachines(folder)
    stage = LocalStage(folder / "state", juju=juju)
    made = daemon.Daemon(stage, machines, seed)  # type: ignore[arg-type]
    made.runtime.home = str(folder / "state" / "home")
    made.start()
    return Lab(folder, machines, made)
