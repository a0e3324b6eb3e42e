# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Regions with a database that postgresql-ha does not run."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import foreign_postgresql
import jubilant
import pytest
import requests
import restarts
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


def _wait_served(regions: dict[str, str]) -> None:
    for unit, address in regions.items():
        eventually(lambda at=address: _serves(at), timeout_s=180, what=f"an answer of {unit}")


def _started(maas: MAAS, regions: Iterable[str]) -> list[str]:
    show = f"systemctl show -p Id,ActiveEnterTimestampMonotonic,NRestarts {DAEMONS}"
    return [maas.on_machine(unit, show) for unit in regions]


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
    juju.deploy(charm_of("maas-region"), REGION, config=source, num_units=2)
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
    regions = {name: unit.public_address for name, unit in maas.units(REGION).items()}
    _wait_served(regions)
    since = _started(maas, regions)

    database.fail_over()
    _wait_served(regions)
    maas.wait_settled()
    assert _started(maas, regions) == since

    before = restarts.last(maas, REGION, "maas-region")
    password = database.change_password()
    eventually(
        lambda: all(_has_password(maas, unit, password) for unit in regions),
        timeout_s=300,
        what="the new password",
    )
    _wait_served(regions)
    maas.wait_settled()
    restarts.assert_one_at_a_time(before, restarts.last(maas, REGION, "maas-region"))
