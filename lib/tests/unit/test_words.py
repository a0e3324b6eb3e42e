# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import pytest

from charmed_maas import words


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain words", "plain words"),
        (" two\nlines\r\n\tand  blanks ", "two lines and blanks"),
        ("\x1b[31mred\x1b[0m\x00\x85\u2028\u202eend", "[31mred [0m end"),
        ("half \udcff of a pair", "half of a pair"),
        ("größer 地址", "größer 地址"),
        ("x" * 20, "x" * 20),
        ("x" * 21, f"{'x' * 20} …"),
        ("", ""),
    ],
)
def test_what_others_say_is_one_line_and_not_long(text: str, line: str):
    assert words.one_line(text, 20) == line


@pytest.mark.parametrize(("cause", "told"), [("", "no"), ("disk full", "no; disk full")])
def test_a_cause_follows_what_is_said_where_it_is_known(cause: str, told: str):
    assert words.with_cause("no", cause) == told


TRACEBACK = """Traceback (most recent call last):
  File "/usr/sbin/maas-region", line 8, in <module>
    sys.exit(run())
  File "/usr/lib/python3/dist-packages/maasserver/region.py", line 40, in run
    raise
OSError: [Errno 28] No space left on device
"""


@pytest.mark.parametrize("begins_at", [0, 20, 60])
def test_of_a_traceback_a_status_has_who_failed_and_the_last_line(begins_at: int):
    who, last = (
        "MAAS's DNS: maas-region exited with 1: ",
        "OSError: [Errno 28] No space left on device",
    )
    assert words.brief(f"{who}{TRACEBACK[begins_at:]}") == f"{who}{last}"
    assert words.brief(f"{who}{TRACEBACK[begins_at:]}", "regiond: x") == f"{who}{last}; regiond: x"
    assert words.brief(TRACEBACK) == last


def test_a_status_is_one_line_with_both_ends_of_what_is_too_long():
    assert words.brief("no\nspace\n", "left\nhere") == "no space; left here"
    assert words.brief("x" * words.BRIEF) == "x" * words.BRIEF
    told = words.brief("haproxy exited with 1: " + "[ALERT] x\n" * 60 + "the end")
    assert len(told) == words.BRIEF
    assert told.startswith("haproxy exited with 1: [ALERT] x")
    assert told.endswith("[ALERT] x the end")
    assert words.brief(told) == told


@pytest.mark.parametrize("length", [20, 170, 400])
def test_what_caused_it_has_its_room_in_a_status(length: int):
    cause = f"regiond: {'y' * length} end"
    told = words.brief("systemctl exited with 1: " + "x " * 400, cause)
    assert len(told) == words.BRIEF
    assert told.startswith("systemctl exited with 1: x")
    assert "; regiond: y" in told
    assert told.endswith(cause[-80:])
    assert told.endswith(f"; {cause}") == (length < 400)
