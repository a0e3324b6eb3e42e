# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Bringing a region to serve: proxy, migration, regiond.conf, services, in this order."""

import contextlib
import enum
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import database
import db_proxy
import health
import migration
import named
import others
import rack_secret
import region
import traffic
import turns
from charmed_maas import systemd, words

logger = logging.getLogger(__name__)

# HAProxy asks for its share each second, and for its health twice a second apart.
TAKEN_S = 5.0


class Stage(enum.Enum):
    """How far a region came."""

    UNREACHABLE = "the database does not answer"
    REFUSED = "this database must not be served"
    MIGRATING = "this unit migrates the database"
    ELSEWHERE = "another unit migrates the database"
    QUEUED = "another unit restarts, this one is next"
    FAILED = "a command failed"
    UNHEALTHY = "MAAS runs but does not serve"
    SERVING = "MAAS serves"


@dataclass(frozen=True)
class Wish:
    """What a unit is to serve with; versions are the MAAS versions of all units.

    others are the addresses of the units that serve beside it, as they said last. have_followed
    tells whether all racks run with a shared secret.
    """

    unit: str
    members: db_proxy.Members
    login: database.Login
    maas_url: str
    address: str
    num_workers: int
    expected_cluster: str
    versions: Mapping[str, str]
    others: tuple[str, ...]
    have_followed: Callable[[str], bool]


@dataclass(frozen=True)
class Outcome:
    """How far it came, why no further, which cluster the database is, and what MAAS logged.

    shared_secret is the database's, "" where it has none yet or was not reached.
    """

    stage: Stage
    detail: str = ""
    cluster: str = ""
    cause: str = ""
    shared_secret: str = field(default="", repr=False)

    @property
    def is_serving(self) -> bool:
        """MAAS serves on this unit."""
        return self.stage is Stage.SERVING

    @property
    def reason(self) -> str:
        """Why it came no further, and what was logged of it."""
        return words.brief(self.detail, self.cause)


def ensure(wish: Wish) -> Outcome:
    """Do what is missing until the region serves, and tell how far it came."""
    try:
        db_proxy.ensure(wish.members)
        if outcome := _before_start(wish, _state(wish)):
            return outcome
        state = _state(wish)
        if outcome := _ensure_started(wish, state):
            return outcome
        problem = health.wait()
        traffic.take()
        if problem:
            cause = region.first_cause(recent=True)
            return Outcome(Stage.UNHEALTHY, problem, state.cluster, cause)
        dns = _ensure_dns()
    except database.DatabaseError as error:
        return Outcome(Stage.UNREACHABLE, db_proxy.no_primary() or str(error))
    except (region.RegionError, db_proxy.ProxyError, migration.MigrationError) as error:
        return _failure(error)
    return Outcome(Stage.SERVING, dns, state.cluster, shared_secret=state.shared_secret)


def _ensure_dns() -> str:
    """Have bind serve MAAS's zones; returns why it does not: MAAS's API serves without."""
    try:
        named.ensure_options()
    except region.RegionError as error:
        return words.brief(f"MAAS's DNS: {error}", named.first_cause())
    return ""


def stop() -> Outcome | None:
    """Stop MAAS and the way to its database, also at the next boot; returns what failed."""
    return _try(region.stop, db_proxy.stop)


def pause() -> Outcome | None:
    """Drain and stop until it is asked to serve again, also at a boot; returns what failed."""
    return _try(region.stop) if _drain() else None


def pause_in_turn(login: database.Login, unit: str, addresses: Iterable[str]) -> str:
    """Pause where another region serves, one at a time; returns why not, "" when it is done."""
    try:
        with database.connect(login, f"charmed-maas pause {unit}") as connection:
            if not database.try_lock(connection, database.RESTART):
                return "another region restarts or pauses just now: run it again after that"
            if not others.any_serves(addresses):
                return "no other region serves: without this one MAAS is down"
            if failure := pause():
                # Some of it may have stopped, and would not start at a boot.
                _try(region.start)
                traffic.take()
                return failure.reason
    except database.DatabaseError as error:
        return f"the database does not answer: {error}"
    return ""


def leave() -> None:
    """Drain, stop for good and forget which MAAS this was; packages and images stay."""
    with turns.to_leave():
        _drain()
        stopped = _try(region.stop)
    for failure in filter(None, (stopped, _try(db_proxy.remove))):
        logger.warning("leaves in any case: %s", failure.reason)
    region.forget()


def _try(*steps: Callable[[], object]) -> Outcome | None:
    """Take steps until systemd refuses one; returns that."""
    try:
        for step in steps:
            step()
    except (region.RegionError, systemd.SystemdError) as error:
        return _failure(error)
    return None


def _failure(error: Exception) -> Outcome:
    source = region if isinstance(error, region.RegionError) else db_proxy
    cause = "" if isinstance(error, migration.MigrationError) else source.first_cause()
    return Outcome(Stage.FAILED, str(error), cause=cause)


def _drain() -> bool:
    """Let what is under way come to its end; returns whether MAAS runs at all."""
    with contextlib.suppress(region.RegionError):
        # Where systemd does not tell, what is to stop drains too.
        if not region.version() or not region.is_any_running():
            return False
    traffic.drain()
    return True


def _settings(wish: Wish) -> region.Settings:
    return region.Settings(
        maas_url=wish.maas_url,
        address=wish.address,
        database_host=db_proxy.ADDRESS,
        database_port=db_proxy.PORT,
        database_name=wish.login.database,
        database_user=wish.login.username,
        database_pass=wish.login.password,
        num_workers=wish.num_workers,
    )


def _state(wish: Wish) -> database.State:
    with database.connect(wish.login, f"charmed-maas look {wish.unit}") as connection:
        return database.state(connection)


def _migrating_unit(wish: Wish) -> str:
    try:
        return _state(wish).migrating_unit
    except database.DatabaseError:
        return ""  # The job meets it too, and begins anew.


def _before_start(wish: Wish, state: database.State) -> Outcome | None:
    """Migrate when needed; returns why MAAS must not start yet, None when it may."""
    own = region.version()
    if problem := migration.obstacle(state, wish.expected_cluster, own, wish.versions):
        is_foreign = wish.expected_cluster not in ("", state.cluster) and not state.is_empty
        if is_foreign or state.version not in ("", own):
            # Another cluster's is not this MAAS's to change. For another schema it is not made,
            # and the others count on it once they know its version: the last one that is
            # upgraded migrates.
            region.stop()
        return Outcome(Stage.REFUSED, problem)
    if state.version == own:
        return None
    # Also what an operator stopped and an event before the upgrade started again.
    region.stop()
    region.ensure_config(_settings(wish))
    migration.start(wish.unit, wish.expected_cluster, own, state.version)
    end = time.monotonic() + migration.WAIT_S
    while time.monotonic() < end and migration.is_running():
        # Only for its own work does a hook wait.
        if (holder := _migrating_unit(wish)) not in ("", wish.unit):
            return Outcome(Stage.ELSEWHERE, f"{holder} migrates the database")
        time.sleep(1)
    if migration.is_running():
        return Outcome(Stage.MIGRATING)
    if _state(wish).version == own:
        return None
    raise migration.failure()


def _ensure_started(wish: Wish, state: database.State) -> Outcome | None:
    """Start MAAS, or restart it when it is this unit's turn; None when it runs as wished."""
    settings = _settings(wish)
    if not region.is_any_running():
        region.ensure_config(settings)
        with rack_secret.noted(state.shared_secret):
            region.start()
        return None
    # A process from before the migration works on a schema that it does not know. Less than
    # nothing ago is a new primary whose clock is behind.
    is_outdated = 0 <= state.migrated_ago_s < region.age_s()
    is_outdated |= rack_secret.must_take(state.shared_secret, wish.have_followed)
    if region.is_configured(settings) and not is_outdated:
        if not region.is_running():
            with rack_secret.noted(state.shared_secret):
                region.start()
        return None
    with database.connect(wish.login, f"charmed-maas restart {wish.unit}") as connection:
        if not database.try_lock(connection, database.RESTART):
            traffic.take()
            return Outcome(Stage.QUEUED, turns.whose(connection))
        return _restart(settings, others.ask(wish.others), state.shared_secret)


def _restart(
    settings: region.Settings, found: Mapping[str, others.Found], shared_secret: str
) -> Outcome | None:
    """Restart MAAS, unless one that went before has yet to serve and this one does."""
    behind = [address for address, what in found.items() if what is others.Found.BEHIND]
    if behind and not health.problem():
        traffic.take()
        return Outcome(Stage.QUEUED, f"MAAS on {behind[0]} does not serve")
    if others.Found.SERVES in found.values():
        traffic.drain()
    try:
        region.ensure_config(settings)
        with rack_secret.noted(shared_secret):
            region.restart()
        serves = not health.wait()
    finally:
        # One that comes late must not stay drained: HAProxy's own checks know when it answers.
        was_drained = traffic.take()
    if serves and was_drained:
        # The next region must not go before HAProxy sends requests here again.
        time.sleep(TAKEN_S)
    return None
