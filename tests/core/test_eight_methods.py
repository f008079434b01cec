"""Stores of APScheduler's eight methods: the port's defaults give them a ledger, on one node."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rota.clock import moment
from rota.core.policy import OPTION_NAMES
from rota.job import Job
from rota.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from rota.testing import ManualScheduler
from rota.triggers.interval import IntervalTrigger
from tests.core.engine_kit import Gate, outcomes, started
from tests.present import present


class EightMethods(BaseJobStore):
    """Keeps jobs as APScheduler 3's states, as third-party stores do."""

    def __init__(self):
        self.states = {}
        self.broken_job = None

    def _restored(self, state):
        job = Job.__new__(Job)
        job.__setstate__(state)
        job._scheduler, job._jobstore_alias = self._scheduler, self._alias
        return job

    def _require(self, job_id):
        if job_id == self.broken_job:
            raise ConnectionError("the server is gone")
        if job_id not in self.states:
            raise JobLookupError(job_id)

    def lookup_job(self, job_id):
        return self._restored(self.states[job_id]) if job_id in self.states else None

    def get_due_jobs(self, now):
        return [
            job for job in self.get_all_jobs() if job.next_run_time is not None and job.next_run_time <= now
        ]

    def get_next_run_time(self):
        return min((job.next_run_time for job in self.get_all_jobs() if job.next_run_time), default=None)

    def get_all_jobs(self):
        jobs = [self._restored(state) for state in self.states.values()]
        return sorted(jobs, key=lambda job: (job.next_run_time is None, job.next_run_time or 0))

    def add_job(self, job):
        if job.id in self.states:
            raise ConflictingIdError(job.id)
        self.states[job.id] = job.__getstate__()

    def update_job(self, job):
        self._require(job.id)
        self.states[job.id] = job.__getstate__()

    def remove_job(self, job_id):
        self._require(job_id)
        del self.states[job_id]

    def remove_all_jobs(self):
        self.states.clear()


def work():
    """Be a job."""


def test_jobs_of_such_a_store_run_and_have_records():
    scheduler, _ = started(jobstores={"default": EightMethods()})
    scheduler.add_job(work, "interval", minutes=1, id="j")
    scheduler.advance(minutes=3)
    assert outcomes(scheduler, "j") == [("succeeded", None, 1)] * 3


def told(run):
    """Be told of a run."""


OPTIONS = {
    "misfire_grace_time": 5,
    "coalesce": False,
    "max_instances": 2,
    "expires": 1.5,
    "on_lost": "lost",
    "max_attempts": 7,
    "keep_log": 100,
    "timeout": 30,
    "heartbeat_timeout": 10,
    "on_failure": told,
    "retry": True,
    "overlap": "buffer_one",
    "pause_on_failure": 3,
}


def test_a_job_of_such_a_store_has_all_of_its_options_and_marks():
    assert set(OPTIONS) == set(OPTION_NAMES)
    store = EightMethods()
    scheduler, _ = started(jobstores={"default": store})
    given = scheduler.add_job(work, "interval", hours=1, tags={"a"}, metadata={"x": 1}, **OPTIONS)
    job = scheduler.get_job(given.id)
    assert job is not given
    assert (job.policy, job.tags, job.metadata) == (given.policy, ("a",), {"x": 1})
    assert job.policy.on_failure == "tests.core.test_eight_methods:told"
    handler = [].append  # it has no name
    nameless = scheduler.add_job(work, "interval", hours=1, on_failure=handler)
    assert scheduler.get_job(nameless.id).policy.on_failure.func == handler


def test_what_a_job_of_such_a_store_does_not_have_is_not_stored():
    store = EightMethods()
    scheduler, _ = started(jobstores={"default": store})
    scheduler.add_job(work, "interval", hours=1, id="j")
    known = {"misfire_grace_time", "coalesce", "max_instances"}
    assert {*OPTION_NAMES, "tags", "metadata"} & set(store.states["j"]) == known


def test_its_runs_do_not_overlap():
    gate = Gate()
    scheduler, _ = started(jobstores={"default": EightMethods()}, executors={"default": gate})
    scheduler.add_job(work, "interval", minutes=1, id="j")
    scheduler.advance(minutes=3)
    assert len(gate.held) == 1
    gate.release()
    scheduler.advance(minutes=1)
    assert len(gate.held) == 1


def test_a_group_of_missed_runs_holds_its_job_until_it_has_ended():
    gate = Gate()
    scheduler, _ = started(jobstores={"default": EightMethods()}, executors={"default": gate})
    scheduler.add_job(work, "interval", minutes=1, id="j", coalesce=False)
    scheduler.clock.advance(minutes=150)
    scheduler.run_pending()
    assert len(gate.held) == 100
    scheduler.run_pending()
    assert len(gate.held) == 100
    gate.release()
    scheduler.run_pending()
    assert len(gate.held) == 50


def test_an_error_in_the_middle_of_a_batch_costs_only_the_job_that_it_happened_to():
    store = EightMethods()
    scheduler, _ = started(jobstores={"default": store})
    for name in "abc":
        scheduler.add_job(work, "interval", minutes=1, id=name)
    store.broken_job = "b"
    scheduler.advance(minutes=1)
    assert outcomes(scheduler, "a") == outcomes(scheduler, "c") == [("succeeded", None, 1)]
    store.broken_job = None
    scheduler.advance(minutes=1)
    for name in "abc":
        assert sum(count for _, _, count in outcomes(scheduler, name)) == 2, name
        assert {status for status, _, _ in outcomes(scheduler, name)} <= {"succeeded", "skipped"}


class OperationalError(Exception):
    """What drivers of databases raise, by the name that PEP 249 gives it."""


def test_a_database_that_is_locked_costs_a_job_a_moment_and_not_its_place_among_the_sound_ones():
    class Locked(EightMethods):
        failures = 3

        def update_job(self, job):
            if self.failures:
                self.failures -= 1
                raise OperationalError("database is locked")
            super().update_job(job)

    scheduler = ManualScheduler(jobstores={"default": Locked()})
    scheduler.start()
    scheduler.add_job(int, "interval", minutes=1, id="job")
    scheduler.advance(minutes=1, seconds=30)
    assert [(run.job_id, run.status) for run in scheduler.get_runs()] == [("job", "succeeded")]
    job = present(scheduler.get_job("job"))
    assert (job.state, job.error) == ("active", None)
    scheduler.shutdown(wait=False)


def test_times_before_the_process_began_are_backfilled_only_if_they_may_run_twice():
    store = EightMethods()
    scheduler = ManualScheduler(jobstores={"default": store}, timezone="UTC")
    scheduler.start()
    scheduler.advance(seconds=1)
    began = moment(scheduler.clock.now()).replace(second=0, microsecond=0)
    trigger = IntervalTrigger(minutes=1, start_date=began - timedelta(hours=1), timezone="UTC")
    scheduler.add_job(print, trigger, args=["x"], id="job", next_run_time=began + timedelta(minutes=1))
    with pytest.raises(ValueError, match=r"older than the ledger remembers.*only_missing=False"):
        scheduler.backfill("job", began - timedelta(minutes=5), began)
    assert scheduler.backfill("job", began - timedelta(minutes=5), began, only_missing=False) == 6
    scheduler.advance(seconds=10)
    assert [run.status for run in scheduler.get_runs("job")] == ["succeeded"] * 6
    scheduler.pause_job("job")
    scheduler.advance(minutes=5)
    # A store of eight methods has no record of what a pause leaves out before it is resumed.
    assert scheduler.backfill("job", began + timedelta(minutes=1), began + timedelta(minutes=4)) == 4
    scheduler.resume_job("job")
    scheduler.advance(seconds=10)
    times = [run.scheduled_run_time for run in scheduler.get_runs("job", status="succeeded")]
    assert len(times) == len(set(times)) == 10
    scheduler.shutdown()


class KeepsObjects(EightMethods):
    """Keeps the jobs themselves, and what was noted of their pauses with them."""

    def __init__(self):
        super().__init__()
        self.jobs = {}

    def lookup_job(self, job_id):
        return self.jobs.get(job_id)

    def get_all_jobs(self):
        return sorted(self.jobs.values(), key=lambda job: (job.next_run_time is None, job.next_run_time or 0))

    def add_job(self, job):
        self.jobs[job.id] = job

    def update_job(self, job):
        self.jobs[job.id] = job

    def remove_job(self, job_id):
        del self.jobs[job_id]


@pytest.mark.parametrize(("store", "records"), [(EightMethods, 0), (KeepsObjects, 1)])
def test_an_edit_that_lets_a_paused_job_go_on_leaves_a_record_where_the_store_keeps_its_pause(store, records):
    scheduler, _ = started(jobstores={"default": store()})
    scheduler.add_job(work, "interval", minutes=1, id="j")
    scheduler.pause_job("j")
    scheduler.advance(minutes=3, seconds=30)
    scheduler.modify_job("j", next_run_time=moment(scheduler.clock.now()) + timedelta(minutes=1))
    scheduler.advance(minutes=2)
    left_out = [run for run in scheduler.get_runs("j") if run.reason == "paused"]
    assert [(run.status, run.count) for run in left_out] == [("skipped", 3)] * records
    assert [run.status for run in scheduler.get_runs("j", status="succeeded")] == ["succeeded"] * 2
