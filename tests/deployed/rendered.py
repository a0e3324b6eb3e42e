# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the units' daemons were given to read, and whether they run."""

import json
import re
import shlex
from collections import Counter

from maas import MAAS

# Of applications by their charms.
FILES = {
    "haproxy-vip": "/etc/haproxy/haproxy.cfg /etc/keepalived/keepalived.conf",
    "maas-region": "/etc/maas/regiond.conf /etc/maas-db-proxy/*",
    "maas-rack": "/etc/maas/rackd.conf /var/lib/maas/secret",
    # Without the notes of what a daemon was given: digests, of which every unit has its own.
    "postgresql-ha": (
        "/etc/postgresql-ha/*.yml /etc/postgresql-ha/*.nft /var/lib/postgresql/*/*/pg_hba.conf"
    ),
}
DAEMONS = {
    "haproxy-vip": ("haproxy", "keepalived", "haproxy-vip-watchdog.timer"),
    "maas-region": ("maas-regiond", "maas-http", "maas-db-proxy", "maas-region-watchdog.timer"),
    "maas-rack": ("maas-rackd", "maas-rack-watchdog.timer"),
    "postgresql-ha": ("postgresql-ha-etcd", "postgresql-ha-patroni"),
}
READ = """
import glob, json, subprocess, sys
files, daemons = sys.argv[1].split(), sys.argv[2].split()
found = {name: open(name).read() for one in files for name in sorted(glob.glob(one))}
for name in daemons:
    done = subprocess.run(["systemctl", "is-active", name], capture_output=True, text=True)
    found[name] = done.stdout.strip()
print(json.dumps(found))
"""
# What differs between two units of an application: their own names, addresses and numbers.
NAME = re.compile(r"\b([a-z]+(?:-[a-z]+)*)[-/]\d+\b")
# Of haproxy.cfg: what is served only where no region shares the machine, and the text's digest.
ELSEWHERE = re.compile(
    r"^(?:(?:frontend|backend) (?:internal-api|temporal)-\w+\n(?: +.*\n?)+| +description \w+\n)",
    re.MULTILINE,
)
# Voters alone have etcd, and what one was started with stays in its file: MAAS.is_voted asks.
ETCD = ("/etc/postgresql-ha/etcd.yml", "postgresql-ha-etcd")
PRIORITY = re.compile(r"\bpriority \d+$")


def of_unit(maas: MAAS, unit: str) -> dict[str, str]:
    """Return a unit's files by path, and by a daemon's name whether it is active."""
    charm = _charm(maas, unit)
    words = shlex.join(["python3", "-c", READ, FILES[charm], " ".join(DAEMONS[charm])])
    return json.loads(maas.juju.ssh(unit, f"sudo {words}"))


def main_pids(maas: MAAS, unit: str) -> str:
    """Return the process IDs of a unit's daemons."""
    daemons = " ".join(DAEMONS[_charm(maas, unit)])
    return maas.on_machine(unit, f"systemctl show -P MainPID {daemons}")


def by_unit(maas: MAAS) -> dict[str, dict[str, str]]:
    """Return the same of every unit."""
    return {unit: of_unit(maas, unit) for app in FILES for unit in maas.units(app)}


def differences(maas: MAAS, app: str) -> list[str]:
    """Return what differs between an application's units beyond their names and addresses."""
    machines = maas.juju.status().machines.values()
    addresses = [one for machine in machines for one in machine.ip_addresses]
    first, *others = sorted(maas.units(app))
    expected = _alike(of_unit(maas, first), addresses)
    found: list[str] = []
    for unit in others:
        lines = _alike(of_unit(maas, unit), addresses)
        found += [f"{unit} lacks {line}" for line in (expected - lines)]
        found += [f"{unit} has {line}" for line in (lines - expected)]
    return found


def _charm(maas: MAAS, unit: str) -> str:
    """Return the name of a unit's charm."""
    return maas.juju.status().apps[unit.partition("/")[0]].charm_name


def _alike(texts: dict[str, str], addresses: list[str]) -> Counter[str]:
    """Return the lines of all files, with nothing in them that is a single unit's own."""
    anybody = re.compile(rf"\b({'|'.join(map(re.escape, addresses))})\b")
    found: Counter[str] = Counter()
    for path, text in texts.items():
        if path in ETCD:
            continue
        for line in ELSEWHERE.sub("", text).splitlines():
            line = NAME.sub(r"\1-N", anybody.sub("ADDRESS", line))
            if line:
                found[f"{path}: {PRIORITY.sub(r'priority N', line)}"] += 1
    return found
