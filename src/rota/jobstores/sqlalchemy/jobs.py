"""The jobs table: what is read, what is due, what is written and counted.

Each method is one step inside a transaction of the caller.
"""

from __future__ import annotations

from sqlalchemy import select

from ...clock import HELD
from ...codec.damaged import text_instead, version_of
from ...core.chains import parent_of
from ...core.states import ENDED, QUARANTINED
from ...errors import JobLookupError
from ..base import ALIASES
from ..documents import KEPT
from .databases.base import BATCH
from .forms import NEW, marks_of, stored_state
from .job_statements import JobStatements
from .prepared import OptimisticWriteFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from sqlalchemy import Connection

    from ...job.handle import Job
    from .forms import NewRow, Row
    from .layout import Tables


class Jobs:
    """Reads and writes the jobs of one store.

    :param tables: the store's tables
    """

    def __init__(self, tables: Tables) -> None:
        self._database = tables.database
        self._table = tables.jobs
        self._sql = tables.once(JobStatements)
        #: the columns that make a job, with what only some jobs have
        self.columns = self._sql.all_columns

    # -- reading -------------------------------------------------------------------------------------------------

    def one(self, conn: Connection, job_id: str) -> Row | None:
        """Return a job's row."""
        return conn.execute(self._sql.one, {"b_id": job_id}).first()

    def some(self, conn: Connection, ids: Iterable[str]) -> list[Row]:
        """Return rows by id, also those of ended jobs."""
        wanted = sorted(ids)
        rows: list[Row] = []
        for start in range(0, len(wanted), BATCH):
            rows.extend(conn.execute(self._sql.some, {"ids": wanted[start : start + BATCH]}))
        return rows

    def select(
        self, conn: Connection, states: Iterable[str] | None, limit: int | None, offset: int
    ) -> Sequence[Row]:
        """Return a page of the rows: those that come first or next in the order of listings, in any order."""
        # Databases take as long to sort such wide rows as to read them.
        found = self._sql.visible if limit is None and not offset else self._sql.page
        if states is not None:
            found = found.where(self._table.c.state.in_(list(states)))
        if limit is not None:
            found = found.limit(limit)
        return conn.execute(found.offset(offset) if offset else found).all()

    def quarantined(self, conn: Connection, limit: int) -> list[str]:
        """Return the ids of at most ``limit`` jobs in quarantine."""
        found = select(self._table.c.id).where(self._table.c.state == QUARANTINED).limit(limit)
        return _texts(conn.execute(found).scalars())

    def quarantined_after(
        self, conn: Connection, start: str | None, passed: int
    ) -> tuple[list[str], str | None]:
        """Return the ids of the quarantined among ``passed`` jobs, in the order of ids from ``start`` on.

        :return: those ids, and the id to go on with; None at the end
        """
        columns = self._table.c
        ids = select(columns.id).where(columns.id >= (start or "")).order_by(columns.id)
        end: str | None = conn.scalar(ids.offset(passed).limit(1))
        part = ids.where(columns.state == QUARANTINED)
        if end is not None:
            part = part.where(columns.id < end)
        return _texts(conn.execute(part).scalars()), end

    def odd_ids(self, conn: Connection) -> dict[str, Any]:
        """Return the damaged ids that are no texts, by the texts that stand for them."""
        if not self._database.keeps_any_type:
            return {}
        id = self._table.c.id
        found = conn.execute(select(id).where(self._database.is_no_text(id)))
        return {text_instead(odd): odd for odd in found.scalars()}

    def due(self, conn: Connection, now: int, room: Mapping[str, int] | None) -> list[Row]:
        """Return due rows, the earliest first.

        :param room: how many rows to return at the most for each executor; None: all rows of all executors
        """
        if room is None:
            return list(conn.execute(self._sql.due_any, {"b_now": now}))
        rows: list[Row] = []
        for executor, limit in room.items():
            if limit > 0:
                values = {"b_now": now, "b_executor": executor, "b_limit": limit}
                rows += conn.execute(self._sql.due, values).all()
        if len(room) > 1:
            rows.sort(key=lambda row: row[9])
        return rows

    def next_due(self, conn: Connection, executors: Iterable[str] | None) -> int | None:
        """Return the earliest due time, of all jobs or of those of the given executors."""
        if executors is None:
            found = [conn.scalar(self._sql.next)]
        else:
            found = [conn.scalar(self._sql.next_of, {"b_executor": executor}) for executor in executors]
        # A text or bytes in the place of a time come after all times.
        times = [int(time) for time in found if isinstance(time, (int, float)) and time != HELD]
        return min(times, default=None)

    def overdue(self, conn: Connection, now: int, known: Iterable[str]) -> dict[str, int]:
        """Return how many due jobs wait for each executor that is not known, each counted up to COUNTED."""
        found: dict[str, int] = {}
        passed = set(known)
        executor: str | None = ""
        for _ in range(ALIASES):
            # From one alias to the next by the index: one alias may have very many jobs.
            executor = conn.scalar(self._sql.next_executor, {"b_after": executor})
            if executor is None:
                break
            if executor not in passed:
                count = conn.scalar(self._sql.overdue, {"b_executor": executor, "b_now": now})
                if count:
                    found[text_instead(executor)] = count
        return found

    # -- writing -------------------------------------------------------------------------------------------------

    def insert(self, conn: Connection, *rows: NewRow) -> None:
        """Insert rows.

        :raises IntegrityError: if there is a row of one of the ids
        """
        # The order of the table saves SQLite a third of the work, and a deadlock if another process adds the same jobs.
        self._sql.insert.insert(conn, sorted(rows))

    def mark(self, conn: Connection, job: Job) -> None:
        """Write what only some jobs have beside the row of a job that was just added."""
        values = marks_of(job)
        if any(value is not None for value in values.values()):
            conn.execute(self._sql.mark, {**values, "b_id": job.id})
        self._tag(conn, job)

    def _tag(self, conn: Connection, job: Job) -> None:
        """Have a job found by its tags, and by no others."""
        conn.execute(self._sql.untag, {"b_id": job.id})
        if job.tags:
            conn.execute(self._sql.tag, [{"tag": tag, "job_id": job.id} for tag in job.tags])

    def revive(self, conn: Connection, row: NewRow) -> bool:
        """Take over the row of a job whose schedule is over and whose last runs are under way, if there is one."""
        values = dict(zip(NEW, row, strict=True))
        revived = bool(conn.execute(self._sql.revive, values | {"b_id": values["id"]}).rowcount)
        if revived:
            self.recount(conn, [values["id"]])
        return revived

    def save(self, conn: Connection, job: Job, values: Mapping[str, Any], version: int | None) -> bool:
        """Replace a job of the given version (of any version if None).

        :return: whether the version was right
        :raises JobLookupError: if there is no job of that id
        """
        stored = self.one(conn, job.id)
        if stored is None:
            raise JobLookupError(job.id)
        found = version_of(stored.version)
        if version is not None and found != version:
            return False
        if stored.running != 0:
            self.recount(conn, [job.id])
        state = stored_state(values["state"], stored.state == KEPT)
        row = {**values, "state": state, "b_id": job.id, "b_version": stored.version, "version": found + 1}
        save = self._sql.save
        is_marked = job.revision or job.paused is not None or (stored.revision, stored.paused) != (None, None)
        if is_marked or parent_of(job) is not None or _has_parent(stored.trigger_spec):
            save = self._sql.save_marked
            row |= marks_of(job)
        if not conn.execute(save, row).rowcount:
            return False
        if job.tags or _has_tags(stored.options):
            self._tag(conn, job)
        job.version = found + 1
        return True

    def recount(self, conn: Connection, ids: Iterable[str], wait: bool = True) -> dict[str, int]:
        """Set the counters of jobs to what the ledger says; jobs that waited for runs that do not exist become due (R6).

        Claims and ends change the job's row in the same transaction, so while that is locked the count is exact. The count is a
        statement of its own: it must not see the ledger as it was before the lock.

        :param wait: whether to wait for rows that somebody else has locked; if not, those are left out
        :return: the count of each job that was looked at
        """
        wanted = sorted(ids)
        found: dict[str, int] = {}
        for start in range(0, len(wanted), BATCH):
            some = {"ids": wanted[start : start + BATCH]}
            rows = conn.execute(self._sql.counters if wait else self._sql.free_counters, some).all()
            counts = {row[0]: row[1] for row in conn.execute(self._sql.under_way, some)}
            for id, running, due, state in rows:
                found[id] = count = counts.get(id, 0)
                is_free = count == 0 and due == HELD
                if running != count or is_free:
                    conn.execute(
                        self._sql.set_free if is_free else self._sql.set_counter,
                        {"b_id": id, "running": count},
                    )
                if state == ENDED and count == 0:
                    conn.execute(self._sql.delete_ended, {"b_id": id})
        return found

    def remove(self, conn: Connection, job_id: str) -> bool:
        """Delete a job; return False if there is none, or runs of it wait."""
        if conn.execute(self._sql.delete, {"b_id": job_id}).rowcount:
            return True
        odd = self.odd_ids(conn).get(job_id)
        return odd is not None and bool(conn.execute(self._sql.delete, {"b_id": odd}).rowcount)

    def remove_all(self, conn: Connection) -> None:
        """Delete all jobs."""
        conn.execute(self._table.delete())

    def heal(self, conn: Connection, jobs: Sequence[Job], now: int, careful: bool) -> list[Job]:
        """Let jobs out of quarantine that have not changed since they were read (R1); return those.

        :param careful: whether to do it one by one; together it is only found out that some have changed, not which
        :raises OptimisticWriteFailed: if some have changed, without care
        """
        rows = [(job.state, job.next_due, now, job.id, job.version) for job in jobs]
        if not careful:
            if self._sql.heal.run(conn, rows) != len(rows):
                raise OptimisticWriteFailed
            return list(jobs)
        return [job for job, row in zip(jobs, rows, strict=True) if self._sql.heal.run(conn, [row])]


def _has_tags(options: Any) -> bool:
    """Whether the options of a job may name tags."""
    return type(options) is not str or '"tags"' in options


def _has_parent(trigger: Any) -> bool:
    """Whether the ends of another job's runs may start a job."""
    return type(trigger) is not str or '"after"' in trigger


def _texts(ids: Iterable[Any]) -> list[str]:
    """Return the ids that are texts: a job with a damaged id stays as it is."""
    return [id for id in ids if type(id) is str]
