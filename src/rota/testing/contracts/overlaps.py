"""Due times that meet as many runs of their job as may be under way, in every store; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from ...clock import HELD, SECOND
from ...core.plan import plan
from ...core.retry import Retry
from ...core.states import CANCELLED, CLAIMED, SKIPPED, SUCCEEDED
from .retries import fail_and_give_back
from .store_jobs import LEASE, NODE, OTHER, START, claim, finish, make_job, running, until_done
from .waiting import take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...core.plan import Decision
    from ...jobstores.base import BaseJobStore

#: The next times of the jobs, a minute and two after the first.
SECOND_TIME = START + 60 * SECOND
THIRD_TIME = START + 120 * SECOND
LATER = START + 150 * SECOND


class OverlapsContract:
    """What every store must do with jobs that wait for room."""

    def test_a_time_that_waits_for_room_is_due_when_the_run_ends(self, store: BaseJobStore) -> None:
        """R6; meanwhile the job is not due, and nothing is recorded of the time."""
        store.add_job(make_job(overlap="buffer_one"))
        (run,) = claim(store)
        wait_for_room(store, SECOND_TIME)
        assert due_time_of(store) == HELD
        assert store.due(LATER, {"default": 10}) == []
        assert [record.nominal for record in store.get_runs()] == [START]
        finish(store, [run], LATER)
        (won,) = claim_at(store, LATER)
        assert [(run.nominal, run.status) for run in won.runs] == [(THIRD_TIME, CLAIMED)]
        assert [(record.nominal, record.status, record.reason) for record in store.get_runs()] == [
            (THIRD_TIME, CLAIMED, None),
            (SECOND_TIME, SKIPPED, "coalesced"),
            (START, SUCCEEDED, None),
        ]

    def test_every_owed_time_runs_with_buffer_all(self, store: BaseJobStore) -> None:
        store.add_job(make_job(overlap="buffer_all"))
        (run,) = claim(store)
        wait_for_room(store, SECOND_TIME)
        finish(store, [run], LATER)
        (won,) = claim_at(store, LATER)
        assert [run.nominal for run in won.runs] == [SECOND_TIME, THIRD_TIME]
        assert running(store) == 2
        finish(store, [won.runs[0]], LATER)
        finish(store, [won.runs[1]], LATER)
        assert [record.status for record in store.get_runs()] == [SUCCEEDED] * 3

    def test_one_place_of_several_is_enough(self, store: BaseJobStore) -> None:
        """R6: the job is due as soon as one comes free."""
        store.add_job(make_job(overlap="buffer_one", max_instances=2))
        (first,) = claim(store)
        (second,) = claim_at(store, SECOND_TIME)[0].runs
        wait_for_room(store, THIRD_TIME)
        finish(store, [second], THIRD_TIME)
        (won,) = claim_at(store, THIRD_TIME)
        assert [run.nominal for run in won.runs] == [THIRD_TIME]
        finish(store, [first, *won.runs], LATER)
        assert running(store) == 0

    def test_a_job_begins_to_wait_only_while_there_is_no_room(self, store: BaseJobStore) -> None:
        """R2: a run that ends between look and claim would not let it go on."""
        for limit in (1, 2):
            store.add_job(make_job(f"job {limit}", overlap="buffer_one", max_instances=limit))
        runs = [run for decision in claim_at(store, START) for run in decision.runs]
        runs += [run for decision in claim_at(store, SECOND_TIME) for run in decision.runs]
        assert len(runs) == 3
        waiting = decisions_at(store, THIRD_TIME)
        finish(store, [run for run in runs if run.nominal == START], THIRD_TIME)
        assert until_done(lambda: store.claim(waiting, NODE, THIRD_TIME)) == []
        won = claim_at(store, THIRD_TIME)
        assert sorted((run.job_id, run.nominal) for each in won for run in each.runs) == [
            ("job 1", THIRD_TIME),
            ("job 2", THIRD_TIME),
        ]

    def test_a_run_that_waits_for_another_try_has_its_place_until_it_is_cancelled(
        self, store: BaseJobStore
    ) -> None:
        """R6"""
        store.add_job(
            make_job(overlap="cancel_other", retry=Retry(wait_initial=900, wait_jitter=0, until=None))
        )
        (run,) = claim(store)
        fail_and_give_back(store, run)
        wait_for_room(store, SECOND_TIME)
        ended = until_done(lambda: store.cancel_run("job", START, "replaced", SECOND_TIME))
        assert (ended.status, ended.reason) == (CANCELLED, "replaced")
        (won,) = claim_at(store, SECOND_TIME)
        assert [run.nominal for run in won.runs] == [SECOND_TIME]
        assert running(store) == 1

    def test_a_run_that_is_given_back_and_keeps_its_place_lets_nothing_go_on(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(overlap="buffer_all", retry=Retry(wait_initial=90, wait_jitter=0)))
        (run,) = claim(store)
        wait_for_room(store, SECOND_TIME)
        fail_and_give_back(store, run)
        assert store.due(LATER, {"default": 10}) == []
        (again,) = take(store, LATER, NODE)
        finish(store, [again], LATER)
        assert [run.nominal for run in claim_at(store, LATER)[0].runs] == [SECOND_TIME, THIRD_TIME]

    def test_there_is_no_limit_with_allow_all(self, store: BaseJobStore) -> None:
        """R2"""
        store.add_job(make_job(overlap="allow_all"))
        (first,) = claim(store)
        (second,) = claim_at(store, SECOND_TIME)[0].runs
        (third,) = claim_at(store, THIRD_TIME)[0].runs
        assert running(store) == 3
        finish(store, [third, first, second], LATER)
        assert running(store) == 0

    def test_a_job_that_waits_goes_on_when_a_rescue_ends_the_run(self, store: BaseJobStore) -> None:
        """R6"""
        if not store.durable:  # its runs die with the process
            return
        store.add_job(make_job(overlap="buffer_one", max_instances=2, on_lost="lost"))
        claim(store)
        claim_at(store, SECOND_TIME)
        wait_for_room(store, THIRD_TIME)
        now = THIRD_TIME + 2 * LEASE
        until_done(lambda: store.renew(OTHER, now, LEASE))
        lost = until_done(lambda: store.rescue(OTHER, now, None, (), False))
        assert sorted(run.nominal for run in lost) == [START, SECOND_TIME]
        (decision,) = decisions_at(store, now)
        assert decision.runs[0].nominal >= THIRD_TIME


# ------------------------------------------------------------------------------------------------------------- helpers


def decisions_at(store: BaseJobStore, now: int) -> list[Decision]:
    """Return what is planned of the due jobs."""
    return [plan(job, now) for job in until_done(lambda: store.due(now, {"default": 10}))]


def claim_at(store: BaseJobStore, now: int) -> list[Decision]:
    """Claim what is due; return the decisions that were carried out."""
    decisions = decisions_at(store, now)
    if store.durable:
        until_done(lambda: store.renew(NODE, now, LEASE))
    won: list[Decision] = until_done(lambda: store.claim(decisions, NODE, now))
    return won


def wait_for_room(store: BaseJobStore, now: int) -> None:
    """Plan the next time of the one job, which meets as many runs as may be under way."""
    (decision,) = claim_at(store, now)
    assert decision.runs == decision.records == []
    assert decision.next_due == HELD


def due_time_of(store: BaseJobStore) -> int | None:
    """Return when the one job is due."""
    (job,) = store.get_all_jobs()
    return job.next_due
