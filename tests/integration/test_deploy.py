# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""From nothing to active with one command."""

import requests
from maas import MAAS, eventually


def test_the_vip_answers(maas: MAAS):
    answer = requests.get(f"http://{maas.vip}/MAAS/api/2.0/version/", timeout=10)
    assert answer.status_code == 200
    assert answer.json()["version"]


def test_every_region_is_listed(maas: MAAS):
    regions = len(maas.units("maas-region"))
    eventually(lambda: len(maas.rpc()) == regions, timeout_s=120, what=f"{regions} regions in rpc")


def test_both_racks_are_connected_to_every_region(maas: MAAS):
    racks = len(maas.units("maas-rack"))
    eventually(
        lambda: list(maas.racks_connected().values()) == ["running"] * racks,
        timeout_s=180,
        what="all racks running",
    )


def test_replication_has_one_synchronous_standby(maas: MAAS):
    assert sorted(maas.members().values()) == ["leader", "replica", "sync_standby"]


def test_exactly_one_unit_holds_the_vip(maas: MAAS):
    held = maas.on_machine
    holders = [
        unit for unit in maas.units("haproxy-vip") if f" {maas.vip}/" in held(unit, "ip -4 addr")
    ]
    assert len(holders) == 1
    assert maas.vip_holder() == holders[0]


def test_postgresql_admits_nobody_else(maas: MAAS):
    regions = {f"{unit.public_address}/32" for unit in maas.units("maas-region").values()}
    rules = maas.on_machine(maas.primary(), "cat /var/lib/postgresql/*/*/pg_hba.conf")
    wide = [rule for rule in rules.splitlines() if "0.0.0.0" in rule or "::/0" in rule]
    assert not wide
    hosts = {
        rule.split()[3]
        for rule in rules.splitlines()
        if rule.startswith(("host", "hostssl")) and rule.split()[1] not in ("replication", "all")
    }
    assert regions <= hosts
