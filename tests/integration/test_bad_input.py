# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What is wrong is named with its way out, services go on, and it is well again once corrected."""

import re
from collections.abc import Callable
from typing import Any

import jubilant
import pytest
import requests
from maas import MAAS, eventually_some
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
LONG = pytest.mark.long
CASES = [
    ("haproxy-vip", {"vip": "not-an-address"}, "vip"),
    pytest.param("haproxy-vip", {"vip": "192.0.2.10"}, "192.0.2.10", marks=LONG),
    pytest.param("haproxy-vip", {"port": 5240}, "5240", marks=LONG),
    ("maas-region", {"source": "deb http://127.0.0.1:1/ nowhere main"}, "source"),
    pytest.param("maas-rack", {"source": "nonsense"}, "source", marks=LONG),
]
ACTIONS = [
    ("postgresql-ha", "switchover", {"to": "nobody/7"}, "'nobody/7' is not a unit"),
    ("postgresql-ha", "adopt-data", {"path": "elsewhere"}, "nothing to adopt"),
    ("postgresql-ha", "bootstrap", {"confirm": "7"}, "nothing to start anew"),
    ("maas-region", "create-admin", {"username": "a b", "email": "a@example.com"}, "username"),
    ("maas-region", "get-api-key", {"username": "nobody"}, "does not exist"),
]
# What reaches a file would be another line of it; 100 kB are as much as a command line takes.
LINE = '"$(printf "http://192.0.2.1/MAAS\\nx: y")"'
GARBLED = [
    pytest.param("api", "address=nonsense", "haproxy-vip", id="api"),
    pytest.param("db", f"--app database={LINE}", "postgresql-ha", id="db", marks=LONG),
    pytest.param("rpc", f"--app maas-url={LINE}", "maas-rack", id="rpc", marks=LONG),
    pytest.param(
        "peers", 'address="$(printf %0100000d 7)"', "postgresql-ha", id="peers", marks=LONG
    ),
]
MAAS_PORT = 5240
SQUATTER_PORT = 8099
RUNNING = (
    "systemctl show -p ActiveEnterTimestampMonotonic haproxy keepalived maas-rackd;"
    " cat /var/lib/maas/maas_id"
)


@pytest.mark.parametrize(("app", "config", "named"), CASES, ids=lambda value: str(value)[:40])
def test_a_bad_option_blocks_and_services_go_on(
    maas: MAAS, app: str, config: dict[str, Any], named: str
):
    vip = maas.vip
    good = {key: maas.juju.config(app)[key] for key in config}
    maas.juju.config(app, config)
    try:
        status = maas.juju.wait(
            lambda status: jubilant.all_blocked(status, app), error=jubilant.any_error
        )
        for unit in status.apps[app].units.values():
            assert named in unit.workload_status.message
        _assert_answers(vip)
    finally:
        maas.juju.config(app, good)
    maas.wait_settled()


def _assert_answers(vip: str) -> None:
    answer = requests.get(f"http://{vip}/MAAS/api/2.0/version/", timeout=10)
    assert answer.status_code == 200


def test_a_vip_that_is_a_units_own_address_is_refused(maas: MAAS):
    good = str(maas.juju.config("haproxy-vip")["vip"])
    own = next(iter(maas.units("haproxy-vip").values())).public_address
    maas.juju.config("haproxy-vip", {"vip": own})
    try:
        status = maas.juju.wait(
            lambda status: jubilant.all_blocked(status, "haproxy-vip"), error=jubilant.any_error
        )
        for unit in status.apps["haproxy-vip"].units.values():
            assert own in unit.workload_status.message
            assert "own address" in unit.workload_status.message
        _assert_answers(good.partition("/")[0])
    finally:
        maas.juju.config("haproxy-vip", {"vip": good})
    maas.wait_settled()


@pytest.mark.long
def test_a_vip_that_a_machine_without_a_unit_has_is_refused(maas: MAAS, watch: Watch):
    """No databag names it, so each unit asks by ARP; the VIP of before serves on."""
    prober, _ = watch()
    good = str(maas.juju.config("haproxy-vip")["vip"])
    taken = _rack_address(maas)
    before = {name: maas.on_machine(name, RUNNING) for name in maas.units("haproxy-vip")}
    maas.juju.config("haproxy-vip", {"vip": taken})
    try:
        status = maas.juju.wait(
            lambda status: jubilant.all_blocked(status, "haproxy-vip"), error=jubilant.any_error
        )
        for unit in status.apps["haproxy-vip"].units.values():
            said = unit.workload_status.message
            assert re.match(rf"vip {taken} is in use: (?:[0-9a-f]{{2}}:){{5}}[0-9a-f]{{2}} ", said)
        for name in before:
            assert not maas.on_machine(name, f"ip -o address show to {taken}").strip()
        _assert_answers(good.partition("/")[0])
    finally:
        maas.juju.config("haproxy-vip", {"vip": good})
    maas.wait_whole()
    assert {name: maas.on_machine(name, RUNNING) for name in before} == before
    prober.assert_no_failed_read()


def _rack_address(maas: MAAS) -> str:
    """Return the address of a rack's machine that carries neither a region nor haproxy-vip."""
    known = {
        unit.machine for app in ("maas-region", "haproxy-vip") for unit in maas.units(app).values()
    }
    racks = maas.units("maas-rack").values()
    return next(unit.public_address for unit in racks if unit.machine not in known)


def test_a_port_that_another_process_holds_is_named_and_the_process_goes_on(maas: MAAS):
    good = maas.juju.config("haproxy-vip")["port"]
    unit = maas.leader("haproxy-vip")
    serve = f"python3 -m http.server {SQUATTER_PORT}"
    maas.on_machine(unit, f"systemd-run --unit squatter {serve}")
    maas.juju.config("haproxy-vip", {"port": SQUATTER_PORT})
    try:
        status = maas.juju.wait(
            lambda status: (
                status.apps["haproxy-vip"].units[unit].is_blocked
                and jubilant.all_agents_idle(status)
            ),
            error=jubilant.any_error,
        )
        message = status.apps["haproxy-vip"].units[unit].workload_status.message
        assert str(SQUATTER_PORT) in message
        assert "python3" in message
        assert maas.on_machine(unit, "systemctl is-active squatter").strip() == "active"
    finally:
        maas.juju.config("haproxy-vip", {"port": good})
        maas.on_machine(unit, "systemctl stop squatter")
    maas.wait_settled()
    _assert_answers(maas.vip)


@pytest.mark.long
def test_a_region_that_cannot_serve_shows_the_first_cause_of_it(maas: MAAS):
    """Another process has nginx's port: its status says so, not what follows from it."""
    unit = next(name for name, one in maas.units("maas-region").items() if not one.leader)
    serve = f"python3 -m http.server {MAAS_PORT}"
    maas.on_machine(unit, f"systemctl stop maas-http && systemd-run --unit squatter {serve}")
    try:
        message = eventually_some(lambda: _told(maas, unit, "already in use"), timeout_s=300)
        assert "nginx" in message
        assert str(MAAS_PORT) in message
        _assert_answers(maas.vip)
    finally:
        maas.on_machine(unit, "systemctl stop squatter")
    maas.wait_whole()


def _told(maas: MAAS, unit: str, words: str) -> str:
    """Return a unit's message once it has the words."""
    message = maas.units(unit.partition("/")[0])[unit].workload_status.message
    return message if words in message else ""


@pytest.mark.parametrize(("endpoint", "setting", "readers"), GARBLED)
def test_a_garbled_databag_is_named_and_services_go_on(
    maas: MAAS, watch: Watch, endpoint: str, setting: str, readers: str
):
    """As the leader of postgresql-ha for the peers, and of maas-region for all others."""
    prober, _ = watch()
    writer = maas.leader("postgresql-ha" if endpoint == "peers" else "maas-region")
    relation_id = maas.juju.exec(f"relation-ids {endpoint}", unit=writer).stdout.strip()
    garble = f"relation-set -r {relation_id} {setting}"

    def complaint() -> str:
        # The writer writes what is right again in its next hook, maybe before anybody looked.
        maas.juju.exec(garble, unit=writer)
        units = [unit for name, unit in maas.units(readers).items() if name != writer]
        is_told = all(unit.workload_status.current == "blocked" for unit in units)
        return units[0].workload_status.message if is_told else ""

    message = eventually_some(complaint, timeout_s=180)
    assert setting.removeprefix("--app ").partition("=")[0] in message
    assert (writer if "--app" not in setting else writer.partition("/")[0]) in message
    maas.wait_settled()
    prober.assert_no_failed_read()


# A minute and more each, in which it mostly waits.
@pytest.mark.long
@pytest.mark.parametrize(
    ("one", "other", "lacking"),
    [
        ("maas-region:api", "haproxy-vip:api", "haproxy-vip"),
        ("maas-region:rpc", "maas-rack:rpc", "maas-rack"),
    ],
)
def test_a_missing_relation_is_asked_for(maas: MAAS, one: str, other: str, lacking: str):
    endpoint = one.partition(":")[2]
    before = {name: maas.on_machine(name, RUNNING) for name in maas.units(lacking)}
    maas.juju.remove_relation(one, other)
    status = maas.juju.wait(
        lambda status: jubilant.all_blocked(status, lacking) and jubilant.all_agents_idle(status),
        error=jubilant.any_error,
    )
    for unit in status.apps[lacking].units.values():
        assert f"integrate {endpoint}" in unit.workload_status.message
    assert jubilant.all_active(status, "maas-region", "postgresql-ha")
    assert {name: maas.on_machine(name, RUNNING) for name in before} == before
    maas.juju.integrate(one, other)
    maas.wait_settled()
    _assert_answers(maas.vip)
    assert {name: maas.on_machine(name, RUNNING) for name in before} == before


@pytest.mark.parametrize(("app", "action", "params", "named"), ACTIONS)
def test_an_action_with_bad_parameters_fails_with_a_sentence(
    maas: MAAS, app: str, action: str, params: dict[str, str], named: str
):
    with pytest.raises(jubilant.TaskError) as failure:
        maas.juju.run(maas.leader(app), action, params)
    assert named in failure.value.task.message
