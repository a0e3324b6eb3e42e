# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What `health` tells of the bundle while it is whole, and while parts of it are down."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from maas import MAAS, TLS, eventually, wait_answered
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
Power = Callable[..., None]
Figure = Callable[[str, float], None]
SURVIVES = "survives the loss of any one machine"
NO_PRIMARY = "the database has no primary"
# The action takes less than three seconds; what the client and a busy machine add is not its own.
TOLD_S = 10
# The survey itself ends by its own clocks, whoever is down (questions.py): MAAS has 1.5 s, and
# the others 1 s beside it; after that the racks that it named have 1 s to tell of their dhcpd.
SURVEYED_S = 3
# What the action does once it knows the model, by the unit's own charm.
SURVEY = """
import json, sys, time, base64
import health_table, survey
told = json.loads(base64.b64decode(sys.argv[2]))
units = {kind: tuple(survey.Unit(*one) for one in told[kind]) for kind in ("regions", "vips")}
model = survey.Model(
    me=told["me"], regions=units["regions"], vip_units=units["vips"], vip=told["vip"],
    url=told["url"], members=(), departed=(), units=(),
    database=survey.DatabaseUnits(
        tuple(told["members"]), 8008, told["ca"], tuple(told["voters"])
    ),
)
begun = time.monotonic()
answer = health_table.render(survey.look(model))
print(json.dumps([time.monotonic() - begun, json.loads(answer.json)]))
"""
RUN = (
    "cd /var/lib/juju/agents/unit-{unit}/charm && PYTHONPATH=src venv/bin/python -c"
    ' "import base64, sys; exec(base64.b64decode(sys.argv[1]))" {script} {model}'
)
# A machine whose BMC one rack alone is known to reach, as MAAS records it; and gone again.
WITH_BMC = r"""
WITH made AS (
  INSERT INTO maasserver_bmc (power_type) VALUES (\$\$ipmi\$\$) RETURNING id
), noted AS (
  INSERT INTO maasserver_bmcroutablerackcontrollerrelationship
    (bmc_id, rack_controller_id, routable)
  SELECT made.id, rack.id, rack.hostname = \$\${rack}\$\$
  FROM made, maasserver_node rack WHERE rack.node_type IN (2, 4)
)
INSERT INTO maasserver_node (system_id, hostname, bmc_id)
SELECT \$\$bmc000\$\$, \$\$node-0\$\$, id FROM made
"""
WITHOUT_BMC = (
    r"DELETE FROM maasserver_node WHERE system_id = \$\$bmc000\$\$",
    "DELETE FROM maasserver_bmc WHERE id NOT IN"
    " (SELECT bmc_id FROM maasserver_node WHERE bmc_id IS NOT NULL)",
)
ANSWERED_S = 300


def _health(maas: MAAS, unit: str) -> tuple[dict[str, Any], float]:
    """Return what a unit's action tells, and how long that took with what the client takes."""
    begun = time.monotonic()
    results = maas.juju.run(unit, "health").results
    took = time.monotonic() - begun
    told = json.loads(results["json"])
    assert results["table"].splitlines()[-1] == told["summary"] == results["summary"]
    assert took < TOLD_S
    return told, took


def _model(maas: MAAS) -> dict[str, Any]:
    """Return whom the survey asks, as Juju tells the action: read while all is there."""
    addresses = {
        app: [(name, unit.public_address) for name, unit in maas.units(app).items()]
        for app in ("maas-region", "haproxy-vip", "postgresql-ha")
    }
    voters = maas.voters()
    return {
        "regions": addresses["maas-region"],
        "vips": addresses["haproxy-vip"],
        "members": [address for _, address in addresses["postgresql-ha"]],
        "voters": [address for name, address in addresses["postgresql-ha"] if name in voters],
        "ca": maas.on_machine(maas.primary(), f"cat {TLS}/ca.crt"),
        "vip": maas.vip,
        "url": maas.url,
    }


def _survey(maas: MAAS, unit: str, model: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """Return what a unit's own charm learns of a model, and how long that alone took."""
    words = (SURVEY, json.dumps({**model, "me": unit}))
    script, told = (base64.b64encode(one.encode()).decode() for one in words)
    command = RUN.format(unit=unit.replace("/", "-"), script=script, model=told)
    took, found = json.loads(maas.on_machine(unit, command))
    assert took < SURVEYED_S
    return found, took


def _assert_survives(maas: MAAS, units: list[str]) -> list[float]:
    addresses = {
        unit.public_address
        for app in ("maas-region", "postgresql-ha", "haproxy-vip")
        for unit in maas.units(app).values()
    }
    times: list[float] = []
    for unit in units:
        told, took = _health(maas, unit)
        assert (told["summary"], told["survives"], told["unknown"]) == (SURVIVES, True, [])
        assert {one["machine"] for one in told["losses"]} == addresses
        assert all(row["ok"] for row in told["rows"])
        times.append(took)
    return times


def test_every_region_tells_that_the_bundle_survives_the_loss_of_any_machine(
    maas: MAAS, figure: Figure
):
    maas.wait_complete()
    units = list(maas.units("maas-region"))
    # The first time on a unit makes it a key for MAAS's API.
    _assert_survives(maas, units)
    figure("health of a whole bundle, with the client", max(_assert_survives(maas, units)))
    model = _model(maas)
    surveys = [_survey(maas, unit, model) for unit in units]
    assert all(found["unknown"] == [] for found, _ in surveys)
    figure("the survey of a whole bundle alone", max(took for _, took in surveys))


@pytest.mark.long
def test_what_is_down_is_told_while_it_is_down(
    maas: MAAS, power: Power, figure: Figure, watch: Watch
):
    prober, _ = watch()
    maas.wait_complete()
    regions = maas.units("maas-region")
    members = {unit.machine for unit in maas.units("postgresql-ha").values()}
    model = _model(maas)
    first, second, stays = [name for name, unit in regions.items() if unit.machine in members][:3]
    power("poweroff", regions[first].machine)
    # It may have had the primary.
    wait_answered(prober, timeout_s=ANSWERED_S)
    maas.wait_others_settled(regions[first].machine)
    told, took = _health(maas, stays)
    figure("health with a machine off, with the client", took)
    figure("the survey with a machine off alone", _survey(maas, stays, model)[1])
    down = {row["machine"] for row in told["rows"] if row["what"] == "region" and not row["ok"]}
    assert down == {regions[first].public_address}
    assert (told["survives"], told["broken"]) == (False, [])
    fatal = {one["machine"] for one in told["losses"] if one["breaks"]}
    assert fatal >= {regions[second].public_address, regions[stays].public_address}
    power("poweroff", regions[second].machine)
    eventually(
        lambda: NO_PRIMARY in _health(maas, stays)[0]["broken"], timeout_s=120, what=NO_PRIMARY
    )
    told, took = _health(maas, stays)
    figure("health without a database, with the client", took)
    figure("the survey without a database alone", _survey(maas, stays, model)[1])
    assert told["summary"].startswith("does not work now: ")
    for region in (first, second):
        power("poweron", regions[region].machine)
    maas.wait_complete()
    _assert_survives(maas, list(regions))


@pytest.mark.long
def test_a_region_that_is_paused_tells_as_much_as_the_others(maas: MAAS, figure: Figure):
    maas.wait_complete()
    unit = next(name for name, one in maas.units("maas-region").items() if not one.leader)
    maas.juju.run(unit, "pause")
    try:
        told, took = _health(maas, unit)
        figure("health on a region that is paused, with the client", took)
    finally:
        maas.juju.run(unit, "resume")
    assert (told["broken"], told["unknown"]) == ([], [])
    maas.wait_complete()


@pytest.mark.long
def test_a_bmc_that_one_rack_alone_reaches_is_named(maas: MAAS):
    maas.wait_complete()
    unit, rack = maas.leader("maas-region"), next(iter(maas.units("maas-rack")))
    host = maas.on_machine(rack, "hostname -s").strip()
    address = maas.units("maas-rack")[rack].public_address
    maas.sql(WITH_BMC.format(rack=host).replace("\n", " "))
    try:
        told, _ = _health(maas, unit)
        assert told["bmcs"] == [{"machine": address, "reached-by-no-other": ["node-0"]}]
        assert told["survives"] is False
        (breaks,) = (one["breaks"] for one in told["losses"] if one["machine"] == address)
        assert any("BMC" in what for what in breaks), breaks
    finally:
        for statement in WITHOUT_BMC:
            maas.sql(statement)
    _assert_survives(maas, [unit])
