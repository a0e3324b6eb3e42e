# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""A replica was off for longer than the primary keeps what it lacks."""

from collections.abc import Callable

import pytest
from maas import MAAS, eventually
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
Power = Callable[..., None]
Figure = Callable[[str, float], None]
APP = "postgresql-ha"
PSQL = "cd / && runuser -u postgres -- psql -Atq {}"
# As after half an hour without the replica, when Patroni gives up its slot, and more than 1 GB of
# changes: segments of 16 MB with next to nothing in them. Patroni soon makes the slot again.
GONE = (
    "SELECT pg_logical_emit_message(false, \\$\\$x\\$\\$, \\$\\$x\\$\\$), pg_switch_wal()"
    " FROM generate_series(1, 80)",
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active",
    "CHECKPOINT",
)


@pytest.mark.long
def test_a_replica_that_was_off_for_too_long_says_so_and_is_made_anew(
    maas: MAAS, power: Power, figure: Figure, watch: Watch
):
    prober, _ = watch()
    roles = maas.members()
    replica = next(
        name for name, unit in maas.units(APP).items() if roles[unit.public_address] == "replica"
    )
    machine = maas.machine(replica)
    primary = maas.primary()
    power("poweroff", machine)
    maas.wait_others_settled(machine)
    active = PSQL.format('-c "SELECT count(*) FROM pg_replication_slots WHERE active"')
    # A sender notices after 15 s that nobody answers.
    eventually(
        lambda: maas.on_machine(primary, active).strip() == "1", timeout_s=60, what="a slot let go"
    )
    commands = " ".join(f'-c "{statement}"' for statement in GONE)
    maas.on_machine(primary, PSQL.format(commands))
    power("poweron", machine)

    def message() -> str:
        return maas.units(APP)[replica].workload_status.message

    words = f"to follow {primary}: if this stays for minutes, run reinitialise"
    took = eventually(lambda: message() == words, timeout_s=300, what=words)
    figure("told that it does not follow, since the power is back", took)
    task = maas.juju.run(replica, "reinitialise", wait=300)
    assert task.results["set-aside"].startswith("/var/lib/postgresql/removed/")
    maas.wait_whole()
    assert maas.is_replicated()
    prober.report.assert_no_failed_read()
