# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What a controller knows of its own machine: files of identity, addresses, units."""

import ipaddress
import json
import os
import pathlib
import socket
import subprocess
import typing

from maas_standin import local_config

VAR = pathlib.Path("/var/lib/maas")
SECRET = VAR / "secret"
MAAS_ID = VAR / "maas_id"
MAAS_UUID = VAR / "maas_uuid"


def read(path: pathlib.Path) -> str:
    """Return a file of identity, or nothing if it is not there."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def write(path: pathlib.Path, text: str) -> None:
    """Write a file of identity if its text differs."""
    if read(path) != text or not path.exists():
        local_config.write_atomically(str(path), text)


def hostname() -> str:
    """Return the name without its domain."""
    return socket.gethostname().split(".")[0]


def _is_own(info: dict[str, typing.Any]) -> bool:
    """Tell the machine's own IPv4 address from a service's, such as a VIP.

    A service's is a single address (/32) or a further one in a subnet where the machine has one.
    """
    return info["family"] == "inet" and info["prefixlen"] < 32 and not info.get("secondary")


def interfaces() -> list[dict[str, typing.Any]]:
    """Return each network interface with its MAC and the subnets' addresses on it."""
    output = subprocess.run(
        ["/usr/sbin/ip", "-j", "addr", "show"], check=True, capture_output=True, timeout=10
    ).stdout
    return [
        {
            "name": link["ifname"],
            "mac_address": link["address"],
            "enabled": "UP" in link["flags"],
            "addresses": [
                f"{info['local']}/{info['prefixlen']}"
                for info in link["addr_info"]
                if _is_own(info)
            ],
        }
        for link in json.loads(output)
        if link["link_type"] == "ether"
    ]


def addresses() -> list[str]:
    """Return the machine's own IPv4 addresses."""
    found = [text for link in interfaces() for text in link["addresses"]]
    return [str(ipaddress.ip_interface(text).ip) for text in found]


def describe() -> dict[str, typing.Any]:
    """Return what a controller tells about its machine when it registers."""
    release = dict(
        line.rstrip().replace('"', "").split("=", 1)
        for line in pathlib.Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
        if "=" in line
    )
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "hostname": hostname(),
        "interfaces": interfaces(),
        "osystem": release["ID"],
        "distro_series": release.get("VERSION_CODENAME", ""),
        "cpu_count": os.cpu_count(),
        "memory": pages // 1024**2,
        "virtual": subprocess.run(
            ["/usr/bin/systemd-detect-virt", "--quiet"], check=False, timeout=10
        ).returncode
        == 0,
    }


def systemctl(verb: str, unit: str) -> int:
    """Ask systemd as MAAS does: through sudo, never asking for a password."""
    return subprocess.run(
        ["/usr/bin/sudo", "-n", "/usr/bin/systemctl", verb, unit],
        check=False,
        capture_output=True,
        timeout=60,
    ).returncode


def is_active(unit: str) -> bool:
    """Tell whether a unit runs."""
    command = ["/usr/bin/systemctl", "is-active", "--quiet", unit]
    return subprocess.run(command, check=False, timeout=10).returncode == 0


def unit_state(unit: str) -> tuple[str, str]:
    """Return a unit's state and the result of its last run in systemd's words."""
    properties = ["--property=ActiveState", "--property=Result"]
    output = subprocess.run(
        ["/usr/bin/systemctl", "show", *properties, unit],
        check=True,
        capture_output=True,
        text=True,
        timeout=10,
    ).stdout
    words = dict(line.split("=", 1) for line in output.splitlines())
    return words["ActiveState"], words["Result"]
