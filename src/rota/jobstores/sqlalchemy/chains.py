"""Runs that the ends of others leave at the jobs after them, written in the transaction that writes these ends.

Each method is one step inside a transaction of the caller. What an end starts is decided in ``rota.core.chains``.
"""

from __future__ import annotations

from contextlib import nullcontext

from sqlalchemy import bindparam, exists, func, not_, select
from sqlalchemy.exc import IntegrityError

from ...codec.damaged import LATEST
from ...core.chains import followers, moved_on, parent_of, starts_others
from ...core.states import ENDED
from ...errors import StoreConflictError
from ..documents import KEPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sqlalchemy import Connection

    from ...codec.jobs import JobFormat
    from ...core.run import Run
    from ...job.handle import Job
    from .forms import Row
    from .jobs import Jobs
    from .layout import Tables
    from .runs import Runs
    from .wakeups import Wakeups

#: How often a run is written, while others take its key at that moment.
TRIES = 100


class Chains:
    """Reads the jobs after others, and writes what the ends of these leave there.

    :param job_of: returns the job of a row
    """

    def __init__(
        self,
        tables: Tables,
        jobs: Jobs,
        runs: Runs,
        format: JobFormat,
        wakeups: Wakeups,
        job_of: Callable[[Row], Job],
    ) -> None:
        self._tables = tables
        self._database = tables.database
        self._one_writer = tables.database.one_writer
        self._runs = runs
        self._format = format
        self._wakeups = wakeups
        self._job_of = job_of
        parent = tables.jobs.c.parent
        self._of_parents = select(*jobs.columns).where(
            parent.in_(bindparam("ids", expanding=True)), tables.jobs.c.state.not_in((ENDED, KEPT))
        )
        self._parents = select(parent).where(parent.is_not(None)).distinct()

    def children(self, conn: Connection, parents: Collection[str]) -> list[Job]:
        """Return the jobs that the ends of some jobs start."""
        rows = conn.execute(self._of_parents, {"ids": sorted(parents)}).all()
        return [job for job in map(self._job_of, rows) if parent_of(job) in parents]

    def parents(self, conn: Connection) -> list[str]:
        """Return the ids of the jobs that start others."""
        return [id for id in conn.execute(self._parents).scalars() if type(id) is str]

    def follow(self, conn: Connection, runs: Sequence[Run], now: int) -> None:
        """Write what the ends of runs leave at other jobs: the ends are written in the same transaction."""
        ended = [run for run in runs if starts_others(run)]
        children = self.children(conn, {run.job_id for run in ended}) if ended else []
        if not children:
            return
        for run in ended:
            for started in followers(run, children, now):
                self._insert(conn, started)
                if not started.ended:
                    self._wakeups.tell_if_soon(conn, started.extra.not_before)

    def _insert(self, conn: Connection, run: Run) -> None:
        """Write a run under the first key from its own on that no record has."""
        for _ in range(TRIES):
            self._move_on(conn, run)
            if not run.ended:
                self._format.sign(run)
            try:
                with nullcontext() if self._one_writer else conn.begin_nested():
                    self._runs.insert(conn, [run])
                return
            except IntegrityError:  # somebody else's, which was not to be seen yet
                if self._one_writer:
                    raise
            moved_on(run)
        raise StoreConflictError(
            f"Others took {TRIES} times the time under which a run of job {run.job_id!r} was to be written; try again"
        )

    def _move_on(self, conn: Connection, run: Run) -> None:
        """Give a run whose key is taken the first one after it that is free.

        Only the keys themselves count: a job after others has no times for which the range of a record could stand.
        """
        table = self._tables.runs
        c, after = table.c, table.alias("after")
        is_same = select(c.nominal).where(c.job_id == run.job_id, c.nominal == run.nominal)
        if conn.execute(is_same).first() is None:
            return
        has_next = exists().where(after.c.job_id == run.job_id, after.c.nominal == c.nominal + 1)
        before_free = select(func.min(c.nominal)).where(
            c.job_id == run.job_id, c.nominal >= run.nominal, c.nominal <= LATEST, not_(has_next)
        )
        if self._database.keeps_any_type:
            before_free = before_free.where(not_(self._database.is_no_number(c.nominal)))
        taken = conn.scalar(before_free)
        run.nominal = run.nominal if taken is None else int(taken)
        moved_on(run)
