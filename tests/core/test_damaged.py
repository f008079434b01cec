"""What is stored of jobs and runs, looked at before it is believed."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import pytest

from rota.clock import HELD
from rota.codec.damaged import (
    DAMAGED,
    EARLIEST,
    LATEST,
    MOST,
    NO_VERSION,
    is_sound_job,
    is_sound_run,
    mended_job,
    mended_run,
    renewals_of,
    stands_for,
    version_of,
)
from rota.codec.jobs import JobFormat
from rota.core.details import attempts_of
from rota.core.orders import backfill_id, kept_backfills
from rota.core.run import Run
from rota.core.states import ACTIVE, ENDED, PAUSED, QUARANTINED
from rota.errors import SchemaError
from rota.jobstores.documents import healing_as, run_of, steps_from, version_in
from rota.testing.contracts.store_jobs import START, make_job

ODD: list[Any] = [b"x", b"\xff", 1.5, [1], {"a": 1}, float("nan"), 2**70, -(2**70), object()]

JOB: dict[str, Any] = {
    "id": "job",
    "name": "task",
    "executor": "default",
    "nominal": START,
    "due": START,
    "version": 7,
    "state": ACTIVE,
    "running": 0,
    "error": None,
}
RUN: dict[str, Any] = {
    "job_id": "job",
    "nominal": START,
    "last": START,
    "count": 1,
    "due": START,
    "attempt": 1,
    "status": "claimed",
    "owner": None,
    "executor": "default",
    "claimed": START,
    "started": None,
    "finished": None,
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"due": HELD},
        {"due": HELD, "nominal": 0},
        {"nominal": None, "due": None, "state": PAUSED},
        {"due": None, "state": QUARANTINED, "error": "why"},
        {"nominal": None, "due": None, "state": ENDED, "running": 3},
        {"due": START - 40 * 86_400_000_000},
        {"running": -1},
        {"nominal": EARLIEST, "due": LATEST},
    ],
    ids=str,
)
def test_what_stores_write_of_jobs_is_sound(changes: dict[str, Any]) -> None:
    assert is_sound_job(**{**JOB, **changes})


@pytest.mark.parametrize("field", JOB)
def test_a_job_with_something_odd_in_any_field_is_not_sound(field: str) -> None:
    assert [value for value in ODD if is_sound_job(**{**JOB, field: value})] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"nominal": None},
        {"due": LATEST + 1},
        {"due": HELD - 1},
        {"nominal": EARLIEST - 1},
        {"version": -1},
        {"version": MOST},
        {"state": "actve"},
        {"running": MOST},
    ],
    ids=str,
)
def test_numbers_and_words_that_no_store_writes_are_not_sound(changes: dict[str, Any]) -> None:
    assert not is_sound_job(**{**JOB, **changes})


@pytest.mark.parametrize("field", RUN)
def test_a_run_with_something_odd_in_any_field_is_mended_and_says_what_was_wrong(field: str) -> None:
    assert is_sound_run(**RUN)
    for value in ODD:
        fields = {**RUN, field: value}
        if field in ("claimed", "started", "finished") and isinstance(value, float):
            continue
        assert not is_sound_run(**fields)
        sound, wrong = mended_run(fields)
        assert is_sound_run(**sound)
        assert field in wrong


def test_a_run_cannot_end_before_it_begins() -> None:
    fields = {**RUN, "last": START - 1}
    assert not is_sound_run(**fields)
    sound, wrong = mended_run(fields)
    assert (sound["last"], "last" in wrong) == (START, True)


def test_a_run_at_the_very_first_and_the_very_last_time_is_sound() -> None:
    assert is_sound_run(**{**RUN, "nominal": EARLIEST, "last": LATEST})
    assert not is_sound_run(**{**RUN, "nominal": EARLIEST - 1, "last": LATEST})
    assert not is_sound_run(**{**RUN, "nominal": EARLIEST, "last": LATEST + 1})
    assert not is_sound_run(**{**RUN, "nominal": START, "last": START - 1})


@pytest.mark.parametrize(
    ("field", "sound", "damaged"),
    [
        ("count", [1, MOST - 1], [0, -1, MOST]),
        ("attempt", [0, 1, MOST - 1], [-1, MOST]),
        ("due", [EARLIEST, LATEST], [EARLIEST - 1, LATEST + 1]),
        ("claimed", [EARLIEST, LATEST, None], [EARLIEST - 1, LATEST + 1]),
        ("status", ["claimed", "succeeded", "lost"], ["active", ""]),
    ],
)
def test_each_field_of_a_run_has_its_bounds(field: str, sound: list[Any], damaged: list[Any]) -> None:
    for value in sound:
        assert is_sound_run(**{**RUN, field: value})
        assert mended_run({**RUN, field: value}) == ({**RUN, field: value}, "")
    for value in damaged:
        assert not is_sound_run(**{**RUN, field: value})
        mended, wrong = mended_run({**RUN, field: value})
        assert wrong.startswith(f"{field} must be")
        assert is_sound_run(**mended)


@pytest.mark.parametrize(
    ("field", "sound", "damaged"),
    [
        ("version", [0, MOST // 2 - 1], [-1, MOST // 2]),
        ("running", [1 - MOST, MOST - 1], [-MOST, MOST]),
        ("nominal", [EARLIEST, LATEST], [EARLIEST - 1, LATEST + 1]),
        ("due", [EARLIEST, LATEST, HELD, None], [EARLIEST - 1, LATEST + 1]),
    ],
)
def test_each_field_of_a_job_has_its_bounds(field: str, sound: list[Any], damaged: list[Any]) -> None:
    assert [value for value in sound if not is_sound_job(**{**JOB, field: value})] == []
    assert [value for value in damaged if is_sound_job(**{**JOB, field: value})] == []


@pytest.mark.parametrize("count", [0, -1, "three", MOST])
def test_a_count_that_is_none_becomes_one(count: Any) -> None:
    sound, wrong = mended_run({**RUN, "count": count})
    assert sound["count"] == 1
    assert "count must be a positive number" in wrong


@pytest.mark.parametrize(
    ("last", "count", "status", "until", "told"),
    [
        (START + 5, 2, "skipped", START + 5, "skipped"),
        (START, 1, "missed", START, "missed"),
        (START - 1, 2, "missed", START, "missed"),
        (None, 2, None, START, "unreadable"),
        ("x", 2, 5, START, "unreadable"),
        (LATEST + 1, 2, "missed", START, "missed"),
        (START + 5, "x", "missed", START + 5, "missed"),
    ],
)
def test_a_damaged_record_stands_for_its_own_time_at_least(
    last: Any, count: Any, status: Any, until: int, told: str
) -> None:
    assert stands_for(START, last, count, status) == (START, until, told)


def test_a_record_of_one_time_stands_for_that_time_only_whatever_its_last_time_says() -> None:
    assert stands_for(START, LATEST, 1, "succeeded") == (START, START, "succeeded")
    fields = {**RUN, "last": LATEST, "status": "succeeded"}
    assert run_of(fields).last == START
    assert run_of({**fields, "count": 2}).last == LATEST


def test_the_renewals_of_a_lease_are_a_number_from_nothing_up() -> None:
    sound: list[Any] = [0, 1, 1.5, MOST - 1]
    damaged: list[Any] = [-1, MOST, True, None, "3", float("nan")]
    assert [renewals_of(value) for value in sound] == sound
    assert [renewals_of(value) for value in damaged] == [None] * len(damaged)


def test_a_damaged_version_is_one_that_no_job_is_stored_with() -> None:
    assert NO_VERSION < 0
    assert [version_of(value) for value in (None, "7", b"7", -5, 2**63, 1.5)] == [NO_VERSION] * 6
    assert version_of(7) == 7


def test_a_version_that_is_near_the_end_of_what_can_be_counted_is_none() -> None:
    highest = MOST // 2 - 1
    assert version_of(highest) == highest
    assert is_sound_job(**{**JOB, "version": highest})
    for damaged in (highest + 1, MOST - 1):
        assert version_of(damaged) == NO_VERSION
        assert not is_sound_job(**{**JOB, "version": damaged})


FORMAT = JobFormat()
TEXTS = FORMAT.texts(make_job())


def columns() -> list[Any]:
    """Return the columns of a sound job in the order of JobFormat.job_of()."""
    return ["job", "task", *TEXTS, "default", START, START, 7, ACTIVE, 0, None]


@pytest.mark.parametrize("index", range(14))
def test_a_job_of_which_any_column_is_odd_comes_back_and_is_usable_only_if_nothing_is_wrong(
    index: int,
) -> None:
    assert JobFormat().job_of((None, None), *columns()).error is None
    for value in ODD:
        damaged = columns()
        damaged[index] = value
        job = JobFormat().job_of((None, None), *damaged)
        assert job.state == QUARANTINED
        told = (job.error or "").removeprefix(DAMAGED)
        assert told[0] != ";" and (told != job.error or "could not be restored" in told)
        assert {type(text) for text in (job.id, job.name, job.executor, str(job))} == {str}


@pytest.mark.thorough
def test_a_job_of_which_any_two_columns_are_odd_comes_back_too() -> None:
    for one, other in combinations(range(14), 2):
        for value, more in product((*ODD, None, "x", True, -1), repeat=2):
            damaged = columns()
            damaged[one], damaged[other] = value, more
            job = FORMAT.job_of((None, None), *damaged)
            assert {type(text) for text in (job.id, job.name, job.executor, str(job))} == {str}


def test_a_reason_that_is_no_text_is_none_for_which_a_job_stays_in_quarantine() -> None:
    for value in (*ODD, None):
        assert healing_as(value) == (ACTIVE, None)
        assert healing_as(value, has_time=False) == (ACTIVE, None)


def test_the_words_for_a_damage_name_the_field_and_what_it_must_be() -> None:
    damaged = columns()
    damaged[9] = "soon"
    _, wrong = mended_job(damaged)
    assert wrong == "next_due must be a time in microseconds, or nothing, got 'soon'"


@pytest.mark.parametrize(("text", "version"), [("4", 4), ("0", 0), ("007", 7)])
def test_a_version_of_a_layout_is_a_text_of_digits(text: str, version: int) -> None:
    assert version_in(text) == version


@pytest.mark.parametrize("text", [None, 4, b"4", "", "-1", "4.0", "\u0664", "9" * 5000, "x"])
def test_what_is_no_version_of_a_layout_is_told_in_words(text: Any) -> None:
    assert version_in(text) is None
    with pytest.raises(SchemaError, match="has schema version"):
        steps_from(text if type(text) is not int else 9, 4, True, "It", "another path")


def test_the_name_of_a_part_with_too_many_digits_is_of_no_attempt() -> None:
    run = Run("job", START, START)
    assert [attempt.number for attempt in attempts_of(run, {"attempt " + "9" * 5000: "{}"})] in ([], [1])


def test_what_is_left_of_a_backfill_belongs_to_the_job_that_it_is_kept_for() -> None:
    mine = backfill_id("job")
    found: list[Any] = [
        (mine, "job", "text"),
        (mine, "other", "text"),
        ("id", "job", "text"),
        (mine, 5, "x"),
        (mine, "job", None),
    ]
    assert kept_backfills(found) == ({"job": "text"}, [mine, "id", mine, mine])
