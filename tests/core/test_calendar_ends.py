"""Times at the ends of the calendar, which not every zone can show: refused at the door, and harmless where they are stored."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from rota.clock import instant
from rota.errors import JobValueError, TriggerError
from rota.testing import ManualScheduler, VirtualClock

BEYOND = [
    datetime.max,
    datetime.max.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    datetime.min.replace(tzinfo=UTC),
]


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/New_York"])
def scheduler(request: pytest.FixtureRequest) -> Any:
    scheduler = ManualScheduler(clock=VirtualClock(), timezone=request.param)
    scheduler.start()
    yield scheduler
    scheduler.print_jobs(out=io.StringIO())
    scheduler.shutdown()


@pytest.mark.parametrize("time", BEYOND, ids=str)
def test_a_time_that_not_every_zone_can_show_is_refused(scheduler: Any, time: datetime) -> None:
    for options in (
        {"trigger": "interval", "hours": 1, "next_run_time": time},
        {"trigger": "date", "run_date": time},
    ):
        with pytest.raises(
            (JobValueError, TriggerError), match="between the years 1 and 9999 in every time zone, got"
        ):
            scheduler.add_job(int, **options)
    job = scheduler.add_job(int, "interval", hours=1)
    with pytest.raises((JobValueError, TriggerError), match="in every time zone"):
        job.modify(next_run_time=time)
    with pytest.raises((JobValueError, TriggerError), match="in every time zone"):
        job.reschedule("date", run_date=time)
    assert job.next_run_time is not None


@pytest.mark.parametrize("time", [datetime(9999, 12, 31, tzinfo=UTC), datetime(1, 1, 3)])
def test_the_last_day_of_the_calendar_is_a_time(scheduler: Any, time: datetime) -> None:
    job = scheduler.add_job(int, "interval", hours=1, next_run_time=time)
    assert job.next_run_time.year == time.year


def test_a_stored_time_that_a_zone_cannot_show_does_not_break_the_list(scheduler: Any) -> None:
    job = scheduler.add_job(int, "interval", hours=1, id="far")
    for time in (BEYOND[1], BEYOND[2]):
        job.set_next(instant(time))
        out = io.StringIO()
        scheduler.print_jobs(out=out)
        assert "next run at: 9999-12-31" in out.getvalue()
        assert job.next_run_time.year == 9999
