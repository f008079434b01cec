"""How much work an executor is given."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.core.room import AHEAD, FIRST_GUESS, MOST_AHEAD, Pace, Room, admit, ahead


@given(st.integers(1, 500), st.integers(0, 10**9))
def test_the_work_ahead_is_bounded_in_time_and_number(workers, average):
    number = ahead(workers, average)
    assert 0 <= number <= MOST_AHEAD
    assert number * average <= workers * AHEAD


def test_long_runs_leave_nothing_waiting_and_short_ones_a_lot():
    assert ahead(9, 10**6) == 0
    assert ahead(10, 10_000) == 100
    assert ahead(10, 0) == MOST_AHEAD


def test_the_pace_follows_many_runs_at_once_and_few_slowly():
    pace = Pace()
    assert pace.average == FIRST_GUESS
    pace.update(1000 * 100, 1000)
    assert pace.average == 100
    pace.update(1000 * 100 + 10**6, 1001)
    assert pace.average == (100 * 9 + 10**6) // 10


def test_the_first_guess_is_a_fortieth_of_a_second():
    assert Pace().average == 25_000


def test_the_pace_counts_each_run_and_each_microsecond():
    pace = Pace()
    pace.update(99_999, 1000)
    assert pace.average == 99
    pace = Pace()
    pace.update(1000, 10)
    assert pace.average == 100
    pace.update(1000 + 9 * 300, 19)
    assert pace.average == (100 * 1 + 300 * 9) // 10


def test_a_worker_has_a_tenth_of_a_second_of_work_ahead_and_all_together_a_thousand_runs():
    assert ahead(1, 1) == ahead(50, 5000) == 1000
    assert ahead(1, 100_000) == 1
    assert ahead(1, 100_001) == 0
    assert ahead(999, 100_000) == 999


def test_no_new_run_changes_nothing():
    pace = Pace()
    pace.update(500, 5)
    before = pace.average
    pace.update(500, 5)
    assert pace.average == before


def test_room_is_left_for_the_free_workers_and_some_work_ahead():
    room = Room(4)
    assert (room.in_flight, room.left(4, 0)) == (0, 4 + ahead(4, FIRST_GUESS))
    room.submitted = 30
    assert room.in_flight == 30
    assert room.left(4, room.in_flight) == 0
    room.ended.append(10)
    room.busy.append(10 * 10**6)  # runs of a second each: nothing is given ahead
    assert room.in_flight == 20
    assert (room.left(4, 4), room.left(4, 3), room.left(4, 5)) == (0, 1, 0)


def test_runs_that_were_not_measured_leave_the_pace_as_it_is():
    room = Room(1)
    room.ended[0] = room.unmeasured = 10
    assert room.left(1, 0) == 1 + ahead(1, FIRST_GUESS)


@pytest.mark.parametrize(("busy", "ahead"), [(10 * 100_001 - 1, 1), (10 * 100_001, 0)])
def test_a_new_room_has_measured_nothing_so_that_the_first_ten_runs_are_the_pace(busy, ahead):
    room = Room(1)
    room.ended.append(10)
    room.busy.append(busy)
    assert room.left(1, 0) == 1 + ahead


def test_a_pass_pays_when_half_of_the_work_ahead_is_done():
    room = Room(4)
    assert room.worth_at == 4
    assert room.left(4, 0) == 20
    assert room.worth_at == 12


def due(*kinds):
    """Return due jobs: of the executor "loop" plain functions (p) and coroutines (c), and others (o)."""
    aliases = {"p": "loop", "c": "loop", "o": "other"}
    return [SimpleNamespace(func=kind, executor=aliases[kind]) for kind in kinds]


def admitted(kinds, **rooms):
    jobs, crowded = admit(due(*kinds), rooms, lambda func: func == "c")
    return "".join(str(job.func) for job in jobs), crowded


def test_plain_functions_beyond_the_threads_room_stay_in_the_store_and_coroutines_pass_them():
    assert admitted("ppcpcocp", loop=2) == ("ppccoc", {"loop"})
    assert admitted("ppcc", loop=0) == ("cc", {"loop"})
    assert admitted("pp", loop=2) == ("pp", set())
    assert admitted("pp", loop=1, other=9) == ("p", {"loop"})
    assert admitted("pcp", loop=2) == ("pcp", set())
    assert admitted("cccc", loop=0) == ("cccc", set())
    assert admitted("ooo", loop=0) == ("ooo", set())
