# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The hook tools that are about relations and their databags."""

from typing import Any

from .arguments import UsageError
from .model import JujuError, Relation, Scope
from .toolcall import Call, Context


class RelationTools(Context):
    """The relation tools of a hook's context."""

    def _relation(self, call: Call) -> tuple[Relation, Scope]:
        here = self.hook.relation if self.hook else None
        text = call.get("relation", "" if here is None else str(here))
        if not text:
            raise UsageError("no relation id specified")
        key = text.rpartition(":")[2]
        if key not in self.unit.scopes:
            raise UsageError(f'invalid value "{text}" for option -r: relation not found')
        return self.model.relations[key], self.unit.scopes[key]

    def _do_relation_ids(self, call: Call) -> list[str]:
        name = call.words[0] if call.words else self.hook.endpoint if self.hook else ""
        if not name:
            raise UsageError("no endpoint name specified")
        keys = sorted(self.unit.scopes, key=int)
        found = (self.model.relations[key] for key in keys)
        return [f"{name}:{one.id}" for one in found if one.own(self.app_name).name == name]

    def _do_relation_list(self, call: Call) -> Any:
        relation, scope = self._relation(call)
        if call.flag("app"):
            return relation.remote(self.app_name).application
        return sorted(scope.members)

    def _do_relation_model_get(self, call: Call) -> dict[str, str]:
        self._relation(call)
        return {"uuid": self.model.uuid}

    def _do_relation_get(self, call: Call) -> Any:
        relation, scope = self._relation(call)
        key, owner = ([*call.words, "", ""])[:2]
        if not owner and self.hook and self.hook.relation == relation.id:
            owner = self.hook.remote_app if call.flag("app") else self.hook.remote_unit
        if not owner:
            raise UsageError("no unit or application specified")
        if call.flag("app"):
            bag = self._app_bag(relation, owner.partition("/")[0])
        else:
            bag = self._unit_bag(relation, scope, owner)
        return bag.get(key) if key not in ("", "-") else bag

    def _app_bag(self, relation: Relation, app: str) -> dict[str, str]:
        if app not in (self.app_name, relation.remote(self.app_name).application):
            raise JujuError(f'getting application "{app}" not found')
        if app == self.app_name:
            return self._merged(relation, app)
        # Read once a hook.
        return self.app_reads.setdefault(f"{relation.id} {app}", dict(relation.bags.get(app, {})))

    def _unit_bag(self, relation: Relation, scope: Scope, unit: str) -> dict[str, str]:
        if unit == self.unit_name:
            return self._merged(relation, unit)
        if unit in scope.cached:
            return scope.cached[unit]
        if unit not in relation.bags:
            raise JujuError("relation unit not found")
        bag = dict(relation.bags[unit])
        if unit in scope.members:
            # Written down at once: a call that is refused takes the world back to what was.
            with self.store.change():
                scope.cached[unit] = bag
        return bag

    def _merged(self, relation: Relation, owner: str) -> dict[str, str]:
        pending = self.writes.get((str(relation.id), owner), {})
        merged = {**relation.bags.get(owner, {}), **pending}
        return {key: merged[key] for key in sorted(merged) if merged[key] != ""}

    def _do_relation_set(self, call: Call) -> None:
        relation, _ = self._relation(call)
        owner = self.app_name if call.flag("app") else self.unit_name
        changes = call.pairs()
        if call.flag("app") and not self.is_leader:
            raise JujuError("cannot write relation settings")
        self.writes.setdefault((str(relation.id), owner), {}).update(changes)
