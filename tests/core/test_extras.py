"""What only some runs have, as it stands in a store: texts, and what is read of them."""

from __future__ import annotations

from typing import Any

import pytest

from rota.core.extras import (
    AFTER,
    BACKFILL,
    KEEPS_PLACE,
    ORIGINS,
    RERUN,
    RETRY,
    SCHEDULE,
    WAITS_FOR,
    Extra,
    extra_of,
    keeps_place,
    tell,
    text_of,
)
from rota.core.run import Run
from rota.core.states import MANUAL, SNOOZED

#: what a run of the schedule would have
NOTHING = {
    "args": None,
    "asked_at": None,
    "backfill": None,
    "cancel": None,
    "key": None,
    "kwargs": None,
    "not_before": None,
    "origin": "schedule",
    "parent": None,
    "succeeded_at": None,
    "unchained": False,
    "uncounted": 0,
    "waiting_for": None,
}
#: what stands in one text
SOME: dict[str, Any] = {
    "uncounted": 2,
    "waiting_for": RETRY,
    "key": "größer",
    "args": "[1]",
    "kwargs": "{}",
    "parent": "job@0#1",
    "unchained": True,
    "asked_at": 5,
    "succeeded_at": 6,
    "backfill": 7,
}


def values_of(extra: Extra) -> dict[str, Any]:
    return {name: getattr(extra, name) for name in Extra.__slots__}


def told(*stored: Any) -> dict[str, Any] | None:
    """Return what a run has of what is stored: origin, time to wait for, request to stop, text, and the reason of its record."""
    run = Run("job", 0, 0)
    tell(run, *stored)
    return values_of(run.extra) if hasattr(run, "extra") else None


def test_a_new_one_has_nothing() -> None:
    assert values_of(Extra()) == NOTHING
    assert text_of(Extra()) is None


def test_what_stands_in_a_text_comes_back_from_it() -> None:
    extra = Extra(AFTER)
    for name, value in SOME.items():
        setattr(extra, name, value)
    text = text_of(extra)
    assert text is not None
    assert text.startswith('{"uncounted":2,"waiting_for":"retry","key":"größer",')
    assert told(AFTER, 9, "why", text) == {
        **NOTHING,
        **SOME,
        "origin": AFTER,
        "not_before": 9,
        "cancel": "why",
    }


def test_a_run_of_the_schedule_has_none() -> None:
    assert told(None, None, None, None) is None
    assert told(None, None, None, None, "paused") is None
    for stored in (
        ("manual", None, None, None),
        (None, 0, None, None),
        (None, None, "", None),
        (None, None, None, ""),
    ):
        assert told(*stored) is not None


@pytest.mark.parametrize("origin", ORIGINS)
def test_each_origin_is_read(origin: str) -> None:
    assert told(origin, None, None, None) == {**NOTHING, "origin": origin}


def test_an_older_layout_has_the_origin_in_the_reason() -> None:
    run = Run("job", 0, 0)
    run.reason = MANUAL
    tell(run, None, None, None, None, MANUAL)
    assert run.extra.origin == MANUAL
    assert run.reason is None
    run = Run("job", 0, 0)
    run.reason = MANUAL
    tell(run, BACKFILL, None, None, None, MANUAL)
    assert (run.extra.origin, run.reason) == (BACKFILL, MANUAL)


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        (("nonsense", None, None, None), {}),
        ((5, None, None, None), {}),
        ((None, True, None, None), {}),
        ((None, "9", None, None), {}),
        ((None, None, 5, None), {"cancel": "5"}),
        ((None, None, None, 5), {}),
        ((None, None, None, "["), {}),
        ((None, None, None, "[]"), {}),
        ((None, None, None, "[" * 5000), {}),
        ((None, None, None, '{"uncounted": "2", "key": 5, "unchained": 1, "asked_at": true, "backfill": 7}'), {"backfill": 7}),
        ((None, None, None, '{"waiting_for": "nonsense"}'), {}),
        ((None, None, None, '{"uncounted": -3}'), {}),
        ((None, None, None, '{"other": 1, "key": "k"}'), {"key": "k"}),
    ],
)  # fmt: skip
def test_what_is_damaged_says_nothing(stored: tuple[Any, ...], read: dict[str, Any]) -> None:
    assert told(*stored) == {**NOTHING, **read}


@pytest.mark.parametrize("what", WAITS_FOR)
def test_what_a_run_waits_for_is_read_and_says_whether_it_keeps_its_place(what: str) -> None:
    found = told(None, None, None, f'{{"waiting_for":"{what}"}}')
    assert found is not None
    assert found["waiting_for"] == what
    extra = Extra()
    extra.waiting_for = what
    assert keeps_place(extra) == (what in (RETRY, SNOOZED))
    assert set(KEEPS_PLACE) == {RETRY, SNOOZED}


def test_a_run_that_has_nothing_keeps_no_place_and_gets_something_to_write_into() -> None:
    assert not keeps_place(None)
    assert not keeps_place(Extra())
    run = Run("job", 0, 0)
    extra = extra_of(run)
    assert (extra_of(run), run.extra.origin) == (extra, SCHEDULE)
    assert extra_of(run) is extra


def test_two_are_equal_if_they_have_the_same() -> None:
    one, other = Extra(), Extra()
    assert one == other
    other.waiting_for = RERUN
    assert one != other
    assert one != 5
    assert (one == 5) is False
    assert repr(Extra(MANUAL)) == "<Extra manual>"
