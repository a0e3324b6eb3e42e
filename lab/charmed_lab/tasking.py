# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Actions and commands, as the operator asks for them."""

import time
from collections.abc import Sequence
from typing import Any

from .lookup import Lookup
from .model import JujuError, Model, Operation, Task


class Tasking(Lookup):
    """The calls about actions and commands."""

    def enqueue(
        self, model: str, receivers: list[str], name: str, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        """Give units or machines something to run; return the operation and what failed."""
        found, now = self._model(model), time.time()
        targets = [self._resolve(found, one) for one in receivers]
        if name != "juju-exec":
            self._check_action(found, targets, name)
        operation_id = str(found.take("operation"))
        summary = "exec" if name == "juju-exec" else f'action "{name}"'
        operation = Operation(operation_id, summary, now, [])
        found.operations[operation_id] = operation
        failures = []
        for target in targets:
            task_id = str(found.take("operation"))
            if "/" in target and target not in found.units:
                missing = f'getting unit UUID for "{target}": unit "{target}" not found'
                failures.append(f"linking task to unit: {missing}")
            elif "/" not in target and target not in found.machines:
                failures.append(
                    f'getting machine UUID for "{target}": machine "{target}" not found'
                )
            else:
                task = Task(task_id, operation_id, target, name, parameters, now)
                found.tasks[task_id] = task
                operation.tasks.append(task_id)
        operation.failed = "" if operation.tasks else "error"
        return {
            "operation": operation_id,
            "failures": failures,
            "tasks": {one: found.tasks[one].receiver for one in operation.tasks},
        }

    def _resolve(self, model: Model, receiver: str) -> str:
        app, slash, number = receiver.partition("/")
        if slash and app not in model.applications:
            missing = f'getting charm UUID for application "{app}": application "{app}" not found'
            raise JujuError(f"adding action operation: adding action operation: {missing}")
        if number != "leader":
            return receiver
        if leader := model.applications[app].leader:
            return leader
        raise JujuError(f'could not determine leader for "{app}"')

    def _check_action(self, model: Model, targets: Sequence[str], name: str) -> None:
        for target in targets:
            if name not in model.charm_of(target.partition("/")[0]).actions:
                raise JujuError(f'action "{name}" not defined for unit "{target}". (not found)')

    def tasks(self, model: str, ids: list[str]) -> list[dict[str, Any]]:
        """Return tasks as they are now."""
        found = self._model(model)
        return [vars(found.tasks[one]) for one in ids]
