"""Intervals that are counted from the end of a run: ``mode="delay"``."""

from __future__ import annotations

import asyncio
import io
import json
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from rota import current_run
from rota.clock import HELD, SECOND, instant, moment
from rota.core.plan import AFTER_RUN, plan
from rota.core.policy import DEFAULT_POLICY, with_options
from rota.core.states import ENDED
from rota.errors import TriggerError
from rota.job import Job
from rota.testing import ManualScheduler
from rota.triggers import trigger_from_spec
from rota.triggers.combining import OrTrigger
from rota.triggers.interval import IntervalTrigger
from tests.core.test_eight_methods import EightMethods
from tests.present import present

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
NOW = instant(START)


def delay(**options):
    return IntervalTrigger(seconds=60, start_date=START, timezone=UTC, mode="delay", **options)


def job_of(trigger, nominal=NOW, running=0, **options):
    job = Job.__new__(Job)
    job.id, job.name, job.trigger = "j", "j", trigger
    job.policy = with_options(DEFAULT_POLICY, options)
    job.set_next(nominal)
    job.running = running
    return job


# -------------------------------------------------------------------------------------------------------- the planner


def test_the_job_is_held_while_its_run_is_under_way():
    decision = plan(job_of(delay()), NOW)
    assert [run.nominal for run in decision.runs] == [NOW]
    assert (decision.next_nominal, decision.next_due) == (AFTER_RUN, HELD)


def test_when_the_run_has_ended_the_interval_begins_and_nothing_else_happens():
    job = job_of(delay(), AFTER_RUN)
    decision = plan(job, NOW + 1234)
    assert not decision.runs
    assert not decision.records
    assert decision.next_nominal == decision.next_due == NOW + 1234 + 60 * SECOND


def test_however_late_it_is_one_time_is_owed():
    for coalesce in (True, False):
        decision = plan(job_of(delay(), coalesce=coalesce), NOW + 10**6 * SECOND)
        assert [run.nominal for run in decision.runs] == [NOW]
        assert not decision.records


def test_what_is_too_late_is_missed_and_the_interval_begins_anew():
    decision = plan(job_of(delay(), misfire_grace_time=5), NOW + 6 * SECOND)
    assert not decision.runs
    assert [(record.nominal, record.status, record.reason) for record in decision.records] == [
        (NOW, "missed", "too late")
    ]
    assert decision.next_nominal == NOW + 66 * SECOND


def test_a_time_that_comes_while_a_run_is_under_way_is_skipped_and_the_job_held():
    decision = plan(job_of(delay(), running=1), NOW)
    assert [(record.status, record.reason) for record in decision.records] == [("skipped", "max_instances")]
    assert (decision.next_nominal, decision.next_due, decision.waits_for_room) == (AFTER_RUN, HELD, True)


def test_the_schedule_ends_with_its_end_date():
    assert plan(job_of(delay(end_date=moment(NOW + 59 * SECOND))), NOW).state == ENDED
    ended = plan(job_of(delay(end_date=moment(NOW + 60 * SECOND)), AFTER_RUN), NOW + SECOND)
    assert (ended.state, ended.runs, ended.records) == (ENDED, [], [])


def test_jitter_and_spread_come_on_top():
    decision = plan(job_of(delay(jitter=10, spread=10), AFTER_RUN), NOW)
    assert decision.next_nominal == NOW + 60 * SECOND
    assert NOW + 60 * SECOND < present(decision.next_due) < NOW + 80 * SECOND


# --------------------------------------------------------------------------------------------------------- the engine


def test_a_job_runs_so_long_after_the_end_of_its_last_run():
    scheduler = ManualScheduler()
    starts = []

    def work():
        starts.append(scheduler.clock.now())
        scheduler.clock.advance(40)

    begin = scheduler.clock.now()
    job = scheduler.add_job(work, "interval", minutes=1, mode="delay", first="now", id="work")
    scheduler.start()
    scheduler.advance(minutes=5)
    assert [(at - begin) // SECOND for at in starts][:3] == [0, 100, 200]
    assert [run.status for run in scheduler.get_runs("work")] == ["succeeded"] * len(starts)
    assert job.next_run_time is not None


@pytest.mark.parametrize("options", [{"max_instances": 2}, {"overlap": "allow_all"}], ids=str)
def test_a_run_by_hand_beside_the_scheduled_one_is_waited_for_as_well(options: dict[str, Any]) -> None:
    scheduler = ManualScheduler()
    scheduler.start()
    begin = scheduler.clock.now()

    async def work() -> None:
        await asyncio.sleep(1000 if current_run().origin == "manual" else 5)

    scheduler.add_job(work, "interval", minutes=1, mode="delay", id="job", **options)
    scheduler.advance(seconds=30)
    scheduler.run_job("job")
    scheduler.advance(seconds=1060)
    starts = [(present(run.claimed_at) - begin) // SECOND for run in reversed(scheduler.get_runs("job"))]
    assert starts == [30, 60, 1090]
    scheduler.shutdown(wait=False)


def test_while_the_run_is_under_way_the_next_time_is_not_known():
    scheduler = ManualScheduler()
    seen = []

    def work():
        job = present(scheduler.get_job("work"))
        seen.append((job.next_run_time, str(job).partition(", ")[2]))

    scheduler.add_job(work, "interval", minutes=1, mode="delay", first="now", id="work")
    scheduler.start()
    scheduler.advance(seconds=1)
    assert seen == [(None, "next run counted from the end of this one)")]
    assert present(scheduler.get_job("work")).next_run_time == moment(scheduler.clock.now() + 59 * SECOND)


def test_another_trigger_given_meanwhile_takes_over_when_the_run_has_ended():
    scheduler = ManualScheduler()
    runs = []

    def work():
        runs.append(scheduler.clock.now())
        if len(runs) == 1:
            scheduler.modify_job(
                "work", trigger=IntervalTrigger(seconds=5, timezone=UTC, now=scheduler.clock.now())
            )

    scheduler.add_job(work, "interval", minutes=1, mode="delay", first="now", id="work")
    scheduler.start()
    scheduler.advance(seconds=11)
    assert len(runs) == 3


def test_a_job_that_is_paused_during_its_run_stays_paused():
    scheduler = ManualScheduler()
    runs = []

    def work():
        runs.append(scheduler.clock.now())
        scheduler.pause_job("work")

    scheduler.add_job(work, "interval", minutes=1, mode="delay", first="now", id="work")
    scheduler.start()
    scheduler.advance(minutes=5)
    assert len(runs) == 1
    scheduler.resume_job("work")
    scheduler.advance(minutes=5)
    assert len(runs) == 2


def test_a_run_that_fails_delays_the_next_like_any_other():
    scheduler = ManualScheduler()
    scheduler.add_job(int, "interval", args=["x"], minutes=1, mode="delay", first="now", id="work")
    scheduler.start()
    scheduler.advance(minutes=3, seconds=1)
    assert [run.status for run in scheduler.get_runs("work")] == ["failed"] * 4


def task():
    """Be a job that a store can name."""


_exported = io.StringIO()


def export():
    """Be a job during which the jobs are exported."""
    _exported.truncate(_exported.seek(0))
    _schedulers[0].export_jobs(_exported)


_schedulers = []


def test_a_job_that_is_exported_during_its_run_goes_on_where_it_is_imported():
    _schedulers[:] = [ManualScheduler()]
    _schedulers[0].add_job(export, "interval", minutes=1, mode="delay", first="now", id="work")
    _schedulers[0].start()
    _schedulers[0].advance(seconds=1)
    assert '"due": "held"' in _exported.getvalue()
    other = ManualScheduler()
    other.start()
    other.import_jobs(io.StringIO(_exported.getvalue()))
    other.advance(minutes=2, seconds=1)
    assert [run.status for run in other.get_runs("work")] == ["succeeded"] * 2


def test_a_store_of_eight_methods_keeps_the_delay_too():
    scheduler = ManualScheduler(jobstores={"default": EightMethods()})
    scheduler.add_job(task, "interval", minutes=1, mode="delay", first="now", id="work")
    scheduler.start()
    scheduler.advance(minutes=3, seconds=1)
    assert [run.status for run in scheduler.get_runs("work")] == ["succeeded"] * 4


# --------------------------------------------------------------------------------------------------------- the trigger


def test_mode_is_part_of_the_trigger_and_of_its_stored_form():
    trigger = delay()
    assert (trigger.mode, IntervalTrigger(hours=1).mode) == ("delay", "rate")
    assert trigger != IntervalTrigger(seconds=60, start_date=START, timezone=UTC)
    back: Any
    for back in (
        trigger_from_spec(json.loads(json.dumps(trigger.spec()))),
        pickle.loads(pickle.dumps(trigger)),
    ):
        assert back == trigger
        assert (back.mode, repr(back)) == ("delay", repr(trigger))
    with pytest.raises(TriggerError, match="'rate' or 'delay'"):
        IntervalTrigger(hours=1, mode="late")


@pytest.mark.parametrize(
    "make",
    [
        lambda trigger: trigger.on("mon"),
        lambda trigger: trigger | IntervalTrigger(hours=1, start_date=START),
        lambda trigger: OrTrigger([trigger]),
        lambda trigger: trigger.limit(3),
    ],
)
def test_what_depends_on_the_end_of_runs_cannot_be_part_of_another_trigger(make):
    with pytest.raises(TriggerError, match="mode='rate'"):
        make(delay())
