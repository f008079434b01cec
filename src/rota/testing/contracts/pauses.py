"""Pauses that are over by themselves, in every store; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

import pytest

from ...clock import SECOND
from ...core.pauses import Pause, pause_of, text_of
from ...core.plan import Decision, record_of
from ...core.run import fail
from ...core.states import ACTIVE, ENDED, PAUSED, SKIPPED
from .failures import job_of
from .orders import EARLY, asked_for
from .store_jobs import LEASE, NODE, START, claim, make_job, until_done

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...jobstores.base import BaseJobStore

LATER = START + 100 * SECOND
NEXT = START + 120 * SECOND
#: what people write, and what a text of texts may be read wrongly by
NOTES = (None, 'until "12", "{x}"], the ünd', "}", ', "')


def add_paused(store: BaseJobStore, note: str | None = None, **options: Any) -> None:
    """Add a job, and pause it until a time that has come."""
    store.add_job(make_job(executor="12", **options))
    draft = job_of(store).copy()
    draft.set_next(None)
    draft.paused = text_of(Pause(since=START, at=START, until=LATER, note=note))
    draft.revision = 1
    assert until_done(lambda: store.save_job(draft, draft.version))


def let_go_on(store: BaseJobStore, following: int | None) -> bool:
    """Carry out the decision of a pass by which a job goes on; return whether that was done."""
    until_done(lambda: store.renew(NODE, LATER, LEASE))
    decision = Decision(job_of(store))
    decision.next_nominal = decision.next_due = following
    decision.state = ENDED if following is None else ACTIVE
    decision.records.append(record_of(decision.job, START, START + 60 * SECOND, 2, SKIPPED, "paused", LATER))
    won = until_done(lambda: store.claim([decision], NODE, LATER))
    return won == [decision] and decision.job.paused is None


class PausesContract:
    """What every store must do with a pause that is over."""

    @pytest.mark.parametrize("note", NOTES)
    def test_nothing_is_kept_of_a_pause_that_is_over(self, store: BaseJobStore, note: str | None) -> None:
        """R3: it goes in the step in which the job goes on."""
        add_paused(store, note)
        assert let_go_on(store, NEXT)
        job = job_of(store)
        assert (job.state, job.paused, job.next_nominal, job.executor) == (ACTIVE, None, NEXT, "12")
        assert job.revision == 1
        (record,) = store.get_runs()
        assert (record.status, record.reason, record.count) == (SKIPPED, "paused", 2)

    def test_the_same_of_one_whose_schedule_is_over_and_of_which_runs_wait(self, store: BaseJobStore) -> None:
        add_paused(store)
        store.open_runs([asked_for(not_before=EARLY + 900 * SECOND)], EARLY)
        assert let_go_on(store, None)
        job = job_of(store)
        assert (job.state, job.paused) == (ENDED, None)

    def test_a_job_that_was_paused_without_a_word_goes_on_as_it_is(self, store: BaseJobStore) -> None:
        store.add_job(make_job(executor="12", due=None))
        assert let_go_on(store, NEXT)
        job = job_of(store)
        assert (job.state, job.paused, job.executor, job.args) == (ACTIVE, None, "12", ())

    def test_a_pause_goes_on_where_its_job_was_changed_meanwhile(self, store: BaseJobStore) -> None:
        """R1"""
        add_paused(store, "still")
        until_done(lambda: store.renew(NODE, LATER, LEASE))
        decision = Decision(job_of(store))
        decision.next_nominal = decision.next_due = NEXT
        draft = job_of(store).copy()
        draft.name = "edited"
        assert until_done(lambda: store.save_job(draft, draft.version))
        assert until_done(lambda: store.claim([decision], NODE, LATER)) == []
        job = job_of(store)
        assert (job.state, pause_of(job).note) == (PAUSED, "still")

    def test_failures_in_a_row_of_a_job_that_is_not_paused_are_kept_by_its_claims(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(pause_on_failure=3))
        (run,) = claim(store)
        fail(run, ValueError("no"), "", START + 1)
        assert until_done(lambda: store.finish([run], START + 1)) == []
        claim(store, START + 60 * SECOND)
        assert pause_of(job_of(store)).failures == [START + 1]
