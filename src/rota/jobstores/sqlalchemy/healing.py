"""Jobs in quarantine that can be restored again: read in steps, and let out.

Decides nothing about schedules; whether the planner can work with a job, it asks the planner.
"""

from __future__ import annotations

from functools import partial

from ...core.states import QUARANTINED
from .. import retention
from ..documents import heal
from ..retention import Pace, parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from sqlalchemy import Connection

    from ...clock import Clock
    from ...job.handle import Job
    from .jobs import Jobs
    from .runs import Runs
    from .transactions import Transactions


class Healing:
    """One round over the quarantined jobs of a store.

    :param healed: returns the job of a row as an active one, None if it still cannot be restored
    """

    def __init__(
        self,
        transactions: Transactions,
        jobs: Jobs,
        runs: Runs,
        healed: Callable[[Any], Job | None],
        clock: Clock,
    ) -> None:
        self._transactions = transactions
        self._jobs = jobs
        self._runs = runs
        self._healed = healed
        self._clock = clock

    def steps(self, now: int) -> Iterator[tuple[list[Job], int]]:
        """Let jobs out of quarantine that can be restored and planned now; see the port."""
        pace = Pace(retention.RESTORED)
        read = self._transactions.read
        for ids, left in parts(self._some, self._some_after, pace):
            began = self._clock.monotonic()
            rows = read(partial(self._jobs.some, ids=ids)) if ids else ()
            jobs = [self._healed(row) for row in rows if row.state == QUARANTINED]
            fit = [job for job in jobs if job is not None and heal(job, now)]
            healed = self._let_out(fit, now) if fit else []
            pace.note(len(ids), self._clock.monotonic() - began)
            yield healed, left

    def _some(self, limit: int) -> list[str]:
        return self._transactions.read(partial(self._jobs.quarantined, limit=limit))

    def _some_after(self, start: str | None, passed: int) -> tuple[list[str], str | None]:
        return self._transactions.read(partial(self._jobs.quarantined_after, start=start, passed=passed))

    def _let_out(self, jobs: Sequence[Job], now: int) -> list[Job]:
        def work(conn: Connection, careful: bool) -> list[Job]:
            held = self._runs.held(conn, {job.id for job in jobs})  # with the next housekeeping
            free = [job for job in jobs if job.id not in held]
            return self._jobs.heal(conn, free, now, careful) if free else []

        healed = self._transactions.step_optimistically(work)
        for job in healed:
            job.version += 1
        return healed
