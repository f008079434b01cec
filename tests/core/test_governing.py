"""Runs and jobs that somebody governs through the scheduler: asked for, cancelled, left out, paused with a note, put on hold."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from rota import current_run
from rota.clock import moment
from rota.errors import JobLookupError, JobTypeError, JobValueError, OptionTypeError, QueryError
from rota.testing import ManualScheduler
from tests.present import present

# Most of it in a file of SQLite as well.
pytestmark = pytest.mark.thorough

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLS: list[tuple[object, ...]] = []


def note(*args: object, **kwargs: object) -> None:
    """Be the callable of the jobs, and say what it was called with."""
    CALLS.append((*args, *sorted(kwargs.items())))


@pytest.fixture(params=["memory", "sqlite:///{}/jobs.sqlite"])
def scheduler(request: pytest.FixtureRequest, tmp_path: object) -> Iterator[ManualScheduler]:
    CALLS.clear()
    store = request.param.format(tmp_path)
    scheduler = ManualScheduler(jobstores={"default": store} if store != "memory" else {}, timezone="UTC")
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def add(scheduler: ManualScheduler, id: str = "job", **options: object) -> None:
    scheduler.add_job(note, "interval", minutes=1, id=id, args=(id,), **options)  # type: ignore[arg-type]


def now(scheduler: ManualScheduler) -> datetime:
    return moment(scheduler.clock.now())


def outcomes(scheduler: ManualScheduler, job_id: str = "job") -> list[tuple[str, str | None, int, str]]:
    runs = reversed(scheduler.get_runs(job_id))
    return [(run.status, run.reason, run.count, run.origin) for run in runs]


def test_a_run_is_asked_for_with_arguments_of_its_own(scheduler):
    add(scheduler)
    scheduler.run_job("job", args=("other",), kwargs={"x": 1})
    scheduler.advance(seconds=6)
    assert CALLS == [("other", ("x", 1))]
    assert outcomes(scheduler) == [("succeeded", None, 1, "manual")]
    scheduler.advance(minutes=1)
    assert CALLS[1:] == [("job",)]


def test_a_run_is_asked_for_at_a_later_time(scheduler):
    scheduler.add_job(note, "date", run_date=now(scheduler) + timedelta(days=1), id="job", args=("job",))
    later = now(scheduler) + timedelta(seconds=90)
    run = scheduler.run_job("job", not_before=later)
    assert (run.status, run.not_before) == ("waiting", later)
    scheduler.advance(seconds=89)
    assert CALLS == []
    scheduler.advance(seconds=2)
    assert CALLS == [("job",)]


def test_the_same_key_starts_one_run(scheduler):
    add(scheduler)
    first, second = (scheduler.run_job("job", key="once") for _ in range(2))
    assert first.nominal == second.nominal
    scheduler.advance(seconds=6)
    assert len(CALLS) == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"key": ""}, JobValueError),
        ({"key": 5}, JobValueError),
        ({"key": "x" * 192}, JobValueError),
        ({"not_before": datetime(2026, 1, 1)}, QueryError),
        ({"not_before": "tomorrow"}, QueryError),
        ({"args": "text"}, JobTypeError),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_stored(scheduler, options, error):
    add(scheduler)
    with pytest.raises(error, match=" must be "):
        scheduler.run_job("job", **options)
    assert scheduler.get_runs() == []


def test_a_waiting_run_is_cancelled(scheduler):
    add(scheduler)
    run = scheduler.run_job("job", not_before=now(scheduler) + timedelta(seconds=30))
    cancelled = scheduler.cancel_run("job", run.scheduled_run_time, "not needed")
    assert (cancelled.status, cancelled.reason) == ("cancelled", "not needed")
    scheduler.advance(seconds=40)
    assert CALLS == []
    scheduler.advance(minutes=1)
    with pytest.raises(JobValueError, match="has ended already"):
        scheduler.cancel_run("job", scheduler.get_runs("job", "succeeded")[0].scheduled_run_time)


def test_a_run_is_named_by_its_time_or_as_it_has_that_itself(scheduler):
    add(scheduler)
    asked = scheduler.run_job("job", not_before=now(scheduler) + timedelta(seconds=30))
    for name in (asked.nominal, asked.scheduled_run_time):
        assert scheduler.get_run("job", name).id == asked.id
        assert "It waits" in scheduler.explain("job", name)
    assert scheduler.cancel_run("job", asked.nominal, "not needed").id == asked.id
    assert scheduler.rerun("job", asked.nominal).nominal == asked.nominal
    for name in (True, 5.0, "5", datetime(2029, 1, 1), 10**30):
        with pytest.raises(
            QueryError, match=r"nominal must be a datetime with a time zone, such as .* or the integer"
        ):
            scheduler.get_run("job", name)


def test_a_time_to_come_is_skipped_ahead(scheduler):
    add(scheduler)
    job = scheduler.get_job("job")
    following = job.next_run_time
    record = scheduler.cancel_run("job", following)
    assert (record.status, record.reason) == ("cancelled", "skipped ahead")
    assert scheduler.get_job("job").next_run_time == following + timedelta(minutes=1)
    later = following + timedelta(minutes=3)
    scheduler.cancel_run("job", later)
    scheduler.advance(minutes=5, seconds=1)
    assert [run.status for run in reversed(scheduler.get_runs("job"))] == [
        "cancelled", "succeeded", "succeeded", "cancelled", "succeeded",
    ]  # fmt: skip
    assert len(CALLS) == 3


def test_an_instant_that_is_no_time_of_the_job_cannot_be_cancelled(scheduler):
    add(scheduler)
    following = scheduler.get_job("job").next_run_time
    for other in (following + timedelta(seconds=1), following - timedelta(minutes=1)):
        with pytest.raises(JobValueError, match="nominal must be a time to come"):
            scheduler.cancel_run("job", other)
    with pytest.raises(JobLookupError):
        scheduler.cancel_run("none", following)


def test_a_paused_job_leaves_one_record_of_what_it_left_out(scheduler):
    add(scheduler)
    scheduler.advance(minutes=1, seconds=1)
    scheduler.pause_job("job", note="the disk is full")
    scheduler.advance(minutes=5)
    scheduler.resume_job("job")
    scheduler.advance(minutes=1)
    assert outcomes(scheduler) == [
        ("succeeded", None, 1, "schedule"),
        ("skipped", "paused", 5, "schedule"),
        ("succeeded", None, 1, "schedule"),
    ]


async def takes_two_minutes() -> None:
    await asyncio.sleep(120)


@pytest.mark.parametrize(
    ("paused_after", "left_out"), [(30, [("skipped", "paused", 1, "schedule")]), (90, [])]
)
def test_a_paused_job_that_counts_from_the_end_of_a_run_owes_one_time_or_none_while_it_runs(
    scheduler, paused_after, left_out
):
    scheduler.add_job(takes_two_minutes, "interval", minutes=1, mode="delay", id="job")
    scheduler.advance(paused_after)
    scheduler.pause_job("job")
    scheduler.advance(minutes=10)
    scheduler.resume_job("job")
    assert [outcome for outcome in outcomes(scheduler) if outcome[0] != "succeeded"] == left_out


def test_a_pause_with_an_end_is_over_by_itself(scheduler):
    add(scheduler)
    scheduler.pause_job("job", until=now(scheduler) + timedelta(minutes=10))
    scheduler.advance(minutes=9)
    assert CALLS == []
    scheduler.advance(minutes=4)
    assert len(CALLS) == 4
    (skipped,) = scheduler.get_runs("job", "skipped")
    assert (skipped.reason, skipped.count) == ("paused", 9)


def test_a_pause_that_is_over_before_the_next_look_at_pauses_is_over_in_time(scheduler):
    for id in ("a", "b"):
        scheduler.add_job(note, "interval", seconds=1, id=id, args=(id,))
    scheduler.pause_job("a", until=now(scheduler) + timedelta(seconds=20))
    scheduler.pause_job("b", until=now(scheduler) + timedelta(seconds=10))
    scheduler.advance(seconds=25)
    assert [run.count for id in ("a", "b") for run in scheduler.get_runs(id, "skipped")] == [19, 9]


def test_edits_are_kept_with_a_revision(scheduler):
    add(scheduler)
    scheduler.modify_job("job", name="other")
    scheduler.pause_job("job", note="why")
    scheduler.resume_job("job")
    scheduler.reschedule_job("job", trigger="interval", minutes=2)
    assert scheduler.get_job("job").revision == 4
    assert [(change.revision, change.what) for change in scheduler.get_changes("job")] == [
        (4, "rescheduled"),
        (3, "resumed"),
        (2, "paused: why"),
        (1, "changed: name"),
    ]
    scheduler.advance(minutes=3)
    assert scheduler.get_job("job").revision == 4


def test_a_job_whose_tags_were_changed_on_hold_is_released_with_its_new_ones_as_the_error_says(scheduler):
    add(scheduler, "job", tags={"red", "green"})
    scheduler.hold(tag="red")
    scheduler.modify_job("job", tags={"blue", "green"})
    assert scheduler.release(tag="red") == 0
    said = (
        'jobs among which it is now: those with the tag "blue", those with the tag "green", '
        'those of the executor "default", or all'
    )
    with pytest.raises(JobValueError, match=said):
        scheduler.resume_job("job")
    assert scheduler.release(tag="blue") == 1


def test_jobs_are_put_on_hold_and_released(scheduler):
    add(scheduler, "a", tags={"red"})
    add(scheduler, "b", tags={"red", "blue"})
    add(scheduler, "c")
    scheduler.pause_job("b")
    assert scheduler.hold(tag="red", note="migration") == 2
    assert scheduler.hold(tag="red") == 0
    assert [job.state for job in scheduler.find_jobs().items] == ["paused", "paused", "active"]
    scheduler.advance(minutes=3, seconds=1)
    assert {call[0] for call in CALLS} == {"c"}
    with pytest.raises(JobValueError, match="on hold"):
        scheduler.resume_job("a")
    assert scheduler.release(tag="red") == 2
    assert [job.state for job in scheduler.find_jobs().items] == ["active", "paused", "active"]
    assert outcomes(scheduler, "a") == [("skipped", "on hold", 3, "schedule")]
    scheduler.advance(minutes=1)
    assert {call[0] for call in CALLS} == {"a", "c"}
    with pytest.raises(OptionTypeError, match="one of tag="):
        scheduler.hold()
    with pytest.raises(OptionTypeError, match="one of tag="):
        scheduler.release(tag="x", all=True)


def test_a_job_that_was_paused_before_it_was_put_on_hold_is_paused_since_then(scheduler):
    add(scheduler)
    scheduler.pause_job("job", note="the feed moved")
    paused = now(scheduler)
    scheduler.advance(minutes=5)
    scheduler.hold(all=True, note="migration")
    held = now(scheduler)
    assert scheduler.explain("job").startswith(f"The job is on hold since {held:%Y-%m-%d %H:%M:%S}")
    scheduler.advance(minutes=5)
    scheduler.release(all=True)
    why = f"The job is paused since {paused:%Y-%m-%d %H:%M:%S %z}: the feed moved."
    assert scheduler.explain("job") == why


@pytest.mark.parametrize(
    "change",
    [
        lambda scheduler, at: scheduler.modify_job("job", next_run_time=at),
        lambda scheduler, at: scheduler.reschedule_job("job", trigger="date", run_date=at),
        lambda scheduler, at: scheduler.add_job(note, "date", run_date=at, id="job", replace_existing=True),
        lambda scheduler, at: scheduler.add_jobs(
            [{"func": note, "trigger": "date", "run_date": at, "id": "job"}], replace_existing=True
        ),
        lambda scheduler, at: scheduler.add_job(
            note, "interval", minutes=1, id="job", next_run_time=at, replace_existing=True
        ),
    ],
    ids=["modify_job", "reschedule_job", "add_job", "add_jobs", "next_run_time"],
)
@pytest.mark.parametrize("is_paused", [False, True], ids=["on hold", "and paused"])
def test_a_job_on_hold_stays_so_whatever_time_it_is_given_and_goes_on_with_that(scheduler, change, is_paused):
    add(scheduler)
    if is_paused:
        scheduler.pause_job("job")
    scheduler.hold(all=True, note="migration")
    at = now(scheduler) + timedelta(minutes=5, seconds=7)
    change(scheduler, at)
    scheduler.advance(minutes=3)
    (job,) = scheduler.find_jobs(states="paused").items
    assert (job.next_run_time, CALLS) == (None, [])
    assert scheduler.release(all=True) == 1
    assert scheduler.get_job("job").next_run_time == at
    scheduler.advance(minutes=2, seconds=8)
    assert len(CALLS) == 1


def test_a_job_on_hold_keeps_its_hold_when_its_program_adds_it_again_and_can_be_paused_as_well(scheduler):
    add(scheduler)
    scheduler.hold(all=True, note="migration")
    add(scheduler, replace_existing=True)
    scheduler.modify_job("job", next_run_time=None)
    scheduler.advance(minutes=3)
    assert (scheduler.release(all=True), scheduler.get_job("job").next_run_time) == (1, None)
    scheduler.modify_job("job", next_run_time=now(scheduler))  # resumes a paused job, as in APScheduler
    scheduler.advance(seconds=1)
    assert CALLS == [("job",)]


def test_a_node_that_drains_claims_nothing_more(scheduler):
    add(scheduler)
    scheduler.advance(seconds=6)
    scheduler.get_nodes()
    if not scheduler.drain():  # a store in memory knows its node once it was asked
        scheduler.run_job("job", not_before=now(scheduler) + timedelta(days=1))
        scheduler.advance(seconds=1)
        assert scheduler.drain()
    scheduler.advance(minutes=3)
    assert CALLS == []
    assert [node.draining for node in scheduler.get_nodes()] == [True]
    assert scheduler.undrain()
    scheduler.advance(minutes=1)
    assert CALLS
    assert not scheduler.drain("nobody")


def test_records_are_searched_through_the_scheduler(scheduler):
    add(scheduler, "a")
    add(scheduler, "b")
    scheduler.advance(minutes=3, seconds=1)
    page = scheduler.find_runs(job_ids="a", limit=2)
    assert [run.job_id for run in page.items] == ["a", "a"]
    assert page.items[0].scheduled_run_time.tzinfo is not None
    assert len(scheduler.find_runs(job_ids="a", limit=2, cursor=page.cursor).items) == 1
    assert scheduler.count_runs(statuses="succeeded") == 6
    assert scheduler.count_jobs() == 2
    assert [len(runs) for runs in scheduler.last_runs({"a", "b"}, 2).values()] == [2, 2]
    assert scheduler.get_running() == []
    found = scheduler.get_run("a", page.items[0].scheduled_run_time)
    assert [attempt.outcome for attempt in found.attempts] == ["succeeded"]
    with pytest.raises(QueryError, match="fields that exist, got 'statusses'; did you mean"):
        scheduler.find_runs(statusses="failed")
    with pytest.raises(QueryError, match="query must be a RunQuery"):
        scheduler.find_runs("failed")


def test_a_run_under_way_is_asked_to_stop():
    seen: list[bool] = []
    scheduler = ManualScheduler(timezone="UTC")

    def work() -> None:
        run = current_run()
        scheduler.cancel_run("job", run.scheduled_run_time, "too long")
        seen.append(run.cancelled)
        raise RuntimeError("stopped")

    scheduler.add_job(work, "interval", minutes=1, id="job")
    scheduler.start()
    scheduler.advance(minutes=1, seconds=1)
    (run,) = scheduler.get_runs("job")
    assert (seen, run.status, run.reason) == ([True], "cancelled", "too long")


def test_a_run_that_returns_though_it_was_asked_to_stop_has_succeeded_and_says_so():
    scheduler = ManualScheduler(timezone="UTC")

    def returns() -> None:
        run = current_run()
        scheduler.cancel_run("returns", run.scheduled_run_time, "too long")
        run.heartbeat(note="page 4")

    scheduler.start()
    scheduler.add_job(
        returns, "date", run_date=scheduler.clock.datetime() + timedelta(seconds=1), id="returns"
    )
    scheduler.advance(seconds=2)
    (run,) = scheduler.get_runs("returns")
    assert run.status == "succeeded"
    assert present(scheduler.get_run("returns", run.scheduled_run_time)).note == "cancel was requested"
    scheduler.shutdown()


# -------------------------------------------------------------------------------------------------- what is told


def test_a_request_to_cancel_is_told_once_on_the_node_that_has_the_run(tmp_path):
    from rota.events import EVENT_JOB_CANCEL_REQUESTED, JobCancelRequestedEvent
    from tests.core.engine_kit import Gate, names, started

    for store in ("memory", f"sqlite:///{tmp_path}/jobs"):
        gate = Gate()
        scheduler, log = started(
            executors={"default": gate}, jobstores={"default": store} if store != "memory" else {}
        )
        scheduler.add_job(note, "interval", minutes=1, id="job")
        scheduler.advance(minutes=1)
        (run,) = scheduler.get_running()
        log.clear()
        scheduler.cancel_run("job", run.scheduled_run_time, reason="too slow")
        scheduler.cancel_run("job", run.scheduled_run_time, reason="still too slow")
        scheduler.advance(seconds=20)
        (event,) = [event for name, event in log if name == "JOB_CANCEL_REQUESTED"]
        assert type(event) is JobCancelRequestedEvent
        assert (event.code, event.job_id, event.jobstore) == (EVENT_JOB_CANCEL_REQUESTED, "job", "default")
        assert (event.scheduled_run_time, event.reason) == (run.scheduled_run_time, "too slow")
        assert present(event.run).cancelled
        gate.release()
        scheduler.run_pending()
        assert "JOB_EXECUTED" in names(log)
        scheduler.shutdown()


def test_who_only_asks_is_not_told_of_the_request_and_the_node_is(tmp_path):
    from tests.core.engine_kit import Gate, names, started

    gate, url = Gate(), f"sqlite:///{tmp_path}/jobs"
    runs, log = started(executors={"default": gate}, jobstores={"default": url}, lease=15)
    asks, said = started(runs_jobs=False, jobstores={"default": url}, clock=runs.clock)
    runs.add_job(note, "interval", minutes=1, id="job")
    runs.advance(minutes=1)
    asks.cancel_run("job", gate.held[0][0].scheduled_run_time)
    runs.advance(seconds=20)
    assert names(log, "JOB_CANCEL_REQUESTED") == ["JOB_CANCEL_REQUESTED"]
    assert names(said, "JOB_CANCEL_REQUESTED") == []
    gate.release()
    asks.shutdown()
    runs.shutdown()


@pytest.mark.parametrize("raises", [True, False])
def test_a_run_that_ends_before_its_node_has_heard_of_a_request_is_cancelled_if_it_fails(tmp_path, raises):
    from rota.core.run import fail
    from rota.core.states import succeed
    from tests.core.engine_kit import Gate, names, started

    gate, url = Gate(), f"sqlite:///{tmp_path}/jobs"
    runs, log = started(executors={"default": gate}, jobstores={"default": url}, lease=15)
    asks, _ = started(runs_jobs=False, jobstores={"default": url}, clock=runs.clock)
    runs.add_job(note, "interval", minutes=1, id="job")
    runs.advance(minutes=1)
    ((run, done),) = gate.held
    asks.cancel_run("job", run.scheduled_run_time, reason="too slow")
    log.clear()
    if raises:
        fail(run, ValueError("wrong"), "", runs.clock.now())
    else:
        succeed(run, None, runs.clock.now())
    done(run)
    record = asks.get_run("job", run.scheduled_run_time)
    assert (record.status, record.reason) == (("cancelled", "too slow") if raises else ("succeeded", None))
    assert record.note == "cancel was requested"
    runs.run_pending()
    assert names(log) == ["JOB_CANCELLED" if raises else "JOB_EXECUTED"]
    asks.shutdown()
    runs.shutdown()


def test_waiting_runs_that_go_with_their_job_are_told_where_it_was_removed(scheduler):
    from rota.events import EVENT_JOB_CANCELLED, EVENT_JOB_REMOVED

    told = []
    scheduler.add_listener(told.append, EVENT_JOB_CANCELLED | EVENT_JOB_REMOVED)
    for id in ("a", "b", "c"):
        add(scheduler, id)
    later = now(scheduler) + timedelta(hours=1)
    runs = {id: scheduler.run_job(id, not_before=later) for id in ("a", "b")}
    scheduler.remove_job("a")
    assert [(event.code, event.job_id, event.jobstore) for event in told] == [
        (EVENT_JOB_CANCELLED, "a", "default"),
        (EVENT_JOB_REMOVED, "a", "default"),
    ]
    assert (told[0].outcome, told[0].run.reason, told[0].run.origin) == ("cancelled", "job removed", "manual")
    assert told[0].scheduled_run_time == runs["a"].scheduled_run_time
    assert runs["a"].wait(0)
    scheduler.remove_all_jobs()
    assert [event.job_id for event in told[2:]] == ["b"]
    assert runs["b"].reason == "job removed"


def test_a_waiting_run_that_is_cancelled_is_told_where_that_was_asked_for_and_once(scheduler):
    from rota.events import EVENT_JOB_CANCELLED

    told = []
    scheduler.add_listener(told.append, EVENT_JOB_CANCELLED)
    add(scheduler)
    run = scheduler.run_job("job", not_before=now(scheduler) + timedelta(hours=1))
    scheduler.cancel_run("job", run.scheduled_run_time, reason="no")
    scheduler.advance(seconds=1)
    scheduler.cancel_run("job", run.scheduled_run_time, reason="no")
    assert [(event.job_id, event.run.reason) for event in told] == [("job", "no")]


def test_waiting_runs_that_go_with_their_job_are_told_where_one_that_is_over_replaced_it(scheduler):
    from rota.events import EVENT_JOB_CANCELLED, EVENT_JOB_REMOVED

    start = now(scheduler) + timedelta(seconds=10)
    scheduler.add_job(note, "date", run_date=start, id="once", args=("once",))
    scheduler.advance(seconds=20)
    scheduler.add_job(note, "interval", minutes=1, id="once", args=("once",))
    run = scheduler.run_job("once", not_before=now(scheduler) + timedelta(hours=1))
    told = []
    scheduler.add_listener(told.append, EVENT_JOB_CANCELLED | EVENT_JOB_REMOVED)
    scheduler.add_job(note, "date", run_date=start, id="once", args=("once",), replace_existing=True)
    assert [(event.code, event.job_id) for event in told] == [
        (EVENT_JOB_CANCELLED, "once"),
        (EVENT_JOB_REMOVED, "once"),
    ]
    assert told[0].run.reason == "job removed"
    assert run.wait(0)
    assert scheduler.get_jobs() == []


def test_a_time_to_come_that_is_cancelled_is_told_once(scheduler):
    from rota.events import EVENT_JOB_CANCELLED

    told = []
    scheduler.add_listener(told.append, EVENT_JOB_CANCELLED)
    add(scheduler)
    following = scheduler.get_job("job").next_run_time
    scheduler.cancel_run("job", following)
    scheduler.advance(seconds=1)
    scheduler.cancel_run("job", following)
    scheduler.advance(minutes=2)
    assert [(event.job_id, event.scheduled_run_time, event.run.reason) for event in told] == [
        ("job", following, "skipped ahead")
    ]
