# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""MAAS's own settings, as the resource `maas` serves them."""

import ipaddress
import json
import typing

from maas_standin import data, database, web

DEFAULTS: dict[str, typing.Any] = data.load("settings.json")


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
