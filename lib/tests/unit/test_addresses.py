# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import pytest

from charmed_maas import addresses


def test_units_sort_by_number_not_by_text():
    assert addresses.by_unit_number(["a/10", "a/9", "a/1"]) == ["a/1", "a/9", "a/10"]


@pytest.mark.parametrize(
    "text", ["", "10.0.0", "10.0.0.256", "host", "0.0.0.0", "224.0.0.1", "::"]
)
def test_what_is_no_machines_address_is_refused(text: str):
    with pytest.raises(ValueError, match="address"):
        addresses.parse_address(text)


@pytest.mark.parametrize(
    ("address", "port", "text"),
    [("10.0.0.1", 5432, "10.0.0.1:5432"), ("fd00::1", 80, "[fd00::1]:80")],
)
def test_endpoint_survives_the_way_there_and_back(address: str, port: int, text: str):
    assert addresses.join_host_port(address, port) == text
    assert addresses.split_host_port(text) == (address, port)


@pytest.mark.parametrize("text", ["10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", ":80"])
def test_endpoint_without_address_or_port_is_refused(text: str):
    with pytest.raises(ValueError, match=r"port|address"):
        addresses.split_host_port(text)


def test_host_cidr_holds_one_address():
    assert addresses.host_cidr("10.0.0.1") == "10.0.0.1/32"
    assert addresses.host_cidr("fd00::1") == "fd00::1/128"
