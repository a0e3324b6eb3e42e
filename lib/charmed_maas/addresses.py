# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""IP addresses, URLs made from them, and the order in which units are listed."""

import ipaddress
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ops


def unit_number(unit_name: str) -> int:
    """Return the number in a unit's name: 3 for maas-region/3."""
    return int(unit_name.rpartition("/")[2])


def by_unit_number(unit_names: Iterable[str]) -> list[str]:
    """Sort unit names by their numbers, so that /10 comes after /9."""
    return sorted(unit_names, key=lambda name: (name.rpartition("/")[0], unit_number(name)))


def parse_address(text: str) -> str:
    """Return an IP address in its canonical form; raises ValueError with a sentence.

    Refused is what is no machine's address, or leads somewhere else on each machine, and a scope:
    ipaddress takes any text for one, which would stand in files as it is.
    """
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError as error:
        raise ValueError(f"{text[:60]!r} is not an IP address") from error
    is_nobodys = address.is_unspecified or address.is_multicast or address.is_reserved
    # Reserved too (::ffff:0:0/96), but no more to Python 3.13.
    is_nobodys = is_nobodys or getattr(address, "ipv4_mapped", None) is not None
    is_local = address.is_loopback or address.is_link_local or "%" in text
    if is_nobodys or is_local:
        raise ValueError(f"{text[:60]!r} is not the address of one machine")
    return str(address)


def own_address(binding: "ops.Binding | None", *, never: Collection[str] = ()) -> str:
    """Return a unit's own address as others reach it, "" before it has one.

    A VIP that the machine holds may come first in network-get (canonical/operator#1556): an
    address held as /32 or /128 beside a wider one of its family is taken only when there is no
    other. never are VIPs that are known, whatever their prefix: one that was, too, for it may
    still be on the machine.
    """
    if binding is None:
        return ""
    held = {_parse(one.address): one.subnet for one in binding.network.interfaces}
    wide = {one.version for one in held.values() if one and one.prefixlen < one.max_prefixlen}
    narrow = {
        address
        for address, one in held.items()
        if one and one.prefixlen == one.max_prefixlen and one.version in wide
    }
    ingress = (_parse(one) for one in binding.network.ingress_addresses)
    found = [one for one in (*ingress, *held) if one and one not in never]
    return next((one for one in found if one not in narrow), next(iter(found), ""))


def host_cidr(address: str) -> str:
    """Return the network that holds this one address only (/32 or /128)."""
    return str(ipaddress.ip_network(address))


def url_host(address: str) -> str:
    """Return the address as a URL has it: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def join_host_port(address: str, port: int) -> str:
    """Return address:port, an IPv6 address in brackets."""
    return f"{url_host(address)}:{port}"


def split_host_port(text: str) -> tuple[str, int]:
    """Return address and port of one endpoint; raises ValueError with a sentence."""
    host, colon, port = text.strip().rpartition(":")
    if not colon:
        raise ValueError(f"{text[:60]!r} is not address:port")
    return parse_address(host.removeprefix("[").removesuffix("]")), parse_port(port)


def parse_port(text: str) -> int:
    """Return a TCP port; raises ValueError with a sentence."""
    is_number = text.isascii() and text.isdigit() and len(text) <= 5
    if not is_number or not 1 <= int(text) <= 65535:
        raise ValueError(f"{text[:60]!r} is not a port (1 to 65535)")
    return int(text)


def _parse(address: object) -> str:
    """Return an address that Juju names, "" for a host name or none at all."""
    try:
        return parse_address(str(address))
    except ValueError:
        return ""
