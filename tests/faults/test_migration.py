# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""MAAS is upgraded, and a machine loses its power in the middle of the database's migration.

Told last: a database never goes back to an older MAAS.
"""

import threading
import time
from collections.abc import Callable

import jubilant
import pytest
from maas import MAAS, eventually, wait_answered
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
Power = Callable[..., None]
Figure = Callable[[str, float], None]
APP = "maas-region"
MIGRATED_S = 900
# Long enough for a machine to be found and struck in the middle of it.
SECONDS = 120
LOOK = "JUJU_DISPATCH_PATH=hooks/update-status ./dispatch"
# The packages' next version, with one more step in its schema, as operators get it from apt.
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
printf -- "-- revision: %s slow\nSELECT pg_sleep({seconds});\n" {revision} >>data/schema.sql
sed -i "s/^HEAD = .*/HEAD = \"{revision}\"/" database.py
cd - >/dev/null
sed -i "s/^Version: .*/Version: {version}/" next/DEBIAN/control
dpkg-deb -b next next.deb >/dev/null
dpkg -i next.deb
"""
OF_MAAS = "SELECT version FROM charmed_maas.cluster"
UPGRADES = (
    "SELECT count(DISTINCT client_addr) FROM pg_stat_activity"
    " WHERE application_name = \\$\\$maas-dbupgrade\\$\\$"
)
# The holder of maas-region's lock for migrations.
MIGRATING = (
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = \\$\\$advisory\\$\\$ AND granted AND (classid, objid) = (1668112737, 1)"
)
# Whose machine loses its power, and which MAAS it is then.
STRUCK = {
    "Juju's leader": ("3.7.4~standin", "0027"),
    "the database's primary": ("3.7.5~standin", "0028"),
    "the unit that migrates": ("3.7.6~standin", "0029"),
}


@pytest.fixture
def members(maas: MAAS) -> None:
    """Three members of the database, of which a story before may have left one."""
    used = {unit.machine for unit in maas.units("postgresql-ha").values()}
    homes = [unit.machine for unit in maas.units(APP).values() if unit.machine not in used]
    for machine in homes[: 3 - len(used)]:
        maas.juju.add_unit("postgresql-ha", to=machine)
    maas.wait_complete()


def _sql(maas: MAAS, query: str) -> str:
    """Return what the primary says, "" while there is none."""
    try:
        command = f'cd / && runuser -u postgres -- psql -d maasdb -Atc "{query}"'
        return maas.on_machine(maas.primary(), command).strip()
    except (jubilant.CLIError, KeyError):
        return ""


def _upgrade(maas: MAAS, version: str, revision: str) -> None:
    """Stop MAAS and upgrade its packages on every region, as docs/upgrade.md says."""
    script = UPGRADE.format(version=version, revision=revision, seconds=SECONDS)
    for unit in maas.units(APP):
        maas.on_machine(unit, script)


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


def _active(maas: MAAS, units: list[str]) -> list[str]:
    """Return the units whose regiond runs."""
    state = "systemctl is-active maas-regiond || true"
    return [unit for unit in units if maas.on_machine(unit, state).strip() == "active"]


def _watch_until_migrated(maas: MAAS, version: str, units: list[str]) -> None:
    """Wait until the database is at a version; until then no region runs and one migrates."""
    end = time.monotonic() + MIGRATED_S
    while time.monotonic() < end:
        upgrades, active = _sql(maas, UPGRADES), _active(maas, units)
        # Read last: what ran before it was there is wrong.
        if _sql(maas, OF_MAAS) == version:
            return
        assert upgrades in ("", "0", "1")
        assert not active
        time.sleep(2)
    raise AssertionError(f"no MAAS {version} within {MIGRATED_S} s: {_messages(maas)}")


@pytest.mark.long
@pytest.mark.usefixtures("members")
@pytest.mark.parametrize("struck", STRUCK)
def test_a_migration_survives(maas: MAAS, power: Power, figure: Figure, watch: Watch, struck: str):
    """Another unit resumes, no region runs on a half-migrated database, the others say who."""
    prober, _ = watch()
    version, revision = STRUCK[struck]
    units = list(maas.units(APP))
    _upgrade(maas, version, revision)
    begun = time.time()
    for unit in units:
        _look_beside(maas, unit)
    eventually(lambda: _sql(maas, UPGRADES) == "1", timeout_s=300, what="a migration")
    migrating = _sql(maas, MIGRATING).rpartition(" ")[2]
    who = {
        "Juju's leader": maas.leader(APP),
        "the database's primary": maas.primary(),
        "the unit that migrates": migrating,
    }[struck]
    print(f"\n  {migrating} migrates, {who} loses its power", end="", flush=True)
    machine = maas.machine(who)
    others = {unit for unit in units if unit != migrating}
    eventually(
        lambda: {_messages(maas)[one] for one in others} == {f"{migrating} migrates the database"},
        timeout_s=SECONDS,
        what="who migrates in the others' statuses",
    )
    assert _sql(maas, UPGRADES) == "1"
    power("poweroff", machine)
    alive = [unit for unit in units if maas.machine(unit) != machine]
    _watch_until_migrated(maas, version, alive)
    figure(f"migrated though {struck} lost its power", time.time() - begun)
    wait_answered(prober, timeout_s=MIGRATED_S)
    figure("MAAS answers", time.time() - begun)
    maas.wait_others_settled(machine)
    power("poweron", machine)
    maas.wait_whole()
    assert _sql(maas, OF_MAAS) == version
