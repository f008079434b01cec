"""Which events there are, of which class, and who is told of them."""

from __future__ import annotations

from threading import Event

import pytest

from rota import BackgroundScheduler, ProcessPoolExecutor, ThreadPoolExecutor, events
from rota.errors import OptionTypeError
from rota.events import (
    EVENT_ALL,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_PAUSED,
    EVENT_JOB_STARTED,
    EVENT_JOB_SUBMITTED,
    JobCancelRequestedEvent,
    JobEvent,
    JobExecutionEvent,
    JobPausedEvent,
    JobStartedEvent,
    SchedulerEvent,
)
from rota.executors.steps import perform
from rota.testing.manual import ManualScheduler


@pytest.fixture
def scheduler():
    scheduler = ManualScheduler()
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


CODES = {
    name: getattr(events, name)
    for name in events.__all__
    if name.startswith("EVENT_") and name not in ("EVENT_ALL", "EVENT_SCHEDULER_START")
}


def test_each_code_is_a_bit_of_its_own_and_all_of_them_are_in_the_mask_of_all():
    assert sorted(CODES.values()) == [2**bit for bit in range(len(CODES))]
    assert sum(CODES.values()) == EVENT_ALL


def test_each_event_class_that_is_public_has_its_codes_within_those_of_its_base():
    classes = {value for value in map(events.__dict__.get, events.__all__) if isinstance(value, type)}
    assert classes == set(events.CODES)
    for cls in classes - {SchedulerEvent}:
        base = next(each for each in cls.__mro__[1:] if each in classes)
        assert events.CODES[cls] & events.CODES[base] == events.CODES[cls], cls


@pytest.mark.parametrize(
    "given", ["EVENT_ALL", int, Exception, type("Own", (JobEvent,), {}), None, 1.0], ids=repr
)
def test_what_is_neither_a_mask_nor_an_event_class_is_refused(scheduler, given):
    with pytest.raises(OptionTypeError, match=r"OR of event codes of rota\.events, or one of its"):
        scheduler.add_listener(print, given)
    assert scheduler._listening.mask == 0


def test_a_class_stands_for_the_classes_derived_from_it(scheduler):
    told, ends = [], []
    scheduler.add_listener(told.append, JobEvent)
    scheduler.add_listener(ends.append, JobExecutionEvent)
    scheduler.add_job(int, id="j")
    scheduler.advance(seconds=1)
    scheduler.pause()
    assert [type(event).__name__ for event in told] == [
        "JobEvent",
        "JobSubmissionEvent",
        "JobEvent",
        "JobStartedEvent",
        "JobExecutionEvent",
    ]
    assert [event.outcome for event in ends] == ["succeeded"]


def test_a_pause_is_told_with_its_note(scheduler):
    told = []
    scheduler.add_listener(told.append, JobPausedEvent)
    for id in ("a", "b"):
        scheduler.add_job(int, "interval", hours=1, id=id, tags={id})
    scheduler.pause_job("a", note="the feed is down")
    assert scheduler.hold(tag="b", note="a migration") == 1
    assert [(event.job_id, event.note) for event in told] == [("a", "the feed is down"), ("b", "a migration")]


def test_a_pause_is_told_after_the_change_and_once(scheduler):
    told = []
    scheduler.add_listener(told.append, EVENT_JOB_MODIFIED | EVENT_JOB_PAUSED)
    job = scheduler.add_job(int, "interval", hours=1, id="j")
    job.pause()
    assert [event.code for event in told] == [EVENT_JOB_MODIFIED, EVENT_JOB_PAUSED]
    assert (type(told[1]), told[1].job_id, told[1].jobstore, told[1].note) == (
        JobPausedEvent,
        "j",
        "default",
        None,
    )
    told.clear()
    job.modify(name="other")  # it is paused already
    job.resume()
    job.modify(next_run_time=None)
    assert [event.code for event in told] == [EVENT_JOB_MODIFIED] * 3 + [EVENT_JOB_PAUSED]


def test_an_attempt_of_a_worker_process_starts_once():
    told, ended = [], Event()
    with BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)}) as scheduler:
        scheduler.add_listener(told.append, EVENT_JOB_SUBMITTED | EVENT_JOB_STARTED)
        scheduler.add_listener(lambda event: ended.set(), EVENT_JOB_EXECUTED)
        scheduler.add_job("operator:add", args=[1, 2], id="j")
        assert ended.wait(20)
    assert [event.code for event in told] == [EVENT_JOB_SUBMITTED, EVENT_JOB_STARTED]


def test_where_nobody_listens_to_starts_runs_are_carried_out_by_the_very_same_steps():
    executor = ThreadPoolExecutor(1)
    scheduler = BackgroundScheduler(executors={"default": executor})
    scheduler.add_listener(print, EVENT_ALL & ~EVENT_JOB_STARTED)
    assert executor._perform is perform
    listener = [].append
    scheduler.add_listener(listener, EVENT_JOB_STARTED)
    assert executor._perform is not perform
    scheduler.remove_listener(listener)
    assert executor._perform is perform


def test_a_subclass_that_sees_all_events_sees_starts():
    class Seeing(ManualScheduler):
        def _dispatch_event(self, event):
            seen.append(event.code)

    seen = []
    scheduler = Seeing()
    scheduler.start()
    scheduler.add_job(int)
    scheduler.advance(seconds=1)
    assert seen.count(EVENT_JOB_STARTED) == 1
    scheduler.shutdown()


def test_a_start_that_cannot_be_told_costs_the_run_nothing(scheduler, caplog):
    def broken(event):
        raise SystemExit("no")

    scheduler.add_listener(print, JobStartedEvent)
    scheduler._enqueue_event = broken
    scheduler.add_job(int, id="j")
    scheduler.advance(seconds=1)
    assert scheduler.get_runs("j")[0].status == "succeeded"
    assert "The start of <Run j@" in caplog.text


def test_the_request_to_cancel_is_an_event_of_its_own(scheduler):
    told = []
    scheduler.add_listener(told.append, JobCancelRequestedEvent)
    event = JobCancelRequestedEvent(
        events.EVENT_JOB_CANCEL_REQUESTED, "j", "default", scheduler.clock.datetime(), "too slow"
    )
    scheduler._enqueue_event(event)
    scheduler.advance(seconds=1)
    assert told == [event]
    assert event.reason == "too slow"
