# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Operate a MAAS rack controller: enrolled with the regions, connected to each of them."""

import logging

import ops

import charmed_maas.peers
import dhcp_status
import isolation
import peers
import rack
import turns
import watched
import witness_server
from charmed_maas import apt_source, arping, secrets, systemd, watchdog_timer, words
from charmed_maas.interfaces import maas_rpc

logger = logging.getLogger(__name__)

RPC = "rpc"
REFUSALS = (apt_source.SourceError, rack.RackError, systemd.SystemdError)


class MAASRackCharm(ops.CharmBase):
    """One unit of maas-rack."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        self.rpc = maas_rpc.MAASRPCRequirer(self, RPC)
        self.peers = peers.Peers(self, peers.PEERS)
        self._statuses: list[ops.StatusBase] = []
        for event in (
            *(self.on.install, self.on.start, self.on.config_changed, self.on.leader_elected),
            *(self.on.upgrade_charm, self.on.update_status, self.on.secret_changed),
            *(self.rpc.on.changed, self.peers.on.changed),
        ):
            framework.observe(event, self._reconcile)
        framework.observe(self.on.stop, self._on_stop)
        framework.observe(self.on.remove, self._on_remove)
        framework.observe(self.on.collect_unit_status, self._on_collect_unit_status)

    def _reconcile(self, event: ops.EventBase) -> None:
        """Bring the unit to the state that config and relations describe."""
        self._statuses = []
        try:
            self._statuses += self._ensure_installed()
            self._statuses += self._converge(event)
            refused = watchdog_timer.try_ensure(watched.CHARM, watched.__file__)
            self._statuses += map(self._blocked, refused)
        except REFUSALS as refusal:
            logger.warning("nothing was changed: %s", refusal)
            self._statuses.append(self._blocked(str(refusal)))

    def _on_stop(self, _: ops.EventBase) -> None:
        """Leave MAAS; a region deletes the controller. The packages stay."""
        if charmed_maas.peers.beside(self.unit.name):
            return
        self._give_up()

    def _on_remove(self, _: ops.RemoveEvent) -> None:
        if charmed_maas.peers.beside(self.unit.name):
            return
        self._give_up()
        rack.remove()

    def _give_up(self) -> None:
        systemd.try_each(lambda: watchdog_timer.remove(watched.CHARM))
        self._leave()

    def _leave(self) -> None:
        # What stays of them looks for this charm's files, which go with the unit.
        systemd.try_each(isolation.remove, witness_server.remove)
        rack.leave()

    def _look_after_dhcp(self, grace_s: int) -> list[ops.StatusBase]:
        """Have what a dead rack's replacement takes; returns what stands against it."""
        applied_s, problems = 0, list[ops.StatusBase]()
        try:
            isolation.ensure(grace_s)
            applied_s = grace_s
            witness_server.ensure()
            # Last: what needs none of it is answered where no mirror has it.
            arping.install()
        except (systemd.SystemdError, apt_source.SourceError) as error:
            problem = f"the regions cannot look after DHCP here: {error}"
            problems.append(self._blocked(problem))
        self.rpc.publish(maas_rpc.RequirerUnitData(rack.hostname(), rack.system_id(), applied_s))
        return problems

    def _on_collect_unit_status(self, event: ops.CollectStatusEvent) -> None:
        """Report what reconciling found."""
        for status in self._statuses:
            event.add_status(status)

    def _ensure_installed(self) -> list[ops.StatusBase]:
        """Install what is missing; returns why it is not possible.

        Raises apt_source.SourceError where no version is there to go on with.
        """
        try:
            rack.install(str(self.config["source"]))
        except apt_source.SourceError as error:
            if not rack.version():
                raise
            return [self._blocked(str(error))]
        return []

    def _converge(self, event: ops.EventBase) -> list[ops.StatusBase]:
        """Change what differs; returns the unit's statuses. Raises one of REFUSALS."""
        self.unit.set_workload_version(rack.version())
        if not self.rpc.relations:
            if not rack.started_url():
                # The package starts it, without a MAAS to go to.
                self._leave()
            self.peers.publish(self._started())
            if isinstance(event, ops.InstallEvent):
                return []  # Juju shows no relation before install has ended.
            return [ops.BlockedStatus("integrate rpc with maas-region")]
        if not (enrolment := self.rpc.get()):
            if self.rpc.problems:
                problem = self.rpc.problems[0]
                return [ops.BlockedStatus(f"nothing was changed: {problem}")]
            return [ops.WaitingStatus("for maas-region to share URL and secret")]
        ahead = self._enrol(enrolment)
        self.peers.publish(self._started())
        self._tell_regions()
        told = [charmed_maas.peers.with_remedy(one, self.unit.name) for one in self.peers.problems]
        garbled = [ops.BlockedStatus(one) for one in told]
        if ahead:
            turn = "waiting for its turn to restart with a new URL or secret, after "
            turn += words.listed(ahead)
            return [*garbled, ops.MaintenanceStatus(turn)]
        problems = [*garbled, *self._look_after_dhcp(enrolment.dhcp_grace_s)]
        remarks = dhcp_status.remarks()
        silent = [ops.WaitingStatus(one.text) for one in remarks if not one.answers]
        facts = [one.text for one in remarks if one.answers]
        connection = self._connection_status(rack.hosts(enrolment.region_urls), facts)
        return [*problems, connection, *silent]

    def _enrol(self, enrolment: maas_rpc.Enrolment) -> list[str]:
        """Have rackd run with URL and secret; returns the racks that go first, if it waits."""
        url, secret = enrolment.urls[0], enrolment.shared_secret
        rack.ensure_config(enrolment.urls)
        rack.ensure_secret(secret)
        if rack.is_current(url, secret):
            # Also where the regions went back to it before the turn came.
            turns.end_wait()
        else:
            wanted = peers.Started(url, secrets.mark(secret))
            ahead = peers.ahead(self.peers.others(), self.unit.name, wanted)
            regions = rack.hosts(enrolment.region_urls)
            if ahead and rack.can_wait(regions) and not turns.waited_long(ahead):
                return ahead
            rack.restart(url, secret)
            rack.settle(regions)
        return []

    def _started(self) -> peers.Started:
        return peers.Started(rack.started_url(), rack.started_mark())

    def _tell_regions(self) -> None:
        """As the leader, tell the regions once every rack runs with the same secret.

        The racks' databags are read only while it changes: there may be many.
        """
        own = self._started()
        if self.unit.is_leader() and not self.rpc.has_told(own.mark):
            mark = peers.common_mark([own, *self.peers.others().values()])
            # Whoever cannot be read may run with any secret.
            mark = "" if self.peers.problems else mark
            self.rpc.publish_app(maas_rpc.RequirerAppData(mark))

    def _blocked(self, problem: str) -> ops.StatusBase:
        """Return the status for what others say, who may say it in many lines."""
        return ops.BlockedStatus(words.brief(problem))

    def _connection_status(self, regions: set[str], facts: list[str]) -> ops.StatusBase:
        found = rack.connected(regions)
        if not found:
            none = f"connected to none of {len(regions)} regions"
            return ops.WaitingStatus(words.with_cause(none, rack.first_cause()))
        connected = f"connected to {len(found)} of {len(regions)} regions"
        offer = [f"apt offers {version}"] if (version := rack.offered()) else []
        return ops.ActiveStatus("; ".join([connected, *facts, *offer]))


if __name__ == "__main__":
    ops.main(MAASRackCharm)
