# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import dataclasses
from ipaddress import IPv4Address, IPv4Network

from maas_standin import dhcpd_conf

FIRST, SECOND = IPv4Address("10.0.1.11"), IPv4Address("10.0.1.12")
SUBNET = dhcpd_conf.Subnet(
    IPv4Network("10.0.1.0/24"),
    ranges=((IPv4Address("10.0.1.100"), IPv4Address("10.0.1.149")),),
    next_server=FIRST,
    dns_servers=(FIRST, SECOND),
    ntp_servers=(FIRST, SECOND),
)
ALONE = dhcpd_conf.VLAN(5001, "eth1", (SUBNET,))
PRIMARY = dataclasses.replace(ALONE, peer=dhcpd_conf.Peer(True, FIRST, SECOND))

# The text with which real ones came to the failover state "normal", but for addresses and key.
TEXT = """\
# Written by MAAS's stand-in; what is changed here is overwritten.
failover peer "failover-vlan-5001" {
    primary;
    address 10.0.1.11;
    peer address 10.0.1.12;
    max-response-delay 60;
    max-unacked-updates 10;
    load balance max seconds 3;
    mclt 3600;
    split 255;
}
shared-network vlan-5001 {
    subnet 10.0.1.0 netmask 255.255.255.0 {
        ignore-client-uids true;
        next-server 10.0.1.11;
        option subnet-mask 255.255.255.0;
        option broadcast-address 10.0.1.255;
        option domain-name-servers 10.0.1.11, 10.0.1.12;
        option domain-name "maas";
        option ntp-servers 10.0.1.11, 10.0.1.12;
        default-lease-time 600;
        max-lease-time 600;
        pool {
            failover peer "failover-vlan-5001";
            range 10.0.1.100 10.0.1.149;
        }
    }
}
omapi-port 7911;
key omapi_key {
    algorithm HMAC-MD5;
    secret "c2VjcmV0";
}
omapi-key omapi_key;
"""


def test_a_primary_serves_with_its_peer():
    assert dhcpd_conf.render([PRIMARY], "c2VjcmV0", "maas") == TEXT


def test_only_the_primary_says_how_the_clients_are_split():
    peer = dhcpd_conf.Peer(False, SECOND, FIRST)
    text = dhcpd_conf.render([dataclasses.replace(ALONE, peer=peer)], "c2VjcmV0", "maas")
    head, _, rest = text.partition("}\n")
    assert head.splitlines()[1:] == [
        'failover peer "failover-vlan-5001" {',
        "    secondary;",
        "    address 10.0.1.12;",
        "    peer address 10.0.1.11;",
        "    max-response-delay 60;",
        "    max-unacked-updates 10;",
        "    load balance max seconds 3;",
    ]
    assert rest == TEXT.partition("}\n")[2]


def test_a_rack_that_is_alone_has_no_failover():
    text = dhcpd_conf.render([ALONE], "c2VjcmV0", "maas")
    assert "failover" not in text
    assert "pool {\n            range 10.0.1.100 10.0.1.149;\n" in text


def test_a_subnet_says_only_what_is_known():
    subnet = dhcpd_conf.Subnet(IPv4Network("10.0.2.0/23"), router=IPv4Address("10.0.2.1"))
    lines = dhcpd_conf.render([dhcpd_conf.VLAN(7, "eth2", (subnet,))], "", "x").splitlines()
    assert lines[2:11] == [
        "    subnet 10.0.2.0 netmask 255.255.254.0 {",
        "        ignore-client-uids true;",
        "        option subnet-mask 255.255.254.0;",
        "        option broadcast-address 10.0.3.255;",
        '        option domain-name "x";',
        "        option routers 10.0.2.1;",
        "        default-lease-time 600;",
        "        max-lease-time 600;",
        "    }",
    ]


def test_the_order_of_vlans_makes_no_difference():
    other = dhcpd_conf.VLAN(5000, "eth0", (SUBNET,))
    texts = {
        dhcpd_conf.render(vlans, "k", "maas") for vlans in ([PRIMARY, other], [other, PRIMARY])
    }
    assert len(texts) == 1
    assert dhcpd_conf.interfaces([PRIMARY, other, ALONE]) == "eth0 eth1"


def test_nothing_to_serve_is_no_text():
    assert dhcpd_conf.render([], "c2VjcmV0", "maas") == ""
    assert dhcpd_conf.interfaces([]) == ""


def test_clients_are_told_the_servers_that_they_can_reach():
    near, far = IPv4Address("10.0.1.20"), IPv4Address("10.9.0.20")
    network = SUBNET.network
    racks = [SECOND, IPv4Address("10.9.0.12"), FIRST]
    regions = [near, far, FIRST]
    told = dhcpd_conf.dns_servers(network, racks=racks, regions=regions, has_router=False)
    assert told == (SECOND, FIRST, near)
    told = dhcpd_conf.dns_servers(network, racks=racks, regions=regions, has_router=True)
    assert told == (SECOND, FIRST, near, far)


def test_names_of_time_servers_are_left_out():
    text = "ntp.ubuntu.com, 10.0.1.11 10.0.1.12,fd00::1"
    assert dhcpd_conf.find_addresses(text) == [FIRST, SECOND]
