# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The status ladder: what the operator must fix first comes first."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import ops

import charmed_maas.peers
import health
import serving
from charmed_maas import journal, words
from charmed_maas.interfaces import endpoint


@dataclass(frozen=True)
class Situation:
    """What a reconcile found; each field is one step of the ladder."""

    is_leaving: bool = False
    is_paused: bool = False
    problem: str = ""
    databag_problems: tuple[str, ...] = ()
    has_database_relation: bool = False
    has_database: bool = False
    has_url: bool = False
    kept_url: str = ""
    outcome: serving.Outcome | None = None
    refusals: tuple[str, ...] = ()
    refused_by_systemd: tuple[str, ...] = ()
    dhcp: tuple[str, ...] = ()
    regions: int = 0
    offered: str = ""

    @property
    def failures(self) -> tuple[str, ...]:
        """Why a command failed, also one that was to stop a region."""
        is_one = self.outcome and self.outcome.stage is serving.Stage.FAILED
        return (self.outcome.reason,) if self.outcome and is_one else ()


def databag_problems(endpoints: Iterable[endpoint.Endpoint], me: str) -> tuple[str, ...]:
    """Return what is wrong with databags, and what mends those of this application."""
    own = f"{me.partition('/')[0]} sent "
    emptied = "empty that field with relation-set --app on the leader's unit"
    return tuple(
        f"{one}: {emptied}" if one.startswith(own) else charmed_maas.peers.with_remedy(one, me)
        for one in (text for each in endpoints for text in each.problems)
    )


def ladder(situation: Situation) -> Iterator[ops.StatusBase]:
    """Yield every status that applies, each in one line; the worst one shows."""
    for one in _rungs(situation):
        yield type(one)(words.brief(one.message))


def _rungs(situation: Situation) -> Iterator[ops.StatusBase]:
    if situation.is_leaving:
        yield ops.MaintenanceStatus("leaving")
        return
    if situation.problem:
        yield ops.BlockedStatus(situation.problem)
    failures = situation.failures
    for problem in (*situation.databag_problems, *situation.refusals, *failures):
        yield ops.BlockedStatus(problem)
    if situation.is_paused:
        yield ops.MaintenanceStatus("paused: run resume to serve again")
        return
    if not situation.has_database_relation:
        yield ops.BlockedStatus("integrate db with postgresql-ha")
    elif not situation.has_database:
        yield ops.WaitingStatus("for the database's primary and credentials")
    elif not situation.has_url:
        yield ops.WaitingStatus("for the leader to publish the MAAS URL")
    for problem in situation.dhcp:
        yield ops.WaitingStatus(f"DHCP on {problem}")
    if situation.outcome and not failures:
        yield _of(situation.outcome, situation)
    yield from map(ops.BlockedStatus, situation.refused_by_systemd)


def _of(outcome: serving.Outcome, situation: Situation) -> ops.StatusBase:
    stage, detail = outcome.stage, outcome.detail
    # A region that serves may have something to tell, too.
    if stage is serving.Stage.REFUSED or (detail and outcome.is_serving):
        return ops.BlockedStatus(detail)
    if stage is serving.Stage.SERVING:
        regions, url = situation.regions, situation.kept_url
        count = f"{regions} regions" if regions != 1 else "1 region: no high availability"
        kept = f"; keeps {url} without haproxy-vip" if url else ""
        offer = f"; apt offers {situation.offered}" if situation.offered else ""
        return ops.ActiveStatus(f"serving, {count}{kept}{offer}")
    if stage is serving.Stage.UNREACHABLE:
        return ops.WaitingStatus(f"for the database: {detail}")
    if stage is serving.Stage.MIGRATING:
        return ops.MaintenanceStatus("migrating the database")
    if stage is serving.Stage.ELSEWHERE:
        return ops.WaitingStatus(detail)
    if stage is serving.Stage.QUEUED:
        before = f": {detail}" if detail else ""
        return ops.MaintenanceStatus(f"waiting for its turn to restart{before}")
    return _unhealthy(outcome)


def _unhealthy(outcome: serving.Outcome) -> ops.StatusBase:
    if outcome.detail == health.OWN_TLS:
        return ops.BlockedStatus(outcome.detail)
    if journal.is_grave(outcome.cause):
        return ops.BlockedStatus(f"mend what keeps MAAS from serving: {outcome.reason}")
    return ops.MaintenanceStatus(f"starting: {outcome.reason}")
