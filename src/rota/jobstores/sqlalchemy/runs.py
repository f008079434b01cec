"""The claim protocol: claim, finish, give back.

Each method is one step inside a transaction of the caller; it decides nothing that the planner has decided. The statements are in
``run_statements``, the order of the tries is in ``run_writes``.
"""

from __future__ import annotations

from collections import Counter

from sqlalchemy import select, tuple_

from ...clock import HELD
from ...codec.damaged import MOST, count_of, is_damaged, text_instead, version_of
from ...codec.options import spare_in
from ...core.chains import ends_among
from ...core.pauses import count_ends, counting
from ...core.policy import Policy
from ...core.recorded import first_nominal, firsts_of, leave_out_recorded, ranges_of
from ...core.states import CLAIMED, END_STATES, ENDED
from ...core.transitions import ends_pause, is_allowed, marked, not_ended_well, rooms_of
from ...core.tries import hear, is_unasked
from ...job.rare import Rare
from ...texts import storable
from ...triggers.base import BaseTrigger
from .databases.base import BATCH
from .forms import (
    ENDS,
    claim_of,
    damage_of,
    end_of,
    extra_of_run,
    fence_of,
    last_end_of,
    marked_jobs_of,
    marks_of,
    plain_end_of,
    row_of,
)
from .prepared import OptimisticWriteFailed
from .run_statements import RunStatements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from sqlalchemy import ColumnElement, Connection, Dialect

    from ...codec.jobs import JobFormat
    from ...core.plan import Decision
    from ...core.run import Run
    from .history import History
    from .jobs import Jobs
    from .layout import Tables


def _supersede(decisions: Sequence[Decision]) -> bool:
    """Whether waiting runs end with one of these decisions."""
    return Policy.some_retry and any(decision.superseded for decision in decisions)


class Runs:
    """Reads and writes the runs of one store, and the counters of running runs on its jobs."""

    def __init__(self, tables: Tables, jobs: Jobs, format: JobFormat) -> None:
        self._tables = tables
        self._format = format
        self._database = tables.database
        self._jobs = jobs
        self.sql = tables.once(RunStatements)
        #: writes what the ends of runs leave at other jobs, and tells which of these may leave something
        self.follow: Callable[[Connection, Sequence[Run], int], None]
        self.starting: Callable[[Sequence[Run]], list[Run]]

    def warm_up(self, dialect: Dialect) -> None:
        """Compile the statements that every run needs, so that the first runs do not wait for it."""
        sql, arrays = self.sql, self._database.takes_arrays
        for statement in (
            sql.move if arrays else sql.move_unchanged,
            sql.insert_claimed,
            sql.finish_plain,
            sql.finish_last,
            sql.release if arrays else sql.count_down,
        ):
            statement.compile(dialect)

    # -- claim ---------------------------------------------------------------------------------------------------

    def claim(
        self, conn: Connection, decisions: Sequence[Decision], node: str, now: int, careful: bool = False
    ) -> list[tuple[Decision, int]]:
        """Carry out the decisions whose job is as it was when they were made (R1 to R4).

        :return: those decisions, with how many runs their job then has
        :param careful: whether to expect that jobs have been changed by others
        :raises OptimisticWriteFailed: if that has to be expected
        :raises IntegrityError: if a nominal time has its record already (:meth:`leave_out_recorded`)
        """
        if not decisions:
            return []
        if not careful and not _supersede(decisions) and self._move_all(conn, decisions, now):
            self.insert(conn, [run for decision in decisions for run in marked(decision, node, now)])
            self._follow_moved(conn, decisions, now)
            return [(decision, decision.job.running + len(decision.runs)) for decision in decisions]
        won = []
        moves: list[tuple[Any, ...]] = []
        drops: list[tuple[Any, ...]] = []
        ended: list[tuple[Any, ...]] = []
        records: list[Run] = []
        for job_id, decision, running in self._unchanged(conn, decisions, now):
            state = decision.state
            running += len(decision.runs)
            following = (decision.next_nominal, decision.next_due, decision.version + 1, running)  # R3
            move = (*following, state, storable(decision.error), now, job_id)
            if state == ENDED and running <= 0:
                drops.append((job_id,))
                ended.append(move)
            else:
                moves.append(move)
            won.append((decision, running))
            records += marked(decision, node, now)
        if moves:
            self.sql.move.run(conn, moves)
        if drops and self.sql.drop.run(conn, drops) != len(drops):
            self.sql.move.run(conn, ended)  # those stay of which runs wait
        self.insert(conn, records)
        self._follow_moved(conn, [decision for decision, _ in won], now)
        return won

    def _follow_moved(self, conn: Connection, decisions: Sequence[Decision], now: int) -> None:
        """Forget the pauses that claims end, and write what ends among their records leave at other jobs."""
        if Rare.some_paused and (over := [{"b_id": each.job.id} for each in decisions if ends_pause(each)]):
            conn.execute(self.sql.end_pause, over)
        ended = ends_among(decisions)
        if ended:
            self.follow(conn, ended, now)

    def _move_all(self, conn: Connection, decisions: Sequence[Decision], now: int) -> bool:
        """Move all jobs without reading them first (R1, R2 and R3 in one statement), which is right most of the time.

        :return: whether that was done: the database may not be able to tell
        :raises OptimisticWriteFailed: if it was not right
        """
        if self._database.takes_arrays or not self._database.counts_executions:
            return False
        rows = []
        for decision in decisions:
            job, more = decision.job, len(decision.runs)
            if not more and (decision.state == ENDED or decision.waits_for_room):
                return False  # whether such a job goes, or waits, depends on its counter
            most = job.policy.limit - 1 if more else HELD
            following = (decision.next_nominal, decision.next_due, decision.version + 1, more)  # R3
            rows.append(
                (*following, decision.state, storable(decision.error), now, job.id, decision.version, most)
            )
        if self.sql.move_unchanged.run(conn, rows) != len(rows):
            raise OptimisticWriteFailed
        return True

    def held(self, conn: Connection, ids: Collection[str]) -> set[str]:
        """Lock the rows of jobs, and return the ids of those that somebody else holds; nobody is waited for."""
        wanted = sorted(ids)
        left: set[str] = set()
        for start in range(0, len(wanted), BATCH):
            some = {"ids": wanted[start : start + BATCH]}
            free = {row[0] for row in conn.execute(self.sql.look, some)}
            if len(free) < len(some["ids"]):
                left.update(id for id in conn.execute(self.sql.exist, some).scalars() if id not in free)
        return left

    def of_held_runs(self, conn: Connection, keys: Collection[tuple[str, int]]) -> set[str]:
        """Lock the rows of runs, and return the ids of the jobs of those that somebody else holds; nobody is waited for."""
        wanted, c = sorted(keys), self._tables.runs.c
        found: set[tuple[str, int]] = set()
        for start in range(0, len(wanted), BATCH):
            some = tuple_(c.job_id, c.nominal).in_(wanted[start : start + BATCH])
            look = select(c.job_id, c.nominal).where(some).with_for_update(skip_locked=True)
            found.update((row[0], row[1]) for row in conn.execute(look))
        return {key[0] for key in wanted if key not in found}

    def _unchanged(
        self, conn: Connection, decisions: Sequence[Decision], now: int
    ) -> list[tuple[Any, Decision, int]]:
        """Return the decisions whose job has the version that was looked at and room for its runs, with its id and counter.

        The jobs are locked until the end of the transaction.
        """
        stored: dict[str, tuple[int, int | None]] = {}
        ids = self._ids_of(conn, decisions)
        for some in self._database.in_parameters(ids):
            for id, version, running in conn.execute(self.sql.look_all, {"ids": some}).all():
                stored[id] = (version_of(version), count_of(running))
        won = []
        for id, decision in zip(ids, decisions, strict=True):
            version, running = stored.get(id, (None, 0))
            if version != decision.version:  # R1
                continue
            if running is None:
                running = self._jobs.recount(conn, [id]).get(id, 0)
            gone = decision.superseded
            if not is_allowed(decision, running - len(gone)):  # R2
                continue  # the planner looks at it again
            if gone and not self._end_superseded(conn, id, gone, now):  # R4
                continue
            won.append((id, decision, running - len(gone)))
        return won

    def _end_superseded(self, conn: Connection, job_id: Any, runs: Sequence[Run], now: int) -> bool:
        """End waiting retries of a job as a later time of it is claimed; False: one of them does not wait any more.

        Whoever takes one of them has to lock its job, as this transaction has done.
        """
        from ...core.tries import end_superseded  # rare

        attempts = {run.nominal: run.attempt for run in runs}
        waiting: dict[int, int] = {}
        for start in range(0, len(runs), BATCH):
            some = {"job_id": job_id, "nominals": list(attempts)[start : start + BATCH]}
            waiting.update(tuple(row) for row in conn.execute(self.sql.look_waiting, some))
        if waiting != attempts:
            return False
        end_superseded(runs, now)
        rows = [(run.status, run.reason, now, job_id, run.nominal, run.attempt) for run in runs]
        self.sql.supersede.run(conn, rows)
        if BaseTrigger.some_chain:
            self.follow(conn, runs, now)
        return True

    def _ids_of(self, conn: Connection, decisions: Sequence[Decision]) -> list[Any]:
        """Return the ids of the decisions' jobs as they are stored; those of damaged jobs may be no texts."""
        odd = {}
        if any(is_damaged(decision.error) for decision in decisions):
            odd = self._jobs.odd_ids(conn)
        return [odd.get(decision.job.id, decision.job.id) for decision in decisions]

    def insert(self, conn: Connection, records: Sequence[Run]) -> None:
        """Insert records; a nominal time that has one already is refused by the key of the table (R4)."""
        claimed, others, whole = [], [], []
        for run in records:
            if hasattr(run, "extra"):
                whole.append((*row_of(run), *extra_of_run(run, self._format)))
            elif run.status == CLAIMED and run.reason is None and run.signature is None:
                claimed.append(claim_of(run))
            else:
                others.append(row_of(run))
        if claimed:
            self.sql.insert_claimed.insert(conn, claimed)
        if others:
            self.sql.insert.insert(conn, others)
        if whole:
            self.sql.insert_whole.insert(conn, whole)

    def leave_out_recorded(self, conn: Connection, decisions: Sequence[Decision], history: History) -> bool:
        """Take out of decisions whose claim failed the nominal times that have a record (R4).

        Every record is written with a new version of its job, so what is read here is true of the version that was decided on.

        :return: whether there is such a time
        """
        first = {decision.job.id: (first_nominal(decision), decision) for decision in decisions}
        keys = [
            (run.job_id, run.nominal) for decision in decisions for run in (*decision.runs, *decision.records)
        ]
        met = history.met(conn, keys) | history.between(conn, ranges_of(decisions))
        met |= history.reaching(conn, firsts_of(decisions))
        for job_id in met:
            since, decision = first[job_id]
            if since is not None:
                leave_out_recorded(decision, history.recorded(conn, job_id, since))
        return bool(met)

    # -- finish --------------------------------------------------------------------------------------------------

    def finish(
        self, conn: Connection, runs: Sequence[Run], now: int, careful: bool = False
    ) -> tuple[list[Run], bool]:
        """Write how runs ended (R5), and move their jobs accordingly (R6).

        :param careful: whether to expect that some of them belong to another node by now
        :return: the runs that belong to another node by now, and whether a job has become due that waited for these
        :raises OptimisticWriteFailed: if that has to be expected
        """
        refused: list[Run] = []
        written: Sequence[Run] = runs
        if not careful:
            self._finish_all(conn, runs)
        else:
            written = []
            for run in runs:
                if is_unasked(run):
                    self._look_for_request(conn, run, now)
                if self.sql.finish.run(conn, [end_of(run)]) or self._finish_damaged(conn, run):
                    written.append(run)
                elif not self._is_recorded(conn, run):
                    refused.append(run)
        if BaseTrigger.some_chain and (starting := self.starting(written)):
            self.follow(conn, starting, now)
        ended = Counter([run.job_id for run in written])
        over = all(run.job is not None and run.job.state == ENDED for run in runs)
        due = self.release(conn, ended, now, over, not_ended_well(written), rooms_of(written))
        if Policy.some_pause:
            self.count_ends(conn, counting(written), now)
        return refused, due

    def count_ends(self, conn: Connection, runs: Sequence[Run], now: int) -> None:
        """Count how runs have ended, after they were counted down on their jobs, and pause those that have failed too often."""
        if not runs:
            return
        rows = conn.execute(self.sql.look_whole, {"ids": sorted({run.job_id for run in runs})}).all()
        for job in marked_jobs_of(rows, self._format, (None, None)):
            if count_ends(job, [run for run in runs if run.job_id == job.id], now):
                values = {"next_nominal": job.next_nominal, "next_due": job.next_due, "state": job.state}
                row = {**values, **marks_of(job), "b_updated": now, "b_id": job.id}
                conn.execute(self.sql.count_ends, row)

    def _finish_all(self, conn: Connection, runs: Sequence[Run]) -> None:
        plain, last = [], []
        failed: list[tuple[Any, ...]] = []
        others: list[tuple[Any, ...]] = []
        for run in runs:
            if run.reason is not None or run.error_type is not None:
                (failed if is_unasked(run) else others).append(end_of(run))
            elif run.job is not None and run.job.state == ENDED:
                last.append(last_end_of(run))
            else:
                plain.append(plain_end_of(run))
        sql = self.sql
        parts = (
            (sql.finish_plain, plain),
            (sql.finish_last, last),
            (sql.finish_failed, failed),
            (sql.finish, others),
        )
        for statement, rows in parts:
            # Where nobody knows how many were met, the step has to be repeated with care, too.
            if rows and statement.run(conn, rows) != len(rows):
                raise OptimisticWriteFailed

    def _look_for_request(self, conn: Connection, run: Run, now: int) -> None:
        """Let a run that has failed know if somebody had asked it to stop before."""
        owned = {
            "b_job": run.job_id,
            "b_nominal": run.nominal,
            "b_attempt": run.attempt,
            "b_owner": run.owner,
        }
        reason = conn.execute(self.sql.request, owned).scalar()
        if reason is not None:
            hear(run, text_instead(reason) or "", now)

    def _is_recorded(self, conn: Connection, run: Run) -> bool:
        """Whether this very end is in the ledger already (R5): the answer to the first try was lost."""
        row = conn.execute(self.sql.record, {"b_job": run.job_id, "b_nominal": run.nominal}).first()
        return row is not None and tuple(row) == (run.owner, run.attempt, run.status, run.finished_at)

    def _finish_damaged(self, conn: Connection, run: Run) -> bool:
        """Write the end of a run whose record is damaged, unless it was taken over: that writes an owner and an attempt (R5)."""
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

    def release(
        self,
        conn: Connection,
        ended: Mapping[str, int],
        now: int,
        over: bool = False,
        failed: Collection[str] = (),
        roomy: Collection[str] | None = None,
    ) -> bool:
        """Count ended runs down; jobs that waited for them become due, and those whose schedule is over go (R6).

        :param ended: how many runs of each job have ended
        :param over: whether the schedules of all these jobs seem to be over
        :param failed: the ids of those of these jobs whose last run has not ended well: they stay
        :param roomy: the ids of those that may wait for one place of several; None: any
        :return: whether one of the jobs is due now, as far as the database tells
        """
        if not ended:
            return False
        is_due = self._count_down(conn, ended, now, over, failed)
        free = ended if roomy is None else roomy
        return bool(Policy.some_wait and free and self._let_go_on(conn, free)) or is_due

    def _let_go_on(self, conn: Connection, ids: Collection[str]) -> bool:
        """Make jobs due that wait for a place and not for the end of all of their runs (R6); return whether there is one."""
        held: dict[str, int] = {}
        for some in self._database.in_parameters(sorted(ids)):
            rows = conn.execute(self.sql.look_held, {"ids": some}).all()
            held.update((id, spare) for id, options in rows if (spare := spare_in(options)))
        return bool(held and self.sql.release_room.run(conn, sorted(held.items())))

    def _count_down(
        self, conn: Connection, ended: Mapping[str, int], now: int, over: bool, failed: Collection[str]
    ) -> bool:
        rows = sorted(ended.items())
        if over and not failed and self.sql.delete_ended.run(conn, rows) == len(rows):
            return False
        if self._database.takes_arrays:
            result = self.sql.release.execute(conn, rows)
            if not result.returns_rows:  # SQLAlchemy has executed it for each row
                self.keep_ended(conn, failed)
                self._drop_ended(conn, ended)
                return False
            released: Any = result.all()
            if any(state == ENDED and running <= 0 for _, state, running in released):
                self.keep_ended(conn, failed)
                self._drop_ended(conn, ended)
            return any(time is not None and time <= now for time, _, _ in released)
        if not self._database.counts_sets:
            self.sql.release.run(conn, rows)
        elif self.sql.count_down.run(conn, rows) != len(rows):
            self.sql.release_held.run(conn, rows)
        self.keep_ended(conn, failed)
        self._drop_ended(conn, ended)
        return False

    def keep_ended(self, conn: Connection, ids: Collection[str]) -> None:
        """Have those of some jobs stay whose schedule is over and of which no run is left (R6)."""
        if ids:
            self.sql.keep_ended.run(conn, [(id,) for id in sorted(ids)])

    def _drop_ended(self, conn: Connection, ended: Collection[str]) -> None:
        """Delete the jobs, of those that were counted down, whose schedule is over and whose last run has ended."""
        if not self._database.locks_rows:
            conn.execute(self.sql.delete_over)
            return
        # A DELETE by their state would wait for whatever rows it comes across, also those of other jobs.
        over = [(id, 0) for id in conn.execute(self.sql.over).scalars() if id in ended]
        if over:
            self.sql.delete_ended.run(conn, over)

    # -- leases --------------------------------------------------------------------------------------------------

    def give_back(self, conn: Connection, runs: Sequence[Run]) -> None:
        """Take the owner from claimed runs that were not started, so that any node may take them over."""
        if runs:
            self.sql.give_back.run(conn, [fence_of(run) for run in runs])

    def is_busy(self, conn: Connection, node: str) -> bool:
        """Whether runs of a node are under way."""
        runs = self._tables.runs.c
        found = select(runs.nominal).where(runs.status == CLAIMED, runs.owner == node).limit(1)
        return conn.execute(found).first() is not None

    def lost(self, conn: Connection, node: str, in_hand: Collection[Run]) -> list[Run]:
        """Return those of a node's runs that are not claimed by it any more."""
        runs = self._tables.runs.c
        owned = select(runs.job_id, runs.nominal, runs.attempt).where(
            runs.status == CLAIMED, runs.owner == node
        )
        held = {tuple(row) for row in conn.execute(owned)} if in_hand else set()
        return [run for run in in_hand if (run.job_id, run.nominal, run.attempt) not in held]
