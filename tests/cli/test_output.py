"""Columns, durations and texts as people read them."""

from __future__ import annotations

import re
import sys
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from rota.clock import SECOND
from rota.core.run import Run
from rota.triggers.calendarinterval import CalendarIntervalTrigger
from rota.triggers.combining import OrTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger
from tests.needs import need

need("rich", "cli")

from rota.cli.output import duration, one_line, print_columns, trigger_text, until  # noqa: E402
from rota.cli.stores import outcome  # noqa: E402

HEAD = ("ID", "STATE", "TRY", "TRIGGER", "CALLS")
ROWS = [
    ("a-job", "active", "", "cron " + "x" * 60, "package.module:function_of_some_length"),
    ("another-job", "quarantined", "", "cron y", "m:f"),
]


@pytest.fixture
def terminal(capsys, monkeypatch):
    def show(width):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        print_columns(HEAD, ROWS, "nothing", 2)
        return re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out).splitlines()

    return show


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_a_table_fits_the_terminal_and_keeps_its_first_columns_whole(terminal, width):
    lines = terminal(width)
    assert len(lines) == 3
    assert all(len(line) <= width for line in lines)
    assert lines[0].split()[:3] == ["ID", "STATE", "TRIGGER"]  # a column without any value is left out
    assert lines[1].startswith("a-job        active       cron xxx")
    assert lines[2].startswith("another-job  quarantined  cron y")
    assert ("CALLS" in lines[0]) == (width >= 80)
    assert ("…" in lines[1]) == (width < 200)


def test_elsewhere_a_table_is_printed_in_full(capsys):
    print_columns(HEAD, ROWS, "nothing", 2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == list(HEAD)
    assert "x" * 60 in lines[1]
    assert lines[1].endswith("function_of_some_length")
    assert not any(line.endswith(" ") for line in lines)
    print_columns(HEAD, [], "nothing", 2)
    assert capsys.readouterr().out == "nothing\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0204, "20 ms"),
        (4.512, "4.51 s"),
        (45, "45 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7200, "2 h"),
        (2 * 86400 + 3 * 3600 + 59, "2 d 3 h"),
    ],
)
def test_durations_are_shown_in_their_two_largest_units(seconds, text):
    assert duration(seconds * SECOND) == text


def test_distances_in_time_are_shown_in_their_largest_unit():
    assert until(5 * SECOND, 0) == "in 5 s"
    assert until(0, 0) == "in 0 s"
    assert until(0, 90 * SECOND) == "1 min ago"
    assert until(90_000 * SECOND, 0) == "in 1 d"


def test_a_trigger_is_shown_without_what_says_nothing():
    assert trigger_text(IntervalTrigger(seconds=5)) == "every 5 s"
    assert trigger_text(IntervalTrigger(days=1, hours=3, seconds=2)) == "every 1 d 3 h 2 s"
    assert trigger_text(IntervalTrigger(seconds=0.2)) == "every 0.2 s"
    assert trigger_text(IntervalTrigger(minutes=90, mode="delay")) == "1 h 30 min after each run"
    assert (
        trigger_text(CronTrigger.from_crontab("*/5 * * * mon-fri")) == "cron day_of_week=mon-fri, minute=*/5"
    )
    assert trigger_text(CronTrigger.from_crontab("* * * * *")) == "cron minute=*"
    daily = CalendarIntervalTrigger(days=1, hour=6, timezone="UTC")
    assert trigger_text(daily) == "calendarinterval days=1, time=06:00:00"


def test_the_zone_of_a_trigger_is_named_where_times_are_shown_in_another_one():
    tokyo, paris = ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/Paris")
    nightly = CronTrigger.from_crontab("0 3 * * *", "Asia/Tokyo")
    assert trigger_text(nightly, paris) == "cron hour=3, minute=0 Asia/Tokyo"
    assert trigger_text(nightly, tokyo) == "cron hour=3, minute=0"
    assert trigger_text(CronTrigger(minute=0, timezone="UTC"), ZoneInfo("Etc/UTC")) == "cron minute=0"
    monthly = CalendarIntervalTrigger(months=1, timezone="Asia/Tokyo")
    assert trigger_text(monthly, paris) == "calendarinterval months=1, time=00:00:00 Asia/Tokyo"
    assert trigger_text(IntervalTrigger(hours=1, timezone="Asia/Tokyo"), paris) == "every 1 h"
    once = DateTrigger("2029-01-02 03:04:05", timezone="Asia/Tokyo")
    assert trigger_text(once, paris) == "date 2029-01-02 03:04:05 JST"
    assert trigger_text(OrTrigger([nightly, monthly]), paris).count("Asia/Tokyo") >= 1


def test_times_that_did_not_run_are_told_in_words_and_local_time():
    day = 86_400 * SECOND
    run = Run("job", 0, 0)
    run.reason, run.count, run.last = "coalesced", 9, 3 * 3600 * SECOND
    tokyo = ZoneInfo("Asia/Tokyo")
    assert outcome(run, UTC, 0) == "9 times up to 03:00:00: merged into the run after them (coalesced)"
    assert (
        outcome(run, tokyo, day)
        == "9 times up to 1970-01-01 12:00: merged into the run after them (coalesced)"
    )
    run.count, run.reason = 1, "too late"
    assert outcome(run, UTC, 0) == "too late to start (misfire_grace_time)"
    run.reason = "{odd} %s"
    assert outcome(run, UTC, 0) == "{odd} %s"


def test_a_text_on_one_line_is_cut_where_it_has_to_be():
    assert one_line("a\n  b\tc") == "a b c"
    assert one_line("a" * 10, 5) == "aaaa…"
