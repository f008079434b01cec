"""What triggers are written as: specs, pickled states, reprs and texts, as in a table that an earlier version has written.

The table is ``tests/data/trigger_forms.json``. ``python -m tests.core.test_triggers_forms`` adds what a new line of EXPRESSIONS
is written as; what is in it already stays, as people have it in their stores.
"""

from __future__ import annotations

import base64
import json
import pickle
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from rota.calendars import BusinessCalendar
from rota.codec.triggers import plain_text
from rota.triggers import trigger_from_spec
from rota.triggers.algebra.streams import MinusTrigger
from rota.triggers.base import BaseTrigger
from rota.triggers.business_day import BusinessDayTrigger
from rota.triggers.calendarinterval import CalendarIntervalTrigger
from rota.triggers.combining import AndTrigger, OrTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.cron.fields import BaseField
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger
from rota.triggers.rrule import RRuleTrigger

TABLE = Path(__file__).parents[1] / "data" / "trigger_forms.json"
NOW = int(datetime(2026, 11, 2, 10, 0, 0, tzinfo=UTC).timestamp()) * 1_000_000
FIXED = timezone(timedelta(hours=5, minutes=30))
BERLIN = ZoneInfo("Europe/Berlin")


class Nameless(tzinfo):
    """A zone that has no text from which it could be made again."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        if when is None:
            raise ValueError("it is asked about no time")
        return timedelta(hours=1)

    def __repr__(self) -> str:
        return "nameless"

    def tzname(self, when: datetime | None) -> str:
        return "nameless"

    def dst(self, when: datetime | None) -> timedelta:
        return timedelta(0)


#: what the expressions use
NAMES = {
    **{
        used.__name__: used
        for used in (
            AndTrigger,
            BusinessCalendar,
            BusinessDayTrigger,
            CalendarIntervalTrigger,
            CronTrigger,
            DateTrigger,
            IntervalTrigger,
            MinusTrigger,
            Nameless,
            OrTrigger,
            RRuleTrigger,
            date,
            datetime,
            time,
        )
    },
    "BERLIN": BERLIN,
    "FIXED": FIXED,
    "NOW": NOW,
    "UTC": UTC,
}
EXPRESSIONS = """
DateTrigger("2026-12-24 18:00:00.000001", "Europe/Berlin")
DateTrigger(datetime(2026, 10, 25, 2, 30, tzinfo=FIXED))
DateTrigger(datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN))
DateTrigger(datetime(2026, 10, 25, 3, 30, tzinfo=Nameless()))
DateTrigger(timezone="UTC", now=NOW)
IntervalTrigger(seconds=5, timezone="UTC", now=NOW)
IntervalTrigger(hours=2, timezone=BERLIN, now=NOW, first="aligned")
IntervalTrigger(seconds=5, timezone="UTC", now=NOW, first="now", mode="delay")
IntervalTrigger(seconds=0.05, timezone=FIXED, jitter=1.5, end_date="2030-01-01", now=NOW)
IntervalTrigger(minutes=1, timezone="UTC", jitter=5, spread=30, now=NOW)
IntervalTrigger(minutes=1, timezone="UTC", jitter=5.0, now=NOW)
IntervalTrigger(days=1, start_date="2026-10-25 02:30:00", end_date=date(2027, 1, 1), timezone=BERLIN)
IntervalTrigger(1, 2, 3, 4, 5.000001, start_date="2026-10-25 02:30:00", timezone="Europe/Berlin")
IntervalTrigger(hours=1, start_date=datetime(2026, 1, 1, tzinfo=Nameless()))
CalendarIntervalTrigger(days=1, timezone="Europe/Berlin", now=NOW)
CalendarIntervalTrigger(months=1, hour=9, start_date="2026-01-31", timezone="UTC")
CalendarIntervalTrigger(years=1, months=2, weeks=3, days=4, hour=5, minute=6, second=7, start_date="2026-01-31", \
end_date="2030-01-01", timezone=FIXED, jitter=10, spread=2.5)
CalendarIntervalTrigger(weeks=2, timezone=Nameless(), start_date="2026-01-31", jitter=0)
CronTrigger(timezone="UTC")
CronTrigger(hour=3, timezone="Europe/Berlin")
CronTrigger(year="2026-2030", month="jan,mar", day="last", week="1-20", day_of_week="mon-fri", hour="*/2", minute="5,10-20/3", \
second=30, timezone="Europe/Berlin", jitter=60, spread=5.5, dst="gap-end")
CronTrigger(day="2nd fri", start_date="2026-01-01", end_date="2027-01-01 12:00:00", timezone=FIXED, dst="shift")
CronTrigger(minute="*/5", timezone=Nameless())
CronTrigger.from_crontab("30 4 1,15 * 5", "UTC")
CronTrigger.from_crontab("0 9 * * mon#1", "Europe/Berlin", jitter=3)
CronTrigger.from_crontab("0 0 12 ? * 2-6", "UTC", dialect="quartz")
CronTrigger.from_crontab("0 12 * * 1", "UTC", dialect="apscheduler3")
CronTrigger.from_crontab("CRON_TZ=Asia/Ho_Chi_Minh 0 12 * * *", start_date="2026-01-01")
CronTrigger.from_crontab("H H * * *", "UTC", seed="a job")
RRuleTrigger("FREQ=MONTHLY;BYDAY=-1FR", "2026-01-01 09:00:00", "Europe/Berlin")
RRuleTrigger("DTSTART;TZID=Europe/Berlin:20260101T090000\\nRRULE:FREQ=DAILY;COUNT=5\\nEXDATE;TZID=Europe/Berlin:20260102T090000", \
jitter=5, spread=1.5)
RRuleTrigger("FREQ=DAILY", timezone="UTC", now=NOW)
BusinessDayTrigger(timezone="UTC")
BusinessDayTrigger(3, of="quarter", hour=9, minute=30, second=1, timezone="Europe/Berlin", jitter=5, spread=2)
BusinessDayTrigger(-2, BusinessCalendar(weekend="fri,sat"), start_date="2026-01-01", end_date="2027-01-01", timezone=FIXED)
AndTrigger([CronTrigger(hour=3, timezone="UTC"), CronTrigger(day_of_week="mon", hour=3, timezone="UTC")])
AndTrigger([CronTrigger(hour=3, timezone="UTC"), CronTrigger(day="1-7", hour="*", timezone="UTC")], jitter=5, spread=1)
OrTrigger([CronTrigger(hour=3, timezone="UTC"), DateTrigger("2026-12-24", "UTC")], jitter=0)
OrTrigger([DateTrigger(datetime(2026, 1, 1, tzinfo=Nameless())), DateTrigger("2026-12-24", "UTC")], spread=0.5)
OrTrigger([OrTrigger([DateTrigger("2026-12-24", "UTC")]), IntervalTrigger(hours=1, timezone="UTC", now=NOW)])
MinusTrigger(CronTrigger(hour="*", timezone="UTC", jitter=2), CronTrigger(hour=3, timezone="UTC"))
CronTrigger(minute="*/5", timezone="UTC").between("9:00", "17:30:15")
CronTrigger(minute="*/5", timezone="UTC").between(time(22), "24:00", timezone="Europe/Berlin")
CronTrigger(hour=9, timezone="UTC").on("mon-fri", timezone=FIXED)
CronTrigger(hour=9, timezone="UTC").on([5, 6])
CronTrigger(hour=9, timezone="UTC").on_business_days(BusinessCalendar())
CronTrigger(day=1, hour=9, timezone="UTC").roll(BusinessCalendar(), "previous", days=-2)
CronTrigger(day=1, hour=9, timezone="UTC").offset(hours=-1, seconds=0.5)
IntervalTrigger(hours=1, timezone="UTC", start_date="2026-01-01").limit(3)
CronTrigger(hour=9, timezone="Europe/Berlin", jitter=3).starting("2026-01-01").until(datetime(2027, 1, 1, tzinfo=UTC))
CronTrigger(hour=9, timezone=Nameless()).until("2027-01-01")
"""


def lines() -> list[str]:
    """Return the expressions that make the triggers."""
    return [line for line in EXPRESSIONS.strip().replace("\\\n", "").splitlines() if line]


def shown(value: object) -> object:
    """Return part of a state as JSON-able data that tells its type and its order."""
    if isinstance(value, dict):
        return [[key, shown(one)] for key, one in value.items()]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(shown, value)]
    if isinstance(value, BaseField):
        return f"{type(value).__name__} {value.name}={value}"
    if isinstance(value, BusinessCalendar):
        return ["BusinessCalendar", shown(value.spec())]
    if isinstance(value, Nameless):
        return "Nameless"
    if isinstance(value, datetime):
        return [value.replace(tzinfo=None).isoformat(), value.fold, shown(value.tzinfo)]
    return value if value is None or type(value) in (bool, int, str) else repr(value)


def forms(trigger: BaseTrigger) -> dict[str, object]:
    """Return all that a trigger is written as."""
    return {
        "spec": json.dumps(trigger.spec()),
        "plain": plain_text(trigger),
        "state": json.loads(json.dumps(shown(trigger.__getstate__()))),
        "repr": repr(trigger),
        "str": str(trigger),
    }


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, object]]:
    return json.loads(TABLE.read_text())


@pytest.mark.parametrize("line", lines())
def test_a_trigger_is_written_as_it_was(line, table):
    trigger = eval(line, NAMES)
    expected = dict(table[line])
    del expected["pickle"]
    assert forms(trigger) == expected


@pytest.mark.parametrize("line", lines())
def test_a_stored_trigger_is_the_same_one_again(line, table):
    trigger, stored = eval(line, NAMES), table[line]
    spec = json.loads(stored["spec"])
    restored = [] if spec is None else [trigger_from_spec(spec)]
    if "Nameless" not in line:
        restored.append(pickle.loads(base64.b64decode(stored["pickle"])))
    assert restored or spec is None
    for again in restored:
        assert again == trigger
        assert hash(again) == hash(trigger)
        assert (repr(again), str(again), json.dumps(again.spec())) == (
            repr(trigger),
            str(trigger),
            stored["spec"],
        )


def test_triggers_that_differ_in_one_parameter_are_not_equal():
    triggers = [eval(line, NAMES) for line in lines()]
    # The same moment, told by two zones; and a jitter of 5 and one of 5.0 in all that is equal.
    different = {(type(trigger), repr(trigger)) for trigger in triggers}
    assert len(different) == len(triggers)
    for index, one in enumerate(triggers):
        for other in triggers[index + 1 :]:
            assert one != other


if __name__ == "__main__":
    known = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    for line in lines():
        if line not in known:
            made = eval(line, NAMES)
            pickled = None if "Nameless" in line else base64.b64encode(pickle.dumps(made, 4)).decode()
            known[line] = {**forms(made), "pickle": pickled}
    rows = ",\n".join(f"{json.dumps(line)}: {json.dumps(row)}" for line, row in known.items())
    TABLE.write_text(f"{{\n{rows}\n}}\n")
