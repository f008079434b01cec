"""A job store on the database with snapshots, which may be interrupted between any two statements.

It executes what the protocol sends, for as many store objects as share a database. It chooses nothing, and persists nothing.
"""

from __future__ import annotations

from functools import partial
from random import getrandbits
from threading import RLock

from ...clock import HELD, instant, moment
from ...codec.damaged import is_time
from ...codec.jobs import JobFormat
from ...core.extras import extra_of
from ...core.queries import key_of_run
from ...core.states import ACTIVE, CLAIMED, ENDED, QUARANTINED
from ...core.waiting import given_back
from ...errors import JobValueError
from ...jobstores.base import BaseJobStore
from ...jobstores.documents import heal, healing_as, label_all, ordered, parts_of
from ...jobstores.retention import RESTORED
from ...jobstores.searching import part_of_sorted
from ...jobstores.server_clock import time_from
from . import protocol, waiting
from .database import COMMIT, Database, Deadlock, Duplicate, Waits
from .model_chains import children_of, follow_alone, nobody, parents_in
from .rows import KEPT, JobRow, is_due, job_of, next_waiting, recorded, run_of, visible
from .rules import ALL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from ...core.details import RunParts
    from ...core.openings import Cut
    from ...core.orders import Orders
    from ...core.plan import Decision
    from ...core.queries import Part, RunQuery
    from ...core.recorded import Recorded
    from ...core.run import Run
    from ...core.waiting import MayTake
    from ...job.handle import Job
    from .database import Program, Transaction, View
    from .rules import Rules

#: How often a transaction that lost against others is tried.
TRIES = 10
#: Jobs are kept as they are; what the SQL store would refuse is refused all the same.
_FORMAT = JobFormat()


class SharedDatabase(Database):
    """A database that threads may share, if nobody interrupts a transaction; and how often what happened in it."""

    __slots__ = ("backfills", "counts", "mutex", "parts")

    def __init__(self) -> None:
        super().__init__()
        self.mutex = RLock()
        #: what is kept beside records, by job id and nominal time
        self.parts: dict[tuple[str, int], dict[str, str]] = {}
        self.counts: dict[str, int] = {}
        #: what is left of backfills, by the ids of their jobs: each change is one statement
        self.backfills: dict[str, str] = {}

    def count(self, what: str) -> None:
        """Count something for the report."""
        self.counts[what] = self.counts.get(what, 0) + 1


class SnapshotJobStore(BaseJobStore):
    """Keeps jobs and ledger as the SQL store does on PostgreSQL, in a database in memory. For simulations.

    :param database: what the store objects share
    :param rules: the rules that are kept; :data:`~rota.testing.simulation.protocol.MUTANTS` has others
    """

    durable = True
    does_io = True
    starts_chains = True
    poll_interval = 1.0

    def __init__(self, database: SharedDatabase, rules: Rules = ALL) -> None:
        self._db = database
        self._rules = rules
        #: called before each statement, with the transaction that another one has to end for it; others may act meanwhile.
        #: What it raises rolls back. None: nothing comes in between
        self.pause: Callable[[Callable[[], bool]], None] | None = None
        #: called right before a transaction is committed; what it returns is called with the answer right after
        self.witness: Callable[[], Callable[[Any], None]] | None = None

    def check_job(self, job: Job) -> None:
        parts_of(job, _FORMAT)

    # -- APScheduler's eight methods -----------------------------------------------------------------------------

    def lookup_job(self, job_id: str) -> Job | None:
        row = self._read(lambda view: visible(view, job_id))
        return None if row is None else self._job_of(row)

    def get_due_jobs(self, now: datetime) -> list[Job]:
        limit = instant(now)
        rows = self._read(lambda view: [row for row in view.jobs.values() if is_due(row, limit)])
        return sorted(map(self._job_of, rows), key=lambda job: job.next_due or 0)

    def get_next_run_time(self) -> datetime | None:
        following = self._read(lambda view: _next_due(view, None))
        timezone = getattr(self._scheduler, "timezone", None)
        return None if following is None else moment(following, timezone) if timezone else moment(following)

    def get_all_jobs(self) -> list[Job]:
        rows = self._read(lambda view: [row for row in view.jobs.values() if row.state not in (ENDED, KEPT)])
        return ordered(map(self._job_of, rows))

    def add_job(self, job: Job) -> None:
        self.check_job(job)
        due = job.next_nominal if job.next_due == HELD else job.next_due
        # Starts anywhere, so that a decision about a removed job of the same id cannot be taken for one about this job.
        row = _row_of(job)._replace(version=getrandbits(40), due=due)
        self._run(lambda: protocol.add(row, self._rules))
        job.version = row.version

    def update_job(self, job: Job) -> None:
        self._save(job, None)

    def remove_job(self, job_id: str) -> list[Run]:
        ended: list[Run] = self._run(lambda: waiting.remove(job_id, self.now()))
        return ended

    def remove_all_jobs(self) -> list[Run]:
        ended: list[Run] = self._run(lambda: waiting.remove_all(self.now()))
        return ended

    def _ended_jobs(self) -> list[Job]:
        rows = self._read(lambda view: [row for row in view.jobs.values() if row.state in (ENDED, KEPT)])
        return list(map(self._job_of, rows))

    # -- the ledger ----------------------------------------------------------------------------------------------

    def save_job(self, job: Job, version: int) -> bool:
        return self._save(job, version)

    def due(self, now: int, room: Mapping[str, int]) -> list[Job]:
        rows = self._run(lambda: protocol.due(now, room, self._rules))
        return list(map(self._job_of, rows))

    def next_due(self, executors: Iterable[str]) -> int | None:
        aliases = set(executors)
        following: int | None = self._read(lambda view: _next_due(view, aliases))
        return following

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        for decision in decisions:
            if not is_time(decision.next_nominal or 0):
                raise JobValueError(f"The database takes no such number as {decision.next_nominal}")
        won: list[Decision] = self._run(lambda: protocol.claim(decisions, node, now, self._rules))
        return won

    def finish(self, runs: Sequence[Run], now: int) -> list[Run]:
        if not runs:
            return []
        starting = self.starting if self._rules.chained else nobody
        refused: list[Run] = self._run(lambda: protocol.finish(runs, now, self._rules, starting))
        if not self._rules.chained:
            self._run(lambda: follow_alone(self.starting(run for run in runs if run not in refused), now))
        return refused

    def children(self, parents: Collection[str]) -> Sequence[Job]:
        return list(self._read(lambda view: children_of(view, parents)))

    def parents(self) -> Collection[str]:
        return list(self._read(parents_in))

    def recount(self, jobs: Sequence[Job]) -> None:
        counts = self._run(lambda: protocol.recount([job.id for job in jobs]))
        for job in jobs:
            job.running = counts.get(job.id, job.running)

    def get_runs(
        self,
        job_id: str | None = None,
        status: str | Iterable[str] | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Run]:
        wanted = {status} if isinstance(status, str) else None if status is None else set(status)
        rows = self._read(
            lambda view: [
                row
                for row in view.runs.values()
                if job_id in (None, row.job_id) and (wanted is None or row.status in wanted)
            ]
        )
        rows.sort(key=lambda row: (-row.nominal, row.job_id))
        found = list(map(run_of, rows[offset : offset + limit]))
        jobs = self._read(lambda view: view.jobs)
        label_all(found, {id: (row.job.name, row.job.func_ref) for id, row in jobs.items()})
        return found

    def _runs_from(self, query: RunQuery, after: tuple[Any, ...] | None, count: int) -> Part[Run]:
        runs: list[Run] = self._run(protocol.all_runs)
        return part_of_sorted(runs, key_of_run, query.matches, after, count)

    def recorded(self, since: Mapping[str, int]) -> dict[str, list[Recorded]]:
        found = self._read(
            lambda view: {job_id: recorded(view, job_id, start) for job_id, start in since.items()}
        )
        return {job_id: records for job_id, records in found.items() if records}

    def renew(
        self, node: str, now: int, lease: int, in_hand: Collection[Run] = (), in_doubt: bool = False
    ) -> list[Run] | None:
        lost: list[Run] | None = self._run(lambda: protocol.renew(node, now, now + lease, in_hand, in_doubt))
        return lost

    def rescue(
        self,
        node: str,
        now: int,
        room: Mapping[str, int] | None = None,
        known: Collection[tuple[str, int]] = (),
        in_doubt: bool = False,
        ownerless: bool = False,
        may_take: MayTake | None = None,
    ) -> list[Run]:
        home, clock = (self._scheduler, self._alias), time_from(self.clock, now)
        taken: list[Run] = self._run(
            lambda: protocol.rescue(
                node, now, room, known, in_doubt, ownerless, home, clock, self.parts_of, may_take
            )
        )
        return taken

    def heal_in_steps(self, now: int) -> Iterator[tuple[list[Job], int]]:
        ids = self._read(lambda view: [row.id for row in view.jobs.values() if row.state == QUARANTINED])
        for start in range(0, len(ids), RESTORED):
            rows = self._read(partial(_rows, ids=ids[start : start + RESTORED]))
            healed = []
            for row in rows:
                state, error = healing_as(row.error, row.nominal is not None)
                job = self._job_of(row._replace(state=state, error=error))
                if row.state == QUARANTINED and heal(job, now) and self._save(job, row.version):
                    healed.append(job)
            yield healed, max(len(ids) - start - RESTORED, 0)

    def leave(self, node: str, runs: Sequence[Run], now: int) -> None:
        self._run(lambda: protocol.leave(node, runs))

    # -- runs that wait ------------------------------------------------------------------------------------------

    def open_runs(
        self, runs: Sequence[Run], now: int, cuts: Sequence[Cut] = (), version: int | None = None
    ) -> list[Run]:
        found: list[Run] = self._run(lambda: waiting.open_runs(runs, now, cuts, version)) if runs else []
        return found

    def give_back(self, runs: Sequence[Run], now: int) -> list[Run]:
        refused: list[Run] = self._run(lambda: waiting.give_back(runs, now, self._rules)) if runs else []
        for run in runs:
            if run not in refused:
                given_back(run, extra_of(run).not_before or now)
        return refused

    def take_waiting(
        self,
        node: str,
        now: int,
        room: Mapping[str, int] | None = None,
        may_take: MayTake | None = None,
    ) -> list[Run]:
        home = (self._scheduler, self._alias)
        taken: list[Run] = self._run(lambda: waiting.take(node, now, room, home, self._rules, may_take))
        return taken

    def next_waiting(self) -> int | None:
        following: int | None = self._read(next_waiting)
        return following

    def cancel_run(
        self, job_id: str, nominal: int, reason: str, now: int, only_waiting: bool = False
    ) -> Run | None:
        run: Run | None = self._run(lambda: waiting.cancel(job_id, nominal, reason, now, only_waiting))
        return run

    def backfills(self) -> dict[str, str]:
        with self._db.mutex:
            return dict(self._db.backfills)

    def keep_backfill(self, job_id: str, text: str | None, before: str | None) -> bool:
        with self._db.mutex:
            if self._db.backfills.get(job_id) != before:
                return False
            self._db.backfills.pop(job_id, None)
            if text is not None:
                self._db.backfills[job_id] = text
            return True

    def orders(self, node: str, now: int) -> Orders:
        orders = super().orders(node, now)
        rows = self._db.committed.runs.values()
        mine = [row for row in rows if row.status == CLAIMED and row.owner == node and row.extra is not None]
        orders.cancels = [
            (row.job_id, row.nominal, row.extra.cancel) for row in mine if row.extra.cancel is not None
        ]
        orders.next_waiting = self.next_waiting()
        orders.backfills = self.backfills()
        return orders

    # -- beside records ------------------------------------------------------------------------------------------

    def write_parts(self, parts: Sequence[RunParts], owner: str | None = None) -> None:
        """Keep texts beside records. Nobody can come in between: what a run says of itself is no decision."""
        runs = self._db.committed.runs
        for job_id, nominal, texts in parts:
            row = runs.get((job_id, nominal))
            if row is not None and owner in (None, row.owner):
                kept = {**self._db.parts.get((job_id, nominal), {}), **texts}
                self._db.parts[job_id, nominal] = {
                    name: text for name, text in kept.items() if text is not None
                }

    def parts_of(self, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], dict[str, str]]:
        return {key: dict(self._db.parts[key]) for key in keys if key in self._db.parts}

    # -- nodes ---------------------------------------------------------------------------------------------------

    def leases(self) -> dict[str, int]:
        """Return until when the lease of each node lasts."""
        return {row.id: row.until for row in self._db.committed.nodes.values()}

    def living_nodes(self, now: int) -> int:
        return sum(row.until >= now for row in self._db.committed.nodes.values())

    # -- transactions --------------------------------------------------------------------------------------------

    def _save(self, job: Job, version: int | None) -> bool:
        saved: int | bool = self._run(lambda: protocol.save(_row_of(job), version))
        if saved is False:
            return False
        job.version = saved
        return True

    def _read(self, work: Callable[[View], Any]) -> Any:
        """Return what one SELECT gives. Nobody can come in between, as it is one statement."""
        with self._db.mutex:
            return work(self._db.committed)

    def _run(self, make: Callable[[], Program]) -> Any:
        """Carry out what a method of the store sends; once more if it lost against others."""
        if self.pause is None:
            with self._db.mutex:
                return self._carry_out(make())
        tries = 0
        while True:
            try:
                return self._carry_out(make())
            except Deadlock:
                self._db.count("deadlocks")
                tries += 1
                if tries == TRIES:
                    raise

    def _carry_out(self, program: Program) -> Any:
        transaction: Transaction | None = None
        advance: Callable[[Any], Any] = program.send
        result: Any = None
        noted: Callable[[Any], None] | None = None
        try:
            while True:
                try:
                    statement = advance(result)
                except StopIteration as end:
                    if noted is not None:
                        noted(end.value)
                        self._pause(None)  # the answer may be late, too
                    return end.value
                noted = None
                self._pause(transaction)
                if transaction is None:
                    transaction = self._db.begin()
                if statement is COMMIT and self.witness is not None:
                    noted = self.witness()
                try:
                    advance, result = program.send, self._execute(transaction, statement)
                except Duplicate as exc:
                    advance, result = program.throw, exc
                if transaction.number not in self._db.open:
                    transaction = None
        finally:
            if transaction is not None and transaction.number in self._db.open:
                self._db.end(transaction, False)

    def _execute(self, transaction: Transaction, statement: Any) -> Any:
        while True:
            try:
                return self._db.execute(transaction, statement)
            except Waits:
                self._db.count("waits for a lock")
                self._pause(transaction)

    def _pause(self, transaction: Transaction | None) -> None:
        """Let others act, at least until the transaction that this one waits for is over."""
        if self.pause is not None:
            self.pause(lambda: transaction is not None and transaction.waits_for is not None)

    def _job_of(self, row: JobRow) -> Job:
        return job_of(row, (self._scheduler, self._alias))


def _row_of(job: Job) -> JobRow:
    template = job.copy()
    template._home = (None, None)
    nominal = job.next_nominal
    return JobRow(job.id, nominal, job.next_due, job.version, job.state, 0, job.error, template, nominal)


def _rows(view: View, ids: Iterable[str]) -> list[JobRow]:
    return [view.jobs[id] for id in ids if id in view.jobs]


def _next_due(view: View, executors: Collection[str] | None) -> int | None:
    times = [
        row.due
        for row in view.jobs.values()
        if row.state == ACTIVE
        and row.due not in (None, HELD)
        and (executors is None or row.job.executor in executors)
    ]
    return min(times, default=None)
