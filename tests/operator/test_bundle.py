# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The bundle as a suite of pytest-operator sees it, on the lab and on a Juju 3.6 controller.

Environment: BUNDLE names the bundle file, OVERLAY an overlay for it (the VIP, the apt source).
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from juju.unit import Unit
from pytest_operator.plugin import OpsTest

BUNDLE = Path(os.environ.get("BUNDLE", "bundle.yaml")).resolve()
APPS = yaml.safe_load(BUNDLE.read_text())["applications"]
REGION, VIP = "maas-region", "haproxy-vip"
DEPLOY_TIMEOUT_S = 20 * 60
SETTLE_TIMEOUT_S = 10 * 60
SCALE_TIMEOUT_S = 15 * 60


async def juju(ops_test: OpsTest, *arguments: str) -> str:
    """Return what a command of the client prints."""
    code, out, err = await ops_test.juju(*arguments, cwd=BUNDLE.parent)
    assert code == 0, f"juju {arguments[0]}: {err or out}"
    return out


def is_active(ops_test: OpsTest) -> bool:
    """Tell whether every unit of the bundle is there and active."""
    states = [unit.workload_status for unit in ops_test.model.units.values()]
    return states == ["active"] * sum(app["num_units"] for app in APPS.values())


async def leader(ops_test: OpsTest) -> Unit:
    """Return the region that leads."""
    for unit in ops_test.model.applications[REGION].units:
        if await unit.is_leader_from_status():
            return unit
    raise AssertionError(f"{REGION} has no leader")


async def hosts(ops_test: OpsTest) -> list[str]:
    """Return the host names of the region controllers that MAAS lists."""
    action = await (await leader(ops_test)).run_action("list-controllers")
    await action.wait()
    assert action.status == "completed", action.data["message"]
    return [line.split()[0] for line in action.results["regions"].splitlines()]


@pytest.mark.abort_on_fail
@pytest.mark.skip_if_deployed
async def test_the_bundle_becomes_active(ops_test: OpsTest):
    overlay = os.environ.get("OVERLAY")
    await juju(
        ops_test, "deploy", f"./{BUNDLE.name}", *(["--overlay", overlay] if overlay else [])
    )
    # A unit whose daemon came up after its last hook says so at the next update-status.
    async with ops_test.fast_forward("60s"):
        await ops_test.model.block_until(lambda: is_active(ops_test), timeout=DEPLOY_TIMEOUT_S)
    # With eleven units that run it every minute no 15 s may pass in which all of them are idle.
    await ops_test.model.wait_for_idle(APPS, status="active", timeout=SETTLE_TIMEOUT_S)


async def test_status_and_configuration_can_be_read(ops_test: OpsTest):
    status = await ops_test.model.get_status()
    assert status.model.name == ops_test.model_name
    assert status.applications.keys() >= APPS.keys()
    units = status.applications[REGION].units.values()
    assert sum(bool(unit.leader) for unit in units) == 1
    config = await ops_test.model.applications[VIP].get_config()
    assert config["vip"]["value"]
    relations = ops_test.model.applications[REGION].relations
    assert any(one.matches(f"{REGION}:api", f"{VIP}:api") for one in relations)


async def test_an_action_answers(ops_test: OpsTest):
    assert len(await hosts(ops_test)) == len(ops_test.model.applications[REGION].units)


async def test_an_action_that_fails_says_so(ops_test: OpsTest):
    action = await (await leader(ops_test)).run_action("get-api-key", username="nobody")
    await action.wait()
    assert action.status == "failed"


async def test_the_regions_databags_can_be_read(ops_test: OpsTest):
    name = ops_test.model.applications[VIP].units[0].name
    about: dict[str, Any] = json.loads(await juju(ops_test, "show-unit", name, "--format=json"))
    api = next(one for one in about[name]["relation-info"] if one["endpoint"] == "api")
    told = {unit: one["data"]["ready"] for unit, one in api["related-units"].items()}
    assert told == {unit.name: "true" for unit in ops_test.model.applications[REGION].units}


async def test_maas_region_scales_up_and_down(ops_test: OpsTest):
    region = ops_test.model.applications[REGION]
    before = {unit.name for unit in region.units}
    [added] = await region.add_unit()
    await ops_test.model.wait_for_idle(
        [REGION], status="active", timeout=SCALE_TIMEOUT_S, wait_for_exact_units=len(before) + 1
    )
    assert len(await hosts(ops_test)) == len(before) + 1
    await added.destroy()
    await ops_test.model.wait_for_idle(
        [REGION], status="active", timeout=SCALE_TIMEOUT_S, wait_for_exact_units=len(before)
    )
    assert {unit.name for unit in region.units} == before
