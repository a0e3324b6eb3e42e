# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What is never lost: rows outlive the relation, the application's last unit, a leader's death.

Rows are written until the database is gone: the fixture `write` asserts that none is lost.
"""

import re
import time
from collections.abc import Callable, Iterable

import jubilant
import pytest
from maas import MAAS, charm_of, eventually, eventually_some
from writers import Writers

Power = Callable[[str, str], None]
APP = "postgresql-ha"


@pytest.fixture
def rows(write: Writers) -> None:
    """Writers that have begun before the test, and go on until its end."""
    eventually(lambda: len(write.acknowledged) > 50, timeout_s=60, what="50 rows")


# Three minutes; the last member's leaving, below, is the harder one.
@pytest.mark.long
@pytest.mark.usefixtures("rows")
def test_every_row_is_there_after_db_was_removed_and_integrated(maas: MAAS):
    maas.juju.remove_relation("maas-region:db", "postgresql-ha:db")
    maas.juju.wait(
        lambda status: (
            not status.apps["maas-region"].relations.get("db")
            and jubilant.all_agents_idle(status)
            and not jubilant.any_active(status, "maas-region")
        ),
        error=jubilant.any_error,
    )
    maas.juju.integrate("maas-region:db", "postgresql-ha:db")
    maas.wait_settled()


@pytest.mark.usefixtures("rows")
def test_every_row_is_there_after_the_last_member_was_gone(maas: MAAS):
    # Juju removes a machine with its last unit, and the data on it.
    others = {
        unit.machine for app in ("maas-region", "haproxy-vip") for unit in maas.units(app).values()
    }
    last = next(name for name in maas.units(APP) if maas.machine(name) in others)
    machine = maas.machine(last)
    for unit in maas.units(APP):
        if unit != last:
            maas.juju.remove_unit(unit)
    _wait_for_members(maas, {last})
    assert maas.voters() == {last}
    maas.juju.remove_unit(last)
    _wait_for_members(maas, set())
    maas.juju.add_unit(APP, to=machine)
    maas.juju.wait(lambda status: jubilant.all_blocked(status, APP), error=jubilant.any_error)
    (unit,) = maas.units(APP)
    message = maas.units(APP)[unit].workload_status.message
    assert "adopt-data" in message
    maas.juju.run(unit, "adopt-data")
    maas.wait_settled()


@pytest.mark.long
@pytest.mark.usefixtures("rows")
def test_every_row_is_there_after_all_members_were_removed_at_once(maas: MAAS):
    """Units on the machines that they left wait for the operator, and name whose is newest."""
    maas.wait_complete()
    machines = {unit.machine for unit in maas.units(APP).values()}
    maas.juju.remove_unit(*maas.units(APP))
    _wait_for_members(maas, set())
    # Juju removes a machine with its last unit.
    homes = sorted(machines & set(maas.machines_in_use()), key=int)
    maas.juju.add_unit(APP, num_units=len(homes), to=homes)
    maas.juju.wait(
        lambda status: jubilant.all_blocked(status, APP) and jubilant.all_agents_idle(status),
        error=jubilant.any_error,
    )
    eventually(lambda: len(_named(maas)) == 1, timeout_s=120, what="the same unit named by all")
    (unit,) = _named(maas)
    maas.juju.run(unit, "adopt-data", wait=120)
    maas.wait_complete()
    assert len(maas.voters()) == len(homes)


def _named(maas: MAAS) -> set[str]:
    """Return on which units each unit's status says to run adopt-data."""
    named: set[str] = set()
    for unit, one in maas.units(APP).items():
        found = re.search(r"run adopt-data(?: on (\S+?))?, or ", one.workload_status.message)
        assert found, one.workload_status.message
        named.add(found[1] or unit)
    return named


def _wait_for_members(maas: MAAS, units: set[str]) -> None:
    maas.juju.wait(
        lambda status: set(status.apps[APP].units) == units and jubilant.all_agents_idle(status),
        error=jubilant.any_error,
    )


IDENTIFIERS = (
    "for control in $(find /var/lib/postgresql /var/lib/postgresql-ha -name pg_control); do"
    " /usr/lib/postgresql/*/bin/pg_controldata $(dirname $(dirname $control))"
    ' | grep "system identifier"; done'
)


def _identifiers(maas: MAAS, units: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for unit in units:
        lines = maas.on_machine(unit, IDENTIFIERS).splitlines()
        found |= {line.rpartition(" ")[2] for line in lines if "identifier" in line}
    return found


@pytest.mark.long  # Four minutes, of which it waits most.
def test_one_system_identifier_though_the_leader_dies_while_it_bootstraps(
    maas: MAAS, power: Power
):
    app = "second"
    maas.juju.deploy(charm_of(APP), app, num_units=3)
    bootstrapping = eventually_some(lambda: _bootstrapping(maas, app), timeout_s=600)
    machine = maas.machine(bootstrapping)
    power("poweroff", machine)
    others = [unit for unit in maas.units(app) if unit != bootstrapping]
    time.sleep(90)  # longer than a leader's lease: another unit leads by now
    assert not _identifiers(maas, others), "another unit bootstrapped too"
    power("poweron", machine)
    maas.wait_settled()
    assert len(_identifiers(maas, maas.units(app))) == 1
    maas.juju.remove_application(app, force=True)
    maas.juju.wait(lambda status: app not in status.apps)


def _bootstrapping(maas: MAAS, app: str) -> str:
    for unit in maas.units(app):
        if _identifiers(maas, [unit]):
            return unit
    return ""
