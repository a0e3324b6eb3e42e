# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Relations are removed and integrated again in any order; applications are there twice."""

import ipaddress
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jubilant
import pytest
import requests
from maas import MAAS, charm_of, eventually, wait_answered
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
ENDS = {
    "db": ("maas-region:db", "postgresql-ha:db"),
    "api": ("maas-region:api", "haproxy-vip:api"),
    "rpc": ("maas-region:rpc", "maas-rack:rpc"),
}
# Who is blocked without the relation, and what its status asks for.
BLOCKED = {
    "db": ("maas-region", "integrate db with postgresql-ha"),
    "api": ("haproxy-vip", "integrate api with maas-region"),
    "rpc": ("maas-rack", "integrate rpc with maas-region"),
}
ORDERS = list(itertools.permutations(ENDS))
# Of the 36 pairs six, in which each order to remove and each order to integrate comes once.
PAIRS = list(zip(ORDERS, ORDERS[1:] + ORDERS[:1], strict=True))
DAEMONS = {
    "maas-region": "maas-regiond maas-http maas-db-proxy",
    "haproxy-vip": "haproxy keepalived",
    "maas-rack": "maas-rackd",
}
RACKS, VIPS, DATABASE = "racks-two", "vip-two", "database-two"


def _remove(maas: MAAS, names: Sequence[str]) -> None:
    for name in names:
        maas.juju.remove_relation(*ENDS[name])
    maas.juju.wait(
        lambda status: (
            not any(status.apps[BLOCKED[name][0]].relations.get(name) for name in names)
            and jubilant.all_agents_idle(status)
            and all(jubilant.all_blocked(status, BLOCKED[name][0]) for name in names)
        ),
        error=jubilant.any_error,
    )
    for app, words in map(BLOCKED.__getitem__, names):
        for unit in maas.units(app).values():
            assert unit.workload_status.message == words


def _integrate(maas: MAAS, names: Sequence[str]) -> None:
    for name in names:
        maas.juju.integrate(*ENDS[name])
    maas.wait_whole()
    maas.wait_racks_connected()


def _since(maas: MAAS) -> dict[str, str]:
    """Return since when the daemons of the bundle's units run; a reload does not count."""
    show = "systemctl show -p Id,ActiveEnterTimestampMonotonic,NRestarts"
    return {
        unit: maas.on_machine(unit, f"{show} {services}")
        for app, services in DAEMONS.items()
        for unit in maas.units(app)
    }


def _maas_urls(maas: MAAS) -> set[str]:
    """Return the MAAS URLs in the files of the regions, and the first of each rack."""
    first = "grep -A1 ^maas_url /etc/maas/{}.conf | grep -o -m1 http.*"
    return {
        maas.on_machine(unit, first.format(kind)).strip()
        for app, kind in (("maas-region", "regiond"), ("maas-rack", "rackd"))
        for unit in maas.units(app)
    }


def test_api_and_rpc_are_removed_and_integrated_and_nothing_restarts(maas: MAAS, watch: Watch):
    prober, _ = watch()
    before = _since(maas)
    _remove(maas, ("api", "rpc"))
    for unit in maas.units("maas-region").values():
        assert f"keeps http://{maas.vip}/MAAS without" in unit.workload_status.message
    _integrate(maas, ("rpc", "api"))
    assert _since(maas) == before
    prober.assert_no_failed_read()


# MAAS stops without its database: reads fail meanwhile.
@pytest.mark.long
@pytest.mark.parametrize(("removed", "integrated"), PAIRS, ids="-".join)
def test_all_relations_are_removed_in_one_order_and_integrated_in_another(
    maas: MAAS, watch: Watch, removed: Sequence[str], integrated: Sequence[str]
):
    """In half of the pairs each step settles before the next one begins, else all come at once."""
    prober, _ = watch()
    if ORDERS.index(tuple(removed)) % 2:
        _remove(maas, removed)
        _integrate(maas, integrated)
    else:
        for name in removed:
            _remove(maas, (name,))
        for name in integrated:
            maas.juju.integrate(*ENDS[name])
            maas.juju.wait(jubilant.all_agents_idle, error=jubilant.any_error)
        _integrate(maas, ())
    wait_answered(prober, timeout_s=120)


@pytest.fixture
def watch_second(maas: MAAS, tmp_path: Path) -> Callable[[], Prober]:
    """Return a prober of the second VIP, which is to answer from now on."""

    def start() -> Prober:
        url = f"http://{_second_vip(maas)}/MAAS/api/2.0/version/"
        eventually(lambda: requests.get(url, timeout=10).ok, timeout_s=60, what=url)
        return Prober(url, tmp_path / "second.jsonl")

    return start


@pytest.fixture
def nothing_left(maas: MAAS) -> Iterator[None]:
    """Remove the second applications that a test which fails leaves behind."""
    yield
    maas.remove_applications(RACKS, VIPS, DATABASE)


def _second_vip(maas: MAAS) -> str:
    """Return the address after the VIP, which must be as free as that."""
    return str(ipaddress.ip_address(maas.vip) + 1)


def _machine(maas: MAAS, app: str, *, without: str = "") -> str:
    """Return a machine that is in use by one application and not by another."""
    taken = {unit.machine for unit in maas.units(without).values()} if without else set[str]()
    machines = {unit.machine for unit in maas.units(app).values()}
    return min(machines - taken, key=int)


def _deploy_second_vip(maas: MAAS) -> None:
    """Put it on a rack's machine: two applications cannot have one HAProxy."""
    machine = _machine(maas, "maas-rack", without="haproxy-vip")
    config = {"vip": _second_vip(maas)}
    maas.juju.deploy(charm_of("haproxy-vip"), VIPS, config=config, to=machine)
    maas.juju.integrate("maas-region:api", f"{VIPS}:api")


def _deploy_second_racks(maas: MAAS) -> None:
    machine = _machine(maas, "maas-region", without="maas-rack")
    config = {"source": maas.juju.config("maas-rack")["source"]}
    maas.juju.deploy(charm_of("maas-rack"), RACKS, config=config, to=machine)
    maas.juju.integrate("maas-region:rpc", f"{RACKS}:rpc")


@pytest.mark.usefixtures("nothing_left")
def test_second_racks_and_a_second_vip_serve_and_a_second_database_is_refused(
    maas: MAAS, watch: Watch, watch_second: Callable[[], Prober]
):
    """Juju itself refuses a second db (limit: 1); what blocks its unit is the shared machine."""
    prober, _ = watch()
    before = _since(maas)
    _deploy_second_vip(maas)
    _deploy_second_racks(maas)
    maas.juju.deploy(charm_of("postgresql-ha"), DATABASE, to=_machine(maas, "postgresql-ha"))
    with pytest.raises(jubilant.CLIError) as refused:
        maas.juju.integrate("maas-region:db", f"{DATABASE}:db")
    assert "maximum relation limit of 1" in refused.value.stderr
    maas.juju.wait(
        lambda status: (
            jubilant.all_blocked(status, DATABASE)
            and jubilant.all_active(status, *(set(status.apps) - {DATABASE}))
            and jubilant.all_agents_idle(status)
        ),
        error=jubilant.any_error,
    )
    (unit,) = maas.units(DATABASE).values()
    assert "runs PostgreSQL on this machine" in unit.workload_status.message
    with watch_second() as second:
        assert _maas_urls(maas) == {f"http://{maas.vip}/MAAS"}
        maas.wait_racks_connected()
        assert len(maas.racks_connected()) == len(maas.units("maas-rack")) + 1
    second.assert_no_failed_read()
    maas.remove_applications(VIPS, RACKS, DATABASE)
    assert _since(maas) == before
    maas.wait_whole()
    prober.assert_no_failed_read()


@pytest.mark.long
@pytest.mark.usefixtures("nothing_left")
def test_the_maas_url_is_the_vip_of_the_relation_with_the_lowest_id(
    maas: MAAS, watch: Watch, watch_second: Callable[[], Prober]
):
    prober, _ = watch()
    first, second = (f"http://{vip}/MAAS" for vip in (maas.vip, _second_vip(maas)))
    _deploy_second_vip(maas)
    maas.wait_whole()
    assert _maas_urls(maas) == {first}
    with watch_second() as seconds:
        _remove(maas, ("api",))
        eventually(
            lambda: _maas_urls(maas) == {second}, timeout_s=300, what="MAAS at the second VIP"
        )
        _integrate(maas, ("api",))
        assert _maas_urls(maas) == {second}
    seconds.assert_no_failed_read()
    maas.remove_applications(VIPS)
    eventually(lambda: _maas_urls(maas) == {first}, timeout_s=300, what="MAAS at the first VIP")
    maas.wait_whole()
    maas.wait_racks_connected()
    prober.assert_no_failed_read()
