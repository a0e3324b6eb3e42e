# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The charm's options, checked once."""

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass

from charmed_maas import addresses

BALANCES = ("leastconn", "roundrobin", "source")
# The ports of MAAS's regions and racks; nginx, bind and the others bind them on every address.
MAAS_PORTS = {
    "bind9 (DNS)": {53},
    "MAAS's DHCP": {67},
    "MAAS's TFTP": {69},
    "chrony (NTP)": {123, 323},
    "MAAS's proxy": {3128, 8000},
    "MAAS": {*range(5239, 5275), *range(5280, 5285), 5443},
}


class ConfigError(Exception):
    """An option has a value that cannot be used; the message names it and the way out."""


@dataclass(frozen=True)
class Config:
    """The options; vip "" means none yet, prefix 0 the longest there is."""

    vip: str
    prefix: int
    port: int
    interface: str
    vrrp_id: int
    advert_interval_s: float
    balance: str

    @property
    def url(self) -> str:
        """The MAAS URL that leads through the VIP."""
        return maas_url(self.vip, self.port)


def maas_url(vip: str, port: int) -> str:
    """Return the URL that leads to MAAS through the VIP."""
    host = addresses.url_host(vip)
    return f"http://{host}/MAAS" if port == 80 else f"http://{host}:{port}/MAAS"


def parse(options: Mapping[str, object]) -> Config:
    """Return the options as they are used; raises ConfigError."""
    vip, prefix = _vip(str(options["vip"]).strip())
    return Config(
        vip=vip,
        prefix=prefix,
        port=_port(int(str(options["port"]))),
        interface=_interface(str(options["interface"]).strip()),
        vrrp_id=_vrrp_id(int(str(options["vrrp-id"])), vip),
        advert_interval_s=_advert_interval(float(str(options["advert-interval"]))),
        balance=_balance(str(options["balance"]).strip()),
    )


def _vip(text: str) -> tuple[str, int]:
    if not text:
        return "", 0
    address, _, prefix = text.partition("/")
    try:
        vip = ipaddress.ip_address(addresses.parse_address(address))
        longest = vip.max_prefixlen
        # ip_interface() refuses a prefix that is none, "" is what "10.0.0.1/" has.
        length = ipaddress.ip_interface(text).network.prefixlen if "/" in text else longest
    except ValueError as error:
        raise ConfigError(f"vip {text[:60]!r} is not an address: set a free one") from error
    # With a prefix of 0 every address there is would be on the interface.
    if not length or (not prefix and "/" in text):
        raise ConfigError(f"vip {text[:60]!r} is not an address: set a free one")
    return str(vip), length


def _port(port: int) -> int:
    if not 1 <= port <= 65535:
        raise ConfigError(f"port {port} is not a port: set one from 1 to 65535")
    for owner, ports in MAAS_PORTS.items():
        if port in ports:
            raise ConfigError(f"port {port} belongs to {owner}: set another, such as 80")
    return port


def _interface(name: str) -> str:
    # Linux's rule for names (dev_valid_name): at most 15 bytes, no space, no slash.
    is_text = name.isprintable() and not set(name) & set(" /:\"'{}#!")
    if not is_text or len(name.encode()) > 15:
        raise ConfigError(f"interface {name[:60]!r} is not a name of a network interface")
    return name


def _vrrp_id(vrrp_id: int, vip: str) -> int:
    if not 0 <= vrrp_id <= 255:
        raise ConfigError(f"vrrp-id {vrrp_id} is not in range: set 1 to 255, or 0")
    if vrrp_id or not vip:
        return vrrp_id
    if not (octet := ipaddress.ip_address(vip).packed[-1]):
        raise ConfigError(f"vip {vip} ends in 0: set vrrp-id to a number from 1 to 255")
    return octet


def _advert_interval(seconds: float) -> float:
    if not (math.isfinite(seconds) and 0.1 <= seconds <= 10):
        raise ConfigError(f"advert-interval {seconds:g} is not in range: set 0.1 to 10")
    # VRRP counts hundredths; keepalived refuses what it would have to round.
    return round(seconds, 2)


def _balance(balance: str) -> str:
    if balance not in BALANCES:
        raise ConfigError(f"balance {balance[:60]!r} is unknown: set {' or '.join(BALANCES)}")
    return balance
