"""What becomes of the runs of dead nodes, and of runs that a node gave back, in every store that nodes share; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

import pytest

from ...clock import SECOND
from ...core.plan import once_more
from ...core.states import CANCELLED, CLAIMED, LOST, MANUAL, PAUSED, SUCCEEDED, TIMED_OUT
from ...core.timeouts import MARK, TIMEOUT, mark_of
from .leases import LeaseContract
from .store_jobs import (
    LEASE,
    MARGIN,
    NODE,
    OTHER,
    START,
    at_once,
    claim,
    finish,
    make_job,
    running,
    statuses,
    until_done,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...jobstores.base import BaseJobStore


class OrphanContract(LeaseContract):
    """What a durable store must do about runs that no living node owns."""

    def test_the_runs_of_a_living_node_are_not_rescued(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        claim(store)
        other.renew(OTHER, START, LEASE)
        assert other.rescue(OTHER, START + LEASE - MARGIN) == []

    def test_a_node_whose_lease_is_over_rescues_nothing_not_even_its_own(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        runs = claim(store)
        later = START + LEASE + MARGIN
        assert store.rescue(NODE, later) == []
        assert store.rescue(NODE, later, in_doubt=True) == []
        assert finish(store, runs, later) == []

    def test_r5_a_run_of_a_dead_node_is_taken_over_with_a_raised_attempt(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job(args=(1,)))
        (stale,) = claim(store)
        later = START + LEASE + MARGIN
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

    def test_r5_a_run_that_ended_before_it_was_rescued_is_accepted(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        runs = claim(store)
        later = START + LEASE + MARGIN
        assert finish(store, runs, later) == []
        other.renew(OTHER, later, LEASE)
        assert other.rescue(OTHER, later) == []

    def test_r5_an_end_that_is_presented_twice_counts_once(self, store: BaseJobStore) -> None:
        store.add_job(make_job(every=5, max_instances=3))
        (run,) = claim(store)
        claim(store, START + 5 * SECOND)
        assert finish(store, [run]) == []
        assert finish(store, [run]) == []  # the answer to the first was lost
        assert running(store) == 1

    def test_r5_a_refused_run_does_not_hold_up_its_neighbours(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job("stale"))
        stale = claim(store)
        later = START + LEASE + MARGIN
        other.renew(OTHER, later, LEASE)
        other.rescue(OTHER, later)
        other.add_job(make_job("fresh", later))
        fresh = claim(other, later, OTHER)
        assert finish(store, [*stale, *fresh], later) == stale
        assert statuses(store, "fresh") == [SUCCEEDED]
        assert (running(store, "fresh"), running(store, "stale")) == (0, 1)

    def test_runs_of_a_job_that_may_not_be_taken_are_left_as_they_are_and_cost_no_other(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        """The engine leaves out what the store has refused to give."""
        store.add_jobs([make_job("a"), make_job("b"), make_job("lost", on_lost="lost")])
        claim(store)
        later = START + LEASE + MARGIN
        other.renew(OTHER, later, LEASE)
        asked: set[tuple[str, int | None]] = set()

        def rescue(*may: str) -> list[tuple[str, str]]:
            def may_take(job_id: str, nominal: int | None) -> bool:
                asked.add((job_id, nominal))
                return job_id in may

            runs = until_done(lambda: other.rescue(OTHER, later, {"default": 1}, may_take=may_take))
            return [(run.job_id, run.status) for run in runs]

        assert rescue() == []
        assert asked == {("a", None), ("b", None), ("lost", None)}
        assert {run.owner for run in store.get_runs(status=CLAIMED)} == {NODE}
        assert rescue("b") == [("b", CLAIMED)]  # what is left takes nobody's room
        assert rescue("lost") == [("lost", LOST)]
        assert rescue("a", "b", "lost") == [("a", CLAIMED)]

    @pytest.mark.parametrize("options", [{}, {"on_lost": "lost"}, {"max_attempts": 1}])
    def test_a_run_whose_time_was_over_when_its_node_died_has_timed_out(
        self, store: BaseJobStore, other: BaseJobStore, options: dict[str, Any]
    ) -> None:
        """Before anything else is asked; what was said of an earlier attempt counts for nothing."""
        store.add_job(make_job(timeout=1, **options))
        (stale,) = claim(store)
        store.write_parts([(stale.job_id, stale.nominal, {MARK: mark_of(stale, TIMEOUT)})], NODE)
        later = START + LEASE + MARGIN
        other.renew(OTHER, later, LEASE)
        (run,) = other.rescue(OTHER, later)
        assert (run.status, run.reason, run.attempt, run.finished_at) == (TIMED_OUT, TIMEOUT, 1, later)
        assert running(store) == 0
        (record,) = store.get_runs("job")
        assert (record.status, record.reason, record.owner) == (TIMED_OUT, TIMEOUT, NODE)
        assert finish(store, [stale], later) == [stale]

    def test_a_run_that_is_rescued_again_is_not_judged_by_its_first_attempt(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        """The time of each attempt is its own."""
        store.add_job(make_job(timeout=1))
        (stale,) = claim(store)
        stale.attempt += 1
        store.write_parts([(stale.job_id, stale.nominal, {MARK: mark_of(stale, TIMEOUT)})], NODE)
        later = START + LEASE + MARGIN
        other.renew(OTHER, later, LEASE)
        (run,) = other.rescue(OTHER, later)
        assert (run.status, run.attempt) == (CLAIMED, 2)

    @pytest.mark.parametrize("options", [{"on_lost": "lost"}, {"max_attempts": 1}])
    def test_a_run_that_may_not_be_repeated_is_lost(
        self, store: BaseJobStore, options: dict[str, Any]
    ) -> None:
        store.add_job(make_job(**options))
        claim(store)
        later = START + LEASE + MARGIN
        store.renew(OTHER, later, LEASE)
        (run,) = store.rescue(OTHER, later)
        assert run.status == LOST
        assert NODE in (run.reason or "")
        assert statuses(store) == [LOST]
        assert running(store) == 0

    def test_a_run_is_taken_over_though_its_job_was_paused_and_with_what_it_was_edited_to(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job(max_attempts=2))
        claim(store)
        found = store.lookup_job("job")
        assert found is not None
        edited = found.copy()
        edited.args = (2,)
        edited.set_next(None)
        assert store.save_job(edited, found.version)
        later = START + LEASE + MARGIN
        other.renew(OTHER, later, LEASE)
        (run,) = other.rescue(OTHER, later)
        assert (run.status, run.attempt) == (CLAIMED, 2)
        assert run.job is not None
        assert (run.job.state, run.job.args) == (PAUSED, (2,))

    def test_the_record_of_a_lost_run_has_the_name_of_a_job_that_is_gone(self, store: BaseJobStore) -> None:
        store.add_job(make_job("once", every=None, name="nightly report", on_lost="lost"))
        claim(store)
        later = START + LEASE + MARGIN
        store.renew(OTHER, later, LEASE)
        assert [run.status for run in store.rescue(OTHER, later)] == [LOST]
        store.remove_job("once")
        assert store.lookup_job("once") is None
        assert [(run.status, run.name) for run in store.get_runs()] == [(LOST, "nightly report")]

    def test_a_run_that_nobody_has_begun_is_cancelled_when_its_job_was_removed(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        store.leave(NODE, claim(store), START)
        store.remove_job("job")
        store.renew(OTHER, START, LEASE)
        (run,) = store.rescue(OTHER, START)
        assert (run.status, run.reason) == (CANCELLED, "its job was removed before it started")
        assert statuses(store) == [CANCELLED]
        assert store.rescue(OTHER, START) == []

    def test_a_run_of_a_dead_node_whose_job_was_removed_is_lost(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        claim(store)
        store.remove_job("job")
        later = START + LEASE + MARGIN
        store.renew(OTHER, later, LEASE)
        (run,) = store.rescue(OTHER, later)
        assert run.status == LOST
        assert statuses(store) == [LOST]

    def test_a_run_whose_time_was_over_has_timed_out_even_if_its_job_was_removed(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(timeout=1))
        (run,) = claim(store)
        store.write_parts([(run.job_id, run.nominal, {MARK: mark_of(run, TIMEOUT)})], NODE)
        store.remove_job("job")
        later = START + LEASE + MARGIN
        store.renew(OTHER, later, LEASE)
        (run,) = store.rescue(OTHER, later)
        assert (run.status, run.reason) == (TIMED_OUT, TIMEOUT)
        assert statuses(store) == [TIMED_OUT]

    def test_r6_the_last_run_of_an_ended_job_is_rescued_too(self, store: BaseJobStore) -> None:
        store.add_job(make_job(every=None))
        claim(store)
        later = START + LEASE + MARGIN
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
        later = START + 2 * SECOND + LEASE + MARGIN
        store.renew(OTHER, later, LEASE)
        runs = store.rescue(OTHER, later)
        followers = {id(run.then) for run in runs}
        assert sorted(run.job_id for run in runs if id(run) not in followers) == ["job", "single"]
        assert [run.nominal for run in runs if run.job_id == "job"] == [START + n * SECOND for n in range(3)]

    def test_what_a_node_has_in_hand_it_is_not_given_again_when_its_new_owner_dies_too(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job("neighbour"))
        store.add_job(make_job(every=1, coalesce=False))
        runs = claim(store, START + SECOND)
        known = [(run.job_id, run.nominal) for run in runs if run.job_id == "job"][:1]
        later = START + LEASE + MARGIN + SECOND
        other.renew(OTHER, later, LEASE)
        assert len(other.rescue(OTHER, later)) == 3
        much_later = later + LEASE + MARGIN
        store.renew(NODE, much_later, LEASE)
        found = store.rescue(NODE, much_later, known=known)
        assert [(run.job_id, run.attempt) for run in found] == [("neighbour", 3)]
        assert [run.attempt for run in store.rescue(NODE, much_later)] == [3, 3]

    def test_a_node_may_take_what_was_given_back_and_nothing_else(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job("given back"))
        store.add_job(make_job("under way"))
        runs = claim(store)
        store.leave(NODE, [run for run in runs if run.job_id == "given back"], START)
        later = START + LEASE + MARGIN
        other.renew(OTHER, later, LEASE)
        assert [run.job_id for run in other.rescue(OTHER, later, ownerless=True)] == ["given back"]
        assert other.rescue(OTHER, later, ownerless=True) == []
        assert [run.job_id for run in other.rescue(OTHER, later)] == ["under way"]

    def test_no_more_runs_are_rescued_than_there_is_room_for(self, store: BaseJobStore) -> None:
        for number in range(5):
            store.add_job(make_job(f"job{number}"))
        claim(store)
        later = START + LEASE + MARGIN
        store.renew(OTHER, later, LEASE)
        assert len(store.rescue(OTHER, later, {"default": 2})) == 2
        assert store.rescue(OTHER, later, {"elsewhere": 2}) == []
        assert len(store.rescue(OTHER, later, {"default": 9})) == 3

    def test_runs_of_one_job_are_rescued_together_or_not_at_all(self, store: BaseJobStore) -> None:
        """A node that does not know yet that it has lost its lease would go on with the rest, beside the runs that were taken."""
        store.add_job(make_job(every=1, coalesce=False))
        claim(store, START + 2 * SECOND)
        later = START + 2 * SECOND + LEASE + MARGIN
        store.renew(OTHER, later, LEASE)
        assert store.rescue(OTHER, later, {"default": 0}) == []
        runs = store.rescue(OTHER, later, {"default": 1})
        assert [run.nominal for run in runs] == [START + n * SECOND for n in range(3)]

    def test_r4_a_run_that_was_given_back_is_taken_at_once_with_its_attempt(
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

    def test_a_run_that_somebody_has_asked_to_stop_is_cancelled_when_its_node_dies(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        (run,) = claim(store)
        other.cancel_run("job", START, "not needed", START)
        later = START + LEASE + MARGIN
        other.renew(OTHER, later, LEASE)
        (ended,) = other.rescue(OTHER, later)
        assert (ended.status, ended.reason, ended.attempt) == (CANCELLED, "not needed", 1)
        (record,) = store.get_runs()
        assert (record.status, record.reason, record.finished_at) == (CANCELLED, "not needed", later)
        assert finish(store, [run], later) == [run]
        assert running(store) == 0

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
        assert [(run.status, run.origin, run.attempt) for run in store.get_runs()] == [(SUCCEEDED, MANUAL, 1)]
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
        (run,) = store.rescue(NODE, START, known={(known.job_id, known.nominal)}, in_doubt=True)
        assert (run.job_id, run.attempt, run.owner) == ("unknown", 1, NODE)
        assert finish(store, [run, known]) == []

    def test_r4_two_nodes_that_rescue_at_once_share_and_never_double(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        ids = sorted(f"job{number}" for number in range(20))
        store.add_jobs([make_job(id) for id in ids])
        assert len(claim(store)) == 20
        later = START + LEASE + MARGIN
        taken: list[str] = []

        def rescue(number: int) -> None:
            through, node = (store, other)[number], f"rescuer-{number}"
            until_done(lambda: through.renew(node, later, LEASE))
            taken.extend(run.job_id for run in through.rescue(node, later))

        at_once(2, rescue)
        rescue(0)  # a rescue that finds the runs held takes none, and comes again with the next renewal
        assert sorted(taken) == ids
        assert {run.attempt for run in store.get_runs(status=CLAIMED)} == {2}
