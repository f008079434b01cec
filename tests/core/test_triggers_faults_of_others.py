"""The faults of other schedulers that concern more than one call of a trigger: jitter over thousands of runs, "never", phases.

The other faults of the list (skipped midnights, times that go back, doubled or invented times) are in the tests of cron at
changes of the clocks, those of combinations with the combining triggers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from rota.clock import SECOND, instant, moment
from rota.core.plan import due_time, plan
from rota.core.policy import DEFAULT_POLICY
from rota.errors import NeverFiresError
from rota.job import Job
from rota.triggers.calendarinterval import CalendarIntervalTrigger
from rota.triggers.combining import OrTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.cron.dates import Dates
from rota.triggers.interval import IntervalTrigger
from tests.present import present

START = instant(datetime(2026, 1, 1, tzinfo=UTC))


def nominal_times(trigger, count: int) -> list[int]:
    """Let an engine run a job at each of its due times, and return the nominal times of the runs."""
    job = Job.__new__(Job)
    job.id, job.name, job.trigger, job.policy = "j", "j", trigger, DEFAULT_POLICY
    job.running, job.version = 0, 1
    first = trigger.first(START)
    job.set_next(first, due_time_of(job, first))
    found: list[int] = []
    while len(found) < count:
        decision = plan(job, present(job.next_due))
        found += [run.nominal for run in decision.runs]
        assert not decision.records, "a run was lost"
        job.set_next(decision.next_nominal, decision.next_due)
    return found


def due_time_of(job, nominal):
    job.set_next(nominal, nominal)
    return due_time(job, nominal)


def test_two_thousand_fires_of_a_minute_with_jitter_drift_by_nothing():
    trigger = IntervalTrigger(seconds=60, jitter=10, start_date="2026-01-01", timezone=UTC)
    found = nominal_times(trigger, 2000)
    assert found[-1] - found[0] == 1999 * 60 * SECOND


def test_a_day_just_before_midnight_with_jitter_runs_every_day():
    trigger = CalendarIntervalTrigger(
        days=1, hour=23, minute=59, second=50, jitter=30, start_date="2026-01-01", timezone=UTC
    )
    found = nominal_times(trigger, 60)
    assert [later - at for at, later in pairwise(found)] == [86400 * SECOND] * 59


def test_a_saturday_night_in_nuuk_stays_on_saturday_after_the_change():
    trigger = CalendarIntervalTrigger(
        weeks=1, hour=23, minute=30, start_date="2024-03-16", timezone="America/Nuuk"
    )
    found = trigger.next(40, "2024-03-16")
    assert {at.weekday() for at in found} == {5}
    assert {(at.hour, at.minute) for at in found} == {(23, 30)}


def test_every_five_seconds_with_jitter_of_ten_loses_no_run():
    trigger = CronTrigger(second="*/5", jitter=10, timezone=UTC)
    job = Job.__new__(Job)
    job.id, job.name, job.trigger = "j", "j", trigger
    job.policy, job.running, job.version = DEFAULT_POLICY, 0, 1
    job.set_next(START, due_time_of(job, START))
    nominal = START
    accounted = 0
    for _ in range(1000):
        decision = plan(job, present(job.next_due))
        accounted += len(decision.runs) + sum(record.count for record in decision.records)
        nominal = present(decision.next_nominal)
        job.set_next(nominal, decision.next_due)
    # With jitter longer than the period several times fall due together, and coalescing joins them; each is accounted for.
    assert accounted == (nominal - START) // (5 * SECOND)


def test_never_is_known_after_looking_at_each_kind_of_year_once(monkeypatch):
    looked = []
    month = Dates._month
    monkeypatch.setattr(
        Dates, "_month", lambda self, year, *rest: looked.append(year) or month(self, year, *rest)
    )
    for fields in (
        {"month": 2, "day": 30},
        {"month": "4,6,9,11", "day": 31, "hour": 23},
        {"week": 1, "month": 6},
    ):
        looked.clear()
        with pytest.raises(NeverFiresError):
            CronTrigger(**fields, timezone=UTC)
        assert len(set(looked)) <= 28
        assert len(looked) <= 28 * 4


def test_a_schedule_whose_years_are_over_ends_at_once():
    trigger = CronTrigger(year="2020-2024", day="last", timezone=UTC)
    assert trigger.after(START) is None
    assert trigger.next(3, "2024-11-15") == [
        datetime(2024, month, day, tzinfo=UTC) for month, day in ((11, 30), (12, 31))
    ]


def test_a_cron_beside_it_does_not_restart_an_interval():
    interval = IntervalTrigger(minutes=7, start_date="2026-01-01 00:03:00", timezone=UTC)
    both = OrTrigger([interval, CronTrigger(minute="*/5", timezone=UTC)])
    found = {instant(at) for at in both.next(100, "2026-01-01")}
    own = {instant(at) for at in interval.next(100, "2026-01-01") if instant(at) <= max(found)}
    assert own <= found
    assert {moment(at).minute % 5 for at in found - own} == {0}
