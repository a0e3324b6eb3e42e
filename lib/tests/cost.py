# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""How many hook tools an event runs: each is a process, and a question to the controller."""

import inspect
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from ops import hookcmds, testing
from scenario import mocking

TOOLS = [
    name
    for name, value in vars(mocking._MockModelBackend).items()
    if inspect.isfunction(value) and not name.startswith("_") and name != "get_pebble"
]


def event(
    context: testing.Context[Any],
    hook: str,
    relations: Mapping[str, testing.RelationBase],
    secret: testing.Secret,
) -> Any:
    """Return the event of a hook by its name, as rpc-relation-changed, of these relations."""
    endpoint, is_relation, name = hook.partition("-relation-")
    if is_relation:
        return getattr(context.on, f"relation_{name}")(relations[endpoint])
    if hook == "secret-changed":
        return context.on.secret_changed(secret)
    return getattr(context.on, hook.replace("-", "_"))()


@contextmanager
def counted(
    units: Collection[str], related: Mapping[str, Collection[str]]
) -> Iterator[Counter[str]]:
    """Count the hook tools that are run; all of these units are to stay."""

    def living(names: Collection[str]) -> dict[str, Any]:
        return {name: hookcmds.Goal(status="active", since=None) for name in names}  # type: ignore[arg-type]

    goals = hookcmds.GoalState(
        units=living(units), relations={name: living(names) for name, names in related.items()}
    )
    found: Counter[str] = Counter()

    def counting(name: str, tool: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **options: Any) -> Any:
            found[name] += 1
            return tool(*given, **options)

        return run

    with ExitStack() as stack:
        for name in TOOLS:
            tool = getattr(mocking._MockModelBackend, name)
            stack.enter_context(
                mock.patch.object(mocking._MockModelBackend, name, counting(name, tool))
            )
        goal_state = counting("goal_state", lambda: goals)
        stack.enter_context(mock.patch.object(hookcmds, "goal_state", goal_state))
        yield found
