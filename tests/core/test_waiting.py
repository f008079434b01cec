"""Which waiting runs a node starts, which it leaves, and which end: one decision after another, without a store."""

from __future__ import annotations

from typing import Any

import pytest

from rota.clock import SECOND
from rota.core import waiting
from rota.core.extras import AFTER, BACKFILL, RERUN, RETRY, extra_of
from rota.core.retry import Retry
from rota.core.run import LAST, Run
from rota.core.states import (
    CANCELLED,
    CLAIMED,
    FAILED,
    MANUAL,
    PAUSED,
    QUARANTINED,
    SKIPPED,
    SNOOZED,
    WAITING,
    set_job_state,
    wait,
)
from rota.core.tries import DEADLINE
from rota.core.waiting import (
    JOB_REMOVED,
    KEY_HOLDS,
    Taking,
    answers_for_key,
    cancelled,
    given_back,
    has_no_job,
    is_asked,
    looked_at,
    next_look,
    opened,
)
from rota.testing.contracts.store_jobs import START, make_job

MINUTE = 60 * SECOND
NOW = START + MINUTE


def job_of(id: str = "job", state: str | None = None, **options: Any) -> Any:
    """Return a job that is due later."""
    job = make_job(id, NOW + MINUTE, **options)
    if state is not None:
        set_job_state(job, state)
    return job


def run_of(what: str = RERUN, job_id: str = "job", nominal: int = START) -> Any:
    """Return a run that waits, of which another node had an attempt."""
    run: Any = Run(job_id, nominal, nominal)
    extra = extra_of(run)
    extra.waiting_for, extra.not_before = what, NOW
    run.attempt, run.executor = 1, "of old"
    run.error_type, run.error, run.traceback, run.cancelled = "ValueError", "wrong", "frames", True
    wait(run)
    return run


def same(run: Run, job: Any) -> Any:
    return job


def take(
    taking: Taking, run: Any, job: Any, running: int = 0, job_for: Any = same, refusal: Any = None
) -> bool:
    return taking.take(run, job, running, job_for, refusal)


def any_room() -> Taking:
    return Taking("me", NOW, None)


# ------------------------------------------------------------------------------------------------------------- one run


def test_a_run_that_is_taken_is_another_attempt_of_this_node() -> None:
    run, job = run_of(), job_of()
    run.wish = (RETRY, None, None)
    run.started_at = run.finished_at = START
    assert take(any_room(), run, job)
    assert (run.status, run.attempt, run.owner, run.claimed_at) == (CLAIMED, 2, "me", NOW)
    assert (run.started_at, run.finished_at, run.executor) == (None, None, "default")
    assert (run.error_type, run.error, run.traceback, run.cancelled) == (None, None, None, False)
    assert (run.job, run.extra.not_before, run.extra.waiting_for) == (job, None, RERUN)
    assert not hasattr(run, "wish")


def test_the_run_of_a_job_that_is_gone_is_cancelled() -> None:
    run = run_of()
    assert take(any_room(), run, None)
    assert (run.status, run.reason, run.finished_at) == (CANCELLED, "job removed", NOW)
    assert run.extra.not_before is None
    assert waiting.JOB_REMOVED == "job removed"


@pytest.mark.parametrize(("seconds", "status"), [(60, CLAIMED), (59, FAILED)])
@pytest.mark.parametrize("state", [None, PAUSED])
def test_a_retry_ends_when_its_deadline_has_passed_also_of_a_paused_job(
    seconds: int, status: str, state: str | None
) -> None:
    run, job = run_of(RETRY), job_of(state=state, retry=Retry(timeout=seconds))
    changed = take(any_room(), run, job)
    if status == FAILED:
        assert (changed, run.status, run.reason, run.finished_at) == (True, FAILED, DEADLINE, NOW)
        assert run.extra.not_before is None
    else:
        assert (changed, run.status) == ((False, WAITING) if state else (True, CLAIMED))


def test_what_is_no_retry_has_no_deadline() -> None:
    run = run_of(SNOOZED)
    assert take(any_room(), run, job_of(retry=Retry(timeout=1)))
    assert run.status == CLAIMED
    run = run_of(RETRY)
    assert take(any_room(), run, job_of(retry=Retry()))
    assert run.status == CLAIMED


def test_a_run_that_is_not_trusted_is_cancelled_and_says_why() -> None:
    run = run_of()
    assert take(any_room(), run, job_of(), refusal=lambda run: "its signature does not fit")
    assert (run.status, run.reason, run.finished_at) == (
        CANCELLED,
        "it is not trusted: its signature does not fit",
        NOW,
    )
    run = run_of()
    assert take(any_room(), run, job_of(), refusal=lambda run: None)
    assert run.status == CLAIMED


def test_a_run_whose_arguments_cannot_be_restored_has_failed_and_needs_no_room() -> None:
    def damaged(run: Run, job: Any) -> Any:
        raise ValueError("no arguments")

    run, taking = run_of(), Taking("me", NOW, {"default": 1})
    assert take(taking, run, job_of(), job_for=damaged)
    assert (run.status, run.error_type, run.error, run.attempt) == (FAILED, "ValueError", "no arguments", 1)
    assert run.reason == "its arguments could not be restored: ValueError('no arguments')"
    assert (taking.left, run.finished_at) == ({"default": 1}, NOW)


def test_a_run_has_the_job_with_its_own_arguments() -> None:
    run, own = run_of(), job_of("own")
    assert take(any_room(), run, job_of(), job_for=lambda run, job: own)
    assert run.job is own


# ---------------------------------------------------------------------------------------------------- what may not start


@pytest.mark.parametrize("what", [RETRY, SNOOZED, RERUN, BACKFILL, AFTER, MANUAL])
def test_of_a_paused_job_starts_what_somebody_has_asked_for(what: str) -> None:
    taking, run = any_room(), run_of(what)
    assert take(taking, run, job_of(state=PAUSED)) == (what in (RERUN, MANUAL))
    assert run.status == (CLAIMED if what in (RERUN, MANUAL) else WAITING)
    assert taking.busy == set()


def test_nothing_of_a_job_in_quarantine_starts() -> None:
    taking, job = any_room(), job_of(state=QUARANTINED)
    assert not take(taking, run_of(), job)
    assert taking.busy == {"job"}
    assert not take(taking, run_of(RETRY), job)


def test_nothing_of_a_job_starts_that_lacks_a_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "lacking", lambda job: ["bot"])
    taking = any_room()
    assert not take(taking, run_of(), job_of())
    assert taking.busy == {"job"}


@pytest.mark.parametrize(("running", "starts"), [(1, True), (2, False)])
def test_a_run_starts_if_a_place_is_free(running: int, starts: bool) -> None:
    taking = any_room()
    assert take(taking, run_of(), job_of(max_instances=2), running) == starts
    assert taking.busy == (set() if starts else {"job"})


@pytest.mark.parametrize(("due", "starts"), [(NOW + 1, True), (NOW, False), (NOW - 1, False), (None, True)])
def test_a_run_leaves_a_free_place_to_a_scheduled_time_that_is_due(due: int | None, starts: bool) -> None:
    job = job_of()
    job.next_due = due
    taking = any_room()
    assert take(taking, run_of(), job) == starts
    assert taking.busy == (set() if starts else {"job"})


def test_a_paused_job_has_no_scheduled_time_that_goes_first() -> None:
    job = job_of(state=PAUSED)
    job.next_due = NOW
    assert take(any_room(), run_of(), job)


@pytest.mark.parametrize("what", [RETRY, SNOOZED])
def test_a_run_that_has_kept_its_place_needs_no_other(what: str) -> None:
    job = job_of()
    job.next_due = NOW
    taking = any_room()
    taking.busy.add("job")
    assert take(taking, run_of(what), job, running=1)


def test_of_a_busy_job_nothing_else_is_looked_at() -> None:
    taking = any_room()
    taking.busy.add("job")
    assert not take(taking, run_of(), job_of())
    assert take(taking, run_of(job_id="other"), job_of("other"))
    retry = run_of(RETRY)
    retry.job_id = "other"
    assert take(taking, retry, job_of("other"))


# ---------------------------------------------------------------------------------------------------------------- room


def test_as_many_runs_are_taken_as_there_is_room_for() -> None:
    taking = Taking("me", NOW, {"default": 2, "other": 0})
    found = []
    for number in range(3):
        assert taking.full == (number == 2)
        found.append(take(taking, run_of(job_id=f"job{number}"), job_of(f"job{number}")))
    assert (found, taking.left) == ([True, True, False], {"default": 0, "other": 0})
    assert not any_room().full


def test_room_is_that_of_the_executor_that_the_job_has_now() -> None:
    taking = Taking("me", NOW, {"default": 0, "other": 1})
    assert not take(taking, run_of(), job_of())
    assert not take(taking, run_of(), job_of(executor="unknown"))
    run = run_of()
    assert take(taking, run, job_of(executor="other"))
    assert run.executor == "other"
    assert taking.busy == set()
    assert Taking("me", NOW, {"default": -1}).full
    assert not Taking("me", NOW, {"default": 0, "other": 1}).full


def test_the_room_of_a_node_is_counted_apart_from_what_it_was_told() -> None:
    room = {"default": 1}
    take(Taking("me", NOW, room), run_of(), job_of())
    assert room == {"default": 1}


def test_those_of_a_job_that_have_kept_their_places_need_the_room_of_one() -> None:
    job, taking = job_of(), Taking("me", NOW, {"default": 1})
    assert take(taking, run_of(RETRY), job, 1)
    assert (taking.left, taking.full) == ({"default": 0}, False)
    assert take(taking, run_of(SNOOZED, nominal=START + 1), job, 2)
    assert (taking.left, taking.full) == ({"default": 0}, False)
    assert not take(taking, run_of(RETRY, job_id="other"), job_of("other"))
    assert taking.full
    assert not take(taking, run_of(RETRY, nominal=START + 2), job, 2)


def test_a_run_that_has_kept_no_place_ends_such_a_group_and_needs_room_of_its_own() -> None:
    job, taking = job_of(max_instances=3), Taking("me", NOW, {"default": 2})
    assert take(taking, run_of(RETRY), job, 1)
    assert take(taking, run_of(RERUN, nominal=START + 1), job, 1)
    assert (taking.left, taking.full) == ({"default": 0}, True)
    assert not take(taking, run_of(RETRY, nominal=START + 2), job, 2)


def test_a_run_that_cannot_start_ends_such_a_group_only_if_it_is_of_another_job() -> None:
    job, taking = job_of(), Taking("me", NOW, {"default": 1})
    assert take(taking, run_of(RETRY), job, 1)
    assert take(taking, run_of(RETRY, nominal=START + 1), None)  # it was removed meanwhile
    assert not taking.full


# ---------------------------------------------------------------------------------------------------- runs of chains


def test_a_run_of_a_chain_that_finds_no_place_is_left_out_and_keeps_the_name_of_its_job() -> None:
    run, job = run_of(AFTER), job_of()
    assert take(any_room(), run, job, 1)
    assert (run.status, run.reason, run.finished_at) == (SKIPPED, "max_instances", NOW)
    assert (run.name, run.func, run.extra.not_before) == (job.name, job.func_ref, None)


@pytest.mark.parametrize("state", [PAUSED, QUARANTINED])
def test_a_run_of_a_chain_waits_while_its_job_cannot_start(state: str) -> None:
    run = run_of(AFTER)
    assert not take(any_room(), run, job_of(state=state), 1)
    assert run.status == WAITING


def test_a_run_of_a_chain_waits_while_its_job_lacks_a_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "lacking", lambda job: ["bot"])
    assert not take(any_room(), run_of(AFTER), job_of(), 1)


@pytest.mark.parametrize(("room", "ends"), [({"default": 1}, True), ({"default": 0}, False), ({}, False)])
def test_a_run_of_a_chain_is_left_out_by_a_node_that_has_room_for_it(
    room: dict[str, int], ends: bool
) -> None:
    assert take(Taking("me", NOW, room), run_of(AFTER), job_of(), 1) == ends


@pytest.mark.parametrize("places", [(0, 1, 2), (2, 1, 0)])
def test_of_runs_of_a_chain_that_wait_for_a_place_the_newest_goes_on_waiting(places: tuple[int, ...]) -> None:
    taking, job = any_room(), job_of(overlap="buffer_one")
    runs = [run_of(AFTER, nominal=START + number) for number in range(3)]
    taking.look_at(
        [*(runs[place] for place in places), run_of(nominal=NOW), run_of(AFTER, "other", nominal=NOW)]
    )
    assert [take(taking, run, job, 1) for run in runs] == [True, True, False]
    assert [(run.status, run.reason) for run in runs] == [(SKIPPED, "coalesced")] * 2 + [(WAITING, None)]


def test_a_run_of_a_chain_that_was_not_looked_at_before_is_the_newest() -> None:
    assert not take(any_room(), run_of(AFTER), job_of(overlap="buffer_one"), 1)


# ------------------------------------------------------------------------------------------- when somebody looks at them


def waits_until(not_before: int | None, what: str = RERUN) -> Any:
    run = run_of(what)
    run.extra.not_before = not_before
    return run


@pytest.mark.parametrize(
    ("what", "state", "retry", "at"),
    [
        (RERUN, None, None, NOW),
        (RETRY, None, Retry(timeout=300), NOW),
        (RERUN, PAUSED, None, NOW),
        (RERUN, QUARANTINED, None, None),
        (RETRY, PAUSED, None, None),
        (RETRY, PAUSED, Retry(), None),
        (RETRY, PAUSED, Retry(timeout=300), START + 300 * SECOND + 1),
        (RETRY, QUARANTINED, Retry(timeout=300), START + 300 * SECOND + 1),
        (RETRY, PAUSED, Retry(timeout=1), NOW),
        (SNOOZED, PAUSED, Retry(timeout=300), None),
    ],
)
def test_a_waiting_run_is_looked_at_when_it_may_start_or_its_deadline_is_over(
    what: str, state: str | None, retry: Any, at: int | None
) -> None:
    assert looked_at(run_of(what), job_of(state=state, retry=retry)) == at


def test_a_waiting_run_without_a_job_or_a_time_is_looked_at_in_its_time_or_at_once() -> None:
    assert looked_at(run_of(), None) == NOW
    assert looked_at(waits_until(None), job_of()) == 0


def read_so_far(*runs: Any) -> Any:
    """Yield runs with their jobs; raise if more are asked for."""
    yield from runs
    raise AssertionError("read on")


def test_the_next_look_is_the_earliest_and_nothing_later_is_read() -> None:
    paused = job_of(state=PAUSED, retry=Retry(timeout=300))
    over = START + 300 * SECOND + 1
    late, later = run_of(RETRY), run_of(RETRY)
    later.due += 1
    one, other = waits_until(NOW + 5), waits_until(NOW + 5)
    assert next_look(read_so_far((one, job_of()), (other, job_of()))) == NOW + 5
    assert next_look(read_so_far((waits_until(None), None), (waits_until(None), None))) == 0
    assert next_look([(late, paused), (later, paused)]) == over
    assert next_look(read_so_far((late, paused), (one, job_of()), (other, job_of()))) == NOW + 5


def test_runs_of_jobs_that_are_paused_without_a_deadline_need_no_look() -> None:
    assert next_look([]) is None
    assert next_look([(run_of(SNOOZED), job_of(state=PAUSED))]) is None
    assert next_look([(run_of(SNOOZED), job_of(state=PAUSED)), (run_of(), job_of())]) == NOW


# ---------------------------------------------------------------------------------------------- runs on their way to wait


def test_a_run_that_is_opened_has_nothing_of_its_last_attempt() -> None:
    run: Any = Run("job", START, START)
    run.status, run.owner, run.claimed_at, run.started_at, run.finished_at = FAILED, "node", 1, 2, 3
    run.retval, run.exception, run.kept = 1, ValueError(), "1"
    run.error_type, run.error, run.traceback, run.attempt = "ValueError", "wrong", "frames", 2
    opened(run, NOW)
    assert (run.status, run.attempt, run.extra.not_before) == (WAITING, 2, NOW)
    nothing = (
        "owner",
        "claimed_at",
        "started_at",
        "finished_at",
        "retval",
        "exception",
        "kept",
        "error_type",
        "error",
        "traceback",
    )
    assert {getattr(run, name) for name in nothing} == {None}


def test_a_run_that_is_given_back_belongs_to_nobody_and_keeps_its_error() -> None:
    run: Any = Run("job", START, START)
    run.owner, run.claimed_at, run.started_at, run.finished_at, run.error, run.attempt = (
        "node",
        1,
        2,
        3,
        "wrong",
        2,
    )
    given_back(run, NOW)
    assert (run.status, run.attempt, run.extra.not_before, run.error) == (WAITING, 2, NOW, "wrong")
    assert {run.owner, run.claimed_at, run.started_at, run.finished_at} == {None}


def test_a_waiting_run_that_is_cancelled_waits_no_more() -> None:
    run = run_of()
    cancelled(run, "enough", NOW)
    assert (run.status, run.reason, run.finished_at, run.extra.not_before) == (CANCELLED, "enough", NOW, None)


def claimed_by(owner: str, attempt: int, cancel: str | None, status: str = CLAIMED) -> Any:
    run: Any = Run("job", START, START)
    run.owner, run.attempt, run.status = owner, attempt, status
    extra_of(run).cancel = cancel
    return run


@pytest.mark.parametrize(
    ("record", "is_stopped"),
    [
        (None, False),
        (claimed_by("me", 2, "enough"), True),
        (claimed_by("me", 2, None), False),
        (claimed_by("other", 2, "enough"), False),
        (claimed_by("me", 3, "enough"), False),
        (claimed_by("me", 2, "enough", WAITING), False),
    ],
)
def test_a_run_that_is_given_back_hears_that_somebody_has_asked_it_to_stop(
    record: Any, is_stopped: bool
) -> None:
    run = claimed_by("me", 2, None)
    assert is_asked(run, record) is is_stopped
    assert run.extra.cancel == ("enough" if is_stopped else None)


@pytest.mark.parametrize(
    ("record", "is_last"),
    [
        (None, True),
        (claimed_by("me", 2, None), True),
        (claimed_by("me", 2, "enough"), False),
        (claimed_by("other", 2, None), False),
        (claimed_by("me", 3, None), False),
        (claimed_by("me", 2, None, WAITING), False),
    ],
)
def test_the_attempt_of_a_run_whose_job_is_gone_is_the_last_unless_its_record_says_otherwise(
    record: Any, is_last: bool
) -> None:
    run = claimed_by("me", 2, None)
    assert has_no_job(run, record) is run
    assert getattr(run, "wish", None) == (LAST if is_last else None)


def test_how_long_a_key_holds() -> None:
    assert KEY_HOLDS == 24 * 3600 * SECOND


def test_a_key_stands_for_a_run_that_is_there_and_did_not_go_with_its_job() -> None:
    run = run_of()
    assert answers_for_key(run)
    assert not answers_for_key(None)
    cancelled(run, "not needed", NOW)
    assert answers_for_key(run)
    gone = run_of()
    cancelled(gone, JOB_REMOVED, NOW)
    assert not answers_for_key(gone)
