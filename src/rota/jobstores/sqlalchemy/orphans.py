"""Runs that no living node owns: found, and given to a node, or ended.

Each method is one step inside a transaction of the caller. What becomes of such a run is decided in ``rota.core.orphans``.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from sqlalchemy import or_, select

from ...codec.damaged import LATEST
from ...codec.unrestored import can_run
from ...core.orphans import linked, sort_out
from ...core.policy import Policy
from ...core.states import CLAIMED, LOST, end
from ...core.transitions import not_ended_well
from ...texts import storable
from ..documents import label_of
from ..server_clock import AHEAD
from .forms import fence_of, run_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from sqlalchemy import ColumnElement, Connection

    from ...codec.jobs import JobFormat
    from ...core.run import Run
    from ...job.handle import Job
    from .jobs import Jobs
    from .layout import Tables
    from .runs import Runs

    #: a run that no living node owns, and its fence as it is stored
    Orphan = tuple[Run, tuple[Any, ...]]


class Orphans:
    """Reads the claimed runs of one store that no living node owns, and takes them over."""

    def __init__(self, tables: Tables, jobs: Jobs, runs: Runs, format: JobFormat) -> None:
        self._tables = tables
        self._jobs = jobs
        self._runs = runs
        self._sql = runs.sql
        self._format = format

    def found(
        self, conn: Connection, now: int, own: str | None, ownerless: bool, ahead: bool = False
    ) -> list[Orphan]:
        """Return the claimed runs that no living node owns, oldest first, and those of ``own``, with their fences.

        :param ownerless: leave out those of nodes that seem to be dead
        :param ahead: take in those of nodes whose lease was renewed in the future, as it seems
        """
        runs, nodes = self._tables.runs.c, self._tables.nodes.c
        lost: ColumnElement[bool] = runs.owner.is_(None)
        if not ownerless:
            alive = select(nodes.id).where(nodes.lease_until >= now, nodes.lease_until <= LATEST)
            if ahead:
                alive = alive.where(nodes.started <= now + AHEAD)
            lost = or_(lost, runs.owner.not_in(alive))
        if own is not None:
            lost = or_(lost, runs.owner == own)
        found = select(self._tables.runs).where(runs.status == CLAIMED, lost).order_by(runs.nominal)
        return [
            (run_of(row), (row.job_id, row.nominal, row.attempt, row.owner)) for row in conn.execute(found)
        ]

    def recount_busy(self, conn: Connection, jobs: Mapping[str, Job], orphaned: Mapping[str, int]) -> None:
        """Check the counters of jobs that seem to have no room for their orphaned runs (R2)."""
        busy = [id for id, job in jobs.items() if not 0 <= job.running - orphaned[id] < job.policy.limit]
        for id, running in self._jobs.recount(conn, busy, wait=False).items() if busy else ():
            jobs[id].running = running

    def take_over(
        self,
        conn: Connection,
        orphans: Sequence[Orphan],
        jobs: Mapping[str, Job],
        node: str,
        now: int,
        room: Mapping[str, int] | None,
        known: Collection[tuple[str, int]],
        refusal: Callable[[Run], str | None],
    ) -> list[Run]:
        """Give orphaned runs to a node, or record them as lost, as :func:`~rota.core.orphans.sort_out` decides.

        :return: the runs that were taken over, those of one job linked by ``then``, and the runs that were lost
        """
        fences = {id(run): fence for run, fence in orphans}
        # Found out before runs get another owner.
        damaged = [run for run, fence in orphans if fence != fence_of(run)]
        whole = [run for run, fence in orphans if fence == fence_of(run)]
        changed = sort_out(
            *(whole, jobs, node, now, room, known, refusal),
            can_run=can_run,
            job_for=self._format.job_for,
            parts_of=partial(self._parts_of, conn),
        )
        for run in damaged:
            end(run, LOST, run.reason, now)
        changed += damaged
        found = [run for run in changed if self._settle(conn, run, fences[id(run)])]
        ended = [run for run in found if run.ended]
        counts = Counter(run.job_id for run in ended)
        self._runs.release(conn, counts, now, failed=not_ended_well(ended))
        if Policy.some_pause:
            self._runs.count_ends(conn, ended, now)
        self._runs.follow(conn, ended, now)
        linked(found)
        return found

    def _parts_of(
        self, conn: Connection, keys: Collection[tuple[str, int]]
    ) -> dict[tuple[str, int], dict[str, str]]:
        from .beside import Beside  # rare

        return Beside(self._tables).parts_of(conn, keys)

    def _settle(self, conn: Connection, run: Run, fence: tuple[Any, ...]) -> bool:
        """Write what became of an orphan: its new owner, or its end; return False if it has changed since it was read (R4).

        :param fence: the values of FENCE as they were read, also if they are damaged
        """
        if run.ended:
            lost = (run.status, storable(run.reason), run.finished_at, *label_of(run))
            return bool(self._sql.lose.run(conn, [(*lost, *fence)]))
        return bool(self._sql.take.run(conn, [(run.owner, run.attempt, run.claimed_at, *fence)]))
