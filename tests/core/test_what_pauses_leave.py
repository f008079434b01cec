"""What is owed and recorded when jobs that were paused, or have failures counted, go on: each time has one record."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from rota import Retry, Snooze
from rota.clock import moment
from rota.errors import WouldBlockError
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler
from rota.triggers.interval import IntervalTrigger
from tests.needs import need

CALLS: list[str] = []


def note() -> None:
    CALLS.append("called")


def boom() -> None:
    raise ValueError("boom")


def later() -> None:
    CALLS.append("called")
    if len(CALLS) == 1:
        raise Snooze(60)


async def slow(seconds: float = 25) -> None:
    await asyncio.sleep(seconds)


async def stubborn() -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(45)
        return
    await asyncio.sleep(45)


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


def test_resuming_a_job_that_is_not_paused_keeps_a_time_that_is_kept_apart_from_others(
    scheduler: Any,
) -> None:
    begin = add(scheduler, spread=9)
    due = scheduler.get_job("j").next_run_time
    assert due > begin + timedelta(seconds=10)
    scheduler.advance(10)
    scheduler.resume_job("j")
    assert scheduler.get_job("j").next_run_time == due
    scheduler.advance(9)
    assert recorded(scheduler, begin) == [(10, "succeeded", 1)]


def by_hand(scheduler: Any) -> None:
    scheduler.pause_job("j")
    scheduler.advance(1)
    scheduler.resume_job("j")


def by_itself(scheduler: Any) -> None:
    scheduler.pause_job("j", until=at(scheduler, 1))
    scheduler.advance(1)


def released(scheduler: Any) -> None:
    scheduler.hold(all=True)
    scheduler.advance(1)
    scheduler.release(all=True)


GOES_ON = pytest.mark.parametrize(
    "way", [by_hand, by_itself, released, lambda scheduler: scheduler.resume_job("j")]
)


@GOES_ON
def test_a_time_to_come_that_a_job_was_given_is_kept_when_it_goes_on(scheduler: Any, way: Any) -> None:
    begin = add(scheduler)
    scheduler.modify_job("j", next_run_time=begin + timedelta(seconds=5))
    way(scheduler)
    scheduler.advance(10)
    assert recorded(scheduler, begin) == [(5, "succeeded", 1)]


@GOES_ON
def test_a_time_to_come_is_kept_by_a_job_whose_schedule_has_no_more(scheduler: Any, way: Any) -> None:
    begin = at(scheduler)
    scheduler.add_job(
        note, "interval", seconds=10, start_date=begin, end_date=begin + timedelta(seconds=5), id="j"
    )
    scheduler.modify_job("j", next_run_time=begin + timedelta(seconds=30))
    scheduler.advance(20)
    way(scheduler)
    scheduler.advance(15)
    assert recorded(scheduler, begin) == [(30, "succeeded", 1)]


@GOES_ON
def test_a_time_that_was_cancelled_ahead_stays_so_when_the_job_goes_on(scheduler: Any, way: Any) -> None:
    begin = add(scheduler)
    scheduler.advance(12)
    scheduler.cancel_run("j", begin + timedelta(seconds=20))
    way(scheduler)
    scheduler.advance(20)
    assert recorded(scheduler, begin) == [(10, "succeeded", 1), (20, "cancelled", 1), (30, "succeeded", 1)]


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
    scheduler.modify_job("j", next_run_time=begin + timedelta(seconds=60))
    scheduler.advance(25)
    assert (
        "has no record: the job was added later, or given another schedule or next time"
        in scheduler.explain("j", begin + timedelta(seconds=30))
    )
    assert scheduler.explain("j", begin + timedelta(seconds=50)).startswith(
        "It will not run: the next time that the job has, or was given, is "
    )


def again(**options: Any) -> dict[str, Any]:
    """Return the arguments with which a job is added again."""
    return {"func": note, "trigger": "interval", "id": "j", **options}


EDITS = {
    "modify_job": lambda scheduler, at: scheduler.modify_job("j", next_run_time=at),
    "reschedule_job": lambda scheduler, at: scheduler.reschedule_job(
        "j", trigger="interval", seconds=10, start_date=at
    ),
    "add_job": lambda scheduler, at: scheduler.add_job(
        **again(seconds=11, start_date=at), replace_existing=True
    ),
    "add_jobs": lambda scheduler, at: scheduler.add_jobs(
        [again(id="other", hours=1), again(seconds=11, start_date=at)], replace_existing=True
    ),
    "next_run_time": lambda scheduler, at: scheduler.add_job(
        **again(seconds=10, next_run_time=at), replace_existing=True
    ),
}


@pytest.mark.parametrize("overlap", ["buffer_one", "buffer_all", "cancel_other"])
@pytest.mark.parametrize("edit", EDITS)
def test_times_that_wait_for_room_have_one_record_when_their_job_is_given_other_ones(
    scheduler: Any, edit: str, overlap: str
) -> None:
    begin = add(scheduler, stubborn, overlap=overlap)
    scheduler.advance(32)  # owes :20 and :30
    EDITS[edit](scheduler, begin + timedelta(seconds=80))
    scheduler.advance(2)
    (left,) = skipped(recorded(scheduler, begin))
    assert left == (20, "skipped", 2)
    assert scheduler.get_run("j", begin + timedelta(seconds=20)).reason == "rescheduled"
    said = scheduler.explain("j", begin + timedelta(seconds=30))
    assert "It was left out: it waited for room until its job was given another schedule" in said
    scheduler.advance(100)
    assert min(nominal for nominal, _, _ in recorded(scheduler, begin) if nominal > 20) == 80


def test_a_time_that_waits_for_room_waits_on_when_its_job_is_edited_otherwise(scheduler: Any) -> None:
    begin = add(scheduler, slow, overlap="buffer_all")
    scheduler.advance(32)
    scheduler.modify_job("j", name="another")
    add_again = again(seconds=10, start_date=begin + timedelta(seconds=10), overlap="buffer_all")
    scheduler.add_job(**{**add_again, "func": slow}, replace_existing=True)
    scheduler.advance(60)
    assert [nominal for nominal, _, _ in recorded(scheduler, begin)][:3] == [10, 20, 30]


def skipped(found: list[tuple[int, str, int]]) -> list[tuple[int, str, int]]:
    return [each for each in found if each[1] == "skipped"]


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_a_paused_job_that_an_edit_lets_go_on_leaves_one_record(scheduler: Any, change: Any) -> None:
    begin = add(scheduler)
    scheduler.advance(15)
    scheduler.pause_job("j", note="why")
    scheduler.advance(30)
    change(scheduler, begin + timedelta(seconds=60))
    scheduler.advance(20)
    assert recorded(scheduler, begin) == [(10, "succeeded", 1), (20, "skipped", 3), (60, "succeeded", 1)]
    said = scheduler.explain("j", begin + timedelta(seconds=40))
    assert said == "It was left out: the job was paused."


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_what_a_job_on_hold_has_left_out_is_recorded_when_it_is_given_another_time(
    scheduler: Any, change: Any
) -> None:
    begin = add(scheduler)
    scheduler.advance(15)
    scheduler.hold(all=True)
    scheduler.advance(30)
    change(scheduler, begin + timedelta(seconds=60))
    assert recorded(scheduler, begin) == [(10, "succeeded", 1), (20, "skipped", 3)]
    scheduler.advance(5)
    scheduler.release(all=True)
    scheduler.advance(15)
    assert recorded(scheduler, begin) == [(10, "succeeded", 1), (20, "skipped", 3), (60, "succeeded", 1)]
    assert {run.reason for run in scheduler.get_runs("j", status="skipped")} == {"on hold"}


def test_a_job_on_hold_that_is_released_late_leaves_the_times_of_its_new_schedule_out(scheduler: Any) -> None:
    begin = add(scheduler)
    scheduler.advance(15)
    scheduler.hold(all=True)
    scheduler.advance(30)
    scheduler.reschedule_job("j", trigger="interval", seconds=7, start_date=begin + timedelta(seconds=50))
    scheduler.advance(20)
    scheduler.release(all=True)
    assert recorded(scheduler, begin) == [(10, "succeeded", 1), (20, "skipped", 3), (50, "skipped", 3)]


def test_a_past_time_and_those_after_it_are_planned_and_only_those_before_are_left_out(
    scheduler: Any,
) -> None:
    begin = add(scheduler, coalesce=False)
    scheduler.advance(15)
    scheduler.pause_job("j")
    scheduler.advance(30)
    scheduler.modify_job("j", next_run_time=begin + timedelta(seconds=30))
    scheduler.advance(1)
    assert recorded(scheduler, begin) == [
        (10, "succeeded", 1), (20, "skipped", 1), (30, "succeeded", 1), (40, "succeeded", 1),
    ]  # fmt: skip


def test_times_are_recorded_once_however_often_the_job_is_edited_and_resumed(scheduler: Any) -> None:
    begin = add(scheduler)
    scheduler.advance(15)
    scheduler.pause_job("j")
    scheduler.advance(30)
    EDITS["reschedule_job"](scheduler, begin + timedelta(seconds=51))
    scheduler.pause_job("j")
    EDITS["reschedule_job"](scheduler, begin + timedelta(seconds=60))
    scheduler.pause_job("j")
    scheduler.resume_job("j")
    scheduler.advance(16)
    assert recorded(scheduler, begin) == [(10, "succeeded", 1), (20, "skipped", 3), (60, "succeeded", 1)]


def test_a_paused_job_that_is_given_another_trigger_stays_paused_and_owes_the_times_of_both(
    scheduler: Any,
) -> None:
    begin = add(scheduler)
    scheduler.advance(15)
    scheduler.pause_job("j", note="why")
    scheduler.advance(30)
    trigger = IntervalTrigger(seconds=7, start_date=begin + timedelta(seconds=50))
    scheduler.modify_job("j", trigger=trigger)
    assert scheduler.get_job("j").state == "paused"
    scheduler.modify_job("j", name="another")
    scheduler.advance(20)  # to :65
    assert scheduler.explain("j").endswith(": why.")
    scheduler.resume_job("j")
    assert recorded(scheduler, begin) == [(10, "succeeded", 1), (20, "skipped", 3), (50, "skipped", 3)]


def test_an_edit_that_leaves_a_paused_job_as_it_is_records_nothing(scheduler: Any) -> None:
    begin = add(scheduler)
    scheduler.advance(15)
    scheduler.pause_job("j")
    scheduler.advance(30)
    start = begin + timedelta(seconds=10)
    scheduler.modify_job("j", name="another")
    scheduler.pause_job("j", note="why")
    scheduler.add_job(**again(seconds=10, start_date=start), replace_existing=True)
    scheduler.add_jobs([again(seconds=10, start_date=start), again(id="k", hours=1)], replace_existing=True)
    assert (recorded(scheduler, begin), scheduler.get_job("j").state) == ([(10, "succeeded", 1)], "paused")
    scheduler.resume_job("j")
    scheduler.advance(6)
    assert recorded(scheduler, begin) == [(10, "succeeded", 1), (20, "skipped", 3), (50, "succeeded", 1)]


def test_a_paused_job_that_is_replaced_by_a_paused_one_owes_nothing_from_then_on(scheduler: Any) -> None:
    begin = add(scheduler)
    scheduler.advance(15)
    scheduler.pause_job("j")
    scheduler.advance(30)
    scheduler.add_job(**again(seconds=7, next_run_time=None), replace_existing=True)
    scheduler.advance(20)
    scheduler.modify_job("j", next_run_time=begin + timedelta(seconds=70))
    scheduler.advance(6)
    assert recorded(scheduler, begin) == [(10, "succeeded", 1), (20, "skipped", 3), (70, "succeeded", 1)]


def test_jobs_that_were_added_before_the_start_leave_what_paused_ones_of_their_ids_left_out(
    tmp_path: Any,
) -> None:
    need("sqlalchemy", "sql")
    url = f"sqlite:///{tmp_path / 'rota.sqlite'}"
    first = ManualScheduler(jobstores={"default": url})
    first.start()
    begin = add(first)
    first.advance(15)
    first.pause_job("j")
    first.shutdown()
    second = ManualScheduler(jobstores={"default": url}, clock=first.clock)
    second.advance(30)
    second.add_jobs(
        [again(seconds=11, start_date=begin + timedelta(seconds=60)), again(id="k", hours=1)],
        replace_existing=True,
    )
    second.start()
    assert recorded(second, begin) == [(10, "succeeded", 1), (20, "skipped", 3)]
    second.shutdown()


def test_of_a_job_that_counts_from_the_end_of_its_run_one_time_is_recorded(scheduler: Any) -> None:
    begin = add(scheduler, mode="delay")
    scheduler.advance(15)
    scheduler.pause_job("j")
    scheduler.advance(30)
    EDITS["modify_job"](scheduler, begin + timedelta(seconds=60))
    assert recorded(scheduler, begin) == [(10, "succeeded", 1), (20, "skipped", 1)]


def test_a_job_that_was_paused_after_its_failures_leaves_a_record_when_an_edit_lets_it_go_on(
    scheduler: Any,
) -> None:
    begin = add(scheduler, boom, pause_on_failure=2)
    scheduler.advance(45)
    assert scheduler.get_job("j").state == "paused"
    EDITS["reschedule_job"](scheduler, begin + timedelta(seconds=60))
    assert recorded(scheduler, begin) == [(10, "failed", 1), (20, "failed", 1), (30, "skipped", 2)]


@pytest.mark.parametrize("go_on", ["resume", "edit"])
def test_an_edit_that_fails_after_the_record_was_written_leaves_no_second_one(
    scheduler: Any, go_on: str
) -> None:
    begin = add(scheduler)
    scheduler.advance(15)
    scheduler.pause_job("j")
    scheduler.advance(30)
    store = scheduler._lookup_jobstore("default")
    save = store.save_job

    def fails(*args: Any) -> Any:
        raise ConnectionError("the server is gone")

    store.save_job = fails
    with pytest.raises(ConnectionError):
        EDITS["reschedule_job"](scheduler, begin + timedelta(seconds=60))
    store.save_job = save
    assert recorded(scheduler, begin) == [(10, "succeeded", 1), (20, "skipped", 3)]
    scheduler.advance(10)
    if go_on == "resume":
        scheduler.resume_job("j")
    else:
        EDITS["reschedule_job"](scheduler, begin + timedelta(seconds=60))
    scheduler.advance(6)
    assert recorded(scheduler, begin) == [
        (10, "succeeded", 1), (20, "skipped", 3), (50, "skipped", 1), (60, "succeeded", 1),
    ]  # fmt: skip


def test_an_edit_beside_which_somebody_resumes_the_job_records_no_time_twice(scheduler: Any) -> None:
    """R1"""
    begin = add(scheduler)
    scheduler.advance(15)
    scheduler.pause_job("j")
    scheduler.advance(30)
    store = scheduler._lookup_jobstore("default")
    claim = store.claim

    def late(*args: Any) -> Any:
        store.claim = claim
        scheduler.resume_job("j")
        return claim(*args)

    store.claim = late
    EDITS["reschedule_job"](scheduler, begin + timedelta(seconds=60))
    scheduler.advance(20)
    assert recorded(scheduler, begin) == [(10, "succeeded", 1), (20, "skipped", 3), (60, "succeeded", 1)]


class Broken(IntervalTrigger):
    """A trigger that raises once it is told to."""

    broken = False

    def latest(self, first: int, now: int) -> tuple[int, int]:
        if Broken.broken:
            raise RuntimeError("no times")
        return super().latest(first, now)


def test_an_edit_repairs_a_paused_job_whose_trigger_raises_and_what_it_left_out_has_no_record(
    monkeypatch: Any, caplog: Any
) -> None:
    scheduler = ManualScheduler()
    scheduler.start()
    begin = at(scheduler)
    trigger = Broken(seconds=10, start_date=begin + timedelta(seconds=10))
    scheduler.add_job(note, trigger, id="j")
    scheduler.advance(15)
    scheduler.pause_job("j")
    scheduler.advance(30)
    monkeypatch.setattr(Broken, "broken", True)
    EDITS["reschedule_job"](scheduler, begin + timedelta(seconds=60))
    scheduler.advance(20)
    assert recorded(scheduler, begin) == [(10, "succeeded", 1), (60, "succeeded", 1)]
    assert "cannot be told, and has no record" in caplog.text
    scheduler.shutdown()


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


def stopped(scheduler: Any, way: str) -> None:
    if way == "paused":
        scheduler.pause_job("j")
    elif way == "with a note":
        scheduler.pause_job("j", note="wrong figures")
    elif way == "until":
        scheduler.pause_job("j", until=at(scheduler, 300))
    else:
        assert scheduler.hold(all=True) == 1


def goes_on(scheduler: Any, way: str) -> None:
    if way in ("paused", "with a note"):
        assert scheduler.resume_job("j").state == "ended"
    elif way == "on hold":
        assert scheduler.release(all=True) == 1


WAYS = pytest.mark.parametrize("way", ["paused", "with a note", "until", "on hold"])


@WAYS
@pytest.mark.parametrize("last", ["retry", "snoozed", "backfill"])
def test_a_pause_holds_back_what_waits_of_a_job_whose_schedule_is_over(
    scheduler: Any, way: str, last: str
) -> None:
    begin = at(scheduler)
    if last == "backfill":
        scheduler.add_job(boom, "interval", seconds=10, start_date=begin, end_date=at(scheduler, 5), id="j")
    else:
        func, options = (
            (boom, {"retry": Retry(wait_initial=60, wait_jitter=0)}) if last == "retry" else (later, {})
        )
        scheduler.add_job(func, "date", run_date=at(scheduler, 5), id="j", **options)
    scheduler.advance(10)
    if last == "backfill":
        scheduler.advance(10)
        assert scheduler.backfill("j", begin, begin + timedelta(seconds=1), only_missing=False) == 1
    else:
        assert scheduler.find_jobs(states="ended").items
    stopped(scheduler, way)
    attempt = scheduler.find_runs(statuses="waiting").items[0].attempt
    scheduler.advance(200)
    assert [run.status for run in scheduler.get_runs("j")] == ["waiting"]
    assert "is paused" in scheduler.explain("j") or "is on hold" in scheduler.explain("j")
    goes_on(scheduler, way)
    scheduler.advance(200)
    (run,) = scheduler.get_runs("j")
    assert run.attempt > attempt
    assert scheduler.get_jobs() == []


@WAYS
def test_a_job_whose_schedule_ends_while_it_is_paused_keeps_what_waits(scheduler: Any, way: str) -> None:
    begin = at(scheduler)
    end = begin + timedelta(seconds=35)
    retry = Retry(wait_initial=60, wait_jitter=0, until=None)
    scheduler.add_job(boom, "interval", seconds=10, start_date=begin, end_date=end, id="j", retry=retry)
    scheduler.advance(5)
    stopped(scheduler, way)
    scheduler.advance(200)
    goes_on(scheduler, way)
    scheduler.advance(200)
    left, run = recorded(scheduler, begin)[::-1]
    assert (left, run[0]) == ((10, "skipped", 3), 0)
    assert scheduler.get_run("j", begin).attempt > 1


@WAYS
def test_what_is_asked_for_of_a_job_whose_schedule_is_over_runs_while_it_is_paused(
    scheduler: Any, way: str
) -> None:
    scheduler.add_job(later, "date", run_date=at(scheduler, 5), id="j", max_instances=2)
    scheduler.advance(10)
    stopped(scheduler, way)
    asked = scheduler.run_job("j")
    scheduler.advance(1)
    assert scheduler.get_run("j", asked.nominal).attempt == 1


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


@pytest.mark.parametrize("held", [False, True])
def test_a_job_that_is_paused_once_more_without_an_end_stays_paused(scheduler: Any, held: bool) -> None:
    scheduler.add_job(note, "interval", minutes=1, id="job", tags=["t"])
    scheduler.pause_job("job", note="a while", until=scheduler.clock.datetime() + timedelta(minutes=2))
    if held:
        scheduler.hold(tag="t")
    scheduler.pause_job("job")
    if held:
        scheduler.release(tag="t")
    scheduler.advance(minutes=10)
    assert scheduler.get_job("job").next_run_time is None
    assert "a while" in scheduler.explain("job")
    scheduler.resume_job("job")
    assert [(run.status, run.count) for run in scheduler.get_runs("job")] == [("skipped", 9)]
