# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Each application grows and shrinks while requests are served and rows are written."""

from collections.abc import Callable

import jubilant
import pytest
from maas import MAAS, eventually
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
APPS = ("maas-region", "postgresql-ha", "haproxy-vip", "maas-rack")


def _check_whole(maas: MAAS) -> None:
    regions = set(maas.units("maas-region"))
    eventually(lambda: len(maas.rpc()) == len(regions), timeout_s=180, what="regions in rpc")
    eventually(maas.is_replicated, timeout_s=120, what="one synchronous standby")
    members = set(maas.units("postgresql-ha"))
    eventually(lambda: maas.voters() == members, timeout_s=120, what="three voters in etcd")
    racks = len(maas.units("maas-rack"))
    eventually(
        lambda: list(maas.racks_connected().values()).count("running") == racks,
        timeout_s=240,
        what="every rack connected to every region",
    )


def _grow(maas: MAAS, app: str) -> str:
    before = set(maas.units(app))
    maas.juju.add_unit(app)
    maas.wait_settled()
    (added,) = set(maas.units(app)) - before
    return added


def _shrink(maas: MAAS, unit: str) -> None:
    app = unit.partition("/")[0]
    maas.juju.remove_unit(unit)
    maas.juju.wait(
        lambda status: (
            unit not in status.apps[app].units
            and jubilant.all_active(status)
            and jubilant.all_agents_idle(status)
        ),
        error=jubilant.any_error,
    )


def _move_vip_to_leader(maas: MAAS) -> None:
    leader = maas.leader("haproxy-vip")
    others = [name for name in maas.units("haproxy-vip") if name != leader]
    for action in ("pause", "resume"):
        for name in others:
            maas.juju.run(name, action)
    assert maas.vip_holder() == leader


@pytest.mark.parametrize("app", APPS)
def test_a_unit_joins_and_the_leader_leaves(maas: MAAS, watch: Watch, app: str):
    if app == "haproxy-vip":
        _move_vip_to_leader(maas)
    prober, _ = watch()
    _grow(maas, app)
    _shrink(maas, maas.leader(app))
    _check_whole(maas)
    prober.report.assert_no_failed_read()
    if app == "haproxy-vip":
        assert prober.report.moves, "the VIP did not move"


# A switchover takes two of the five seconds that a read may: on a machine with much other work it
# takes all of them.
@pytest.mark.long
def test_a_member_joins_and_the_primary_leaves(maas: MAAS, watch: Watch):
    prober, _ = watch()
    _grow(maas, "postgresql-ha")
    _shrink(maas, maas.primary())
    _check_whole(maas)
    prober.report.assert_no_failed_read()


def test_maas_has_forgotten_who_left(maas: MAAS):
    # Told last, for it takes MAAS minutes.
    for app in ("maas-region", "maas-rack"):
        maas.wait_forgotten(app)
