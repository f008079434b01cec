"""Jobs that are paused after failures in a row, in every store; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from ...clock import SECOND
from ...core.pauses import pause_of
from ...core.plan import once_more
from ...core.policy import with_options
from ...core.retry import Retry
from ...core.run import fail
from ...core.states import ACTIVE, FAILED, LOST, NEW, PAUSED, end, set_job_state, succeed
from .retries import fail_and_give_back
from .store_jobs import LEASE, MARGIN, OTHER, START, at_once, claim, decide, make_job, until_done
from .waiting import take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...core.run import Run
    from ...job.handle import Job
    from ...jobstores.base import BaseJobStore


class FailuresContract:
    """What every store must do with ``pause_on_failure``."""

    def test_a_job_is_paused_in_the_step_that_records_its_last_failure_in_a_row(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(pause_on_failure=2))
        (first,) = claim(store)
        assert ended(store, first, FAILED) == []
        job = job_of(store)
        assert (job.state, pause_of(job).failures, hasattr(first, "pauses")) == (ACTIVE, [START + 1], False)
        (second,) = claim(store, START + 60 * SECOND)
        assert ended(store, second, FAILED) == []
        job = job_of(store)
        assert (job.state, job.next_nominal, job.next_due, job.running) == (PAUSED, None, None, 0)
        pause = pause_of(job)
        assert (pause.since, pause.at) == (START + 120 * SECOND, START + 60 * SECOND + 1)
        assert pause.note is not None
        assert pause.note.startswith("2 failures in a row, the last of them the run of 2026-01-01")
        assert second.pauses == (pause.note, job.revision)
        assert store.due(START + 600 * SECOND, {"default": 10}) == []

    def test_a_success_begins_anew(self, store: BaseJobStore) -> None:
        store.add_job(make_job(pause_on_failure=2))
        for number, status in enumerate([FAILED, "succeeded", FAILED]):
            (run,) = claim(store, START + number * 60 * SECOND)
            assert ended(store, run, status) == []
        job = job_of(store)
        assert (job.state, pause_of(job).failures) == (ACTIVE, [START + 120 * SECOND + 1])

    def test_the_same_end_once_more_does_not_count_twice(self, store: BaseJobStore) -> None:
        """R5: the answer to the first try was lost."""
        if not store.durable:  # no answer is lost
            return
        store.add_job(make_job(pause_on_failure=2))
        (run,) = claim(store)
        assert ended(store, run, FAILED) == []
        assert until_done(lambda: store.finish([run], START + 1)) == []
        job = job_of(store)
        assert (job.state, pause_of(job).failures, job.running) == (ACTIVE, [START + 1], 0)

    def test_the_order_of_the_ends_counts_whatever_the_order_of_the_records(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(pause_on_failure=2, max_instances=4))
        runs = [run for number in range(4) for run in claim(store, START + number * 60 * SECOND)]
        now = START + 300 * SECOND
        for run, status, at in zip(runs, [FAILED, "succeeded", FAILED], [3, 2, 1], strict=False):
            assert ended(store, run, status, now + at) == []
        job = job_of(store)
        assert (job.state, pause_of(job).failures) == (ACTIVE, [now + 3])
        assert ended(store, runs[3], FAILED, now + 4) == []
        assert job_of(store).state == PAUSED

    def test_failures_that_are_recorded_together_count_one_by_one(self, store: BaseJobStore) -> None:
        store.add_job(make_job(pause_on_failure=2, max_instances=2))
        runs = [run for number in range(2) for run in claim(store, START + number * 60 * SECOND)]
        now = START + 90 * SECOND
        for number, run in enumerate(runs):
            _end(run, FAILED, now + number)
        assert until_done(lambda: store.finish(runs, now + 1)) == []
        job = job_of(store)
        assert (job.state, job.running) == (PAUSED, 0)
        assert [hasattr(run, "pauses") for run in runs] == [False, True]

    def test_what_is_cancelled_leaves_the_count_as_it_is(self, store: BaseJobStore) -> None:
        store.add_job(make_job(pause_on_failure=1))
        (run,) = claim(store)
        assert ended(store, run, "cancelled") == []
        assert job_of(store).state == ACTIVE

    def test_a_decision_that_was_made_before_the_pause_claims_nothing(self, store: BaseJobStore) -> None:
        """R1"""
        store.add_job(make_job(pause_on_failure=1, max_instances=2))
        (run,) = claim(store)
        later = START + 60 * SECOND
        decisions = decide(store, later)
        assert ended(store, run, FAILED, later) == []
        assert until_done(lambda: store.claim(decisions, run.owner or "", later)) == []
        assert job_of(store).state == PAUSED

    def test_a_copy_that_was_read_before_the_end_does_not_undo_what_was_counted(
        self, store: BaseJobStore
    ) -> None:
        """R1"""
        store.add_job(make_job(pause_on_failure=2))
        (run,) = claim(store)
        draft = job_of(store).copy()
        version = draft.version
        assert ended(store, run, FAILED) == []
        draft.name = "edited"
        assert not until_done(lambda: store.save_job(draft, version))
        assert pause_of(job_of(store)).failures == [START + 1]

    def test_the_limit_is_that_of_the_stored_job(self, store: BaseJobStore) -> None:
        store.add_job(make_job(pause_on_failure=1))
        (run,) = claim(store)
        draft = job_of(store).copy()
        draft.policy = with_options(draft.policy, {"pause_on_failure": False})
        assert until_done(lambda: store.save_job(draft, draft.version))
        assert ended(store, run, FAILED) == []
        assert job_of(store).state == ACTIVE

    def test_a_job_that_is_resumed_counts_anew(self, store: BaseJobStore) -> None:
        store.add_job(make_job(pause_on_failure=1))
        (run,) = claim(store)
        assert ended(store, run, FAILED) == []
        draft = job_of(store).copy()
        draft.paused = None
        set_job_state(draft, NEW)
        draft.set_next(START + 60 * SECOND)
        assert until_done(lambda: store.save_job(draft, draft.version))
        (run,) = claim(store, START + 60 * SECOND)
        assert ended(store, run, "succeeded") == []
        assert (job_of(store).state, job_of(store).paused) == (ACTIVE, None)

    def test_a_retry_whose_deadline_is_over_counts_as_a_failure(self, store: BaseJobStore) -> None:
        retry = Retry(wait_initial=50, wait_jitter=0, timeout=55, until=None)
        store.add_job(make_job(pause_on_failure=1, retry=retry))
        (run,) = claim(store)
        fail_and_give_back(store, run)
        assert job_of(store).state == ACTIVE
        (over,) = take(store, START + 56 * SECOND)
        assert (over.status, over.reason) == (FAILED, "retry deadline")
        job = job_of(store)
        assert (job.state, job.running, store.next_waiting()) == (PAUSED, 0, None)
        assert over.pauses == (pause_of(job).note, job.revision)

    def test_a_run_that_was_asked_for_counts_while_its_job_is_paused_no_more(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(pause_on_failure=1))
        (run,) = claim(store)
        assert ended(store, run, FAILED) == []
        note = job_of(store).paused
        decision = once_more(job_of(store), START + SECOND)
        (won,) = until_done(lambda: store.claim([decision], run.owner or "", START + SECOND))
        assert ended(store, won.runs[0], FAILED, START + 2 * SECOND) == []
        assert (job_of(store).state, job_of(store).paused) == (PAUSED, note)


class SharedFailuresContract:
    """The same where several nodes share a store."""

    def test_ends_that_two_nodes_record_at_once_are_all_counted(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        for round in range(3):
            id = f"job-{round}"
            store.add_job(make_job(id, pause_on_failure=2, max_instances=2))
            runs = [run for number in range(2) for run in claim(store, START + number * 60 * SECOND)]
            now = START + 90 * SECOND

            def work(number: int, runs: Sequence[Run] = runs, now: int = now) -> None:
                assert ended((store, other)[number], runs[number], FAILED, now + number) == []

            at_once(2, work)
            job = job_of(store, id)
            assert (job.state, job.running) == (PAUSED, 0)
            assert sum(hasattr(run, "pauses") for run in runs) == 1
            store.remove_job(id)

    def test_a_run_that_is_lost_with_its_node_counts_as_a_failure(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job(pause_on_failure=1, on_lost="lost"))
        (run,) = claim(store)
        run.started_at = START
        later = START + LEASE + MARGIN
        until_done(lambda: other.renew(OTHER, later, LEASE))
        (lost,) = until_done(lambda: other.rescue(OTHER, later))
        assert lost.status == LOST
        job = job_of(store)
        assert (job.state, job.running) == (PAUSED, 0)
        assert lost.pauses == (pause_of(job).note, job.revision)

    def test_an_end_that_is_refused_counts_for_nothing(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        """R5: another node has taken the run over."""
        store.add_job(make_job(pause_on_failure=1))
        (run,) = claim(store)
        later = START + LEASE + MARGIN
        until_done(lambda: other.renew(OTHER, later, LEASE))
        (again,) = until_done(lambda: other.rescue(OTHER, later))
        assert ended(store, run, FAILED) == [run]
        assert (job_of(store).state, hasattr(run, "pauses")) == (ACTIVE, False)
        assert ended(other, again, "succeeded", later + 1) == []
        assert job_of(store).state == ACTIVE


def job_of(store: BaseJobStore, job_id: str = "job") -> Job:
    """Return a stored job."""
    job = store.lookup_job(job_id)
    assert job is not None
    return job


def ended(store: BaseJobStore, run: Run, status: str, at: int | None = None) -> Sequence[Run]:
    """Record how a run has ended; return the refused ones.

    :param at: when (instant); None: a microsecond after its time
    """
    at = run.nominal + 1 if at is None else at
    _end(run, status, at)
    refused: Sequence[Run] = until_done(lambda: store.finish([run], at))
    return refused


def _end(run: Run, status: str, at: int) -> None:
    run.started_at = run.nominal
    if status == "succeeded":
        succeed(run, None, at)
    elif status == FAILED:
        fail(run, ValueError("wrong: ü"), "frames", at)
    else:
        end(run, status, "somebody wanted it", at)
