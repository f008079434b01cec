"""Jobs whose schedule is over, as programs see them: those that ended well go, the others stay and can be run again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rota import Retry
from rota.clock import SECOND, moment
from rota.core.run import Run, fail
from rota.core.states import succeed
from rota.core.transitions import not_ended_well
from rota.errors import JobLookupError
from rota.events import EVENT_JOB_REMOVED
from rota.testing import ManualScheduler


@pytest.fixture(params=["memory", "sqlite"])
def scheduler(request, tmp_path):
    stores = {"default": f"sqlite:///{tmp_path / 'jobs.sqlite'}"} if request.param == "sqlite" else {}
    scheduler = ManualScheduler(jobstores=stores, timezone="UTC")
    scheduler.start()
    answers.clear()
    yield scheduler
    scheduler.shutdown(wait=False)


answers = []


def work():
    answer = answers.pop(0) if answers else "done"
    if isinstance(answer, Exception):
        raise answer
    return answer


def ended(scheduler):
    return [job.id for job in scheduler.find_jobs(states="ended").items]


def fail_once(scheduler, **options):
    answers.append(ConnectionError("no answer"))
    scheduler.add_job(work, id="once", **options)
    scheduler.advance(seconds=1)


def test_of_the_runs_of_one_step_the_last_one_decides():
    runs = []
    for number, (job_id, is_failure) in enumerate([("a", True), ("a", False), ("b", False), ("b", True)]):
        run = Run(job_id, number, number)
        if is_failure:
            fail(run, ValueError("wrong"), "", 10 + number)
        else:
            succeed(run, None, 10 + number)
        runs.append(run)
    assert not_ended_well(runs) == not_ended_well(reversed(runs)) == {"b"}
    assert not_ended_well(()) == set()


def test_a_job_that_ended_well_is_in_no_list(scheduler):
    scheduler.add_job(work, id="once")
    scheduler.advance(seconds=1)
    assert (scheduler.get_jobs(), scheduler.get_job("once"), ended(scheduler)) == ([], None, [])


def test_one_that_failed_is_found_by_its_state_only(scheduler):
    told = []
    scheduler.add_listener(told.append, EVENT_JOB_REMOVED)
    fail_once(scheduler)
    assert (scheduler.get_jobs(), scheduler.get_job("once"), ended(scheduler)) == ([], None, ["once"])
    assert [event.job_id for event in told] == ["once"]
    assert int(str(scheduler.count_jobs(states="ended"))) == 1
    assert scheduler.find_jobs().items == []
    assert "and failed: ConnectionError" in scheduler.explain("once")


def test_while_its_retry_waits_it_is_no_job_to_get_either(scheduler):
    fail_once(scheduler, retry=Retry(wait_initial=60))
    assert (scheduler.get_job("once"), ended(scheduler)) == (None, ["once"])
    assert scheduler.get_runs("once")[0].status == "waiting"
    scheduler.advance(minutes=2)
    assert (scheduler.get_runs("once")[0].status, ended(scheduler)) == ("succeeded", [])


def test_a_rerun_that_ends_well_takes_it_away(scheduler):
    fail_once(scheduler)
    (run,) = scheduler.get_runs("once")
    again = scheduler.rerun("once", run.scheduled_run_time)
    scheduler.advance(seconds=1)
    assert (again.result(timeout=0), ended(scheduler)) == ("done", [])
    with pytest.raises(JobLookupError):
        scheduler.rerun("once", run.scheduled_run_time)


def test_a_run_by_hand_that_fails_too_leaves_it(scheduler):
    fail_once(scheduler)
    answers.append(ValueError("still wrong"))
    scheduler.run_job("once")
    scheduler.advance(seconds=1)
    assert (len(scheduler.get_runs("once", "failed")), ended(scheduler)) == (2, ["once"])
    scheduler.run_job("once")
    scheduler.advance(seconds=1)
    assert ended(scheduler) == []


def test_it_is_changed_and_goes_on(scheduler):
    fail_once(scheduler)
    scheduler.modify_job("once", name="twice")
    assert [job.name for job in scheduler.find_jobs(states="ended").items] == ["twice"]
    scheduler.modify_job(
        "once", next_run_time=scheduler.get_runs("once")[0].scheduled_run_time + timedelta(minutes=1)
    )
    assert scheduler.get_job("once").name == "twice"
    scheduler.advance(minutes=2)
    assert (scheduler.get_job("once"), ended(scheduler)) == (None, [])
    assert [run.status for run in scheduler.get_runs("once")] == ["succeeded", "failed"]


def test_a_pause_leaves_it_as_it_is(scheduler):
    fail_once(scheduler)
    scheduler.pause_job("once", note="why not")
    assert (scheduler.get_jobs(), ended(scheduler)) == ([], ["once"])


def test_it_is_removed_once(scheduler):
    fail_once(scheduler)
    scheduler.remove_job("once")
    assert ended(scheduler) == []
    with pytest.raises(JobLookupError):
        scheduler.remove_job("once")


def test_a_job_of_its_id_takes_its_place(scheduler):
    fail_once(scheduler)
    job = scheduler.add_job(work, "interval", hours=1, id="once")
    assert (scheduler.get_job("once").next_run_time, ended(scheduler)) == (job.next_run_time, [])
    fail_once(scheduler, replace_existing=True)
    scheduler.add_jobs([{"func": work, "id": "once", "trigger": "interval", "hours": 2}])
    assert scheduler.get_job("once").trigger.interval == timedelta(hours=2)


def test_in_memory_it_goes_with_its_last_record():
    scheduler = ManualScheduler()
    store = scheduler._jobstores.get("default")
    scheduler.start()
    store = scheduler._jobstores["default"]
    answers[:] = [ConnectionError("no answer")]
    scheduler.add_job(work, id="once")
    scheduler.advance(seconds=1)
    store.prune(scheduler.clock.now())
    assert ended(scheduler) == ["once"]
    scheduler.add_job(work, "interval", seconds=1, id="often")
    store._ledger._ended.clear()
    store.prune(scheduler.clock.now())
    assert ended(scheduler) == []
    scheduler.shutdown()


@pytest.mark.parametrize("options", [{}, {"overlap": "allow_all"}], ids=["one by one", "all at once"])
def test_a_backfill_of_a_job_whose_schedule_ends_meanwhile_goes_on_to_its_end(
    scheduler, monkeypatch, options
):
    """Though its runs are so short that none of those that were opened waits any more when the last of them ends."""
    monkeypatch.setattr("rota.engine.backfills.WAIT_AT_ONCE", 5)
    now = scheduler.clock.now()
    start, last = moment(now - 30 * SECOND), moment(now + SECOND)
    scheduler.add_job(
        work, "interval", seconds=1, id="job", start_date=start, end_date=last, next_run_time=last, **options
    )
    assert scheduler.backfill("job", start, moment(now)) == 31
    scheduler.advance(minutes=2)
    assert scheduler.count_runs(statuses="succeeded") == 32
    assert (scheduler.find_jobs().items, scheduler._lookup_jobstore("default").backfills()) == ([], {})
