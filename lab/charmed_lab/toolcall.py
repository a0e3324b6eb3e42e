# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The command line of a hook tool, taken apart as Juju does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml


class UsageError(Exception):
    """A tool was called wrongly; it exits with 2."""


@dataclass
class Call:
    """One call of a tool: its options, its other arguments, and the files that it names."""

    options: dict[str, str]
    words: list[str]
    files: Mapping[str, str]

    def flag(self, name: str) -> bool:
        """Tell whether a boolean option is set."""
        return self.options.get(name, "false").lower() in ("true", "1", "t")

    def pairs(self) -> dict[str, str]:
        """Return the key=value arguments, and those of --file."""
        found: dict[str, str] = {}
        if name := self.options.get("file"):
            read = _load(self.files.get(name, ""))
            found = {str(key): "" if value is None else str(value) for key, value in read.items()}
        for word in self.words:
            key, equals, value = word.partition("=")
            if not equals or not key:
                raise UsageError(f'expected "key=value", got "{word}"')
            found[key] = value
        return found


def _load(text: str) -> dict[str, Any]:
    """Read JSON, which is what charms send, or else YAML."""
    try:
        return json.loads(text)
    except ValueError:
        return yaml.safe_load(text) or {}


VALUES = [
    "format",
    "o",
    "output",
    "r",
    "relation",
    "file",
    "log-level",
    "l",
    "endpoints",
    "label",
    "description",
    "expire",
    "rotate",
    "owner",
    "unit",
    "app",
    "revision",
]
FLAGS = [
    "app",
    "application",
    "include-data",
    "all",
    "debug",
    "now",
    "peek",
    "refresh",
    "update",
    "bind-address",
    "ingress-address",
    "egress-subnets",
    "primary-address",
    "endpoints",
]
# What a word after the option belongs to it for, by tool, where the tools differ.
TAKES = {
    "relation-get": {"app": False},
    "relation-set": {"app": False},
    "relation-list": {"app": False},
    "opened-ports": {"endpoints": False},
}


def parse(tool: str, args: Sequence[str], files: Mapping[str, str]) -> Call:
    """Take a command line apart as Juju does: options may stand anywhere before `--`."""
    options: dict[str, str] = {}
    words: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += rest
            break
        if not word.startswith("-") or word == "-":
            words.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        takes = TAKES.get(tool, {}).get(name, name in VALUES)
        if not takes and name not in FLAGS:
            raise UsageError(f"option provided but not defined: {word.partition('=')[0]}")
        if not equals:
            if takes and not rest:
                raise UsageError(f"option needs an argument: {word}")
            value = rest.pop(0) if takes else "true"
        options[{"r": "relation", "l": "log-level"}.get(name, name)] = value
    return Call(options, words, files)
