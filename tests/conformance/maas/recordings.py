# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Recorded answers of a real MAAS, and how a live answer is held against one."""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent / "recordings"

# What a controller says of its own hardware and system: only the types can be equal.
MACHINE_FACTS = {
    "memory",
    "cpu_count",
    "osystem",
    "distro_series",
    "mac_address",
    "tag_names",
    "current_commissioning_result_id",
}
# Numbers that the database hands out in an order that no client can rely on.
COUNTED = {"interface_set", "links"}
# The set-up's stub called every service running; rackd alone is MAAS's own word.
SERVICES = "service_set"
LOST_DATABASE = re.compile(
    r"(SSL connection has been closed|server closed the connection) unexpectedly.*"
    r"|connection to server at .*(failed|terminat).*"
    r"|terminating connection due to administrator command.*",
    re.DOTALL,
)


@dataclasses.dataclass(frozen=True)
class Recording:
    """One request or command and what MAAS answered."""

    name: str
    content: dict[str, Any]

    @property
    def started(self) -> str:
        """When it was recorded; recordings are replayed in this order."""
        return self.content["started"]

    @property
    def is_http(self) -> bool:
        """Tell a request from a command."""
        return "request" in self.content


def load(name: str) -> Recording:
    """Return one recording."""
    return Recording(name, json.loads((ROOT / f"{name}.json").read_text()))


def replayed() -> list[Recording]:
    """Return the recordings of requests and commands in the order they were made."""
    names = [
        str(path.relative_to(ROOT).with_suffix(""))
        for folder in ("cli", "http")
        for path in (ROOT / folder).rglob("*.json")
    ]
    return sorted(map(load, names), key=lambda recording: recording.started)


def substitute(value: Any, names: Mapping[str, str]) -> Any:
    """Replace the recorded names, addresses and keys in a value by live ones."""
    if isinstance(value, str):
        words = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
        return re.sub(rf"(?<![\w.])({words})(?![\w])", lambda found: names[found[1]], value)
    if isinstance(value, list):
        return [substitute(item, names) for item in value]
    if isinstance(value, dict):
        return {substitute(k, names): substitute(item, names) for k, item in value.items()}
    return value


def differences(expected: Any, live: Any, path: str = "") -> list[str]:
    """Return where a live value differs from the recorded one."""
    name = path.rpartition(".")[2]
    if name == SERVICES:
        expected, live = _services(expected), _services(live)
    if name in MACHINE_FACTS or (name == "id" and COUNTED & set(re.split(r"[.\[]", path))):
        if type(expected) is not type(live):
            return [f"{path}: {live!r} is of another type than {expected!r}"]
        return []
    if isinstance(expected, dict) and isinstance(live, dict):
        return _dict_differences(expected, live, path)
    if isinstance(expected, list) and isinstance(live, list):
        if len(expected) != len(live):
            return [f"{path}: {len(live)} items instead of {len(expected)}"]
        pairs = enumerate(zip(expected, live, strict=True))
        return [text for n, (a, b) in pairs for text in differences(a, b, f"{path}[{n}]")]
    if isinstance(expected, str) and isinstance(live, str):
        expected, live = _canonical(expected, path), _canonical(live, path)
    return [] if expected == live else [f"{path}: {live!r} instead of {expected!r}"]


def _dict_differences(expected: dict[str, Any], live: dict[str, Any], path: str) -> list[str]:
    found = [f"{path}.{key}: missing" for key in expected.keys() - live.keys()]
    found += [f"{path}.{key}: not in MAAS" for key in live.keys() - expected.keys()]
    for key in expected.keys() & live.keys():
        found += differences(expected[key], live[key], f"{path}.{key}")
    return found


def _services(services: list[dict[str, str]]) -> dict[str, str]:
    return {
        service["name"]: service["status"] if service["name"] == "rackd" else "any"
        for service in services
    }


def _canonical(text: str, path: str) -> str:
    """Take out of a text what two runs of the same program differ in."""
    if path.endswith("resource_uri"):
        text = re.sub(r"interfaces/\d+/", "interfaces/N/", text)
    text = re.sub(r"nginx/[\d.]+", "nginx/N", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", "TIME", text)
    text = re.sub(r"given \d+ and now \d+", "given N and now N", text)
    # Which of the two it is depends on whether the host's resolver is reachable.
    text = text.replace("Temporary failure in name resolution", "Name or service not known")
    return LOST_DATABASE.sub("(the database is lost)", text)
