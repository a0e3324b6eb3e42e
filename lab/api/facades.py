# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What a connection may call: the facades' versions, the register of methods, and errors.

A method takes the connection and the request's parameters, and returns the response. What is in
no register is refused as Juju refuses it (juju/rpc/rpcreflect): by name, `not implemented`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from charmed_lab.client import Session

if TYPE_CHECKING:
    from .watcher import Watcher

# The newest version of each that libjuju 3.6 knows, and Juju 3.6 serves
# (juju/client/facade_versions.py). All are offered: what they lack is refused here, by name.
_OFFERED = """
    Action:7 Admin:3 AllWatcher:3 Annotations:2 Application:20 ApplicationOffers:5 Backups:3
    Block:2 Bundle:6 Charms:6 Client:8 Cloud:7 Controller:12 CredentialManager:1 KeyManager:1
    MachineManager:10 MetricsDebug:2 ModelConfig:3 ModelManager:10 Pinger:1 Resources:3
    SSHClient:4 SecretBackends:1 Secrets:2 Spaces:6 Storage:6 Subnets:5 UserManager:3
"""
VERSIONS = {name: int(number) for name, number in (one.split(":") for one in _OFFERED.split())}
# What a connection to /api has; one to /model/<uuid>/api has the others, and a pinger.
_CONTROLLER = """
    Admin ApplicationOffers Cloud Controller CredentialManager ModelManager Pinger SecretBackends
    UserManager
"""
ON_CONTROLLER = frozenset(_CONTROLLER.split())
ON_MODEL = frozenset(VERSIONS.keys() - ON_CONTROLLER | {"Admin", "Pinger"})


class APIError(Exception):
    """A request is refused; `code` is Juju's word for the kind of refusal."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Connection:
    """One client: what it connected to, whether it has logged in, and what it watches."""

    session: Session
    password: str
    # The IDs of the actions that were begun through the API, by model.
    begun: dict[str, list[str]]
    uuid: str = ""
    model: str = ""
    is_open: bool = False
    watchers: dict[str, "Watcher"] = field(default_factory=dict)

    def ask(self, question: str, **params: Any) -> Any:
        """Ask the lab's controller about the model; ClientError is what it refuses."""
        return self.session.ask(question, model=self.model, **params)

    def about(self) -> dict[str, Any]:
        """Return what the list of models says of this one; APIError when it is gone."""
        for one in self.session.ask("models"):
            if one["uuid"] == self.uuid:
                return one
        raise APIError(f'unknown model: "{self.uuid}"', "model not found")

    @property
    def facades(self) -> frozenset[str]:
        """The names of the facades that this connection has."""
        if not self.is_open:
            return frozenset({"Admin"})
        return ON_MODEL if self.uuid else ON_CONTROLLER


Params = dict[str, Any]
Method = Callable[[Connection, Params], dict[str, Any]]
METHODS: dict[tuple[str, str], Method] = {}


def method(facade: str, name: str) -> Callable[[Method], Method]:
    """Register the function that answers a facade's method."""

    def register(run: Method) -> Method:
        METHODS[facade, name] = run
        return run

    return register


def call(connection: Connection, request: dict[str, Any]) -> dict[str, Any]:
    """Run what a request names; APIError says what is refused."""
    facade, name, version = (request.get(key) for key in ("type", "request", "version"))
    known = facade in connection.facades and VERSIONS[str(facade)] == version
    run = METHODS.get((str(facade), str(name))) if known else None
    if run is None:
        missing = f"no such request - method {facade}({version}).{name} is not implemented"
        raise APIError(missing, "not implemented")
    # A watcher is named beside the parameters; libjuju writes the key as `Id`.
    given = {key.lower(): request[key] for key in request}
    return run(connection, {**(request.get("params") or {}), "watcher-id": given.get("id")})


def name_of(tag: str) -> str:
    """Return the name in a tag: `a/0` of unit-a-0, `7` of action-7, `a` of application-a."""
    kind, _, name = tag.partition("-")
    return "/".join(name.rsplit("-", 1)) if kind == "unit" else name


def tag_of(receiver: str) -> str:
    """Return the tag of a unit's name or a machine's number."""
    kind = "unit" if "/" in receiver else "machine"
    return f"{kind}-{receiver.replace('/', '-')}"
