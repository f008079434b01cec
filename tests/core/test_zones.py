"""The offsets of time zones as integers: they say what datetime says."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.clock import instant, moment
from rota.triggers.interval import IntervalTrigger
from rota.zone_maps import zone_map
from tests.present import present

ZONES = [
    UTC,
    timezone(timedelta(hours=5, minutes=30)),
    timezone(timedelta(seconds=-3661)),
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("Africa/Monrovia"),  # -00:44:30 until 1972
    ZoneInfo("Australia/Lord_Howe"),
    ZoneInfo("Pacific/Apia"),
]


@given(st.sampled_from(ZONES), st.integers(-(10**16), 10**17))
def test_an_instant_is_written_as_datetime_writes_it(zone, at):
    assert zone_map(zone).isoformat(at) == moment(at, zone).isoformat()


@pytest.mark.parametrize("text", ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00.000001+01:00"])
def test_an_interval_is_written_down_with_the_hour_that_is_meant(text):
    trigger = IntervalTrigger(hours=1, start_date=text, timezone="Europe/Berlin")
    assert present(trigger.spec())["start_date"] == text
    assert instant(IntervalTrigger.from_spec(present(trigger.spec())).start_date) == instant(
        trigger.start_date
    )
