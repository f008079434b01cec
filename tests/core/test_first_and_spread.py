"""Where an interval begins, and how jobs of one schedule are kept apart: ``first=``, ``spread=``, and H by the job's id."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.clock import HOUR, MINUTE, SECOND, instant, moment
from rota.core.plan import due_time, plan
from rota.core.policy import DEFAULT_POLICY, with_options
from rota.errors import TriggerError, TriggerTypeError, UnknownOptionError
from rota.job import Job
from rota.schedulers.background import BackgroundScheduler
from rota.triggers import trigger_from_spec
from rota.triggers.calendarinterval import CalendarIntervalTrigger
from rota.triggers.combining import OrTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger
from tests.present import present

NOW = instant(datetime(2026, 11, 23, 10, 7, 3, tzinfo=UTC))  # a Monday


def job_of(trigger, id="j", **options):
    job = Job.__new__(Job)
    job.id, job.name, job.trigger = id, id, trigger
    job.policy = with_options(DEFAULT_POLICY, options)
    return job


# ---------------------------------------------------------------------------------------------------------------- first


def test_an_interval_begins_after_itself_now_or_aligned_to_the_clock():
    for first, start in [("after", "10:22:03"), ("now", "10:07:03"), ("aligned", "10:15:00")]:
        trigger = IntervalTrigger(minutes=15, timezone=UTC, first=first, now=NOW)
        assert f"{trigger.start_date:%H:%M:%S}" == start
        assert trigger.first(NOW) == instant(trigger.start_date)
        assert not trigger.start_given


@pytest.mark.parametrize(
    ("length", "zone", "start"),
    [
        ({"hours": 6}, "Asia/Kolkata", "2026-11-23T18:00:00+05:30"),
        ({"hours": 1}, "Asia/Kathmandu", "2026-11-23T16:00:00+05:45"),
        ({"days": 1}, "America/New_York", "2026-11-24T00:00:00-05:00"),
        ({"weeks": 1}, "Europe/Berlin", "2026-11-30T00:00:00+01:00"),
        ({"seconds": 0.25}, "UTC", "2026-11-23T10:07:03+00:00"),
    ],
)
def test_aligned_is_the_clock_of_the_zone_and_weeks_begin_on_monday(length, zone, start):
    trigger = IntervalTrigger(**length, timezone=zone, first="aligned", now=NOW)
    assert trigger.start_date.isoformat() == start


@given(st.integers(1, 100_000), st.integers(0, 10**6), st.integers(0, 10**6))
def test_whoever_starts_aligned_comes_to_the_same_grid(seconds, one, other):
    grids = {
        instant(
            IntervalTrigger(seconds=seconds, timezone=UTC, first="aligned", now=NOW + n * SECOND).start_date
        )
        % (seconds * SECOND)
        for n in (one, other)
    }
    assert len(grids) == 1


def test_first_and_start_date_exclude_each_other():
    with pytest.raises(TriggerError, match="without start_date"):
        IntervalTrigger(hours=1, start_date="2026-01-01", first="now")
    with pytest.raises(TriggerError, match="'after', 'now' or 'aligned'"):
        IntervalTrigger(hours=1, first="soon")


def test_a_restart_with_another_first_keeps_the_schedule():
    one = IntervalTrigger(hours=1, timezone=UTC, first="now", now=NOW)
    assert IntervalTrigger(hours=1, timezone=UTC, first="aligned", now=NOW + 5).same_schedule(one)


# --------------------------------------------------------------------------------------------------------------- spread


def test_each_job_has_its_own_place_and_keeps_its_period():
    trigger = IntervalTrigger(minutes=5, start_date=moment(NOW), spread=120)
    places = {}
    for id in map(str, range(200)):
        delays = {
            due_time(job_of(trigger, id), NOW + n * 5 * MINUTE) - NOW - n * 5 * MINUTE for n in range(4)
        }
        (places[id],) = delays
    assert all(0 <= delay < 120 * SECOND for delay in places.values())
    assert len(set(places.values())) == 200
    assert 40 < sum(delay < 60 * SECOND for delay in places.values()) < 160
    assert due_time(job_of(trigger, "backup"), NOW) - NOW == 89_228_718  # the same on every node, for ever


def test_a_spread_never_reaches_the_next_nominal_time():
    often = job_of(CronTrigger(minute="0,1,30", timezone=UTC, spread=HOUR / SECOND))
    times = [instant(at) for at in often.trigger.next(20, moment(NOW))]
    for at, following in pairwise(times):
        assert at <= due_time(often, at) < following
    once = job_of(OrTrigger([DateTrigger(moment(NOW))], spread=3600))
    assert NOW < due_time(once, NOW) < NOW + HOUR


def test_spread_and_jitter_add_up_and_late_is_measured_against_the_due_time():
    trigger = IntervalTrigger(hours=1, start_date=moment(NOW), jitter=5, spread=600)
    job = job_of(trigger, misfire_grace_time=1)
    due = due_time(job, NOW)
    assert due != due_time(job_of(IntervalTrigger(hours=1, start_date=moment(NOW), spread=600)), NOW)
    job.set_next(NOW, due)
    decision = plan(job, due)
    assert [run.due for run in decision.runs] == [due]
    assert decision.next_nominal == NOW + HOUR
    assert decision.next_due == due_time(job, NOW + HOUR)


TRIGGERS = [
    IntervalTrigger(hours=1, start_date=moment(NOW), spread=60),
    CalendarIntervalTrigger(days=1, start_date="2026-01-01", timezone=UTC, spread=60.5),
    CronTrigger(hour=3, timezone=UTC, spread=timedelta(minutes=1)),
    CronTrigger.from_crontab("0 3 * * *", UTC, spread=60),
    CronTrigger(hour=3, timezone=UTC, spread=60) | CronTrigger(hour=4, timezone=UTC, spread=6),
    CronTrigger(hour=3, timezone=UTC, spread=60).on("mon"),
]


@pytest.mark.parametrize("trigger", TRIGGERS, ids=range(len(TRIGGERS)))
def test_spread_is_part_of_the_trigger_and_of_its_stored_form(trigger):
    assert trigger.spread in (60, 60.5)
    for back in (
        trigger_from_spec(json.loads(json.dumps(trigger.spec()))),
        pickle.loads(pickle.dumps(trigger)),
    ):
        assert back == trigger
        assert back.spread == trigger.spread
        assert repr(back) == repr(trigger)
    assert IntervalTrigger(hours=1, start_date=moment(NOW)) != TRIGGERS[0]


@pytest.mark.parametrize(
    ("value", "error"), [(-1, TriggerError), ("1m", TriggerTypeError), (True, TriggerTypeError)]
)
def test_a_wrong_spread_is_refused(value, error):
    with pytest.raises(error, match="spread must be a number of seconds"):
        IntervalTrigger(hours=1, spread=value)


# ---------------------------------------------------------------------------------------------------------- H by the id


def test_a_crontab_string_is_a_trigger_by_name_and_h_is_drawn_by_the_jobs_id():
    scheduler = BackgroundScheduler(timezone="UTC")
    one = scheduler.add_job(print, "crontab", expr="H H * * *", id="one")
    assert one.trigger == CronTrigger.from_crontab("H H * * *", "UTC", seed="one")
    other = scheduler.add_job(print, "crontab", expr="H H * * *", id="other", seed="one")
    assert other.trigger == one.trigger
    scheduler.scheduled_job("crontab", expr="H H * * *", id="third", spread=30)(print)
    assert present(scheduler.get_job("third")).trigger == CronTrigger.from_crontab(
        "H H * * *", "UTC", seed="third", spread=30
    )
    with pytest.raises(TriggerError, match="pass seed="):
        scheduler.add_job(print, "crontab", expr="H H * * *")
    with pytest.raises(UnknownOptionError, match="expr"):
        scheduler.add_job(print, "crontab", exp="H H * * *", id="x")


def test_business_days_and_recurrence_rules_are_triggers_by_name():
    scheduler = BackgroundScheduler(timezone="Europe/Berlin")
    payroll = scheduler.add_job(print, "business_day", nth=-1, hour=17)
    assert str(payroll.trigger) == "business_day[nth=-1, time='17:00:00']"
    rule = scheduler.add_job(print, "rrule", rule="FREQ=MONTHLY;BYDAY=-1FR")
    assert str(rule.trigger) == "rrule[FREQ=MONTHLY;BYDAY=-1FR]"
    assert str(rule.trigger.timezone) == str(payroll.trigger.timezone) == "Europe/Berlin"
