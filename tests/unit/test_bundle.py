# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""bundle.yaml against the charms that it deploys, by Juju's own rules for bundles."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BUNDLE: dict[str, Any] = yaml.safe_load((ROOT / "bundle.yaml").read_text())
CHARMS: dict[str, dict[str, Any]] = {
    app: yaml.safe_load((ROOT / "charms" / app / "charmcraft.yaml").read_text())
    for app in BUNDLE["applications"]
}
TOP_KEYS = {"applications", "machines", "relations", "description", "tags"}
APP_KEYS = {"charm", "num_units", "to", "options", "expose", "constraints", "annotations", "trust"}
SIDES = ("provides", "requires")
# What a name ends in that holds a secret.
SECRETS = {"cert", "content", "key", "passphrase", "password", "token"}


def test_only_keys_that_juju_3_6_and_4_0_both_take():
    assert set(BUNDLE) <= TOP_KEYS, "default-base breaks local charms on 4.0"
    for app in BUNDLE["applications"].values():
        assert set(app) <= APP_KEYS


def test_every_charm_of_the_repository_is_deployed():
    assert {path.parent.name for path in ROOT.glob("charms/*/charmcraft.yaml")} == set(CHARMS)


@pytest.mark.parametrize("app", CHARMS)
def test_the_charm_is_a_local_file_that_charmcraft_makes(app: str):
    charm = CHARMS[app]
    assert charm["name"] == app
    path = BUNDLE["applications"][app]["charm"]
    platform = path.removeprefix(f"./charms/{app}/{app}_").removesuffix(".charm")
    assert platform != path
    assert platform.replace("-amd64", ":amd64") in charm["platforms"]


@pytest.mark.parametrize("app", CHARMS)
def test_the_charm_takes_juju_3_6_and_names_what_is_optional(app: str):
    charm = CHARMS[app]
    assert charm["assumes"] == ["juju >= 3.6"]
    for side in (*SIDES, "peers"):
        for endpoint in charm.get(side, {}).values():
            assert isinstance(endpoint["optional"], bool)
    for action in charm.get("actions", {}).values():
        assert action["additionalProperties"] is False


@pytest.mark.parametrize("app", CHARMS)
def test_no_option_and_no_parameter_takes_a_secret(app: str):
    """Whoever may read the model could read it; a secret's ID is none."""
    names = set(CHARMS[app].get("config", {}).get("options", {}))
    for action in CHARMS[app].get("actions", {}).values():
        names |= set(action.get("params", {}))
    assert not {name for name in names if name.replace("_", "-").split("-")[-1] in SECRETS}


@pytest.mark.parametrize("app", CHARMS)
def test_a_parameter_that_an_action_cannot_do_without_is_required(app: str):
    read: set[str] = set()
    for path in (ROOT / "charms" / app / "src").glob("*.py"):
        read |= set(re.findall(r"""params\[["']([a-z-]+)["']\]""", path.read_text()))
    for name, action in CHARMS[app].get("actions", {}).items():
        needed = read & set(action.get("params", {}))
        assert needed <= set(action.get("required", [])), name


@pytest.mark.parametrize("app", CHARMS)
def test_options_exist(app: str):
    options = CHARMS[app].get("config", {}).get("options", {})
    assert set(BUNDLE["applications"][app].get("options", {})) <= set(options)


def test_placements_use_every_machine_once_an_application():
    used: set[str] = set()
    for name, app in BUNDLE["applications"].items():
        assert len(app["to"]) == app["num_units"], name
        assert len(set(app["to"])) == len(app["to"]), name
        used |= set(app["to"])
    assert used == set(BUNDLE["machines"])
    assert all(re.fullmatch(r"[0-9]+", machine) for machine in used)


def test_each_relation_joins_a_provider_and_a_requirer_of_one_interface():
    for ends in BUNDLE["relations"]:
        found: dict[str, str] = {}
        for end in ends:
            app, _, endpoint = end.partition(":")
            for side in SIDES:
                if endpoint in CHARMS[app].get(side, {}):
                    found[side] = CHARMS[app][side][endpoint]["interface"]
        assert set(found) == set(SIDES), ends
        assert len(set(found.values())) == 1, ends


def test_every_endpoint_without_which_a_charm_cannot_serve_is_related():
    related = {end for ends in BUNDLE["relations"] for end in ends}
    for app, charm in CHARMS.items():
        for side in SIDES:
            for name, endpoint in charm.get(side, {}).items():
                assert endpoint["optional"] or f"{app}:{name}" in related, f"{app}:{name}"
