"""A trigger without a zone is read in the machine's; where that is not the scheduler's, add_job() says so once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import tzlocal

from rota.schedulers import zone_watch
from rota.testing import ManualScheduler, VirtualClock
from rota.triggers.calendarinterval import CalendarIntervalTrigger
from rota.triggers.combining import OrTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = datetime(2029, 1, 1, tzinfo=UTC)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set the zone of this machine."""

    def set_zone(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        tzlocal.reload_localzone()

    yield set_zone
    monkeypatch.undo()
    tzlocal.reload_localzone()


def warned(caplog: Any, trigger: Any, zone: str) -> list[str]:
    caplog.clear()
    scheduler = ManualScheduler(clock=VirtualClock(START), timezone=zone)
    scheduler.add_job(int, trigger)
    scheduler.add_job(int, trigger)
    return [record.message for record in caplog.records if record.levelname == "WARNING"]


def test_it_is_told_once_with_both_readings(machine: Any, caplog: Any) -> None:
    machine("Europe/Berlin")
    (message,) = warned(caplog, CronTrigger(hour=9), "Asia/Tokyo")
    assert "was made without a time zone, so it is read in this machine's, Europe/Berlin" in message
    assert "its next time is 2029-01-01 09:00:00 CET, and would be 2029-01-01 09:00:00 JST" in message
    assert "timezone='Europe/Berlin' or timezone='Asia/Tokyo'" in message


@pytest.mark.parametrize(
    "make",
    [
        lambda: CronTrigger.from_crontab("0 9 * * *"),
        lambda: DateTrigger("2029-06-01 10:00:00"),
        lambda: CalendarIntervalTrigger(days=1, hour=4),
        lambda: IntervalTrigger(hours=24, start_date="2029-02-01 04:00:00"),
        lambda: OrTrigger([CronTrigger(hour=9, timezone="Asia/Tokyo"), CronTrigger(hour=9)]),
        lambda: CronTrigger(hour=9).offset(timedelta(hours=1)),
    ],
)
def test_each_kind_of_trigger_is_told(machine: Any, caplog: Any, make: Any) -> None:
    machine("Europe/Berlin")
    assert len(warned(caplog, make(), "Asia/Tokyo")) == 1


@pytest.mark.parametrize(
    ("make", "local", "zone"),
    [
        (lambda: CronTrigger(hour=9), "UTC", "Etc/UTC"),
        (lambda: CronTrigger(hour=9), "Europe/Berlin", "Europe/Paris"),
        (lambda: CronTrigger(hour=9), "Europe/Berlin", "Europe/Berlin"),
        (lambda: CronTrigger(hour=9, timezone="Asia/Tokyo"), "Europe/Berlin", "Asia/Tokyo"),
        (lambda: CronTrigger(minute=30), "Europe/Berlin", "Asia/Tokyo"),
        (lambda: IntervalTrigger(hours=1), "Europe/Berlin", "Asia/Tokyo"),
    ],
)
def test_what_makes_no_difference_is_not_told(
    machine: Any, caplog: Any, make: Any, local: str, zone: str
) -> None:
    machine(local)
    assert warned(caplog, make(), zone) == []


def test_zones_that_differ_in_summer_only_are_told(machine: Any, caplog: Any) -> None:
    machine("UTC")
    (message,) = warned(caplog, CronTrigger(hour=9), "Europe/London")
    assert "09:00:00 UTC" in message
    assert "09:00:00 BST" in message


def test_a_trigger_by_its_name_is_in_the_zone_of_the_scheduler(machine: Any, caplog: Any) -> None:
    machine("Europe/Berlin")
    scheduler = ManualScheduler(clock=VirtualClock(START), timezone="Asia/Tokyo")
    scheduler.add_job(int, "cron", hour=9)
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []
    assert zone_watch.ZoneWatch().warning(CronTrigger(hour=9), scheduler.timezone, scheduler.clock.now())
