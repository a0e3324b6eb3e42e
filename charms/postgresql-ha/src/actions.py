# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The actions; each fails with a sentence when it cannot do what was asked."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import ops

import cluster
import member
import peers
import pgdata
import quorum
import rest
import status
import succession

if TYPE_CHECKING:
    from charm import PostgreSQLHACharm

REFUSALS = (member.MemberError, pgdata.PgdataError, rest.RestError)


class RefusedError(Exception):
    """The action cannot be done; the message says why and what to do instead."""


class Actions(ops.Object):
    """Dispatches the charm's actions."""

    def __init__(self, charm: "PostgreSQLHACharm") -> None:
        super().__init__(charm, "actions")
        self._charm = charm
        for event in (
            charm.on.get_primary_action,
            charm.on.switchover_action,
            charm.on.reinitialise_action,
            charm.on.adopt_data_action,
            charm.on.bootstrap_action,
        ):
            self.framework.observe(event, self._on_action)

    def _on_action(self, event: ops.ActionEvent) -> None:
        handlers = {
            "get-primary": self._get_primary,
            "switchover": self._switchover,
            "reinitialise": self._reinitialise,
            "adopt-data": self._adopt_data,
            "bootstrap": self._bootstrap,
        }
        name = event.handle.kind.removesuffix("_action").replace("_", "-")
        try:
            event.set_results(handlers[name](event.params))
        except (RefusedError, *REFUSALS) as error:
            event.fail(str(error))
        except status.FAILURES as error:
            event.fail(status.failed(error))

    def _get_primary(self, _: dict[str, object]) -> dict[str, str]:
        spec = self._member()
        members = member.client(spec).members()
        primary = cluster.primary(members)
        if not primary:
            raise RefusedError("there is no primary now: see the units' status")
        units = {unit.member_name: unit.name for unit in spec.units}
        parts = (f"{units.get(one.name, one.name)} {one.role} {one.state}" for one in members)
        return {
            "primary": units.get(primary.name, primary.name),
            "address": primary.host,
            "members": ", ".join(sorted(parts)),
        }

    def _switchover(self, params: dict[str, object]) -> dict[str, str]:
        spec = self._member()
        members = member.client(spec).members()
        primary = cluster.primary(members)
        if not primary:
            raise RefusedError("there is no primary to switch over from")
        to = str(params.get("to") or "")
        units = {unit.member_name: unit.name for unit in spec.units}
        wanted = [to.replace("/", "-")] if to else list(units)
        if to and to not in units.values():
            raise RefusedError(f"to: {to!r} is not a unit of this application")
        if wanted == [primary.name]:
            raise RefusedError(f"{to} is the primary already")
        heir = cluster.successor(members, wanted)
        if not heir:
            raise RefusedError(f"{to or 'no other unit'} is not a healthy replica: see its status")
        if heir.role != "sync_standby":
            raise RefusedError(
                f"{units[heir.name]} is not the synchronous replica, which alone has every row: "
                "leave out `to` to switch over to that one"
            )
        member.client(spec).switchover(primary.name, heir.name)
        return {"primary": units[heir.name], "address": heir.host}

    def _reinitialise(self, _: dict[str, object]) -> dict[str, str]:
        spec = self._member()
        primary = cluster.primary(member.client(spec).members())
        if not primary or not primary.is_running:
            raise RefusedError("there is no primary to copy from")
        if primary.name == spec.me.member_name:
            raise RefusedError("this unit is the primary: run switchover first")
        return {"set-aside": member.reinitialise(spec)}

    def _adopt_data(self, params: dict[str, object]) -> dict[str, str]:
        charm = self._charm
        app = self._app()
        view = charm.view(app)
        spec = charm.spec(app)
        if not spec:
            raise RefusedError("this unit cannot read the application's secret yet")
        step = cluster.step(view)
        path = str(params.get("path") or "")
        if step is cluster.Step.RUN:
            self._go_on(spec, [one for one in view.members if one not in view.leaving], path)
            return {"adopted": "this unit's own data", "cluster-id": app.cluster_id}
        if step is not cluster.Step.LAST_MEMBER_GONE:
            raise RefusedError(_why_not_adopt(view))
        if path and not PurePosixPath(path).is_absolute():
            raise RefusedError(f"path: {path!r} is not an absolute path")
        copy = member.copy_at(path, app.cluster_id) if path else self._newest(app.cluster_id)
        member.adopt(spec, copy, strict=charm.strict)
        own = dataclasses.replace(charm.peers.own_data(), cluster_id=app.cluster_id)
        charm.peers.publish_unit(dataclasses.replace(own, set_aside=None, outlived=False))
        return {"adopted": copy.path, "timeline": str(copy.timeline), "cluster-id": app.cluster_id}

    def _go_on(self, spec: cluster.Spec, members: Sequence[str], path: str) -> None:
        """Have a member that the others left without a quorum or a primary go on by itself."""
        if not quorum.is_lost(spec):
            _refuse_succession(spec, self._charm.others)
            _refuse_behind(spec, path)
            member.promote(spec)
            return
        if members:
            raise RefusedError(
                f"the cluster has members, {', '.join(members)}: start their machines; "
                f"{status.way_out(members)}"
            )
        _refuse_behind(spec, path)
        member.adopt(spec, None, strict=self._charm.strict)

    def _newest(self, cluster_id: str) -> pgdata.Copy:
        """Return the newest data that was set aside here, unless another unit is to go on."""
        charm = self._charm
        copy, me = member.set_aside(cluster_id), charm.unit.name
        places = peers.places(charm.others)
        if copy:
            places[me] = (copy.timeline, copy.lsn, not copy.went_on)
        best = succession.newest(places)
        if best not in ("", me):
            raise RefusedError(f"the newest data is on {best}: run adopt-data there")
        if not copy:
            raise RefusedError(
                "no data of the cluster was set aside on this machine: add a unit on the machine "
                "that the primary was removed from, or give a path"
            )
        if copy.went_on:
            raise RefusedError(
                f"the cluster went on at {', '.join(copy.went_on)} after this data was set aside: "
                f"add a unit there, or accept the loss with path={copy.path}"
            )
        return copy

    def _bootstrap(self, params: dict[str, object]) -> dict[str, str]:
        charm = self._charm
        if not charm.unit.is_leader():
            raise RefusedError("run it on the leader")
        app = self._app()
        step = cluster.step(charm.view(app))
        if step is cluster.Step.LAST_MEMBER_GONE:
            wanted = app.cluster_id
        elif step is cluster.Step.BOOTSTRAP_UNIT_GONE:
            wanted = app.bootstrap_unit
        else:
            raise RefusedError("the cluster has members, or is about to: nothing to start anew")
        if params["confirm"] != wanted:
            raise RefusedError(f"confirm: give {wanted} to say that you mean it")
        nominated = dataclasses.replace(app, cluster_id="", bootstrap_unit=charm.unit.name)
        charm.peers.publish_app(dataclasses.replace(nominated, etcd_members=()))
        return {"bootstrap-unit": charm.unit.name}

    def _app(self) -> peers.AppData:
        charm_peers = self._charm.peers
        app = charm_peers.app_data()
        if not app:
            raise RefusedError(status.unreadable(charm_peers.problems))
        return app

    def _member(self) -> cluster.Spec:
        charm = self._charm
        app = self._app()
        spec = charm.spec(app)
        if not spec or cluster.step(charm.view(app)) is not cluster.Step.RUN:
            raise RefusedError("this unit is not a member of a cluster yet")
        return spec


def _refuse_succession(spec: cluster.Spec, others: Mapping[str, peers.UnitData]) -> None:
    """Raise RefusedError where Patroni can choose a primary, or another unit should be it."""
    members = member.client(spec).members()
    if cluster.primary(members):
        raise RefusedError("the cluster has a primary and a quorum: nothing to adopt")
    awaited = succession.awaited(spec, quorum.in_step(spec), members)
    if not awaited:
        raise RefusedError("Patroni is about to choose a primary: see get-primary in a minute")
    if {unit.name for unit in spec.units} & set(awaited):
        raise RefusedError(status.last_rows(spec, awaited))
    if not any(one.name == spec.me.member_name and one.is_running for one in members):
        raise RefusedError("PostgreSQL does not run here: see this unit's status")
    positions = {unit.name: member.client(spec).position(unit) for unit in spec.units}
    holders = {name for name, data in others.items() if data.cluster_id}
    if silent := sorted(name for name in holders if positions.get(name, (0, 0)) < (1, 0)):
        raise RefusedError(
            f"{' and '.join(silent)} may have more, and does not tell: see its machine; "
            f"{status.way_out(silent)}"
        )
    best = succession.newest(positions)
    if best != spec.me.name:
        raise RefusedError(f"the newest data is on {best}: run adopt-data there")


def _refuse_behind(spec: cluster.Spec, path: str) -> None:
    """Raise RefusedError where this unit may lack rows, unless the path says it is meant."""
    own = str(pgdata.path(spec.scope))
    if path not in ("", own):
        raise RefusedError(f"this unit goes on from its own data, in {own}: leave out path")
    if path:
        return
    held = quorum.in_step(spec)
    if spec.me.member_name not in held:
        who = (
            " and ".join(map(succession.unit_name, held))
            or "a member that etcd does not name here"
        )
        raise RefusedError(
            f"the last rows may be on {who} only: start that machine, or accept their loss with "
            f"path={own}"
        )
    if not quorum.has_followed(spec):
        raise RefusedError(
            "this unit was started again without the others, which may have gone on while it was "
            f"off: start one of their machines, or accept the loss with path={own}"
        )


def _why_not_adopt(view: cluster.View) -> str:
    if cluster.step(view) is cluster.Step.WAIT_PEERS:
        unmet = ", ".join(sorted(view.unmet))
        return f"{unmet} may have the cluster: wait for them; {status.way_out(view.unmet)}"
    return "there never was a cluster: nothing to adopt"
