# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The text of a rack's dhcpd.conf, from plain values."""

import contextlib
import dataclasses
import ipaddress

OMAPI_PORT = 7911
LEASE_S = 600
MCLT_S = 3600

Address = ipaddress.IPv4Address
Range = tuple[Address, Address]


@dataclasses.dataclass(frozen=True)
class Peer:
    """The failover of one VLAN, from one rack's side."""

    is_primary: bool
    address: Address
    peer_address: Address


@dataclasses.dataclass(frozen=True)
class Subnet:
    """A subnet, and what clients in it are told."""

    network: ipaddress.IPv4Network
    ranges: tuple[Range, ...] = ()
    router: Address | None = None
    next_server: Address | None = None
    dns_servers: tuple[Address, ...] = ()
    ntp_servers: tuple[Address, ...] = ()


@dataclasses.dataclass(frozen=True)
class VLAN:
    """What a rack serves on one VLAN."""

    number: int
    interface: str
    subnets: tuple[Subnet, ...]
    peer: Peer | None = None

    @property
    def failover_name(self) -> str:
        """Return what both racks call this VLAN's failover; OMAPI is asked by it."""
        return f"failover-vlan-{self.number}"


def find_addresses(text: str) -> list[Address]:
    """Return the addresses in a setting; dhcpd is not made to wait for the names among them."""
    found: list[Address] = []
    for word in text.replace(",", " ").split():
        with contextlib.suppress(ValueError):
            found.append(Address(word))
    return found


def dns_servers(
    network: ipaddress.IPv4Network,
    *,
    racks: list[Address],
    regions: list[Address],
    has_router: bool,
) -> tuple[Address, ...]:
    """Return the racks in the subnet, then the regions that its clients can reach."""
    near = [address for address in racks if address in network]
    far = [address for address in regions if has_router or address in network]
    return tuple(dict.fromkeys(near + far))


def _indent(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _block(head: str, lines: list[str]) -> list[str]:
    return [f"{head} {{", *_indent(lines), "}"]


def _render_peer(vlan: VLAN, peer: Peer) -> list[str]:
    lines = [
        "primary;" if peer.is_primary else "secondary;",
        f"address {peer.address};",
        f"peer address {peer.peer_address};",
        "max-response-delay 60;",
        "max-unacked-updates 10;",
        "load balance max seconds 3;",
    ]
    if peer.is_primary:
        # All clients are the primary's as long as it is there: a hot standby.
        lines += [f"mclt {MCLT_S};", "split 255;"]
    return _block(f'failover peer "{vlan.failover_name}"', lines)


def _option(name: str, addresses: tuple[Address, ...]) -> list[str]:
    return [f"option {name} {', '.join(map(str, addresses))};"] if addresses else []


def _render_subnet(vlan: VLAN, subnet: Subnet, domain: str) -> list[str]:
    network = subnet.network
    lines = ["ignore-client-uids true;"]
    if subnet.next_server:
        lines.append(f"next-server {subnet.next_server};")
    lines += [
        f"option subnet-mask {network.netmask};",
        f"option broadcast-address {network.broadcast_address};",
        *_option("domain-name-servers", subnet.dns_servers),
        f'option domain-name "{domain}";',
        *_option("routers", (subnet.router,) if subnet.router else ()),
        *_option("ntp-servers", subnet.ntp_servers),
        f"default-lease-time {LEASE_S};",
        f"max-lease-time {LEASE_S};",
    ]
    failover = [f'failover peer "{vlan.failover_name}";'] if vlan.peer else []
    for start, end in subnet.ranges:
        lines += _block("pool", [*failover, f"range {start} {end};"])
    return _block(f"subnet {network.network_address} netmask {network.netmask}", lines)


def _render_vlan(vlan: VLAN, domain: str) -> list[str]:
    lines = [line for s in vlan.subnets for line in _render_subnet(vlan, s, domain)]
    network = _block(f"shared-network vlan-{vlan.number}", lines)
    return [*(_render_peer(vlan, vlan.peer) if vlan.peer else []), *network]


def render(vlans: list[VLAN], omapi_key: str, domain: str) -> str:
    """Return the text, nothing if there is nothing to serve."""
    if not vlans:
        return ""
    lines = ["# Written by MAAS's stand-in; what is changed here is overwritten."]
    for vlan in sorted(vlans, key=lambda vlan: vlan.number):
        lines += _render_vlan(vlan, domain)
    lines += [
        f"omapi-port {OMAPI_PORT};",
        *_block("key omapi_key", ["algorithm HMAC-MD5;", f'secret "{omapi_key}";']),
        "omapi-key omapi_key;",
    ]
    return "\n".join(lines) + "\n"


def interfaces(vlans: list[VLAN]) -> str:
    """Return the interfaces that dhcpd is to listen on."""
    return " ".join(sorted({vlan.interface for vlan in vlans}))
