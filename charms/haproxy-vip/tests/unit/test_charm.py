# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import dataclasses
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from ops import hookcmds, testing

import charm
import claims
import haproxy
import keepalived
import network
import status
import watched
from charmed_maas import apt_source, arping, commands, systemd, watchdog_timer
from charmed_maas.interfaces import maas_api

VIP = "10.0.0.100"
SERVICES = maas_api.ProviderAppData(
    (maas_api.Service("maas", 5240, check="/MAAS/api/2.0/version/"),)
).to_databag()


class Machine:
    """Both daemons and the network as the charm sees them; the texts rendered are real."""

    def __init__(self, stack: list[Any]) -> None:
        self.haproxy = self._replace(haproxy, stack, keep=("render_config",))
        self.keepalived = self._replace(keepalived, stack)
        self.haproxy.version.return_value = "3.0.11"
        self.haproxy.maxconn.return_value = 4096
        self.haproxy.is_managed.return_value = False
        self.haproxy.ensure_config.return_value = True
        self.haproxy.configured_port.return_value = 80
        self.haproxy.configured_servers.return_value = {}
        self.haproxy.servers.return_value = [
            haproxy.ServerState("maas-region-0", True),
            haproxy.ServerState("maas-region-1", False),
        ]
        self.flags: set[str] = set()
        self.keepalived.is_set.side_effect = lambda flag: flag.name in self.flags
        self.keepalived.set_flag.side_effect = self.set_flag
        self.keepalived.move_vip.return_value = ""
        self.keepalived.is_running.return_value = False
        self.keepalived.other_unit.return_value = ""
        self.keepalived.configured_vip.return_value = VIP
        self.keepalived.configured_peers.return_value = ["10.0.0.12"]
        self.keepalived.configured_own.return_value = "10.0.0.11"
        self.keepalived.stop.side_effect = self.stop
        self.keepalived.is_vip_holder.return_value = True
        self.links = network.parse_interfaces(
            '[{"ifname":"eth0","addr_info":['
            '{"local":"10.0.0.11","prefixlen":24,"scope":"global"}]}]'
        )
        self.held: dict[int, str] = {}
        self.asked_own_unit = ""
        self.alive: set[str] = {"10.0.0.12", "10.0.0.13"}
        self.macs = {"10.0.0.12": "52:54:00:00:00:12", "10.0.0.13": "52:54:00:00:00:13"}
        self.watchdog = self._replace(watchdog_timer, stack)
        self.watchdog.try_ensure.return_value = []
        self.install_arping = mock.Mock()
        for owner, name, fake in (
            (claims, "install", self.install_arping),
            (commands, "run", self.arping),
        ):
            stack.append(mock.patch.object(owner, name, fake))
            stack[-1].start()
        for name, fake in (
            ("interfaces", lambda: self.links),
            ("held_ports", self.held_ports),
            ("answers", lambda address, _: address in self.alive),
            ("is_alive", lambda address, _: address in self.alive),
        ):
            stack.append(mock.patch.object(network, name, side_effect=fake, autospec=True))
            stack[-1].start()

    def _replace(self, module: Any, stack: list[Any], keep: tuple[str, ...] = ()) -> Any:
        fakes = mock.Mock()
        for name, value in vars(module).copy().items():
            if (
                getattr(value, "__module__", "") == module.__name__
                and not isinstance(value, type)
                and not name.startswith("_")
                and name not in keep
            ):
                stack.append(mock.patch.object(module, name, autospec=True))
                setattr(fakes, name, stack[-1].start())
        return fakes

    def arping(self, argv: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        """Answer the only command that the charm itself comes to."""
        assert argv[0] == arping.ARPING
        mac = self.macs.get(argv[-1], "").upper()
        text = f"Unicast reply from {argv[-1]} [{mac}]  0.5ms\n" if mac else ""
        return subprocess.CompletedProcess(argv, int(not mac), text, "")

    def stop(self) -> bool:
        self.keepalived.is_running.return_value = False
        return True

    def held_ports(self, *_: object, own_unit: str) -> dict[int, str]:
        self.asked_own_unit = own_unit
        return self.held

    def set_flag(self, flag: Any, *, on: bool) -> bool:
        (self.flags.add if on else self.flags.discard)(flag.name)
        return True

    @property
    def text(self) -> str:
        return self.haproxy.ensure_config.call_args.args[0]

    @property
    def group(self) -> keepalived.Group:
        return self.keepalived.ensure_config.call_args.args[0]


@contextmanager
def replaced() -> Iterator[Machine]:
    """Put the machine in the place of the workload modules."""
    stack: list[Any] = []
    try:
        yield Machine(stack)
    finally:
        for patch in stack:
            patch.stop()


@pytest.fixture
def machine() -> Iterator[Machine]:
    with replaced() as found:
        yield found


@pytest.fixture
def ctx() -> testing.Context[charm.HAProxyVIPCharm]:
    return testing.Context(charm.HAProxyVIPCharm)


def region(**data: str) -> dict[str, str]:
    return {"address": "10.0.0.21", "ready": "true"} | data


def api(regions: dict[int, dict[str, str]] | None = None, **app: str) -> testing.Relation:
    return testing.Relation(
        "api",
        interface="maas_api",
        remote_app_name="maas-region",
        remote_app_data=SERVICES | app,
        remote_units_data={0: region()} if regions is None else regions,  # type: ignore[arg-type]
    )


def peer(units: dict[int, dict[str, str]] | None = None) -> testing.PeerRelation:
    known = {1: {"address": "10.0.0.12", "peers": '["10.0.0.11"]'}}
    return testing.PeerRelation("peers", peers_data=known if units is None else units)  # type: ignore[arg-type]


def goals(monkeypatch: pytest.MonkeyPatch, **statuses: str) -> None:
    """Have goal-state name haproxy-vip/0 as unit_0, and so on."""
    units = {
        name.replace("unit_", "haproxy-vip/"): hookcmds.Goal(status=status, since=None)  # type: ignore[arg-type]
        for name, status in statuses.items()
    }
    known = hookcmds.GoalState(units=units, relations={})
    monkeypatch.setattr(hookcmds, "goal_state", lambda: known)


def network_get(address: str = "10.0.0.11") -> set[testing.Network]:
    bind = testing.BindAddress([testing.Address(address)], interface_name="eth0")
    return {testing.Network("peers", bind_addresses=[bind], ingress_addresses=[address])}


def state(*relations: testing.RelationBase, **changed: Any) -> testing.State:
    values: dict[str, Any] = {
        "relations": relations or (api(), peer()),
        "config": {"vip": VIP},
        "leader": True,
        "networks": network_get(),
        "planned_units": 2,
    }
    return testing.State(**(values | changed))


def run(ctx: Any, before: testing.State, event: Any = None) -> testing.State:
    return ctx.run(event or ctx.on.config_changed(), before)


def message(after: testing.State) -> str:
    return after.unit_status.message


def test_it_serves_and_publishes_vip_and_url(ctx: Any, machine: Machine):
    after = run(ctx, state())
    assert after.unit_status == testing.ActiveStatus("VIP holder, 1/2 regions up")
    assert after.get_relations("api")[0].local_app_data == {
        "vip": VIP,
        "url": f"http://{VIP}/MAAS",
    }
    assert after.get_relations("peers")[0].local_unit_data["address"] == "10.0.0.11"
    assert after.get_relations("peers")[0].local_unit_data["peers"] == '["10.0.0.12"]'
    assert f"bind {VIP}:80 transparent" in machine.text
    assert "server maas-region-0 10.0.0.21:5240 id 1" in machine.text
    assert (machine.group.interface, machine.group.own) == ("eth0", "10.0.0.11")
    assert after.opened_ports == {testing.TCPPort(80)}
    assert after.workload_version == "3.0.11"
    machine.keepalived.ensure_running.assert_called_once_with()


def test_who_does_not_hold_the_vip_stands_by(ctx: Any, machine: Machine):
    machine.keepalived.is_vip_holder.return_value = False
    assert message(run(ctx, state())) == f"ready to take {VIP}, 1/2 regions up"


def test_only_the_leader_publishes(ctx: Any, machine: Machine):
    after = run(ctx, state(leader=False))
    assert not after.get_relations("api")[0].local_app_data


def test_without_a_vip_it_is_idle_and_says_so(ctx: Any, machine: Machine):
    after = run(ctx, state(config={"vip": ""}))
    assert after.unit_status == testing.BlockedStatus(
        "set vip to a free address in the units' subnet"
    )
    machine.haproxy.ensure_idle.assert_called_once_with()
    machine.keepalived.ensure_idle.assert_called_once_with()
    assert after.get_relations("api")[0].local_app_data == {"no-vip": "true"}
    assert after.get_relations("peers")[0].local_unit_data["address"] == "10.0.0.11"


def refused(ctx: Any, machine: Machine, before: testing.State) -> str:
    """Return the message with which a unit blocks that touched no service."""
    after = run(ctx, before)
    assert isinstance(after.unit_status, testing.BlockedStatus)
    for call in (
        machine.haproxy.ensure_config,
        machine.haproxy.ensure_idle,
        machine.keepalived.ensure_config,
        machine.keepalived.ensure_idle,
        machine.keepalived.stop,
    ):
        call.assert_not_called()
    return after.unit_status.message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"vip": "nonsense"}, "vip 'nonsense' is not an address"),
        ({"vip": "192.0.2.10"}, "vip 192.0.2.10 is in no subnet"),
        ({"vip": "10.0.0.12"}, "vip 10.0.0.12 is haproxy-vip/1's own address"),
        ({"vip": "10.0.0.11"}, "vip 10.0.0.11 is haproxy-vip/0's own address"),
        ({"vip": "10.0.0.21"}, "vip 10.0.0.21 is maas-region/0's own address"),
        ({"vip": VIP, "port": 5240}, "port 5240 belongs to MAAS"),
        ({"vip": VIP, "interface": "eth7"}, "interface eth7 does not exist"),
    ],
)
def test_a_bad_option_blocks_and_services_go_on(
    ctx: Any, machine: Machine, config: dict[str, Any], words: str
):
    assert words in refused(ctx, machine, state(config=config))


def test_a_port_in_use_is_named_with_its_owner(ctx: Any, machine: Machine):
    machine.held = {80: "is held by nginx (nginx.service)"}
    assert refused(ctx, machine, state()) == (
        "port 80 is held by nginx (nginx.service): set port to a free one"
    )


PRINTER = "52:54:00:00:00:66"
TAKEN = "10.0.0.9"
IN_USE = f"vip {TAKEN} is in use: {PRINTER} answers for it on eth0: set a free one"


@pytest.mark.parametrize("runs", [False, True])
def test_a_new_vip_that_a_foreign_machine_has_is_refused(ctx: Any, machine: Machine, runs: bool):
    machine.keepalived.is_running.return_value = runs
    machine.macs[TAKEN] = PRINTER
    before = state(config={"vip": TAKEN})
    assert refused(ctx, machine, before) == IN_USE
    # A unit that refuses the first VIP takes its address back: it is a known unit, still.
    silent = state(api(), peer({1: {}}), config={"vip": TAKEN})
    assert refused(ctx, machine, silent) == IN_USE
    del machine.macs[TAKEN]
    assert run(ctx, before).unit_status.name == "active"
    assert machine.group.vip == TAKEN


def test_a_vip_that_is_configured_already_is_not_asked_for(ctx: Any, machine: Machine):
    machine.macs[VIP] = PRINTER
    assert run(ctx, state()).unit_status.name == "active"


def test_a_vip_that_another_unit_took_a_moment_ago_is_taken_too(ctx: Any, machine: Machine):
    machine.macs[TAKEN] = machine.macs["10.0.0.12"]
    assert run(ctx, state(config={"vip": TAKEN})).unit_status.name == "active"
    assert machine.group.vip == TAKEN


def test_a_newcomer_waits_to_know_whether_it_is_a_unit_that_has_the_vip(
    ctx: Any, machine: Machine
):
    machine.keepalived.configured_vip.return_value = ""
    machine.macs[VIP] = machine.macs["10.0.0.13"]
    first = {1: {"address": "10.0.0.12", "peers": '["10.0.0.11"]'}}
    for seen in ({}, first):
        after = run(ctx, state(api(), peer(seen), planned_units=3))
        assert after.unit_status == testing.WaitingStatus("for the other units' addresses")
    machine.haproxy.ensure_config.assert_not_called()
    machine.keepalived.ensure_config.assert_not_called()
    both = first | {2: {"address": "10.0.0.13", "peers": '["10.0.0.11"]'}}
    after = run(ctx, state(api(), peer(both), planned_units=3))
    assert after.unit_status.name == "active"


def test_who_is_unknown_at_update_status_does_not_have_the_vip(ctx: Any, machine: Machine):
    machine.macs[TAKEN] = PRINTER
    after = run(ctx, state(api(), peer({}), config={"vip": TAKEN}), ctx.on.update_status())
    assert after.unit_status == testing.BlockedStatus(IN_USE)


def test_a_peer_that_cannot_be_read_may_have_the_vip(ctx: Any, machine: Machine):
    machine.macs[TAKEN] = PRINTER
    garbled = state(api(), peer({1: {"address": "nowhere"}}), config={"vip": TAKEN})
    assert refused(ctx, machine, garbled).startswith("no peer was dropped: haproxy-vip/1 sent ")


def test_a_dying_peer_that_juju_lists_no_more_may_have_the_vip(
    ctx: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    goals(monkeypatch, unit_0="active", unit_1="dying", unit_2="active")
    machine.macs[TAKEN] = PRINTER
    units = {2: {"address": "10.0.0.13", "peers": '["10.0.0.11"]'}}
    after = run(ctx, state(api(), peer(units), config={"vip": TAKEN}))
    assert message(after) == "for the other units' addresses: haproxy-vip/1"
    machine.keepalived.ensure_config.assert_not_called()


def test_a_dying_peer_does_not_count_for_one_that_is_not_known_yet(
    ctx: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    goals(monkeypatch, unit_0="active", unit_1="dying", unit_2="active")
    machine.macs[TAKEN] = machine.macs["10.0.0.13"]
    after = run(ctx, state(config={"vip": TAKEN}))
    assert message(after) == "for the other units' addresses: haproxy-vip/2"


def test_arping_is_installed_with_the_other_packages(ctx: Any, machine: Machine):
    run(ctx, state(), ctx.on.install())
    machine.install_arping.assert_called_once_with()
    run(ctx, state())
    machine.install_arping.assert_called_once_with()


@pytest.mark.parametrize(("runs", "told"), [(False, None), (True, "10.0.0.11")])
def test_a_refusing_unit_that_takes_no_part_keeps_nobody_waiting(
    ctx: Any, machine: Machine, runs: bool, told: str | None
):
    machine.held = {80: "is held by nginx (nginx.service)"}
    machine.keepalived.is_running.return_value = runs
    own = testing.PeerRelation("peers", local_unit_data={"address": "10.0.0.11"})
    after = run(ctx, state(api(), own))
    assert after.get_relation(own.id).local_unit_data.get("address") == told


def test_somebody_elses_haproxy_holds_its_port(ctx: Any, machine: Machine):
    run(ctx, state())
    assert machine.asked_own_unit == ""
    machine.haproxy.is_managed.return_value = True
    run(ctx, state())
    assert machine.asked_own_unit == haproxy.SERVICE


def test_packages_that_cannot_be_had_block(ctx: Any, machine: Machine):
    machine.haproxy.install.side_effect = apt_source.SourceError("haproxy cannot be installed: x")
    assert refused(ctx, machine, state()) == "haproxy cannot be installed: x"


def test_a_command_that_does_not_end_is_told(ctx: Any, machine: Machine):
    hangs = commands.CommandError("haproxy did not end within 60 s")
    machine.haproxy.version.side_effect = hangs
    assert refused(ctx, machine, state()) == "haproxy did not end within 60 s"


def test_what_systemd_refuses_is_told(ctx: Any, machine: Machine):
    machine.watchdog.try_ensure.return_value = ["systemctl exited with 1: no"]
    after = run(ctx, state(api({0: region()}), peer()))
    assert after.unit_status == testing.BlockedStatus("systemctl exited with 1: no")
    machine.keepalived.ensure_running.assert_called()


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("[ALERT] Address already in use", "; haproxy: [ALERT] Address already in use"),
        ("[ALERT] Server maas-regions/maas-region-1 is DOWN", ""),
        ("", ""),
    ],
)
def test_a_daemon_that_does_not_run_is_told_in_one_line_with_its_cause(
    ctx: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch, cause: str, told: str
):
    def first_cause(services: list[str], *, recent: bool, but: re.Pattern[str]) -> str:
        assert (services, recent) == (["haproxy.service"], True)
        return f"haproxy: {cause}" if cause and not but.search(cause) else ""

    monkeypatch.setattr(status.journal, "first_cause", first_cause)
    said = "HAProxy does not run: systemctl exited with 1: Job for haproxy.service failed."
    for more in ("", "\nSee journalctl." * 40):
        machine.haproxy.ensure_config.side_effect = haproxy.HAProxyError(said + more)
        found = message(run(ctx, state()))
        assert found.startswith(said)
        assert found.endswith(told if told else ("failed.", " See journalctl.")[bool(more)])
        assert "\n" not in found
        assert len(found) <= 300


def test_no_cause_is_looked_for_of_a_port_that_another_haproxy_has(
    ctx: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(status.journal, "first_cause", lambda *_, **__: pytest.fail("asked"))
    machine.held = {80: "is held by haproxy (haproxy.service)"}
    assert refused(ctx, machine, state()).endswith("(haproxy.service): set port to a free one")


def test_what_the_watchdog_is_refused_in_many_lines_is_a_status_of_one(ctx: Any, machine: Machine):
    machine.watchdog.try_ensure.return_value = ["systemctl exited with 1:\n" + "no\n" * 300]
    found = message(run(ctx, state(api({0: region()}), peer())))
    assert found.startswith("systemctl exited with 1: no no")
    assert len(found) <= 300


def test_who_leaves_stops_also_where_systemd_keeps_the_watchdog(ctx: Any, machine: Machine):
    machine.watchdog.remove.side_effect = systemd.SystemdError("systemctl exited with 1: no")
    run(ctx, state(), ctx.on.stop())
    machine.keepalived.stop.assert_called_once_with()
    machine.haproxy.stop.assert_called_once_with()


@pytest.mark.parametrize(
    "garbled",
    [
        api(services="{"),
        api(services='[{"name": "maas", "backend_port": "x", "mode": "http"}]'),
        api({0: region(), 1: region(address="nowhere")}),
    ],
)
def test_a_garbled_databag_is_told_and_not_obeyed(ctx: Any, machine: Machine, garbled: Any):
    machine.haproxy.is_managed.return_value = True
    after = run(ctx, state(garbled, peer()))
    assert isinstance(after.unit_status, testing.BlockedStatus)
    assert message(after).startswith("nothing was changed: maas-region")
    machine.haproxy.ensure_config.assert_not_called()


@pytest.mark.parametrize(
    ("ready", "served"),
    [("true", "maas-region-1"), ("false", "maas-region-0")],
)
def test_two_units_at_one_address_are_one_region(
    ctx: Any, machine: Machine, ready: str, served: str
):
    after = run(ctx, state(api({0: region(), 1: region(ready=ready)}), peer()))
    assert after.unit_status.name == "active"
    (text,) = machine.haproxy.ensure_config.call_args.args
    assert re.findall(r"server (maas-region-\d+) 10.0.0.21:5240 ", text) == [served] * 2


def test_a_missing_relation_is_named(ctx: Any, machine: Machine):
    after = run(ctx, state(peer()))
    assert after.unit_status == testing.BlockedStatus("integrate api with maas-region")


def test_a_missing_relation_leaves_the_last_routes(ctx: Any, machine: Machine):
    machine.haproxy.is_managed.return_value = True
    machine.keepalived.is_running.return_value = True
    gone = api()
    after = run(ctx, state(gone, peer()), ctx.on.relation_broken(gone))
    assert after.unit_status == testing.BlockedStatus("integrate api with maas-region")
    machine.haproxy.ensure_config.assert_not_called()
    machine.haproxy.ensure_idle.assert_not_called()
    machine.keepalived.stop.assert_not_called()
    assert after.get_relations("peers")[0].local_unit_data["vip-holder"] == "true"


@pytest.mark.parametrize("seen", [(), (1,)])
def test_regions_that_the_relation_does_not_show_serve_on(
    ctx: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch, seen: tuple[int, ...]
):
    # Juju takes a relation's units away one after the other, and brings them one by one.
    machine.haproxy.is_managed.return_value = True
    machine.haproxy.configured_servers.return_value = {
        f"maas-region-{number}": f"10.0.0.2{number}" for number in range(3)
    }
    statuses = {"maas-region/0": "active", "maas-region/1": "active", "maas-region/2": "dying"}
    regions = {
        name: hookcmds.Goal(status=status, since=None)  # type: ignore[arg-type]
        for name, status in statuses.items()
    }
    known = hookcmds.GoalState(units={}, relations={"api": regions})
    monkeypatch.setattr(hookcmds, "goal_state", lambda: known)
    run(ctx, state(api({number: region(address="10.0.0.31") for number in seen}), peer()))
    lines = [line.split() for line in machine.text.splitlines()]
    second = "10.0.0.31:5240" if seen else "10.0.0.21:5240"
    assert {tuple(words[1:3]) for words in lines if words[:1] == ["server"]} == {
        ("maas-region-0", "10.0.0.20:5240"),
        ("maas-region-1", second),
    }


def test_services_not_published_yet_leave_haproxy_as_it_is(ctx: Any, machine: Machine):
    machine.haproxy.is_managed.return_value = True
    run(ctx, state(api(services=""), peer()))
    machine.haproxy.ensure_config.assert_not_called()


def test_a_newcomer_waits_until_the_others_advertise_to_it(ctx: Any, machine: Machine):
    known = {1: {"address": "10.0.0.12", "peers": '["10.0.0.13"]'}}
    after = run(ctx, state(api(), peer(known)))
    assert after.unit_status == testing.WaitingStatus(
        "for haproxy-vip/1 to advertise to this unit"
    )
    assert machine.group.peers == ["10.0.0.12"]
    machine.keepalived.ensure_running.assert_not_called()


def test_a_dead_unit_keeps_nobody_waiting(ctx: Any, machine: Machine):
    machine.alive = set()
    known = {1: {"address": "10.0.0.12"}}
    run(ctx, state(api(), peer(known)))
    machine.keepalived.ensure_running.assert_called_once_with()


def test_a_newcomer_waits_for_units_it_does_not_know_yet(ctx: Any, machine: Machine):
    after = run(ctx, state(api(), peer({})))
    assert message(after) == "for the other units' addresses"
    machine.keepalived.ensure_running.assert_not_called()


def test_a_newcomer_names_the_units_that_published_no_address(ctx: Any, machine: Machine):
    units = {number: {} for number in (10, 9)} | {
        1: {"address": "10.0.0.12", "peers": '["10.0.0.11"]'}
    }
    after = run(ctx, state(api(), peer(units), planned_units=4))
    assert message(after) == "for the other units' addresses: haproxy-vip/9, haproxy-vip/10"


def test_who_is_unknown_at_update_status_does_not_run(ctx: Any, machine: Machine):
    run(ctx, state(api(), peer({})), ctx.on.update_status())
    machine.keepalived.ensure_running.assert_called_once_with()


def test_a_running_unit_takes_a_newcomer_in_without_waiting(ctx: Any, machine: Machine):
    machine.keepalived.is_running.return_value = True
    units = {
        1: {"address": "10.0.0.12", "peers": '["10.0.0.11"]'},
        12: {"address": "10.0.0.13"},
        2: {"address": "10.0.0.14"},
    }
    after = run(ctx, state(api(), peer(units), planned_units=4))
    known = after.get_relations("peers")[0].local_unit_data["peers"]
    assert known == '["10.0.0.12","10.0.0.14","10.0.0.13"]'
    machine.keepalived.ensure_running.assert_called_once_with()


def test_a_dying_peer_hears_advertisements_until_its_keepalived_has_stopped(
    ctx: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    machine.keepalived.is_running.return_value = True
    units = {
        1: {"address": "10.0.0.12", "peers": '["10.0.0.11"]'},
        2: {"address": "10.0.0.13", "peers": '["10.0.0.11"]'},
    }
    goals(monkeypatch, unit_0="active", unit_1="dying", unit_2="active")
    run(ctx, state(api(), peer(units)))
    assert machine.group.peers == ["10.0.0.12", "10.0.0.13"]
    run(ctx, state(api(), peer(units | {1: {}})))
    assert machine.group.peers == ["10.0.0.13"]
    goals(monkeypatch, unit_0="active", unit_2="active")
    run(ctx, state(api(), peer(units)))
    assert machine.group.peers == ["10.0.0.13"]


def test_a_dying_peer_that_juju_lists_no_more_hears_advertisements_until_it_is_gone(
    ctx: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    """As in Juju 3.6: its keepalived runs until its own hook, and would take the VIP as well."""
    machine.keepalived.is_running.return_value = True
    machine.keepalived.configured_peers.return_value = ["10.0.0.12", "10.0.0.13"]
    units = {2: {"address": "10.0.0.13", "peers": '["10.0.0.11"]'}}
    goals(monkeypatch, unit_0="active", unit_1="dying", unit_2="active")
    after = run(ctx, state(api(), peer(units)))
    assert machine.group.peers == ["10.0.0.12", "10.0.0.13"]
    assert isinstance(after.unit_status, testing.ActiveStatus)
    goals(monkeypatch, unit_0="active", unit_2="active")
    run(ctx, state(api(), peer(units)))
    assert machine.group.peers == ["10.0.0.13"]


def test_a_dying_peer_does_not_stand_for_one_that_is_not_known_yet(
    ctx: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    goals(monkeypatch, unit_0="active", unit_1="dying", unit_2="active")
    after = run(ctx, state())
    assert message(after) == "for the other units' addresses: haproxy-vip/2"


@pytest.mark.parametrize("garbled", [{"address": "nowhere"}, {"peers": "{"}])
def test_a_peer_that_cannot_be_read_is_not_dropped_from_a_running_group(
    ctx: Any, machine: Machine, garbled: dict[str, str]
):
    machine.keepalived.is_running.return_value = True
    machine.keepalived.configured_peers.return_value = ["10.0.0.13", "10.0.0.11", "10.0.0.12"]
    good = {"address": "10.0.0.12", "peers": '["10.0.0.11"]'}
    new = {"address": "10.0.0.14"}
    after = run(ctx, state(api(), peer({1: good, 2: good | garbled, 3: new})))
    assert machine.group.peers == ["10.0.0.13", "10.0.0.12", "10.0.0.14"]
    machine.keepalived.ensure_running.assert_called_once_with()
    machine.haproxy.ensure_config.assert_called_once()
    assert isinstance(after.unit_status, testing.BlockedStatus)
    assert message(after).startswith("no peer was dropped: haproxy-vip/2 sent ")
    known = after.get_relations("peers")[0].local_unit_data["peers"]
    assert known == '["10.0.0.13","10.0.0.12","10.0.0.14"]'


def test_a_newcomer_does_not_start_while_a_peer_cannot_be_read(ctx: Any, machine: Machine):
    machine.keepalived.configured_peers.return_value = []
    garbled = peer({1: {"address": "nowhere"}})
    after = run(ctx, state(api(), garbled), ctx.on.update_status())
    machine.keepalived.ensure_running.assert_not_called()
    assert isinstance(after.unit_status, testing.BlockedStatus)
    assert after.get_relations("peers")[0].local_unit_data["address"] == "10.0.0.11"


def test_a_unit_with_another_address_joins_anew(ctx: Any, machine: Machine):
    machine.keepalived.is_running.return_value = True
    machine.keepalived.configured_own.return_value = "10.0.0.99"
    known = {1: {"address": "10.0.0.12", "peers": '["10.0.0.99"]'}}
    after = run(ctx, state(api(), peer(known)))
    machine.keepalived.stop.assert_called_once_with()
    machine.keepalived.ensure_running.assert_not_called()
    assert after.get_relations("peers")[0].local_unit_data["address"] == "10.0.0.11"
    machine.keepalived.configured_own.return_value = "10.0.0.11"
    run(ctx, state(api(), peer()))
    machine.keepalived.ensure_running.assert_called_once_with()


@pytest.mark.parametrize("vip", [VIP, "10.0.0.200", ""])
def test_a_vip_is_never_taken_for_an_own_address(ctx: Any, machine: Machine, vip: str):
    bind = testing.BindAddress(
        [testing.Address(VIP), testing.Address("10.0.0.11")], interface_name="eth0"
    )
    seen = {testing.Network("peers", bind_addresses=[bind], ingress_addresses=[VIP])}
    # Until keepalived is told of another one, the machine has the VIP from before.
    after = run(ctx, state(networks=seen, config={"vip": vip}))
    assert after.get_relations("peers")[0].local_unit_data["address"] == "10.0.0.11"


def test_a_dying_unit_gives_the_vip_away_and_serves_on(ctx: Any, machine: Machine):
    relations = (api(), peer())
    event = ctx.on.relation_departed(relations[0], remote_unit=0, departing_unit=0)
    with (
        ctx(event, state(*relations)) as manager,
        mock.patch.object(
            charm.ops.RelationDepartedEvent,
            "departing_unit",
            new_callable=mock.PropertyMock,
            return_value=manager.charm.unit,
        ),
    ):
        after = manager.run()
    machine.keepalived.stop.assert_called_once_with()
    machine.haproxy.stop.assert_not_called()
    assert "leaving" in machine.flags
    assert not after.get_relations("peers")[0].local_unit_data.get("address")
    assert not after.get_relations("api")[0].local_unit_data.get("address")
    machine.keepalived.ensure_config.assert_not_called()


def test_a_leaving_unit_changes_nothing_more(ctx: Any, machine: Machine):
    machine.flags = {"leaving"}
    broken = api()
    run(ctx, state(broken, peer()), ctx.on.relation_broken(broken))
    machine.haproxy.ensure_config.assert_not_called()
    machine.keepalived.ensure_running.assert_not_called()


def test_a_new_unit_on_a_machine_that_had_one_before_starts_afresh(ctx: Any, machine: Machine):
    machine.flags = {"leaving"}
    run(ctx, state(), ctx.on.install())
    assert "leaving" not in machine.flags


def test_a_watchdog_looks_after_both_daemons(ctx: Any, machine: Machine):
    run(ctx, state(), ctx.on.install())
    machine.watchdog.try_ensure.assert_not_called()
    run(ctx, state())
    machine.watchdog.try_ensure.assert_called_once_with("haproxy-vip", watched.__file__)


def test_a_second_application_on_a_machine_is_blocked_and_touches_nothing(
    ctx: Any, machine: Machine
):
    machine.keepalived.other_unit.return_value = "haproxy-vip/7"
    for event in (ctx.on.install(), ctx.on.config_changed(), ctx.on.update_status()):
        out = run(ctx, state(api(), peer()), event)
        words = "haproxy-vip/7 has its VIP on this machine: use another machine"
        assert out.unit_status == testing.BlockedStatus(words)
    for action in ("pause", "resume", "move-vip"):
        with pytest.raises(testing.ActionFailed, match="haproxy-vip/7 has its VIP"):
            run(ctx, state(api(), peer()), ctx.on.action(action))
    for event in (ctx.on.stop(), ctx.on.remove()):
        run(ctx, state(api(), peer()), event)
    for changes in (
        *(machine.haproxy.install, machine.haproxy.ensure_config, machine.haproxy.stop),
        *(machine.haproxy.ensure_idle, machine.keepalived.ensure_config, machine.keepalived.stop),
        *(machine.keepalived.remove, machine.keepalived.set_flag, machine.keepalived.pause),
        *(machine.keepalived.move_vip, machine.watchdog.remove, machine.watchdog.try_ensure),
    ):
        changes.assert_not_called()


def test_stopping_lets_the_vip_go_first(ctx: Any, machine: Machine):
    order = mock.Mock()
    order.attach_mock(machine.keepalived.stop, "keepalived")
    order.attach_mock(machine.haproxy.stop, "haproxy")
    order.attach_mock(machine.watchdog.remove, "watchdog")
    run(ctx, state(), ctx.on.stop())
    assert [name for name, *_ in order.mock_calls] == ["watchdog", "keepalived", "haproxy"]
    run(ctx, state(), ctx.on.remove())
    machine.keepalived.remove.assert_called_once_with()
    machine.haproxy.ensure_idle.assert_called_once_with()


def test_a_moved_vip_wakes_the_others(ctx: Any, machine: Machine):
    after = run(ctx, state())
    assert after.get_relations("peers")[0].local_unit_data["vip-holder"] == "true"
    machine.keepalived.is_vip_holder.return_value = False
    after = run(ctx, after)
    assert "vip-holder" not in after.get_relations("peers")[0].local_unit_data


def test_show_vip(ctx: Any, machine: Machine):
    before = state(unit_status=testing.ActiveStatus("as it was"))
    after = run(ctx, before, ctx.on.action("show-vip"))
    assert ctx.action_results == {
        "vip": VIP,
        "url": f"http://{VIP}/MAAS",
        "holder": "true",
        "paused": "false",
        "regions": "maas-region-0 up, maas-region-1 down",
    }
    assert message(after) == "as it was"


def test_show_vip_without_a_vip_fails(ctx: Any, machine: Machine):
    machine.keepalived.configured_vip.return_value = ""
    with pytest.raises(testing.ActionFailed, match="there is no VIP here yet"):
        run(ctx, state(), ctx.on.action("show-vip"))


def test_move_vip(ctx: Any, machine: Machine):
    run(ctx, state(), ctx.on.action("move-vip"))
    assert ctx.action_results == {"vip": VIP, "holder": "false"}
    machine.keepalived.move_vip.assert_called_once_with(VIP, set())


def test_move_vip_fails_where_it_is_not_or_nobody_takes_it(ctx: Any, machine: Machine):
    machine.keepalived.move_vip.return_value = "no other unit took the VIP: this one keeps it"
    with pytest.raises(testing.ActionFailed, match="no other unit took the VIP"):
        run(ctx, state(), ctx.on.action("move-vip"))
    machine.keepalived.is_vip_holder.return_value = False
    with pytest.raises(testing.ActionFailed, match="does not hold the VIP"):
        run(ctx, state(), ctx.on.action("move-vip"))


def test_pause_and_resume(ctx: Any, machine: Machine):
    after = run(ctx, state(), ctx.on.action("pause"))
    assert after.unit_status == testing.MaintenanceStatus("paused: run resume to take part again")
    assert "ready" not in after.get_relations("api")[0].local_unit_data
    assert after.get_relations("peers")[0].local_unit_data["paused"] == "true"
    after = run(ctx, state(), ctx.on.action("resume"))
    assert after.unit_status.name == "active"
    assert after.get_relations("api")[0].local_unit_data["ready"] == "true"
    assert "paused" not in after.get_relations("peers")[0].local_unit_data


@pytest.mark.parametrize("action", ["pause", "move-vip"])
def test_the_vip_is_given_away_first_and_not_to_a_paused_unit(
    ctx: Any, machine: Machine, action: str
):
    def move_vip(*_: object) -> str:
        assert "paused" not in machine.flags
        return ""

    machine.keepalived.move_vip.side_effect = move_vip
    others = peer({1: {"address": "10.0.0.12", "paused": "true"}, 2: {"address": "10.0.0.13"}})
    run(ctx, state(api(), others), ctx.on.action(action))
    machine.keepalived.move_vip.assert_called_once_with(VIP, {"10.0.0.12"})


def test_a_holder_whose_vip_nobody_takes_is_not_paused(ctx: Any, machine: Machine):
    machine.keepalived.move_vip.return_value = "no other unit took the VIP: this one keeps it"
    with pytest.raises(testing.ActionFailed, match="no other unit took the VIP"):
        run(ctx, state(), ctx.on.action("pause"))
    assert "paused" not in machine.flags


def test_who_does_not_hold_the_vip_is_paused_whoever_is_off(ctx: Any, machine: Machine):
    machine.keepalived.is_vip_holder.return_value = False
    run(ctx, state(), ctx.on.action("pause"))
    machine.keepalived.move_vip.assert_not_called()
    assert "paused" in machine.flags


def test_a_resumed_unit_is_not_told_as_paused_though_an_option_is_wrong(
    ctx: Any, machine: Machine
):
    machine.keepalived.is_running.return_value = True
    others = dataclasses.replace(peer(), local_unit_data={"paused": "true"})
    after = run(ctx, state(api(), others, config={"vip": "x"}), ctx.on.action("resume"))
    assert after.unit_status.name == "blocked"
    assert "paused" not in after.get_relations("peers")[0].local_unit_data


def test_the_regions_are_told_who_stands_by(ctx: Any, machine: Machine):
    machine.keepalived.is_vip_holder.return_value = False
    told = run(ctx, state()).get_relations("api")[0].local_unit_data
    assert (told["address"], told["ready"]) == ("10.0.0.11", "true")


def test_the_only_unit_cannot_be_paused(ctx: Any, machine: Machine):
    machine.keepalived.configured_peers.return_value = []
    with pytest.raises(testing.ActionFailed, match="no other unit to hold the VIP"):
        run(ctx, state(), ctx.on.action("pause"))
    assert not machine.flags


def test_no_region_up_is_not_active(ctx: Any, machine: Machine):
    machine.haproxy.servers.return_value = [haproxy.ServerState("maas-region-0", False)]
    after = run(ctx, state())
    assert after.unit_status == testing.WaitingStatus("none of 1 regions answers its health check")
