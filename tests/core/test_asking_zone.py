"""Triggers of programs that have no zone of their own are told the time in the zone of the scheduler, as in APScheduler."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rota.testing import ManualScheduler, VirtualClock
from rota.triggers.base import BaseTrigger
from rota.triggers.combining import OrTrigger
from rota.triggers.date import DateTrigger

START = datetime(2029, 6, 1, 3, tzinfo=UTC)  # noon in Tokyo


class NineInTheMorning(BaseTrigger):
    """Counts from the wall time that it is told."""

    def get_next_fire_time(self, previous_fire_time, now):
        nine = now.replace(hour=9, minute=0)
        return nine if nine > now else nine + timedelta(days=1)


class NamesItsZone(NineInTheMorning):
    """Keeps a zone as a text, for uses of its own."""

    timezone: Any = "Europe/Berlin"


def started():
    scheduler = ManualScheduler(clock=VirtualClock(START), timezone="Asia/Tokyo")
    scheduler.start()
    return scheduler


def hours(scheduler, id):
    return [f"{run.nominal_time:%d %H:%M %Z}" for run in scheduler.get_runs(id)]


@pytest.mark.parametrize("trigger", [NineInTheMorning(), NamesItsZone()], ids=["none", "a text"])
def test_it_is_told_the_time_in_the_schedulers_zone_whenever_it_is_asked(trigger):
    scheduler = started()
    job = scheduler.add_job(int, trigger, id="j")
    assert f"{job.next_run_time:%d %H:%M %Z}" == "02 09:00 JST"
    scheduler.advance(days=2)
    assert f"{job.next_run_time:%d %H:%M %Z}" == "04 09:00 JST"
    scheduler.pause_job("j")
    scheduler.resume_job("j")
    assert f"{scheduler.get_job('j').next_run_time:%d %H:%M %Z}" == "04 09:00 JST"


def test_a_member_of_a_combination_is_told_the_same():
    scheduler = started()
    late = DateTrigger(datetime(2030, 1, 1, tzinfo=UTC))
    job = scheduler.add_job(int, OrTrigger([late, NineInTheMorning()]), id="j")
    assert job.next_run_time == datetime(2029, 6, 2, 0, tzinfo=UTC)


def test_two_schedulers_in_one_thread_each_tell_their_own():
    first, second = started(), ManualScheduler(clock=VirtualClock(START), timezone="America/New_York")
    second.start()
    jobs = [scheduler.add_job(int, NineInTheMorning(), id="j") for scheduler in (first, second)]
    for scheduler in (first, second, first):
        scheduler.advance(days=1)
    assert [f"{job.next_run_time:%H:%M}" for job in jobs] == ["09:00", "09:00"]


def test_asked_by_nobody_it_is_told_utc():
    assert NineInTheMorning().first(0) == 9 * 3600 * 1_000_000
