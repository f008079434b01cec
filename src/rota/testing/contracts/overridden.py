"""What becomes of the methods that a program replaces on a store, or overrides in a subclass: each is called where ours would be.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from ...clock import SECOND, moment
from ...core.states import PAUSED
from .store_jobs import NODE, START, claim, due_ids, finish, make_job, running, statuses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...job.handle import Job
    from ...jobstores.base import BaseJobStore


def replace(store: BaseJobStore, **methods: Any) -> None:
    """Replace methods of a store by functions, as a program does."""
    for name, function in methods.items():
        setattr(store, name, function)
    store.obey_program()


class OverriddenContract:
    """What a store with a ledger of its own does when some of APScheduler's methods are replaced on it."""

    def test_what_a_replaced_method_gives_is_what_is_due(self, store: BaseJobStore) -> None:
        store.add_job(make_job("one"))
        store.add_job(make_job("two"))
        original = store.get_due_jobs
        replace(store, get_due_jobs=lambda now: [job for job in original(now) if job.id == "two"])
        assert due_ids(store) == ["two"]
        assert due_ids(store, room=0) == []
        assert [run.job_id for run in claim(store)] == ["two"]

    def test_a_replaced_next_run_time_is_the_next_due_time(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        replace(store, get_next_run_time=lambda: None)
        assert store.next_due(["default"]) is None
        replace(store, get_next_run_time=lambda: moment(START + 9))
        assert store.next_due(["default"]) == START + 9

    def test_a_replaced_listing_is_the_listing(self, store: BaseJobStore) -> None:
        store.add_job(make_job("one"))
        store.add_job(make_job("two"))
        original = store.get_all_jobs
        replace(store, get_all_jobs=lambda: [job for job in original() if job.id == "two"])
        assert [job.id for job in store.select_jobs()] == ["two"]
        assert store.select_jobs((PAUSED,)) == []

    def test_jobs_that_are_added_together_go_through_a_replaced_method(self, store: BaseJobStore) -> None:
        added, original = [], store.add_job

        def add_job(job: Job) -> None:
            added.append(job.id)
            original(job)

        replace(store, add_job=add_job)
        store.add_jobs([make_job("one"), make_job("two")])
        assert added == ["one", "two"]
        assert due_ids(store) == ["one", "two"]

    def test_r1_a_change_goes_through_a_replaced_method_if_the_version_is_the_one_that_was_looked_at(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        told, original = [], store.update_job

        def update_job(job: Job) -> None:
            told.append(job.name)
            original(job)

        replace(store, update_job=update_job)
        job = store.lookup_job("job")
        assert job is not None
        draft = job.copy()
        draft.name = "changed"
        assert not store.save_job(draft, job.version + 7)
        assert told == []
        assert store.save_job(draft, job.version)
        assert told == ["changed"]
        found = store.lookup_job("job")
        assert found is not None
        assert found.name == "changed"

    def test_r3_a_replaced_update_is_told_of_each_claim_and_what_the_claim_wrote_stays(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        told, original = [], store.update_job

        def update_job(job: Job) -> None:
            told.append((job.id, job.next_nominal))
            original(job)

        replace(store, update_job=update_job)
        runs = claim(store)
        assert told == [("job", START + 60 * SECOND)]
        found = store.lookup_job("job")
        assert found is not None
        assert (found.next_nominal, running(store)) == (START + 60 * SECOND, 1)
        assert finish(store, runs) == []
        assert (running(store), statuses(store)) == (0, ["succeeded"])

    def test_a_replaced_removal_decides_what_becomes_of_a_job_whose_schedule_is_over(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job("kept", every=None))
        store.add_job(make_job("removed", every=None))
        told, original = [], store.remove_job

        def remove_job(job_id: str) -> None:
            told.append(job_id)
            if job_id == "removed":
                original(job_id)

        replace(store, remove_job=remove_job)
        runs = claim(store)
        assert sorted(told) == ["kept", "removed"]
        assert finish(store, runs) == []
        assert store.lookup_job("removed") is None
        kept = store.lookup_job("kept")
        assert kept is not None
        assert (kept.state, kept.next_nominal) == (PAUSED, None)
        assert (statuses(store, "kept"), statuses(store, "removed")) == (["succeeded"], ["succeeded"])

    def test_an_error_of_a_replaced_method_after_a_claim_costs_no_run(self, store: BaseJobStore) -> None:
        store.add_job(make_job())

        def update_job(job: Job) -> None:
            raise OSError("away")

        replace(store, update_job=update_job)
        assert [run.owner for run in claim(store)] == [NODE]


class OverriddenStoredContract:
    """What a store that is derived from DurableJobStore does when its program restores jobs by itself; to be added to its suite."""

    def test_a_job_is_what_a_replaced_method_makes_of_what_was_stored(self, store: BaseJobStore) -> None:
        job = make_job(args=(1,))
        store.add_job(job)
        durable: Any = store
        original = durable._reconstitute_job

        def reconstitute_job(job_state: bytes) -> Job:
            made: Job = original(job_state)
            made.args = ("made of", *made.args)
            return made

        replace(store, _reconstitute_job=reconstitute_job)
        found = store.lookup_job("job")
        assert found is not None
        assert tuple(found.args) == ("made of", 1)
        assert (found.version, found.next_nominal) == (job.version, START)
        assert [tuple(job.args) for job in store.get_all_jobs()] == [("made of", 1)]
        (run,) = claim(store)
        assert run.job is not None
        assert tuple(run.job.args) == ("made of", 1)
        assert finish(store, [run]) == []
