# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Machines are rebooted, go dark and come back, and one never returns."""

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jubilant
import pytest
from maas import ETCD_MEMBERS, FAILOVER_S, MAAS, eventually, eventually_some, wait_answered
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
Power = Callable[..., None]
Figure = Callable[[str, float], None]
ANSWERED_S = 300
REBOOTED_S = 300
# MAAS lets a controller go minutes after its processes ended, a rack once its DHCP has moved.
FORGOTTEN_S = 480
# The turn to restart among regions. What a lost machine holds is free again after 20 s, and the
# next update-status comes within a minute (conftest.py) and the fifth by which Juju may be late.
RESTART = 3
LEASE_S, UPDATE_STATUS_S = 20, 72
# An event on a slow machine, and a restart there: a region drains for 13 s at most, and waits 5 s
# at its end.
EVENT_S, RESTARTED_S = 30, 40
# The regions' timer looks every 15 s: whom it would delete is gone by then.
LOOKED_S = 45
WORKERS = "sed -n s/^num_workers:.//p /etc/maas/regiond.conf"
REGION = "maas-region"
APPS = ("postgresql-ha", REGION, "haproxy-vip", "maas-rack")
# The second is for containers, whose kernel is not booted again.
BOOT = 'cat /proc/sys/kernel/random/boot_id; cut -d" " -f22 /proc/1/stat'
NAMED = "/etc/postgresql-ha /etc/haproxy /etc/keepalived /etc/maas-db-proxy"
UNTOUCHED = (
    "systemctl show -p ActiveEnterTimestampMonotonic,NRestarts"
    " maas-regiond maas-http maas-apiserver maas-temporal maas-temporal-worker;"
    " stat -c %Y.%i /etc/maas/regiond.conf"
)


@pytest.fixture
def vip_holder(maas: MAAS) -> str:
    """The VIP holder, on the machine of the synchronous replica, for which commits wait.

    It is not the primary's: that one is lost in another story.
    """
    maas.wait_replicated()
    machine = maas.machine(maas.synchronous())
    holder = next(name for name in maas.units("haproxy-vip") if maas.machine(name) == machine)
    maas.give_vip(holder)
    return holder


def _lose(
    maas: MAAS,
    power: Power,
    machine: str,
    prober: Prober,
    *,
    is_gone: Callable[[str], bool] | None = None,
) -> None:
    """Take a machine's power until all others are settled, and its controller is gone for MAAS.

    One that is only switched off is left alone: MAAS has it under the IDs of before.
    """
    host = maas.juju.status().machines[machine].hostname
    before = _ids(maas, host)
    assert before or not is_gone
    power("poweroff", machine)
    wait_answered(prober, timeout_s=ANSWERED_S)
    maas.wait_others_settled(machine)
    if is_gone:
        eventually(lambda: is_gone(host), timeout_s=FORGOTTEN_S, what=f"MAAS let {host} go")
        time.sleep(LOOKED_S)
    assert _ids(maas, host) == before
    power("poweron", machine)
    maas.wait_whole()
    assert _ids(maas, host) == before


def _ids(maas: MAAS, host: str) -> dict[str, str]:
    """Return the IDs that MAAS has for a machine's controllers, by their kind."""
    found = {kind: maas.controllers(kind) for kind in ("region", "rack")}
    return {kind: named[host]["system_id"] for kind, named in found.items() if host in named}


def _machine_of_a_region(maas: MAAS) -> str:
    """Return a region's machine that has neither the primary nor the VIP."""
    avoid = {maas.machine(maas.primary()), maas.machine(maas.vip_holder())}
    return next(unit.machine for unit in maas.units(REGION).values() if unit.machine not in avoid)


def _units_on(maas: MAAS, machine: str) -> list[str]:
    return [
        name
        for app in maas.juju.status().apps.values()
        for name, unit in app.units.items()
        if unit.machine == machine
    ]


def _boot(maas: MAAS, machine: str) -> str:
    """Return what changes with every boot of a machine."""
    return maas.on_machine(_units_on(maas, machine)[0], BOOT)


def _reboot(maas: MAAS, machine: str) -> None:
    """Reboot a machine as an operator does, and wait until it has booted."""
    before = _boot(maas, machine)
    # The connection may end with the machine.
    with contextlib.suppress(jubilant.CLIError):
        maas.on_machine(_units_on(maas, machine)[0], "systemctl reboot")
    eventually(
        lambda: _boot(maas, machine) != before,
        timeout_s=REBOOTED_S,
        what=f"machine {machine} has booted again",
    )


def _what_is_on(maas: MAAS, machine: str) -> str:
    """Return which of the primary and the VIP a machine has, for what is printed."""
    had = {"the primary": maas.primary(), "the VIP": maas.vip_holder()}
    found = [what for what, unit in had.items() if maas.machine(unit) == machine]
    return f"machine {machine} with {' and '.join(found) or 'neither'}"


def _reboot_in_turn(maas: MAAS, figure: Figure, watch: Watch, machines: list[str]) -> None:
    prober, _ = watch()
    for machine in machines:
        what, begun = _what_is_on(maas, machine), time.time()
        _reboot(maas, machine)
        wait_answered(prober, timeout_s=ANSWERED_S)
        figure(f"reboot of {what}: longest gap of reads", prober.report.since(begun).longest_gap_s)
        maas.wait_whole()
        maas.wait_racks_connected()
        figure(f"reboot of {what}: whole again", time.time() - begun)
    prober.assert_no_failed_read()


def test_the_machine_of_the_primary_is_rebooted(maas: MAAS, figure: Figure, watch: Watch):
    _reboot_in_turn(maas, figure, watch, [maas.machine(maas.primary())])


@pytest.mark.long
def test_every_machine_is_rebooted_one_after_another(maas: MAAS, figure: Figure, watch: Watch):
    _reboot_in_turn(maas, figure, watch, list(maas.juju.status().machines))


@pytest.mark.long
def test_the_machine_of_a_region(maas: MAAS, power: Power, watch: Watch):
    prober, _ = watch()
    machine = _machine_of_a_region(maas)
    _lose(maas, power, machine, prober, is_gone=lambda host: host not in maas.rpc())
    prober.assert_no_failed_read()


@pytest.mark.long
def test_a_region_that_was_deleted_while_it_was_off_comes_back_under_its_old_name(
    maas: MAAS, power: Power, watch: Watch
):
    prober, _ = watch()
    machine = _machine_of_a_region(maas)
    host = maas.juju.status().machines[machine].hostname
    other = next(name for name, unit in maas.units(REGION).items() if unit.machine != machine)
    before = _ids(maas, host)
    power("poweroff", machine)
    wait_answered(prober, timeout_s=ANSWERED_S)
    eventually(lambda: host not in maas.rpc(), timeout_s=FORGOTTEN_S, what=f"MAAS let {host} go")
    maas.juju.run(other, "delete-controller", {"name": host})
    assert not _ids(maas, host)
    power("poweron", machine)
    maas.wait_whole()
    after = _ids(maas, host)
    assert after.keys() == before.keys()
    assert after != before, "it was not deleted"
    # Nor does anybody take it for one that has departed.
    time.sleep(LOOKED_S)
    assert _ids(maas, host) == after
    maas.wait_racks_connected()
    prober.assert_no_failed_read()


def test_the_machine_of_the_vip_holder(maas: MAAS, power: Power, vip_holder: str, watch: Watch):
    prober, _ = watch()
    _lose(maas, power, maas.machine(vip_holder), prober)
    prober.assert_no_failed_read()
    assert prober.report.moves, "the VIP did not move"
    assert maas.vip_holder() != vip_holder


def test_the_machine_of_the_primary(maas: MAAS, power: Power, watch: Watch):
    prober, _ = watch()
    primary = maas.primary()
    machine = maas.machine(primary)
    others = [name for name, unit in maas.units(REGION).items() if unit.machine != machine]
    before = {name: maas.on_machine(name, UNTOUCHED) for name in others}
    _lose(maas, power, machine, prober)
    assert prober.report.longest_gap_s < FAILOVER_S
    assert maas.primary() != primary
    assert {name: maas.on_machine(name, UNTOUCHED) for name in others} == before


@pytest.mark.long
def test_the_machine_of_a_rack(maas: MAAS, power: Power, watch: Watch):
    prober, _ = watch()
    machine = maas.machine(next(iter(maas.units("maas-rack"))))
    _lose(
        maas, power, machine, prober, is_gone=lambda host: maas.racks_connected()[host] == "dead"
    )
    prober.assert_no_failed_read()
    maas.wait_racks_connected(no_others=True)


@pytest.mark.long
def test_a_machine_that_dies_in_its_turn_to_restart_delays_the_others_little(
    maas: MAAS, power: Power, figure: Figure, watch: Watch
):
    """Not the primary's: that one is lost in another story."""
    prober, _ = watch()
    workers = int(str(maas.juju.config("maas-region")["num-workers"]))
    units = maas.units(REGION)
    primarys = maas.machine(maas.primary())
    maas.juju.config("maas-region", {"num-workers": workers - 1})

    def in_turn() -> str:
        holder = maas.lock_holder(RESTART)
        return "" if not holder or units[holder].machine == primarys else holder

    holder = eventually_some(in_turn, timeout_s=240)
    machine = units[holder].machine
    power("poweroff", machine)
    cut = time.time()
    others = [name for name in units if name != holder]

    def waiting() -> list[str]:
        return [one for one in others if maas.on_machine(one, WORKERS).strip() == str(workers)]

    were_waiting = waiting()
    print(f"\n  {holder} was to restart, then {were_waiting}", end="", flush=True)
    assert were_waiting
    next_s = LEASE_S + UPDATE_STATUS_S + EVENT_S
    eventually_some(
        lambda: one if (one := maas.lock_holder(RESTART)) in others else "", timeout_s=next_s
    )
    figure("the next one's turn, since the power of the one in its turn went", time.time() - cut)
    eventually(
        lambda: not waiting(),
        timeout_s=next_s + len(were_waiting) * RESTARTED_S - (time.time() - cut),
        what="the others restarted",
    )
    maas.wait_others_settled(machine)
    figure("the others restarted, since the power of the one in its turn went", time.time() - cut)
    power("poweron", machine)
    maas.wait_whole()
    assert maas.on_machine(holder, WORKERS).strip() == str(workers - 1)
    prober.assert_no_failed_read()
    maas.juju.config("maas-region", {"num-workers": workers})
    maas.wait_whole()


@dataclass(frozen=True)
class Lost:
    """A machine that is gone for good, and what was on it."""

    machine: str
    hostname: str
    address: str
    units: list[str]

    @property
    def apps(self) -> list[str]:
        """The applications that are to get another unit."""
        return [unit.partition("/")[0] for unit in self.units]


def _lose_for_good(maas: MAAS, power: Power, machine: str, prober: Prober) -> Lost:
    found = maas.juju.status().machines[machine]
    lost = Lost(machine, found.hostname, found.ip_addresses[0], _units_on(maas, machine))
    power("poweroff", machine)
    wait_answered(prober, timeout_s=ANSWERED_S)
    maas.juju.wait(lambda status: status.machines[machine].juju_status.current == "down")
    return lost


def _remove(maas: MAAS, lost: Lost, what: str) -> None:
    """Remove each unit of a machine that is gone, or all with it by its number."""
    if what == "each unit":
        maas.juju.remove_unit(*lost.units, force=True)
    else:
        maas.juju.cli("remove-machine", "--force", "--no-prompt", lost.machine)
    maas.wait_gone(*lost.units)


def _replace(maas: MAAS, lost: Lost) -> None:
    """Give each application a unit on one new machine."""
    before = set(maas.juju.status().machines)
    maas.juju.add_unit(lost.apps[0])
    (machine,) = set(maas.juju.status().machines) - before
    for app in lost.apps[1:]:
        maas.juju.add_unit(app, to=machine)


def _is_forgotten(maas: MAAS, lost: Lost) -> bool:
    """Tell whether MAAS, etcd and the survivors' files name the machine no more."""
    members = maas.on_machine(maas.primary(), ETCD_MEMBERS)
    named = f"grep -rw {lost.address} {NAMED} | grep -v initial- || true"
    return (
        lost.hostname not in {**maas.controllers("region"), **maas.controllers("rack")}
        and f"//{lost.address}:" not in members
        and not any(maas.on_machine(unit, named).strip() for unit in maas.units("haproxy-vip"))
    )


def _never_returns(
    maas: MAAS, power: Power, figure: Figure, prober: Prober, machine: str, removed: str
) -> None:
    units = {app: len(maas.units(app)) for app in APPS}
    lost = _lose_for_good(maas, power, machine, prober)
    begun = time.time()
    _remove(maas, lost, removed)
    # Before another one comes, whose events might do it.
    eventually(
        lambda: _is_forgotten(maas, lost),
        timeout_s=FORGOTTEN_S,
        what=f"{lost.hostname} is forgotten",
    )
    figure("forgotten by MAAS, etcd and HAProxy", time.time() - begun)
    # Juju may have removed it with its last unit; that it is gone is waited for in any case.
    with contextlib.suppress(jubilant.CLIError):
        maas.juju.cli("remove-machine", "--force", "--no-prompt", lost.machine)
    maas.juju.wait(lambda status: lost.machine not in status.machines, error=jubilant.any_error)
    begun = time.time()
    _replace(maas, lost)
    maas.wait_complete()
    figure("a new machine in its place, since it was asked for", time.time() - begun)
    assert {app: len(maas.units(app)) for app in APPS} == units


def test_the_machine_of_a_rack_never_returns(
    maas: MAAS, power: Power, figure: Figure, watch: Watch
):
    prober, _ = watch()
    machine = maas.machine(next(iter(maas.units("maas-rack"))))
    _never_returns(maas, power, figure, prober, machine, "each unit")
    prober.assert_no_failed_read()


@pytest.mark.long
def test_a_machine_whose_units_are_removed_by_force_never_returns(
    maas: MAAS, power: Power, figure: Figure, watch: Watch
):
    prober, _ = watch()
    _never_returns(maas, power, figure, prober, _machine_of_a_region(maas), "each unit")
    prober.assert_no_failed_read()


@pytest.mark.long
def test_the_machine_of_the_primary_is_removed_by_force_and_never_returns(
    maas: MAAS, power: Power, figure: Figure, watch: Watch
):
    prober, _ = watch()
    machine = maas.machine(maas.primary())
    _never_returns(maas, power, figure, prober, machine, "the machine")
    assert prober.report.longest_gap_s < FAILOVER_S


def test_every_machine_at_once_and_no_controller(
    maas: MAAS, power: Power, figure: Figure, watch: Watch
):
    prober, _ = watch()
    machines = list(maas.juju.status().machines)
    before = {machine: _boot(maas, machine) for machine in machines}
    with maas.without_controller(power):
        with ThreadPoolExecutor() as hands:
            list(hands.map(lambda machine: power("poweroff", machine), machines))
        begun = time.time()
        for machine in machines:
            power("poweron", machine)
        wait_answered(prober, timeout_s=ANSWERED_S)
        figure("MAAS answers, since the power of the first machine was back", time.time() - begun)
    assert prober.report.failures
    maas.wait_whole()
    assert not [machine for machine in machines if _boot(maas, machine) == before[machine]]
