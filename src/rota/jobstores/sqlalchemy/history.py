"""Looking back, and forgetting: records by job and status, and records beyond the bounds of retention.

Each method is one step inside a transaction of the caller. No run that is under way is changed.
"""

from __future__ import annotations

from sqlalchemy import and_, bindparam, exists, func, not_, or_, select, tuple_, union_all

from ...codec.damaged import is_time, stands_for
from ...core.recorded import BEFORE, MOST, standing_from
from ...core.states import CLAIMED, END_STATES, WAITING
from ..documents import KEPT, label_all
from .databases.base import BATCH
from .forms import run_of
from .prepared import Prepared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from sqlalchemy import CompoundSelect, Connection, FromClause
    from sqlalchemy import Select as SqlSelect

    from ...core.recorded import Recorded
    from ...core.run import Run
    from .layout import Tables

    Select = SqlSelect[*tuple[Any, ...]]
    #: job id, nominal time and status of a record that is to be deleted
    Forgotten = tuple[str, int, str]


#: How many ranges of times one statement names.
RANGES = 100
#: How many times a statement names that is made once for each of these numbers; the last of fewer times is repeated.
SIZES = (1, 10, RANGES)


class History:
    """Reads the runs of one store, and deletes old ones."""

    def __init__(self, tables: Tables) -> None:
        self._runs = runs = tables.runs
        self._jobs = tables.jobs
        self._reaching: dict[int, CompoundSelect[Any]] = {}
        # One by one, or joined with a set: for a list of pairs, SQLite and MariaDB look at all records.
        self._forget = Prepared(
            lambda value: runs.delete().where(
                runs.c.job_id == value("b_id"),
                runs.c.nominal == value("b_nominal"),
                runs.c.status != CLAIMED,
                runs.c.status != WAITING,
            ),
            "b_id",
            "b_nominal",
        )
        parts = tables.parts
        record = exists().where(runs.c.job_id == parts.c.job_id, runs.c.nominal == parts.c.nominal)
        self._forget_parts = Prepared(
            lambda value: parts.delete().where(
                parts.c.job_id == value("b_id"), parts.c.nominal == value("b_nominal"), not_(record)
            ),
            "b_id",
            "b_nominal",
        )

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
            (status,)
            if isinstance(status, str)
            else (CLAIMED, WAITING, *END_STATES)
            if status is None
            else status
        )
        if job_id is not None:
            found = _newest(self._runs).where(runs.job_id == job_id, runs.status.in_(list(wanted)))
        else:
            # An index on the times alone would have to be written by every claim; so the newest of each status are merged.
            newest = _newest(self._runs).limit(offset + limit)
            parts = [newest.where(runs.status == each).subquery() for each in wanted]
            if not parts:
                return []
            found = _newest(union_all(*map(select, parts)).subquery())
        records = [run_of(row) for row in conn.execute(found.limit(limit).offset(offset))]
        self.label(conn, records)
        return records

    def label(self, conn: Connection, records: Sequence[Run]) -> None:
        """Give records the names and callables of their jobs that do not have them themselves."""
        label_all(records, self._names(conn, {run.job_id for run in records if run.name is None}))

    def _names(self, conn: Connection, ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Return name and callable of the jobs with these ids that exist."""
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
        """Return the jobs with a record of one of these keys (job id, nominal time) (R4)."""
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

    def between(self, conn: Connection, ranges: Sequence[tuple[str, int, int]]) -> set[str]:
        """Return the jobs with a record after the first and up to the last time of one of these ranges (R4)."""
        runs = self._runs.c
        found: set[str] = set()
        for start in range(0, len(ranges), RANGES):
            among = [
                and_(runs.job_id == job_id, runs.nominal > first, runs.nominal <= last)
                for job_id, first, last in ranges[start : start + RANGES]
            ]
            found.update(conn.execute(select(runs.job_id).where(or_(*among)).distinct()).scalars())
        return found

    def reaching(self, conn: Connection, firsts: Sequence[tuple[str, int]]) -> set[str]:
        """Return the jobs with a record that began before one of these times (job id, time) and reaches up to it (R4)."""
        found: set[str] = set()
        for start in range(0, len(firsts), RANGES):
            some = firsts[start : start + RANGES]
            size = next(size for size in SIZES if size >= len(some))
            if size not in self._reaching:
                self._reaching[size] = self._make_reaching(size)
            some = [*some, *[some[-1]] * (size - len(some))]
            values: dict[str, str | int] = {}
            for place, (job_id, first) in enumerate(some):
                values[f"b_id{place}"], values[f"b_first{place}"] = job_id, first
            found.update(conn.execute(self._reaching[size], values).scalars())
        return found

    def _make_reaching(self, size: int) -> CompoundSelect[Any]:
        """Return the question of :meth:`reaching` for so many times; to make it takes longer than to ask it."""
        runs = self._runs.c
        parts = []
        for place in range(size):
            job_id = bindparam(f"b_id{place}", type_=runs.job_id.type)
            first = bindparam(f"b_first{place}", type_=runs.nominal.type)
            before = select(runs.job_id, runs.last).where(runs.job_id == job_id, runs.nominal < first)
            last = before.order_by(runs.nominal.desc()).limit(BEFORE).subquery()
            parts.append(select(last.c.job_id).where(last.c.last >= first))
        return union_all(*parts)

    def recorded(self, conn: Connection, job_id: str, since: int) -> list[Recorded]:
        """Return the records of a job that stand for times from an instant on, oldest first."""
        runs = self._runs.c
        of_job = select(runs.nominal, runs.last, runs.times, runs.status).where(runs.job_id == job_id)
        later = conn.execute(of_job.where(runs.nominal >= since).order_by(runs.nominal).limit(MOST)).all()
        before = of_job.where(runs.nominal < since).order_by(runs.nominal.desc()).limit(BEFORE)
        found = [*conn.execute(before), *later]
        return standing_from((stands_for(*row) for row in found if is_time(row.nominal)), since)

    def recorded_of_some(self, conn: Connection, since: Mapping[str, int]) -> dict[str, list[Recorded]]:
        """Return the same for several jobs; those without records are left out."""
        runs = self._runs.c
        ids = sorted(since)
        if len(ids) > 1:  # most jobs have no records
            known: list[str] = []
            for start in range(0, len(ids), BATCH):
                some = ids[start : start + BATCH]
                known += conn.execute(select(runs.job_id).where(runs.job_id.in_(some)).distinct()).scalars()
            ids = known
        found = {job_id: self.recorded(conn, job_id, since[job_id]) for job_id in ids}
        return {job_id: records for job_id, records in found.items() if records}

    # -- forgetting ----------------------------------------------------------------------------------------------

    def older(
        self, conn: Connection, among: tuple[str, int, int], looked_at: int, limit: int
    ) -> list[Forgotten]:
        """Return the keys and the status of some runs that ended before an instant.

        :param among: the status, the earliest nominal time, and the instant
        :param looked_at: how many records are looked at
        :param limit: how many keys are returned at the most
        """
        # A run ends after its nominal time, so the index on status and nominal time leads to the old ones.
        some = self._among(among).limit(looked_at).subquery().c
        old = select(some.job_id, some.nominal).where(some.finished < among[2]).limit(limit)
        return [(job_id, nominal, among[0]) for job_id, nominal in conn.execute(old)]

    def count_older(self, conn: Connection, among: tuple[str, int, int], limit: int) -> int:
        """Return about how many such records there are, counted up to ``limit``."""
        some = self._among(among).with_only_columns(self._runs.c.nominal).limit(limit).subquery()
        return conn.scalar(select(func.count()).select_from(some)) or 0

    def beyond_some(self, conn: Connection, among: tuple[str, int, int], passed: int) -> int | None:
        """Return the nominal time of the first such record after ``passed`` of them."""
        later = self._among(among).with_only_columns(self._runs.c.nominal).offset(passed).limit(1)
        found: int | None = conn.scalar(later)
        return found

    def _among(self, among: tuple[str, int, int]) -> Select:
        runs = self._runs.c
        status, start, instant = among
        return (
            select(runs.job_id, runs.nominal, runs.finished)
            .where(runs.status == status, runs.nominal >= start, runs.nominal < instant)
            .order_by(runs.nominal)
        )

    def job_after(self, conn: Connection, start: str, passed: int) -> str | None:
        """Return the job of the first record after ``passed`` records, by job ids from ``start`` on; None at the end."""
        runs = self._runs.c
        of_all = select(runs.job_id).where(runs.job_id >= start).order_by(runs.job_id, runs.nominal)
        found: str | None = conn.scalar(of_all.offset(passed).limit(1))
        return found

    def next_job(self, conn: Connection, job_id: str) -> str | None:
        """Return the next job with records after ``job_id``, in the order of ids."""
        runs = self._runs.c
        found: str | None = conn.scalar(select(func.min(runs.job_id)).where(runs.job_id > job_id))
        return found

    def crowded(self, conn: Connection, start: str, end: str | None, keep: int) -> list[str]:
        """Return the jobs with more than ``keep`` records, of those with ids from ``start`` to before ``end``."""
        runs = self._runs.c
        counts = select(runs.job_id).where(runs.job_id >= start)
        if end is not None:
            counts = counts.where(runs.job_id < end)
        return list(conn.execute(counts.group_by(runs.job_id).having(func.count() > keep)).scalars())

    def edge(self, conn: Connection, job_id: str, keep: int) -> int | None:
        """Return the nominal time of the newest ended run of a job beyond its newest ``keep``."""
        of_job = self._ended(job_id).order_by(self._runs.c.nominal.desc())
        found: int | None = conn.scalar(of_job.offset(keep).limit(1))
        return found

    def beyond(self, conn: Connection, job_id: str, edge: int, limit: int) -> list[Forgotten]:
        """Return the keys and statuses of at most ``limit`` ended runs of a job up to an edge, oldest first."""
        runs = self._runs.c
        old = self._ended(job_id).add_columns(runs.status).where(runs.nominal <= edge)
        found = conn.execute(old.order_by(runs.nominal).limit(limit))
        return [(job_id, nominal, status) for nominal, status in found]

    def _ended(self, job_id: str) -> Select:
        runs = self._runs.c
        return select(runs.nominal).where(
            runs.job_id == job_id, runs.status != CLAIMED, runs.status != WAITING
        )

    def _without_records(self) -> tuple[Any, ...]:
        """Return the conditions of ended jobs that were kept for their records, and have none left."""
        jobs, runs = self._jobs.c, self._runs.c
        return jobs.state == KEPT, not_(exists().where(runs.job_id == jobs.id))

    def some_forgotten(self, conn: Connection) -> bool:
        """Whether there are ended jobs of which no record is left."""
        found = select(self._jobs.c.id).where(*self._without_records()).limit(1)
        return conn.execute(found).first() is not None

    def forget_jobs(self, conn: Connection) -> None:
        """Delete the ended jobs of which no record is left."""
        jobs = self._jobs
        ids = conn.execute(select(jobs.c.id).where(*self._without_records()).limit(BATCH)).scalars().all()
        conn.execute(jobs.delete().where(jobs.c.id.in_(ids), *self._without_records()))

    def forget(self, conn: Connection, records: Sequence[Forgotten]) -> None:
        """Delete records, and what is kept beside them."""
        keys = [(job_id, nominal) for job_id, nominal, _ in records]
        self._forget.run(conn, keys)
        self._forget_parts.run(conn, keys)


def _newest(records: FromClause) -> Select:
    return select(records).order_by(records.c.nominal.desc(), records.c.job_id)
