# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import pytest

import config

DEFAULTS = {
    "vip": "10.0.0.100",
    "port": 80,
    "interface": "",
    "vrrp-id": 0,
    "advert-interval": 0.5,
    "balance": "leastconn",
}


def parse(**changed: object) -> config.Config:
    return config.parse(
        DEFAULTS | {key.replace("_", "-"): value for key, value in changed.items()}
    )


def test_keepalived_gets_hundredths_of_a_second():
    assert parse(advert_interval=5.02429).advert_interval_s == 5.02


def test_the_vrrp_id_is_the_last_octet_unless_set():
    assert parse().vrrp_id == 100
    assert parse(vrrp_id=7).vrrp_id == 7
    assert parse(vip="fd00::10:21").vrrp_id == 0x21


@pytest.mark.parametrize(
    ("vip", "address", "prefix"),
    [
        ("10.0.0.100", "10.0.0.100", 32),
        (" 10.0.0.100/24 ", "10.0.0.100", 24),
        ("FD00::0001", "fd00::1", 128),
        ("fd00::1/64", "fd00::1", 64),
        ("", "", 0),
    ],
)
def test_a_vip_has_the_longest_prefix_unless_set(vip: str, address: str, prefix: int):
    found = parse(vip=vip)
    assert (found.vip, found.prefix) == (address, prefix)


@pytest.mark.parametrize(
    ("vip", "port", "url"),
    [
        ("10.0.0.100", 80, "http://10.0.0.100/MAAS"),
        ("10.0.0.100", 8080, "http://10.0.0.100:8080/MAAS"),
        ("fd00::1", 80, "http://[fd00::1]/MAAS"),
    ],
)
def test_the_url_has_the_port_when_it_is_not_80(vip: str, port: int, url: str):
    assert parse(vip=vip, port=port).url == url


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        *[
            ("vip", vip, "vip")
            for vip in ("x", "10.0.0", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/x", "0.0.0.0")
        ],
        *[
            ("vip", vip, "vip")
            for vip in ("127.0.0.1", "169.254.1.1", "224.0.0.1", "fe80::1%eth0")
        ],
        ("vip", "10.0.0.0", "vrrp-id"),
        ("port", 0, "port 0"),
        ("port", 65536, "port 65536"),
        ("port", 5240, "5240 belongs to MAAS"),
        ("port", 53, "53 belongs to bind9"),
        ("port", 8000, "8000 belongs to MAAS's proxy"),
        ("vrrp_id", 256, "vrrp-id"),
        ("vrrp_id", -1, "vrrp-id"),
        ("advert_interval", 0.05, "advert-interval"),
        ("advert_interval", float("nan"), "advert-interval"),
        ("advert_interval", 11.0, "advert-interval"),
        ("interface", "eth0; rm", "interface"),
        ("interface", "a" * 16, "interface"),
        ("balance", "random", "balance"),
    ],
)
def test_a_bad_option_is_named_with_the_way_out(option: str, value: object, named: str):
    with pytest.raises(config.ConfigError, match=named):
        parse(**{option: value})
