# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from charmed_lab import lxd
from charmed_lab import machines as module
from charmed_lab.machines import Completed, MachineError, Machines
from charmed_lab.stage import Stage


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
        monkeypatch.setattr(module, "_is_frozen", self.is_frozen)

    def get(self, path: str) -> Any:
        name = path.split("/")[2]
        found = self.instances.get(name)
        if found and path.endswith("/state"):
            return {"pid": self.inits[name].pid if name in self.inits else 0}
        return found

    def request(self, method: str, path: str, data: Any = None) -> Any:
        self.calls.append(method)
        if method == "POST":
            self.instances[data["name"]] = json.loads(json.dumps({"status": "Stopped", **data}))
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


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLXD]:
    fake = FakeLXD(monkeypatch)
    yield fake
    for instance in list(fake.inits):
        fake.power_off(instance)


@pytest.fixture
def machines() -> Machines:
    return Machines(Stage("test"))


def test_create_makes_a_copy_of_golden_with_its_own_address(fake: FakeLXD, machines: Machines):
    machines.create("3")
    made = fake.instances["test-m3"]
    assert made["source"]["source"] == Stage("test").golden
    assert b"Address=10.89.0.13/24" in made["/etc/systemd/network/20-eth0.network"]
    assert b"Gateway" not in made["/etc/systemd/network/21-eth1.network"]
    assert made["devices"]["eth1"]["network"] == "test-dhcp0"
    assert machines.state("3") == "running"
    assert machines.numbers() == ["3"]


def test_create_leaves_a_finished_machine_as_it_is(fake: FakeLXD, machines: Machines):
    machines.create("3")
    machines.stop("3")
    fake.calls.clear()
    machines.create("3")
    assert fake.calls == []
    assert machines.state("3") == "stopped"


def test_create_makes_a_half_made_machine_anew(fake: FakeLXD, machines: Machines):
    machines.create("3")
    del fake.instances["test-m3"]["config"]["user.ready"]
    fake.calls.clear()
    machines.create("3")
    assert fake.calls[:2] == ["delete", "POST"]


def test_exec_gives_exactly_the_environment(fake: FakeLXD, machines: Machines):
    machines.create("0")
    fake.answer = lambda: (3, b"out")
    done = machines.exec("0", ["printenv"], env={"A": "b c"}, cwd="/srv")
    assert done == Completed(3, b"out", b"")
    assert fake.argv == ["env", "-C", "/srv", "-i", "A=b c", "printenv"]


def test_exec_in_a_machine_that_is_off_says_so(fake: FakeLXD, machines: Machines):
    machines.create("0")
    machines.stop("0")
    with pytest.raises(MachineError, match="machine 0 is stopped"):
        machines.exec("0", ["true"])
    with pytest.raises(MachineError, match="machine 1 is absent"):
        machines.exec("1", ["true"])


def test_a_command_that_a_power_cut_ends_is_no_result(fake: FakeLXD, machines: Machines):
    machines.create("0")

    def power_cut() -> tuple[int, bytes]:
        machines.stop("0")
        return 137, b""

    fake.answer = power_cut
    with pytest.raises(MachineError, match="went away"):
        machines.exec("0", ["sleep"])


def test_freeze_and_thaw(fake: FakeLXD, machines: Machines):
    machines.create("0")
    machines.freeze("0")
    assert machines.state("0") == "frozen"
    assert machines.boot_id("0") is None
    machines.thaw("0")
    assert machines.boot_id("0")


def test_the_boot_id_changes_with_the_boot_and_lxd_is_asked_once_a_boot(
    fake: FakeLXD, machines: Machines, monkeypatch: pytest.MonkeyPatch
):
    machines.create("0")
    first = machines.boot_id("0")
    monkeypatch.setattr(lxd, "get", lambda _: pytest.fail("asked again"))
    assert machines.boot_id("0") == first
    monkeypatch.setattr(lxd, "get", fake.get)
    fake.power_off("test-m0")
    assert machines.boot_id("0") is None
    fake.set_state("test-m0", "start")
    assert machines.boot_id("0") not in (first, None)
