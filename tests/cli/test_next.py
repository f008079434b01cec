"""`rota next`: the next times of a trigger, and what is wrong with it."""

from __future__ import annotations

import json

import pytest

from tests.cli.processes import rota
from tests.needs import need

need("typer", "cli")

BERLIN = ("--tz", "Europe/Berlin", "--from", "2026-03-28T12:00:00")


def times(capsys, *arguments):
    code, out, err = rota(capsys, "next", *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)["times"]


def test_a_crontab_expression_is_read_as_crontab_does(capsys):
    assert times(capsys, "30 2 * * *", "-n", "3", *BERLIN) == [
        "2026-03-29T03:00:00+02:00",  # 02:30 does not exist on this day
        "2026-03-30T02:30:00+02:00",
        "2026-03-31T02:30:00+02:00",
    ]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("@daily", "2026-03-29T00:00:00+01:00"),
        ("0 0 * * 0", "2026-03-29T00:00:00+01:00"),
        ("cron:hour=3,minute=*/5", "2026-03-29T03:00:00+02:00"),
        ("cron:minute=1,2,3,second=5", "2026-03-28T12:01:05+01:00"),
        ("interval:minutes=5", "2026-03-28T12:05:00+01:00"),
        ("interval:hours=1.5,start_date=2026-03-28 18:00:00", "2026-03-28T18:00:00+01:00"),
        ("calendarinterval:months=1,start_date=2026-03-01,hour=6", "2026-04-01T06:00:00+02:00"),
        ("date:2026-12-24 18:00:00", "2026-12-24T18:00:00+01:00"),
    ],
)
def test_every_notation_of_a_trigger_is_understood(capsys, text, first):
    assert times(capsys, text, "-n", "1", *BERLIN) == [first]


def test_it_tells_as_many_times_as_it_is_asked_for_and_ten_by_default(capsys):
    assert len(times(capsys, "@hourly")) == 10
    assert len(times(capsys, "@hourly", "-n", "2")) == 2
    assert len(times(capsys, "date:2030-01-01")) == 1


def test_people_get_a_line_for_each_time(capsys):
    code, out, _ = rota(capsys, "next", "0 12 * * *", "-n", "2", *BERLIN)
    assert code == 0
    assert [line[:30] for line in out.splitlines()] == [
        "Sat 2026-03-28 12:00:00 +0100 ",
        "Sun 2026-03-29 12:00:00 +0200 ",
    ]


def test_a_fault_in_an_expression_has_a_caret_under_it(capsys):
    code, out, err = rota(capsys, "next", "*/5 * 61 * *")
    assert (code, out) == (1, "")
    message, line, caret = err.splitlines()
    assert message.startswith("error: day: '61' at column 7")
    assert line[caret.index("^") :].startswith("61")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["* * *"], 1, "Wrong number of fields; got 3"),
        (["0 0 30 2 *"], 1, "No date matches"),
        (["intervall:minutes=5"], 1, 'did you mean "interval"'),
        (["interval:minutes"], 2, "has no '='"),
        (["interval:minuts=5"], 1, "minuts"),
        (["interval:minutes=-5"], 1, "must not be negative"),
        (["cron:hour=25"], 1, "25"),
        (["@daily", "--tz", "Europe/Berln"], 2, "did you mean 'Europe/Berlin'"),
        (["@daily", "--from", "tomorrow"], 2, "is not an ISO 8601 time"),
        (["@daily", "-n", "0"], 2, "--count"),
        ([], 2, "TRIGGER"),
    ],
)
def test_wrong_arguments_are_refused_with_a_message_and_no_traceback(capsys, arguments, code, message):
    found, out, err = rota(capsys, "next", *arguments)
    assert (found, out) == (code, "")
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err


def test_the_help_shows_expressions_with_their_stars(capsys):
    code, out, _ = rota(capsys, "next", "--help")
    assert code == 0
    assert "'*/5 * * * *'" in out
    assert "minute=*/5" in out


@pytest.mark.parametrize(
    "arguments", [("next", "@daily"), ("explain", "@daily"), ("jobs",), ("run", "nothing.py")]
)
def test_a_zone_that_does_not_exist_is_a_mistake_in_the_command_line(capsys, arguments):
    code, out, err = rota(capsys, *arguments, "--tz", "Europe/Berln")
    assert (code, out) == (2, "")
    assert err.startswith("error: --timezone: No time zone found with key 'Europe/Berln'; did you mean")
