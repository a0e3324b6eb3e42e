# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Stories of units, told by the events that a charm saw as a real process."""

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local import Lab, LocalMachines, pack, start

from charmed_lab import daemon, host, leases, uniter
from charmed_lab.hooktools import HookContext
from charmed_lab.model import JujuError
from charmed_lab.store import Store, World

RECORDED = json.loads((Path(__file__).parent / "recorded_tools.json").read_text())


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr(daemon, "POLL_S", 0.05)
    monkeypatch.setattr(uniter, "RETRY_FIRST_S", 0.2)
    made = start(tmp_path)
    made.daemon.ask({"method": "add_model", "params": {"name": "m", "config": {}}})
    yield made
    made.stop()


def test_first_unit_installs_elects_configures_and_starts(lab: Lab) -> None:
    lab.deploy()
    lab.settle()
    names = ["install", "peers-relation-created", "leader-elected", "config-changed", "start"]
    assert lab.hooks() == names
    status = lab.call("status")["status"]["applications"]["probe"]
    assert status["application-status"]["message"] == "started"
    assert status["units"]["probe/0"]["leader"] is True
    assert status["units"]["probe/0"]["open-ports"] == ["8080/tcp"]


def test_a_model_of_an_old_name_has_a_log_of_its_own(lab: Lab) -> None:
    lab.deploy()
    lab.settle()
    assert lab.call("log", skip=0)
    lab.call("destroy_model", force=True)
    new = {"method": "add_model", "params": {"name": "m", "config": {}}}
    lab.wait(lambda: "error" not in lab.daemon.ask(new))
    assert lab.call("log", skip=0) == []


def test_a_line_that_a_kill_tore_does_not_hide_the_log(tmp_path: Path) -> None:
    store = Store(tmp_path, World(1, "c"))
    store.log("uuid", "unit-probe-0", "INFO", "module", "before")
    with (tmp_path / "debug.log").open("a") as log:
        log.write('[1790000000.1, "uuid", "unit-pro\n')
    store.log("uuid", "unit-probe-0", "INFO", "module", "after")
    assert [record[-1] for record in store.logged("uuid")] == ["before", "after"]


def test_environment_is_exactly_what_juju_gives(lab: Lab) -> None:
    lab.deploy()
    lab.settle()
    env = lab.records()[1]["env"]
    home = lab.daemon.runtime.home
    assert env.pop("JUJU_CONTEXT_ID").startswith("probe/0-peers-relation-created-")
    assert env.pop("JUJU_MODEL_UUID")
    assert env == {
        "APT_LISTCHANGES_FRONTEND": "none",
        "CHARM_DIR": f"{home}/agents/unit-probe-0/charm",
        "CLOUD_API_VERSION": "",
        "DEBIAN_FRONTEND": "noninteractive",
        "JUJU_AGENT_SOCKET_ADDRESS": f"{home}/agents/unit-probe-0/agent.socket",
        "JUJU_AGENT_SOCKET_NETWORK": "unix",
        "JUJU_API_ADDRESSES": "127.0.0.1:17070",
        "JUJU_AVAILABILITY_ZONE": "",
        "JUJU_CHARM_DIR": f"{home}/agents/unit-probe-0/charm",
        "JUJU_CHARM_FTP_PROXY": "",
        "JUJU_CHARM_HTTPS_PROXY": "",
        "JUJU_CHARM_HTTP_PROXY": "",
        "JUJU_CHARM_NO_PROXY": "127.0.0.1,localhost,::1",
        "JUJU_CHARM_TRACE_CONFIG_CA_CERT": "",
        "JUJU_CHARM_TRACE_CONFIG_GRPC": "",
        "JUJU_CHARM_TRACE_CONFIG_HTTP": "",
        "JUJU_DISPATCH_PATH": "hooks/peers-relation-created",
        "JUJU_HOOK_NAME": "peers-relation-created",
        "JUJU_MACHINE_ID": "0",
        "JUJU_MODEL_NAME": "m",
        "JUJU_PRINCIPAL_UNIT": "",
        "JUJU_RELATION": "peers",
        "JUJU_RELATION_ID": "peers:0",
        "JUJU_REMOTE_APP": "probe",
        "JUJU_REMOTE_UNIT": "",
        "JUJU_UNIT_NAME": "probe/0",
        "JUJU_VERSION": "4.0.15",
        "LANG": "C.UTF-8",
        "PATH": f"{home}/tools/unit-probe-0:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
        ":/sbin:/bin",
        "TERM": "tmux-256color",
    }


def test_joined_is_followed_by_changed_and_sees_what_was_committed(lab: Lab) -> None:
    lab.deploy(count=3, config={"text": "write"})
    lab.settle()
    for unit in ("probe/0", "probe/1", "probe/2"):
        own = [name for name in lab.hooks(unit) if name.startswith("peers-relation-")]
        for at, name in enumerate(own):
            if "joined" in name:
                assert own[at + 1] == name.replace("joined", "changed")
        joined = [one for one in lab.records(unit) if "saw" in one]
        assert len(joined) == 2
        assert all(f"from: {one['env']['JUJU_REMOTE_UNIT']}" in one["saw"] for one in joined)


def test_one_dispatch_at_a_time_runs_on_a_machine(lab: Lab) -> None:
    lab.deploy("one", count=1)
    lab.deploy("two", count=1, to=["0"])
    lab.deploy("three", count=1, to=["0"])
    lab.settle()
    times = sorted((one["began"], one["ended"]) for one in lab.records())
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(times))


def test_failed_hook_is_retried_and_leaves_nothing(lab: Lab) -> None:
    lab.deploy()
    lab.settle()
    lab.call("set_config", name="probe", values={"fail-on": "config-changed"}, reset=[])
    lab.wait(lambda: lab.hooks()[-2:] == ["config-changed", "config-changed"])
    unit = lab.call("status")["status"]["applications"]["probe"]["units"]["probe/0"]
    lab.wait(lambda: _unit(lab)["workload-status"]["current"] == "error")
    assert _unit(lab)["workload-status"]["message"] == 'hook failed: "config-changed"'
    assert unit["juju-status"]["version"] == "4.0.15"
    got = lab.run("probe/0", [["state-get", "--format=json"], ["status-get"]])
    assert json.loads(got[0]["out"]) == {"installed": "yes"}
    # status-set is not rolled back, and an action runs in a unit that is in error.
    assert got[1]["out"] == "maintenance\n"
    lab.call("set_config", name="probe", values={"fail-on": ""}, reset=[])
    lab.wait(lambda: _unit(lab)["workload-status"]["current"] == "maintenance")


def test_a_hook_that_fails_as_its_machine_shuts_down_is_run_again_and_no_error(lab: Lab) -> None:
    lab.deploy()
    lab.settle()
    before = _unit(lab)["workload-status"]["current"]
    lab.machines.ending.add("0")
    lab.call("set_config", name="probe", values={"fail-on": "config-changed"}, reset=[])
    lab.wait(lambda: lab.hooks()[-2:] == ["config-changed", "config-changed"])
    assert _unit(lab)["workload-status"]["current"] != "error"
    lab.call("set_config", name="probe", values={"fail-on": ""}, reset=[])
    lab.machines.ending.clear()
    lab.machines.reboot("0")
    lab.settle()
    assert _unit(lab)["workload-status"]["current"] == before


def _unit(lab: Lab, name: str = "probe/0") -> dict[str, Any]:
    app = name.partition("/")[0]
    return lab.call("status")["status"]["applications"][app]["units"][name]


def test_resolved_without_retry_skips_the_event(lab: Lab) -> None:
    lab.call("set_model_config", values={"automatically-retry-hooks": "false"}, reset=[])
    lab.deploy(config={"fail-on": "start"})
    lab.wait(lambda: _unit(lab)["workload-status"]["current"] == "error")
    lab.call("resolved", units=["probe/0"], every=False, retry=False)
    lab.settle()
    assert lab.hooks().count("start") == 1
    assert _unit(lab)["workload-status"]["current"] == "maintenance"


def test_changed_options_bring_config_changed_twice_and_a_reset_none(lab: Lab) -> None:
    lab.deploy()
    lab.settle()
    for values, reset, more in (
        ({"text": "two"}, [], 2),
        ({"text": "two"}, [], 0),
        ({"number": "7"}, [], 2),
        ({}, ["text"], 0),
    ):
        assert lab.config_changed(values, reset) == more


def test_tools_answer_as_recorded(lab: Lab) -> None:
    lab.deploy(count=3)
    lab.deploy("other", count=1)
    lab.call("integrate", one="probe:source", other="other:sink")
    lab.settle()
    shown = lab.call("status")["status"]["applications"]["probe"]["units"]
    leader = next(name for name, unit in shown.items() if unit.get("leader"))
    follower, third = (name for name in shown if name != leader)
    relations = lab.call("show_unit", name=leader)["relation-info"]
    names = {
        "leader": leader,
        "other": follower,
        "third": third,
        "app": "probe",
        "address": shown[leader]["public-address"],
        "uuid": lab.daemon.store.world.models["m"].uuid,
    }
    names |= {one["endpoint"]: str(one["relation-id"]) for one in relations}
    for unit, story in ((leader, "leader"), (follower, "other"), (leader, "relations")):
        names["address"] = shown[unit]["public-address"]
        calls = _named(RECORDED[story], names)
        if story == "relations":
            assert lab.action(unit, "call", {"calls": []})["status"] == "completed"
        answers = lab.run(unit, [call[0] for call in calls])
        for (argv, code, out, err), answer in zip(calls, answers, strict=True):
            assert (argv, answer["rc"], answer["err"]) == (argv, code, err)
            if argv[0] not in ("state-get", "opened-ports"):
                assert (argv, sorted(_parsed(answer["out"]))) == (argv, sorted(_parsed(out)))
        lab.run(unit, [["state-delete", "k2"], ["close-port", "icmp"]])


def _named(value: Any, names: dict[str, str]) -> Any:
    text = json.dumps(value)
    for name, known in names.items():
        text = text.replace("{" + name + "}", known)
    return json.loads(text)


def _parsed(out: Any) -> list[str]:
    """Return an answer in a form that does not depend on how the units are called."""
    with contextlib.suppress(ValueError):
        out = json.loads(out) if isinstance(out, str) else out
    text = out if isinstance(out, str) else json.dumps(out, sort_keys=True)
    return text.splitlines()


def test_action_changes_are_dropped_when_it_exits_badly(lab: Lab) -> None:
    lab.deploy()
    lab.settle()
    calls = [["state-set", "bad=1"], ["open-port", "4444"], ["secret-add", "key=value"]]
    task = lab.action("probe/0", "call", {"calls": calls, "exit": 5})
    assert (task["status"], task["message"]) == ("failed", "exit status 5")
    assert task["results"]["return-code"] == 5
    got = lab.run("probe/0", [["state-get"], ["opened-ports"], ["secret-ids"]])
    assert [one["out"] for one in got] == ['installed: "yes"\n', "8080/tcp\n", ""]
    task = lab.action("probe/0", "fail", {})
    assert (task["status"], task["message"]) == ("failed", "on purpose")
    assert task["results"] == {"partial": "yes", "return-code": 0}


def test_bad_parameters_never_reach_the_charm(lab: Lab) -> None:
    lab.deploy()
    lab.settle()
    task = lab.action("probe/0", "call", {"exit": "abc"})
    said = 'cannot run "call" action: validation failed: (root).exit : must be of type integer'
    assert (task["status"], task["message"]) == ("error", f'{said}, given "abc"')
    assert "actions/call" not in [one["dispatch"] for one in lab.records()]


def test_removed_unit_leaves_its_relations_stops_and_is_gone(lab: Lab) -> None:
    lab.deploy(count=2)
    lab.deploy("other", count=1)
    lab.call("integrate", one="probe:source", other="other:sink")
    lab.settle()
    lab.call("remove_unit", name="probe/1", force=False)
    lab.wait(lambda: "probe/1" not in lab.daemon.store.world.models["m"].units)
    assert lab.hooks("probe/1")[-5:] == [
        "source-relation-departed other/0",
        "source-relation-broken",
        "peers-relation-departed probe/0",
        "stop",
        "remove",
    ]
    lab.settle()
    departed = lab.records("other/0")[-1]["env"]
    assert departed["JUJU_HOOK_NAME"] == "sink-relation-departed"
    assert departed["JUJU_DEPARTING_UNIT"] == "probe/1"
    # As Juju 4.0.15: its peers are told nothing, relation-list still has it, goal-state not.
    assert not [name for name in lab.hooks("probe/0") if "departed" in name]
    calls = [["relation-list", "-r", "peers:0"], ["goal-state", "--format=json"]]
    listed, goal = lab.run("probe/0", calls)
    assert listed["out"] == "probe/1\n"
    assert list(json.loads(goal["out"])["units"]) == ["probe/0"]
    lab.wait(lambda: list(lab.call("status")["status"]["machines"]) == ["0", "2"])


def test_removed_relation_departs_and_breaks_on_both_sides(lab: Lab) -> None:
    lab.deploy()
    lab.deploy("other")
    lab.call("integrate", one="probe:source", other="other:sink")
    lab.settle()
    lab.call("remove_relation", ends=["probe", "other"], number=0)
    lab.wait(lambda: len(lab.call("show_unit", name="probe/0")["relation-info"]) == 1)
    assert lab.hooks("probe/0")[-2:] == [
        "source-relation-departed other/0",
        "source-relation-broken",
    ]
    departed, broken = lab.records("other/0")[-2:]
    assert departed["env"]["JUJU_DEPARTING_UNIT"] == "probe/0"
    assert broken["env"]["JUJU_REMOTE_APP"] == "probe"


def test_idle_lab_does_not_write_its_models_down_to_compare_them(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.deploy()
    lab.settle()
    saves: list[bool] = []
    monkeypatch.setattr(Store, "_save", lambda _: bool(saves.append(True)))
    time.sleep(2.5)  # Longer than any of its loops waits.
    assert not saves


def test_what_a_unit_saw_outlasts_a_refused_call(lab: Lab) -> None:
    lab.deploy(count=2)
    lab.settle()
    lab.stop()
    reader, writer = "probe/0", "probe/1"
    model = lab.daemon.store.world.models["m"]
    (key,) = [key for key, one in model.relations.items() if one.is_peer]
    context = HookContext(lab.daemon.store, "m", reader)
    ask = ("relation-get", ["-r", f"peers:{key}", "last", writer], dict[str, str]())
    before = context.call(*ask)
    with pytest.raises(JujuError), lab.daemon.store.change():
        raise JujuError("refused")
    with lab.daemon.store.change() as world:
        world.models["m"].relations[key].write(writer, {"last": "new"})
    assert before[1].strip() == f"{writer} config-changed"
    assert context.call(*ask) == before


def test_skipped_events_are_committed_and_only_update_status_runs(lab: Lab) -> None:
    lab.deploy(count=2)
    lab.settle()
    lab.call("skip_hooks", name="probe/0", skip=True)
    before = lab.hooks("probe/0")
    lab.call("add_units", name="probe", count=1, to=[])
    lab.call("set_config", name="probe", values={"text": "other"}, reset=[])
    lab.settle()
    assert lab.hooks("probe/0") == before
    with lab.daemon.store.look() as world:
        model = world.models["m"]
        (scope,) = model.units["probe/0"].scopes.values()
        (peers,) = model.relations.values()
        assert scope.members == {name: peers.versions[name] for name in ("probe/1", "probe/2")}
    lab.call("set_model_config", values={"update-status-hook-interval": "1s"}, reset=[])
    lab.wait(lambda: lab.hooks("probe/0")[len(before) :][:1] == ["update-status"])
    lab.call("skip_hooks", name="probe/0", skip=False)
    lab.call("set_config", name="probe", values={"text": "hello"}, reset=[])
    lab.wait(lambda: "config-changed" in lab.hooks("probe/0")[len(before) :])


def test_lease_moves_when_the_leaders_machine_is_off(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE_S", 0.6)
    monkeypatch.setattr(leases, "RENEW_S", 0.2)
    lab.deploy(count=2)
    lab.settle()
    old, new = ("0", "1") if _unit(lab, "probe/0").get("leader") else ("1", "0")
    lab.machines.off.add(old)
    lab.wait(lambda: _unit(lab, f"probe/{new}").get("leader"))
    assert _unit(lab, f"probe/{old}")["juju-status"]["current"] == "lost"
    lab.wait(lambda: lab.hooks(f"probe/{new}")[-1] == "leader-elected")
    lab.machines.off.clear()
    lab.machines.reboot(old)
    lab.wait(lambda: lab.hooks(f"probe/{old}")[-2:] == ["start", "config-changed"])
    assert not _unit(lab, f"probe/{old}").get("leader")


def test_forced_removal_of_a_unit_on_a_lost_machine_needs_no_events(lab: Lab) -> None:
    lab.deploy(count=2)
    lab.settle()
    lab.machines.off.add("1")
    lab.wait(lambda: _unit(lab, "probe/1")["juju-status"]["current"] == "lost")
    before = lab.hooks("probe/1")
    lab.call("remove_unit", name="probe/1", force=True)
    lab.wait(lambda: list(lab.call("status")["status"]["machines"]) == ["0"])
    assert lab.hooks("probe/1") == before


def test_refresh_keeps_the_state_of_the_charm_and_drops_old_files(lab: Lab) -> None:
    lab.deploy()
    lab.settle()
    charm = Path(lab.daemon.runtime.home, "agents/unit-probe-0/charm")
    (charm / ".unit-state.db").write_text("kept")
    path = pack(lab.folder, summary="new")
    url = lab.call("upload", path=str(path))["url"]
    lab.call("refresh", name="probe", url=url)
    lab.wait(lambda: lab.hooks()[-2:] == ["upgrade-charm", "config-changed"])
    assert (charm / ".unit-state.db").read_text() == "kept"
    assert "new" in (charm / "metadata.yaml").read_text()
    assert _unit(lab)["juju-status"]["version"] == "4.0.15"


def test_a_unit_whose_upgrade_failed_stays_at_its_revision_until_it_is_resolved(lab: Lab) -> None:
    lab.deploy(config={"fail-on": "upgrade-charm"})
    lab.settle()
    charm = Path(lab.daemon.runtime.home, "agents/unit-probe-0/charm/metadata.yaml")
    for summary in ("bad", "good"):
        url = lab.call("upload", path=str(pack(lab.folder, summary=summary)))["url"]
        lab.call("refresh", name="probe", url=url)
        lab.wait(lambda: _unit(lab)["workload-status"]["current"] == "error")
    lab.call("resolved", units=["probe/0"], every=False, retry=True)
    lab.wait(lambda: lab.hooks().count("upgrade-charm") > 1)
    assert "bad" in charm.read_text()
    lab.call("set_config", name="probe", values={"fail-on": ""}, reset=[])
    lab.call("resolved", units=["probe/0"], every=False, retry=False)
    lab.wait(lambda: "good" in charm.read_text())


def test_secret_revisions_are_tracked_told_and_removed(lab: Lab) -> None:
    lab.deploy()
    lab.deploy("other")
    lab.call("integrate", one="probe:source", other="other:sink")
    lab.settle()
    uri = lab.run("probe/0", [["secret-add", "--label", "mine", "key=one"]])[0]["out"].strip()
    bare = uri.rpartition("/")[2]
    refused = lab.run("other/0", [["secret-get", uri]])[0]
    assert refused["err"] == 'ERROR "other/0" is not allowed to read this secret'
    lab.run("probe/0", [["secret-grant", "--relation", "2", uri]])
    assert lab.run("other/0", [["secret-get", uri, "--label", "theirs"]])[0]["out"] == "key: one\n"
    lab.run("probe/0", [["secret-set", bare, "key=two"]])
    lab.wait(lambda: lab.hooks("other/0")[-1] == "secret-changed")
    env = lab.records("other/0")[-1]["env"]
    assert (env["JUJU_SECRET_ID"], env["JUJU_SECRET_LABEL"]) == (f"secret:{bare}", "theirs")
    calls = [["secret-get", uri], ["secret-get", uri, "--peek"], ["secret-get", uri, "--refresh"]]
    got = [one["out"] for one in lab.run("other/0", calls)]
    assert got == ["key: one\n", "key: two\n", "key: two\n"]
    lab.wait(lambda: lab.hooks("probe/0")[-1] == "secret-remove")
    env = lab.records("probe/0")[-1]["env"]
    assert (env["JUJU_SECRET_ID"], env["JUJU_SECRET_REVISION"]) == (bare, "1")
    assert lab.run("other/0", [["secret-get", uri]])[0]["out"] == "key: two\n"
    lab.run("probe/0", [["secret-set", bare, "key=two"]])
    info = json.loads(lab.run("probe/0", [["secret-info-get", bare, "--format=json"]])[0]["out"])
    assert info[bare]["revision"] == 2
    assert info[bare]["access"][0]["scope"] == "relation-probe.source#other.sink"


def test_foreign_secret_is_refused_at_the_commit(lab: Lab) -> None:
    lab.deploy()
    lab.deploy("other")
    lab.settle()
    uri = lab.run("probe/0", [["secret-add", "key=one"]])[0]["out"].strip()
    task = lab.action("other/0", "call", {"calls": [["secret-set", uri, "key=two"]]})
    assert json.loads(task["results"]["calls"])[0]["rc"] == 0
    assert task["message"] == "committing requested changes failed"
    refused = 'updating secrets: "other/0" is not allowed to manage this secret'
    assert task["results"]["stderr"] == refused


def first_life(folder: Path, deed: str) -> dict[str, Any]:
    """Run a daemon that does something, kill it when the charm sleeps; return its model."""
    script = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from local import start
        lab = start(Path({str(folder)!r}))
        model = {{"name": "m", "config": {{}}}}
        lab.daemon.ask({{"method": "add_model", "params": model}})
        {deed}
        time.sleep(60)
        """
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": paths}
    )
    while not (folder / "records.jsonl.asleep").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return json.loads((folder / "state/juju/models.json").read_text())["models"]["m"]


def test_a_running_stage_is_shuffled_by_another_seed_and_keeps_that(
    lab: Lab, tmp_path: Path
) -> None:
    assert lab.daemon.ask({"method": "shuffle", "params": {"seed": 7}}) == {"result": None}
    assert lab.daemon.runtime.rng.random() == random.Random(7).random()
    assert Store(tmp_path / "state/juju", World(0, "")).world.seed == 7


def test_a_stage_keeps_its_first_seed_and_tells_it(tmp_path: Path) -> None:
    for seed in (5, 6):
        lab = start(tmp_path, seed=seed)
        lab.daemon.ask({"method": "add_model", "params": {"name": "m", "config": {}}})
        assert (tmp_path / "state/run/seed").read_text() == "5"
        lab.stop()


def test_killed_daemon_runs_the_interrupted_event_again(tmp_path: Path) -> None:
    model = first_life(tmp_path, 'lab.deploy(config={"text": "sleep install"})')
    interrupted = model["units"]["probe/0"]["hook"]["context"]
    lab = start(tmp_path, LocalMachines(tmp_path, boots={"0": 1}))
    try:
        lab.call("set_config", name="probe", values={"text": "hello"}, reset=[])
        lab.settle()
        records = lab.records()
        assert lab.hooks()[0] == "install"
        assert [one["dispatch"] for one in records].count("hooks/install") == 1
        assert records[0]["env"]["JUJU_CONTEXT_ID"] != interrupted
    finally:
        lab.stop()


def test_an_action_that_a_killed_daemon_ran_fails_and_is_ended(tmp_path: Path) -> None:
    sleep = ["sh", "-c", f"touch {tmp_path}/records.jsonl.asleep; sleep 60"]
    deed = f"lab.deploy(); lab.settle(); lab.action('probe/0', 'call', {{'calls': [{sleep}]}})"
    task = first_life(tmp_path, deed)["tasks"]["1"]
    lab = start(tmp_path, LocalMachines(tmp_path, boots={"0": 1}))
    try:
        assert lab.call("tasks", ids=["1"])[0]["message"] == "action terminated"
        app = lab.call("status")["status"]["applications"]["probe"]
        assert app["units"]["probe/0"]["juju-status"]["current"] == "idle"
        assert _runs(task["context"])
        lab.run("probe/0", [])
        assert not _runs(task["context"])
    finally:
        lab.stop()


def _runs(context: str) -> bool:
    return any(f"JUJU_CONTEXT_ID={context}" in env for _, _, env in host.processes())
