"""Damage that no other step comes across: jobs that are never due, runs that no node can name, counts that the ledger contradicts.

Each method but ``steps`` is one step inside a transaction of the caller. What it looks at is found by an index, and bounded.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import bindparam, false, func, not_, or_, select, union

from ...clock import HELD, NO_TIME
from ...codec.damaged import DAMAGED, EARLIEST, LATEST, NEVER_DUE, STATES, STATUSES, is_damaged
from ...core.chains import check_place, parent_of
from ...core.states import ACTIVE, CLAIMED, ENDED, LOST, QUARANTINED, WAITING, end, set_job_state
from ..documents import KEPT
from .databases.base import BATCH
from .forms import run_of
from .job_statements import has_place, has_waiting, is_sound_waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from sqlalchemy import Connection

    from ...core.run import Run
    from ...job.handle import Job
    from .jobs import Jobs
    from .layout import Tables
    from .orphans import Orphan
    from .transactions import Transactions

#: At most so many distinct values of a column are looked at; there are fewer, unless somebody has written values of their own.
_DISTINCT = 50


class Damage:
    """Looks through the tables of one store for damage.

    :param follow: writes what the ends of runs leave at other jobs
    """

    def __init__(
        self, tables: Tables, rows: Jobs, follow: Callable[[Connection, Sequence[Run], int], None]
    ) -> None:
        self._database = tables.database
        self._jobs = tables.jobs
        self._runs = tables.runs
        self._rows = rows
        self._follow = follow
        #: the id up to which jobs that no time starts were looked at
        self._at = ""

    def steps(
        self, transactions: Transactions, job_of: Callable[[Any], Job], now: int
    ) -> Iterator[tuple[list[Job], list[Run]]]:
        """Look for damage that no other step comes across; see the port."""
        runs = transactions.read(self.runs)
        ended = transactions.step(partial(self.end, found=runs, now=now)) if runs else []
        if ended:  # those that waited may have kept a place
            transactions.step(partial(self._rows.recount, ids={run.job_id for run in ended}, wait=False))
        yield [], ended
        wrong = transactions.read(self.miscounted)
        if wrong:
            transactions.step(partial(self._rows.recount, ids=wrong, wait=False))
        yield [], []
        yield transactions.read(partial(self.jobs, job_of=job_of)), []
        jobs, strays = transactions.read(partial(self.children, job_of=job_of))
        if strays:
            transactions.step(partial(self.adopt, strays=strays))
        yield jobs, []

    # -- jobs ----------------------------------------------------------------------------------------------------

    def jobs(self, conn: Connection, job_of: Callable[[Any], Job]) -> list[Job]:
        """Return some of the jobs whose row is damaged so that they are never due; they are in quarantine."""
        jobs = self._jobs.c
        conditions = [
            jobs.state == state for state in _distinct(conn, jobs.state) if state not in (*STATES, KEPT)
        ]
        for executor in _distinct(conn, jobs.executor, jobs.state == ACTIVE):
            never = or_(jobs.next_due.is_(None), (jobs.next_due > LATEST) & (jobs.next_due != HELD))
            of_executor = (jobs.state == ACTIVE) & (jobs.executor == executor)
            conditions.append(of_executor & never if type(executor) is str else of_executor)
        found: list[Job] = []
        for condition in conditions:
            rows = conn.execute(select(*self._rows.columns).where(condition).limit(BATCH - len(found))).all()
            for job in map(job_of, rows):
                if job.state != QUARANTINED:
                    job.error = NEVER_DUE
                    set_job_state(job, QUARANTINED)
                found.append(job)
            if len(found) >= BATCH:
                break
        return found

    def children(
        self, conn: Connection, job_of: Callable[[Any], Job]
    ) -> tuple[list[Job], list[tuple[str, str, str]]]:
        """Look at some of the jobs that no time starts, after those of the last look.

        :return: the jobs whose times are to be put right, or that nothing starts; of those that are noted as started by
            another job than their trigger says the ids, the triggers, and what they say
        """
        c = self._jobs.c
        executors = [word for word in _distinct(conn, c.executor, c.state == ACTIVE) if type(word) is str]
        untimed = (c.state == ACTIVE) & c.executor.in_(executors) & (c.next_due == NO_TIME)
        some = select(*self._rows.columns, c.parent).where(untimed, c.id > self._at).order_by(c.id)
        rows = conn.execute(some.limit(BATCH)).all() if executors else []
        self._at = rows[-1].id if len(rows) == BATCH and type(rows[-1].id) is str else ""
        wrong, strays = [], []
        for row in rows:
            job = job_of(row[:-1])
            if job.state != ACTIVE:  # not restored: whoever needs it finds out
                continue
            parent = parent_of(job)
            if parent is not None and parent != row.parent:
                strays.append((job.id, row.trigger_spec, parent))
            if check_place(job):
                wrong.append(job)
        return wrong, strays

    def adopt(self, conn: Connection, strays: list[tuple[str, str, str]]) -> None:
        """Have jobs found by the ends of those that start them, unless their triggers have changed since they were read."""
        c = self._jobs.c
        for id, trigger, parent in strays:
            same = self._jobs.update().where(c.id == id, c.trigger_spec == trigger)
            conn.execute(same.values(parent=parent))

    # -- runs ----------------------------------------------------------------------------------------------------

    def runs(self, conn: Connection) -> list[tuple[Orphan, Any]]:
        """Return some of the runs whose status, key or fence is damaged, or that wait for no time, with fence and status."""
        runs = self._runs.c
        conditions = [
            runs.status == status for status in _distinct(conn, runs.status) if status not in STATUSES
        ]
        odd = (runs.nominal > LATEST) | (runs.nominal < EARLIEST)
        if self._database.keeps_any_type:
            odd |= self._database.is_no_number(runs.nominal) | self._database.is_no_text(runs.job_id)
        conditions += [(runs.status == status) & odd for status in (CLAIMED, WAITING)]
        is_sound = func.coalesce(is_sound_waiting(self._database, runs), false())
        conditions.append((runs.status == WAITING) & not_(is_sound))
        found = []
        for condition in conditions:
            for row in conn.execute(select(self._runs).where(condition).limit(BATCH)):
                fence = (row.job_id, row.nominal, row.attempt, row.owner)
                found.append(((run_of(row), fence), row.status))
        return found

    def end(self, conn: Connection, found: list[tuple[Orphan, Any]], now: int) -> list[Run]:
        """Give damaged runs an end, unless they have changed since they were read; return those that got one."""
        runs = self._runs.c
        ended = []
        for (run, (job_id, nominal, attempt, owner)), status in found:
            said = run.reason if is_damaged(run.reason) else f"{DAMAGED}it cannot be told when it may start"
            end(run, LOST, said, now)
            as_found = (
                runs.job_id == job_id,
                runs.nominal == nominal,
                runs.status == status,
                runs.attempt == attempt,
                runs.owner.is_not_distinct_from(owner),
            )
            # It is written over: a rerun would not be able to name what stands there.
            values = {
                "status": LOST,
                "reason": run.reason,
                "finished": now,
                "not_before": None,
                "attempt": run.attempt,
            }
            if conn.execute(self._runs.update().where(*as_found).values(values)).rowcount:
                ended.append(run)
        self._follow(conn, ended, now)
        return ended

    # -- counters ------------------------------------------------------------------------------------------------

    def miscounted(self, conn: Connection) -> list[str]:
        """Return the ids of some jobs whose count of running runs is wrong, or that wait for runs that do not exist."""
        jobs, runs = self._jobs.c, self._runs.c
        claimed = (
            select(runs.job_id, func.count().label("count"))
            .where(has_place(runs))
            .group_by(runs.job_id)
            .subquery("claimed")
        )
        wrong = select(jobs.id).where(jobs.id == claimed.c.job_id, jobs.running != claimed.c.count)
        is_free = jobs.id.not_in(select(claimed.c.job_id))
        executors = [
            word for word in _distinct(conn, jobs.executor, jobs.state == ACTIVE) if type(word) is str
        ]
        waiting = [
            select(jobs.id).where(
                jobs.state == ACTIVE, jobs.executor == executor, jobs.next_due == HELD, is_free
            )
            for executor in executors
        ]
        # Those that no time starts are not claimed, which would find out.
        waiting += [
            select(jobs.id).where(
                jobs.state == ACTIVE,
                jobs.executor == executor,
                jobs.next_due == NO_TIME,
                jobs.running != 0,
                is_free,
            )
            for executor in executors
        ]
        over = select(jobs.id).where(jobs.state == ENDED, is_free, not_(has_waiting(self._jobs, self._runs)))
        found = union(wrong, over, *waiting).subquery("found")
        return [id for id in conn.execute(select(found).limit(BATCH)).scalars() if type(id) is str]


def _distinct(conn: Connection, column: Any, *conditions: Any) -> Iterator[Any]:
    """Return the distinct values of a column that an index begins with, each by one look into the index."""
    least = select(func.min(column)).where(*conditions)
    following = least.where(column > bindparam("b_after"))
    word = conn.scalar(least)
    for _ in range(_DISTINCT):
        if word is None:
            return
        yield word
        word = conn.scalar(following, {"b_after": word})
