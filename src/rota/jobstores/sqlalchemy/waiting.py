"""Runs that wait for a time of their own: opened, taken, given back and cancelled.

Each method is one step inside a transaction of the caller, which locks the rows of the jobs first, as every other step does. What
starts and what does not is decided in ``rota.core.waiting``.
"""

from __future__ import annotations

from collections import Counter
from copy import copy
from operator import attrgetter

from sqlalchemy import and_, bindparam, exists, false, func, not_, or_, select

from ...core.extras import ASKED_FOR, RETRY, extra_of, keeps_place
from ...core.openings import by_run
from ...core.policy import Policy
from ...core.states import CLAIMED, ENDED, PAUSED, QUARANTINED, WAITING
from ...core.transitions import not_ended_well
from ...core.waiting import (
    JOB_REMOVED,
    KEY_HOLDS,
    Taking,
    answers_for_key,
    cancelled,
    given_back,
    has_no_job,
    is_asked,
    looked_at,
    opened,
)
from ...errors import JobLookupError
from ..documents import KEPT
from .databases.base import BATCH
from .forms import EXTRA, RECORD, extra_of_run, row_of, run_of
from .job_statements import is_sound_waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sqlalchemy import ColumnElement, Connection

    from ...codec.jobs import JobFormat
    from ...core.openings import Cut
    from ...core.run import Run
    from ...job.handle import Job
    from .forms import Row
    from .jobs import Jobs
    from .layout import Tables
    from .runs import Runs

#: How many waiting runs are read at once, and how often at most.
PORTION = 200
PORTIONS = 20
#: A key that comes before all others.
_FIRST: tuple[int, str, int] = (-(2**62), "", 0)


class Waiting:
    """Reads and writes the waiting runs of one store.

    :param job_of: returns the job of a row
    """

    def __init__(
        self, tables: Tables, jobs: Jobs, runs: Runs, format: JobFormat, job_of: Callable[[Row], Job]
    ) -> None:
        self._tables = tables
        self._table = tables.runs
        jobs_table = tables.jobs.c
        self._jobs = jobs
        self._runs = runs
        self._format = format
        self._job_of = job_of
        c = self._table.c
        # The index of the times leads to them, which are in order then, and not that of the statuses.
        self._is_waiting = and_(c.not_before.is_not(None), func.coalesce(c.status, "") == WAITING)
        # Others are ended by housekeeping.
        self._may_start = and_(self._is_waiting, is_sound_waiting(tables.database, c))
        # A look at the jobs of all waiting runs; that of the earliest is mostly enough.
        of_job, state = jobs_table.id == c.job_id, jobs_table.state
        is_asked_for = func.coalesce(self._waits_for(*ASKED_FOR), false())
        is_paused = and_(state == PAUSED, not_(is_asked_for))
        self._is_held_up = exists().where(of_job, or_(state == QUARANTINED, is_paused))
        self._may_end = func.coalesce(self._waits_for(RETRY), false())
        #: R5: what gives back or ends a run shows its fence
        fence = (
            c.job_id == bindparam("b_job"),
            c.nominal == bindparam("b_nominal"),
            c.attempt == bindparam("b_attempt"),
        )
        written: dict[str, Any] = {name: bindparam(name) for name in (*RECORD[2:], *EXTRA)}
        change = self._table.update().where(*fence).values(written)
        self._from_waiting = change.where(c.status == WAITING)
        # Whatever its fence says: what waits belongs to nobody.
        waits = (*fence[:2], c.status == WAITING)
        self._cancelled = self._table.update().where(*waits).values(written)
        # What somebody has asked to stop does not wait for another try.
        self._from_claimed = change.where(
            c.status == CLAIMED, c.owner == bindparam("b_owner"), c.cancel.is_(None)
        )
        self._again = change.where(c.status == bindparam("b_status"))

    # -- opening -------------------------------------------------------------------------------------------------

    def open(
        self, conn: Connection, runs: Sequence[Run], now: int, cuts: Sequence[Cut], version: int | None
    ) -> list[Run]:
        """Make runs wait that are asked for; see the port."""
        rows = self._locked(conn, {run.job_id for run in runs})
        known = {row.id for row in rows if version is None or row.version == version}  # R1
        cut_of = by_run(cuts, runs) if cuts else {}
        of_cut: dict[int, list[Run]] = {}
        found: list[Run] = []
        for run in runs:
            if run.job_id not in known:
                continue
            its_cut = cut_of.get((run.job_id, run.nominal))
            if its_cut is not None:
                of_cut.setdefault(id(its_cut), []).append(run)
                continue
            extra = extra_of(run)
            waiting = self._of_key(conn, run.job_id, extra.key, now) or self._opened(conn, run, now)
            if waiting is not None:
                found.append(waiting)
        split: set[str] = set()
        for cut in cuts:
            some = self._cut(conn, cut, of_cut.get(id(cut), ()), now)
            split |= {run.job_id for run in some}
            found += some
        if split:  # who has read the records before may have missed a piece (R1)
            jobs = self._tables.jobs
            raised = jobs.update().where(jobs.c.id.in_(sorted(split)))
            conn.execute(raised.values(version=jobs.c.version + 1))
        kept = [(row.id,) for row in rows if row.state == KEPT]
        if kept and found:
            self._runs.sql.open_kept.run(conn, kept)
            # Of those that were refused, or that their keys found ended, nothing waits.
            self._runs.keep_ended(conn, [id for (id,) in kept])
        return found

    def _cut(self, conn: Connection, cut: Cut, runs: Sequence[Run], now: int) -> list[Run]:
        """Open runs in the place of a record, and write what is left of it; return them, none if it is not as it was."""
        record = self._record(conn, cut.found.job_id, cut.found.nominal)
        if not runs or record is None or not record.ended or not cut.is_same(record):
            return []
        opened_now = []
        for run in runs:
            twin = copy(run)  # the step may be repeated
            twin.extra = copy(extra_of(run))
            opened(twin, now if twin.extra.not_before is None else twin.extra.not_before)
            self._format.extra_text(twin)
            self._format.sign(twin)
            opened_now.append(twin)
        written = [*cut.left, *opened_now]
        instead = next(each for each in written if each.nominal == record.nominal)
        if not self._write(conn, self._again, instead, record.attempt, b_status=record.status):
            return []  # it was forgotten at this moment
        self._runs.insert(conn, [each for each in written if each is not instead])
        return opened_now

    def _opened(self, conn: Connection, run: Run, now: int) -> Run | None:
        """Return a run that waits from now on, None if its time has a record that has not ended (R4)."""
        extra = extra_of(run)
        record = self._record(conn, run.job_id, run.nominal)
        not_before = now if extra.not_before is None else extra.not_before
        if record is None:
            opened(run, not_before)
            self._format.extra_text(run)  # the arguments are texts from now on
            self._format.sign(run)
            self._runs.insert(conn, [run])
        elif not record.ended or run.attempt == 0:
            return None
        else:
            status, record.extra, run = record.status, extra, record
            opened(run, not_before)
            self._format.extra_text(run)
            self._format.sign(run)
            if not self._write(conn, self._again, run, run.attempt, b_status=status):
                return None  # it was forgotten at this moment
        if extra.key is not None:
            keys = self._tables.keys
            conn.execute(keys.delete().where(keys.c.job_id == run.job_id, keys.c.key == extra.key))
            conn.execute(keys.insert().values(job_id=run.job_id, key=extra.key, nominal=run.nominal, at=now))
        return run

    def _of_key(self, conn: Connection, job_id: str, key: str | None, now: int) -> Run | None:
        """Return the run that was asked for with a key, None if there is none, or the key does not hold any more."""
        if key is None:
            return None
        keys = self._tables.keys.c
        row = conn.execute(
            select(keys.nominal, keys.at).where(keys.job_id == job_id, keys.key == key)
        ).first()
        if row is None or type(row.at) is not int or now - row.at >= KEY_HOLDS:
            return None
        known = self._record(conn, job_id, row.nominal)
        return known if answers_for_key(known) else None

    # -- taking --------------------------------------------------------------------------------------------------

    def next(self, conn: Connection) -> int | None:
        """Return when somebody has to look at waiting runs next; see the port."""
        not_before = self._table.c.not_before
        earliest = select(not_before).where(self._may_start).order_by(not_before).limit(1)
        first: int | None = conn.scalar(earliest)
        if first is None:
            return None
        free: int | None = conn.scalar(earliest.where(not_(self._is_held_up)))
        return first if free == first else self._before(conn, free)

    def _before(self, conn: Connection, free: int | None) -> int | None:
        """Return when the deadline of a retry is over whose job is paused, or when a run may start, whichever comes first."""
        c = self._table.c
        held_up = select(self._table).where(self._may_start, self._is_held_up, self._waits_for(RETRY))
        rows = conn.execute(held_up.order_by(c.not_before).limit(PORTION * PORTIONS)).all()
        stored = self._jobs.some(conn, {row.job_id for row in rows}) if rows else ()
        jobs = {row.id: self._job_of(row) for row in stored}
        times = [
            time for run in map(run_of, rows) if (time := looked_at(run, jobs.get(run.job_id))) is not None
        ]
        return min(times if free is None else (*times, free), default=None)

    def _waits_for(self, *what: str) -> ColumnElement[bool]:
        """Return whether a run waits for one of these."""
        return or_(*(self._table.c.extra.contains(f'"waiting_for":"{each}"') for each in what))

    def take(self, conn: Connection, taking: Taking, now: int, careful: bool = False) -> list[Run]:
        """Take waiting runs whose time has come, earliest first, as is decided; return those that were taken or have ended.

        :param careful: whether to expect that somebody holds the rows of some
        """
        changed: list[Run] = []
        after = _FIRST
        for _ in range(PORTIONS):
            rows = self._due(conn, after, now, taking.busy)
            changed += self._take_some(conn, rows, taking, now, careful)
            if len(rows) < PORTION or taking.full:
                break
            after = (rows[-1].not_before, rows[-1].job_id, rows[-1].nominal)
        return changed

    def _due(self, conn: Connection, after: tuple[int, str, int], now: int, busy: set[str]) -> Sequence[Row]:
        c = self._table.c
        not_before, job_id, nominal = after
        later = or_(
            c.not_before > not_before,
            and_(c.not_before == not_before, c.job_id > job_id),
            and_(c.not_before == not_before, c.job_id == job_id, c.nominal > nominal),
        )
        may = or_(not_(self._is_held_up), self._may_end)
        due = select(self._table).where(self._may_start, c.not_before <= now, later, may)
        if busy:
            due = due.where(c.job_id.not_in(sorted(busy)[:BATCH]))
        return conn.execute(due.order_by(c.not_before, c.job_id, c.nominal).limit(PORTION)).all()

    def _take_some(
        self, conn: Connection, rows: Sequence[Row], taking: Taking, now: int, careful: bool
    ) -> list[Run]:
        ids = {row.job_id for row in rows if type(row.job_id) is str}
        held = self._runs.held(conn, ids)
        if careful:
            held |= self._runs.of_held_runs(
                conn, {(row.job_id, row.nominal) for row in rows if row.job_id in ids}
            )
        stored = {row.id: row for row in self._jobs.some(conn, ids - held)}
        jobs = {id: self._job_of(row) for id, row in stored.items()}
        running = Counter({id: job.running for id, job in jobs.items()})
        free: Counter[str] = Counter()
        changed: list[Run] = []
        found = list(map(run_of, rows))
        taking.look_at(found)
        for run in found:
            job, attempt = jobs.get(run.job_id), run.attempt
            if run.job_id in held or run.status != WAITING:
                continue
            keeps = keeps_place(extra_of(run))
            if not taking.take(run, job, running[run.job_id], self._format.job_for, self._format.run_refusal):
                continue
            if run.status == CLAIMED and run.signature is not None:
                self._format.sign(run)  # its executor may be another one by now
            if not self._write(conn, self._from_waiting, run, attempt):
                continue  # R4: somebody else was faster
            changed.append(run)
            if job is not None:
                running[run.job_id] += (run.status == CLAIMED) - keeps
                free[run.job_id] += keeps and run.ended
        ended = [run for run in changed if run.ended]
        self._runs.follow(conn, ended, now)
        for id, job in jobs.items():
            self._count(conn, id, running[id] - job.running + free[id])
        over = [id for id, job in jobs.items() if job.state == ENDED]
        failed = not_ended_well(ended) & set(over)
        self._runs.release(conn, +free, now, failed=failed)
        self._runs.keep_ended(conn, failed)
        self._drop_ended(conn, over)
        if Policy.some_pause:
            self._runs.count_ends(conn, ended, now)
        return changed

    # -- giving back ---------------------------------------------------------------------------------------------

    def give_back(self, conn: Connection, runs: Sequence[Run], now: int) -> list[Run]:
        """Make claimed runs wait; return those that were refused (R5), or that somebody has asked to stop."""
        known = {row.id for row in self._locked(conn, {run.job_id for run in runs})}
        refused: list[Run] = []
        free: Counter[str] = Counter()
        for run in runs:
            if run.job_id not in known:
                there = self._record(conn, run.job_id, run.nominal)
                if there is not None:
                    has_no_job(run, there)
                refused.append(run)
                continue
            record = copy(run)  # the step may be repeated
            given_back(record, extra_of(run).not_before or now)
            if self._write(conn, self._from_claimed, record, run.attempt, b_owner=run.owner):
                if not keeps_place(extra_of(run)):
                    free[run.job_id] += 1
                continue
            there = self._record(conn, run.job_id, run.nominal)
            if is_asked(run, there) or not _is_given_back(record, there):
                refused.append(run)
        self._runs.release(conn, free, now)
        return refused

    # -- cancelling ----------------------------------------------------------------------------------------------

    def cancel(
        self, conn: Connection, job_id: str, nominal: int, reason: str, now: int, only_waiting: bool
    ) -> Run | None:
        """Cancel a run; return its record, None if there is none.

        One that waits ends; of one that is under way the request is kept.
        """
        self._locked(conn, {job_id})
        run = self._record(conn, job_id, nominal)
        if run is None or run.ended:
            return run
        extra = extra_of(run)
        if run.status == WAITING:
            self._cancel(conn, run, reason, now)
            self._drop_ended(conn, [job_id])
        elif extra.cancel is None and not only_waiting:
            c = self._table.c
            asked = self._table.update().where(
                c.job_id == job_id, c.nominal == nominal, c.status == CLAIMED, c.cancel.is_(None)
            )
            conn.execute(asked.values(cancel=reason))
            extra.cancel = reason
        return run

    def _cancel(self, conn: Connection, run: Run, reason: str, now: int) -> None:
        keeps = keeps_place(extra_of(run))
        cancelled(run, reason, now)
        if not self._write(conn, self._cancelled, run):
            return
        self._runs.follow(conn, [run], now)
        if keeps:
            self._runs.release(conn, {run.job_id: 1}, now)

    def remove_job(self, conn: Connection, job_id: str, now: int) -> list[Run]:
        """Delete a job for which runs wait, and cancel these; return them.

        :raises JobLookupError: if there is no such job
        """
        rows = self._locked(conn, {job_id})
        if not rows or (rows[0].state == ENDED and not self._of_job(conn, job_id)):
            raise JobLookupError(job_id)
        ended = self._cancel_all(conn, self._of_job(conn, job_id), now)
        jobs = self._tables.jobs
        conn.execute(jobs.delete().where(jobs.c.id == job_id))
        self._runs.follow(conn, ended, now)
        return ended

    def cancel_all(self, conn: Connection, now: int) -> list[Run]:
        """Cancel all waiting runs, as all jobs are about to be deleted; return them."""
        waiting = select(self._table).where(self._is_waiting)
        return self._cancel_all(conn, [run_of(row) for row in conn.execute(waiting)], now)

    def _of_job(self, conn: Connection, job_id: str) -> list[Run]:
        found = select(self._table).where(self._table.c.job_id == job_id, self._is_waiting)
        return [run_of(row) for row in conn.execute(found)]

    def _cancel_all(self, conn: Connection, runs: Sequence[Run], now: int) -> list[Run]:
        ended = []
        names = {row.id: row for row in self._jobs.some(conn, {run.job_id for run in runs})} if runs else {}
        for run in sorted(runs, key=attrgetter("job_id", "nominal")):
            row = names.get(run.job_id)
            if row is not None:
                run.name, run.func = row.name, row.func
            cancelled(run, JOB_REMOVED, now)
            if self._write(conn, self._cancelled, run):
                ended.append(run)
        return ended

    # -- rows ----------------------------------------------------------------------------------------------------

    def _locked(self, conn: Connection, ids: set[str]) -> Sequence[Any]:
        """Lock the rows of jobs, and return their ids, states and versions."""
        jobs = self._tables.jobs.c
        rows = select(jobs.id, jobs.state, jobs.version).where(jobs.id.in_(sorted(ids))).order_by(jobs.id)
        return conn.execute(rows.with_for_update()).all()

    def _record(self, conn: Connection, job_id: str, nominal: Any) -> Run | None:
        c = self._table.c
        row = conn.execute(select(self._table).where(c.job_id == job_id, c.nominal == nominal)).first()
        return None if row is None else run_of(row)

    def _write(
        self, conn: Connection, change: Any, run: Run, attempt: int | None = None, **more: Any
    ) -> bool:
        """Write a whole record in place of the one that has a fence, if one is given; return False if there is none with that."""
        values = dict(zip((*RECORD, *EXTRA), (*row_of(run), *extra_of_run(run, self._format)), strict=True))
        del values["job_id"], values["nominal"]
        fence = {"b_job": run.job_id, "b_nominal": run.nominal}
        if attempt is not None:
            fence["b_attempt"] = attempt
        return bool(conn.execute(change, {**values, **fence, **more}).rowcount)

    def _count(self, conn: Connection, job_id: str, more: int) -> None:
        jobs = self._tables.jobs
        if more:
            conn.execute(jobs.update().where(jobs.c.id == job_id).values(running=jobs.c.running + more))

    def _drop_ended(self, conn: Connection, ids: Sequence[str]) -> None:
        """Delete those of some jobs whose schedule is over and of which no run is left (R6)."""
        if ids:
            self._runs.sql.delete_ended.run(conn, [(id, 0) for id in sorted(ids)])


def _is_given_back(run: Run, record: Run | None) -> bool:
    """Whether a run waits as it was given back: the answer to the first try was lost."""
    return (
        record is not None
        and (record.status, record.attempt) == (WAITING, run.attempt)
        and extra_of(record).not_before == extra_of(run).not_before
    )
