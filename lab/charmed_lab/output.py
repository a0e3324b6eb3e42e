# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Texts as Juju prints them: its YAML, its JSON, its times and its tables."""

import datetime
import functools
import json
import re
from collections.abc import Sequence
from typing import Any

import yaml

PLAIN = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp")


class _Loader(yaml.SafeLoader):
    """Take a date for a text, as Go's yaml does; JSON has no dates."""


_Loader.yaml_implicit_resolvers = {
    first: [one for one in resolvers if one[0] != PLAIN[1]]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def from_yaml(text: str) -> Any:
    """Return the value of a YAML document; None if it is empty."""
    return _Loader(text).get_single_data()


def all_from_yaml(text: str) -> list[Any]:
    """Return the values of all YAML documents in a text."""
    return list(yaml.load_all(text, _Loader))


class _Dumper(yaml.SafeDumper):
    """Quote as Go's yaml does: double quotes where plain text would be another type."""

    def check_simple_key(self) -> bool:
        """Tell whether a key needs no `? ` before it; for Go's yaml an empty one does not."""
        is_empty = isinstance(self.event, yaml.ScalarEvent) and not self.event.value
        return is_empty or super().check_simple_key()


# Go's yaml knows the first form for a text, and Juju has the second as a time: no quotes.
_BARE_TIME = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\dZ|T\d\d:\d\d:\d\d\.\d+Z)")


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text:
        style = "|"
    elif dumper.resolve(yaml.ScalarNode, text, (True, False)) not in PLAIN:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_str)


def to_yaml(value: Any) -> str:
    """Return a value as YAML, keys in the order they have."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=80, allow_unicode=True)
    text = re.sub(rf"'({_BARE_TIME.pattern})'", r"\1", text)
    return text.removesuffix("...\n")


def to_json(value: Any) -> str:
    """Return a value as JSON in one line, escaped as Go does."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def filled(**values: Any) -> dict[str, Any]:
    """Return what is not empty, as Go's omitempty does; `_` in names is printed as `-`."""
    return {key.replace("_", "-"): value for key, value in values.items() if value}


def to_smart(value: Any) -> str:
    """Return a value as hook tools print it by default."""
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, list):
        return "".join(f"{item}\n" for item in value)
    return to_yaml(value) if isinstance(value, dict) else f"{value}\n"


def _utc(form: str, when: float) -> str:
    return datetime.datetime.fromtimestamp(when, datetime.UTC).strftime(form)


# Times as `juju status`, the log, goal-state, `juju secrets` and `juju run` have them.
since = functools.partial(_utc, "%d %b %Y %H:%M:%SZ")
clock = functools.partial(_utc, "%H:%M:%S")
iso_space = functools.partial(_utc, "%Y-%m-%d %H:%M:%SZ")
iso = functools.partial(_utc, "%Y-%m-%dT%H:%M:%S.%fZ")
action_time = functools.partial(_utc, "%Y-%m-%d %H:%M:%S.%f +0000 UTC")


def ago(when: float, now: float) -> str:
    """Return how long ago something was, in words."""
    passed = int(now - when)
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if passed >= (2 if size == 1 else size):
            number = passed // size
            return f"{number} {word}{'s' if number > 1 else ''} ago"
    return "just now"


def table(header: str, rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Return a table with two spaces between its columns; commas part those of the header."""
    lines = [header.split(","), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths[-1] = 0
    text = ""
    for line in lines:
        cells = [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text += "  ".join(cells) + "\n"
    return text
