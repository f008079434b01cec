"""Why a time of a job did not run, or has not run yet: each sentence, and which one goes before which."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from rota import After, Retry
from rota.clock import HELD, NO_TIME, SECOND
from rota.core.details import Attempt, part_of_attempt
from rota.core.extras import AFTER, BACKFILL, RETRY, extra_of
from rota.core.nodes import Node
from rota.core.pauses import Pause, text_of
from rota.core.run import Run
from rota.core.states import (
    CANCELLED,
    CLAIMED,
    ENDED,
    FAILED,
    LOST,
    MANUAL,
    MISSED,
    PAUSED,
    QUARANTINED,
    SKIPPED,
    SNOOZED,
    SUCCEEDED,
    TIMED_OUT,
    WAITING,
    set_job_state,
)
from rota.core.why import why
from rota.testing.contracts.store_jobs import START, BrokenTrigger, make_job
from tests.core.test_plan import ListTrigger

MINUTE = 60 * SECOND
NOW = START + 10 * MINUTE
GONE = "There is no such job, and no record of that time: it was removed, never added, or its records were forgotten."


def job_of(due: int | None = NOW + MINUTE, **options: Any) -> Any:
    return make_job(due=due, **options)


def without_times() -> Any:
    """Return an active job that has no next time."""
    job = job_of()
    job.next_nominal = job.next_due = None
    return job


def said(
    job: Any = None, record: Any = None, at: int | None = None, nodes: Any = None, waiting: Any = None
) -> str:
    return why(job, record, at, NOW, nodes, UTC, waiting)


def record_of(status: str, reason: str | None = None, owner: str | None = "node") -> Any:
    run: Any = Run("job", START, START + SECOND)
    run.status, run.reason, run.owner, run.attempt = status, reason, owner, 2
    run.error_type, run.error = "ValueError", "wrong"
    return run


def waiting_for(what: str, not_before: int | None = NOW + SECOND) -> Any:
    run = record_of(WAITING)
    extra = extra_of(run)
    extra.waiting_for, extra.not_before = what, not_before
    attempts = [Attempt(number, "failed") for number in (1, 2, 3)]
    for attempt in attempts:
        attempt.finished_at = START + attempt.number * SECOND
    run.attempt, extra.uncounted = 5, 3
    run.parts = dict(map(part_of_attempt, (*attempts, Attempt(4, "died"))))
    return run


RETRIES = (
    "Its run of 2026-01-01 00:00:00 +0000 has come to nothing (try 2: ValueError: wrong), and waits for a retry since "
    "2026-01-01 00:00:03 +0000 until 2026-01-01 00:10:01 +0000."
)
SNOOZES = (
    "Its run of 2026-01-01 00:00:00 +0000 was snoozed, and waits since 2026-01-01 00:00:03 +0000 until "
    "2026-01-01 00:10:01 +0000."
)


# -------------------------------------------------------------------------------------------------------------- records


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (record_of(SUCCEEDED), "It ran 2026-01-01 00:00:00 +0000 on node node, and succeeded."),
        (record_of(SUCCEEDED, owner=None), "It ran 2026-01-01 00:00:00 +0000, and succeeded."),
        (record_of(FAILED), "It ran 2026-01-01 00:00:00 +0000 on node node, and failed: ValueError: wrong"),
        (record_of(CLAIMED), "It is under way on node node (attempt 2)."),
        (record_of(CLAIMED, owner=None), "It was given back, and waits for a node (attempt 2)."),
        (record_of(SKIPPED, "max_instances"), "It was left out: the job was running as often as it may (max_instances)."),
        (record_of(SKIPPED, "coalesced"), "It was left out: a later time ran in its place (coalesce)."),
        (record_of(SKIPPED, "paused"), "It was left out: the job was paused."),
        (record_of(SKIPPED, "on hold"), "It was left out: the job was on hold."),
        (record_of(SKIPPED, "not today"), "It was left out: not today."),
        (record_of(SKIPPED), "It was left out: None."),
        (record_of(MISSED, "too late"), "It was missed: too late (it was due 2026-01-01 00:00:01 +0000)."),
        (record_of(CANCELLED, "enough"), "It was cancelled: enough."),
        (record_of(CANCELLED, "replaced"), "It was cancelled: a later time of its job was to run in its place (overlap)."),
        (record_of(CANCELLED, "skipped ahead"), "It was cancelled: somebody left it out before it had come."),
        (record_of(LOST, "node node is gone"), "It was lost: node node is gone."),
        (record_of(TIMED_OUT, "timeout"), "It ended as timed_out: timeout."),
        (record_of(TIMED_OUT), "It ended as timed_out."),
        (waiting_for(BACKFILL), "It waits until 2026-01-01 00:10:01 +0000 (backfill)."),
        (waiting_for(BACKFILL, None), "It waits (backfill)."),
        (waiting_for(RETRY), RETRIES),
        (waiting_for(SNOOZED), SNOOZES),
    ],
)  # fmt: skip
def test_a_record_says_what_became_of_its_time(record: Any, sentence: str) -> None:
    assert said(record=record) == sentence
    assert said(job_of(), record, START) == sentence


def test_a_run_that_has_begun_is_under_way_though_nobody_owns_it() -> None:
    run = record_of(CLAIMED, owner=None)
    run.started_at = START
    assert said(record=run) == "It is under way (attempt 2)."


@pytest.mark.parametrize(
    ("ahead", "what", "until"),
    [(1, "a run", "that has"), (2, "2 runs", "these have")],
)
def test_a_run_that_was_claimed_with_earlier_ones_waits_for_these(ahead: int, what: str, until: str) -> None:
    assert why(job_of(), record_of(CLAIMED), START, NOW, None, UTC, ahead=ahead) == (
        f"It was claimed together with {what} of earlier times by node node, and waits until {until} ended: they are executed one "
        f"after another (attempt 2)."
    )


def test_what_was_claimed_before_matters_to_a_run_under_way_only() -> None:
    succeeded = "It ran 2026-01-01 00:00:00 +0000 on node node, and succeeded."
    assert why(None, record_of(SUCCEEDED), START, NOW, None, UTC, ahead=1) == succeeded
    assert why(None, None, START, NOW, None, UTC, ahead=1) == GONE


def test_of_a_run_that_waits_what_is_not_known_is_not_told() -> None:
    run = waiting_for(RETRY, None)
    run.parts, run.error_type = {}, None
    assert said(record=run) == (
        "Its run of 2026-01-01 00:00:00 +0000 has come to nothing (try 2), and waits for a retry."
    )


# ------------------------------------------------------------------------------------------------- jobs that do not run


def test_a_job_that_is_not_there() -> None:
    assert said() == GONE
    assert said(waiting=waiting_for(RETRY)) == f"Its schedule is over. {RETRIES}"


def stopped(state: str, **pause: Any) -> Any:
    job = job_of()
    set_job_state(job, state)
    job.error = "it could not be restored"
    if pause:
        job.paused = text_of(Pause(**pause))
    return job


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        (stopped(QUARANTINED), "The job is quarantined: it could not be restored."),
        (stopped(ENDED), "Its schedule is over."),
        (stopped(PAUSED), "The job is paused."),
        (stopped(PAUSED, at=START), "The job is paused since 2026-01-01 00:00:00 +0000."),
        (stopped(PAUSED, at=START, until=NOW, note="holidays"),
         "The job is paused since 2026-01-01 00:00:00 +0000 until 2026-01-01 00:10:00 +0000: holidays."),
        (stopped(PAUSED, at=START, until=NOW, note="holidays", hold="migration"),
         "The job is on hold since 2026-01-01 00:00:00 +0000: migration."),
        (stopped(PAUSED, at=START, hold="migration", held=NOW), "The job is on hold since 2026-01-01 00:10:00 +0000: migration."),
        (stopped(PAUSED, hold=""), "The job is on hold."),
    ],
)  # fmt: skip
def test_a_job_that_does_not_run_at_all_says_why(job: Any, sentence: str) -> None:
    assert said(job) == sentence
    assert said(job, at=NOW - MINUTE) == sentence
    assert said(job, waiting=waiting_for(RETRY)) == f"{sentence} {RETRIES}"


def test_an_instant_that_the_schedule_does_not_have() -> None:
    assert said(job_of(), at=START + 1) == (
        "2026-01-01 00:00:00 +0000 is no time of its schedule (interval[0:01:00])."
    )
    assert "is no time" in said(job_of(NOW + 1), at=NOW - 1)


def test_the_next_time_of_a_job_is_one_of_its_schedule_whatever_the_trigger_says() -> None:
    job = job_of(NOW + 1)
    assert said(job).startswith("Its time has not come")
    assert said(job, at=NOW + 1).startswith("Its time has not come")


def test_a_trigger_that_raises_has_any_time() -> None:
    job = job_of(NOW + 1)
    job.trigger = BrokenTrigger()
    assert said(job, at=NOW + 5) == "Its time has not come: it is due 2026-01-01 00:10:00 +0000."


def test_an_interrupt_while_a_trigger_is_asked_is_none_of_its_errors() -> None:
    class Interrupted(BrokenTrigger):
        def get_next_fire_time(self, previous: Any, now: Any) -> Any:
            raise KeyboardInterrupt

    job = job_of(NOW + 1)
    job.trigger = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        said(job, at=NOW + 5)


def test_a_job_that_is_started_by_another() -> None:
    job = job_of(NO_TIME, trigger=After("import"))
    starts = "No time starts it: it runs after import, when a run of that ends (after import)."
    assert said(job) == starts
    assert said(job, waiting=waiting_for(RETRY)) == f"{RETRIES} {starts}"
    given = job_of(NOW + MINUTE, trigger=After("import"))  # a time by hand
    assert said(given) == "Its time has not come: it is due 2026-01-01 00:11:00 +0000."


def test_a_time_that_comes_a_microsecond_after_another_is_one_of_its_schedule() -> None:
    job = job_of(NOW + 1, trigger=ListTrigger([NOW + 1, NOW + 2]))
    assert said(job, at=NOW + 2) == "Its time has not come: it is due 2026-01-01 00:10:00 +0000."


# --------------------------------------------------------------------------------------------------- jobs that are busy


@pytest.mark.parametrize(
    ("due", "running", "waits"),
    [(NOW, 1, True), (NOW, 0, False), (NOW - MINUTE, 1, True), (NOW + MINUTE, 1, False)],
)
def test_a_due_job_with_no_place_waits_for_room(due: int, running: int, waits: bool) -> None:  # fmt: skip
    job = job_of(due)
    job.running = running
    room = "It waits for room: 1 of its runs are under way (max_instances=1)."
    assert (said(job) == room) == waits
    assert (said(job, at=due) == room) == waits


def test_a_job_whose_runs_were_claimed_together_waits_for_the_last_of_them() -> None:
    job = job_of(NOW)
    job.running = 3
    assert said(job) == (
        "It waits for room: 3 of its runs were claimed together, and are executed one after another (max_instances=1)."
    )


def test_a_held_job_waits_for_room_and_says_how() -> None:
    job = job_of(overlap="buffer_one", max_instances=2, retry=Retry())
    job.next_due = HELD
    assert (
        said(job) == 'It waits for room: 0 of its runs are under way (max_instances=2, overlap="buffer_one").'
    )
    assert said(job, waiting=waiting_for(RETRY)) == (
        'It waits for room: 0 of its runs are under way (max_instances=2, overlap="buffer_one"), or keep their places while they '
        f"wait. {RETRIES}"
    )


def test_a_run_that_waits_for_its_next_try_is_told_before_the_next_time() -> None:
    assert (
        said(job_of(), waiting=waiting_for(RETRY)) == f"{RETRIES} Its next time is 2026-01-01 00:11:00 +0000."
    )
    assert said(without_times(), waiting=waiting_for(RETRY)) == RETRIES
    assert said(job_of(), at=NOW + MINUTE, waiting=waiting_for(RETRY)).startswith("Its time has not come")


# ------------------------------------------------------------------------------------------------------- what is to come


def test_a_job_without_times() -> None:
    assert said(without_times()) == "It has no time to come."


def test_a_time_to_come() -> None:
    job = job_of()
    assert said(job) == "Its time has not come: it is due 2026-01-01 00:11:00 +0000."
    job.next_due = NOW + 2 * MINUTE  # jitter
    assert said(job) == "Its time has not come: it is due 2026-01-01 00:12:00 +0000."
    job.next_due = NOW
    assert said(job) == "Its time has not come: it is due 2026-01-01 00:11:00 +0000."
    job.next_due = None
    assert said(job) == "Its time has not come: it is due 2026-01-01 00:11:00 +0000."
    job.next_due = NOW + 2 * MINUTE
    assert said(job, at=NOW + 3 * MINUTE) == "Its time has not come: it is due 2026-01-01 00:13:00 +0000."


def test_a_time_that_has_passed_without_a_record() -> None:
    assert said(job_of(), at=NOW - MINUTE) == (
        "It has no record: the job was added later, or given another schedule or next time, or the record was forgotten, or the "
        "clock was set back. Its next time is 2026-01-01 00:11:00 +0000."
    )


DRAINING = "Every node that has its executor is draining, and claims nothing more."
DUE = "It is due since 2026-01-01 00:10:00 +0000, and a node will take it in its next pass."


def node(until: int = NOW + 1, draining: bool = False, **executors: int | None) -> Node:
    found = Node("node", START, until, NOW)
    found.draining, found.executors = draining, executors
    return found


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        (None, DUE),
        ([], "No node is alive that runs the jobs of this store."),
        ([node(NOW)], "No node is alive that runs the jobs of this store."),
        ([node(NOW), node()], DUE),
        ([node(default=None)], DUE),
        ([node(other=1)], 'No living node has its executor "default".'),
        ([node(other=1), node(default=1)], DUE),
        ([node(draining=True), node(draining=True, default=5)], DRAINING),
        ([node(draining=True), node(default=5)], DUE),
        ([node(default=0), node(other=5)], 'The executor "default" has no room on any node.'),
        ([node(default=0), node(default=1)], DUE),
    ],
)  # fmt: skip
def test_a_job_that_is_due_and_not_taken(nodes: Any, sentence: str) -> None:
    assert said(job_of(NOW), nodes=nodes) == sentence
    assert said(job_of(NOW), at=NOW, nodes=nodes) == sentence


@pytest.mark.parametrize(("since", "is_long"), [(MINUTE, False), (MINUTE + 1, True)])
def test_a_job_that_has_been_due_for_longer_than_a_minute_lacks_something_on_each_node(
    since: int, is_long: bool
) -> None:
    sentence = said(job_of(NOW - since), nodes=[node(default=1)])
    assert ("no living node takes it: they are busy, or lack what it needs" in sentence) == is_long
    assert "will take it in its next pass" in said(job_of(NOW - since), nodes=None)


# ----------------------------------------------------------------------------------------------- runs that wait too long


def why_waits(job: Any, what: str = MANUAL, not_before: int = NOW, nodes: Any = None, **seen: Any) -> str:
    """Return what is said of a waiting run beside its time."""
    run = waiting_for(what, not_before)
    told = why(job, run, START, NOW, nodes, UTC, **seen)
    return told.partition(", and then until ")[2]


def busy_job(running: int, due: int = NOW + MINUTE, **options: Any) -> Any:
    job = job_of(due, **options)
    job.running = running
    return job


ONE_PLACE = (
    "a place is free: 1 of its runs is under way, that of 2026-01-01 00:00:00 +0000 (max_instances=1)."
)
NEXT_PASS = "the next pass of a node."
GOES_FIRST = "no scheduled time of its job is due: these go first."
IS_DRAINING = f"a node starts it: every{DRAINING.removeprefix('Every')}"
NO_ROOM = 'a node starts it: the executor "default" has no room on any node.'


@pytest.mark.parametrize("what", [MANUAL, BACKFILL, AFTER, RETRY, SNOOZED])
def test_a_run_whose_time_has_come_says_what_it_waits_for_besides(what: str) -> None:
    """In the order in which a node asks; what keeps its place needs no other, and no scheduled time goes before it."""
    free, keeps = job_of(), what in (RETRY, SNOOZED)
    one: Any = {"under_way": [record_of(CLAIMED)]}
    assert why_waits(free, what, NOW + 1) == ""
    assert why_waits(free, what) == NEXT_PASS
    assert why_waits(busy_job(1), what, **one) == (NEXT_PASS if keeps else ONE_PLACE)
    assert why_waits(job_of(NOW), what) == (NEXT_PASS if keeps else GOES_FIRST)
    assert why_waits(job_of(NOW + 1), what) == NEXT_PASS
    assert why_waits(busy_job(1, NOW), what, nodes=[node(draining=True)], **one) == IS_DRAINING
    assert why_waits(busy_job(1), what, nodes=[node(default=0)], **one) == (NO_ROOM if keeps else ONE_PLACE)
    assert why_waits(free, what, nodes=[node(default=0)]) == NO_ROOM
    here = "This scheduler is paused."
    assert why_waits(busy_job(1), what, here=here, **one) == "a node starts it: this scheduler is paused."
    assert why_waits(free, what, nodes=[]) == (
        "a node starts it: no node is alive that runs the jobs of this store."
    )


@pytest.mark.parametrize(("minutes", "is_long"), [(1, False), (2, True)])
def test_a_run_that_nobody_starts_for_more_than_a_minute_lacks_something_on_each_node(
    minutes: int, is_long: bool
) -> None:
    told = why_waits(job_of(), not_before=NOW - minutes * MINUTE, nodes=[node(default=1)])
    busy = "a node starts it: those that are alive are busy, or lack what it needs, such as a resource or its code."
    assert told.startswith(busy if is_long else NEXT_PASS)
    assert why_waits(job_of(), not_before=NOW - minutes * MINUTE) == NEXT_PASS


def test_the_runs_that_have_the_places_are_named_as_far_as_they_are_few() -> None:
    time = "2026-01-01 00:00:00 +0000"
    job = busy_job(5, max_instances=5)
    assert why_waits(job, under_way=[record_of(CLAIMED)] * 5) == (
        f"a place is free: 5 of its runs are under way, those of {time}, {time}, {time}, others (max_instances=5)."
    )
    assert why_waits(job, under_way=[record_of(CLAIMED)] * 3) == (
        f"a place is free: 5 of its runs are under way, those of {time}, {time}, {time}, or keep their places while they wait "
        "(max_instances=5)."
    )
    assert why_waits(busy_job(1)) == (
        "a place is free: 1 of its runs is under way, or keeps its place while it waits (max_instances=1)."
    )


def test_a_job_says_what_its_run_waits_for_whose_time_has_come() -> None:
    run = waiting_for(MANUAL, NOW)
    waits = "Its run of 2026-01-01 00:00:00 +0000 waits until 2026-01-01 00:10:00 +0000 (manual)"
    following = "Its next time is 2026-01-01 00:11:00 +0000."
    assert said(job_of(), waiting=run) == f"{waits}, and then until {NEXT_PASS} {following}"
    assert said(job_of(NOW), waiting=run) == DUE
    assert said(stopped(QUARANTINED), waiting=run) == (
        f"The job is quarantined: it could not be restored. {waits}."
    )
    assert said(stopped(PAUSED), waiting=run) == f"The job is paused. {waits}, and then until {NEXT_PASS}"
    job = busy_job(1, NOW)
    assert said(job, waiting=run) == "It waits for room: 1 of its runs are under way (max_instances=1)."


def test_what_keeps_the_only_scheduler_from_starting_anything_goes_for_due_times_too() -> None:
    here = "This node is draining, and claims nothing more."
    assert why(job_of(NOW), None, None, NOW, None, UTC, here=here) == here
    assert why(job_of(), None, None, NOW, None, UTC, here=here).startswith("Its time has not come")
