# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The two small programs that run inside machines, as texts: the hook tools and the unpacker."""

HOME = "/var/lib/juju"
TOOL_SOCKET = "tools.sock"

# Every hook tool is a link to this program; it asks the daemon over the mounted socket. It
# imports only what is built in: that makes a call take a third of the time, and there are many.
# It sends its words with NUL between them; it gets an exit code, the output's length, both texts.
JUJUC = """#!/usr/bin/python3 -SEs
import posix, sys
from _socket import AF_UNIX, SHUT_WR, SOCK_STREAM, socket
args, files = sys.argv[1:], []
for at, word in enumerate(args):
    name, _, value = word.partition("=")
    if name == "--file":
        path = value or (args[at + 1] if at + 1 < len(args) else "")
    elif name.endswith("#file"):
        path = value
    else:
        continue
    try:
        files += [path, sys.stdin.read() if path == "-" else open(path).read()]
    except OSError as error:
        sys.exit("ERROR %s" % error)
context = posix.environ.get(b"JUJU_CONTEXT_ID", b"").decode()
tool = sys.argv[0].rpartition("/")[2]
words = [context, tool, str(len(args)), *args, *files]
home = posix.readlink(sys.argv[0]).rpartition("/")[0]
link = socket(AF_UNIX, SOCK_STREAM)
answer = b""
try:
    link.connect(home + "/tools.sock")
    link.sendall("\\0".join(words).encode("utf-8", "surrogateescape"))
    link.shutdown(SHUT_WR)
    while part := link.recv(65536):
        answer += part
except OSError as error:
    sys.exit("ERROR connection to the agent: %s" % error)
head, _, rest = answer.partition(b"\\n")
if not head:
    sys.exit("ERROR the agent did not answer")
code, length = map(int, head.split())
sys.stdout.buffer.write(rest[:length])
sys.stderr.buffer.write(rest[length:])
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

# Kills what is left of dispatches whose daemon died.
KILL = """
import glob, os, signal, sys
wanted = {("JUJU_CONTEXT_ID=" + one).encode() for one in sys.argv[1:]}
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        if wanted & set(open(path, "rb").read().split(b"\\0")):
            os.kill(int(path.split("/")[2]), signal.SIGKILL)
    except OSError:
        pass
"""
