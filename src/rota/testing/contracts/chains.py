"""Jobs that are started by the ends of others' runs, in every store; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from copy import copy

import pytest

from ...clock import NO_TIME, SECOND
from ...core.extras import BACKFILL, RERUN, extra_of
from ...core.openings import Cut, opened_again
from ...core.pauses import Pause, text_of
from ...core.plan import Decision
from ...core.retry import Retry
from ...core.run import Run, fail
from ...core.states import (
    ACTIVE,
    CANCELLED,
    CLAIMED,
    FAILED,
    LOST,
    MISSED,
    QUARANTINED,
    SKIPPED,
    SUCCEEDED,
    TIMED_OUT,
    WAITING,
    end,
    set_job_state,
    succeed,
)
from ...triggers.after import After
from .orders import asked_for
from .retries import NEXT, claim_next, fail_and_give_back
from .store_jobs import LEASE, MARGIN, NODE, OTHER, START, at_once, claim, finish, make_job, until_done
from .waiting import take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...job.handle import Job
    from ...jobstores.base import BaseJobStore

#: When the first runs of these tests end.
ENDED_AT = START + SECOND


def child(id: str = "child", on: str = "succeeded", delay: float = 0, after: str = "job", **more: Any) -> Job:
    """Return a job that is started by the ends of another one."""
    return make_job(id, NO_TIME, trigger=After(after, on, delay), **more)


def add_chain(store: BaseJobStore, *children: Job, **parent: Any) -> None:
    """Store a job, and those that its ends start, as a scheduler does."""
    first = make_job(**parent)
    first.chained = True
    store.add_job(first)
    for job in children:
        store.note_child("job", job.id)
        store.add_job(job)


def ended(store: BaseJobStore, status: str, now: int = START) -> Run:
    """Claim a run of the first job, and have it end in some way."""
    (run,) = claim(store, now)
    run.started_at = now
    if status == FAILED:
        fail(run, ValueError("wrong"), "Traceback …", now + SECOND)
    else:
        end(run, status, None, now + SECOND)
    assert until_done(lambda: store.finish([run], now + SECOND)) == []
    return run


def started(store: BaseJobStore, id: str = "child") -> list[tuple[str, str | None]]:
    """Return status and parent of each run of a job, oldest first."""
    return [(run.status, extra_of(run).parent) for run in reversed(store.get_runs(id))]


class ChainsContract:
    """What every store must do with the jobs that are started by the ends of others' runs."""

    def test_the_end_of_a_run_leaves_one_that_waits_at_the_job_after_it(self, store: BaseJobStore) -> None:
        add_chain(store, child(delay=90))
        finish(store, claim(store))
        (run,) = store.get_runs("child")
        assert (run.status, run.origin, run.waiting_for, run.attempt) == (WAITING, "after", "after", 0)
        assert (run.nominal, extra_of(run).not_before) == (ENDED_AT, ENDED_AT + 90 * SECOND)
        assert (extra_of(run).parent, run.owner) == (f"job@{START}#1", None)
        assert store.next_waiting() == ENDED_AT + 90 * SECOND
        assert take(store, ENDED_AT + 89 * SECOND) == []
        (run,) = take(store, ENDED_AT + 90 * SECOND)
        assert (run.job_id, run.status, run.attempt, run.job is not None) == ("child", CLAIMED, 1, True)
        assert finish(store, [run], ENDED_AT + 90 * SECOND) == []
        assert started(store) == [(SUCCEEDED, f"job@{START}#1")]
        job = store.lookup_job("child")
        assert job is not None
        assert (job.state, job.next_run_time, job.running) == (ACTIVE, None, 0)

    @pytest.mark.parametrize(
        ("status", "starting"),
        [
            (SUCCEEDED, ["any", "good"]),
            (FAILED, ["any", "bad"]),
            (TIMED_OUT, ["any", "bad"]),
            (LOST, ["any", "bad"]),
            (CANCELLED, ["any"]),
            (SKIPPED, []),
            (MISSED, []),
        ],
    )
    def test_each_end_starts_the_jobs_that_it_counts_for(
        self, store: BaseJobStore, status: str, starting: list[str]
    ) -> None:
        add_chain(store, child("any", "any"), child("bad", "failed"), child("good"))
        ended(store, status)
        assert sorted(run.job_id for run in store.get_runs(status=WAITING)) == starting

    def test_the_very_same_end_starts_nothing_twice(self, store: BaseJobStore) -> None:
        """The answer to the first try was lost."""
        if not store.durable:  # its answers are not lost
            return
        add_chain(store, child())
        (run,) = claim(store)
        again = copy(run)
        finish(store, [run])
        finish(store, [again])
        assert started(store) == [(WAITING, f"job@{START}#1")]

    def test_an_end_that_is_refused_starts_nothing(self, store: BaseJobStore) -> None:
        """R5"""
        if not store.durable:  # its runs belong to one node
            return
        add_chain(store, child())
        (run,) = claim(store)
        stale = copy(run)
        stale.owner = OTHER
        assert finish(store, [stale]) == [stale]
        assert started(store) == []

    def test_runs_that_end_at_the_same_time_start_one_run_each(self, store: BaseJobStore) -> None:
        add_chain(store, child(), coalesce=False, max_instances=9)
        runs = claim(store, START + 120 * SECOND)
        assert len(runs) == 3
        finish(store, runs, START + 120 * SECOND)
        found = list(reversed(store.get_runs("child")))
        assert [run.nominal - START - 121 * SECOND for run in found] == [0, 1, 2]
        assert sorted(extra_of(run).parent or "" for run in found) == sorted(run.id for run in runs)

    def test_a_run_of_a_chain_waits_for_a_free_place_and_keeps_none(self, store: BaseJobStore) -> None:
        add_chain(store, child(overlap="buffer_all"), coalesce=False)
        finish(store, claim(store, START + 60 * SECOND), START + 60 * SECOND)
        (first,) = take(store, START + 61 * SECOND)
        assert take(store, START + 61 * SECOND) == []
        assert finish(store, [first], START + 61 * SECOND) == []
        assert len(take(store, START + 62 * SECOND)) == 1

    def test_a_run_of_a_chain_starts_the_next_jobs(self, store: BaseJobStore) -> None:
        middle = child()
        middle.chained = True
        add_chain(store, middle)
        store.note_child("child", "last")
        store.add_job(child("last", after="child"))
        finish(store, claim(store))
        finish(store, take(store, ENDED_AT), ENDED_AT)
        assert started(store, "last") == [(WAITING, f"child@{ENDED_AT}#1")]

    def test_a_job_that_is_paused_meanwhile_leaves_a_record_and_what_waits_stays(
        self, store: BaseJobStore
    ) -> None:
        add_chain(store, child())
        ended(store, SUCCEEDED)
        for note, reason in ((Pause(at=START), "paused"), (Pause(at=START, hold="why"), "on hold")):
            found = store.lookup_job("child")
            assert found is not None
            draft = found.copy()
            draft.set_next(None)
            draft.paused = text_of(note)
            assert store.save_job(draft, found.version)
            ended(store, SUCCEEDED, NEXT if reason == "paused" else NEXT + 60 * SECOND)
            (record,) = store.get_runs("child", limit=1)
            assert (record.status, record.reason, record.origin) == (SKIPPED, reason, "after")
        assert [status for status, _ in started(store)] == [WAITING, SKIPPED, SKIPPED]
        assert take(store, NEXT + 120 * SECOND) == []

    def test_a_job_in_quarantine_has_its_run_wait(self, store: BaseJobStore) -> None:
        add_chain(store, child())
        found = store.lookup_job("child")
        assert found is not None
        draft = found.copy()
        draft.error = "it could not be restored"
        set_job_state(draft, QUARANTINED)
        assert store.save_job(draft, found.version)
        ended(store, SUCCEEDED)
        assert started(store) == [(WAITING, f"job@{START}#1")]
        assert take(store, NEXT) == []

    def test_a_job_that_was_removed_or_is_started_otherwise_gets_nothing(self, store: BaseJobStore) -> None:
        add_chain(store, child(), child("other"))
        store.remove_job("child")
        found = store.lookup_job("other")
        assert found is not None
        draft = found.copy()
        draft.trigger = After("somebody-else")
        assert store.save_job(draft, found.version)
        ended(store, SUCCEEDED)
        assert store.get_runs("child") + store.get_runs("other") == []

    def test_a_job_that_becomes_one_of_a_chain_later_is_started(self, store: BaseJobStore) -> None:
        add_chain(store, make_job("other", due=NEXT + 3600 * SECOND))
        found = store.lookup_job("other")
        assert found is not None
        draft = found.copy()
        draft.trigger = After("job")
        draft.set_next(NO_TIME)
        store.note_child("job", "other")
        assert store.save_job(draft, found.version)
        ended(store, SUCCEEDED)
        assert started(store, "other") == [(WAITING, f"job@{START}#1")]

    def test_the_parent_may_be_added_after_its_child_removed_and_added_again(
        self, store: BaseJobStore
    ) -> None:
        store.note_child("job", "child")
        store.add_job(child())
        store.add_job(make_job())
        ended(store, SUCCEEDED)
        store.remove_job("job")
        store.add_job(make_job(due=NEXT))
        ended(store, SUCCEEDED, NEXT)
        assert [parent for _, parent in started(store)] == [f"job@{START}#1", f"job@{NEXT}#1"]

    def test_a_store_object_that_was_not_told_learns_who_starts_others(
        self, make_store: Any, store: BaseJobStore
    ) -> None:
        if not store.durable:
            return
        store.note_child("job", "child")
        store.add_job(child())
        store.add_job(make_job())
        other = make_store()
        other.look_for_parents()
        assert "job" in other.parents()
        assert [job.id for job in other.children({"job", "nobody"})] == ["child"]
        ended(other, SUCCEEDED)
        assert started(store) == [(WAITING, f"job@{START}#1")]

    def test_the_last_run_of_a_job_whose_schedule_is_over_starts_the_next(self, store: BaseJobStore) -> None:
        add_chain(store, child(), every=None)
        ended(store, SUCCEEDED)
        assert store.lookup_job("job") is None
        assert started(store) == [(WAITING, f"job@{START}#1")]

    # -- ends that are written elsewhere -------------------------------------------------------------------------

    def test_a_retry_starts_nothing_until_it_has_ended(self, store: BaseJobStore) -> None:
        add_chain(store, child("any", "any"), retry=Retry(wait_initial=30, wait_jitter=0))
        (run,) = claim(store)
        fail_and_give_back(store, run)
        assert started(store, "any") == []
        (again,) = take(store, START + 31 * SECOND)
        finish(store, [again], START + 31 * SECOND)
        assert started(store, "any") == [(WAITING, f"job@{START}#2")]

    def test_a_retry_that_a_later_time_ends_has_failed(self, store: BaseJobStore) -> None:
        add_chain(store, child("bad", "failed"), child("good"), retry=Retry(wait_initial=90, wait_jitter=0))
        (run,) = claim(store)
        fail_and_give_back(store, run)
        claim_next(store)
        assert started(store, "bad") == [(WAITING, f"job@{START}#1")]
        assert started(store, "good") == []

    def test_a_retry_that_is_too_late_has_failed(self, store: BaseJobStore) -> None:
        retry = Retry(wait_initial=50, wait_jitter=0, timeout=55, until=None)
        add_chain(store, child("bad", "failed"), retry=retry)
        (run,) = claim(store)
        fail_and_give_back(store, run)
        take(store, START + 56 * SECOND)
        assert started(store, "bad") == [(WAITING, f"job@{START}#1")]

    def test_a_waiting_run_that_is_cancelled_starts_what_follows_any_end(self, store: BaseJobStore) -> None:
        add_chain(store, child("any", "any"), child("good"))
        (opened,) = store.open_runs([asked_for()], START)
        assert store.cancel_run("job", opened.nominal, "not needed", START) is not None
        assert started(store, "any") == [(WAITING, f"job@{opened.nominal}#0")]
        assert started(store, "good") == []

    def test_a_job_that_is_removed_cancels_its_waiting_runs_and_these_start_what_follows_any_end(
        self, store: BaseJobStore
    ) -> None:
        add_chain(store, child("any", "any"))
        (opened,) = store.open_runs([asked_for()], START)
        store.remove_job("job")
        assert started(store, "any") == [(WAITING, f"job@{opened.nominal}#0")]

    @pytest.mark.parametrize("kind", [RERUN, BACKFILL])
    def test_a_record_that_was_opened_again_and_is_cancelled_before_it_was_taken_starts_nothing(
        self, store: BaseJobStore, kind: str
    ) -> None:
        """The end of its time has started what it was to start, or the time was left out; no attempt of it has ended since."""
        add_chain(store, child("any", "any"))
        ended(store, SUCCEEDED)
        assert len(started(store, "any")) == 1
        job, (record,) = store.lookup_job("job"), store.get_runs("job")
        assert job is not None
        again = opened_again(job, record, START, START + 60 * SECOND, kind)
        assert len(store.open_runs([again], START + 60 * SECOND, [Cut(record)])) == 1
        cancelled = store.cancel_run("job", START, "not needed", START + 60 * SECOND)
        assert cancelled is not None
        assert cancelled.status == CANCELLED
        assert len(started(store, "any")) == 1

    def test_a_time_that_is_cancelled_ahead_and_records_of_what_did_not_run_start_nothing(
        self, store: BaseJobStore
    ) -> None:
        from ...core.chains import SKIPPED_AHEAD  # only here
        from ...core.plan import record_of

        add_chain(store, child("any", "any"))
        job = store.lookup_job("job")
        assert job is not None
        until_done(lambda: store.renew(NODE, START, LEASE))
        decision = Decision(job)
        decision.next_nominal = decision.next_due = START
        decision.records.append(record_of(job, NEXT, NEXT, 1, CANCELLED, SKIPPED_AHEAD, START))
        assert until_done(lambda: store.claim([decision], NODE, START)) == [decision]
        assert started(store, "any") == []

    def test_an_end_that_the_store_had_forgotten_starts_the_next_job_when_it_is_recorded_again(
        self, store: BaseJobStore
    ) -> None:
        add_chain(store, child("good"))
        job = store.lookup_job("job")
        assert job is not None
        until_done(lambda: store.renew(NODE, START, LEASE))
        decision = Decision(job)
        decision.next_nominal = decision.next_due = START
        record = Run("job", START - 60 * SECOND, START - 60 * SECOND, job)
        record.owner = NODE
        succeed(record, None, START)
        decision.records.append(record)
        assert until_done(lambda: store.claim([decision], NODE, START)) == [decision]
        assert started(store, "good") == [(WAITING, f"job@{START - 60 * SECOND}#1")]

    def test_a_rerun_may_start_nothing(self, store: BaseJobStore) -> None:
        add_chain(store, child("any", "any"))
        (run,) = claim(store)
        extra_of(run).unchained = True
        finish(store, [run])
        assert started(store, "any") == []

    def test_all_jobs_may_be_removed(self, store: BaseJobStore) -> None:
        add_chain(store, child("any", "any"))
        store.open_runs([asked_for()], START)
        ended(store, SUCCEEDED)
        store.remove_all_jobs()
        assert store.get_runs(status=WAITING) == []
        assert store.next_waiting() is None


class SharedChainsContract:
    """The same where several nodes share a store."""

    def test_a_run_that_is_lost_with_its_node_starts_what_follows_a_failure(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        add_chain(store, child("bad", "failed"), child("good"), on_lost="lost")
        claim(store)
        later = START + LEASE + MARGIN
        until_done(lambda: other.renew(OTHER, later, LEASE))
        (lost,) = until_done(lambda: other.rescue(OTHER, later))
        assert lost.status == LOST
        assert started(store, "bad") == [(WAITING, f"job@{START}#1")]
        assert started(store, "good") == []

    def test_a_run_that_is_rescued_starts_the_next_job_once(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        add_chain(store, child())
        runs = claim(store)
        later = START + LEASE + MARGIN
        until_done(lambda: other.renew(OTHER, later, LEASE))
        rescued = until_done(lambda: other.rescue(OTHER, later))
        assert finish(store, runs, START) == runs
        assert finish(other, rescued, later) == []
        assert started(store) == [(WAITING, f"job@{START}#2")]

    def test_a_group_of_a_dead_node_of_which_one_was_asked_to_stop_is_taken_together(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        """A part of it would leave a place free, at which the rest starts beside it."""
        add_chain(store, child("any", "any"), every=1, coalesce=False, max_instances=2)
        claim(store, START + 3 * SECOND)
        store.cancel_run("job", START + SECOND, "not needed", START + 3 * SECOND)
        later = START + 3 * SECOND + LEASE + MARGIN
        until_done(lambda: other.renew(OTHER, later, LEASE))
        runs = until_done(lambda: other.rescue(OTHER, later))
        taken = [run for run in runs if run.status == CLAIMED]
        assert [run.nominal - START for run in taken] == [0, 2 * SECOND, 3 * SECOND]
        assert [run.then for run in taken] == [taken[1], taken[2], None]
        assert started(store, "any") == [(WAITING, f"job@{START + SECOND}#1")]

    def test_all_runs_of_a_dead_node_whose_job_was_removed_end_in_one_look(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        add_chain(store, child(), every=1, coalesce=False)
        claim(store, START + 19 * SECOND)
        store.remove_job("job")
        later = START + 19 * SECOND + LEASE + MARGIN
        until_done(lambda: other.renew(OTHER, later, LEASE))
        assert [run.status for run in until_done(lambda: other.rescue(OTHER, later))] == [LOST] * 20

    def test_nodes_that_end_runs_of_several_jobs_at_once_leave_one_run_for_each(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        parents = [make_job(f"job{number}") for number in range(8)]
        for parent in parents:
            parent.chained = True
            store.note_child(parent.id, f"after-{parent.id}")
            store.add_job(parent)
            store.add_job(child(f"after-{parent.id}", after=parent.id))
        until_done(lambda: store.renew(NODE, START, LEASE))
        runs = claim(store)
        halves = [runs[::2], runs[1::2]]

        def work(number: int) -> None:
            finish((store, other)[number], halves[number])

        at_once(2, work)
        assert sorted(extra_of(run).parent or "" for run in store.get_runs(status=WAITING)) == sorted(
            run.id for run in runs
        )
