# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Charms are refreshed: nothing restarts, revisions differ for a while, a unit in error follows.

OTHER_CHARMS names a directory with packed charms of another revision (an older commit's, say),
as `haproxy-vip-….charm`: the stories then refresh to these and back, and not to a newer one that
is made from the bundle's. Such a one may render other files: services may then restart in turn.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import jubilant
import pytest
import restarts
import revisions
from changes import Changes
from each_region import EachRegion
from maas import MAAS, charm_of, eventually
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
Revision = Callable[[str], Path]
APPS = [
    "haproxy-vip",
    *(pytest.param(one, marks=pytest.mark.long) for one in ("maas-rack", "maas-region")),
    pytest.param("postgresql-ha", marks=pytest.mark.long),
]
# A field of the databags that the newer revision does without.
LACKING = {
    "haproxy-vip": "vip-holder",
    "maas-rack": "hostname",
    "maas-region": "started",
    "postgresql-ha": "admits",
}
SERVICES = (
    "haproxy keepalived postgresql-ha-patroni postgresql-ha-etcd maas-db-proxy maas-regiond"
    " maas-http maas-apiserver maas-temporal maas-temporal-worker maas-rackd"
)
FILES = (
    "/etc/haproxy/haproxy.cfg /etc/keepalived/keepalived.conf /etc/postgresql-ha/patroni.yml"
    " /etc/maas/regiond.conf /etc/maas/rackd.conf /etc/maas-db-proxy/*"
)
UNTOUCHED = (
    f"systemctl show -p Id,ActiveEnterTimestampMonotonic,NRestarts,MainPID {SERVICES};"
    f" pgrep -o -x postgres; stat -c %n.%Y.%i {FILES} 2>/dev/null || true"
)
OTHER_CHARMS = os.environ.get("OTHER_CHARMS", "")
CHARM = "/var/lib/juju/agents/unit-{}/charm"
RECONCILE = "JUJU_DISPATCH_PATH=hooks/update-status ./dispatch"


@dataclass(frozen=True)
class Refresher:
    """Refreshes one application of the bundle to charm files."""

    maas: MAAS
    app: str

    def to(self, charm: Path) -> None:
        """Refresh without waiting."""
        self.maas.juju.refresh(self.app, path=charm)

    def hold(self, charm: Path, unit: str, scratch: Path) -> None:
        """Refresh to a charm's revision, whose first hook leaves one unit in error."""
        self.maas.to_fail.add(unit)
        self.to(revisions.failing(charm, scratch / f"{self.app}.failing.charm", unit))
        self.maas.juju.wait(lambda status: status.apps[self.app].units[unit].is_error)
        self.wait_others(unit)

    def wait_others(self, unit: str) -> None:
        """Wait until every unit but one has the application's revision, active and idle."""
        app = self.app

        def are_well(status: jubilant.Status) -> bool:
            units = [one for about in status.apps.values() for one in about.units.items()]
            return all(
                one.is_active and one.juju_status.current == "idle"
                for name, one in units
                if name != unit
            )

        others = [name for name in self.maas.units(app) if name != unit]
        eventually(
            lambda: {self.revision(name) for name in others} == {self.current()},
            timeout_s=300,
            what=f"{', '.join(others)} at revision {self.current()}",
        )
        self.maas.juju.wait(are_well, timeout=600)

    def current(self) -> int:
        """The revision that the application is to have."""
        return self.maas.juju.status().apps[self.app].charm_rev

    def revision(self, unit: str) -> int:
        """The revision of the charm that a unit has."""
        url = self.maas.on_machine(unit, f"cat {_charm(unit)}/.juju-charm")
        return int(url.strip().rpartition("-")[2])


def _charm(unit: str) -> str:
    return CHARM.format(unit.replace("/", "-"))


def _untouched(maas: MAAS) -> dict[str, str]:
    """What shows that no service of any machine was restarted and no configuration rewritten."""
    apps = maas.juju.status().apps.values()
    machines = {one.machine: name for app in apps for name, one in app.units.items()}
    return {machine: maas.on_machine(unit, UNTOUCHED) for machine, unit in machines.items()}


def _assert_untouched(maas: MAAS, before: dict[str, str]) -> None:
    if not OTHER_CHARMS:
        assert _untouched(maas) == before


def _assert_told(maas: MAAS, newer: Iterable[str]) -> None:
    """Each unit of the newer revision has written what the older one does not know."""
    get = f"relation-get -r $(relation-ids peers) {revisions.ADDED} $JUJU_UNIT_NAME"
    if not OTHER_CHARMS:
        assert {maas.juju.exec(get, unit=unit).stdout.strip() for unit in newer} == {"[1]"}


@pytest.fixture
def other(tmp_path: Path) -> Revision:
    """Return another revision of an application's charm than the bundle's."""

    def find(app: str) -> Path:
        if OTHER_CHARMS:
            (found,) = Path(OTHER_CHARMS).glob(f"{app}[-_]*.charm")
            return found
        target = tmp_path / f"{app}.newer.charm"
        return revisions.newer(charm_of(app), target, lacking=LACKING[app])

    return find


@pytest.mark.parametrize("app", APPS)
def test_revisions_differ_while_a_unit_is_in_error(
    maas: MAAS, watch: Watch, other: Revision, tmp_path: Path, app: str
):
    """The leader is held back, so that each revision reads what the other's leader wrote."""
    prober, _ = watch()
    before = _untouched(maas)
    refresher = Refresher(maas, app)
    files = (charm_of(app), other(app))
    for held, all_others in (files, files[::-1]):
        leader = maas.leader(app)
        refresher.hold(held, leader, tmp_path)
        refresher.to(all_others)
        refresher.wait_others(leader)
        assert refresher.revision(leader) < refresher.current()
        # Tasks run in error too, and commit: what a revision writes reaches the other one's units.
        for unit in [leader, *maas.units(app), leader]:
            maas.juju.exec(RECONCILE, unit=unit)
        refresher.wait_others(leader)
        others = maas.units(app).keys() - {leader}
        _assert_told(maas, {leader} if held != charm_of(app) else others)
        maas.juju.cli("resolved", "--no-retry", leader)
        # Its agent comes to that once another unit's hook has let the machine go.
        maas.juju.wait(lambda status, unit=leader: not status.apps[app].units[unit].is_error)
        maas.wait_settled()
        assert {refresher.revision(unit) for unit in maas.units(app)} == {refresher.current()}
    _assert_untouched(maas, before)
    prober.assert_no_failed_read()


@pytest.mark.long
@pytest.mark.parametrize("app", ["haproxy-vip", "maas-rack", "maas-region", "postgresql-ha"])
def test_a_unit_that_failed_before_the_refresh_follows_once_it_is_mended(
    maas: MAAS, watch: Watch, other: Revision, app: str
):
    prober, _ = watch()
    before = _untouched(maas)
    refresher = Refresher(maas, app)
    unit = next(name for name in maas.units(app) if name != maas.leader(app))
    source = f"{_charm(unit)}/src/charm.py"
    maas.to_fail.add(unit)
    maas.on_machine(unit, f"mv {source} {source}.away")
    try:
        # The next update-status fails.
        maas.juju.wait(lambda status: status.apps[app].units[unit].is_error)
        refresher.to(other(app))
        refresher.wait_others(unit)
        assert refresher.revision(unit) < refresher.current()
    finally:
        maas.on_machine(unit, f"mv {source}.away {source}")
    # Juju tries the failed hook again by itself; then the unit may be upgraded.
    maas.juju.wait(lambda status: not status.apps[app].units[unit].is_error)
    maas.wait_settled()
    assert refresher.revision(unit) == refresher.current()
    refresher.to(charm_of(app))
    refresher.wait_others("")
    maas.wait_settled()
    _assert_untouched(maas, before)
    prober.assert_no_failed_read()


@pytest.mark.long
def test_a_refresh_that_takes_a_restart_goes_through_the_regions_in_turn(
    maas: MAAS, watch: Watch, tmp_path: Path
):
    """There and back: two serve at any time, and no change fails, which nobody sends again."""
    prober, _ = watch()
    refresher = Refresher(maas, "maas-region")
    charm = charm_of("maas-region")
    other = revisions.restarting(charm, tmp_path / "maas-region.restarting.charm")
    with EachRegion(maas) as regions, Changes(maas) as changes:
        for file in (other, charm):
            before = restarts.last(maas, "maas-region")
            refresher.to(file)
            refresher.wait_others("")
            maas.wait_whole()
            restarts.assert_one_at_a_time(before, restarts.last(maas, "maas-region"))
    print(f"\n  {changes}, {regions}", end="")
    assert regions.least() >= len(maas.units("maas-region")) - 1
    changes.assert_none_failed()
    prober.assert_no_failed_read()
