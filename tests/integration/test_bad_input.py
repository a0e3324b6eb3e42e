# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What is wrong is named with its way out, services go on, and it is well again once corrected."""

from typing import Any

import jubilant
import pytest
import requests
from maas import MAAS

pytestmark = pytest.mark.long

CASES = [
    ("haproxy-vip", {"vip": "not-an-address"}, "vip"),
    ("haproxy-vip", {"vip": "192.0.2.10"}, "192.0.2.10"),
    ("haproxy-vip", {"port": 5240}, "5240"),
    ("maas-region", {"source": "deb http://127.0.0.1:1/ nowhere main"}, "source"),
    ("maas-rack", {"source": "nonsense"}, "source"),
]


@pytest.mark.parametrize(("app", "config", "named"), CASES, ids=lambda value: str(value)[:40])
def test_a_bad_option_blocks_and_services_go_on(
    maas: MAAS, app: str, config: dict[str, Any], named: str
):
    vip = maas.vip
    good = {key: maas.juju.config(app)[key] for key in config}
    maas.juju.config(app, config)
    try:
        status = maas.juju.wait(
            lambda status: jubilant.all_blocked(status, app), error=jubilant.any_error
        )
        for unit in status.apps[app].units.values():
            assert named in unit.workload_status.message
        answer = requests.get(f"http://{vip}/MAAS/api/2.0/version/", timeout=10)
        assert answer.status_code == 200
    finally:
        maas.juju.config(app, good)
    maas.wait_settled()


def test_a_vip_that_is_a_units_own_address_is_refused(maas: MAAS):
    good = maas.juju.config("haproxy-vip")["vip"]
    own = next(iter(maas.units("haproxy-vip").values())).public_address
    maas.juju.config("haproxy-vip", {"vip": own})
    try:
        maas.juju.wait(
            lambda status: jubilant.all_blocked(status, "haproxy-vip"), error=jubilant.any_error
        )
    finally:
        maas.juju.config("haproxy-vip", {"vip": good})
    maas.wait_settled()
