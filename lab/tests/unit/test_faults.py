# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from pathlib import Path
from unittest.mock import Mock

import pytest

from charmed_lab import faults, juju, links, lxd, stage, store
from charmed_lab.console import StepError
from charmed_lab.machines import Machines
from charmed_lab.model import Machine, Model, Status, Unit
from charmed_lab.stage import Stage

NOW = Status("running", "", 0)


def _model() -> Model:
    model = Model("maas", "uuid", 0)
    for number, slot in (("0", "5"), ("4", "4")):
        model.machines[number] = Machine(number, slot, "", f"test-m{slot}", "", NOW, NOW)
    for name, number in (("maas-region/0", "0"), ("maas-rack/1", "4")):
        model.units[name] = Unit(name, number, NOW, NOW)
    return model


@pytest.fixture(autouse=True)
def containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machines, "numbers", lambda _: ["4", "5"])


@pytest.mark.parametrize(
    ("target", "slot"), [("maas-rack/1", "4"), ("maas-region/0", "5"), ("test-m5", "5")]
)
def test_a_unit_or_container_stands_for_its_machine(target: str, slot: str):
    assert faults.slot_of(Stage("test"), target, _model()) == slot


def test_a_machine_of_juju_is_found_under_its_number_on_the_stage():
    assert faults.slot_of(Stage("test"), "0", _model()) == "5"


@pytest.mark.parametrize("target", ["maas-rack/9", "5", "all", "test-m6"])
def test_an_unknown_target_is_refused_with_those_there_are(target: str):
    known = "maas-rack/1, maas-region/0, 0, 4"
    with pytest.raises(StepError, match=f"no unit or machine {target}; there are: {known}"):
        faults.slot_of(Stage("test"), target, _model())


def test_the_model_is_known_without_a_controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stage, "ROOT", tmp_path)
    monkeypatch.delenv("JUJU_MODEL", raising=False)
    here = Stage("test")
    with store.Store(here.state / "juju", store.World(0, "")).change() as world:
        world.models["maas"] = _model()
    assert not faults.model_in_use(here).machines
    (here.state / "client.json").write_text('{"model": "maas"}')
    assert faults.model_in_use(here).machines.keys() == {"0", "4"}
    monkeypatch.setenv("JUJU_MODEL", "lab:admin/other")
    assert not faults.model_in_use(here).machines


@pytest.mark.parametrize(
    "line",
    [
        *("cut 3", "cut 3 a/0", "kill a/0 nginx", "half-cut all 3", "slow 3", "slow 3 cpu"),
        *("heal all", "heal 1 2", "list", "controller-down", "disk-full 0 /srv"),
        "shuffle 7",
    ],
)
def test_parse(line: str):
    action, *words = line.split()
    assert faults.parse(line.split()) == (action, words)


@pytest.mark.parametrize(
    "line",
    [
        *("", "cut", "explode 3", "kill 3", "cut 3 4 5", "half-cut 3", "kill kill kill kill"),
        *("slow 3 disk", "list 3", "controller-up 3", "disk-full 3"),
        *("shuffle", "shuffle well"),
    ],
)
def test_a_wrong_command_line_gets_the_usage(line: str):
    with pytest.raises(StepError, match="usage: fault"):
        faults.parse(line.split())


def test_every_action_is_in_the_help():
    for action in faults.ACTIONS:
        assert f"\n  {action} " in faults.usage()


UNDONE: dict[faults.Fault, list[str]] = {
    ("poweroff", "4"): ["Machines().start(4)"],
    ("freeze", "4"): ["Machines().thaw(4)", "links.unmark(silent, 4)"],
    ("cut", "4"): ["links.let_through(4, all)", "links.let_through(all, 4)"],
    ("cut", "4", "5"): ["links.let_through(4, 5)", "links.let_through(5, 4)"],
    ("half-cut", "4", "all"): ["links.let_through(4, all)"],
    ("slow", "4", "cpu"): [
        "lxd.request(PATCH, /instances/test-m4, {'config': {'limits.cpu.allowance': ''}})"
    ],
    ("slow", "4", "network"): ["links.unmark(slow, 4)"],
    ("disk-full", "4", "/srv"): ["disks.free(4)"],
    ("hang", "4", "nginx.service"): ["os.kill(7, 18)"],
    ("controller-down",): ["juju.ensure_daemon()"],
    ("skip-hooks", "a/1"): ["_skip_hooks(a/1)"],
}


@pytest.mark.parametrize("fault", UNDONE, ids=" ".join)
def test_what_the_list_can_show_can_be_undone(
    monkeypatch: pytest.MonkeyPatch, fault: faults.Fault
):
    done = Mock()
    for name in ("Machines", "disks", "juju", "links", "lxd"):
        monkeypatch.setattr(faults, name, getattr(done, name))
    monkeypatch.setattr(faults.os, "kill", done.os.kill)
    monkeypatch.setattr(faults, "_skip_hooks", done._skip_hooks)
    monkeypatch.setattr(faults, "_hung", lambda *_: {"nginx.service": [7]})
    faults.undo(Stage("test"), *fault)
    assert UNDONE[fault] == [
        f"{name}({', '.join(str(one) for one in args if one != Stage('test'))})"
        for name, args, _ in done.mock_calls
        if name != "Machines"
    ]


def test_each_lasting_action_can_be_undone():
    passing = {
        "poweron",
        "thaw",
        "disk-free",
        "kill",
        "run-hooks",
        "shuffle",
        "heal",
        "controller-up",
        "list",
    }
    assert {fault[0] for fault in UNDONE} == faults.ACTIONS.keys() - passing


class Kernel:
    """What nft and LXD would say."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dropped: set[tuple[str, str]] = set()
        self.marked: dict[str, set[str]] = {"silent": set(), "slow": set()}
        self.instances = {
            f"/instances/test-m{n}": {
                "status": "Running",
                "config": {"user.ready": "true"},
                "devices": {},
            }
            for n in (4, 5)
        }
        monkeypatch.setattr(links, "dropped", lambda _: self.dropped)
        monkeypatch.setattr(links, "marked", lambda _, kind: self.marked[kind])
        monkeypatch.setattr(lxd, "get", self.instances.get)
        monkeypatch.setattr(juju, "is_answering", lambda _: True)
        self.model = Model("m", "uuid", 0)
        monkeypatch.setattr(faults, "model_in_use", lambda _: self.model)


def test_the_list_is_what_kernel_and_lxd_say(monkeypatch: pytest.MonkeyPatch):
    kernel = Kernel(monkeypatch)
    assert faults.in_force(Stage("test")) == []
    kernel.dropped = {("4", "all"), ("all", "4"), ("5", "all"), ("4", "5"), ("5", "4")}
    kernel.marked["slow"] = {"5"}
    kernel.instances["/instances/test-m4"] |= {"status": "Frozen"}
    kernel.instances["/instances/test-m5"] |= {"status": "Stopped"}
    kernel.instances["/instances/test-m5"]["config"] = {
        "user.ready": "true",
        faults.CPU: faults.SHARE,
    }
    said = [" ".join(fault) for fault in faults.in_force(Stage("test"))]
    assert said == [
        *("freeze 4", "slow 5 cpu", "poweroff 5", "slow 5 network"),
        *("cut 4 5", "cut 4", "half-cut 5 all"),
    ]


@pytest.mark.parametrize(
    ("group", "state", "hung"),
    [
        ("lxc.payload.test-m4/system.slice/x.service", "T", {"x.service": [7]}),
        ("lxc.payload.test-m4-1/system.slice/x.service", "T", {"x.service": [7]}),
        ("lxc.payload.test-m41/system.slice/x.service", "T", {}),
        ("lxc.payload.test-m4/system.slice/x.service", "S", {}),
    ],
)
def test_what_hangs_is_found_by_the_machines_cgroup(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, group: str, state: str, hung: object
):
    """LXC numbers the group of a container whose name another one's leftovers have."""
    monkeypatch.setattr(faults, "PROC", tmp_path)
    (tmp_path / "7").mkdir()
    (tmp_path / "7/stat").write_text(f"7 (a ) S) {state} 1 7 7\n")
    (tmp_path / "7/cgroup").write_text(f"12:pids:/lxc.monitor.x\n0::/{group}\n")
    assert faults._hung(Stage("test"), "4") == hung


def test_units_whose_charm_is_not_run_are_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    kernel, stage = Kernel(monkeypatch), Stage("test")
    stage.run = tmp_path
    kernel.model.units = {
        name: Unit(name, "4", NOW, NOW, skips_hooks=name == "a/1") for name in ("a/0", "a/1")
    }
    assert faults.in_force(stage) == [("skip-hooks", "a/1")]


def test_a_machine_that_is_being_made_is_not_powered_off(monkeypatch: pytest.MonkeyPatch):
    kernel = Kernel(monkeypatch)
    making = {"status": "Stopped", "config": {"user.ready": "false"}, "devices": {}}
    kernel.instances["/instances/test-m4"] = making
    assert faults.in_force(Stage("test")) == []


def test_healing_a_machine_leaves_it_without_power(monkeypatch: pytest.MonkeyPatch):
    kernel = Kernel(monkeypatch)
    kernel.instances["/instances/test-m4"] |= {"status": "Stopped"}
    kernel.dropped = {("4", "5"), ("5", "all")}
    undone: list[faults.Fault] = []
    monkeypatch.setattr(faults, "undo", lambda _, *fault: undone.append(fault))
    faults.heal(Stage("test"), "4")
    assert undone == [("half-cut", "4", "5")]
    undone.clear()
    faults.heal(Stage("test"), "all")
    assert undone == [("poweroff", "4"), ("half-cut", "4", "5"), ("half-cut", "5", "all")]
