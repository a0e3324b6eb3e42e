# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Machines of the lab's stage with the stand-in's packages, and the two worlds on them."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from recordings import Recording
from story import LOSS
from world import OTHER, RECORDED, Cast, World

from charmed_lab import apt_repo
from charmed_lab.machines import Machines
from charmed_lab.stage import Stage

CASTS = {"recorded": RECORDED, "other": OTHER}
PACKAGES = {"r": "maas-region-api maas-dns", "k": "maas-rack-controller"}
SOURCE = "echo 'deb [trusted=yes] file:/srv/lab-apt ./' >/etc/apt/sources.list.d/maas.list"
INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get install -y -q -o Dpkg::Use-Pty=0"
# Where PostgreSQL was recorded it had no TLS, which changes the wording of its failures.
DATABASE = (
    "cd /etc/postgresql/*/main && sed -i 's/^ssl = on/ssl = off/' postgresql.conf &&"
    " echo \"listen_addresses = '*'\" >>postgresql.conf &&"
    " echo 'host all maas samenet scram-sha-256' >>pg_hba.conf && systemctl restart postgresql"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell the other world's beginning while the recorded one waits for a dead region to go."""
    items.sort(key=_chapter)


def _chapter(item: Any) -> tuple[bool, bool]:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    recording = parameters.get("recording")
    is_late = not isinstance(recording, Recording) or recording.started >= LOSS
    return is_late, "other" in parameters.values()


def _set_up(machines: Machines, cast: Cast, host: str) -> None:
    """Bring up one machine with the packages of its part."""
    number = cast.machines[host]
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
    """Four machines for each world; the model of the stage knows nothing of them."""
    stage = Stage.current()
    apt_repo.ensure(stage)
    machines = Machines(stage)
    parts = [(cast, host) for cast in CASTS.values() for host in cast.machines]
    try:
        with ThreadPoolExecutor(3) as executor:
            list(executor.map(lambda part: _set_up(machines, *part), parts))
        yield machines
    finally:
        for number in itertools.chain.from_iterable(c.machines.values() for c in CASTS.values()):
            machines.delete(number)


@pytest.fixture(scope="session")
def worlds(machines: Machines) -> Callable[[str], World]:
    """Return a world by name."""
    made = {name: World(machines, cast) for name, cast in CASTS.items()}
    return made.__getitem__
