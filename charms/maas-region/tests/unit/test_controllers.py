# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

import api
import controllers
import departures
from charmed_maas import python_unit, systemd
from controllers import Departed, Member

R0 = Member("maas-region/0", "region", "aaa000")
R1 = Member("maas-region/1", "region", "aaa111")
K3 = Member("maas-rack/3", "rack", "bbb333")


def _none(*_: object) -> set[str]:
    return set()


def test_a_unit_that_is_gone_departs_and_stays_departed():
    alive = {"region": {"maas-region/0"}, "rack": {"maas-rack/3"}}
    members, departed = controllers.settle((R0, R1, K3), (), alive, 100)
    assert members == (K3, R0)
    assert departed == (Departed("region", "aaa111", 100),)

    members, departed = controllers.settle(members, departed, alive, 200)
    assert departed == (Departed("region", "aaa111", 100),)


def test_nobody_departs_while_it_is_not_known_who_lives():
    members, departed = controllers.settle((R0, K3), (), {"region": None, "rack": None}, 100)
    assert (members, departed) == ((K3, R0), ())


def test_an_id_that_is_in_use_again_is_not_departed():
    """MAAS knows a machine again by its host name and gives it its old ID."""
    again = Member("maas-region/7", "region", "aaa111")
    alive = {"region": {"maas-region/0", "maas-region/7"}, "rack": None}
    members, departed = controllers.settle(
        (R0, again), (Departed("region", "aaa111", 100),), alive, 200
    )
    assert members == (R0, again)
    assert departed == ()


def test_the_rack_of_a_machine_departs_while_its_region_stays():
    """They have one ID: MAAS makes a region alone of it when the rack is deleted."""
    rack = Member("maas-rack/9", "rack", R0.system_id)
    alive = {"region": {R0.unit}, "rack": {K3.unit}}
    members, departed = controllers.settle((R0, K3, rack), (), alive, 100)
    assert members == (K3, R0)
    assert departed == (Departed("rack", R0.system_id, 100),)
    assert controllers.settle(members, departed, alive, 200)[1] == departed


def test_the_other_half_of_a_machine_is_not_taken_for_what_departed(client: mock.MagicMock):
    departed = (Departed("rack", "aaa111", 100),)
    assert controllers.still_known(departed) == ()
    assert controllers.delete_departed(departed, 300.0, _none) == []
    assert not client.delete.called


def test_a_unit_with_a_new_id_leaves_the_old_one_departed():
    new = Member("maas-region/0", "region", "ccc000")
    alive = {"region": {"maas-region/0"}, "rack": None}
    members, departed = controllers.settle((R0, new), (), alive, 100)
    assert members == (new,)
    assert departed == (Departed("region", "aaa000", 100),)


def test_all_racks_depart_with_their_relation():
    _, departed = controllers.settle((K3,), (), {"region": None, "rack": set()}, 100)
    assert departed == (Departed("rack", "bbb333", 100),)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> mock.MagicMock:
    """Replace the API client; MAAS has a region, and a rack in each state that it knows."""
    client = mock.create_autospec(api.Client, instance=True)
    client.controllers.return_value = [
        api.Controller("region", "aaa111", "r1", ""),
        api.Controller("rack", "bbb333", "k3", "dead"),
        api.Controller("rack", "bbb444", "k4", "degraded"),
        api.Controller("rack", "bbb555", "k5", "running"),
        api.Controller("rack", "bbb666", "k6", "unknown"),
    ]
    monkeypatch.setattr(api, "Client", lambda _: client)
    monkeypatch.setattr("accounts.internal_api_key", lambda: "a:b:c")
    return client


def test_departed_controllers_are_deleted_as_maas_lets_them_go(client: mock.MagicMock):
    def delete(kind: str, system_id: str) -> bool:
        if system_id == "aaa111":
            raise api.APIError("Unable to delete r1 as it's currently running.", 400)
        return True

    client.delete.side_effect = delete
    departed = [
        Departed("region", "aaa111", 100),
        Departed("rack", "bbb333", 100),
        Departed("rack", "bbb444", 100),
        Departed("rack", "bbb555", 100),
        Departed("rack", "bbb666", 100),
        Departed("rack", "unknown", 100),
    ]
    kept = controllers.delete_departed(departed, 150.0, _none)
    assert kept == ["region r1: Unable to delete r1 as it's currently running."]
    # The other racks get time to stop by themselves.
    assert client.delete.call_args_list == [
        mock.call("region", "aaa111"),
        mock.call("rack", "bbb333"),
    ]

    client.delete.reset_mock()
    controllers.delete_departed(departed, 300.0, _none)
    assert mock.call("rack", "bbb666") in client.delete.call_args_list
    # Their relation was removed, they were not: one has merely lost a region that is down.
    assert mock.call("rack", "bbb444") not in client.delete.call_args_list
    assert mock.call("rack", "bbb555") not in client.delete.call_args_list

    client.delete.reset_mock()
    stopped = api.Controller("rack", "bbb444", "k4", "dead")
    client.controllers.return_value = [stopped]
    controllers.delete_departed(departed, 301.0, _none)
    client.delete.assert_called_once_with("rack", "bbb444")


def test_a_rack_stays_until_its_dhcp_has_moved(client: mock.MagicMock):
    departed = [Departed(kind, "bbb333", 100) for kind in ("region", "rack")]
    client.controllers.return_value.append(api.Controller("region", "bbb333", "k3", ""))
    departed += [Departed("rack", one, 100) for one in ("bbb444", "bbb555", "bbb666")]
    held = mock.Mock(return_value={"bbb333"})
    kept = controllers.delete_departed(departed, 300.0, held)
    assert kept == ["rack k3: its DHCP is to move first"]
    # Of those that run, their relation gone, nothing is asked.
    held.assert_called_once_with(client, ["bbb333", "bbb666"])
    assert client.delete.call_args_list == [
        mock.call("region", "bbb333"),
        mock.call("rack", "bbb666"),
    ]


@pytest.fixture
def told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connect_to: Callable[[object], None]
) -> Iterator[mock.Mock]:
    """Put a list in place by which the job runs; return what the leader said since: nothing."""
    monkeypatch.setattr(controllers, "DEPARTED", tmp_path / "departed.json")
    controllers.DEPARTED.write_text('[{"kind": "rack", "system_id": "bbb333", "since": 7}]')
    connect_to("its connection")
    monkeypatch.setattr("database.try_lock", lambda *_: True)
    with mock.patch("departures.read", autospec=True, return_value=departures.Told()) as read:
        yield read


def test_the_job_deletes_by_what_the_database_says_of_the_racks(
    client: mock.MagicMock, told: mock.Mock
):
    with mock.patch("dhcp_hold.held", autospec=True, return_value={"bbb333"}) as held:
        assert controllers.main() == 0
        held.assert_called_once_with("its connection", client, ["bbb333"])
        client.delete.assert_not_called()
        held.return_value = set()
        assert controllers.main() == 0
    client.delete.assert_called_once_with("rack", "bbb333")


def test_a_list_that_the_leader_has_changed_since_deletes_nobody(
    client: mock.MagicMock, told: mock.Mock
):
    """This unit's agent is down; the rack is related again, and reboots."""
    told.return_value = departures.Told(900)
    with mock.patch("dhcp_hold.held", autospec=True, return_value=set()):
        assert controllers.main() == 0
        client.controllers.assert_not_called()
        told.assert_called_with("its connection")
        told.return_value = departures.Told(900, frozenset({("rack", "bbb333")}))
        assert controllers.main() == 0
    client.delete.assert_called_once_with("rack", "bbb333")


@pytest.mark.parametrize(
    ("name", "force", "deleted"),
    [("k3", False, "bbb333"), ("bbb444", True, "bbb444"), ("k5", True, "bbb555")],
)
def test_a_controller_is_deleted_by_name_or_id(
    client: mock.MagicMock, name: str, force: bool, deleted: str
):
    assert controllers.delete(name, force=force).system_id == deleted
    client.delete.assert_called_once_with("rack", deleted, force=force)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("k5", "k5 runs: remove its unit"),
        # It lives, and has lost some regions only.
        ("k4", "k4 runs: remove its unit"),
        ("k9", "knows no controller 'k9'"),
    ],
)
def test_a_rack_that_runs_or_nobody_is_not_deleted(client: mock.MagicMock, name: str, words: str):
    with pytest.raises(api.APIError, match=words):
        controllers.delete(name, force=False)
    assert not client.delete.called


def test_a_key_that_maas_refuses_is_fetched_anew(
    client: mock.MagicMock, monkeypatch: pytest.MonkeyPatch
):
    forgotten: list[bool] = []
    monkeypatch.setattr("accounts.forget", lambda: forgotten.append(True))
    client.controllers.side_effect = [api.APIError("Forbidden", 401), []]
    assert controllers.listed() == []
    assert forgotten == [True]


def test_when_maas_cannot_be_asked_the_list_stays(client: mock.MagicMock):
    departed = (Departed("region", "aaa111", 1), Departed("rack", "gone", 1))
    assert controllers.still_known(departed) == departed[:1]
    client.controllers.side_effect = api.APIError("MAAS does not answer")
    assert controllers.still_known(departed) == departed


def test_the_timer_runs_while_there_is_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(controllers, "DEPARTED", tmp_path / "departed.json")
    timer = mock.create_autospec(python_unit)
    timer.ensure.return_value = False
    monkeypatch.setattr(controllers, "python_unit", timer)

    assert controllers.ensure_departed([Departed("rack", "bbb333", 7)])
    assert json.loads(controllers.DEPARTED.read_text()) == [
        {"kind": "rack", "system_id": "bbb333", "since": 7}
    ]
    assert controllers.DEPARTED.stat().st_mode & 0o777 == 0o600
    assert not controllers.ensure_departed([Departed("rack", "bbb333", 7)])
    assert timer.ensure.call_count == 2, "one that was stopped or half made is mended"

    timer.remove.side_effect = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        controllers.ensure_departed([])
    timer.remove.side_effect = None
    assert controllers.ensure_departed([]), "a removal that was killed is done again"
    assert list(tmp_path.iterdir()) == []
    assert timer.remove.mock_calls == [mock.call("maas-region-controllers")] * 2
    assert not controllers.ensure_departed([])


def test_the_timers_job_is_this_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(controllers, "DEPARTED", tmp_path / "departed.json")
    monkeypatch.setattr(systemd, "UNITS", tmp_path)
    monkeypatch.setattr(systemd, "ensure_running", lambda _: False)
    monkeypatch.setattr(systemd, "_do", lambda *_: None)
    assert controllers.ensure_departed([Departed("rack", "bbb333", 7)])
    text = (tmp_path / "maas-region-controllers.service").read_text()
    assert f"ExecStart={sys.executable} {controllers.__file__}\n" in text
    assert f"ConditionPathExists={controllers.__file__}\n" in text, "a forced removal leaves it"
    assert {"SyslogLevel=notice", "LogLevelMax=notice"} <= set(text.splitlines())
    assert f"PYTHONPATH={Path(systemd.__file__).parents[1]}\n" in text
    assert (tmp_path / "maas-region-controllers.timer").exists()


def test_of_a_machine_with_both_only_the_rack_has_rackds_status(monkeypatch: pytest.MonkeyPatch):
    both = {
        "system_id": "aaa000",
        "hostname": "m0",
        "service_set": [{"name": "rackd", "status": "running"}],
    }
    get = mock.MagicMock(return_value=mock.MagicMock(ok=True, json=lambda: [both]))
    monkeypatch.setattr("requests.Session.request", get)
    found = api.Client("a:b:c").controllers()
    assert [(one.kind, one.status) for one in found] == [("region", ""), ("rack", "running")]
