# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Hooks are killed, come in any order, or do not come but for update-status: all ends the same.

A number decides what is hit and when; each story prints what it hit. Nothing is lost meanwhile.
"""

import random
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import jubilant
import pytest
import rendered
from killers import Killers
from maas import MAAS, charm_of, eventually, wait_answered
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
Fault = Callable[..., None]
APPS = ("maas-rack", "haproxy-vip", "maas-region", "postgresql-ha")
ANSWERED_S = 60
INSTALL = "install"
CHANGES = "(?!install|update-status).*"
LEAVES = ".*-(departed|broken)|stop|remove"
REFRESH = "upgrade-charm|config-changed"
# Applications that form beside the bundle, with their charms and numbers of units.
FORMATIONS = (
    {"second": ("postgresql-ha", 3)},
    {"second": ("postgresql-ha", 1), "second-region": ("maas-region", 2)},
    {
        "second": ("postgresql-ha", 2),
        "second-region": ("maas-region", 2),
        "second-vip": ("haproxy-vip", 2),
    },
)
# Told in every run; lab-long tells the others.
KILLED, REFRESHED, SHUFFLED, UPDATED = 0, 0, 1, "maas-rack"
RELATIONS = (("second", "second-region", "db"), ("second-region", "second-vip", "api"))


def _cases(values: Iterable[object], *, short: object = None) -> list[object]:
    """Return a story's cases, each but one a long one."""
    return [
        pytest.param(one, marks=() if one == short else pytest.mark.long, id=str(one))
        for one in values
    ]


@pytest.fixture
def state(maas: MAAS) -> Iterator[None]:
    """Around a test: every unit has rendered the same afterwards as before."""
    before = rendered.by_unit(maas)
    yield
    maas.wait_whole()

    def is_same() -> bool:
        return rendered.by_unit(maas) == before

    eventually(is_same, timeout_s=180, what="the files of before")


@pytest.fixture
def often(maas: MAAS) -> Iterator[None]:
    """Have update-status often around a test."""
    with maas.update_status_every("20s"):
        yield


def _add(maas: MAAS, app: str, machine: str | None) -> str:
    before = set(maas.units(app))
    maas.juju.add_unit(app, to=machine)
    (added,) = set(maas.units(app)) - before
    return added


def _wait_alike(maas: MAAS, *apps: str) -> None:
    """Wait until an application's units have rendered the same, and all of their daemons run."""
    for app in apps:
        try:
            eventually(
                lambda app=app: not rendered.differences(maas, app), timeout_s=180, what="the same"
            )
        except AssertionError:
            assert rendered.differences(maas, app) == []


def _victim(maas: MAAS, rng: random.Random, newcomer: str) -> str:
    """Return the unit to hit: the one that comes or goes, the leader, or another."""
    app = newcomer.partition("/")[0]
    leader = maas.leader(app)
    other = next(name for name in maas.units(app) if name not in (leader, newcomer))
    return rng.choice((newcomer, newcomer, leader, other))


@pytest.mark.parametrize("seed", _cases(range(16), short=KILLED))
@pytest.mark.usefixtures("state")
def test_dispatches_are_killed_while_a_unit_comes_and_goes(maas: MAAS, watch: Watch, seed: int):
    prober, _ = watch()
    rng, app = random.Random(seed), APPS[seed % 4]
    machine = rng.choice(maas.machines_without(app)) if seed // 4 % 2 == 0 else None
    print(f"\n  seed {seed}: {app} to {machine or 'a new machine'}", end="", flush=True)
    with Killers(maas.juju, seed) as killers:
        added = _add(maas, app, machine)
        victim = _victim(maas, rng, added)
        killers.strike(added, INSTALL, kills=3, longest_s=20)
        killers.strike(victim, CHANGES, kills=3, longest_s=10)
        maas.wait_settled()
    assert killers.struck(added, INSTALL)
    assert killers.struck(victim, CHANGES)
    _wait_alike(maas, app)
    with Killers(maas.juju, seed) as killers:
        # Juju 4.0 tells no peer that a unit has departed, which is all that racks would hear.
        victim = added if app == "maas-rack" else _victim(maas, rng, added)
        killers.strike(victim, CHANGES, kills=3, longest_s=5)
        maas.juju.remove_unit(added)
        maas.wait_gone(added)
        # The others hear of it last.
        maas.wait_settled()
    assert killers.struck(victim, LEAVES if victim == added else CHANGES)
    prober.assert_no_failed_read()


@pytest.mark.parametrize("seed", _cases(range(8), short=REFRESHED))
@pytest.mark.usefixtures("state")
def test_dispatches_are_killed_while_a_charm_is_refreshed(
    maas: MAAS, watch: Watch, tmp_path: Path, seed: int
):
    prober, _ = watch()
    app = APPS[seed % 4]
    print(f"\n  seed {seed}: {app}", end="", flush=True)
    charm = tmp_path / f"{app}.charm"
    shutil.copy(charm_of(app), charm)
    with zipfile.ZipFile(charm, "a") as packed:
        packed.writestr("refreshed", f"{seed}\n")
    before = {unit: rendered.main_pids(maas, unit) for unit in maas.units(app)}
    ran = {unit: _hooks_run(maas, unit) for unit in before}
    with Killers(maas.juju, seed) as killers:
        for unit in before:
            killers.strike(unit, REFRESH, kills=2, longest_s=3)
        maas.juju.refresh(app, path=charm)
        for unit, hooks in ran.items():
            eventually(
                lambda unit=unit, hooks=hooks: "upgrade-charm" in _hooks_run(maas, unit) - hooks,
                timeout_s=300,
                what=f"upgrade-charm of {unit}",
            )
        maas.wait_settled()
    assert any(killers.struck(unit, "upgrade-charm") for unit in before)
    for unit, pids in before.items():
        number = unit.replace("/", "-")
        seen = maas.on_machine(unit, f"cat /var/lib/juju/agents/unit-{number}/charm/refreshed")
        assert seen.strip() == str(seed)
        assert rendered.main_pids(maas, unit) == pids
    prober.assert_no_failed_read()


@pytest.mark.parametrize("seed", _cases(range(6)))
@pytest.mark.usefixtures("state")
def test_dispatches_are_killed_while_applications_form(maas: MAAS, watch: Watch, seed: int):
    prober, _ = watch()
    apps = FORMATIONS[seed % len(FORMATIONS)]
    print(f"\n  seed {seed}: {', '.join(apps)}", end="", flush=True)
    machines: list[str] = []
    with Killers(maas.juju, seed) as killers:
        for app, (charm, count) in apps.items():
            config = _config(maas, charm)
            maas.juju.deploy(
                charm_of(charm), app, num_units=count, config=config, to=machines[:count] or None
            )
            units = maas.units(app)
            machines = machines or [unit.machine for unit in units.values()]
            for unit in units:
                killers.strike(unit, "(?!update-status).*", kills=4, longest_s=20)
        for one, other, endpoint in RELATIONS:
            if other in apps:
                maas.juju.integrate(f"{one}:{endpoint}", f"{other}:{endpoint}")
        maas.wait_settled()
    assert killers.killed
    _wait_alike(maas, *apps)
    maas.juju.remove_application(*apps, force=True)
    maas.juju.wait(lambda status: not set(apps) & set(status.apps))
    prober.assert_no_failed_read()


def _config(maas: MAAS, charm: str) -> dict[str, jubilant.ConfigValue]:
    """Return an application's options for a second one of its charm."""
    if charm == "haproxy-vip":
        return {"vip": maas.free_address()}
    return {"source": maas.juju.config(charm)["source"]} if charm == "maas-region" else {}


@pytest.mark.parametrize("seed", _cases(range(30), short=SHUFFLED))
@pytest.mark.usefixtures("state")
def test_hooks_come_in_any_order(maas: MAAS, power: Fault, watch: Watch, seed: int):
    prober, _ = watch()
    rng = random.Random(seed)
    apps = rng.sample(APPS, rng.choice((2, 4)))
    print(f"\n  seed {seed}: {', '.join(apps)}", end="", flush=True)
    power("shuffle", str(seed))
    first = _add(maas, apps[0], None)
    machine = maas.machine(first)
    added = [first, *(_add(maas, app, machine) for app in apps[1:])]
    maas.wait_settled()
    _wait_alike(maas, *apps)
    maas.juju.remove_unit(*added)
    maas.wait_gone(*added)
    prober.assert_no_failed_read()


@pytest.mark.parametrize("app", _cases(APPS, short=UPDATED))
@pytest.mark.usefixtures("state", "often")
def test_update_status_alone_brings_a_new_unit_up(
    maas: MAAS, power: Fault, watch: Watch, app: str
):
    prober, _ = watch()
    added = _add(maas, app, None)
    power("skip-hooks", added)
    try:
        maas.wait_settled()
        _wait_alike(maas, app)
        assert set(_hooks_run(maas, added)) == {"update-status"}
    finally:
        power("run-hooks", added)
        maas.juju.remove_unit(added)
    maas.wait_gone(added)
    prober.assert_no_failed_read()


@pytest.mark.parametrize("is_leader", [False, True], ids=["another", "the leader"])
@pytest.mark.parametrize("app", _cases(APPS))
@pytest.mark.usefixtures("state", "often")
def test_update_status_alone_follows_who_comes_and_goes(
    maas: MAAS, power: Fault, watch: Watch, app: str, is_leader: bool
):
    """A unit of the application and one of another that it is related to, and the primary."""
    prober, _ = watch()
    leader = maas.leader(app)
    unit = leader if is_leader else next(one for one in maas.units(app) if one != leader)
    print(f"\n  {unit}", end="", flush=True)
    seen = _hooks_run(maas, unit)
    power("skip-hooks", unit)
    try:
        related = "maas-rack" if app == "maas-region" else "maas-region"
        added = [_add(maas, one, None) for one in (app, related)]
        maas.wait_settled()
        _wait_alike(maas, *APPS)
        primary = maas.primary()
        maas.juju.run(primary, "switchover")
        maas.wait_settled()
        _wait_alike(maas, *APPS)
        assert maas.primary() != primary
        maas.juju.remove_unit(*added)
        maas.wait_gone(*added)
        _wait_alike(maas, *APPS)
        ran = _hooks_run(maas, unit) - seen
        assert set(ran) == {"update-status"}
        for one in (app, related):
            maas.wait_forgotten(one)
        wait_answered(prober, timeout_s=ANSWERED_S)
    finally:
        power("run-hooks", unit)


def _hooks_run(maas: MAAS, unit: str) -> Counter[str]:
    """Return the hooks that a unit ran, and how often."""
    log = maas.juju.cli(
        "debug-log", "--replay", "--no-tail", "--include", f"unit-{unit.replace('/', '-')}"
    )
    return Counter(re.findall(r'ran "([a-z-]+)" hook', log))
