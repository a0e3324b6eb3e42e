# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Who leads each application: leases as Juju gives them, without I/O."""

import random

from .model import ALIVE, Application, Model, Unit

# Juju's own figures: a lease lasts a minute, its holder asks for another one every half.
LEASE_S, RENEW_S = 60.0, 30.0


def due(model: Model, now: float) -> list[Application]:
    """Return the applications whose lease is to be renewed, given or declared over."""
    return [app for app in model.applications.values() if _is_due(model, app, now)]


def _is_due(model: Model, app: Application, now: float) -> bool:
    if app.leader and now < app.lease_until:
        return _renews(model, app, now)
    return bool(app.leader or _candidates(model, app))


def grant(model: Model, app: Application, now: float, rng: random.Random) -> None:
    """Renew an application's lease, or give it to another unit once it is over."""
    if _renews(model, app, now):
        app.renewed, app.lease_until = now, now + LEASE_S
    if app.leader and now < app.lease_until:
        return
    candidates = _candidates(model, app)
    app.leader = rng.choice(candidates) if candidates else ""
    if candidates:
        app.renewed, app.lease_until = now, now + LEASE_S
        for unit in model.units_of(app.name):
            unit.elected = unit.elected and unit.name == app.leader


def _renews(model: Model, app: Application, now: float) -> bool:
    """Tell whether the holder of a lease asks for another one."""
    is_time = bool(app.leader) and now >= app.renewed + RENEW_S
    return is_time and _is_present(model, model.units[app.leader])


def _candidates(model: Model, app: Application) -> list[str]:
    """Return the units that may be elected, sorted by name."""
    units = model.units_of(app.name)
    return sorted(one.name for one in units if one.life == ALIVE and _is_present(model, one))


def _is_present(model: Model, unit: Unit) -> bool:
    return model.machines[unit.machine].present
