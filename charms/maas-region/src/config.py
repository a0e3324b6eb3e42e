# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The options of the charm, checked once."""

from collections.abc import Mapping
from dataclasses import dataclass

import region
import settings
from charmed_maas import failover

# As charmcraft.yaml has them. While a refresh is under way, the application may be at a revision
# that lacks an option which this unit's charm knows.
DEFAULTS: Mapping[str, str | int | float | bool] = {
    "source": "ppa:maas/3.7",
    "maas-url": "",
    "num-workers": 4,
    "dhcp-ha": True,
    "dhcp-ha-grace": 120,
    "upstream-dns": "",
    "ntp-servers": "",
    "http-proxy": "",
    "secret-rotation": "never",
}
# How often Juju rotates a secret, in its own words.
ROTATIONS = ("never", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly")


@dataclass(frozen=True)
class Config:
    """What the operator chose.

    num_workers is 0 where the option is none that MAAS takes: it then keeps what it has.
    maas_url is the URL by their own name for the VIP, dhcp_grace_s is 0 where no rack is to be
    replaced, maas are MAAS's settings that are set here, rotation is one of ROTATIONS; problem
    says which option is wrong and how to mend it.
    """

    source: str
    maas_url: str
    num_workers: int
    dhcp_grace_s: int
    maas: Mapping[str, str]
    rotation: str = "never"
    problem: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str | int | float | bool]) -> "Config":
        """Return what options say; of one that is not there, its default."""
        options = {**DEFAULTS, **given}
        workers, grace_s = int(options["num-workers"]), int(options["dhcp-ha-grace"])
        workers_are_good = 1 <= workers <= region.MAX_WORKERS
        least, most = failover.MIN_GRACE_S, failover.MAX_GRACE_S
        problem = ""
        if not workers_are_good:
            problem = f"set num-workers to 1 to {region.MAX_WORKERS}, it is {workers}"
        elif not least <= grace_s <= most:
            problem = f"set dhcp-ha-grace to {least} to {most}, it is {grace_s}"
        rotation = str(options["secret-rotation"]).strip()
        if rotation not in ROTATIONS:
            problem = problem or f"set secret-rotation to one of {', '.join(ROTATIONS)}"
            rotation = "never"
        of_maas = {name: str(options[name]).strip() for name in settings.OPTIONS}
        return cls(
            str(options["source"]),
            str(options["maas-url"]).strip(),
            workers if workers_are_good else 0,
            min(max(grace_s, least), most) if options["dhcp-ha"] else 0,
            {name: value for name, value in of_maas.items() if value},
            rotation,
            problem,
        )
