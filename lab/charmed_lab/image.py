# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The golden container of a base, which every machine is a copy of."""

import hashlib
import io
import shlex
import subprocess
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from . import console, host, lxd
from .console import StepError
from .stage import ROOT, Stage

IMAGES = ROOT / "images"
HOST_CAS = Path("/usr/local/share/ca-certificates")
INCLUDED = (
    "systemd,systemd-sysv,dbus,udev,iproute2,iputils-ping,procps,python3,sudo,curl,hostname,"
    "ca-certificates,kmod,less,netbase,nftables,socat,gnupg"
)
# What the charms install, so that their apt-get finds it downloaded.
WORKLOADS = (
    "postgresql postgresql-contrib patroni etcd-server etcd-client haproxy keepalived bind9 "
    "bind9-utils nginx-core isc-dhcp-server isc-dhcp-client python3-psycopg2 python3-requests "
    "python3-yaml python3-aiohttp python3-etcd iputils-arping"
)
# What stays for the charms to install; what these depend on is in every machine already, for
# unpacking the same Python libraries on five machines is most of what a deploy takes.
CHARMS_OWN = "^(postgresql|patroni|etcd|haproxy|keepalived|bind9|nginx|libnginx|isc-dhcp)"
MASKED = (
    "systemd-binfmt.service systemd-modules-load.service proc-sys-fs-binfmt_misc.automount "
    "systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer "
    "e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer man-db.timer "
    "dev-mqueue.mount"
)
DHCP = "[Match]\nName=eth0\n[Network]\nDHCP=yes\n[DHCPv4]\nClientIdentifier=mac\n"
SETUP = f"""\
set -e
root=$1
rm -f $root/etc/hostname $root/etc/resolv.conf
echo 'nameserver {host.BUILD_SUBNET[1]}' >$root/etc/resolv.conf
printf '{DHCP.replace(chr(10), chr(92) + "n")}' >$root/etc/systemd/network/20-eth0.network
chroot $root systemctl -q enable systemd-networkd
chroot $root systemctl -q mask {MASKED}
echo force-unsafe-io >$root/etc/dpkg/dpkg.cfg.d/lab
for dir in doc man locale; do
  echo "path-exclude=/usr/share/$dir/*" >>$root/etc/dpkg/dpkg.cfg.d/lab
done
: >$root/etc/machine-id
for ca in {HOST_CAS}/*.crt; do
  if [ -e "$ca" ]; then cp "$ca" $root/usr/local/share/ca-certificates/; fi
done
chroot $root update-ca-certificates
"""
METADATA = """\
architecture: x86_64
creation_date: 1700000000
properties: {os: debian}
templates:
  /etc/hostname: {when: [create, copy], template: hostname.tpl}
"""
IMAGE_FILES = {"metadata.yaml": METADATA, "templates/hostname.tpl": "{{ container.name }}\n"}
BOOT_TIMEOUT_S = 60
INDEX_FORMAT = "$(REPO_URI)|$(ORIGIN)|$(CODENAME)|$(COMPONENT)"


def sources(index: Iterable[str], release: str) -> list[str]:
    """Return a release's apt lines at the mirrors from which the host takes its own Debian.

    `index` holds what `apt-get indextargets` says in INDEX_FORMAT. Empty for a host that has
    no Debian: mmdebstrap knows a mirror itself then.
    """
    lines: list[str] = []
    for entry in index:
        uri, origin, codename, component = entry.split("|")
        _, _, kind = codename.partition("-")
        if origin != "Debian" or component != "main" or not uri.startswith("http"):
            continue
        if kind in ("", "updates", "security"):
            suite = "-".join(filter(None, (release, kind)))
            lines.append(f"deb {uri.rstrip('/')} {suite} main")
    return sorted(set(lines), key=lambda line: (line.count("-"), line))


def proxies(apt_config: str) -> str:
    """Return the lines of the host's apt configuration that set a proxy."""
    lines = apt_config.splitlines()
    return "".join(f"{line}\n" for line in lines if "::Proxy" in line and '""' not in line)


def ensure_base(stage: Stage) -> None:
    """Make the golden container, still without the workload packages."""
    wanted = _fingerprint(stage)
    found = (lxd.get(f"/instances/{stage.golden}") or {"config": {}})["config"]
    # apt that was killed leaves a container that no later run can mend.
    if found.get("user.image") == wanted and found.get("user.ready"):
        return
    tar = IMAGES / f"{stage.release}-{wanted}.tar"
    if not tar.exists():
        with console.step(f"making the {stage.base} image"):
            _bootstrap(stage, tar)
    with console.step("importing the image"):
        lxd.delete_instance(stage.golden)
        lxd.delete_instance(stage.builder)
        _import(stage, tar)
        source = {"type": "image", "alias": stage.golden}
        create(stage.golden, source, {"user.image": wanted})
        fingerprint = lxd.request("GET", f"/images/aliases/{stage.golden}")["target"]
        lxd.request("DELETE", f"/images/{fingerprint}")


def ensure_workloads(stage: Stage) -> None:
    """Download the workload packages into the golden container, and install what they need."""
    if lxd.request("GET", f"/instances/{stage.golden}")["config"].get("user.ready"):
        return
    with console.step("downloading the workload packages, installing what they need"):
        script = (
            "set -e; apt-get update -q; "
            f"apt-get install -qyd --no-install-recommends {WORKLOADS}; "
            f"needed=$(apt-get install -s --no-install-recommends {WORKLOADS} | awk '/^Inst/"
            f" {{print $2}}' | grep -Ev '{CHARMS_OWN}'); "
            "apt-get install -qy --no-install-recommends $needed; "
            ": >/etc/machine-id"
        )
        with running(stage.golden):
            execute(stage.golden, script, otherwise="a container cannot reach the Debian mirror")
        lxd.request("PATCH", f"/instances/{stage.golden}", {"config": {"user.ready": "true"}})


def create(name: str, source: Mapping[str, str], config: Mapping[str, str]) -> None:
    """Create a stopped container on the build network."""
    nic = {"type": "nic", "name": "eth0", "network": host.BUILD_BRIDGE}
    lxd.create_instance(name, source, config, {"eth0": nic})


@contextmanager
def running(name: str) -> Iterator[None]:
    """Start a container of the build network afresh, with an address; stop it in any case."""
    if lxd.request("GET", f"/instances/{name}")["status"] != "Stopped":
        lxd.set_state(name, "stop", force=True)
    lxd.set_state(name, "start")
    try:
        _wait_for_address(name)
        yield
    finally:
        lxd.set_state(name, "stop", force=True)


def _wait_for_address(name: str) -> None:
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    while lxd.run(name, ["sh", "-c", "ip -4 route | grep -q ^default"]).returncode:
        if time.monotonic() > deadline:
            raise StepError(f"container {name} got no address: does dnsmasq run, is DHCP free?")
        time.sleep(0.2)


def execute(name: str, script: str, *, otherwise: str) -> str:
    """Run a shell script in a container of the build network."""
    # It may hold an index's login, and everybody can read a command line.
    run = ["env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", 'eval "$(cat)" </dev/null']
    argv = ["lxc", "exec", "-T", name, "--", *run]
    console.log(f"in {name}: {script}\n")
    return console.run(argv, otherwise=otherwise, stdin=script.encode())


def _fingerprint(stage: Stage) -> str:
    parts = [INCLUDED, SETUP, METADATA, WORKLOADS, CHARMS_OWN, stage.release]
    parts += [path.read_text() for path in sorted(HOST_CAS.glob("*.crt"))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _bootstrap(stage: Stage, tar: Path) -> None:
    """Build the root file system by mmdebstrap."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    setup = IMAGES / "setup.sh"
    configuration = shlex.quote(proxies(_read(["apt-config", "dump", "Acquire"])))
    proxy = f"printf %s {configuration} >$root/etc/apt/apt.conf.d/90host\n"
    setup.write_text(f"#!/bin/sh\n{SETUP}{proxy}")
    setup.chmod(0o755)
    index = _read(["apt-get", "indextargets", "--format", INDEX_FORMAT, "Created-By: Packages"])
    partial = tar.with_suffix(".partial.tar")
    options = ["--variant=minbase", "--dpkgopt=force-unsafe-io", "--skip=output/dev"]
    options += [f"--include={INCLUDED}", '--aptopt=Acquire::Languages "none"']
    options += [f'--customize-hook={setup} "$1"', stage.release, str(partial)]
    argv = ["mmdebstrap", *options, *sources(index.splitlines(), stage.release)]
    console.run(argv, otherwise=f"the {stage.base} image cannot be built: check the apt mirror")
    for old in IMAGES.glob(f"{stage.release}-*.tar"):
        if old != partial:
            old.unlink()
    partial.rename(tar)


def _import(stage: Stage, tar: Path) -> None:
    metadata = IMAGES / "metadata.tar"
    with tarfile.open(metadata, "w") as archive:
        for name, text in IMAGE_FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    argv = ["lxc", "image", "import", metadata, tar, "--alias", stage.golden]
    if lxd.get(f"/images/aliases/{stage.golden}") is None:
        console.run(argv, otherwise="LXD cannot import the image")


def _read(argv: list[str]) -> str:
    """Return what a command of apt says; nothing where there is no apt."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
