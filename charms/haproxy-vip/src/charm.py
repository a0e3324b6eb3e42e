# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Operate HAProxy and keepalived: one virtual IP in front of all MAAS regions."""

import logging
from collections.abc import Collection, Sequence

import ops

import charmed_maas.peers
import claims
import config
import haproxy
import keepalived
import network
import peers
import routes
import status
import watched
from charmed_maas import addresses, systemd, watchdog_timer
from charmed_maas.interfaces import maas_api

logger = logging.getLogger(__name__)

API = "api"


class HAProxyVIPCharm(ops.CharmBase):
    """One unit of haproxy-vip."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        # Observed first: a unit that goes must not reconcile once more before.
        framework.observe(self.on[API].relation_departed, self._on_departed)
        self.api = maas_api.MAASAPIRequirer(self, API)
        self._statuses: list[ops.StatusBase] = []
        peer = self.on[peers.PEERS]
        for event in (
            *(self.on.install, self.on.start, self.on.config_changed, self.on.leader_elected),
            *(self.on.upgrade_charm, self.on.update_status, self.api.on.changed),
            *(peer.relation_created, peer.relation_joined, peer.relation_changed),
        ):
            framework.observe(event, self._reconcile)
        framework.observe(peer.relation_departed, self._on_departed)
        framework.observe(self.on.stop, self._on_stop)
        framework.observe(self.on.remove, self._on_remove)
        framework.observe(self.on.collect_unit_status, self._on_collect_unit_status)
        framework.observe(self.on.show_vip_action, self._on_show_vip)
        framework.observe(self.on.move_vip_action, self._on_move_vip)
        framework.observe(self.on.pause_action, self._on_pause)
        framework.observe(self.on.resume_action, self._on_resume)

    def _reconcile(self, event: ops.EventBase) -> None:
        """Bring the unit to the state that config and relations describe."""
        if other := keepalived.other_unit(self.unit.name):
            words = f"{other} has its VIP on this machine: use another machine"
            self._statuses = [ops.BlockedStatus(words)]
            return
        if isinstance(event, ops.InstallEvent):
            keepalived.set_flag(keepalived.LEAVING, on=False)
        if keepalived.is_set(keepalived.LEAVING):
            return
        peers.publish_paused(self.model, on=keepalived.is_set(keepalived.PAUSED))
        try:
            self._statuses = self._converge(event)
            if not isinstance(event, ops.InstallEvent):
                refused = watchdog_timer.try_ensure(watched.CHARM, watched.__file__)
                self._statuses += map(status.blocked, refused)
        except status.REFUSALS as refusal:
            logger.warning("nothing was changed: %s", refusal)
            if not keepalived.is_running():
                # The others must not wait for a unit that does not take part.
                peers.publish(self.model, "", ())
                self.api.publish_unit(maas_api.RequirerUnitData())
            self._statuses = [status.failed(refusal)]

    def _on_departed(self, event: ops.RelationDepartedEvent) -> None:
        """Give the VIP away as soon as this unit is known to go, with HAProxy still serving."""
        if event.departing_unit == self.unit:
            if keepalived.other_unit(self.unit.name):
                return
            keepalived.set_flag(keepalived.LEAVING, on=True)
            keepalived.stop()
            # Juju 4.0 does not tell the others of a departing peer; a changed databag does.
            peers.publish(self.model, "", ())
            self.api.publish_unit(maas_api.RequirerUnitData())
        elif event.relation.name == peers.PEERS:
            self._reconcile(event)

    def _on_stop(self, _: ops.StopEvent) -> None:
        if keepalived.other_unit(self.unit.name):
            return
        keepalived.set_flag(keepalived.LEAVING, on=True)
        systemd.try_each(lambda: watchdog_timer.remove(watched.CHARM))
        keepalived.stop()
        haproxy.stop()

    def _on_remove(self, _: ops.RemoveEvent) -> None:
        """Leave the machine as the packages made it; others may share it."""
        if keepalived.other_unit(self.unit.name):
            return
        systemd.try_each(lambda: watchdog_timer.remove(watched.CHARM))
        keepalived.remove()
        haproxy.ensure_idle()

    def _on_collect_unit_status(self, event: ops.CollectStatusEvent) -> None:
        """Report what reconciling found; without it (show-vip) the status stays as it is."""
        for one in self._statuses:
            event.add_status(one)

    def _on_show_vip(self, event: ops.ActionEvent) -> None:
        vip = keepalived.configured_vip()
        if not vip:
            event.fail("there is no VIP here yet: set vip to a free address")
            return
        shown = [f"{one.name} {'up' if one.is_up else 'down'}" for one in haproxy.servers()]
        event.set_results(
            {
                "vip": vip,
                "url": config.maas_url(vip, haproxy.configured_port()),
                "holder": str(keepalived.is_vip_holder(vip)).lower(),
                "paused": str(keepalived.is_set(keepalived.PAUSED)).lower(),
                "regions": ", ".join(shown),
            }
        )

    def _on_move_vip(self, event: ops.ActionEvent) -> None:
        if self._refuses(event):
            return
        vip = keepalived.configured_vip()
        if not vip or not keepalived.is_vip_holder(vip):
            event.fail("this unit does not hold the VIP: run move-vip on the one that does")
        elif problem := keepalived.move_vip(vip, peers.paused(self.model)):
            event.fail(problem)
        else:
            event.set_results({"vip": vip, "holder": "false"})
            self._reconcile(event)

    def _on_pause(self, event: ops.ActionEvent) -> None:
        """Take this unit out, once another one has the VIP."""
        if self._refuses(event):
            return
        vip, problem = keepalived.configured_vip(), ""
        if not keepalived.configured_peers():
            problem = "there is no other unit to hold the VIP: run add-unit first"
        elif keepalived.is_vip_holder(vip):
            problem = keepalived.move_vip(vip, peers.paused(self.model))
        if problem:
            event.fail(problem)
            return
        keepalived.set_flag(keepalived.PAUSED, on=True)
        self._reconcile(event)

    def _on_resume(self, event: ops.ActionEvent) -> None:
        if self._refuses(event):
            return
        keepalived.set_flag(keepalived.PAUSED, on=False)
        self._reconcile(event)

    def _refuses(self, event: ops.ActionEvent) -> bool:
        """Fail an action that would hit another application's unit on this machine."""
        if other := keepalived.other_unit(self.unit.name):
            event.fail(f"{other} has its VIP on this machine: run it on that unit")
        return bool(other)

    def _converge(self, event: ops.EventBase) -> list[ops.StatusBase]:
        """Change what differs; returns the unit's statuses. Raises one of status.REFUSALS."""
        haproxy.install()
        if isinstance(event, ops.InstallEvent | ops.UpgradeCharmEvent):
            claims.install()
        keepalived.install()
        self.unit.set_workload_version(haproxy.version())
        if isinstance(event, ops.InstallEvent):
            return []  # Juju shows no relation before install has ended.
        cfg = config.parse(self.config)
        own = self._own_address(cfg.vip)
        goals = charmed_maas.peers.goal_state()
        others = peers.others(self.model, cfg.vip, own, goals)
        if not cfg.vip:
            self._idle(own)
            return [ops.BlockedStatus("set vip to a free address in the units' subnet")]
        here = network.interfaces()
        staying = charmed_maas.peers.living(goals, API) or ()
        configured = haproxy.configured_servers()
        backends = routes.with_kept(self.api.backends(), configured, staying)
        owners = {one.address: one.unit for one in (*backends, *others.peers)}
        claims.refuse_own(cfg.vip, owners, self.unit.name, here)
        place = network.place(here, cfg.vip, name=cfg.interface, preferred=own)
        are_all = self._are_all(others.listed, event) and not (others.problems or others.unlisted)
        if not claims.may_take(cfg.vip, place, here, others.addresses, are_all=are_all):
            return [self._status(cfg, others.problems, others.not_known, is_vip_holder=False)]
        ports = self._serve(cfg, backends, network.own_addresses(here))
        known, waiting = self._take_part(event, cfg, place, others)
        holder = keepalived.is_vip_holder(cfg.vip)
        peers.publish(self.model, place.own, known, is_vip_holder=holder)
        takes_part = not waiting and not keepalived.is_set(keepalived.PAUSED)
        self.api.publish_unit(maas_api.RequirerUnitData(place.own, takes_part))
        self.unit.set_ports(*ports)
        if self.unit.is_leader():
            self.api.publish(maas_api.RequirerAppData(vip=cfg.vip, url=cfg.url))
        return [self._status(cfg, others.problems, waiting, is_vip_holder=holder)]

    def _idle(self, own: str) -> None:
        """Serve nothing: there is no VIP."""
        keepalived.ensure_idle()
        haproxy.ensure_idle()
        peers.publish(self.model, own, ())
        self.api.publish_unit(maas_api.RequirerUnitData(own))
        self.unit.set_ports()
        if self.unit.is_leader():
            self.api.publish(maas_api.RequirerAppData(no_vip=True))

    def _serve(
        self, cfg: config.Config, backends: Sequence[maas_api.Backend], here: Collection[str]
    ) -> list[int]:
        """Have HAProxy serve what the regions ask for; returns the ports on the VIP.

        What the regions wrote badly or did not write yet, or a missing relation to them, leaves
        HAProxy as it is.
        """
        services = self.api.services()
        found = routes.build(services, backends, vip=cfg.vip, port=cfg.port)
        own_unit = haproxy.SERVICE if haproxy.is_managed() else ""
        held = network.held_ports(cfg.vip, [route.port for route in found], own_unit=own_unit)
        found = routes.bindable(found, held, backends=backends, here=here)
        unclear = self.api.problems or not services
        if not (unclear and haproxy.is_managed()):
            text = haproxy.render_config(found, balance=cfg.balance, maxconn=haproxy.maxconn())
            if haproxy.ensure_config(text) and any(backend.ready for backend in backends):
                haproxy.settle()
        return sorted({cfg.port, *(route.port for route in found)})

    def _take_part(
        self, event: ops.EventBase, cfg: config.Config, place: network.Place, others: peers.Others
    ) -> tuple[list[str], str]:
        """Run keepalived once it may; returns to whom it advertises, and for whom it waits."""
        keepalived.set_flag(keepalived.MOVING, on=False)
        if keepalived.configured_own() not in ("", place.own):
            # Nobody advertises to the new address yet: this unit joins anew.
            keepalived.stop()
        known = peers.to_advertise(others, keepalived.configured_peers(), place.own)
        keepalived.ensure_config(keepalived.Group.of(self.unit.name, cfg, place, known))
        if not (waiting := self._missing(event, cfg, place.own, others)):
            keepalived.ensure_running()
        return known, waiting

    def _missing(
        self, event: ops.EventBase, cfg: config.Config, own: str, others: peers.Others
    ) -> str:
        """Return whom this unit must wait for before it may take part, "" for nobody."""
        if keepalived.is_running():
            return ""
        if unaware := peers.unaware(
            others.peers, own, lambda one: network.is_alive(one, cfg.port)
        ):
            return f"{', '.join(unaware)} to advertise to this unit"
        known = sum(peer.stays for peer in others.peers)
        are_all = not others.problems and self._are_all(known, event)
        return "" if are_all else others.not_known

    def _are_all(self, number: int, event: ops.EventBase) -> bool:
        """Tell whether no unit runs beside this one and as many others.

        update-status comes only after every waiting relation event: who is unknown by then does
        not run.
        """
        is_settled = isinstance(event, ops.UpdateStatusEvent)
        return is_settled or number + 1 >= self.app.planned_units()

    def _status(
        self, cfg: config.Config, garbled: Sequence[str], waiting: str, *, is_vip_holder: bool
    ) -> ops.StatusBase:
        situation = status.Situation(
            garbled=garbled,
            problems=self.api.problems,
            is_related=bool(self.api.relations),
            waiting=waiting,
            is_paused=keepalived.is_set(keepalived.PAUSED),
            servers=haproxy.servers(),
            vip=cfg.vip,
            is_vip_holder=is_vip_holder,
        )
        return status.worst(situation)

    def _own_address(self, vip: str) -> str:
        """Return this unit's address; never a VIP, which Juju may see on the machine too."""
        vips = (vip, keepalived.configured_vip())
        return addresses.own_address(self.model.get_binding(peers.PEERS), never=vips)


if __name__ == "__main__":
    ops.main(HAProxyVIPCharm)
