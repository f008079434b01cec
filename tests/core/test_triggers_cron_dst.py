"""Cron triggers where the clocks change, against a slow oracle that walks every minute of real and of wall time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.clock import MINUTE, instant, moment
from rota.triggers.cron import CronTrigger
from tests.present import present

THREE_HOURS = timedelta(hours=3)

# Zone and a UTC day on which it changes: gaps and overlaps of 30 minutes to a day, at night, at midnight and over
# midnight, with and without a daylight saving flag.
CHANGES = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("US/Pacific", "2022-03-13"),
    ("America/New_York", "2026-11-01"),
    ("America/Havana", "2024-03-10"),
    ("America/Havana", "2024-11-03"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/St_Johns", "2010-11-07"),
    ("America/St_Johns", "2010-03-14"),
    ("Asia/Beirut", "2026-03-28"),
    ("Africa/Cairo", "2026-04-23"),
    ("Africa/Cairo", "2026-10-29"),
    ("Asia/Amman", "2017-03-30"),
    ("Australia/Lord_Howe", "2026-10-03"),
    ("Australia/Lord_Howe", "2026-04-04"),
    ("Antarctica/Troll", "2026-03-29"),
    ("Antarctica/Troll", "2026-10-25"),
    ("Antarctica/Casey", "2010-03-04"),
    ("Antarctica/Casey", "2009-10-17"),
    ("America/Nuuk", "2024-03-31"),
    ("Asia/Pyongyang", "2015-08-14"),
    ("Asia/Pyongyang", "2018-05-04"),
    ("Europe/Moscow", "2011-03-26"),
    ("Europe/Moscow", "2014-10-25"),
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Kwajalein", "1993-08-21"),
]
POLICIES = ["vixie", "wall", "gap-end", "shift"]


class Minute:
    """A minute of real time and what a clock on the wall shows."""

    def __init__(self, at: int, wall: datetime, overlap: timedelta, skipped: list[datetime]) -> None:
        self.at = at
        self.wall = wall
        #: how long ago the wall showed the same, zero on a first pass
        self.overlap = overlap
        #: the minutes of wall time that the clock has jumped over to come here
        self.skipped = skipped


@cache
def minutes_around(key: str, day: str) -> list[Minute]:
    zone = ZoneInfo(key)
    at = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(hours=10)
    result: list[Minute] = []
    seen: dict[datetime, datetime] = {}
    before = None
    for _ in range(60 * 50):
        wall = at.astimezone(zone).replace(tzinfo=None, fold=0)
        skipped = []
        if before is not None:
            jumped = before + timedelta(minutes=1)
            while jumped < wall:
                skipped.append(jumped)
                jumped += timedelta(minutes=1)
        result.append(Minute(instant(at), wall, at - seen[wall] if wall in seen else timedelta(0), skipped))
        seen.setdefault(wall, at)
        before = wall
        at += timedelta(minutes=1)
    assert any(minute.skipped or minute.overlap for minute in result), f"{key} does not change on {day}"
    return result


def expected(walk: list[Minute], matches, wild: bool, policy: str) -> list[int]:
    """Return the fires of a schedule that has always run, by the table of the rules."""
    fires = set()
    for minute in walk:
        if matches(minute.wall):
            hidden = minute.overlap and not wild
            if policy in ("vixie", "gap-end"):
                hidden = hidden and minute.overlap <= THREE_HOURS
            if not hidden or policy == "wall":
                fires.add(minute.at)
        jumped_over = [wall for wall in minute.skipped if matches(wall)]
        if policy == "vixie":
            if jumped_over and not wild and len(minute.skipped) <= 180:
                fires.add(minute.at)
        elif policy == "gap-end":
            if jumped_over:
                fires.add(minute.at)
        elif policy == "shift":
            fires.update(minute.at + minute.skipped.index(wall) * MINUTE for wall in jumped_over)
    return sorted(fires)


# ------------------------------------------------------------------------------------------------------- strategies


@st.composite
def field(draw, name: str, low: int, high: int, get) -> tuple[str, str, object]:
    kind = draw(st.sampled_from(["*", "step", "list", "range", "range", "list", "a/n"]))
    if kind == "*":
        return name, "*", lambda wall: True
    if kind == "step":
        step = draw(st.integers(1, high - low))
        return name, f"*/{step}", lambda wall: (get(wall) - low) % step == 0
    if kind == "a/n":
        first, step = draw(st.integers(low, high - 1)), draw(st.integers(1, 3))
        step = min(step, high - first)
        return name, f"{first}/{step}", lambda wall: get(wall) >= first and (get(wall) - first) % step == 0
    if kind == "range":
        first = draw(st.integers(low, high))
        last = draw(st.integers(first, high))
        return name, f"{first}-{last}", lambda wall: first <= get(wall) <= last
    values = draw(st.lists(st.integers(low, high), min_size=1, max_size=3, unique=True))
    return name, ",".join(map(str, values)), lambda wall: get(wall) in values


FIELDS = {
    "minute": field("minute", 0, 59, lambda wall: wall.minute),
    "hour": field("hour", 0, 23, lambda wall: wall.hour),
    "day_of_week": field("day_of_week", 0, 6, lambda wall: wall.weekday()),
}


@st.composite
def schedules(draw):
    chosen = [draw(FIELDS["minute"]), draw(FIELDS["hour"])]
    # Times around the changes are what matters.
    if draw(st.booleans()):
        hours = draw(st.sampled_from(["0-3", "0,1,2,3", "23,0,1", "1-2", "2", "22-23", "0", "*/2", "3"]))
        values = set(range(0, 24, 2)) if hours == "*/2" else set()
        for part in [] if hours == "*/2" else hours.split(","):
            first, _, last = part.partition("-")
            values |= set(range(int(first), int(last or first) + 1))
        chosen[1] = ("hour", hours, lambda wall: wall.hour in values)
    if draw(st.booleans()) and draw(st.booleans()):
        chosen.append(draw(FIELDS["day_of_week"]))
    texts = {name: text for name, text, _ in chosen}
    wild = texts["minute"].startswith("*") or texts["hour"].startswith("*")
    return texts, wild, lambda wall: all(matches(wall) for _, _, matches in chosen)


# -------------------------------------------------------------------------------------------------------- properties


@pytest.mark.slow
@settings(max_examples=50, derandomize=True)
@given(schedules(), st.sampled_from(CHANGES), st.sampled_from(POLICIES), st.data())
def test_a_schedule_fires_as_the_minute_by_minute_oracle_says(schedule, change, policy, data):
    texts, wild, matches = schedule
    walk = minutes_around(*change)
    wanted = expected(walk, matches, wild, policy)
    trigger = CronTrigger(**texts, timezone=change[0], dst=policy)
    start, end = walk[0].at - 1, walk[-1].at

    found, at = [], trigger.after(start)
    while at is not None and at <= end:
        found.append(at)
        at = trigger.after(at, at)
    assert [str(moment(at)) for at in found] == [str(moment(at)) for at in wanted]

    point = data.draw(st.integers(start, end))
    earlier = [at for at in wanted if at <= point]
    if earlier:
        assert trigger.at_or_before(point) == earlier[-1]
        first = data.draw(st.sampled_from(earlier))
        assert trigger.latest(first, point) == (earlier[-1], len([at for at in earlier if at >= first]))


@pytest.mark.thorough
@settings(max_examples=30, derandomize=True)
@given(schedules(), st.sampled_from(CHANGES), st.sampled_from(POLICIES), st.data())
def test_every_answer_is_a_real_time_later_than_the_last_one(schedule, change, policy, data):
    texts, _, _ = schedule
    zone = ZoneInfo(change[0])
    trigger = CronTrigger(**texts, timezone=zone, dst=policy)
    walk = minutes_around(*change)
    previous = moment(data.draw(st.sampled_from(walk)).at, zone)
    for _ in range(30):
        following = present(trigger.get_next_fire_time(previous, previous))
        back = following.astimezone(UTC).astimezone(zone)
        assert (back, back.fold) == (following, following.fold)
        assert back.replace(tzinfo=None) == following.replace(tzinfo=None)
        assert following.astimezone(UTC) > previous.astimezone(UTC)
        previous = following


@pytest.mark.thorough
@settings(max_examples=30, derandomize=True)
@given(schedules(), st.sampled_from(CHANGES), st.sampled_from(["vixie", "gap-end"]), st.data())
def test_a_schedule_that_starts_at_any_time_loses_no_run_and_doubles_none(schedule, change, policy, data):
    texts, wild, matches = schedule
    if wild:
        return
    walk = minutes_around(*change)
    trigger = CronTrigger(**texts, timezone=change[0], dst=policy)
    start = data.draw(st.sampled_from(walk)).at
    fired, at = [], trigger.after(start - 1)
    while at is not None and at <= walk[-1].at:
        fired.append(at)
        at = trigger.after(at, at)
    at_minute = {minute.at: minute for minute in walk}
    for minute in walk:
        if minute.at < start or not matches(minute.wall):
            continue
        if not minute.overlap or minute.overlap > THREE_HOURS:
            assert minute.at in fired
        else:
            first_pass = minute.at - int(minute.overlap.total_seconds()) * 1_000_000
            assert (minute.at in fired) == (first_pass < start)
    # Besides those, only the ends of gaps.
    assert all(matches(at_minute[at].wall) or at_minute[at].skipped for at in fired)


# ------------------------------------------------------------------------------------------- known faults of others


def at(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def walk(trigger: CronTrigger, start: datetime, count: int) -> list[str]:
    found = [present(trigger.get_next_fire_time(None, start))]
    while len(found) < count:
        found.append(present(trigger.get_next_fire_time(found[-1], found[-1])))
    return [time.isoformat() for time in found]


def test_the_midnight_after_the_spring_change_is_not_skipped():
    trigger = CronTrigger(hour=0, timezone="US/Pacific")
    assert walk(trigger, at("2022-03-12 12:00", "US/Pacific"), 3) == [
        "2022-03-13T00:00:00-08:00",
        "2022-03-14T00:00:00-07:00",
        "2022-03-15T00:00:00-07:00",
    ]


def test_the_first_of_april_begins_at_midnight_in_havana():
    trigger = CronTrigger(day=1, hour="*/3", timezone="America/Havana")
    found = present(trigger.get_next_fire_time(None, at("2024-03-09 12:00", "America/Havana")))
    assert found.isoformat() == "2024-04-01T00:00:00-04:00"


def test_every_minute_of_the_day_of_the_change_in_amman_is_real_and_comes_once():
    trigger = CronTrigger(day=31, minute="*", timezone="Asia/Amman")
    found, time = [], at("2017-03-30 23:00", "Asia/Amman")
    for _ in range(23 * 60):
        time = present(trigger.get_next_fire_time(time, time))
        found.append(time)
    assert len({time.astimezone(UTC) for time in found}) == 23 * 60
    assert found[0].isoformat() == "2017-03-31T01:00:00+03:00"
    assert found[-1].isoformat() == "2017-03-31T23:59:00+03:00"


def test_no_time_of_another_hour_slips_in_on_the_night_of_the_change_in_st_johns():
    trigger = CronTrigger(hour="*/3", minute="*/30", second=30, timezone="America/St_Johns")
    time = at("2010-11-06 12:00", "America/St_Johns")
    for _ in range(40):
        time = present(trigger.get_next_fire_time(time, time))
        assert (time.hour % 3, time.minute % 30, time.second) == (0, 0, 30)


def test_a_sunday_schedule_passes_the_change_in_st_johns():
    trigger = CronTrigger.from_crontab("15 */2 * * 7", "America/St_Johns")
    found = walk(trigger, at("2010-11-06 12:00", "America/St_Johns"), 14)
    assert found[0] == "2010-11-07T00:15:00-03:30"
    assert found[12:] == ["2010-11-14T00:15:00-03:30", "2010-11-14T02:15:00-03:30"]


@pytest.mark.parametrize("policy", POLICIES)
def test_quarters_of_the_missing_hour_do_not_send_time_backwards(policy):
    trigger = CronTrigger.from_crontab("*/15 2-3 * * *", "Europe/Berlin", dst=policy)
    found = walk(trigger, at("2026-03-28 12:00", "Europe/Berlin"), 13)
    assert found == sorted(set(found), key=datetime.fromisoformat)
    assert found[:4] == [f"2026-03-29T03:{minute}:00+02:00" for minute in ("00", "15", "30", "45")]


def test_an_end_date_in_the_second_pass_of_an_overlap_lets_the_second_pass_fire():
    end = datetime(2026, 10, 25, 2, 40, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    trigger = CronTrigger(minute="*/30", end_date=end, timezone="Europe/Berlin")
    found, time = [], at("2026-10-25 01:50", "Europe/Berlin")
    while (following := trigger.get_next_fire_time(time, time)) is not None:
        time = following
        found.append(time.isoformat()[11:])
    assert found == ["02:00:00+02:00", "02:30:00+02:00", "02:00:00+01:00", "02:30:00+01:00"]


@pytest.mark.parametrize(
    ("policy", "crontab", "spring", "autumn"),
    [
        ("vixie", "30 2 * * *", ["03:00+02:00"], ["02:30+02:00"]),
        ("vixie", "*/30 2 * * *", [], ["02:00+02:00", "02:30+02:00", "02:00+01:00", "02:30+01:00"]),
        ("wall", "30 2 * * *", [], ["02:30+02:00", "02:30+01:00"]),
        ("gap-end", "30 2 * * *", ["03:00+02:00"], ["02:30+02:00"]),
        ("gap-end", "*/30 2 * * *", ["03:00+02:00"], ["02:00+02:00", "02:30+02:00", "02:00+01:00", "02:30+01:00"]),
        ("shift", "30 2 * * *", ["03:30+02:00"], ["02:30+02:00"]),
        ("shift", "*/30 2 * * *", ["03:00+02:00", "03:30+02:00"], ["02:00+02:00", "02:30+02:00", "02:00+01:00", "02:30+01:00"]),
        ("vixie", "15,45 2 * * *", ["03:00+02:00"], ["02:15+02:00", "02:45+02:00"]),
        ("vixie", "0 2,3 * * *", ["03:00+02:00"], ["02:00+02:00", "03:00+01:00"]),
    ],
)  # fmt: skip
def test_the_table_of_policies_holds_in_berlin(policy, crontab, spring, autumn):
    trigger = CronTrigger.from_crontab(crontab, "Europe/Berlin", dst=policy)
    for day, wanted in (("2026-03-29", spring), ("2026-10-25", autumn)):
        found, time = [], at(f"{day} 00:00", "Europe/Berlin")
        while (time := present(trigger.get_next_fire_time(time, time))).day == int(day[-2:]):
            found.append(time.isoformat(timespec="minutes")[11:])
        assert found == wanted


class FiveHoursBack(tzinfo):
    """A zone that puts its clocks back by five hours at 2026-06-01 12:00 UTC."""

    change = datetime(2026, 6, 1, 12)

    def utcoffset(self, dt):
        if dt is None:
            return None
        wall = dt.replace(tzinfo=None)
        if wall < self.change:
            return timedelta(hours=5)
        if wall >= self.change + timedelta(hours=5):
            return timedelta(0)
        return timedelta(0) if dt.fold else timedelta(hours=5)

    def dst(self, dt):
        return timedelta(0)

    def tzname(self, dt):
        return None

    def fromutc(self, dt):
        utc = dt.replace(tzinfo=None)
        if utc < self.change:
            return dt + timedelta(hours=5)
        return dt.replace(fold=int(utc < self.change + timedelta(hours=5)))


def test_a_correction_of_more_than_three_hours_hides_nothing():
    trigger = CronTrigger(hour=14, timezone=FiveHoursBack())
    start = instant(datetime(2026, 6, 1, 6, tzinfo=UTC))
    first = present(trigger.after(start))
    second = present(trigger.after(first, first))
    assert [moment(time).isoformat() for time in (first, second)] == [
        "2026-06-01T09:00:00+00:00",
        "2026-06-01T14:00:00+00:00",
    ]
    assert trigger.latest(first, second) == (second, 2)


def test_the_day_that_apia_left_out_is_not_made_up_for():
    trigger = CronTrigger(hour=9, timezone="Pacific/Apia")
    assert walk(trigger, at("2011-12-28 12:00", "Pacific/Apia"), 2) == [
        "2011-12-29T09:00:00-10:00",
        "2011-12-31T09:00:00+14:00",
    ]


def test_a_gap_that_ends_within_a_minute_is_caught_up_at_its_end_to_the_second():
    trigger = CronTrigger(hour=0, minute=15, timezone="Africa/Monrovia")
    assert walk(trigger, at("1972-01-06 12:00", "Africa/Monrovia"), 2) == [
        "1972-01-07T00:44:30+00:00",
        "1972-01-08T00:15:00+00:00",
    ]


def test_a_year_of_five_minutes_is_counted_without_walking_it():
    trigger = CronTrigger(minute="*/5", timezone="Europe/Berlin")
    first = instant(datetime(2026, 1, 1, tzinfo=UTC))
    now = instant(datetime(2027, 1, 1, tzinfo=UTC))
    assert trigger.latest(first, now) == (now, 365 * 288 + 1)
