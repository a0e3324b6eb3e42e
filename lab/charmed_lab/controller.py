# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What the controller does for the client: each public method is a call of the API."""

import re
import time
import uuid
from pathlib import Path
from typing import Any

from . import charms, uniter
from .model import (
    ALIVE,
    DYING,
    MODEL_DEFAULTS,
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
from .relating import Relating
from .tasking import Tasking

MAX_SLOTS = 90
MODEL_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Controller(Relating, Tasking):
    """The models, as the client may change them; every call is one commit."""

    # Models.

    def add_model(self, name: str, config: dict[str, Any]) -> None:
        """Make an empty model."""
        if not MODEL_NAME.fullmatch(name):
            raise JujuError(
                f'"{name}" is not a valid name: model names may only contain '
                "lowercase letters, digits and hyphens"
            )
        if name in self._store.world.models:
            raise JujuError(f"model admin/{name} already exists (already exists)")
        model = Model(name, str(uuid.UUID(int=self._rng.getrandbits(128), version=4)), time.time())
        self._store.world.models[name] = model
        self.set_model_config(name, config, [])

    def set_model_config(self, model: str, values: dict[str, Any], reset: list[str]) -> list[str]:
        """Set and reset model options; return the names that Juju would not know."""
        found, unknown = self._model(model), []
        for key, value in values.items():
            default = MODEL_DEFAULTS.get(key)
            if key not in MODEL_DEFAULTS:
                unknown.append(key)
            if isinstance(default, bool):
                value = charms.parse_option(key, "boolean", value)
            if key == UPDATE_STATUS:
                self._new_interval(found, str(value))
            found.config[key] = value
        for key in reset:
            found.config.pop(key, None)
        return unknown

    def _new_interval(self, model: Model, value: str) -> None:
        try:
            interval = seconds(value)
        except ValueError as error:
            raise JujuError(f"update status hook interval: {error}") from error
        for unit in model.units.values():
            unit.update_status_at = min(unit.update_status_at, time.time() + interval)

    def destroy_model(self, model: str, force: bool) -> None:
        """Begin to remove a model with all that is in it; by force without any event."""
        found = self._model(model)
        found.life = DYING
        for name in list(found.applications):
            self._destroy_application(found, name, force=force)
        for name in [one for one in found.machines if not found.units_on(one)]:
            found.machines[name].life = DYING

    # Machines.

    def _new_machine(self, model: Model, base: str) -> Machine:
        number = str(model.take("machine"))
        taken = {
            one.slot
            for any_ in self._store.world.models.values()
            for one in any_.machines.values()
        }
        free = [number, *(str(slot) for slot in range(MAX_SLOTS))]
        slot = next((one for one in free if one not in taken and int(one) < MAX_SLOTS), None)
        if slot is None:
            raise JujuError(f"the lab has no more than {MAX_SLOTS} machines")
        now = time.time()
        waiting = Status("allocating", "", now)
        machine = Machine(number, slot, "", "pending", base, waiting, Status("pending", "", now))
        model.machines[number] = machine
        return machine

    def add_machines(self, model: str, count: int, base: str) -> list[str]:
        """Ask for empty machines; return their numbers."""
        found = self._model(model)
        return [self._new_machine(found, base or "ubuntu@24.04").number for _ in range(count)]

    def next_machine(self, model: str) -> int:
        """Return the number that the next machine will have."""
        return self._model(model).sequences.get("machine", 0)

    def next_unit(self, model: str, name: str) -> int:
        """Return the number that an application's next unit will have."""
        return self._model(model).sequences.get(f"unit {name}", 0)

    def remove_machine(self, model: str, number: str, force: bool) -> list[str]:
        """Begin to remove a machine; return the units that go with it."""
        found = self._model(model)
        if number not in found.machines:
            missing = f'getting UUID for machine "{number}": machine "{number}": machine not found'
            raise JujuError(f"removing machine failed: getting machine UUID: {missing}")
        names = [unit.name for unit in found.units_on(number)]
        if names and not force:
            raise JujuError(
                f"removing machine failed: machine {number} has units "
                f"{', '.join(names)}; remove them first or use --force"
            )
        for name in names:
            uniter.remove_unit(found, name)
        found.machines[number].life = DYING
        return names

    def _place(self, model: Model, directive: str, base: str) -> str:
        """Return the machine that a placement directive means."""
        if directive in ("", "new"):
            return self._new_machine(model, base).number
        if ":" in directive or "=" in directive:
            raise JujuError(
                f'placement "{directive}" is not part of the lab: only machine numbers'
            )
        machine = model.machines.get(directive)
        if not machine or machine.life != ALIVE:
            raise JujuError(
                f'making unit args: getting machine "{directive}" for unit placement '
                f'directive: machine with name "{directive}" does not exist'
            )
        return directive

    # Charms, applications and units.

    def upload(self, model: str, path: str) -> dict[str, Any]:
        """Take a packed charm into the model under the next revision."""
        found = self._model(model)
        draft = charms.load(Path(path), self._charm_store, 0)
        revision = found.take(f"charm {draft.name}")
        draft.revision, draft.url = revision, f"local:{draft.name}-{revision}"
        found.charms[draft.url] = draft
        return {
            "url": draft.url,
            "name": draft.name,
            "revision": revision,
            "base": draft.base,
            "bases": draft.bases,
        }

    def deploy(
        self,
        model: str,
        url: str,
        name: str,
        count: int,
        to: list[str],
        config: dict[str, Any],
        base: str,
        trust: bool,
    ) -> None:
        """Make an application of an uploaded charm."""
        found = self._model(model)
        charm = found.charms[url]
        failed = f'cannot deploy "{name}"'
        try:
            base = base or charm.base
            options = self._check_options(charm, config)
            if name in found.applications:
                where = f'creating application "{name}": creating IAAS application "{name}"'
                raise JujuError(
                    f'{where}: inserting IAAS application "{name}": checking if '
                    f'application "{name}" exists: application already exists'
                )
            for directive in to:
                if directive.isdecimal():
                    self._place(found, directive, base)
        except JujuError as error:
            apart = "" if str(error).startswith("creating") else "preparing application args: "
            raise JujuError(f"{failed}: {apart}{error}") from error
        app = Application(name, url, base, trust=trust, config=options)
        found.applications[name] = app
        for endpoint in charm.endpoints.values():
            if endpoint.role == "peer":
                self._relate(found, [self._end(name, endpoint)])
        self.add_units(model, name, count, to)

    def _check_options(self, charm: Charm, config: dict[str, Any]) -> dict[str, Any]:
        try:
            return charms.parse_options(charm, config)
        except JujuError as error:
            where = "validating create application args: validating application config"
            raise JujuError(f"{where}: {error}") from error

    def add_units(self, model: str, name: str, count: int, to: list[str]) -> list[str]:
        """Add units to an application; return their names."""
        found, now = self._model(model), time.time()
        app = self._application(found, name)
        added = []
        for at in range(count):
            directive = to[at] if at < len(to) else ""
            try:
                machine = self._place(found, directive, app.base)
            except JujuError as error:
                message = f'adding {count} units to application "{name}": {error}'
                raise JujuError(message) from error
            unit = f"{name}/{found.take(f'unit {name}')}"
            waiting = Status("waiting", "waiting for machine", now)
            found.units[unit] = Unit(unit, machine, waiting, Status("allocating", "", now))
            added.append(unit)
        return added

    def remove_unit(self, model: str, name: str, force: bool) -> None:
        """Begin to remove a unit."""
        self._destroy_unit(self._model(model), self._unit(self._model(model), name), force=force)

    def _destroy_unit(self, model: Model, unit: Unit, *, force: bool) -> None:
        unit.life, unit.forced = DYING, unit.forced or force
        lost = not model.machines[unit.machine].present
        if (force and lost) or (not unit.installed and not unit.hook):
            uniter.remove_unit(model, unit.name)

    def units_to_remove(self, model: str, name: str, count: int) -> list[str]:
        """Return the units that go when an application loses some: the newest."""
        found = self._model(model)
        self._application(found, name)
        return [unit.name for unit in found.units_of(name)[-count:]]

    def remove_application(self, model: str, name: str, force: bool, dry: bool) -> list[str]:
        """Begin to remove an application; return its units."""
        found = self._model(model)
        if name not in found.applications:
            missing = f'application "{name}" not found'
            raise JujuError(f"removing application {name} failed: {missing}")
        units = [unit.name for unit in found.units_of(name)]
        if not dry:
            self._destroy_application(found, name, force=force)
        return units

    def _destroy_application(self, model: Model, name: str, *, force: bool) -> None:
        uniter.destroy_application(model, name)
        for unit in model.units_of(name):
            self._destroy_unit(model, unit, force=force)

    def refresh(self, model: str, name: str, url: str) -> list[str]:
        """Give an application another charm; return its endpoints."""
        found = self._model(model)
        app, charm = self._application(found, name), found.charms[url]
        old = found.charm_of(name)
        if charm.name != old.name:
            raise JujuError(f'cannot refresh "{name}" to "{charm.name}"')
        ends = [one.own(name) for one in found.relations_of(name) if one.life == ALIVE]
        for end in ends:
            if end.name not in charm.endpoints:
                raise JujuError(f'would break relation "{end}"')
        app.charm = url
        app.config = {key: one for key, one in app.config.items() if key in charm.options}
        for endpoint in charm.endpoints.values():
            if endpoint.role == "peer" and endpoint.name not in old.endpoints:
                self._relate(found, [self._end(name, endpoint)])
        return sorted(["juju-info", *charm.endpoints])

    def resolved(self, model: str, units: list[str], every: bool, retry: bool) -> None:
        """Let units in error go on: with the same event again, or without it."""
        found = self._model(model)
        for name in units:
            self._unit(found, name)
        for unit in found.units.values():
            if unit.failed and (every or unit.name in units):
                unit.resolved = "retry" if retry else "no-hooks"

    # Options.

    def set_config(self, model: str, name: str, values: dict[str, Any], reset: list[str]) -> None:
        """Set and reset an application's options."""
        found = self._model(model)
        app, charm = self._application(found, name), found.charm_of(name)
        if unknown := [key for key in values if key not in charm.options]:
            raise JujuError(f'invalid application config: unknown option "{unknown[0]}"')
        before = dict(app.config)
        app.config |= charms.parse_options(charm, values)
        if app.config != before:
            for unit in found.units_of(name):
                # Juju 4.0 dispatches config-changed twice (recordings 20 and 74).
                unit.config_pending = 2 if unit.started else max(1, unit.config_pending)
        for key in reset:
            # ... and not at all after a reset.
            app.config.pop(key, None)

    def trust(self, model: str, name: str, remove: bool) -> None:
        """Note that an application may have the cloud's credentials; there are none."""
        self._application(self._model(model), name).trust = not remove

    def expose(self, model: str, name: str, exposed: bool) -> None:
        """Note that an application is exposed; the lab has no firewall."""
        self._application(self._model(model), name).exposed = exposed

    def annotate(self, model: str, name: str, values: dict[str, str]) -> None:
        """Set an application's annotations."""
        self._application(self._model(model), name).annotations |= values
