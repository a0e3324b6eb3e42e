# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""A unit's status: what is to be fixed, worst first, or how it serves."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import ops

import config
import haproxy
import keepalived
import network
import routes
from charmed_maas import apt_source, journal, systemd, words

# What is told as it is, and tried again at the next event.
REFUSALS = (
    apt_source.SourceError,
    config.ConfigError,
    haproxy.HAProxyError,
    keepalived.KeepalivedError,
    network.CommandError,
    network.NetworkError,
    routes.RouteError,
    systemd.SystemdError,
)
# HAProxy calls it an alert when a region goes, which keeps it from nothing.
HEALTH = re.compile(r" is DOWN\b| has no server available")


@dataclass(frozen=True)
class Situation:
    """What reconciling found: databags that cannot be read, whom it waits for, who answers."""

    garbled: Sequence[str]
    problems: Sequence[str]
    is_related: bool
    waiting: str
    is_paused: bool
    servers: Sequence[haproxy.ServerState]
    vip: str
    is_vip_holder: bool


def blocked(problem: str, cause: str = "") -> ops.StatusBase:
    """Return the status for what others say, be it in many lines, and what caused it."""
    return ops.BlockedStatus(words.brief(problem, cause))


def failed(refusal: Exception) -> ops.StatusBase:
    """Return the status for one of REFUSALS, with the daemon's own reason where one is named."""
    # systemctl names the service that it speaks of; a route, the one that has its port.
    is_route = isinstance(refusal, routes.RouteError)
    services = () if is_route else (haproxy.SERVICE, keepalived.SERVICE)
    named = [one for one in services if one in str(refusal)]
    cause = journal.first_cause(named, recent=True, but=HEALTH) if named else ""
    return blocked(str(refusal), cause)


def worst(found: Situation) -> ops.StatusBase:
    """Return the status of a unit that has a VIP."""
    if found.garbled:
        return ops.BlockedStatus(f"no peer was dropped: {found.garbled[0]}")
    if found.problems:
        return ops.BlockedStatus(f"nothing was changed: {found.problems[0]}")
    if not found.is_related:
        return ops.BlockedStatus("integrate api with maas-region")
    if found.waiting:
        return ops.WaitingStatus(f"for {found.waiting}")
    if found.is_paused:
        return ops.MaintenanceStatus("paused: run resume to take part again")
    if not found.servers:
        return ops.WaitingStatus("for a region's address")
    up = sum(server.is_up for server in found.servers)
    if not up:
        count = len(found.servers)
        return ops.WaitingStatus(f"none of {count} regions answers its health check")
    role = "VIP holder" if found.is_vip_holder else f"ready to take {found.vip}"
    return ops.ActiveStatus(f"{role}, {up}/{len(found.servers)} regions up")
