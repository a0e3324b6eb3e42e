# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What a databag or an option may hold that nobody should write, for every room's properties."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from hypothesis import given, seed, settings
from hypothesis import strategies as st

from charmed_maas import addresses, databag
from charmed_maas.interfaces import endpoint

# So many times as many examples, and others at each run: `tox -e unit-others`. What fails then
# prints the line that draws the same again.
OTHERS = int(os.environ.get("OTHER_EXAMPLES") or 0)
# The same examples at each run, so that CI says the same twice; no deadline, for a shared machine
# has no tight times; nothing kept between runs, for there is nothing to learn from.
FAST = settings(
    deadline=None,
    derandomize=not OTHERS,
    database=None,
    max_examples=100 * (OTHERS or 1),
    print_blob=bool(OTHERS),
)
# An event is a hundred times what a parser costs.
EVENT = settings(FAST, max_examples=FAST.max_examples // 4)

Drawn = TypeVar("Drawn")

MAX_MESSAGE = 800
CA = """\
-----BEGIN CERTIFICATE-----
MIIBLjCB4aADAgECAhRiXa03yAXRJ5VcURoOtq5+/lU9UDAFBgMrZXAwDDEKMAgG
A1UEAwwBeDAgFw0yNjExMjcyMDQ2NDZaGA8yMTI2MTEwMzIwNDY0NlowDDEKMAgG
A1UEAwwBeDAqMAUGAytlcAMhABkVnHNg7KQbb0EnEVHc5vXdxpvcYFVXT79m79GI
yhY7o1MwUTAdBgNVHQ4EFgQUT/tKOrWiloZxygTYHNF6BuQN6PYwHwYDVR0jBBgw
FoAUT/tKOrWiloZxygTYHNF6BuQN6PYwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXAD
QQC8N4sOyq1RUh9007otGR1I02bsS/JvHfh6Rg5+lgZbIYHwnn6427JU8fHBpSCe
R4eI7GXDNbph0TaZqqqTo04L
-----END CERTIFICATE-----
"""
INJECTIONS = (
    "\n    server evil 10.6.6.6:80",
    "\r\nhost all all 0.0.0.0/0 trust",
    '" trust #',
    "' or \"",
    " # comment",
    "\\",
    "\x00",
    "\x1b[31m",
    "\u2028",
    "\x85",
    "\ud800",
    "é",
    "${HOME}",
    "%[src]",
    "{{ 1 }}",
    " ",
)
KNOWN = (
    "",
    *INJECTIONS,
    *("x" * (1 << 20), "9" * 5000, "\U0001f600" * 40_000, "[" * 100_000),
    *("null", "[]", "{}", "[null]", "[[]]", "[{}]", "[1]", '["\\ud800"]', '["\\n"]', '[""]'),
    *("true", "True", "1", "0", "-1", "65536", "1e3", "NaN", "٣", "8_0"),
    *("10.0.0.66", " 10.0.0.1", "10.0.0.1/8", "010.0.0.1", "127.0.0.1", "0.0.0.0", "1"),
    *("fd00::1", "fe80::1%eth0", "fd00::1%\n", "::1", "::ffff:10.0.0.1", "ff02::1", "[fd00::1]"),
    *("10.0.0.1:99999", f"10.0.0.1:{'9' * 4000}", "[fd00::1%eth0]:1", ":", "10.0.0.1:1,,x:2"),
    *(
        "http://",
        "http://[",
        "http://h:0/",
        "http://h:99999/",
        "http:///x",
        'http://h/"',
        "ftp://h",
    ),
    *("..", "/", "/etc/passwd", "-x", "--help", "secret:", "secret:x y", "*", "**", "a/b/c"),
    "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n",
    "http://h/" + "x" * 60_000,
)


def _is_taken(address: str) -> bool:
    try:
        return addresses.parse_address(address) == address
    except ValueError:
        return False


# What passes the boundary as an address.
hosts = st.ip_addresses().map(str).filter(_is_taken)
texts = st.text(st.characters(exclude_categories=()), max_size=30)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(KNOWN[1:40]) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
# As deep as JSON may just be read, or just no more.
nested = st.integers(100, 1100).map(lambda depth: "[" * depth + "]" * depth)
values = st.sampled_from(KNOWN) | texts | json_values.map(json.dumps) | nested


def databags(good: Mapping[str, str]) -> st.SearchStrategy[dict[str, str]]:
    """Return databags in which fields lack, are garbled or are unknown, and the rest is good."""

    def field(value: str) -> st.SearchStrategy[str]:
        spoilt = st.tuples(st.integers(0, len(value)), st.sampled_from(INJECTIONS)).map(
            lambda at: value[: at[0]] + at[1] + value[at[0] :]
        )
        return values | spoilt | st.just(value)

    whole = {key: st.just(value) for key, value in good.items()}
    one = st.sampled_from(sorted(good)).flatmap(
        lambda key: st.fixed_dictionaries(whole | {key: field(good[key])})
    )
    any_of_them = st.fixed_dictionaries(
        {}, optional={key: field(value) for key, value in good.items()}
    )
    unknown = st.dictionaries(texts.filter(lambda key: key not in good), values, max_size=2)
    return st.builds(lambda bag, more: {**more, **bag}, one | any_of_them, unknown)


def entries(good: Mapping[str, object]) -> st.SearchStrategy[str]:
    """Return a JSON list of objects like a good one, each with a field or two garbled."""
    items = st.builds(
        lambda garbled, less: {k: v for k, v in {**good, **garbled}.items() if k not in less},
        st.dictionaries(st.sampled_from(sorted(good)), json_values | nested_lists, max_size=2),
        st.sets(st.sampled_from(sorted(good)), max_size=1),
    )
    return st.lists(items | json_values, max_size=3).map(json.dumps)


def _lists(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


nested_lists = st.sampled_from([1, 50, 300]).map(_lists)


def parse(parser: Callable[[Mapping[str, str]], Any], bag: Mapping[str, str]) -> Any:
    """Return what a parser makes of a databag, None when it refuses it by the field's name."""
    try:
        return parser(bag)
    except databag.DatabagError as error:
        assert str(error).partition(": ")[0] in bag
        assert_fit(str(error))
        return None


def each_known(
    good: Mapping[str, str], *, within: str = ""
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield databags of one field, as each known value and as a good one with each injection.

    Each comes with the name of its field. Those of an entry, of which within is the field whose
    list has it, stand beside the good ones.
    """
    for field, value in good.items():
        for one in (*KNOWN, *(value + text for text in INJECTIONS)):
            if within:
                yield within, {within: databag.dump([{**good, field: one}])}
            else:
                yield field, {field: one}


def read_each(
    parser: Callable[[Mapping[str, str]], Drawn], good: Mapping[str, str], *, within: str = ""
) -> Iterator[Drawn]:
    """Yield what an endpoint reads of each_known(), once what it refuses is told as it should."""
    sender, end = mock.Mock(), mock.Mock()
    sender.name = "remote/0"
    for field, bag in each_known(good, within=within):
        end.problems = []
        relation = mock.Mock(data={sender: bag})
        found = endpoint.Endpoint.parse(end, relation, sender, parser)
        if found is None:
            assert_told(end.problems, sender.name, field)
        else:
            assert not end.problems
            yield found


def assert_told(problems: Sequence[str], sender: str, field: str) -> None:
    """Assert that one problem is told, by the sender's and the field's name."""
    (problem,) = problems
    assert problem.startswith(f"{sender} sent {field}: ")
    assert_fit(problem)


def written(data: Any) -> dict[str, str]:
    """Return the databag that a side's data is published as."""
    bag: dict[str, str] = {}
    databag.write(bag, data.to_databag())
    return bag


def assert_fit(message: str) -> None:
    """Assert that a message is fit for a status: one printable line that a screen holds."""
    assert message.isprintable()
    assert 0 < len(message) <= MAX_MESSAGE


def draw(strategy: st.SearchStrategy[Drawn], number: int, *, seeded: int) -> list[Drawn]:
    """Return what a strategy yields, always the same by a seed."""
    found: list[Drawn] = []

    @seed(seeded)
    @settings(FAST, derandomize=False, max_examples=number)
    @given(strategy)
    def keep(value: Drawn) -> None:
        found.append(value)

    keep()
    return found


def write(directory: Path, texts: Mapping[str, str]) -> None:
    """Write texts, by their files' names."""
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
