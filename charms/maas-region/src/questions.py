# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the action `health` asks: each one short question to one daemon, in a thread of its own.

Nothing is changed by asking, and whoever does not answer in time is given up: the thread that
waits ends with the process.
"""

import contextlib
import http.client
import json
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast
from urllib.parse import urlsplit

import accounts
import api
import database
import findings
import migration
import region
from charmed_maas import commands, witness

ANSWER_S = 1.0
# So long a region that hangs is waited for before another one is asked for what MAAS knows.
CHOICE_S = 0.3
KERNEL_S = 0.5
# A real MAAS takes a third of a second for each rack that it lists: the action's `wait` is for
# those that have many.
MAAS_S = 1.5
APPLICATION = "charmed-maas health"
IP = "/usr/sbin/ip"
RUNNING = ("running", "streaming")
# Patroni's words; master is what it called the primary before 4.
ROLES = {
    "leader": findings.PRIMARY,
    "master": findings.PRIMARY,
    "sync_standby": findings.SYNCHRONOUS,
    "quorum_standby": findings.SYNCHRONOUS,
}
REFUSALS = (
    *(OSError, http.client.HTTPException, api.APIError, accounts.AccountError),
    *(database.DatabaseError, commands.CommandError, witness.WitnessError),
    *(AttributeError, LookupError, TypeError, ValueError),
)
Answer = TypeVar("Answer")


class Question(Generic[Answer]):
    """A question that is under way from its making on."""

    def __init__(self, ask: Callable[[], Answer], timeout_s: float = ANSWER_S) -> None:
        self._answer: Answer | findings.Unknown = findings.Unknown(f"no answer in {timeout_s:g} s")
        self._end = time.monotonic() + timeout_s
        self._thread = threading.Thread(target=self._run, args=(ask,), daemon=True)
        self._thread.start()

    def answer(self, until: float = math.inf) -> Answer | findings.Unknown:
        """Return the answer, or why there is none; until is by time.monotonic()."""
        self._thread.join(max(0.0, min(until, self._end) - time.monotonic()))
        return self._answer

    def _run(self, ask: Callable[[], Answer]) -> None:
        try:
            self._answer = ask()
        except TimeoutError:
            pass  # As it says from the start.
        except REFUSALS as error:
            self._answer = findings.Unknown(_words(error))


@dataclass(frozen=True)
class Cluster:
    """What a member's Patroni tells of all: (role, problem) by address, and the option strict."""

    members: dict[str, tuple[str, str]]
    is_strict: bool


def region_problem(address: str) -> str:
    """Return why a region does not serve, "" when it lists its own workers."""
    connection = http.client.HTTPConnection(address, region.PORT, timeout=ANSWER_S)
    status, found = _get(connection, "/MAAS/rpc/")
    if status != http.client.OK:
        return f"MAAS answers {status}"
    loops = cast("dict[str, list[list[object]]]", found["eventloops"])
    hosts = {str(end[0]) for ends in loops.values() for end in ends}
    return "" if address in hosts else "MAAS does not list this region's workers"


def cluster(address: str, port: int, ca: str) -> Cluster:
    """Return what a member's Patroni tells."""
    context = ssl.create_default_context(cadata=ca)
    connection = http.client.HTTPSConnection(address, port, timeout=ANSWER_S, context=context)
    status, found = _get(connection, "/cluster")
    if status != http.client.OK:
        raise OSError(f"Patroni answers {status}")
    members = cast("list[dict[str, object]]", found["members"])
    _, config = _get(connection, "/config")
    return Cluster(
        {str(one.get("host", "")): _member(one) for one in members},
        config.get("synchronous_mode_strict") is True,
    )


def url_problem(url: str) -> str:
    """Return why MAAS does not answer at a URL, "" when it does."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(
        parts.hostname or "", parts.port or (443 if secure else 80), timeout=ANSWER_S
    )
    status, _ = _get(connection, f"{parts.path.rstrip('/')}/rpc/")
    return "" if status == http.client.OK else f"MAAS answers {status}"


def machine_problem(address: str) -> str:
    """Return why a machine is taken for dead, "" when it answers: a refusal is an answer."""
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection((address, 80), timeout=ANSWER_S).close()
    return ""


def own_addresses() -> set[str]:
    """Return the addresses of this machine."""
    links = json.loads(commands.run([IP, "-j", "address"], timeout_s=ANSWER_S).stdout)
    return {str(one["local"]) for link in links for one in link.get("addr_info", [])}


def neighbours() -> dict[str, str]:
    """Return the MAC addresses of the machines in this one's networks, by address."""
    found = json.loads(commands.run([IP, "-j", "neighbour"], timeout_s=ANSWER_S).stdout)
    return {str(one["dst"]): str(one["lladdr"]) for one in found if one.get("lladdr")}


def racks(address: str, timeout_s: float = MAAS_S) -> list[api.Controller]:
    """Return the racks that MAAS knows, asked at a region."""
    return _maas(address, timeout_s).racks()


def vlans(address: str, timeout_s: float = MAAS_S) -> list[api.VLAN]:
    """Return the VLANs on which MAAS serves DHCP, asked at a region."""
    return _maas(address, timeout_s).vlans_with_dhcp()


def dhcpd(address: str) -> findings.DHCPServer:
    """Return what the rack at an address tells of its dhcpd."""
    said = witness.ask(address, region.shared_secret(), {})
    vlans = cast("dict[str, dict[str, object]]", said["vlans"])
    return findings.DHCPServer(
        said["dhcpd"] is True,
        {int(vlan): _failover(one) for vlan, one in vlans.items()},
        str(said.get("problem", ""))[:100],
    )


def controllers() -> list[database.Controller]:
    """Return the controllers that MAAS's database has."""
    with database.connect(migration.login_from_config(), APPLICATION, timeout_s=2) as connection:
        return database.controllers(connection)


def bmcs() -> dict[str, tuple[str, ...]]:
    """Return the machines that MAAS switches, and the racks that reach their BMCs."""
    with database.connect(migration.login_from_config(), APPLICATION, timeout_s=2) as connection:
        return database.bmc_reach(connection)


def ensure_api_key(here: Question[str]) -> None:
    """Have the key with which MAAS is asked; made once on a unit, which takes some seconds.

    Only where MAAS serves, as here tells of this unit: without it, nobody could make one.
    """
    if not accounts.API_KEY.is_file() and here.answer() == "":
        with contextlib.suppress(accounts.AccountError):
            accounts.internal_api_key()


def _maas(address: str, timeout_s: float) -> api.Client:
    if not accounts.API_KEY.is_file():
        raise accounts.AccountError("no API key here yet: run health where MAAS serves")
    return api.Client(accounts.internal_api_key(), address=address, timeout_s=timeout_s)


def _failover(item: dict[str, object]) -> findings.Failover:
    return findings.Failover(str(item["state"])[:40], int(str(item.get("for", 0))))


def _member(item: dict[str, object]) -> tuple[str, str]:
    role, state = str(item.get("role", "")), str(item.get("state", ""))
    return ROLES.get(role, findings.REPLICA), "" if state in RUNNING else state or "not running"


def _get(connection: http.client.HTTPConnection, path: str) -> tuple[int, dict[str, object]]:
    """Return status and object that one GET brings; {} where it is none."""
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read()
    try:
        found: object = json.loads(text)
    except ValueError:
        found = None
    return answer.status, cast("dict[str, object]", found) if isinstance(found, dict) else {}


def _words(error: Exception) -> str:
    """Return an error in an operator's words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, (AttributeError, LookupError, TypeError, ValueError)):
        return "nonsense in the answer"
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
