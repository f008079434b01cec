"""Jobs that come back to a scheduler: what the door says about times that have a record (rule R4), and what then happens."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from rota.core.run import Run
from rota.core.states import SUCCEEDED, end
from rota.errors import ConflictingIdError
from rota.jobstores.memory_ledger import MemoryLedger
from rota.testing import ManualScheduler
from tests.core.engine_kit import Gate, outcomes, started
from tests.core.test_eight_methods import EightMethods

# Most of it in a file of SQLite as well.
pytestmark = pytest.mark.thorough


def work():
    """Be a job."""


def other_work():
    """Be another one."""


@pytest.fixture(params=["memory", "eight methods", "sqlite"])
def options(request, tmp_path):
    """Return the options of a scheduler with one kind of store."""
    if request.param == "memory":
        return {}
    if request.param == "eight methods":
        return {"jobstores": {"default": EightMethods()}}
    return {"jobstores": {"default": f"sqlite:///{tmp_path / 'jobs.sqlite'}"}}


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "rota.scheduler")

    def found():
        texts = [record.getMessage() for record in caplog.records if record.name == "rota.scheduler"]
        caplog.clear()
        return texts

    return found


def add_past(scheduler, **more):
    return scheduler.add_job(
        work, "date", run_date=scheduler.start_of_test, id="once", replace_existing=True, **more
    )


def begun(**options):
    """Return a started scheduler a minute after the date of the job "once"."""
    scheduler, log = started(**options)
    scheduler.start_of_test = scheduler.clock.datetime()
    scheduler.advance(minutes=1)
    return scheduler, log


def test_a_job_for_a_past_date_runs_once_however_often_it_is_added(options, warnings):
    scheduler, log = begun(**options)
    add_past(scheduler)
    scheduler.run_pending()
    assert outcomes(scheduler) == [("succeeded", None, 1)]
    assert warnings() == []
    log.clear()
    for _ in range(2):
        job = add_past(scheduler)
        assert (job.id, job.next_run_time) == ("once", None)
        assert scheduler.get_jobs() == []
        (text,) = warnings()
        assert "once" in text
        assert str(scheduler.start_of_test) in text
        assert "succeeded" in text
        assert "run_job()" in text
        scheduler.advance(minutes=1)
    assert outcomes(scheduler) == [("succeeded", None, 1)]
    assert log == []


@pytest.mark.thorough
def test_a_program_that_is_started_again_does_not_repeat_a_past_date(tmp_path, warnings):
    ran = []
    for _ in range(3):
        scheduler = ManualScheduler(jobstores={"default": f"sqlite:///{tmp_path / 'jobs.sqlite'}"})
        past = scheduler.clock.datetime() - timedelta(hours=1)
        scheduler.add_job(work, "date", run_date=past, id="once", replace_existing=True)
        scheduler.add_listener(ran.append, 1 << 12)  # EVENT_JOB_EXECUTED
        scheduler.start()
        scheduler.advance(minutes=1)
        assert len(scheduler.get_runs()) == 1
        scheduler.shutdown()
    assert len(ran) == 1
    assert len(warnings()) == 2


def test_a_date_that_is_under_way_is_not_started_beside_itself(options, warnings):
    gate = Gate()
    scheduler, _ = begun(executors={"default": gate}, **options)
    add_past(scheduler, max_instances=2)
    scheduler.run_pending()
    add_past(scheduler, max_instances=2)
    scheduler.run_pending()
    assert len(gate.held) == 1
    assert "claimed" in warnings()[0]


def test_of_many_jobs_those_with_a_record_are_left_out(options, warnings):
    scheduler, _ = begun(**options)
    add_past(scheduler)
    scheduler.run_pending()
    spec = {"func": work, "trigger": "date", "run_date": scheduler.start_of_test}
    jobs = scheduler.add_jobs([{**spec, "id": "once"}, {**spec, "id": "new"}])
    assert [job.id for job in jobs] == ["once", "new"]
    assert [job.id for job in scheduler.get_jobs()] == ["new"]
    scheduler.run_pending()
    assert len(scheduler.get_runs("once")) == len(scheduler.get_runs("new")) == 1
    assert scheduler.add_jobs([{**spec, "id": "once"}, {**spec, "id": "new"}], replace_existing=True) == jobs
    assert scheduler.get_jobs() == []
    assert len(warnings()) == 3


def test_an_interval_that_is_added_with_a_recorded_first_run_goes_on_at_its_next_time(options, warnings):
    scheduler, _ = begun(**options)
    first = scheduler.start_of_test
    for _ in range(2):
        job = scheduler.add_job(
            work, "interval", minutes=10, start_date=first, next_run_time=first, id="j", replace_existing=True
        )
        scheduler.run_pending()
        assert scheduler.get_job("j").next_run_time == first + timedelta(minutes=10)
    assert outcomes(scheduler) == [("succeeded", None, 1)]
    assert job.next_run_time == first + timedelta(minutes=10)
    (text,) = warnings()
    assert str(first + timedelta(minutes=10)) in text


def test_a_job_of_another_schedule_is_replaced_by_none_if_that_has_its_records(options):
    scheduler, log = begun(**options)
    add_past(scheduler)
    scheduler.run_pending()
    scheduler.add_job(other_work, "interval", hours=1, id="once")
    with pytest.raises(ConflictingIdError):
        scheduler.add_job(work, "date", run_date=scheduler.start_of_test, id="once")
    assert len(scheduler.get_jobs()) == 1
    log.clear()
    add_past(scheduler)
    assert scheduler.get_jobs() == []
    assert [name for name, _ in log] == ["JOB_REMOVED"]


def test_a_job_that_its_user_sets_back_does_not_repeat_its_runs(options, warnings):
    scheduler, _ = started(**options)
    begin = scheduler.clock.datetime()
    scheduler.add_job(work, "interval", minutes=1, id="j")
    scheduler.advance(minutes=3)
    scheduler.modify_job("j", next_run_time=begin + timedelta(minutes=1))
    assert "succeeded" in warnings()[0]
    assert scheduler.get_job("j").next_run_time == begin + timedelta(minutes=4)
    scheduler.advance(minutes=1)
    assert outcomes(scheduler) == [("succeeded", None, 1)] * 4
    scheduler.modify_job("j", name="renamed")
    assert warnings() == []


def test_a_job_that_is_set_back_into_a_range_that_was_left_out_does_not_run_for_it(options, warnings):
    scheduler, _ = started(**options)
    begin = scheduler.clock.datetime()
    scheduler.add_job(work, "interval", minutes=1, id="j")
    scheduler.pause()
    scheduler.advance(minutes=10)
    scheduler.resume()
    scheduler.run_pending()
    assert outcomes(scheduler) == [("skipped", "coalesced", 9), ("succeeded", None, 1)]
    scheduler.modify_job("j", next_run_time=begin + timedelta(minutes=5))
    scheduler.run_pending()
    assert outcomes(scheduler) == [("skipped", "coalesced", 9), ("succeeded", None, 1)]
    assert "skipped" in warnings()[0]


@pytest.mark.parametrize("coalesce", [True, False])
def test_a_job_that_is_set_back_between_two_times_of_a_range_leaves_these_alone(options, coalesce):
    scheduler, _ = started(**options)
    begin = scheduler.clock.datetime()
    scheduler.add_job(work, "cron", second=0, timezone="UTC", id="j")
    scheduler.pause()
    scheduler.advance(minutes=10, seconds=30)
    scheduler.resume()
    scheduler.run_pending()
    before = outcomes(scheduler)
    assert [outcome[:2] for outcome in before] == [("skipped", "coalesced"), ("succeeded", None)]
    between = begin + timedelta(minutes=5, seconds=30)
    scheduler.modify_job("j", coalesce=coalesce, next_run_time=between)
    scheduler.run_pending()
    added = ("skipped", "coalesced", 1) if coalesce else ("succeeded", None, 1)
    assert outcomes(scheduler) == [before[0], added, before[1]]


def test_a_job_that_is_set_to_a_date_that_ran_ends(options, warnings):
    scheduler, _ = begun(**options)
    add_past(scheduler)
    scheduler.run_pending()
    scheduler.add_job(work, "date", run_date=scheduler.clock.datetime() + timedelta(hours=1), id="once")
    scheduler.reschedule_job("once", trigger="date", run_date=scheduler.start_of_test)
    assert "schedule is over" in warnings()[0]
    scheduler.run_pending()
    assert scheduler.get_jobs() == []
    assert outcomes(scheduler) == [("succeeded", None, 1)]


@pytest.mark.thorough
def test_jobs_that_are_imported_do_not_repeat_their_runs(tmp_path, options, warnings):
    scheduler, _ = begun(**options)
    scheduler.add_job(work, "interval", minutes=10, id="j", next_run_time=scheduler.clock.datetime())
    scheduler.export_jobs(tmp_path / "jobs.json")
    scheduler.run_pending()
    scheduler.remove_job("j")
    scheduler.import_jobs(tmp_path / "jobs.json")
    scheduler.run_pending()
    assert outcomes(scheduler) == [("succeeded", None, 1)]
    assert len(warnings()) == 1


def test_a_new_date_under_an_old_id_runs(options, warnings):
    scheduler, _ = begun(**options)
    add_past(scheduler)
    scheduler.run_pending()
    scheduler.add_job(work, "date", run_date=scheduler.start_of_test - timedelta(seconds=1), id="once")
    scheduler.run_pending()
    assert outcomes(scheduler) == [("succeeded", None, 1)] * 2
    assert warnings() == []


def test_what_the_claim_decides_needs_no_word_of_the_door(options):
    scheduler, _ = begun(**options)
    add_past(scheduler)
    scheduler.run_pending()
    store = scheduler._lookup_jobstore("default")
    store.recorded = lambda since: {}  # as if the run were claimed just after the look
    add_past(scheduler)
    scheduler.run_pending()
    assert outcomes(scheduler) == [("succeeded", None, 1)]
    assert scheduler.get_jobs() == []


def test_the_records_of_a_job_that_cannot_have_any_are_not_looked_for(options):
    scheduler, _ = begun(**options)
    scheduler._lookup_jobstore("default").recorded = None  # to call it is an error
    scheduler.add_job(work)
    scheduler.add_job(work, kwargs={})
    scheduler.add_job(work, "interval", minutes=1, id="to come")
    scheduler.add_jobs([{"func": work}, {"func": work, "trigger": "interval", "hours": 1, "id": "later"}])
    scheduler.modify_job("to come", name="renamed")
    scheduler.run_pending()
    assert outcomes(scheduler) == [("succeeded", None, 1)] * 3


# ------------------------------------------------------------------------------------ older than the ledger remembers


@pytest.fixture
def short_memory(tmp_path):
    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    return {
        "jobstores": {"default": SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}", keep_days=2)}
    }


@pytest.mark.parametrize("id", ["old", None])
def test_a_date_older_than_the_ledger_remembers_is_missed_and_does_not_run(short_memory, warnings, id):
    scheduler, _ = started(**short_memory)
    past = scheduler.clock.datetime() - timedelta(days=3)
    job = scheduler.add_job(work, "date", run_date=past, id=id)
    assert job.next_run_time == past
    (text,) = warnings()
    assert "keep_days" in text
    assert "run_job()" in text
    scheduler.run_pending()
    assert outcomes(scheduler) == [("missed", "older than the ledger remembers", 1)]
    assert scheduler.get_runs()[0].scheduled_run_time == past
    assert scheduler.get_jobs() == []


def test_a_date_within_what_the_ledger_remembers_runs(short_memory, warnings):
    scheduler, _ = started(**short_memory)
    scheduler.add_job(work, "date", run_date=scheduler.clock.datetime() - timedelta(days=1), id="j")
    scheduler.run_pending()
    assert outcomes(scheduler) == [("succeeded", None, 1)]
    assert warnings() == []


def test_a_stored_job_that_was_late_runs_however_old_its_date_is(short_memory):
    scheduler, _ = started(**short_memory)
    scheduler.add_job(work, "date", run_date=scheduler.clock.datetime() + timedelta(days=1), id="j")
    scheduler.pause()
    scheduler.advance(days=30)
    scheduler.resume()
    scheduler.run_pending()
    assert outcomes(scheduler) == [("succeeded", None, 1)]


def test_a_stored_job_that_is_resumed_late_runs_however_old_its_date_is(short_memory, warnings):
    scheduler, _ = started(**short_memory)
    scheduler.add_job(work, "date", run_date=scheduler.clock.datetime() + timedelta(days=1), id="j")
    scheduler.pause_job("j")
    scheduler.advance(days=30)
    scheduler.resume_job("j")
    scheduler.run_pending()
    assert outcomes(scheduler) == [("succeeded", None, 1)]
    assert warnings() == []


# -------------------------------------------------------------------------------------------------------- by hand


@pytest.mark.thorough
def test_a_run_by_hand_at_the_due_instant_and_the_due_run_have_a_record_each(options):
    scheduler, _ = started(**options)
    scheduler.add_job(work, "interval", minutes=1, id="j", max_instances=3)
    scheduler.pause()
    scheduler.advance(minutes=1)
    due = scheduler.clock.now()
    asked = [scheduler.run_job("j").nominal for _ in range(2)]
    assert asked == [due + 1, due + 2]
    scheduler.resume()
    scheduler.run_pending()
    assert [(run.nominal, run.reason) for run in reversed(scheduler.get_runs("j"))] == [
        (due, None),
        (due + 1, None),
        (due + 2, None),
    ]


@pytest.mark.thorough
def test_many_runs_by_hand_at_one_instant_take_one_key_each(options):
    scheduler, _ = started(**options)
    scheduler.add_job(work, "interval", minutes=1, id="j")
    now = scheduler.clock.now()
    for number in range(60):
        assert scheduler.run_job("j").nominal == now + number
        scheduler.run_pending()
    assert len(scheduler.get_runs("j")) == 60


def test_a_run_by_hand_repeats_what_ran(options):
    scheduler, _ = started(**options)
    scheduler.add_job(work, "interval", minutes=1, id="j")
    scheduler.advance(minutes=1)
    scheduler.run_job("j")
    scheduler.run_pending()
    assert outcomes(scheduler) == [("succeeded", None, 1), ("succeeded", None, 1)]


def test_the_key_of_a_run_by_hand_is_chosen_anew_if_somebody_takes_it_meanwhile(options):
    scheduler, _ = started(**options)
    scheduler.add_job(work, "interval", minutes=1, id="j", max_instances=3)
    now = scheduler.clock.now()
    store = scheduler._lookup_jobstore("default")
    real = store.recorded
    looks = []

    def look(since):
        looks.append(since)
        return {} if len(looks) == 2 else real(since)

    store.recorded = look
    assert [scheduler.run_job("j").nominal for _ in range(2)] == [now, now + 1]
    assert len(looks) == 3


# ---------------------------------------------------------------------------------------------------- what it costs


def test_what_a_store_in_memory_knows_of_its_records_is_bounded_by_its_ring():
    ledger = MemoryLedger(10)
    for nominal in range(100):
        run = Run("even" if nominal % 2 == 0 else "odd", nominal, nominal)
        end(run, SUCCEEDED, "", nominal)
        ledger.extend([run])
        assert ledger.recorded(run.job_id, nominal) == [(nominal, nominal, SUCCEEDED)]
        assert sum(map(len, ledger._index.values())) <= 20
    assert [first for first, _, _ in ledger.recorded("even", 92)] == [92, 94, 96, 98]
    assert ledger.recorded("even", 99) == []
