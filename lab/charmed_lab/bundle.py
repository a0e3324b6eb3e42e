# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""`juju deploy bundle.yaml`, with what Juju 4.0.15 really does (recordings 70, 71 and 76)."""

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .bundle_file import PLACEMENT, load, problems
from .client import ClientError, Line, Session, say

NOT_FOR_BUNDLES = ("num-units", "config", "constraints", "to", "base", "resource")
REFUSED = "the provided bundle has the following errors"


@dataclass
class Plan:
    """The changes that a bundle asks for, in Juju's order and words."""

    session: Session
    model: str
    bundle: dict[str, Any]
    folder: Path
    found: dict[str, Any]
    mapped: dict[str, str]
    steps: list[tuple[str, Any]] = field(default_factory=list)
    placed: dict[str, list[str]] = field(default_factory=dict)

    def add(self, text: str, action: Any) -> None:
        """Add one change: what to say, and what to do."""
        self.steps.append((text, action))

    def build(self) -> None:
        """Work out all changes."""
        apps = self.bundle["applications"]
        for name in sorted(apps):
            self._application(name, apps[name])
        machines = self._machines()
        for pair in self.bundle.get("relations") or []:
            self._relation(pair)
        for name in self._unit_order(apps):
            self._units(name, apps[name], machines)

    def _application(self, name: str, app: dict[str, Any]) -> None:
        known = self.found["applications"].get(name)
        config = {key: self._value(value) for key, value in (app.get("options") or {}).items()}
        if known is None:
            self._new_application(name, app, config)
        else:
            if self.bundle.get("default-base"):
                charm = known["charm-name"]
                base = f"{known['base']['name']}@{known['base']['channel']}/stable"
                gone = f'cannot deploy local charm at "./{charm}": file does not exist'
                self.add(f"upload charm {charm} from local for base {base}", _refuse(gone))
            now = self.session.call("config", model=self.model, name=name)["settings"]
            if any(now.get(key, {}).get("value") != value for key, value in config.items()):
                refused = (
                    f'cannot update options for application "{name}": config yaml not '
                    "supported not implemented"
                )
                self.add(f"set application options for {name}", _refuse(refused))
        if app.get("expose") and not (known or {}).get("exposed"):
            self.add(
                f"expose all endpoints of {name} and allow access from CIDRs 0.0.0.0/0 and ::/0",
                lambda: self._call("expose", name=name, exposed=True),
            )
        if known is None and (notes := app.get("annotations")):
            self.add(
                f"set annotations for {name}",
                lambda: self._call("annotate", name=name, values=notes),
            )

    def _new_application(self, name: str, app: dict[str, Any], config: dict[str, Any]) -> None:
        path = self.folder / app["charm"]
        wanted = app.get("base") or self.bundle.get("default-base") or ""
        charm: dict[str, Any] = {}

        def upload() -> None:
            charm.update(self._call("upload", path=str(path.resolve())))
            if wanted and wanted.removesuffix("/stable") not in charm["bases"]:
                bases = ", ".join(charm["bases"])
                base = wanted.removesuffix("/stable")
                raise ClientError(
                    f'base "{base}/stable" is not supported, supported bases are: {bases}'
                )

        def deploy() -> None:
            self._call(
                "deploy",
                url=charm["url"],
                name=name,
                count=0,
                to=[],
                config=config,
                base=wanted.removesuffix("/stable"),
                trust=bool(app.get("trust")),
            )

        shown = wanted.removesuffix("/stable") or _first_base(path)
        self.add(f"upload charm {app['charm']} for base {shown}/stable", upload)
        self.add(f"deploy application {name} on {shown}/stable", deploy)

    def _value(self, value: Any) -> Any:
        """Return an option's value, read from the file that it names if it does."""
        for prefix, decode in (("include-file://", False), ("include-base64://", True)):
            if isinstance(value, str) and value.startswith(prefix):
                data = (self.folder / value.removeprefix(prefix)).read_bytes()
                return base64.b64encode(data).decode() if decode else data.decode()
        return value

    def _call(self, method: str, **params: Any) -> Any:
        return self.session.call(method, model=self.model, **params)

    def _machines(self) -> dict[str, str]:
        """Return the model's machine for each of the bundle; new ones are added."""
        wanted = sorted((str(key) for key in self.bundle.get("machines") or {}), key=int)
        found, where = dict(self.mapped), {}
        self._reuse(found)
        numbers = [int(number) for number in self.found["machines"]]
        following = max(self._next_machine(), *(number + 1 for number in [-1, *numbers]))
        for key in wanted:
            if key in found:
                where[key] = found[key]
                continue
            where[key] = str(following)
            following += 1
            self.add(f"add new machine {where[key]} (bundle machine {key})", self._add_machine)
        return where

    def _next_machine(self) -> int:
        return int(self._call("next_machine"))

    def _add_machine(self) -> None:
        self._call("add_machines", count=1, base="")

    def _reuse(self, found: dict[str, str]) -> None:
        """Map bundle machines whose units are deployed already to where these are."""
        for name, app in self.bundle["applications"].items():
            units = (self.found["applications"].get(name) or {}).get("units", {})
            taken = [one["machine"] for _, one in sorted(units.items(), key=_by_number)]
            for to, machine in zip(app.get("to", []), taken, strict=False):
                if str(to).isdecimal():
                    found.setdefault(str(to), machine)

    def _relation(self, pair: list[str]) -> None:
        one, other = pair
        if self._is_related(one, other):
            return
        self.add(
            f"add relation {one} - {other}", lambda: self._call("integrate", one=one, other=other)
        )

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
                if parts and parts.group(3) and parts.group(3) != "new":
                    visit(parts.group(3), (*trail, name))
            if name not in order:
                order.append(name)

        for name in sorted(apps):
            visit(name, ())
        return order

    def _units(self, name: str, app: dict[str, Any], machines: dict[str, str]) -> None:
        units = (self.found["applications"].get(name) or {}).get("units", {})
        taken = [one["machine"] for _, one in sorted(units.items(), key=_by_number)]
        self.placed[name] = taken
        first = int(self._call("next_unit", name=name))
        directives = [str(one) for one in app.get("to", [])]
        for at in range(len(taken), app.get("num_units", 0)):
            last = directives[-1] if directives else "new"
            to = directives[at] if at < len(directives) else last
            machine, why = self._target(to, at, machines)
            unit = f"{name}/{first + at - len(units)}"
            new = machine not in self.found["machines"]
            place = (
                f"{'new' if new else 'existing'} machine {machine}" if machine else "new machine"
            )
            self.add(f"add unit {unit} to {place}{why}", self._unit_adder(name, machine))
            self.placed[name].append(machine)

    def _unit_adder(self, name: str, machine: str) -> Any:
        to = [machine] if machine else []
        return lambda: self._call("add_units", name=name, count=1, to=to)

    def _target(self, to: str, at: int, machines: dict[str, str]) -> tuple[str, str]:
        """Return the machine of a placement directive, and the reason to print."""
        parts = PLACEMENT.fullmatch(to)
        if not parts or to == "new":
            return "", ""
        _, _, app, number, machine = parts.groups()
        if machine:
            return machines[machine], ""
        beside = int(number) if number else at
        where = self.placed.get(app, [])
        if beside < len(where):
            return where[beside], f" to satisfy [{to}]"
        return "", ""


def _by_number(item: tuple[str, Any]) -> int:
    return int(item[0].partition("/")[2])


def _refuse(message: str) -> Any:
    def action() -> None:
        raise ClientError(message)

    return action


def _first_base(path: Path) -> str:
    import zipfile

    with zipfile.ZipFile(path) as packed:
        if "manifest.yaml" not in packed.namelist():
            return "ubuntu@24.04"
        bases = yaml.safe_load(packed.read("manifest.yaml")).get("bases") or []
    return f"{bases[0]['name']}@{bases[0]['channel']}" if bases else "ubuntu@24.04"


def deploy(session: Session, line: Line) -> None:
    """Deploy a bundle: say each change and make it."""
    path = Path(line.words[0])
    if bad := [one for one in NOT_FOR_BUNDLES if line.get(one)]:
        names = ", ".join("-n" if one == "num-units" else f"--{one}" for one in bad)
        raise ClientError(f"options provided but not supported when deploying a bundle: {names}")
    bundle, unknown = load(path, [Path(one) for one in line.all("overlay")])
    if unknown:
        say(
            "WARNING These fields\n unmarshal document 0: yaml: unmarshal errors:\n"
            + "".join(f"  {one}\n" for one in unknown)
            + "will be ignored during deployment"
        )
    if wrong := problems(bundle, path.parent):
        raise ClientError(f"cannot deploy bundle: {REFUSED}:\n" + "\n".join(wrong))
    model = session.model(line)
    found = session.call("status", model=model)["status"]
    plan = Plan(session, model, bundle, path.parent, found, _mapping(line, bundle, found))
    plan.build()
    _run(plan, dry=line.flag("dry-run"))


def _mapping(line: Line, bundle: dict[str, Any], found: dict[str, Any]) -> dict[str, str]:
    """Return the bundle's machines that --map-machines gives a machine of the model."""
    mapped: dict[str, str] = {}
    for one in line.all("map-machines"):
        key, equals, value = one.partition("=")
        if one == "existing":
            keys = (str(key) for key in bundle.get("machines") or {})
            mapped |= {key: key for key in keys if key in found["machines"]}
        elif equals and value in found["machines"]:
            mapped[key] = value
        else:
            raise ClientError(
                f'error in --map-machines: expected "existing" or '
                f'"<bundle-id>=<machine-id>", got "{one}"',
                2,
            )
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
