# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""`juju deploy bundle.yaml`, with what Juju really does."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import charms, versions
from .arguments import UsageError
from .bundle_file import PLACEMENT, load, problems
from .client import ClientError, Session, say

NOT_FOR_BUNDLES = ("num-units", "config", "constraints", "to", "base")
REFUSED = "the provided bundle has the following errors"


@dataclass
class Plan:
    """The changes that a bundle asks for, in Juju's order and words."""

    session: Session
    version: versions.Version
    bundle: dict[str, Any]
    folder: Path
    found: dict[str, Any]
    sequences: dict[str, int]
    noted: dict[str, dict[str, Any]]
    mapped: dict[str, str]
    steps: list[tuple[str, Callable[[], Any]]] = field(default_factory=list)
    placed: dict[str, list[str]] = field(default_factory=dict)

    def add(self, text: str, method: str, **params: Any) -> None:
        """Add one change: what to say, and the call that makes it."""
        self.steps.append((text, lambda: self.session.call(method, **params)))

    def refuse(self, text: str, message: str) -> None:
        """Add a change that Juju announces and then cannot make."""

        def action() -> None:
            raise ClientError(message)

        self.steps.append((text, action))

    def build(self) -> None:
        """Work out all changes."""
        apps = self.bundle["applications"]
        for name in sorted(apps):
            self._application(name, apps[name])
        machines = self._machines()
        for one, other in self.bundle.get("relations") or []:
            if not self._is_related(one, other):
                self.add(f"add relation {one} - {other}", "integrate", one=one, other=other)
        for name in self._unit_order(apps):
            self._units(name, apps[name], machines)

    def _application(self, name: str, app: dict[str, Any]) -> None:
        known = self.found["applications"].get(name)
        config = {key: self._value(value) for key, value in (app.get("options") or {}).items()}
        if known is None:
            self._new_application(name, app, config)
        else:
            self._old_application(name, known, config)
        noted, wanted = self.noted.get(name, {}), app.get("constraints") or ""
        if known and noted["constraints"] != wanted:
            # None at all is not the same to Juju as empty ones, until they were set once.
            text = f'set constraints for {name} to "{wanted}"'
            self.add(text, "constrain", name=name, constraints=wanted)
        if app.get("expose") and not (known or {}).get("exposed"):
            text = f"expose all endpoints of {name} and allow access from CIDRs 0.0.0.0/0 and ::/0"
            self.add(text, "expose", name=name, exposed=True)
        given = app.get("annotations") or {}
        annotations = {key: self._value(value) for key, value in given.items()}
        if not annotations.items() <= noted.get("annotations", {}).items():
            text = f"set annotations for {name}"
            self.add(text, "annotate", name=name, annotations=annotations)

    def _old_application(self, name: str, known: dict[str, Any], config: dict[str, Any]) -> None:
        may_set = self.version.sets_bundle_options
        if self.bundle.get("default-base") and not may_set:
            charm = known["charm-name"]
            base = f"{known['base']['name']}@{known['base']['channel']}/stable"
            gone = f'cannot deploy local charm at "./{charm}": file does not exist'
            self.refuse(f"upload charm {charm} from local for base {base}", gone)
        now = self.session.call("config", name=name)["settings"]
        values = {key: to for key, to in config.items() if now.get(key, {}).get("value") != to}
        text = f"set application options for {name}"
        if values and may_set:
            self.add(text, "set_config", name=name, values=values, reset=[])
        elif values:
            refused = f'cannot update options for application "{name}": config yaml not supported'
            self.refuse(text, f"{refused} not implemented")

    def _new_application(self, name: str, app: dict[str, Any], config: dict[str, Any]) -> None:
        path, session = self.folder / app["charm"], self.session
        wanted = app.get("base") or self.bundle.get("default-base") or ""
        charm: dict[str, Any] = {}

        def upload() -> None:
            charm.update(session.call("upload", path=str(path.resolve())))
            supported_base(wanted, charm)

        def deploy() -> None:
            session.call(
                "deploy",
                url=charm["url"],
                name=name,
                count=0,
                to=[],
                config=config,
                base=wanted.removesuffix("/stable"),
                trust=bool(app.get("trust")),
            )

        shown = wanted.removesuffix("/stable") or charms.bases(path)[0]
        self.steps += [
            (f"upload charm {app['charm']} for base {shown}/stable", upload),
            (f"deploy application {name} on {shown}/stable", deploy),
        ]

    def _value(self, value: Any) -> Any:
        """Return an option's value, read from the file that it names if it does."""
        for prefix, decode in (("include-file://", False), ("include-base64://", True)):
            if isinstance(value, str) and value.startswith(prefix):
                data = (self.folder / value.removeprefix(prefix)).read_bytes()
                return base64.b64encode(data).decode() if decode else data.decode()
        return value

    def _machines(self) -> dict[str, str]:
        """Return the model's machine for each of the bundle; new ones are added."""
        where = dict(self.mapped)
        self._reuse(where)
        following = self.sequences.get("machine", 0)
        for key in sorted((str(key) for key in self.bundle.get("machines") or {}), key=int):
            if key not in where:
                where[key] = str(following)
                text = f"add new machine {following} (bundle machine {key})"
                self.add(text, "add_machines", count=1, base="")
                following += 1
        return where

    def _reuse(self, where: dict[str, str]) -> None:
        """Map bundle machines whose units are deployed already to where these are."""
        for name, app in self.bundle["applications"].items():
            for to, machine in zip(app.get("to", []), self._taken(name), strict=False):
                if str(to).isdecimal():
                    where.setdefault(str(to), machine)

    def _taken(self, name: str) -> list[str]:
        """Return the machines of the units that an application has, by number."""
        units = (self.found["applications"].get(name) or {}).get("units", {})
        by_number = sorted(units, key=lambda unit: int(unit.partition("/")[2]))
        return [units[unit]["machine"] for unit in by_number]

    def _is_related(self, one: str, other: str) -> bool:
        app, _, name = one.partition(":")
        ends = (self.found["applications"].get(app) or {}).get("relations", {})
        related = ends.get(name, []) if name else [two for all_ in ends.values() for two in all_]
        return any(two["related-application"] == other.partition(":")[0] for two in related)

    def _unit_order(self, apps: dict[str, Any]) -> list[str]:
        """Return the applications so that each comes after those that it is placed with."""
        order: list[str] = []

        def visit(name: str, trail: tuple[str, ...]) -> None:
            if name in trail:
                raise ClientError(f"cannot deploy bundle: cycle in placement of {name}")
            for to in apps[name].get("to", []):
                parts = PLACEMENT.fullmatch(str(to))
                if parts and parts["app"]:
                    visit(parts["app"], (*trail, name))
            if name not in order:
                order.append(name)

        for name in sorted(apps):
            visit(name, ())
        return order

    def _units(self, name: str, app: dict[str, Any], machines: dict[str, str]) -> None:
        self.placed[name] = taken = self._taken(name)
        number = self.sequences.get(f"unit {name}", 0)
        directives = [str(one) for one in app.get("to", [])] or ["new"]
        for at in range(len(taken), app.get("num_units", 0)):
            to = directives[min(at, len(directives) - 1)]
            machine, why = self._target(to, at, machines)
            kind = "existing" if machine in self.found["machines"] else "new"
            text = f"add unit {name}/{number} to {f'{kind} machine {machine}'.rstrip()}{why}"
            self.add(text, "add_units", name=name, count=1, to=[machine] if machine else [])
            taken.append(machine)
            number += 1

    def _target(self, to: str, at: int, machines: dict[str, str]) -> tuple[str, str]:
        """Return the machine of a placement directive, and the reason to print."""
        parts = PLACEMENT.fullmatch(to)
        if not parts or parts["new"]:
            return "", ""
        if parts["machine"]:
            return machines[parts["machine"]], ""
        beside, where = int(parts["number"] or at), self.placed.get(parts["app"], [])
        return (where[beside], f" to satisfy [{to}]") if beside < len(where) else ("", "")


def supported_base(wanted: str, charm: dict[str, Any]) -> str:
    """Return a base without its risk, refused unless the charm is for it; empty stays empty."""
    base = wanted.removesuffix("/stable")
    if base and base not in charm["bases"]:
        bases = ", ".join(charm["bases"])
        raise ClientError(f'base "{base}/stable" is not supported, supported bases are: {bases}')
    return base


def deploy(session: Session) -> None:
    """Deploy a bundle: say each change and make it."""
    path = Path(session.words[0])
    if bad := [one for one in NOT_FOR_BUNDLES if session.get(one)]:
        names = ", ".join("-n" if one == "num-units" else f"--{one}" for one in bad)
        raise ClientError(f"options provided but not supported when deploying a bundle: {names}")
    bundle, unknown = load(path, [Path(one) for one in session.all("overlay")])
    if unknown:
        say(
            "WARNING These fields\n unmarshal document 0: yaml: unmarshal errors:\n"
            + "".join(f"  {one}\n" for one in unknown)
            + "will be ignored during deployment"
        )
    if wrong := problems(bundle, path.parent):
        raise ClientError(f"cannot deploy bundle: {REFUSED}:\n" + "\n".join(wrong))
    answer = session.call("status")
    found, mapped = answer["status"], _mapping(session, bundle, answer["status"])
    version = versions.VERSIONS[answer["juju"]]
    known = (found, answer["sequences"], answer["noted"])
    plan = Plan(session, version, bundle, path.parent, *known, mapped)
    plan.build()
    _run(plan, dry=session.flag("dry-run"))


def _mapping(session: Session, bundle: dict[str, Any], found: dict[str, Any]) -> dict[str, str]:
    """Return the bundle's machines that --map-machines gives a machine of the model."""
    mapped: dict[str, str] = {}
    for one in session.all("map-machines"):
        key, equals, value = one.partition("=")
        if one == "existing":
            keys = (str(key) for key in bundle.get("machines") or {})
            mapped |= {key: key for key in keys if key in found["machines"]}
        elif equals and value in found["machines"]:
            mapped[key] = value
        else:
            expected = 'expected "existing" or "<bundle-id>=<machine-id>"'
            raise UsageError(f'error in --map-machines: {expected}, got "{one}"')
    return mapped


def _run(plan: Plan, *, dry: bool) -> None:
    if not plan.steps:
        say("No changes to apply.")
        return
    print("Changes to deploy bundle:" if dry else "Executing changes:", flush=True)
    for text, action in plan.steps:
        print(f"- {text}", flush=True)
        if dry:
            continue
        try:
            action()
        except ClientError as error:
            raise ClientError(f"cannot deploy bundle: {error}") from error
    if not dry:
        say("Deploy of bundle completed.")
