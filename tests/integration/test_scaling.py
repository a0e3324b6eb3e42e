# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Each application grows and shrinks while requests are served and rows are written.

A story leaves each application on the machines where it found it, but for machines that Juju
removes with their last unit: those of racks.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence

import jubilant
import pytest
from changes import Changes
from maas import MAAS, eventually, wait_answered
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
APPS = ("maas-region", "postgresql-ha", "haproxy-vip", "maas-rack")
# 1, 2, 3, 5, 3, 2, 1, begun and ended where the application stands.
WALKS = {3: (5, 3, 2, 1, 2, 3), 2: (3, 5, 3, 2, 1, 2)}
# What the units say of so few.
FEW = {
    ("maas-region", 1): "no high availability",
    ("postgresql-ha", 1): "no high availability",
    ("postgresql-ha", 2): "no automatic failover",
}


def _machines(maas: MAAS, app: str) -> list[str]:
    """Return the machines of an application, by number."""
    return sorted((unit.machine for unit in maas.units(app).values()), key=int)


def _change(
    maas: MAAS, app: str, *, join: int = 0, to: Sequence[str] = (), leave: Iterable[str] = ()
) -> list[str]:
    """Add and remove units at once, and wait until all is whole; returns who joined.

    Units without a machine to go to get a new one.
    """
    before, leaving = set(maas.units(app)), set(leave)
    if join:
        maas.juju.add_unit(app, num_units=join, to=to or None)
    if leaving:
        maas.juju.remove_unit(*sorted(leaving))
    maas.wait_gone(*leaving)
    maas.wait_complete()
    return sorted(set(maas.units(app)) - before)


@pytest.mark.long
@pytest.mark.parametrize(
    ("app", "has_new"),
    [
        pytest.param("haproxy-vip", False, id="haproxy-vip in use"),
        *(pytest.param(app, True, id=app) for app in APPS),
    ],
)
def test_the_leader_leaves_while_one_joins_and_two_join_and_leave_at_once(
    maas: MAAS, watch: Watch, app: str, *, has_new: bool
):
    if app == "haproxy-vip":
        maas.give_vip(maas.leader(app))
    prober, _ = watch()
    # Nor does a change fail while regions leave, which nobody sends a second time.
    changes = Changes(maas) if app == "maas-region" else None
    with changes or contextlib.nullcontext():
        _leave_join_and_leave(maas, app, has_new=has_new)
    if changes:
        print(f"\n  {changes}", end="")
        changes.assert_none_failed()
    prober.assert_no_failed_read()
    if app == "haproxy-vip":
        assert prober.report.moves, "the VIP did not move"


def _leave_join_and_leave(maas: MAAS, app: str, *, has_new: bool) -> None:
    leader = maas.leader(app)
    freed = maas.machine(leader)
    (guest,) = _change(maas, app, join=1, to=maas.machines_without(app)[:1], leave=[leader])
    is_home = freed in maas.machines_in_use()
    in_use = freed if is_home else maas.machines_without(app)[0]
    others = [machine for machine in maas.machines_without(app) if machine != in_use]
    joined = _change(maas, app, join=2, to=[in_use] if has_new else [in_use, others[0]])
    (beside,) = [name for name in joined if maas.machine(name) == in_use]
    (alone,) = set(joined) - {beside}
    _change(maas, app, leave=[guest, alone if is_home else beside])


# For postgresql-ha see test_never_lost.py: it waits for adopt-data.
@pytest.mark.long
@pytest.mark.parametrize("app", ["maas-region", "haproxy-vip", "maas-rack"])
def test_all_units_leave_and_as_many_join_again(maas: MAAS, watch: Watch, app: str):
    prober, _ = watch()
    machines = _machines(maas, app)
    maas.juju.remove_unit(*maas.units(app))
    maas.juju.wait(
        lambda status: not status.apps[app].units and jubilant.all_agents_idle(status),
        error=jubilant.any_error,
    )
    still = [machine for machine in machines if machine in maas.machines_in_use()]
    assert len(_change(maas, app, join=len(machines), to=still)) == len(machines)
    if app == "maas-rack":
        prober.assert_no_failed_read()
    else:
        # MAAS has no region or no VIP meanwhile.
        wait_answered(prober, timeout_s=120)


def _first_to_leave(maas: MAAS, app: str) -> list[str]:
    """Return the units in the order in which to lose them is the harder."""
    primary = [maas.primary()] if app == "postgresql-ha" else []
    return list(dict.fromkeys([*primary, maas.leader(app), *reversed(list(maas.units(app)))]))


def _says(maas: MAAS, app: str, words: str) -> bool:
    return all(words in unit.workload_status.message for unit in maas.units(app).values())


def _resize(maas: MAAS, app: str, size: int, home: Sequence[str]) -> None:
    now = len(maas.units(app))
    if size < now:
        _change(maas, app, leave=_first_to_leave(maas, app)[: now - size])
    else:
        # A rack leaves its machine to Juju, which removes it: the next one has a new one.
        free = [] if app == "maas-rack" else maas.machines_without(app)
        to = sorted(free, key=lambda machine: (machine not in home, int(machine)))
        _change(maas, app, join=size - now, to=to[: size - now])
    if words := FEW.get((app, size)):
        eventually(lambda: _says(maas, app, words), timeout_s=150, what=words)


# haproxy-vip needs no new machine: every run has time for that. Its leader, who leaves first, has
# the VIP; two join at once, and one joins while another leaves.
@pytest.mark.parametrize(
    "app",
    [
        pytest.param(app, id=app, marks=() if app == "haproxy-vip" else pytest.mark.long)
        for app in APPS
    ],
)
def test_an_application_has_one_two_three_and_five_units(maas: MAAS, watch: Watch, app: str):
    if app == "haproxy-vip":
        maas.give_vip(maas.leader(app))
    prober, _ = watch()
    home = _machines(maas, app)
    for size in WALKS[len(home)]:
        _resize(maas, app, size, home)
    guests = [name for name, unit in maas.units(app).items() if unit.machine not in home]
    if app != "maas-rack" and guests:
        to = [machine for machine in maas.machines_without(app) if machine in home]
        _change(maas, app, join=len(to), to=to, leave=guests)
    prober.assert_no_failed_read()
    if app == "haproxy-vip":
        assert prober.report.moves, "the VIP did not move"


# A switchover takes two of the five seconds that a read may: on a machine with much other work it
# takes all of them.
@pytest.mark.long
def test_the_primary_leaves_and_a_member_joins_on_its_machine(maas: MAAS, watch: Watch):
    prober, _ = watch()
    primary = maas.primary()
    machine = maas.machine(primary)
    _change(maas, "postgresql-ha", leave=[primary])
    _change(maas, "postgresql-ha", join=1, to=[machine])
    prober.assert_no_failed_read()
