"""What a job store must do that several processes may use at once, one sentence for each invariant; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts` for how to use it.
"""

from __future__ import annotations

from threading import Barrier, Thread

import pytest

from ..clock import SECOND
from ..core.plan import once_more, plan
from ..core.run import CLAIMED, LOST, MANUAL, SUCCEEDED
from ..errors import ConflictingIdError, JobLookupError, StoreError
from .contract_jobs import (
    LEASE,
    NODE,
    OTHER,
    START,
    claim,
    decide,
    due_ids,
    finish,
    make_job,
    running,
    statuses,
)
from .stored_contract import StoredJobContract

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..jobstores.base import BaseJobStore


class SharedJobStoreContract(StoredJobContract):
    """What a durable store must do besides, which several processes may use at once."""

    # -- two stores, one database --------------------------------------------------------------------------------

    def test_what_one_store_adds_the_other_sees(self, store: BaseJobStore, other: BaseJobStore) -> None:
        store.add_job(make_job())
        assert due_ids(other) == ["job"]
        other.remove_job("job")
        assert store.get_all_jobs() == []

    def test_of_two_nodes_that_claim_the_same_due_time_one_wins(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        for number in range(20):
            store.add_job(make_job(f"job{number}"))
        store.renew(NODE, START, LEASE)
        other.renew(OTHER, START, LEASE)
        mine, yours = decide(store), decide(other)
        won = store.claim(mine[:10], NODE, START), other.claim(yours, OTHER, START)
        assert [len(decisions) for decisions in won] == [10, 10]
        assert len({run.job_id for run in store.get_runs()}) == len(store.get_runs()) == 20

    def test_a_limit_of_instances_holds_across_nodes(self, store: BaseJobStore, other: BaseJobStore) -> None:
        store.add_job(make_job(every=1))
        claim(store)
        other.renew(OTHER, START, LEASE)
        (decision,) = decide(other, START + SECOND)
        assert decision.runs == []
        assert [record.reason for record in decision.records] == ["max_instances"]

    def test_a_change_by_one_store_defeats_a_claim_by_the_other(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        store.renew(NODE, START, LEASE)
        decisions = decide(store)
        found = other.lookup_job("job")
        assert found is not None
        found.set_next(None)
        assert other.save_job(found, found.version)
        assert store.claim(decisions, NODE, START) == []

    # -- leases --------------------------------------------------------------------------------------------------

    def test_a_lease_can_be_renewed_until_it_is_over(self, store: BaseJobStore) -> None:
        assert store.renew(NODE, START, LEASE)
        assert store.renew(NODE, START + LEASE, LEASE)
        assert not store.renew(NODE, START + 2 * LEASE + SECOND, LEASE)
        assert not store.renew(NODE, START + 2 * LEASE + 2, LEASE)
        assert store.renew(OTHER, START + 2 * LEASE + 2, LEASE)

    def test_a_store_tells_how_many_nodes_are_alive(self, store: BaseJobStore, other: BaseJobStore) -> None:
        assert store.living_nodes(START) == 0
        store.renew(NODE, START, LEASE)
        assert other.living_nodes(START) == 1
        other.renew(OTHER, START + LEASE, LEASE)
        assert store.living_nodes(START + LEASE) == 2
        assert store.living_nodes(START + LEASE + SECOND) == 1
        other.leave(OTHER, [], START + LEASE + SECOND)
        assert store.living_nodes(START + LEASE + SECOND) == 0

    def test_a_node_whose_lease_is_over_claims_nothing(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        store.renew(NODE, START, LEASE)
        later = START + LEASE + SECOND
        assert store.claim(decide(store, later), NODE, later) == []
        assert due_ids(store, later) == ["job"]

    def test_a_node_that_never_had_a_lease_is_told_so(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        with pytest.raises(StoreError, match="renew"):
            store.claim(decide(store), NODE, START)

    def test_the_runs_of_a_living_node_are_not_rescued(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        claim(store)
        other.renew(OTHER, START, LEASE)
        assert other.rescue(OTHER, START + LEASE) == []

    def test_a_node_whose_lease_is_over_rescues_nothing_not_even_its_own(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        runs = claim(store)
        later = START + LEASE + SECOND
        assert store.rescue(NODE, later) == []
        assert store.rescue(NODE, later, known=[]) == []
        assert finish(store, runs, later) == []

    def test_a_run_of_a_dead_node_is_taken_over_with_a_raised_attempt(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job(args=(1,)))
        (stale,) = claim(store)
        later = START + LEASE + SECOND
        other.renew(OTHER, later, LEASE)
        (run,) = other.rescue(OTHER, later)
        assert (run.nominal, run.attempt, run.owner, run.status) == (START, 2, OTHER, CLAIMED)
        assert run.job is not None
        assert tuple(run.job.args) == (1,)
        assert other.rescue(OTHER, later) == []
        assert [refused.attempt for refused in finish(store, [stale], later)] == [1]
        assert running(store) == 1
        assert finish(other, [run], later) == []
        assert running(store) == 0
        (record,) = store.get_runs("job")
        assert (record.attempt, record.owner, record.status) == (2, OTHER, SUCCEEDED)

    def test_a_run_that_ended_before_it_was_rescued_is_accepted(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        runs = claim(store)
        later = START + LEASE + SECOND
        assert finish(store, runs, later) == []
        other.renew(OTHER, later, LEASE)
        assert other.rescue(OTHER, later) == []

    def test_an_end_that_is_presented_twice_counts_once(self, store: BaseJobStore) -> None:
        store.add_job(make_job(every=5, max_instances=3))
        (run,) = claim(store)
        claim(store, START + 5 * SECOND)
        assert finish(store, [run]) == []
        assert finish(store, [run]) == []  # the answer to the first was lost on its way
        assert running(store) == 1

    def test_a_refused_run_does_not_hold_up_its_neighbours(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job("stale"))
        stale = claim(store)
        later = START + LEASE + SECOND
        other.renew(OTHER, later, LEASE)
        other.rescue(OTHER, later)
        other.add_job(make_job("fresh", later))
        fresh = claim(other, later, OTHER)
        assert finish(store, [*stale, *fresh], later) == stale
        assert statuses(store, "fresh") == [SUCCEEDED]
        assert (running(store, "fresh"), running(store, "stale")) == (0, 1)

    @pytest.mark.parametrize("options", [{"on_lost": "lost"}, {"max_attempts": 1}])
    def test_a_run_that_may_not_be_repeated_is_lost(
        self, store: BaseJobStore, options: dict[str, Any]
    ) -> None:
        store.add_job(make_job(**options))
        claim(store)
        later = START + LEASE + SECOND
        store.renew(OTHER, later, LEASE)
        (run,) = store.rescue(OTHER, later)
        assert run.status == LOST
        assert NODE in (run.reason or "")
        assert statuses(store) == [LOST]
        assert running(store) == 0

    def test_the_record_of_a_lost_run_has_the_name_of_a_job_that_is_gone(self, store: BaseJobStore) -> None:
        store.add_job(make_job("once", every=None, name="nightly report", on_lost="lost"))
        claim(store)
        later = START + LEASE + SECOND
        store.renew(OTHER, later, LEASE)
        assert [run.status for run in store.rescue(OTHER, later)] == [LOST]
        assert store.lookup_job("once") is None
        assert [(run.status, run.name) for run in store.get_runs()] == [(LOST, "nightly report")]

    def test_a_run_of_a_dead_node_whose_job_was_removed_is_lost(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        claim(store)
        store.remove_job("job")
        later = START + LEASE + SECOND
        store.renew(OTHER, later, LEASE)
        (run,) = store.rescue(OTHER, later)
        assert run.status == LOST
        assert statuses(store) == [LOST]

    def test_the_last_run_of_an_ended_job_is_rescued_too(self, store: BaseJobStore) -> None:
        store.add_job(make_job(every=None))
        claim(store)
        later = START + LEASE + SECOND
        store.renew(OTHER, later, LEASE)
        runs = store.rescue(OTHER, later)
        assert [run.status for run in runs] == [CLAIMED]
        finish(store, runs, later)
        assert statuses(store) == [SUCCEEDED]
        store.add_job(make_job())
        assert running(store) == 0

    def test_rescued_runs_of_one_job_are_executed_one_after_another(self, store: BaseJobStore) -> None:
        store.add_job(make_job(every=1, coalesce=False))
        store.add_job(make_job("single"))
        claim(store, START + 2 * SECOND)
        later = START + 2 * SECOND + LEASE + SECOND
        store.renew(OTHER, later, LEASE)
        runs = store.rescue(OTHER, later)
        followers = {id(run.then) for run in runs}
        assert sorted(run.job_id for run in runs if id(run) not in followers) == ["job", "single"]
        assert [run.nominal for run in runs if run.job_id == "job"] == [START + n * SECOND for n in range(3)]

    def test_no_more_runs_are_rescued_than_there_is_room_for(self, store: BaseJobStore) -> None:
        for number in range(5):
            store.add_job(make_job(f"job{number}"))
        claim(store)
        later = START + LEASE + SECOND
        store.renew(OTHER, later, LEASE)
        assert len(store.rescue(OTHER, later, {"default": 2})) == 2
        assert store.rescue(OTHER, later, {"elsewhere": 2}) == []
        assert len(store.rescue(OTHER, later, {"default": 9})) == 3

    def test_runs_of_one_job_are_rescued_together_or_not_at_all(self, store: BaseJobStore) -> None:
        """A node that has lost its lease unknowingly would go on with what is left of them, beside those that were taken."""
        store.add_job(make_job(every=1, coalesce=False))
        claim(store, START + 2 * SECOND)
        later = START + 2 * SECOND + LEASE + SECOND
        store.renew(OTHER, later, LEASE)
        assert store.rescue(OTHER, later, {"default": 0}) == []
        runs = store.rescue(OTHER, later, {"default": 1})
        assert [run.nominal for run in runs] == [START + n * SECOND for n in range(3)]

    def test_a_run_that_was_given_back_is_taken_at_once_with_its_attempt(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job(on_lost="lost", max_attempts=1))
        runs = claim(store)
        store.leave(NODE, runs, START)
        other.renew(OTHER, START, LEASE)
        (run,) = other.rescue(OTHER, START)
        assert (run.status, run.attempt, run.owner) == (CLAIMED, 1, OTHER)
        assert finish(store, runs) == runs
        assert finish(other, [run]) == []

    @pytest.mark.parametrize("due", [START + 5 * SECOND, None])
    def test_a_run_that_was_asked_for_leaves_the_schedule_as_it_is(
        self, store: BaseJobStore, due: int | None
    ) -> None:
        store.add_job(make_job(due=due))
        job = store.lookup_job("job")
        assert job is not None
        store.renew(OTHER, START, LEASE)
        asked = once_more(job, START)
        assert store.claim([asked], OTHER, START) == [asked]
        store.leave(OTHER, asked.runs, START)
        store.renew(NODE, START, LEASE)
        taken = store.rescue(NODE, START)
        assert finish(store, taken) == []
        assert [(run.status, run.reason, run.attempt) for run in store.get_runs()] == [(SUCCEEDED, MANUAL, 1)]
        after = store.lookup_job("job")
        assert after is not None
        assert (after.next_nominal, after.next_due, after.state) == (
            job.next_nominal,
            job.next_due,
            job.state,
        )

    def test_a_node_that_leaves_keeps_its_lease_for_what_is_under_way(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job("given back"))
        store.add_job(make_job("under way"))
        runs = claim(store)
        store.leave(NODE, [run for run in runs if run.job_id == "given back"], START)
        other.renew(OTHER, START, LEASE)
        assert [run.job_id for run in other.rescue(OTHER, START)] == ["given back"]
        assert finish(store, [run for run in runs if run.job_id == "under way"]) == []

    def test_runs_whose_claim_was_not_answered_are_found_again(self, store: BaseJobStore) -> None:
        store.add_job(make_job("known"))
        (known,) = claim(store)
        store.add_job(make_job("unknown"))
        claim(store)
        assert store.rescue(NODE, START) == []
        (run,) = store.rescue(NODE, START, known={(known.job_id, known.nominal)})
        assert (run.job_id, run.attempt, run.owner) == ("unknown", 1, NODE)
        assert finish(store, [run, known]) == []

    # -- many hands ----------------------------------------------------------------------------------------------

    def test_stores_that_are_opened_at_once_on_an_empty_place_agree(
        self, make_store: Callable[[], BaseJobStore]
    ) -> None:
        stores: list[BaseJobStore] = []
        at_once(4, lambda number: stores.append(make_store()))
        stores[0].add_job(make_job())
        assert [due_ids(store) for store in stores] == [["job"]] * 4

    def test_threads_share_a_store(self, store: BaseJobStore) -> None:
        ids = sorted(f"job{number}" for number in range(60))
        store.add_jobs([make_job(id) for id in ids])
        claimed: list[str] = []

        def work(number: int) -> None:
            node = f"node-{number}"
            store.renew(node, START, LEASE)
            while jobs := store.due(START, {"default": 7}):
                won = store.claim([plan(job, START) for job in jobs], node, START)
                runs = [run for decision in won for run in decision.runs]
                claimed.extend(run.job_id for run in runs)
                assert finish(store, runs) == []
                store.get_runs(limit=3)

        at_once(3, work)
        assert sorted(claimed) == ids
        assert {job.running for job in store.get_all_jobs()} == {0}

    def test_two_nodes_that_rescue_at_once_share_and_never_double(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        ids = sorted(f"job{number}" for number in range(20))
        store.add_jobs([make_job(id) for id in ids])
        assert len(claim(store)) == 20
        later = START + LEASE + SECOND
        taken: list[str] = []

        def rescue(number: int) -> None:
            through, node = (store, other)[number], f"rescuer-{number}"
            through.renew(node, later, LEASE)
            taken.extend(run.job_id for run in through.rescue(node, later))

        at_once(2, rescue)
        assert sorted(taken) == ids
        assert {run.attempt for run in store.get_runs(status=CLAIMED)} == {2}

    def test_a_job_that_was_removed_is_gone_for_all(self, store: BaseJobStore, other: BaseJobStore) -> None:
        store.add_job(make_job())
        decisions = decide(other)
        store.remove_job("job")
        with pytest.raises(JobLookupError):
            other.remove_job("job")
        other.renew(NODE, START, LEASE)
        assert other.claim(decisions, NODE, START) == []

    def test_many_jobs_are_added_all_or_none(self, store: BaseJobStore) -> None:
        store.add_job(make_job("job1", name="first"))
        with pytest.raises(ConflictingIdError, match="job1"):
            store.add_jobs([make_job(f"job{number}") for number in range(3)])
        assert [job.id for job in store.get_all_jobs()] == ["job1"]
        runs = claim(store)

        def replace(job: Any, stored: Any) -> None:
            job.name = f"{job.name} after {stored.name}"

        new = [make_job(f"job{number}", name="second") for number in range(3)]
        store.add_jobs(new, replace)
        names = {job.id: job.name for job in store.get_all_jobs()}
        assert names == {"job0": "second", "job1": "second after first", "job2": "second"}
        assert (running(store, "job1"), finish(store, runs), running(store, "job1")) == (1, [], 0)
        found = store.lookup_job("job2")
        assert found is not None
        assert found.version == new[2].version
        assert store.save_job(found, found.version)

    def test_a_store_can_be_stopped_and_started_again(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        store.shutdown()
        store.start(None, "default")
        assert due_ids(store) == ["job"]

    # -- retention -----------------------------------------------------------------------------------------------

    def test_pruning_leaves_runs_that_are_under_way(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        claim(store)
        store.prune(START + 10**15)
        assert statuses(store) == [CLAIMED]


def at_once(count: int, work: Callable[[int], None]) -> None:
    """Do something in several threads at once; raise what goes wrong in one of them."""
    barrier = Barrier(count)
    failures: list[BaseException] = []

    def do(number: int) -> None:
        try:
            barrier.wait(60)
            work(number)
        except BaseException as exc:
            failures.append(exc)

    threads = [Thread(target=do, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for failure in failures:
        raise failure
    assert not any(thread.is_alive() for thread in threads)
