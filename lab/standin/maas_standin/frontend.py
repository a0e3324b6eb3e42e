# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The nginx before a region, and the units that a region keeps running."""

import logging

from maas_standin import host, local_config

logger = logging.getLogger(__name__)

DIRECTORY = host.VAR / "http"
UNITS = ("maas-http", "bind9")

_NGINX = """\
pid /run/maas-http.pid;
error_log stderr;
worker_processes auto;
events {{
    worker_connections 1024;
}}
http {{
    access_log off;
    absolute_redirect off;
    server_tokens on;
    client_max_body_size 0;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/*.nginx.conf;
}}
"""

_REGION = """\
upstream maas-regiond-webapp {{
    least_conn;
{servers}
}}
server {{
    listen 5240;
    listen [::]:5240;
    location = / {{ return 301 /MAAS/r/; }}
    location = /MAAS {{ return 301 /MAAS/r/; }}
    location = /MAAS/ {{ return 301 /MAAS/r/; }}
    location /MAAS/r/ {{ return 404; }}
    location /MAAS/ {{
        proxy_pass http://maas-regiond-webapp;
        proxy_read_timeout 900s;
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
    }}
}}
"""


def ensure_config(workers: int) -> None:
    """Write nginx's configuration for this many workers; reload nginx if it changed."""
    servers = "\n".join(
        f"    server unix:{host.VAR}/maas-regiond-webapp.sock.{number};"
        for number in range(workers)
    )
    wanted = {
        DIRECTORY / "nginx.conf": _NGINX.format(directory=DIRECTORY),
        DIRECTORY / "regiond.nginx.conf": _REGION.format(servers=servers),
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
