# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""How the API's calls find what they are about."""

import random
from pathlib import Path

from .model import Application, JujuError, Model, Unit
from .store import Store

CONTROLLER = "lab"


class Lookup:
    """The store, and the things in it by name."""

    def __init__(self, store: Store, charm_store: Path, rng: random.Random) -> None:
        self._store = store
        self._charm_store = charm_store
        self._rng = rng

    def _model(self, name: str) -> Model:
        short = name.rpartition(":")[2].rpartition("/")[2]
        if found := self._store.world.models.get(short):
            return found
        raise JujuError(f"model {CONTROLLER}:{name} not found")

    def _application(self, model: Model, name: str) -> Application:
        if name in model.applications:
            return model.applications[name]
        raise JujuError(f'application "{name}" not found (not found)')

    def _unit(self, model: Model, name: str) -> Unit:
        if name in model.units:
            return model.units[name]
        raise JujuError(f'unit "{name}" not found')
