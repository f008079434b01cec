"""Crontab text in and out: files read as data, triggers written as strings."""

from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.crontab import read_crontab
from rota.errors import CronError, NeverFiresError, TriggerError
from rota.triggers import trigger_from_spec
from rota.triggers.cron import CronTrigger
from tests.oracle.cron_cases import random_case
from tests.present import present

FILE = """\
# nightly work
SHELL=/bin/bash
MAILTO="ops@example.org"
30 2 * * 1-5   /usr/bin/backup --all%yes%
CRON_TZ=Asia/Tokyo
@daily         report
H H * * *      sweep
@reboot        start
"""


def test_a_crontab_is_read_as_data():
    backup, report, sweep, start = read_crontab(FILE)
    assert (backup.number, backup.schedule, backup.command, backup.input) == (
        4,
        "30 2 * * 1-5",
        "/usr/bin/backup --all",
        "yes\n\n",
    )
    assert backup.settings == {"SHELL": "/bin/bash", "MAILTO": "ops@example.org"}
    assert backup.settings_at == {"SHELL": 2, "MAILTO": 3}
    assert backup.id.startswith("backup-")
    assert backup.trigger("Europe/Berlin") == CronTrigger.from_crontab("30 2 * * mon-fri", "Europe/Berlin")
    assert report.trigger("Europe/Berlin") == CronTrigger.from_crontab("@daily", "Asia/Tokyo")
    assert sweep.trigger(UTC) == CronTrigger.from_crontab("H H * * *", "Asia/Tokyo", seed=sweep.id)
    with pytest.raises(CronError, match="crontab:8: @reboot is no time"):
        start.trigger()


def test_a_file_is_read_by_its_path(tmp_path):
    path = tmp_path / "nightly.cron"
    path.write_text(FILE)
    from_file, from_text = read_crontab(path), read_crontab(FILE, name="nightly.cron")
    assert [entry.id for entry in from_file] == [entry.id for entry in from_text]
    assert [entry.id for entry in from_file] != [entry.id for entry in read_crontab(FILE)]
    assert repr(from_file[1]) == f"<CrontabEntry {path}:6 '@daily' 'report'>"
    with pytest.raises(FileNotFoundError):
        read_crontab(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("* * * * ls", "crontab:1: not understood", None),
        ("\n 61 * * * * ls", "crontab:2:2: minute: '61' at column 1", 2),
        ("CRON_TZ=Mars/Olympus\n* * * * * ls", "crontab:2: No time zone found with key 'Mars/Olympus'", None),
        ("PATH /bin", "crontab:1: not understood", None),
    ],
)
def test_what_is_not_understood_is_refused_before_anything_is_returned(text, message, column):
    with pytest.raises(CronError) as caught:
        read_crontab(text)
    assert message in str(caught.value)
    assert caught.value.column == column


# ----------------------------------------------------------------------------------------------- triggers as strings


@pytest.mark.parametrize(
    ("trigger", "text"),
    [
        (CronTrigger.from_crontab("*/5 9-17 * jan mon-fri", UTC), "*/5 9-17 * 1 mon-fri"),
        (CronTrigger.from_crontab("0 0 13 * 5", UTC), "0 0 13 * fri"),
        (CronTrigger.from_crontab("0 0 */2 * 1", UTC), "0 0 */2 * mon"),
        (CronTrigger.from_crontab("0 0 13 * */2", UTC), "0 0 13 * */2"),
        (CronTrigger.from_crontab("0 0 L-3,LW * ?", UTC), "0 0 L-3,LW * *"),
        (CronTrigger.from_crontab("0 0 L-3W * 1", UTC), "0 0 L-3W * mon"),
        (CronTrigger.from_crontab("0 0 0 ? * 6#3 2030", UTC, dialect="quartz"), "0 0 0 * * fri#3 2030"),
        (CronTrigger.from_crontab("@weekly", UTC), "0 0 * * sun"),
        (CronTrigger(hour=3, timezone=UTC), "0 3 * * *"),
        (CronTrigger(second="*/10", timezone=UTC), "*/10 * * * * *"),
        (CronTrigger(day="last", timezone=UTC), "0 0 L * *"),
        (CronTrigger(day="2nd fri,last sun", hour=9, timezone=UTC), "0 9 * * fri#2,sunL"),
        (CronTrigger(day="1,2nd fri", timezone=UTC), "0 0 1 * fri#2"),
        (CronTrigger(day_of_week="0,6", timezone=UTC), "0 0 * * sun,mon"),
        (CronTrigger(day=1, day_of_week="mon-sun", timezone=UTC), "0 0 1 * *"),
        (CronTrigger(year=2030, timezone=UTC), "0 0 0 1 1 * 2030"),
    ],
)  # fmt: skip
def test_a_trigger_is_written_as_a_crontab_string(trigger, text):
    assert trigger.to_crontab() == text
    assert CronTrigger.from_crontab(text, UTC).to_crontab() == text


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"week": 8}, "no field for the ISO week"),
        ({"day": 13, "day_of_week": "fri"}, "fires when either"),
        ({"day": "*/5,2nd fri"}, "cannot join"),
        ({"day": "2nd fri", "day_of_week": "mon-fri"}, "cannot join"),
    ],
)
def test_why_there_is_no_crontab_string_is_said(fields, why):
    with pytest.raises(TriggerError, match=why):
        CronTrigger(**fields, timezone=UTC).to_crontab()


def test_a_range_of_one_value_with_a_step_stays_one_value():
    trigger = CronTrigger.from_crontab("7-7/90 * * * *", UTC)
    assert str(trigger.fields[6]) == "7-7/90"
    assert trigger_from_spec(present(trigger.spec())).next(3, "2026-01-01") == trigger.next(3, "2026-01-01")
    assert CronTrigger.from_crontab(trigger.to_crontab(), UTC) == trigger


@settings(max_examples=80, derandomize=True)
@given(st.integers(0, 10**9))
def test_any_schedule_comes_back_from_its_spec_and_from_its_string(seed):
    case = random_case(f"text:{seed}", ("Europe/Berlin",))
    try:
        trigger = case.trigger()
    except NeverFiresError:
        return
    same = [trigger_from_spec(present(trigger.spec()))]
    assert same[0] == trigger
    try:
        same.append(CronTrigger.from_crontab(trigger.to_crontab(), case.zone, dst=case.policy, now=0))
    except NeverFiresError:
        assert trigger.after(0) is None
    except TriggerError as exc:
        assert "cannot be written" in str(exc)
    at = case.start * 1_000_000
    for _ in range(10):
        following = trigger.after(at, at)
        assert {other.after(at, at) for other in same} == {following}, case
        if following is None:
            break
        at = following
