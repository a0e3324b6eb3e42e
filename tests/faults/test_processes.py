# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Daemons that are killed, and daemons that hang, come back by themselves."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import journals
import pytest
from maas import FAILOVER_S, MAAS, UPDATE_STATUS, eventually, wait_answered
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
Fault = Callable[..., None]
Figure = Callable[[str, float], None]
# 10 s until the first look, 30 s without a sign of life, and what a busy machine adds.
HUNG_S = 75
# No hook may start a daemon again that does not come back by itself: those due come before.
SOON, NO_HOOK = "2s", "60m"
DUE_S = 10
# For so long its own machine has had no sign of life from a daemon that is killed: a hung
# keepalived keeps the VIP, which another unit takes meanwhile (docs/faults.md).
FAILED_S = 30
KEEPALIVED_FAILED_S = 20
# regiond's unit waits 10 s, MAAS looks for its nginx every 30 s; the times are printed.
HUNG_AND_BACK_S = KILLED_S = 150
GRACE_S = 120
# The look that finds it hung comes within 10 s; 20 s later it is killed.
DOUBLED_S = 30
ANSWERED_S = 120
PATRONI = "postgresql-ha-patroni.service"
POSTGRES = "pgrep -o -x postgres"


@dataclass(frozen=True)
class Daemon:
    """A service, the application that runs it, and whose machine it is to be hit on."""

    app: str
    service: str
    where: str = "elsewhere"
    failed_s: int = FAILED_S

    def __str__(self) -> str:
        return f"{self.service} of {self.where}"


ETCD = Daemon("postgresql-ha", "postgresql-ha-etcd.service")
ON_ONE_MACHINE = (
    Daemon("haproxy-vip", "haproxy.service"),
    Daemon("haproxy-vip", "keepalived.service"),
    ETCD,
    Daemon("postgresql-ha", PATRONI),
    Daemon("maas-region", "maas-db-proxy.service"),
    Daemon("maas-region", "maas-http.service"),
    Daemon("maas-region", "maas-regiond.service"),
)
RACKD = Daemon("maas-rack", "maas-rackd.service", "a rack")
KEEPALIVED = Daemon(
    "haproxy-vip", "keepalived.service", "the VIP holder", failed_s=KEEPALIVED_FAILED_S
)
HAPROXY = Daemon("haproxy-vip", "haproxy.service", "the VIP holder")
PRIMARYS_PATRONI = Daemon("postgresql-ha", PATRONI, "the primary")
HANGS = (
    PRIMARYS_PATRONI,
    HAPROXY,
    ETCD,
    Daemon("maas-region", "maas-db-proxy.service"),
    Daemon("maas-region", "maas-http.service"),
    Daemon("maas-region", "maas-regiond.service"),
    RACKD,
)

# No read passes these; those that wait on a daemon that hangs fail until it is noticed.
NOT_IN_THE_WAY = (ETCD, RACKD)


def _unit(maas: MAAS, daemon: Daemon) -> str:
    """Return the unit whose daemon is to be hit."""
    if daemon.where == "the VIP holder":
        return maas.vip_holder()
    if daemon.where == "the primary":
        return maas.primary()
    units = maas.units(daemon.app)
    avoid = {maas.machine(maas.primary()), maas.machine(maas.vip_holder())}
    return next(name for name, unit in units.items() if unit.machine not in avoid)


def _pid(maas: MAAS, unit: str, service: str) -> int:
    return int(maas.on_machine(unit, f"systemctl show -P MainPID {service}"))


def _wait_old(maas: MAAS, unit: str, service: str) -> None:
    """Wait until the watchdog's grace after the last start is over."""
    wanted = f"systemctl show -P ActiveEnterTimestampMonotonic {service}"
    clock = 'python3 -c "import time; print(time.monotonic())"'
    started, now = maas.on_machine(unit, f"{wanted}; {clock}").split()
    time.sleep(max(0.0, GRACE_S - (float(now) - int(started) / 1e6)))


def _back(maas: MAAS, unit: str, service: str, pid: int) -> float:
    """Wait until the service is active under another PID; returns when that was."""
    is_back = (
        f"test $(systemctl show -P MainPID {service}) -ne {pid}"
        f" -a $(systemctl is-active {service}) = active"
    )
    wait = f"for i in $(seq 600); do {is_back} && break; sleep 0.3; done; {is_back}"
    return float(maas.on_machine(unit, f"{wait} && date +%s.%N"))


def _hit(maas: MAAS, fault: Fault, action: str, unit: str, service: str) -> tuple[int, float]:
    """Kill or hang a daemon; returns its PID and when that was.

    Patroni alone: its unit holds PostgreSQL, too.
    """
    pid, begun = _pid(maas, unit, service), time.time()
    if action == "hang" and service != PATRONI:
        fault(action, maas.machine(unit), service)
        return pid, begun
    signal = {"kill": "KILL", "hang": "STOP"}[action]
    whom = "main" if service == PATRONI else "all"
    sent = f"date +%s.%N; systemctl kill -s {signal} --kill-whom={whom} {service}"
    return pid, float(maas.on_machine(unit, sent))


class Struck(NamedTuple):
    """Whose daemon was killed or hung, when, and the seconds until it was back."""

    unit: str
    begun: float
    took_s: float


def _strike(maas: MAAS, fault: Fault, figure: Figure, action: str, daemon: Daemon) -> Struck:
    """Kill or hang a daemon and wait until it is back."""
    unit = _unit(maas, daemon)
    if action == "hang":
        _wait_old(maas, unit, daemon.service)
    pid, begun = _hit(maas, fault, action, unit, daemon.service)
    took = _back(maas, unit, daemon.service, pid) - begun
    figure(f"{action} of {daemon}: another process", took)
    return Struck(unit, begun, took)


def _hang(maas: MAAS, fault: Fault, figure: Figure, daemon: Daemon, prober: Prober) -> None:
    """Hang a daemon; the watchdog kills it, and MAAS answers long before through another."""
    unit, begun, took_s = _strike(maas, fault, figure, "hang", daemon)
    assert took_s < HUNG_AND_BACK_S
    kill, *again = journals.kills(maas, unit, daemon.service, begun)
    assert kill.at - begun <= HUNG_S
    figure(f"hang of {daemon}: no sign of life when its watchdog killed it, for", kill.failed_s)
    figure(f"hang of {daemon}: killed by its watchdog", kill.at - begun)
    assert daemon.failed_s <= kill.failed_s <= kill.at - begun + 1, "it had failed before"
    assert not again
    wait_answered(prober, timeout_s=ANSWERED_S)
    # From an answer before it: the longest gap may begin with the fault.
    answered_s = took_s if daemon == PRIMARYS_PATRONI else daemon.failed_s
    assert prober.report.since(begun - 1).longest_gap_s < answered_s


class Holders:
    """Who had the VIP when, as each machine itself noted it twice a second."""

    UNIT, FILE = "vip-holder-notes", "/run/vip-holder-notes"

    def __init__(self, maas: MAAS) -> None:
        self._maas = maas
        self._units = list(maas.units("haproxy-vip"))

    def start(self) -> None:
        has_it = f"ip -o address show to {self._maas.vip} | grep -q ."
        note = f"while sleep 0.5; do {has_it} && date +%s.%N >>{self.FILE}; done"
        for unit in self._units:
            run = f'systemd-run -q --unit={self.UNIT} sh -c "{note}"'
            self._maas.on_machine(unit, f"rm -f {self.FILE}; {run}")

    def doubled_s(self) -> float:
        """Stop noting; return for how long more than one machine had the VIP, all in all."""
        seen: dict[int, int] = {}
        for unit in self._units:
            stop = f"systemctl stop {self.UNIT}; cat {self.FILE}; rm -f {self.FILE}"
            times = {int(float(one) * 2) for one in self._maas.on_machine(unit, stop).split()}
            for time_ in times:
                seen[time_] = seen.get(time_, 0) + 1
        assert seen, "no machine noted anything"
        return sum(count > 1 for count in seen.values()) / 2


@pytest.fixture(autouse=True, scope="module")
def no_hook(maas: MAAS) -> Iterator[None]:
    """Have no update-status while these tests run."""
    with maas.update_status_every(SOON):
        maas.juju.model_config({UPDATE_STATUS: NO_HOOK})
        time.sleep(DUE_S)
        maas.wait_settled()
        yield


@pytest.fixture
def holders(maas: MAAS, figure: Figure) -> Iterator[Holders]:
    found = Holders(maas)
    found.start()
    yield found
    doubled_s = found.doubled_s()
    figure("more than one VIP holder", doubled_s)
    assert doubled_s <= DOUBLED_S


def test_every_daemon_of_a_machine_is_killed(
    maas: MAAS, power: Fault, figure: Figure, watch: Watch
):
    prober, _ = watch()
    for daemon in (*ON_ONE_MACHINE, RACKD):
        assert _strike(maas, power, figure, "kill", daemon).took_s < KILLED_S
        wait_answered(prober, timeout_s=ANSWERED_S)
    maas.wait_whole()
    prober.assert_no_failed_read()


def test_the_keepalived_of_the_vip_holder_hangs(
    maas: MAAS, power: Fault, figure: Figure, holders: Holders, watch: Watch
):
    prober, _ = watch()
    before = maas.vip_holder()
    _hang(maas, power, figure, KEEPALIVED, prober)
    assert maas.vip_holder() != before
    prober.assert_no_failed_read()


# Without keepalived systemd takes the VIP from the machine at once, and nobody has it until
# another unit has missed three advertisements.
@pytest.mark.parametrize(
    "daemon", [HAPROXY, pytest.param(KEEPALIVED, marks=pytest.mark.long)], ids=str
)
def test_a_daemon_that_leads_is_killed(
    maas: MAAS, power: Fault, figure: Figure, holders: Holders, watch: Watch, daemon: Daemon
):
    prober, _ = watch()
    _, struck, took_s = _strike(maas, power, figure, "kill", daemon)
    assert took_s < KILLED_S
    wait_answered(prober, timeout_s=ANSWERED_S)
    maas.wait_whole()
    report = prober.report
    (report.moving_since(struck) if daemon == HAPROXY else report).assert_no_failed_read()


@pytest.mark.long
def test_the_primarys_patroni_is_killed(maas: MAAS, power: Fault, figure: Figure, watch: Watch):
    """Nobody says then who the primary is: it is the database's outage, with no failover."""
    prober, _ = watch()
    primary, postgres = maas.primary(), maas.on_machine(maas.primary(), POSTGRES)
    assert _strike(maas, power, figure, "kill", PRIMARYS_PATRONI).took_s < KILLED_S
    wait_answered(prober, timeout_s=ANSWERED_S)
    maas.wait_whole()
    assert (maas.primary(), maas.on_machine(primary, POSTGRES)) == (primary, postgres)
    assert prober.report.longest_gap_s < FAILOVER_S


@pytest.mark.long
def test_the_primarys_postgres_is_killed(maas: MAAS, figure: Figure, watch: Watch):
    prober, _ = watch()
    primary = maas.primary()
    pid, begun = maas.on_machine(primary, POSTGRES).strip(), time.time()
    maas.on_machine(primary, f"kill -9 {pid}")
    eventually(
        lambda: maas.on_machine(primary, POSTGRES).strip() not in ("", pid),
        timeout_s=120,
        what="another postgres",
    )
    figure("kill of the primary's postgres: another process", time.time() - begun)
    wait_answered(prober, timeout_s=ANSWERED_S)
    maas.wait_whole()
    assert prober.report.longest_gap_s < FAILOVER_S


@pytest.mark.long
@pytest.mark.parametrize("daemon", HANGS, ids=str)
def test_a_daemon_hangs(
    maas: MAAS, power: Fault, figure: Figure, holders: Holders, watch: Watch, daemon: Daemon
):
    prober, _ = watch()
    holder = maas.vip_holder()
    _hang(maas, power, figure, daemon, prober)
    assert (maas.vip_holder() != holder) == (daemon == HAPROXY)
    maas.wait_whole()
    if daemon in NOT_IN_THE_WAY:
        prober.assert_no_failed_read()


@pytest.mark.long
def test_a_hung_postgres_is_patronis_business(maas: MAAS, watch: Watch):
    """Another member takes over; the hung one is touched by nobody while Patroni answers."""
    prober, _ = watch()
    primary = maas.primary()
    pid = maas.on_machine(primary, POSTGRES).strip()
    maas.on_machine(primary, "pkill -STOP -x postgres")
    try:
        eventually(lambda: maas.primary() != primary, timeout_s=120, what="another primary")
        wait_answered(prober, timeout_s=ANSWERED_S)
        time.sleep(HUNG_S)
        assert maas.on_machine(primary, POSTGRES).strip() == pid
    finally:
        maas.on_machine(primary, "pkill -CONT -x postgres")
    wait_answered(prober, timeout_s=ANSWERED_S)
    maas.wait_whole()
    assert prober.report.longest_gap_s < FAILOVER_S
