# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""MAAS is upgraded, and a machine loses its power in the middle of the database's migration.

Told last: a database never goes back to an older MAAS.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import jubilant
import pytest
from maas import MAAS, eventually, wait_answered
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
Power = Callable[..., None]
Figure = Callable[[str, float], None]
APP = "maas-region"
MIGRATE = 1
LEADER = "Juju's leader"
MIGRATED_S = 900
# Long enough for a machine to be found and struck in the middle of it; and for Juju's lease to run
# out, after which another unit leads.
SECONDS, LEASE_S = 120, 60
LOOK = "JUJU_DISPATCH_PATH=hooks/update-status ./dispatch"
# The packages' next version, with one more step in its schema, as operators get it from apt: slow
# within that step, which is a transaction, or after it, before what MAAS migrates besides.
UPGRADE = r"""
set -e
systemctl stop maas-regiond
cd "$(mktemp -d)"
dpkg-deb -R /srv/lab-apt/maas-region-api_*.deb next
cp /usr/lib/python3/dist-packages/maas_standin/data/schema.sql \
   /usr/lib/python3/dist-packages/maas_standin/database.py .
for name in data/schema.sql database.py; do
  cp "$(basename $name)" next/usr/lib/python3/dist-packages/maas_standin/$name
done
cd next/usr/lib/python3/dist-packages/maas_standin
printf -- "-- revision: %s slow\nSELECT pg_sleep({within_s});\n" {revision} >>data/schema.sql
sed -i "s/^def _migrate_temporal.*/&\n    cursor.execute(\"SELECT pg_sleep({after_s})\")/" \
  dbupgrade.py
sed -i "s/^HEAD = .*/HEAD = \"{revision}\"/" database.py
cd - >/dev/null
sed -i "s/^Version: .*/Version: {version}/" next/DEBIAN/control
dpkg-deb -b next next.deb >/dev/null
dpkg -i next.deb
"""
OF_MAAS = "SELECT version FROM charmed_maas.cluster"
OF_SCHEMA = "SELECT version_num FROM alembic_version"
UPGRADES = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = \\$\\$maas-dbupgrade\\$\\$"
)


@dataclass(frozen=True)
class Strike:
    """Which MAAS it is whose migration is struck, and whether its schema is there by then."""

    version: str
    revision: str
    is_half_done: bool

    @property
    def script(self) -> str:
        """What upgrades a region's packages to it."""
        within_s, after_s = (0, SECONDS) if self.is_half_done else (SECONDS + LEASE_S, 0)
        return UPGRADE.format(
            version=self.version, revision=self.revision, within_s=within_s, after_s=after_s
        )


# By whose machine loses its power.
STRUCK = {
    LEADER: Strike("3.7.4~standin", "0027", is_half_done=False),
    "the database's primary": Strike("3.7.5~standin", "0028", is_half_done=True),
    "the unit that migrates": Strike("3.7.6~standin", "0029", is_half_done=True),
}


@pytest.fixture
def members(maas: MAAS) -> None:
    """Three members of the database, of which a story before may have left one."""
    used = {unit.machine for unit in maas.units("postgresql-ha").values()}
    homes = [unit.machine for unit in maas.units(APP).values() if unit.machine not in used]
    for machine in homes[: 3 - len(used)]:
        maas.juju.add_unit("postgresql-ha", to=machine)
    maas.wait_complete()


def _begin(maas: MAAS, script: str, struck: str) -> float:
    """Upgrade every region's packages as docs/upgrade.md says, and have one unit migrate.

    The last one that is upgraded does. Where Juju's leader is to be struck that is another one:
    the leader, as all others, has told its new version before the last one gets it. Returns when
    the migration was asked for.
    """
    units = list(maas.units(APP))
    if struck != LEADER:
        for unit in units:
            maas.on_machine(unit, script)
        begun = time.time()
        for unit in units:
            _look_beside(maas, unit)
        return begun
    leader = maas.leader(APP)
    *before, last = sorted(units, key=lambda unit: unit != leader)
    for unit in before:
        maas.on_machine(unit, script)
        maas.juju.exec(LOOK, unit=unit)
    maas.on_machine(last, script)
    begun = time.time()
    _look_beside(maas, last)
    eventually(lambda: maas.lock_holder(MIGRATE) == last, timeout_s=300, what=f"{last} migrates")
    for unit in before:
        _look_beside(maas, unit)
    return begun


def _look_beside(maas: MAAS, unit: str) -> None:
    """Have a unit look at its state beside the test: its machine may lose its power meanwhile."""

    def look() -> None:
        try:
            maas.juju.exec(LOOK, unit=unit, wait=SECONDS * 3)
        except (jubilant.CLIError, jubilant.TaskError, TimeoutError) as error:
            print(f"\n  the look of {unit} ended: {type(error).__name__}", end="")

    threading.Thread(target=look, daemon=True).start()


def _messages(maas: MAAS) -> dict[str, str]:
    return {name: unit.workload_status.message for name, unit in maas.units(APP).items()}


def _leading(maas: MAAS) -> set[str]:
    """Return Juju's leader, none while a lease is over and nobody has the next one."""
    return {name for name, unit in maas.units(APP).items() if unit.leader}


def _active(maas: MAAS, units: list[str]) -> list[str]:
    """Return the units whose regiond runs."""
    state = "systemctl is-active maas-regiond || true"
    return [unit for unit in units if maas.on_machine(unit, state).strip() == "active"]


def _watch_until_migrated(maas: MAAS, version: str, units: list[str]) -> set[str]:
    """Wait until the database is at a version; until then no region runs and one migrates.

    Returns who was Juju's leader meanwhile.
    """
    leaders: set[str] = set()
    end = time.monotonic() + MIGRATED_S
    while time.monotonic() < end:
        upgrades, active, leading = maas.sql(UPGRADES), _active(maas, units), _leading(maas)
        # Read last: what ran before it was there is wrong.
        if maas.sql(OF_MAAS) == version:
            return leaders
        assert upgrades in ("", "0", "1")
        assert not active
        leaders |= leading
        time.sleep(2)
    raise AssertionError(f"no MAAS {version} within {MIGRATED_S} s: {_messages(maas)}")


@pytest.mark.long
@pytest.mark.usefixtures("members")
@pytest.mark.parametrize("struck", STRUCK)
def test_a_migration_survives(maas: MAAS, power: Power, figure: Figure, watch: Watch, struck: str):
    """Another unit resumes, no region runs on a half-migrated database, the others say who."""
    prober, _ = watch()
    strike = STRUCK[struck]
    units = list(maas.units(APP))
    begun = _begin(maas, strike.script, struck)
    eventually(lambda: maas.sql(UPGRADES) == "1", timeout_s=300, what="a migration")
    migrating = maas.lock_holder(MIGRATE)
    who = {
        LEADER: maas.leader(APP),
        "the database's primary": maas.primary(),
        "the unit that migrates": migrating,
    }[struck]
    print(f"\n  {migrating} migrates, {who} loses its power", end="", flush=True)
    machine = maas.machine(who)
    assert struck != LEADER or migrating != who
    others = {unit for unit in units if unit != migrating}
    eventually(
        lambda: {_messages(maas)[one] for one in others} == {f"{migrating} migrates the database"},
        timeout_s=SECONDS,
        what="who migrates in the others' statuses",
    )
    eventually(
        lambda: (maas.sql(OF_SCHEMA) == strike.revision) is strike.is_half_done,
        timeout_s=30,
        what="as much of the migration as is to be done",
    )
    assert maas.sql(UPGRADES) == "1"
    power("poweroff", machine)
    alive = [unit for unit in units if maas.machine(unit) != machine]
    leaders = _watch_until_migrated(maas, strike.version, alive)
    figure(f"migrated though {struck} lost its power", time.time() - begun)
    wait_answered(prober, timeout_s=MIGRATED_S)
    figure("MAAS answers", time.time() - begun)
    maas.wait_others_settled(machine)
    if struck == LEADER:
        # Half-way: another one led before the database was migrated, and leads still.
        assert leaders - {who}, leaders
        assert maas.leader(APP) != who
    power("poweron", machine)
    maas.wait_whole()
    assert (maas.sql(OF_MAAS), maas.sql(OF_SCHEMA)) == (strike.version, strike.revision)
