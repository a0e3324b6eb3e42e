# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The options of the charms: values that stories change them to, and which story does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from maas import MAAS

VIP_APP = "haproxy-vip"
# What the daemons themselves say: a file may say what nobody has read.
BALANCE = """
import csv, socket
asked = socket.socket(1)
asked.connect("/run/haproxy/admin.sock")
asked.send(b"show stat\\n")
rows = [row for row in csv.DictReader(asked.makefile()) if "maas-regions" in row.values()]
print(*[row["algo"] for row in rows if row["svname"] == "BACKEND"])
"""
KEEPALIVED = (
    "rm -f /tmp/keepalived.data; systemctl kill -s USR1 --kill-whom=main keepalived;"
    " for i in 1 2 3 4 5 6; do sleep 0.5; test -s /tmp/keepalived.data && break; done;"
    ' sed -n "s/^ *{} = //p" /tmp/keepalived.data | head -1'
)
WORKERS = (
    'ss -Hltn "( sport >= :5250 and sport <= :5270 )" | grep -o ":52[0-9][0-9] " | sort -u | wc -l'
)
STRICT = (
    "patronictl -c /etc/postgresql-ha/patroni.yml show-config |"
    ' sed -n "s/^synchronous_mode_strict: //p"'
)
# Of the applications that apt's source is an option of: a package that is looked for.
PACKAGES = {"maas-region": "maas-region-api", "maas-rack": "maas-rack-controller"}


def _as_root(command: str) -> str:
    return f"sudo sh -c '{command}'"


@dataclass(frozen=True)
class Option:
    """An option, values for it, and by which command a unit shows the one that is in effect."""

    app: str
    name: str
    values: tuple[Any, ...]
    command: str
    shows: Callable[[Any], str] = str

    def __str__(self) -> str:
        return f"{self.app}-{self.name}"

    def shown(self, maas: MAAS) -> dict[str, str]:
        """What each unit shows."""
        return {unit: maas.juju.ssh(unit, self.command).strip() for unit in maas.units(self.app)}


OF_THE_VIP = (
    Option(VIP_APP, "balance", ("source", "roundrobin"), f"sudo python3 -c '{BALANCE}'"),
    Option(VIP_APP, "vrrp-id", (77,), _as_root(KEEPALIVED.format("Virtual Router ID"))),
    Option(
        VIP_APP,
        "advert-interval",
        (1.0, 0.1, 10.0),
        _as_root(KEEPALIVED.format("Advert interval")),
        lambda seconds: f"{seconds * 1000:g} milli-sec",
    ),
)
OPTIONS = (
    *OF_THE_VIP,
    Option("maas-region", "num-workers", (1, 10), _as_root(WORKERS)),
    Option(
        "postgresql-ha",
        "synchronous-mode-strict",
        (True,),
        _as_root(STRICT),
        lambda strict: str(strict).lower(),
    ),
)
# What MAAS itself keeps: a value of the option's, and one that an operator sets by hand.
OF_MAAS = {
    "upstream-dns": ("192.0.2.53 192.0.2.54", "192.0.2.55"),
    "ntp-servers": ("ntp.example.com", "192.0.2.123"),
    "http-proxy": ("http://proxy.example.com:3128", "http://192.0.2.80:8000"),
}
# Those that have a story of their own, and which.
HERE = "integration/test_configuration.py"
MOVE = f"{HERE}::test_maas_moves_to_another_url_and_back"
KEPT = f"{HERE}::test_settings_that_an_option_names_are_kept_in_maas_and_others_are_the_operators"
GRACE = f"{HERE}::test_who_replaces_a_dead_rack_and_after_how_long_is_changed_and_back"
OFFERS = f"{HERE}::test_a_source_changes_what_apt_offers_and_nothing_that_is_installed"
OWN_NAME = f"{HERE}::test_regions_go_by_an_own_name_that_leads_to_the_vip"
NAMED = f"{HERE}::test_the_vip_has_another_prefix_and_its_interface_is_named"
OTHERS = {
    **{("maas-region", name): KEPT for name in OF_MAAS},
    **{(app, "source"): OFFERS for app in PACKAGES},
    ("maas-region", "maas-url"): OWN_NAME,
    ("maas-region", "secret-rotation"): (
        "integration/test_secrets.py::test_juju_rotates_them_as_well"
    ),
    ("maas-region", "dhcp-ha"): GRACE,
    ("maas-region", "dhcp-ha-grace"): GRACE,
    (VIP_APP, "vip"): MOVE,
    (VIP_APP, "port"): MOVE,
    (VIP_APP, "interface"): NAMED,
}
