# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Write what is rendered from drawn input, for the daemons' own checks: SEED DIRECTORY."""

import json
import sys
from pathlib import Path
from typing import Any

import garbage
from hypothesis import strategies as st
from test_properties import HOSTS, options, services

import config
import haproxy
import keepalived
import routes
from charmed_maas import files
from charmed_maas.interfaces import maas_api

NUMBER = 100
INTERFACE = "eth0"
PORTS = st.integers(1, 65535)
# Mostly what is taken, for garbled values mostly are not.
TAKEN = st.fixed_dictionaries(
    {
        "vip": HOSTS | HOSTS.map("{}/24".format),
        "port": PORTS,
        "interface": st.just(""),
        "vrrp-id": st.integers(0, 255),
        "advert-interval": st.floats(0.1, 10),
        "balance": st.sampled_from(config.BALANCES),
    }
)
SERVICE = st.fixed_dictionaries(
    {
        "name": st.from_regex(maas_api.NAME, fullmatch=True),
        "backend_port": PORTS,
        "mode": st.sampled_from(maas_api.MODES),
    },
    optional={"listen_port": PORTS, "check": st.from_regex(maas_api.PATH, fullmatch=True)},
)
ASKED = st.lists(SERVICE, min_size=1, max_size=4).map(
    lambda found: garbage.parse(
        maas_api.ProviderAppData.from_databag, {"services": json.dumps(found)}
    )
)


def haproxy_cfg(
    given: dict[str, Any], asked: tuple[maas_api.Service, ...], hosts: list[str]
) -> str:
    """Return what HAProxy runs with, "" for what is refused."""
    backends = [maas_api.Backend(f"r/{n}", host, ready=True) for n, host in enumerate(hosts)]
    try:
        cfg = config.parse(given)
        found = routes.build(asked, backends, vip=cfg.vip, port=cfg.port) if cfg.vip else []
    except (config.ConfigError, routes.RouteError):
        return ""
    return haproxy.render_config(found, balance=cfg.balance, maxconn=1000) if found else ""


def group(given: dict[str, Any], hosts: list[str], number: int) -> keepalived.Group | None:
    """Return the VRRP group that an option and peers come to; peers are of the VIP's family."""
    try:
        cfg = config.parse(given)
    except config.ConfigError:
        return None
    if not cfg.vip:
        return None
    return keepalived.Group(
        unit=f"haproxy-vip/{number}",
        vip=cfg.vip,
        prefix=cfg.prefix,
        # It is the name of one that is there, or the option is refused.
        interface=INTERFACE,
        own="fd00::11" if ":" in cfg.vip else "10.0.0.11",
        peers=[host for host in hosts if (":" in host) == (":" in cfg.vip)],
        vrrp_id=cfg.vrrp_id,
        advert_interval_s=cfg.advert_interval_s,
    )


def main(seed: int, directory: Path) -> None:
    """Write what the two daemons and systemd are to look at."""
    lists, drawn = st.lists(HOSTS, max_size=4), TAKEN | options
    asked = services() | ASKED.map(lambda found: found.services if found else ())
    routed = garbage.draw(st.tuples(drawn, asked, lists), NUMBER, seeded=seed)
    texts = dict.fromkeys(filter(None, (haproxy_cfg(*one) for one in routed)))
    grouped = garbage.draw(st.tuples(drawn, lists, st.integers(0, 9999)), NUMBER, seeded=seed)
    groups = [found for one in grouped if (found := group(*one))]
    confs = dict.fromkeys(keepalived.render_config(one) for one in groups)
    template = keepalived.TEMPLATES / "keepalived.service.conf.j2"
    drop_ins = dict.fromkeys(
        files.render(template, vip_cidr=one.vip_cidr, interface=one.interface) for one in groups
    )
    for kind, found in (("haproxy", texts), ("keepalived", confs), ("drop-in", drop_ins)):
        garbage.write(directory, {f"{kind}/vip-{n}": text for n, text in enumerate(found)})


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
