# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Keeping a living primary and secondary rack on each VLAN with DHCP, by a timer of each region's.

MAAS changes neither when a rack dies. One region at a time looks, also when no Juju controller
lives; what it must remember is in MAAS's database, so that another one goes on. dhcp_plan decides,
on what the survivor says (charmed_maas.witness).
"""

import dataclasses
import http
import json
import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import accounts
import api
import database
import dhcp_plan
import migration
import region
from charmed_maas import files, python_timer, witness

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's own name

TIMER = "maas-region-dhcp"
TEMPLATE = Path(__file__).parent / "templates" / TIMER
# The grace in seconds, where the job reads it.
GRACE = region.OURS / "dhcp-grace"
# What the last look found that an operator should know, where the charm reads it.
TOLD = region.OURS / "dhcp-told.json"
DEAD = "dead"
# Every region's timer comes every 30 s: one look of them all is enough. After a longer pause (the
# database was away) nothing is known of who was dead in between.
OFTEN_S, GAP_S = 20, 75
# dhcpd notices a cut link after 60 s (max-response-delay), and a rack that is alone stops its own
# a quarter of the grace and up to 20 s later (maas-rack's isolation.py): before any promotion.
MIN_GRACE_S, MAX_GRACE_S = 120, 3600

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Memory:
    """What one look leaves to the next, on any region.

    That is when it was, which racks are dead since when, which ones a VLAN was given as (primary,
    secondary), and what an operator should know. Times are the database's, in seconds since 1970;
    racks and VLANs go by their IDs.
    """

    looked: float = 0
    dead_since: Mapping[str, float] = field(default_factory=dict[str, float])
    given: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    told: tuple[str, ...] = ()


def ensure(grace_s: int) -> bool:
    """Have the timer replace racks that are dead for grace_s, none with 0; returns changed."""
    if not grace_s:
        return remove()
    changed = files.ensure_file(GRACE, f"{grace_s}\n")
    return python_timer.ensure(TIMER, TEMPLATE, __file__) or changed


def remove() -> bool:
    """Take the timer away; returns whether there was one."""
    removed = python_timer.remove(TIMER)
    files.ensure_absent(TOLD)
    return files.ensure_absent(GRACE) or removed


def told() -> tuple[str, ...]:
    """Return what the last look found that an operator should know."""
    try:
        found: object = json.loads(TOLD.read_text())
    except (FileNotFoundError, ValueError):
        return ()
    return (
        tuple(str(one) for one in cast("list[object]", found)) if isinstance(found, list) else ()
    )


def look(client: api.Client, memory: Memory, now: float, grace_s: float) -> Memory:
    """Look at every VLAN once, and change what is to change; raises api.APIError."""
    found = client.racks()
    before = memory.dead_since if now - memory.looked <= GAP_S else {}
    dead_since = {
        one.system_id: before.get(one.system_id, now) for one in found if one.status == DEAD
    }
    given, objections = dict(memory.given), list[str]()
    vlans, witnesses = client.vlans_with_dhcp(), _Witnesses(found)
    for vlan in vlans:
        racks = [rack for one in found for rack in _on(vlan, one, dead_since, now)]
        ours = given.get(str(vlan.id))
        decision = dhcp_plan.decide(vlan, racks, ours, grace_s, witnesses.ask)
        if not decision.primary:
            objections += [decision.why] if decision.why else []
            continue
        secondary = decision.secondary
        if secondary and (problem := witnesses.forget(secondary, vlan)):
            objections.append(f"{vlan.name}: no secondary: {problem}")
            secondary = ""
        if (decision.primary, secondary) == (vlan.primary, vlan.secondary):
            continue
        try:
            client.set_racks(vlan, decision.primary, secondary)
        except api.APIError as error:
            objections.append(f"{vlan.name}: MAAS refuses: {error}")
            continue
        logger.warning("%s", decision.why)
        given[str(vlan.id)] = decision.primary, secondary
    there = {str(vlan.id) for vlan in vlans}
    given = {key: roles for key, roles in given.items() if key in there}
    return Memory(now, dead_since, given, tuple(objections))


def _on(
    vlan: api.VLAN, rack: api.Controller, dead_since: Mapping[str, float], now: float
) -> list[dhcp_plan.Rack]:
    """Return the rack with its first address in a VLAN.

    None without an IPv4 address there, by which alone DHCP fails over, nor one that has no role
    and does not run.
    """
    if rack.system_id not in vlan.racks and rack.status not in api.RUNNING:
        return []
    here = [end for vlan_id, end in rack.links if vlan_id == vlan.id and ":" not in end]
    # Never 0 for one that is dead, not even in its first second.
    dead_s = max(now - dead_since[rack.system_id], 1e-3) if rack.system_id in dead_since else 0
    racks = [dhcp_plan.Rack(rack.system_id, rack.hostname, one, dead_s) for one in here]
    return racks[:1]


class _Witnesses:
    """Asking racks at any of their addresses."""

    def __init__(self, racks: Iterable[api.Controller]) -> None:
        self._addresses = {one.system_id: one.addresses for one in racks}
        self._names = {one.system_id: one.hostname for one in racks}
        # Asked about many VLANs, one that is away must not use up the job's time.
        self._away: dict[str, witness.WitnessError] = {}

    def ask(
        self, survivor: dhcp_plan.Rack, vlan: api.VLAN, dead: dhcp_plan.Rack
    ) -> dhcp_plan.Evidence:
        """Return what a survivor says of the one that seems dead."""
        question: witness.Body = {"peer": dead.address, "own": survivor.address, "vlan": vlan.id}
        try:
            said = self._ask(survivor.system_id, question)
        except witness.WitnessError as error:
            return dhcp_plan.Evidence(problem=str(error))
        if problem := said.get("problem"):
            return dhcp_plan.Evidence(problem=f"says: {str(problem)[:100]}")
        return dhcp_plan.Evidence(
            _state(said, str(vlan.id)), said.get("peer-answers") is not False
        )

    def forget(self, rack: str, vlan: api.VLAN) -> str:
        """Have a rack forget a VLAN's failover of before; returns why it does not."""
        try:
            said = self._ask(rack, {"forget": vlan.id})
        except witness.WitnessError as error:
            return f"{self._names[rack]} {error}"
        if said.get("forgotten") is True:
            return ""
        return f"{self._names[rack]} says: {str(said.get('problem', 'nothing'))[:100]}"

    def _ask(self, rack: str, question: witness.Body) -> witness.Body:
        if rack in self._away:
            raise self._away[rack]
        failure = witness.WitnessError("has no address")
        for address in self._addresses[rack]:
            try:
                return witness.ask(address, region.shared_secret(), question)
            except witness.WitnessError as error:
                failure = error
        self._away[rack] = failure
        raise failure


def _state(said: witness.Body, vlan: str) -> str:
    vlans = said.get("vlans")
    one: object = cast("dict[str, object]", vlans).get(vlan) if isinstance(vlans, dict) else None
    return str(cast("dict[str, object]", one).get("state", "")) if isinstance(one, dict) else ""


def recall(connection: "Connection") -> Memory:
    """Read what the look before left."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS charmed_maas.dhcp (singleton boolean PRIMARY KEY"
            " DEFAULT true CHECK (singleton), memory json NOT NULL)"
        )
        cursor.execute("SELECT memory FROM charmed_maas.dhcp")
        row = cursor.fetchone()
    if not row:
        return Memory()
    kept = cast("dict[str, object]", row[0])
    dead_since, given = (cast("dict[str, object]", kept[key]) for key in ("dead_since", "given"))
    return Memory(
        float(str(kept["looked"])),
        {key: float(str(value)) for key, value in dead_since.items()},
        {key: _pair(value) for key, value in given.items()},
        tuple(str(one) for one in cast("list[object]", kept.get("told", []))),
    )


def remember(connection: "Connection", memory: Memory) -> None:
    """Leave to the next look what it needs."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO charmed_maas.dhcp (memory) VALUES (%s)"
            " ON CONFLICT (singleton) DO UPDATE SET memory = excluded.memory",
            (json.dumps(dataclasses.asdict(memory)),),
        )


def _now(connection: "Connection") -> float:
    """Return the time by the one clock that all regions share."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM now())::float")
        return float((cursor.fetchone() or (0.0,))[0])


def _pair(value: object) -> tuple[str, str]:
    primary, secondary = cast("list[object]", value)
    return str(primary), str(secondary)


def main() -> int:
    """Run as the timer's job: look, unless another unit does."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        grace_s = int(GRACE.read_text())
        login = migration.login_from_config()
        with database.connect(login, "charmed-maas dhcp") as connection:
            if not database.try_lock(connection, database.DHCP):
                return 0
            memory, now = recall(connection), _now(connection)
            if not 0 <= now - memory.looked < OFTEN_S:
                client = api.Client(accounts.internal_api_key())
                memory = look(client, memory, now, grace_s)
                remember(connection, memory)
            # Also what another region found.
            files.ensure_file(TOLD, json.dumps(memory.told) + "\n")
    except FileNotFoundError:
        return 0
    except (api.APIError, accounts.AccountError, database.DatabaseError) as error:
        if isinstance(error, api.APIError) and error.status == http.HTTPStatus.UNAUTHORIZED:
            accounts.forget()
        # The timer tries again in seconds; a failed unit would only alarm.
        logger.info("%s", error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
