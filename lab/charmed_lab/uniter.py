# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Which event a unit runs next, and what a finished event changes: rules without I/O.

The order is that of Juju's uniter; what it takes from a Go map is shuffled by `rng`.
"""

import random

from . import secrets
from .model import (
    ALIVE,
    DYING,
    RETRY_HOOKS,
    UPDATE_STATUS,
    Hook,
    Model,
    Relation,
    Scope,
    Unit,
    seconds,
)

RETRY_FIRST_S, RETRY_MAX_S = 5.0, 300.0


def wants_scopes(model: Model, unit: Unit) -> bool:
    """Tell whether there is a living relation that the unit must enter, or a dead one to leave."""
    return bool(_not_entered(model, unit) or _uncreated(model, unit))


def _not_entered(model: Model, unit: Unit) -> list[Relation]:
    """Return the living relations that the unit is not in yet."""
    if not unit.installed or unit.life != ALIVE or unit.hook or unit.queued:
        return []
    living = (one for one in model.relations_of(unit.application) if one.life == ALIVE)
    return [one for one in living if str(one.id) not in unit.scopes]


def _uncreated(model: Model, unit: Unit) -> list[str]:
    """Return the ending relations of which the unit never had an event."""
    return [
        key
        for key, scope in unit.scopes.items()
        if (unit.life != ALIVE or model.relations[key].life != ALIVE)
        and not (unit.hook or scope.created or scope.members)
    ]


def enter_scopes(model: Model, unit: Unit) -> None:
    """Enter each living relation that the unit is not in yet."""
    for relation in _not_entered(model, unit):
        unit.scopes[str(relation.id)] = Scope()
        relation.scope.append(unit.name)
        write_addresses(model, relation, unit)


def leave_uncreated(model: Model, unit: Unit) -> None:
    """Leave dying relations whose relation-created never ran, without any event."""
    for key in _uncreated(model, unit):
        _leave_scope(model, unit, key)


def _leave_scope(model: Model, unit: Unit, key: str) -> None:
    del unit.scopes[key]
    model.relations[key].scope.remove(unit.name)
    drop_dead_relation(model, key)


def write_addresses(model: Model, relation: Relation, unit: Unit) -> None:
    """Write what Juju itself keeps in a unit's databag."""
    address = model.machines[unit.machine].address
    written = {"ingress-address": address, "egress-subnets": f"{address}/32"}
    if model.version.writes_private_address:
        written["private-address"] = address
    relation.write(unit.name, written)


def urgent_hook(model: Model, unit: Unit, now: float, rng: random.Random) -> Hook | None:
    """Return the event that comes even before a waiting action."""
    if unit.hook or unit.queued or unit.life != ALIVE or not unit.installed:
        return None
    created = [key for key, scope in unit.scopes.items() if not scope.created]
    created = [key for key in created if model.relations[key].life == ALIVE]
    if created:
        relation = model.relations[rng.choice(sorted(created))]
        return _relation_hook(unit, relation, "relation-created")
    if model.is_leader(unit.name) and not unit.elected:
        return Hook("leader-elected")
    if _misses_leader_settings(model, unit):
        return Hook("leader-settings-changed")
    return secrets.next_hook(model, unit, now) if unit.started else None


def _misses_leader_settings(model: Model, unit: Unit) -> bool:
    leader = model.applications[unit.application].leader
    is_told = unit.settings_told or leader in ("", unit.name)
    return model.version.tells_leader_settings and not is_told


def next_hook(model: Model, unit: Unit, now: float, rng: random.Random) -> Hook | None:
    """Return the event that the unit must run now, if any."""
    if unit.hook:
        is_due = bool(model.option(RETRY_HOOKS)) and now >= unit.retry_at
        was_interrupted = not unit.failed
        return unit.hook if was_interrupted or is_due or unit.resolved == "retry" else None
    if unit.queued:
        return Hook(unit.queued[0])
    return urgent_hook(model, unit, now, rng) or _ordinary_hook(model, unit, now, rng)


def may_skip(unit: Unit) -> bool:
    """Tell whether the unit's failed event is given up: resolved, or removed by force."""
    return unit.failed and (unit.resolved == "no-hooks" or (unit.forced and unit.life != ALIVE))


def _ordinary_hook(model: Model, unit: Unit, now: float, rng: random.Random) -> Hook | None:
    """Return the event that comes when nothing urgent does."""
    if unit.life != ALIVE:
        teardown = Hook("stop") if unit.started else Hook("remove") if unit.installed else None
        return next_relation_hook(model, unit, rng) or teardown
    if not unit.installed:
        return Hook("install")
    if unit.charm != model.applications[unit.application].charm:
        return Hook("upgrade-charm")
    if unit.config_pending:
        return Hook("config-changed")
    is_due = unit.started and now >= unit.update_status_at
    return next_relation_hook(model, unit, rng) or (Hook("update-status") if is_due else None)


def next_relation_hook(model: Model, unit: Unit, rng: random.Random) -> Hook | None:
    """Return the next event of a relation, those with other applications first."""
    keys = sorted(unit.scopes)
    rng.shuffle(keys)
    for key in sorted(keys, key=lambda key: model.relations[key].is_peer):
        if hook := _next_in(model, unit, model.relations[key]):
            return hook
    return None


def _next_in(model: Model, unit: Unit, relation: Relation) -> Hook | None:
    """Return the next event of one relation."""
    scope = unit.scopes[str(relation.id)]
    if scope.changed_pending:
        return _relation_hook(unit, relation, "relation-changed", scope.changed_pending)
    app = relation.remote(unit.application).application
    remote = _present(model, relation, app, unit.name)
    if unit.life != ALIVE or relation.life != ALIVE:
        return _leave(unit, relation, scope)
    if relation.versions.get(app, 0) != scope.apps.get(app, 0):
        return _relation_hook(unit, relation, "relation-changed")
    if not relation.is_peer or model.version.departs_at_once:
        for name in sorted(set(scope.members) - set(remote)):
            return _relation_hook(unit, relation, "relation-departed", name, departing=name)
    for name in remote:
        if name not in scope.members:
            return _relation_hook(unit, relation, "relation-joined", name)
    for name in remote:
        if relation.versions.get(name, 0) != scope.members[name]:
            return _relation_hook(unit, relation, "relation-changed", name)
    return None


def _present(model: Model, relation: Relation, app: str, own: str) -> list[str]:
    """Return an application's units that are in a relation, but the own one."""
    at_once = model.version.departs_at_once
    return sorted(
        name
        for name in relation.scope
        if name != own
        and name.startswith(f"{app}/")
        and not (at_once and model.units[name].life != ALIVE)
    )


def _leave(unit: Unit, relation: Relation, scope: Scope) -> Hook | None:
    """Return the next event on the way out of a relation."""
    for name in sorted(scope.members):
        departing = unit.name if unit.life != ALIVE else name
        return _relation_hook(unit, relation, "relation-departed", name, departing=departing)
    if relation.is_peer and not scope.stale:
        return None
    hook = _relation_hook(unit, relation, "relation-broken")
    if scope.stale:
        # An agent that was restarted since the relation was joined has forgotten the name.
        hook.remote_app = ""
    return hook


def _relation_hook(
    unit: Unit, relation: Relation, kind: str, remote: str = "", *, departing: str = ""
) -> Hook:
    app = relation.remote(unit.application).application
    return Hook(
        kind,
        relation=relation.id,
        endpoint=relation.own(unit.application).name,
        remote_app=app,
        remote_unit=remote,
        departing=departing,
        version=relation.versions.get(remote or app, 0),
    )


def begin(model: Model, unit: Unit, hook: Hook, now: float) -> None:
    """Note that an event starts: it stays the unit's until it succeeds."""
    unit.hook, unit.failed, unit.resolved = hook, False, ""
    if hook.relation is not None and hook.remote_unit:
        scope = unit.scopes[str(hook.relation)]
        if hook.kind in ("relation-joined", "relation-changed"):
            scope.cached.pop(hook.remote_unit, None)
        if hook.kind == "relation-joined":
            # relation-list shows a unit from the start of its relation-joined.
            scope.members[hook.remote_unit] = hook.version
        if hook.kind == "relation-departed":
            scope.members.pop(hook.remote_unit, None)
    word = {
        "install": "installing charm software",
        "stop": "stopping charm software",
        "remove": "cleaning up prior to charm deletion",
    }
    if hook.kind in word and unit.retries == 0:
        unit.set_workload("maintenance", word[hook.kind], now)
    unit.set_agent("executing", hook.running, now)


def fail(unit: Unit, now: float, rng: random.Random) -> None:
    """Note that the unit's event failed, and when it may be tried again."""
    pause = min(RETRY_FIRST_S * 2**unit.retries, RETRY_MAX_S) * rng.uniform(1.0, 1.2)
    unit.failed, unit.failed_since = True, now
    unit.config_pending = min(unit.config_pending, 1)
    unit.retries, unit.retry_at = unit.retries + 1, now + pause
    unit.set_agent("idle", "", now)


def finish(model: Model, unit: Unit, now: float, rng: random.Random) -> None:
    """Note that the unit's event is over, succeeded or skipped by `resolved --no-retry`."""
    hook = unit.hook
    if hook is None:
        return
    if hook.kind == "config-changed" and not unit.failed:
        # Juju tells anew of what has expired (recordings 40 and 50).
        unit.expired_told.clear()
    unit.hook, unit.failed, unit.retries, unit.resolved = None, False, 0, ""
    if unit.queued and unit.queued[0] == hook.kind:
        unit.queued.pop(0)
    if hook.relation is not None:
        _finish_relation(model, unit, hook)
    elif hook.secret:
        secrets.finish_hook(model, unit, hook, now)
    else:
        _finish_own(unit, hook.kind)
    if hook.kind in ("start", "update-status"):
        unit.started = True
        if unit.workload.message == "installing charm software":
            unit.set_workload("unknown", "", now)
        unit.update_status_at = now + seconds(model.option(UPDATE_STATUS)) * rng.uniform(0.8, 1.2)
    unit.set_agent("idle", "", now)


def _finish_own(unit: Unit, kind: str) -> None:
    """Note what an event of the unit itself changes."""
    if kind in ("install", "remove"):
        unit.installed = kind == "install"
    elif kind == "leader-elected":
        unit.elected = True
    elif kind == "leader-settings-changed":
        unit.settings_told = True
    elif kind == "config-changed":
        unit.config_pending = max(0, unit.config_pending - 1)
        if not unit.started:
            unit.queued.append("start")
    elif kind == "upgrade-charm":
        unit.config_pending = 1
    elif kind == "stop":
        unit.started = False


def _finish_relation(model: Model, unit: Unit, hook: Hook) -> None:
    key = str(hook.relation)
    scope = unit.scopes[key]
    if hook.kind == "relation-created":
        scope.created = True
    elif hook.kind == "relation-joined":
        scope.changed_pending = hook.remote_unit
    elif hook.kind == "relation-changed" and not hook.remote_unit:
        scope.apps[hook.remote_app] = hook.version
    elif hook.kind == "relation-changed":
        scope.members[hook.remote_unit] = hook.version
        if scope.changed_pending == hook.remote_unit:
            scope.changed_pending = ""
    elif hook.kind == "relation-departed":
        scope.cached.pop(hook.remote_unit, None)
    elif hook.kind == "relation-broken":
        _leave_scope(model, unit, key)


def drop_dead_relation(model: Model, key: str) -> None:
    """Forget a dying relation that nobody is in any more, and what was granted over it."""
    relation = model.relations.get(key)
    if relation and relation.life == DYING and not relation.scope:
        del model.relations[key]
        for secret in model.secrets.values():
            secret.grants = {who: by for who, by in secret.grants.items() if by != key}


def is_dead(unit: Unit) -> bool:
    """Tell whether a dying unit has run all its events."""
    return unit.life != ALIVE and not unit.installed and not unit.hook


def remove_unit(model: Model, name: str) -> None:
    """Take a unit out of the model, and all that ends with it."""
    unit = model.units.pop(name)
    for key in list(unit.scopes):
        _leave_scope(model, unit, key)
    for task in model.tasks.values():
        if task.receiver == name and task.status in ("pending", "running"):
            task.status, task.message, task.context = "cancelled", f"unit {name} is gone", ""
    secrets.forget_unit(model, name)
    app = model.applications[unit.application]
    if app.leader == name:
        app.leader, app.lease_until = "", 0.0
    if app.life == DYING and not model.units_of(app.name):
        remove_application(model, app.name)
    machine = model.machines.get(unit.machine)
    if machine and not model.units_on(unit.machine):
        machine.life = DYING


def remove_application(model: Model, name: str) -> None:
    """Take an application without units out of the model, with relations and secrets."""
    for relation in model.relations_of(name):
        destroy_relation(model, relation)
    model.secrets = {key: one for key, one in model.secrets.items() if one.owner != name}
    del model.applications[name]


def destroy_application(model: Model, name: str) -> None:
    """Begin to remove an application."""
    model.applications[name].life = DYING
    for relation in model.relations_of(name):
        destroy_relation(model, relation)
    for unit in model.units_of(name):
        unit.life = DYING
    if not model.units_of(name):
        remove_application(model, name)


def destroy_relation(model: Model, relation: Relation) -> None:
    """Begin to remove a relation."""
    relation.life = DYING
    drop_dead_relation(model, str(relation.id))


def restarted(unit: Unit) -> None:
    """Note that the unit's agent begins anew: what it only remembered is forgotten."""
    for scope in unit.scopes.values():
        scope.stale = True
        scope.cached.clear()
    unit.settings_told = False
    unit.expired_told.clear()


def rebooted(unit: Unit) -> None:
    """Note that the unit's machine booted: start comes first, then config-changed."""
    restarted(unit)
    if unit.started and "start" not in unit.queued:
        unit.queued.insert(0, "start")
        unit.config_pending = max(unit.config_pending, 1)
