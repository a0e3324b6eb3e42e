# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The judge of all stories: which failed reads it forgives, and that it forgives no others."""

import pytest
from prober import UNREACHABLE, Read, Report

RESET = "ConnectionResetError 104"
MOVE = (10.0, 10.5)


def report(*failed: Read, moves: tuple[tuple[float, float], ...] = ()) -> Report:
    """Return a report of 1,000 answered reads, one each 20 ms, and of these."""
    answered = [Read(n / 50, n / 50 + 0.01, "200") for n in range(1000)]
    return Report([*answered, *failed], list(moves))


def silent(start: float, end: float, *failed: Read) -> Report:
    """Return a report with a move, without an answer between two times."""
    found = report(*failed, moves=(MOVE,))
    reads = [read for read in found.reads if read.failed or not start < read.ended < end]
    return Report(reads, found.moves)


def assert_judged(found: Report, *, is_good: bool) -> None:
    if is_good:
        found.assert_no_failed_read()
        return
    with pytest.raises(AssertionError):
        found.assert_no_failed_read()


def test_a_report_without_a_failed_read_is_good():
    assert_judged(report(), is_good=True)


def test_a_prober_that_hardly_ran_saw_nothing():
    assert_judged(Report([Read(0, 0.01, "200")] * 50, []), is_good=False)


@pytest.mark.parametrize(
    ("read", "is_good"),
    [
        # It was under way when the VIP moved.
        (Read(9.9, 10.2, RESET), True),
        (Read(9.9, 14.9, "timeout"), True),
        # MAAS or HAProxy answered: no move makes that.
        (Read(9.9, 10.2, "503"), False),
        # It ended before, or began after.
        (Read(9.0, 9.1, RESET), False),
        (Read(10.6, 10.7, RESET), False),
        # The old holder let the VIP go before its new one was seen, by less than an answer's age.
        (Read(9.5, 9.6, UNREACHABLE), False),
    ],
)
def test_only_what_was_in_flight_when_the_vip_moved_is_forgiven(read: Read, *, is_good: bool):
    assert_judged(report(read, moves=(MOVE,)), is_good=is_good)


def test_without_a_move_nothing_is_forgiven():
    assert_judged(report(Read(9.9, 10.2, RESET)), is_good=False)


def test_three_reads_that_began_during_one_move_are_an_outage():
    during = [Read(10.1 + n / 10, 10.2 + n / 10, RESET) for n in range(3)]
    assert_judged(report(*during[:2], moves=(MOVE,)), is_good=True)
    assert_judged(report(*during, moves=(MOVE,)), is_good=False)


def test_a_move_begins_with_the_last_answer_for_who_finds_nobody_there():
    nobody = Read(9.5, 9.6, UNREACHABLE)
    assert_judged(silent(9.4, 10.5, nobody), is_good=True)
    # Another kind of failure is none of the move's.
    assert_judged(silent(9.4, 10.5, Read(9.5, 9.6, RESET)), is_good=False)


def test_what_nobody_holds_for_longer_than_a_read_waits_is_an_outage():
    assert_judged(silent(5.0, 10.5, Read(6.0, 6.1, UNREACHABLE)), is_good=False)


def test_a_cause_takes_what_was_in_flight_and_what_came_before_the_move_was_seen():
    reads = (Read(9.1, 9.3, RESET), Read(9.6, 9.7, RESET))
    found = report(*reads, moves=(MOVE,))
    assert_judged(found, is_good=False)
    assert_judged(found.moving_since(9.2), is_good=True)
    # What failed before it, or once the VIP had moved, is not its.
    for other in (Read(9.0, 9.1, RESET), Read(10.6, 10.7, RESET)):
        assert_judged(report(*reads, other, moves=(MOVE,)).moving_since(9.2), is_good=False)


def test_a_move_long_after_its_cause_is_refused():
    with pytest.raises(AssertionError, match=r"moved 1\.50 s after its cause"):
        report(moves=(MOVE,)).moving_since(8.5)


def test_the_longest_gap_is_between_answers():
    assert silent(9.4, 10.5, Read(9.9, 10.2, RESET)).longest_gap_s == pytest.approx(1.12, abs=0.02)
    assert Report([], []).longest_gap_s == float("inf")


def test_what_was_seen_since_then_is_reads_that_began_and_moves_that_ended():
    found = report(Read(9.9, 10.2, RESET), moves=(MOVE,))
    assert len(found.since(10.0).failures) == 0
    assert found.since(10.2).moves == [MOVE]
    assert found.since(10.6).moves == []
