"""What a job store must do about leases, so that living nodes keep their runs and dead ones are noticed; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ...clock import Clock
from ...core.plan import plan
from ...core.states import SUCCEEDED
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
    statuses,
    until_done,
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
                    answers["gone"] = until_done(lambda: store.renew(NODE, now, LEASE, runs))
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
