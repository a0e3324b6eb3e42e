# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Machines of the lab's stage with the stand-in's packages, and the two worlds on them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from world import OTHER, RECORDED, World

from charmed_lab import apt_repo
from charmed_lab.machines import Machines
from charmed_lab.stage import Stage

PACKAGES = {"r": "maas-region-api maas-dns", "k": "maas-rack-controller"}
SOURCE = "echo 'deb [trusted=yes] file:/srv/lab-apt ./' >/etc/apt/sources.list.d/maas.list"
INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get install -y -q -o Dpkg::Use-Pty=0"
# Where PostgreSQL was recorded it had no TLS, which changes the wording of its failures.
DATABASE = (
    "cd /etc/postgresql/*/main && sed -i 's/^ssl = on/ssl = off/' postgresql.conf &&"
    " echo \"listen_addresses = '*'\" >>postgresql.conf &&"
    " echo 'host all maas samenet scram-sha-256' >>pg_hba.conf && systemctl restart postgresql"
)


def _set_up(machines: Machines, host: str) -> None:
    """Bring up one machine with the packages of its part, which it has in both worlds."""
    number = RECORDED.machines[host]
    machines.create(number)
    commands = [
        SOURCE,
        "apt-get update -q -o Dir::Etc::sourcelist=sources.list.d/maas.list"
        " -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0",
        f"{INSTALL} {PACKAGES[host[0]]}",
    ]
    if host == "r1":
        commands += [f"{INSTALL} postgresql", DATABASE]
    for command in commands:
        done = machines.exec(number, ["sh", "-c", command], timeout_s=600)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


@pytest.fixture(scope="session")
def machines() -> Iterator[Machines]:
    """Four machines that the model of the stage knows nothing of."""
    stage = Stage.current()
    apt_repo.ensure(stage)
    machines = Machines(stage)
    try:
        with ThreadPoolExecutor(2) as executor:
            list(executor.map(lambda host: _set_up(machines, host), RECORDED.machines))
        yield machines
    finally:
        for number in RECORDED.machines.values():
            machines.delete(number)


@pytest.fixture(scope="session")
def worlds(machines: Machines) -> Callable[[str], World]:
    """Return a world by name; the one before ends when another begins."""
    casts = {"recorded": RECORDED, "other": OTHER}
    made: dict[str, World] = {}

    def find(name: str) -> World:
        if name not in made:
            made[name] = World(machines, casts[name])
        return made[name]

    return find
