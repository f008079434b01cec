"""What a job goes on with that was changed while it was on hold: without a scheduler."""

from __future__ import annotations

from rota.clock import NO_TIME, SECOND
from rota.core.pauses import Pause, goes_on_with, is_on_hold, pause_of, stay_on_hold
from rota.core.states import PAUSED
from rota.testing.contracts.store_jobs import START, make_job

NEXT = START + 60 * SECOND


def test_a_job_on_hold_that_is_given_a_time_stays_on_hold_and_is_not_paused_any_more():
    job = make_job(due=NEXT)
    stay_on_hold(job, Pause(at=2, until=9, note="holidays", hold="migration", active=False, held=1))
    assert is_on_hold(job)
    assert (job.state, job.next_nominal) == (PAUSED, None)
    pause = pause_of(job)
    assert (pause.active, pause.given, pause.since) == (True, NEXT, NEXT)
    assert (pause.until, pause.note) == (None, None)
    assert (pause.hold, pause.held, pause.at) == ("migration", 1, 2)


def test_a_job_on_hold_that_is_given_no_time_is_paused_as_well():
    job = make_job(due=None)
    stay_on_hold(job, Pause(since=5, until=9, note="holidays", hold="migration", active=True, given=7))
    pause = pause_of(job)
    assert (job.state, pause.active, pause.given) == (PAUSED, False, None)
    assert (pause.since, pause.until, pause.note, pause.hold) == (5, None, "holidays", "migration")


def test_a_job_that_is_released_goes_on_with_a_time_to_come_that_it_had_or_was_given():
    assert goes_on_with(Pause(since=START + 1), START) == START + 1
    assert goes_on_with(Pause(since=START + 1, given=START + 2), START) == START + 2
    assert goes_on_with(Pause(given=NO_TIME - 1), START) == NO_TIME - 1


def test_a_job_that_is_released_is_planned_anew_if_its_time_has_passed_or_is_none():
    for pause in (
        Pause(),
        Pause(since=START),
        Pause(since=START - 1),
        Pause(since=START + 1, given=START),
        Pause(since=NO_TIME),
    ):
        assert goes_on_with(pause, START) is None
