"""What a durable store must do about housekeeping, so that it delays no job and keeps nothing for ever; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from ...clock import DAY, HOUR, MINUTE, SECOND
from ...core.queries import RunQuery
from ...core.run import fail
from ...core.states import FAILED, QUARANTINED, SUCCEEDED
from ...engine.housekeeping import in_steps
from ...jobstores.base import COUNTED, BaseJobStore
from ...jobstores.durable import DurableJobStore
from ..growth import grown
from .store_jobs import START, claim, finish, make_job

#: How many jobs or records are looked at in several steps.
MANY = 300
#: How many records each job has; stores read them job by job.
TIMES = 30


class HousekeepingContract:
    """What a durable store must do in steps, and what it may not keep."""

    #: how many records a step of housekeeping may delete, and how many jobs it may heal, at the most
    largest_step = 250
    #: where the bounds stand of what a store keeps up to a bound: of Rota's own ones, of how many jobs records are counted
    bounds: tuple[str, ...] = ("rota.jobstores.retention.BUSY",)

    def test_jobs_leave_quarantine_in_small_steps_and_what_is_left_is_told(self, store: BaseJobStore) -> None:
        jobs = [make_job(f"job{number:03}", START + DAY) for number in range(MANY)]
        for job in jobs:
            job.state, job.error = QUARANTINED, "its module was not there"
        store.add_jobs(jobs)
        healed: list[str] = []
        told: list[int] = []
        sizes: list[int] = []
        for some, left in in_steps(store, "heal", START):
            healed += [job.id for job in some]
            sizes.append(len(some))
            told.append(left)
        assert sorted(healed) == [job.id for job in jobs]
        assert told[-1] == 0
        if type(store).heal_in_steps is not BaseJobStore.heal_in_steps:
            assert max(sizes) <= self.largest_step
            assert 0 < max(told) <= COUNTED
        assert list(store.heal(START)) == []

    def test_what_somebody_repairs_or_removes_between_two_steps_is_left_alone(
        self, store: BaseJobStore
    ) -> None:
        jobs = [make_job(f"job{number:03}", START + DAY) for number in range(MANY)]
        for job in jobs:
            job.state, job.error = QUARANTINED, "its module was not there"
        store.add_jobs(jobs)
        steps = in_steps(store, "heal", START)
        healed = {job.id for job in next(steps)[0]}
        others = [job for job in jobs if job.id not in healed]
        for job in others[:2]:
            store.remove_job(job.id)
        for some, _ in steps:
            healed |= {job.id for job in some}
        assert healed == {job.id for job in jobs} - {job.id for job in others[:2]}

    def test_old_records_are_forgotten_in_small_steps_and_what_is_left_is_told(
        self, store: BaseJobStore
    ) -> None:
        if store.remembers is None:
            return
        store.add_jobs([make_job(f"job{number}") for number in range(MANY // TIMES)])
        for time in range(TIMES):
            now = START + time * MINUTE
            assert finish(store, claim(store, now), now) == []
        there = [MANY]
        told: list[int] = []
        for left in in_steps(store, "prune", START + store.remembers + DAY):
            there.append(len(store.get_runs(limit=2 * MANY)))
            told.append(left)
        assert there[-1] == 0 == told[-1]
        if type(store).prune_in_steps is not BaseJobStore.prune_in_steps:
            assert max(before - after for before, after in pairwise(there)) <= self.largest_step
            assert 0 < max(told) <= COUNTED

    def test_records_that_are_forgotten_before_their_hour_is_counted_are_in_the_counts_all_the_same(
        self, store: BaseJobStore
    ) -> None:
        """A job that runs often has few of its records left when the hour is over."""
        assert isinstance(store, DurableJobStore)
        store._bounds.keep = 3
        expected = {}
        for first in (
            START,
            START + HOUR,
            START + 12 * HOUR,
        ):  # none is counted; the hour that is counted next; long after
            id, now = f"job{first}", first
            store.add_job(make_job(id, first, every=60))
            for minute in range(20):
                now = first + minute * MINUTE
                runs = claim(store, now)
                assert [run.job_id for run in runs] == [id]
                if minute % 4 == 0:
                    fail(runs[0], ValueError("no"), "", now)
                    store.finish(runs, now)
                else:
                    finish(store, runs, now)
            expected[first] = {SUCCEEDED: 15, FAILED: 5}
            for later in (now, now + MINUTE, now + 2 * HOUR + MINUTE, now + 2 * HOUR + 2 * MINUTE):
                store.prune(later)
                store._bounds.end(0)  # all records are looked at again
                assert store.run_counts(START, later + HOUR) == expected
                of_failed = {hour: {FAILED: counts[FAILED]} for hour, counts in expected.items()}
                assert store.run_counts(START, later + HOUR, RunQuery(statuses=FAILED)) == of_failed
            assert len(store.get_runs(id)) == 3
            store.remove_job(id)

    def test_of_very_many_due_jobs_a_thousand_are_counted(self, store: BaseJobStore) -> None:
        store.add_jobs([make_job(f"job{number}", executor="elsewhere") for number in range(COUNTED + 5)])
        store.add_job(make_job("other", executor="other"))
        found = store.overdue(START, ())
        assert found.pop("other") == 1
        assert COUNTED <= found.pop("elsewhere") <= COUNTED + 5
        assert found == {}

    def test_nothing_grows_with_the_ids_that_a_store_has_seen(
        self, store: BaseJobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for bound in self.bounds:
            monkeypatch.setattr(bound, 8)

        def act(number: int) -> None:
            job_id, now = f"once{number}", START + number * SECOND
            store.add_job(make_job(job_id, now, every=None))
            node = f"node{number // 8}"
            assert finish(store, claim(store, now, node), now) == []
            store.add_job(make_job(job_id, now + DAY))
            store.remove_job(job_id)
            if number % 8 == 7:
                store.leave(node, [], now)
                store.prune(now)
                store.heal(now)

        assert grown(act, 12, store) == []
