# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Keeping a living primary and secondary rack on each VLAN with DHCP, by a timer of each region's.

MAAS changes neither when a rack dies. One region at a time looks, also when no Juju controller
lives; what it must remember is in MAAS's database, so that another one goes on, and so is by which
grace (dhcp_grace). dhcp_plan decides, on what the survivor says (charmed_maas.witness).
"""

import dataclasses
import functools
import http
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import accounts
import api
import database
import dhcp_grace
import dhcp_memory
import dhcp_plan
import health
import migration
import region
import witnesses
from charmed_maas import files, python_unit
from dhcp_memory import Memory, Now

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's own name

TIMER = "maas-region-dhcp"
TEMPLATE = Path(__file__).parent / "templates" / TIMER
# What the last look found that an operator should know, where the charm reads it.
TOLD = region.OURS / "dhcp-told.json"
DEAD = "dead"
NOT_REPLACED = "any VLAN: no dead rack is replaced"
# Every region's timer comes every 30 s: one look of them all is enough. After a longer pause (the
# database was away) nothing is known of who was dead in between: after 75 s by the least
# grace, and as large a part of a longer one, for MAAS takes long to tell of many racks.
OFTEN_S, EVERY_S = 20, 30
GAP_OF_GRACE = 0.625
MAX_LOOK_S = 240.0  # The job itself may take 300 s.

logger = logging.getLogger(__name__)


def ensure() -> bool:
    """Have the timer that replaces dead racks; returns whether anything changed."""
    return python_unit.ensure(TIMER, TEMPLATE, __file__)


def remove() -> bool:
    """Take the timer away; returns whether there was one."""
    files.ensure_absent(TOLD)
    return python_unit.remove(TIMER)


def told() -> tuple[str, ...]:
    """Return what the last look found that an operator should know."""
    try:
        found: object = json.loads(TOLD.read_text())
    except (FileNotFoundError, ValueError):
        return ()
    return (
        tuple(str(one) for one in cast("list[object]", found)) if isinstance(found, list) else ()
    )


def look(
    client: api.Client,
    memory: Memory,
    now: Now,
    graces: Mapping[str, dhcp_grace.Grace],
    keep: Callable[[Memory], None],
) -> Memory:
    """Look at every VLAN once, and change what is to change; raises api.APIError.

    keep remembers before each change what must not be lost with a look that ends in between.
    """
    found = client.racks()
    grace_s = max(one.present_s for one in graces.values())
    dead_since = _dead_since(memory, now, found, grace_s)
    dead_s = {one: _dead_s(since, now, graces.get(one)) for one, since in dead_since.items()}
    known = {one.system_id for one in found}
    given = {vlan: roles for vlan, roles in memory.given.items() if roles[1] in known}
    objections = list[str]()
    survivors = witnesses.Witnesses(found)
    vlans = [one for one in client.vlans_with_dhcp() if not _is_ipv6_only(one, found)]
    for vlan in vlans:
        key = str(vlan.id)
        if vlan.primary and vlan.secondary:
            given[key] = vlan.primary, vlan.secondary
        racks = [rack for one in found for rack in _on(vlan, one, dead_s, graces)]
        beside = known - {vlan.primary}
        last = next((one for one in given.get(key, ()) if one in beside), "")
        decision = dhcp_plan.decide(vlan, racks, last, grace_s, survivors.ask)
        if not decision.primary:
            objections += [decision.why] if decision.why else []
            continue
        # Or the next look would take what this one did for an operator's doing.
        given.pop(key, None)
        keep(dataclasses.replace(memory, given=given))
        given[key], problems = _change(client, vlan, decision, survivors)
        objections += problems
    there = {str(vlan.id) for vlan in vlans}
    given = {key: roles for key, roles in given.items() if key in there}
    return Memory(now.time, now.clock, dead_since, given, tuple(objections))


def _change(
    client: api.Client,
    vlan: api.VLAN,
    decision: dhcp_plan.Decision,
    survivors: witnesses.Witnesses,
) -> tuple[tuple[str, str], list[str]]:
    """Give a VLAN its racks; returns those that it has then, and what stood against it."""
    primary, secondary, problems = decision.primary, decision.secondary, list[str]()
    if secondary and (problem := survivors.forget(secondary, vlan)):
        problems.append(f"{vlan.name}: no secondary: {problem}")
        secondary = ""
    if (primary, secondary) != (vlan.primary, vlan.secondary):
        try:
            client.set_racks(vlan, primary, secondary)
        except api.APIError as error:
            # Half of it may be done: the next look sees.
            return ("", ""), [*problems, f"{vlan.name}: MAAS refuses: {error}"]
        logger.warning("%s", decision.why)
    return (primary, secondary), problems


def _dead_since(
    memory: Memory, now: Now, racks: Iterable[api.Controller], grace_s: float
) -> dict[str, float]:
    gap_s = GAP_OF_GRACE * grace_s
    goes_on = now.clock == memory.clock and 0 <= now.time - memory.looked <= gap_s
    before = memory.dead_since if goes_on else {}
    # What a clock said that was ahead, and is set back, is not to come.
    return {
        one.system_id: min(before.get(one.system_id, now.time), now.time)
        for one in racks
        if one.status == DEAD
    }


def _dead_s(since: float, now: Now, grace: dhcp_grace.Grace | None) -> float:
    """Return for how long a rack has been dead, and could know by when it has to stop its dhcpd.

    Never 0, not even in its first second.
    """
    dead_s = now.time - since
    return max(min(dead_s, grace.held_s) if grace else dead_s, 1e-3)


def _is_ipv6_only(vlan: api.VLAN, racks: Iterable[api.Controller]) -> bool:
    """Tell whether a VLAN's racks serve it by IPv6 alone, for which dhcpd has no failover."""
    links = [link for one in racks if one.system_id in vlan.racks for link in one.links]
    ends = [end for vlan_id, end in links if vlan_id == vlan.id]
    return bool(ends) and all(":" in end for end in ends)


def _on(
    vlan: api.VLAN,
    rack: api.Controller,
    dead_s: Mapping[str, float],
    graces: Mapping[str, dhcp_grace.Grace],
) -> list[dhcp_plan.Rack]:
    """Return the rack with its first address in a VLAN.

    None without an IPv4 address there, by which alone DHCP fails over, nor one that has no role
    and does not run.
    """
    if rack.system_id not in vlan.racks and rack.status not in api.RUNNING:
        return []
    here = [end for vlan_id, end in rack.links if vlan_id == vlan.id and ":" not in end]
    applied_s = graces.get(rack.system_id, dhcp_grace.Grace()).applied_s
    dead = dead_s.get(rack.system_id, 0)
    racks = [dhcp_plan.Rack(rack.system_id, rack.hostname, one, dead, applied_s) for one in here]
    return racks[:1]


def _look(
    connection: "Connection",
    memory: Memory,
    now: Now,
    graces: Mapping[str, dhcp_grace.Grace],
    problem: str,
) -> tuple[str, ...]:
    """Look, and remember what was found; returns what an operator should know.

    With a problem of this region's own MAAS nobody is asked.
    """
    gap_s = GAP_OF_GRACE * max(one.present_s for one in graces.values())
    timeout_s = min(max(api.TIMEOUT_S, gap_s - EVERY_S), MAX_LOOK_S)
    keep, began = functools.partial(dhcp_memory.remember, connection), time.monotonic()
    try:
        if problem:
            raise api.APIError(problem)
        client = api.Client(accounts.internal_api_key(), timeout_s=timeout_s)
        memory = look(client, memory, now, graces, keep)
    except (api.APIError, accounts.AccountError) as error:
        if isinstance(error, api.APIError) and error.status == http.HTTPStatus.UNAUTHORIZED:
            accounts.forget()
        logger.info("%s", error)
        # MAAS may just have been set up, or the clock set back: from now on it is late.
        if not 0 < memory.looked <= now.time:
            keep(dataclasses.replace(memory, looked=now.time))
            return memory.told
        # This unit's alone, and no more where another region's look succeeds.
        is_late = now.time - memory.looked > gap_s
        return (f"{NOT_REPLACED}: {error}",) if is_late else memory.told
    if (took_s := time.monotonic() - began) + EVERY_S > gap_s:
        why = f"{NOT_REPLACED}: a look at all racks took {took_s:.0f} s: raise dhcp-ha-grace"
        memory = dataclasses.replace(memory, told=(*memory.told, why))
    keep(memory)
    return memory.told


def main() -> int:
    """Run as the timer's job: look, unless another unit does."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        login = migration.login_from_config()
        with database.connect(login, "charmed-maas dhcp") as connection:
            # Before it takes the turn: with a MAAS that hangs it would keep the others from it.
            problem = health.problem()
            if not database.try_lock(connection, database.DHCP):
                return 0
            graces = dhcp_grace.read(connection)
            memory, now = dhcp_memory.recall(connection), dhcp_memory.now(connection)
            told = memory.told
            if graces and not 0 <= now.time - memory.looked < OFTEN_S:
                told = _look(connection, memory, now, graces, problem)
            # Also what another region found.
            files.ensure_file(TOLD, json.dumps(told if graces else ()) + "\n")
    except FileNotFoundError:
        return 0
    except database.DatabaseError as error:
        # The timer tries again in seconds; a failed unit would only alarm.
        logger.info("%s", error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
