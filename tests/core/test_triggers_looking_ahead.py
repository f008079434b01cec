"""Looking ahead: the times of a trigger, its explanation, and what changes of the clocks do to it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.calendars import CONVENTIONS, BusinessCalendar
from rota.clock import SECOND, instant, moment
from rota.errors import NeverFiresError, TriggerError, TriggerTypeError
from rota.triggers.base import BaseTrigger
from rota.triggers.business_day import BusinessDayTrigger
from rota.triggers.calendarinterval import CalendarIntervalTrigger
from rota.triggers.combining import AndTrigger, OrTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.date import DateTrigger
from rota.triggers.explain.describe import LANGUAGES
from rota.triggers.explain.shapes import shape
from rota.triggers.interval import IntervalTrigger
from rota.triggers.lint import Finding
from rota.zone_maps import zone_map

BERLIN = "Europe/Berlin"


class EveryHour(BaseTrigger):
    """A custom trigger with APScheduler's method alone."""

    def get_next_fire_time(self, previous_fire_time, now):
        return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)

    def __str__(self):
        return "hourly"


# ------------------------------------------------------------------------------------------------------------- times


def test_times_are_given_from_start_to_end_both_included():
    trigger = CronTrigger(minute="*/15", timezone=BERLIN)
    found = list(trigger.occurrences("2026-03-29 01:45:00", "2026-03-29 03:15:00"))
    assert [at.isoformat(timespec="minutes")[11:] for at in found] == [
        "01:45+01:00",
        "03:00+02:00",
        "03:15+02:00",
    ]


def test_times_without_an_end_are_made_as_they_are_asked_for():
    trigger = IntervalTrigger(hours=1, start_date="2026-01-01", timezone=UTC)
    found = trigger.occurrences(datetime(2026, 1, 1, 5, 30, tzinfo=UTC))
    assert [at.hour for at in islice(found, 3)] == [6, 7, 8]


def test_a_date_that_is_past_is_no_next_time():
    trigger = DateTrigger("2026-01-01", UTC)
    assert trigger.next(3, "2026-01-02") == []
    assert trigger.next(3, "2025-12-31") == [datetime(2026, 1, 1, tzinfo=UTC)]


def test_the_start_is_now_unless_it_is_given():
    (following,) = IntervalTrigger(seconds=1, start_date="2020-01-01", timezone=UTC).next()
    assert timedelta(0) <= following - datetime.now(UTC) + timedelta(seconds=1) <= timedelta(seconds=60)


def test_a_custom_trigger_looks_ahead_too():
    assert [at.hour for at in EveryHour().next(3, datetime(2026, 1, 1, 5, 30, tzinfo=UTC))] == [6, 7, 8]


@pytest.mark.parametrize("n", [-1, 1.5, "3", True, None])
def test_a_number_of_times_is_a_whole_number(n):
    with pytest.raises(TriggerError, match="how many times"):
        CronTrigger(timezone=UTC).next(n)


def test_a_start_that_is_no_date_is_refused_at_once():
    with pytest.raises(TriggerError, match="start"):
        CronTrigger(timezone=UTC).occurrences("soon")
    with pytest.raises(TriggerTypeError, match="end"):
        CronTrigger(timezone=UTC).occurrences(None, 5)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------ explanations


@pytest.mark.parametrize(
    ("expr", "english", "vietnamese"),
    [
        ("* * * * *", "Every minute", "Mỗi phút"),
        ("*/5 * * * *", "Every 5 minutes", "Cứ 5 phút một lần"),
        ("*/90 * * * *", "Every hour", "Mỗi giờ"),
        ("5 * * * *", "Every hour at minute 5", "Mỗi giờ, vào phút 5"),
        ("0 */6 * * *", "At 00:00, 06:00, 12:00 and 18:00, every day", "Lúc 00:00, 06:00, 12:00 và 18:00, mỗi ngày"),
        ("30 */2 * * *", "Every 2 hours from midnight on at minute 30", "Cứ 2 giờ một lần tính từ nửa đêm, vào phút 30"),
        (
            "*/10 22-23,0-6 * * *",
            "Every 10 minutes, from 22:00 to 06:59",
            "Cứ 10 phút một lần, từ 22:00 đến 06:59",
        ),
        (
            "*/15 9-17 * * 1-5",
            "Every 15 minutes, from 09:00 to 17:59, on Monday to Friday",
            "Cứ 15 phút một lần, từ 09:00 đến 17:59, vào thứ Hai đến thứ Sáu",
        ),
        (
            "*/7 * * * *",
            "Every 7 minutes from minute 0 to 56 of the hour",
            "Cứ 7 phút một lần từ phút 0 đến 56 của giờ",
        ),
        ("0 0 13 * 5", "At 00:00, on day 13 of the month or on Friday", "Lúc 00:00, vào ngày 13 của tháng hoặc vào thứ Sáu"),
        ("0 0 13 * */5", "At 00:00, on day 13 of the month, if that is Friday or Sunday", None),
        ("0 0 * * 5-0", "At 00:00, on Friday to Sunday", "Lúc 00:00, vào thứ Sáu đến Chủ nhật"),
        ("0 0 * * 0-7", "At 00:00, every day", "Lúc 00:00, mỗi ngày"),
        (
            "0 9 L-3,LW * *",
            "At 09:00, on the 4th last day and the last working day (Monday to Friday) of the month",
            "Lúc 09:00, vào ngày thứ 3 trước ngày cuối và ngày làm việc cuối (thứ Hai đến thứ Sáu) của tháng",
        ),
        (
            "0 9 L-3W * *",
            "At 09:00, on the working day (Monday to Friday) nearest to the 4th last day of the month",
            "Lúc 09:00, vào ngày làm việc (thứ Hai đến thứ Sáu) gần ngày thứ 3 trước ngày cuối nhất của tháng",
        ),
        (
            "0 9 * * fri#2,sunL",
            "At 09:00, on the second Friday of the month and the last Sunday of the month",
            "Lúc 09:00, vào thứ Sáu thứ hai của tháng và Chủ nhật cuối cùng của tháng",
        ),
        ("30 2 29 2 *", "At 02:30, on day 29 of the month, in February", "Lúc 02:30, vào ngày 29 của tháng, trong tháng 2"),
        ("*/10 0 3 * * *", "At 03:00:00, 03:00:10, 03:00:20, 03:00:30, 03:00:40 and 03:00:50, every day", None),
        ("* * * * * *", "Every second", "Mỗi giây"),
        (
            "0 0 0 1 1 ? 2030-2033",
            "At 00:00, on day 1 of the month, in January, from 2030 to 2033",
            "Lúc 00:00, vào ngày 1 của tháng, trong tháng 1, từ năm 2030 đến năm 2033",
        ),
    ],
)  # fmt: skip
def test_a_crontab_is_explained_by_what_it_matches(expr, english, vietnamese):
    trigger = CronTrigger.from_crontab(expr, BERLIN)
    assert trigger.explain() == f"{english} (Europe/Berlin)"
    if vietnamese is not None:
        assert trigger.explain("vi") == f"{vietnamese} (Europe/Berlin)"


@pytest.mark.parametrize(
    ("trigger", "english", "vietnamese"),
    [
        (
            IntervalTrigger(minutes=90, start_date="2026-01-01", timezone=UTC),
            "Every 1 hour and 30 minutes, in elapsed time counted from 2026-01-01 00:00:00 UTC",
            "Cứ 1 giờ và 30 phút một lần, theo thời gian trôi qua, tính từ 2026-01-01 00:00:00 UTC",
        ),
        (
            CalendarIntervalTrigger(months=1, hour=3, start_date="2026-01-31", end_date="2027-01-31", timezone=UTC),
            "Every month at 03:00:00, from 2026-01-31 on, until 2027-01-31 (UTC)",
            "Cứ 1 tháng một lần lúc 03:00:00, bắt đầu từ 2026-01-31, cho đến 2027-01-31 (UTC)",
        ),
        (DateTrigger("2026-12-24", UTC), "Once, at 2026-12-24 00:00:00 UTC", "Một lần, lúc 2026-12-24 00:00:00 UTC"),
        (
            CronTrigger(hour=3, timezone=UTC, jitter=30, end_date="2027-01-01"),
            "At 03:00, every day, until 2027-01-01 00:00:00 UTC (UTC), up to 30 seconds late at random",
            "Lúc 03:00, mỗi ngày, cho đến 2027-01-01 00:00:00 UTC (UTC), trễ ngẫu nhiên tối đa 30 giây",
        ),
        (
            OrTrigger([CronTrigger(hour=3, timezone=UTC), DateTrigger("2026-12-24", UTC)]),
            "Whenever one of these comes: (at 03:00, every day (UTC)); (once, at 2026-12-24 00:00:00 UTC)",
            "Mỗi khi một trong những điều sau xảy ra: (lúc 03:00, mỗi ngày (UTC)); (một lần, lúc 2026-12-24 00:00:00 UTC)",
        ),
        (AndTrigger([CronTrigger(hour=3, timezone=UTC)]), "At 03:00, every day (UTC)", "Lúc 03:00, mỗi ngày (UTC)"),
        (EveryHour(), "By a rule of its own: hourly", "Theo quy tắc riêng: hourly"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseTrigger) else "",
)  # fmt: skip
def test_every_kind_of_trigger_explains_itself_in_two_languages(trigger, english, vietnamese):
    assert trigger.explain() == trigger.explain("en") == english
    assert trigger.explain(language="vi") == vietnamese


NINE = CronTrigger(hour=9, timezone=UTC)


@pytest.mark.parametrize(
    ("trigger", "english", "vietnamese"),
    [
        (NINE.on("mon-fri"), "only on Monday to Friday", "chỉ vào thứ Hai đến thứ Sáu"),
        (NINE.between("8:00", "10:30"), "only from 08:00 to 10:30", "chỉ từ 08:00 đến 10:30"),
        (NINE.offset(-90), "each time 1 minute and 30 seconds earlier", "mỗi lần sớm hơn 1 phút và 30 giây"),
        (NINE.offset(3600), "each time one hour later", "mỗi lần muộn hơn 1 giờ"),
        (NINE.until("2027-01-01"), "until 2027-01-01 00:00:00 UTC", "cho đến 2027-01-01 00:00:00 UTC"),
        (NINE.starting("2026-01-01"), "from 2026-01-01 00:00:00 UTC on", "bắt đầu từ 2026-01-01 00:00:00 UTC"),
        (
            NINE - CronTrigger(day=24, hour=9, timezone=UTC),
            "except when this comes: (at 09:00, on day 24 of the month (UTC))",
            "trừ khi điều sau xảy ra: (lúc 09:00, vào ngày 24 của tháng (UTC))",
        ),
        (NINE.on_business_days(BusinessCalendar()), "only on business days", "chỉ vào ngày làm việc"),
        (
            NINE.roll(BusinessCalendar(), "previous", days=-2),
            "what falls on another day than a business day comes on the one before it, then 2 business days earlier",
            "nếu không rơi vào ngày làm việc thì lùi về ngày làm việc trước đó, rồi trước 2 ngày làm việc",
        ),
    ],
)  # fmt: skip
def test_what_a_derived_trigger_does_follows_what_the_inner_one_says(trigger, english, vietnamese):
    assert trigger.explain() == f"{NINE.explain()}; {english}"
    assert trigger.explain("vi") == f"{NINE.explain('vi')}; {vietnamese}"


def test_business_days_and_calendar_rules_explain_themselves():
    assert (
        BusinessDayTrigger(-1, hour=17, timezone=UTC).explain()
        == "At 17:00, on the last business day of the month (UTC)"
    )
    assert (
        BusinessDayTrigger(2, of="quarter", timezone=UTC).explain("vi")
        == "Lúc 00:00, vào ngày làm việc thứ 2 của quý (UTC)"
    )
    assert (
        NINE.starting("2026-01-01")
        .limit(3)
        .explain()
        .endswith("; from 2026-01-01 00:00:00 UTC on; 3 times in all")
    )


@pytest.mark.parametrize("convention", sorted(set(CONVENTIONS.values())))
def test_every_roll_convention_has_words(convention):
    for language, words in LANGUAGES.items():
        said = words.rolled(convention, 1, "")
        assert said, language
        assert repr(convention) not in said


def test_a_language_that_is_not_known_is_refused():
    with pytest.raises(TriggerError, match="write 'en' or 'vi'"):
        CronTrigger(timezone=UTC).explain("de")


@given(st.sets(st.integers(0, 59), min_size=1))
@settings(max_examples=80, derandomize=True)
def test_the_form_of_a_set_of_numbers_holds_just_these_numbers(values):
    found: Any = shape(sorted(values), 0, 59)
    kind, *numbers = found
    made: dict[str, Any] = {
        "all": lambda: range(60),
        "every": lambda: range(0, 60, *numbers),
        "range": lambda: range(numbers[0], numbers[1] + 1),
        "steps": lambda: range(numbers[1], numbers[2] + 1, numbers[0]),
        "list": lambda: numbers,
    }
    assert set(made[kind]()) == values


def test_both_languages_have_words_for_the_same_things():
    english, vietnamese = (
        {name for name in dir(LANGUAGES[key]) if not name.startswith("_")} for key in ("en", "vi")
    )
    assert english == vietnamese


# -------------------------------------------------------------------------------------------- changes of the clocks


def lint(expr: str, dst: str = "vixie", zone: str = BERLIN, years=2026) -> list[str]:
    return [
        f"{found.date:%m-%d} {found.effect}"
        for found in CronTrigger.from_crontab(expr, zone, dst=dst).lint(years=years)
    ]


@pytest.mark.parametrize(
    ("expr", "dst", "wanted"),
    [
        ("30 2 * * *", "vixie", ["03-29 caught up", "10-25 first pass only"]),
        ("30 2 * * *", "wall", ["03-29 skipped", "10-25 both passes"]),
        ("30 2 * * *", "gap-end", ["03-29 caught up", "10-25 first pass only"]),
        ("30 2 * * *", "shift", ["03-29 shifted", "10-25 first pass only"]),
        ("*/30 2 * * *", "vixie", ["03-29 skipped", "10-25 both passes"]),
        ("*/30 2 * * *", "gap-end", ["03-29 caught up", "10-25 both passes"]),
        ("*/30 2 * * *", "shift", ["03-29 shifted", "10-25 both passes"]),
        ("*/30 * * * *", "vixie", []),
        ("*/30 * * * *", "shift", []),
        ("0 0-23 * * *", "vixie", ["10-25 first pass only"]),
        ("30 4 * * *", "vixie", []),
        ("30 2 * * 1", "vixie", []),
        ("30 2 29 * *", "vixie", ["03-29 caught up"]),
    ],
)
def test_the_dates_on_which_a_change_matters_are_told(expr, dst, wanted):
    assert lint(expr, dst) == wanted


def test_half_an_hour_disturbs_an_hourly_schedule_and_no_half_hourly_one():
    assert lint("0 * * * *", zone="Australia/Lord_Howe") == ["10-04 skipped"]
    assert lint("15 * * * *", zone="Australia/Lord_Howe") == ["10-04 skipped"]
    assert lint("45 * * * *", zone="Australia/Lord_Howe") == ["04-05 both passes"]
    assert lint("*/30 * * * *", zone="Australia/Lord_Howe") == []


def test_a_finding_is_data_and_a_sentence():
    (finding, _) = CronTrigger.from_crontab("30 2 * * *", BERLIN).lint(years=[2026])
    assert isinstance(finding, Finding)
    assert json.loads(json.dumps(finding.as_dict())) == {
        "trigger": "cron[month='*', day='*', day_of_week='*', hour='2', minute='30']",
        "date": "2026-03-29",
        "kind": "gap",
        "effect": "caught up",
        "at": "2026-03-29T03:00:00+02:00",
        "jump": 3600,
        "wall_times": ["2026-03-29T02:30:00"],
        "count": 1,
        "fires": ["2026-03-29T03:00:00+02:00"],
        "text": "2026-03-29: clocks jump forward by 1 h at 02:00; one run at 03:00 makes up for what clocks do not show: 02:30",
    }


def test_a_trigger_may_be_looked_at_in_another_zone():
    trigger = CronTrigger(hour=0, timezone=UTC)
    assert trigger.lint(years=2024) == []
    assert [str(found.date) for found in trigger.lint("America/Havana", 2024)] == ["2024-03-10", "2024-11-03"]
    with pytest.raises(TriggerError, match="build it in that zone"):
        EveryHour().lint("America/Havana", 2024)


def test_other_triggers_and_members_are_looked_at_too():
    night = CalendarIntervalTrigger(days=2, hour=2, minute=30, start_date="2026-03-29", timezone=BERLIN)
    daily = IntervalTrigger(days=1, start_date="2026-01-01 09:00:00", timezone=BERLIN)
    assert [found.effect for found in night.lint(years=2026)] == ["skipped", "first pass only"]
    moved = daily.lint(years=2026)
    assert [found.text.partition("; ")[2] for found in moved] == [
        "from then on it runs at 10:00 instead of 09:00",
        "from then on it runs at 09:00 instead of 10:00",
    ]
    assert IntervalTrigger(hours=5, start_date="2026-01-01", timezone=BERLIN).lint(years=2026) == []
    both = OrTrigger([night, daily])
    assert [found.trigger for found in both.lint(years=2026)] == [night, daily, night, daily]
    assert EveryHour().lint(years=2026) == []
    assert DateTrigger("2026-03-29 02:30:00", BERLIN).lint(years=2026) == []


def test_what_lies_outside_the_schedule_is_not_told():
    trigger = CronTrigger(hour=2, minute=30, start_date="2026-05-01", end_date="2026-12-01", timezone=BERLIN)
    assert [str(found.date) for found in trigger.lint(years=range(2025, 2028))] == ["2026-10-25"]


def test_years_are_calendar_years():
    trigger = CronTrigger(hour=2, timezone=BERLIN)
    assert len(trigger.lint()) == 10
    with pytest.raises(TriggerError, match="range"):
        trigger.lint(years=5)
    with pytest.raises(TriggerTypeError):
        trigger.lint(years="2026")  # type: ignore[arg-type]


def test_the_day_that_apia_left_out_is_skipped():
    (found,) = [
        at
        for at in CronTrigger(hour=3, timezone="Pacific/Apia").lint(years=2011)
        if at.date == date(2011, 12, 30)
    ]
    assert (found.effect, found.jump) == ("skipped", timedelta(days=1))


@settings(max_examples=40, derandomize=True)
@given(
    st.sampled_from(["0", "30", "*/20", "5-50/15"]),
    st.sampled_from(["2", "1-3", "*/2", "*", "0", "23"]),
    st.sampled_from([BERLIN, "America/Havana", "Australia/Lord_Howe", "Africa/Cairo", "America/St_Johns"]),
    st.sampled_from(["vixie", "wall", "gap-end", "shift"]),
    st.sampled_from([2010, 2026]),
)
def test_what_is_told_is_what_happens(minute, hour, zone, dst, year):
    try:
        trigger = CronTrigger(minute=minute, hour=hour, timezone=zone, dst=dst)
    except NeverFiresError:
        return
    for found in trigger.lint(years=year):
        at, jump = instant(found.at), int(found.jump.total_seconds()) * SECOND
        low, high = (at, at + jump) if found.kind == "gap" else (at - jump, at + jump)
        happened = [
            instant(time) for time in trigger.occurrences(moment(low - 6 * 3600 * SECOND), moment(high - 1))
        ]
        told = [instant(time) for time in found.fires]
        assert set(told) <= set(happened)
        if found.effect == "skipped":
            walls = {int((wall - datetime(1970, 1, 1)).total_seconds()) for wall in found.wall_times}
            assert not any(zone_map(trigger.timezone).seconds_of(wall) for wall in walls)
        elif found.effect == "first pass only":
            assert not [time for time in happened if time >= at]
        elif found.effect == "both passes" and found.count <= 10:
            assert len([time for time in happened if time >= low]) == 2 * found.count
