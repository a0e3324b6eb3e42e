# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The command line's usual mistakes, and what of Juju's it refuses by name."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from local import Juju, start

from charmed_lab import bundle_file, client, output
from charmed_lab.model import Hook
from charmed_lab.stage import REPOSITORY, Stage

RECORDED = json.loads((Path(__file__).parent / "recorded_yaml.json").read_text())
BUNDLE = """
machines: {"0": {}}
applications:
  red: {charm: ./probe-a.charm, num_units: 1, to: ["0"]}
  blue: {charm: ./probe-b.charm}
relations: [["red:source", "blue:sink"]]
"""
MISSING = "ERROR open missing: no such file or directory\n"


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda one: " ".join(one["argv"]))
def test_yaml_is_written_as_juju_writes_it(recorded: dict[str, Any]) -> None:
    text = recorded["stdout"]
    assert output.to_yaml(output.from_yaml(text)) == text


def test_an_empty_key_of_status_is_quoted(juju: Juju) -> None:
    juju("deploy", "./probe.charm", "-n", "0")
    text = juju("status", "--format", "yaml")[1]
    assert '\n    endpoint-bindings:\n      "": alpha\n      juju-info: alpha\n' in text


@pytest.mark.parametrize(
    ("name", "near"),
    [
        *(("enable-ha", "enable-user"), ("leader", "exec"), ("nonsense", "consume")),
        *(("run-action", "show-action"), ("annotations", "actions")),
    ],
)
def test_no_command_of_juju_is_answered_as_recorded(juju: Juju, name: str, near: str) -> None:
    said = f'ERROR juju: "{name}" is not a juju command. See "juju --help".\n\n'
    assert juju(name, "red") == (1, "", f"{said}Did you mean:\n\t{near}\n")


def test_wait_for_is_no_command_as_recorded(juju: Juju) -> None:
    said = "ERROR unrecognized command: juju wait-for\n"
    assert juju("wait-for", "application", "red") == (1, "", said)


def test_no_model_is_selected_as_recorded(juju: Juju) -> None:
    juju("add-model", "--no-switch", "other")
    (juju.lab.daemon._stage.state / "client.json").unlink()
    said = 'ERROR No selected model.\n\nUse "juju switch" to select one of the following models:\n'
    assert juju("status") == (2, "", f"{said}\n  - lab:admin/m\n  - lab:admin/other\n")


def test_the_end_of_a_model_is_told_before_as_recorded(juju: Juju) -> None:
    juju("deploy", "./probe.charm", "red", "-n", "2")
    juju("deploy", "./probe.charm", "blue", "-n", "0")
    assert juju("destroy-model", "m") == (
        1,
        "",
        'WARNING This command will destroy the "m" model and affect the following resources. It '
        "cannot be stopped.\n\n"
        " - 2 machines will be destroyed\n"
        '  - machine list: "0 (pending)" "1 (pending)"\n'
        " - 2 applications will be removed\n"
        '  - application list: "blue" "red"\n'
        " - 0 filesystem and 0 volume will be destroyed\n\n"
        "To continue, enter the name of the model to be unregistered: "
        "ERROR model destruction: aborted\n",
    )


def test_the_log_is_shown_as_asked(juju: Juju) -> None:
    world = juju.lab.daemon.store.world
    juju.lab.daemon.store.log(world.models["m"].uuid, "unit-a-0", "INFO", "unit", "<done>")
    (line,) = juju("debug-log", "--format", "json", "--include", "a/0")[1].splitlines()
    keys = ("model-uuid", "timestamp", "entity", "level", "module", "location", "message")
    assert tuple(json.loads(line)) == keys
    assert line.endswith('"location":"","message":"\\u003cdone\\u003e"}')
    text = juju("debug-log", "--ms", "--include", "a/0")[1]
    assert re.fullmatch(r"unit-a-0: \d\d:\d\d:\d\d\.\d{3} INFO unit <done>\n", text)
    known = '"TRACE", "DEBUG", "INFO", "WARNING", "ERROR"'
    said = f'ERROR level value "loud" is not one of {known}\n'
    assert juju("debug-log", "--level", "loud") == (2, "", said)


# What is refused by name.


def test_the_readme_lists_what_is_refused() -> None:
    client.execute(Stage(), ["help"])  # The commands register.
    text = (REPOSITORY / "lab/README.md").read_text()
    section = text.partition("## What the lab's juju does not do")[2].partition("\n## ")[0]
    commands = section.partition("Commands: ")[2].partition("\n\n")[0]
    assert re.findall(r"`(.+?)`", commands) == client.LEFT_OUT.split()
    assert not client.COMMANDS.keys() & set(client.LEFT_OUT.split())
    listed: dict[str, set[str]] = {}
    for names, options in re.findall(r"^\| (.+?) \| (`.+`) \|$", section, re.MULTILINE):
        words = {one.lstrip("-") for one in re.findall(r"`(.+?)`", options)}
        listed |= dict.fromkeys(re.findall(r"[\w-]+", names), words)
    assert listed == {
        "all": {*client.LEFT_OUT_OF_ALL.split()},
        "itself": {*bundle_file.LEFT_OUT_ABOVE.split()},
        "application": {*bundle_file.LEFT_OUT.split()},
        "machine": {*bundle_file.LEFT_OUT_OF_MACHINES.split()},
        **{name: {*one.left_out} for name, one in client.COMMANDS.items() if one.left_out},
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("show-machine 0", '"show-machine" is not part of the lab\'s juju. See "juju --help".'),
        ("status --debug", "option --debug is not part of the lab"),
        ("run a/0 act --background", "option --background is not part of the lab"),
        ("debug-log -n 5", "option -n is not part of the lab"),
        ("debug-log -o file", "option -o is not part of the lab"),
        ("remove-machine 0 --keep-instance", "option --keep-instance is not part of the lab"),
        ("deploy ./probe.charm --format json", "option provided but not defined: --format"),
        ("remove-unit a/0 --timeout 5s", "option provided but not defined: --timeout"),
        ("destroy-model m --no-prompt --no-wait", "--no-wait without --force not valid"),
        ("config probe --format tabular", 'invalid value "tabular" for option --format: unknown '
         'format "tabular"'),
        ("ssh 0 -L 80:x:80 true", "ssh option -L is not part of the lab"),
    ],
)  # fmt: skip
def test_options_without_effect_are_refused_by_name(juju: Juju, line: str, said: str) -> None:
    juju("deploy", "./probe.charm")
    assert juju(*line.split()) == (2, "", f"ERROR {said}\n")
    assert list(json.loads(juju("status", "--format", "json")[1])["machines"]) == ["0"]


def test_force_is_refused_where_the_lab_would_not_do_it(juju: Juju) -> None:
    for name in ("red", "blue"):
        juju("deploy", "./probe.charm", name)
    juju("integrate", "red:source", "blue:sink")
    with juju.lab.daemon.store.change() as world:
        unit = world.models["m"].units["red/0"]
        unit.failed, unit.hook = True, Hook("install")
    said = "ERROR option --{} is not part of the lab while red/0 is stuck\n"
    again = ("red", "--path", "./probe.charm")
    assert juju("refresh", *again, "--force-units") == (2, "", said.format("force-units"))
    for ends in (("red:source", "blue"), ("2",)):
        assert juju("remove-relation", *ends, "--force") == (2, "", said.format("force"))
    with juju.lab.daemon.store.change() as world:
        world.models["m"].units["red/0"].failed = False
    assert juju("refresh", *again, "--force", "--force-units", "--trust")[0] == 0
    assert juju("config", "red", "trust")[1] == "true\n"
    assert juju("remove-relation", "red:source", "blue:sink", "--force") == (0, "", "")


def test_refresh_to_another_base_needs_force(juju: Juju) -> None:
    juju("deploy", "./probe.charm")
    with juju.lab.daemon.store.change() as world:
        world.models["m"].applications["probe"].base = "ubuntu@22.04"
    said = 'ERROR base "ubuntu@22.04" is not supported, supported bases are: ubuntu@24.04\n'
    given = ("refresh", "probe", "--path", "./probe.charm")
    assert juju(*given)[::2] == (1, said.replace('22.04"', '22.04/stable"'))
    assert juju(*given, "--force-base")[0] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"applications": {"red": {"bindings": {"": "alpha"}}}}, 'bindings of application "red"'),
        ({"applications": {"red": {"scale": 0}}}, 'scale of application "red"'),
        ({"machines": {"0": {"constraints": "mem=1G"}}}, 'constraints of machine "0"'),
        ({"saas": {"x": {"url": "a/b.c"}}}, "saas of the bundle"),
    ],
)
def test_keys_of_a_bundle_are_refused_by_name(
    juju: Juju, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    (tmp_path / "bundle.yaml").write_text(BUNDLE)
    (tmp_path / "over.yaml").write_text(yaml.safe_dump(change))
    refused = f"ERROR {said} in a bundle is not part of the lab\n"
    assert juju("deploy", "./bundle.yaml", "--overlay", "over.yaml") == (2, "", refused)


# Mistakes.


@pytest.mark.parametrize("content", ["[1, 2]", "word", "3"])
def test_parameters_that_are_no_map_are_refused(juju: Juju, tmp_path: Path, content: str) -> None:
    juju("deploy", "./probe.charm")
    (tmp_path / "p.yaml").write_text(content)
    said = "params must contain a YAML map with string keys"
    given = ("run", "probe/0", "call", "--params", "p.yaml")
    assert juju(*given) == (1, "", f"ERROR {said}\n")
    asked = {"receivers": ["probe/0"], "name": "call", "parameters": yaml.safe_load(content)}
    assert juju.lab.refused("enqueue", **asked) == said
    juju.lab.stop()
    assert start(tmp_path, juju.lab.machines).call("tasks", ids=[]) == []


@pytest.mark.parametrize(
    "line",
    [
        *("run probe/0 call --params missing", "config probe text=@missing"),
        *("deploy ./probe.charm other --config missing", "add-secret s --file missing"),
        *("add-secret s key#file=missing", "deploy ./bundle.yaml --overlay missing"),
    ],
)
def test_a_missing_file_is_named(juju: Juju, tmp_path: Path, line: str) -> None:
    (tmp_path / "bundle.yaml").write_text(BUNDLE)
    juju("deploy", "./probe.charm")
    code, _, err = juju(*line.split())
    assert (code, err.endswith(MISSING)) == (1, True)


@pytest.mark.parametrize("content", ["[1]", "text", "other: [1]", "other: 1"])
def test_configuration_that_is_no_map_is_refused(juju: Juju, tmp_path: Path, content: str) -> None:
    (tmp_path / "c.yaml").write_text(content)
    code, _, err = juju("deploy", "./probe.charm", "other", "--config", "c.yaml")
    said = 'ERROR "c.yaml" does not map application names to their options\n'
    assert (code, err.endswith(said)) == (1, True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("key#base64=/w==", '"key" is no text: a secret of bytes is not part of the lab'),
        ("key#base64=@@@", 'value of "key" is not base64'),
    ],
)
def test_content_of_secrets_that_cannot_be_kept_is_refused(
    juju: Juju, given: str, said: str
) -> None:
    assert juju("add-secret", "s", given) == (2, "", f"ERROR {said}\n")


def test_a_secrets_file_without_a_map_is_refused(juju: Juju, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("[1]")
    said = "ERROR a secret's file must hold a YAML map of its keys\n"
    assert juju("add-secret", "s", "--file", "s.yaml") == (2, "", said)


def test_dates_and_dotted_keys_are_taken_as_juju_takes_them(juju: Juju) -> None:
    juju("deploy", "./probe.charm")
    words = ("d=2026-11-22", "a=1", "a.b=2")
    assert "timed out" in juju("run", "probe/0", "call", *words, "--wait", "0.1s")[2]
    with juju.lab.daemon.store.look() as world:
        (task,) = world.models["m"].tasks.values()
    assert task.parameters == {"d": "2026-11-22", "a": {"b": 2}}
    assert juju("model-config", "x=2026-11-22")[0] == 0
    assert juju("model-config", "x") == (0, "2026-11-22\n", "")


def test_a_wrong_number_is_refused_before_anything_is_done(juju: Juju) -> None:
    code, out, err = juju("deploy", "./probe.charm", "-n", "-1")
    assert (code, out, 'invalid value "-1" for option --num-units' in err) == (2, "", True)
    assert 'charm "probe", revision 0\n' in juju("deploy", "./probe.charm")[2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"applications": {"red": {"to": 0}}}, 'to of "red" in applications is not a list'),
        (
            {"applications": {"red": {"num_units": "1"}}},
            'num_units of "red" in applications is not a number',
        ),
        ({"applications": []}, "applications of the bundle is not a map"),
        ({"machines": {"0": [1]}}, '"0" in machines is not a map'),
        ({"relations": ["red"]}, "relations is not a list of lists of endpoints"),
    ],
)
def test_a_bundle_of_the_wrong_shape_is_refused(
    juju: Juju, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    (tmp_path / "bundle.yaml").write_text(yaml.safe_dump(yaml.safe_load(BUNDLE) | change))
    cannot = "ERROR cannot deploy bundle: cannot unmarshal bundle contents:"
    assert juju("deploy", "./bundle.yaml") == (1, "", f"{cannot} {said}\n")


def test_a_relation_has_two_ends(juju: Juju, tmp_path: Path) -> None:
    change = {"relations": [["red:source"]]}
    (tmp_path / "bundle.yaml").write_text(yaml.safe_dump(yaml.safe_load(BUNDLE) | change))
    code, _, err = juju("deploy", "./bundle.yaml")
    assert (code, err.splitlines()[-1]) == (1, 'relation ["red:source"] has 1 endpoint(s), not 2')


def test_files_are_included_in_annotations_too(juju: Juju, tmp_path: Path) -> None:
    bundle = yaml.safe_load(BUNDLE)
    (tmp_path / "note").write_text("from a file")
    for name, code in (("missing", 1), ("note", 0)):
        bundle["applications"]["red"]["annotations"] = {"note": f"include-file://{name}"}
        (tmp_path / "bundle.yaml").write_text(yaml.safe_dump(bundle))
        assert juju("deploy", "./bundle.yaml")[0] == code
    noted = juju.lab.call("status")["noted"]["red"]["annotations"]
    assert noted == {"note": "from a file"}
