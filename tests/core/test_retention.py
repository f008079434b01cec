"""Which records a durable store keeps, when it looks for those that are not kept, and how much one step does."""

from __future__ import annotations

import pytest

from rota.clock import DAY, HOUR, MINUTE
from rota.errors import ConfigurationError
from rota.jobstores.base import COUNTED
from rota.jobstores.retention import BUSY, DURATION, LEAST, MOST, SLOW, Pace, Retention, parts, retention_of

# ---------------------------------------------------------------------------------------------------- the options


@pytest.mark.parametrize(
    ("keep_runs", "keep_days", "keep", "age"),
    [(1, 1, 1, DAY), (1000, 0.5, 1000, DAY // 2), (None, 30, None, 30 * DAY), (5, None, 5, None)],
)
def test_the_options_are_bounds_of_number_and_age(keep_runs, keep_days, keep, age):
    bounds = retention_of(keep_runs, keep_days)
    assert (bounds.keep, bounds.age) == (keep, age)


@pytest.mark.parametrize(
    ("keep_runs", "keep_days", "words"),
    [(0, 30, "keep_runs.*got 0"), (-1, 30, "keep_runs"), (5, 0, "keep_days.*got 0"), (5, -0.1, "keep_days")],
)
def test_a_bound_that_keeps_nothing_is_refused(keep_runs, keep_days, words):
    with pytest.raises(ConfigurationError, match=words):
        retention_of(keep_runs, keep_days)


# ------------------------------------------------------------------------------------------------- which and when


def test_a_job_is_looked_at_when_its_new_records_are_more_than_a_tenth_of_what_is_kept():
    bounds = Retention(100, None)
    bounds.count("j", 10)
    bounds.count("other", 1)
    assert bounds.crowded() == []
    bounds.count("j", 1)
    assert bounds.crowded() == ["j"]
    assert bounds.crowded() == []


def test_without_a_bound_of_number_no_job_is_crowded():
    bounds = Retention(None, DAY)
    bounds.count("j", 10**6)
    assert bounds.crowded() == []


def test_of_very_many_jobs_those_stay_counted_that_get_the_most_records():
    bounds = Retention(100, None)
    bounds.count("busy", 500)
    for number in range(3 * BUSY):
        bounds.count(f"once{number}", 1)
    assert bounds.crowded() == ["busy"]


@pytest.mark.parametrize(
    ("age", "every"), [(None, HOUR), (30 * DAY, HOUR), (DAY, HOUR), (12 * HOUR, HOUR // 2), (1, MINUTE)]
)
def test_all_records_are_looked_at_once_an_hour_or_more_often_where_they_are_kept_shortly(age, every):
    bounds, now = Retention(5, age), 10**15
    assert bounds.wants_all(now)
    bounds.begin()
    bounds.end(now)
    assert not bounds.wants_all(now)
    assert not bounds.wants_all(now + every - 1)
    assert bounds.wants_all(now + every)


def test_all_records_are_looked_at_after_the_clock_was_set_back():
    bounds, now = Retention(5, None), 10**15
    bounds.end(now)
    assert bounds.wants_all(now - 1)


def test_a_look_at_all_records_makes_the_counts_of_single_jobs_void():
    bounds = Retention(5, None)
    bounds.count("j", 100)
    bounds.begin()
    assert bounds.crowded() == []


def test_of_another_store_nothing_is_known():
    bounds, now = Retention(5, None), 10**15
    bounds.count("j", 100)
    bounds.end(now)
    bounds.forget()
    assert bounds.wants_all(now)
    assert bounds.crowded() == []


# ---------------------------------------------------------------------------------------------- how much in a step


@pytest.mark.parametrize(
    ("size", "done", "took", "after"),
    [
        (100, 100, DURATION // 2 - 1, 200),
        (100, 100, DURATION // 2, 100),
        (100, 99, 0, 100),  # it had less to do
        (100, 100, SLOW, 100),
        (100, 100, SLOW + 1, 50),
        (150, 150, 0, MOST),
        (MOST, MOST, 0, MOST),
        (15, 15, SLOW + 1, LEAST),
        (LEAST, LEAST, SLOW + 1, LEAST),
        (5, 5, SLOW + 1, 5),
        (1000, 1000, 0, 1000),
    ],
)
def test_a_step_does_as_much_as_takes_about_so_long(size, done, took, after):
    pace = Pace(size)
    pace.note(done, took)
    assert pace.size == after


def sizes(count, cost):
    """Return how much steps do one after another, if so much takes ``cost(step, done)`` microseconds."""
    pace, done = Pace(100), []
    for step in range(count):
        done.append(pace.size)
        pace.note(pace.size, cost(step, pace.size))
    return done


def test_steps_become_small_where_each_record_takes_long():
    assert sizes(9, lambda step, done: 5_000 * done) == [100, 50, 25, 12, 10, 10, 10, 10, 10]


def test_steps_stay_as_they_are_where_half_of_their_time_is_the_way_to_the_server():
    assert set(sizes(9, lambda step, done: 2 * DURATION + 200 * done)) == {100}


@pytest.mark.parametrize("way", [SLOW + 1, 5 * SLOW])
def test_steps_stay_large_where_the_way_to_the_server_takes_long(way):
    assert set(sizes(9, lambda step, done: way + 10 * done)) == {100, 50}


def test_steps_become_large_again_where_the_machine_was_busy():
    """What steps take has nothing to do with what they do: ever less by chance, until the smallest one takes long, too."""
    assert sizes(7, lambda step, done: SLOW * (20, 12, 6, 3, 2, 12, 12)[step]) == [
        *(100, 50, 25, 12, 10, 10),
        100,
    ]


def test_steps_become_as_large_as_the_first_again_once_they_are_quick_enough():
    busy = lambda step, done: 2_000 * done if step < 3 else DURATION + 100 * done  # noqa: E731
    assert sizes(9, busy) == [100, 50, 25, 12, 24, 48, 96, 100, 100]


def test_a_short_step_ends_what_is_remembered_of_slow_ones():
    pace = Pace(100)
    for took in (20 * SLOW, SLOW, 10 * SLOW):
        pace.note(pace.size, took)
    assert pace.size == 50  # it had doubled in between


def taken_apart(ids, size):
    """Return the steps for a store that has jobs of these ids in quarantine, and as many healthy ones beside each."""

    def some(limit):
        return ids[:limit]

    def those_after(place, limit):
        start = 0 if place is None else int(place)
        end = start + limit // 2
        return ids[start:end], str(end) if end < len(ids) else None

    return list(parts(some, those_after, Pace(size)))


@pytest.mark.parametrize("number", [0, 1, 19, 20, 21, COUNTED - 1])
def test_quarantined_jobs_come_in_steps_and_each_says_how_many_are_left(number):
    ids = [f"job{number}" for number in range(number)]
    steps = taken_apart(ids, 20)
    assert [id for part, _ in steps for id in part] == ids
    assert [left for _, left in steps] == [max(number - 20 * step, 0) for step in range(1, len(steps) + 1)]
    assert all(len(part) <= 20 for part, _ in steps)


@pytest.mark.parametrize("number", [COUNTED, COUNTED + 1, 3 * COUNTED])
def test_of_very_many_quarantined_jobs_all_come_and_only_a_thousand_are_counted(number):
    ids = [f"job{number}" for number in range(number)]
    steps = taken_apart(ids, 200)
    assert [id for part, _ in steps for id in part] == ids
    assert {left for _, left in steps[:3]} == {COUNTED}
    assert steps[-1][1] == 0
