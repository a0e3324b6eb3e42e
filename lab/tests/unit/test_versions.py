# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What a stage of Juju 3.6 does otherwise than one of 4.0, as a charm and an operator see it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from local import Lab, pack, start

from charmed_lab import client, daemon, leases, uniter


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr(daemon, "POLL_S", 0.05)
    monkeypatch.setattr(uniter, "RETRY_FIRST_S", 0.2)
    monkeypatch.delenv("JUJU_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)
    made = start(tmp_path, juju="3.6")
    made.daemon.ask({"method": "add_model", "params": {"name": "m", "config": {}}})
    yield made
    made.stop()


def ask(lab: Lab, *args: str) -> int:
    """Run a command of the client."""
    return client.execute(lab.daemon._stage, [args[0], "-m", "m", *args[1:]])


def leader_and_other(lab: Lab) -> tuple[str, str]:
    units = lab.call("status")["status"]["applications"]["probe"]["units"]
    leader = next(name for name, unit in units.items() if unit.get("leader"))
    return leader, next(name for name in units if name != leader)


def test_environment_has_what_only_3_6_gives(lab: Lab) -> None:
    lab.deploy()
    lab.settle()
    env = lab.records()[0]["env"]
    assert not [name for name in env if "TRACE" in name or "TARGET" in name]
    assert {name: env[name] for name in ("JUJU_VERSION", "JUJU_SLA", "JUJU_METER_STATUS")} == {
        "JUJU_VERSION": "3.6.28",
        "JUJU_SLA": "unsupported",
        "JUJU_METER_STATUS": "AMBER",
    }


def test_only_who_does_not_lead_is_told_of_the_leaders_settings(lab: Lab) -> None:
    lab.deploy(count=2)
    lab.settle()
    leader, other = leader_and_other(lab)
    started = ["config-changed", "start"]
    created = ["install", "peers-relation-created"]
    assert lab.hooks(leader)[:5] == [*created, "leader-elected", *started]
    assert lab.hooks(other)[:5] == [*created, "leader-settings-changed", *started]


def test_a_deposed_leader_and_a_restarted_agent_are_told_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE_S", 0.6)
    monkeypatch.setattr(leases, "RENEW_S", 0.2)
    lab.deploy(count=2)
    lab.settle()
    old, new = (unit.partition("/")[2] for unit in leader_and_other(lab))
    lab.machines.off.add(old)
    lab.wait(lambda: lab.hooks(f"probe/{new}")[-1] == "leader-elected")
    lab.machines.off.clear()
    lab.machines.reboot(old)
    told = ["start", "leader-settings-changed", "config-changed"]
    lab.wait(lambda: lab.hooks(f"probe/{old}")[-3:] == told)


def test_databags_have_the_private_address(lab: Lab) -> None:
    lab.deploy(count=2)
    lab.settle()
    asked = ["relation-get", "-r", "peers:0", "private-address", "probe/1"]
    assert lab.run("probe/0", [asked])[0]["out"] == "127.0.1.1\n"


def test_who_stays_is_told_at_once_of_a_unit_that_goes(lab: Lab) -> None:
    lab.deploy(count=2, config={"text": "sleep stop"})
    lab.deploy("other")
    lab.call("integrate", one="probe:source", other="other:sink")
    lab.settle()
    lab.call("remove_unit", name="probe/1", force=False)
    lab.wait(lambda: lab.hooks("probe/0")[-1] == "peers-relation-departed probe/1")
    lab.wait(lambda: lab.hooks("other/0")[-1] == "sink-relation-departed probe/1")
    assert "probe/1" in lab.daemon.store.world.models["m"].units
    assert lab.run("probe/0", [["relation-list", "-r", "peers:0"]])[0]["out"] == ""


def test_changed_options_and_a_reset_bring_config_changed_once(lab: Lab) -> None:
    lab.deploy()
    lab.settle()
    for values, reset, more in (
        ({"text": "two"}, [], 1),
        ({"text": "two"}, [], 0),
        ({}, ["text"], 1),
    ):
        assert lab.config_changed(values, reset) == more


def test_actions_take_parameters_that_they_do_not_name(lab: Lab) -> None:
    lab.deploy()
    lab.settle()
    calls = [["action-get", "unknown"], ["state-delete", "installed"]]
    assert lab.run("probe/0", calls, unknown="yes")[0]["out"] == "yes\n"
    assert lab.run("probe/0", [["state-get", "--format=json"]])[0]["out"] == "{}\n"


def test_goals_are_listed_under_their_own_endpoint(lab: Lab) -> None:
    for name in ("probe", "one", "two"):
        lab.deploy(name)
    lab.call("integrate", one="probe:source", other="one:sink")
    lab.call("integrate", one="probe:sink", other="two:source")
    lab.settle()
    goals = json.loads(lab.run("probe/0", [["goal-state", "--format=json"]])[0]["out"])
    listed = {endpoint: list(found) for endpoint, found in goals["relations"].items()}
    assert listed == {"sink": ["two", "two/0"], "source": ["one", "one/0"]}


def test_commands_name_the_version(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(lab, "version") == 0
    assert capsys.readouterr().out == "3.6.28-ubuntu-amd64\n"
    ask(lab, "status")
    header, row = (line.split() for line in capsys.readouterr().out.splitlines()[:2])
    assert header == ["Model", "Controller", "Cloud/Region", "Version", "SLA", "Timestamp"]
    assert row[:5] == ["m", "lab", "lab", "3.6.28", "unsupported"]
    ask(lab, "show-model")
    assert yaml.safe_load(capsys.readouterr().out)["m"]["agent-version"] == "3.6.28"


def test_a_bundle_deployed_again_sets_what_changed(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack(tmp_path, "probe-a")
    red: dict[str, Any] = {"charm": "./probe-a.charm", "options": {"text": "one", "number": 11}}
    path = tmp_path / "bundle.yaml"
    path.write_text(yaml.safe_dump({"applications": {"red": red}}))
    assert ask(lab, "deploy", "./bundle.yaml") == 0
    red["options"]["text"] = "two"
    path.write_text(yaml.safe_dump({"applications": {"red": red}}))
    capsys.readouterr()
    assert ask(lab, "deploy", "./bundle.yaml") == 0
    said = capsys.readouterr()
    changes = ["- set application options for red", '- set constraints for red to ""']
    assert said.out.splitlines() == ["Executing changes:", *changes]
    assert lab.call("config", name="red")["settings"]["text"]["value"] == "two"
    assert ask(lab, "deploy", "./bundle.yaml") == 0
    assert capsys.readouterr().err == "No changes to apply.\n"


def test_a_stage_keeps_its_juju(tmp_path: Path) -> None:
    for asked in ("3.6", "4.0"):
        lab = start(tmp_path, juju=asked)
        lab.daemon.ask({"method": "add_model", "params": {"name": "m", "config": {}}})
        lab.stop()
        assert lab.daemon.api.controller()["version"] == "3.6.28"
