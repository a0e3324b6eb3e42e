# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The charm with its workload replaced, as every test of charm.py wants it."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from ops import testing

import charm
import database
import migration
import serving

CLUSTER = "8c649c6f-9ff2-4aae-aa3a-3ddba6812151"
CONTROLLERS = dict.fromkeys(
    ("ensure_departed", "still_known", "listed", "delete", "remove"), mock.DEFAULT
)
DHCP = dict.fromkeys(("ensure", "remove", "told"), mock.DEFAULT)
REGION = dict.fromkeys(
    ("install", "version", "offered", "system_id", "shared_secret", "started_at", "forget"),
    mock.DEFAULT,
)
ACCOUNTS = dict.fromkeys(
    ("create_admin", "create_admin_with_file", "api_keys", "internal_api_key", "keep"),
    mock.DEFAULT,
)
TRAFFIC = dict.fromkeys(("ensure", "remove"), mock.DEFAULT)
SERVING = dict.fromkeys(("ensure", "stop", "leave", "pause", "pause_in_turn"), mock.DEFAULT)


@dataclass
class Workload:
    """The replaced modules."""

    region: mock.MagicMock
    serving: mock.MagicMock
    controllers: mock.MagicMock
    accounts: mock.MagicMock
    db_proxy: mock.MagicMock
    open_port: mock.MagicMock
    watchdog: mock.MagicMock
    settings: mock.MagicMock
    dhcp: mock.MagicMock
    traffic: mock.MagicMock
    tell_departed: mock.MagicMock


@contextlib.contextmanager
def replaced() -> Iterator[Workload]:
    """Replace what touches the machine; MAAS is installed and serves."""
    with (
        mock.patch("ports.hookcmds.opened_ports", autospec=True, return_value=[]),
        mock.patch("ports.hookcmds.open_port", autospec=True) as open_port,
        mock.patch.multiple("charm.region", autospec=True, **REGION) as of_region,
        mock.patch("charm.db_proxy.install", autospec=True) as install_proxy,
        mock.patch.multiple("charm.serving", autospec=True, **SERVING) as verbs,
        mock.patch("charm.settings.ensure", autospec=True, return_value=()) as ensure_settings,
        mock.patch.multiple("controllers", autospec=True, **CONTROLLERS) as of_controllers,
        mock.patch("charm.watchdog_timer", autospec=True) as watchdog,
        mock.patch.multiple("charm.dhcp_ha", autospec=True, **DHCP) as dhcp,
        mock.patch.multiple("charm.traffic", autospec=True, **TRAFFIC) as of_traffic,
        mock.patch("racks.dhcp_grace.tell", autospec=True, return_value=True) as tell,
        mock.patch("charm.departures.tell", autospec=True, return_value=True) as tell_departed,
        mock.patch.multiple("accounts", autospec=True, **ACCOUNTS) as of_accounts,
        mock.patch("accounts.API_KEY", Path("/nonexistent/api-key")),
    ):
        of_region["version"].return_value = "1:3.7.3"
        of_region["offered"].return_value = ""
        watchdog.try_ensure.return_value = []
        of_region["system_id"].return_value = "abc123"
        of_region["shared_secret"].return_value = "5ec2e7"
        of_region["started_at"].return_value = "1795361569"
        of_accounts["internal_api_key"].return_value = "a:b:c"
        verbs["ensure"].return_value = serving.Outcome(serving.Stage.SERVING, cluster=CLUSTER)
        verbs["pause_in_turn"].return_value = ""
        verbs["pause"].return_value = verbs["stop"].return_value = None
        dhcp["told"].return_value = ()
        of_controllers["still_known"].side_effect = lambda departed: departed
        yield Workload(
            region=mock.MagicMock(**of_region),
            serving=mock.MagicMock(**verbs),
            controllers=mock.MagicMock(**of_controllers),
            accounts=mock.MagicMock(**of_accounts),
            db_proxy=mock.MagicMock(install=install_proxy),
            open_port=open_port,
            watchdog=watchdog,
            settings=mock.MagicMock(ensure=ensure_settings),
            dhcp=mock.MagicMock(**dhcp, tell=tell),
            traffic=mock.MagicMock(**of_traffic),
            tell_departed=tell_departed,
        )


@pytest.fixture
def workload() -> Iterator[Workload]:
    """Return what replaces the machine."""
    with replaced() as found:
        yield found


@pytest.fixture
def context(workload: Workload) -> testing.Context[charm.MAASRegionCharm]:
    """Return a context of maas-region/0."""
    return testing.Context(charm.MAASRegionCharm)


@pytest.fixture
def connect_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Have a replaced database answer for MAAS's, under the login of a region that has one."""

    def connect(replaced: object) -> None:
        monkeypatch.setattr(migration, "login_from_config", lambda: None)
        monkeypatch.setattr(database, "connect", lambda *_, **__: contextlib.nullcontext(replaced))

    return connect
