# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The nginx before a region, and the units that a region keeps running."""

import logging

from maas_standin import data, host, local_config

logger = logging.getLogger(__name__)

DIRECTORY = host.VAR / "http"
UNITS = ("maas-http", "bind9")


def ensure_config(workers: int) -> None:
    """Write nginx's configuration for this many workers; reload nginx if it changed."""
    servers = "\n".join(
        f"    server unix:{host.VAR}/maas-regiond-webapp.sock.{number} max_fails=0;"
        for number in range(workers)
    )
    wanted = {
        DIRECTORY / "nginx.conf": data.read("nginx.conf"),
        DIRECTORY / "regiond.nginx.conf": data.read("regiond.nginx.conf").replace(
            "@SERVERS@", servers
        ),
    }
    changed = False
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            local_config.write_atomically(str(path), text, 0o644)
            changed = True
    if changed and host.is_active("maas-http"):
        host.systemctl("reload", "maas-http")


def ensure_running() -> None:
    """Start what does not run, as MAAS's service monitor does."""
    for unit in UNITS:
        if not host.is_active(unit):
            logger.info("Service %s is not running, starting it.", unit)
            if host.systemctl("start", unit):
                logger.error("Service %s failed to start.", unit)
