# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What is never lost: rows outlive the relation, the application's last unit, a leader's death."""

from collections.abc import Callable

import jubilant
import pytest
from maas import MAAS, eventually
from writers import Writers

Power = Callable[[str, str], None]


@pytest.fixture
def rows(maas: MAAS) -> set[tuple[str, int]]:
    """Rows that were acknowledged before the test."""
    with Writers(maas.juju, maas.units("maas-region")) as writers:
        eventually(lambda: len(writers.acknowledged) > 50, timeout_s=60, what="50 rows")
    return writers.acknowledged


def test_every_row_is_there_after_db_was_removed_and_integrated(
    maas: MAAS, rows: set[tuple[str, int]]
):
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
    assert rows <= maas.rows()


def test_every_row_is_there_after_the_last_member_was_gone(maas: MAAS, rows: set[tuple[str, int]]):
    machine = maas.machine(maas.primary())
    for unit in sorted(maas.units("postgresql-ha"), key=lambda name: name == maas.primary()):
        maas.juju.remove_unit(unit)
    maas.juju.wait(
        lambda status: not status.apps["postgresql-ha"].units and jubilant.all_agents_idle(status),
        error=jubilant.any_error,
    )
    maas.juju.add_unit("postgresql-ha", to=machine)
    maas.juju.wait(
        lambda status: jubilant.all_blocked(status, "postgresql-ha"), error=jubilant.any_error
    )
    (unit,) = maas.units("postgresql-ha")
    message = maas.units("postgresql-ha")[unit].workload_status.message
    assert "adopt-data" in message
    maas.juju.run(unit, "adopt-data")
    maas.wait_settled()
    assert rows <= maas.rows()
