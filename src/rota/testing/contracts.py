"""What every job store must do, one sentence for each invariant; for pytest.

Knows the port only, no store. Derive from :class:`JobStoreContract`, or from :class:`SharedJobStoreContract` if several
processes may use the store's data at once, and give the fixture ``make_store``::

    class TestMyStore(SharedJobStoreContract):
        @pytest.fixture
        def make_store(self, tmp_path):
            stores = []

            def make():
                store = MyStore(tmp_path / "jobs")
                store.start(None, "default")
                stores.append(store)
                return store

            yield make
            for store in stores:
                store.shutdown()
"""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from ..clock import HELD, SECOND, moment
from ..core.plan import ACTIVE, PAUSED, QUARANTINED, Decision, plan, quarantine
from ..core.policy import with_options
from ..core.run import CANCELLED, CLAIMED, FAILED, LOST, SKIPPED, SUCCEEDED, Run, end, fail, succeed
from ..errors import ConflictingIdError, JobLookupError, SerializationError, StoreError, TransientJobError
from ..job import Job
from ..triggers.date import DateTrigger
from ..triggers.interval import IntervalTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ..jobstores.base import BaseJobStore

#: 2026-01-01T00:00:00Z as an instant; the tests' time starts here.
START = 1_767_225_600 * SECOND
LEASE = 15 * SECOND
NODE = "node-1"
OTHER = "node-2"


def task(*args: Any, **kwargs: Any) -> None:
    """Be the callable of the tests' jobs."""


class Worker:
    """An object whose method is a job's callable."""

    def work(self) -> None:
        """Do nothing."""


def make_job(
    id: str = "job", due: int | None = START, every: int | None = 60, func: Any = task, **attributes: Any
) -> Job:
    """Return a job that is in no store yet.

    :param due: its next nominal time (instant), None for a paused job
    :param every: seconds between its times, None for a job that runs once
    """
    trigger = (
        IntervalTrigger(seconds=every, start_date=moment(START), timezone="UTC")
        if every
        else DateTrigger(moment(START))
    )
    values: dict[str, Any] = {"args": (), "kwargs": {}, "executor": "default", "trigger": trigger}
    options: dict[str, Any] = {
        name: attributes.pop(name)
        for name in ("max_instances", "coalesce", "on_lost", "max_attempts")
        if name in attributes
    }
    job = Job(None, id=id, func=func, **{**values, **attributes})
    job.policy = with_options(job.policy, options)
    job.set_next(due)
    return job


def due_ids(store: BaseJobStore, now: int = START, room: int = 1000) -> list[str]:
    """Return the ids of the due jobs of the default executor."""
    return [job.id for job in store.due(now, {"default": room})]


def decide(store: BaseJobStore, now: int = START) -> list[Decision]:
    """Return the planner's decisions for what is due."""
    return [plan(job, now) for job in store.due(now, {"default": 1000})]


def claim(store: BaseJobStore, now: int = START, node: str = NODE) -> list[Run]:
    """Claim what is due for a node that has a lease; return the runs."""
    store.renew(node, now, LEASE)
    return [run for won in store.claim(decide(store, now), node, now) for run in won.runs]


def finish(store: BaseJobStore, runs: Sequence[Run], now: int = START) -> list[Run]:
    """End runs with success; return the refused ones."""
    for run in runs:
        run.started_at = now
        succeed(run, None, now + SECOND)
    return store.finish(runs, now + SECOND)


def running(store: BaseJobStore, job_id: str = "job") -> int:
    """Return how many runs of a stored job are under way."""
    job = store.lookup_job(job_id)
    assert job is not None
    return job.running


def statuses(store: BaseJobStore, job_id: str = "job") -> list[str]:
    """Return the states of a job's records, oldest first."""
    return [run.status for run in reversed(store.get_runs(job_id))]


class JobStoreContract:
    """What every job store with a ledger of its own must do."""

    @pytest.fixture
    def make_store(self) -> Callable[[], BaseJobStore]:
        """Return a function that opens the same data once more, in a store that is started; the subclass gives it."""
        raise NotImplementedError("give the fixture make_store in the subclass")

    @pytest.fixture
    def store(self, make_store: Callable[[], BaseJobStore]) -> BaseJobStore:
        return make_store()

    # -- the eight methods ---------------------------------------------------------------------------------------

    def test_a_job_comes_back_as_it_was_added(self, store: BaseJobStore) -> None:
        job = make_job(
            name="greeting",
            args=(1, "two"),
            kwargs={"three": [3.0]},
            executor="pool",
            max_instances=3,
            coalesce=False,
        )
        job.set_next(START, START + 7)
        store.add_job(job)
        found = store.lookup_job("job")
        assert found is not None
        assert (found.id, found.name, found.func, found.executor) == ("job", "greeting", task, "pool")
        assert (tuple(found.args), dict(found.kwargs)) == ((1, "two"), {"three": [3.0]})
        assert str(found.trigger) == str(job.trigger)
        assert found.trigger.after(START, START) == job.trigger.after(START, START)
        assert found.policy == job.policy
        assert (found.next_nominal, found.next_due, found.state) == (START, START + 7, ACTIVE)

    def test_an_unknown_job_is_none(self, store: BaseJobStore) -> None:
        assert store.lookup_job("nobody") is None

    def test_a_second_job_of_the_same_id_is_refused_and_the_first_one_stays(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(name="first"))
        with pytest.raises(ConflictingIdError):
            store.add_job(make_job(name="second"))
        assert [job.name for job in store.get_all_jobs()] == ["first"]

    def test_an_updated_job_replaces_the_stored_one(self, store: BaseJobStore) -> None:
        store.add_job(make_job(name="before"))
        store.update_job(make_job(name="after", due=START + SECOND, args=(1,)))
        found = store.lookup_job("job")
        assert found is not None
        assert (found.name, found.next_nominal, tuple(found.args)) == ("after", START + SECOND, (1,))

    def test_an_unknown_job_can_neither_be_updated_nor_saved_nor_removed(self, store: BaseJobStore) -> None:
        with pytest.raises(JobLookupError):
            store.update_job(make_job("nobody"))
        with pytest.raises(JobLookupError):
            store.save_job(make_job("nobody"), 1)
        with pytest.raises(JobLookupError):
            store.remove_job("nobody")

    def test_a_removed_job_is_gone_and_its_neighbour_stays(self, store: BaseJobStore) -> None:
        store.add_job(make_job("one"))
        store.add_job(make_job("two"))
        store.remove_job("one")
        assert store.lookup_job("one") is None
        assert due_ids(store) == ["two"]

    def test_all_jobs_can_be_removed_at_once(self, store: BaseJobStore) -> None:
        store.add_job(make_job("one"))
        store.add_job(make_job("two", due=None))
        store.remove_all_jobs()
        assert store.get_all_jobs() == []
        assert store.next_due(["default"]) is None

    def test_all_jobs_come_sorted_by_time_and_paused_ones_last(self, store: BaseJobStore) -> None:
        for id, due in (("late", START + 2), ("paused", None), ("early", START), ("middle", START + 1)):
            store.add_job(make_job(id, due))
        assert [job.id for job in store.get_all_jobs()] == ["early", "middle", "late", "paused"]

    def test_due_jobs_are_those_up_to_now_earliest_first(self, store: BaseJobStore) -> None:
        for id, due in (("later", START + 1), ("now", START), ("paused", None), ("before", START - 1)):
            store.add_job(make_job(id, due))
        assert [job.id for job in store.get_due_jobs(moment(START))] == ["before", "now"]

    def test_the_next_run_time_is_the_earliest_of_the_jobs_that_are_not_paused(
        self, store: BaseJobStore
    ) -> None:
        assert store.get_next_run_time() is None
        store.add_job(make_job("paused", None))
        assert store.get_next_run_time() is None
        store.add_job(make_job("late", START + 5))
        store.add_job(make_job("early", START))
        assert store.get_next_run_time() == moment(START)

    # -- due -----------------------------------------------------------------------------------------------------

    def test_no_more_jobs_are_due_than_their_executor_has_room_for(self, store: BaseJobStore) -> None:
        for number in range(4):
            store.add_job(make_job(f"a{number}", START - number))
            store.add_job(make_job(f"b{number}", START - 10 - number, executor="b"))
        found = [job.id for job in store.due(START, {"default": 2, "b": 1})]
        assert found == ["b3", "a3", "a2"]

    def test_jobs_of_executors_that_were_not_asked_for_are_not_due(self, store: BaseJobStore) -> None:
        store.add_job(make_job(executor="elsewhere"))
        assert due_ids(store) == []
        assert store.next_due(["default"]) is None
        assert store.next_due(["default", "elsewhere"]) == START

    def test_due_jobs_of_unknown_executors_are_counted(self, store: BaseJobStore) -> None:
        store.add_job(make_job("one", executor="elsewhere"))
        store.add_job(make_job("two", executor="elsewhere"))
        store.add_job(make_job("later", START + 1, executor="elsewhere"))
        store.add_job(make_job("known"))
        assert store.overdue(START, ["default"]) == {"elsewhere": 2}

    def test_a_job_is_due_at_its_due_time_and_not_at_its_nominal_time(self, store: BaseJobStore) -> None:
        job = make_job()
        job.set_next(START, START + 5)
        store.add_job(job)
        assert due_ids(store, START + 4) == []
        assert store.next_due(["default"]) == START + 5
        assert due_ids(store, START + 5) == ["job"]

    def test_reading_what_is_due_takes_nothing_away(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        assert due_ids(store) == due_ids(store) == ["job"]

    # -- claim and finish ----------------------------------------------------------------------------------------

    def test_a_claim_moves_the_job_counts_its_run_and_records_it(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        (run,) = claim(store, START + 1)
        found = store.lookup_job("job")
        assert found is not None
        assert (found.next_nominal, found.next_due, found.running) == (
            START + 60 * SECOND,
            START + 60 * SECOND,
            1,
        )
        assert (run.owner, run.claimed_at, run.attempt) == (NODE, START + 1, 1)
        (record,) = store.get_runs("job")
        assert (record.nominal, record.status, record.owner, record.attempt) == (START, CLAIMED, NODE, 1)
        assert due_ids(store, START + 1) == []

    def test_of_two_claims_of_the_same_due_time_one_wins(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        store.renew(NODE, START, LEASE)
        first, second = decide(store), decide(store)
        assert len(store.claim(first, NODE, START)) == 1
        assert store.claim(second, NODE, START) == []
        assert statuses(store) == [CLAIMED]

    def test_a_claim_of_a_job_that_was_changed_or_removed_leaves_it_alone(self, store: BaseJobStore) -> None:
        for id in ("changed", "paused", "removed", "untouched"):
            store.add_job(make_job(id))
        store.renew(NODE, START, LEASE)
        decisions = decide(store)
        store.update_job(make_job("changed", START + 1))
        store.update_job(make_job("paused", None))
        store.remove_job("removed")
        won = store.claim(decisions, NODE, START)
        assert [decision.job.id for decision in won] == ["untouched"]
        assert [run.job_id for run in store.get_runs()] == ["untouched"]
        paused = store.lookup_job("paused")
        assert paused is not None
        assert paused.state == PAUSED

    def test_a_decision_about_a_removed_job_does_not_hit_a_new_job_of_its_id(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        store.renew(NODE, START, LEASE)
        decisions = decide(store)
        store.remove_job("job")
        store.add_job(make_job(name="another"))
        assert store.claim(decisions, NODE, START) == []

    def test_an_ended_run_is_recorded_and_counted_down(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        (run,) = claim(store)
        run.started_at = START + 1
        succeed(run, "result", START + 2)
        assert store.finish([run], START + 3) == []
        (record,) = store.get_runs("job")
        assert (record.status, record.retval) == (SUCCEEDED, "result")
        assert (record.started_at, record.finished_at) == (START + 1, START + 2)
        assert running(store) == 0

    def test_a_failed_run_keeps_its_error(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        (run,) = claim(store)
        fail(run, ValueError("no good"), "Traceback …", START + 2)
        store.finish([run], START + 3)
        (record,) = store.get_runs(status=FAILED)
        assert (record.error_type, record.error, record.traceback) == ("ValueError", "no good", "Traceback …")

    def test_times_that_did_not_run_are_recorded_with_their_range(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        (run,) = claim(store, START + 600 * SECOND)
        assert run.nominal == START + 600 * SECOND
        (record,) = store.get_runs(status=SKIPPED)
        assert (record.nominal, record.last, record.count) == (START, START + 540 * SECOND, 10)
        assert record.reason == "coalesced"
        assert running(store) == 1

    def test_a_job_that_waits_for_its_runs_becomes_due_when_the_last_has_ended(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(every=1, coalesce=False))
        now = START + 150 * SECOND
        runs = claim(store, now)
        assert len(runs) == 100
        held = store.lookup_job("job")
        assert held is not None
        assert held.next_due == HELD
        assert store.next_due(["default"]) is None
        finish(store, runs[1:], now)
        assert due_ids(store, now) == []
        finish(store, runs[:1], now)
        assert store.next_due(["default"]) == START + 100 * SECOND
        assert due_ids(store, now) == ["job"]

    def test_a_job_whose_schedule_is_over_disappears_and_its_last_run_can_end(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(every=None))
        runs = claim(store)
        assert store.lookup_job("job") is None
        assert store.get_all_jobs() == []
        assert due_ids(store, START + 10**9) == []
        assert finish(store, runs) == []
        assert statuses(store) == [SUCCEEDED]

    def test_the_id_of_an_ended_job_can_be_used_again_and_its_last_run_still_counts(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(every=None))
        runs = claim(store)
        store.add_job(make_job(name="again", due=START + SECOND))
        assert running(store) == 1
        finish(store, runs)
        assert running(store) == 0
        assert [job.name for job in store.get_all_jobs()] == ["again"]
        with pytest.raises(ConflictingIdError):
            store.add_job(make_job())

    def test_a_run_of_a_removed_job_can_end_and_counts_for_a_new_job_of_its_id(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        runs = claim(store)
        store.remove_job("job")
        store.add_job(make_job(due=START + SECOND))
        assert running(store) == 1
        assert finish(store, runs) == []
        assert running(store) == 0
        assert statuses(store) == [SUCCEEDED]

    def test_a_quarantined_job_is_visible_with_its_reason_and_never_due(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        store.renew(NODE, START, LEASE)
        (job,) = store.due(START, {"default": 10})
        assert len(store.claim([quarantine(job, "it is broken")], NODE, START)) == 1
        assert due_ids(store) == []
        assert store.next_due(["default"]) is None
        (found,) = store.get_all_jobs()
        assert (found.state, found.error, found.next_nominal) == (QUARANTINED, "it is broken", START)
        store.remove_job("job")
        assert store.get_all_jobs() == []

    # -- changes by the user -------------------------------------------------------------------------------------

    def test_saving_a_copy_of_an_old_version_changes_nothing(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        found = store.lookup_job("job")
        assert found is not None
        first, second, version = found.copy(), found.copy(), found.version
        first.name, second.name = "first", "second"
        assert store.save_job(first, version)
        assert not store.save_job(second, version)
        assert [job.name for job in store.get_all_jobs()] == ["first"]

    def test_a_saved_job_can_be_saved_again_with_its_new_version(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        for name in ("first", "second"):
            found = store.lookup_job("job")
            assert found is not None
            changed = found.copy()
            changed.name = name
            assert store.save_job(changed, found.version)
        assert [job.name for job in store.get_all_jobs()] == ["second"]

    def test_pausing_a_job_does_not_forget_its_running_runs(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        runs = claim(store)
        found = store.lookup_job("job")
        assert found is not None
        paused = found.copy()
        paused.set_next(None)
        assert store.save_job(paused, found.version)
        assert running(store) == 1
        finish(store, runs)
        assert running(store) == 0
        assert due_ids(store, START + 10**9) == []

    # -- records -------------------------------------------------------------------------------------------------

    def test_records_come_newest_first_and_can_be_filtered(self, store: BaseJobStore) -> None:
        store.add_job(make_job("a", every=5))
        store.add_job(make_job("b", START + 1, every=5))
        finish(store, claim(store, START + 1))
        (last, _) = claim(store, START + 5 * SECOND + 1)
        end(last, CANCELLED, "stopped", START + 6 * SECOND)
        store.finish([last], START + 6 * SECOND)
        assert len(store.get_runs()) == 4
        assert len(store.get_runs(limit=3)) == 3
        times = [run.nominal for run in store.get_runs("a")]
        assert times == sorted(times, reverse=True)
        assert {run.job_id for run in store.get_runs("b")} == {"b"}
        assert [run.reason for run in store.get_runs(status=CANCELLED)] == ["stopped"]
        assert len(store.get_runs(status=(CANCELLED, CLAIMED))) == 2
        assert len(store.get_runs("a", status=SUCCEEDED)) == 1


class SharedJobStoreContract(JobStoreContract):
    """What a durable store must do besides, which several processes may use at once."""

    @pytest.fixture
    def other(self, store: BaseJobStore, make_store: Callable[[], BaseJobStore]) -> BaseJobStore:
        """Return a second store object on the same data."""
        return make_store()

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
        assert not store.renew(NODE, START + 2 * LEASE + 1, LEASE)
        assert not store.renew(NODE, START + 2 * LEASE + 2, LEASE)
        assert store.renew(OTHER, START + 2 * LEASE + 2, LEASE)

    def test_a_node_whose_lease_is_over_claims_nothing(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        store.renew(NODE, START, LEASE)
        later = START + LEASE + 1
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

    def test_a_run_of_a_dead_node_is_taken_over_with_a_raised_attempt(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job(args=(1,)))
        (stale,) = claim(store)
        later = START + LEASE + 1
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
        later = START + LEASE + 1
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
        later = START + LEASE + 1
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
        later = START + LEASE + 1
        store.renew(OTHER, later, LEASE)
        (run,) = store.rescue(OTHER, later)
        assert run.status == LOST
        assert NODE in (run.reason or "")
        assert statuses(store) == [LOST]
        assert running(store) == 0

    def test_a_run_of_a_dead_node_whose_job_was_removed_is_lost(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        claim(store)
        store.remove_job("job")
        later = START + LEASE + 1
        store.renew(OTHER, later, LEASE)
        (run,) = store.rescue(OTHER, later)
        assert run.status == LOST
        assert statuses(store) == [LOST]

    def test_the_last_run_of_an_ended_job_is_rescued_too(self, store: BaseJobStore) -> None:
        store.add_job(make_job(every=None))
        claim(store)
        later = START + LEASE + 1
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
        later = START + 2 * SECOND + LEASE + 1
        store.renew(OTHER, later, LEASE)
        runs = store.rescue(OTHER, later)
        followers = {id(run.then) for run in runs}
        assert sorted(run.job_id for run in runs if id(run) not in followers) == ["job", "single"]
        assert [run.nominal for run in runs if run.job_id == "job"] == [START + n * SECOND for n in range(3)]

    def test_no_more_runs_are_rescued_than_there_is_room_for(self, store: BaseJobStore) -> None:
        for number in range(5):
            store.add_job(make_job(f"job{number}"))
        claim(store)
        later = START + LEASE + 1
        store.renew(OTHER, later, LEASE)
        assert len(store.rescue(OTHER, later, {"default": 2})) == 2
        assert store.rescue(OTHER, later, {"elsewhere": 2}) == []
        assert len(store.rescue(OTHER, later, {"default": 9})) == 3

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

    # -- unique records ------------------------------------------------------------------------------------------

    def test_a_second_run_of_a_nominal_time_moves_by_a_microsecond_and_is_not_dropped(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job("neighbour"))
        for expected in range(3):
            store.add_job(make_job())
            runs = {run.job_id: run for run in claim(store)}
            assert runs["job"].nominal == START + expected
            assert finish(store, list(runs.values())) == []
            store.remove_job("job")
        assert [run.nominal for run in store.get_runs("job")] == [START + 2, START + 1, START]
        assert len(store.get_runs("neighbour")) == 1

    # -- what cannot be restored ---------------------------------------------------------------------------------

    @pytest.fixture
    def volatile(self) -> Any:
        """Give a module whose content can go away."""
        module = ModuleType("rota_contract_volatile")
        module.task = task  # type: ignore[attr-defined]
        sys.modules[module.__name__] = module
        yield module
        del sys.modules[module.__name__]

    def test_a_job_whose_code_is_gone_is_quarantined_and_healed_when_it_is_back(
        self, store: BaseJobStore, other: BaseJobStore, volatile: Any
    ) -> None:
        store.add_job(make_job(func="rota_contract_volatile:task", args=("kept",)))
        del volatile.task
        (job,) = other.due(START, {"default": 10})
        assert job.state == QUARANTINED
        assert "rota_contract_volatile:task" in (job.error or "")
        (listed,) = other.get_all_jobs()
        assert (listed.state, listed.error, listed.name) == (QUARANTINED, job.error, "task")
        other.renew(NODE, START, LEASE)
        assert len(other.claim([quarantine(job, job.error or "")], NODE, START)) == 1
        assert due_ids(other) == []
        assert other.heal(START) == []
        volatile.task = task
        assert [healed.id for healed in other.heal(START)] == ["job"]
        (healed,) = store.due(START, {"default": 10})
        assert (healed.state, healed.error, healed.func, tuple(healed.args)) == (
            ACTIVE,
            None,
            task,
            ("kept",),
        )

    def test_a_change_of_a_job_that_cannot_be_restored_keeps_its_data(
        self, store: BaseJobStore, volatile: Any
    ) -> None:
        store.add_job(make_job(func="rota_contract_volatile:task", args=("kept",)))
        del volatile.task
        broken = store.lookup_job("job")
        assert broken is not None
        broken.name = "renamed"
        assert store.save_job(broken, broken.version)
        volatile.task = task
        store.heal(START)
        (job,) = store.due(START, {"default": 10})
        assert (job.name, job.func, tuple(job.args)) == ("renamed", task, ("kept",))

    def test_a_job_that_cannot_be_planned_is_not_healed(self, store: BaseJobStore) -> None:
        store.add_job(make_job("good"))
        broken = make_job("broken", trigger=BrokenTrigger())
        store.add_job(broken)
        store.renew(NODE, START, LEASE)
        decisions = [quarantine(job, "planning failed") for job in store.due(START, {"default": 10})]
        store.claim(decisions, NODE, START)
        assert [job.id for job in store.heal(START)] == ["good"]
        (found,) = [job for job in store.get_all_jobs() if job.id == "broken"]
        assert (found.state, found.error) == (QUARANTINED, "planning failed")

    def test_a_job_that_does_not_fit_is_refused_before_anything_is_stored(self, store: BaseJobStore) -> None:
        with pytest.raises(SerializationError, match=r"args\[1\]\['conn'\].*Worker"):
            store.add_job(make_job(args=(1, {"conn": Worker()})))
        with pytest.raises(TransientJobError):
            store.add_job(make_job(func=lambda: None))
        assert store.get_all_jobs() == []

    def test_what_is_refused_when_it_is_added_is_refused_when_it_is_checked(
        self, store: BaseJobStore
    ) -> None:
        store.check_job(make_job())
        with pytest.raises(SerializationError, match=r"kwargs\['x'\]"):
            store.check_job(make_job(kwargs={"x": Worker()}))
        assert store.get_all_jobs() == []

    # -- retention -----------------------------------------------------------------------------------------------

    def test_pruning_leaves_runs_that_are_under_way(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        claim(store)
        store.prune(START + 10**15)
        assert statuses(store) == [CLAIMED]


class BrokenTrigger(IntervalTrigger):
    """A trigger that raises."""

    def __init__(self) -> None:
        super().__init__(seconds=1)

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Raise."""
        raise RuntimeError("broken")
