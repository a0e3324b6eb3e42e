# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The rules that need no process: order of events, secrets, ports, parameters, the store."""

import random
from pathlib import Path
from typing import Any

import pytest

from charmed_lab import actions, arguments, leases, output, ports, secrets, toolcall, uniter
from charmed_lab.model import (
    Application,
    Charm,
    Endpoint,
    Hook,
    JujuError,
    Machine,
    Model,
    Relation,
    Secret,
    Status,
    Task,
    Unit,
    seconds,
)
from charmed_lab.store import Store, World

NOW = 1000.0
ENDPOINTS = {
    "peers": Endpoint("", "peers", "peer", "p"),
    "source": Endpoint("", "source", "provider", "i"),
    "sink": Endpoint("", "sink", "requirer", "i"),
}


def model_of(*units: str) -> Model:
    """Return a model of started units, each on a machine of its own."""
    model = Model("m", "uuid", NOW)
    model.charms["local:c-0"] = Charm("c", "", [], ENDPOINTS, {}, {})
    for number, name in enumerate(units):
        status = Status("active", "", NOW)
        model.machines[str(number)] = Machine(
            str(number), str(number), f"10.0.0.{number}", "i", "b", status, status, present=True
        )
        unit = Unit(name, str(number), status, status, charm="local:c-0", installed=True)
        unit.started, unit.config_pending, unit.update_status_at = True, 0, NOW + 100
        model.units[name] = unit
        model.applications.setdefault(
            unit.application, Application(unit.application, "local:c-0", "b")
        )
    return model


def relate(model: Model, *ends: str) -> Relation:
    made = [
        Endpoint(app, name, ENDPOINTS[name].role, "i")
        for app, name in (e.split(":") for e in ends)
    ]
    relation = Relation(len(model.relations), made, NOW)
    model.relations[str(relation.id)] = relation
    for unit in model.units.values():
        uniter.enter_scopes(model, unit)
    return relation


def drain(model: Model, name: str, seed: int = 1) -> list[str]:
    """Run all events of a unit; return their names with the remote unit."""
    unit, rng, ran = model.units[name], random.Random(seed), list[str]()
    while hook := uniter.next_hook(model, unit, NOW, rng):
        uniter.begin(model, unit, hook, NOW)
        uniter.finish(model, unit, NOW, rng)
        ran.append(f"{hook.name} {hook.remote_unit}".strip())
    return ran


def test_relation_events_come_in_jujus_order() -> None:
    model = model_of("a/0", "b/0", "b/1")
    relation = relate(model, "a:source", "b:sink")
    relation.write("b", {"key": "value"})
    assert drain(model, "a/0") == [
        "source-relation-created",
        "source-relation-changed",
        "source-relation-joined b/0",
        "source-relation-changed b/0",
        "source-relation-joined b/1",
        "source-relation-changed b/1",
    ]
    relation.write("b/1", {"key": "value"})
    assert drain(model, "a/0") == ["source-relation-changed b/1"]
    relation.write("b/1", {"key": "value"})
    relation.write("a/0", {"own": "value"})
    assert drain(model, "a/0") == []


def test_leader_is_told_of_its_own_peer_data() -> None:
    model = model_of("a/0")
    relate(model, "a:peers").write("a", {"key": "value"})
    assert drain(model, "a/0")[-1] == "peers-relation-changed"


def test_changed_follows_joined_even_when_the_relation_ends() -> None:
    model = model_of("a/0", "b/0")
    relation = relate(model, "a:source", "b:sink")
    unit, rng = model.units["a/0"], random.Random(1)
    for kind in ("relation-created", "relation-joined"):
        hook = uniter.next_hook(model, unit, NOW, rng)
        assert hook and hook.kind == kind
        uniter.begin(model, unit, hook, NOW)
        uniter.finish(model, unit, NOW, rng)
    uniter.destroy_relation(model, relation)
    assert drain(model, "a/0") == [
        "source-relation-changed b/0",
        "source-relation-departed b/0",
        "source-relation-broken",
    ]


@pytest.mark.parametrize(("stale", "last"), [(False, "departed a/1"), (True, "broken")])
def test_peers_break_only_for_an_agent_that_was_restarted(stale: bool, last: str) -> None:
    model = model_of("a/0", "a/1")
    relate(model, "a:peers")
    drain(model, "a/0")
    if stale:
        uniter.rebooted(model.units["a/0"])
        assert drain(model, "a/0") == ["start", "config-changed"]
    model.units["a/0"].life = "dying"
    assert drain(model, "a/0")[-3:] == [f"peers-relation-{last}", "stop", "remove"]


def test_event_that_fails_takes_a_second_change_along() -> None:
    model = model_of("a/0")
    unit, rng = model.units["a/0"], random.Random(1)
    unit.config_pending = 2
    uniter.begin(model, unit, Hook("config-changed"), NOW)
    uniter.fail(unit, NOW, rng)
    uniter.finish(model, unit, NOW, rng)
    assert drain(model, "a/0") == []


def test_order_of_relations_follows_the_seed() -> None:
    orders = set()
    for seed in range(8):
        model = model_of("a/0", "b/0", "c/0")
        relate(model, "a:source", "b:sink")
        relate(model, "a:source", "c:sink")
        orders.add(tuple(drain(model, "a/0", seed)))
        again = model_of("a/0", "b/0", "c/0")
        relate(again, "a:source", "b:sink")
        relate(again, "a:source", "c:sink")
        assert tuple(drain(again, "a/0", seed)) in orders
    assert len(orders) > 1


def test_failed_event_waits_longer_each_time() -> None:
    model = model_of("a/0")
    unit, rng = model.units["a/0"], random.Random(1)
    pauses = []
    for _ in range(9):
        uniter.begin(model, unit, Hook("update-status"), NOW)
        uniter.fail(unit, NOW, rng)
        assert uniter.next_hook(model, unit, NOW, rng) is None
        pauses.append(unit.retry_at - NOW)
    assert 5 <= pauses[0] <= 6 and 10 <= pauses[1] <= 12 and 300 <= pauses[-1] <= 360
    assert uniter.next_hook(model, unit, NOW + 400, rng) == unit.hook
    model.config["automatically-retry-hooks"] = False
    assert uniter.next_hook(model, unit, NOW + 400, rng) is None


def test_removed_application_takes_relations_and_secrets_along() -> None:
    model = model_of("a/0", "b/0")
    relate(model, "a:source", "b:sink")
    secrets.add(model, "x" * 20, "a", {"content": {"key": "value"}}, NOW)
    uniter.destroy_application(model, "a")
    for name in ("a/0", "b/0"):
        drain(model, name)
    uniter.remove_unit(model, "a/0")
    assert list(model.applications) == ["b"]
    assert (model.relations, model.secrets) == ({}, {})
    assert model.machines["0"].life == "dying"


def test_workload_status_is_juju_s_own_while_a_unit_goes() -> None:
    model = model_of("a/0")
    unit, said = model.units["a/0"], list[str]()
    for kind in ("install", "stop", "remove"):
        uniter.begin(model, unit, Hook(kind), NOW)
        said.append(unit.workload.message)
    assert said == [
        "installing charm software",
        "stopping charm software",
        "cleaning up prior to charm deletion",
    ]


def secret_of(**more: Any) -> tuple[Model, Secret]:
    model = model_of("a/0", "a/1", "b/0")
    model.applications["a"].leader = "a/0"
    return model, secrets.add(model, "x" * 20, "a", {"content": {"key": "1"}, **more}, NOW)


def test_same_content_makes_no_revision() -> None:
    _, secret = secret_of()
    secrets.update(secret, {"content": {"key": "1"}}, NOW)
    assert secret.latest == 1
    secrets.update(secret, {"content": {"key": "2"}}, NOW)
    assert secret.latest == 2


def test_secret_events_go_to_who_reads_and_who_owns() -> None:
    model, secret = secret_of()
    secret.grants["b"] = "0"
    for unit in ("a/1", "b/0"):
        secrets.read(model, unit, secret, label="", peek=False)
    secrets.update(secret, {"content": {"key": "2"}}, NOW)
    kinds = {name: secrets.next_hook(model, unit, NOW) for name, unit in model.units.items()}
    assert {name: hook and hook.kind for name, hook in kinds.items()} == {
        "a/0": None,
        "a/1": "secret-changed",
        "b/0": "secret-changed",
    }
    for unit in ("a/1", "b/0"):
        secrets.track(secret, unit)
    hook = secrets.next_hook(model, model.units["a/0"], NOW)
    assert hook and (hook.kind, hook.revision) == ("secret-remove", 1)
    secrets.finish_hook(model, model.units["a/0"], hook, NOW)
    assert secrets.next_hook(model, model.units["a/0"], NOW) is None


def test_refused_reader_is_told_of_new_revisions_all_the_same() -> None:
    model, secret = secret_of()
    with pytest.raises(JujuError, match='"b/0" is not allowed to read this secret'):
        secrets.read(model, "b/0", secret, label="", peek=True)
    secrets.update(secret, {"content": {"key": "2"}}, NOW)
    hook = secrets.next_hook(model, model.units["b/0"], NOW)
    assert hook and hook.kind == "secret-changed"


def test_expired_and_due_secrets_come_first_and_to_the_leader_only() -> None:
    model, secret = secret_of(rotate="hourly", expires=NOW + 10)
    later = NOW + 4000
    leader, other = model.units["a/0"], model.units["a/1"]
    assert secrets.next_hook(model, leader, NOW) is None
    assert secrets.next_hook(model, other, later) is None
    secrets.update(secret, {"content": {"key": "new"}}, NOW)
    for kind in ("secret-expired", "secret-rotate", "secret-remove"):
        hook = secrets.next_hook(model, leader, later)
        assert hook and hook.kind == kind
        secrets.finish_hook(model, leader, hook, later)
    assert secrets.next_hook(model, leader, later) is None


def test_what_has_expired_stays_until_the_charm_removes_it() -> None:
    model, secret = secret_of(expires=NOW - 10)
    leader = model.units["a/0"]
    hook = secrets.next_hook(model, leader, NOW)
    assert hook and hook.kind == "secret-expired"
    secrets.finish_hook(model, leader, hook, NOW)
    assert list(secret.revisions) == ["1"]
    uniter.restarted(leader)
    secrets.remove(model, secret, 1)
    assert secrets.next_hook(model, leader, NOW) is None


def test_what_has_expired_is_told_again_after_config_changed_and_a_restart() -> None:
    model, _ = secret_of(expires=NOW - 10)
    leader, rng = model.units["a/0"], random.Random(1)
    leader.elected = True
    assert drain(model, "a/0") == ["secret-expired"]
    for kind in ("update-status", "upgrade-charm"):
        uniter.begin(model, leader, Hook(kind), NOW)
        uniter.finish(model, leader, NOW, rng)
        leader.config_pending = 0
        assert drain(model, "a/0") == []
    leader.config_pending = 1
    assert drain(model, "a/0") == ["config-changed", "secret-expired"]
    uniter.restarted(leader)
    assert drain(model, "a/0") == ["secret-expired"]


def test_what_has_expired_is_not_told_again_after_a_hook_that_was_given_up() -> None:
    model, _ = secret_of(expires=NOW - 10)
    leader, rng = model.units["a/0"], random.Random(1)
    leader.elected = True
    drain(model, "a/0")
    uniter.begin(model, leader, Hook("config-changed"), NOW)
    uniter.fail(leader, NOW, rng)
    uniter.finish(model, leader, NOW, rng)
    assert drain(model, "a/0") == []
    model.applications["a"].leader, model.units["a/1"].elected = "a/1", True
    assert drain(model, "a/1") == ["secret-expired"]


@pytest.mark.parametrize("text", ["nonsense", "secret:cvq000000000000000000", "secret:"])
def test_badly_formed_secret_is_refused(text: str) -> None:
    with pytest.raises(JujuError, match="not valid"):
        secrets.parse_id(text)


@pytest.mark.parametrize(
    ("text", "parsed"), [("80", "80/tcp"), ("8000-8100/UDP", "8000-8100/udp"), ("icmp", "icmp")]
)
def test_ports_are_written_as_juju_does(text: str, parsed: str) -> None:
    assert ports.parse(text) == parsed


def test_neighbouring_ports_are_told_as_one_range() -> None:
    opened = ["icmp", "80/tcp", "5250/tcp", "5251/tcp", "5252/tcp", "53/udp"]
    assert ports.brief(opened) == "icmp 80,5250-5252/tcp 53/udp"


def test_port_of_another_unit_on_the_machine_clashes() -> None:
    model = model_of("a/0", "b/0")
    model.units["b/0"].machine = "0"
    model.units["b/0"].ports = {"": ["80/tcp"]}
    said = ports.clash(model, model.units["a/0"], {}, "70-90/tcp")
    assert said == 'port range conflicts with 80/tcp (unit "b/0")'
    assert not ports.clash(model, model.units["a/0"], {}, "70-90/udp")
    assert not ports.clash(model, model.units["b/0"], {"": ["80/tcp"]}, "80/tcp")


RULES = actions.schema(
    "grow",
    {
        "params": {
            "size": {"type": "integer", "minimum": 1},
            "kind": {"type": "string", "enum": ["a", "b"], "default": "a"},
        },
        "required": ["size"],
    },
)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": 2}, ""),
        ({}, '(root) : "size" property is missing and required, given {}'),
        ({"size": "x"}, '(root).size : must be of type integer, given "x"'),
        ({"size": True}, "(root).size : must be of type integer, given true"),
        ({"size": 0}, "(root).size : must be greater than or equal to 1, given 0"),
        (
            {"size": 1, "b": 2},
            '(root) : additional property "b" is not allowed, given {"size":1,"b":2}',
        ),
    ],
)
def test_parameters_are_held_against_the_schema(given: dict[str, Any], said: str) -> None:
    assert actions.problem(RULES, given) == said
    assert actions.with_defaults(RULES, {"size": 1}) == {"kind": "a", "size": 1}


def test_options_of_tools_may_stand_anywhere() -> None:
    call = toolcall.parse("status-set", ["active", "--application=True", "--", "-x"], {})
    assert (call.words, call.flag("application")) == (["active", "-x"], True)
    with pytest.raises(arguments.UsageError, match="option provided but not defined: --nonsense"):
        toolcall.parse("relation-get", ["--nonsense"], {})


@pytest.mark.parametrize(("text", "value"), [("5m", 300), ("1h5s", 3605), ("2.5s", 2.5)])
def test_durations_are_read(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["5", "m", "five"])
def test_wrong_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time:"):
        seconds(text)


def test_yaml_quotes_what_would_be_another_type() -> None:
    shown = output.to_yaml({"a": "yes", "b": "22 Nov", "c": ["1", 2], "d": True, "e": "x: y"})
    assert shown == 'a: "yes"\nb: 22 Nov\nc:\n- "1"\n- 2\nd: true\ne: \'x: y\'\n'


def test_store_forgets_a_change_that_fails(tmp_path: Path) -> None:
    store = Store(tmp_path, World(1, "c"))
    with store.change() as world:
        world.models["m"] = model_of("a/0", "b/0")
        relate(world.models["m"], "a:source", "b:sink").write("a", {"key": "value"})
    with pytest.raises(JujuError), store.change() as world:
        del world.models["m"]
        raise JujuError("no")
    again = Store(tmp_path, World(2, "d"))
    assert (again.world.seed, again.world) == (1, store.world)
    assert again.world.models["m"].relations["0"].bags["a"] == {"key": "value"}
    assert again.world.models["m"].units["a/0"].scopes["0"].created is False


def test_lease_is_renewed_by_its_holder_and_given_once_it_is_over() -> None:
    model = model_of("a/0", "a/1")
    app, rng = model.applications["a"], random.Random(1)
    assert leases.due(model, NOW) == [app]
    leases.grant(model, app, NOW, rng)
    leader, other = app.leader, "a/1" if app.leader == "a/0" else "a/0"
    model.units[leader].elected = True
    assert not leases.due(model, NOW + leases.RENEW_S - 1)
    assert leases.due(model, NOW + leases.RENEW_S) == [app]
    leases.grant(model, app, NOW + leases.RENEW_S, rng)
    model.machines[model.units[leader].machine].present = False
    over = NOW + leases.RENEW_S + leases.LEASE_S
    assert not leases.due(model, over - 1)
    leases.grant(model, app, over, rng)
    assert (app.leader, model.units[leader].elected) == (other, False)


def test_nobody_is_elected_where_no_unit_can_be_reached() -> None:
    model = model_of("a/0")
    app = model.applications["a"]
    leases.grant(model, app, NOW, random.Random(1))
    model.machines["0"].present = False
    assert leases.due(model, NOW + leases.LEASE_S) == [app]
    leases.grant(model, app, NOW + leases.LEASE_S, random.Random(1))
    assert app.leader == ""
    assert not leases.due(model, NOW + leases.LEASE_S)


def test_what_a_unit_still_had_to_run_ends_with_it() -> None:
    model = model_of("a/0", "a/1")
    states = {"a/0": "running", "a/1": "pending"}
    for number, (name, state) in enumerate(states.items()):
        model.tasks[str(number)] = Task(str(number), name, "act", {}, NOW, status=state)
    uniter.remove_unit(model, "a/0")
    assert [one.status for one in model.tasks.values()] == ["cancelled", "pending"]
