"""Backfills of a scheduler: on stores in memory and in a database, with holds, pauses, other schedules and other nodes."""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing
from datetime import timedelta
from sqlite3 import connect
from typing import TYPE_CHECKING, Any

import pytest

from rota import Retry, current_run
from rota.clock import SECOND, instant, moment
from rota.core.backfill import WAIT_AT_ONCE
from rota.core.states import CANCELLED, CLAIMED, FAILED, SKIPPED, SUCCEEDED, WAITING
from rota.errors import JobLookupError, JobValueError, QueryError
from rota.jobstores.base import BaseJobStore
from rota.jobstores.memory import MemoryJobStore
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.testing import ManualScheduler, VirtualClock
from rota.triggers.interval import IntervalTrigger
from tests.present import present

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

done: list[datetime] = []


def work() -> None:
    done.append(current_run().scheduled_run_time)


def fail() -> None:
    raise ValueError("no")


def fail_first() -> None:
    if current_run().tries == 0:
        raise ConnectionError("first")
    work()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: Any, tmp_path: Path) -> BaseJobStore:
    return (
        MemoryJobStore()
        if request.param == "memory"
        else SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    )


@pytest.fixture
def scheduler(store: BaseJobStore) -> Iterator[ManualScheduler]:
    done.clear()
    scheduler = ManualScheduler(jobstores={"default": store}, timezone="UTC")
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def add(scheduler: ManualScheduler, func: Callable[..., Any] = work, **options: Any) -> datetime:
    """Add a job that runs each minute, and has done so since a day ago by its schedule; return the full minute that is over."""
    scheduler.advance(seconds=5)
    now = moment(scheduler.clock.now()).replace(second=0, microsecond=0)
    trigger = IntervalTrigger(minutes=1, start_date=now - timedelta(days=1), timezone="UTC")
    scheduler.add_job(func, trigger, id="job", next_run_time=now + timedelta(minutes=1), **options)
    return now


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def statuses(scheduler: ManualScheduler) -> list[tuple[str, str]]:
    return [(run.status, run.origin) for run in scheduler.get_runs("job", limit=1000)]


def test_times_before_the_job_was_added_run(scheduler: ManualScheduler) -> None:
    now = add(scheduler)
    found = scheduler.backfill("job", now - minutes(5), now)
    assert (found, found.first, found.last) == (6, now - minutes(5), now)
    assert [run.waiting_for for run in scheduler.get_runs("job")] == ["backfill"] * 6
    scheduler.advance(seconds=10)
    assert done == [now - minutes(back) for back in range(5, -1, -1)]
    assert statuses(scheduler) == [(SUCCEEDED, "backfill")] * 6
    assert {run.tries for run in scheduler.get_runs("job")} == {0}
    assert scheduler.backfill("job", now - minutes(5), now) == 0
    assert "backfill of 6 missing times" in scheduler.get_changes("job")[0].what


def test_nothing_is_done_by_a_dry_run(scheduler: ManualScheduler) -> None:
    now = add(scheduler)
    assert scheduler.backfill("job", now - minutes(2), now, dry_run=True) == 3
    scheduler.advance(seconds=10)
    assert (done, scheduler.get_runs("job")) == ([], [])


def test_what_a_pause_has_left_out_runs_and_keeps_its_origin(scheduler: ManualScheduler) -> None:
    now = add(scheduler)
    scheduler.pause_job("job")
    scheduler.advance(minutes=30)
    scheduler.resume_job("job")
    (record,) = scheduler.get_runs("job")
    assert (record.status, record.reason, record.count) == (SKIPPED, "paused", 30)
    assert scheduler.backfill("job", now + minutes(11), now + minutes(15)) == 5
    scheduler.advance(seconds=20)
    assert done == [now + minutes(minute) for minute in range(11, 16)]
    spans = [(run.status, run.count, run.origin) for run in reversed(scheduler.get_runs("job"))]
    assert spans == [
        (SKIPPED, 10, "schedule"),
        *[(SUCCEEDED, 1, "schedule")] * 5,
        (SKIPPED, 15, "schedule"),
    ]


def test_one_of_several_times_is_found_and_run_once_more(scheduler: ManualScheduler) -> None:
    now = add(scheduler)
    scheduler.pause_job("job")
    scheduler.advance(minutes=10)
    scheduler.resume_job("job")
    found = scheduler.get_run("job", now + minutes(4))
    assert found is not None
    assert (found.count, found.scheduled_run_time) == (10, now + minutes(1))
    assert scheduler.get_run("job", now + minutes(4.5)) is None
    with pytest.raises(JobValueError, match="of 10 times, has ended already: skipped"):
        scheduler.cancel_run("job", now + minutes(4))
    with pytest.raises(JobValueError, match="must be a time of job"):
        scheduler.rerun("job", now + minutes(4.5))
    run = scheduler.rerun("job", now + minutes(4))
    scheduler.advance(seconds=2)
    assert run.status == SUCCEEDED
    assert done == [now + minutes(4)]
    assert [run.count for run in reversed(scheduler.get_runs("job"))] == [3, 1, 6]


def test_a_paused_job_starts_none_of_them_until_it_is_resumed(scheduler: ManualScheduler) -> None:
    now = add(scheduler)
    scheduler.pause_job("job")
    scheduler.advance(minutes=3)
    assert scheduler.backfill("job", now - minutes(1), now + minutes(2)) == 4
    scheduler.advance(minutes=5)
    assert done == []
    scheduler.resume_job("job")
    scheduler.advance(seconds=20)
    assert done == [now + minutes(minute) for minute in range(-1, 3)]
    records = [(run.status, run.count) for run in reversed(scheduler.get_runs("job"))]
    assert records == [*[(SUCCEEDED, 1)] * 4, (SKIPPED, 6)]


def test_a_job_on_hold_starts_none_of_them_until_it_is_released(scheduler: ManualScheduler) -> None:
    now = add(scheduler, tags=["feeds"])
    scheduler.backfill("job", now - minutes(3), now)
    scheduler.hold(tag="feeds")
    scheduler.advance(minutes=2)
    waiting = len(scheduler.get_runs("job", status=WAITING))
    assert waiting + len(done) == 4
    scheduler.advance(minutes=2)
    assert len(scheduler.get_runs("job", status=WAITING)) == waiting
    scheduler.release(tag="feeds")
    scheduler.advance(seconds=20)
    assert len(done) == 4


def test_more_are_opened_as_runs_start(scheduler: ManualScheduler) -> None:
    now = add(scheduler, max_instances=50)
    count = 3 * WAIT_AT_ONCE + 7
    assert scheduler.backfill("job", now - minutes(count - 1), now) == count
    assert len(scheduler.get_runs("job", status=WAITING, limit=1000)) == WAIT_AT_ONCE
    scheduler.advance(seconds=50)
    assert len(done) == len(set(done)) == count
    assert statuses(scheduler) == [(SUCCEEDED, "backfill")] * count
    with pytest.raises(JobLookupError):
        scheduler.backfill("nobody", now - minutes(1), now)


def test_scheduled_times_go_first_and_are_not_hindered(scheduler: ManualScheduler) -> None:
    now = add(scheduler)
    scheduler.backfill("job", now - minutes(60), now)
    scheduler.advance(minutes=5)
    mine = [time for time in done if time > now]
    assert mine == [now + minutes(minute) for minute in range(1, 6)]
    assert len(done) == 66


def test_what_waits_is_cancelled_with_a_backfill(scheduler: ManualScheduler) -> None:
    now = add(scheduler)
    scheduler.pause_job("job")
    assert scheduler.backfill("job", now - minutes(499), now) == 500
    with pytest.raises(JobValueError, match=r"has a backfill already, from .* cancel_backfill"):
        scheduler.backfill("job", now - minutes(1), now)
    ends: list[Any] = []
    from rota.events import EVENT_JOB_CANCELLED  # only here

    scheduler.add_listener(ends.append, EVENT_JOB_CANCELLED)
    assert scheduler.cancel_backfill("job") == WAIT_AT_ONCE
    records = scheduler.get_runs("job", limit=1000)
    assert {(run.status, run.reason) for run in records} == {(CANCELLED, "backfill cancelled")}
    scheduler.resume_job("job")
    scheduler.advance(seconds=30)
    assert (done, len(scheduler.get_runs("job", limit=1000))) == ([], WAIT_AT_ONCE)
    assert len(ends) == WAIT_AT_ONCE
    assert scheduler.cancel_backfill("job") == 0
    assert scheduler.get_changes("job")[1].what == "backfill cancelled"
    with pytest.raises(JobLookupError):
        scheduler.cancel_backfill("nobody")
    # What was cancelled is not missing; what was never opened is.
    assert scheduler.backfill("job", now - minutes(499), now, dry_run=True) == 300


def test_every_time_runs_again(scheduler: ManualScheduler) -> None:
    now = add(scheduler)
    scheduler.advance(minutes=3)
    end = now + minutes(3)
    assert scheduler.backfill("job", now - minutes(1), end) == 2
    scheduler.advance(seconds=5)
    assert scheduler.backfill("job", now + minutes(1), end, only_missing=False) == 3
    scheduler.advance(seconds=5)
    assert sorted(done) == sorted([*(now + minutes(each) for each in (-1, 0, 1, 2, 3, 1, 2, 3))])
    again = scheduler.get_run("job", end)
    assert again is not None
    assert (again.status, again.attempt, again.tries, again.origin) == (SUCCEEDED, 2, 0, "schedule")
    assert again.extra.succeeded_at is not None
    assert [attempt.outcome for attempt in again.attempts] == ["succeeded", "succeeded"]


def test_a_backfilled_run_is_tried_again_and_superseded_by_no_scheduled_time(
    scheduler: ManualScheduler,
) -> None:
    now = add(scheduler, fail_first, retry=Retry(wait_initial=90, wait_jitter=0), max_instances=3)
    scheduler.backfill("job", now, now)
    scheduler.advance(seconds=200)
    record = scheduler.get_run("job", now)
    assert record is not None
    assert (record.status, record.tries, record.attempt) == (SUCCEEDED, 1, 2)


def test_failed_times_are_not_missing(scheduler: ManualScheduler) -> None:
    now = add(scheduler, fail)
    scheduler.backfill("job", now - minutes(1), now)
    scheduler.advance(seconds=5)
    assert statuses(scheduler) == [(FAILED, "backfill")] * 2
    assert scheduler.backfill("job", now - minutes(1), now) == 0


def test_the_times_of_the_present_trigger_count(scheduler: ManualScheduler) -> None:
    now = add(scheduler)
    scheduler.pause_job("job")
    scheduler.advance(minutes=20)
    scheduler.resume_job("job")
    start = now - timedelta(days=1)
    scheduler.reschedule_job("job", trigger=IntervalTrigger(minutes=5, start_date=start, timezone="UTC"))
    assert scheduler.backfill("job", now + minutes(1), now + minutes(20)) == 4
    scheduler.advance(seconds=10)
    assert done == [now + minutes(each) for each in (5, 10, 15, 20)]


def test_a_backfill_goes_on_with_a_job_that_is_added_again(scheduler: ManualScheduler) -> None:
    now = add(scheduler, max_instances=50)
    count = WAIT_AT_ONCE + 50
    scheduler.backfill("job", now - minutes(count - 1), now)
    trigger = IntervalTrigger(minutes=1, start_date=now - timedelta(days=1), timezone="UTC")
    scheduler.add_job(work, trigger, id="job", max_instances=50, replace_existing=True)
    scheduler.advance(seconds=30)
    assert len(set(done)) == len(done) == count


def test_a_removed_job_takes_its_backfill_with_it(scheduler: ManualScheduler, store: BaseJobStore) -> None:
    now = add(scheduler)
    scheduler.backfill("job", now - minutes(300), now)
    scheduler.remove_job("job")
    scheduler.advance(seconds=30)
    assert len(done) <= 1
    assert store.backfills() == {}


@pytest.mark.parametrize(
    ("start", "end", "more", "message"),
    [
        (0, -1, {}, "end must not be before start"),
        (-1, 0, {"only_missing": 1}, "only_missing must be True or False, got 1"),
    ],
)
def test_what_is_no_range_is_refused(
    scheduler: ManualScheduler, start: int, end: int, more: dict[str, Any], message: str
) -> None:
    now = add(scheduler)
    with pytest.raises(JobValueError, match=message):
        scheduler.backfill("job", now + minutes(start), now + minutes(end), **more)


def test_times_without_a_zone_are_refused(scheduler: ManualScheduler) -> None:
    now = add(scheduler)
    with pytest.raises(QueryError, match="start must be a datetime with a time zone"):
        scheduler.backfill("job", now.replace(tzinfo=None), now)


def test_too_many_times_are_refused(scheduler: ManualScheduler, monkeypatch: Any) -> None:
    monkeypatch.setattr("rota.schedulers.backfills.MOST", 100)
    now = add(scheduler)
    with pytest.raises(JobValueError, match="of 100 times of its job at most"):
        scheduler.backfill("job", now - minutes(200), now)


def test_a_job_that_counts_from_the_ends_of_its_runs_is_refused(scheduler: ManualScheduler) -> None:
    scheduler.add_job(work, "interval", minutes=1, mode="delay", id="job")
    now = moment(scheduler.clock.now())
    with pytest.raises(JobValueError, match="counts each time from the end of its run"):
        scheduler.backfill("job", now - minutes(5), now)


def test_times_to_come_are_left_to_the_schedule(scheduler: ManualScheduler) -> None:
    now = add(scheduler)
    assert scheduler.backfill("job", now, now + minutes(60)) == 1
    assert scheduler.backfill("job", now + minutes(1), now + minutes(60)) == 0


def test_the_methods_are_coroutines_as_well(scheduler: ManualScheduler) -> None:
    now = add(scheduler)

    async def ask() -> tuple[int, int]:
        found = await scheduler.aio.backfill("job", now - minutes(4), now)
        return found, await scheduler.aio.cancel_backfill("job")

    assert asyncio.run(ask()) == (5, 5)


class Moody(IntervalTrigger):
    """A trigger that raises once it is told to."""

    broken = False

    def after(self, instant: int, previous: int | None = None) -> int | None:
        if Moody.broken:
            raise RuntimeError("out of order")
        return super().after(instant, previous)


def test_a_trigger_that_raises_later_ends_its_backfill_and_nothing_else(
    caplog: Any, monkeypatch: Any
) -> None:
    done.clear()
    scheduler = ManualScheduler(timezone="UTC")
    scheduler.start()
    now = moment(scheduler.clock.now()).replace(second=0, microsecond=0)
    trigger = Moody(minutes=1, start_date=now - timedelta(days=1), timezone="UTC")
    later = now + timedelta(days=1)
    scheduler.add_job(work, trigger, id="job", max_instances=5, next_run_time=later)
    scheduler.add_job(work, "interval", seconds=5, id="other")
    assert scheduler.backfill("job", now - minutes(500), now - minutes(1)) == 500
    monkeypatch.setattr(Moody, "broken", True)
    with caplog.at_level(logging.ERROR):
        scheduler.advance(seconds=30)
    assert 'The backfill of job "job" ends early' in caplog.text
    assert "out of order" in caplog.text
    assert len([run for run in scheduler.get_runs("other") if run.status == SUCCEEDED]) >= 5
    scheduler.shutdown()


# ------------------------------------------------------------------------------------------------ of a database only


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'shared.sqlite'}"


def node(url: str, clock: VirtualClock, **options: Any) -> ManualScheduler:
    scheduler = ManualScheduler(
        jobstores={"default": SQLAlchemyJobStore(url, **options)}, timezone="UTC", clock=clock
    )
    scheduler.start()
    return scheduler


def test_another_node_carries_on_what_a_process_that_is_gone_has_begun(url: str) -> None:
    done.clear()
    clock = VirtualClock()
    guest = node(url, clock)
    now = add(guest, max_instances=40)
    guest.pause()
    assert guest.backfill("job", now - minutes(449), now) == 450
    guest.shutdown()
    other = node(url, clock)
    other.advance(seconds=60)
    assert len(done) == len(set(done)) >= 450
    assert sorted(done)[:450] == [now - minutes(back) for back in range(449, -1, -1)]
    other.shutdown()


def test_a_start_that_is_older_than_the_ledger_remembers_is_refused(url: str) -> None:
    clock = VirtualClock()
    scheduler = node(url, clock, keep_days=0.5)
    now = add(scheduler)
    with pytest.raises(JobValueError, match="start must not be older than the ledger remembers"):
        scheduler.backfill("job", now - minutes(721), now)
    assert scheduler.backfill("job", now - minutes(719), now, dry_run=True) == 720
    assert scheduler.backfill("job", now - minutes(721), now, only_missing=False, dry_run=True) == 722
    scheduler.shutdown()


def test_of_a_job_with_as_many_records_as_are_kept_older_times_are_refused(url: str) -> None:
    done.clear()
    clock = VirtualClock()
    scheduler = node(url, clock, keep_runs=5)
    now = add(scheduler)
    scheduler.advance(minutes=4)
    assert scheduler.backfill("job", now - minutes(2), now, dry_run=True) == 3
    scheduler.advance(minutes=4)
    with pytest.raises(JobValueError, match="keep_runs="):
        scheduler.backfill("job", now - minutes(2), now)
    assert scheduler.backfill("job", now + minutes(6), now + minutes(8), dry_run=True) == 0
    scheduler.shutdown()


def test_who_uses_no_backfill_pays_nothing(url: str) -> None:
    """A node asks what is asked of it as often as before, and in as many statements."""
    from sqlalchemy import event  # only here

    clock = VirtualClock()
    scheduler = node(url, clock)
    add(scheduler)
    scheduler.advance(seconds=61)
    store: Any = scheduler._lookup_jobstore("default")
    said: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    scheduler.advance(minutes=1)
    assert not [text for text in said if "backfill" in text]
    state = present(scheduler._engine).stores["default"]
    assert (state.asked.backfills, state.asked.backfill_at) == ({}, 0)
    scheduler.shutdown()


def test_in_virtual_time_the_instants_are_those_of_the_scheduler(scheduler: ManualScheduler) -> None:
    now = add(scheduler)
    assert moment(instant(now)) == now
    assert instant(now) % SECOND == 0
    assert CLAIMED not in [run.status for run in scheduler.get_runs("job")]


def damage(scheduler: ManualScheduler, path: Path, change: str) -> None:
    now = add(scheduler)
    scheduler.pause_job("job")
    assert scheduler.backfill("job", now - minutes(499), now) == 500
    with closing(connect(path)) as connection, connection:
        assert connection.execute(f"UPDATE rota_requests SET {change} WHERE node = '*'").rowcount == 1
    scheduler.resume_job("job")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("answer = '{broken'", 'The backfill of job "job" ends early: its stored data is damaged: {broken'),
        (
            """answer = replace(answer, '"passed":', '"passed":1000')""",
            'The backfill of job "job" ends early: it has come to more than 1,000,000 times of its job, which are the most',
        ),
        ("id = 'other'", "What is left of a backfill is damaged"),
        ("job_id = 'other'", "What is left of a backfill is damaged"),
    ],
)
def test_what_is_left_of_a_backfill_and_cannot_be_read_is_told_once(
    tmp_path: Path, caplog: Any, change: str, said: str
) -> None:
    path = tmp_path / "jobs.sqlite"
    scheduler = ManualScheduler(jobstores={"default": f"sqlite:///{path}"}, timezone="UTC")
    scheduler.start()
    damage(scheduler, path, change)
    scheduler.advance(seconds=25)
    assert [record.message for record in caplog.records if said in record.message] != []
    assert caplog.text.count(said) == 1
    assert scheduler.cancel_backfill("job") >= 0
    scheduler.shutdown(wait=False)
