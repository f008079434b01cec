"""What a job store must do that several processes may use at once, one sentence for each invariant; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from functools import partial

import pytest

from ...clock import SECOND
from ...core.plan import plan
from ...core.states import CLAIMED, QUARANTINED
from ...engine.damage import claim_singly
from ...errors import ConflictingIdError, JobLookupError
from .backfills import SharedBackfillContract
from .beside import SharedBesideContract
from .chained_places import SharedChainedPlacesContract
from .chains import SharedChainsContract
from .ended_jobs import SharedEndedJobsContract
from .failures import SharedFailuresContract
from .housekeeping import HousekeepingContract
from .orphans import OrphanContract
from .pairs import SharedPairsContract
from .store_jobs import (
    LEASE,
    NODE,
    OTHER,
    START,
    at_once,
    claim,
    decide,
    due_ids,
    finish,
    make_job,
    running,
    statuses,
    until_done,
)
from .waiting import SharedWaitingContract

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...core.run import Run
    from ...jobstores.base import BaseJobStore


class SharedJobStoreContract(
    OrphanContract,
    SharedBackfillContract,
    SharedBesideContract,
    SharedChainsContract,
    SharedChainedPlacesContract,
    SharedEndedJobsContract,
    SharedFailuresContract,
    SharedPairsContract,
    SharedWaitingContract,
    HousekeepingContract,
):
    """What a durable store that several processes may use at once must do, too."""

    # -- two stores, one database --------------------------------------------------------------------------------

    def test_what_one_store_adds_the_other_sees(self, store: BaseJobStore, other: BaseJobStore) -> None:
        store.add_job(make_job())
        assert due_ids(other) == ["job"]
        other.remove_job("job")
        assert store.get_all_jobs() == []

    def test_r1_of_two_nodes_that_claim_the_same_due_time_one_wins(
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

    def test_r3_a_node_is_told_of_every_run_that_the_ledger_holds_for_it(
        self, make_store: Callable[[], BaseJobStore]
    ) -> None:
        """Also if parts of its claims are refused, and other nodes claim the same jobs right after it."""
        stores = [make_store() for _ in range(3)]
        stores[0].add_jobs([make_job(f"job{number}", every=1, max_instances=30) for number in range(5)])
        told: list[tuple[str, str, int]] = []

        def work(number: int) -> None:
            node, store = f"node-{number}", stores[number]
            for second in range(9):
                told.extend(
                    (node, run.job_id, run.nominal) for run in claim(store, START + second * SECOND, node)
                )

        at_once(3, work)
        held = [(run.owner, run.job_id, run.nominal) for run in stores[0].get_runs(status=CLAIMED)]
        assert sorted(told) == sorted(held)

    def test_r2_a_limit_of_instances_holds_across_nodes(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job(every=1))
        claim(store)
        other.renew(OTHER, START, LEASE)
        (decision,) = decide(other, START + SECOND)
        assert decision.runs == []
        assert [record.reason for record in decision.records] == ["max_instances"]

    def test_r1_a_change_by_one_store_defeats_a_claim_by_the_other(
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

    # -- at the same time ----------------------------------------------------------------------------------------

    def test_stores_that_are_opened_at_once_on_an_empty_place_agree(
        self, make_store: Callable[[], BaseJobStore]
    ) -> None:
        stores: list[BaseJobStore] = []
        at_once(4, lambda number: stores.append(make_store()))
        stores[0].add_job(make_job())
        assert [due_ids(store) for store in stores] == [["job"]] * 4

    def test_a_job_that_is_removed_and_added_while_its_run_ends_counts_what_the_ledger_says(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job("neighbour"))
        store.add_job(make_job())
        for round in range(12):
            now = START + round * 60 * SECOND
            runs = claim(store, now)

            def work(number: int, now: int = now, runs: list[Run] = runs) -> None:
                if number:
                    other.remove_job("job")
                    other.add_job(make_job(due=now + 60 * SECOND))
                else:
                    finish(store, runs, now)

            at_once(2, work)
            assert store.get_runs(status=CLAIMED) == []
            assert (running(store), running(other, "neighbour")) == (0, 0)
        assert {run.status for run in claim(store, START + 720 * SECOND)} == {CLAIMED}

    def test_a_decision_that_its_store_cannot_keep_costs_its_own_job(self, store: BaseJobStore) -> None:
        """The engine claims each by itself then, unless the store has done so."""
        for id in ("first", "job", "last"):
            store.add_job(make_job(id))
        store.renew(NODE, START, LEASE)
        decisions = decide(store)
        for decision in decisions:
            if decision.job.id == "job":
                decision.next_nominal = decision.next_due = 2**70
        try:
            won = store.claim(decisions, NODE, START)
        except Exception as exc:
            won, left = claim_singly(store, decisions, NODE, START, exc)
            assert left is None
        assert sorted(decision.job.id for decision in won) == ["first", "job", "last"]
        assert sorted(run.job_id for run in store.get_runs(status=CLAIMED)) == ["first", "last"]
        found = store.lookup_job("job")
        assert found is not None
        assert (found.state, found.running) == (QUARANTINED, 0)
        assert "refuses" in (found.error or "")
        assert due_ids(store) == []

    def test_threads_share_a_store(self, store: BaseJobStore) -> None:
        ids = sorted(f"job{number}" for number in range(60))
        store.add_jobs([make_job(id) for id in ids])
        claimed: list[str] = []

        def work(number: int) -> None:
            node = f"node-{number}"
            until_done(lambda: store.renew(node, START, LEASE))
            while jobs := store.due(START, {"default": 7}):
                decisions = [plan(job, START) for job in jobs]
                won = until_done(partial(store.claim, decisions, node, START))
                runs = [run for decision in won for run in decision.runs]
                claimed.extend(run.job_id for run in runs)
                assert finish(store, runs) == []
                store.get_runs(limit=3)

        at_once(3, work)
        assert sorted(claimed) == ids
        assert {job.running for job in store.get_all_jobs()} == {0}

    def test_r1_a_job_that_was_removed_is_gone_for_all(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
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
