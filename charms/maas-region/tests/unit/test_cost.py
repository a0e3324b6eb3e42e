# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""How often an event asks Juju for databags: the number of racks does not matter."""

from unittest import mock

import pytest
from ops import testing
from scenario import mocking
from test_charm import _state

import charm


def _reads(context: testing.Context[charm.MAASRegionCharm], event: str, racks: int) -> int:
    units = {number: {"system-id": f"s{number}"} for number in range(racks)}
    rpc = testing.Relation("rpc", remote_app_name="maas-rack", remote_units_data=dict(units))
    real = mocking._MockModelBackend.relation_get
    with mock.patch.object(
        mocking._MockModelBackend, "relation_get", autospec=True, side_effect=real
    ) as read:
        about = context.on.relation_changed(rpc, remote_unit=0)
        context.run(about if event == "changed" else context.on.update_status(), _state(rpc=rpc))
    return read.call_count


@pytest.mark.parametrize("event", ["changed", "update-status"])
def test_an_event_reads_as_many_databags_with_a_thousand_racks_as_with_one(
    context: testing.Context[charm.MAASRegionCharm], event: str
):
    assert _reads(context, event, 1) == _reads(context, event, 1000) > 0
