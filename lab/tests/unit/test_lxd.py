# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What runs in an instance: its output, exit code and end, with an lxc that has no containers."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from charmed_lab import lxd

# Reads late, and no more once the command has ended: LXD 5.0 under load, at its worst.
LOSSY = f"""#!{sys.executable}
import os, select, subprocess, sys, time
child = subprocess.Popen(sys.argv[5:], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
time.sleep(0.3)
to = {{child.stdout.fileno(): 1, child.stderr.fileno(): 2}}
while child.poll() is None and to:
    for source in select.select(list(to), [], [], 0.05)[0]:
        chunk = os.read(source, 7)
        os.write(to[source], chunk)
        if not chunk:
            del to[source]
sys.exit(child.returncode if child.returncode >= 0 else 128 - child.returncode)
"""
PLAIN = """#!/bin/sh
shift 4; exec "$@"
"""


def put(lxc: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program called lxc before all others."""
    path = tmp_path / "lxc"
    path.write_text(lxc)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


@pytest.fixture(params=[PLAIN, LOSSY], ids=["plain", "lossy"])
def lxc(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(request.param, tmp_path, monkeypatch)


def is_there(argument: str) -> bool:
    return not subprocess.run(["pgrep", "-f", f"^sleep {argument}$"], check=False).returncode


@pytest.mark.usefixtures("lxc")
@pytest.mark.parametrize(
    ("script", "code", "out", "err"),
    [
        ("echo out; echo err >&2; exit 3", 3, b"out\n", b"err\n"),
        ("exit 255", 255, b"", b""),
        (r"printf 'a\000b\000'; printf '\000' >&2", 0, b"a\0b\0", b"\0"),
        ("kill -KILL $$", 137, b"", b""),
        ("cat", 0, b"given\n", b""),
        ("cat /proc/$PPID/cmdline | tr '\\000' ' ' | sed 's/ *$//'", 0, b"held", b""),
        ("trap 'echo ended; exit 9' TERM; kill -TERM $PPID; sleep 9 & wait", 9, b"ended\n", b""),
    ],
)
def test_all_that_a_command_says_comes_here(script: str, code: int, out: bytes, err: bytes):
    done = lxd.run("test-m0", ["sh", "-c", script], stdin=b"given\n")
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


def test_much_output_and_input_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(PLAIN, tmp_path, monkeypatch)
    much = os.urandom(3_000_000)
    assert lxd.run("test-m0", ["cat"], stdin=much).stdout == much


def test_a_command_that_is_not_there_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(PLAIN, tmp_path, monkeypatch)
    done = lxd.run("test-m0", ["no-such-command"])
    assert done.returncode == 127
    assert b"no-such-command: No such file or directory" in done.stderr


def test_an_lxc_that_fails_has_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put("#!/bin/sh\necho said; echo Error: not running >&2; exit 1\n", tmp_path, monkeypatch)
    done = lxd.run("test-m0", ["true"])
    assert (done.returncode, done.stdout) == (1, b"said\n")
    assert done.stderr == b"Error: not running\n"


def test_what_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(PLAIN, tmp_path, monkeypatch)
    with pytest.raises(subprocess.TimeoutExpired):
        lxd.run("test-m0", ["sleep", "61.25"], timeout_s=0.5)
    time.sleep(0.5)
    assert not is_there("61.25")


def test_a_command_dies_with_its_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(PLAIN, tmp_path, monkeypatch)
    program = "from charmed_lab import lxd; lxd.run('test-m0', ['sleep', '61.5'])"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with subprocess.Popen([sys.executable, "-c", program]) as caller:
        deadline = time.monotonic() + 60
        while not is_there("61.5"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        caller.send_signal(signal.SIGKILL)
    time.sleep(0.5)
    assert not is_there("61.5")


def test_output_is_passed_on_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(PLAIN, tmp_path, monkeypatch)
    seen = tmp_path / "seen"
    script = rf"printf 'o\000ne'; while ! test -e {seen}; do sleep 0.1; done; printf two"
    read, write = os.pipe()
    with (
        ThreadPoolExecutor() as pool,
        os.fdopen(read, "rb") as said,
        os.fdopen(write, "wb") as to,
    ):
        code = pool.submit(lxd.follow, "test-m0", ["sh", "-c", script], None, to, to)
        assert os.read(said.fileno(), 9) == b"o\0ne"
        seen.touch()
        assert os.read(said.fileno(), 9) == b"two"
        assert code.result() == 0
