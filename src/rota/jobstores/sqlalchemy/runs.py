"""The runs table and the claim protocol: claim, finish, give back, rescue.

Each method is one step inside a transaction of the caller; it decides nothing that the planner has decided.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from sqlalchemy import ARRAY, Text, bindparam, case, cast, func, or_, select

from ...clock import HELD
from ...codec.damaged import LATEST, MOST, count_of, is_damaged, version_of
from ...core.recorded import first_nominal, leave_out_recorded, ranges_of
from ...core.states import CLAIMED, END_STATES, ENDED
from ...core.transitions import marked, may_claim
from ...texts import storable
from ..documents import label_of
from ..server_clock import AHEAD
from .databases.base import counts_sets, locks_rows, takes_arrays
from .forms import (
    CLAIMS,
    ENDS,
    FENCE,
    LAST_ENDS,
    PLAIN_ENDS,
    claim_of,
    damage_of,
    end_of,
    fence_of,
    last_end_of,
    plain_end_of,
    row_of,
    run_of,
)
from .layout import BATCH
from .prepared import Prepared, Unexpected, array_literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from sqlalchemy import ColumnElement, Connection, Dialect, Table, Update, UpdateBase

    from ...core.plan import Decision
    from ...core.run import Run
    from .history import History
    from .jobs import Jobs
    from .layout import Tables
    from .prepared import Values

    #: a run that no living node owns, and its fence as it is stored
    Orphan = tuple[Run, tuple[Any, ...]]

#: The columns that statements set, in the order in which rows give their values.
_MOVED = ("next_nominal", "next_due", "version", "running", "state", "error", "updated")
_TAKEN = ("owner", "attempt", "claimed")
_LOST = ("status", "reason", "finished", "name", "func")


class Ledger:
    """Reads and writes the runs of one store, and the counters of running runs on its jobs."""

    def __init__(self, tables: Tables, rows: Jobs) -> None:
        self._tables = tables
        self._jobs = rows
        jobs, runs = tables.jobs.c, tables.runs.c
        look = select(jobs.id, jobs.version, jobs.running).with_for_update(skip_locked=True)
        self._look = look.where(jobs.id.in_(bindparam("ids", expanding=True)))
        self._there = select(jobs.id).where(jobs.id.in_(bindparam("ids", expanding=True)))
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
            alike=("state", "running", "error", "updated", "b_most"),
        )
        self._drop = Prepared(lambda value: tables.jobs.delete().where(jobs.id == value("b_id")), "b_id")
        columns = [column.name for column in tables.runs.c]
        self._insert = Prepared(
            lambda value: value.inserted(tables.runs, **{name: value(name) for name in columns}), *columns
        )
        self._claim = Prepared(
            lambda value: value.inserted(tables.runs, **{name: value(name) for name in CLAIMS}),
            *CLAIMS,
            alike=("times", "attempt", "status", "owner", "executor", "claimed"),
        )
        # Not as a set: there is no order in the assignments of MySQL's UPDATE that is joined with one.
        self._release = Prepared(partial(_release, tables.jobs), "b_id", "b_less", writes_out=False)
        #: the same for jobs that do not wait: their due time is not written, nor its index (2.7 µs for a job instead of 5.6)
        self._count_down = Prepared(
            lambda value: (
                tables.jobs.update()
                .where(jobs.id == value("b_id"), or_(jobs.next_due.is_(None), jobs.next_due != HELD))
                .values(running=jobs.running - value("b_less"))
            ),
            "b_id",
            "b_less",
            alike=("b_less",),
        )
        self._release_held = Prepared(
            partial(_release, tables.jobs, held=True), "b_id", "b_less", writes_out=False
        )
        over = (jobs.state == ENDED, jobs.running <= 0)
        self._bury = tables.jobs.delete().where(*over)
        self._over = select(jobs.id).where(*over)
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
            lambda value: owned(value).values({name: value(name) for name in ENDS}), *ENDS, *FENCE
        )
        self._finish_plain = Prepared(
            lambda value: owned(value).values({name: value(name) for name in PLAIN_ENDS}),
            *PLAIN_ENDS,
            *FENCE,
            alike=("status", "result", "b_attempt", "b_owner"),
        )
        self._finish_last = Prepared(
            lambda value: owned(value).values({name: value(name) for name in LAST_ENDS}),
            *LAST_ENDS,
            *FENCE,
            alike=("status", "result", "name", "func", "b_attempt", "b_owner"),
        )
        self._give_back = Prepared(lambda value: owned(value).values(owner=None), *FENCE)
        self._take = Prepared(
            lambda value: orphan(value).values({name: value(name) for name in _TAKEN} | {"started": None}),
            *_TAKEN,
            *FENCE,
        )
        self._lose = Prepared(
            lambda value: orphan(value).values({name: value(name) for name in _LOST}), *_LOST, *FENCE
        )
        self._record = select(runs.owner, runs.attempt, runs.status, runs.finished).where(
            runs.job_id == bindparam("b_job"), runs.nominal == bindparam("b_nominal")
        )

    def warm_up(self, dialect: Dialect) -> None:
        """Compile the statements that every run needs, so that the first runs do not wait for it."""
        arrays = takes_arrays(dialect)
        for statement in (
            self._move if arrays else self._move_unchanged,
            self._claim,
            self._finish_plain,
            self._finish_last,
            self._release if arrays else self._count_down,
        ):
            statement.compile(dialect)

    # -- claim ---------------------------------------------------------------------------------------------------

    def claim(
        self, conn: Connection, decisions: Sequence[Decision], node: str, now: int, careful: bool = False
    ) -> list[tuple[Decision, int]]:
        """Carry out the decisions whose job is as it was when they were made; return those, with how many runs it then has.

        :param careful: whether to expect that jobs have been changed by others
        :raises Unexpected: if that has to be expected
        :raises IntegrityError: if a nominal time has its record already (:meth:`leave_out_recorded`)
        """
        if not decisions:
            return []
        if not careful and self._move_all(conn, decisions, now):
            self._insert_all(conn, [run for decision in decisions for run in marked(decision, node, now)])
            return [(decision, decision.job.running + len(decision.runs)) for decision in decisions]
        won = []
        moves: list[tuple[Any, ...]] = []
        drops: list[tuple[Any, ...]] = []
        records: list[Run] = []
        for job_id, decision, running in self._unchanged(conn, decisions):
            state = decision.state
            running += len(decision.runs)
            if state == ENDED and running <= 0:
                drops.append((job_id,))
            else:
                following = (decision.next_nominal, decision.next_due, decision.version + 1, running)
                moves.append((*following, state, storable(decision.error), now, job_id))
            won.append((decision, running))
            records += marked(decision, node, now)
        if moves:
            self._move.run(conn, moves)
        if drops:
            self._drop.run(conn, drops)
        self._insert_all(conn, records)
        return won

    def _move_all(self, conn: Connection, decisions: Sequence[Decision], now: int) -> bool:
        """Move all jobs without reading them first, which is most of the times right; False if the database cannot tell.

        :raises Unexpected: if it was not right
        """
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
        if self._move_unchanged.run(conn, rows) != len(rows):
            raise Unexpected
        return True

    def held(self, conn: Connection, ids: Collection[str]) -> set[str]:
        """Lock the rows of jobs, and return the ids of those that somebody else holds; nobody is waited for."""
        wanted = sorted(ids)
        left: set[str] = set()
        for start in range(0, len(wanted), BATCH):
            some = {"ids": wanted[start : start + BATCH]}
            free = {row[0] for row in conn.execute(self._look, some)}
            if len(free) < len(some["ids"]):
                left.update(id for id in conn.execute(self._there, some).scalars() if id not in free)
        return left

    def _unchanged(self, conn: Connection, decisions: Sequence[Decision]) -> list[tuple[Any, Decision, int]]:
        """Return the decisions whose job has the version that was looked at and room for its runs, with its id and counter."""
        stored: dict[str, tuple[int, int | None]] = {}
        ids = self._ids_of(conn, decisions)
        if takes_arrays(conn.dialect):
            found = conn.execute(self._look_set, {"ids": array_literal(ids)}).all()
        else:
            found = []
            for start in range(0, len(ids), BATCH):
                found += conn.execute(self._look, {"ids": ids[start : start + BATCH]}).all()
        for id, version, running in found:
            stored[id] = (version_of(version), count_of(running))
        won = []
        for id, decision in zip(ids, decisions, strict=True):
            version, running = stored.get(id, (None, 0))
            if version != decision.version:
                continue
            if running is None:
                running = self._jobs.recount(conn, [id]).get(id, 0)
            if decision.runs and not may_claim(running, decision.job.policy.max_instances):  # R2
                continue  # the planner looks at it again
            won.append((id, decision, running))
        return won

    def _ids_of(self, conn: Connection, decisions: Sequence[Decision]) -> list[Any]:
        """Return the ids of the decisions' jobs as they are stored; those of damaged jobs may be no texts."""
        odd = {}
        if any(is_damaged(decision.error) for decision in decisions):
            odd = self._jobs.odd_ids(conn)
        return [odd.get(decision.job.id, decision.job.id) for decision in decisions]

    def _insert_all(self, conn: Connection, records: Sequence[Run]) -> None:
        claimed, telling = [], []
        for run in records:
            if run.status == CLAIMED and run.reason is None and run.signature is None:
                claimed.append(claim_of(run))
            else:
                telling.append(row_of(run))
        if claimed:
            self._claim.run(conn, claimed)
        if telling:
            self._insert.run(conn, telling)

    def leave_out_recorded(self, conn: Connection, decisions: Sequence[Decision], history: History) -> bool:
        """Take out of decisions whose claim failed the nominal times that have a record (rule R4).

        Every record is written with a new version of its job, so what is read here is true of the version that was decided on.

        :return: whether there is such a time
        """
        first = {decision.job.id: (first_nominal(decision), decision) for decision in decisions}
        keys = [
            (run.job_id, run.nominal) for decision in decisions for run in (*decision.runs, *decision.records)
        ]
        met = history.met(conn, keys) | history.between(conn, ranges_of(decisions))
        for job_id in met:
            since, decision = first[job_id]
            if since is not None:
                leave_out_recorded(decision, history.recorded(conn, job_id, since))
        return bool(met)

    # -- finish --------------------------------------------------------------------------------------------------

    def finish(
        self, conn: Connection, runs: Sequence[Run], now: int, careful: bool = False
    ) -> tuple[list[Run], bool]:
        """Write how runs ended.

        :param careful: whether to expect that some of them are not the presenter's any more
        :return: the runs that are not the presenter's any more, and whether a job has become due that waited for these
        :raises Unexpected: if that has to be expected
        """
        refused: list[Run] = []
        if not careful:
            self._finish_all(conn, runs)
            ended = Counter([run.job_id for run in runs])
        else:
            ended = Counter()
            for run in runs:
                if self._finish.run(conn, [end_of(run)]) or self._finish_damaged(conn, run):
                    ended[run.job_id] += 1
                elif not self._is_recorded(conn, run):
                    refused.append(run)
        over = all(run.job is not None and run.job.state == ENDED for run in runs)
        return refused, self.release(conn, ended, now, over)

    def _finish_all(self, conn: Connection, runs: Sequence[Run]) -> None:
        plain, last, telling = [], [], []
        for run in runs:
            if run.reason is not None or run.error_type is not None:
                telling.append(end_of(run))
            elif run.job is not None and run.job.state == ENDED:
                last.append(last_end_of(run))
            else:
                plain.append(plain_end_of(run))
        parts = (self._finish_plain, plain), (self._finish_last, last), (self._finish, telling)
        for statement, rows in parts:
            # Where nobody knows how many there were (MySQL), care has to be taken of those too.
            if rows and statement.run(conn, rows) != len(rows):
                raise Unexpected

    def _is_recorded(self, conn: Connection, run: Run) -> bool:
        """Whether this very end is in the ledger already: the answer to the first try was lost."""
        row = conn.execute(self._record, {"b_job": run.job_id, "b_nominal": run.nominal}).first()
        return row is not None and tuple(row) == (run.owner, run.attempt, run.status, run.finished_at)

    def _finish_damaged(self, conn: Connection, run: Run) -> bool:
        """Write the end of a run whose record is damaged, if nobody has taken it over: who does writes an owner and an attempt."""
        found = select(self._tables.runs).where(*self._is_key(run.job_id, run.nominal))
        row = conn.execute(found).first()
        if row is None or row.status in END_STATES or row.owner is None or damage_of(row) is None:
            return False
        if isinstance(row.owner, str) and row.owner != run.owner:
            return False
        if isinstance(row.attempt, int) and 0 < row.attempt < MOST and row.attempt != run.attempt:
            return False
        values = dict(zip(ENDS, end_of(run), strict=False)) | {"owner": run.owner, "attempt": run.attempt}
        conn.execute(self._tables.runs.update().where(*self._is_key(run.job_id, run.nominal)).values(values))
        return True

    def _is_key(self, job_id: Any, nominal: Any) -> tuple[ColumnElement[bool], ...]:
        runs = self._tables.runs.c
        return runs.job_id == job_id, runs.nominal == nominal

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
            released: Any = self._release.execute(conn, rows).all()
            if any(state == ENDED and running <= 0 for _, state, running in released):
                self._drop_ended(conn, ended)
            return any(time is not None and time <= now for time, _, _ in released)
        if not counts_sets(conn.dialect):
            self._release.run(conn, rows)
        elif self._count_down.run(conn, rows) != len(rows):
            self._release_held.run(conn, rows)
        self._drop_ended(conn, ended)
        return False

    def _drop_ended(self, conn: Connection, ended: Collection[str]) -> None:
        """Delete the jobs, of those that were counted down, whose schedule is over and whose last run has ended."""
        if not locks_rows(conn.dialect):
            conn.execute(self._bury)
            return
        # A DELETE by their state would wait for whatever rows it comes across, also those of other jobs.
        over = [(id, 0) for id in conn.execute(self._over).scalars() if id in ended]
        if over:
            self._bury_first.run(conn, over)

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

    def orphans(
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

    def lost(self, conn: Connection, node: str, in_hand: Collection[Run]) -> list[Run]:
        """Return those of a node's runs that are not claimed by it any more."""
        runs = self._tables.runs.c
        owned = select(runs.job_id, runs.nominal, runs.attempt).where(
            runs.status == CLAIMED, runs.owner == node
        )
        held = {tuple(row) for row in conn.execute(owned)} if in_hand else set()
        return [run for run in in_hand if (run.job_id, run.nominal, run.attempt) not in held]

    def settle(self, conn: Connection, run: Run, fence: tuple[Any, ...]) -> bool:
        """Write what became of an orphan that was found with a fence: its new owner, or its end; False if it has changed.

        Of a damaged one the fence is what is stored, whatever that is.
        """
        if run.ended:
            lost = (run.status, storable(run.reason), run.finished_at, *label_of(run))
            return bool(self._lose.run(conn, [(*lost, *fence)]))
        return bool(self._take.run(conn, [(run.owner, run.attempt, run.claimed_at, *fence)]))


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


def _release(table: Table, value: Values, held: bool = False) -> UpdateBase:
    """Return the UPDATE that counts ended runs down on their jobs, and makes jobs due that waited for them.

    :param held: whether only on jobs that wait
    """
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
    if held:
        return released.where(jobs.next_due == HELD)
    return released.returning(jobs.next_due, jobs.state, jobs.running) if value.returns else released


# --------------------------------------------------------------------------------------------------------- decisions
