"""Runs that are tried again, snoozed or skipped, as programs see them: in virtual time, in memory."""

from __future__ import annotations

import asyncio
import pickle
from datetime import timedelta

import pytest

from rota import Cancel, Retry, RetryAfter, Skip, Snooze, current_run
from rota.clock import SECOND, moment
from rota.core.states import CANCELLED, FAILED, SKIPPED, SUCCEEDED, TIMED_OUT, WAITING
from rota.errors import RunFailedError
from rota.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_RETRYING,
    JobRetryingEvent,
)
from rota.executors.base import BaseExecutor, run_job
from rota.job.handle import Job
from rota.testing import ManualScheduler

PLAIN = Retry(wait_initial=10, wait_jitter=0)


@pytest.fixture
def scheduler():
    scheduler = ManualScheduler()
    scheduler.start()
    yield scheduler
    scheduler.shutdown(wait=False)


class Flaky:
    """Fails some times."""

    def __init__(self, failures, exc=ConnectionError):
        self.failures, self.exc, self.calls = failures, exc, 0

    def __call__(self, *args):
        self.calls += 1
        if self.calls <= self.failures:
            raise self.exc(f"failure {self.calls}")
        return "done"


def attempts(scheduler, run):
    return [each.outcome for each in scheduler.get_run(run.job_id, run.scheduled_run_time).attempts]


def test_a_job_that_fails_twice_is_called_three_times_and_has_one_record(scheduler):
    seen = []
    scheduler.add_listener(seen.append, EVENT_JOB_RETRYING | EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.add_job(Flaky(2), id="job", retry=PLAIN)
    scheduler.advance(seconds=31)
    (run,) = scheduler.get_runs()
    assert (run.status, run.attempt, run.tries, run.retval, run.error) == (SUCCEEDED, 3, 2, "done", None)
    assert attempts(scheduler, run) == ["failed", "failed", "succeeded"]
    assert [type(event).__name__ for event in seen] == ["JobRetryingEvent"] * 2 + ["JobExecutionEvent"]
    assert isinstance(seen[0], JobRetryingEvent)
    assert [event.attempt for event in seen] == [1, 2, 3]
    waits = [(event.retry_at - event.scheduled_run_time).total_seconds() for event in seen[:2]]
    assert waits == [10, 30]
    assert str(seen[0].exception) == "failure 1"


def test_an_event_of_a_failure_comes_when_all_tries_have_failed(scheduler):
    errors = []
    scheduler.add_listener(errors.append, EVENT_JOB_ERROR)
    scheduler.add_job(Flaky(9), id="job", retry=PLAIN, on_failure=errors.append)
    scheduler.advance(minutes=5)
    (run,) = scheduler.get_runs("job")
    assert (run.status, run.reason, run.attempt) == (FAILED, "attempts exhausted", 3)
    assert [getattr(error, "attempt", None) for error in errors] == [3, 3]
    assert str(scheduler.get_run("job", run.scheduled_run_time).error) == "failure 3"


def test_a_later_time_ends_a_retry_that_waits_and_is_not_skipped_for_it(scheduler):
    scheduler.add_job(Flaky(1), "interval", minutes=1, id="job", retry=Retry(wait_initial=90))
    scheduler.advance(minutes=3)
    runs = list(reversed(scheduler.get_runs()))
    assert [(run.status, run.reason, run.attempt) for run in runs] == [
        (FAILED, "superseded", 1),
        (SUCCEEDED, None, 1),
        (SUCCEEDED, None, 1),
    ]
    assert runs[0].error == "failure 1"


@pytest.mark.parametrize("how", ["RetryAfter", "changed", "added again"])
def test_without_retry_what_waits_for_another_try_keeps_its_place_and_later_times_are_skipped(scheduler, how):
    """There is no ``until`` then; see overlap."""
    work = Flaky(1, lambda text: RetryAfter(90)) if how == "RetryAfter" else Flaky(1)
    retry = None if how == "RetryAfter" else Retry(wait_initial=90, wait_jitter=0)
    scheduler.add_job(work, "interval", minutes=1, id="job", retry=retry)
    scheduler.advance(seconds=70)
    if how == "changed":
        scheduler.modify_job("job", retry=None)
    elif how == "added again":
        scheduler.add_job(work, "interval", minutes=1, id="job", replace_existing=True)
    scheduler.advance(seconds=115)
    runs = list(reversed(scheduler.get_runs()))
    assert [(run.status, run.reason, run.attempt) for run in runs][:2] == [
        (SUCCEEDED, None, 2),
        (SKIPPED, "max_instances", 1),
    ]


def test_a_job_that_is_added_again_while_a_retry_of_it_waits_is_what_that_calls(scheduler):
    """It keeps its place, so that the new time meets it."""
    first, second = Flaky(9), Flaky(0)
    begin = scheduler.clock.datetime()
    retry = Retry(wait_initial=60, wait_jitter=0)
    scheduler.add_job(first, "date", run_date=begin + timedelta(seconds=10), id="job", retry=retry)
    scheduler.advance(seconds=20)
    scheduler.add_job(second, "date", run_date=begin + timedelta(seconds=30), id="job")
    scheduler.advance(minutes=3)
    runs = list(reversed(scheduler.get_runs()))
    assert [(run.status, run.reason) for run in runs] == [(SUCCEEDED, None), (SKIPPED, "max_instances")]
    assert (first.calls, second.calls) == (1, 1)


def test_without_until_a_retry_keeps_its_place_and_later_times_are_skipped(scheduler):
    scheduler.add_job(Flaky(1), "interval", minutes=1, id="job", retry=Retry(wait_initial=90, until=None))
    scheduler.advance(minutes=3)
    runs = list(reversed(scheduler.get_runs()))
    assert [(run.status, run.reason, run.attempt) for run in runs] == [
        (SUCCEEDED, None, 2),
        (SKIPPED, "max_instances", 1),
        (SUCCEEDED, None, 1),
    ]


def test_missed_times_that_fail_together_are_tried_again_one_after_another(scheduler):
    scheduler.add_job(
        (work := Flaky(3)),
        "interval",
        minutes=1,
        id="job",
        coalesce=False,
        retry=Retry(wait_initial=5, wait_jitter=0),
    )
    scheduler.clock.advance(180)
    scheduler.run_pending()
    assert [run.status for run in scheduler.get_runs()] == [WAITING] * 3
    scheduler.advance(seconds=6)
    assert [(run.status, run.attempt) for run in scheduler.get_runs()] == [(SUCCEEDED, 2)] * 3
    assert work.calls == 6


def test_a_snoozed_run_is_the_same_run_later_and_no_failure(scheduler):
    seen = []

    def job():
        run = current_run()
        seen.append((run.scheduled_run_time, run.attempt, run.tries))
        if run.attempt < 5:
            raise Snooze(60)

    scheduler.add_job(job, id="job")
    scheduler.advance(minutes=4)
    (run,) = scheduler.get_runs()
    assert (run.status, run.attempt, run.tries) == (SUCCEEDED, 5, 0)
    assert attempts(scheduler, run) == ["snoozed"] * 4 + ["succeeded"]
    assert [each[1:] for each in seen] == [(number, 0) for number in range(1, 6)]
    assert len({each[0] for each in seen}) == 1


@pytest.mark.parametrize(("exc", "status"), [(Skip("holiday"), SKIPPED), (Cancel("holiday"), CANCELLED)])
def test_a_job_may_say_that_there_is_nothing_to_do(scheduler, exc, status):
    def job():
        raise exc

    scheduler.add_job(job, id="job", retry=True)
    scheduler.advance(minutes=5)
    (run,) = scheduler.get_runs()
    assert (run.status, run.reason, run.attempt) == (status, "holiday", 1)


def test_a_job_may_say_when_it_is_to_be_tried_again(scheduler):
    work = Flaky(2, lambda text: RetryAfter(30))
    scheduler.add_job(work, id="job")
    scheduler.advance(seconds=59)
    (run,) = scheduler.get_runs()
    assert (work.calls, run.status, attempts(scheduler, run)) == (2, WAITING, ["failed", "failed"])
    scheduler.advance(seconds=2)
    assert [(run.status, run.attempt) for run in scheduler.get_runs()] == [(SUCCEEDED, 3)]


def test_a_middleware_may_skip_snooze_and_say_what_follows_an_error(scheduler):
    from contextlib import contextmanager

    @contextmanager
    def around(run):
        if run.job_id == "skip":
            raise Skip("off")
        try:
            yield
        except ConnectionError:
            raise RetryAfter(5) from None

    scheduler.add_middleware(around)
    scheduler.add_job(Flaky(0), id="skip")
    scheduler.add_job(Flaky(1), id="again")
    scheduler.advance(seconds=6)
    found = {run.job_id: (run.status, run.reason, run.attempt) for run in scheduler.get_runs()}
    assert found == {"skip": (SKIPPED, "off", 1), "again": (SUCCEEDED, None, 2)}


def test_a_waiting_retry_can_be_cancelled_and_goes_with_its_job(scheduler):
    for id in ("cancel", "remove"):
        scheduler.add_job(Flaky(9), "interval", hours=1, id=id, retry=Retry(wait_initial=600))
    scheduler.advance(hours=1)
    (run,) = scheduler.get_runs("cancel")
    assert scheduler.cancel_run("cancel", run.scheduled_run_time, "enough").status == CANCELLED
    scheduler.remove_job("remove")
    scheduler.advance(minutes=30)
    found = {run.job_id: (run.status, run.reason, run.attempt) for run in scheduler.get_runs()}
    assert found == {"cancel": (CANCELLED, "enough", 1), "remove": (CANCELLED, "job removed", 1)}


def test_a_run_that_takes_too_long_is_tried_again(scheduler):
    async def slow_first():
        run = current_run()
        slow_first_seen.append((run.attempt, run.cancelled, run.past_timeout))
        await asyncio.sleep(100 if run.attempt == 1 else 1)

    slow_first_seen = []
    scheduler.add_job(slow_first, id="job", timeout=20, retry=PLAIN)
    scheduler.advance(seconds=40)
    (run,) = scheduler.get_runs()
    assert (run.status, run.reason, run.attempt, run.tries) == (SUCCEEDED, None, 2, 1)
    assert attempts(scheduler, run) == ["timed_out", "succeeded"]
    assert slow_first_seen == [(1, False, False), (2, False, False)]
    scheduler.add_job(slow_first, id="once", timeout=20, retry=PLAIN, max_attempts=1)
    scheduler.advance(seconds=40)
    (run,) = scheduler.get_runs("once")
    assert (run.status, run.reason) == (TIMED_OUT, "timeout")


def test_a_paused_job_starts_no_retry_and_its_deadline_goes_on(scheduler):
    for id, timeout in (("paused", None), ("late", 1200)):
        scheduler.add_job(
            Flaky(1),
            "interval",
            hours=1,
            id=id,
            retry=Retry(wait_initial=600, wait_jitter=0, timeout=timeout),
        )
    scheduler.advance(hours=1)
    scheduler.pause_job("paused")
    scheduler.pause_job("late")
    scheduler.advance(minutes=30)
    found = {run.job_id: (run.status, run.reason) for run in scheduler.get_runs()}
    assert found == {"paused": (WAITING, None), "late": (FAILED, "retry deadline")}
    scheduler.resume_job("paused")
    scheduler.advance(minutes=1)
    assert {run.status for run in scheduler.get_runs("paused")} == {SUCCEEDED}


@pytest.mark.parametrize("how", ["pause", "hold", "until"])
def test_the_store_is_not_asked_again_and_again_for_what_a_pause_keeps_from_starting(
    scheduler, how, monkeypatch
):
    store = scheduler._lookup_jobstore("default")
    asked = []
    take = store.take_waiting
    monkeypatch.setattr(store, "take_waiting", lambda *given: asked.append(given) or take(*given))
    scheduler.add_job(
        Flaky(1, lambda text: Snooze(600)),
        "interval",
        days=1,
        id="job",
        next_run_time=moment(scheduler.clock.now()),
    )
    scheduler.advance(seconds=1)
    if how == "hold":
        scheduler.hold(all=True)
    else:
        until = moment(scheduler.clock.now() + 3600 * SECOND) if how == "until" else None
        scheduler.pause_job("job", until=until)
    scheduler.advance(minutes=59)
    (run,) = scheduler.get_runs("job")
    assert (run.status, len(asked) <= 2) == (WAITING, True)
    if how == "hold":
        scheduler.release(all=True)
    elif how == "pause":
        scheduler.resume_job("job")
    scheduler.advance(minutes=1 if how != "until" else 3)
    assert SUCCEEDED in {run.status for run in scheduler.get_runs("job")}


def test_what_a_run_did_before_it_waited_is_still_known_when_it_is_cancelled(scheduler):
    scheduler.add_job(Flaky(9), "interval", hours=1, id="job", retry=Retry(wait_initial=600))
    scheduler.advance(hours=1)
    (run,) = scheduler.get_runs()
    scheduler.cancel_run("job", run.scheduled_run_time, "enough")
    (run,) = scheduler.get_runs()
    assert (run.status, run.tries, attempts(scheduler, run)) == (CANCELLED, 1, ["failed"])


def test_a_retry_may_start_after_the_run_would_have_expired(scheduler):
    scheduler.add_job(Flaky(1), "interval", hours=1, id="job", expires=5, retry=PLAIN)
    scheduler.advance(hours=1, seconds=11)
    assert [(run.status, run.attempt) for run in scheduler.get_runs()] == [(SUCCEEDED, 2)]


def test_retries_that_wait_end_with_their_scheduler_in_memory():
    scheduler = ManualScheduler()
    scheduler.start()
    scheduler.add_job(Flaky(9), id="job", retry=PLAIN)
    scheduler.advance(seconds=1)
    store = scheduler._lookup_jobstore("default")
    scheduler.shutdown()
    (run,) = store.get_runs()
    assert (run.status, run.reason) == (CANCELLED, "its scheduler was shut down")


def test_whoever_waits_for_a_run_waits_for_its_last_try(scheduler):
    scheduler.add_job(Flaky(1), "interval", hours=1, id="job", retry=PLAIN)
    run = scheduler.run_job("job")
    scheduler.advance(seconds=1)
    assert not run.ended
    scheduler.advance(seconds=10)
    assert run.result(timeout=0) == "done"


def test_a_run_that_has_ended_is_executed_once_more_in_its_record(scheduler):
    work = Flaky(1)
    scheduler.add_job(work, "interval", hours=1, id="job")
    scheduler.advance(hours=1)
    (run,) = scheduler.get_runs()
    again = scheduler.rerun("job", run.scheduled_run_time)
    scheduler.advance(seconds=1)
    (record,) = scheduler.get_runs()
    assert again.result(timeout=0) == "done"
    assert (record.status, record.attempt, record.tries, record.nominal) == (SUCCEEDED, 2, 0, run.nominal)
    assert attempts(scheduler, record) == ["failed", "succeeded"]
    assert "opened again" in scheduler.get_changes("job")[0].what


def test_a_rerun_of_a_success_keeps_that_it_has_succeeded(scheduler):
    scheduler.add_job((work := Flaky(0)), "interval", hours=1, id="job")
    scheduler.advance(hours=1)
    (run,) = scheduler.get_runs()
    first_end = run.finished_at
    work.failures = 9
    scheduler.rerun("job", run.scheduled_run_time)
    scheduler.advance(seconds=1)
    (record,) = scheduler.get_runs()
    assert (record.status, record.extra.succeeded_at) == (FAILED, first_end)
    with pytest.raises(RunFailedError, match="failure 2"):
        record.result()


def test_what_cannot_be_opened_again_is_refused(scheduler):
    scheduler.add_job(Flaky(0), "interval", minutes=1, id="job")
    scheduler.clock.advance(180)
    scheduler.run_pending()
    newest, merged = scheduler.get_runs()
    assert merged.count == 2
    with pytest.raises(ValueError, match='must be a time of job "job" that has a record'):
        scheduler.rerun("job", merged.scheduled_run_time.replace(microsecond=7))
    with pytest.raises(ValueError, match='must be a time of job "job" that has a record'):
        scheduler.rerun("job", newest.scheduled_run_time.replace(microsecond=7))
    with pytest.raises(LookupError, match="nobody"):
        scheduler.rerun("nobody", newest.scheduled_run_time)
    scheduler.rerun("job", newest.scheduled_run_time)
    with pytest.raises(ValueError, match="has not ended"):
        scheduler.rerun("job", newest.scheduled_run_time)
    scheduler.advance(seconds=1)
    scheduler.remove_job("job")
    with pytest.raises(LookupError, match="job"):
        scheduler.rerun("job", newest.scheduled_run_time)


def test_a_predicate_that_fails_itself_wants_nothing(scheduler, caplog):
    def broken(exc):
        raise KeyError("in the predicate")

    scheduler.add_job(Flaky(1), id="job", retry=Retry(broken))
    scheduler.advance(minutes=5)
    (run,) = scheduler.get_runs()
    assert (run.status, run.reason, run.error) == (FAILED, "not retryable", "failure 1")
    assert "cannot be told, so nothing does: " in caplog.text


class ThirdPartyExecutor(BaseExecutor):
    """An executor as programs write them for APScheduler."""

    def _do_submit_job(self, job, run_times):
        events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
        self._run_job_success(job.id, events)


def test_an_executor_of_somebody_else_tries_again_and_snoozes_as_well():
    scheduler = ManualScheduler(executors={"default": ThirdPartyExecutor()})
    scheduler.start()

    snoozes = [Snooze(10)]

    def snooze_first():
        if snoozes:
            raise snoozes.pop()

    try:
        scheduler.add_job(Flaky(1), id="retry", retry=PLAIN)
        scheduler.add_job(Flaky(1), id="other", retry=Retry(KeyError))
        scheduler.add_job(snooze_first, id="snooze")
        scheduler.advance(seconds=11)
        found = {run.job_id: (run.status, run.reason, run.attempt) for run in scheduler.get_runs()}
        assert found == {
            "retry": (SUCCEEDED, None, 2),
            "other": (FAILED, "not retryable", 1),
            "snooze": (SUCCEEDED, None, 2),
        }
    finally:
        scheduler.shutdown(wait=False)


def test_a_store_of_somebody_else_keeps_all_options_that_are_given(scheduler):
    options = {
        "expires": 5,
        "on_lost": "lost",
        "max_attempts": 7,
        "keep_log": 100,
        "timeout": 9,
        "heartbeat_timeout": 8,
        "retry": Retry(OSError, wait_max=60),
    }
    job = scheduler.add_job("builtins:int", "interval", hours=1, id="job", **options)
    state = pickle.loads(pickle.dumps(job.__getstate__()))
    restored = Job.__new__(Job)
    restored.__setstate__(state)
    assert restored.policy == job.policy
    assert {name: state[name] for name in options} == options
    assert not set(options) & set(scheduler.add_job("builtins:int", "interval", hours=1).__getstate__())


@pytest.mark.parametrize(
    ("options", "warns"),
    [
        ({"retry": Retry(wait_initial=60)}, True),
        ({"retry": Retry(wait_initial=59)}, False),
        ({"retry": Retry(wait_initial=60, until=None)}, False),
        ({"retry": Retry(wait_initial=60), "overlap": "buffer_one"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_wait_that_the_next_time_always_ends_is_warned_of(scheduler, caplog, options, warns):
    scheduler.add_job(Flaky(0), "interval", minutes=1, id="j", **options)
    assert ("Retries of job" in caplog.text) == warns
    assert "wait for 60 s at least and its next time comes after 60 s" in caplog.text or not warns
