"""What a job store must do about leases, so that living nodes keep their runs and runs of dead nodes are taken over; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ...clock import SECOND, Clock
from ...core.plan import once_more, plan
from ...core.run import MANUAL
from ...core.states import CANCELLED, CLAIMED, LOST, SUCCEEDED
from ...errors import StoreError
from .store_jobs import (
    LEASE,
    MARGIN,
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
)
from .stored import StoredJobContract

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...jobstores.base import BaseJobStore


class SlowClock(Clock):
    """A clock of a machine that is suspended each time before it is read.

    :param length: for how long (microseconds)
    """

    __slots__ = ("_length", "_looks")

    def __init__(self, length: int) -> None:
        self._length = length
        self._looks = 0

    def monotonic(self) -> int:
        self._looks += 1
        return super().monotonic() + self._looks * self._length


class LeaseContract(StoredJobContract):
    """What a durable store must do about nodes and their leases."""

    # -- renewals ------------------------------------------------------------------------------------------------

    def test_a_lease_that_has_run_out_can_be_renewed_and_that_is_said(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        assert store.renew(NODE, START, LEASE) is None
        assert store.renew(NODE, START + LEASE - MARGIN, LEASE) is None
        later = START + 2 * LEASE + MARGIN
        assert store.claim(decide(store, later), NODE, later) == []
        assert store.renew(NODE, later, LEASE) == []
        assert len(store.claim(decide(store, later), NODE, later)) == 1

    def test_a_node_whose_lease_had_run_out_keeps_the_runs_that_nobody_has_taken(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job("kept"))
        kept = claim(store)
        later = START + LEASE + MARGIN
        other.renew(OTHER, later, LEASE)
        assert store.renew(NODE, later, LEASE, kept) == []
        assert other.rescue(OTHER, later) == []
        assert finish(store, kept, later) == []
        assert statuses(store, "kept") == [SUCCEEDED]

    def test_a_node_whose_lease_had_run_out_is_told_which_runs_others_have_taken_or_recorded_as_lost(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job("taken"))
        store.add_job(make_job("lost", on_lost="lost"))
        store.add_job(make_job("kept", executor="another"))
        store.renew(NODE, START, LEASE)
        due = store.due(START, {"default": 9, "another": 9})
        runs = [
            run for won in store.claim([plan(job, START) for job in due], NODE, START) for run in won.runs
        ]
        later = START + LEASE + MARGIN
        other.renew(OTHER, later, LEASE)
        (taken,) = [run for run in other.rescue(OTHER, later, {"default": 9}) if not run.ended]
        gone = store.renew(NODE, later, LEASE, runs)
        assert gone is not None
        assert sorted(run.job_id for run in gone) == ["lost", "taken"]
        assert finish(store, runs, later) == [run for run in runs if run.job_id != "kept"]
        assert finish(other, [taken], later) == []

    def test_a_node_whose_entry_is_gone_is_told_whose_its_runs_are(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        runs = claim(store)
        later = START + 10**12
        store.prune(later)
        assert store.renew(NODE, later, LEASE, runs) == []
        much_later = 2 * later
        store.prune(much_later)
        other.renew(OTHER, much_later, LEASE)
        assert len(other.rescue(OTHER, much_later)) == 1
        assert store.renew(NODE, much_later, LEASE, runs) == runs

    def test_a_node_that_got_no_answer_to_a_renewal_asks_again_whose_its_runs_are(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job("first"))
        taken = claim(store)
        later = START + LEASE + MARGIN
        other.renew(OTHER, later, LEASE)
        other.rescue(OTHER, later)
        store.renew(NODE, later, LEASE, taken)
        store.add_job(make_job("second", later))
        kept = claim(store, later)
        assert store.renew(NODE, later, LEASE, [*taken, *kept]) is None
        assert store.renew(NODE, later, LEASE, [*taken, *kept], in_doubt=True) == taken

    def test_r4_a_late_renewal_and_a_rescue_at_the_same_time_agree_whose_each_run_is(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        later = START
        for round in range(4):
            store.add_jobs([make_job(f"job{round}.{number}", later, every=None) for number in range(15)])
            runs = claim(store, later)
            later += LEASE + MARGIN
            other.renew(OTHER, later, LEASE)
            answers: dict[str, Any] = {}

            def act(number: int, runs: Any = runs, now: int = later, answers: Any = answers) -> None:
                if number:
                    answers["gone"] = store.renew(NODE, now, LEASE, runs)
                else:
                    answers["taken"] = other.rescue(OTHER, now)

            at_once(2, act)
            gone, taken = ({run.job_id for run in answers[who]} for who in ("gone", "taken"))
            assert gone == taken
            mine = [run for run in runs if run.job_id not in gone]
            assert finish(store, mine, later) == []
            assert finish(other, answers["taken"], later) == []

    def test_a_lease_that_was_renewed_before_the_clock_was_set_back_counts_from_now(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        claim(store, START + 100 * LEASE)
        other.renew(OTHER, START, LEASE)
        assert other.rescue(OTHER, START) == []
        other.renew(OTHER, START + LEASE, LEASE)
        assert other.rescue(OTHER, START + LEASE - MARGIN) == []
        assert len(other.rescue(OTHER, START + LEASE + MARGIN)) == 1

    def test_a_lease_that_was_renewed_while_a_rescue_was_held_up_counts_from_its_renewal(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job("of the dead"))
        claim(store, START, "dead")
        later = START + LEASE + MARGIN
        renewed = later + LEASE - MARGIN
        other.renew(OTHER, later, LEASE)
        other._scheduler = SimpleNamespace(clock=SlowClock(LEASE - MARGIN))
        store.add_job(make_job("of the living", renewed))
        claim(store, renewed)
        assert [run.job_id for run in other.rescue(OTHER, later)] == ["of the dead"]
        over = renewed + LEASE - MARGIN
        other.renew("third", over, LEASE)
        assert "of the living" not in {run.job_id for run in other.rescue("third", over)}

    def test_a_store_tells_how_many_nodes_are_alive(self, store: BaseJobStore, other: BaseJobStore) -> None:
        assert store.living_nodes(START) == 0
        store.renew(NODE, START, LEASE)
        assert other.living_nodes(START) == 1
        other.renew(OTHER, START + LEASE // 2, LEASE)
        assert store.living_nodes(START + LEASE // 2) == 2
        assert store.living_nodes(START + LEASE + MARGIN) == 1
        other.leave(OTHER, [], START + LEASE + MARGIN)
        assert store.living_nodes(START + LEASE + MARGIN) == 0

    def test_a_node_whose_lease_is_over_claims_nothing(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        store.renew(NODE, START, LEASE)
        later = START + LEASE + MARGIN
        assert store.claim(decide(store, later), NODE, later) == []
        assert due_ids(store, later) == ["job"]

    def test_a_node_that_never_had_a_lease_is_told_so(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        with pytest.raises(StoreError, match="renew"):
            store.claim(decide(store), NODE, START)

    # -- rescue --------------------------------------------------------------------------------------------------

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

    def test_the_record_of_a_lost_run_has_the_name_of_a_job_that_is_gone(self, store: BaseJobStore) -> None:
        store.add_job(make_job("once", every=None, name="nightly report", on_lost="lost"))
        claim(store)
        later = START + LEASE + MARGIN
        store.renew(OTHER, later, LEASE)
        assert [run.status for run in store.rescue(OTHER, later)] == [LOST]
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
            through.renew(node, later, LEASE)
            taken.extend(run.job_id for run in through.rescue(node, later))

        at_once(2, rescue)
        assert sorted(taken) == ids
        assert {run.attempt for run in store.get_runs(status=CLAIMED)} == {2}
