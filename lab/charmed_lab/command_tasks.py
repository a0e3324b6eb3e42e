# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The commands that run something on units and machines, and the log."""

import re
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from . import output
from .client import ClientError, Line, Session, command, say, show, usage
from .model import seconds

TARGET = re.compile(r"[a-z][a-z0-9-]*/(\d+|leader)")
ACTION = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
POLL_S = 0.1


def _wait_s(line: Line) -> float:
    try:
        return seconds(line.get("wait") or "60s")
    except ValueError as error:
        raise usage(f'invalid value "{line.get("wait")}" for option --wait: {error}') from error


def _parameters(line: Line, words: list[str]) -> dict[str, Any]:
    """Return an action's parameters: from --params, then key=value with dotted keys."""
    found: dict[str, Any] = {}
    if name := line.get("params"):
        found = yaml.safe_load(sys.stdin if name == "-" else Path(name).read_text()) or {}
    for word in words:
        path, equals, value = word.partition("=")
        if not equals:
            raise usage(f'argument "{word}" must be of the form key.key.key...=value')
        *parents, last = path.split(".")
        where = found
        for key in parents:
            where = where.setdefault(key, {})
        try:
            where[last] = value if line.flag("string-args") else yaml.safe_load(value)
        except yaml.YAMLError:
            raise ClientError("yaml: line 1: did not find expected node content") from None
    return found


@command(
    "run",
    "params wait max-log",
    "background string-args color no-color utc",
    least=1,
    missing="no unit specified",
)
def _run(session: Session, line: Line) -> None:
    words = list(line.words)
    units = []
    while words and TARGET.fullmatch(words[0]):
        units.append(words.pop(0))
    if not units or not words:
        if words:
            raise usage(f'invalid unit or action name "{words[0]}"')
        raise usage("no action specified")
    name = words.pop(0)
    if not ACTION.fullmatch(name):
        raise usage(f'invalid unit or action name "{name}"')
    try:
        asked = session.call(
            "enqueue",
            model=session.model(line),
            receivers=units,
            name=name,
            parameters=_parameters(line, words),
        )
    except ClientError as error:
        raise ClientError(str(error), empty=line.get("format") == "json") from error
    if line.flag("background"):
        tasks = " ".join(asked["tasks"])
        say(
            f"Scheduled operation {asked['operation']} with task {tasks}\n"
            f"Check operation status with 'juju show-operation {asked['operation']}'\n"
            f"Check task status with 'juju show-task {tasks}'"
        )
        return
    _finish(session, line, asked, quiet=False)


@command("exec", "unit application machine wait", "all background color parallel", rest=True)
def _exec(session: Session, line: Line) -> None:
    model = session.model(line)
    receivers = line.all("unit") + line.all("machine")
    receivers += session.call("units_of", model=model, names=line.all("application"))
    if line.flag("all"):
        receivers += session.call("machine_numbers", model=model)
    if not line.words:
        raise usage("no commands specified")
    if not receivers:
        raise usage(
            "You must specify a target, either through --all, --machine, --application or --unit"
        )
    # One word is a script of its own; several are a command with its arguments.
    text = line.words[0] if len(line.words) == 1 else " ".join(line.words)
    asked = session.call(
        "enqueue", model=model, receivers=receivers, name="juju-exec", parameters={"command": text}
    )
    _finish(session, line, asked, quiet=True)


def _finish(session: Session, line: Line, asked: dict[str, Any], *, quiet: bool) -> None:
    """Wait for an operation's tasks and print what became of them."""
    tasks, failures = asked["tasks"], asked["failures"]
    if not tasks:
        space = "" if quiet else "\n"
        say(
            f"{space}Operation {asked['operation']} failed to schedule any tasks:\n"
            + "\n".join(failures)
        )
        return
    if not quiet:
        _announce(asked)
    done = _wait(session, line, list(tasks), quiet=quiet)
    styles = {one["receiver"]: _result(one) for one in done}
    if line.get("format") in ("json", "yaml"):
        show(line, styles)
    else:
        print(_plain(done, is_exec=quiet), end="")
    failed = [one for one in done if one["results"].get("return-code")]
    if failed:
        many = len(failed) > 1
        lines = [
            f' - id "{one["id"]}" with return code {one["results"]["return-code"]}'
            for one in failed
        ]
        said = "\n".join(lines)
        raise ClientError(
            f"the following task{'s' if many else ''} failed:\n{said}\n\n"
            "use 'juju show-task' to inspect the failure"
            f"{'s' if many else ''}"
        )


def _announce(asked: dict[str, Any]) -> None:
    tasks, failures = asked["tasks"], asked["failures"]
    many = "s" if len(tasks) > 1 else ""
    say(f"Running operation {asked['operation']} with {len(tasks)} task{many}")
    for task, unit in tasks.items():
        say(f"  - task {task} on unit-{unit.replace('/', '-')}")
    if failures:
        say("\nSome actions could not be scheduled:\n" + "\n".join(failures))
    say("")


def _wait(session: Session, line: Line, ids: list[str], *, quiet: bool) -> list[dict[str, Any]]:
    """Return the tasks when all have ended; tell their log meanwhile if it is only one."""
    model, deadline, told = session.model(line), time.monotonic() + _wait_s(line), 0
    if not quiet:
        say("\n".join(f"Waiting for task {task}..." for task in ids))
    while True:
        tasks = session.call("tasks", model=model, ids=ids)
        if len(ids) == 1 and not quiet:
            for when, message in tasks[0]["log"][told:]:
                say(f"{output.clock(when)} {message}")
            told = len(tasks[0]["log"])
        open_ones = [one for one in tasks if one["status"] in ("pending", "running")]
        if not open_ones:
            return tasks
        if time.monotonic() > deadline:
            units = "\n".join(f"unit {one['receiver']}" for one in open_ones)
            raise ClientError(
                f"timed out waiting for results from: {units}", empty=line.get("format") == "json"
            )
        time.sleep(POLL_S)


def _result(task: dict[str, Any]) -> dict[str, Any]:
    """Return a task as `juju run --format json` prints it."""
    found: dict[str, Any] = {"id": task["id"]}
    if task["log"]:
        found["log"] = [f"{output.action_time(when)} {text}" for when, text in task["log"]]
    if "/" not in task["receiver"]:
        found["machine"] = task["receiver"]
    if task["message"]:
        found["message"] = task["message"]
    if task["results"]:
        found["results"] = dict(sorted(task["results"].items()))
    found["status"] = task["status"]
    found["timing"] = {"enqueued": output.action_time(task["enqueued"])}
    if task["started"]:
        found["timing"]["started"] = output.action_time(task["started"])
    return found | ({"unit": task["receiver"]} if "/" in task["receiver"] else {})


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
        return texts[tasks[0]["receiver"]]
    if is_exec:
        return "\n".join(f"{name}:\n{text}" for name, text in texts.items())
    found = {
        one["receiver"]: {
            "id": one["id"],
            "output": texts[one["receiver"]],
            "status": one["status"],
        }
        for one in tasks
    }
    return output.to_yaml(found)


@command("actions list-actions", "", "schema", least=1, missing="no application specified")
def _actions(session: Session, line: Line) -> None:
    found = session.call("actions", model=session.model(line), name=line.words[0])
    brief = {name: one["description"] for name, one in found.items()}
    text = output.table(("Action", "Description"), list(brief.items()))
    show(line, found if line.flag("schema") else brief, "text", text=text)


@command("show-task", "wait", "watch utc", least=1, missing="no task ID specified")
def _show_task(session: Session, line: Line) -> None:
    for operation in session.call("operations", model=session.model(line)):
        for task in operation["tasks"]:
            if task["id"] == line.words[0]:
                show(line, _result(task))
                return
    raise ClientError("id not found")


@command("show-operation", "wait", "watch utc", least=1, missing="no operation ID specified")
def _show_operation(session: Session, line: Line) -> None:
    for one in session.call("operations", model=session.model(line)):
        if one["id"] == line.words[0]:
            show(line, {one["id"]: _operation(one)})
            return
    raise ClientError(f'operation "{line.words[0]}" not found', empty=True)


@command("operations list-operations", "limit status", "utc")
def _operations(session: Session, line: Line) -> None:
    found = session.call("operations", model=session.model(line))
    rows = []
    for one in found:
        about = _operation(one)
        ended = [task["completed"] for task in one["tasks"]]
        finished = output.iso(max(ended)).partition(".")[0] if ended and all(ended) else ""
        ids = ",".join(sorted(task["id"] for task in one["tasks"]))
        rows.append((one["id"], about["status"], "", finished, ids, one["summary"]))
    header = ("ID", "Status", "Started", "Finished", "Task IDs", "Summary")
    text = output.table(header, rows, right=(0,))
    show(line, {one["id"]: _operation(one) for one in found}, "text", text=text)


def _operation(one: dict[str, Any]) -> dict[str, Any]:
    states = [task["status"] for task in one["tasks"]] or ["error"]
    order = ("running", "pending", "error", "failed", "completed")
    state = next(word for word in order if word in states)
    timing = {"enqueued": output.action_time(one["enqueued"])}
    tasks = {}
    for task in one["tasks"]:
        about = _result(task)
        tasks[about.pop("id")] = {"host": task["receiver"], **about}
    return {"summary": one["summary"], "status": state, "timing": timing, "tasks": tasks}


# The log.


@command(
    "debug-log",
    "limit include exclude include-module level lines",
    "tail no-tail replay date utc location ms color retry T",
)
def _debug_log(session: Session, line: Line) -> None:
    if line.flag("tail") and line.flag("no-tail"):
        raise usage("setting --tail and --no-tail not valid")
    model, limit = session.model(line), int(line.get("limit", "0"))
    records = session.call("log", model=model, skip=0)
    seen, wanted = len(records), [one for one in records if _is_wanted(line, one)]
    if limit:
        wanted = wanted[-limit:]
    elif not line.flag("replay") and sys.stdout.isatty():
        wanted = wanted[-10:]
    _print_log(line, wanted)
    follow = line.flag("tail") or (sys.stdout.isatty() and not limit)
    while follow and not line.flag("no-tail"):
        time.sleep(0.5)
        records = session.call("log", model=model, skip=seen)
        seen += len(records)
        _print_log(line, [one for one in records if _is_wanted(line, one)])


LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR")


def _is_wanted(line: Line, record: list[Any]) -> bool:
    _, _, entity, level, module, _ = record
    least = line.get("level", "DEBUG").upper()
    names = [f"unit-{one.replace('/', '-')}" if "/" in one else one for one in line.all("include")]
    if level in LEVELS and least in LEVELS and LEVELS.index(level) < LEVELS.index(least):
        return False
    modules = line.all("include-module")
    return (not names or entity in names) and (
        not modules or any(module.startswith(one) for one in modules)
    )


def _print_log(line: Line, records: list[list[Any]]) -> None:
    for when, _, entity, level, module, message in records:
        if line.get("format") == "json":
            found = {
                "timestamp": output.iso(when),
                "entity": entity,
                "level": level,
                "module": module,
                "message": message,
            }
            print(output.to_json(found), flush=True)
            continue
        stamp = output.iso_space(when).rstrip("Z") if line.flag("date") else output.clock(when)
        print(f"{entity}: {stamp} {level} {module} {message}", flush=True)
