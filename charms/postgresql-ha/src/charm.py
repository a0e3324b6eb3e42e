#!/usr/bin/env python3
# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Operate a member of a PostgreSQL cluster under Patroni and etcd."""

import dataclasses
import logging

import ops

import actions
import cluster
import databases
import etcdctl
import keys
import member
import membership
import peers
import postgresql
import remembered
import rest
import status
from charmed_maas import apt_source, secrets, systemd, words

logger = logging.getLogger(__name__)

DB = "db"


class PostgreSQLHACharm(ops.CharmBase):
    """One unit of postgresql-ha."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        # Before the endpoints observe: what they start must know that this unit leaves.
        for name in (peers.PEERS, DB):
            framework.observe(self.on[name].relation_departed, self._on_departed)
        framework.observe(self.on[DB].relation_broken, self._on_db_broken)
        self.peers = peers.Peers(self, peers.PEERS)
        self.db = databases.Databases(self, DB, self.peers)
        self._trouble = self._failure = ""
        self._no_vote: tuple[str, ...] = ()
        self._goals: dict[str, bool] = {}
        self._content: dict[str, str] = {}
        for event in (
            *(self.on.install, self.on.start, self.on.config_changed, self.on.leader_elected),
            *(self.on.upgrade_charm, self.on.update_status, self.on.secret_changed),
            *(self.peers.on.changed, self.db.on.changed),
        ):
            framework.observe(event, self._reconcile)
        framework.observe(self.on.stop, self._on_stop)
        framework.observe(self.on.remove, self._on_remove)
        framework.observe(self.on.collect_unit_status, self._on_collect_unit_status)
        self.actions = actions.Actions(self)

    def _on_departed(self, event: ops.RelationDepartedEvent) -> None:
        """Let the peers hear that this unit leaves: a changed databag wakes them."""
        if event.departing_unit == self.unit:
            self.peers.publish_unit(dataclasses.replace(self.peers.own_data(), leaving=True))

    def _on_db_broken(self, event: ops.RelationBrokenEvent) -> None:
        """Forget the credentials of a relation that is gone, but not of a unit that is."""
        if self.unit.is_leader() and not self._is_leaving():
            databases.forget(self.model, event.relation)

    def _reconcile(self, _: ops.EventBase) -> None:
        """Bring the unit to the state that config and relations describe."""
        if self._is_leaving() or not self._prepare():
            return
        app = self.peers.app_data()
        if not app or (self.unit.is_leader() and not self._nominate(app)):
            return
        own, spec = self.peers.own_data(), self.spec(app)
        part, admits = own.etcd, own.admits
        try:
            part = self._ensure_member(app, spec) if spec else ""
            admits = member.admits(spec) if spec else ()
        except status.FAILURES as error:
            # Whom it lets in stays told as it was; the leader leads on, by the other members.
            self._failure = status.failed(error)
            logger.warning("the next event tries again: %s", self._failure)
        self._publish(app, part, admits)
        if spec and self.unit.is_leader():
            self._lead(spec)

    def _on_stop(self, _: ops.StopEvent) -> None:
        """Hand over and set the data aside.

        After a restart of its agent a dying unit has no peers relation any more.
        """
        app = self.peers.app_data()
        spec = (self.spec(app) if app else None) or remembered.spec(self.unit.name)
        if spec:
            member.leave(peers.as_known_last(spec, remembered.peers(), self.goals))

    def _on_remove(self, _: ops.RemoveEvent) -> None:
        member.clear(self.unit.name, self.app.name)

    def _on_collect_unit_status(self, event: ops.CollectStatusEvent) -> None:
        for one in self._statuses():
            event.add_status(type(one)(words.one_line(one.message)))

    @property
    def strict(self) -> bool:
        """The option synchronous-mode-strict."""
        return bool(self.config["synchronous-mode-strict"])

    @property
    def goals(self) -> dict[str, bool]:
        """All units there are, and whether each is to stay; asked for once."""
        self._goals = self._goals or self.peers.goals()
        return self._goals

    @property
    def others(self) -> dict[str, peers.UnitData]:
        """What the peers wrote that there still are."""
        return self.peers.others(self.goals)

    def view(self, app: peers.AppData) -> cluster.View:
        """Return what this unit decides its step from."""
        others = self.others
        return cluster.View(
            me=self.unit.name,
            peers=tuple(self.goals.keys() - {self.unit.name}),
            has_keys=bool(self.keys(app)) and bool(self.peers.address()),
            cluster_id=app.cluster_id,
            bootstrap_unit=app.bootstrap_unit,
            own_cluster_id=member.own_cluster_id(self.app.name),
            members=tuple(
                name for name, data in others.items() if data.cluster_id == app.cluster_id
            ),
            unmet=tuple((self.goals.keys() - self.peers.met()) | self.peers.garbled(self.goals)),
            leaving=peers.leaving(others, self.goals),
        )

    def spec(self, app: peers.AppData) -> cluster.Spec | None:
        """Return what this unit's daemons are configured from, None while something lacks."""
        keys = self.keys(app)
        address = self.peers.address()
        if not keys or not address:
            return None
        others = self.others
        silent = self.peers.garbled(self.goals) | self.peers.unlisted(self.goals)
        return cluster.Spec(
            me=cluster.Unit(self.unit.name, address),
            peers=peers.units_of(
                others, [one for one in remembered.peers() if one.name in silent]
            ),
            scope=self.app.name,
            keys=keys,
            clients=databases.clients(self.db.requests()),
            leaving=peers.leaving(others, self.goals) - {self.unit.name},
        )

    def keys(self, app: peers.AppData) -> cluster.Keys | None:
        """Return the content of the application's secret, None before it can be read."""
        if app.secret_id and not self._content:
            self._content = secrets.read(self.model, app.secret_id) or {}
        return keys.parse(self._content)

    def _ensure_member(self, app: peers.AppData, spec: cluster.Spec) -> str:
        """Have this unit's daemons at work as far as it may; returns its part in etcd.

        Raises one of status.FAILURES.
        """
        step = cluster.step(self.view(app))
        if step is cluster.Step.BOOTSTRAP:
            member.bootstrap(spec, strict=self.strict)
        if step is not cluster.Step.RUN:
            return ""
        admitted = peers.is_admitted(self.others, self.unit.name)
        part = member.run(spec, app.cluster_id, strict=self.strict, admitted=admitted)
        self.db.publish_admitted()
        return part

    def _is_leaving(self) -> bool:
        return self.peers.own_data().leaving or not self.goals.get(self.unit.name, False)

    def _prepare(self) -> bool:
        """Have the packages, and the machine to ourselves; returns whether both are so."""
        try:
            postgresql.install()
            self._trouble = member.take_over(self.unit.name)
        except apt_source.SourceError as error:
            self._trouble = words.brief(str(error))
            return False
        except systemd.SystemdError as error:
            self._trouble = status.failed(error)
            return False
        self.unit.set_workload_version(postgresql.version())
        if self._trouble:
            return False  # Juju refuses a port that another unit has on the machine.
        self.unit.set_ports(ops.Port("tcp", 5432))
        return bool(self.peers.relation)

    def _nominate(self, app: peers.AppData) -> bool:
        """As the leader, make the secret and name the unit that may bootstrap.

        It takes effect in a later hook only, once it is committed: a leader that dies between
        bootstrapping and its hook's end is then known to have been the one. False when a unit
        has a cluster that the databag does not know: that one is not to be doubled.
        """
        holders = [name for name, data in self.others.items() if data.cluster_id]
        if holders and not app.cluster_id and not app.bootstrap_unit:
            self._trouble = status.lost_cluster_id(holders[0])
            return False
        if not app.secret_id:
            app = dataclasses.replace(app, secret_id=keys.ensure(self.model))
        if not app.cluster_id and not app.bootstrap_unit:
            app = dataclasses.replace(app, bootstrap_unit=self.unit.name)
        self.peers.publish_app(app)
        return True

    def _publish(self, app: peers.AppData, part: str, admits: tuple[str, ...]) -> None:
        own = member.own_cluster_id(self.app.name)
        newest = member.set_aside(app.cluster_id) if app.cluster_id and not own else None
        data = peers.UnitData(
            address=self.peers.address(),
            cluster_id=own,
            etcd=part,
            set_aside=(newest.timeline, newest.lsn) if newest else None,
            outlived=bool(newest and newest.went_on),
            admits=admits,
        )
        self.peers.publish_unit(data)

    def _lead(self, spec: cluster.Spec) -> None:
        """Do what one unit does for all: record the cluster, keep etcd, serve databases."""
        app = self.peers.app_data()
        units = {**self.others, self.unit.name: self.peers.own_data()}
        if app and not app.cluster_id and app.bootstrap_unit in units:
            made = units[app.bootstrap_unit].cluster_id
            app = dataclasses.replace(app, cluster_id=made)
            self.peers.publish_app(app)
        if not app or not app.cluster_id or units[self.unit.name].cluster_id != app.cluster_id:
            return
        try:
            etcd = membership.ensure_etcd(spec, self.goals)
            self._no_vote = etcd.missing
            app = dataclasses.replace(app, etcd_members=etcd.units)
            self.peers.publish_app(app)
            membership.ensure_config(spec, len(spec.clients), strict=self.strict)
            requests = self.db.requests()
            members = member.client(spec).members()
            if databases.serve(self.db, requests, members, spec, voters=etcd.voters):
                served = tuple((one.relation.id, one.database) for one in requests)
                self.peers.publish_app(dataclasses.replace(app, databases=served))
        except (etcdctl.EtcdError, rest.RestError, postgresql.PostgresqlError) as error:
            # A failover in progress, or no quorum: the status tells, and the next event repeats.
            logger.warning("the cluster cannot be led now: %s", error)

    def _statuses(self) -> list[ops.StatusBase]:
        """Return what the operator should know, worst first."""
        if self._is_leaving():
            return [ops.MaintenanceStatus("leaving the cluster")]
        if self._trouble:
            return [ops.BlockedStatus(self._trouble)]
        if not self.peers.relation or not self.peers.address():
            return [ops.WaitingStatus("for the peers relation")]
        app = self.peers.app_data()
        if not app:
            return [ops.BlockedStatus(status.unreadable(self.peers.problems))]
        found = status.before_running(self.view(app), self.others, self.peers.own_data())
        spec = self.spec(app)
        if not found and spec:
            found = status.running(spec, app.etcd_members, self._no_vote)
        found = found or ops.WaitingStatus("for the leader's secret")
        problems = status.garbled([*self.db.problems, *self.peers.problems], self.unit.name)
        failure = [ops.BlockedStatus(self._failure)] if self._failure else []
        # A quorum that is lost says more than a daemon that misses it.
        return [*map(ops.BlockedStatus, problems), found, *failure]


if __name__ == "__main__":  # pragma: nocover
    ops.main(PostgreSQLHACharm)
