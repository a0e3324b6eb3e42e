# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The two small programs that run inside machines, as texts: the hook tools and the unpacker."""

HOME = "/var/lib/juju"
TOOL_SOCKET = "tools.sock"

# Every hook tool is a link to this program; it asks the daemon over the mounted socket.
JUJUC = """#!/usr/bin/python3 -SEs
import json, os, socket, sys
args, files = sys.argv[1:], {}
for at, word in enumerate(args):
    name, _, value = word.partition("=")
    if name == "--file":
        path = value or (args[at + 1] if at + 1 < len(args) else "")
        key = path
    elif name.endswith("#file"):
        key = path = value
    else:
        continue
    try:
        files[key] = sys.stdin.read() if path == "-" else open(path).read()
    except OSError as error:
        sys.exit("ERROR %s" % error)
question = {
    "context": os.environ.get("JUJU_CONTEXT_ID", ""),
    "tool": os.path.basename(sys.argv[0]),
    "args": args,
    "files": files,
}
link = socket.socket(socket.AF_UNIX)
try:
    link.connect(os.path.join(os.path.dirname(os.path.realpath(__file__)), "tools.sock"))
    link.sendall(json.dumps(question).encode() + b"\\n")
    code, out, err = json.loads(link.makefile("rb").readline())
except (OSError, ValueError) as error:
    sys.exit("ERROR connection to the agent: %s" % error)
sys.stdout.write(out)
sys.stderr.write(err)
sys.stdout.flush()
sys.exit(code)
"""

# Arguments: packed charm, directories of agent and tools, hook-tool program, URL, tool names.
# Files of the charm before that the new one has not are removed, others (.unit-state.db) stay.
UNPACK = """
import json, os, shutil, stat, sys, zipfile
archive, agent, tools, program, url, *names = sys.argv[1:]
charm, manifest = os.path.join(agent, "charm"), os.path.join(agent, "manifest.json")
os.makedirs(charm, exist_ok=True)
os.makedirs(tools, exist_ok=True)
old = json.load(open(manifest)) if os.path.exists(manifest) else []
with zipfile.ZipFile(archive) as packed:
    new = [info.filename.rstrip("/") for info in packed.infolist()]
    for name in sorted(set(old) - set(new), reverse=True):
        path = os.path.join(charm, name)
        if os.path.isdir(path) and not os.path.islink(path):
            if not os.listdir(path):
                os.rmdir(path)
        elif os.path.lexists(path):
            os.remove(path)
    for info in packed.infolist():
        path, mode = os.path.join(charm, info.filename), info.external_attr >> 16
        if os.path.lexists(path) and not os.path.isdir(path):
            os.remove(path)
        if stat.S_ISLNK(mode):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(packed.read(info).decode(), path)
            continue
        packed.extract(info, charm)
        if mode:
            os.chmod(path, stat.S_IMODE(mode) | (0o700 if info.is_dir() else 0o600))
with open(os.path.join(charm, ".juju-charm"), "w") as file:
    file.write(url)
with open(manifest, "w") as file:
    json.dump(new, file)
for name in names:
    path = os.path.join(tools, name)
    if not os.path.lexists(path):
        os.symlink(program, path)
"""

# Kills what is left of a dispatch whose daemon died.
KILL = """
import glob, os, signal, sys
wanted = ("JUJU_CONTEXT_ID=" + sys.argv[1]).encode()
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        if wanted in open(path, "rb").read().split(b"\\0"):
            os.kill(int(path.split("/")[2]), signal.SIGKILL)
    except OSError:
        pass
"""
