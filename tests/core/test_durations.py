"""How long runs took is counted once for each run, in steps; and which hours are counted."""

from __future__ import annotations

from typing import Any

import pytest

from rota.clock import DAY, HOUR, SECOND, moment
from rota.core.durations import BOUNDS, BUCKETS, Durations, durations_of, fold, text_of
from rota.core.hours import KEPT, HourCounts, countable_until, hour_of
from rota.core.states import CLAIMED, FAILED, SKIPPED, SUCCEEDED, WAITING

NOON = 1_767_268_800 * SECOND


def _ended(nominal: int, seconds: float, status: str = SUCCEEDED) -> tuple[int, str, int, int]:
    return nominal, status, nominal + 5, nominal + 5 + int(seconds * SECOND)


def test_there_are_sixteen_buckets_with_rising_bounds() -> None:
    assert BUCKETS == 16
    assert list(BOUNDS) == sorted(set(BOUNDS))


def test_the_bounds_are_those_of_the_counts_that_are_stored() -> None:
    seconds = [0.001, 0.005, 0.02, 0.1, 0.5, 1, 5, 15, 30, 60, 300, 900, 3600, 10_800, 43_200]
    assert [bound / SECOND for bound in BOUNDS] == seconds


def test_a_run_that_took_no_time_is_counted() -> None:
    durations = Durations()
    assert fold(durations, [(NOON, SUCCEEDED, NOON, NOON), (NOON + 1, SUCCEEDED, NOON, NOON - 1)], NOON) == 2
    assert (durations.count, durations.until) == (1, NOON + 1)


@pytest.mark.parametrize(
    ("duration", "bucket"),
    [
        (0, 0),
        (999, 0),
        (1000, 1),
        (SECOND - 1, 5),
        (SECOND, 6),
        (12 * HOUR - 1, 14),
        (12 * HOUR, 15),
        (2**60, 15),
    ],
)
def test_a_duration_is_counted_in_the_bucket_below_whose_bound_it_is(duration: int, bucket: int) -> None:
    durations = Durations()
    durations.add(duration)
    assert [number for number, count in enumerate(durations.buckets) if count] == [bucket]
    assert (durations.count, durations.total) == (1, duration)


def test_only_runs_that_succeeded_are_counted_and_all_are_passed() -> None:
    durations = Durations()
    records = [
        _ended(NOON, 2),
        _ended(NOON + 1, 50, FAILED),
        (NOON + 2, SKIPPED, None, NOON),
        (NOON + 3, SUCCEEDED, None, NOON),
        (NOON + 4, SUCCEEDED, NOON, NOON - 1),
        _ended(NOON + 5, 4),
    ]
    assert fold(durations, records, NOON) == 6
    assert (durations.count, durations.mean, durations.until) == (2, 3.0, NOON + 5)


@pytest.mark.parametrize("status", [CLAIMED, WAITING])
def test_counting_waits_for_a_run_that_has_not_ended_for_a_day(status: str) -> None:
    records = [_ended(NOON, 1), (NOON + 1, status, None, None), _ended(NOON + 2, 1)]
    durations = Durations()
    assert fold(durations, records, NOON + DAY) == 1
    assert (durations.count, durations.until) == (1, NOON)
    assert fold(durations, records[1:], NOON + DAY) == 0
    assert durations.until == NOON
    assert fold(durations, records[1:], NOON + 1 + DAY) == 2
    assert (durations.count, durations.until) == (2, NOON + 2)


def test_the_mean_of_no_runs_is_not_known() -> None:
    assert Durations().mean is None
    assert fold(Durations(), [], NOON) == 0


def test_durations_are_the_same_after_they_were_stored() -> None:
    durations = Durations()
    fold(durations, [_ended(NOON + number, 7**number / 1000) for number in range(10)], NOON)
    again = durations_of(text_of(durations))
    assert again == durations
    assert (again.count, again.until, again.mean) == (10, NOON + 9, durations.mean)
    assert again != Durations()
    assert again != 5


def test_a_job_of_which_nothing_is_stored_was_never_looked_at() -> None:
    assert durations_of(None) == durations_of("") == Durations()
    assert durations_of(None).until is None


_SOUND = [NOON, 1, 5, 1, *[0] * 15]


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[]", "{}", "5", "null", '"text"', "[" * 100_000),
        *(
            str([*_SOUND[:index], bad, *_SOUND[index + 1 :]])
            for index in range(4)
            for bad in (-1.5, '"x"', True)
        ),
        str([NOON, -1, 5, 1, *[0] * 15]),
        str([NOON, 1, -1, 1, *[0] * 15]),
        str([NOON, 2, 5, 1, *[0] * 15]),
        str([NOON, 1, 5, 1, *[0] * 14]),
        str([NOON, 1, 5, 1, *[0] * 16]),
    ],
)
def test_damaged_durations_begin_anew(text: str) -> None:
    assert durations_of(text.replace("'", "").replace("True", "true")) == Durations()


def test_what_is_shown_is_in_seconds() -> None:
    durations = Durations()
    durations.add(1_500_000)
    shown: dict[str, Any] = durations.to_dict()
    assert (shown["count"], shown["mean"]) == (1, 1.5)
    assert [bucket for bucket in shown["buckets"] if bucket["count"]] == [{"below": 5.0, "count": 1}]
    assert shown["buckets"][-1] == {"below": None, "count": 0}
    assert repr(durations) == "<Durations of 1 runs, mean 1.5 s>"


def test_an_hour_may_be_counted_when_it_has_been_over_for_an_hour() -> None:
    assert hour_of(NOON) == hour_of(NOON + HOUR - 1) == NOON
    assert countable_until(NOON + 2 * HOUR - 1, None) == NOON
    assert countable_until(NOON + 2 * HOUR, None) == NOON + HOUR


def test_an_hour_with_a_run_that_has_not_ended_may_be_counted_a_day_later() -> None:
    now = NOON + 12 * HOUR + 5
    assert countable_until(now, NOON + 3 * HOUR + 7) == NOON + 3 * HOUR
    assert countable_until(now, now - 1) == NOON + 11 * HOUR
    assert countable_until(now, NOON - 30 * HOUR) == NOON - 12 * HOUR


def test_counts_are_kept_for_four_hundred_days() -> None:
    assert KEPT == 400 * DAY


def test_the_counts_of_some_statuses_leave_out_hours_that_have_none_of_them() -> None:
    counts = HourCounts({0: {"failed": 2, "lost": 1}, HOUR: {"lost": 3}})
    counts.searched_back_to = moment(HOUR)
    assert counts.of_statuses(None) is counts
    found = counts.of_statuses({"failed", "missed"})
    assert (found, found.searched_back_to) == ({0: {"failed": 2}}, moment(HOUR))
