"""Looking back into the runs table, and forgetting: records by job and status, and those beyond the bounds of retention.

Each method is one step inside a transaction of the caller. It changes no run that is under way.
"""

from __future__ import annotations

from sqlalchemy import func, select, tuple_, union_all

from ...core.recorded import BEFORE, MOST, standing_from
from ...core.run import CLAIMED, END_STATES
from ..documents import label_all
from .rows import run_of
from .schema import BATCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from sqlalchemy import Connection, FromClause
    from sqlalchemy import Select as SqlSelect

    from ...core.recorded import Recorded
    from ...core.run import Run
    from .schema import Tables

    Select = SqlSelect[*tuple[Any, ...]]


class History:
    """Reads the runs of one store, and deletes old ones."""

    def __init__(self, tables: Tables) -> None:
        self._runs = tables.runs
        self._jobs = tables.jobs

    def select(
        self,
        conn: Connection,
        job_id: str | None,
        status: str | Iterable[str] | None,
        limit: int,
        offset: int,
    ) -> list[Run]:
        """Return a page of the records, newest first."""
        runs = self._runs.c
        wanted = (
            (status,) if isinstance(status, str) else (CLAIMED, *END_STATES) if status is None else status
        )
        if job_id is not None:
            found = _newest(self._runs).where(runs.job_id == job_id, runs.status.in_(list(wanted)))
        else:
            # There is no index on the times alone, which every claim would have to write: the newest of each status are taken.
            newest = _newest(self._runs).limit(offset + limit)
            parts = [newest.where(runs.status == each).subquery() for each in wanted]
            if not parts:
                return []
            found = _newest(union_all(*map(select, parts)).subquery())
        records = [run_of(row) for row in conn.execute(found.limit(limit).offset(offset))]
        label_all(records, self._names(conn, {run.job_id for run in records if run.name is None}))
        return records

    def _names(self, conn: Connection, ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Return name and callable of the jobs of these ids that are there."""
        jobs = self._jobs.c
        wanted = sorted(ids)
        found: dict[str, tuple[str, str]] = {}
        for start in range(0, len(wanted), BATCH):
            rows = conn.execute(
                select(jobs.id, jobs.name, jobs.func).where(jobs.id.in_(wanted[start : start + BATCH]))
            )
            found.update((id, (name, reference)) for id, name, reference in rows)
        return found

    def met(self, conn: Connection, keys: Sequence[tuple[str, int]]) -> set[str]:
        """Return the jobs of which one of these keys (job id, nominal time) has a record."""
        runs = self._runs.c
        found: set[str] = set()
        for start in range(0, len(keys), BATCH):
            some = keys[start : start + BATCH]
            found.update(
                conn.execute(
                    select(runs.job_id).where(tuple_(runs.job_id, runs.nominal).in_(some)).distinct()
                ).scalars()
            )
        return found

    def recorded(self, conn: Connection, job_id: str, since: int) -> list[Recorded]:
        """Return the records of a job that stand for times from an instant on, oldest first."""
        runs = self._runs.c
        of_job = select(runs.nominal, runs.last, runs.status).where(runs.job_id == job_id)
        later = conn.execute(of_job.where(runs.nominal >= since).order_by(runs.nominal).limit(MOST)).all()
        before = of_job.where(runs.nominal < since).order_by(runs.nominal.desc()).limit(BEFORE)
        return standing_from(map(tuple, [*conn.execute(before), *later]), since)

    def recorded_of_some(self, conn: Connection, since: Mapping[str, int]) -> dict[str, list[Recorded]]:
        """Return the same for several jobs, those that have any."""
        runs = self._runs.c
        ids = sorted(since)
        if len(ids) > 1:  # most of them have no records at all
            known: list[str] = []
            for start in range(0, len(ids), BATCH):
                some = ids[start : start + BATCH]
                known += conn.execute(select(runs.job_id).where(runs.job_id.in_(some)).distinct()).scalars()
            ids = known
        found = {job_id: self.recorded(conn, job_id, since[job_id]) for job_id in ids}
        return {job_id: records for job_id, records in found.items() if records}

    def crowded(self, conn: Connection, keep: int) -> list[str]:
        """Return the jobs that have more than ``keep`` records."""
        runs = self._runs.c
        counts = select(runs.job_id).group_by(runs.job_id).having(func.count() > keep)
        return list(conn.execute(counts).scalars())

    def beyond(self, conn: Connection, job_id: str, keep: int) -> list[tuple[str, int]]:
        """Return the keys of the ended runs of a job that are older than its newest ``keep``, oldest first."""
        runs = self._runs.c
        of_job = select(runs.nominal).where(runs.job_id == job_id, runs.status != CLAIMED)
        edge = conn.execute(of_job.order_by(runs.nominal.desc()).offset(keep).limit(1)).scalar()
        if edge is None:
            return []
        old = of_job.where(runs.nominal <= edge).order_by(runs.nominal).limit(BATCH)
        return [(job_id, nominal) for nominal in conn.execute(old).scalars()]

    def older(self, conn: Connection, instant: int) -> list[tuple[str, int]]:
        """Return the keys of some runs that ended before an instant."""
        runs = self._runs.c
        # A run ends after its nominal time, so the index on status and that leads to the old ones.
        old = select(runs.job_id, runs.nominal).where(
            runs.status.in_(END_STATES), runs.nominal < instant, runs.finished < instant
        )
        return [(job_id, nominal) for job_id, nominal in conn.execute(old.limit(BATCH))]

    def forget(self, conn: Connection, keys: Sequence[tuple[str, int]]) -> None:
        """Delete records."""
        runs = self._runs
        conn.execute(
            runs.delete().where(tuple_(runs.c.job_id, runs.c.nominal).in_(keys), runs.c.status != CLAIMED)
        )


def _newest(records: FromClause) -> Select:
    return select(records).order_by(records.c.nominal.desc(), records.c.job_id)
