# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What MAAS knows of its controllers, by the charm's actions."""

import jubilant
import pytest
from maas import MAAS, eventually


@pytest.mark.long
def test_a_rack_that_was_deleted_by_force_comes_back_under_its_old_name(maas: MAAS):
    region = maas.leader("maas-region")
    before = maas.controllers("rack")
    listed = str(maas.juju.run(region, "list-controllers").results)
    assert all(name in listed for name in (*before, *maas.controllers("region")))
    name = min(before)
    with pytest.raises(jubilant.TaskError, match=f"{name} runs: remove its unit"):
        maas.juju.run(region, "delete-controller", {"name": name})
    assert maas.controllers("rack").keys() == before.keys()
    maas.juju.run(region, "delete-controller", {"name": name, "force": True})

    def is_back() -> bool:
        now = maas.controllers("rack")
        return now.keys() == before.keys() and (
            now[name]["system_id"] != before[name]["system_id"]
        )

    eventually(is_back, timeout_s=300, what=f"{name} back")
    maas.wait_racks_connected(no_others=True)
    maas.wait_settled()
