"""Times that somebody has left out, or had run, before they came: they are no sign of a clock that was set back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rota.clock import HOUR, SECOND
from rota.core.chains import SKIPPED_AHEAD
from rota.core.extras import Extra
from rota.core.plan import plan
from rota.core.recorded import is_made_ahead, leave_out_recorded
from rota.core.run import Run
from rota.core.states import CANCELLED, SUCCEEDED
from rota.engine.clock_jumps import in_rhythm
from tests.core.engine_kit import started
from tests.core.test_plan import START, every, make_job

# ---------------------------------------------------------------------------------------------------- what is decided


def record(nominal=START, status=SUCCEEDED, reason=None, asked_at=None):
    run = Run("j", nominal, nominal)
    run.status, run.reason = status, reason
    if asked_at is not None:
        run.extra = Extra()
        run.extra.asked_at = asked_at
    return run


@pytest.mark.parametrize(
    ("made", "ahead"),
    [
        (record(), False),
        (record(status=CANCELLED), False),
        (record(status=CANCELLED, reason=SKIPPED_AHEAD), True),
        (record(asked_at=START - 1), True),
        (record(asked_at=START), False),
    ],
    ids=["ran", "cancelled", "left out", "asked for before", "asked for then"],
)
def test_a_record_was_made_ahead_if_its_time_was_left_out_or_opened_again_before_it_came(made, ahead):
    assert is_made_ahead(made) is ahead


def test_a_decision_says_that_it_has_lost_a_run_to_a_record_and_only_then():
    decision = plan(make_job(every(10), START), START)
    leave_out_recorded(decision, [(START + SECOND, START + SECOND, SUCCEEDED)])
    assert not hasattr(decision, "left_out")
    leave_out_recorded(decision, [(START, START, SUCCEEDED)])
    assert decision.left_out


# now is 5, so that the nearest time is 10; (pending, seconds of records, of them made ahead) → when the job goes on
GOES_ON = [
    ("the clock was set back", 50, [10, 20, 30, 40], [], 10.000001),
    ("all are left out", 30, [10, 20], [10, 20], None),
    ("the last are left out", 50, [10, 20, 30, 40], [30, 40], 10.000001),
    ("the first are left out", 50, [10, 20, 30, 40], [10, 20], 30.000001),
    ("one between is left out", 50, [10, 20, 30, 40], [20], 10.000001),
    ("a start that was given, and one before it", 50, [10, 40], [10, 40], None),
]


@pytest.mark.parametrize(
    ("pending", "recorded", "ahead", "expected"),
    [case[1:] for case in GOES_ON],
    ids=[case[0] for case in GOES_ON],
)
@pytest.mark.parametrize("mode", ["rate", "delay"])
def test_a_job_goes_on_beside_what_ran_and_waits_where_all_was_left_out(
    mode, pending, recorded, ahead, expected
):
    times = [START + second * SECOND for second in recorded]
    found = in_rhythm(
        make_job(every(10, mode=mode), START + pending * SECOND),
        START + 10 * SECOND,
        [(time, time, SUCCEEDED) for time in times],
        {START + second * SECOND for second in ahead}.__contains__,
    )
    assert found == (None if expected is None else START + round(expected * SECOND))


# ------------------------------------------------------------------------------------------------------ in programs


@pytest.fixture
def ledger():
    """Return a scheduler in the second hour of its time, and a function that tells of its records: (hours, status)."""
    scheduler, _ = started()
    begin = scheduler.clock.datetime()
    scheduler.begin = begin

    def add(**options):
        options = {"start_date": begin, **options}
        scheduler.add_job(int, "interval", hours=1, id="j", **options)
        scheduler.advance(hours=1, minutes=10)

    def records():
        runs = reversed(scheduler.get_runs("j"))
        return [((run.nominal - START) / HOUR, run.status) for run in runs]

    yield scheduler, add, records
    scheduler.shutdown()


def ran(*hours):
    return [(hour, SUCCEEDED) for hour in hours]


def left_out(*hours):
    return [(hour, CANCELLED) for hour in hours]


def at(scheduler, **hours):
    return scheduler.begin + timedelta(**hours)


@pytest.mark.parametrize("is_next", [True, False], ids=["the next ones", "later ones"])
def test_times_that_are_left_out_ahead_do_not_run_and_the_others_stay_on_their_grid(ledger, is_next):
    scheduler, add, records = ledger
    add()
    first = 2 if is_next else 3
    for hour in (first, first + 1):
        scheduler.cancel_run("j", at(scheduler, hours=hour))
    scheduler.advance(hours=5)
    expected = ran(0, 1, 2, 3, 4, 5, 6)
    expected[first : first + 2] = left_out(first, first + 1)
    assert records() == expected
    assert "and succeeded" in scheduler.explain("j", at(scheduler, hours=5))


def test_a_pause_that_ends_before_a_time_that_was_left_out_lets_the_job_run_at_the_one_after_it(ledger):
    scheduler, add, records = ledger
    add()
    scheduler.cancel_run("j", at(scheduler, hours=2))
    scheduler.pause_job("j", until=at(scheduler, hours=1, minutes=20))
    scheduler.advance(hours=3)
    assert records() == [*ran(0, 1), *left_out(2), *ran(3, 4)]


@pytest.mark.parametrize("options", [{}, {"start_date": None}, {"mode": "delay"}], ids=str)
@pytest.mark.parametrize("runs_again", [True, False])
def test_after_a_time_was_left_out_a_clock_that_is_set_back_by_seconds_moves_nothing(
    ledger, options, runs_again
):
    scheduler, add, records = ledger
    add(**options)
    begun = records()
    scheduler.cancel_run("j", scheduler.get_job("j").next_run_time)
    if runs_again:
        scheduler.rerun("j", at(scheduler, hours=2))
        scheduler.run_pending()
    scheduler.clock.set(scheduler.clock.datetime() - timedelta(seconds=3))
    scheduler.run_pending()
    assert scheduler.get_job("j").next_run_time == at(scheduler, hours=3)
    scheduler.advance(hours=2)
    assert records() == [*begun, *(ran(2) if runs_again else left_out(2)), *ran(3)]


def test_a_first_time_that_was_left_out_keeps_no_job_waiting_for_longer_after_the_clock_was_set_back(ledger):
    scheduler = ledger[0]
    scheduler.add_job(int, "interval", hours=1, id="j")
    scheduler.run_pending()
    scheduler.cancel_run("j", at(scheduler, hours=1))
    scheduler.clock.set(at(scheduler, hours=-5, minutes=10))
    scheduler.run_pending()
    assert scheduler.get_job("j").next_run_time == at(scheduler, hours=-4)


def test_where_times_ran_and_the_clock_is_set_back_the_job_goes_on_and_what_was_left_out_stays_so(ledger):
    scheduler, add, records = ledger
    add()
    scheduler.cancel_run("j", at(scheduler, hours=2))
    scheduler.advance(hours=3)
    scheduler.clock.set(at(scheduler, hours=1, minutes=30))
    scheduler.run_pending()
    scheduler.advance(hours=3)
    beside = 1 / HOUR
    assert records() == [*ran(0, 1), *left_out(2), *ran(3, 3 + beside, 4, 4 + beside)]
    said = scheduler.explain("j", at(scheduler, hours=2))
    assert "somebody left it out" in said


def test_it_is_told_that_a_time_has_no_record_as_the_clock_may_have_been_set_back(ledger):
    scheduler, add, records = ledger
    add()
    scheduler.clock.set(at(scheduler, hours=-3, minutes=30))
    scheduler.run_pending()
    scheduler.advance(hours=6)
    assert records()[-1][0] == pytest.approx(3)
    assert "or the clock was set back" in scheduler.explain("j", at(scheduler, hours=2))
