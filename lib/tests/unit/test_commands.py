# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import sys

import pytest

from charmed_maas import commands


def test_output_is_returned():
    assert commands.run(["/bin/sh", "-c", "cat; echo err >&2"], stdin="in").stdout == "in"


def test_a_failure_tells_name_code_and_words_but_no_argument():
    with pytest.raises(commands.CommandError) as caught:
        commands.run(["/bin/sh", "-c", "echo broken >&2; exit 3", "hunter2"])
    assert str(caught.value) == "sh exited with 3: broken"


def test_a_failure_can_be_looked_at():
    assert commands.run(["/bin/false"], check=False).returncode == 1


def test_what_takes_too_long_is_ended():
    with pytest.raises(commands.CommandError, match=r"did not end within 0.2 s"):
        commands.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.2)


def test_what_is_not_there_is_told():
    with pytest.raises(commands.CommandError, match="nowhere cannot be run"):
        commands.run(["/nowhere"])
