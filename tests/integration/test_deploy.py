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


def test_every_one_of_three_database_units_votes(maas: MAAS):
    units = set(maas.units("postgresql-ha"))
    eventually(lambda: maas.voters() == units, timeout_s=120, what="three voters in etcd")


def test_exactly_one_unit_holds_the_vip(maas: MAAS):
    held = maas.on_machine
    holders = [
        unit for unit in maas.units("haproxy-vip") if f" {maas.vip}/" in held(unit, "ip -4 addr")
    ]
    assert len(holders) == 1
    assert maas.vip_holder() == holders[0]


def test_postgresql_admits_members_and_each_region_to_its_own_database_alone(maas: MAAS):
    regions = {f"{unit.public_address}/32" for unit in maas.units("maas-region").values()}
    members = {f"{unit.public_address}/32" for unit in maas.units("postgresql-ha").values()}
    text = maas.on_machine(maas.primary(), "cat /var/lib/postgresql/*/*/pg_hba.conf")
    rules = [line.split() for line in text.splitlines() if line.startswith("host")]
    assert all(rule[-1] == "scram-sha-256" for rule in rules)
    clients = [rule for rule in rules if rule[0] == "host"]
    assert {rule[3] for rule in clients} == regions
    assert {(rule[1], rule[2]) for rule in clients} == {('"maasdb"', '"maasdb"')}
    own = {"replicator", "rewinder", "postgres"}
    others = [rule for rule in rules if rule not in clients]
    assert {(rule[0], rule[3]) for rule in others} == {("hostssl", host) for host in members}
    assert {rule[2] for rule in others} == own
