"""What follows an attempt: another one, and when, or the end of the run; each policy against each kind of end."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from rota import Cancel, Retry, RetryAfter, Skip, Snooze
from rota.clock import HELD, SECOND
from rota.core.extras import BACKFILL, RETRY, SCHEDULE, Extra, extra_of
from rota.core.plan import plan
from rota.core.policy import DEFAULT_POLICY, with_options
from rota.core.run import LAST, Run, fail, is_expired
from rota.core.states import (
    ACTIVE,
    CANCELLED,
    FAILED,
    LOST,
    MISSED,
    SKIPPED,
    SNOOZED,
    SUCCEEDED,
    TIMED_OUT,
    WAITING,
    end,
    snooze,
    succeed,
    wait,
)
from rota.core.tries import (
    DEADLINE,
    EXHAUSTED,
    NOT_RETRYABLE,
    after_death,
    deadline_of,
    end_superseded,
    ended_copies,
    follow,
    hear,
    is_unasked,
    leave_to_next,
    next_try,
    not_given_back,
    superseded,
    wait_after,
    wish_of,
)
from rota.errors import JobTypeError, JobValueError, RunTimedOutError
from rota.testing.contracts import hostile_jobs
from rota.testing.contracts.store_jobs import START, make_job
from rota.trust.names import callable_named
from tests.present import present

NOW = START + 5 * SECOND
PLAIN = Retry(wait_initial=10, wait_jitter=0)


def run_of(attempt=1, extra=None, **options):
    job = make_job()
    job.policy = with_options(DEFAULT_POLICY, options)
    run = Run("job", START, START, job)
    run.attempt, run.started_at = attempt, START
    if extra is not None:
        run.extra = extra
    return run


def failed(exc=None, **options):
    run = run_of(**options)
    exc = exc or ValueError("wrong")
    fail(run, exc, "", NOW)
    wish = wish_of(run, exc, callable_named)
    if wish is not None:
        run.wish = wish
    return run


def said(exc, **options):
    """Return a run whose job has raised an outcome that is no failure."""
    run = run_of(**options)
    assert follow(run, present(wish_of(run, exc, callable_named)), NOW)
    return run


def seven(exc):
    return 7


def uncounted(number):
    extra = Extra()
    extra.uncounted = number
    return extra


# ------------------------------------------------------------------------------------------------------------ failures


def test_without_a_retry_a_failure_is_the_end():
    run = failed()
    assert (next_try(run, NOW), run.status, run.reason, hasattr(run, "extra")) == (None, FAILED, None, False)


def test_a_failure_that_is_tried_again_waits():
    run = failed(retry=PLAIN)
    assert next_try(run, NOW) == NOW + 10 * SECOND
    assert (run.extra.waiting_for, run.extra.not_before, run.extra.uncounted) == (RETRY, NOW + 10 * SECOND, 0)


def test_what_was_decided_once_stays_so():
    run = said(Snooze(5), retry=PLAIN)
    assert next_try(run, NOW) == next_try(run, NOW + SECOND) == NOW + 5 * SECOND
    assert run.extra.uncounted == 1


@pytest.mark.parametrize(("attempt", "wait"), [(1, 10), (2, 20), (3, None), (9, None)])
def test_it_is_tried_as_often_as_it_may_be(attempt, wait):
    run = failed(attempt=attempt, retry=PLAIN)
    assert next_try(run, NOW) == (None if wait is None else NOW + wait * SECOND)
    assert run.reason == (EXHAUSTED if wait is None else None)


def test_attempts_that_were_no_tries_do_not_count():
    run = failed(attempt=9, extra=uncounted(8), retry=PLAIN)
    assert run.tries == 1
    assert next_try(run, NOW) == NOW + 10 * SECOND
    run = failed(attempt=9, extra=uncounted(6), retry=PLAIN)
    assert (run.tries, next_try(run, NOW), run.reason) == (3, None, EXHAUSTED)


def test_other_failures_than_those_it_is_for_are_the_end():
    run = failed(KeyError("x"), retry=Retry(OSError))
    assert (next_try(run, NOW), run.status, run.reason) == (None, FAILED, NOT_RETRYABLE)


@pytest.mark.parametrize(
    ("on", "not_on", "wait"),
    [
        (Exception, (), 10),
        (TimeoutError, (), 10),
        (RunTimedOutError, (), 10),
        ((OSError, TimeoutError), (), 10),
        (seven, (), 10),  # it is not asked, as no exception is there
        (OSError, (), None),
        (Exception, TimeoutError, None),
        (seven, RunTimedOutError, None),
    ],
)
def test_a_time_out_is_tried_again_where_that_is_among_the_errors(on, not_on, wait):
    run = run_of(retry=Retry(on, not_on, wait_initial=10, wait_jitter=0))
    end(run, TIMED_OUT, "timeout", NOW)
    assert next_try(run, NOW) == (None if wait is None else NOW + wait * SECOND)


def test_a_time_out_is_tried_as_often_as_a_failure():
    run = run_of(attempt=3, retry=PLAIN)
    end(run, TIMED_OUT, "timeout", NOW)
    assert (next_try(run, NOW), run.reason) == (None, "timeout")
    run = run_of()
    end(run, TIMED_OUT, "timeout", NOW)
    assert next_try(run, NOW) is None


def test_what_was_asked_to_stop_as_its_time_was_over_is_tried_again_unless_somebody_else_has_asked_too():
    run = run_of(retry=PLAIN)
    run.cancelled = True
    run.wish = "retry", 99 * SECOND, None  # what it has raised since does not matter
    end(run, TIMED_OUT, "timeout", NOW)
    assert next_try(run, NOW) == NOW + 10 * SECOND
    run = run_of(retry=PLAIN)
    end(run, TIMED_OUT, "timeout", NOW)
    extra_of(run).cancel = "enough"
    assert (next_try(run, NOW), run.status) == (None, TIMED_OUT)


def test_a_run_that_nobody_waits_for_any_more_is_not_tried_again_whatever_its_policy_is():
    run = run_of(retry=PLAIN)
    run.wish = LAST
    end(run, TIMED_OUT, "timeout", NOW)
    assert next_try(run, NOW) is None


@pytest.mark.parametrize("status", [SUCCEEDED, MISSED, SKIPPED, CANCELLED])
def test_what_is_no_failure_is_the_end(status):
    run = run_of(retry=PLAIN)
    if status == SUCCEEDED:
        succeed(run, 5, NOW)
    else:
        end(run, status, "why", NOW)
    assert (next_try(run, NOW), run.status) == (None, status)


def test_jitter_is_the_same_on_every_node_and_another_for_each_attempt():
    def wait_of(attempt):
        return next_try(
            failed(attempt=attempt, max_attempts=9, retry=Retry(wait_exp_base=1, wait_jitter=1)), NOW
        )

    waits = [wait_of(attempt) for attempt in range(1, 6)]
    assert waits == [wait_of(attempt) for attempt in range(1, 6)]
    assert len(set(waits)) == 5
    assert all(NOW + 15 * SECOND <= wait < NOW + 30 * SECOND for wait in waits)


def test_retry_after_needs_no_policy_and_says_how_long():
    run = failed(RetryAfter(7))
    assert next_try(run, NOW) == NOW + 7 * SECOND
    assert run.extra.waiting_for == RETRY
    run = failed(RetryAfter(7), attempt=3)
    assert (next_try(run, NOW), run.reason) == (None, EXHAUSTED)
    assert next_try(failed(RetryAfter(7), retry=Retry(KeyError)), NOW) == NOW + 7 * SECOND


def test_a_predicate_that_says_how_long_is_followed():
    run = failed(retry=Retry(seven))
    assert next_try(run, NOW) == NOW + 7 * SECOND


# ----------------------------------------------------------------------------------------------------------- deadlines


def test_no_try_begins_after_the_deadline():
    run = failed(retry=Retry(wait_initial=10, wait_jitter=0, timeout=15))
    assert next_try(run, NOW) == START + 15 * SECOND
    run = failed(retry=Retry(wait_initial=10, wait_jitter=0, timeout=14.9))
    assert (next_try(run, NOW), run.status, run.reason) == (None, FAILED, DEADLINE)


def test_the_deadline_of_a_rerun_is_counted_from_the_request():
    run = failed(extra=Extra(BACKFILL), retry=Retry(wait_initial=10, wait_jitter=0, timeout=14))
    run.extra.asked_at = NOW
    assert deadline_of(run, run.job.policy) == NOW + 14 * SECOND
    assert next_try(run, NOW) == NOW + 10 * SECOND
    assert deadline_of(run, DEFAULT_POLICY) is None
    assert deadline_of(run, with_options(DEFAULT_POLICY, {"retry": True})) is None


# ------------------------------------------------------------------------------------------------------------ outcomes


def test_snooze_is_no_try():
    run = said(Snooze(60), attempt=7)
    assert (run.status, run.finished_at) == (SNOOZED, NOW)
    assert next_try(run, NOW + SECOND) == NOW + 61 * SECOND
    assert (run.extra.waiting_for, run.extra.uncounted) == (SNOOZED, 1)


@pytest.mark.parametrize(
    ("exc", "status", "reason"),
    [
        (Skip(), SKIPPED, "the job had nothing to do"),
        (Skip("holiday"), SKIPPED, "holiday"),
        (Cancel("no"), CANCELLED, "no"),
    ],
)
def test_skip_and_cancel_end_the_run_without_a_failure(exc, status, reason):
    run = said(exc, retry=PLAIN)
    assert (run.status, run.reason, run.finished_at, next_try(run, NOW)) == (status, reason, NOW, None)


def test_retry_after_is_a_failure():
    run = run_of()
    wish = wish_of(run, RetryAfter(5), callable_named)
    assert wish == (RETRY, 5 * SECOND, None)
    assert not follow(run, wish, NOW)
    assert str(RetryAfter(5)) == "asked for another try in 5 s"


class NotReady(Snooze):
    def __init__(self):
        super().__init__(60)


class Holiday(Skip):
    def __init__(self, name, country):
        super().__init__(f"{name} in {country}")


def test_classes_that_are_derived_from_outcomes_do_as_these_do():
    assert said(NotReady()).wish == (SNOOZED, 60 * SECOND, None)
    run = said(Holiday("Tet", "Vietnam"))
    assert (run.status, run.reason) == (SKIPPED, "Tet in Vietnam")


@pytest.mark.parametrize("kind", hostile_jobs.BROKEN_OUTCOMES)
def test_what_a_derived_class_has_broken_is_refused(kind):
    with pytest.raises((TypeError, ValueError, AttributeError, ArithmeticError)):
        wish_of(run_of(), hostile_jobs.BROKEN_OUTCOMES[kind](), callable_named)


def test_a_reason_that_is_no_text_becomes_one():
    assert said(Skip(42)).reason == "42"  # type: ignore[arg-type]
    assert said(Cancel(hostile_jobs.Lie())).reason.startswith("<Lie")  # type: ignore[arg-type]
    assert said(Cancel(None)).reason is None  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Snooze, RetryAfter])
@pytest.mark.parametrize("value", ["5", None, True, 0, -1, float("nan"), float("inf"), 1e300])
def test_a_wait_that_is_none_is_refused(kind, value):
    with pytest.raises((JobTypeError, JobValueError), match=kind.__name__):
        kind(value)


# ------------------------------------------------------------------------------------------------------------- cancels


def test_what_was_stopped_is_not_tried_again():
    run = failed(retry=PLAIN)
    run.cancelled = True
    assert (next_try(run, NOW), run.status) == (None, FAILED)


def test_what_has_failed_and_somebody_has_asked_to_stop_is_cancelled():
    run = failed(ValueError("wrong"), retry=PLAIN)
    extra_of(run).cancel = "enough"
    assert (next_try(run, NOW), run.status, run.reason) == (None, CANCELLED, "enough")
    assert (run.error_type, next_try(run, NOW)) == ("ValueError", None)


def test_what_was_asked_to_stop_after_its_time_was_over_has_timed_out():
    run = run_of(retry=PLAIN)
    end(run, TIMED_OUT, "timeout", NOW)
    extra_of(run).cancel = "enough"
    assert (next_try(run, NOW), run.status, run.reason) == (None, TIMED_OUT, "timeout")


@pytest.mark.parametrize(
    ("cancel", "reason"), [("enough", "enough"), (None, "cancelled while it was running")]
)
def test_what_is_snoozed_and_asked_to_stop_is_cancelled(cancel, reason):
    run = said(Snooze(5))
    run.cancelled = True
    extra_of(run).cancel = cancel
    assert (next_try(run, NOW), run.status, run.reason) == (None, CANCELLED, reason)


# -------------------------------------------------------------------------------------------------------------- deaths


@pytest.mark.parametrize(
    ("options", "wait"),
    [
        ({}, 0),
        ({"on_lost": "lost"}, None),
        ({"retry": PLAIN}, 10),
        ({"retry": PLAIN, "on_lost": "lost"}, None),
    ],
)
def test_the_death_of_a_worker_process_is_a_failed_try(options, wait):
    run = run_of(**options)
    end(run, LOST, "it was killed", NOW)
    assert next_try(run, NOW) == (None if wait is None else NOW + wait * SECOND)
    run = run_of(attempt=3, **options)
    end(run, LOST, "it was killed", NOW)
    assert next_try(run, NOW) is None
    tried = ", and the run was tried 3 times (max_attempts)" if wait is not None else ""
    assert run.reason == f"it was killed{tried}"


def test_while_the_program_ends_a_worker_s_death_is_no_reason_to_go_on():
    run = run_of()
    end(run, LOST, "it was killed", NOW)
    assert next_try(run, NOW, may_rerun=False) is None


def test_after_the_death_of_a_node_the_next_try_waits_where_there_is_a_retry():
    run = run_of(attempt=2, retry=PLAIN)
    assert after_death(run, run.job.policy, NOW) == NOW + 10 * SECOND
    wait(run)
    assert (run.extra.waiting_for, run.tries) == (RETRY, 1)  # it was taken over for nothing
    run = run_of(attempt=2)
    assert after_death(run, run.job.policy, NOW) is None


# ----------------------------------------------------------------------------------------------------------- superseded


def waiting(nominal=START, what=RETRY, origin=SCHEDULE, asked_at=None):
    run = Run("job", nominal, nominal)
    run.extra = Extra(origin)
    run.extra.waiting_for, run.extra.not_before, run.extra.asked_at = what, NOW, asked_at
    wait(run)
    return run


def test_only_retries_of_earlier_scheduled_times_are_superseded():
    found = [
        waiting(),
        waiting(what=SNOOZED),
        waiting(origin=BACKFILL),
        waiting(asked_at=NOW),
        waiting(nominal=START + 60),
        waiting(nominal=START + 59),
    ]
    assert superseded(found, {"job": START + 60}) == [found[0], found[5]]


def test_what_is_superseded_has_failed_with_what_its_last_try_raised():
    run = waiting()
    run.error_type, run.error = "ValueError", "wrong"
    end_superseded([run], NOW)
    assert (run.status, run.reason, run.error, run.finished_at) == (FAILED, "superseded", "wrong", NOW)
    assert run.extra.not_before is None


def test_what_may_be_superseded_waits_until_its_store_says_so():
    run = waiting()
    (ended,) = ended_copies([run], NOW)
    assert (ended.status, ended.reason, ended.extra.not_before) == (FAILED, "superseded", None)
    assert (run.status, run.reason, run.extra.not_before) == (WAITING, None, NOW)


@pytest.mark.parametrize(
    ("status", "is_in_doubt"),
    [(FAILED, True), (LOST, True), (TIMED_OUT, False), (SUCCEEDED, False), (CANCELLED, False)],
)
def test_of_what_has_failed_or_was_lost_its_store_may_know_that_it_was_asked_to_stop(status, is_in_doubt):
    run = run_of()
    run.status = status
    assert is_unasked(run) is is_in_doubt
    run.extra = Extra()
    run.extra.cancel = "enough"
    assert not is_unasked(run)


def test_a_run_that_has_failed_is_cancelled_if_its_store_knows_that_it_was_asked_to_stop():
    run = failed()
    hear(run, "enough", NOW + 1)
    assert (run.status, run.reason, run.finished_at) == (CANCELLED, "enough", NOW + 1)
    assert run.extra.cancel == "enough"


def test_what_its_store_does_not_take_back_ends_and_says_why():
    run = failed(retry=PLAIN)
    assert next_try(run, NOW)
    not_given_back(run, "no", NOW)
    assert (run.status, run.reason, run.extra.not_before) == (FAILED, "no", None)
    run = said(Snooze(5))
    assert next_try(run, NOW)
    not_given_back(run, "no", NOW)
    assert (run.status, run.reason) == (CANCELLED, "no")


@pytest.mark.parametrize(
    ("status", "attempt", "free", "tries"),
    [
        ("claimed", 1, 0, 0),
        ("claimed", 3, 0, 2),
        ("claimed", 3, 2, 0),
        (WAITING, 3, 1, 2),
        (FAILED, 2, 0, 2),
        (SUCCEEDED, 3, 0, 2),
        (WAITING, 0, 0, 0),
        (SKIPPED, 0, 0, 0),
    ],
)
def test_tries_are_what_the_number_of_the_attempt_says(status, attempt, free, tries):
    run = run_of(attempt, uncounted(free))
    run.status = status
    assert run.tries == tries


@pytest.mark.parametrize(("owner", "tries"), [("node", 1), (None, 2)])
def test_a_run_that_was_cancelled_while_it_waited_was_tried_as_often_as_before(owner, tries):
    run = run_of(2)
    run.status, run.owner = CANCELLED, owner
    assert run.tries == tries


@pytest.mark.parametrize("status", [CANCELLED, FAILED])
def test_a_run_that_its_node_has_stopped_to_leave_is_given_back(status):
    run = run_of(attempt=2, retry=PLAIN)
    run.cancelled = True
    end(run, status, None, NOW)
    assert next_try(run, NOW, is_leaving=True) == next_try(run, NOW + SECOND, is_leaving=True) == NOW
    wait(run)
    assert (run.extra.waiting_for, run.extra.uncounted, run.tries) == (SNOOZED, 1, 1)


@pytest.mark.parametrize("what", ["asked", "not started", "not stopped", "succeeded"])
def test_other_runs_of_a_node_that_leaves_end_as_they_do(what):
    run = run_of()
    run.cancelled = what != "not stopped"
    if what == "asked":
        extra_of(run).cancel = "enough"
    if what == "not started":
        run.started_at = None
    end(run, SUCCEEDED if what == "succeeded" else CANCELLED, "why", NOW)
    assert (next_try(run, NOW, is_leaving=True), run.reason) == (None, "why")


def test_what_is_not_to_be_repeated_is_lost_when_its_node_stops_it_to_leave():
    run = run_of(on_lost="lost", retry=PLAIN)
    run.cancelled = True
    end(run, CANCELLED, None, NOW)
    assert next_try(run, NOW, is_leaving=True) is None
    assert (run.status, run.reason) == (LOST, "its scheduler was shut down while it was running")


@pytest.mark.parametrize(
    ("attempt", "origin", "expired"), [(1, SCHEDULE, True), (2, SCHEDULE, False), (1, BACKFILL, False)]
)
def test_only_the_first_start_of_a_scheduled_time_may_come_too_late(attempt, origin, expired):
    run = run_of(attempt, Extra(origin), expires=5)
    assert is_expired(run, START + 6 * SECOND) == expired
    assert not is_expired(run, START + 5 * SECOND)


# -------------------------------------------------------------------------------------------------------------- groups


@pytest.mark.parametrize(("most", "left"), [(3, None), (2, 2), (1, 1)])
def test_what_a_store_cannot_take_together_is_left_to_the_next_claim(most, left):
    job = make_job(every=60, coalesce=False)
    decision = plan(job, START + 120 * SECOND)
    before = decision.next_nominal, decision.next_due, decision.state
    leave_to_next(decision, most)
    assert [run.nominal for run in decision.runs] == [
        START + number * 60 * SECOND for number in range(min(most, 3))
    ]
    assert decision.runs[-1].then is None
    following = (decision.next_nominal, decision.next_due, decision.state)
    assert following == (before if left is None else (START + left * 60 * SECOND, HELD, ACTIVE))


def test_records_of_times_that_are_left_to_the_next_claim_are_left_too():
    job = make_job(coalesce=False)
    decision = plan(job, START + 3 * 60 * SECOND)
    times = [run.nominal for run in decision.runs]
    assert len(times) > 2
    decision.records = [Run("job", time, time) for time in (times[0] - 1, times[1], times[2])]
    leave_to_next(decision, 2)
    assert [record.nominal for record in decision.records] == [times[0] - 1, times[1]]


def test_what_is_snoozed_without_a_word_may_go_on_at_once():
    for wish in (None, (SNOOZED, None, None)):
        run = run_of()
        if wish is not None:
            run.wish = wish
        snooze(run, NOW)
        assert next_try(run, NOW) == NOW
        assert run.extra.uncounted == 1


def test_what_was_asked_to_stop_waits_for_nothing():
    run = failed(retry=PLAIN)
    assert next_try(run, NOW) is not None
    run.extra.cancel = "enough"
    assert next_try(run, NOW) is None
    assert (run.status, run.extra.not_before) == (CANCELLED, None)


def test_the_part_of_the_jitter_is_drawn_by_job_time_and_attempt_for_ever():
    run = run_of(retry=Retry(wait_initial=10, wait_jitter=1))
    drawn = int.from_bytes(blake2b(f"job@{START}#1".encode(), digest_size=8).digest(), "big") / 2**64
    assert wait_after(run, run.job.policy, 1) == int(10 * (1 + drawn) * SECOND)
    assert wait_after(run, DEFAULT_POLICY, 1) == 0
