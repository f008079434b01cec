"""What ends of runs do at once, in every store: they count as failures, start other jobs, and let jobs stay or go on; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from ...clock import HELD, SECOND, moment
from ...core.pauses import pause_of
from ...core.retry import Retry
from ...core.states import (
    ACTIVE,
    CLAIMED,
    ENDED,
    FAILED,
    LOST,
    PAUSED,
    SKIPPED,
    WAITING,
)
from ...triggers.interval import IntervalTrigger
from .backfills import take_out
from .chains import add_chain, child, started
from .ended_jobs import again, found
from .failures import ended, job_of
from .overlaps import SECOND_TIME, THIRD_TIME, claim_at, due_time_of, wait_for_room
from .retries import fail_and_give_back
from .store_jobs import LEASE, MARGIN, OTHER, START, claim, make_job, until_done
from .waiting import take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...jobstores.base import BaseJobStore

LATER = START + 60 * SECOND


class ChainedEndsContract:
    """What every store must do with an end that starts other jobs, and does something else as well."""

    # -- chains and failures in a row ----------------------------------------------------------------------------

    def test_the_failure_that_pauses_a_job_starts_the_job_after_it(self, store: BaseJobStore) -> None:
        add_chain(store, child("bad", "failed"), child("good"), pause_on_failure=2)
        for number in range(2):
            (run,) = claim(store, START + number * 60 * SECOND)
            assert ended(store, run, FAILED) == []
        assert (job_of(store).state, job_of(store).running) == (PAUSED, 0)
        assert [status for status, _ in started(store, "bad")] == [WAITING, WAITING]
        assert started(store, "good") == []

    def test_a_success_after_a_failure_starts_the_job_after_it_and_begins_anew(
        self, store: BaseJobStore
    ) -> None:
        add_chain(store, child(), pause_on_failure=2)
        for number, status in enumerate([FAILED, "succeeded", FAILED]):
            (run,) = claim(store, START + number * 60 * SECOND)
            assert ended(store, run, status) == []
        assert job_of(store).state == ACTIVE
        assert started(store) == [(WAITING, f"job@{LATER}#1")]

    def test_an_end_that_comes_twice_counts_once_and_starts_the_job_after_it_once(
        self, store: BaseJobStore
    ) -> None:
        """R5: the answer to the first try was lost."""
        if not store.durable:
            return
        add_chain(store, child("bad", "failed"), pause_on_failure=2)
        (run,) = claim(store)
        assert ended(store, run, FAILED) == []
        assert until_done(lambda: store.finish([run], START + 1)) == []
        assert (job_of(store).state, pause_of(job_of(store)).failures) == (ACTIVE, [START + 1])
        assert len(started(store, "bad")) == 1

    def test_a_job_after_another_one_is_paused_by_its_own_failures(self, store: BaseJobStore) -> None:
        """It has no time to come, and is no job whose schedule is over."""
        add_chain(store, child(pause_on_failure=1))
        (run,) = claim(store)
        assert ended(store, run, "succeeded") == []
        (after,) = take(store, START + 1)
        assert ended(store, after, FAILED) == []
        assert (job_of(store, "child").state, job_of(store, "child").running) == (PAUSED, 0)
        (run,) = claim(store, LATER)
        assert ended(store, run, "succeeded") == []
        assert [status for status, _ in started(store)] == [FAILED, SKIPPED]

    def test_a_job_after_another_one_that_fails_is_not_over(self, store: BaseJobStore) -> None:
        add_chain(store, child())
        (run,) = claim(store)
        assert ended(store, run, "succeeded") == []
        (after,) = take(store, START + 1)
        assert ended(store, after, FAILED) == []
        assert (job_of(store, "child").state, found(store)) == (ACTIVE, [])

    def test_a_retry_whose_deadline_is_over_counts_and_starts_the_job_after_it(
        self, store: BaseJobStore
    ) -> None:
        retry = Retry(wait_initial=50, wait_jitter=0, timeout=55, until=None)
        add_chain(store, child("bad", "failed"), pause_on_failure=1, retry=retry)
        (run,) = claim(store)
        fail_and_give_back(store, run)
        (over,) = take(store, START + 56 * SECOND)
        assert (over.status, job_of(store).state, job_of(store).running) == (FAILED, PAUSED, 0)
        assert started(store, "bad") == [(WAITING, f"job@{START}#1")]

    # -- jobs whose schedule is over ------------------------------------------------------------------------------

    def test_the_last_run_that_fails_starts_the_job_after_it_and_its_job_stays(
        self, store: BaseJobStore
    ) -> None:
        add_chain(store, child("bad", "failed"), child("good"), every=None, pause_on_failure=3)
        (run,) = claim(store)
        assert ended(store, run, FAILED) == []
        assert (job_of(store).state, found(store)) == (ENDED, ["job"])
        assert started(store, "bad") == [(WAITING, f"job@{START}#1")]
        assert len(store.open_runs([again()], LATER)) == 1
        later = START + 120 * SECOND
        taken = take(store, later)
        assert sorted(run.job_id for run in taken) == ["bad", "job"]
        (rerun,) = (run for run in taken if run.job_id == "job")
        assert ended(store, rerun, "succeeded", later + 1) == []
        assert (found(store), store.lookup_job("job")) == ([], None)
        assert [status for status, _ in started(store, "good")] == [WAITING]

    def test_a_rerun_of_it_that_is_cancelled_before_it_runs_starts_nothing_twice(
        self, store: BaseJobStore
    ) -> None:
        """It is the end of an attempt that has ended before."""
        add_chain(store, child("any", "any"), every=None)
        (run,) = claim(store)
        assert ended(store, run, FAILED) == []
        store.open_runs([again()], LATER)
        assert store.cancel_run("job", START, "no", LATER) is not None
        assert found(store) == []
        assert [parent for _, parent in started(store, "any")] == [f"job@{START}#1"]


class PairsContract(ChainedEndsContract):
    """What every store must do with an end that does several things at once."""

    def test_r4_a_time_is_taken_out_of_a_record_of_several_of_it(self, store: BaseJobStore) -> None:
        """For a backfill: the job stays as long as one of its runs waits."""
        first, last = moment(START), moment(START + 240 * SECOND)
        trigger = IntervalTrigger(seconds=60, start_date=first, end_date=last, timezone="UTC")
        store.add_job(make_job(trigger=trigger))
        (run,) = claim(store, START + 300 * SECOND)
        assert ended(store, run, FAILED, START + 301 * SECOND) == []
        assert found(store) == ["job"]
        (merged,) = store.get_runs("job", status=SKIPPED)
        assert (merged.nominal, merged.count) == (START, 4)
        runs, cuts = take_out(job_of(store), merged, 1, 2)
        now = START + 400 * SECOND
        version = job_of(store).version
        assert len(until_done(lambda: store.open_runs(runs, now, cuts, version))) == 2
        assert (job_of(store).state, found(store)) == (ENDED, ["job"])
        for number, status in enumerate(["succeeded", FAILED]):
            (one,) = take(store, now + number * SECOND)
            assert one.status == CLAIMED
            assert ended(store, one, status, now + number * SECOND + 1) == []
        assert found(store) == ["job"]
        assert sorted((run.nominal - START) // (60 * SECOND) for run in store.get_runs("job")) == [
            0, 1, 2, 3, 4,
        ]  # fmt: skip

    # -- times that wait for room ---------------------------------------------------------------------------------

    def test_a_failure_counts_and_lets_the_time_that_waits_for_room_go_on(self, store: BaseJobStore) -> None:
        store.add_job(make_job(overlap="buffer_one", max_instances=2, pause_on_failure=2))
        (first,) = claim(store)
        (second,) = claim_at(store, SECOND_TIME)[0].runs
        wait_for_room(store, THIRD_TIME)
        assert ended(store, first, FAILED, THIRD_TIME) == []
        assert (due_time_of(store), pause_of(job_of(store)).failures) == (THIRD_TIME, [THIRD_TIME])
        (won,) = claim_at(store, THIRD_TIME)
        assert [run.nominal for run in won.runs] == [THIRD_TIME]
        assert ended(store, second, FAILED, THIRD_TIME + 1) == []
        assert (job_of(store).state, job_of(store).running) == (PAUSED, 1)

    def test_a_job_that_is_paused_while_a_time_waits_for_room_owes_that_time(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(overlap="buffer_one", pause_on_failure=1))
        (run,) = claim(store)
        wait_for_room(store, SECOND_TIME)
        assert ended(store, run, FAILED, SECOND_TIME) == []
        job = job_of(store)
        assert (job.state, job.next_nominal, job.next_due) == (PAUSED, None, None)
        assert pause_of(job).since == SECOND_TIME
        assert store.due(THIRD_TIME, {"default": 10}) == []

    def test_a_retry_whose_deadline_is_over_lets_the_time_that_waits_for_room_go_on(
        self, store: BaseJobStore
    ) -> None:
        """R6"""
        retry = Retry(wait_initial=85, wait_jitter=0, timeout=90, until=None)
        store.add_job(make_job(overlap="buffer_one", retry=retry))
        (run,) = claim(store)
        fail_and_give_back(store, run)
        wait_for_room(store, SECOND_TIME)
        assert due_time_of(store) == HELD
        (over,) = take(store, START + 91 * SECOND)
        assert (over.status, over.reason) == (FAILED, "retry deadline")
        (won,) = claim_at(store, START + 91 * SECOND)
        assert [run.nominal for run in won.runs] == [SECOND_TIME]


class SharedPairsContract:
    """The same where several nodes share a store."""

    def test_a_run_that_is_lost_with_its_node_counts_and_starts_the_job_after_it(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        add_chain(store, child("bad", "failed"), pause_on_failure=1, on_lost="lost")
        (run,) = claim(store)
        run.started_at = START
        later = START + LEASE + MARGIN
        until_done(lambda: other.renew(OTHER, later, LEASE))
        (lost,) = until_done(lambda: other.rescue(OTHER, later))
        assert (lost.status, job_of(store).state) == (LOST, PAUSED)
        assert started(store, "bad") == [(WAITING, f"job@{START}#1")]
