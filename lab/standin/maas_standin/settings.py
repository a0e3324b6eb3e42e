# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""MAAS's own settings, as the resource `maas` serves them."""

import ipaddress
import json
import typing

from maas_standin import database, web

DEFAULTS: dict[str, typing.Any] = {
    "maas_name": "",
    "theme": "",
    "kernel_opts": None,
    "enable_http_proxy": True,
    "maas_proxy_port": 8000,
    "use_peer_proxy": False,
    "prefer_v4_proxy": False,
    "http_proxy": None,
    "default_dns_ttl": 30,
    "upstream_dns": None,
    "dnssec_validation": "auto",
    "maas_internal_domain": "maas-internal",
    "dns_trusted_acl": None,
    "ntp_servers": "ntp.ubuntu.com",
    "ntp_external_only": False,
    "allow_only_trusted_transfers": True,
    "remote_syslog": None,
    "maas_syslog_port": 5247,
    "network_discovery": "enabled",
    "active_discovery_interval": 10800,
    "default_boot_interface_link_type": "auto",
    "default_osystem": "ubuntu",
    "default_distro_series": "noble",
    "default_min_hwe_kernel": "",
    "enable_kernel_crash_dump": False,
    "default_storage_layout": "flat",
    "commissioning_distro_series": "noble",
    "enable_third_party_drivers": True,
    "windows_kms_host": None,
    "enable_disk_erasing_on_release": False,
    "disk_erase_with_secure_erase": True,
    "disk_erase_with_quick_erase": False,
    "boot_images_auto_import": True,
    "boot_images_no_proxy": False,
    "curtin_verbose": True,
    "force_v1_network_yaml": False,
    "enable_analytics": True,
    "completed_intro": False,
    "max_node_commissioning_results": 10,
    "max_node_testing_results": 10,
    "max_node_installation_results": 3,
    "max_node_release_results": 3,
    "subnet_ip_exhaustion_threshold_count": 16,
    "release_notifications": True,
    "use_rack_proxy": True,
    "node_timeout": 30,
    "prometheus_enabled": False,
    "prometheus_push_gateway": None,
    "prometheus_push_interval": 60,
    "promtail_enabled": False,
    "promtail_port": 5238,
    "enlist_commissioning": True,
    "maas_auto_ipmi_user": "maas",
    "maas_auto_ipmi_user_privilege_level": "ADMIN",
    "maas_auto_ipmi_k_g_bmc_key": "",
    "maas_auto_ipmi_cipher_suite_id": "3",
    "maas_auto_ipmi_workaround_flags": None,
    "vcenter_server": "",
    "vcenter_username": "",
    "vcenter_password": "",
    "vcenter_datacenter": "",
    "hardware_sync_interval": "15m",
    "tls_cert_expiration_notification_enabled": False,
    "tls_cert_expiration_notification_interval": 30,
    "session_length": 1209600,
    "auto_vlan_creation": True,
}


def _name(values: dict[str, str]) -> str:
    """Return the setting that a request names."""
    if not (name := values.get("name")):
        raise web.HTTPError(400, "No provided name!")
    if name not in DEFAULTS:
        known = ", ".join(DEFAULTS)
        text = f"{name} is not a valid config setting (valid settings are: {known})."
        raise web.HTTPError(400, {name: [text]}, web.JSON)
    return name


def _parse(name: str, text: str) -> typing.Any:
    """Return a value of the setting's own type."""
    default = DEFAULTS[name]
    if isinstance(default, bool):
        return text.lower() not in ("", "0", "f", "false")
    if isinstance(default, int):
        if not text.isdecimal():
            raise web.invalid({name: ["Enter a whole number."]})
        return int(text)
    if name == "upstream_dns":
        _check_addresses(text)
    if name == "dnssec_validation" and text not in ("auto", "yes", "no"):
        reason = f"'{text}' is not a valid dnssec_validation.  "
        raise web.invalid({name: [reason + "It should be one of: 'auto', 'yes', 'no'."]})
    return text


def _check_addresses(text: str) -> None:
    for word in text.split():
        try:
            ipaddress.ip_address(word)
        except ValueError as error:
            reason = f"Invalid IP address: {word}; provide a list of space-separated IP addresses"
            raise web.invalid({"upstream_dns": [reason]}) from error


def _get_config(request: web.Request) -> web.Response:
    name = _name(request.query)
    value = database.get_setting(request.cursor, name, DEFAULTS[name])
    return web.Response(json.dumps(value), content_type=web.JSON)


def _set_config(request: web.Request) -> web.Response:
    name = _name(request.data)
    if "value" not in request.data:
        raise web.HTTPError(400, "No provided value!")
    database.put_setting(request.cursor, name, _parse(name, request.data["value"]))
    return web.Response("OK", content_type=web.TEXT)


ROUTES: list[tuple[str, web.Resource]] = [
    (
        r"/maas/",
        web.Resource({("GET", "get_config"): _get_config, ("POST", "set_config"): _set_config}),
    )
]
