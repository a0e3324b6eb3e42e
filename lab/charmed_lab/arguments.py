# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Command lines as Juju takes them apart, its client's and its hook tools'."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field


class UsageError(Exception):
    """A command line is wrong; the command exits with 2."""


@dataclass
class Arguments:
    """The words of a command line, and its options with all values that each was given."""

    words: list[str] = field(default_factory=list)
    options: dict[str, list[str]] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        """Return the last value of an option."""
        return self.options.get(name, [default])[-1]

    def flag(self, name: str) -> bool:
        """Tell whether a boolean option is set."""
        return self.get(name, "false").lower() in ("true", "1", "t")

    def all(self, name: str) -> list[str]:
        """Return the values of an option that may come again, commas taken apart."""
        return [one for value in self.options.get(name, []) for one in value.split(",") if one]

    def number(self, name: str, default: int = 0) -> int:
        """Return an option that is a number."""
        text = self.get(name, str(default))
        if not text.isdecimal():
            wrong = f'strconv.ParseInt: parsing "{text}": invalid syntax'
            raise UsageError(f'invalid value "{text}" for option --{name}: {wrong}')
        return int(text)


def take_apart(
    found: Arguments,
    args: Sequence[str],
    *,
    values: Collection[str],
    flags: Collection[str],
    short: Mapping[str, str],
    left_out: Collection[str] = (),
    rest: bool = False,
) -> None:
    """Put a command line's parts into `found`; options may stand anywhere before `--`.

    With `rest` all after the first word belongs to the command that runs there. What is
    `left_out` is Juju's, but not the lab's; all other unknown options are mistakes.
    """
    left = list(args)
    while left:
        word = left.pop(0)
        if word == "--":
            found.words += left
            return
        if not word.startswith("-") or word == "-":
            found.words.append(word)
            if rest:
                found.words += left
                return
            continue
        given, equals, value = word.partition("=")
        name = short.get(given.lstrip("-"), given.lstrip("-"))
        if name not in values and name not in flags:
            if name in left_out:
                raise UsageError(f"option {given} is not part of the lab")
            raise UsageError(f"option provided but not defined: {given}")
        if not equals:
            if name in values and not left:
                raise UsageError(f"option needs an argument: {word}")
            value = left.pop(0) if name in values else "true"
        found.options.setdefault(name, []).append(value)
