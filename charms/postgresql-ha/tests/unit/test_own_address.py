# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import dataclasses

from conftest import ADDRESS, Machine, Model, peer_data
from ops import testing

from charm import PostgreSQLHACharm


def test_a_vip_that_the_machine_holds_is_not_the_members_address(
    ctx: testing.Context[PostgreSQLHACharm], machine: Machine
):
    # As network-get says it where the VIP sorts first.
    vip = testing.Address("10.0.0.0", cidr="10.0.0.0/32")
    bind = testing.BindAddress([vip, testing.Address(ADDRESS, cidr="10.0.0.0/24")])
    seen = testing.Network("peers", [bind], ingress_addresses=["10.0.0.0", ADDRESS])
    before = dataclasses.replace(Model(leader=True).state(), networks={seen})
    _, own = peer_data(ctx.run(ctx.on.leader_elected(), before))
    assert own["address"] == ADDRESS
