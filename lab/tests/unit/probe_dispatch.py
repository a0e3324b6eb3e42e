#!/usr/bin/python3 -SE
# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The test charm: records each event, and does what an option or action says."""

import fcntl
import json
import os
import subprocess
import sys
import time
from typing import Any

HOOK = os.environ["JUJU_DISPATCH_PATH"]


def tool(argv: list[str], stdin: str | None = None) -> dict[str, Any]:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True)
    return {"rc": done.returncode, "out": done.stdout, "err": done.stderr.strip()}


began = time.time()
unit, env = os.environ["JUJU_UNIT_NAME"], dict(os.environ)
record: dict[str, Any] = {"unit": unit, "dispatch": HOOK, "env": env}
code = 0
if HOOK == "actions/call":
    asked = json.loads(tool(["action-get", "--format=json"])["out"])
    record["did"] = [tool(argv) for argv in asked["calls"]]
    tool(["action-set", "calls=" + json.dumps(record["did"])])
    code = asked.get("exit", 0)
elif HOOK == "actions/fail":
    tool(["action-set", "partial=yes"])
    tool(["action-fail", "--", "on purpose"])
else:
    text = tool(["config-get", "text"])["out"].strip()
    name = os.environ["JUJU_HOOK_NAME"]
    if name == "install":
        tool(["state-set", "installed=yes"])
        tool(["open-port", "8080/tcp"])
    if name == "start":
        tool(["status-set", "active", "--", "started"])
    for rid in tool(["relation-ids", "peers"])["out"].split() if name == "config-changed" else ():
        tool(["relation-set", "-r", rid, f"last={record['unit']} {name}"])
    if tool(["config-get", "fail-on"])["out"].strip() == name:
        tool(["state-set", "rolled=back"])
        tool(["status-set", "maintenance", "--", "about to fail"])
        code = 1
    if text == f"sleep {name}":
        open("RECORDS.asleep", "w").close()
        time.sleep(60)
    if text == "write" and name.endswith("-created"):
        rid = os.environ["JUJU_RELATION_ID"]
        tool(["relation-set", "-r", rid, f"from={record['unit']}"])
        if tool(["is-leader"])["out"] == "True\n":
            tool(["relation-set", "-r", rid, "--app", "leader=" + record["unit"]])
    if text == "write" and name.endswith("-joined"):
        remote = os.environ["JUJU_REMOTE_UNIT"]
        record["saw"] = tool(["relation-get", "-", remote])["out"]
record |= {"began": began, "ended": time.time(), "exit": code}
with open("RECORDS", "a") as log:
    fcntl.flock(log, fcntl.LOCK_EX)
    log.write(json.dumps(record) + "\n")
sys.exit(code)
