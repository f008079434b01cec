"""The engine: from due jobs to recorded runs, and the events on the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rota.errors import ConflictingIdError, JobLookupError
from rota.executors.base import current_run
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler
from tests.core.engine_kit import Gate, names, outcomes, started

MIDNIGHT = datetime(2029, 1, 1, tzinfo=UTC)


def boom():
    raise RuntimeError("boom")


def test_the_events_of_a_run_come_in_order_and_after_the_store_knows():
    scheduler, log = started()
    known = []
    scheduler.add_listener(
        lambda event: known.append((event.code, [run.status for run in scheduler.get_runs("j")]))
    )
    scheduler.add_job(int, "date", run_date=MIDNIGHT + timedelta(seconds=1), id="j")
    known.clear()
    scheduler.advance(seconds=1)
    assert names(log) == ["JOB_ADDED", "JOB_SUBMITTED", "JOB_REMOVED", "JOB_STARTED", "JOB_EXECUTED"]
    assert known[-1][1] == ["succeeded"]


def test_an_event_carries_what_happened():
    scheduler, log = started()
    scheduler.add_job(lambda: 42, "interval", minutes=1, id="good")
    scheduler.add_job(boom, "interval", minutes=1, id="bad")
    scheduler.advance(minutes=1)
    (good,) = [event for name, event in log if name == "JOB_EXECUTED"]
    (bad,) = [event for name, event in log if name == "JOB_ERROR"]
    due = MIDNIGHT + timedelta(minutes=1)
    assert (good.job_id, good.jobstore, good.retval, good.scheduled_run_time) == ("good", "default", 42, due)
    assert (good.attempt, good.outcome, good.started_at, good.finished_at) == (1, "succeeded", due, due)
    assert (bad.job_id, type(bad.exception), bad.outcome) == ("bad", RuntimeError, "failed")
    assert "boom" in bad.traceback
    submitted = [event.scheduled_run_times for name, event in log if name == "JOB_SUBMITTED"]
    assert submitted == [[due], [due]]


def test_a_job_that_raises_stays_scheduled():
    scheduler, _ = started()
    scheduler.add_job(boom, "interval", minutes=1, id="bad")
    scheduler.advance(minutes=3)
    assert outcomes(scheduler, "bad") == [("failed", None, 1)] * 3
    assert scheduler.get_runs("bad")[0].error == "boom"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_not_even_an_exit_in_a_job_stops_the_scheduler(error):
    scheduler, log = started()

    def leave():
        raise error

    scheduler.add_job(leave, "interval", minutes=1)
    scheduler.advance(minutes=2)
    assert names(log).count("JOB_ERROR") == 2
    assert scheduler.running


def test_missed_times_become_one_run_and_one_record():
    scheduler, _ = started()
    ran = []
    scheduler.add_job(lambda: ran.append(current_run().scheduled_run_time), "interval", minutes=1, id="j")
    scheduler.clock.advance(minutes=5)
    scheduler.run_pending()
    assert ran == [MIDNIGHT + timedelta(minutes=5)]
    assert outcomes(scheduler, "j") == [("skipped", "coalesced", 4), ("succeeded", None, 1)]


def test_what_is_too_late_is_recorded_and_announced_with_its_count():
    scheduler, log = started()
    scheduler.add_job(int, "interval", minutes=1, id="j", misfire_grace_time=10)
    scheduler.clock.advance(minutes=5, seconds=30)
    scheduler.run_pending()
    assert outcomes(scheduler, "j") == [("missed", "too late", 5)]
    (event,) = [event for name, event in log if name == "JOB_MISSED"]
    assert event.scheduled_run_time == MIDNIGHT + timedelta(minutes=5)
    assert event.run.count == 5


def test_all_missed_times_run_in_order_in_groups_of_a_hundred():
    scheduler, _ = started()
    ran = []
    scheduler.add_job(
        lambda: ran.append(current_run().scheduled_run_time), "interval", minutes=1, coalesce=False, id="j"
    )
    scheduler.clock.advance(minutes=250)
    scheduler.run_pending()
    assert ran == [MIDNIGHT + timedelta(minutes=n) for n in range(1, 251)]
    scheduler.advance(minutes=1)
    assert len(ran) == 251


def test_a_group_holds_the_job_until_its_last_run_has_ended():
    gate = Gate()
    scheduler, _ = started(executors={"default": gate})
    scheduler.add_job(int, "interval", minutes=1, coalesce=False, id="j")
    scheduler.clock.advance(minutes=150)
    scheduler.run_pending()
    assert len(gate.held) == 100
    assert scheduler.get_job("j").next_run_time == MIDNIGHT + timedelta(minutes=101)
    gate.release(99)
    scheduler.run_pending()
    assert len(gate.held) == 1
    gate.release()
    scheduler.run_pending()
    assert len(gate.held) == 50


def test_a_run_that_is_still_under_way_keeps_the_next_one_out():
    gate = Gate()
    scheduler, log = started(executors={"default": gate})
    scheduler.add_job(int, "interval", minutes=1, id="j")
    scheduler.advance(minutes=3)
    assert len(gate.held) == 1
    gate.release()
    scheduler.advance(minutes=1)
    assert len(gate.held) == 1
    assert names(log).count("JOB_MAX_INSTANCES") == 2
    assert sorted(outcomes(scheduler, "j")) == [
        ("claimed", None, 1),
        ("skipped", "max_instances", 1),
        ("skipped", "max_instances", 1),
        ("succeeded", None, 1),
    ]


def test_as_many_runs_as_allowed_are_under_way_at_once():
    gate = Gate()
    scheduler, _ = started(executors={"default": gate})
    scheduler.add_job(int, "interval", minutes=1, max_instances=3)
    scheduler.advance(minutes=10)
    assert len(gate.held) == 3


def test_a_run_that_waited_too_long_in_a_queue_is_not_started():
    scheduler, log = started()

    async def slow():
        from asyncio import sleep

        await sleep(120)

    # Three owed runs are one group: they come one after another, each two minutes later.
    scheduler.add_job(slow, "interval", minutes=1, coalesce=False, expires=150, id="j")
    scheduler.clock.advance(minutes=3)
    scheduler.advance(minutes=6)
    assert ("missed", "expired", 1) in outcomes(scheduler, "j")
    assert "JOB_MISSED" in names(log)
    scheduler.shutdown()


def test_a_full_executor_does_not_hold_up_another():
    full, free = Gate(room=1), Gate()
    scheduler, _ = started(executors={"default": free, "full": full})
    for number in range(5):
        scheduler.add_job(int, executor="full", id=f"f{number}")
        scheduler.add_job(int, id=f"d{number}")
    scheduler.run_pending()
    assert (len(full.held), len(free.held)) == (1, 5)


def test_what_an_executor_has_no_room_for_waits_in_the_store_and_runs_when_there_is_room():
    gate = Gate(room=2)
    scheduler, _ = started(executors={"default": gate})
    for number in range(5):
        scheduler.add_job(int, id=str(number))
    scheduler.run_pending()
    assert len(gate.held) == 2
    assert scheduler.health()["overdue"] == {"default": 3}
    order = []
    while gate.held:
        order.append(gate.held[0][0].job_id)
        gate.release(1)
        scheduler.run_pending()
    assert order == ["0", "1", "2", "3", "4"]


def test_an_executor_without_room_does_not_keep_the_engine_busy():
    gate = Gate(room=0)
    scheduler, _ = started(executors={"default": gate})
    scheduler.add_job(int)
    assert scheduler.tick() is None


def test_a_job_waits_for_an_executor_that_is_not_there_and_the_others_do_not():
    scheduler, _ = started()
    ran = []
    extra = Gate()
    scheduler.add_executor(extra, "extra")
    scheduler.add_job(int, "interval", minutes=1, executor="extra", id="waits")
    scheduler.remove_executor("extra")
    scheduler.add_job(lambda: ran.append(1), "interval", minutes=1)
    scheduler.advance(minutes=3)
    assert len(ran) == 3
    assert scheduler.health()["overdue"] == {"extra": 1}
    scheduler.add_executor(extra, "extra")
    scheduler.run_pending()
    assert len(extra.held) == 1


def test_an_executor_that_raises_fails_the_runs_and_nothing_else():
    class Broken(Gate):
        def submit(self, runs, done):
            raise OSError("no more threads")

    scheduler, log = started(executors={"default": {"type": "debug"}, "broken": Broken()})
    scheduler.add_job(int, "interval", minutes=1, executor="broken", id="bad")
    scheduler.add_job(int, "interval", minutes=1, id="good")
    scheduler.advance(minutes=2)
    assert outcomes(scheduler, "bad") == [("failed", None, 1)] * 2
    assert outcomes(scheduler, "good") == [("succeeded", None, 1)] * 2
    errors = [event for name, event in log if name == "JOB_ERROR"]
    assert isinstance(errors[0].exception, OSError)


def test_a_listener_that_raises_costs_nobody_anything():
    scheduler, log = started()

    def bad(event):
        raise SystemExit

    scheduler.add_listener(bad)
    scheduler.add_job(int, "interval", minutes=1)
    scheduler.advance(minutes=2)
    assert names(log).count("JOB_EXECUTED") == 2


def test_a_listener_may_remove_itself_and_add_jobs():
    scheduler, log = started()

    def once(event):
        scheduler.remove_listener(once)
        scheduler.add_job(int, id="from the listener")

    scheduler.add_listener(once)
    scheduler.add_job(int, id="first")
    scheduler.run_pending()
    assert {run.job_id for run in scheduler.get_runs()} == {"first", "from the listener"}
    assert names(log).count("JOB_EXECUTED") == 2


# ------------------------------------------------------------------------------------- jobs that change jobs


def test_a_job_may_remove_itself():
    scheduler, log = started()
    scheduler.add_job(lambda: scheduler.remove_job("j"), "interval", minutes=1, id="j")
    scheduler.advance(minutes=3)
    assert outcomes(scheduler, "j") == [("succeeded", None, 1)]
    assert scheduler.get_jobs() == []
    assert names(log).count("JOB_REMOVED") == 1


def test_a_one_off_job_may_add_a_job_of_its_own_id():
    scheduler, _ = started()
    ran = []

    def again():
        ran.append(scheduler.clock.datetime())
        if len(ran) < 3:
            scheduler.add_job(again, "date", run_date=ran[-1] + timedelta(minutes=1), id="j")

    scheduler.add_job(again, id="j")
    scheduler.advance(minutes=10)
    assert ran == [MIDNIGHT + timedelta(minutes=n) for n in range(3)]


def test_a_job_may_reschedule_itself():
    scheduler, _ = started()
    ran = []

    def slower():
        ran.append(scheduler.clock.datetime())
        scheduler.reschedule_job("j", trigger="interval", minutes=2 ** len(ran))

    scheduler.add_job(slower, "interval", minutes=1, id="j")
    scheduler.advance(minutes=20)
    assert ran == [MIDNIGHT + timedelta(minutes=n) for n in (1, 3, 7, 15)]


def test_a_job_may_pause_itself():
    scheduler, _ = started()
    scheduler.add_job(lambda: scheduler.pause_job("j"), "interval", minutes=1, id="j")
    scheduler.advance(minutes=5)
    assert len(scheduler.get_runs("j")) == 1
    assert scheduler.get_job("j").next_run_time is None


def test_removing_all_jobs_with_runs_under_way_keeps_their_records():
    gate = Gate()
    scheduler, _ = started(executors={"default": gate})
    scheduler.add_job(int, "interval", minutes=1, id="j", max_instances=5)
    scheduler.advance(minutes=2)
    scheduler.remove_all_jobs()
    gate.release()
    scheduler.advance(minutes=5)
    assert outcomes(scheduler) == [("succeeded", None, 1)] * 2
    assert gate.held == []


def test_a_removed_job_that_is_added_again_counts_the_runs_that_still_go_on():
    gate = Gate()
    scheduler, _ = started(executors={"default": gate})
    scheduler.add_job(int, "interval", minutes=1, id="j")
    scheduler.advance(minutes=1)
    scheduler.remove_job("j")
    scheduler.add_job(int, "interval", minutes=1, id="j")
    scheduler.advance(minutes=1)
    assert len(gate.held) == 1
    gate.release()
    scheduler.advance(minutes=1)
    assert len(gate.held) == 1


# ---------------------------------------------------------------------------------------------- pause and resume


def test_a_paused_scheduler_runs_nothing_and_a_resumed_one_makes_up_for_it():
    scheduler, log = started()
    scheduler.add_job(int, "interval", minutes=1, id="j")
    scheduler.pause()
    scheduler.advance(minutes=5)
    assert scheduler.get_runs() == []
    scheduler.resume()
    scheduler.run_pending()
    assert outcomes(scheduler, "j") == [("skipped", "coalesced", 4), ("succeeded", None, 1)]
    assert names(log, "SCHEDULER_PAUSED", "SCHEDULER_RESUMED") == ["SCHEDULER_PAUSED", "SCHEDULER_RESUMED"]


def test_a_scheduler_may_start_paused():
    from rota.testing import ManualScheduler

    scheduler = ManualScheduler()
    scheduler.add_job(int, id="j")
    scheduler.start(paused=True)
    scheduler.advance(minutes=1)
    assert scheduler.get_runs() == []
    scheduler.resume()
    scheduler.run_pending()
    assert len(scheduler.get_runs("j")) == 1


def test_a_paused_job_does_not_run_and_goes_on_from_the_time_of_its_resumption():
    scheduler, _ = started()
    scheduler.add_job(int, "interval", minutes=10, id="j")
    scheduler.pause_job("j")
    scheduler.advance(minutes=25)
    assert scheduler.get_runs() == []
    assert scheduler.resume_job("j").next_run_time == MIDNIGHT + timedelta(minutes=30)
    scheduler.advance(minutes=5)
    assert outcomes(scheduler) == [("skipped", "paused", 2), ("succeeded", None, 1)]


def test_resuming_a_job_whose_schedule_is_over_removes_it():
    scheduler, log = started()
    scheduler.add_job(int, "interval", minutes=1, end_date=MIDNIGHT + timedelta(minutes=2), id="j")
    scheduler.pause_job("j")
    scheduler.advance(minutes=5)
    assert scheduler.resume_job("j") is None
    assert scheduler.get_job("j") is None
    assert names(log)[-1] == "JOB_REMOVED"


# ------------------------------------------------------------------------------------------ adding and replacing


def test_a_second_job_of_the_same_id_is_refused_and_the_first_stays():
    scheduler, _ = started()
    scheduler.add_job(int, "interval", minutes=1, id="j", name="first")
    with pytest.raises(ConflictingIdError, match="replace_existing"):
        scheduler.add_job(int, "interval", minutes=1, id="j", name="second")
    assert scheduler.get_job("j").name == "first"


def test_replacing_a_job_with_the_same_trigger_keeps_its_next_run():
    scheduler, _ = started()
    scheduler.add_job(int, "interval", minutes=10, id="j")
    scheduler.advance(minutes=9)
    scheduler.add_job(str, "interval", minutes=10, id="j", replace_existing=True)
    assert scheduler.get_job("j").next_run_time == MIDNIGHT + timedelta(minutes=10)
    assert scheduler.get_job("j").func is str
    scheduler.add_job(str, "interval", minutes=20, id="j", replace_existing=True)
    assert scheduler.get_job("j").next_run_time == MIDNIGHT + timedelta(minutes=29)


def test_a_job_that_is_restarted_again_and_again_before_its_time_still_runs():
    # APScheduler plans such a job anew at each start, so that it never runs.
    scheduler, _ = started()
    ran = []
    for _ in range(10):
        scheduler.add_job(lambda: ran.append(1), "interval", minutes=10, id="j", replace_existing=True)
        scheduler.advance(minutes=4)
    assert len(ran) == 4


def test_replacing_a_job_keeps_a_pause():
    scheduler, _ = started()
    scheduler.add_job(int, "interval", minutes=10, id="j")
    scheduler.pause_job("j")
    scheduler.add_job(int, "interval", minutes=10, id="j", replace_existing=True)
    assert scheduler.get_job("j").next_run_time is None


def test_a_job_whose_time_is_past_already_runs_at_once():
    scheduler, _ = started()
    scheduler.add_job(int, "date", run_date=MIDNIGHT - timedelta(days=1), id="j")
    scheduler.run_pending()
    assert outcomes(scheduler, "j") == [("succeeded", None, 1)]


def test_a_job_without_any_time_is_not_kept():
    scheduler, log = started()
    scheduler.add_job(
        int, "interval", minutes=1, start_date=MIDNIGHT, end_date=MIDNIGHT - timedelta(days=1), id="j"
    )
    scheduler.advance(minutes=5)
    assert scheduler.get_runs("j") == []
    assert "JOB_EXECUTED" not in names(log)


def test_jobs_and_runs_of_several_stores_come_in_pages():
    scheduler = ManualScheduler(jobstores={"default": MemoryJobStore(), "other": MemoryJobStore()})
    for name in "abc":
        scheduler.add_job(int, "interval", minutes=1, id=name)
    assert [job.id for job in scheduler.get_jobs(state="active", limit=1, offset=1)] == ["b"]
    assert scheduler.get_jobs(state="paused") == []
    scheduler.start()
    for number, name in enumerate("defg"):
        scheduler.add_job(int, "interval", minutes=number + 2, id=name, jobstore="other")
    scheduler.pause_job("b")
    everything = [job.id for job in scheduler.get_jobs()]
    assert everything == ["a", "c", "b", "d", "e", "f", "g"]
    pages = [scheduler.get_jobs(limit=3, offset=start) for start in (0, 3, 6)]
    assert [job.id for jobs in pages for job in jobs] == everything
    assert [job.id for job in scheduler.get_jobs(state=["active"], offset=1)] == ["c", "d", "e", "f", "g"]
    assert [job.id for job in scheduler.get_jobs("other", limit=2, offset=1)] == ["e", "f"]
    scheduler.advance(minutes=6)
    whole = scheduler.get_runs()
    assert len(whole) == 6 + 6 + 3 + 2 + 1 + 1
    assert [run for start in range(0, 24, 4) for run in scheduler.get_runs(limit=4, offset=start)] == whole


def test_runs_that_end_while_somebody_looks_do_not_disturb_the_look():
    scheduler, _ = started()
    scheduler.add_job(int, "interval", minutes=1, id="j")
    scheduler.advance(minutes=3)

    class Id(str):
        __slots__ = ()

        def __eq__(self, other):
            scheduler.advance(minutes=1)
            return str(self) == str(other)

        __hash__ = str.__hash__

    assert len(scheduler.get_runs(Id("j"))) == 3


def test_the_store_that_has_the_id_first_wins():
    scheduler, _ = started(jobstores={"default": MemoryJobStore(), "other": MemoryJobStore()})
    scheduler.add_job(int, "interval", minutes=1, id="j", jobstore="other")
    assert scheduler.get_job("j")._jobstore_alias == "other"
    scheduler.modify_job("j", name="changed")
    scheduler.remove_job("j")
    with pytest.raises(JobLookupError):
        scheduler.remove_job("j")


def test_a_store_that_is_removed_stops_running_its_jobs():
    scheduler, _ = started()
    ran = []
    scheduler.add_jobstore("memory", "other")
    scheduler.add_job(lambda: ran.append(1), "interval", minutes=1, jobstore="other")
    scheduler.advance(minutes=1)
    scheduler.remove_jobstore("other")
    scheduler.advance(minutes=5)
    assert ran == [1]
