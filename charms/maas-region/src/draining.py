# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Draining a region: a share of nothing is told, and what is under way comes to its end.

As a command it drains when the machine goes down, by an operator's reboot or a power button: no
hook runs then, and a region that is gone before HAProxy knows costs requests. It has no more than
the standard library there.
"""

import subprocess
import sys
import time
from pathlib import Path

NOTHING = "0%\n"
SS = "/usr/bin/ss"
SYSTEMCTL = "/usr/bin/systemctl"
# HAProxy asks each second; those whose machine is busy are late. An HAProxy that was reloaded asks
# no more, and clients keep connections to it for 4 s (its http-keep-alive).
NOTICED_S = 5.0
# A websocket of the user interface never ends.
DRAINED_S = 10.0


def drain(share: Path, port: int) -> None:
    """Take no new requests, and return once those under way are done, or most of them are."""
    new = share.with_name(f"{share.name}.new")
    new.write_text(NOTHING)
    new.replace(share)
    began = time.monotonic()
    time.sleep(NOTICED_S)
    while is_busy(port) and time.monotonic() - began < DRAINED_S:
        time.sleep(0.5)


def is_busy(port: int) -> bool:
    """Tell whether anybody has a connection to this port of the machine."""
    argv = [SS, "-Hnt", "state", "established", f"( sport = :{port} )"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
    return bool(done.stdout.strip())


def is_going_down() -> bool:
    """Tell whether systemd stops everything on this machine."""
    argv = [SYSTEMCTL, "is-system-running"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip() == "stopping"


def main() -> None:
    """Drain if the machine goes down: draining.py PORT FILE."""
    if is_going_down():
        drain(Path(sys.argv[2]), int(sys.argv[1]))


if __name__ == "__main__":
    main()
