# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Replicas that lack rows: of a primary that goes on, and of one that never returns."""

from collections.abc import Callable, Iterator

import jubilant
import pytest
from maas import MAAS, charm_of, eventually, wait_answered
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
# Replicas are kept from following, and then the primary acknowledges a row all the same.
ALONE = (
    "ALTER ROLE replicator NOLOGIN",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_replication",
    "CREATE TABLE last_row (n int)",
)
ADMIT = "ALTER ROLE replicator LOGIN"
LAST_ROW = "SELECT to_regclass(\\$\\$last_row\\$\\$) IS NOT NULL"
SECOND = "second"


def _sql(maas: MAAS, unit: str, *statements: str) -> str:
    commands = " ".join(f'-c "{statement}"' for statement in statements)
    return maas.on_machine(unit, PSQL.format(commands)).strip()


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
    _sql(maas, primary, *GONE)
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
    prober.assert_no_failed_read()


@pytest.fixture
def second(maas: MAAS) -> Iterator[None]:
    """A second database of three units, on machines of its own."""
    maas.juju.deploy(charm_of(APP), SECOND, num_units=3)
    _wait_roles(maas, "primary", "replica", "synchronous replica")
    yield
    maas.juju.remove_application(SECOND, force=True)
    maas.juju.wait(lambda status: SECOND not in status.apps)


def _messages(maas: MAAS) -> dict[str, str]:
    """Each unit's status and message of the second database, as `active: primary`."""
    return {
        name: f"{unit.workload_status.current}: {unit.workload_status.message}"
        for name, unit in maas.units(SECOND).items()
    }


def _wait_roles(maas: MAAS, *roles: str) -> None:
    maas.wait_settled()
    wanted = sorted(f"active: {role}" for role in roles)
    eventually(lambda: sorted(_messages(maas).values()) == wanted, timeout_s=300, what=str(roles))


def _wait_all_say(maas: MAAS, units: list[str], words: str) -> float:
    return eventually(
        lambda: all(_messages(maas)[unit].startswith(f"blocked: {words}") for unit in units),
        timeout_s=300,
        what=words,
    )


def _refusals(maas: MAAS, units: list[str]) -> dict[str, str]:
    """Each unit's answer to adopt-data, which fails."""
    answers = dict[str, str]()
    for unit in units:
        with pytest.raises(jubilant.TaskError) as refused:
            maas.juju.run(unit, "adopt-data")
        answers[unit] = refused.value.task.message
    return answers


@pytest.mark.long
@pytest.mark.usefixtures("second")
def test_the_last_rows_are_given_up_when_told_so_once_who_has_them_was_removed(
    maas: MAAS, power: Power, figure: Figure, watch: Watch
):
    prober, _ = watch()
    lost = next(name for name, said in _messages(maas).items() if said == "active: primary")
    machine = maas.machine(lost)
    others = [name for name in maas.units(SECOND) if name != lost]
    _sql(maas, lost, *ALONE)
    power("poweroff", machine)
    may_be = f"no primary, for the last rows may be on {lost} only"
    figure("told who has the last rows", _wait_all_say(maas, others, f"{may_be}: start {lost}'s"))
    for said in _refusals(maas, others).values():
        assert said.startswith(may_be)
        assert f"juju remove-unit --force {lost}, then run adopt-data" in said
    maas.juju.remove_unit(lost, force=True)
    _wait_all_say(maas, others, f"{may_be}, which left: run adopt-data")
    refusals = _refusals(maas, others)
    heir = next(name for name in others if " path=" in refusals[name])
    path = refusals[heir].rpartition(" path=")[2]
    task = maas.juju.run(heir, "adopt-data", {"path": path}, wait=120)
    assert task.results["adopted"] == "this unit's own data"
    assert _sql(maas, heir, ADMIT, LAST_ROW) == "f"
    few = "; 2 units: no automatic failover, add a unit"
    _wait_roles(maas, f"primary{few}", f"synchronous replica{few}")
    maas.juju.add_unit(SECOND)
    _wait_roles(maas, "primary", "replica", "synchronous replica")
    wait_answered(prober, timeout_s=60)
    prober.assert_no_failed_read()
