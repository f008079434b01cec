"""What is owed and recorded when jobs that were paused, or have failures counted, go on: each time has one record."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from rota.clock import moment
from rota.errors import WouldBlockError
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler
from tests.needs import need

CALLS: list[str] = []


def note() -> None:
    CALLS.append("called")


def boom() -> None:
    raise ValueError("boom")


async def slow(seconds: float = 25) -> None:
    await asyncio.sleep(seconds)


async def fails_once() -> None:
    CALLS.append("called")
    if len(CALLS) == 1:
        raise ValueError("once")
    await asyncio.sleep(25)


@pytest.fixture(params=["memory", "sqlite"])
def scheduler(request: Any, tmp_path: Any) -> Any:
    store: Any = MemoryJobStore()
    if request.param == "sqlite":
        need("sqlalchemy", "sql")
        store = f"sqlite:///{tmp_path / 'rota.sqlite'}"
    scheduler = ManualScheduler(jobstores={"default": store})
    scheduler.start()
    CALLS.clear()
    yield scheduler
    scheduler.shutdown()


def at(scheduler: ManualScheduler, seconds: float = 0) -> Any:
    return moment(scheduler.clock.now()) + timedelta(seconds=seconds)


def add(scheduler: ManualScheduler, func: Any = note, **options: Any) -> Any:
    """Add a job that is due each ten seconds from ten seconds on; return the beginning."""
    begin = at(scheduler)
    start = begin + timedelta(seconds=10)
    scheduler.add_job(func, "interval", seconds=10, start_date=start, id="j", **options)
    return begin


def recorded(scheduler: ManualScheduler, begin: Any) -> list[tuple[int, str, int]]:
    """Return nominal time (seconds from the beginning), status and count of each record, earliest first."""
    runs = scheduler.get_runs("j", limit=1000)
    return sorted(
        (round((run.scheduled_run_time - begin).total_seconds()), run.status, run.count) for run in runs
    )


def test_resuming_a_job_that_is_not_paused_keeps_what_it_owes_though_failures_are_counted(
    scheduler: Any,
) -> None:
    begin = add(scheduler, fails_once, overlap="buffer_all", pause_on_failure=3)
    scheduler.advance(42)  # two times wait for room
    scheduler.resume_job("j")
    scheduler.advance(60)
    assert [nominal for nominal, _, _ in recorded(scheduler, begin)][:4] == [10, 20, 30, 40]


def test_a_pause_that_is_over_by_itself_leaves_one_record_whoever_resumes_the_job_then(
    scheduler: Any,
) -> None:
    begin = add(scheduler)
    scheduler.advance(22)
    scheduler.pause_job("j", until=at(scheduler, 30))
    scheduler.advance(40)
    scheduler.resume_job("j")
    scheduler.advance(10)
    found = recorded(scheduler, begin)
    assert [each for each in found if each[1] == "skipped"] == [(30, "skipped", 3)]


@pytest.mark.parametrize(
    "options", [{"overlap": "buffer_all"}, {"overlap": "buffer_one"}], ids=["all", "one"]
)
def test_an_owed_time_that_is_cancelled_does_not_run_and_is_in_no_other_record(
    scheduler: Any, options: dict[str, Any]
) -> None:
    begin = add(scheduler, slow, args=[35], **options)
    scheduler.advance(32)  # owes :20 and :30
    scheduler.cancel_run("j", begin + timedelta(seconds=30))
    scheduler.advance(100)
    found = recorded(scheduler, begin)
    assert [each for each in found if each[0] == 30] == [(30, "cancelled", 1)]
    assert not [each for each in found if each[0] == 20 and each[2] > 1]


def test_a_time_before_the_schedule_never_comes(scheduler: Any) -> None:
    begin = add(scheduler)
    scheduler.advance(15)
    scheduler.pause_job("j")
    scheduler.advance(30)
    scheduler.modify_job("j", next_run_time=begin + timedelta(seconds=60))
    said = scheduler.explain("j", begin + timedelta(seconds=30))
    assert "has no record: the job was added, or given another schedule, after that time" in said


def test_a_job_whose_schedule_is_over_is_neither_paused_nor_resumed(scheduler: Any) -> None:
    scheduler.add_job(boom, "date", run_date=at(scheduler, 5), id="j")
    scheduler.advance(10)
    scheduler.pause_job("j")
    scheduler.resume_job("j")
    scheduler.advance(1)
    (job,) = scheduler.find_jobs(states="ended").items
    assert job.id == "j"
    (run,) = scheduler.get_runs("j")
    assert scheduler.rerun("j", run.nominal).status == "waiting"


def test_a_pause_that_ends_while_the_job_is_on_hold_is_over_when_it_is_released(scheduler: Any) -> None:
    begin = add(scheduler, tags={"feeds"})
    scheduler.advance(15)
    scheduler.pause_job("j", until=begin + timedelta(seconds=40))
    scheduler.hold(tag="feeds")
    scheduler.advance(30)
    scheduler.release(tag="feeds")
    scheduler.advance(6)
    assert recorded(scheduler, begin)[-1] == (50, "succeeded", 1)


def test_a_failed_run_says_why_there_was_no_other_try(scheduler: Any) -> None:
    begin = add(scheduler, boom, retry=True)
    scheduler.advance(21)
    said = scheduler.explain("j", begin + timedelta(seconds=10))
    assert "and failed (superseded): ValueError: boom" in said


def test_a_run_does_not_wait_for_another_one_of_its_own_job() -> None:
    """With real threads: in virtual time the job would wait in the thread that moves the time."""
    from queue import SimpleQueue

    from rota import BackgroundScheduler

    said: SimpleQueue[Any] = SimpleQueue()
    scheduler = BackgroundScheduler()

    def asks_for_itself() -> None:
        try:
            said.put(scheduler.run_job("j").result())
        except WouldBlockError as exc:
            said.put(str(exc))

    scheduler.start()
    scheduler.add_job(
        asks_for_itself, "interval", hours=1, id="j", next_run_time=moment(scheduler.clock.now())
    )
    assert "it waits for the end of this run of the same job" in said.get(timeout=20)
    scheduler.shutdown(wait=False)
