# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The machine's network: which interface takes the VIP, who listens where, who is alive."""

import contextlib
import ipaddress
import json
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from charmed_maas import commands

IP = "/usr/sbin/ip"
SS = "/usr/bin/ss"
# From linux/in.h and in6.h; Python's socket module has no names for them.
IP_TRANSPARENT = 19
IPV6_TRANSPARENT = 75
ANSWER_TIMEOUT_S = 0.5
# To take a living machine for dead would make two VIP holders.
ALIVE_TRIES_S = (0.5, 1.0, 2.0)
WILDCARDS = ("0.0.0.0", "::", "*")  # noqa: S104 - what ss prints, nothing binds it

Address = ipaddress.IPv4Interface | ipaddress.IPv6Interface


# A program of the machine's fails, or does not end.
CommandError = commands.CommandError


class NetworkError(Exception):
    """The VIP or a port cannot be had on this machine; fit for a status message."""


@dataclass(frozen=True)
class Interface:
    """A network interface that is up, with its addresses."""

    name: str
    addresses: tuple[Address, ...]
    mac: str = ""


@dataclass(frozen=True)
class Place:
    """Where the VIP goes on this machine, and the machine's own address beside it."""

    interface: str
    own: str


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket and the process that has it."""

    address: str
    port: int
    process: str
    unit: str


def interfaces() -> tuple[Interface, ...]:
    """Return the machine's network interfaces."""
    return parse_interfaces(commands.run([IP, "-j", "address", "show", "up"]).stdout)


def parse_interfaces(text: str) -> tuple[Interface, ...]:
    """Parse what `ip -j address` prints."""
    return tuple(
        Interface(
            link["ifname"],
            tuple(
                ipaddress.ip_interface(f"{one['local']}/{one['prefixlen']}")
                for one in link.get("addr_info", ())
                if one.get("local") and one.get("scope") == "global"
            ),
            link.get("address", ""),
        )
        for link in json.loads(text)
        if link.get("ifname")
    )


def place(found: Iterable[Interface], vip: str, *, name: str = "", preferred: str = "") -> Place:
    """Return where the VIP goes: on the interface whose subnet holds it.

    preferred is the own address to take when there are several. Raises NetworkError.
    """
    wanted = ipaddress.ip_address(vip)
    among = [one for one in found if not name or one.name == name]
    if not among:
        raise NetworkError(f"interface {name} does not exist here or is down: set interface")
    for interface in among:
        own = [str(one.ip) for one in interface.addresses if _is_beside(one, wanted)]
        if own:
            return Place(interface.name, preferred if preferred in own else own[0])
    where = f"of interface {name}" if name else "of any interface of this machine"
    raise NetworkError(f"vip {vip} is in no subnet {where}: set vip to a free address in one")


def _is_beside(own: Address, vip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if own.ip == vip or vip not in own.network:
        return False
    ends = (own.network.network_address, own.network.broadcast_address)
    return not (own.network.prefixlen < own.max_prefixlen - 1 and vip in ends)


def refuse_own(vip: str, owners: Mapping[str, str]) -> None:
    """Raise NetworkError when the VIP is the own address of a unit; owners by address."""
    if vip in owners:
        raise NetworkError(f"vip {vip} is {owners[vip]}'s own address: set a free one")


def own_addresses(found: Iterable[Interface]) -> set[str]:
    """Return every address of the machine."""
    return {str(address.ip) for interface in found for address in interface.addresses}


def listeners() -> tuple[Listener, ...]:
    """Return every listening TCP socket."""
    return parse_listeners(commands.run([SS, "-H", "-l", "-t", "-n", "-p"]).stdout)


def parse_listeners(text: str) -> tuple[Listener, ...]:
    """Parse what `ss -Hltnp` prints."""
    found: list[Listener] = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        address, _, port = fields[3].rpartition(":")
        users = re.search(r'\("([^"]*)",pid=(\d+)', line)
        found.append(
            Listener(
                address.partition("%")[0].strip("[]"),
                int(port),
                users.group(1) if users else "a process",
                _systemd_unit(int(users.group(2))) if users else "",
            )
        )
    return tuple(found)


def _systemd_unit(pid: int) -> str:
    with contextlib.suppress(OSError):
        found = re.search(r"/([^/\n]+\.service)$", Path(f"/proc/{pid}/cgroup").read_text(), re.M)
        return found.group(1) if found else ""
    return ""


def holder(found: Iterable[Listener], address: str, port: int, *, own_unit: str) -> str:
    """Return the process that has address:port, "" when it is free or own_unit's."""
    for one in found:
        clashes = one.address in (*WILDCARDS, address) or one.address == f"::ffff:{address}"
        if one.port == port and clashes and one.unit != own_unit:
            return f"{one.process} ({one.unit})" if one.unit else one.process
    return ""


def held_ports(address: str, ports: Iterable[int], *, own_unit: str) -> dict[int, str]:
    """Return those ports that HAProxy cannot have on the address, and why, as a port's verb."""
    listening = listeners()
    own = {one.port for one in listening if one.unit == own_unit and one.address == address}
    held: dict[int, str] = {}
    for port in ports:
        if who := holder(listening, address, port, own_unit=own_unit):
            held[port] = f"is held by {who}"
        elif port not in own and (problem := bind_error(address, port)):
            held[port] = f"cannot be had: {problem}"
    return held


def bind_error(address: str, port: int) -> str:
    """Try to bind address:port as HAProxy will; return what stands against it, or ""."""
    v6 = ":" in address
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET) as probe:
        level, option = (
            (socket.IPPROTO_IPV6, IPV6_TRANSPARENT) if v6 else (socket.IPPROTO_IP, IP_TRANSPARENT)
        )
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.setsockopt(level, option, 1)
            probe.bind((address, port))
            probe.listen()
        except OSError as error:
            return error.strerror or str(error)
    return ""


def is_alive(address: str, port: int) -> bool:
    """Tell whether a machine answers; one that is slow, or loses a packet, has three tries."""
    return any(answers(address, port, timeout_s=try_s) for try_s in ALIVE_TRIES_S)


def answers(address: str, port: int, *, timeout_s: float = ANSWER_TIMEOUT_S) -> bool:
    """Tell whether a machine takes or refuses a connection, soon."""
    try:
        socket.create_connection((address, port), timeout=timeout_s).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True
