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
from .arguments import Arguments, UsageError, take_apart
from .stage import Stage, StageError

CONTROLLER = "lab"
SHORT = {
    **{"a": "app", "B": "no-browser-login", "i": "include", "l": "level", "m": "model"},
    **{"n": "num-units", "o": "output", "r": "replay", "t": "timeout", "u": "unit"},
}
# What Juju 4.0.15 has (`juju help commands`) and the lab has not; README.md lists the same.
LEFT_OUT = """
add-cloud add-credential add-k8s add-secret-backend add-space add-ssh-key add-storage add-user
attach-resource attach-storage autoload-credentials bind bootstrap cancel-task
change-user-password charm-resources clouds constraints consume controller-config controllers
create-backup create-storage-pool credentials dashboard debug-code debug-hook debug-hooks
default-credential default-region destroy-controller detach-storage diff-bundle disable-command
disable-user disabled-commands documentation download download-backup enable-command
enable-destroy-controller enable-user export-bundle find find-offers firewall-rules grant
grant-cloud help-action-commands help-hook-commands import-filesystem import-ssh-key info
kill-controller list-charm-resources list-clouds list-controllers list-credentials
list-disabled-commands list-firewall-rules list-machines list-offers list-operations list-regions
list-resources list-secret-backends list-spaces list-ssh-keys list-storage list-storage-pools
list-subnets list-users login logout machines migrate model-constraints model-default
model-defaults model-secret-backend move-to-space offer offers operations regions register
reload-spaces remove-cloud remove-credential remove-k8s remove-offer remove-saas
remove-secret-backend remove-space remove-ssh-key remove-storage remove-storage-pool remove-user
rename-space resources resume-relation retry-provisioning revoke revoke-cloud scale-application
secret-backends set-constraints set-credential set-default-credentials set-default-region
set-firewall-rule set-model-constraints show-action show-application show-cloud show-controller
show-credential show-credentials show-machine show-offer show-operation show-secret-backend
show-space show-status-log show-storage show-user spaces ssh-keys storage storage-pools subnets
suspend-relation sync-agent-binary unregister update-cloud update-credential update-credentials
update-k8s update-public-clouds update-secret-backend update-storage-pool upgrade-controller
upgrade-model users
"""
LEFT_OUT_OF_ALL = "debug h help logging-config no-browser-login quiet show-log verbose"


class ClientError(Exception):
    """What a command says on its way out, with its exit code."""

    def __init__(self, message: str, code: int = 1, *, empty: bool = False) -> None:
        super().__init__(message)
        self.code, self.empty = code, empty


def short_name(model: str) -> str:
    """Return a model's name without controller and owner."""
    return model.rpartition(":")[2].rpartition("/")[2]


@dataclass
class Session(Arguments):
    """One run of the client: its command line, the daemon, the model in use."""

    stage: Stage = field(default_factory=Stage)
    command: str = ""

    def ask(self, method: str, **params: Any) -> Any:
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

    def call(self, method: str, **params: Any) -> Any:
        """Ask the daemon about the model in use."""
        return self.ask(method, model=self.model, **params)

    @property
    def _choice(self) -> Path:
        return self.stage.state / "client.json"

    @property
    def current(self) -> str:
        """The model that `juju switch` chose."""
        if not self._choice.exists():
            return ""
        name: str = json.loads(self._choice.read_text())["model"]
        return name if any(one["name"] == name for one in self.ask("models")) else ""

    @current.setter
    def current(self, name: str) -> None:
        self._choice.parent.mkdir(parents=True, exist_ok=True)
        self._choice.write_text(json.dumps({"model": name}))

    @property
    def model(self) -> str:
        """The model that the command is about."""
        if name := self.get("model") or os.environ.get("JUJU_MODEL") or self.current:
            return short_name(name)
        models = "\n".join(f"  - {CONTROLLER}:admin/{one['name']}" for one in self.ask("models"))
        choose = f'Use "juju switch" to select one of the following models:\n\n{models}'
        raise UsageError(f"No selected model.\n\n{choose}")

    def show(self, value: Any, default: str = "yaml", *, text: str | None = None) -> None:
        """Print a value in the format asked for."""
        style = self.get("format") or default
        if style == "json":
            printed = output.to_json(value) + "\n"
        elif style == "yaml" or text is None:
            printed = output.to_yaml(value)
        else:
            printed = text
        if name := self.get("output"):
            Path(name).write_text(printed)
        else:
            sys.stdout.write(printed)


Runner = Callable[[Session], None]


@dataclass
class Command:
    """What a command takes, and what runs it."""

    run: Runner
    values: set[str]
    flags: set[str]
    left_out: list[str]
    formats: list[str]
    least: int
    missing: str
    rest: bool
    empty: bool


COMMANDS: dict[str, Command] = {}


def command(
    names: str,
    options: str = "",
    missing: str = "",
    *,
    left_out: str = "",
    formats: str = "",
    least: int | None = None,
    rest: bool = False,
    empty: bool = False,
) -> Callable[[Runner], Runner]:
    """Register the function that runs a command.

    An option that takes a value is written with `=`. Those `left_out` are Juju's and not the
    lab's. With `formats` it takes --format and --output. `missing` is said when there are fewer
    than `least` words. With `empty` an error comes with an empty answer on standard output, as in
    Juju.
    """
    out, styles = left_out.split(), formats.split()
    takes = {"model=", *options.split(), *(("format=", "output=") if formats else ())}
    values = {name[:-1] for name in takes if name.endswith("=")} - {*out}
    flags = {name for name in takes if not name.endswith("=")}
    least = bool(missing) if least is None else least

    def register(run: Runner) -> Runner:
        made = Command(run, values, flags, out, styles, least, missing, rest, empty)
        COMMANDS.update(dict.fromkeys(names.split(), made))
        return run

    return register


def parse(stage: Stage, name: str, args: list[str]) -> Session:
    """Take a command line apart."""
    made, session = COMMANDS[name], Session(stage=stage, command=name)
    take_apart(
        session,
        args,
        values=made.values,
        flags=made.flags,
        short={key: name for key, name in SHORT.items() if key not in made.left_out},
        left_out=[*made.left_out, *LEFT_OUT_OF_ALL.split()],
        rest=made.rest,
    )
    if (style := session.get("format")) and style not in made.formats:
        raise UsageError(f'invalid value "{style}" for option --format: unknown format "{style}"')
    if len(session.words) < made.least:
        raise UsageError(made.missing)
    return session


def assignments(words: list[str], *, typed: bool = True) -> dict[str, Any]:
    """Return key=value words; @FILE means a file's content."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f'expected "key=value", got "{word}"')
        text = Path(value[1:]).read_text() if value.startswith("@") else value
        found[key] = text if typed else output.from_yaml(text)
    return found


def say(text: str) -> None:
    """Print a line to standard error, where Juju says what it does."""
    print(text, file=sys.stderr)


def execute(stage: Stage, args: list[str]) -> int:
    """Run one command of the line; return its exit code."""
    for name in ("commands", "command_models", "command_secrets", "command_tasks", "command_ssh"):
        importlib.import_module(f"charmed_lab.{name}")  # They register what they run.
    if not args or args[0] in ("help", "--help"):
        print("The lab's juju knows:", *sorted(COMMANDS), sep="\n  ")
        return 0
    name, *rest = args
    if name not in COMMANDS:
        return _unknown(name)
    try:
        COMMANDS[name].run(parse(stage, name, rest))
    except UsageError as error:
        say(f"ERROR {error}")
        return 2
    except BrokenPipeError:
        return 1
    except (ClientError, OSError, ValueError, yaml.YAMLError) as error:
        return _failed(name, error)
    return 0


def _failed(name: str, error: Exception) -> int:
    """Say why a command failed, as Juju or Go would; return its exit code."""
    text, code, empty = str(error), 1, COMMANDS[name].empty
    if isinstance(error, ClientError):
        code, empty = error.code, empty or error.empty
    elif isinstance(error, OSError) and error.filename and error.strerror:
        text = f"open {error.filename}: {error.strerror.lower()}"
    if empty:
        print("{}")
    if text:
        sys.stdout.flush()
        say(f"ERROR {text}")
    return code


def _unknown(name: str) -> int:
    """Refuse a command that the lab has not, or Juju neither; return the exit code."""
    if name in LEFT_OUT.split():
        say(f'ERROR "{name}" is not part of the lab\'s juju. See "juju --help".')
        return 2
    if name == "wait-for":
        say("ERROR unrecognized command: juju wait-for")
        return 1
    near = min([*COMMANDS, *LEFT_OUT.split(), "help"], key=lambda one: (_distance(name, one), one))
    say(f'ERROR juju: "{name}" is not a juju command. See "juju --help".')
    say(f"\nDid you mean:\n\t{near}")
    return 1


def _distance(one: str, other: str) -> int:
    """Return how many letters must be put in, left out or changed to make one word the other."""
    row = list(range(len(other) + 1))
    for at, left in enumerate(one, 1):
        above, row = row, [at]
        for place, right in enumerate(other):
            row.append(min(row[-1] + 1, above[place + 1] + 1, above[place] + (left != right)))
    return row[-1]


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
