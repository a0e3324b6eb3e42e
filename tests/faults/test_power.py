# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The operator's hand on the power cord: machines go dark and come back."""

from collections.abc import Callable

import pytest
from maas import MAAS, eventually, wait_answered
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
Power = Callable[..., None]
ANSWERED_S = 300
UNTOUCHED = (
    "systemctl show -p ActiveEnterTimestampMonotonic,NRestarts"
    " maas-regiond maas-http maas-apiserver maas-temporal maas-temporal-worker;"
    " stat -c %Y.%i /etc/maas/regiond.conf"
)


@pytest.fixture
def vip_holder(maas: MAAS) -> str:
    """The VIP holder, on a machine that is not the primary's too: each loss is told apart."""
    holder = maas.vip_holder()
    if maas.machine(holder) == maas.machine(maas.primary()):
        maas.juju.run(holder, "move-vip")
        holder = maas.vip_holder()
    return holder


def _lose(maas: MAAS, power: Power, machine: str, prober: Prober) -> None:
    power("poweroff", machine)
    wait_answered(prober, timeout_s=ANSWERED_S)
    maas.wait_others_settled(machine)
    power("poweron", machine)
    maas.wait_whole()


def test_the_machine_of_a_region(maas: MAAS, power: Power, watch: Watch):
    prober, _ = watch()
    avoid = {maas.machine(maas.primary()), maas.machine(maas.vip_holder())}
    machine = next(
        unit.machine for unit in maas.units("maas-region").values() if unit.machine not in avoid
    )
    _lose(maas, power, machine, prober)
    prober.report.assert_no_failed_read()


def test_the_machine_of_the_vip_holder(maas: MAAS, power: Power, vip_holder: str, watch: Watch):
    prober, _ = watch()
    _lose(maas, power, maas.machine(vip_holder), prober)
    prober.report.assert_no_failed_read()
    assert prober.report.moves, "the VIP did not move"
    assert maas.vip_holder() != vip_holder


def test_the_machine_of_the_primary(maas: MAAS, power: Power, watch: Watch):
    prober, _ = watch()
    primary = maas.primary()
    machine = maas.machine(primary)
    others = [name for name, unit in maas.units("maas-region").items() if unit.machine != machine]
    before = {name: maas.on_machine(name, UNTOUCHED) for name in others}
    _lose(maas, power, machine, prober)
    assert maas.primary() != primary
    assert {name: maas.on_machine(name, UNTOUCHED) for name in others} == before


def test_the_machine_of_a_rack(maas: MAAS, power: Power, watch: Watch):
    prober, _ = watch()
    machine = maas.machine(next(iter(maas.units("maas-rack"))))
    _lose(maas, power, machine, prober)
    prober.report.assert_no_failed_read()
    racks = len(maas.units("maas-rack"))
    eventually(
        lambda: list(maas.racks_connected().values()) == ["running"] * racks,
        timeout_s=240,
        what="both racks connected again",
    )


def test_every_machine_at_once_and_no_controller(
    maas: MAAS, power: Power, figure: Callable[[str, float], None], watch: Watch
):
    prober, _ = watch()
    machines = list(maas.juju.status().machines)
    power("controller-down")
    try:
        for machine in machines:
            power("poweroff", machine)
        for machine in machines:
            power("poweron", machine)
        took = wait_answered(prober, timeout_s=ANSWERED_S)
        figure("MAAS answers after the power is back", took)
    finally:
        power("controller-up")
    maas.wait_whole()
