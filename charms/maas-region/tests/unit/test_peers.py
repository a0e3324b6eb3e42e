# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The rules of a public databag: optional fields, fixed types, read back as written."""

import pytest

from charmed_maas import databag
from controllers import Departed, Member
from peers import AppData, UnitData

UNIT = UnitData("10.0.0.1", True, True, True, "abc123", "1:3.7.3", "1795361569")
APP = AppData(
    cluster="8c649c6f",
    maas_url="http://10.0.0.100/MAAS",
    members=(
        Member("maas-rack/0", "rack", "def456", 120),
        Member("maas-region/0", "region", "abc123"),
    ),
    departed=(Departed("rack", "def456", 1795361569),),
    own_url="http://maas.test/MAAS",
)


def test_what_is_written_is_read_back():
    assert UnitData.from_databag(UNIT.to_databag()) == UNIT
    assert AppData.from_databag(APP.to_databag()) == APP


def test_what_is_written_of_thousands_of_racks_is_read_back():
    racks = [(f"maas-rack-of-a-site/{n}", f"s{n:05}") for n in range(5000)]
    app = AppData(
        members=tuple(Member(unit, "rack", system_id) for unit, system_id in racks),
        departed=tuple(Departed("rack", f"d{system_id}", 1795361569) for _, system_id in racks),
    )
    assert AppData.from_databag(app.to_databag()) == app


def test_an_empty_databag_is_the_default():
    assert UnitData.from_databag({}) == UnitData()
    assert AppData.from_databag({}) == AppData()
    assert not any(UnitData().to_databag().values())
    assert not any(AppData().to_databag().values())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("controllers", "{}"),
        ("controllers", "[1]"),
        ("controllers", '[{"unit": "a/0", "kind": "switch", "system-id": "x"}]'),
        ("departed", '[{"kind": "rack", "system-id": "x", "since": "soon"}]'),
        ("controllers", '[{"unit": "a/0", "kind": 1, "system-id": 2}]'),
        ("controllers", '[{"unit": "a/0", "kind": "rack", "system-id": "x", "dhcp-grace": -1}]'),
        ("departed", '[{"kind": "rack", "since": "1"}]'),
        ("maas-url", "nowhere"),
    ],
)
def test_nonsense_is_refused(key: str, value: str):
    with pytest.raises(databag.DatabagError, match=f"^{key}: "):
        AppData.from_databag({key: value})
