"""The runs table and the claim protocol: claim, finish, give back, rescue, prune.

Each method is one step inside a transaction of the caller; it decides nothing that the planner has decided.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from sqlalchemy import ARRAY, Text, bindparam, case, cast, func, or_, select, tuple_
from sqlalchemy.exc import IntegrityError

from ...clock import HELD
from ...codec import dumps, loads
from ...core.plan import ENDED
from ...core.run import CLAIMED, Run, summary
from .capabilities import takes_arrays
from .prepared import Prepared, array_literal
from .schema import BATCH, storable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from sqlalchemy import Connection, Row, Table, Update, UpdateBase

    from ...core.plan import Decision
    from .prepared import Values
    from .schema import Tables

#: The columns that statements set, in the order in which rows give their values.
_MOVED = ("next_nominal", "next_due", "version", "running", "state", "error", "updated")
_ENDS = ("status", "reason", "started", "finished", "result", "error_type", "error", "traceback")
_TAKEN = ("owner", "attempt", "claimed")
_LOST = ("status", "reason", "finished")
#: The values that a run is found by.
_FENCE = ("b_job", "b_nominal", "b_attempt", "b_owner")


class Ledger:
    """Reads and writes the runs of one store, and the counters of running runs on its jobs."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        jobs, runs = tables.jobs.c, tables.runs.c
        look = select(jobs.id, jobs.version, jobs.running).with_for_update(skip_locked=True)
        self._look = look.where(jobs.id.in_(bindparam("ids", expanding=True)))
        #: the same where the ids can be one parameter
        ids = func.unnest(cast(bindparam("ids", type_=Text()), ARRAY(Text())))
        self._look_set = look.where(jobs.id.in_(select(ids)))
        self._move = Prepared(
            lambda value: (
                tables.jobs.update()
                .where(jobs.id == value("b_id"))
                .values({name: value(name) for name in _MOVED})
            ),
            *_MOVED,
            "b_id",
        )
        #: the same for a job that nobody has changed and that may run more; it counts up what is stored
        self._move_unchanged = Prepared(
            lambda value: (
                tables.jobs.update()
                .where(
                    jobs.id == value("b_id"),
                    jobs.version == value("b_version"),
                    jobs.running <= value("b_most"),
                )
                .values({name: value(name) for name in _MOVED} | {"running": jobs.running + value("running")})
            ),
            *_MOVED,
            "b_id",
            "b_version",
            "b_most",
        )
        self._drop = Prepared(lambda value: tables.jobs.delete().where(jobs.id == value("b_id")), "b_id")
        columns = [column.name for column in tables.runs.c]
        self._insert = Prepared(
            lambda value: value.inserted(tables.runs, **{name: value(name) for name in columns}), *columns
        )
        self._release = Prepared(partial(_release, tables.jobs), "b_id", "b_less")
        self._bury = tables.jobs.delete().where(jobs.state == ENDED, jobs.running <= 0)
        #: the same before the runs are counted down, so that these jobs need not be written once more
        self._bury_first = Prepared(
            lambda value: tables.jobs.delete().where(
                jobs.id == value("b_id"), jobs.state == ENDED, jobs.running <= value("b_less")
            ),
            "b_id",
            "b_less",
        )
        owned = partial(_claimed, tables.runs, False)
        # A run that was given back has no owner.
        orphan = partial(_claimed, tables.runs, True)
        self._finish = Prepared(
            lambda value: owned(value).values({name: value(name) for name in _ENDS}), *_ENDS, *_FENCE
        )
        self._give_back = Prepared(lambda value: owned(value).values(owner=None), *_FENCE)
        self._take = Prepared(
            lambda value: orphan(value).values({name: value(name) for name in _TAKEN} | {"started": None}),
            *_TAKEN,
            *_FENCE,
        )
        self._lose = Prepared(
            lambda value: orphan(value).values({name: value(name) for name in _LOST}), *_LOST, *_FENCE
        )
        self._record = select(runs.owner, runs.attempt, runs.status, runs.finished).where(
            runs.job_id == bindparam("b_job"), runs.nominal == bindparam("b_nominal")
        )
        self._taken = (
            select(runs.nominal)
            .where(runs.job_id == bindparam("b_job"), runs.nominal >= bindparam("b_nominal"))
            .order_by(runs.nominal)
            .limit(BATCH)
        )

    # -- claim ---------------------------------------------------------------------------------------------------

    def claim(self, conn: Connection, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Carry out the decisions whose job is as it was when they were made; return those."""
        if not decisions:
            return []
        if self._move_all(conn, decisions, now):
            self._write(conn, [run for decision in decisions for run in _marked(decision, node, now)])
            return list(decisions)
        won = self._unchanged(conn, decisions)
        moves: list[tuple[Any, ...]] = []
        drops: list[tuple[Any, ...]] = []
        records: list[Run] = []
        for decision, running in won:
            job = decision.job
            running += len(decision.runs)
            job.next_nominal, job.next_due = following = decision.next_nominal, decision.next_due
            job.state, job.error = state, error = decision.state, decision.error
            job.version = version = decision.version + 1
            job.running = running
            if state == ENDED and running <= 0:
                drops.append((job.id,))
            else:
                moves.append((*following, version, running, state, storable(error), now, job.id))
            records += _marked(decision, node, now)
        if moves:
            self._move.run(conn, moves)
        if drops:
            self._drop.run(conn, drops)
        self._write(conn, records)
        return [decision for decision, _ in won]

    def _move_all(self, conn: Connection, decisions: Sequence[Decision], now: int) -> bool:
        """Move all jobs without reading them first, which is most of the times right; change nothing if it was not."""
        if takes_arrays(conn.dialect) or not conn.dialect.supports_sane_multi_rowcount:
            return False
        rows = []
        for decision in decisions:
            job, more = decision.job, len(decision.runs)
            if decision.state == ENDED and not more:
                return False  # whether such a job goes depends on its counter
            most = job.policy.max_instances - 1 if more else HELD
            following = (decision.next_nominal, decision.next_due, decision.version + 1, more)
            rows.append(
                (*following, decision.state, storable(decision.error), now, job.id, decision.version, most)
            )
        savepoint = conn.begin_nested()
        if self._move_unchanged.run(conn, rows) != len(rows):
            savepoint.rollback()
            return False
        savepoint.commit()
        for decision in decisions:
            job = decision.job
            job.next_nominal, job.next_due = decision.next_nominal, decision.next_due
            job.state, job.error = decision.state, decision.error
            job.version = decision.version + 1
            job.running += len(decision.runs)
        return True

    def _unchanged(self, conn: Connection, decisions: Sequence[Decision]) -> list[tuple[Decision, int]]:
        """Return the decisions whose job has the version that was looked at and room for its runs, with its counter."""
        stored: dict[str, tuple[int, int]] = {}
        ids = [decision.job.id for decision in decisions]
        if takes_arrays(conn.dialect):
            found = conn.execute(self._look_set, {"ids": array_literal(ids)}).all()
        else:
            found = []
            for start in range(0, len(ids), BATCH):
                found += conn.execute(self._look, {"ids": ids[start : start + BATCH]}).all()
        for id, version, running in found:
            stored[id] = (version, running)
        won = []
        for decision in decisions:
            version, running = stored.get(decision.job.id, (None, 0))
            if version != decision.version:
                continue
            if decision.runs and running >= decision.job.policy.max_instances:
                continue  # the planner looks at it again
            won.append((decision, running))
        return won

    def _write(self, conn: Connection, records: Sequence[Run]) -> None:
        if not records:
            return
        try:
            with conn.begin_nested():
                self._insert.run(conn, [_row_of(record) for record in records])
        except IntegrityError:
            # A nominal time has its record already: the job was removed and added again, or set back by its user.
            taken: dict[str, set[int]] = {}
            for record in records:
                self._move_to_free(conn, record, taken.setdefault(record.job_id, set()))
            self._insert.run(conn, [_row_of(record) for record in records])

    def _move_to_free(self, conn: Connection, record: Run, taken: set[int]) -> None:
        """Move a record to the first microsecond from its nominal time on that has none."""
        nominal = record.nominal
        while True:
            later = conn.execute(self._taken, {"b_job": record.job_id, "b_nominal": nominal}).scalars().all()
            used = taken.union(later)
            while nominal in used:
                nominal += 1
            if len(later) < BATCH or nominal < later[-1]:
                break
        taken.add(nominal)
        record.nominal = nominal
        record.last = max(record.last, nominal)

    # -- finish --------------------------------------------------------------------------------------------------

    def finish(self, conn: Connection, runs: Sequence[Run], now: int) -> tuple[list[Run], bool]:
        """Write how runs ended.

        :return: the runs that are not the presenter's any more, and whether a job has become due that waited for these
        """
        rows = [_end_of(run) for run in runs]
        refused: list[Run] = []
        savepoint = conn.begin_nested()
        if self._finish.run(conn, rows) == len(rows):
            savepoint.commit()
            ended = Counter(run.job_id for run in runs)
        else:
            savepoint.rollback()
            ended = Counter()
            for run, row in zip(runs, rows, strict=True):
                if self._finish.run(conn, [row]):
                    ended[run.job_id] += 1
                elif not self._is_recorded(conn, run):
                    refused.append(run)
        over = all(run.job is not None and run.job.state == ENDED for run in runs)
        return refused, self.release(conn, ended, now, over)

    def _is_recorded(self, conn: Connection, run: Run) -> bool:
        """Whether this very end is in the ledger already: the answer to the first try was lost."""
        row = conn.execute(self._record, {"b_job": run.job_id, "b_nominal": run.nominal}).first()
        return row is not None and tuple(row) == (run.owner, run.attempt, run.status, run.finished_at)

    def release(self, conn: Connection, ended: Mapping[str, int], now: int, over: bool = False) -> bool:
        """Count ended runs down; jobs that waited for them become due, and those whose schedule is over go.

        :param over: whether the schedules of all these jobs are thought to be over
        :return: whether one of the jobs is due now, as far as the database tells
        """
        if not ended:
            return False
        rows = sorted(ended.items())
        if over and self._bury_first.run(conn, rows) == len(rows):
            return False
        if takes_arrays(conn.dialect):
            due = self._release.execute(conn, rows).scalars()
            return any(time is not None and time <= now for time in due)
        self._release.run(conn, rows)
        conn.execute(self._bury)
        return False

    # -- leases --------------------------------------------------------------------------------------------------

    def give_back(self, conn: Connection, runs: Sequence[Run]) -> None:
        """Leave claimed runs, which were not started, to whoever comes first."""
        if runs:
            self._give_back.run(conn, [fence_of(run) for run in runs])

    def is_busy(self, conn: Connection, node: str) -> bool:
        """Whether runs of a node are under way."""
        runs = self._tables.runs.c
        found = select(runs.nominal).where(runs.status == CLAIMED, runs.owner == node).limit(1)
        return conn.execute(found).first() is not None

    def orphans(self, conn: Connection, now: int, own: str | None) -> list[Run]:
        """Return the claimed runs that no living node owns, oldest first, and those of ``own``."""
        runs, nodes = self._tables.runs.c, self._tables.nodes.c
        alive = select(nodes.id).where(nodes.lease_until >= now)
        lost = or_(runs.owner.is_(None), runs.owner.not_in(alive))
        if own is not None:
            lost = or_(lost, runs.owner == own)
        found = select(self._tables.runs).where(runs.status == CLAIMED, lost).order_by(runs.nominal)
        return [run_of(row) for row in conn.execute(found)]

    def settle(self, conn: Connection, run: Run, fence: tuple[Any, ...]) -> bool:
        """Write what became of an orphan that was found with a fence: its new owner, or its end; False if it has changed."""
        if run.ended:
            return bool(self._lose.run(conn, [(run.status, storable(run.reason), run.finished_at, *fence)]))
        return bool(self._take.run(conn, [(run.owner, run.attempt, run.claimed_at, *fence)]))

    # -- looking back, and forgetting ----------------------------------------------------------------------------

    def select(
        self,
        conn: Connection,
        job_id: str | None,
        status: str | Iterable[str] | None,
        limit: int,
        offset: int,
    ) -> list[Run]:
        """Return a page of the records, newest first."""
        runs = self._tables.runs.c
        found = select(self._tables.runs).order_by(runs.nominal.desc(), runs.job_id)
        found = found.limit(limit).offset(offset)
        if job_id is not None:
            found = found.where(runs.job_id == job_id)
        if isinstance(status, str):
            found = found.where(runs.status == status)
        elif status is not None:
            found = found.where(runs.status.in_(list(status)))
        return [run_of(row) for row in conn.execute(found)]

    def crowded(self, conn: Connection, keep: int) -> list[str]:
        """Return the jobs that have more than ``keep`` records."""
        runs = self._tables.runs.c
        counts = select(runs.job_id).group_by(runs.job_id).having(func.count() > keep)
        return list(conn.execute(counts).scalars())

    def beyond(self, conn: Connection, job_id: str, keep: int) -> list[tuple[str, int]]:
        """Return the keys of the ended runs of a job that are older than its newest ``keep``, oldest first."""
        runs = self._tables.runs.c
        of_job = select(runs.nominal).where(runs.job_id == job_id, runs.status != CLAIMED)
        edge = conn.execute(of_job.order_by(runs.nominal.desc()).offset(keep).limit(1)).scalar()
        if edge is None:
            return []
        old = of_job.where(runs.nominal <= edge).order_by(runs.nominal).limit(BATCH)
        return [(job_id, nominal) for nominal in conn.execute(old).scalars()]

    def older(self, conn: Connection, instant: int) -> list[tuple[str, int]]:
        """Return the keys of some runs that ended before an instant, oldest first."""
        runs = self._tables.runs.c
        # A run ends after its nominal time, so the index on that leads to the old ones.
        old = (
            select(runs.job_id, runs.nominal)
            .where(runs.nominal < instant, runs.finished < instant, runs.status != CLAIMED)
            .order_by(runs.nominal)
            .limit(BATCH)
        )
        return [(job_id, nominal) for job_id, nominal in conn.execute(old)]

    def forget(self, conn: Connection, keys: Sequence[tuple[str, int]]) -> None:
        """Delete records."""
        runs = self._tables.runs
        conn.execute(
            runs.delete().where(tuple_(runs.c.job_id, runs.c.nominal).in_(keys), runs.c.status != CLAIMED)
        )


# ------------------------------------------------------------------------------------------------------- statements


def _claimed(table: Table, orphan: bool, value: Values) -> Update:
    """Return an UPDATE of claimed runs by their fence; that of an orphan may be without an owner."""
    runs, owner = table.c, value("b_owner")
    return table.update().where(
        runs.job_id == value("b_job"),
        runs.nominal == value("b_nominal"),
        runs.status == CLAIMED,
        runs.attempt == value("b_attempt"),
        runs.owner.is_not_distinct_from(owner) if orphan else runs.owner == owner,
    )


def _release(table: Table, value: Values) -> UpdateBase:
    """Return the UPDATE that counts ended runs down on their jobs, and makes jobs due that waited for them."""
    jobs, less = table.c, value("b_less")
    due = case(
        ((jobs.next_due == HELD) & (jobs.running <= less), jobs.next_nominal),
        else_=jobs.next_due,
    )
    released = (
        table.update()
        .where(jobs.id == value("b_id"))
        # In this order: MySQL uses the new value of a column in the assignments that follow.
        .ordered_values((jobs.next_due, due), (jobs.running, jobs.running - less))
    )
    return released.returning(jobs.next_due) if value.is_set else released


# ---------------------------------------------------------------------------------------------------- runs and rows


def _marked(decision: Decision, node: str, now: int) -> list[Run]:
    """Return the runs and records of a decision, as claimed by a node."""
    runs = decision.runs + decision.records
    for run in runs:
        run.owner, run.claimed_at = node, now
    return runs


def _row_of(run: Run) -> tuple[Any, ...]:
    """Return the columns of a run's row, in their order in the table."""
    return (
        run.job_id,
        run.nominal,
        run.last,
        run.count,
        run.due,
        run.attempt,
        run.status,
        storable(run.reason),
        run.owner,
        run.executor,
        run.claimed_at,
        run.started_at,
        run.finished_at,
        None,  # the result comes with the end
        run.error_type,
        storable(run.error),
        storable(run.traceback),
    )


def fence_of(run: Run) -> tuple[Any, ...]:
    """Return the values by which a claimed run is found as long as it is its owner's."""
    return (run.job_id, run.nominal, run.attempt, run.owner)


def _end_of(run: Run) -> tuple[Any, ...]:
    return (
        run.status,
        storable(run.reason),
        run.started_at,
        run.finished_at,
        None if run.retval is None else dumps(summary(run.retval)),
        run.error_type,
        storable(run.error),
        storable(run.traceback),
        run.job_id,
        run.nominal,
        run.attempt,
        run.owner,
    )


def run_of(row: Row[Any]) -> Run:
    """Return the record of a row."""
    run = Run(row.job_id, row.nominal, row.due, None, row.executor)
    run.last, run.count, run.attempt = row.last, row.times, row.attempt
    run.status, run.reason, run.owner = row.status, row.reason, row.owner
    run.claimed_at, run.started_at, run.finished_at = row.claimed, row.started, row.finished
    run.retval = None if row.result is None else loads(row.result)
    run.error_type, run.error, run.traceback = row.error_type, row.error, row.traceback
    return run
