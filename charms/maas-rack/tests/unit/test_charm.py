# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ops import hookcmds, testing

import charm
import dhcp_status
import peers
import rack
import watched
from charmed_maas import agents, apt_source, secrets, systemd
from charmed_maas.interfaces import maas_rpc

VIP_URL = "http://10.0.0.100/MAAS"
REGION_URLS = ("http://10.0.0.11:5240/MAAS", "http://10.0.0.12:5240/MAAS")
ENSURE = {"ensure": mock.DEFAULT, "remove": mock.DEFAULT}
SECRET = testing.Secret({"secret": "00ff" * 8})
MARK = secrets.mark("00ff" * 8)
OLD = secrets.mark("11" * 16)


@contextlib.contextmanager
def replaced() -> Iterator[Any]:
    with mock.patch.multiple(
        rack,
        autospec=True,
        **{
            name: mock.DEFAULT
            for name, value in vars(rack).items()
            if getattr(value, "__module__", "") == "rack"
            and not isinstance(value, type)
            and not name.startswith("_")
            and name != "hosts"
        },
    ) as fakes:
        found = mock.Mock(**fakes)
        found.version.return_value = "3.7.3"
        found.offered.return_value = ""
        found.hostname.return_value = "rack-0"
        found.system_id.return_value = "abc123"
        found.started_url.return_value = VIP_URL
        found.started_mark.return_value = MARK
        found.is_current.return_value = True
        found.connected.return_value = {"10.0.0.11", "10.0.0.12"}
        found.first_cause.return_value = ""
        with (
            mock.patch.object(charm, "watchdog_timer", autospec=True) as found.watchdog,
            mock.patch.object(charm, "turns", autospec=True) as found.turns,
            mock.patch("charm.arping.install", autospec=True) as found.install_arping,
            mock.patch("charm.dhcp_status.remarks", autospec=True) as found.remarks,
            mock.patch.multiple(charm.isolation, autospec=True, **ENSURE) as isolation,
            mock.patch.multiple(charm.witness_server, autospec=True, **ENSURE) as server,
        ):
            found.remarks.return_value = []
            found.watchdog.try_ensure.return_value = []
            found.isolation, found.witness_server = mock.Mock(**isolation), mock.Mock(**server)
            yield found


@pytest.fixture
def workload() -> Iterator[Any]:
    with replaced() as found:
        yield found


@pytest.fixture
def ctx() -> testing.Context[charm.MAASRackCharm]:
    return testing.Context(charm.MAASRackCharm)


def rpc(**data: str) -> testing.Relation:
    whole = maas_rpc.ProviderAppData(VIP_URL, REGION_URLS, SECRET.id).to_databag()
    return testing.Relation("rpc", interface="maas_rpc", remote_app_data=whole | data)


def peer(**urls: str) -> testing.PeerRelation:
    units = {int(name[1:]): {"maas-url": url} for name, url in urls.items()}
    return testing.PeerRelation("peers", peers_data=units)  # type: ignore[arg-type]


def state(*relations: testing.RelationBase, **changed: Any) -> testing.State:
    values: dict[str, Any] = {
        "relations": relations or (rpc(), peer()),
        "secrets": [SECRET],
        "config": {"source": "ppa:maas/3.7"},
    }
    return testing.State(**(values | changed))


def run(ctx: Any, before: testing.State, event: Any = None) -> testing.State:
    return ctx.run(event or ctx.on.config_changed(), before)


def untouched(workload: Any) -> None:
    for verb in (workload.ensure_config, workload.ensure_secret, workload.restart, workload.leave):
        verb.assert_not_called()


def test_it_enrols_with_the_vip_first_and_publishes_its_id(ctx: Any, workload: Any):
    workload.is_current.return_value = False
    workload.can_wait.return_value = False
    after = run(ctx, state())
    workload.install.assert_called_once_with("ppa:maas/3.7")
    workload.ensure_config.assert_called_once_with((VIP_URL, *REGION_URLS))
    workload.ensure_secret.assert_called_once_with("00ff" * 8)
    workload.restart.assert_called_once_with(VIP_URL, "00ff" * 8)
    workload.settle.assert_called_once_with({"10.0.0.11", "10.0.0.12"})
    workload.watchdog.try_ensure.assert_called_once_with("maas-rack", watched.__file__)
    assert after.get_relations("rpc")[0].local_unit_data["hostname"] == "rack-0"
    assert after.get_relations("rpc")[0].local_unit_data["system-id"] == "abc123"
    assert after.get_relations("peers")[0].local_unit_data["maas-url"] == VIP_URL
    assert after.unit_status == testing.ActiveStatus("connected to 2 of 2 regions")
    assert after.workload_version == "3.7.3"


def test_a_newer_version_that_apt_offers_is_told(ctx: Any, workload: Any):
    workload.offered.return_value = "1:3.8.0-1"
    assert run(ctx, state()).unit_status == testing.ActiveStatus(
        "connected to 2 of 2 regions; apt offers 1:3.8.0-1"
    )


def test_dhcp_stops_where_a_rack_is_alone_by_the_regions_grace(ctx: Any, workload: Any):
    run(ctx, state())
    workload.isolation.ensure.assert_called_once_with(0)
    after = run(ctx, state(rpc(**{"dhcp-grace": "120"}), peer()))
    workload.isolation.ensure.assert_called_with(120)
    assert workload.witness_server.ensure.call_count == 2
    assert after.get_relations("rpc")[0].local_unit_data["dhcp-grace"] == "120"
    after = run(ctx, state())
    assert "dhcp-grace" not in after.get_relations("rpc")[0].local_unit_data


def test_a_grace_by_which_dhcp_would_stop_for_nothing_is_not_applied(ctx: Any, workload: Any):
    after = run(ctx, state(rpc(**{"dhcp-grace": "1"}), peer()))
    workload.isolation.ensure.assert_not_called()
    assert after.unit_status == testing.BlockedStatus(
        "nothing was changed: remote sent dhcp-grace: 1 is neither 0 nor 120 to 3600"
    )


def test_a_grace_that_is_not_applied_is_not_told(ctx: Any, workload: Any):
    workload.isolation.ensure.side_effect = systemd.SystemdError("no")
    after = run(ctx, state(rpc(**{"dhcp-grace": "120"}), peer()))
    told = after.get_relations("rpc")[0].local_unit_data
    assert (told["system-id"], told.get("dhcp-grace")) == ("abc123", None)


def test_a_rack_whose_dhcp_nobody_can_look_after_is_told_and_works(ctx: Any, workload: Any):
    workload.install_arping.side_effect = apt_source.SourceError("apt: no")
    after = run(ctx, state())
    assert after.unit_status == testing.BlockedStatus(
        "the regions cannot look after DHCP here: apt: no"
    )
    rpc_data = after.get_relations("rpc")[0].local_unit_data
    assert rpc_data["system-id"] == "abc123"
    workload.witness_server.ensure.assert_called_once_with()


def test_what_systemd_refuses_is_told(ctx: Any, workload: Any):
    workload.watchdog.try_ensure.return_value = ["systemctl exited with 1: no"]
    after = run(ctx, state())
    assert after.unit_status == testing.BlockedStatus("systemctl exited with 1: no")
    workload.restart.side_effect = systemd.SystemdError("systemctl exited with 1: none")
    workload.is_current.return_value = False
    after = run(ctx, state())
    assert after.unit_status == testing.BlockedStatus("systemctl exited with 1: none")


@pytest.mark.parametrize("who", ["watchdog", "isolation", "restart", "install"])
def test_what_is_told_in_many_lines_is_a_status_of_one(ctx: Any, workload: Any, who: str):
    long = f"systemctl exited with 1: Job failed.\n{'See journalctl. ' * 30}\n"
    workload.watchdog.try_ensure.return_value = [long] if who == "watchdog" else []
    workload.is_current.return_value = workload.can_wait.return_value = False
    refuses = {"isolation": workload.isolation.ensure, "restart": workload.restart}
    if who in refuses:
        refuses[who].side_effect = systemd.SystemdError(long)
    elif who == "install":
        workload.install.side_effect = apt_source.SourceError(long)
    after = run(ctx, state()).unit_status
    assert after.name == "blocked"
    assert "Job failed. See journalctl." in after.message
    assert "\n" not in after.message
    assert len(after.message) <= 300


def test_units_that_systemd_does_not_let_go_keep_no_unit_from_leaving(ctx: Any, workload: Any):
    refuses = systemd.SystemdError("no")
    workload.isolation.remove.side_effect = workload.watchdog.remove.side_effect = refuses
    run(ctx, state(), ctx.on.stop())
    workload.witness_server.remove.assert_called_once_with()
    workload.leave.assert_called_once_with()


def test_a_new_region_restarts_nothing(ctx: Any, workload: Any):
    after = run(ctx, state())
    workload.ensure_config.assert_called_once()
    workload.restart.assert_not_called()
    workload.settle.assert_not_called()
    assert after.unit_status.name == "active"


def test_a_region_that_is_down_shows(ctx: Any, workload: Any):
    workload.connected.return_value = {"10.0.0.12"}
    assert run(ctx, state()).unit_status == testing.ActiveStatus("connected to 1 of 2 regions")
    workload.connected.return_value = set()
    assert run(ctx, state()).unit_status == testing.WaitingStatus("connected to none of 2 regions")
    workload.first_cause.return_value = "rackd: No secret"
    assert run(ctx, state()).unit_status == testing.WaitingStatus(
        "connected to none of 2 regions; rackd: No secret"
    )


def test_dhcp_that_is_not_whole_shows(ctx: Any, workload: Any):
    alone = dhcp_status.Remark("DHCP on VLAN 5001 without the other rack", answers=True)
    silent = dhcp_status.Remark("DHCP on VLAN 5002 answers nobody", answers=False)
    workload.remarks.return_value = [alone]
    assert run(ctx, state()).unit_status == testing.ActiveStatus(
        "connected to 2 of 2 regions; DHCP on VLAN 5001 without the other rack"
    )
    workload.remarks.return_value = [alone, silent]
    assert run(ctx, state()).unit_status == testing.WaitingStatus(
        "DHCP on VLAN 5002 answers nobody"
    )
    workload.connected.return_value = set()
    assert run(ctx, state()).unit_status == testing.WaitingStatus("connected to none of 2 regions")


def test_the_maas_url_of_a_site_without_vip_is_a_regions_own(ctx: Any, workload: Any):
    run(ctx, state(rpc(**{"maas-url": REGION_URLS[0]}), peer()))
    workload.ensure_config.assert_called_once_with(REGION_URLS)


@pytest.mark.parametrize(
    ("others", "goes"),
    [
        ({}, True),
        ({"u0": VIP_URL, "u1": ""}, True),
        ({"u9": "http://old/MAAS"}, True),
        ({"u0": "http://old/MAAS"}, False),
    ],
)
def test_a_new_url_restarts_one_rack_after_the_other(
    ctx: Any, workload: Any, others: dict[str, str], goes: bool
):
    workload.is_current.return_value = False
    workload.started_url.return_value = "" if goes else "http://old/MAAS"
    workload.turns.waited_long.return_value = False
    relation = testing.PeerRelation(
        "peers",
        peers_data={int(name[1:]): {"maas-url": url} for name, url in others.items()},
    )
    context = testing.Context(charm.MAASRackCharm, unit_id=5)
    after = run(context, state(rpc(), relation))
    assert workload.restart.called == goes
    if not goes:
        assert after.unit_status == testing.MaintenanceStatus(
            "waiting for its turn to restart with a new URL or secret, after maas-rack/0"
        )
        told = after.get_relations("peers")[0].local_unit_data
        assert told["maas-url"] == "http://old/MAAS"


@pytest.mark.parametrize(
    ("others", "goes"),
    [
        ({0: (VIP_URL, MARK), 1: ("", "")}, True),
        ({0: (VIP_URL, MARK), 9: (VIP_URL, OLD)}, True),
        ({0: (VIP_URL, ""), 1: (VIP_URL, MARK)}, True),
        ({0: (VIP_URL, OLD), 1: (VIP_URL, MARK)}, False),
    ],
)
def test_a_new_secret_restarts_one_rack_after_the_other(
    workload: Any, others: dict[int, tuple[str, str]], goes: bool
):
    workload.is_current.return_value = False
    workload.turns.waited_long.return_value = False
    workload.started_mark.return_value = OLD
    workload.restart.side_effect = lambda *_: setattr(workload.started_mark, "return_value", MARK)
    relation = testing.PeerRelation(
        "peers",
        peers_data={
            number: {"maas-url": url, "secret-mark": mark}
            for number, (url, mark) in others.items()
        },
    )
    context = testing.Context(charm.MAASRackCharm, unit_id=5)
    after = run(context, state(rpc(), relation))
    assert workload.restart.called == goes
    told = after.get_relations("peers")[0].local_unit_data
    assert told["secret-mark"] == (MARK if goes else OLD)
    assert not {"00ff" * 8, "11" * 16} & set(told.values())


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ([], MARK),
        ([(VIP_URL, MARK), ("", "")], MARK),
        ([(VIP_URL, MARK), (VIP_URL, OLD)], ""),
        ([(VIP_URL, "")], ""),
    ],
)
def test_the_leader_tells_the_regions_when_every_rack_has_followed(
    ctx: Any, workload: Any, others: list[tuple[str, str]], told: str
):
    bags = {n + 1: {"maas-url": url, "secret-mark": mark} for n, (url, mark) in enumerate(others)}
    relation = dataclasses.replace(rpc(), local_app_data={"secret-mark": OLD})
    units = testing.PeerRelation("peers", peers_data=bags)  # type: ignore[arg-type]
    after = run(ctx, state(relation, units, leader=True))
    assert after.get_relations("rpc")[0].local_app_data.get("secret-mark", "") == told
    after = run(ctx, state(relation, units))
    assert after.get_relations("rpc")[0].local_app_data == {"secret-mark": OLD}


def test_the_leader_reads_no_racks_databag_while_nothing_changes(
    ctx: Any, workload: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(peers.Peers, "others", lambda _: pytest.fail("read"))
    relation = dataclasses.replace(rpc(), local_app_data={"secret-mark": MARK})
    after = run(ctx, state(relation, peer(u1=VIP_URL), leader=True))
    assert after.get_relations("rpc")[0].local_app_data == {"secret-mark": MARK}


@pytest.mark.parametrize(
    ("can_wait", "waited_long"), [(False, False), (True, True)], ids=["not connected", "waited"]
)
def test_nobody_waits_for_ever(ctx: Any, workload: Any, can_wait: bool, waited_long: bool):
    workload.is_current.return_value = False
    workload.can_wait.return_value = can_wait
    workload.turns.waited_long.return_value = waited_long
    context = testing.Context(charm.MAASRackCharm, unit_id=5)
    run(context, state(rpc(), peer(u0="http://old/MAAS")))
    workload.restart.assert_called_once()


def test_a_rack_that_need_not_restart_any_more_does_not_wait(ctx: Any, workload: Any):
    run(ctx, state())
    workload.turns.end_wait.assert_called_once_with()
    workload.is_current.return_value = False
    workload.turns.waited_long.return_value = False
    workload.turns.end_wait.reset_mock()
    context = testing.Context(charm.MAASRackCharm, unit_id=5)
    run(context, state(rpc(), peer(u0="http://old/MAAS")))
    workload.turns.end_wait.assert_not_called()
    workload.turns.waited_long.assert_called_once_with(["maas-rack/0"])


def test_behind_a_rack_that_goes_first_one_that_cannot_be_read_is_named(workload: Any):
    workload.is_current.return_value = False
    workload.turns.waited_long.return_value = False
    context = testing.Context(charm.MAASRackCharm, unit_id=5)
    after = run(context, state(rpc(), peer(u0="nowhere", u1="http://old/MAAS")))
    workload.turns.waited_long.assert_called_once_with(["maas-rack/1"])
    workload.restart.assert_not_called()
    assert after.unit_status == testing.BlockedStatus(
        "maas-rack/0 sent maas-url: 'nowhere' is not a URL: bring maas-rack/0 to this unit's"
        " revision of the charm"
    )


def test_whose_turn_it_is():
    wanted, old = peers.Started(VIP_URL, MARK), peers.Started("http://old/MAAS", MARK)
    assert not peers.ahead({}, "r/2", wanted)
    assert not peers.ahead({"r/0": wanted, "r/1": peers.Started()}, "r/2", wanted)
    assert peers.ahead({"r/0": wanted, "r/1": old, "r/3": old}, "r/2", wanted) == ["r/1"]
    assert peers.ahead({"r/10": old, "r/9": old}, "r/11", wanted) == ["r/9", "r/10"]


def test_a_rack_that_was_never_enrolled_does_not_run(ctx: Any, workload: Any):
    workload.started_url.return_value = ""
    after = run(ctx, state(peer()))
    workload.leave.assert_called_once_with()
    workload.restart.assert_not_called()
    assert after.unit_status == testing.BlockedStatus("integrate rpc with maas-region")


def test_a_rack_without_its_relation_goes_on(ctx: Any, workload: Any):
    relation = rpc()
    after = run(ctx, state(relation, peer()), ctx.on.relation_broken(relation))
    untouched(workload)
    workload.leave.assert_not_called()
    assert after.unit_status == testing.BlockedStatus("integrate rpc with maas-region")


@pytest.mark.parametrize("missing", ["maas-url", "secret-id"])
def test_it_waits_for_what_the_region_has_not_shared_yet(ctx: Any, workload: Any, missing: str):
    after = run(ctx, state(rpc(**{missing: ""}), peer()))
    untouched(workload)
    assert after.unit_status == testing.WaitingStatus("for maas-region to share URL and secret")


def test_a_secret_that_is_not_granted_is_waited_for(ctx: Any, workload: Any):
    after = run(ctx, state(secrets=[]))
    untouched(workload)
    assert after.unit_status.name == "waiting"


@pytest.mark.parametrize(
    "garbled",
    [{"maas-url": "nowhere"}, {"region-urls": "{"}, {"region-urls": '["ftp://x"]'}],
)
def test_a_garbled_databag_is_told_and_not_obeyed(
    ctx: Any, workload: Any, garbled: dict[str, str]
):
    after = run(ctx, state(rpc(**garbled), peer()))
    untouched(workload)
    assert after.unit_status.name == "blocked"
    assert next(iter(garbled)) in after.unit_status.message


def test_a_source_that_is_refused_before_anything_is_installed_blocks(ctx: Any, workload: Any):
    workload.install.side_effect = apt_source.SourceError("source 'x' is neither …")
    workload.version.return_value = ""
    after = run(ctx, state())
    untouched(workload)
    assert after.unit_status == testing.BlockedStatus("source 'x' is neither …")


def test_a_rack_whose_source_is_refused_follows_a_new_url_and_secret(ctx: Any, workload: Any):
    workload.install.side_effect = apt_source.SourceError("source 'x' is neither …")
    workload.is_current.return_value = False
    workload.can_wait.return_value = False
    after = run(ctx, state(leader=True))
    workload.ensure_config.assert_called_once_with((VIP_URL, *REGION_URLS))
    workload.ensure_secret.assert_called_once_with("00ff" * 8)
    workload.restart.assert_called_once_with(VIP_URL, "00ff" * 8)
    assert after.get_relations("rpc")[0].local_app_data["secret-mark"] == MARK
    assert after.unit_status == testing.BlockedStatus("source 'x' is neither …")


def test_a_refused_source_is_told_before_what_the_rack_refuses(ctx: Any, workload: Any):
    workload.install.side_effect = apt_source.SourceError("source 'x' is neither …")
    workload.ensure_secret.side_effect = rack.RackError("maas-region's shared secret is not hex")
    after = run(ctx, state())
    workload.restart.assert_not_called()
    assert after.unit_status == testing.BlockedStatus("source 'x' is neither …")


def test_a_secret_that_cannot_be_used_blocks(ctx: Any, workload: Any):
    workload.ensure_secret.side_effect = rack.RackError("maas-region's shared secret is not hex")
    after = run(ctx, state())
    workload.restart.assert_not_called()
    assert after.unit_status.name == "blocked"


def test_a_new_secret_is_followed(ctx: Any, workload: Any):
    changed = testing.Secret({"secret": "aa"}, latest_content={"secret": "bb"}, id=SECRET.id)
    run(ctx, state(secrets=[changed]), ctx.on.secret_changed(changed))
    workload.ensure_secret.assert_called_once_with("bb")


def test_removal_leaves_maas_and_takes_the_source_away(ctx: Any, workload: Any):
    run(ctx, state(), ctx.on.stop())
    workload.leave.assert_called_once_with()
    workload.remove.assert_not_called()
    workload.watchdog.remove.assert_called_once_with("maas-rack")
    workload.isolation.remove.assert_called_once_with()
    workload.witness_server.remove.assert_called_once_with()
    run(ctx, state(), ctx.on.remove())
    workload.remove.assert_called_once_with()


def test_who_goes_leaves_the_rack_to_a_unit_that_is_on_the_machine_too(
    ctx: Any, workload: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(agents, "AGENTS", tmp_path)
    (tmp_path / "unit-maas-rack-7").mkdir()
    goal = hookcmds.Goal(status="active", since=None)  # type: ignore[arg-type]
    goals = hookcmds.GoalState(units={"maas-rack/7": goal}, relations={})
    monkeypatch.setattr(hookcmds, "goal_state", lambda: goals)
    for event in (ctx.on.stop(), ctx.on.remove()):
        run(ctx, state(), event)
    untouched(workload)
    modules = workload.watchdog, workload.isolation, workload.witness_server, workload
    for module in modules:
        module.remove.assert_not_called()
    (tmp_path / "unit-maas-rack-7").rmdir()
    run(ctx, state(), ctx.on.remove())
    for module in modules:
        module.remove.assert_called_once()
