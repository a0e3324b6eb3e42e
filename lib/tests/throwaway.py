# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""A PostgreSQL that is there for a test alone."""

import contextlib
import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Start it on a socket of its own; yields the socket's directory. Its user is maas.

    Skips the test on a machine that has none.
    """
    if not BINARIES:
        pytest.skip("needs PostgreSQL")
    prefix: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        if os.geteuid() == 0:  # As whom it refuses to run.
            who = pwd.getpwnam("nobody")
            os.chown(scratch, who.pw_uid, who.pw_gid)
            prefix = ["setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}"]
            prefix.append("--clear-groups")

        def run(tool: str, *words: str) -> None:
            argv = [*prefix, str(BINARIES[-1].with_name(tool)), f"--pgdata={scratch}/data", *words]
            done = subprocess.run(argv, cwd=scratch, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr

        run("initdb", "--auth=trust", "--username=maas", "--no-sync")
        options = f"-F -k {scratch} -c listen_addresses=''"
        run("pg_ctl", "start", "--wait", f"--log={scratch}/log", f"--options={options}")
        try:
            yield scratch
        finally:
            run("pg_ctl", "stop", "--mode=immediate")
