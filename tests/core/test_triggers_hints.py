"""A refused expression says what it looks like, and what to write instead."""

from __future__ import annotations

import re
from datetime import UTC, time
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.crontab import read_crontab
from rota.errors import CronError, RotaError
from rota.schedulers.plugins import create_plugin
from rota.triggers.base import BaseTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.interval import IntervalTrigger

#: Monday
START = "2026-11-02"


def refusal(expr: str, **options) -> str:
    with pytest.raises(CronError) as error:
        CronTrigger.from_crontab(expr, UTC, **options)
    return str(error.value)


def proposals(message: str) -> list[BaseTrigger]:
    """Return the triggers that a message proposes: crontab strings in quotes and calls of add_job()."""

    def add_job(func: object, name: str, **arguments: object) -> BaseTrigger:
        arguments.setdefault("timezone", "UTC")
        return create_plugin("trigger", name, arguments)

    _, _, meant = message.partition("write ")
    found: list[BaseTrigger] = []
    for call in re.findall(r"(add_job\(.*?\)|CronTrigger\.from_crontab\(.*?\)|'[^']*')(?:, | or |$)", meant):
        value = eval(call, {"add_job": add_job, "CronTrigger": CronTrigger, "func": print})
        if isinstance(value, str):
            value = CronTrigger.from_crontab(value, None if "TZ=" in value else UTC, seed="s")
        found.append(value)
    return found


@pytest.mark.parametrize(
    ("expr", "looks", "meant"),
    [
        ("*-*-* 12:00:00", "systemd", "0 12 * * *"),
        ("Mon..Fri *-*-* 10:00", "systemd", "0 10 * * 1-5"),
        ("Mon,Wed..Fri 9:30", "systemd", "30 9 * * 1,3-5"),
        ("Fri..Mon *-*-*", "systemd", "0 0 * * 5-1"),
        ("Monday *-*-* 00:00", "systemd", "0 0 * * 1"),
        ("*-*-1,15 00/2:00:00", "systemd", "0 */2 1,15 * *"),
        ("*-1,7-01 03:00", "systemd", "0 3 1 1,7 *"),
        ("1..6-1 3:00", "systemd", "0 3 1 1-6 *"),
        ("*-*-* *:0/15", "systemd", "*/15 * * * *"),
        ("*-*-* 1..5:00:30", "systemd", "30 0 1-5 * * *"),
        ("2027..2028-*-* 3:00", "systemd", "0 0 3 * * ? 2027-2028"),
        ("Sat,Sun *-*-13 10:00", "systemd", "0 10 13 * */6"),
        ("minutely", "systemd", "* * * * *"),
        ("hourly", "systemd", "0 * * * *"),
        ("daily", "systemd", "0 0 * * *"),
        ("weekly", "systemd", "0 0 * * 1"),
        ("monthly", "systemd", "0 0 1 * *"),
        ("quarterly", "systemd", "0 0 1 1,4,7,10 *"),
        ("semiannually", "systemd", "0 0 1 1,7 *"),
        ("yearly", "systemd", "0 0 1 1 *"),
        ("10:30", "time of day", "30 10 * * *"),
        ("cron(0 12 * * ? *)", "AWS", "0 12 * * *"),
        ("cron(0/15 8-17 ? * MON-FRI *)", "AWS", "0/15 8-17 * * 1-5"),
        ("cron(0 9 ? * 2#1 *)", "AWS", "0 9 * * 1#1"),
        ("cron(0 9 L * ? 2027-2030)", "AWS", "0 0 9 L * ? 2027-2030"),
        ("every minute", "plain English", "* * * * *"),
        ("every day", "plain English", "0 0 * * *"),
        ("every day at 10:00", "plain English", "0 10 * * *"),
        ("Every day 10:00", "plain English", "0 10 * * *"),
        ("everyday at 7pm", "plain English", "0 19 * * *"),
        ("daily at 12:15:30", "plain English", "30 15 12 * * *"),
        ("every monday at 9:30pm", "plain English", "30 21 * * 1"),
        ("every mondays", "plain English", "0 0 * * 1"),
        ("every weekday at 12am", "plain English", "0 0 * * 1-5"),
        ("each weekend at noon", "plain English", "0 12 * * 6,0"),
        ("every month", "plain English", "0 0 1 * *"),
        ("every year", "plain English", "0 0 1 1 *"),
    ],
)
def test_a_schedule_of_another_system_is_told_as_a_crontab_string(expr, looks, meant):
    message = refusal(expr)
    assert looks in message
    wanted = CronTrigger.from_crontab(meant, UTC)
    proposed = proposals(message)
    assert proposed, message
    assert proposed[0].next(9, START) == wanted.next(9, START)


@pytest.mark.parametrize(
    ("expr", "looks", "wanted"),
    [
        ("rate(5 minutes)", "AWS", {"minutes": 5}),
        ("rate(1 hour)", "AWS", {"hours": 1}),
        ("RATE(2 days)", "AWS", {"days": 2}),
        ("every 5 minutes", "plain English", {"minutes": 5}),
        ("every 90 seconds", "plain English", {"seconds": 90}),
        ("every 7min", "plain English", {"minutes": 7}),
        ("every 2 hours", "plain English", {"hours": 2}),
        ("every 2 weeks", "plain English", {"weeks": 2}),
        ("PT15M", "ISO 8601", {"minutes": 15}),
        ("R/P1DT2H", "ISO 8601", {"days": 1, "hours": 2}),
    ],
)
def test_a_rate_is_told_as_an_interval(expr, looks, wanted):
    message = refusal(expr)
    assert looks in message
    proposed = proposals(message)
    assert (
        f"add_job(func, 'interval', {', '.join(f'{name}={value}' for name, value in wanted.items())})"
        in message
    )
    lengths = {trigger.interval for trigger in proposed if isinstance(trigger, IntervalTrigger)}
    assert len(lengths) == 1
    crons = [trigger for trigger in proposed if isinstance(trigger, CronTrigger)]
    for cron in crons:
        one, two = cron.next(2, START)
        assert {two - one} == lengths


@pytest.mark.parametrize(
    ("expr", "meant"),
    [
        ("at(2026-12-24T18:00:00)", "add_job(func, 'date', run_date='2026-12-24T18:00:00')"),
        ("2026-12-24 18:00:00", "add_job(func, 'date', run_date='2026-12-24 18:00:00')"),
        ("2026-12-24", "add_job(func, 'date', run_date='2026-12-24')"),
        ("every 2 days at 10:00", "add_job(func, 'calendarinterval', days=2, hour=10)"),
        ("every 3 months", "add_job(func, 'calendarinterval', months=3)"),
        ("FREQ=DAILY;BYHOUR=9", "add_job(func, 'rrule', rule='FREQ=DAILY;BYHOUR=9')"),
        ("Mon *-*-* 00:00 Asia/Tokyo", "'CRON_TZ=Asia/Tokyo 0 0 * * mon'"),
        ("*-*-* 3:00 Asia/Nowhere", "'0 3 * * *' is every day at 03:00"),
        ("*-02~03 3:00", "'0 3 * * *' is every day at 03:00"),
        ("cron(0 12 * *)", "six fields"),
        ("cron(0 12 * * * *)", "is not understood as one either"),
        ("rate(5 bananas)", "'*/5 * * * *' every five minutes"),
        ("rate(0 minutes)", "'*/5 * * * *' every five minutes"),
        ("every other tuesday", "'*/5 * * * *' every five minutes"),
        ("every 0 minutes", "'*/5 * * * *' every five minutes"),
    ],
)
def test_what_has_no_crontab_string_is_told_too(expr, meant):
    message = refusal(expr)
    assert meant in message
    if "add_job" in message or "CRON_TZ" in message:
        assert len(proposals(message)) == 1


def test_the_reading_that_a_proposal_needs_is_named_where_it_is_another():
    assert refusal("every day at 10:00", dialect="quartz").endswith(
        "write '0 10 * * *' (with dialect='cron')"
    )


@pytest.mark.parametrize(
    ("expr", "missing", "meant"),
    [
        ("0 3 * *", "the weekday is missing", "0 3 * * *"),
        ("0 3 *", "the month and weekday are missing", "0 3 * * *"),
        ("*/5", "the hour, day, month and weekday are missing", "*/5 * * * *"),
        ("CRON_TZ=Asia/Tokyo 0 3 * *", "the weekday is missing", "CRON_TZ=Asia/Tokyo 0 3 * * *"),
    ],
)
def test_fields_that_are_missing_are_named_and_the_whole_is_shown(expr, missing, meant):
    message = refusal(expr)
    assert message.startswith("Wrong number of fields; got ")
    assert "the fields are minute hour day month weekday" in message
    assert missing in message
    assert message.endswith(f"write {meant!r}")


def test_missing_fields_are_not_made_up_where_the_rest_is_not_understood():
    assert refusal("61 3 * *").endswith(
        "the fields are minute hour day month weekday: '0 3 * * *' is every day at 03:00"
    )
    assert refusal("").endswith("'0 3 * * *' is every day at 03:00")
    assert refusal("0 3 * *", dialect="apscheduler3").endswith("write '0 3 * * *'")


def test_quartz_is_told_that_the_seconds_are_missing():
    assert refusal("0 12 ? * MON", dialect="quartz").endswith(
        "the seconds are missing; write '0 0 12 ? * MON'"
    )
    assert refusal("0 12 * * *", dialect="quartz").endswith("expected 6 (seconds first) or 7 (year last)")


@pytest.mark.parametrize("rest", ["/usr/bin/backup", "root /usr/bin/backup", "backup --all a b"])
def test_a_command_behind_the_fields_is_told(rest):
    message = refusal(f"0 3 * * * {rest}")
    assert f"what follows looks like a command ({rest.split()[0]!r})" in message


@pytest.mark.parametrize("command", ["echo", "/usr/bin/backup", "./poll"])
def test_four_fields_and_a_command_lack_the_weekday(command):
    message = refusal(f"*/5 3 * * {command}")
    assert message.endswith(
        f"; if {command!r} begins a command, the weekday before it is missing; write '*/5 3 * * *'"
    )


@pytest.mark.parametrize("expr", ["0 3 * * mon-foo", "0 3 * * 9", "0 33 * * echo"])
def test_a_weekday_that_is_wrong_is_no_command(expr):
    assert "begins a command" not in refusal(expr)


def test_six_fields_of_which_one_is_wrong_are_no_command():
    assert "command" not in refusal("0 0 3 * * 9")
    assert refusal("0 0 3 * * fry").endswith("did you mean 'fri'?")
    assert "command" not in refusal("* * * * * * * *")


def test_the_error_of_a_crontab_file_says_it_too():
    with pytest.raises(CronError, match="the day and weekday fields may be"):
        read_crontab("0 ? * * * backup\n")
    with pytest.raises(CronError, match=r"crontab:1.*'1d' at column 8 is no duration.*@every 24h"):
        read_crontab("@every 1d backup\n")


# ------------------------------------------------------------------------------------------------------------- keywords


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        (
            {"year": "0 3 * * *"},
            "write CronTrigger.from_crontab('0 3 * * *') or add_job(func, 'crontab', expr='0 3 * * *')",
        ),
        ({"minute": "*/5 * * * *"}, "write CronTrigger.from_crontab('*/5 * * * *')"),
        ({"year": "@daily"}, "write CronTrigger.from_crontab('@daily')"),
        ({"year": "0 3 * * fry"}, "'0 3 * * fry' looks like a crontab string"),
        ({"year": "every 5 minutes"}, "is plain English; write '*/5 * * * *'"),
        ({"day_of_week": 7}, "write 6 or 'sun'"),
        ({"day_of_week": "5-7"}, "write 6 or 'sun'"),
        ({"hour": "10:30"}, "write hour=10, minute=30"),
        ({"hour": time(10, 30, 5)}, "write hour=10, minute=30, second=5"),
        ({"hour": "9pm"}, "write hour=21, minute=0"),
        ({"hour": 24}, "midnight is hour=0"),
        ({"hour": 9.0}, "write hour=9"),
        ({"day_of_week": ["mon", "tue"]}, "write one text: day_of_week='mon,tue'"),
        ({"hour": range(3)}, "write one text: hour='0,1,2'"),
        ({"hour": {9}}, "write one text: hour='9'"),
    ],
)
def test_a_field_that_is_refused_says_what_to_write(fields, meant):
    with pytest.raises(CronError) as error:
        CronTrigger(**fields, timezone=UTC)
    assert meant in str(error.value)
    assert error.value.field == next(iter(fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"day": "1st mon, 3rd fri, 4th fry"},
        {"day_of_week": 8},
        {"hour": "x"},
        {"hour": SimpleNamespace()},
        {"hour": range(10**12)},
        {"year": "0 3 * * * " * 10**5},
    ],
)
def test_nothing_is_proposed_where_it_would_be_guessed(fields):
    with pytest.raises(CronError) as error:
        CronTrigger(**fields, timezone=UTC)
    assert "write CronTrigger" not in str(error.value)
    assert "looks like" not in str(error.value)


def test_quartz_says_which_number_sunday_has():
    assert "1 to 7 is allowed, 1 is Sunday" in refusal("0 0 0 ? * 0", dialect="quartz")


# ----------------------------------------------------------------------------------------------------------- any text

WORDS = st.sampled_from([
    "every", "each", "daily", "day", "weekday", "at", "10:00", "9pm", "noon", "5", "90", "minutes", "2", "months", "99999999999",
    "Mon..Fri", "Mon,", "*-*-*", "*-*-1/2", "2026-1..3-*", "*:0/15", "00:00:00", "UTC", "~", "rate(", "rate(5", "minutes)",
    "cron(0", "?", "*)", "*", "0", "at(", ")", "P1D", "PT", "FREQ=", "CRON_TZ=UTC", "@every",
])  # fmt: skip


@pytest.mark.thorough
@settings(max_examples=300, derandomize=True)
@given(st.lists(WORDS, max_size=7).map(" ".join), st.sampled_from(["cron", "quartz", "apscheduler3"]))
def test_whatever_is_refused_what_is_proposed_is_understood(text, dialect):
    try:
        CronTrigger.from_crontab(text, dialect=dialect, seed="s")
    except CronError as error:
        if dialect == "cron" and "rrule" not in str(error) and "run_date" not in str(error):
            proposals(str(error))
    except RotaError:
        pass
