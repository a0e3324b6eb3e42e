# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The machines of a stage: LXD containers, named by Juju's machine numbers."""

import errno
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import init, lxd
from .stage import LabError, Stage

START_TIMEOUT_S = 90
CONTACT_TIMEOUT_S = 1.0
# Nothing listens here: a living machine refuses the connection at once.
CLOSED_PORT = 9
# What systemctl(1) is-system-running says of a machine that does not shut down.
BOOTED = ("initializing", "starting", "running", "degraded", "maintenance")
STATES = {"Running": "running", "Frozen": "frozen"}
LINK = "[Match]\nName={name}\n[Network]\nAddress={address}/{prefix}\n{rest}IPv6AcceptRA=no\n"


class MachineError(LabError):
    """A machine is not there, went away or did not come up."""


@dataclass(frozen=True)
class Completed:
    """What a command in a machine left."""

    returncode: int
    stdout: bytes
    stderr: bytes

    def told(self, otherwise: str) -> str:
        """Return what it said; MachineError, with `otherwise`, where it failed or said nothing."""
        if self.returncode or not self.stdout:
            raise MachineError(f"{otherwise}: {self.stderr.decode()!r}")
        return self.stdout.decode().strip()


class Machines:
    """Create, reach and delete the machines of one stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._inits: dict[str, tuple[int, str | None]] = {}

    def create(self, number: str) -> None:
        """Bring up a new machine; one that was brought up before is left as it is."""
        name = self.instance_id(number)
        with _about(number):
            found = lxd.get(f"/instances/{name}")
            if found and found["config"].get("user.ready") == "true":
                return
            lxd.delete_instance(name)
            self._copy(number)
            lxd.set_state(name, "start")
            self._wait_until_up(number)
            lxd.request("PATCH", f"/instances/{name}", {"config": {"user.ready": "true"}})

    def delete(self, number: str) -> None:
        """Delete a machine with all it holds; nothing happens when it is not there."""
        with _about(number):
            lxd.delete_instance(self.instance_id(number))

    def numbers(self) -> list[str]:
        """Return the numbers of the machines that exist, sorted."""
        prefix = self._stage.machine_name("")
        names = [url.rpartition("/")[2] for url in lxd.request("GET", "/instances")]
        found = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        return sorted((number for number in found if number.isdecimal()), key=int)

    def instance_id(self, number: str) -> str:
        """Return the name of a machine's container."""
        return self._stage.machine_name(number)

    def address(self, number: str) -> str:
        """Return the first address of a machine's eth0, which its operator may have changed.

        "" where it has none; MachineError where the machine does not say.
        """
        argv = ["ip", "-j", "-4", "address", "show", "dev", "eth0"]
        done = self.exec(number, argv, timeout_s=30)
        links = json.loads(done.told(f"machine {number} tells no address"))
        held = [one["local"] for link in links for one in link.get("addr_info", ())]
        return held[0] if held else ""

    def state(self, number: str) -> str:
        """Return running, stopped, frozen or absent."""
        found = lxd.get(f"/instances/{self.instance_id(number)}")
        return STATES.get(found["status"], "stopped") if found else "absent"

    def boot_id(self, number: str) -> str | None:
        """Return a value that changes with every boot; None unless the machine runs."""
        pid, started = self._inits.get(number, (0, None))
        if started is None or init.started(pid) != started:
            # LXD measures a whole machine to answer this: ask once a boot.
            state = lxd.get(f"/instances/{self.instance_id(number)}/state") or {"pid": 0}
            pid, started = state["pid"], init.started(state["pid"])
            self._inits[number] = (pid, started)
        is_away = started is None or init.is_frozen(pid) or init.has_shut_down(pid)
        return None if is_away else f"{pid}-{started}"

    def end_sessions(self, number: str) -> None:
        """End who came into a machine before its systemd was gone, and will not go by itself.

        su that was stopped with its child stops itself again. A real machine's network is down.
        """
        first, _ = self._inits.get(number, (0, None))
        for pid in init.others_in(first) if init.has_shut_down(first) else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def exec(
        self,
        number: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        stdin: bytes = b"",
        timeout_s: float | None = None,
    ) -> Completed:
        """Run a command in a machine, with exactly the environment given if one is."""
        before = self._require_running(number)
        command = ["env", "-C", cwd]
        if env is not None:
            command += ["-i", *(f"{key}={value}" for key, value in env.items())]
        name = self.instance_id(number)
        try:
            done = lxd.run(name, [*command, *argv], stdin=stdin, timeout_s=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise MachineError(f"machine {number}: {argv[0]} took over {timeout_s} s") from error
        if done.returncode != 0 and self.boot_id(number) != before:
            raise MachineError(f"machine {number} went away while {argv[0]} ran")
        return Completed(done.returncode, done.stdout, done.stderr)

    def is_ending(self, number: str) -> bool:
        """Tell whether a machine shuts down, before a reboot or for good.

        Last of all nobody answers any more: systemd is gone, and file systems are unmounted.
        """
        done = self.exec(number, ["systemctl", "is-system-running"], timeout_s=30)
        return done.stdout.decode().strip() not in BOOTED

    def running_instance(self, number: str) -> str:
        """Return a machine's name in LXD; raise MachineError unless it runs."""
        self._require_running(number)
        return self.instance_id(number)

    def start(self, number: str) -> None:
        """Power a machine on."""
        self._change(number, "start", "running")

    def stop(self, number: str) -> None:
        """Take a machine's power away."""
        self._change(number, "stop", "stopped")

    def freeze(self, number: str) -> None:
        """Stop all processes of a machine where they are."""
        self._change(number, "freeze", "frozen")

    def thaw(self, number: str) -> None:
        """Let the processes of a frozen machine go on."""
        if self.state(number) == "frozen":
            self._change(number, "unfreeze", "running")

    def _change(self, number: str, action: str, wanted: str) -> None:
        if self.state(number) != wanted:
            with _about(number):
                lxd.set_state(self.instance_id(number), action, force=action == "stop")

    def _require_running(self, number: str) -> str:
        with _about(number):
            boot = self.boot_id(number)
        if not boot:
            state = self.state(number)
            what = "shuts down" if state == "running" else f"is {state}"
            raise MachineError(f"machine {number} {what}")
        return boot

    def _copy(self, number: str) -> None:
        """Copy the golden container and give the copy its addresses."""
        stage, name = self._stage, self.instance_id(number)
        source = {"type": "copy", "source": stage.golden, "instance_only": True}
        lxd.create_instance(name, source, lxd.NOT_READY, _devices(stage, number))
        rest = f"Gateway={stage.gateway}\nDNS={stage.gateway}\n"
        eth0 = LINK.format(
            name="eth0", address=stage.address(number), prefix=stage.subnet.prefixlen, rest=rest
        )
        eth1 = LINK.format(
            name="eth1",
            address=stage.dhcp_address(number),
            prefix=stage.dhcp_subnet.prefixlen,
            rest="",
        )
        lxd.push(name, "/etc/systemd/network/20-eth0.network", eth0.encode())
        lxd.push(name, "/etc/systemd/network/21-eth1.network", eth1.encode())
        lxd.push(name, "/etc/resolv.conf", f"nameserver {stage.gateway}\n".encode())

    def _wait_until_up(self, number: str) -> None:
        """Wait until systemd has booted the machine and its address is there."""
        deadline = time.monotonic() + START_TIMEOUT_S
        name, address = self.instance_id(number), self._stage.address(number)
        script = f"systemctl is-system-running; ip -4 -o address show eth0 | grep -cw {address}"
        said = b""
        while time.monotonic() < deadline:
            if not self.boot_id(number):
                # LXD was once seen to leave a container stopped under load.
                lxd.set_state(name, "start")
            said = lxd.run(name, ["sh", "-c", script], timeout_s=30).stdout
            if said.split() in ([b"running", b"1"], [b"degraded", b"1"]):
                return
            time.sleep(0.2)
        raise MachineError(f"machine {number} did not boot: {said.decode(errors='replace')!r}")


@contextmanager
def _about(number: str) -> Iterator[None]:
    """Say which machine an error of LXD is about."""
    try:
        yield
    except lxd.LXDError as error:
        raise MachineError(f"machine {number}: {error}") from error


def nic_names(stage: Stage, number: str) -> tuple[str, str]:
    """Return the host's names of a machine's two interfaces, the same at every boot."""
    return (f"{stage.name}-m{number}-0", f"{stage.name}-m{number}-1")


def _devices(stage: Stage, number: str) -> dict[str, dict[str, Any]]:
    def disk(source: Path, path: str, **more: str) -> dict[str, str]:
        return {"type": "disk", "source": str(source), "path": path, **more}

    nic0, nic1 = nic_names(stage, number)
    return {
        "eth0": {"type": "nic", "name": "eth0", "network": stage.bridge, "host_name": nic0},
        "eth1": {"type": "nic", "name": "eth1", "network": stage.dhcp_bridge, "host_name": nic1},
        "hooks": disk(stage.hooks, "/var/lib/juju/lab"),
        "apt": disk(stage.apt, "/srv/lab-apt", readonly="true"),
    }


def reachable(address: str) -> bool:
    """Tell whether a machine answers: a refused connection is an answer too."""
    with socket.socket() as link:
        link.settimeout(CONTACT_TIMEOUT_S)
        return link.connect_ex((address, CLOSED_PORT)) in (0, errno.ECONNREFUSED)
