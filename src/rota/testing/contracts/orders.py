"""What nodes are asked, in every store; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

import pytest

from ...clock import SECOND
from ...core.extras import Extra
from ...core.orders import LONGEST_ANSWER, REQUESTS_KEPT
from ...core.run import Run
from ...core.states import MANUAL, WAITING
from .store_jobs import LEASE, NODE, OTHER, START, WORST, make_job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...jobstores.base import BaseJobStore

#: before the first time of the tests' jobs
EARLY = START - 1000 * SECOND
#: no time of any of them
KEY = EARLY + 7


def asked_for(job_id: str = "job", not_before: int = EARLY, nominal: int = KEY, **extra: Any) -> Run:
    """Return a run that somebody asks for."""
    run = Run(job_id, nominal, not_before)
    run.status, run.attempt = WAITING, 0
    run.extra = Extra(MANUAL)
    run.extra.waiting_for, run.extra.not_before = MANUAL, not_before
    for name, value in extra.items():
        setattr(run.extra, name, value)
    return run


class OrdersContract:
    """What every store must do with questions and orders to nodes."""

    def test_a_node_answers_what_it_is_asked(self, store: BaseJobStore) -> None:
        store.renew(NODE, START, LEASE)
        store.describe(NODE, {}, START)
        id = store.request(NODE, "stack", START, ("job ü", START))
        second = store.request(NODE, "stack", START)
        asked = sorted(store.orders(NODE, START).requests, key=lambda request: request.subject is None)
        assert [(request.id, request.kind, request.subject) for request in asked] == [
            (id, "stack", ("job ü", START)),
            (second, "stack", None),
        ]
        assert list(store.orders(OTHER, START).requests) == []
        assert store.answer_to(id, START) is None
        store.answer(id, "x" * 70_000, START)
        assert store.answer_to(id, START) == "x" * 65_536
        assert [request.id for request in store.orders(NODE, START).requests] == [second]
        later = START + REQUESTS_KEPT
        assert (store.answer_to(id, later), list(store.orders(NODE, later).requests)) == (None, [])
        store.answer(second, "too late", later)
        store.answer("nothing", "nobody asked", START)
        assert store.answer_to(second, later) is None

    @pytest.mark.parametrize("worst", WORST, ids=ascii)
    def test_a_long_answer_comes_back_whole_whatever_it_is_made_of(
        self, store: BaseJobStore, worst: str
    ) -> None:
        store.renew(NODE, START, LEASE)
        id = store.request(NODE, "stack", START)
        text = worst * (LONGEST_ANSWER // len(worst.encode()))
        store.answer(id, text, START)
        assert store.answer_to(id, START) == text

    def test_a_node_is_told_to_drain_and_to_claim_again(self, store: BaseJobStore) -> None:
        assert not store.drain(NODE, True, START)
        store.renew(NODE, START, LEASE)
        store.describe(NODE, {}, START)
        for draining in (True, True, False):
            assert store.drain(NODE, draining, START)
            assert store.orders(NODE, START).draining is draining
            assert store.orders(OTHER, START).draining is False
            assert [node.draining for node in store.nodes(START)] == [draining]
            store.renew(NODE, START, LEASE)

    def test_a_node_is_told_when_the_next_run_waits(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        assert store.orders(NODE, EARLY).next_waiting is None
        store.open_runs(
            [asked_for(not_before=EARLY + 5), asked_for(not_before=EARLY + 3, nominal=KEY + 1)], EARLY
        )
        orders = store.orders(NODE, EARLY)
        assert (orders.next_waiting, orders.outdated) == (EARLY + 3, False)
