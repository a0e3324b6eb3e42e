# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The one way to LXD: its REST interface over the local socket."""

import http.client
import io
import json
import os
import secrets
import selectors
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.parse import quote

from .stage import LabError

SOCKETS = (Path("/var/lib/lxd/unix.socket"), Path("/var/snap/lxd/common/lxd/unix.socket"))
POOL = "maaslab"
TIMEOUT_S = 300
# A copy has its source's configuration unless it is given its own.
NOT_READY = {"user.ready": "false"}
# btrfs and the bridges are busy for moments when several machines come or go at once.
RETRY_PAUSES_S = (0.5, 1.0, 2.0, 4.0)
# LXD 5.0 at times loses what a command says just before its end (canonical/lxd issue 11422, mended
# in 5.14). So it does not end before all has come here: its parent marks both outputs' ends with
# the exit code and waits to be killed, which LXD does when its client goes. A shell in its place
# would speak of a command that a signal ended; perl-base is in every Debian and Ubuntu. $0, for
# everybody can read a command line, and pgrep -f would find this one.
HELD = r"""
my $token = shift;
$0 = "held";
defined(my $child = fork) or exit 255;
exec { $ARGV[0] } @ARGV or exit 127 if !$child;
chdir "/";
$SIG{$_} = sub { kill $_[0], $child } for qw(HUP INT QUIT TERM);
1 while waitpid($child, 0) != $child;
my $mark = sprintf "\0%s%03d", $token, $? & 127 ? 128 + ($? & 127) : $? >> 8;
syswrite STDOUT, $mark;
syswrite STDERR, $mark;
$SIG{$_} = "DEFAULT" for qw(HUP INT QUIT TERM);
sleep 3600;
exit 255;
"""
CODE_DIGITS = 3


class LXDError(LabError):
    """LXD refused a request or does not answer."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class _Connection(http.client.HTTPConnection):
    """HTTP over LXD's socket."""

    def connect(self) -> None:
        """Connect to the first socket there is."""
        path = next((path for path in SOCKETS if path.exists()), SOCKETS[0])
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(path))


def _send(method: str, path: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    connection = _Connection("lxd", timeout=TIMEOUT_S)
    try:
        connection.request(method, f"/1.0{path}", body, dict(headers))
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise LXDError(f"LXD does not answer: {error}") from error
    finally:
        connection.close()
    if answer.get("type") == "error":
        raise LXDError(str(answer.get("error")), int(answer.get("error_code", 0)))
    return answer


def request(method: str, path: str, data: Any = None) -> Any:
    """Do one request and what it starts in the background; return its metadata."""
    body = b"" if data is None else json.dumps(data).encode()
    answer = _send(method, path, body, {"Content-Type": "application/json"})
    if answer.get("type") != "async":
        return answer.get("metadata")
    operation = answer["operation"].removeprefix("/1.0")
    result = _send("GET", f"{operation}/wait?timeout={TIMEOUT_S}", b"", {})["metadata"]
    if result["status_code"] != 200:
        raise LXDError(result.get("err") or f"{method} {path}: {result['status']}")
    return result


def get(path: str) -> Any:
    """Return what is at a path, or None when nothing is."""
    try:
        return request("GET", path)
    except LXDError as error:
        if error.code == 404:
            return None
        raise


def push(instance: str, remote: str, content: bytes) -> None:
    """Write a root-owned file into an instance, running or not."""
    headers = {"Content-Type": "application/octet-stream", "X-LXD-uid": "0", "X-LXD-gid": "0"}
    headers |= {"X-LXD-mode": "0644", "X-LXD-type": "file", "X-LXD-write": "overwrite"}
    _send("POST", f"/instances/{instance}/files?path={quote(remote)}", content, headers)


def is_answering() -> bool:
    """Tell whether a daemon answers on the socket."""
    try:
        request("GET", "")
    except LXDError:
        return False
    return True


def create_instance(
    name: str, source: Mapping[str, Any], config: Mapping[str, str], devices: Mapping[str, Any]
) -> None:
    """Create a stopped container with a root disk in the lab's pool."""
    base = {"security.nesting": "true", "boot.autostart": "false"}
    root = {"type": "disk", "path": "/", "pool": POOL}
    data = {"name": name, "source": source, "profiles": [], "config": {**base, **config}}
    request("POST", "/instances", {**data, "devices": {"root": root, **devices}})


def _patiently(method: str, path: str, data: Any = None) -> None:
    """Do a request; try again while LXD is busy with the instance."""
    for pause in (*RETRY_PAUSES_S, None):
        try:
            request(method, path, data)
        except LXDError as error:
            if pause is None or error.code == 404:
                raise
            time.sleep(pause)
        else:
            return


def set_state(instance: str, action: str, *, force: bool = False) -> None:
    """Start, stop, freeze or unfreeze an instance."""
    data = {"action": action, "force": force, "timeout": -1}
    _patiently("PUT", f"/instances/{instance}/state", data)


def delete_instance(instance: str) -> None:
    """Stop and delete an instance; nothing happens when it is not there."""
    if (found := get(f"/instances/{instance}")) is None:
        return
    if found["status"] != "Stopped":
        set_state(instance, "stop", force=True)
    try:
        _patiently("DELETE", f"/instances/{instance}")
    except LXDError as error:
        if error.code != 404:
            raise


def run(
    instance: str, argv: list[str], *, stdin: bytes = b"", timeout_s: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command in an instance; it dies with the caller."""
    with TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        out, err = io.BytesIO(), io.BytesIO()
        code = follow(instance, argv, given, out, err, timeout_s=timeout_s)
    return subprocess.CompletedProcess(argv, code, out.getvalue(), err.getvalue())


def follow(
    instance: str,
    argv: list[str],
    stdin: IO[bytes] | None,
    stdout: IO[bytes],
    stderr: IO[bytes],
    *,
    timeout_s: float | None = None,
) -> int:
    """Run a command in an instance, pass on what it says as it comes, return its exit code.

    It has the caller's standard input where none is given, and dies with the caller. Raises
    subprocess.TimeoutExpired.
    """
    token = secrets.token_hex(8)
    held = ["perl", "-e", HELD, token, "setpriv", "--pdeathsig", "KILL", "--", *argv]
    command = ["setpriv", "--pdeathsig", "KILL", "lxc", "exec", "-T", instance, "--", *held]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=stdin, stdout=pipe, stderr=pipe) as lxc:
        mark = b"\0" + token.encode()
        outputs = {lxc.stdout: _Output(mark, stdout), lxc.stderr: _Output(mark, stderr)}
        try:
            _pass_on(outputs, timeout_s)
        except TimeoutError as error:
            raise subprocess.TimeoutExpired(argv, timeout_s or 0) from error
        finally:
            lxc.kill()
        codes = [output.code for output in outputs.values() if output.code is not None]
        # Without a mark lxc has ended by itself.
        return codes[0] if len(codes) == len(outputs) else lxc.wait()


class _Output:
    """One output of a command: what comes before the mark is passed on, after it is the code."""

    def __init__(self, mark: bytes, to: IO[bytes]) -> None:
        self._mark = mark
        self._to = to
        self._kept = b""
        self.code: int | None = None

    def take(self, chunk: bytes) -> bool:
        """Take what came, b"" at the end; return whether more is to come."""
        self._kept += chunk
        said, found, code = self._kept.partition(self._mark)
        if found and len(code) >= CODE_DIGITS:
            self.code = int(code[:CODE_DIGITS])
        elif found and chunk:
            self._kept = self._mark + code
        else:
            said, self._kept = self._split(self._kept) if chunk else (self._kept, b"")
        self._to.write(said)
        self._to.flush()
        return bool(chunk) and self.code is None

    def _split(self, kept: bytes) -> tuple[bytes, bytes]:
        """Split off, at the end, what may be the beginning of the mark."""
        for at in range(max(0, len(kept) - len(self._mark) + 1), len(kept)):
            if self._mark.startswith(kept[at:]):
                return kept[:at], kept[at:]
        return kept, b""


def _pass_on(outputs: Mapping[IO[bytes] | None, _Output], timeout_s: float | None) -> None:
    """Pass on what comes until each output has ended; raise TimeoutError."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for source, output in outputs.items():
            if source:
                selector.register(source, selectors.EVENT_READ, output)
        while selector.get_map():
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not (ready := selector.select(left_s)):
                raise TimeoutError
            for key, _ in ready:
                if not key.data.take(os.read(key.fd, 1 << 16)):
                    selector.unregister(key.fileobj)
