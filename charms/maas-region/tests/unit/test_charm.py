# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Stories of one unit: what it does and says as relations, config and peers change."""

import dataclasses
import json
import operator
from pathlib import Path
from typing import Any
from unittest import mock

import garbage
import ops
import pytest
from conftest import CLUSTER, Workload
from ops import hookcmds, testing

import charm
import controllers
import db_proxy
import db_slots
import region
import serving
import watched
from charmed_maas import agents, apt_source, systemd

Context = testing.Context[charm.MAASRegionCharm]
LOGIN = testing.Secret({"username": "maasdb", "password": "pw"}, id="secret:login")
DATABASE = {
    "endpoints": "10.0.0.1:5432",
    "members": '["10.0.0.1:5432","10.0.0.2:5432"]',
    "database": "maasdb",
    "secret-user": "secret:login",
    "health-port": "8008",
    "health-ca": garbage.CA,
}
OWN = "192.0.2.0"
SUBNET = "10.0.0.0/24"
OTHER = {"address": "10.0.0.8", "ready": "true", "system-id": "def456", "version": "1:3.7.3"}


def _relations(**given: Any) -> dict[str, Any]:
    relations: dict[str, Any] = {
        "peers": testing.PeerRelation("peers", peers_data={1: OTHER}),
        "db": testing.Relation("db", remote_app_data=DATABASE),
        "api": testing.Relation("api", remote_app_name="haproxy-vip"),
        "rpc": testing.Relation("rpc", remote_app_name="maas-rack"),
    }
    return {name: one for name, one in {**relations, **given}.items() if one}


def _state(leader: bool = True, config: dict[str, Any] | None = None, **given: Any):
    relations = _relations(**given)
    return testing.State(
        leader=leader,
        relations=set(relations.values()),
        secrets={LOGIN} if "db" in relations else set(),
        config=config or {},
    )


def _local(state: testing.State, endpoint: str) -> Any:
    return state.get_relations(endpoint)[0]


def _goals(monkeypatch: pytest.MonkeyPatch, units: dict[str, str], racks: dict[str, str]) -> None:
    def goals(statuses: dict[str, str]) -> dict[str, Any]:
        return {name: hookcmds.Goal(status=one, since=None) for name, one in statuses.items()}  # type: ignore[arg-type]

    state = hookcmds.GoalState(units=goals(units), relations={"rpc": goals(racks)})
    monkeypatch.setattr(hookcmds, "goal_state", lambda: state)


def test_a_unit_with_everything_serves(context: Context, workload: Workload):
    out = context.run(context.on.update_status(), _state())

    assert out.unit_status == testing.ActiveStatus("serving, 2 regions")
    assert out.workload_version == "1:3.7.3"
    workload.watchdog.try_ensure.assert_called_once_with("maas-region", watched.__file__)
    assert workload.open_port.call_args_list == [
        mock.call("tcp", 5240, to_port=None),
        mock.call("tcp", 5250, to_port=5270),
    ]
    wish: serving.Wish = workload.serving.ensure.call_args.args[0]
    assert wish.members.endpoints == (("10.0.0.1", 5432), ("10.0.0.2", 5432))
    assert wish.members.health_port == 8008
    assert (wish.login.username, wish.login.password) == ("maasdb", "pw")
    assert wish.num_workers == 4


def test_without_health_port_the_primary_alone_is_the_way(context: Context, workload: Workload):
    plain = {key: DATABASE[key] for key in ("endpoints", "database", "secret-user")}
    context.run(
        context.on.update_status(), _state(db=testing.Relation("db", remote_app_data=plain))
    )

    wish: serving.Wish = workload.serving.ensure.call_args.args[0]
    assert wish.members.endpoints == (("10.0.0.1", 5432),)
    assert wish.members.health_port == 0


def test_the_leader_asks_for_a_database(context: Context):
    bare = testing.Relation("db")
    out = context.run(context.on.relation_created(bare), _state(db=bare))

    assert _local(out, "db").local_app_data["database"] == "maasdb"
    assert out.unit_status == testing.WaitingStatus("for the database's primary and credentials")


def test_without_a_database_relation_it_stops_and_says_the_way_out(
    context: Context, workload: Workload
):
    out = context.run(context.on.update_status(), _state(db=None))

    workload.serving.stop.assert_called_once_with()
    workload.serving.ensure.assert_not_called()
    assert out.unit_status == testing.BlockedStatus("integrate db with postgresql-ha")
    assert _local(out, "api").local_unit_data["ready"] == "false"


def test_a_reboot_starts_no_maas_that_has_no_database(context: Context, workload: Workload):
    out = context.run(context.on.start(), _state(leader=False, db=None))

    workload.serving.stop.assert_called_once_with()
    workload.serving.ensure.assert_not_called()
    assert out.unit_status == testing.BlockedStatus("integrate db with postgresql-ha")


EVENTS = ("install", "start", "config_changed", "leader_elected", "upgrade_charm", "update_status")


@pytest.mark.parametrize("event", EVENTS)
def test_whatever_juju_tells_brings_the_unit_to_serve(
    context: Context, workload: Workload, event: str
):
    out = context.run(getattr(context.on, event)(), _state())

    workload.serving.ensure.assert_called_once()
    assert out.unit_status == testing.ActiveStatus("serving, 2 regions")


def test_a_new_password_of_the_database_is_followed(context: Context, workload: Workload):
    new = {"username": "maasdb", "password": "another"}
    changed = dataclasses.replace(LOGIN, latest_content=new)
    state = dataclasses.replace(_state(), secrets={changed})
    context.run(context.on.secret_changed(changed), state)

    assert workload.serving.ensure.call_args.args[0].login.password == "another"


def test_a_refreshed_charm_goes_on_with_the_maas_that_is_there(
    context: Context, workload: Workload
):
    workload.region.version.return_value = "1:3.4.10"
    out = context.run(context.on.upgrade_charm(), _state())

    workload.serving.stop.assert_not_called()
    assert out.workload_version == "1:3.4.10"
    assert out.unit_status == testing.ActiveStatus("serving, 2 regions")


def test_nonsense_from_the_database_touches_no_service(context: Context, workload: Workload):
    garbled = testing.Relation("db", remote_app_data={**DATABASE, "endpoints": "nowhere"})
    out = context.run(context.on.relation_changed(garbled), _state(db=garbled))

    workload.serving.stop.assert_not_called()
    workload.serving.ensure.assert_not_called()
    assert isinstance(out.unit_status, testing.BlockedStatus)
    assert "'nowhere' is not address:port" in out.unit_status.message


def test_the_url_is_the_vips(context: Context, workload: Workload):
    api = testing.Relation("api", remote_app_data={"vip": "10.0.0.100", "url": "http://v/MAAS"})
    out = context.run(context.on.relation_changed(api), _state(api=api))

    assert workload.serving.ensure.call_args.args[0].maas_url == "http://v/MAAS"
    assert _local(out, "peers").local_app_data["maas-url"] == "http://v/MAAS"
    assert _local(out, "rpc").local_app_data["maas-url"] == "http://v/MAAS"


def _holding(held: str, cidr: str, vip: str) -> testing.State:
    """As network-get says it where an address beside the own one sorts first."""
    found = [testing.Address(held, cidr=cidr), testing.Address("10.0.0.8", cidr=SUBNET)]
    bind = testing.BindAddress(found, interface_name="eth0")
    seen = testing.Network("peers", [bind], ingress_addresses=[held, "10.0.0.8"])
    told = {"vip": vip, "url": f"http://{vip}/MAAS"}
    api = testing.Relation("api", remote_app_data=told)
    return dataclasses.replace(_state(api=api), networks={seen})


@pytest.mark.parametrize("cidr", ["10.0.0.100/32", "10.0.0.0/24"])
def test_the_vip_is_never_taken_for_an_own_address(
    context: Context, workload: Workload, cidr: str
):
    out = context.run(context.on.update_status(), _holding("10.0.0.100", cidr, "10.0.0.100"))

    assert workload.serving.ensure.call_args.args[0].address == "10.0.0.8"
    for endpoint in ("peers", "api", "db"):
        assert _local(out, endpoint).local_unit_data["address"] == "10.0.0.8"


def test_a_vip_from_before_is_never_taken_for_an_own_address(
    context: Context, workload: Workload, monkeypatch: pytest.MonkeyPatch
):
    # haproxy-vip has told of another VIP, and on this machine not let the old one go.
    monkeypatch.setattr(region, "configured_vip", lambda: "10.0.0.100")
    out = context.run(context.on.update_status(), _holding("10.0.0.100", SUBNET, "10.0.0.200"))

    assert _local(out, "peers").local_unit_data["address"] == "10.0.0.8"


def test_without_a_vip_the_url_is_the_lowest_regions(context: Context, workload: Workload):
    context.run(context.on.update_status(), _state())

    assert workload.serving.ensure.call_args.args[0].maas_url == f"http://{OWN}:5240/MAAS"


def test_a_garbled_vip_leaves_the_url_as_it_was(context: Context, workload: Workload):
    api = testing.Relation("api", remote_app_data={"url": "not a url"})
    peers = testing.PeerRelation(
        "peers", peers_data={1: OTHER}, local_app_data={"maas-url": "http://v/MAAS"}
    )
    out = context.run(context.on.update_status(), _state(api=api, peers=peers))

    assert workload.serving.ensure.call_args.args[0].maas_url == "http://v/MAAS"
    assert isinstance(out.unit_status, testing.BlockedStatus)


VIP_URL = "http://10.0.0.100/MAAS"
NO_VIP = testing.Relation("api", remote_app_data={"no-vip": "true"})


@pytest.mark.parametrize("api", [None, testing.Relation("api", remote_app_name="haproxy-vip")])
def test_a_missing_or_silent_haproxy_vip_restarts_no_region(
    context: Context, workload: Workload, api: testing.Relation | None
):
    peers = testing.PeerRelation(
        "peers", peers_data={1: OTHER}, local_app_data={"maas-url": VIP_URL}
    )
    out = context.run(context.on.update_status(), _state(api=api, peers=peers))

    assert workload.serving.ensure.call_args.args[0].maas_url == VIP_URL
    assert _local(out, "peers").local_app_data["maas-url"] == VIP_URL
    assert _local(out, "rpc").local_app_data["maas-url"] == VIP_URL
    assert out.unit_status == testing.ActiveStatus(
        f"serving, 2 regions; keeps {VIP_URL} without haproxy-vip"
    )


@pytest.mark.parametrize(
    ("last", "api"),
    [
        ("", None),
        ("http://10.0.0.77:5240/MAAS", None),
        ("http://10.0.0.77:5240/MAAS", testing.Relation("api")),
        (VIP_URL, NO_VIP),
    ],
)
def test_the_url_is_a_regions_own_when_there_was_no_vip_or_it_is_given_up(
    context: Context, workload: Workload, last: str, api: testing.Relation | None
):
    written = {"maas-url": last} if last else {}
    peers = testing.PeerRelation("peers", peers_data={1: OTHER}, local_app_data=written)
    out = context.run(context.on.update_status(), _state(api=api, peers=peers))

    assert workload.serving.ensure.call_args.args[0].maas_url == f"http://{OWN}:5240/MAAS"
    assert out.unit_status == testing.ActiveStatus("serving, 2 regions")


@pytest.mark.parametrize("leader", [True, False])
def test_a_vip_whose_relation_is_missing_is_not_taken_for_an_own_address(
    context: Context, workload: Workload, leader: bool
):
    found = [testing.Address("10.0.0.100", cidr=SUBNET), testing.Address("10.0.0.8", cidr=SUBNET)]
    bind = testing.BindAddress(found, interface_name="eth0")
    seen = testing.Network("peers", [bind], ingress_addresses=["10.0.0.100", "10.0.0.8"])
    peers = testing.PeerRelation("peers", local_app_data={"maas-url": VIP_URL})
    state = _state(leader=leader, api=None, peers=peers)
    out = context.run(context.on.update_status(), dataclasses.replace(state, networks={seen}))

    assert workload.serving.ensure.call_args.args[0].address == "10.0.0.8"
    assert _local(out, "peers").local_unit_data["address"] == "10.0.0.8"


def test_others_follow_the_leaders_url(context: Context, workload: Workload):
    out = context.run(context.on.update_status(), _state(leader=False))
    workload.serving.ensure.assert_not_called()
    assert out.unit_status == testing.WaitingStatus("for the leader to publish the MAAS URL")

    peers = testing.PeerRelation("peers", local_app_data={"maas-url": "http://v/MAAS"})
    context.run(context.on.update_status(), _state(leader=False, peers=peers))
    assert workload.serving.ensure.call_args.args[0].maas_url == "http://v/MAAS"


def test_racks_get_url_regions_and_a_secret_by_id(context: Context):
    out = context.run(context.on.update_status(), _state())

    published = _local(out, "rpc").local_app_data
    assert json.loads(published["region-urls"]) == [
        f"http://{OWN}:5240/MAAS",
        "http://10.0.0.8:5240/MAAS",
    ]
    (secret,) = [one for one in out.secrets if one.label == "shared-secret"]
    assert secret.latest_content == {"secret": "5ec2e7"}
    assert secret.remote_grants == {_local(out, "rpc").id: {"maas-rack"}}
    assert published["secret-id"].rpartition(":")[2] == secret.id.rpartition(":")[2]
    assert "5ec2e7" not in str(published)


def test_what_racks_are_told_has_the_order_of_unit_numbers(context: Context):
    bags = {n: {"address": f"10.0.0.{n}", "ready": "true"} for n in range(12, 0, -1)}
    peers = testing.PeerRelation("peers", peers_data=bags)  # type: ignore[arg-type]
    out = context.run(context.on.update_status(), _state(peers=peers))

    hosts = [OWN, *(f"10.0.0.{n}" for n in range(1, 13))]
    told = json.loads(_local(out, "rpc").local_app_data["region-urls"])
    assert told == [f"http://{one}:5240/MAAS" for one in hosts]


def test_each_region_tells_haproxy_vip_of_itself_whoever_leads(context: Context):
    peers = testing.PeerRelation("peers", local_app_data={"maas-url": "http://v/MAAS"})
    out = context.run(context.on.update_status(), _state(leader=False, peers=peers))

    assert _local(out, "api").local_unit_data.items() >= {"address": OWN, "ready": "true"}.items()
    assert not _local(out, "api").local_app_data


@pytest.mark.parametrize("stage", [serving.Stage.REFUSED, serving.Stage.MIGRATING])
def test_racks_keep_every_region_while_maas_is_upgraded(
    context: Context, workload: Workload, stage: serving.Stage
):
    before = context.run(context.on.update_status(), _state())
    workload.serving.ensure.return_value = serving.Outcome(stage)
    others = {
        1: {"address": "10.0.0.8", "cluster": CLUSTER},
        2: {"address": "10.0.0.9", "cluster": CLUSTER, "leaving": "true"},
        3: {"address": "10.0.0.10", "cluster": CLUSTER, "paused": "true"},
        # It has never served: a rack that starts would wait for it.
        4: {"address": "10.0.0.11"},
    }
    peers = dataclasses.replace(_local(before, "peers"), peers_data=others)
    relations = {one for one in before.relations if one.endpoint != "peers"} | {peers}
    out = context.run(context.on.update_status(), dataclasses.replace(before, relations=relations))

    assert _local(out, "api").local_unit_data["ready"] == "false"
    assert _local(out, "rpc").local_app_data == _local(before, "rpc").local_app_data


def test_nothing_is_rewritten_when_nothing_changed(context: Context, workload: Workload):
    once = context.run(context.on.update_status(), _state())
    twice = context.run(context.on.update_status(), once)

    for endpoint in ("peers", "db", "api", "rpc"):
        assert _local(once, endpoint).local_unit_data == _local(twice, endpoint).local_unit_data
        assert _local(once, endpoint).local_app_data == _local(twice, endpoint).local_app_data
    assert len(twice.secrets) == len(once.secrets)


def test_the_cluster_is_written_down_once_it_serves(context: Context, workload: Workload):
    out = context.run(context.on.update_status(), _state())
    assert _local(out, "peers").local_app_data["cluster"] == CLUSTER

    workload.serving.ensure.return_value = serving.Outcome(serving.Stage.MIGRATING)
    out = context.run(context.on.update_status(), _state())
    assert "cluster" not in _local(out, "peers").local_app_data


def test_the_cluster_that_only_another_region_served_is_expected(
    context: Context, workload: Workload
):
    out = context.run(
        context.on.update_status(),
        _state(
            leader=False,
            peers=testing.PeerRelation("peers", local_app_data={"maas-url": "http://v/MAAS"}),
        ),
    )
    assert _local(out, "peers").local_unit_data["cluster"] == CLUSTER

    workload.serving.ensure.return_value = serving.Outcome(serving.Stage.UNHEALTHY)
    peers = testing.PeerRelation("peers", peers_data={1: {"cluster": CLUSTER}})
    out = context.run(context.on.update_status(), _state(peers=peers))
    assert workload.serving.ensure.call_args.args[0].expected_cluster == CLUSTER
    assert _local(out, "peers").local_app_data["cluster"] == CLUSTER


def test_a_recorded_cluster_is_expected(context: Context, workload: Workload):
    peers = testing.PeerRelation("peers", local_app_data={"cluster": CLUSTER})
    workload.serving.ensure.return_value = serving.Outcome(serving.Stage.REFUSED, "holds no MAAS")
    out = context.run(context.on.update_status(), _state(peers=peers))

    assert workload.serving.ensure.call_args.args[0].expected_cluster == CLUSTER
    assert out.unit_status == testing.BlockedStatus("holds no MAAS")
    assert _local(out, "api").local_unit_data["ready"] == "false"


@pytest.mark.parametrize("leader", [True, False])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("controllers", "garbled"),
        ("controllers", '[{"unit": "maas-rack/3", "kind": "switch", "system-id": "x"}]'),
        ("departed", '[{"kind": "rack", "system-id": "x", "since": "soon"}]'),
        ("maas-url", "nowhere"),
    ],
)
def test_what_was_written_down_and_cannot_be_read_is_left_and_nothing_changes(
    context: Context, workload: Workload, leader: bool, field: str, value: str
):
    members = [{"unit": "maas-rack/3", "kind": "rack", "system-id": "rack33"}]
    written = {
        "cluster": CLUSTER,
        "maas-url": "http://v/MAAS",
        "controllers": json.dumps(members),
        **{field: value},
    }
    peers = testing.PeerRelation(
        "peers",
        peers_data={1: OTHER},
        local_app_data=written,
        local_unit_data={"ready": "true"},
    )
    out = context.run(context.on.update_status(), _state(leader=leader, peers=peers))

    assert _local(out, "peers").local_app_data == written
    assert _local(out, "api").local_unit_data["ready"] == "true"
    assert not _local(out, "rpc").local_app_data
    for verb in (workload.serving.ensure, workload.serving.stop):
        verb.assert_not_called()
    workload.controllers.ensure_departed.assert_not_called()
    assert isinstance(out.unit_status, testing.BlockedStatus)
    assert f"maas-region sent {field}: " in out.unit_status.message
    assert out.unit_status.message.endswith(
        ": empty that field with relation-set --app on the leader's unit"
    )


def test_a_peer_that_cannot_be_read_is_to_be_brought_to_this_revision(
    context: Context, workload: Workload
):
    peers = testing.PeerRelation("peers", peers_data={1: {**OTHER, "ready": "maybe"}})
    out = context.run(context.on.update_status(), _state(peers=peers))
    assert out.unit_status == testing.BlockedStatus(
        "maas-region/1 sent ready: 'maybe' is neither true nor false: "
        "bring maas-region/1 to this unit's revision of the charm"
    )


def test_a_database_outage_does_not_take_the_region_out_of_the_vip(
    context: Context, workload: Workload
):
    workload.serving.ensure.return_value = serving.Outcome(serving.Stage.UNREACHABLE, "no primary")
    peers = testing.PeerRelation("peers", local_unit_data={"ready": "true"})
    out = context.run(context.on.update_status(), _state(peers=peers))

    assert _local(out, "api").local_unit_data["ready"] == "true"
    assert out.unit_status == testing.WaitingStatus("for the database: no primary")


def test_a_unit_that_never_served_takes_no_traffic(context: Context, workload: Workload):
    workload.serving.ensure.return_value = serving.Outcome(serving.Stage.UNHEALTHY, "MAAS: 502")
    out = context.run(context.on.update_status(), _state())

    assert _local(out, "api").local_unit_data["ready"] == "false"
    assert out.unit_status == testing.MaintenanceStatus("starting: MAAS: 502")


def test_racks_are_told_the_grace_and_dead_ones_replaced_by_it(
    context: Context, workload: Workload
):
    out = context.run(context.on.config_changed(), _state())
    assert _local(out, "rpc").local_app_data["dhcp-grace"] == "120"
    workload.dhcp.ensure.assert_called_once_with()
    workload.dhcp.remove.assert_not_called()

    out = context.run(context.on.config_changed(), _state(config={"dhcp-ha-grace": 300}))
    assert _local(out, "rpc").local_app_data["dhcp-grace"] == "300"

    out = context.run(context.on.config_changed(), _state(config={"dhcp-ha": False}))
    assert "dhcp-grace" not in _local(out, "rpc").local_app_data
    workload.dhcp.remove.assert_called_once_with()


def test_racks_have_no_grace_that_the_regions_timers_do_not_know(
    context: Context, workload: Workload
):
    rpc = testing.Relation(
        "rpc",
        remote_app_name="maas-rack",
        remote_units_data={0: {"system-id": "rack11", "dhcp-grace": "120"}},
        local_app_data={"dhcp-grace": "120"},
    )
    config = {"dhcp-ha-grace": 300}
    workload.dhcp.tell.return_value = False
    out = context.run(context.on.leader_elected(), _state(rpc=rpc, config=config))
    assert _local(out, "rpc").local_app_data["dhcp-grace"] == "120"

    workload.dhcp.tell.return_value = True
    out = context.run(context.on.config_changed(), out)
    assert _local(out, "rpc").local_app_data["dhcp-grace"] == "300"
    workload.dhcp.tell.assert_called_with(300, {"rack11": 120}, [])

    out = context.run(
        context.on.config_changed(), dataclasses.replace(out, config={"dhcp-ha": False})
    )
    workload.dhcp.tell.assert_called_with(0, {"rack11": 120}, [])
    assert "dhcp-grace" not in _local(out, "rpc").local_app_data
    workload.dhcp.tell.reset_mock()
    context.run(context.on.config_changed(), dataclasses.replace(out, config={"dhcp-ha": False}))
    workload.dhcp.tell.assert_not_called()


def _of_a_known_rack(told: dict[str, str]) -> testing.State:
    """Return a model whose one rack, of which the peers know no grace, has applied one."""
    known = [{"unit": "maas-rack/0", "kind": "rack", "system-id": "rack11"}]
    peers = testing.PeerRelation("peers", local_app_data={"controllers": json.dumps(known)})
    rpc = testing.Relation(
        "rpc",
        remote_app_name="maas-rack",
        remote_units_data={0: {"system-id": "rack11", "dhcp-grace": "120"}},
        local_app_data=told,
    )
    return _state(peers=peers, rpc=rpc)


def test_a_new_leader_learns_which_graces_the_racks_have_applied(
    context: Context, workload: Workload
):
    state = _of_a_known_rack(told={"dhcp-grace": "120"})
    context.run(context.on.leader_elected(), state)
    workload.dhcp.tell.assert_called_with(120, {"rack11": 120}, [])


def test_a_region_looks_after_dhcp_while_its_database_is_away_but_not_while_it_is_paused(
    context: Context, workload: Workload
):
    workload.serving.ensure.return_value = serving.Outcome(serving.Stage.UNREACHABLE, "away")
    ready = testing.PeerRelation("peers", local_unit_data={"ready": "true"})
    context.run(context.on.update_status(), _state(peers=ready))
    workload.dhcp.remove.assert_not_called()
    paused = testing.PeerRelation("peers", local_unit_data={"paused": "true", "ready": "false"})
    context.run(context.on.update_status(), _state(peers=paused))
    workload.dhcp.remove.assert_called_once_with()
    workload.dhcp.ensure.assert_not_called()


@pytest.mark.parametrize("grace_s", [119, 3601, -5])
def test_a_grace_that_is_not_safe_is_refused_and_the_nearest_one_taken(
    context: Context, workload: Workload, grace_s: int
):
    out = context.run(context.on.config_changed(), _state(config={"dhcp-ha-grace": grace_s}))
    assert out.unit_status == testing.BlockedStatus(
        f"set dhcp-ha-grace to 120 to 3600, it is {grace_s}"
    )
    nearest = "3600" if grace_s > 3600 else "120"
    assert _local(out, "rpc").local_app_data["dhcp-grace"] == nearest


def test_what_stands_against_a_replacement_is_told(context: Context, workload: Workload):
    workload.dhcp.told.return_value = ("pxe: rack-a is not replaced: 10.1.0.1 still answers",)
    out = context.run(context.on.update_status(), _state())
    assert out.unit_status == testing.WaitingStatus(
        "DHCP on pxe: rack-a is not replaced: 10.1.0.1 still answers"
    )


@pytest.mark.parametrize(
    ("stage", "name", "message"),
    [
        (serving.Stage.UNHEALTHY, "maintenance", "starting: 502; regiond: OSError: x"),
        (serving.Stage.FAILED, "blocked", "502; regiond: OSError: x"),
    ],
)
def test_a_unit_that_cannot_serve_tells_what_maas_logged(
    context: Context, workload: Workload, stage: serving.Stage, name: str, message: str
):
    workload.serving.ensure.return_value = serving.Outcome(
        stage, "502", cause="regiond: OSError: x"
    )
    status = context.run(context.on.update_status(), _state()).unit_status
    assert (status.name, status.message) == (name, message)


def test_a_dns_that_does_not_run_is_told_by_a_region_that_takes_traffic(
    context: Context, workload: Workload
):
    workload.serving.ensure.return_value = serving.Outcome(
        serving.Stage.SERVING, "MAAS's DNS: systemctl exited with 1", CLUSTER
    )
    out = context.run(context.on.update_status(), _state())
    assert out.unit_status == testing.BlockedStatus("MAAS's DNS: systemctl exited with 1")
    assert out.get_relations("api")[0].local_unit_data["ready"] == "true"


@pytest.mark.parametrize(
    "name", ["watchdog.try_ensure", "traffic.ensure", "controllers.ensure_departed", "dhcp.ensure"]
)
def test_what_systemd_refuses_is_told_by_a_region_that_serves(
    context: Context, workload: Workload, name: str
):
    refusing = operator.attrgetter(name)(workload)
    if name == "watchdog.try_ensure":
        refusing.return_value = ["systemctl exited with 1: no"]
    else:
        refusing.side_effect = systemd.SystemdError("systemctl exited with 1: no")
    out = context.run(context.on.update_status(), _state())
    assert out.unit_status == testing.BlockedStatus("systemctl exited with 1: no")
    assert out.get_relations("api")[0].local_unit_data["ready"] == "true"


def test_a_newer_version_that_apt_offers_is_told(context: Context, workload: Workload):
    workload.region.offered.return_value = "1:3.8.0-1"
    out = context.run(context.on.update_status(), _state())
    assert out.unit_status == testing.ActiveStatus("serving, 2 regions; apt offers 1:3.8.0-1")


def test_a_source_that_apt_refuses_is_told(context: Context, workload: Workload):
    workload.region.install.side_effect = apt_source.SourceError("source 'x' is no source")
    workload.region.version.return_value = ""
    out = context.run(context.on.config_changed(), _state(config={"source": "x"}))

    assert out.unit_status == testing.BlockedStatus("source 'x' is no source")
    workload.serving.ensure.assert_not_called()


def test_an_install_that_failed_is_made_up_for_by_a_later_event(
    context: Context, workload: Workload
):
    workload.region.install.side_effect = apt_source.SourceError("no network")
    workload.region.version.return_value = ""
    out = _state()
    for event in (context.on.install(), context.on.start()):
        out = context.run(event, out)
        assert out.unit_status == testing.BlockedStatus("no network")

    workload.region.install.side_effect = lambda _: workload.region.version.configure_mock(
        return_value="1:3.7.3"
    )
    out = context.run(context.on.update_status(), out)
    assert out.unit_status == testing.ActiveStatus("serving, 2 regions")


def test_a_bad_source_on_a_serving_unit_touches_no_service(context: Context, workload: Workload):
    workload.region.install.side_effect = apt_source.SourceError("source 'x' is no source")
    out = context.run(context.on.config_changed(), _state(config={"source": "x"}))

    workload.serving.ensure.assert_called_once()
    workload.serving.stop.assert_not_called()
    assert out.unit_status == testing.BlockedStatus("source 'x' is no source")


def test_a_bad_number_of_workers_leaves_them_as_they_are(context: Context, workload: Workload):
    out = context.run(context.on.config_changed(), _state(config={"num-workers": 50}))

    assert workload.serving.ensure.call_args.args[0].num_workers == 0
    assert out.unit_status == testing.BlockedStatus("set num-workers to 1 to 10, it is 50")


def test_a_leaving_unit_says_so_before_it_stops(context: Context, workload: Workload):
    context = testing.Context(charm.MAASRegionCharm, unit_id=2)
    relations = _relations()
    state = testing.State(leader=True, relations=set(relations.values()), secrets={LOGIN})
    event = context.on.relation_departed(relations["peers"], remote_unit=1, departing_unit=1)
    out = context.run(event, state)
    assert "leaving" not in _local(out, "peers").local_unit_data

    event = context.on.relation_departed(relations["peers"], remote_unit=1, departing_unit=2)
    out = context.run(event, state)
    assert _local(out, "peers").local_unit_data["leaving"] == "true"
    assert _local(out, "api").local_unit_data["ready"] == "false"
    assert out.unit_status == testing.MaintenanceStatus("leaving")

    # Its database goes before its stop hook: MAAS ends its requests first.
    broken = out.get_relation(relations["db"].id)
    context.run(context.on.relation_broken(broken), out)
    workload.serving.stop.assert_not_called()


@pytest.mark.parametrize("left", ["active", None])
def test_a_leaving_unit_whose_peers_relation_broke_first_takes_no_traffic_again(
    context: Context, workload: Workload, monkeypatch: pytest.MonkeyPatch, left: str | None
):
    units = {"maas-region/0": "dying"} | ({"maas-region/1": left} if left else {})
    _goals(monkeypatch, units, {"maas-rack/4": "active"})
    peers = testing.PeerRelation("peers", local_unit_data={"leaving": "true"})
    told = {"region-urls": '["http://10.0.0.8:5240/MAAS"]', "maas-url": "http://v/MAAS"}
    rpc = testing.Relation("rpc", remote_app_name="maas-rack", local_app_data=told)
    out = context.run(context.on.relation_broken(peers), _state(peers=peers, rpc=rpc))
    assert _local(out, "api").local_unit_data["ready"] == "false"

    gone = [one for one in out.relations if one.endpoint != "peers"]
    out = context.run(context.on.update_status(), dataclasses.replace(out, relations=gone))
    assert _local(out, "api").local_unit_data["ready"] == "false"
    assert _local(out, "rpc").local_app_data == told
    assert out.unit_status == testing.MaintenanceStatus("leaving")
    for verb in (workload.serving.ensure, workload.serving.stop):
        verb.assert_not_called()


def test_stop_leaves_and_remove_forgets(context: Context, workload: Workload):
    context.run(context.on.stop(), _state(db=None))
    workload.serving.leave.assert_called_once_with()
    workload.watchdog.remove.assert_called_once_with("maas-region")

    context.run(context.on.remove(), _state(db=None))
    workload.controllers.remove.assert_called_once_with()


def test_who_goes_leaves_maas_to_a_unit_that_is_on_the_machine_too(
    context: Context, workload: Workload, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(agents, "AGENTS", tmp_path)
    (tmp_path / "unit-maas-region-7").mkdir()
    _goals(monkeypatch, {"maas-region/0": "dying", "maas-region/7": "active"}, {})
    out = context.run(context.on.stop(), _state(db=None))
    assert out.unit_status == testing.MaintenanceStatus("leaving")
    context.run(context.on.remove(), _state(db=None))
    removes = [one.remove for one in (workload.watchdog, workload.dhcp, workload.traffic)]
    removes += [workload.controllers.remove, workload.region.forget]
    for verb in (*removes, workload.serving.leave):
        verb.assert_not_called()

    _goals(monkeypatch, {"maas-region/0": "dying", "maas-region/7": "dying"}, {})
    context.run(context.on.remove(), _state(db=None))
    for verb in removes:
        verb.assert_called_once_with(*verb.call_args.args)


def test_controllers_of_units_that_are_gone_are_put_on_the_list(
    context: Context, workload: Workload, monkeypatch: pytest.MonkeyPatch
):
    _goals(monkeypatch, {"maas-region/0": "active"}, {"maas-rack/4": "active"})
    members = [
        {"unit": "maas-region/1", "kind": "region", "system-id": "def456"},
        {"unit": "maas-rack/3", "kind": "rack", "system-id": "rack33"},
        {"unit": "maas-rack/4", "kind": "rack", "system-id": "rack44"},
    ]
    peers = testing.PeerRelation(
        "peers", peers_data={1: OTHER}, local_app_data={"controllers": json.dumps(members)}
    )
    out = context.run(context.on.update_status(), _state(peers=peers))

    (departed,) = workload.controllers.ensure_departed.call_args.args
    assert {(one.kind, one.system_id) for one in departed} == {
        ("region", "def456"),
        ("rack", "rack33"),
    }
    written = json.loads(_local(out, "peers").local_app_data["controllers"])
    assert [one["unit"] for one in written] == ["maas-rack/4", "maas-region/0"]
    assert out.unit_status == testing.ActiveStatus("serving, 1 region: no high availability")


def test_racks_that_were_all_removed_go_with_the_relation_kept(
    context: Context, workload: Workload, monkeypatch: pytest.MonkeyPatch
):
    _goals(monkeypatch, {"maas-region/0": "active"}, {"maas-rack": "joined"})
    members = [{"unit": "maas-rack/3", "kind": "rack", "system-id": "rack33"}]
    peers = testing.PeerRelation("peers", local_app_data={"controllers": json.dumps(members)})
    context.run(context.on.update_status(), _state(peers=peers))

    (departed,) = workload.controllers.ensure_departed.call_args.args
    assert [one.system_id for one in departed] == ["rack33"]


def test_departed_controllers_leave_the_list_when_maas_forgot_them(
    context: Context, workload: Workload
):
    departed = [{"kind": "rack", "system-id": "rack33", "since": "100"}]
    peers = testing.PeerRelation("peers", local_app_data={"departed": json.dumps(departed)})
    workload.controllers.still_known.side_effect = lambda _: ()
    out = context.run(context.on.update_status(), _state(peers=peers))

    workload.controllers.still_known.assert_called_once_with(
        (controllers.Departed("rack", "rack33", 100),)
    )
    assert "departed" not in _local(out, "peers").local_app_data
    workload.controllers.ensure_departed.assert_called_once_with(())
    workload.tell_departed.assert_called_once_with([], mock.ANY)


def test_the_leader_alone_tells_every_timer_what_has_departed(
    context: Context, workload: Workload, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("time.time", lambda: 123.5)
    departed = [{"kind": "rack", "system-id": "rack33", "since": "100"}]
    peers = testing.PeerRelation("peers", local_app_data={"departed": json.dumps(departed)})
    context.run(context.on.update_status(), _state(leader=False, peers=peers))
    workload.tell_departed.assert_not_called()
    context.run(context.on.update_status(), _state(peers=peers))
    workload.tell_departed.assert_called_once_with([("rack", "rack33")], 123)


def test_what_a_departed_rack_told_is_known_while_maas_knows_it(
    context: Context, workload: Workload
):
    departed = [
        {"kind": kind, "system-id": one, "since": "100"}
        for kind, one in (("rack", "rack33"), ("rack", "rack44"), ("region", "aaa111"))
    ]
    peers = testing.PeerRelation("peers", local_app_data={"departed": json.dumps(departed)})
    workload.controllers.still_known.side_effect = lambda departed: tuple(
        one for one in departed if one.system_id != "rack44"
    )
    context.run(context.on.update_status(), _state(peers=peers))
    workload.dhcp.tell.assert_called_with(120, {}, ["rack33"])


def test_what_a_rack_wrote_while_nobody_listened_is_read_at_some_update_status(
    context: Context, workload: Workload
):
    state = _of_a_known_rack(told={})
    context.run(context.on.config_changed(), state)
    workload.dhcp.tell.assert_called_with(120, {"rack11": 0}, [])
    context.run(context.on.update_status(), state)
    workload.dhcp.tell.assert_called_with(120, {"rack11": 120}, [])


@pytest.mark.parametrize("later", ["leader_elected", "update_status"])
def test_a_racks_databag_is_read_in_its_own_event_or_when_nobody_knows_it(
    context: Context, later: str
):
    rpc = testing.Relation(
        "rpc",
        remote_app_name="maas-rack",
        remote_units_data={
            0: {"hostname": "k1", "system-id": "rack11"},
            1: {"hostname": "k2", "system-id": "rack22"},
        },
    )
    out = context.run(context.on.relation_changed(rpc, remote_unit=1), _state(rpc=rpc))
    written = json.loads(_local(out, "peers").local_app_data["controllers"])
    assert [one["system-id"] for one in written if one["kind"] == "rack"] == ["rack22"]

    out = context.run(getattr(context.on, later)(), out)
    written = json.loads(_local(out, "peers").local_app_data["controllers"])
    assert [one["system-id"] for one in written if one["kind"] == "rack"] == ["rack11", "rack22"]


@pytest.mark.parametrize(
    ("twice", "known"),
    [
        ({"members": '["10.0.0.1:5432","10.0.0.2:5432","10.0.0.2:5432"]'}, 2),
        ({"members": "[]", "endpoints": "10.0.0.1:5432,10.0.0.1:5432"}, 1),
    ],
)
def test_an_address_that_the_database_gives_twice_is_one_member(
    context: Context, workload: Workload, twice: dict[str, str], known: int
):
    db = testing.Relation("db", remote_app_data=DATABASE | twice)
    out = context.run(context.on.relation_changed(db), _state(db=db))
    assert out.unit_status == testing.ActiveStatus("serving, 2 regions")
    members = workload.serving.ensure.call_args.args[0].members
    once = dataclasses.replace(members, endpoints=members.endpoints[:known])
    text = db_proxy.render_config(members)
    assert text == db_proxy.render_config(once)
    assert len([one for one in db_slots.parse(text) if one]) == known


@pytest.mark.parametrize("address", ["10.0.0.1", OWN, "10.0.0.100", "10.0.0.8"])
def test_units_of_haproxy_vip_may_claim_any_address(
    context: Context, workload: Workload, address: str
):
    api = testing.Relation(
        "api",
        remote_app_data={"vip": "10.0.0.100", "url": "http://10.0.0.100/MAAS"},
        remote_units_data={0: {"address": address, "ready": "true"}, 1: {"address": address}},
    )
    out = context.run(context.on.relation_changed(api, remote_unit=1), _state(api=api))
    assert out.unit_status == testing.ActiveStatus("serving, 2 regions")
    assert workload.serving.ensure.call_args.args[0].others == ("10.0.0.8",)
    told = json.loads(_local(out, "rpc").local_app_data["region-urls"])
    assert told == [f"http://{OWN}:5240/MAAS", "http://10.0.0.8:5240/MAAS"]


@pytest.mark.parametrize(
    ("claimed", "others"), [(OWN, []), ("10.0.0.8", ["10.0.0.8"])], ids=["own", "another's"]
)
def test_a_peer_that_claims_an_address_is_no_further_region(
    context: Context, workload: Workload, claimed: str, others: list[str]
):
    bags = {2: OTHER | {"address": claimed}} | ({1: OTHER} if others else {})
    peers = testing.PeerRelation("peers", peers_data=bags)  # type: ignore[arg-type]
    out = context.run(context.on.relation_changed(peers, remote_unit=2), _state(peers=peers))

    count = "2 regions" if others else "1 region: no high availability"
    assert out.unit_status == testing.ActiveStatus(f"serving, {count}")
    assert workload.serving.ensure.call_args.args[0].others == tuple(others)
    told = json.loads(_local(out, "rpc").local_app_data["region-urls"])
    assert told == [f"http://{one}:5240/MAAS" for one in (OWN, *others)]
    # Whoever is asked whether MAAS would go on without this unit must not be this unit.
    context.run(context.on.action("pause"), out)
    assert workload.serving.pause_in_turn.call_args.args[2] == tuple(others)


@pytest.mark.parametrize(
    ("grace_s", "known_s", "held_s"), [("120", 300, 300), ("300", 120, 300), ("", 120, 0)]
)
def test_a_rack_that_claims_anothers_id_takes_nothing_from_it(
    context: Context,
    workload: Workload,
    monkeypatch: pytest.MonkeyPatch,
    grace_s: str,
    known_s: int,
    held_s: int,
):
    known = {"unit": "maas-rack/0", "kind": "rack", "system-id": "rack11", "dhcp-grace": known_s}
    peers = testing.PeerRelation("peers", local_app_data={"controllers": json.dumps([known])})
    rpc = testing.Relation(
        "rpc",
        remote_app_name="maas-rack",
        remote_units_data={1: {"system-id": "rack11", "dhcp-grace": grace_s}},
    )
    racks = {"maas-rack/0": "active", "maas-rack/1": "active"}
    _goals(monkeypatch, {"maas-region/0": "active"}, racks)
    claims = context.on.relation_changed(rpc, remote_unit=1)
    out = context.run(claims, _state(peers=peers, rpc=rpc))
    assert out.unit_status.name == "active"
    workload.dhcp.tell.assert_called_with(120, {"rack11": held_s}, [])

    # Neither when it says better nor when it goes is the other's controller deleted.
    better = dataclasses.replace(
        out.get_relation(rpc.id), remote_units_data={1: {"system-id": "rack22"}}
    )
    said = dataclasses.replace(out, relations={*out.relations} - {out.get_relation(rpc.id)})
    said = dataclasses.replace(said, relations={*said.relations, better})
    context.run(context.on.relation_changed(better, remote_unit=1), said)
    workload.dhcp.tell.assert_called_with(120, {"rack11": known_s, "rack22": 0}, [])
    _goals(monkeypatch, {"maas-region/0": "active"}, {"maas-rack/0": "active"})
    context.run(context.on.update_status(), out)
    assert [one.args for one in workload.controllers.ensure_departed.call_args_list] == [((),)] * 3


def test_charm_knows_juju_only():
    source = Path(charm.__file__).read_text()
    assert "import subprocess" not in source
    for module in ("region", "serving", "controllers", "accounts", "database", "migration"):
        text = Path(charm.__file__).with_name(f"{module}.py").read_text()
        assert "import ops" not in text, module
    assert ops.__version__


def test_the_leader_sets_in_maas_what_options_name_and_tells_what_maas_refuses(
    context: Context, workload: Workload
):
    workload.settings.ensure.return_value = ("ntp-servers: no",)
    config = {"ntp-servers": " a.example ", "upstream-dns": ""}
    out = context.run(context.on.config_changed(), _state(config=config))

    workload.settings.ensure.assert_called_once_with({"ntp-servers": "a.example"})
    assert out.unit_status == testing.BlockedStatus("ntp-servers: no")

    workload.settings.ensure.reset_mock()
    context.run(context.on.config_changed(), _state(leader=False, config=config))
    workload.serving.ensure.return_value = serving.Outcome(serving.Stage.UNHEALTHY, "502")
    context.run(context.on.config_changed(), _state(config=config))
    assert not workload.settings.ensure.called


def test_a_paused_region_takes_no_traffic_and_stays_stopped_until_it_resumes(
    context: Context, workload: Workload
):
    paused = context.run(context.on.action("pause"), _state())
    workload.serving.pause_in_turn.assert_called_once_with(
        mock.ANY, "maas-region/0", (OTHER["address"],)
    )
    login = workload.serving.pause_in_turn.call_args.args[0]
    assert (login.username, login.password) == ("maasdb", "pw")
    assert not workload.serving.ensure.called
    assert _local(paused, "api").local_unit_data["ready"] == "false"
    assert paused.unit_status == testing.MaintenanceStatus("paused: run resume to serve again")

    still = context.run(context.on.update_status(), paused)
    assert not workload.serving.ensure.called

    out = context.run(context.on.action("resume"), still)
    assert out.unit_status == testing.ActiveStatus("serving, 2 regions")
    assert _local(out, "api").local_unit_data["ready"] == "true"


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        ("stop", {"db": None}),
        ("pause", {"peers": testing.PeerRelation("peers", local_unit_data={"paused": "true"})}),
    ],
)
def test_a_region_that_does_not_stop_says_why_and_takes_no_traffic(
    context: Context, workload: Workload, verb: str, given: dict[str, Any]
):
    failure = serving.Outcome(serving.Stage.FAILED, "systemctl exited with 1: no")
    getattr(workload.serving, verb).return_value = failure
    out = context.run(context.on.update_status(), _state(**given))
    assert out.unit_status == testing.BlockedStatus("systemctl exited with 1: no")
    assert _local(out, "api").local_unit_data["ready"] == "false"


def test_who_leaves_goes_on_with_what_systemd_does_not_refuse(
    context: Context, workload: Workload
):
    refuses = systemd.SystemdError("systemctl exited with 1: no")
    workload.watchdog.remove.side_effect = workload.dhcp.remove.side_effect = refuses
    context.run(context.on.stop(), _state())
    workload.serving.leave.assert_called_once_with()
    workload.traffic.remove.assert_called_once_with()


def test_a_region_that_may_not_pause_goes_on(context: Context, workload: Workload):
    workload.serving.pause_in_turn.return_value = "no other region serves"
    with pytest.raises(testing.ActionFailed, match="no other region serves"):
        context.run(context.on.action("pause"), _state())
    with pytest.raises(testing.ActionFailed, match="no database"):
        context.run(context.on.action("pause"), _state(db=None))
    workload.serving.pause.assert_not_called()
