# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""MAAS's own settings that options of the charm name; all others are the operator's, in MAAS."""

import logging
import re
from collections.abc import Mapping

import requests

import accounts
import api

# Named as in MAAS, with dashes.
OPTIONS = ("upstream-dns", "ntp-servers", "http-proxy")

logger = logging.getLogger(__name__)


def ensure(wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Set in MAAS what it has otherwise; returns what it refuses, in its own words.

    A MAAS that does not answer is no refusal: the unit's status says that it does not serve.
    """
    if not wanted:
        return ()
    try:
        return api.ask(lambda client: _ensure(client, wanted))
    except (api.APIError, accounts.AccountError) as error:
        logger.info("settings cannot be compared: %s", error)
        return ()


def _ensure(client: api.Client, wanted: Mapping[str, str]) -> tuple[str, ...]:
    refusals: list[str] = []
    for option, value in wanted.items():
        name = option.replace("-", "_")
        if _words(client.get_config(name)) == _words(value):
            continue
        try:
            client.set_config(name, value)
            logger.info("set %s in MAAS", name)
        except UnicodeEncodeError:
            refusals.append(f"{option}: has half of a character")
        except api.APIError as error:
            if error.status not in (api.REFUSED, requests.codes.server_error):
                raise
            if error.status != api.REFUSED:
                # So MAAS answers to some values, and to every one while its database is away.
                client.get_config(name)
            refusals.append(f"{option}: {error}")
    return tuple(refusals)


def _words(value: object) -> list[str]:
    """Return what a setting lists: MAAS takes spaces and commas between, and gives back either."""
    return re.split(r"[\s,]+", str(value or "").strip())
