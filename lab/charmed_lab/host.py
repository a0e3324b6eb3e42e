# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What the lab needs of its host: packages, LXD, pool, networks, a Python environment."""

import ipaddress
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import console, lxd
from .console import StepError
from .stage import FIRST_MACHINE, MAX_MACHINES, REPOSITORY, ROOT, Stage

PACKAGES = (
    "lxd lxd-client mmdebstrap dnsmasq-base nftables iptables uidmap btrfs-progs dpkg-dev "
    "python3-venv git iproute2 ca-certificates util-linux"
)
# What unit tests give their charms' configurations and questions to, and skip without.
TEST_PACKAGES = "haproxy keepalived postgresql"
# The package would make a cluster and start it; the tests have their own.
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/charmed-maas-lab.conf")
# Commands of the first of those packages, for distributions where this does not install them.
COMMANDS = ("lxc", "mmdebstrap", "dpkg-scanpackages", "nft", "ip", "setpriv")
VENV = ROOT / "venv"
BUILD_BRIDGE = "maaslab-bld0"
BUILD_SUBNET = ipaddress.IPv4Network("10.86.9.0/24")
POOL_GIB = 20
NEEDED_GIB = 15
LXD_TIMEOUT_S = 60
# As LXD's "production setup" asks for; Debian's defaults are enough for about ten containers.
KERNEL_LIMITS = {
    "fs/inotify/max_user_instances": 8192,
    "fs/inotify/max_user_watches": 524288,
    "kernel/keys/maxkeys": 2000,
}


def require_root() -> None:
    """Refuse to go on as a user who cannot make containers."""
    if os.geteuid() != 0:
        raise StepError("this makes containers and networks: run it as root (sudo)")


def require_disk() -> None:
    """Refuse to begin where the lab would fill the disk."""
    if lxd.is_answering() and lxd.get(f"/storage-pools/{lxd.POOL}"):
        return
    path = next(path for path in (Path("/var/lib/lxd"), Path("/var/lib")) if path.exists())
    free = shutil.disk_usage(path).free / 2**30
    if free < NEEDED_GIB:
        raise StepError(f"{path} has {free:.0f} GiB free; the lab needs {NEEDED_GIB}: free some")


def ensure_packages(*, for_tests: bool = False) -> None:
    """Install what is missing, on Debian 12 and later; elsewhere tests do without some."""
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian" or int(release.get("VERSION_ID", "0")) < 12:
        if missing := [name for name in COMMANDS if not shutil.which(name)]:
            raise StepError(
                f"{release.get('PRETTY_NAME', 'this distribution')} lacks {', '.join(missing)}: "
                "install LXD 5 or later (`snap install lxd && lxd init --minimal`), mmdebstrap, "
                "dpkg-dev, nftables and python3-venv, then run this again"
            )
        return
    wanted = [*PACKAGES.split(), *(TEST_PACKAGES.split() if for_tests else ())]
    installed = _installed(wanted)
    if missing := [name for name in wanted if name not in installed]:
        if "postgresql" in missing:
            NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
            NO_CLUSTER.write_text("create_main_cluster = false\n")
        with console.step(f"installing {' '.join(missing)}"):
            env = {"DEBIAN_FRONTEND": "noninteractive"}
            otherwise = "apt cannot install the host's packages: check the network and apt sources"
            console.run(["apt-get", "update", "-q"], otherwise=otherwise, env=env)
            install = ["apt-get", "install", "-qy", "--no-install-recommends", *missing]
            console.run(install, otherwise=otherwise, env=env)


def ensure_lxd() -> None:
    """Start the LXD daemon unless one answers."""
    if lxd.is_answering():
        return
    with console.step("starting LXD"):
        if Path("/run/systemd/system").is_dir():
            is_snap = shutil.which("snap") and not _installed(["lxd"])
            unit = "snap.lxd.daemon" if is_snap else "lxd"
            console.run(["systemctl", "start", unit], otherwise="systemd cannot start LXD")
        else:
            _forget_dead_daemon()
            ROOT.mkdir(parents=True, exist_ok=True)
            spawn(["lxd", "--group", "root"], ROOT / "lxd.log")
        deadline = time.monotonic() + LXD_TIMEOUT_S
        while not lxd.is_answering():
            if time.monotonic() > deadline:
                log = ROOT / "lxd.log"
                raise StepError(f"LXD does not start; {log} or `journalctl -u lxd` says why")
            time.sleep(0.2)


def spawn(
    argv: list[str], log: Path, env: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a process that outlives this command."""
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env={**os.environ, **(env or {})},
        )


def ensure_kernel_limits() -> None:
    """Let the containers, which share a user to the kernel, watch more files than one user may."""
    for name, least in KERNEL_LIMITS.items():
        path = Path("/proc/sys") / name
        if path.exists() and int(path.read_text()) < least:
            path.write_text(str(least))


def ensure_pool() -> None:
    """Make the storage pool: btrfs in a file, plain directories where the kernel has none."""
    if lxd.get(f"/storage-pools/{lxd.POOL}"):
        return
    if shutil.which("modprobe"):
        subprocess.run(["modprobe", "-q", "btrfs"], check=False)
    has_btrfs = "\tbtrfs\n" in Path("/proc/filesystems").read_text()
    pool: dict[str, Any] = {"name": lxd.POOL, "driver": "btrfs" if has_btrfs else "dir"}
    if has_btrfs:
        pool["config"] = {"size": f"{POOL_GIB}GiB"}
    _ask("/storage-pools", pool)


def ensure_networks(stage: Stage) -> None:
    """Make the stage's two bridges; refuse addresses that somebody else uses."""
    numbers = map(str, range(MAX_MACHINES))
    records = [f"host-record={stage.machine_name(n)},{stage.address(n)}" for n in numbers]
    config = {
        "ipv4.address": f"{stage.gateway}/24",
        "ipv4.nat": "true",
        "ipv4.dhcp": "false",
        "ipv6.address": "none",
        "dns.domain": stage.name,
        "raw.dnsmasq": "\n".join(records),
    }
    _ensure_network(stage.bridge, stage.subnet, config)
    bare = {"ipv4.address": "none", "ipv6.address": "none"}
    _ensure_network(stage.dhcp_bridge, stage.dhcp_subnet, bare)


def ensure_build_network() -> None:
    """Make the bridge of golden and build containers."""
    config = {
        "ipv4.address": f"{BUILD_SUBNET[1]}/24",
        "ipv4.nat": "true",
        "ipv4.dhcp.ranges": f"{BUILD_SUBNET[FIRST_MACHINE]}-{BUILD_SUBNET[250]}",
        "ipv6.address": "none",
    }
    _ensure_network(BUILD_BRIDGE, BUILD_SUBNET, config)


def overlapping(subnet: ipaddress.IPv4Network, routes: Iterable[dict[str, Any]]) -> str | None:
    """Return the interface whose route overlaps the subnet; a default route does not."""
    for route in routes:
        if route["dst"] != "default" and subnet.overlaps(ipaddress.IPv4Network(route["dst"])):
            return str(route.get("dev", route["dst"]))
    return None


def pins() -> list[str]:
    """Return the exact versions that the root pyproject.toml pins."""
    return list(_project()["tool"]["uv"]["constraint-dependencies"])


def test_requirements() -> list[str]:
    """Return the packages that the checks and tests import."""
    return list(_project()["dependency-groups"]["dev"])


def operator_requirements() -> list[str]:
    """Return all that the suite of pytest-operator needs, each with its version."""
    lines = (REPOSITORY / "tests/operator/requirements.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def ensure_venv(
    venv: Path, requirements: Iterable[str], constraints: Sequence[str] | None = None
) -> None:
    """Make a Python environment, with the pinned versions of what is asked for.

    The pins are those of the root pyproject.toml unless other constraints are given.
    """
    pinned = pins() if constraints is None else constraints
    wanted = "\n".join([*sorted(requirements), *pinned])
    marker = venv / "wanted"
    if marker.exists() and marker.read_text() == wanted:
        return
    with console.step(f"making the Python environment {venv}"):
        shutil.rmtree(venv, ignore_errors=True)
        ROOT.mkdir(parents=True, exist_ok=True)
        otherwise = "pip cannot install the lab's Python packages: check its index and network"
        console.run([sys.executable, "-m", "venv", venv], otherwise=otherwise)
        file = venv / "constraints.txt"
        file.write_text("\n".join(pinned))
        pip = [venv / "bin/pip", "install", "-q", "-c", file]
        console.run([*pip, *sorted(requirements)], otherwise=otherwise)
        marker.write_text(wanted)


def _ensure_network(name: str, subnet: ipaddress.IPv4Network, config: dict[str, str]) -> None:
    if found := lxd.get(f"/networks/{name}"):
        if not found["managed"]:
            raise StepError(f"an interface {name} is there and not LXD's: remove or rename it")
        return
    routes = console.run(["ip", "-j", "-4", "route"], otherwise="ip cannot list the routes")
    if user := overlapping(subnet, json.loads(routes)):
        raise StepError(f"{subnet} is in use on {user}: the lab needs it, free it first")
    _ask("/networks", {"name": name, "type": "bridge", "config": config})


def _ask(path: str, data: dict[str, Any]) -> None:
    try:
        lxd.request("POST", path, data)
    except lxd.LXDError as error:
        raise StepError(f"LXD cannot make {data['name']}: {error}") from error


def _forget_dead_daemon() -> None:
    """Clear away what a killed LXD left in the way of the next.

    Its dnsmasq processes hold the bridges' addresses. Its process ID files may name other
    processes by now, which the next LXD would kill.
    """
    for pid, argv, _ in processes():
        if argv[0].endswith("dnsmasq") and any("=/var/lib/lxd/networks/" in a for a in argv):
            os.kill(pid, signal.SIGTERM)
    for left in Path("/var/lib/lxd/networks").glob("*/*.pid"):
        left.unlink()


def processes() -> Iterator[tuple[int, list[str], list[str]]]:
    """Yield each process's ID, arguments and environment; zombies are gone already."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parts = [(path / name).read_text(errors="replace") for name in ("cmdline", "environ")]
        except OSError:
            continue
        yield int(path.name), parts[0].split("\0"), parts[1].split("\0")


def _installed(packages: Iterable[str]) -> set[str]:
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n", *packages]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    lines = (line.split() for line in done.stdout.splitlines())
    return {words[0] for words in lines if words[1:] == ["ii"]}


def _project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
