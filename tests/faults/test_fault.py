# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What each fault does to machines without a charm, through the command line alone."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from charmed_lab import faults
from charmed_lab.machines import Machines
from charmed_lab.stage import Stage

JUJU, FAULT = os.environ["JUJU"], os.environ["FAULT"]
MODEL = "faults"
# Answers on TCP and can be asked how much it has done; its data can be on a disk of their own.
SERVICE = "probe.service"
DATA = "/srv/probe"
START = (
    f"mkdir -p {DATA} && echo before >{DATA}/old && head -c 800000 /dev/zero >{DATA}/big &&"
    f" systemd-run -q --unit={SERVICE} -p WorkingDirectory=/srv python3 -m http.server 8000"
)
IDENTITY = f"cat /proc/sys/kernel/random/boot_id; systemctl show -P MainPID {SERVICE}"


def command(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fault(*words: str) -> float:
    """Do it, and say how long that took."""
    begun = time.monotonic()
    command(FAULT, *words)
    took = time.monotonic() - begun
    print(f"\n{' '.join(words)}: {took:.2f} s", end="", flush=True)
    return took


def in_force() -> set[str]:
    return set(command(FAULT, "list").splitlines())


def machines() -> dict[str, str]:
    """Return what Juju knows of the machines: number and container."""
    shown = json.loads(command(JUJU, "status", "-m", MODEL, "--format", "json"))
    return {number: one["instance-id"] for number, one in shown["machines"].items()}


class Stand:
    """Three machines of a model of their own."""

    def __init__(self) -> None:
        self._machines = Machines(Stage.current())
        deadline = time.monotonic() + 180
        while True:
            shown = json.loads(command(JUJU, "status", "-m", MODEL, "--format", "json"))
            found = shown["machines"].values()
            if all(one["juju-status"]["current"] == "started" for one in found):
                break
            assert time.monotonic() < deadline, shown
            time.sleep(0.3)
        self.slots = [one["instance-id"].rpartition("-m")[2] for one in found]
        self.addresses = [one["ip-addresses"][0] for one in found]

    def sh(self, number: int, script: str) -> tuple[int, str]:
        done = self._machines.exec(self.slots[number], ["sh", "-c", script], timeout_s=60)
        return done.returncode, (done.stdout + done.stderr).decode()

    def pings(self, one: int, other: int) -> bool:
        return self.sh(one, f"ping -q -c 1 -W 1 {self.addresses[other]}")[0] == 0

    def fetch(self, one: int, other: int, path: str = "", within_s: int = 2) -> tuple[bool, float]:
        """Ask the other's service by TCP; tell the answer and the seconds it took."""
        begun = time.monotonic()
        url = f"http://{self.addresses[other]}:8000/{path}"
        code, _ = self.sh(one, f"curl -sf -o /dev/null -m {within_s} --connect-timeout 1 {url}")
        return code == 0, time.monotonic() - begun

    def reaches(self, one: int, other: int) -> bool:
        by_ping, by_tcp = self.pings(one, other), self.fetch(one, other)[0]
        assert by_ping == by_tcp
        return by_tcp

    def reaches_again(self, one: int, other: int) -> bool:
        """Tell whether it does soon: a neighbour that was asked for in vain is asked for later."""
        return _soon(lambda: self.pings(one, other) and self.fetch(one, other)[0])

    def packets_heard(self, number: int, other: int) -> int:
        """Count what reaches a machine while another calls everybody."""
        count = "cat /sys/class/net/eth0/statistics/rx_packets"
        everybody = self.addresses[other].rpartition(".")[0] + ".255"
        before = int(self.sh(number, count)[1])
        self.sh(other, f"ping -q -b -c 3 -i 0.2 -W 1 {everybody}")
        return int(self.sh(number, count)[1]) - before


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    models = json.loads(command(JUJU, "models", "--format", "json"))["models"]
    command(JUJU, "add-model", MODEL)
    command(JUJU, "add-machine", "-n", "3")
    try:
        stand = Stand()
        for number in range(3):
            assert stand.sh(number, START)[0] == 0
        yield stand
    finally:
        command(FAULT, "heal", "all")
        command(JUJU, "destroy-model", "--no-prompt", "--force", MODEL)
        for model in models[:1]:
            command(JUJU, "switch", model["short-name"])


@pytest.fixture(autouse=True)
def nothing_stays(stand: Stand) -> Iterator[None]:
    yield
    fault("heal", "all")
    assert faults.in_force(Stage.current()) == []


def test_a_cut_machine_exchanges_no_packet(stand: Stand):
    assert stand.reaches(0, 1)
    fault("cut", "1")
    assert in_force() == {"cut 1"}
    assert not stand.reaches(0, 1)
    assert not stand.reaches(1, 0)
    assert stand.reaches(0, 2)
    assert stand.packets_heard(1, 0) == 0
    assert stand.packets_heard(2, 0) > 0
    fault("heal", "1")
    assert stand.reaches_again(0, 1)


def test_a_cut_stays_through_a_reboot(stand: Stand):
    fault("cut", "2")
    assert fault("poweroff", "2") < 5
    assert in_force() == {"cut 2", "poweroff 2"}
    fault("poweron", "2")
    assert in_force() == {"cut 2"}
    assert not stand.pings(0, 2)
    fault("heal", "2")
    assert _soon(lambda: stand.pings(0, 2))
    assert stand.sh(2, START)[0] == 0


def test_a_cut_pair_still_reaches_a_third_machine(stand: Stand):
    fault("cut", "0", "1")
    assert in_force() == {"cut 0 1"}
    assert not stand.reaches(0, 1)
    assert not stand.reaches(1, 0)
    assert stand.reaches(0, 2)
    assert stand.reaches(2, 1)
    fault("heal", "1", "0")
    assert stand.reaches_again(1, 0)


@pytest.mark.parametrize("ends", [("0", "1"), ("0", "all"), ("all", "1")])
def test_a_half_cut_drops_one_direction_only(stand: Stand, ends: tuple[str, str]):
    fault("half-cut", *ends)
    assert in_force() == {f"half-cut {' '.join(ends)}"}
    for one, other, arrives in ((0, 1, False), (1, 0, True)):
        listen = "systemd-run -q --unit=listen --collect socat -u UDP-RECV:9999 CREATE:/tmp/got"
        stand.sh(other, f"rm -f /tmp/got; {listen}; sleep 0.3")
        # Neighbours are told beforehand, for asking for one takes both directions.
        mac = stand.sh(other, "cat /sys/class/net/eth0/address")[1].strip()
        address = stand.addresses[other]
        neighbour = f"ip neigh replace {address} lladdr {mac} dev eth0"
        stand.sh(one, f"{neighbour}; echo here | socat - UDP-SENDTO:{address}:9999; sleep 0.3")
        got = stand.sh(other, "cat /tmp/got; systemctl stop listen; ip neigh flush dev eth0")[1]
        stand.sh(one, "ip neigh flush dev eth0")
        assert ("here" in got) == arrives


def test_a_slow_network_takes_its_time(stand: Stand):
    assert stand.fetch(0, 1, "probe/big")[1] < 1
    fault("slow", "1", "network")
    assert in_force() == {"slow 1 network"}
    answered, took = stand.fetch(0, 1, "probe/big", within_s=15)
    assert answered
    assert took > 1
    fault("heal", "1")
    assert stand.fetch(0, 1, "probe/big")[1] < 1


def test_a_slow_processor_takes_its_time(stand: Stand):
    # What the host has to spare makes it less, never more.
    work = (
        "import time; begun = time.monotonic(); [None for _ in range(10000000)];"
        " print(time.process_time() / (time.monotonic() - begun))"
    )
    fault("slow", "1", "cpu")
    assert in_force() == {"slow 1 cpu"}
    slow = float(stand.sh(1, f"python3 -c '{work}'")[1])
    fault("heal", "1")
    before = float(stand.sh(1, f"python3 -c '{work}'")[1])
    print(f"\na process has {slow:.0%} of a core, {before:.0%} when it is healed", end="")
    assert slow < 0.15


def test_a_full_disk_says_enospc_to_everybody_and_keeps_what_it_holds(stand: Stand):
    appender = (
        f"exec 3>>{DATA}/log; while sleep 0.1; do head -c 8192 /dev/zero >&3 || echo failed; done"
    )
    fault("disk-full", "0", DATA)
    assert in_force() == {f"disk-full 0 {DATA}"}
    for user in ("root", "nobody"):
        stand.sh(0, f"chmod 777 {DATA}")
        write = f"head -c 100000 /dev/zero >{DATA}/of-{user}"
        code, said = stand.sh(0, f"setpriv --reuid={user} --clear-groups sh -c '{write}'")
        assert (code, "No space left on device" in said) == (1, True), said
    assert stand.sh(0, f"cat {DATA}/old")[1] == "before\n"
    assert stand.sh(0, "echo elsewhere >/srv/there is room")[0] == 0
    fault("disk-free", "0")
    assert in_force() == set()
    # Now that it has its own disk it is filled under a process that has a file open there.
    unit = "systemd-run -q --unit=appender -p StandardError=file:/srv/errors"
    assert stand.sh(0, f"{unit} sh -c '{appender}'; sleep 0.5; test -s {DATA}/log")[0] == 0
    fault("disk-full", "0", DATA)
    assert _soon(lambda: "No space left on device" in stand.sh(0, "cat /srv/errors")[1])
    fault("heal", "0")
    size = f"stat -c %s {DATA}/log"
    before = int(stand.sh(0, size)[1])
    assert _soon(lambda: int(stand.sh(0, size)[1]) > before)
    assert stand.sh(0, "systemctl stop appender")[0] == 0


def test_a_frozen_machine_answers_nothing_and_goes_on(stand: Stand):
    boot = stand.sh(1, IDENTITY)
    fault("freeze", "1")
    assert in_force() == {"freeze 1"}
    assert not stand.reaches(0, 1)
    fault("thaw", "1")
    assert in_force() == set()
    assert stand.reaches_again(0, 1)
    assert stand.sh(1, IDENTITY) == boot


def test_a_hung_service_neither_answers_nor_ends(stand: Stand):
    before = stand.sh(2, IDENTITY)
    fault("hang", "2", SERVICE)
    assert in_force() == {f"hang 2 {SERVICE}"}
    assert stand.pings(0, 2)
    assert not stand.fetch(0, 2)[0]
    assert stand.sh(2, f"systemctl is-active {SERVICE}")[1] == "active\n"
    fault("heal", "2")
    assert _soon(lambda: stand.fetch(0, 2)[0])
    assert stand.sh(2, IDENTITY) == before


def test_a_machine_without_power_is_silent_at_once(stand: Stand):
    assert fault("poweroff", "1") < 5
    assert in_force() == {"poweroff 1"}
    assert not stand.pings(0, 1)
    fault("heal", "1")
    assert in_force() == {"poweroff 1"}
    fault("poweron", "1")
    assert _soon(lambda: stand.pings(0, 1))
    assert stand.sh(1, START)[0] == 0


def test_a_killed_service_is_dead(stand: Stand):
    fault("kill", "2", SERVICE)
    assert _soon(lambda: not stand.fetch(0, 2)[0])
    assert stand.pings(0, 2)


def test_without_a_controller_juju_fails_and_faults_work(stand: Stand):
    before = machines()
    fault("controller-down")
    assert in_force() == {"controller-down"}
    assert subprocess.run([JUJU, "status"], capture_output=True, check=False).returncode != 0
    fault("cut", "1")
    assert in_force() == {"controller-down", "cut 1"}
    assert stand.pings(0, 2)
    fault("heal", "1")
    fault("controller-up")
    assert machines() == before


def test_heal_all_gives_power_and_the_controller_back(stand: Stand):
    before = machines()
    fault("controller-down")
    fault("poweroff", "1")
    fault("cut", "2")
    assert in_force() == {"controller-down", "poweroff 1", "cut 2"}
    fault("heal", "all")
    assert in_force() == set()
    assert machines() == before
    assert _soon(lambda: stand.pings(0, 1) and stand.pings(0, 2))


def _soon(is_so: Callable[[], bool], timeout_s: float = 15) -> bool:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
