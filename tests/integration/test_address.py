# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""A machine comes back under another address, and everything that named the old one follows."""

from collections.abc import Callable

import pytest
import test_deploy
from maas import MAAS, eventually
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
Power = Callable[[str, str], None]
NETWORK = "/etc/systemd/network/20-eth0.network"
CONFIGURATION = "/etc/postgresql-ha /etc/haproxy /etc/keepalived /etc/maas /etc/maas-db-proxy"


@pytest.mark.long
def test_a_machine_changes_its_address(maas: MAAS, power: Power, watch: Watch):
    avoid = {maas.machine(maas.primary()), maas.machine(maas.vip_holder())}
    region, old = next(
        (name, unit.public_address)
        for name, unit in maas.units("maas-region").items()
        if unit.machine not in avoid
    )
    if "Address=" not in maas.on_machine(region, f"cat {NETWORK} || true"):
        pytest.skip("the machine's address is not in a file that this test knows")
    prober, _ = watch()
    new = maas.free_address()
    machine = maas.machine(region)
    maas.on_machine(region, f"sed -i s/{old}/{new}/ {NETWORK} && sync")
    power("poweroff", machine)
    power("poweron", machine)
    eventually(
        lambda: maas.units("maas-region")[region].public_address == new,
        timeout_s=180,
        what=f"Juju sees {new}",
    )
    maas.wait_settled()
    eventually(lambda: new in maas.members(), timeout_s=180, what=f"the member at {new}")
    maas.wait_replicated()
    assert old not in maas.members()
    regions = len(maas.units("maas-region"))
    eventually(lambda: len(maas.rpc()) == regions, timeout_s=240, what="every region in rpc")
    maas.wait_racks_connected(no_others=True)
    test_deploy.test_postgresql_admits_members_and_each_region_to_its_own_database_alone(maas)
    # etcd reads its initial-… values at its very first start only.
    named = f"grep -rw {old} {CONFIGURATION} | grep -v initial- || true"
    for unit in maas.units("haproxy-vip"):
        assert maas.on_machine(unit, named).strip() == ""
    prober.assert_no_failed_read()
