# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charmed_maas import databag

READERS = (
    databag.text,
    databag.pem,
    databag.boolean,
    databag.address,
    databag.port,
    databag.url,
    databag.strings,
    databag.objects,
)


@pytest.mark.parametrize("reader", READERS)
@settings(deadline=None)  # A shared machine has no tight times.
@given(value=st.text())
def test_a_reader_returns_or_names_the_field(reader: Any, value: str):
    try:
        reader({"field": value}, "field")
    except databag.DatabagError as error:
        assert str(error).startswith("field: ")


@pytest.mark.parametrize("reader", READERS)
def test_an_absent_field_is_the_empty_value(reader: Any):
    assert not reader({}, "field")


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        (databag.text, "one\ntwo"),
        (databag.text, "x" * (databag.MAX_LENGTH + 1)),
        (databag.boolean, "yes"),
        (databag.address, "10.0.0.1\nserver evil 10.0.0.2:80"),
        (databag.port, "80 bind"),
        (databag.port, "70000"),
        (databag.url, "ftp://10.0.0.1/"),
        (databag.url, 'http://10.0.0.1/" x'),
        (databag.strings, '{"a": 1}'),
        (databag.strings, '["a\\nb"]'),
        (databag.strings, "[1]"),
        (databag.objects, "[" * 100_000),
        (databag.pem, "-----BEGIN CERTIFICATE-----\x00"),
        (databag.pem, "nonsense"),
    ],
)
def test_nonsense_is_refused(reader: Any, value: str):
    with pytest.raises(databag.DatabagError):
        reader({"field": value}, "field")


def test_write_touches_only_what_differs():
    class Recorder(dict[str, str]):
        def __setitem__(self, key: str, value: str) -> None:
            touched.append(key)
            super().__setitem__(key, value)

        def __delitem__(self, key: str) -> None:
            touched.append(f"-{key}")
            super().__delitem__(key)

    touched: list[str] = []
    bag = Recorder({"same": "1", "other": "1", "gone": "1"})
    assert databag.write(bag, {"same": "1", "other": "2", "gone": "", "never": ""})
    assert touched == ["other", "-gone"]
    assert not databag.write(bag, {"same": "1", "other": "2", "gone": ""})


def test_dump_does_not_depend_on_order():
    assert databag.dump({"b": 1, "a": 2}) == databag.dump({"a": 2, "b": 1})
