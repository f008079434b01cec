"""What a store keeps of a pause, and what a job that is resumed has left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rota.clock import HELD, SECOND, moment
from rota.core.pauses import (
    LONGEST_NOTE,
    RESCHEDULED,
    Pause,
    count_ends,
    counting,
    counts,
    goes_on_with,
    is_on_hold,
    left_out,
    lets_go,
    note_of,
    only_counted,
    pause_of,
    settled_by_edit,
    text_of,
)
from rota.core.plan import AFTER_RUN
from rota.core.run import Run, fail
from rota.core.states import ACTIVE, END_STATES, LOST, PAUSED, SKIPPED, end, set_job_state
from rota.testing.contracts.store_jobs import START, make_job
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger
from tests.present import present

MINUTE = 60 * SECOND
ALL: dict[str, Any] = {
    "since": 1, "at": 2, "until": 3, "note": "größer", "hold": "", "active": False, "failures": [4], "good": 5,
    "held": 6, "given": 7, "over": True,
}  # fmt: skip


def paused(**values):
    """Return a job that was paused so."""
    job = make_job(pause_on_failure=2)
    job.set_next(None)
    set_job_state(job, PAUSED)
    job.paused = text_of(Pause(**values))
    return job


def test_a_pause_comes_back_from_its_text():
    text = text_of(Pause(**ALL))
    assert json.loads(text) == ALL
    assert "größer" in text
    job = make_job()
    job.paused = text
    found = pause_of(job)
    assert {name: getattr(found, name) for name in Pause.__slots__} == ALL
    assert text_of(Pause()) == "{}"


@pytest.mark.parametrize(
    "text", [None, "", "[]", "5", "{", "[" * 5000, '{"since": "1", "note": 2, "active": 1}']
)
def test_what_is_damaged_says_nothing(text):
    job = make_job()
    job.paused = text
    found = pause_of(job)
    assert {getattr(found, name) for name in Pause.__slots__} == {None}


def test_why_a_job_does_not_run_is_why_it_is_on_hold_before_why_it_is_paused():
    assert note_of(make_job()) is None
    assert note_of(paused(note="a")) == "a"
    assert note_of(paused(note="a", hold="b")) == "b"
    assert note_of(paused(note="a", hold="")) == "a"


def test_a_job_is_on_hold_if_it_is_paused_and_says_so():
    assert is_on_hold(paused(hold=""))
    assert not is_on_hold(paused(note="a"))
    assert not is_on_hold(make_job())
    job = paused(hold="b")
    job.paused = None
    assert not is_on_hold(job)
    running = make_job()
    running.paused = text_of(Pause(hold="b"))
    assert (running.state, is_on_hold(running)) == (ACTIVE, False)


# ----------------------------------------------------------------------------------------------------- what is left out


def out(first, now, trigger=None, reason="paused"):
    """Return first time, last time and count of what a job has left out that owed a time, in minutes."""
    job = make_job(every=60)
    job.trigger = trigger or IntervalTrigger(minutes=1, start_date=moment(START), timezone="UTC")
    record = left_out(job, Pause(since=None if first is None else START + first), reason, START + now)
    if record is None:
        return None
    assert (record.status, record.reason, record.finished_at) == (SKIPPED, reason, START + now)
    return (record.nominal - START) // MINUTE, (record.last - START) // MINUTE, record.count


def test_the_times_from_the_pause_to_now_are_one_record():
    assert out(0, 10 * MINUTE + 1) == (0, 10, 11)
    assert out(0, 10 * MINUTE + 1, reason="on hold") == (0, 10, 11)
    assert out(9 * MINUTE, 10 * MINUTE + 1) == (9, 10, 2)


def test_a_time_that_is_now_is_still_to_come():
    assert out(0, 10 * MINUTE) == (0, 9, 10)
    assert out(10 * MINUTE, 10 * MINUTE) is None
    assert out(10 * MINUTE, 5 * MINUTE) is None


def test_a_job_that_owed_nothing_has_left_out_nothing():
    assert out(None, 10 * MINUTE) is None
    assert out(AFTER_RUN - START, 10 * MINUTE) is None


def test_a_job_whose_times_are_over_has_left_out_all_of_them():
    ends = IntervalTrigger(
        minutes=1, start_date=moment(START), end_date=moment(START + 5 * MINUTE), timezone="UTC"
    )
    assert out(0, 10 * MINUTE, ends) == (0, 5, 6)


def test_a_date_that_has_passed_is_left_out_by_no_pause():
    assert out(0, 10 * MINUTE, DateTrigger(moment(START))) is None


def test_of_a_job_that_counts_from_the_end_of_its_run_one_time_is_left_out():
    delay = IntervalTrigger(minutes=1, start_date=moment(START), timezone="UTC", mode="delay")
    assert out(0, 10 * MINUTE + 1, delay) == (0, 0, 1)


def test_a_job_goes_on_with_the_time_to_come_that_it_had_or_was_given_on_hold():
    assert goes_on_with(Pause(since=START + 5), START) == START + 5
    assert goes_on_with(Pause(since=START + 5, given=START + 7, hold=""), START) == START + 7
    assert goes_on_with(Pause(since=START), START) is None
    assert goes_on_with(Pause(since=AFTER_RUN), START) is None
    assert goes_on_with(Pause(), START) is None


# ---------------------------------------------------------------------------------------------- what an edit settles


def every_minute(minutes=1):
    return IntervalTrigger(minutes=minutes, start_date=moment(START), timezone="UTC")


def owing(since=0, trigger=None, **values):
    """Return a job that was paused and owes times, each minute, from an instant after the start on."""
    job = paused(since=None if since is None else START + since, **values)
    job.trigger = trigger or every_minute()
    return job


def edited(job, following=None, trigger=None, **values):
    """Return a copy of a job with a next time (after the start), or paused otherwise, and perhaps another trigger."""
    twin = job.copy()
    if trigger is not None:
        twin.trigger = trigger
    if following is not None:
        twin.set_next(START + following)
        twin.paused = None
    elif values:
        twin.paused = text_of(Pause(**values))
    return twin


def settled(before, after, now=10 * MINUTE + 1):
    """Return first time, last time (minutes), count and reason of what an edit records."""
    record = settled_by_edit(before, after, START + now)
    if record is None:
        return None
    assert (record.status, record.finished_at) == (SKIPPED, START + now)
    return (
        (record.nominal - START) // MINUTE,
        (record.last - START) // MINUTE,
        record.count,
        record.reason,
    )


def test_an_edit_settles_the_times_before_now_and_before_the_one_that_it_gives():
    job = owing()
    assert settled(job, edited(job, 11 * MINUTE)) == (0, 10, 11, "paused")
    assert settled(job, edited(job, 11 * MINUTE), 10 * MINUTE) == (0, 9, 10, "paused")
    assert settled(job, edited(job, 3 * MINUTE)) == (0, 2, 3, "paused")
    assert settled(job, edited(job, 3 * MINUTE + 1)) == (0, 3, 4, "paused")
    assert settled(job, edited(job, 0)) is None
    assert settled(job, edited(job, -MINUTE)) is None


def test_an_edit_settles_times_of_the_trigger_that_the_job_had():
    job = owing(trigger=every_minute(2))
    assert settled(job, edited(job, 11 * MINUTE, every_minute(3))) == (0, 10, 6, "paused")


def test_a_date_that_has_passed_is_settled_by_an_edit_that_gives_another_time():
    job = owing(trigger=DateTrigger(moment(START)))
    assert settled(job, edited(job, 11 * MINUTE)) == (0, 0, 1, "paused")
    assert settled(job, edited(job, 0)) is None


def waiting(trigger=None):
    """Return a job whose times, each minute from the start on, wait for room."""
    job = make_job(overlap="buffer_all")
    job.trigger = trigger or every_minute()
    job.set_next(START, HELD)
    return job


def test_an_edit_settles_times_that_wait_for_room():
    job = waiting()
    assert settled(job, edited(job, 11 * MINUTE)) == (0, 10, 11, RESCHEDULED)
    assert settled(job, edited(job, 3 * MINUTE, every_minute(3))) == (0, 2, 3, RESCHEDULED)
    assert settled(job, edited(job, 0)) is None
    assert settled(job, job.copy()) is None
    assert settled(job, edited(job, 11 * MINUTE), -1) is None
    after_end = waiting()
    after_end.set_next(AFTER_RUN, HELD)
    assert settled(after_end, edited(after_end, 11 * MINUTE)) is None


def test_a_pause_owes_the_times_that_wait_for_room_but_with_another_trigger_it_does_not():
    job = waiting()
    stopped = job.copy()
    stopped.set_next(None)
    stopped.paused = text_of(Pause(since=START))
    assert (settled(job, stopped), lets_go(job, stopped, START + MINUTE)) == (None, False)
    stopped.trigger = every_minute(3)
    assert settled(job, stopped) == (0, 10, 11, RESCHEDULED)
    assert pause_of(stopped).since == START + 12 * MINUTE


def test_a_job_that_waits_for_room_is_let_go_by_one_with_another_next_time():
    job = waiting()
    assert not lets_go(job, job.copy(), START + MINUTE)
    assert lets_go(job, edited(job, 11 * MINUTE), START + MINUTE)


def test_nothing_is_settled_of_a_job_that_is_not_paused_or_owes_nothing():
    running = make_job()
    assert settled(running, edited(running, 11 * MINUTE)) is None
    counted = make_job()
    counted.paused = text_of(Pause(since=START, failures=[1]))
    assert settled(counted, edited(counted, 11 * MINUTE)) is None
    for job in (owing(None), owing(AFTER_RUN - START)):
        assert settled(job, edited(job, 11 * MINUTE)) is None
    added = owing()
    added.paused = None
    assert settled(added, edited(added, 11 * MINUTE)) is None


def test_a_job_that_stays_paused_owes_the_same_times_as_long_as_its_schedule_is_the_same():
    job = owing()
    assert settled(job, edited(job, since=START, note="why")) is None
    same = edited(job, trigger=every_minute())
    assert (settled(job, same), pause_of(same).since) == (None, START)


def test_a_job_that_stays_paused_and_has_another_trigger_owes_the_times_of_that_from_now_on():
    job = owing(note="why")
    after = edited(job, trigger=every_minute(7))
    assert settled(job, after) == (0, 10, 11, "paused")
    assert (pause_of(after).since, pause_of(after).note) == (START + 14 * MINUTE, "why")
    over = edited(job, trigger=IntervalTrigger(minutes=1, end_date=moment(START), timezone="UTC"))
    assert settled(job, over) == (0, 10, 11, "paused")
    assert pause_of(over).since is None


def test_a_job_that_was_added_as_a_paused_one_owes_nothing_though_it_has_another_trigger():
    job = owing(None)
    after = edited(job, trigger=every_minute(7))
    assert (settled(job, after), pause_of(after).since) == (None, None)


def test_a_job_that_owes_less_after_an_edit_is_settled_up_to_that():
    job = owing()
    assert settled(job, edited(job, since=START + 3 * MINUTE)) == (0, 2, 3, "paused")
    assert settled(job, edited(job, since=AFTER_RUN)) == (0, 10, 11, "paused")
    gone = edited(job)
    gone.paused = None
    assert settled(job, gone) == (0, 10, 11, "paused")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "paused"),
        ({"hold": "", "active": True}, "on hold"),
        ({"hold": "b", "active": False}, "paused"),
        ({"active": True}, "paused"),
    ],
)
def test_the_record_says_why_the_job_did_not_run(values, reason):
    job = owing(**values)
    assert settled(job, edited(job, 11 * MINUTE)) == (0, 10, 11, reason)


def test_of_a_job_that_counts_from_the_end_of_its_run_an_edit_settles_one_time():
    job = owing(trigger=IntervalTrigger(minutes=1, start_date=moment(START), timezone="UTC", mode="delay"))
    assert settled(job, edited(job, 11 * MINUTE)) == (0, 0, 1, "paused")


def test_a_job_lets_go_of_what_the_one_owes_that_it_replaces_unless_it_owes_the_same():
    job, now = owing(), START + 1
    assert lets_go(job, edited(job, 11 * MINUTE), now)
    assert lets_go(job, edited(job, since=START + 1), now)
    assert not lets_go(job, edited(job), now)
    assert not lets_go(job, edited(job, 11 * MINUTE), START)
    for before in (owing(None), make_job()):
        assert not lets_go(before, edited(before, 11 * MINUTE), now)
    counted = make_job()
    counted.paused = text_of(Pause(since=START, failures=[1]))
    assert not lets_go(counted, edited(counted, 11 * MINUTE), now)
    added = owing()
    added.paused = None
    assert not lets_go(added, edited(added, 11 * MINUTE), now)


# -------------------------------------------------------------------------------------------------- failures in a row


def ended(status, at=1, job=None):
    run = Run("job", START, START, job)
    if status == "failed":
        fail(run, ValueError("wrong"), "frames", START + at)
    else:
        end(run, status, "why", START + at)
    return run


def test_a_failure_counts_and_a_success_does_and_nothing_else():
    counted = {status for status in END_STATES if counts(ended(status))}
    assert counted == {"succeeded", "failed", "timed_out", "lost"}


def test_the_ends_of_jobs_with_the_option_are_counted():
    job = make_job(pause_on_failure=1)
    runs = [
        ended("failed", job=job),
        ended("skipped", job=job),
        ended("failed", job=make_job()),
        ended("failed"),
    ]
    assert counting(runs) == runs[:1]


def test_what_is_left_of_a_pause_that_is_over_are_the_failures():
    assert only_counted(Pause(since=1, note="x", failures=[4], good=5)) == '{"failures":[4],"good":5}'
    assert only_counted(Pause(good=0)) == '{"good":0}'
    assert only_counted(Pause(failures=[])) is None


def test_a_run_is_told_of_the_pause_by_the_last_try_only():
    run = ended("failed")
    run.pauses = "before"
    job = make_job(pause_on_failure=2)
    assert count_ends(job, [run], START)
    assert not hasattr(run, "pauses")


def test_a_failure_that_ended_with_or_before_the_last_success_does_not_count():
    for at, counted in ((4, None), (5, None), (6, [START + 6])):
        job = make_job(pause_on_failure=2)
        job.paused = text_of(Pause(good=START + 5))
        count_ends(job, [ended("failed", at)], START)
        assert pause_of(job).failures == counted


def test_failures_that_ended_after_a_success_stay():
    job = make_job(pause_on_failure=3)
    job.paused = text_of(Pause(failures=[START + 4, START + 6]))
    assert count_ends(job, [ended("succeeded", 5)], START)
    pause = pause_of(job)
    assert (pause.failures, pause.good) == ([START + 6], START + 5)


def test_a_failure_at_the_moment_of_a_success_goes_with_it():
    job = make_job(pause_on_failure=3)
    job.paused = text_of(Pause(failures=[START + 5]))
    assert count_ends(job, [ended("succeeded", 5)], START)
    assert job.paused is None


def test_ends_without_a_time_are_those_of_now():
    job = make_job(pause_on_failure=2)
    run = ended("failed")
    run.finished_at = None
    assert count_ends(job, [run], START + 9)
    assert pause_of(job).failures == [START + 9]


def test_a_job_on_hold_counts_and_keeps_its_hold():
    job = paused(since=7, hold="b", active=True)
    assert count_ends(job, [ended("failed", 1)], START)
    pause = pause_of(job)
    assert (pause.failures, pause.since, pause.hold, pause.active) == ([START + 1], 7, "b", True)
    for values in ({"hold": "b", "active": False}, {"note": "a"}):
        assert not count_ends(paused(**values), [ended("failed", 1)], START)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({}, ": ValueError: wrong"),
        ({"error": None}, ": ValueError"),
        ({"error": None, "error_type": None}, ""),
        ({"error": None, "error_type": None, "reason": "its node is gone"}, ": its node is gone"),
    ],
)
def test_the_note_of_the_pause_says_what_was_wrong_with_the_last_run(change, what):
    job = make_job(pause_on_failure=2)
    job.paused = text_of(Pause(failures=[START]))
    run = ended("failed")
    run.attempt = 3
    for name, value in change.items():
        setattr(run, name, value)
    assert count_ends(job, [run], START + 2)
    said = present(pause_of(job).note)
    assert said == (
        f"2 failures in a row, the last of them the run of 2026-01-01 00:00:00+00:00 (attempt 3, failed){what}"
    )
    assert run.pauses == (said, 1)


def test_a_long_note_is_shortened():
    job = make_job(pause_on_failure=1)
    run = ended(LOST)
    run.error = "x" * 5000
    assert count_ends(job, [run], START)
    assert 490 <= len(present(pause_of(job).note)) <= LONGEST_NOTE == 500


def test_a_job_that_is_paused_has_no_next_time():
    job = make_job(pause_on_failure=1, due=START + MINUTE)
    assert count_ends(job, [ended("failed")], START + 2)
    pause = pause_of(job)
    assert (job.state, job.next_due, pause.since, pause.at) == (PAUSED, None, START + MINUTE, START + 2)
