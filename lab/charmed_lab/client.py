# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The `juju` of the lab: Juju's command line, its texts and its exit codes."""

import importlib
import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from . import output
from .stage import Stage, StageError

CONTROLLER = "lab"
VERSION = "4.0.15-ubuntu-amd64"
FORMATS = ("json", "yaml", "tabular", "plain", "smart")


class ClientError(Exception):
    """What a command says on its way out, with its exit code."""

    def __init__(self, message: str, code: int = 1, *, empty: bool = False) -> None:
        super().__init__(message)
        self.code, self.empty = code, empty


def usage(message: str) -> ClientError:
    """Return the error of a command line that is wrong."""
    return ClientError(message, 2)


@dataclass
class Line:
    """A command line taken apart."""

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


@dataclass
class Command:
    """What a command takes, and what runs it."""

    run: Callable[["Session", Line], None]
    values: frozenset[str]
    flags: frozenset[str]
    least: int
    missing: str
    rest: bool
    formats: tuple[str, ...]


COMMANDS: dict[str, Command] = {}
SHORT = {"m": "model", "n": "num-units", "o": "output", "r": "replay", "u": "unit", "a": "app"}


def command(
    names: str,
    values: str = "",
    flags: str = "",
    *,
    least: int = 0,
    missing: str = "",
    rest: bool = False,
    formats: tuple[str, ...] = (),
) -> Callable[[Callable[["Session", Line], None]], Callable[["Session", Line], None]]:
    """Register the function that runs a command."""

    def register(run: Callable[["Session", Line], None]) -> Callable[["Session", Line], None]:
        takes = frozenset(f"model format output {values}".split())
        made = Command(
            run, takes, frozenset(flags.split()), least, missing, rest, FORMATS + formats
        )
        COMMANDS.update(dict.fromkeys(names.split(), made))
        return run

    return register


def parse(made: Command, args: list[str]) -> Line:
    """Take the arguments of a command apart; options may stand anywhere before `--`."""
    line, left = Line(), list(args)
    while left:
        word = left.pop(0)
        if word == "--":
            line.words += left
            break
        if not word.startswith("-") or word == "-":
            line.words.append(word)
            if made.rest:
                # From its target on, all belongs to the command that runs there.
                line.words += left
                break
            continue
        name, equals, value = word.lstrip("-").partition("=")
        name = name if word.startswith("--") else SHORT.get(name, name)
        if name not in made.values and name not in made.flags:
            raise usage(f"option provided but not defined: {word.partition('=')[0]}")
        if not equals:
            if name in made.values and not left:
                raise usage(f"option needs an argument: {word}")
            value = left.pop(0) if name in made.values else "true"
        line.options.setdefault(name, []).append(value)
    if (style := line.get("format")) and style not in made.formats:
        text = f'invalid value "{style}" for option --format: unknown format "{style}"'
        raise usage(text)
    if len(line.words) < made.least:
        raise usage(made.missing)
    return line


def assignments(words: list[str], *, typed: bool = True) -> dict[str, Any]:
    """Return key=value words; @FILE means a file's content."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise usage(f'expected "key=value", got "{word}"')
        text = Path(value[1:]).read_text() if value.startswith("@") else value
        found[key] = text if typed else yaml.safe_load(text)
    return found


def number(line: Line, name: str, default: int) -> int:
    """Return an option that is a number."""
    text = line.get(name, str(default))
    if not text.isdecimal():
        raise usage(
            f'invalid value "{text}" for option --{name}: strconv.ParseInt: parsing '
            f'"{text}": invalid syntax'
        )
    return int(text)


class Session:
    """One run of the client: the stage, its daemon, and the model in use."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._choice = stage.state / "client.json"

    def call(self, method: str, **params: Any) -> Any:
        """Ask the daemon; what it refuses is raised."""
        with socket.socket(socket.AF_UNIX) as link:
            try:
                link.connect(str(self.stage.run / "api.sock"))
            except OSError as error:
                where = f"the lab's controller of stage {self.stage.name} does not run"
                raise ClientError(f"{where}: sudo ./lab/up starts it ({error})") from error
            link.sendall(json.dumps({"method": method, "params": params}).encode())
            link.shutdown(socket.SHUT_WR)
            answer = json.loads(link.makefile("rb").read() or '{"error": "no answer"}')
        if "error" in answer:
            raise ClientError(answer["error"])
        return answer["result"]

    @property
    def current(self) -> str:
        """The model that `juju switch` chose."""
        if not self._choice.exists():
            return ""
        name: str = json.loads(self._choice.read_text())["model"]
        return name if any(one["name"] == name for one in self.call("models")) else ""

    @current.setter
    def current(self, name: str) -> None:
        self._choice.parent.mkdir(parents=True, exist_ok=True)
        self._choice.write_text(json.dumps({"model": name}))

    def model(self, line: Line) -> str:
        """Return the model that a command is about."""
        name = line.get("model") or os.environ.get("JUJU_MODEL") or self.current
        if name:
            return name.rpartition(":")[2].rpartition("/")[2]
        models = "\n".join(f"  - {CONTROLLER}:admin/{one['name']}" for one in self.call("models"))
        choose = f'Use "juju switch" to select one of the following models:\n\n{models}\n'
        raise usage(f"No selected model.\n\n{choose}")


def say(text: str) -> None:
    """Print a line to standard error, where Juju says what it does."""
    print(text, file=sys.stderr)


def show(line: Line, value: Any, default: str = "yaml", *, text: str | None = None) -> None:
    """Print a value in the format asked for."""
    style = line.get("format") or default
    if style == "json":
        printed = output.to_json(value) + "\n"
    elif style == "yaml" or text is None:
        printed = output.to_yaml(value)
    else:
        printed = text
    if name := line.get("output"):
        Path(name).write_text(printed)
    else:
        sys.stdout.write(printed)


def execute(stage: Stage, args: list[str]) -> int:
    """Run one command of the line; return its exit code."""
    for name in ("commands", "command_models", "command_tasks", "command_ssh", "command_secrets"):
        importlib.import_module(f"charmed_lab.{name}")  # They register what they run.

    if not args or args[0] in ("help", "--help"):
        print("The lab's juju knows:", *sorted(COMMANDS), sep="\n  ")
        return 0
    name, *rest = args
    if name not in COMMANDS:
        say(f'ERROR "{name}" is not part of the lab\'s juju. See "juju --help".')
        return 2
    try:
        COMMANDS[name].run(Session(stage), parse(COMMANDS[name], rest))
    except ClientError as error:
        if error.empty:
            print("{}")
        if str(error):
            sys.stdout.flush()
            say(f"ERROR {error}")
        return error.code
    except BrokenPipeError:
        return 1
    return 0


def main() -> int:
    """Run one command on the stage that LAB_STAGE names."""
    try:
        return execute(Stage.current(), sys.argv[1:])
    except StageError as error:
        say(f"ERROR {error}")
        return 2


if __name__ == "__main__":
    # The commands register with this module under its package name.
    from charmed_lab import client

    sys.exit(client.main())
