# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

import accounts
import api
import database
import dhcp_grace
import dhcp_ha
import dhcp_memory
import health
import migration
import region
from charmed_maas import python_unit, witness
from dhcp_grace import Grace
from dhcp_memory import Memory, Now

GRACE_S = 120
VLAN_ID = 5001
VLAN = api.VLAN("fabric-0 pxe", VLAN_ID, "fabrics/0/vlans/0/", "aaa", "bbb")


def _rack(name: str, at: int) -> api.Controller:
    links = (1, f"10.0.0.{at}"), (VLAN_ID, f"10.1.0.{at}")
    return api.Controller("rack", name * 3, f"rack-{name}", "running", links)


A, B, C = (_rack(name, at) for at, name in enumerate("abc", 1))
LOST: witness.Body = {
    "vlans": {str(VLAN_ID): {"state": "communications-interrupted"}},
    "peer-answers": False,
}


class MAAS:
    """MAAS's racks and VLANs, and what survivors say."""

    def __init__(self) -> None:
        self.client = mock.create_autospec(api.Client, instance=True)
        self.client.vlans_with_dhcp.return_value = [VLAN]
        self.said: witness.Body | witness.WitnessError = LOST
        self.asked: list[tuple[str, witness.Body]] = []
        self.forgotten: witness.Body = {"forgotten": True}
        self.forgot: list[str] = []
        self.kept: list[Memory] = []
        self.graces = {one.system_id: Grace(GRACE_S, GRACE_S, 9e9) for one in (A, B, C)}
        self.has([A, B])

    def has(self, racks: Sequence[api.Controller]) -> None:
        self.client.racks.return_value = list(racks)

    def ask(self, address: str, secret: str, question: witness.Body) -> witness.Body:
        assert secret == "5ec2e7"
        if "forget" in question:
            self.forgot.append(address)
            return self.forgotten
        self.asked.append((address, question))
        if isinstance(self.said, witness.WitnessError):
            raise self.said
        return self.said

    def look(self, memory: Memory, now: float, clock: str = "") -> Memory:
        return dhcp_ha.look(self.client, memory, Now(now, clock), self.graces, self.kept.append)

    def serves(self, primary: str, secondary: str) -> None:
        """Have the VLAN these racks, and forget what was changed before."""
        self.client.vlans_with_dhcp.return_value = [
            replace(VLAN, primary=primary, secondary=secondary)
        ]
        self.client.set_racks.reset_mock()

    def look_until(self, now: float) -> list[str]:
        """Look every 30 s from 1000 on, and return what the last one tells."""
        memory = Memory()
        for at in range(1000, int(now) + 1, 30):
            memory = self.look(memory, at)
        return list(memory.told)


@pytest.fixture
def maas(monkeypatch: pytest.MonkeyPatch) -> MAAS:
    found = MAAS()
    monkeypatch.setattr(witness, "ask", found.ask)
    monkeypatch.setattr(region, "shared_secret", lambda: "5ec2e7")
    return found


def _dead(rack: api.Controller) -> api.Controller:
    return replace(rack, status="dead")


def test_living_racks_are_left_alone_and_nobody_is_asked(maas: MAAS):
    assert maas.look_until(1300) == []
    maas.client.set_racks.assert_not_called()
    assert maas.asked == []


def test_a_dead_primary_is_replaced_once_it_was_dead_for_the_grace(maas: MAAS):
    maas.has([_dead(A), B])
    assert maas.look_until(1090) == []
    maas.client.set_racks.assert_not_called()
    assert maas.look_until(1120) == []
    maas.client.set_racks.assert_called_once_with(VLAN, "bbb", "")
    question = {"peer": "10.1.0.1", "own": "10.1.0.2", "vlan": VLAN_ID}
    assert maas.asked == [("10.0.0.2", question)]


def test_a_third_rack_takes_the_secondarys_place(maas: MAAS):
    maas.has([A, _dead(B), C])
    maas.look_until(1120)
    maas.client.set_racks.assert_called_once_with(VLAN, "aaa", "ccc")


def test_a_secondary_forgets_its_failover_of_before_first(maas: MAAS):
    maas.client.vlans_with_dhcp.return_value = [replace(VLAN, secondary="")]
    maas.forgotten = {"problem": "this rack still serves VLAN 5001"}
    memory = maas.look(Memory(), 1000)
    why = "no secondary: rack-b says: this rack still serves VLAN 5001"
    assert memory.told == (f"fabric-0 pxe: {why}",)
    maas.client.set_racks.assert_not_called()
    maas.forgotten = {"forgotten": True}
    assert maas.look(memory, 1030).told == ()
    maas.client.set_racks.assert_called_once()
    assert maas.forgot == ["10.0.0.2", "10.0.0.2"]


def test_a_promotion_does_not_wait_for_a_secondary(maas: MAAS):
    maas.has([_dead(A), B, C])
    maas.forgotten = {}
    maas.look_until(1120)
    maas.client.set_racks.assert_called_once_with(VLAN, "bbb", "")
    assert maas.forgot == ["10.0.0.3"]


def test_what_a_vlan_was_given_is_remembered_while_it_has_dhcp(maas: MAAS):
    maas.serves("aaa", "")
    memory = maas.look(Memory(), 1000)
    assert memory.given == {str(VLAN_ID): ("aaa", "bbb")}
    # By hand, then.
    maas.client.set_racks.reset_mock()
    memory = maas.look(memory, 1030)
    maas.client.set_racks.assert_not_called()
    maas.client.vlans_with_dhcp.return_value = []
    assert maas.look(memory, 1060).given == {}


def test_a_secondary_that_an_operator_set_and_took_away_is_not_given_again(maas: MAAS):
    maas.has([A, B, C])
    memory = maas.look(Memory(), 1000)
    # Also where it runs no more, and where another one is the primary then.
    for racks, primary in (([A, B, C], "aaa"), ([A, replace(B, status="dead"), C], "ccc")):
        maas.has(racks)
        maas.serves(primary, "")
        memory = maas.look(memory, 1030)
        maas.client.set_racks.assert_not_called()
    maas.has([A, B, C])
    maas.serves("ccc", "aaa")
    memory = maas.look(memory, 1060)
    maas.serves("ccc", "")
    maas.look(memory, 1090)
    maas.client.set_racks.assert_not_called()


def test_a_secondary_that_an_operator_promoted_gets_no_other(maas: MAAS):
    memory = maas.look(Memory(), 1000)
    maas.serves("bbb", "")
    memory = maas.look(memory, 1030)
    maas.client.set_racks.assert_not_called()
    # Unless the primary of before is MAAS's no more: whoever deletes that one takes no secondary.
    maas.has([B, C])
    maas.look(memory, 1060)
    (_, *roles) = maas.client.set_racks.call_args.args
    assert roles == ["bbb", "ccc"]


@pytest.mark.parametrize("own", [[], [(VLAN_ID, "fd00::9")]], ids=["none", "IPv6"])
def test_a_vlan_with_ipv6_alone_has_no_failover_to_look_after(
    maas: MAAS, own: list[tuple[int, str]]
):
    maas.has([replace(one, links=((1, "10.0.0.9"), *own)) for one in (A, B)])
    told = [] if own else ["fabric-0 pxe: its primary rack has no address there"]
    assert maas.look_until(1000) == told
    maas.has([A, replace(B, links=((1, "10.0.0.9"), *own))])
    assert maas.look_until(1000) == ["fabric-0 pxe: its secondary rack has no address there"]
    maas.client.set_racks.assert_not_called()


def test_a_secondary_that_maas_deleted_is_followed_by_another_and_by_itself(maas: MAAS):
    memory = maas.look(Memory(), 1000)
    maas.has([A])
    maas.serves("aaa", "")
    memory = maas.look(memory, 1030)
    maas.client.set_racks.assert_not_called()
    maas.has([A, B])
    maas.look(memory, 1060)
    (_, *roles) = maas.client.set_racks.call_args.args
    assert roles == ["aaa", "bbb"]


@pytest.mark.parametrize(
    ("dead", "after"), [(A, ("bbb", "")), (B, ("aaa", ""))], ids=["promoted", "alone"]
)
def test_a_change_after_which_the_look_ended_is_not_taken_for_an_operators(
    maas: MAAS, dead: api.Controller, after: tuple[str, str]
):
    maas.has([_dead(one) if one == dead else one for one in (A, B)])
    maas.client.set_racks.side_effect = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        maas.look_until(1120)
    maas.has([A, B])
    maas.client.set_racks.side_effect = None
    maas.serves(*after)
    maas.look(maas.kept[-1], 1150)
    (_, *roles) = maas.client.set_racks.call_args.args
    assert roles == [after[0], dead.system_id]


def test_a_change_that_maas_refused_is_no_change(maas: MAAS):
    maas.serves("aaa", "")
    maas.client.set_racks.side_effect = api.APIError("no")
    memory = maas.look(Memory(), 1000)
    maas.look(memory, 1030)
    assert maas.client.set_racks.call_count == 2


def test_a_pause_of_the_looks_counts_for_nobodys_death(maas: MAAS):
    maas.has([_dead(A), B])
    memory = maas.look(Memory(), 1000)
    memory = maas.look(memory, 1500)
    assert memory.dead_since == {"aaa": 1500}
    maas.client.set_racks.assert_not_called()


def test_with_a_longer_grace_looks_may_be_further_apart(maas: MAAS):
    """With many racks MAAS takes minutes to list them."""
    maas.has([_dead(A), B])
    maas.graces = {one.system_id: Grace(600, 600, 9e9) for one in (A, B)}
    memory = maas.look(Memory(), 1000)
    memory = maas.look(memory, 1375)
    assert memory.dead_since == {"aaa": 1000}
    maas.client.set_racks.assert_not_called()
    memory = maas.look(memory, 1600)
    maas.client.set_racks.assert_called_once_with(VLAN, "bbb", "")
    assert maas.look(memory, 1976).dead_since == {"aaa": 1976}


def test_another_primarys_clock_ages_nobodys_death(maas: MAAS):
    maas.has([_dead(A), B])
    memory = maas.look(Memory(), 1000, "00000001")
    memory = maas.look(memory, 1030, "00000001")
    assert memory.dead_since == {"aaa": 1000}
    memory = maas.look(memory, 1105, "00000002")
    assert (memory.dead_since, memory.clock) == ({"aaa": 1105}, "00000002")
    memory = maas.look(memory, 1140, "00000002")
    maas.client.set_racks.assert_not_called()


def test_a_clock_that_is_set_back_puts_no_death_in_the_future(maas: MAAS):
    maas.has([_dead(A), B])
    memory = maas.look(Memory(), 5000)
    memory = maas.look(memory, 1000)
    assert memory.dead_since == {"aaa": 1000}
    # As a look may have left it that failed meanwhile.
    memory = maas.look(Memory(1000, "", {"aaa": 5000}), 1030)
    assert memory.dead_since == {"aaa": 1030}
    # One that the clock says is still to come is none to go on from.
    memory = maas.look(Memory(5000, "", {"aaa": 900}), 1030)
    assert memory.dead_since == {"aaa": 1030}


def test_a_death_counts_from_when_the_rack_had_applied_the_grace(maas: MAAS):
    maas.has([_dead(A), B])
    maas.graces["aaa"] = Grace(GRACE_S, GRACE_S, held_s=GRACE_S - 1)
    assert maas.look_until(2000) == []
    maas.client.set_racks.assert_not_called()
    maas.graces["aaa"] = Grace(GRACE_S, GRACE_S, held_s=GRACE_S)
    maas.look_until(2000)
    maas.client.set_racks.assert_called_with(VLAN, "bbb", "")


@pytest.mark.parametrize(
    ("graces", "why"),
    [
        ({"bbb": Grace(GRACE_S, GRACE_S, 9e9)}, "it was never told the grace"),
        (
            {"aaa": Grace(GRACE_S, 300, 9e9), "bbb": Grace(GRACE_S, GRACE_S, 9e9)},
            "it applied another grace (300 s)",
        ),
    ],
)
def test_a_rack_that_may_go_on_is_not_replaced_until_maas_deletes_it(
    maas: MAAS, graces: dict[str, Grace], why: str
):
    maas.has([_dead(A), B, C])
    maas.graces = graces
    assert maas.look_until(1150) == [f"fabric-0 pxe: rack-a is not replaced: {why}"]
    assert maas.asked == []
    # As MAAS leaves it when the controller of a unit that was removed by force is deleted.
    maas.has([B, C])
    maas.client.vlans_with_dhcp.return_value = [replace(VLAN, primary="bbb", secondary="")]
    assert maas.look_until(1000) == []
    (vlan, *roles) = maas.client.set_racks.call_args.args
    assert (vlan.primary, roles) == ("bbb", ["bbb", "ccc"])


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (witness.WitnessError("does not answer at x:7913"), "rack-b does not answer at x:7913"),
        ({"problem": "dhcpd does not answer"}, "rack-b says: dhcpd does not answer"),
        ({"problem": "arping exited\nwith 2:  no"}, "rack-b says: arping exited with 2: no"),
        ({**LOST, "vlans": {}}, "dhcpd on rack-b is in state unknown"),
        ({**LOST, "vlans": {"5001": {"state": "normal"}}}, "dhcpd on rack-b is in state normal"),
        ({**LOST, "vlans": [1]}, "dhcpd on rack-b is in state unknown"),
        ({**LOST, "peer-answers": True}, "10.1.0.1 still answers rack-b"),
        ({**LOST, "peer-answers": "no"}, "10.1.0.1 still answers rack-b"),
        (
            {**LOST, "unknown-leases-for": 60},
            "it gave addresses that dhcpd on rack-b does not know of, for 1 min more",
        ),
    ],
)
def test_without_evidence_nothing_changes_and_why_is_told(
    maas: MAAS, said: witness.Body | witness.WitnessError, why: str
):
    maas.has([_dead(A), B])
    maas.said = said
    assert maas.look_until(1150) == [f"fabric-0 pxe: rack-a is not replaced: {why}"]
    maas.client.set_racks.assert_not_called()


def test_who_does_not_run_or_has_only_ipv6_there_takes_no_place(maas: MAAS):
    maas.client.vlans_with_dhcp.return_value = [replace(VLAN, secondary="")]
    maas.has([A, replace(B, status="unknown"), replace(C, links=((VLAN_ID, "fd00::3"),))])
    assert maas.look_until(1100) == []
    maas.client.set_racks.assert_not_called()


def test_a_witness_that_is_away_is_asked_once_for_all_vlans(maas: MAAS):
    others = [replace(VLAN, id=VLAN_ID, path=f"vlans/{number}/") for number in range(3)]
    maas.client.vlans_with_dhcp.return_value = others
    maas.has([_dead(A), B])
    maas.said = witness.WitnessError("does not answer")
    maas.look_until(1120)
    assert [address for address, _ in maas.asked] == ["10.0.0.2", "10.1.0.2"]


def test_a_witness_is_asked_at_any_of_its_addresses(maas: MAAS):
    maas.has([_dead(A), B])
    maas.said = witness.WitnessError("does not answer")
    maas.look_until(1120)
    assert [address for address, _ in maas.asked] == ["10.0.0.2", "10.1.0.2"]


def test_a_refusal_of_maas_is_told(maas: MAAS):
    maas.has([_dead(A), B])
    maas.client.set_racks.side_effect = api.APIError("no")
    assert maas.look_until(1150) == ["fabric-0 pxe: MAAS refuses: no"]


class Job:
    """The timer's job, with a database that has a clock and a memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.now = 1000.0
        self.memory: Memory | None = None
        self.locked = False
        self.looked = 0
        self.took_s = 0.0
        self.error: api.APIError | None = None
        self.problem = ""
        self.order: list[str] = []
        self.timeouts: list[float] = []
        clock = mock.Mock(monotonic=lambda: self.looked * self.took_s)
        monkeypatch.setattr(dhcp_ha, "time", clock)
        monkeypatch.setattr(api, "Client", lambda _, timeout_s: self.timeouts.append(timeout_s))
        monkeypatch.setattr(dhcp_ha, "TOLD", tmp_path / "told")
        monkeypatch.setattr(migration, "login_from_config", lambda: None)
        monkeypatch.setattr(accounts, "internal_api_key", lambda: "a:b:c")
        monkeypatch.setattr(database, "connect", lambda *_: contextlib.nullcontext(self))
        monkeypatch.setattr(database, "try_lock", self._try_lock)
        monkeypatch.setattr(health, "problem", self._problem)
        monkeypatch.setattr(dhcp_ha, "look", self._look)
        self.graces = {"aaa": Grace(120, 120, 500.0)}
        monkeypatch.setattr(dhcp_grace, "read", lambda _: self.graces)

    def _try_lock(self, *_: object) -> bool:
        self.order.append("turn")
        return not self.locked

    def _problem(self) -> str:
        self.order.append("health")
        return self.problem

    def _look(
        self, _: object, __: Memory, now: Now, graces: dict[str, Grace], ___: object
    ) -> Memory:
        self.looked += 1
        if self.error:
            raise self.error
        assert graces == self.graces
        return Memory(now.time, now.clock, {"aaa": 990.5}, {"5001": ("aaa", "bbb")}, ("pxe: no",))

    def cursor(self) -> contextlib.AbstractContextManager["Job"]:
        return contextlib.nullcontext(self)

    def execute(self, statement: str, values: tuple[str, ...] = ()) -> None:
        self.row: tuple[object, ...] | None = (self.now, "00000001")
        if statement.startswith("INSERT"):
            self.kept = json.loads(values[0])
        elif "memory FROM" in statement:
            self.row = (self.kept,) if hasattr(self, "kept") else None

    def fetchone(self) -> tuple[object, ...] | None:
        return self.row


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Job:
    return Job(monkeypatch, tmp_path)


def test_one_look_of_all_regions_is_enough(job: Job):
    assert dhcp_ha.main() == 0
    assert dhcp_ha.told() == ("pxe: no",)
    job.now += 5
    dhcp_ha.TOLD.unlink()
    dhcp_ha.main()
    assert job.looked == 1
    assert dhcp_ha.told() == ("pxe: no",)
    job.now += 30
    job.locked = True
    dhcp_ha.main()
    assert job.looked == 1
    job.locked = False
    dhcp_ha.main()
    assert job.looked == 2


def test_what_is_remembered_comes_back(job: Job):
    dhcp_ha.main()
    memory = dhcp_memory.recall(job)  # type: ignore[arg-type]
    given = {"5001": ("aaa", "bbb")}
    assert memory == Memory(1000.0, "00000001", {"aaa": 990.5}, given, ("pxe: no",))


def test_no_grace_is_no_look(job: Job):
    dhcp_ha.main()
    job.graces, job.now = {}, 2000.0
    assert dhcp_ha.main() == 0
    assert job.looked == 1
    assert dhcp_ha.told() == ()


def test_looks_that_fail_for_long_are_told_in_place_of_what_was_found_before(job: Job):
    dhcp_ha.main()
    job.error = api.APIError("MAAS does not answer: ReadTimeout")
    job.now += 75
    assert dhcp_ha.main() == 0
    assert dhcp_ha.told() == ("pxe: no",)
    job.now += 1
    assert dhcp_ha.main() == 0
    assert dhcp_ha.told() == (
        "any VLAN: no dead rack is replaced: MAAS does not answer: ReadTimeout",
    )
    assert dhcp_memory.recall(job).told == ("pxe: no",)  # type: ignore[arg-type]
    job.error = None
    dhcp_ha.main()
    assert dhcp_ha.told() == ("pxe: no",)


def test_a_region_whose_maas_does_not_serve_keeps_no_other_from_its_turn(job: Job):
    dhcp_ha.main()
    job.order.clear()
    job.problem = "MAAS does not answer (timed out)"
    job.now += 75
    assert dhcp_ha.main() == 0
    assert dhcp_ha.told() == ("pxe: no",)
    job.now += 1
    assert dhcp_ha.main() == 0
    assert job.order == ["health", "turn"] * 2
    assert (job.looked, len(job.timeouts)) == (1, 1)
    assert dhcp_ha.told() == (
        "any VLAN: no dead rack is replaced: MAAS does not answer (timed out)",
    )


def test_a_first_look_that_fails_is_told_once_it_has_failed_for_long(job: Job):
    job.error = api.APIError("MAAS does not answer: ReadTimeout")
    dhcp_ha.main()
    assert dhcp_ha.told() == ()
    job.now += 76
    dhcp_ha.main()
    (told,) = dhcp_ha.told()
    assert told.startswith("any VLAN: no dead rack is replaced: MAAS does not answer")


def test_looks_that_fail_after_the_clock_was_set_back_are_told_once_they_have_failed_for_long(
    job: Job,
):
    job.now = 5000.0
    dhcp_ha.main()
    job.error, job.now = api.APIError("MAAS does not answer: ReadTimeout"), 1000.0
    dhcp_ha.main()
    assert dhcp_ha.told() == ("pxe: no",)
    job.now += 76
    dhcp_ha.main()
    (told,) = dhcp_ha.told()
    assert told.startswith("any VLAN: no dead rack is replaced: MAAS does not answer")


@pytest.mark.parametrize(
    ("grace_s", "took_s", "timeout_s"), [(120, 45, 60), (300, 157, 157.5), (3600, 240, 240)]
)
def test_a_look_may_take_as_long_as_the_next_can_go_on_from_it(
    job: Job, grace_s: int, took_s: float, timeout_s: float
):
    job.graces = {"aaa": Grace(grace_s, grace_s, 500.0)}
    job.took_s = took_s
    dhcp_ha.main()
    assert job.timeouts == [timeout_s]
    assert dhcp_ha.told() == ("pxe: no",)


def test_a_look_from_which_the_next_cannot_go_on_is_told(job: Job):
    job.took_s = 46
    dhcp_ha.main()
    why = "any VLAN: no dead rack is replaced: a look at all racks took 46 s: raise dhcp-ha-grace"
    assert dhcp_ha.told() == ("pxe: no", why)
    job.took_s, job.now = 44, 1030
    dhcp_ha.main()
    assert dhcp_ha.told() == ("pxe: no",)


def test_a_key_that_maas_refuses_is_fetched_anew(job: Job, monkeypatch: pytest.MonkeyPatch):
    forgotten: list[bool] = []
    monkeypatch.setattr(accounts, "forget", lambda: forgotten.append(True))
    job.error = api.APIError("MAAS refuses the API key", 401)
    assert dhcp_ha.main() == 0
    assert forgotten == [True]


def test_a_database_that_is_away_is_tried_again(job: Job, monkeypatch: pytest.MonkeyPatch):
    def away(*_: object):
        raise database.DatabaseError("no primary")

    monkeypatch.setattr(database, "connect", away)
    assert dhcp_ha.main() == 0


def test_without_the_timer_nothing_is_told(job: Job):
    dhcp_ha.main()
    with mock.patch.object(dhcp_ha, "python_unit", autospec=python_unit) as timer:
        assert dhcp_ha.ensure() == timer.ensure.return_value
        timer.ensure.assert_called_with(dhcp_ha.TIMER, dhcp_ha.TEMPLATE, mock.ANY)
        assert dhcp_ha.remove() == timer.remove.return_value
    assert dhcp_ha.told() == ()
