# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_lxd import FakeLXD

from charmed_lab import lxd
from charmed_lab.machines import Completed, MachineError, Machines
from charmed_lab.stage import Stage


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


@pytest.mark.parametrize(
    ("held", "address"), [([{"local": "10.89.0.13"}], "10.89.0.13"), ([], "")]
)
def test_the_address_is_what_the_machine_says(
    fake: FakeLXD, machines: Machines, held: list[dict[str, str]], address: str
):
    machines.create("3")
    fake.answer = lambda: (0, json.dumps([{"addr_info": held}]).encode())
    assert machines.address("3") == address


@pytest.mark.parametrize("said", [(0, b""), (1, b"[]")])
def test_a_machine_that_does_not_say_has_not_lost_its_address(
    fake: FakeLXD, machines: Machines, said: tuple[int, bytes]
):
    machines.create("3")
    fake.answer = lambda: said
    with pytest.raises(MachineError, match="machine 3 tells no address"):
        machines.address("3")


def interrupted() -> tuple[int, bytes]:
    raise KeyboardInterrupt


def test_create_makes_a_half_made_machine_anew(fake: FakeLXD, machines: Machines):
    golden = {"status": "Stopped", "config": {"user.ready": "true"}}
    fake.instances[Stage("test").golden] = golden
    answer, fake.answer = fake.answer, interrupted
    with pytest.raises(KeyboardInterrupt):
        machines.create("3")
    fake.calls.clear()
    fake.answer = answer
    machines.create("3")
    assert fake.calls[:2] == ["delete", "POST"]
    assert fake.instances["test-m3"]["config"]["user.ready"] == "true"


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


@pytest.mark.parametrize(
    ("said", "is_ending"),
    [(b"stopping", True), (b"", True), (b"running", False), (b"starting", False)],
)
def test_a_machine_that_shuts_down_says_so_or_nothing(
    fake: FakeLXD, machines: Machines, said: bytes, is_ending: bool
):
    machines.create("0")
    fake.answer = lambda: (0 if said == b"running" else 1, said + b"\n")
    assert machines.is_ending("0") == is_ending


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


@pytest.mark.parametrize("usr", ["", "/usr"])
def test_nobody_enters_a_machine_whose_systemd_has_gone(
    fake: FakeLXD, machines: Machines, usr: str
):
    machines.create("0")
    assert machines.running_instance("0") == "test-m0"
    fake.power_off("test-m0")
    argv = [f"{usr}/lib/systemd/systemd-shutdown", "60"]
    fake.inits["test-m0"] = subprocess.Popen(argv, executable="sleep")
    assert machines.boot_id("0") is None
    with pytest.raises(MachineError, match="machine 0 shuts down"):
        machines.exec("0", ["true"])
    with pytest.raises(MachineError, match="machine 0 shuts down"):
        machines.running_instance("0")


def _child(pid: int, state: str) -> int:
    """Wait until a process has a child in a state of ps(1), and return that."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children and _state(int(children[0])) == state:
            return int(children[0])
        time.sleep(0.02)
    raise AssertionError(f"no child of {pid} in state {state}")


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("what", ["sleep", "/lib/systemd/systemd-shutdown"])
def test_who_is_in_a_machine_whose_systemd_has_gone_is_ended(
    fake: FakeLXD, machines: Machines, monkeypatch: pytest.MonkeyPatch, what: str
):
    machines.create("0")
    fake.power_off("test-m0")
    # An init of a namespace of its own, and a child of it that stopped itself.
    script = f"sh -c 'kill -STOP $$' & exec -a {what} sleep 60"
    argv = ["unshare", "--pid", "--fork", "--kill-child", "bash", "-c", script]
    with subprocess.Popen(argv) as outer:
        init = _child(outer.pid, "S")
        child = _child(init, "T")
        monkeypatch.setattr(lxd, "get", lambda _: {"pid": init})
        machines.boot_id("0")
        machines.end_sessions("0")
        assert _child(init, "T" if what == "sleep" else "Z") == child
        assert _state(init) == "S"
        outer.kill()
