# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Deleting departed controllers from MAAS, by a timer of each region's own.

MAAS lets a controller go only when its processes have expired, minutes after they died, so no
hook can wait for it. Every unit keeps the list of departed controllers in a file; the timer's job
deletes them, on one unit at a time, also when no Juju controller lives. Not those that have
returned since by what the leader wrote into the database: no hook of this unit may have run.
"""

import functools
import json
import logging
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import accounts
import api
import database
import departures
import dhcp_hold
import migration
import region
from charmed_maas import files, python_unit

DEPARTED = region.OURS / "departed.json"
TIMER = "maas-region-controllers"
TEMPLATE = Path(__file__).parent / "templates" / TIMER
# One that left is deleted once MAAS sees it dead, or after this time unless MAAS sees it work: a
# rack whose relation alone was removed goes on, degraded while any region is down.
GRACE_S = 120

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Member:
    """A unit's controller: which unit, "region" or "rack", its ID in MAAS.

    dhcp_grace_s is by which grace a rack stops its own DHCP, 0 where it does not.
    """

    unit: str
    kind: str
    system_id: str
    dhcp_grace_s: int = 0


@dataclass(frozen=True)
class Departed:
    """A controller whose unit is gone, and since when (seconds since 1970)."""

    kind: str
    system_id: str
    since: int


def settle(
    known: Iterable[Member],
    departed: Iterable[Departed],
    alive: Mapping[str, Collection[str] | None],
    now: int,
) -> tuple[tuple[Member, ...], tuple[Departed, ...]]:
    """Return the members whose units live, and the departed with those that went since.

    known may name a unit twice: the later entry holds, the earlier one's ID has departed.
    alive are the units that live, by kind; None where that is not known.
    """
    current: dict[str, Member] = {}
    gone = {(one.kind, one.system_id): one for one in departed}
    for member in known:
        before = current.get(member.unit)
        if before and before.system_id != member.system_id:
            _depart(gone, before, now)
        current[member.unit] = member
    for member in list(current.values()):
        units = alive.get(member.kind)
        if units is not None and member.unit not in units:
            _depart(gone, member, now)
            del current[member.unit]
    # MAAS knows a machine again by its host name: the ID of one that came back is in use. A
    # machine's region and rack have one ID between them: deleting one kind leaves the other.
    in_use = {(member.kind, member.system_id) for member in current.values()}
    left = [one for key, one in gone.items() if key not in in_use]
    return (
        tuple(sorted(current.values(), key=lambda one: (one.kind, one.unit))),
        tuple(sorted(left, key=lambda one: (one.since, one.system_id, one.kind))),
    )


def _depart(gone: dict[tuple[str, str], Departed], member: Member, now: int) -> None:
    key = member.kind, member.system_id
    gone.setdefault(key, Departed(*key, now))


def ensure_departed(departed: Iterable[Departed]) -> bool:
    """Keep the list where the job reads it, and the timer while there is one."""
    entries = [asdict(one) for one in departed]
    if not entries:
        return remove() if DEPARTED.exists() else False
    changed = files.ensure_file(DEPARTED, json.dumps(entries, indent=1) + "\n", mode=0o600)
    return python_unit.ensure(TIMER, TEMPLATE, __file__) or changed


def remove() -> bool:
    """Take the timer away with its list; returns whether there was any."""
    removed = python_unit.remove(TIMER)
    # Last: a hook that is killed before this goes on in the next.
    return files.ensure_absent(DEPARTED) or removed


def listed() -> list[api.Controller]:
    """Return the controllers that MAAS knows; raises api.APIError or AccountError."""
    return api.ask(lambda client: client.controllers())


def delete(name: str, *, force: bool) -> api.Controller:
    """Delete the controller of a host name or ID, and return it; raises as listed().

    MAAS itself would delete a rack that runs; a region that runs it refuses in any case.
    """
    found = next((one for one in listed() if name in (one.hostname, one.system_id)), None)
    if not found:
        raise api.APIError(f"MAAS knows no controller {name[:60]!r}: list-controllers shows them")
    if found.status in api.RUNNING and not force:
        raise api.APIError(
            f"{found.hostname} runs: remove its unit, which stops it first, or give force=true"
        )
    api.ask(lambda client: client.delete(found.kind, found.system_id, force=force))
    return found


def still_known(departed: tuple[Departed, ...]) -> tuple[Departed, ...]:
    """Return those that MAAS still has; all of them when it cannot be asked."""
    try:
        known = {(one.kind, one.system_id) for one in listed()}
    except (api.APIError, accounts.AccountError) as error:
        logger.info("controllers cannot be listed: %s", error)
        return departed
    return tuple(one for one in departed if (one.kind, one.system_id) in known)


def delete_departed(
    departed: Collection[Departed],
    now: float,
    held: Callable[[api.Client, Collection[str]], Collection[str]],
) -> list[str]:
    """Delete those that MAAS lets go; returns a line about each that stays.

    held tells which racks are to stay, for their DHCP has to move first.
    """
    if not departed:
        return []
    known = {(one.kind, one.system_id): one for one in listed()}
    client = api.Client(accounts.internal_api_key())
    gone = [
        (one, found)
        for one in departed
        if (found := known.get((one.kind, one.system_id)))
        and _is_over(found.status, now - one.since)
    ]
    stay = held(client, [one.system_id for one, _ in gone if one.kind == "rack"])
    kept: list[str] = []
    for one, found in gone:
        if one.kind == "rack" and one.system_id in stay:
            kept.append(f"rack {found.hostname}: its DHCP is to move first")
            continue
        try:
            client.delete(one.kind, one.system_id)
            logger.info("deleted %s %s", one.kind, found.hostname)
        except api.APIError as error:
            kept.append(f"{one.kind} {found.hostname}: {error}")
    return kept


def _is_over(status: str, gone_s: float) -> bool:
    return status in ("", "dead") or (status not in api.RUNNING and gone_s >= GRACE_S)


def main() -> int:
    """Run as the timer's job: delete what can be deleted, unless another unit does."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        departed = [Departed(**one) for one in json.loads(DEPARTED.read_text())]
        login = migration.login_from_config()
        with database.connect(login, "charmed-maas controllers") as connection:
            if database.try_lock(connection, database.CONTROLLERS):
                told = departures.read(connection)
                departed = [one for one in departed if not told.has_returned(**asdict(one))]
                held = functools.partial(dhcp_hold.held, connection)
                for line in delete_departed(departed, time.time(), held):
                    logger.info("%s", line)
    except FileNotFoundError:
        return 0
    except (api.APIError, accounts.AccountError, database.DatabaseError) as error:
        # The timer tries again in seconds; a failed unit would only alarm.
        logger.info("%s", error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
