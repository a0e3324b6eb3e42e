# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The commands that run something on units and machines, and the log."""

import re
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from . import output
from .arguments import UsageError
from .client import ClientError, Session, command, say
from .model import seconds, tag

TARGET = re.compile(r"[a-z][a-z0-9-]*/(\d+|leader)")
ACTION = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
POLL_S = 0.1
LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR")


def _parameters(session: Session, words: list[str]) -> dict[str, Any]:
    """Return an action's parameters: from --params, then key=value with dotted keys."""
    found: Any = {}
    if name := session.get("params"):
        given = sys.stdin.read() if name == "-" else Path(name).read_text()
        found = output.from_yaml(given) or {}
    if not isinstance(found, dict):
        raise ClientError("params must contain a YAML map with string keys")
    for word in words:
        path, equals, value = word.partition("=")
        if not equals:
            raise ClientError(f'argument "{word}" must be of the form key.key.key...=value')
        *parents, last = path.split(".")
        where = found
        for key in parents:
            if not isinstance(where.get(key), dict):
                where[key] = {}
            where = where[key]
        try:
            where[last] = value if session.flag("string-args") else output.from_yaml(value)
        except yaml.YAMLError:
            raise ClientError("yaml: line 1: did not find expected node content") from None
    return found


@command(
    "run",
    "params= wait= string-args no-color utc",
    "no unit specified",
    left_out="background color",
    formats="json plain yaml",
)
def _run(session: Session) -> None:
    words, units = list(session.words), list[str]()
    while words and TARGET.fullmatch(words[0]):
        units.append(words.pop(0))
    if not words:
        raise UsageError("no action specified")
    name = words.pop(0)
    if not units or not ACTION.fullmatch(name):
        raise UsageError(f'invalid unit or action name "{name}"')
    try:
        parameters = _parameters(session, words)
        asked = session.call("enqueue", receivers=units, name=name, parameters=parameters)
    except ClientError as error:
        raise ClientError(str(error), empty=session.get("format") == "json") from error
    _finish(session, asked, is_exec=False)


@command(
    "exec",
    "unit= application= machine= wait= all no-color utc",
    rest=True,
    left_out="a app background color execution-group operator parallel",
    formats="json plain yaml",
)
def _exec(session: Session) -> None:
    receivers = session.all("unit") + session.all("machine")
    receivers += session.call("units_of", names=session.all("application"))
    if session.flag("all"):
        receivers += session.call("status")["status"]["machines"]
    if not session.words:
        raise UsageError("no commands specified")
    if not receivers:
        targets = "--all, --machine, --application or --unit"
        raise UsageError(f"You must specify a target, either through {targets}")
    # One word is a script of its own; several are a command with its arguments.
    words = session.words
    parameters = {"command": words[0] if len(words) == 1 else shlex.join(words)}
    asked = session.call("enqueue", receivers=receivers, name="juju-exec", parameters=parameters)
    _finish(session, asked, is_exec=True)


def _finish(session: Session, asked: dict[str, Any], *, is_exec: bool) -> None:
    """Wait for an operation's tasks and print what became of them."""
    if not asked["tasks"]:
        failed = f"Operation {asked['operation']} failed to schedule any tasks:"
        say("\n".join([failed if is_exec else f"\n{failed}", *asked["failures"]]))
        return
    if not is_exec:
        _announce(asked)
    done = _wait(session, list(asked["tasks"]), is_exec=is_exec)
    results = {one["receiver"]: _result(one) for one in done}
    session.show(results, "plain", text=_plain(done, is_exec=is_exec))
    failed = [
        f' - id "{one["id"]}" with return code {one["results"]["return-code"]}'
        for one in done
        if one["results"].get("return-code")
    ]
    if failed:
        many, lines = "s" if len(failed) > 1 else "", "\n".join(failed)
        inspect = f"use 'juju show-task' to inspect the failure{many}"
        raise ClientError(f"the following task{many} failed:\n{lines}\n\n{inspect}\n")


def _announce(asked: dict[str, Any]) -> None:
    tasks, failures = asked["tasks"], asked["failures"]
    many = "s" if len(tasks) > 1 else ""
    say(f"Running operation {asked['operation']} with {len(tasks)} task{many}")
    for task, unit in tasks.items():
        say(f"  - task {task} on {tag(unit)}")
    if failures:
        say("\n".join(["\nSome actions could not be scheduled:", *failures]))
    say("")
    say("\n".join(f"Waiting for task {task}..." for task in tasks))


def _wait(session: Session, ids: list[str], *, is_exec: bool) -> list[dict[str, Any]]:
    """Return the tasks when all have ended; tell their log meanwhile if it is only one."""
    try:
        deadline, told = time.monotonic() + seconds(session.get("wait") or "60s"), 0
    except ValueError as error:
        given = session.get("wait")
        raise UsageError(f'invalid value "{given}" for option --wait: {error}') from error
    while True:
        tasks = session.call("tasks", ids=ids)
        if len(ids) == 1 and not is_exec:
            for when, message in tasks[0]["log"][told:]:
                say(f"{output.clock(when)} {message}")
            told = len(tasks[0]["log"])
        open_ones = [one for one in tasks if one["status"] in ("pending", "running")]
        if not open_ones:
            if told:
                say("")
            return tasks
        if time.monotonic() > deadline:
            units = "\n".join(f"unit {one['receiver']}" for one in open_ones)
            empty = session.get("format") == "json"
            raise ClientError(f"timed out waiting for results from: {units}", empty=empty)
        time.sleep(POLL_S)


def _result(task: dict[str, Any]) -> dict[str, Any]:
    """Return a task as `juju run --format json` prints it."""
    started = output.action_time(task["started"]) if task["started"] else ""
    timing = output.filled(enqueued=output.action_time(task["enqueued"]), started=started)
    is_unit = "/" in task["receiver"]
    return output.filled(
        id=task["id"],
        log=[f"{output.action_time(when)} {text}" for when, text in task["log"]],
        machine="" if is_unit else task["receiver"],
        message=task["message"],
        results=dict(sorted(task["results"].items())),
        status=task["status"],
        timing=timing,
        unit=task["receiver"] if is_unit else "",
    )


def _text(task: dict[str, Any], *, is_exec: bool) -> str:
    results = dict(sorted(task["results"].items()))
    results.pop("return-code", None)
    text = results.pop("stdout", "") + results.pop("stderr", "")
    if text and not text.endswith("\n"):
        text += "\n"
    if results:
        text += output.to_yaml(results)
    if task["status"] in ("failed", "error") and not is_exec:
        text = f"Action id {task['id']} failed: {task['message']}\n" + text
    return text


def _plain(tasks: list[dict[str, Any]], *, is_exec: bool) -> str:
    texts = {one["receiver"]: _text(one, is_exec=is_exec) for one in tasks}
    if len(tasks) == 1:
        ended = tasks[0]["results"] and not is_exec
        return texts[tasks[0]["receiver"]] + ("\n" if ended else "")
    if is_exec:
        return "".join(f"{name}:\n{text}\n" for name, text in texts.items())
    found: dict[str, Any] = {}
    for one in tasks:
        text = texts[one["receiver"]]
        found[one["receiver"]] = {"id": one["id"], "output": text, "status": one["status"]}
    return output.to_yaml(found)


@command("actions list-actions", "schema", "no application specified", formats="json tabular yaml")
def _actions(session: Session) -> None:
    found = session.call("actions", name=session.words[0])
    brief = {name: one["description"] for name, one in found.items()}
    text = output.table("Action,Description", list(brief.items()))
    session.show(found if session.flag("schema") else brief, "text", text=text)


@command(
    "show-task", "utc", "no task ID specified", left_out="wait watch", formats="json plain yaml"
)
def _show_task(session: Session) -> None:
    try:
        found = session.call("tasks", ids=session.words[:1])
    except ClientError as error:
        raise ClientError(str(error), empty=session.get("format") == "json") from error
    session.show(_result(found[0]))


# The log.


@command(
    "debug-log",
    "limit= include= level= tail no-tail replay utc ms",
    left_out="color date exclude exclude-labels exclude-module firehose include-labels "
    "include-module lines location n output retry retry-delay x",
    formats="json text",
)
def _debug_log(session: Session) -> None:
    if session.flag("tail") and session.flag("no-tail"):
        raise UsageError("setting --tail and --no-tail not valid")
    least = session.get("level", "DEBUG")
    if least.upper() not in LEVELS:
        known = ", ".join(f'"{one}"' for one in LEVELS)
        raise UsageError(f'level value "{least}" is not one of {known}')
    limit, terminal, seen = session.number("limit"), sys.stdout.isatty(), 0
    follow = session.flag("tail") or (terminal and not limit and not session.flag("no-tail"))
    last = limit or (10 if terminal and not session.flag("replay") else 0)
    while True:
        records = session.call("log", skip=seen)
        seen += len(records)
        for record in [one for one in records if _is_wanted(session, one)][-last:]:
            print(_line(session, record), flush=True)
        if not follow:
            return
        last = 0
        time.sleep(0.5)


def _line(session: Session, record: list[Any]) -> str:
    when, model, entity, level, module, message = record
    if session.get("format") == "json":
        about = {"model-uuid": model, "timestamp": output.iso(when), "entity": entity}
        said = {"level": level, "module": module, "location": "", "message": message}
        return output.to_json(about | said)
    clock = output.clock(when)
    if session.flag("ms"):
        clock += f".{int(when * 1000) % 1000:03}"
    return f"{entity}: {clock} {level} {module} {message}"


def _is_wanted(session: Session, record: list[Any]) -> bool:
    _, _, entity, level, _, _ = record
    least = session.get("level", "DEBUG").upper()
    if level in LEVELS and LEVELS.index(level) < LEVELS.index(least):
        return False
    included = session.all("include")
    names = [tag(one) if "/" in one else one for one in included]
    return not names or entity in names
