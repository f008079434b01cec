"""Jobs whose schedule is over, in every store: those that ended well go, the others stay; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from functools import partial

from ...clock import SECOND
from ...core.extras import RERUN, Extra
from ...core.pauses import Pause, text_of
from ...core.plan import once_more
from ...core.queries import JobQuery
from ...core.retry import Retry
from ...core.run import Run
from ...core.states import ACTIVE, CANCELLED, CLAIMED, ENDED, FAILED, PAUSED, TIMED_OUT, set_job_state, wait
from ...errors import JobLookupError
from .failures import ended
from .retries import fail_and_give_back
from .store_jobs import LEASE, MARGIN, OTHER, START, claim, due_ids, make_job, until_done
from .waiting import take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...job.handle import Job
    from ...jobstores.base import BaseJobStore

_ENDED = JobQuery(states={ENDED})
LATER = START + 60 * SECOND


class EndedJobsContract:
    """What every store must do with jobs that have no time to come (R6)."""

    def test_r6_a_job_that_ended_well_goes_with_its_last_run(self, store: BaseJobStore) -> None:
        for number, status in enumerate(["succeeded", CANCELLED]):
            store.add_job(make_job(f"job-{number}", every=None))
            (run,) = claim(store)
            assert ended(store, run, status) == []
        assert (found(store), store.get_all_jobs()) == ([], [])

    def test_r6_a_job_whose_last_run_has_not_ended_well_stays_as_ended(self, store: BaseJobStore) -> None:
        for status in (FAILED, TIMED_OUT):
            store.add_job(make_job(status, every=None, tags=("kept",)))
            (run,) = claim(store)
            assert ended(store, run, status) == []
            job = store.lookup_job(status)
            assert job is not None
            assert (job.state, job.running, job.next_nominal, job.next_due) == (ENDED, 0, None, None)
            assert job.name
        assert sorted(found(store)) == sorted((FAILED, TIMED_OUT))
        assert store.find_jobs(JobQuery()).items == []
        assert (store.get_all_jobs(), due_ids(store, LATER)) == ([], [])
        tagged = store.find_jobs(JobQuery(states={ENDED}, tags={"kept"})).items
        assert sorted(job.id for job in tagged) == sorted((FAILED, TIMED_OUT))

    def test_other_ends_leave_it_alone(self, store: BaseJobStore) -> None:
        kept(store)
        store.add_job(make_job("other", every=None))
        store.add_job(make_job("often"))
        for run in claim(store):
            assert ended(store, run, "succeeded") == []
        assert found(store) == ["job"]
        damaged, _ = until_done(lambda: store.mend(LATER))
        until_done(lambda: store.prune(LATER))
        assert damaged == []
        assert found(store) == ["job"]

    def test_it_conflicts_with_no_job_of_its_id(self, store: BaseJobStore) -> None:
        kept(store)
        store.add_job(make_job(due=LATER))
        job = store.lookup_job("job")
        assert job is not None
        assert (job.state, job.next_nominal, job.running) == (ACTIVE, LATER, 0)
        assert found(store) == []
        kept(store, "several")
        store.add_jobs([make_job("several", due=LATER), make_job("new", due=LATER)])
        assert due_ids(store, LATER) == ["job", "new", "several"] or sorted(due_ids(store, LATER)) == [
            "job", "new", "several",
        ]  # fmt: skip

    def test_it_is_removed(self, store: BaseJobStore) -> None:
        kept(store)
        assert not store.remove_job("job")
        assert (found(store), store.lookup_job("job")) == ([], None)
        try:
            store.remove_job("job")
        except JobLookupError:
            return
        raise AssertionError("it was there")

    def test_it_is_edited_and_stays_or_goes_on(self, store: BaseJobStore) -> None:
        kept(store)
        draft = job_of(store).copy()
        draft.name = "edited"
        assert until_done(lambda: store.save_job(draft, draft.version))
        assert (job_of(store).name, job_of(store).state, found(store)) == ("edited", ENDED, ["job"])
        store.add_job(make_job("other", every=None))
        for run in claim(store):
            ended(store, run, "succeeded")
        assert found(store) == ["job"]
        draft = job_of(store).copy()
        draft.set_next(LATER)
        assert until_done(lambda: store.save_job(draft, draft.version))
        assert (job_of(store).state, due_ids(store, LATER), found(store)) == (ACTIVE, ["job"], [])

    def test_a_rerun_that_ends_well_takes_it_away_and_another_one_does_not(self, store: BaseJobStore) -> None:
        for last in (FAILED, "succeeded"):
            if last == FAILED:
                kept(store)
            assert len(store.open_runs([again()], LATER)) == 1
            assert job_of(store).state == ENDED
            (run,) = take(store, LATER)
            assert (run.status, run.attempt > 1) == (CLAIMED, True)
            assert ended(store, run, last, LATER + 1) == []
            assert found(store) == (["job"] if last == FAILED else [])

    def test_a_rerun_that_is_cancelled_while_it_waits_takes_it_away(self, store: BaseJobStore) -> None:
        kept(store)
        store.open_runs([again()], LATER)
        assert store.cancel_run("job", START, "no", LATER) is not None
        assert found(store) == []

    def test_a_run_by_hand_decides_anew(self, store: BaseJobStore) -> None:
        kept(store)
        decision = once_more(job_of(store), LATER)
        claim(store, LATER)  # it renews the lease
        (won,) = until_done(lambda: store.claim([decision], "node-1", LATER))
        assert ended(store, won.runs[0], "succeeded", LATER + 1) == []
        assert found(store) == []

    def test_a_retry_that_ends_by_its_deadline_leaves_it(self, store: BaseJobStore) -> None:
        retry = Retry(wait_initial=50, wait_jitter=0, timeout=55)
        store.add_job(make_job(every=None, retry=retry))
        (run,) = claim(store)
        fail_and_give_back(store, run)
        assert (job_of(store).state, found(store)) == (ENDED, ["job"])
        (over,) = take(store, START + 56 * SECOND)
        assert (over.status, found(store)) == (FAILED, ["job"])
        assert job_of(store).running == 0

    def test_one_that_is_paused_holds_back_its_retry_and_ends_again_with_it(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(every=None, retry=Retry(wait_initial=50, wait_jitter=0)))
        (run,) = claim(store)
        fail_and_give_back(store, run)
        for state in (PAUSED, ENDED):
            draft = job_of(store).copy()
            set_job_state(draft, state)
            draft.paused = text_of(Pause(over=True)) if state == PAUSED else None
            assert until_done(partial(store.save_job, draft, draft.version))
            assert (job_of(store).state, job_of(store).next_nominal) == (state, None)
            assert found(store) == (["job"] if state == ENDED else [])
            if state == PAUSED:
                assert (take(store, START + 56 * SECOND), store.next_waiting()) == ([], None)
        (next_try,) = take(store, START + 56 * SECOND)
        assert ended(store, next_try, "succeeded", START + 57 * SECOND) == []
        assert (found(store), store.lookup_job("job")) == ([], None)

    def test_a_retry_that_succeeds_takes_it_away(self, store: BaseJobStore) -> None:
        store.add_job(make_job(every=None, retry=Retry(wait_initial=50, wait_jitter=0)))
        (run,) = claim(store)
        fail_and_give_back(store, run)
        (next_try,) = take(store, START + 56 * SECOND)
        assert ended(store, next_try, "succeeded", START + 57 * SECOND) == []
        assert (found(store), store.lookup_job("job")) == ([], None)


class SharedEndedJobsContract:
    """The same where several nodes share a store."""

    def test_r6_a_job_that_is_lost_with_its_node_stays_as_ended(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job(every=None, on_lost="lost"))
        claim(store)
        later = START + LEASE + MARGIN
        until_done(lambda: other.renew(OTHER, later, LEASE))
        (lost,) = until_done(lambda: other.rescue(OTHER, later))
        assert (lost.status, found(store)) == ("lost", ["job"])

    def test_r5_an_end_that_is_refused_leaves_it_alone(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        kept(store)
        late = Run("job", START, START)
        late.owner, late.attempt = OTHER, 7
        assert ended(store, late, "succeeded") == [late]
        assert found(store) == ["job"]

    def test_it_goes_with_its_last_record(self, store: BaseJobStore, other: BaseJobStore) -> None:
        kept(store)
        far = START + 40 * 24 * 3600 * SECOND
        until_done(lambda: store.prune(far))
        assert store.get_runs("job") == []
        assert (found(store), store.lookup_job("job")) == ([], None)


def kept(store: BaseJobStore, id: str = "job") -> None:
    """Have a store keep a job whose only run has failed."""
    store.add_job(make_job(id, every=None))
    (run,) = claim(store)
    assert ended(store, run, FAILED) == []
    assert id in found(store)


def found(store: BaseJobStore) -> list[str]:
    """Return the ids of the jobs whose schedule is over."""
    return [job.id for job in store.find_jobs(_ENDED).items]


def job_of(store: BaseJobStore) -> Job:
    """Return the job."""
    job = store.lookup_job("job")
    assert job is not None
    return job


def again() -> Run:
    """Return the run of the job as it is opened again."""
    run: Any = Run("job", START, START)
    run.extra = Extra()
    run.extra.waiting_for, run.extra.not_before, run.extra.uncounted = RERUN, LATER, 1
    wait(run)
    return run  # type: ignore[no-any-return]
