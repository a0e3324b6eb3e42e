# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The command line's usual mistakes, and what of Juju's it refuses by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from local import Juju, start

from charmed_lab import output

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
