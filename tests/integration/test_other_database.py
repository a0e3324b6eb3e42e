# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Regions with a database that postgresql-ha does not run."""

from collections.abc import Iterator
from pathlib import Path

import foreign_postgresql
import jubilant
import pytest
import requests
from maas import MAAS, charm_of, eventually

DATABASE, REGION = "other-postgresql", "other-region"
DAEMONS = "maas-regiond maas-http maas-db-proxy"


@pytest.fixture
def nothing_left(maas: MAAS) -> Iterator[None]:
    """Remove both applications, whatever came of them."""
    yield
    maas.remove_applications(REGION, DATABASE)


def _serves(address: str) -> bool:
    url = f"http://{address}:5240/MAAS/api/2.0/version/"
    return requests.get(url, timeout=10).status_code == 200


def _wait_served(address: str) -> float:
    return eventually(lambda: _serves(address), timeout_s=180, what="an answer of the region")


def _has_password(maas: MAAS, unit: str, password: str) -> bool:
    return password in maas.on_machine(unit, "cat /etc/maas/regiond.conf")


@pytest.mark.long
@pytest.mark.usefixtures("nothing_left")
def test_a_region_follows_a_database_that_only_tells_of_its_primary(maas: MAAS, tmp_path: Path):
    juju = maas.juju
    juju.deploy(
        foreign_postgresql.charm(charm_of("maas-region"), tmp_path / "postgresql.charm"),
        DATABASE,
        num_units=2,
    )
    source = {"source": juju.config("maas-region")["source"]}
    juju.deploy(charm_of("maas-region"), REGION, config=source)
    juju.integrate(f"{REGION}:db", f"{DATABASE}:{foreign_postgresql.ENDPOINT}")
    juju.wait(
        lambda status: (
            jubilant.all_active(status, DATABASE)
            and jubilant.all_waiting(status, REGION)
            and jubilant.all_agents_idle(status)
        ),
        error=jubilant.any_error,
    )
    database = foreign_postgresql.ForeignPostgreSQL(juju, DATABASE, REGION)
    database.serve()
    maas.wait_settled()
    ((unit, status),) = maas.units(REGION).items()
    address = status.public_address
    _wait_served(address)
    show = f"systemctl show -p Id,ActiveEnterTimestampMonotonic,NRestarts {DAEMONS}"
    since = maas.on_machine(unit, show)

    database.fail_over()
    _wait_served(address)
    maas.wait_settled()
    assert maas.on_machine(unit, show) == since

    password = database.change_password()
    eventually(lambda: _has_password(maas, unit, password), timeout_s=300, what="the new password")
    _wait_served(address)
    maas.wait_settled()
