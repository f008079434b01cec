"""Runs that wait in a crowd, in every store; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from ...clock import SECOND
from ...core.extras import RETRY
from ...core.states import CANCELLED
from .orders import EARLY, KEY, asked_for
from .store_jobs import START, claim, finish, make_job, running
from .waiting import take, wait_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...jobstores.base import BaseJobStore


class CrowdContract:
    """What every store must do where more waits than one step of it reads."""

    def test_a_retry_starts_behind_many_other_runs_of_its_own_job(self, store: BaseJobStore) -> None:
        """It has its place, for which they wait; they are earlier, and more than one step of a store reads."""
        self._crowd(store)
        (retry,) = take(store, START + 30 * SECOND)
        assert (retry.nominal, retry.attempt, running(store)) == (START, 2, 1)
        assert finish(store, [retry], START + 30 * SECOND) == []
        (following,) = take(store, START + 31 * SECOND)
        assert (following.nominal, running(store)) == (KEY, 1)

    def test_a_retry_that_is_cancelled_leaves_its_place_to_the_other_runs_of_its_job(
        self, store: BaseJobStore
    ) -> None:
        self._crowd(store)
        run = store.cancel_run("job", START, "no", START + 29 * SECOND)
        assert run is not None
        assert (run.status, running(store)) == (CANCELLED, 0)
        (following,) = take(store, START + 30 * SECOND)
        assert (following.nominal, running(store)) == (KEY, 1)

    def _crowd(self, store: BaseJobStore) -> None:
        """Have a retry wait until 20 seconds after the start, and 120 runs of the same job that were asked for before."""
        store.add_job(make_job())
        (run,) = claim(store)
        wait_for(run, RETRY, START + 20 * SECOND, tries=1)
        assert store.give_back([run], START) == []
        others = [asked_for(nominal=KEY + number, not_before=EARLY + number) for number in range(120)]
        assert len(store.open_runs(others, START)) == 120
