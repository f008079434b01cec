"""Runs of chains that find no place of their job free, in every store; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from collections import Counter

import pytest

from ...clock import SECOND
from ...core.retry import Retry
from ...core.states import CLAIMED, SKIPPED, SUCCEEDED, WAITING
from .chains import ENDED_AT, add_chain, child, ended, started
from .orders import asked_for
from .retries import NEXT, fail_and_give_back
from .store_jobs import NODE, OTHER, START, at_once, claim, finish
from .waiting import take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...core.run import Run
    from ...jobstores.base import BaseJobStore


def outcomes(store: BaseJobStore, id: str = "child") -> list[str | tuple[str, str]]:
    """Return the status of each run of a job, of a skipped one with its reason, oldest first."""
    found = reversed(store.get_runs(id))
    return [(run.status, run.reason or "") if run.status == SKIPPED else run.status for run in found]


class ChainedPlacesContract:
    """What every store must do with a run of a chain whose job runs as often as it may."""

    @pytest.mark.parametrize(
        ("overlap", "expected"),
        [
            ("skip", [CLAIMED, (SKIPPED, "max_instances"), (SKIPPED, "max_instances")]),
            ("buffer_one", [CLAIMED, (SKIPPED, "coalesced"), WAITING]),
            ("cancel_other", [CLAIMED, (SKIPPED, "coalesced"), WAITING]),
            ("buffer_all", [CLAIMED, WAITING, WAITING]),
            ("allow_all", [CLAIMED, CLAIMED, CLAIMED]),
        ],
    )
    def test_a_run_of_a_chain_that_finds_no_place_does_as_its_job_says_of_overlaps(
        self, store: BaseJobStore, overlap: str, expected: list[Any]
    ) -> None:
        """R2, R4: what is left out ends in the step that takes the others, and starts nothing."""
        middle = child(overlap=overlap)
        middle.chained = True
        add_chain(store, middle, coalesce=False)
        store.note_child("child", "last")
        store.add_job(child("last", "any", after="child"))
        finish(store, claim(store, START + 120 * SECOND), START + 120 * SECOND)
        changed = take(store, START + 121 * SECOND)
        assert outcomes(store) == expected
        assert [run.nominal for run in changed] == [
            run.nominal for run in reversed(store.get_runs("child")) if run.status != WAITING
        ]
        assert [run.finished_at for run in changed if run.ended] == [START + 121 * SECOND] * (
            len(changed) - expected.count(CLAIMED)
        )
        assert (started(store, "last"), take(store, START + 122 * SECOND)) == ([], [])
        job = store.lookup_job("child")
        assert job is not None
        assert job.running == expected.count(CLAIMED)
        assert {run.name for run in store.get_runs("child", SKIPPED)} <= {job.name}

    def test_a_run_of_a_chain_that_has_not_come_to_its_time_meets_nothing(self, store: BaseJobStore) -> None:
        add_chain(store, child(delay=100), coalesce=False)
        finish(store, claim(store, START + 60 * SECOND), START + 60 * SECOND)
        found = store.lookup_job("child")
        assert found is not None
        (asked,) = store.open_runs([asked_for("child")], START + 62 * SECOND)
        assert [run.nominal for run in take(store, START + 62 * SECOND)] == [asked.nominal]
        assert take(store, START + 63 * SECOND) == []
        assert outcomes(store).count(WAITING) == 2
        assert len(take(store, START + 161 * SECOND)) == 2
        assert outcomes(store).count((SKIPPED, "max_instances")) == 2

    @pytest.mark.parametrize("room", [{"default": 0}, {"elsewhere": 3}], ids=str)
    def test_a_node_without_room_for_it_leaves_a_run_of_a_chain_to_others(
        self, store: BaseJobStore, room: dict[str, int]
    ) -> None:
        add_chain(store, child(), coalesce=False)
        finish(store, claim(store, START + 60 * SECOND), START + 60 * SECOND)
        assert take(store, START + 61 * SECOND, room={"default": 1})[0].status == CLAIMED
        assert take(store, START + 61 * SECOND, room=room) == []
        assert outcomes(store) == [CLAIMED, WAITING]

    def test_a_run_of_a_chain_is_left_out_by_a_retry_that_keeps_the_only_place(
        self, store: BaseJobStore
    ) -> None:
        add_chain(store, child(retry=Retry(wait_initial=900, wait_jitter=0)))
        ended(store, SUCCEEDED)
        (run,) = take(store, ENDED_AT)
        fail_and_give_back(store, run)
        ended(store, SUCCEEDED, NEXT)
        (left_out,) = take(store, NEXT + SECOND)
        assert (left_out.status, left_out.reason) == (SKIPPED, "max_instances")

    def test_a_scheduled_time_goes_first_and_leaves_out_a_run_of_a_chain_that_meets_it(
        self, store: BaseJobStore
    ) -> None:
        add_chain(store, child())
        ended(store, SUCCEEDED)
        found = store.lookup_job("child")
        assert found is not None
        draft = found.copy()
        draft.set_next(START)
        assert store.save_job(draft, found.version)
        assert take(store, ENDED_AT) == []  # there is a place, and it is the due time's
        (run,) = (run for run in claim(store, ENDED_AT) if run.job_id == "child")
        assert [(run.status, run.origin) for run in take(store, ENDED_AT)] == [(SKIPPED, "after")]
        assert finish(store, [run], ENDED_AT) == []


class SharedChainedPlacesContract:
    """The same where several nodes share a store."""

    @pytest.mark.parametrize(
        ("overlap", "expected"),
        [("skip", {CLAIMED: 1, SKIPPED: 7}), ("buffer_one", {CLAIMED: 1, WAITING: 1, SKIPPED: 6})],
    )
    def test_nodes_that_look_at_runs_of_a_chain_at_once_give_each_one_end(
        self, store: BaseJobStore, other: BaseJobStore, overlap: str, expected: dict[str, int]
    ) -> None:
        """R2, R4"""
        add_chain(store, child(overlap=overlap), coalesce=False, max_instances=9)
        later = START + 7 * 60 * SECOND
        finish(store, claim(store, later), later)
        stores, nodes = (store, other), (NODE, OTHER)
        changed: list[list[Run]] = [[], []]

        def work(number: int) -> None:
            for _ in range(3):  # what others have changed meanwhile is looked at again
                changed[number] += take(stores[number], later + SECOND, nodes[number])

        at_once(2, work)
        found = store.get_runs("child")
        assert Counter(run.status for run in found) == expected
        told = [(run.nominal, run.status) for some in changed for run in some]
        assert sorted(told) == sorted((run.nominal, run.status) for run in found if run.status != WAITING)
