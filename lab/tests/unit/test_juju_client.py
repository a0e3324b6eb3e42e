# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The command line: its texts and exit codes as recordings of Juju 4.0.15 have them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from local import Juju, pack

from charmed_lab import client

BUNDLE: dict[str, Any] = {
    "machines": {"0": {}, "1": {}, "2": {}},
    "applications": {
        "red": {
            "charm": "./probe-a.charm",
            "num_units": 3,
            "to": ["0", "1", "2"],
            "options": {"text": "from the bundle", "number": 11},
        },
        "blue": {
            "charm": "./probe-b.charm",
            "num_units": 2,
            "to": ["red/0", "red/1"],
            "annotations": {"note": "hello"},
        },
    },
    "relations": [["red:source", "blue:sink"]],
}


def test_models_are_made_chosen_and_missed(juju: Juju) -> None:
    code, out, err = juju("add-model", "--no-switch", "other")
    assert (code, out) == (0, "")
    assert err.startswith("Added 'other' model with credential 'default' for user 'admin'\n")
    assert juju("add-model", "m") == (
        1,
        "",
        "ERROR model admin/m already exists (already exists)\n",
    )
    assert juju("switch", "other") == (0, "", "lab:admin/m -> lab:admin/other\n")
    assert juju("switch", "other") == (0, "", "lab:admin/other (no change)\n")
    assert juju("status", "-m", "nonsense")[::2] == (1, "ERROR model lab:nonsense not found\n")
    code, out, err = juju("status", "--format", "json", "--model", "lab:admin/m")
    assert (code, err) == (0, '\nModel "admin/m" is empty.\n')
    assert json.loads(out)["machines"] == {}
    assert json.loads(juju("show-model", "m", "--format", "json")[1])["m"]["name"] == "admin/m"
    assert juju("show-model", "x", "--format=json")[1] == "{}\n"
    assert juju("whoami")[1] == "Controller:  lab\nModel:       other\nUser:        admin\n"


def test_unknown_commands_and_options_are_refused_by_name(juju: Juju) -> None:
    code, _, err = juju("offer", "red:source")
    assert (code, '"offer" is not part of the lab' in err) == (2, True)
    said = "ERROR option provided but not defined: --nonsense\n"
    assert juju("status", "--nonsense") == (2, "", said)
    assert juju("deploy") == (2, "", "ERROR no charm or bundle specified\n")
    code, _, err = juju("deploy", "./probe.charm", "--to", "lxd:0")
    assert (code, "only machine numbers" in err) == (1, True)
    code, _, err = juju("deploy", "./probe.charm", "--bind", "alpha")
    assert (code, err) == (2, "ERROR option --bind is not part of the lab\n")
    code, _, err = juju("refresh", "probe", "--channel=edge")
    assert (code, err) == (2, "ERROR option --channel is not part of the lab\n")
    code, _, err = juju("add-unit", "probe", "-n", "two")
    assert (code, 'invalid value "two" for option --num-units' in err) == (2, True)


def test_deploy_says_what_juju_says(juju: Juju) -> None:
    said = 'ERROR no charm was found at "./nonexistent.charm"\n'
    assert juju("deploy", "./nonexistent.charm") == (1, "", said)
    located = (
        'Located local charm "probe", revision {0}\n'
        'Deploying "probe" from local charm "probe", revision {0} on ubuntu@24.04/stable\n'
    )
    missing = (
        'ERROR cannot deploy "probe": preparing application args: making unit args: getting '
        'machine "99" for unit placement directive: machine with name "99" does not exist\n'
    )
    assert juju("deploy", "./probe.charm", "--to", "99") == (1, "", located.format(0) + missing)
    wrong = (
        'ERROR cannot deploy "probe": preparing application args: validating create application '
        'args: validating application config: unknown option "nonsense"\n'
    )
    given = ("deploy", "./probe.charm", "--config", "nonsense=1")
    assert juju(*given) == (1, "", located.format(1) + wrong)
    assert juju("deploy", "./probe.charm", "Bad_Name")[::2] == (
        2,
        'ERROR invalid application name "Bad_Name", unexpected uppercase character\n',
    )
    assert juju("deploy", "./probe.charm", "--config", "text=mine") == (0, "", located.format(2))
    again = (
        'ERROR cannot deploy "probe": creating application "probe": creating IAAS application '
        '"probe": inserting IAAS application "probe": checking if application "probe" exists: '
        "application already exists\n"
    )
    assert juju("deploy", "./probe.charm") == (1, "", located.format(3) + again)
    assert juju("config", "probe", "text")[:2] == (0, "mine\n")
    assert juju("config", "probe", "number=seven") == (
        1,
        "{}\n",
        'ERROR option "number" expected int, got "seven"\n',
    )
    assert juju("config", "probe", "x=1") == (
        1,
        "{}\n",
        'ERROR invalid application config: unknown option "x"\n',
    )


def test_relations_are_refused_with_the_reason(juju: Juju) -> None:
    juju("deploy", "./probe.charm", "red")
    juju("deploy", "./probe.charm", "blue")
    where = 'ERROR adding relation between endpoints "{0}" and "{1}": '
    cannot = where + 'cannot relate endpoints "{0}" and "{1}": '
    for one, other, said in (
        (
            "red:source",
            "blue:no",
            cannot + "no candidates for blue:no: relation endpoint not found",
        ),
        (
            "red:source",
            "blue:source",
            cannot + "no compatible endpoints found between applications",
        ),
        (
            "red:no",
            "x:no",
            cannot + "no candidates for red:no and x:no: relation endpoint not found",
        ),
    ):
        assert juju("integrate", one, other) == (1, "", said.format(one, other) + "\n")
    could = '"red:source blue:sink"; "red:sink blue:source"'
    assert (
        f'ambiguous relation: "red blue" could refer to {could}'
        in juju("integrate", "red", "blue")[2]
    )
    assert juju("integrate", "red:source", "blue:sink") == (0, "", "")
    said = where + 'cannot add relation "{0}", "{1}": relation {0} {1}: already exists\n'
    again = ("blue:sink", "red:source")
    assert juju("integrate", *again) == (1, "", said.format(*again))
    assert juju("remove-relation", "red", "blue:x")[::2] == (
        1,
        "ERROR relation with endpoints [red blue:x] or id 0 not found (not found)\n",
    )
    assert juju("remove-relation", "red:source", "blue:sink")[0] == 0


def test_an_endpoint_takes_no_more_relations_than_its_limit(juju: Juju, tmp_path: Path) -> None:
    # As Juju's source reads: checkEndpointCapacity in domain/relation/state of 4.0,
    # enforceMaxRelationLimit in state/state.go of 3.6.
    pack(tmp_path, "one", requires={"sink": {"interface": "probe", "limit": 1}})
    for charm, app in (("one", "one"), ("probe", "red"), ("probe", "blue")):
        juju("deploy", f"./{charm}.charm", app)
    assert juju("integrate", "one:sink", "red:source") == (0, "", "")
    where = 'ERROR adding relation between endpoints "{0}" and "{1}": '
    cannot = 'cannot add relation "{0}", "{1}": relation {0} {1}: '
    would = "establishing a new relation for one:sink would exceed its maximum relation limit of 1"
    second = ("blue:source", "one:sink")
    said = (where + cannot).format(*second) + would
    assert juju("integrate", *second) == (1, "", f"{said}\n")
    assert juju("remove-relation", "one:sink", "red:source")[0] == 0
    assert juju("integrate", *second) == (0, "", "")


def test_status_tables_look_as_recorded(juju: Juju) -> None:
    juju("deploy", "./probe.charm", "red", "-n", "2")
    text = juju("status", "--relations")[1]
    apps, units, machines, relations = text.split("\n\n")[1:]
    assert apps.splitlines() == [
        "App  Version  Status   Scale  Charm  Channel  Rev  Exposed  Message",
        "red           waiting    0/2  probe             0  no       waiting for machine",
    ]
    assert units.splitlines()[1] == (
        "red/0  waiting   allocating  0                               waiting for machine"
    )
    header = "Machine State Address Inst id Base AZ Message"
    assert machines.splitlines()[0].split() == header.split()
    assert relations.splitlines()[1].split() == [
        "red:peers",
        "red:peers",
        "probe-peers",
        "peer",
        "joining",
    ]
    found = yaml.safe_load(juju("status", "--format", "yaml")[1])
    assert found["applications"]["red"]["units"]["red/1"]["machine"] == "1"


def test_removal_asks_and_tells(juju: Juju) -> None:
    juju("deploy", "./probe.charm", "red", "-n", "2")
    listed = "will remove application red\n- will remove unit red/0\n- will remove unit red/1\n"
    warning = "WARNING This command will perform the following actions:\n"
    assert juju("remove-application", "--no-prompt", "--dry-run", "red") == (0, listed, warning)
    code, out, err = juju("remove-application", "red")
    assert (code, out) == (1, listed)
    assert err == warning + "\nContinue [y/N]? ERROR application removal: aborted\n"
    assert juju("remove-unit", "--no-prompt", "red/1") == (0, "will remove unit red/1\n", "")
    assert juju("remove-application", "--no-prompt", "nonsense") == (
        1,
        "",
        'ERROR removing application nonsense failed: application "nonsense" not found\n',
    )
    assert juju("destroy-model", "m", "--no-prompt", "--timeout", "5s")[::2] == (
        2,
        "ERROR --timeout can only be used with --force (dangerous)\n",
    )


def test_operators_secrets_are_kept_granted_and_shown(juju: Juju) -> None:
    juju("deploy", "./probe.charm")
    code, uri, _ = juju("add-secret", "mine", "password=hunter")
    bare = uri.strip().removeprefix("secret:")
    assert (code, len(bare)) == (0, 20)
    assert juju("add-secret", "mine", "password=hunter")[2] == (
        'ERROR secret with name "mine" already exists\n'
    )
    assert juju("add-secret", "bad", "BAD=1")[::2] == (2, 'ERROR key "BAD" not valid\n')
    assert juju("grant-secret", "mine", "probe") == (0, "", "")
    assert juju("update-secret", "mine", "password=newer") == (0, "", "")
    shown = json.loads(juju("show-secret", "mine", "--reveal", "--format", "json")[1])[bare]
    assert (shown["revision"], shown["owner"]) == (2, "<model>")
    assert shown["content"] == {"Data": {"password": "newer"}}
    assert json.loads(juju("secrets", "--format", "json")[1])[bare]["name"] == "mine"
    missing = 'getting user secret for label "x": secret with label "x" not found'
    assert juju("remove-secret", "x") == (1, "", f"ERROR {missing}\n")
    assert juju("config", "probe", "token=plain")[2] == (
        'ERROR invalid secret URI for option "token": secret URI "plain" not valid\n'
    )
    assert juju("config", "probe", f"token={uri.strip()}")[0] == 0


def test_bundle_says_and_makes_its_changes(juju: Juju, tmp_path: Path) -> None:
    path = tmp_path / "bundle.yaml"
    path.write_text(yaml.safe_dump(BUNDLE))
    lines = [
        "- upload charm ./probe-b.charm for base ubuntu@24.04/stable",
        "- deploy application blue on ubuntu@24.04/stable",
        "- set annotations for blue",
        "- upload charm ./probe-a.charm for base ubuntu@24.04/stable",
        "- deploy application red on ubuntu@24.04/stable",
        "- add new machine 0 (bundle machine 0)",
        "- add new machine 1 (bundle machine 1)",
        "- add new machine 2 (bundle machine 2)",
        "- add relation red:source - blue:sink",
        "- add unit red/0 to new machine 0",
        "- add unit red/1 to new machine 1",
        "- add unit red/2 to new machine 2",
        "- add unit blue/0 to new machine 0 to satisfy [red/0]",
        "- add unit blue/1 to new machine 1 to satisfy [red/1]",
    ]
    code, out, err = juju("deploy", "./bundle.yaml", "--dry-run")
    assert (code, out.splitlines(), err) == (0, ["Changes to deploy bundle:", *lines], "")
    code, out, err = juju("deploy", "./bundle.yaml")
    assert (code, out.splitlines()) == (0, ["Executing changes:", *lines])
    assert err == "Deploy of bundle completed.\n"
    found = json.loads(juju("status", "--format", "json")[1])["applications"]
    placed = {
        name: unit["machine"] for app in found.values() for name, unit in app["units"].items()
    }
    assert placed == {"blue/0": "0", "blue/1": "1", "red/0": "0", "red/1": "1", "red/2": "2"}
    assert juju("config", "red", "number")[1] == "11\n"
    constraints = 'Executing changes:\n- set constraints for blue to ""\n'
    code, out, _ = juju("deploy", "./bundle.yaml")
    assert (code, out) == (0, f'{constraints}- set constraints for red to ""\n')
    assert juju("deploy", "./bundle.yaml") == (0, "", "No changes to apply.\n")
    _grow(path)
    code, out, _ = juju("deploy", "./bundle.yaml", "--map-machines=existing")
    assert (code, out.splitlines()[1:]) == (
        0,
        [
            "- upload charm ./probe-b.charm for base ubuntu@24.04/stable",
            "- deploy application green on ubuntu@24.04/stable",
            "- add relation red:sink - green:source",
            "- add unit blue/2 to existing machine 2 to satisfy [red/2]",
            "- add unit green/0 to existing machine 2",
        ],
    )


@pytest.mark.parametrize("made", range(1, 13))
def test_a_bundle_that_was_cut_short_is_continued(
    juju: Juju, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: int
) -> None:
    (tmp_path / "bundle.yaml").write_text(yaml.safe_dump(BUNDLE))
    call, left = client.Session.call, iter(range(made))

    def cut_short(self: client.Session, method: str, **params: Any) -> Any:
        if method not in ("status", "config") and next(left, None) is None:
            raise KeyboardInterrupt
        return call(self, method, **params)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(client.Session, "call", cut_short)
        juju("deploy", "./bundle.yaml")
    juju("deploy", "./bundle.yaml", "--map-machines=existing")
    report = json.loads(juju("status", "--format", "json")[1])
    found = report["applications"]
    placed = [unit["machine"] for name in ("red", "blue") for unit in _units(found[name])]
    assert (placed, list(report["machines"])) == (["0", "1", "2", "0", "1"], ["0", "1", "2"])
    assert "source" in found["red"]["relations"]


def _units(app: dict[str, Any]) -> list[dict[str, Any]]:
    return list(app["units"].values())


def _grow(path: Path) -> None:
    """Add a unit, an application and a relation to the bundle."""
    more = yaml.safe_load(path.read_text())
    more["applications"]["blue"] |= {"num_units": 3, "to": ["red/0", "red/1", "red/2"]}
    green = {"charm": "./probe-b.charm", "num_units": 1, "to": ["2"]}
    more["applications"]["green"] = green
    more["relations"].append(["red:sink", "green:source"])
    path.write_text(yaml.safe_dump(more))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"relations": [["red:source", "green:sink"]]},
            'relation ["red:source" "green:sink"] refers to application "green" not defined in '
            "this bundle",
        ),
        (
            {"machines": {"0": {}, "1": {}, "2": {}, "3": {}}},
            'machine "3" is not referred to by a placement directive',
        ),
        (
            {"applications": {**BUNDLE["applications"], "blue": {"charm": "./missing.charm"}}},
            'charm path in application "blue" does not exist: ./missing.charm',
        ),
        (
            {"applications": {**BUNDLE["applications"], "blue": {"charm": "probe-b.charm"}}},
            'invalid charm URL in application "blue": cannot parse name and/or revision in URL '
            '"probe-b.charm": name "probe-b.charm" not valid',
        ),
    ],
)
def test_wrong_bundles_are_refused_whole(
    juju: Juju, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    (tmp_path / "bundle.yaml").write_text(yaml.safe_dump({**BUNDLE, **change}))
    whole = "ERROR cannot deploy bundle: the provided bundle has the following errors:\n"
    assert juju("deploy", "./bundle.yaml") == (1, "", f"{whole}{said}\n")
    assert json.loads(juju("status", "--format", "json")[1])["applications"] == {}


def test_overlay_is_laid_over_the_bundle(juju: Juju, tmp_path: Path) -> None:
    (tmp_path / "bundle.yaml").write_text(yaml.safe_dump(BUNDLE))
    over = {"applications": {"red": {"options": {"text": "mine"}}, "blue": None}, "relations": []}
    (tmp_path / "over.yaml").write_text(yaml.safe_dump(over))
    bundle = {**BUNDLE, "relations": []}
    (tmp_path / "bundle.yaml").write_text(yaml.safe_dump(bundle))
    assert juju("deploy", "./bundle.yaml", "--overlay", "over.yaml")[0] == 0
    assert juju("config", "red", "text")[1] == "mine\n"
    assert juju("config", "red", "number")[1] == "11\n"
    assert list(json.loads(juju("status", "--format=json")[1])["applications"]) == ["red"]


def test_changed_options_of_a_deployed_bundle_fail_as_in_juju(juju: Juju, tmp_path: Path) -> None:
    path = tmp_path / "bundle.yaml"
    path.write_text(yaml.safe_dump(BUNDLE))
    juju("deploy", "./bundle.yaml")
    juju("deploy", "./bundle.yaml")
    path.write_text(path.read_text().replace("11", "12").replace("hello", "changed"))
    code, out, err = juju("deploy", "./bundle.yaml")
    assert (code, out) == (
        1,
        "Executing changes:\n- set annotations for blue\n- set application options for red\n",
    )
    assert err == (
        'ERROR cannot deploy bundle: cannot update options for application "red": config yaml '
        "not supported not implemented\n"
    )
    code, _, err = juju("deploy", "./bundle.yaml", "-n", "2")
    said = "ERROR options provided but not supported when deploying a bundle: -n\n"
    assert (code, err) == (1, said)


def test_what_is_not_a_charm_is_refused(juju: Juju, tmp_path: Path) -> None:
    (tmp_path / "bad.charm").write_text("not a zip")
    assert "at least one application must be specified" in juju("deploy", "./bad.charm")[2]
    (tmp_path / "folder").mkdir()
    attempt = 'ERROR attempting to deploy "./folder": deploying from directory not supported\n'
    assert juju("deploy", "./folder") == (1, "", attempt)


def test_unit_is_shown_as_narrow_as_asked(juju: Juju) -> None:
    juju("deploy", "./probe-a.charm")

    def shown(*options: str) -> Any:
        return json.loads(juju("show-unit", "probe-a/0", "--format", "json", *options)[1])

    assert [one["endpoint"] for one in shown()["probe-a/0"]["relation-info"]] == ["peers"]
    assert shown("--endpoint", "sink")["probe-a/0"]["relation-info"] == []
    hidden = {"in-scope": False, "data": None}
    for options in (("--app",), ("--related-unit", "probe-a/1")):
        (relation,) = shown(*options)["probe-a/0"]["relation-info"]
        assert relation["local-unit"] == hidden
        assert "related-units" not in relation


def test_secret_is_shown_with_juju_s_checksum(juju: Juju) -> None:
    assert juju("add-secret", "mine", "password=hunter")[0] == 0
    shown = json.loads(juju("show-secret", "mine", "--reveal", "--format", "json")[1])
    (about,) = shown.values()
    checksum = "e6e216238a720ccff27fe0f0a1aff02557fbc21c11b199682df726808e241dac"
    assert (about["checksum"], about["content"]) == (checksum, {"Data": {"password": "hunter"}})
    assert juju("show-secret", "x") == (1, "{}\n", 'ERROR secret "x" not found\n')
