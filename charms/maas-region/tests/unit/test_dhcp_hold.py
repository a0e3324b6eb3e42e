# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
from unittest import mock

import pytest

import api
import dhcp_grace
import dhcp_hold

GRACE_S = 120
HOLD_S = GRACE_S + dhcp_hold.BEYOND_S


class Database:
    """A clock, and a table that statements of the module make and change."""

    def __init__(self) -> None:
        self.now = 1000.0
        # By rack: since, seen.
        self.rows: dict[str, tuple[float, float]] = {}
        self.found: list[tuple[str]] = []
        self.ran: list[str] = []

    def cursor(self) -> contextlib.AbstractContextManager["Database"]:
        return contextlib.nullcontext(self)

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> None:
        self.ran.append(statement)
        rows = self.rows.items()
        match statement, values:
            case dhcp_hold.FORGET, (list(racks), int(gap_s)):
                gone = self.now - gap_s
                self.rows = {one: row for one, row in rows if one in racks and row[1] >= gone}
            case dhcp_hold.SEE, (list(racks),):
                kept = {one: self.rows.get(one, (self.now, 0)) for one in racks}
                self.rows |= {one: (since, self.now) for one, (since, _) in kept.items()}
            case dhcp_hold.READ, (int(hold_s),):
                self.found = [(one,) for one, row in rows if row[0] > self.now - hold_s]
            case _:
                assert statement == dhcp_hold.CREATE

    def fetchall(self) -> list[tuple[str]]:
        return self.found


class Region:
    """One that finds departed racks dead; MAAS has a VLAN of two racks and one of a single one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database = Database()
        self.client = mock.create_autospec(api.Client, instance=True)
        pair = api.VLAN("pxe", 5001, "", "aaa", "bbb")
        self.client.vlans_with_dhcp.return_value = [pair, api.VLAN("lab", 5002, "", "ccc")]
        self.graces = {"bbb": dhcp_grace.Grace(GRACE_S, GRACE_S, 9e9)}
        monkeypatch.setattr(dhcp_grace, "read", lambda _: self.graces)

    def held(self, *gone: str, after_s: float = 0) -> set[str]:
        self.database.now += after_s
        return dhcp_hold.held(self.database, self.client, gone)  # type: ignore[arg-type]


@pytest.fixture
def region(monkeypatch: pytest.MonkeyPatch) -> Region:
    return Region(monkeypatch)


@pytest.mark.parametrize("rack", ["aaa", "bbb"])
def test_a_rack_of_two_stays_until_another_has_its_place(region: Region, rack: str):
    assert region.held(rack, "ccc", "ddd") == {rack}
    region.client.vlans_with_dhcp.return_value = [api.VLAN("pxe", 5001, "", "eee", "fff")]
    assert region.held(rack, after_s=15) == set()


def test_one_that_nobody_replaces_stays_for_a_limited_time(region: Region):
    for _ in range(0, HOLD_S, 15):
        assert region.held("aaa") == {"aaa"}
        region.database.now += 15
    assert region.held("aaa") == set()
    assert region.held("aaa", "bbb", after_s=15) == {"bbb"}


def test_one_that_returned_has_all_its_time_when_it_goes_again(region: Region):
    assert region.held("aaa", "bbb") == {"aaa", "bbb"}
    region.held("bbb", after_s=HOLD_S - 20)
    assert region.held("aaa", after_s=30) == {"aaa"}
    # With nobody departed in between nobody looks.
    assert region.held("aaa", after_s=dhcp_hold.GAP_S + 1) == {"aaa"}


def test_where_no_rack_is_replaced_none_stays(region: Region):
    region.graces = {}
    assert region.held("aaa") == set()
    region.client.vlans_with_dhcp.assert_not_called()
    assert region.database.ran == []


def test_where_none_has_departed_nobody_is_asked(region: Region):
    assert region.held() == set()
    region.client.vlans_with_dhcp.assert_not_called()
