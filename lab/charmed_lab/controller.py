# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What the controller changes for the client: each public method is a call of the API."""

import random
import re
import time
import uuid
from pathlib import Path
from typing import Any

from . import charms, relating, uniter
from .model import (
    ALIVE,
    DYING,
    MODEL_DEFAULTS,
    RETRY_HOOKS,
    UPDATE_STATUS,
    Application,
    Charm,
    JujuError,
    Machine,
    Model,
    Status,
    Unit,
    seconds,
)
from .stage import MAX_MACHINES
from .store import Store

MODEL_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Controller:
    """The models, as the client may change them; every call is one commit."""

    integrate = staticmethod(relating.integrate)
    remove_relation = staticmethod(relating.remove_relation)

    def __init__(self, store: Store, charm_store: Path, rng: random.Random) -> None:
        self._store = store
        self._charm_store = charm_store
        self._rng = rng

    def shuffle(self, seed: int) -> None:
        """Shuffle by another number, from now on, what Juju leaves open."""
        self._rng.seed(seed)
        self._store.world.seed = seed

    # Models.

    def add_model(self, name: str, config: dict[str, Any]) -> None:
        """Make an empty model."""
        models = self._store.world.models
        if not MODEL_NAME.fullmatch(name):
            may = "model names may only contain lowercase letters, digits and hyphens"
            raise JujuError(f'"{name}" is not a valid name: {may}')
        if name in models:
            raise JujuError(f"model admin/{name} already exists (already exists)")
        identity = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        models[name] = Model(name, identity, time.time(), juju=self._store.world.juju)
        self.set_model_config(models[name], config, [])

    def set_model_config(
        self, model: Model, values: dict[str, Any], reset: list[str]
    ) -> list[str]:
        """Set and reset model options; return the names that Juju would not know."""
        before = model.option(RETRY_HOOKS)
        for key, value in values.items():
            if isinstance(MODEL_DEFAULTS.get(key), bool):
                value = charms.parse_option(key, "boolean", value)
            if key == UPDATE_STATUS:
                self._new_interval(model, str(value))
            model.config[key] = value
        for key in reset:
            model.config.pop(key, None)
        if model.option(RETRY_HOOKS) != before:
            for unit in model.units.values():
                uniter.restarted(unit)
        return [key for key in values if key not in MODEL_DEFAULTS]

    def _new_interval(self, model: Model, value: str) -> None:
        try:
            interval = seconds(value)
        except ValueError as error:
            raise JujuError(f"update status hook interval: {error}") from error
        for unit in model.units.values():
            unit.update_status_at = min(unit.update_status_at, time.time() + interval)

    def destroy_model(self, model: Model, force: bool) -> None:
        """Begin to remove a model with all that is in it; by force without any event."""
        model.life = DYING
        for name in list(model.applications):
            self._destroy_application(model, name, force=force)
        for name in [one for one in model.machines if not model.units_on(one)]:
            model.machines[name].life = DYING

    # Machines.

    def _new_machine(self, model: Model, base: str) -> str:
        number, now = str(model.take("machine")), time.time()
        models = self._store.world.models.values()
        taken = {one.slot for any_ in models for one in any_.machines.values()}
        slots = [str(slot) for slot in range(MAX_MACHINES) if str(slot) not in taken]
        if not slots:
            raise JujuError(f"the lab has no more than {MAX_MACHINES} machines")
        slot = number if number in slots else slots[0]
        waiting, pending = Status("allocating", "", now), Status("pending", "", now)
        machine = Machine(number, slot, "", "pending", base, waiting, pending)
        model.machines[number] = machine
        return number

    def add_machines(self, model: Model, count: int, base: str) -> list[str]:
        """Ask for empty machines; return their numbers."""
        return [self._new_machine(model, base or "ubuntu@24.04") for _ in range(count)]

    def remove_machine(self, model: Model, number: str, force: bool) -> list[str]:
        """Begin to remove a machine; return the units that go with it."""
        failed = "removing machine failed"
        if number not in model.machines:
            missing = f'getting UUID for machine "{number}": machine "{number}": machine not found'
            raise JujuError(f"{failed}: getting machine UUID: {missing}")
        names = [unit.name for unit in model.units_on(number)]
        if names and not force:
            units = f"machine {number} has units {', '.join(names)}"
            raise JujuError(f"{failed}: {units}; remove them first or use --force")
        for name in names:
            uniter.remove_unit(model, name)
        model.machines[number].life = DYING
        return names

    def _place(self, model: Model, directive: str, base: str) -> str:
        """Return the machine that a placement directive means."""
        if directive in ("", "new"):
            return self._new_machine(model, base)
        if ":" in directive or "=" in directive:
            raise JujuError(
                f'placement "{directive}" is not part of the lab: only machine numbers'
            )
        machine = model.machines.get(directive)
        if not machine or machine.life != ALIVE:
            missing = f'machine with name "{directive}" does not exist'
            getting = f'getting machine "{directive}" for unit placement directive'
            raise JujuError(f"making unit args: {getting}: {missing}")
        return directive

    # Charms, applications and units.

    def upload(self, model: Model, path: str) -> dict[str, Any]:
        """Take a packed charm into the model under the next revision."""
        extra = model.version.allows_extra_parameters
        charm = charms.load(Path(path), self._charm_store, extra=extra)
        charm.revision = model.take(f"charm {charm.name}")
        model.charms[charm.url] = charm
        about = {"url": charm.url, "name": charm.name, "revision": charm.revision}
        return about | {"base": charm.bases[0], "bases": charm.bases}

    def deploy(
        self,
        model: Model,
        url: str,
        name: str,
        count: int,
        to: list[str],
        config: dict[str, Any],
        base: str,
        trust: bool,
    ) -> None:
        """Make an application of an uploaded charm."""
        charm = model.charms[url]
        base, failed = base or charm.bases[0], f'cannot deploy "{name}"'
        try:
            options = self._check_options(charm, config)
            if name not in model.applications:
                for directive in to:
                    if directive.isdecimal():
                        self._place(model, directive, base)
        except JujuError as error:
            raise JujuError(f"{failed}: preparing application args: {error}") from error
        if name in model.applications:
            where = f'creating application "{name}": creating IAAS application "{name}"'
            exists = f'checking if application "{name}" exists: application already exists'
            raise JujuError(f'{failed}: {where}: inserting IAAS application "{name}": {exists}')
        model.applications[name] = Application(name, url, base, trust=trust, config=options)
        relating.relate_peers(model, name, set())
        self.add_units(model, name, count, to)

    def _check_options(self, charm: Charm, config: dict[str, Any]) -> dict[str, Any]:
        try:
            return charms.parse_options(charm, config)
        except JujuError as error:
            where = "validating create application args: validating application config"
            raise JujuError(f"{where}: {error}") from error

    def add_units(self, model: Model, name: str, count: int, to: list[str]) -> list[str]:
        """Add units to an application; return their names."""
        app, now, added = model.application(name), time.time(), list[str]()
        for at in range(count):
            try:
                machine = self._place(model, to[at] if at < len(to) else "", app.base)
            except JujuError as error:
                failed = f'adding {count} units to application "{name}"'
                raise JujuError(f"{failed}: {error}") from error
            unit = f"{name}/{model.take(f'unit {name}')}"
            waiting = Status("waiting", "waiting for machine", now)
            model.units[unit] = Unit(unit, machine, waiting, Status("allocating", "", now))
            added.append(unit)
        return added

    def remove_unit(self, model: Model, name: str, force: bool) -> None:
        """Begin to remove a unit."""
        self._destroy_unit(model, model.unit(name), force=force)

    def _destroy_unit(self, model: Model, unit: Unit, *, force: bool) -> None:
        unit.life, unit.forced = DYING, unit.forced or force
        lost = not model.machines[unit.machine].present
        if (force and lost) or (not unit.installed and not unit.hook):
            uniter.remove_unit(model, unit.name)

    def units_to_remove(self, model: Model, name: str, count: int) -> list[str]:
        """Return the units that go when an application loses some: the newest."""
        model.application(name)
        return [unit.name for unit in model.units_of(name)[-count:]]

    def remove_application(self, model: Model, name: str, force: bool, dry: bool) -> list[str]:
        """Begin to remove an application; return its units."""
        if name not in model.applications:
            missing = f'application "{name}" not found'
            raise JujuError(f"removing application {name} failed: {missing}")
        units = [unit.name for unit in model.units_of(name)]
        if not dry:
            self._destroy_application(model, name, force=force)
        return units

    def _destroy_application(self, model: Model, name: str, *, force: bool) -> None:
        uniter.destroy_application(model, name)
        for unit in model.units_of(name):
            self._destroy_unit(model, unit, force=force)

    def refresh(self, model: Model, name: str, url: str) -> list[str]:
        """Give an application another charm; return its endpoints."""
        app, old, charm = model.application(name), model.charm_of(name), model.charms[url]
        if charm.name != old.name:
            raise JujuError(f'cannot refresh "{name}" to "{charm.name}"')
        for relation in model.relations_of(name):
            end = relation.own(name)
            if relation.life == ALIVE and end.name not in charm.endpoints:
                raise JujuError(f'would break relation "{end}"')
        app.charm = url
        app.config = {key: one for key, one in app.config.items() if key in charm.options}
        relating.relate_peers(model, name, set(old.endpoints))
        return sorted(["juju-info", *charm.endpoints])

    def resolved(self, model: Model, units: list[str], every: bool, retry: bool) -> None:
        """Let units in error go on: with the same event again, or without it."""
        for unit in model.units.values() if every else [model.unit(name) for name in units]:
            if unit.failed:
                unit.resolved = "retry" if retry else "no-hooks"

    def skip_hooks(self, model: Model, name: str, skip: bool) -> None:
        """Commit a unit's events but update-status without running the charm, or run it again."""
        model.unit(name).skips_hooks = skip

    # Options.

    def set_config(
        self, model: Model, name: str, values: dict[str, Any], reset: list[str]
    ) -> None:
        """Set and reset an application's options."""
        app, charm = model.application(name), model.charm_of(name)
        if unknown := [key for key in values if key not in charm.options]:
            raise JujuError(f'invalid application config: unknown option "{unknown[0]}"')
        before = dict(app.config)
        app.config |= charms.parse_options(charm, values)
        twice, after_set = model.version.tells_config_twice, dict(app.config)
        for key in reset:
            app.config.pop(key, None)
        if before != (after_set if twice else app.config):
            for unit in model.units_of(name):
                # Once where the unit was busy or in error meanwhile (recordings 40, 73 and 75).
                is_idle = unit.started and not unit.hook and unit.agent.current == "idle"
                unit.config_pending = 2 if twice and is_idle else 1

    def annotate(self, model: Model, name: str, annotations: dict[str, str]) -> None:
        """Keep what a bundle notes about an application."""
        model.application(name).annotations |= annotations

    def constrain(self, model: Model, name: str, constraints: str) -> None:
        """Keep an application's constraints; the lab's machines are all alike."""
        model.application(name).constraints = constraints

    def trust(self, model: Model, name: str, remove: bool) -> None:
        """Note that an application may have the cloud's credentials; there are none."""
        model.application(name).trust = not remove

    def expose(self, model: Model, name: str, exposed: bool) -> None:
        """Note that an application is exposed; the lab has no firewall."""
        model.application(name).exposed = exposed
