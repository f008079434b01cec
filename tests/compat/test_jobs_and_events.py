"""What programs set on jobs, and read of jobs and events, by APScheduler's names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rota.errors import JobTypeError
from rota.events import EVENT_JOB_EXECUTED, EVENT_JOB_MISSED, JobEvent, JobSubmissionEvent
from rota.job import Job
from rota.schedulers.background import BackgroundScheduler
from rota.testing import ManualScheduler, VirtualClock
from tests.needs import need
from tests.present import present


def answer():
    return 42


@pytest.fixture(params=["memory", "file"])
def scheduler(request, tmp_path):
    stores = {}
    if request.param == "file":
        need("sqlalchemy", "sql")
        stores = {"default": f"sqlite:///{tmp_path}/jobs.sqlite"}
    with ManualScheduler(jobstores=stores) as scheduler:
        yield scheduler


OPTIONS = {"misfire_grace_time": 77, "coalesce": False, "max_instances": 5}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_is_set_on_a_job_is_stored(scheduler, name):
    job = scheduler.add_job(answer, "interval", hours=1, id="a")
    setattr(job, name, OPTIONS[name])
    assert getattr(job, name) == OPTIONS[name]
    assert getattr(scheduler.get_job("a"), name) == OPTIONS[name]
    setattr(scheduler.get_job("a"), name, 2)
    assert getattr(scheduler.get_job("a"), name) == (name == "coalesce" or 2)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_is_set_before_the_start_outlives_it(name):
    scheduler = BackgroundScheduler(job_defaults={"misfire_grace_time": 1})
    job = scheduler.add_job(answer, "interval", hours=1, id="a")
    setattr(job, name, OPTIONS[name])
    scheduler.start(paused=True)
    try:
        assert getattr(scheduler.get_job("a"), name) == OPTIONS[name]
    finally:
        scheduler.shutdown()


def test_an_option_that_is_wrong_is_refused_when_it_is_set(scheduler):
    job = scheduler.add_job(answer, "interval", hours=1, id="a")
    with pytest.raises(JobTypeError, match="max_instances must be a positive integer"):
        job.max_instances = 0
    assert job.max_instances == scheduler.get_job("a").max_instances == 1


def test_a_job_that_is_in_no_scheduler_takes_its_options():
    job = Job.__new__(Job)
    job.misfire_grace_time = 5
    assert job.misfire_grace_time == 5


@pytest.mark.parametrize("maker", [Job, object])
def test_the_attributes_of_a_job_can_be_taken_by_its_slots(scheduler, maker):
    job = scheduler.add_job(answer, "interval", hours=1, id="a", args=())
    taken = {name: getattr(job, name) for name in job.__slots__}
    assert taken["id"] == "a"
    assert taken["misfire_grace_time"] is None
    assert taken["next_run_time"] == job.next_run_time
    twin = maker.__new__(Job)
    for name in job.__slots__:
        if name != "__weakref__":
            setattr(twin, name, taken[name])
    assert twin.__getstate__() == job.__getstate__()


def test_a_job_that_is_copied_slot_by_slot_is_the_same_job():
    scheduler = ManualScheduler()
    scheduler.start()
    job = scheduler.add_job(int, "interval", hours=1, id="j", name="n", max_instances=3)
    copied = object.__new__(Job)
    for name in Job.__slots__:
        if name != "__weakref__":
            setattr(copied, name, getattr(job, name))
    assert copied == job and copied.__getstate__() == job.__getstate__()
    assert (copied._scheduler, copied._jobstore_alias) == (scheduler, "default")
    assert present(scheduler.get_job("j")).max_instances == 3


def test_the_run_times_of_a_job_up_to_now_are_told():
    start = datetime(2030, 1, 1, tzinfo=UTC)
    with ManualScheduler(clock=VirtualClock(start), timezone="UTC") as scheduler:
        job = scheduler.add_job(answer, "interval", minutes=1, id="a")
        assert job._get_run_times(start) == []
        expected = [start + timedelta(minutes=minute) for minute in (1, 2, 3)]
        assert job._get_run_times(start + timedelta(minutes=3)) == expected
        job.pause()
        assert job._get_run_times(start + timedelta(minutes=3)) == []


def test_a_double_of_a_job_needs_no_function():
    class Double(Job):
        def __init__(self, scheduler, func):
            super().__init__(scheduler)
            self.func = func

    double = Double(BackgroundScheduler(), answer)
    assert double.func() == 42
    assert double.pending
    with pytest.raises(JobTypeError, match="func must be a callable"):
        Job(BackgroundScheduler(), func=None)


def test_an_event_shows_its_attributes_and_takes_those_of_a_program():
    event = JobSubmissionEvent(2**15, "a", "default", [])
    assert vars(event) == {
        "code": 2**15,
        "alias": None,
        "job_id": "a",
        "jobstore": "default",
        "scheduled_run_times": [],
    }
    event.triggered_by = "hand"  # type: ignore[attr-defined]
    assert "triggered_by='hand'" in repr(event)
    assert repr(JobEvent(512, "a", None)) == "<JobEvent (code=512, alias=None, job_id='a', jobstore=None)>"


def test_the_event_of_a_job_that_ran_once_has_its_name_and_its_reference(scheduler):
    events = []
    scheduler.add_listener(
        lambda event: events.append((event.name, event.func_ref, scheduler.get_job(event.job_id))),
        EVENT_JOB_EXECUTED,
    )
    scheduler.add_job(answer, id="a", name="the answer")
    scheduler.advance(seconds=1)
    assert events == [("the answer", f"{__name__}:answer", None)]


def test_the_event_of_a_missed_run_has_its_name(scheduler):
    events = []
    scheduler.add_listener(events.append, EVENT_JOB_MISSED)
    scheduler.pause()
    scheduler.add_job(answer, id="a", name="the answer", misfire_grace_time=5)
    scheduler.advance(minutes=1)
    scheduler.resume()
    scheduler.advance(seconds=1)
    assert [(event.name, event.func_ref) for event in events] == [("the answer", f"{__name__}:answer")]
