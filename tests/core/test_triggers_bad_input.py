"""Random text for all that reads schedules: an error of Rota that points at the place, or a schedule that survives storing."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress
from datetime import UTC

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rota.clock import HOUR
from rota.crontab import read_crontab
from rota.errors import (
    CronError,
    DeserializationError,
    NeverFiresError,
    RotaError,
    TriggerError,
    UnknownTimezoneError,
)
from rota.triggers import trigger_from_spec
from rota.triggers.cron import CronTrigger
from tests.present import present

NOW = 1_800_000_000_000_000
PIECES = st.sampled_from([
    "0", "1", "5", "7", "9", "12", "31", "53", "60", "99", "1970", "2030", "100000000", "*", "?", "L", "W", "LW", "H", "#", "/",
    "~", "0~9", "-", ",", "mon", "fri", "SUN", "jan", "1st", "2nd", "last", " ", "--", "**", "%", "\t",
])  # fmt: skip
TEXTS = st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=20)


def used(trigger: CronTrigger) -> None:
    first = trigger.after(NOW)
    assert first is None or (first > NOW and trigger.at_or_before(first) == first)
    again = trigger_from_spec(json.loads(json.dumps(trigger.spec())))
    assert (again, again.after(NOW)) == (trigger, first)
    assert eval(repr(trigger)) == trigger
    try:
        text = trigger.to_crontab()
    except TriggerError:
        return
    with suppress(NeverFiresError):  # 29 February of years that have none
        assert CronTrigger.from_crontab(text, UTC).after(NOW) == first


@pytest.mark.thorough
@settings(max_examples=150, derandomize=True)
@given(
    st.lists(TEXTS, min_size=1, max_size=7).map(" ".join), st.sampled_from(["cron", "quartz", "apscheduler3"])
)
@example("1--100000000 * * * *", "cron")
@example("0-99999999999999999999 * * * *", "cron")
@example("*/99999999999999999999 * * * *", "cron")
@example("0 0 L-9999999999 * *", "cron")
@example("0 0 * * 1#99999999", "cron")
@example("H(0-99999999999)/3 * * * *", "cron")
@example("0~99999999999/3 * * * *", "cron")
@example("@every 99999999999999999999h", "cron")
@example("TZ=UTC @every 1.99999999999999999999h", "cron")
@example("TZ=UTC @every", "cron")
@example("CRON_TZ=", "quartz")
def test_a_crontab_string_is_understood_whole_or_refused_at_a_column(text, dialect):
    try:
        trigger = CronTrigger.from_crontab(text, UTC, dialect=dialect, seed="s", now=NOW)
    except CronError as exc:
        if exc.column is not None:
            assert exc.field in CronTrigger.FIELD_NAMES or "@every" in text
            assert 1 <= present(exc.column) <= len(text) + 1
            assert exc.item is not None
    except (NeverFiresError, UnknownTimezoneError):
        pass
    else:
        used(trigger)


@pytest.mark.thorough
@settings(max_examples=120, derandomize=True)
@given(
    st.dictionaries(
        st.sampled_from(CronTrigger.FIELD_NAMES), TEXTS | st.integers(-5, 10**12), min_size=1, max_size=4
    )
)
@example({"minute": "1--100000000"})
@example({"year": "1970-99999999999999"})
@example({"second": "0-59/100000000000000000000000"})
def test_a_keyword_field_is_understood_whole_or_refused_at_a_column(fields):
    try:
        trigger = CronTrigger(**fields, timezone=UTC)
    except CronError as exc:
        assert exc.field in fields
        assert 1 <= present(exc.column) <= len(str(fields[exc.field])) + 1
    except NeverFiresError:
        pass
    else:
        used(trigger)


@pytest.mark.thorough
@settings(max_examples=80, derandomize=True)
@given(
    st.dictionaries(st.sampled_from(CronTrigger.FIELD_NAMES), TEXTS, min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
)
@example({"day_of_week": "fri#2", "hour": "0"}, True, True)
@example({"day": "*/2", "day_of_week": "fri"}, False, True)
@example({"day": "13", "day_of_week": "*"}, False, True)
@example({"day": "1st mon", "day_of_week": "mon-sun"}, False, True)
def test_a_stored_schedule_is_understood_whole_or_refused(fields, crontab, either):
    spec = {"type": "cron", "timezone": "UTC", "crontab": crontab, "day_or_weekday": either, **fields}
    try:
        trigger = trigger_from_spec(spec)
    except RotaError:
        return
    assert isinstance(trigger, CronTrigger)
    used(trigger)


@pytest.mark.parametrize(
    "field",
    [
        {"minute": "1-100000000"},
        {"hour": "24"},
        {"day": "45W"},
        {"day": "L-31"},
        {"day": "0,1"},
        {"day_of_week": "8"},
    ],
)
def test_a_stored_crontab_schedule_with_a_value_that_its_field_does_not_have_is_refused(field):
    with pytest.raises(DeserializationError, match="Error validating expression"):
        trigger_from_spec({"type": "cron", "timezone": "UTC", "crontab": True, **field})


@pytest.mark.thorough
@settings(max_examples=60, derandomize=True)
@given(st.lists(TEXTS, max_size=6).map("\n".join))
def test_a_crontab_file_is_read_or_refused(text):
    try:
        entries = read_crontab(text)
    except RotaError:
        return
    for entry in entries:
        if entry.schedule != "@reboot":
            used(entry.trigger(UTC))


@pytest.mark.parametrize(
    "expr",
    [
        "1--100000000 * * * *",
        "0-100000000 * * * *",
        "*/100000000 * * * *",
        "0 0 1 1 * 1970-100000000",
        ",".join(["0"] * 20_000) + " * * * *",
        "9" * 20_000 + " * * * *",
        "* " * 20_000,
        "(" * 20_000 + " * * * *",
    ],
)
def test_no_text_makes_a_parser_take_much_memory(expr):
    tracemalloc.start()
    try:
        CronTrigger.from_crontab(expr, UTC)
    except TriggerError as exc:
        assert str(exc)
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 20_000_000


def test_messages_about_long_texts_stay_readable():
    for call in (
        lambda: CronTrigger.from_crontab("9" * 3000 + " * * * *", UTC),
        lambda: CronTrigger.from_crontab("x" * 3000 + " * * * *", UTC),
        lambda: CronTrigger.from_crontab("@" + "x" * 3000, UTC),
        lambda: CronTrigger(minute="9" * 3000, timezone=UTC),
        lambda: CronTrigger(minute="x" * 3000, timezone=UTC),
        lambda: CronTrigger(minute="x" * 30_000, timezone=UTC),
        lambda: CronTrigger.from_crontab("x" * 30_000, UTC),
    ):
        with pytest.raises(CronError) as caught:
            call()
        assert len(str(caught.value)) < 400


def test_a_year_of_every_second_is_counted_and_not_walked():
    trigger = CronTrigger(second="*", timezone=UTC)
    now = NOW + 24 * 365 * HOUR
    assert trigger.latest(NOW, now) == (now, 24 * 365 * 3600 + 1)
