# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Every recorded request and command, asked again: in the recorded model and in another."""

import json
import re
import shlex
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest
from recordings import Recording, differences, replayed, substitute
from world import World

# Help is the same text in every model, and speaks of things that happen to be called as somebody
# in the other one.
PROSE = re.compile(r"help|no-arguments")
# Of Python's tracebacks the last line is what a caller sees and can act on.
FAILURE = re.compile(r"^[\w.]*(?:Error|Invalid): .*", re.MULTILINE | re.DOTALL)
PAIR = "cli/dbupgrade/06-two-at-once-empty-database"
DUPLICATE = 'duplicate key value violates unique constraint "pg_type_typname_nsp_index"'

CASES = [
    pytest.param(name, recording, id=f"{name}-{recording.name}")
    for name in ("recorded", "other")
    for recording in replayed()
    if not recording.name.startswith(PAIR)
    and not (name == "other" and recording.name.startswith("cli") and PROSE.search(recording.name))
]


@pytest.mark.parametrize(("name", "recording"), CASES)
def test_answer_is_that_of_maas(
    name: str, recording: Recording, worlds: Callable[[str], World]
) -> None:
    world = worlds(name)
    world.advance(recording.started)
    found = _ask(world, recording) if recording.is_http else _command(world, recording)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ["recorded", "other"])
def test_two_migrations_at_once_break_one(name: str, worlds: Callable[[str], World]) -> None:
    world = worlds(name)
    world.advance("9")
    world.sql("DROP DATABASE racedb WITH (FORCE)")
    world.sql("CREATE DATABASE racedb OWNER maas")
    codes: list[int] = []
    errors: list[str] = []

    def migrate(region: str) -> None:
        command = "MAAS_REGION_CONFIG=/etc/maas/race.conf maas-region dbupgrade"
        done = world.machines.exec(world.cast.machines[region], ["sh", "-c", command])
        codes.append(done.returncode)
        errors.append(done.stderr.decode())

    threads = [threading.Thread(target=migrate, args=[region]) for region in ("r1", "r2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [0, 1], errors
    assert DUPLICATE in "".join(errors)


def _ask(world: World, recording: Recording) -> list[str]:
    """Send a recorded request; return what is different in the answer."""
    request, expected = recording.content["request"], recording.content["response"]
    names = world.names()
    if "response_of" in recording.content:  # 3.4.10 counts its VLANs from 1.
        expected = json.loads(json.dumps(expected).replace("vlans/1/", "vlans/5001/"))
        if isinstance(expected.get("json"), dict):
            expected["json"]["id"] = 5001
    url = urllib.parse.urlsplit(substitute(request["url"], names))
    host = "r1" if url.hostname == world.address("r1") else "r2"
    path = f"{url.path}?{url.query}" if url.query else url.path
    authorization = _sign_again(world, recording, request["headers"].get("Authorization"), names)
    body = substitute(request["body"], names)
    status, headers, text = world.request(host, request["method"], path, body, authorization)
    if status != expected["status"]:
        return [f"status {status} instead of {expected['status']}: {text}"]
    live = _parse(text) if "json" in expected else text
    wanted = substitute(expected["json"] if "json" in expected else expected["body"], names)
    if request["method"] == "HEAD":
        return [] if text == "" else ["a body"]
    wanted, live = _by_port(world, wanted), _by_port(world, live)
    return differences(wanted, live) + _header_differences(
        substitute(expected["headers"], names), headers
    )


def _header_differences(expected: dict[str, str], live: dict[str, str]) -> list[str]:
    pairs = ((name, expected[name], live.get(name)) for name in expected)
    return [
        f"{name}: {found} instead of {wanted}" for name, wanted, found in pairs if found != wanted
    ]


def _parse(text: str) -> Any:
    return json.loads(text) if text else None


def _sign_again(
    world: World, recording: Recording, header: str | None, names: dict[str, str]
) -> str | None:
    """Return the header of a request: signed now where the recorded one was in order."""
    if header is None:
        return None
    if header.startswith("OAuth oauth") and "whoami" not in recording.name:
        return world.sign()
    # The secret stands right behind the %26, where no name begins.
    live = substitute(header.replace("%26", "%26 "), names).replace("%26 ", "%26")
    return _refresh(live, recording.name)


def _refresh(header: str, name: str) -> str:
    """Keep a header as it is except for the time, which must be now unless it was wrong."""
    now = int(time.time()) - (86400 if name.endswith("timestamp-one-day-old") else 0)
    header = re.sub(r'(oauth_timestamp="?)\d+', rf"\g<1>{now}", header)
    return re.sub(r"(oauth_nonce=)12345", rf"\g<1>{now}", header)


def _by_port(world: World, answer: Any) -> Any:
    """Name workers by their port instead of their process, as many as there are here."""
    if not (isinstance(answer, dict) and set(answer) == {"eventloops"}):
        return answer
    found: dict[str, dict[int, str]] = {}
    for name, ends in answer["eventloops"].items():
        for address, port in ends:
            found.setdefault(name.partition(":")[0], {})[port] = address
    for ports in found.values():
        if set(ports) == {5250, 5251}:  # What was recorded; here there may be more.
            address = ports[5250]
            ports |= {5250 + n: address for n in range(world.cast.workers)}
    return found


def _command(world: World, recording: Recording) -> list[str]:
    """Run a recorded command; return what is different in its outcome."""
    content, names = recording.content, world.names()
    host = "k1" if "/rack/" in recording.name else content["host"]
    environment = {"COLUMNS": "100", **content.get("env", {})}
    words = [f"{key}={value}" for key, value in environment.items()]
    words += ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", *substitute(content["argv"], names)]
    command = f"env {shlex.join(words)}"
    if content["user"] != "root":
        command = f"runuser -u {content['user']} -- {command}"
    done = world.machines.exec(
        world.cast.machines[host],
        ["sh", "-c", command],
        stdin=(content["stdin"] or "").encode(),
    )
    stdout, stderr = done.stdout.decode(), done.stderr.decode()
    if recording.name.startswith("cli/apikey"):
        world.learn(stdout)
        names = world.names()
    if recording.name.endswith("03-generate"):
        assert len(stdout.split(":")) == 3
    found = []
    if done.returncode != content["exit_code"]:
        found.append(f"exit code {done.returncode} instead of {content['exit_code']}: {stderr}")
    found += differences(_workers(world, substitute(content["stdout"], names)), stdout, "stdout")
    wanted = substitute(content["stderr"], names)
    found += differences(_essence(wanted), _essence(stderr), "stderr")
    for path, expected in content.get("files_after", {}).items():
        found += _file_differences(world, host, path, substitute(expected, names))
    return found


def _workers(world: World, stdout: str) -> str:
    """Put this model's number of workers where a whole configuration is printed."""
    for form in ('"num_workers": {}', "\n\n{}\nFalse\n"):
        stdout = stdout.replace(form.format(2), form.format(world.cast.workers))
    return stdout


def _essence(stderr: str) -> str:
    """Return the failure at the end of a traceback, or all of what is none."""
    if "Error: " not in stderr and "Invalid: " not in stderr:
        return stderr
    if stderr.startswith("usage:"):
        return stderr
    last = FAILURE.findall(stderr[stderr.rfind("\nTraceback") + 1 :])
    lines = (last[-1] if last else stderr).strip().splitlines()
    # libpq tries a host's every address, and says the same of each.
    return "\n".join(dict.fromkeys(line.strip() for line in lines))


def _file_differences(world: World, host: str, path: str, expected: dict[str, Any]) -> list[str]:
    if not expected["exists"]:
        found = world.run(host, f"ls {path} 2>/dev/null || :")
        return [f"{path} exists"] if found else []
    mode, owner, group = world.run(host, f"stat -c '0%a %U %G' {path}").split()
    live = {
        "mode": mode,
        "owner": owner,
        "group": group,
        "content": world.run(host, f"cat {path}"),
    }
    wanted = {key: expected[key] for key in live}
    return differences(wanted, live, path)
