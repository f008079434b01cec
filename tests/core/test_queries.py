"""What can be asked of jobs and records: which of them match, in which order they come, where a page goes on."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest

from rota.clock import HELD, SECOND, moment
from rota.core.extras import extra_of
from rota.core.queries import (
    BY_DUE,
    BY_ID,
    BY_NAME,
    COUNTED,
    DURATION,
    LARGEST_PAGE,
    LONGEST_TEXT,
    LOOKED_AT,
    MOST_VALUES,
    OUTCOMES,
    Count,
    JobQuery,
    Page,
    RunQuery,
    check_limit,
    cursor_of,
    due_of,
    end_of_beginning,
    key_after,
    key_of_job,
    key_of_run,
)
from rota.core.run import Run
from rota.core.states import ENDED, FAILED, LOST, PAUSED, QUARANTINED, SUCCEEDED, TIMED_OUT, set_job_state
from rota.errors import QueryError
from rota.testing.contracts.store_jobs import START, make_job

TIME = moment(START)


def run_of(**values: Any) -> Any:
    run: Any = Run("job", START, START)
    run.status, run.owner, run.error_type, run.error = FAILED, "node", "ValueError", "Größer"
    run.reason = "not retryable"
    for name, value in values.items():
        setattr(run, name, value)
    return run


def job_of(**values: Any) -> Any:
    job = make_job(due=START, tags=("a", "b"))
    job.name = "Nachts"
    for name, value in values.items():
        setattr(job, name, value)
    return job


# -------------------------------------------------------------------------------------------------------------- records


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ({}, True),
        ({"job_ids": "job"}, True),
        ({"job_ids": {"other"}}, False),
        ({"job_ids": []}, False),
        ({"statuses": {"failed", "claimed"}}, True),
        ({"statuses": "waiting"}, False),
        ({"reasons": "not retryable"}, True),
        ({"reasons": "not"}, False),
        ({"origins": "schedule"}, True),
        ({"origins": "manual"}, False),
        ({"nodes": "node"}, True),
        ({"nodes": "other"}, False),
        ({"executors": "default"}, True),
        ({"executors": "other"}, False),
        ({"error_types": "ValueError"}, True),
        ({"error_types": "Value"}, False),
        ({"since": TIME}, True),
        ({"since": TIME + timedelta(microseconds=1)}, False),
        ({"until": TIME}, False),
        ({"until": TIME + timedelta(microseconds=1)}, True),
        ({"text": "größer"}, True),
        ({"text": "RETRY"}, True),
        ({"text": "nothing"}, False),
        ({"text": "größer", "nodes": "other"}, False),
    ],
)
def test_a_record_matches_if_all_that_is_asked_is_so(query: dict[str, Any], matches: bool) -> None:
    assert RunQuery(**query).matches(run_of()) is matches
    beside = {"job_ids", "statuses", "since", "until"}  # what a store has looked at already
    if beside.isdisjoint(query):
        assert RunQuery(**query).fits(run_of()) is matches


def test_the_counts_tell_only_where_nothing_but_the_status_is_asked_for() -> None:
    assert RunQuery().asks_only_statuses
    assert RunQuery(statuses="failed").asks_only_statuses
    texts = ("job_ids", "reasons", "origins", "nodes", "executors", "error_types", "text")
    others: list[dict[str, Any]] = [{name: "manual"} for name in texts] + [{"since": TIME}, {"until": TIME}]
    assert not any(RunQuery(**other).asks_only_statuses for other in others)


def test_whether_all_records_of_some_jobs_and_times_are_wanted() -> None:
    assert RunQuery().wants_all
    assert RunQuery(job_ids="job", since=TIME, until=TIME).wants_all
    texts = ("reasons", "nodes", "executors", "error_types", "text")
    others: list[dict[str, Any]] = [{name: "x"} for name in texts]
    others += [{"statuses": "failed"}, {"origins": "after"}]
    assert not any(RunQuery(**other).wants_all for other in others)


def test_a_record_without_texts_has_none_that_is_asked_for() -> None:
    run = run_of(error=None, reason=None)
    assert not RunQuery(text="x").matches(run)
    assert RunQuery().matches(run)
    extra_of(run).origin = "manual"
    assert RunQuery(origins="manual").matches(run)


def test_the_times_of_a_query_are_instants() -> None:
    query = RunQuery(since=TIME, until=TIME + timedelta(seconds=1))
    assert (query.first, query.end) == (START, START + SECOND)
    assert (RunQuery().first, RunQuery().end) == (None, None)


# ----------------------------------------------------------------------------------------------------------------- jobs


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ({}, True),
        ({"ids": ["job", "other"]}, True),
        ({"ids": "other"}, False),
        ({"tags": {"a"}}, True),
        ({"tags": {"a", "b"}}, True),
        ({"tags": {"a", "c"}}, False),
        ({"tags": []}, True),
        ({"states": {"active"}}, True),
        ({"states": {"paused", "ended"}}, False),
        ({"executors": "default"}, True),
        ({"executors": "other"}, False),
        ({"func": "rota.testing"}, True),
        ({"func": "testing"}, False),
        ({"due_before": TIME}, False),
        ({"due_before": TIME + timedelta(microseconds=1)}, True),
        ({"due_after": TIME}, True),
        ({"due_after": TIME + timedelta(microseconds=1)}, False),
        ({"text": "NACHTS"}, True),
        ({"text": "jo"}, True),
        ({"text": "Store_Jobs"}, True),
        ({"text": "nothing"}, False),
        ({"text": "nachts", "executors": "other"}, False),
    ],
)
def test_a_job_matches_if_all_that_is_asked_is_so(query: dict[str, Any], matches: bool) -> None:
    assert JobQuery(**query).matches(job_of()) is matches


@pytest.mark.parametrize(("state", "usual"), [(PAUSED, True), (QUARANTINED, True), (ENDED, False)])
def test_jobs_whose_schedule_is_over_are_found_only_if_they_are_asked_for(state: str, usual: bool) -> None:
    job = job_of()
    set_job_state(job, state)
    assert JobQuery().matches(job) is usual
    assert JobQuery(states=state).matches(job)


def test_a_job_without_a_due_time_has_none_that_is_asked_for() -> None:
    job = job_of(next_due=None)
    assert not JobQuery(due_before=TIME).matches(job)
    assert not JobQuery(due_after=TIME).matches(job)
    assert JobQuery().matches(job)


def test_a_job_without_a_reference_has_none_that_is_asked_for() -> None:
    job = job_of(func_ref=None)
    assert not JobQuery(func="x").matches(job)
    assert JobQuery(text="nachts").matches(job)


def test_when_a_job_is_due() -> None:
    assert due_of(job_of(next_due=START + 5)) == START + 5
    assert due_of(job_of(next_due=HELD, next_nominal=START)) == START
    assert due_of(job_of(next_due=None)) is None
    job = job_of()
    set_job_state(job, PAUSED)
    job.next_due = START
    assert due_of(job) is None


# ----------------------------------------------------------------------------------------------------------- last runs


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, 0),
        ({"last_status": "failed"}, 1),
        ({"last_end_before": TIME}, 1),
        ({"failures": 3}, 3),
        ({"failures": 1, "last_status": "failed"}, 1),
    ],
)
def test_as_many_last_runs_have_to_be_known_as_are_asked_about(query: dict[str, Any], wanted: int) -> None:
    assert JobQuery(**query).last_runs_wanted == wanted


def last(*statuses: str) -> list[Any]:
    return [run_of(status=status, finished_at=START - number) for number, status in enumerate(statuses)]


@pytest.mark.parametrize(
    ("query", "runs", "fits"),
    [
        ({}, last(), True),
        ({"last_status": "failed"}, last(FAILED, SUCCEEDED), True),
        ({"last_status": "failed"}, last(SUCCEEDED, FAILED), False),
        ({"last_status": "failed"}, last(), False),
        ({"last_end_before": TIME}, last(), True),
        ({"last_end_before": TIME}, last(FAILED), False),
        ({"last_end_before": TIME + timedelta(microseconds=1)}, last(FAILED), True),
        ({"last_end_before": TIME}, [run_of(finished_at=None)], True),
        ({"last_end_before": datetime(1970, 1, 1, tzinfo=UTC)}, [run_of(finished_at=None)], False),
        ({"last_end_before": datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)}, [run_of(finished_at=None)], True),
        ({"failures": 2}, last(FAILED, LOST), True),
        ({"failures": 2}, last(TIMED_OUT, FAILED, SUCCEEDED), True),
        ({"failures": 2}, last(FAILED), False),
        ({"failures": 2}, last(FAILED, SUCCEEDED, FAILED), False),
        ({"failures": 1, "last_status": "lost"}, last(FAILED), False),
        ({"failures": 1, "last_end_before": TIME}, last(FAILED), False),
    ],
)
def test_the_last_runs_of_a_job_are_as_wanted(query: dict[str, Any], runs: list[Any], fits: bool) -> None:
    assert JobQuery(**query).fits(runs) is fits


def test_these_ends_are_the_last_runs() -> None:
    assert set(OUTCOMES) == {SUCCEEDED, FAILED, TIMED_OUT, LOST}


# -------------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("query", "values", "said"),
    [
        (RunQuery, {"job_ids": 5}, "job_ids must be texts, got 5"),
        (RunQuery, {"nodes": [5]}, "nodes must be texts, got 5 among them"),
        (RunQuery, {"reasons": map(str, range(1001))}, "reasons must be 1000 texts at most, got 1001; ask in parts"),
        (RunQuery, {"statuses": "ended"}, 'statuses must be among "claimed", "waiting", "succeeded", "failed", "missed", '),
        (RunQuery, {"origins": "retry"}, 'origins must be among "schedule", "manual", "after", "backfill", got \'retry\''),
        (RunQuery, {"since": 5}, "since must be a datetime, got 5"),
        (RunQuery, {"until": datetime(2026, 1, 1)}, "until must be a datetime with a time zone, got datetime"),
        (RunQuery, {"text": ""}, "text must be a text of 1 to 1000 characters, got ''"),
        (RunQuery, {"text": 5}, "text must be a text of 1 to 1000 characters, got 5"),
        (RunQuery, {"text": "x" * 1001}, "text must be a text of 1 to 1000 characters, got 'xxx"),
        (JobQuery, {"ids": 5}, "ids must be texts, got 5"),
        (JobQuery, {"states": "claimed"}, 'states must be among "active", "paused", "quarantined", "ended", got \'claimed\''),
        (JobQuery, {"last_status": "skipped"}, 'last_status must be among "succeeded", "failed", "timed_out", "lost", got '),
        (JobQuery, {"due_before": 5}, "due_before must be a datetime, got 5"),
        (JobQuery, {"due_after": 5}, "due_after must be a datetime, got 5"),
        (JobQuery, {"last_end_before": 5}, "last_end_before must be a datetime, got 5"),
        (JobQuery, {"text": ""}, "text must be a text of 1 to 1000 characters, got ''"),
        (JobQuery, {"func": 5}, "func must be the beginning of a callable's reference, got 5"),
        (JobQuery, {"failures": 0}, "failures must be an integer from 1 to 100, got 0"),
        (JobQuery, {"failures": 101}, "failures must be an integer from 1 to 100, got 101"),
        (JobQuery, {"failures": True}, "failures must be an integer from 1 to 100, got True"),
        (JobQuery, {"sort": "state"}, "sort must be one of \"id\", \"name\", \"due\", got 'state'"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(query: Any, values: dict[str, Any], said: str) -> None:
    with pytest.raises(QueryError) as caught:
        query(**values)
    assert str(caught.value).startswith(said)


def test_what_is_just_not_too_much_can_be_asked() -> None:
    assert len(RunQuery(reasons=[str(number) for number in range(1000)]).reasons or ()) == 1000
    for number in (1, 100):
        assert JobQuery(failures=number).failures == number
    for text in ("x", "x" * 1000):
        assert JobQuery(text=text).text == text
    assert JobQuery(func="").matches(job_of())
    assert RunQuery(job_ids="one text").job_ids == {"one text"}


def test_bounds_of_searches() -> None:
    assert (LOOKED_AT, DURATION, COUNTED, LARGEST_PAGE) == (20_000, 50_000, 10_000, 1000)
    assert (MOST_VALUES, LONGEST_TEXT) == (1000, 1000)


@pytest.mark.parametrize("limit", [0, 1001, -1, True, 1.0, "1", None])
def test_a_page_has_a_size(limit: Any) -> None:
    with pytest.raises(QueryError, match="limit must be an integer from 1 to 1000, got"):
        check_limit(limit)
    assert [check_limit(size) for size in (1, 1000)] == [1, 1000]
    assert check_limit(5000, 5000) == 5000


# -------------------------------------------------------------------------------------------------------- order, pages


def test_jobs_are_in_order_by_what_is_asked() -> None:
    job = job_of()
    assert key_of_job(job, BY_ID) == ("job",)
    assert key_of_job(job, BY_NAME) == ("Nachts", "job")
    assert key_of_job(job, BY_DUE) == (0, START, "job")
    assert key_of_job(job_of(next_due=None), BY_DUE) == (1, 0, "job")


def test_records_are_in_order_newest_first() -> None:
    assert key_of_run(run_of()) == (-START, "job")


KEYS = (int, str)


def test_a_page_goes_on_after_the_key_of_its_cursor() -> None:
    query = RunQuery(statuses={"failed", "lost"})
    cursor = cursor_of(query, "here", (-5, "größer\ud800"))
    assert "=" not in cursor
    assert key_after(RunQuery(statuses=["lost", "failed"]), "here", cursor, KEYS) == (-5, "größer\ud800")
    assert key_after(query, "here", None, KEYS) is None
    for length in range(8):
        assert key_after(query, "here", cursor_of(query, "here", (1, "x" * length)), KEYS) == (
            1,
            "x" * length,
        )


def test_a_cursor_is_of_one_query_and_one_store() -> None:
    query = RunQuery()
    cursor = cursor_of(query, "here", (-5, "job"))
    for other, place, like in (
        (RunQuery(text="x"), "here", KEYS),
        (query, "there", KEYS),
        (query, "here", (str, str)),
        (query, "here", (int,)),
        (JobQuery(), "here", KEYS),
    ):
        with pytest.raises(
            QueryError, match="cursor must be of the same query and store, got that of another one: "
        ):
            key_after(other, place, cursor, like)


@pytest.mark.parametrize(
    "cursor", ["", "x", "ü", 5, urlsafe_b64encode(b"\xff").decode(), urlsafe_b64encode(b"5").decode()]
)
def test_what_no_page_has_returned_is_no_cursor(cursor: Any) -> None:
    with pytest.raises(QueryError, match="cursor must be what a page of the same query returned, got "):
        key_after(RunQuery(), "here", cursor, KEYS)


def test_a_page_begins_with_nothing_looked_at() -> None:
    page: Page[Any] = Page([])
    assert (page.items, page.cursor, page.looked_at, page.searched_back_to) == ([], None, 0, None)


def test_a_count_says_whether_it_is_exact() -> None:
    assert (str(Count(12345)), str(Count(10_000, False)), Count(5).exact) == ("12,345", "10,000+", True)
    assert Count(5) + 1 == 6


def test_no_text_comes_after_those_that_begin_with_the_last_character() -> None:
    assert end_of_beginning("a\udffe") == end_of_beginning("a\udfff") == "a\ue000"
    assert end_of_beginning("a\ud7fe") == "a\ud7ff"
    assert end_of_beginning("a\ue000") == "a\ue001"


def test_a_time_zone_without_an_offset_is_none() -> None:
    class Nowhere(tzinfo):
        def utcoffset(self, when: datetime | None) -> timedelta | None:
            return None

        dst = utcoffset

        def tzname(self, when: datetime | None) -> str:
            return "nowhere"

    with pytest.raises(QueryError, match="since must be a datetime with a time zone"):
        RunQuery(since=datetime(2026, 1, 1, tzinfo=Nowhere()))
