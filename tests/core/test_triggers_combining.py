"""``and`` and ``or``: what they agree on, and that they neither hang nor move their members' grids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.clock import DAY, HOUR, MINUTE, SECOND, instant, moment
from rota.errors import NeverFiresError, TriggerError, TriggerTypeError
from rota.triggers.base import BaseTrigger
from rota.triggers.calendarinterval import CalendarIntervalTrigger
from rota.triggers.combining import AndTrigger, OrTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger
from tests.present import present

NOW = instant(datetime(2026, 11, 2, 10, tzinfo=UTC))
START = datetime(2026, 11, 2, 10, tzinfo=UTC)


def walk(trigger: BaseTrigger, start: int, count: int) -> list[int]:
    found, at = [], trigger.first(start)
    while at is not None and len(found) < count:
        found.append(at)
        at = trigger.after(at, at)
    return found


def test_and_fires_when_all_agree():
    trigger = AndTrigger(
        [
            CronTrigger(month="5-8", day="6-15", end_date="2017-08-10", timezone=UTC),
            CronTrigger(month="6-9", day="*/3", end_date="2017-09-07", timezone=UTC),
        ]
    )
    start = instant(datetime(2017, 8, 6, tzinfo=UTC))
    assert [moment(at).date().isoformat() for at in walk(trigger, start, 9)] == ["2017-08-07", "2017-08-10"]


def test_and_of_crons_that_rarely_agree_is_found_with_a_previous_time():
    trigger = AndTrigger(
        [CronTrigger(month=2, day=29, timezone=UTC), CronTrigger(day_of_week="mon", timezone=UTC)]
    )
    previous = datetime(2016, 2, 29, tzinfo=UTC)
    assert trigger.get_next_fire_time(previous, previous) == datetime(2044, 2, 29, tzinfo=UTC)
    assert trigger.get_next_fire_time(None, previous) == previous


@pytest.mark.parametrize(
    "members",
    [
        [CronTrigger(hour=9, timezone=UTC), CronTrigger(day_of_week="mon", timezone=UTC)],
        [CronTrigger(day=30, timezone=UTC), CronTrigger(month=2, day="*", timezone=UTC)],
        [CronTrigger(year="2030", timezone=UTC), CronTrigger(year="2031", timezone=UTC)],
        [IntervalTrigger(hours=2, start_date=START), IntervalTrigger(hours=4, start_date=START + timedelta(hours=1))],
        [DateTrigger("2026-12-24 18:30:00", UTC), CronTrigger(hour="*", timezone=UTC)],
        [DateTrigger("2026-12-24", UTC), DateTrigger("2026-12-25", UTC)],
    ],
)  # fmt: skip
def test_members_that_provably_never_agree_are_refused(members):
    with pytest.raises(NeverFiresError, match="never fire at the same time"):
        AndTrigger(members)


def test_a_search_without_end_is_given_up_with_an_error():
    trigger = AndTrigger(
        [CronTrigger(minute="0", timezone="Asia/Kolkata"), CronTrigger(minute="0", timezone="UTC")]
    )
    with pytest.raises(NeverFiresError, match="suits all"):
        trigger.after(NOW)


def test_and_of_intervals_fires_on_the_common_grid():
    trigger = AndTrigger(
        [
            IntervalTrigger(minutes=7, start_date=START),
            IntervalTrigger(minutes=11, start_date=START + timedelta(minutes=1)),
        ]
    )
    times = walk(trigger, NOW, 3)
    assert [(at - NOW) // MINUTE for at in times] == [56, 133, 210]


def test_and_ends_with_its_first_member():
    trigger = AndTrigger([DateTrigger(START + timedelta(hours=2)), CronTrigger(hour="*", timezone=UTC)])
    assert walk(trigger, NOW, 5) == [NOW + 2 * HOUR]


def test_or_fires_when_any_member_does():
    trigger = OrTrigger([DateTrigger(START + timedelta(minutes=90)), DateTrigger(START + timedelta(hours=3)),
                         IntervalTrigger(hours=1, start_date=START, end_date=START + timedelta(hours=3))])  # fmt: skip
    minutes = [(at - NOW) // MINUTE for at in walk(trigger, NOW, 9)]
    assert minutes == [0, 60, 90, 120, 180]


def test_or_does_not_restart_the_phase_of_an_interval():
    trigger = OrTrigger(
        [IntervalTrigger(hours=1, start_date=START), CronTrigger(minute=17, hour="*/4", timezone=UTC)]
    )
    minutes = [(at - NOW) // MINUTE for at in walk(trigger, NOW, 6)]
    assert minutes == [0, 60, 120, 137, 180, 240]
    previous = moment(NOW + 137 * MINUTE)
    assert trigger.get_next_fire_time(previous, previous) == START + timedelta(hours=3)


def test_or_has_a_date_that_is_past_due_at_once():
    trigger = OrTrigger([DateTrigger(START - timedelta(days=1)), CronTrigger(hour=0, timezone=UTC)])
    assert trigger.first(NOW) == NOW - DAY


def test_or_fires_a_fixed_time_in_an_overlap_once_though_others_fire_between():
    trigger = OrTrigger([CronTrigger(hour=2, minute=30, timezone="Europe/Berlin"),
                         IntervalTrigger(minutes=20, start_date="2026-10-25 01:00:00", timezone="Europe/Berlin")])  # fmt: skip
    start = instant(datetime(2026, 10, 24, 23, tzinfo=UTC))
    halves = [at for at in walk(trigger, start, 20) if moment(at).minute == 30]
    assert [moment(at).isoformat() for at in halves] == ["2026-10-25T00:30:00+00:00"]


@settings(max_examples=60, derandomize=True)
@given(
    st.lists(
        st.one_of(
            st.builds(
                lambda n, offset: IntervalTrigger(minutes=n, start_date=START + timedelta(minutes=offset)),
                st.integers(1, 90),
                st.integers(0, 300),
            ),
            st.sampled_from(
                [
                    CronTrigger(minute="*/20", timezone=UTC),
                    CronTrigger(hour="*/5", timezone=UTC),
                    CalendarIntervalTrigger(days=1, hour=12, start_date="2026-11-01", timezone=UTC),
                    DateTrigger(START + timedelta(hours=7)),
                ]
            ),
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 3 * 24 * 60),
)
def test_or_counts_what_it_skips_as_a_walk_does(members, minutes):
    trigger = OrTrigger(members)
    first = present(trigger.first(NOW))
    now = max(first, NOW + minutes * MINUTE)
    wanted: list[int] = []
    at: int | None = first
    while at is not None and at <= now:
        wanted.append(at)
        at = trigger.after(at, at)
    assert all(one < other for one, other in pairwise(wanted))
    assert trigger.latest(first, now) == (wanted[-1], len(wanted))
    assert trigger.at_or_before(now) == wanted[-1]


def test_a_week_asleep_costs_an_or_no_walk_over_all_its_seconds():
    trigger = OrTrigger(
        [IntervalTrigger(seconds=1, start_date=START), IntervalTrigger(hours=1, start_date=START)]
    )
    assert trigger.latest(NOW, NOW + 7 * DAY) == (NOW + 7 * DAY, 7 * 86400 + 1)


def test_and_looks_back_as_it_looks_forward():
    trigger = AndTrigger([CronTrigger(day=13, timezone=UTC), CronTrigger(day_of_week="fri", timezone=UTC)])
    friday = instant(datetime(2026, 11, 13, tzinfo=UTC))
    assert trigger.after(NOW) == friday
    assert trigger.at_or_before(friday + 40 * DAY) == friday


class EveryTenSeconds(BaseTrigger):
    """A custom trigger with nothing but APScheduler's method."""

    def get_next_fire_time(self, previous_fire_time, now):
        return now - timedelta(seconds=now.second % 10, microseconds=now.microsecond) + timedelta(seconds=10)


class Backwards(EveryTenSeconds):
    def get_next_fire_time(self, previous_fire_time, now):
        return now - timedelta(seconds=1)


def test_a_custom_trigger_may_be_combined():
    both = AndTrigger([EveryTenSeconds(), CronTrigger(minute="*", second="*/15", timezone=UTC)])
    assert walk(both, NOW, 3) == [NOW, NOW + 30 * SECOND, NOW + 60 * SECOND]
    either = OrTrigger([EveryTenSeconds(), CronTrigger(minute="*", timezone=UTC)])
    assert [(at - NOW) // SECOND for at in walk(either, NOW, 3)] == [0, 10, 20]
    assert either.spec() is None
    assert EveryTenSeconds().latest(NOW, NOW + 65 * SECOND) == (NOW + 60 * SECOND, 7)


class Jittery(EveryTenSeconds):
    def __init__(self):
        self.jitter = 8

    def get_next_fire_time(self, previous_fire_time, now):
        return self._apply_jitter(super().get_next_fire_time(previous_fire_time, now), self.jitter, now)


def test_a_custom_trigger_with_jitter_keeps_its_nominal_times():
    assert [(at - NOW) // SECOND for at in walk(Jittery(), NOW, 3)] == [10, 20, 30]


def test_a_custom_trigger_that_goes_back_in_time_is_found_out():
    with pytest.raises(TriggerError, match="went back in time"):
        Backwards().after(NOW)


def test_what_cannot_be_combined_is_refused():
    for kind in (AndTrigger, OrTrigger):
        with pytest.raises(TriggerError, match="at least one"):
            kind([])
        with pytest.raises(TriggerTypeError, match="'cron'"):
            kind(["cron"])  # type: ignore[list-item]
        with pytest.raises(TriggerError):
            kind([CronTrigger(hour=1, timezone=UTC)], jitter=-1)


def test_combinations_show_their_members():
    members = [IntervalTrigger(minutes=5, start_date=START), CronTrigger(hour=3, timezone=UTC)]
    assert str(OrTrigger(members)) == "or[interval[0:05:00], cron[hour='3']]"
    assert repr(OrTrigger(members, jitter=5)) == f"OrTrigger({members}, jitter=5)"
    assert str(AndTrigger(members)) == "and[interval[0:05:00], cron[hour='3']]"
