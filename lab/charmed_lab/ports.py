# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Port ranges: their texts, their order, and which of them clash on a machine."""

from collections.abc import Mapping, Sequence

from .model import JujuError, Model, Unit


def parse(text: str) -> str:
    """Return a port range in Juju's form, such as 80/tcp, 8000-8100/udp or icmp."""
    numbers, slash, protocol = text.lower().partition("/")
    if numbers == "icmp":
        return "icmp"
    protocol = protocol if slash else "tcp"
    if protocol not in ("tcp", "udp"):
        raise JujuError(f'invalid protocol "{protocol}", expected "tcp", "udp", or "icmp"')
    low, dash, high = numbers.partition("-")
    first, last = _number(low), _number(high if dash else low)
    if not 0 <= first <= last <= 65535:
        raise JujuError(f"port range bounds must be between 0 and 65535, got {first}-{last}")
    return f"{first}/{protocol}" if first == last else f"{first}-{last}/{protocol}"


def _number(text: str) -> int:
    if text.isdecimal():
        return int(text)
    raise JujuError(f'invalid port "{text}": strconv.Atoi: parsing "{text}": invalid syntax')


def order(text: str) -> tuple[str, int, int]:
    """Return what ranges are sorted by: protocol, then ports."""
    numbers, slash, protocol = text.partition("/")
    if not slash:
        return text, 0, 0
    low, _, high = numbers.partition("-")
    return protocol, int(low), int(high or low)


def overlap(one: str, other: str) -> bool:
    """Tell whether two ranges have a port in common."""
    protocol, low, high = order(one)
    other_protocol, other_low, other_high = order(other)
    return protocol == other_protocol and low <= other_high and other_low <= high


def brief(ranges: Sequence[str]) -> str:
    """Return sorted ranges in one text, neighbours joined: 80,5250-5270/tcp."""
    merged: list[tuple[str, int, int]] = []
    for protocol, low, high in map(order, ranges):
        if merged and merged[-1][0] == protocol and merged[-1][2] + 1 == low:
            merged[-1] = (protocol, merged[-1][1], high)
        else:
            merged.append((protocol, low, high))
    by_protocol: dict[str, list[str]] = {}
    for protocol, low, high in merged:
        text = str(low) if low == high else f"{low}-{high}"
        by_protocol.setdefault(protocol, []).append(text)
    texts = {name: ",".join(found) for name, found in by_protocol.items()}
    return " ".join("icmp" if name == "icmp" else f"{text}/{name}" for name, text in texts.items())


def clash(model: Model, unit: Unit, wanted: Mapping[str, list[str]], new: str) -> str:
    """Return why a unit cannot open a range, or nothing."""
    for other in model.units_on(unit.machine):
        taken = wanted if other.name == unit.name else other.ports
        for one in (one for ranges in taken.values() for one in ranges):
            same = other.name == unit.name and one == new
            if overlap(one, new) and not same:
                own = [text for ranges in unit.ports.values() for text in ranges]
                earlier = other.name == unit.name and one not in own
                more = " requested earlier" if earlier else ""
                return f'port range conflicts with {one} (unit "{other.name}"){more}'
    return ""
