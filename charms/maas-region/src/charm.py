# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Operate a MAAS region controller."""

import dataclasses
import functools
import logging
import time
from collections.abc import Callable

import ops

import actions
import charmed_maas.peers
import config
import controllers
import credentials
import database
import db_proxy
import departures
import dhcp_ha
import peers
import ports
import racks
import region
import serving
import settings
import status
import traffic
import urls
import watched
from charmed_maas import addresses, apt_source, systemd, watchdog_timer
from charmed_maas.interfaces import db, maas_api

DB = "db"
API = "api"
RPC = "rpc"
PEERS = "peers"
# MAAS's agents ask the host of the first MAAS URL, the VIP, for the internal API and Temporal.
SERVICES = (
    maas_api.Service(
        name="maas",
        backend_port=region.PORT,
        check="/MAAS/api/2.0/version/",
        agent_port=traffic.PORT,
    ),
    maas_api.Service("internal-api", region.INTERNAL_PORT, region.INTERNAL_PORT, "tcp"),
    maas_api.Service("temporal", region.TEMPORAL_PORT, region.TEMPORAL_PORT, "tcp"),
)
# At these stages MAAS must not take traffic; at others it keeps what it had, for a database that
# is away for a moment must not empty the VIP's backend until the next event.
NOT_STARTED = (serving.Stage.REFUSED, serving.Stage.MIGRATING, serving.Stage.ELSEWHERE)

logger = logging.getLogger(__name__)


class MAASRegionCharm(ops.CharmBase):
    """One region controller of a MAAS."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        self._situation: status.Situation | None = None
        # Before the endpoints: their `changed` reconciles with what this one notes.
        for name in (DB, API, RPC, PEERS):
            framework.observe(self.on[name].relation_departed, self._on_departed)
        self._options = config.Config.of(self.config)
        self.peers = peers.Peers(self, PEERS)
        self.database = db.DatabaseRequirer(self, DB)
        self.api = maas_api.MAASAPIProvider(self, API)
        self._racks = racks.Racks(self, RPC, self.peers)
        self.rpc = self._racks.endpoint
        self.urls = urls.URLs(self.unit, self._options.maas_url, self.peers, self.api)
        lifecycle = (self.on.install, self.on.start, self.on.upgrade_charm, self.on.update_status)
        changes = (self.on.config_changed, self.on.leader_elected, self.on.secret_changed)
        endpoints = (self.peers, self.database, self.api, self.rpc)
        for event in (*lifecycle, *changes, *(one.on.changed for one in endpoints)):
            framework.observe(event, self._reconcile)
        framework.observe(self.on.stop, self._on_stop)
        framework.observe(self.on.remove, self._on_remove)
        framework.observe(self.on.collect_unit_status, self._on_collect_unit_status)
        framework.observe(self.on.pause_action, self._on_pause)
        framework.observe(self.on.resume_action, self._on_resume)
        self.credentials = credentials.Credentials(self, self.peers, self._options.rotation)
        self.actions = actions.Actions(self, self.peers, self.database, self.api, self.rpc)

    def _on_departed(self, event: ops.RelationDepartedEvent) -> None:
        """Note that this unit itself leaves: it takes no traffic from now on."""
        if event.departing_unit == self.unit:
            self.peers.publish(dataclasses.replace(self.peers.own(), leaving=True, ready=False))

    def _reconcile(self, _: ops.EventBase) -> None:
        """Bring the unit to the state that config and relations describe."""
        if self.peers.is_leaving():
            self._publish_unit(ready=False)
            self._situation = status.Situation(is_leaving=True)
            return
        problem = self._ensure_installed()
        if not region.version():
            self._situation = status.Situation(problem=problem)
            return
        problem = problem or self._options.problem or self.urls.problem
        self.unit.set_workload_version(region.version())
        refused = watchdog_timer.try_ensure(watched.CHARM, watched.__file__)
        refused += systemd.try_each(traffic.ensure)
        ports.ensure_open()
        connection = self.database.get()
        outcome = self._ensure_serving(connection)
        serves, is_leader = bool(outcome and outcome.is_serving), self.unit.is_leader()
        if is_leader and self.peers.is_readable():
            self._publish_app(outcome)
        refused += self._ensure_jobs(serves=serves)
        maas_url = self.urls.maas()
        # The action health alone goes by what they say: it is read here to name who garbled it.
        self.api.vip_units()
        endpoints = (self.peers, self.database, self.api, self.rpc)
        self._situation = status.Situation(
            is_paused=self.peers.own().paused,
            problem=problem,
            refused_by_systemd=tuple(refused),
            databag_problems=status.databag_problems(endpoints, self.unit.name),
            has_database_relation=bool(self.database.relations),
            has_database=connection is not None,
            has_url=bool(maas_url),
            kept_url=maas_url if region.vip_of(maas_url) and not self.api.get() else "",
            outcome=outcome,
            refusals=settings.ensure(self._options.maas) if serves and is_leader else (),
            dhcp=dhcp_ha.told(),
            regions=len(self.peers.serving()),
            offered=region.offered() if serves else "",
        )

    def _ensure_installed(self) -> str:
        """Install what is missing; returns why it is not possible."""
        try:
            region.install(self._options.source)
            db_proxy.install()
        except apt_source.SourceError as error:
            return str(error)
        return ""

    def _ensure_serving(self, connection: db.DatabaseConnection | None) -> serving.Outcome | None:
        """Serve when all that it takes is there; None while something is missing.

        Where nothing is to be served, what failed at stopping it.
        """
        if not self.database.relations:
            outcome = serving.stop()
            self._publish_unit(ready=False)
            return outcome
        if self.unit.is_leader():
            self.database.request(database.NAME)
        own = self.peers.own()
        self._publish_unit(ready=own.ready and not own.paused)
        maas_url = self.urls.regions()
        if own.paused:
            return serving.pause()
        if not connection or not maas_url or not self.peers.is_readable():
            return None
        outcome = serving.ensure(self._wish(connection, maas_url))
        if outcome.is_serving:
            self._publish_unit(ready=True, cluster=outcome.cluster)
        elif outcome.stage in NOT_STARTED:
            self._publish_unit(ready=False)
        return outcome

    def _ensure_jobs(self, *, serves: bool) -> list[str]:
        """Have what goes on without Juju, and without a database; returns what systemd refuses."""
        steps = list[Callable[[], object]]()
        if self.peers.is_readable():
            departed = self.peers.app().departed
            steps.append(functools.partial(controllers.ensure_departed, departed))
        is_wanted = self._dhcp_grace_s() > 0
        if serves and is_wanted:
            steps.append(dhcp_ha.ensure)
        elif not is_wanted or not self.peers.own().ready:
            steps.append(dhcp_ha.remove)
        return systemd.try_each(*steps)

    def _dhcp_grace_s(self) -> int:
        """Return after how many seconds a dead rack is replaced as DHCP server, 0 for never."""
        return self._options.dhcp_grace_s if self.rpc.relations else 0

    def _login(self, connection: db.DatabaseConnection) -> database.Login:
        login = connection.credentials
        name = connection.provider.database or database.NAME
        return database.Login(name, login.username, login.password)

    def _wish(self, connection: db.DatabaseConnection, maas_url: str) -> serving.Wish:
        given = connection.provider
        return serving.Wish(
            unit=self.unit.name,
            members=db_proxy.Members.of(
                given.primary, given.members, given.health_port, given.health_ca
            ),
            login=self._login(connection),
            maas_url=maas_url,
            address=self._address(),
            num_workers=self._options.num_workers,
            expected_cluster=self.peers.cluster(),
            versions=self.peers.versions(),
            others=self.peers.serving_beside(),
            have_followed=self.rpc.have_followed,
        )

    def _publish_unit(self, *, ready: bool, cluster: str = "") -> None:
        """Tell peers and haproxy-vip about this unit; cluster is the one it serves with."""
        own = self.peers.own()
        self.peers.publish(
            dataclasses.replace(
                own,
                address=self._address(),
                ready=ready,
                system_id=region.system_id() or own.system_id,
                version=region.version(),
                started=region.started_at(),
                cluster=cluster or own.cluster,
            )
        )
        self.api.publish_unit(maas_api.ProviderUnitData(self._address(), ready))
        self.database.publish_unit(db.RequirerUnitData(self._address()))
        if self.unit.is_leader():
            self.api.publish_app(maas_api.ProviderAppData(SERVICES))

    def _publish_app(self, outcome: serving.Outcome | None) -> None:
        """Write down what outlives units, and tell the racks where to go."""
        app = self.peers.app()
        alive = self.peers.living(RPC) if self.rpc.relations else set[str]()
        now = int(time.time())
        members, departed = controllers.settle(
            (*app.members, *self.peers.regions(), *self._racks.noted),
            app.departed,
            {"region": self.peers.living(), "rack": alive},
            now,
        )
        if departed and outcome and outcome.is_serving:
            departed = controllers.still_known(departed)
        departures.tell([(one.kind, one.system_id) for one in departed], now)
        maas_url = self.urls.maas()
        data = peers.AppData(
            self.peers.cluster(), maas_url, members, departed, own_url=self.urls.own()
        )
        self.peers.publish_app(data)
        regions = [region.url(address) for address in self.peers.for_racks()]
        if secret_id := self.credentials.publish(self.rpc.relations, outcome):
            self._racks.publish(maas_url, regions, secret_id, self._dhcp_grace_s(), members)

    def _address(self) -> str:
        """Return this unit's own address, as its peers reach it; never a VIP."""
        through_vip = self.api.get()
        # Those from before too: haproxy-vip on this machine may still have to let them go.
        vips = {region.configured_vip(), region.vip_of(self.peers.app().maas_url)}
        vips.add(through_vip.vip if through_vip else "")
        return addresses.own_address(self.model.get_binding(PEERS), never=vips)

    def _on_pause(self, event: ops.ActionEvent) -> None:
        """Drain and stop this region, if another one serves."""
        if problem := self._pause():
            event.fail(problem)
            return
        self.peers.publish(dataclasses.replace(self.peers.own(), paused=True, ready=False))
        self._reconcile(event)

    def _pause(self) -> str:
        """Have MAAS stopped here; returns why not, "" when it is."""
        if not (connection := self.database.get()):
            return "no database: MAAS does not serve anywhere"
        return serving.pause_in_turn(
            self._login(connection), self.unit.name, self.peers.serving_beside()
        )

    def _on_resume(self, event: ops.ActionEvent) -> None:
        """Let this region serve again."""
        self.peers.publish(dataclasses.replace(self.peers.own(), paused=False))
        self._reconcile(event)

    def _on_stop(self, _: ops.StopEvent) -> None:
        """Drain and stop; the other regions delete this one from MAAS."""
        self._situation = status.Situation(is_leaving=True)
        if charmed_maas.peers.beside(self.unit.name):
            return
        watchdog = functools.partial(watchdog_timer.remove, watched.CHARM)
        systemd.try_each(watchdog, dhcp_ha.remove, serving.leave, traffic.remove)

    def _on_remove(self, _: ops.RemoveEvent) -> None:
        if charmed_maas.peers.beside(self.unit.name):
            return
        watchdog = functools.partial(watchdog_timer.remove, watched.CHARM)
        systemd.try_each(watchdog, controllers.remove, dhcp_ha.remove, traffic.remove)
        region.forget()

    def _on_collect_unit_status(self, event: ops.CollectStatusEvent) -> None:
        # Actions and secret events without a reconcile leave the status as it is.
        for one in status.ladder(self._situation) if self._situation else ():
            event.add_status(one)


if __name__ == "__main__":
    ops.main(MAASRegionCharm)
