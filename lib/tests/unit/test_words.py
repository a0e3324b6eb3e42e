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
