# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Whether a process on this machine lives, asked of itself or of the kernel.

Not whether its service is whole: an answer that says no is an answer. Imports next to nothing,
for the watchdog's timer loads it every few seconds.
"""

import os
import socket
from collections.abc import Callable, Sequence

TIMEOUT_S = 3.0
# A server of HTTP refuses it by itself: a request might wait for what stands behind the server.
NO_REQUEST = b"?\r\n\r\n"
PROC = "/proc"
# cgroup v2, or systemd's own hierarchy where v1 is mounted too.
CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd")
Wrap = Callable[[socket.socket], socket.socket]


def _plain(connection: socket.socket) -> socket.socket:
    return connection


def http_answers(port: int) -> bool:
    """Tell whether a server of HTTP on this machine answers."""
    return tcp_answers("127.0.0.1", port, NO_REQUEST)


def tcp_answers(host: str, port: int, request: bytes, wrap: Wrap = _plain) -> bool:
    """Tell whether a process answers a request; an empty one waits for what it says first.

    wrap makes a connection to the process an encrypted one.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return _answers(family, (host, port), request, wrap)


def unix_answers(path: str, request: bytes) -> bool:
    """Tell whether a process answers a request on its socket in the file system."""
    return _answers(socket.AF_UNIX, path, request)


def processes(service: str) -> list[int]:
    """Return the processes of a service, [] when it does not run."""
    for root in CGROUPS:
        if found := _read(f"{root}/system.slice/{service}/cgroup.procs").split():
            return [int(one) for one in found]
    return []


def any_stopped(pids: Sequence[int]) -> bool:
    """Tell whether one of the processes is stopped (SIGSTOP); a debugger's stop is another."""
    # After the name, which may hold anything: proc(5).
    return any(_read(f"{PROC}/{pid}/stat").rpartition(")")[2].startswith(" T") for pid in pids)


def switches(pids: Sequence[int]) -> int:
    """Return how often the kernel has let the processes' main threads run."""
    lines = [line for pid in pids for line in _read(f"{PROC}/{pid}/status").splitlines()]
    return sum(int(line.rpartition("\t")[2]) for line in lines if "_ctxt_switches:" in line)


def entries(directory: str, prefix: str) -> list[str]:
    """Return the paths in a directory that begin so, [] without the directory."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return sorted(f"{directory}/{name}" for name in names if name.startswith(prefix))


def _answers(
    family: int,
    address: str | tuple[str, int],
    request: bytes,
    wrap: Wrap = _plain,
) -> bool:
    """Tell whether the other end says anything, ends the connection, or is not there.

    Nobody listening is no hang: MAAS waits for its database before it listens.
    """
    try:
        with socket.socket(family) as client:
            client.settimeout(TIMEOUT_S)
            client.connect(address)
            with wrap(client) as end:
                end.sendall(request)
                end.recv(1)
    except (TimeoutError, BlockingIOError):
        # The second is a queue full of connections that nobody accepts: unix(7), EAGAIN.
        return False
    except OSError:
        return True
    return True


def _read(path: str) -> str:
    """Return a file's text, "" when it is not there or its process has ended."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
