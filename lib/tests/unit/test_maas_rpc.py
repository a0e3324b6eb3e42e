# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from typing import Any

import ops
import pytest
from ops import testing

from charmed_maas import databag, secrets
from charmed_maas.interfaces import maas_rpc

META = {"name": "region", "provides": {"rpc": {"interface": "maas_rpc"}}}
SECRET = "00ff" * 8
MARK = secrets.mark(SECRET)


class Region(ops.CharmBase):
    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        self.rpc = maas_rpc.MAASRPCProvider(self, "rpc")


def test_a_mark_tells_secrets_apart_and_is_none_of_them():
    assert MARK == secrets.mark(SECRET) != secrets.mark("11" * 16)
    assert len(MARK) == 8
    assert MARK not in SECRET
    assert secrets.mark("") == ""


SIDES = pytest.mark.parametrize("side", [maas_rpc.ProviderAppData, maas_rpc.RequirerUnitData])


@SIDES
@pytest.mark.parametrize("grace", ["1", "119", "3601", "999999"])
def test_a_grace_that_no_rack_may_have_is_refused_by_name(side: Any, grace: str):
    with pytest.raises(databag.DatabagError) as refused:
        side.from_databag({"dhcp-grace": grace})
    assert str(refused.value) == f"dhcp-grace: {grace} is neither 0 nor 120 to 3600"


@SIDES
@pytest.mark.parametrize("grace", ["", "0", "120", "3600"])
def test_a_grace_that_honest_sides_write_is_read(side: Any, grace: str):
    assert side.from_databag({"dhcp-grace": grace}).dhcp_grace_s == int(grace or 0)


@pytest.mark.parametrize(
    ("marks", "followed"),
    [
        ([], True),
        ([MARK, MARK], True),
        ([MARK, secrets.mark("11" * 16)], False),
        ([MARK, ""], False),
        (["no mark/at all"], False),
    ],
)
def test_racks_have_followed_when_those_of_every_relation_have(marks: list[str], followed: bool):
    relations = [
        testing.Relation("rpc", remote_app_data={"secret-mark": one} if one else {})
        for one in marks
    ]
    context = testing.Context(Region, meta=META)
    with context(context.on.update_status(), testing.State(relations=relations)) as manager:
        assert manager.charm.rpc.have_followed(SECRET) == followed


def test_an_application_without_racks_keeps_nobody_waiting():
    relation = testing.Relation("rpc", remote_units_data={})
    context = testing.Context(Region, meta=META)
    with context(context.on.update_status(), testing.State(relations=[relation])) as manager:
        assert manager.charm.rpc.have_followed(SECRET)
