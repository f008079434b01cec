"""Runs that are tried again, in every store: given back, taken, superseded by a later time, ended by their deadline; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from ...clock import SECOND
from ...core.extras import RETRY
from ...core.plan import plan, superseding
from ...core.queries import RunQuery
from ...core.retry import Retry
from ...core.run import LAST, fail
from ...core.states import (
    ACTIVE,
    CANCELLED,
    CLAIMED,
    FAILED,
    SKIPPED,
    SNOOZED,
    SUCCEEDED,
    TIMED_OUT,
    WAITING,
    snooze,
    time_out,
)
from ...core.tries import SUPERSEDED, next_try, not_given_back, stop_instead
from ...core.waiting import JOB_REMOVED
from ...engine.due_again import make_due, waiting_retries
from .orders import KEY, asked_for
from .store_jobs import LEASE, NODE, OTHER, START, claim, finish, make_job, running, until_done
from .waiting import take, wait_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...core.plan import Decision
    from ...core.run import Run
    from ...jobstores.base import BaseJobStore

#: The next time of the jobs, a minute after the first.
NEXT = START + 60 * SECOND


class RetriesContract:
    """What every store must do with runs that have failed and are tried again."""

    def test_a_failed_run_waits_with_its_error_and_the_next_try_begins_without_it(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(retry=Retry(wait_initial=90, wait_jitter=0)))
        (run,) = claim(store)
        fail_and_give_back(store, run)
        (record,) = store.get_runs()
        assert (record.status, record.waiting_for, record.tries, record.owner) == (WAITING, "retry", 1, None)
        assert (record.error_type, record.error) == ("ValueError", "wrong: ü")
        assert running(store) == 1
        (again,) = take(store, START + 90 * SECOND, OTHER)
        assert (again.attempt, again.tries, again.error, again.started_at) == (2, 1, None, None)
        assert finish(store, [again], START + 90 * SECOND) == []
        (record,) = store.get_runs()
        assert (record.status, record.attempt, record.tries, record.error) == (SUCCEEDED, 2, 1, None)
        assert running(store) == 0

    def test_a_run_that_may_not_be_taken_is_left_as_it_is_and_costs_no_other(
        self, store: BaseJobStore
    ) -> None:
        """The engine leaves out what the store has refused to give."""
        later = START + 60 * SECOND
        store.add_jobs([make_job("a", later), make_job("b", later, max_instances=2), make_job("retry")])
        retried = claim(store)
        wait_for(retried[0], RETRY, START, tries=1)
        assert store.give_back(retried, START) == []
        store.open_runs(
            [asked_for(id, START, nominal) for id, nominal in [("a", KEY), ("b", KEY), ("b", KEY + 1)]], START
        )
        until_done(lambda: store.renew(NODE, START, LEASE))
        asked: set[tuple[str, int | None]] = set()
        refused = {("b", KEY), ("retry", None)}

        def may_take(job_id: str, nominal: int | None) -> bool:
            asked.add((job_id, nominal))
            return (job_id, nominal) not in refused

        taken = until_done(lambda: store.take_waiting(NODE, START, None, may_take))
        assert sorted((run.job_id, run.nominal) for run in taken) == [("a", KEY), ("b", KEY + 1)]
        assert asked == {("a", KEY), ("b", KEY), ("b", KEY + 1), ("retry", None)}
        assert {(run.job_id, run.nominal) for run in store.get_runs(status=WAITING)} == {
            ("b", KEY),
            ("retry", START),
        }
        assert store.next_waiting() == START
        refused.clear()
        left = until_done(lambda: store.take_waiting(NODE, START, None, may_take))
        assert sorted(run.job_id for run in left) == ["b", "retry"]
        assert running(store, "retry") == 1

    def test_a_run_that_another_node_has_by_now_is_not_given_back(self, store: BaseJobStore) -> None:
        """R5"""
        if not store.durable:  # its runs belong to one node
            return
        store.add_job(make_job(retry=Retry(wait_initial=1, wait_jitter=0)))
        (run,) = claim(store)
        fail_and_give_back(store, run)
        (again,) = take(store, START + 2 * SECOND, OTHER)
        stale = again.__class__(run.job_id, run.nominal, run.due, run.job)
        stale.owner = NODE
        assert fail_and_give_back(store, stale, expected=1) == [stale]
        assert stale.status == FAILED
        (record,) = store.get_runs()
        assert (record.status, record.attempt, record.owner) == (CLAIMED, 2, OTHER)

    def test_a_run_whose_attempt_is_over_is_under_way_until_that_is_recorded(
        self, store: BaseJobStore
    ) -> None:
        """It may have to wait for the end of its group. Who looks at it meanwhile finds no end, and nothing to open again."""
        store.add_jobs([make_job(retry=Retry(wait_initial=90, wait_jitter=0)), make_job("later")])
        tried, snoozed = claim(store)
        tried.started_at, tried.wish = START, ("retry", None, None)
        fail(tried, ValueError("wrong"), "frames", START)
        snooze(snoozed, START)
        assert next_try(tried, START) is not None
        assert next_try(snoozed, START) is not None
        for records in (
            store.get_runs(),
            store.get_runs(status=CLAIMED),
            store.find_runs(RunQuery(statuses=CLAIMED)).items,
            [run for id in ("job", "later") if (run := store.get_run(id, START))],
            [run for runs in store.last_runs(["job", "later"], 1).values() for run in runs],
        ):
            assert [(run.status, run.ended, run.error, run.not_before, run.reason) for run in records] == [
                (CLAIMED, False, None, None, None)
            ] * 2
        assert (
            store.find_runs(RunQuery(statuses=(FAILED, SKIPPED))).items == store.get_runs(status=FAILED) == []
        )
        assert (tried.status, snoozed.status) == (FAILED, SNOOZED)
        assert until_done(lambda: store.give_back([tried, snoozed], START)) == []
        assert {run.job_id: (run.status, run.waiting_for) for run in store.get_runs()} == {
            "job": (WAITING, "retry"),
            "later": (WAITING, "snoozed"),
        }

    def test_a_run_that_somebody_has_asked_to_stop_is_not_given_back_for_another_try(
        self, store: BaseJobStore
    ) -> None:
        """Its node, which did not know it yet, is told, and ends it."""
        store.add_job(make_job(retry=Retry(wait_initial=1, wait_jitter=0)))
        (run,) = claim(store)
        run.started_at, run.wish = START, ("retry", None, None)
        fail(run, ValueError("wrong"), "frames", START)
        assert next_try(run, START) is not None
        store.cancel_run("job", START, "no more", START)
        assert until_done(lambda: store.give_back([run], START)) == [run]
        assert run.extra.cancel == "no more"
        assert (running(store), store.next_waiting()) == (1, None)
        stop_instead(run, run.extra.cancel, START)
        assert until_done(lambda: store.finish([run], START)) == []
        (record,) = store.get_runs()
        assert (record.status, record.reason, record.error) == (CANCELLED, "no more", "wrong")
        assert (running(store), list(store.orders(NODE, START).cancels)) == (0, [])

    def test_a_run_that_fails_after_somebody_has_asked_it_to_stop_is_cancelled(
        self, store: BaseJobStore
    ) -> None:
        """In the step that writes its end, where its node has not heard of it; a time that is over decides before that."""
        if not store.durable:  # its record is the very run, which has heard
            return
        store.add_jobs(
            [make_job("asked"), make_job("late"), make_job("other"), make_job("strict", pause_on_failure=1)]
        )
        runs = claim(store)
        for job_id in ("asked", "late", "strict"):
            store.cancel_run(job_id, START, "no more: ü", START)
        for run in runs:
            run.started_at = START
            if run.job_id == "late":
                time_out(run, "timeout", START)
            else:
                fail(run, ValueError("wrong"), "frames", START)
        assert until_done(lambda: store.finish(runs, START)) == []
        records = {run.job_id: (run.status, run.reason, run.error) for run in store.get_runs()}
        assert records == {
            "asked": (CANCELLED, "no more: ü", "wrong"),
            "late": (TIMED_OUT, "timeout", None),
            "other": (FAILED, None, "wrong"),
            "strict": (CANCELLED, "no more: ü", "wrong"),
        }
        assert {run.job_id: run.status for run in runs} == {id: found[0] for id, found in records.items()}
        found = store.lookup_job("strict")
        assert found is not None
        assert (found.state, [running(store, id) for id in records]) == (ACTIVE, [0] * 4)
        assert list(store.orders(NODE, START).cancels) == []

    def test_a_failed_run_whose_job_was_removed_meanwhile_is_not_given_back(
        self, store: BaseJobStore
    ) -> None:
        """Its node is told, and writes what has happened."""
        store.add_job(make_job(retry=Retry(wait_initial=1, wait_jitter=0)))
        (run,) = claim(store)
        until_done(lambda: store.remove_job("job"))
        assert fail_and_give_back(store, run, expected=1) == [run]
        assert (run.status, run.wish, store.next_waiting()) == (FAILED, LAST, None)
        not_given_back(run, JOB_REMOVED, START)
        assert until_done(lambda: store.finish([run], START)) == []
        (record,) = store.get_runs()
        assert (record.status, record.reason, record.error) == (FAILED, JOB_REMOVED, "wrong: ü")

    def test_the_claim_of_a_later_time_ends_a_retry_that_waits(self, store: BaseJobStore) -> None:
        """R2, R3, R4: its place is free for the later time."""
        store.add_job(make_job(retry=Retry(wait_initial=90, wait_jitter=0)))
        (run,) = claim(store)
        fail_and_give_back(store, run)
        (won,) = claim_next(store)
        assert [(run.nominal, run.status) for run in won.runs] == [(NEXT, CLAIMED)]
        assert [(run.nominal, run.status, run.reason) for run in won.superseded] == [
            (START, FAILED, SUPERSEDED)
        ]
        later, first = store.get_runs()
        assert (first.status, first.reason, first.error, first.attempt) == (FAILED, SUPERSEDED, "wrong: ü", 1)
        assert (first.finished_at, first.not_before) == (NEXT, None)
        assert (later.nominal, later.status) == (NEXT, CLAIMED)
        assert (running(store), store.next_waiting()) == (1, None)
        assert take(store, START + 90 * SECOND) == []
        assert finish(store, won.runs, NEXT) == []
        assert running(store) == 0

    def test_it_ends_as_well_where_there_is_room_for_both(self, store: BaseJobStore) -> None:
        store.add_job(make_job(max_instances=2, retry=Retry(wait_initial=90, wait_jitter=0)))
        (run,) = claim(store)
        fail_and_give_back(store, run)
        (won,) = claim_next(store)
        assert (len(won.runs), len(won.superseded), running(store)) == (1, 1, 1)
        assert [run.status for run in store.get_runs()] == [CLAIMED, FAILED]

    def test_a_claim_fails_that_would_end_a_retry_which_has_been_taken_meanwhile(
        self, store: BaseJobStore
    ) -> None:
        """R4: with room for both, too, as the planner has to look again."""
        store.add_job(make_job(max_instances=2, retry=Retry(wait_initial=30, wait_jitter=0)))
        (run,) = claim(store)
        fail_and_give_back(store, run)
        decisions = decide_next(store)
        (again,) = take(store, NEXT)
        assert until_done(lambda: store.claim(decisions, NODE, NEXT)) == []
        assert [(record.nominal, record.status) for record in store.get_runs()] == [(START, CLAIMED)]
        (won,) = claim_next(store)
        assert (len(won.runs), list(won.superseded), running(store)) == (1, [], 2)
        assert finish(store, [again, *won.runs], NEXT) == []
        assert running(store) == 0

    def test_a_retry_without_until_keeps_its_place(self, store: BaseJobStore) -> None:
        store.add_job(make_job(retry=Retry(wait_initial=90, wait_jitter=0, until=None)))
        (run,) = claim(store)
        fail_and_give_back(store, run)
        (won,) = claim_next(store)
        assert (won.runs, [record.status for record in won.records]) == ([], [SKIPPED])
        assert running(store) == 1

    def test_a_retry_whose_deadline_is_over_ends_and_gives_its_place_up(self, store: BaseJobStore) -> None:
        store.add_job(make_job(retry=Retry(wait_initial=50, wait_jitter=0, timeout=55, until=None)))
        (run,) = claim(store)
        fail_and_give_back(store, run)
        (ended,) = take(store, START + 56 * SECOND)
        assert (ended.status, ended.reason) == (FAILED, "retry deadline")
        (record,) = store.get_runs()
        assert (record.status, record.reason, record.error) == (FAILED, "retry deadline", "wrong: ü")
        assert (running(store), store.next_waiting()) == (0, None)

    def test_a_time_that_waits_ends_a_retry_that_came_to_wait_meanwhile(self, store: BaseJobStore) -> None:
        """The engine makes its job due once more."""
        retry = Retry(wait_initial=600, wait_jitter=0, until="next")
        store.add_job(make_job(overlap="buffer_one", retry=retry))
        (run,) = claim(store)
        (waits,) = claim_next(store)
        assert waits.waits_for_room
        fail_and_give_back(store, run, now=NEXT)
        job = store.lookup_job("job")
        assert job is not None
        assert not until_done(lambda: make_due(store, job))
        assert decide_next(store, NEXT + SECOND) == []
        assert until_done(lambda: make_due(store, job, free=1))
        (won,) = claim_next(store, NEXT + SECOND)
        assert ([run.nominal for run in won.superseded], won.runs[0].nominal) == ([START], NEXT)
        assert running(store) == 1

    def test_retries_of_one_group_end_together(self, store: BaseJobStore) -> None:
        store.add_job(make_job(coalesce=False, retry=Retry(wait_initial=600, wait_jitter=0)))
        runs = claim(store, START + 240 * SECOND)
        assert len(runs) == 5
        for run in runs:
            run.then = None
            fail_and_give_back(store, run, now=START + 240 * SECOND)
        assert running(store) == 5
        (won,) = claim_next(store, START + 300 * SECOND)
        assert (len(won.runs), len(won.superseded), running(store)) == (1, 5, 1)
        assert [run.status for run in store.get_runs()] == [CLAIMED, *[FAILED] * 5]

    def test_a_large_group_is_tried_again_as_one(self, store: BaseJobStore) -> None:
        """In one step, however many a store has room for; or some would run beside the others."""
        now = START + 39 * 60 * SECOND
        store.add_job(make_job(coalesce=False, retry=Retry(wait_initial=1, wait_jitter=0)))
        runs = claim(store, now)
        assert 1 < len(runs) <= 40
        for run in runs:
            run.then = None
            fail_and_give_back(store, run, now=now)
        taken = take(store, now + 2 * SECOND)
        assert [run.nominal for run in taken] == [run.nominal for run in runs]
        for run in taken:
            fail_and_give_back(store, run, now=now + 2 * SECOND)
        claim_next(store, now + 60 * SECOND)
        job = store.lookup_job("job")
        assert job is not None
        unfinished = [run for run in store.get_runs(limit=100) if not run.ended]
        assert job.running == len(unfinished)

    def test_the_options_of_a_retry_are_kept_with_the_job(self, store: BaseJobStore) -> None:
        retry = Retry((OSError, KeyError), ConnectionError, 1, 3, 60, 0.5, timeout=120.5, until=None)
        store.add_job(make_job(retry=retry))
        job = store.lookup_job("job")
        assert job is not None
        assert job.policy.retry == retry


def fail_and_give_back(store: BaseJobStore, run: Run, *, now: int = START, expected: int = 0) -> list[Run]:
    """Have a claimed run fail and wait for its next try; return the refused ones.

    :param expected: how many are to be refused
    """
    run.started_at = now
    run.wish = "retry", None, None
    fail(run, ValueError("wrong: ü"), "frames", now)
    assert next_try(run, now) is not None
    refused: list[Any] = until_done(lambda: store.give_back([run], now))
    assert len(refused) == expected
    return refused


def decide_next(store: BaseJobStore, now: int = NEXT) -> list[Decision]:
    """Return the planner's decisions for what is due, as a pass makes them of jobs whose retries wait."""
    until_done(lambda: store.renew(NODE, now, LEASE))
    jobs = store.due(now, {"default": 1000})
    waiting = waiting_retries(store, jobs)
    found = [(job, waiting.get(job.id, ())) for job in jobs]
    return [superseding(plan(job, now, free=len(retries)), retries) for job, retries in found]


def claim_next(store: BaseJobStore, now: int = NEXT) -> list[Decision]:
    """Claim what is due; return the decisions that were carried out."""
    decisions = decide_next(store, now)
    won: list[Decision] = until_done(lambda: store.claim(decisions, NODE, now))
    return won
