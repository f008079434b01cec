"""The SQL store: jobs and ledger in four tables of any database that SQLAlchemy 2 speaks.

Opens transactions and keeps the order of steps; the steps are in ``jobs``, ``ledger`` and ``nodes``, the differences of databases
in ``database``.
"""

from __future__ import annotations

import pickle
from collections import Counter
from functools import partial

from ...clock import DAY, HELD, MINUTE, SECOND, instant, moment
from ...codec.jobs import JobFormat
from ...core.recorded import ranges_of
from ...core.states import QUARANTINED
from ...core.transitions import moved
from ...errors import (
    ConfigurationError,
    HeldRowsError,
    MissingExtraError,
    StoreConflictError,
    StoreError,
    StoreReplacedError,
)
from ...util import maybe_ref
from .. import earlier, retention
from ..base import ConflictingIdError, JobLookupError
from ..documents import ordered
from ..durable import DurableJobStore
from ..identity import EMPTIED, Changed, Identity
from ..retention import Pace, Retention, parts
from ..server_clock import Offset

try:
    from sqlalchemy import MetaData
    from sqlalchemy.exc import DBAPIError, IntegrityError
except ImportError as exc:
    raise MissingExtraError("SQLAlchemyJobStore", "sql") from exc

from .bulk import Batch
from .damage import Mending
from .databases.base import takes_arrays
from .history import History
from .jobs import Jobs, is_plannable
from .layout import Tables
from .leases import Nodes, rescue
from .others import Others
from .prepared import Met, Unexpected
from .pruning import Pruning
from .runs import Ledger
from .server import Database, check_connection
from .undecodable import repairing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Any, TypeVar

    from sqlalchemy import Connection, Engine, Table

    from ...core.plan import Decision
    from ...core.recorded import Recorded
    from ...core.run import Run
    from ...job.handle import Job

    Result = TypeVar("Result")

__all__ = ("ConflictingIdError", "JobLookupError", "SQLAlchemyJobStore")

#: How often an unconditional change is tried against others' changes.
_TRIES = 10
#: How long the row of a node is kept after its lease was over.
_NODES_KEPT = DAY
#: For how long (microseconds) rows are looked at before they are written, after somebody has held some.
_WARY = 10 * SECOND
#: Others are told of what is due within this time; everything later they find by themselves.
_SOON = MINUTE
#: Seconds between two looks of a scheduler that hears of changes.
_HEARING_INTERVAL = 10.0


class SQLAlchemyJobStore(DurableJobStore):
    """Keeps jobs and ledger in a database; any number of schedulers and processes may share it. Alias: ``sqlalchemy``.

    The first seven parameters are APScheduler's, in its order. SQLite files are opened in WAL mode with full synchronization;
    an engine that you pass in is used as it is, and stays open. On PostgreSQL (with psycopg 3) the processes that share a
    store tell each other at once what is due soon; elsewhere changes are noticed by a look every ``poll_interval`` seconds.
    Leases are kept by the server's clock where there is a server.

    :param url: database URL such as ``sqlite:///jobs.sqlite`` (``sqlite://`` is a database in memory)
    :param engine: an engine, or a textual reference to one, used instead of ``url``
    :param tablename: name of the jobs table; the tables for runs, nodes and the schema version take its prefix
    :param metadata: a MetaData (or a reference to one) to register the tables in, for migration tools
    :param pickle_protocol: protocol of pickles, if ``serializer`` is "pickle"
    :param tableschema: database schema of the tables
    :param engine_options: more keyword arguments for ``sqlalchemy.create_engine()``
    :param serializer: "json" (arguments and triggers that do not fit are refused), or "pickle" (they are pickled)
    :param create_tables: whether start() may create and migrate the tables
    :param imports: False: jobs are read without importing their code, to be looked at and repaired, and not to be run
    :param signing_key: a key of 16 bytes or more, or a list of keys: jobs are signed by the first, and a job that none of
        them has signed is quarantined, and nothing of it is decoded
    :param keep_runs: how many ended runs of each job the ledger keeps; None for no bound
    :param keep_days: how many days ended runs are kept; None for no bound
    :raises ConfigurationError: (a ``ValueError``) if there is neither ``url`` nor ``engine``, or an option is wrong
    """

    poll_interval = 1.0

    def __init__(
        self,
        url: str | None = None,
        engine: Engine | str | None = None,
        tablename: str = "rota_jobs",
        metadata: MetaData | str | None = None,
        pickle_protocol: int = pickle.HIGHEST_PROTOCOL,
        tableschema: str | None = None,
        engine_options: Mapping[str, Any] | None = None,
        *,
        serializer: str = "json",
        create_tables: bool = True,
        imports: bool = True,
        signing_key: str | bytes | Sequence[str | bytes] | None = None,
        keep_runs: int | None = 1000,
        keep_days: float | None = 30,
    ) -> None:
        if not tablename:
            raise ConfigurationError('The "tablename" parameter must not be empty')
        if keep_runs is not None and keep_runs < 1:
            raise ConfigurationError(f"keep_runs must be at least 1, or None for no bound, got {keep_runs!r}")
        if keep_days is not None and not keep_days > 0:
            raise ConfigurationError(
                f"keep_days must be more than 0, or None for no bound, got {keep_days!r}"
            )
        self._db = Database(url, maybe_ref(engine) if engine else None, engine_options)
        metadata = maybe_ref(metadata) or MetaData()
        self._tables = Tables(metadata, tablename, tableschema, self._db.engine.dialect.name)
        self._db.repair = repairing(self._tables.all)
        self._format = JobFormat(serializer, pickle_protocol, imports, signing_key)
        self._jobs = Jobs(self._tables, self._format)
        self._ledger_table = Ledger(self._tables, self._jobs)
        self._mending = Mending(self._tables, self._jobs, self._ledger_table)
        self._nodes = Nodes(self._tables)
        self._create_tables = create_tables
        age = None if keep_days is None else int(keep_days * DAY)
        self._history = History(self._tables)
        self._bounds = Retention(keep_runs, age)
        self._offset = None if self._db.can.clock is None else Offset()
        self.has_clock = self.has_clock or self._offset is not None
        #: until when rows are looked at before they are written (monotonic microseconds)
        self._wary_until = 0
        self._started = False
        self._identity = Identity()
        #: what all its jobs have as ``_home``
        self._home: tuple[Any, str | None] = (None, None)
        self._others = Others(self._db, self._tables.jobs.fullname)

    @property
    def engine(self) -> Engine:
        """The engine that the store uses."""
        return self._db.lent

    @property
    def jobs_t(self) -> Table:
        """The table of the jobs, for programs that look into it; it has columns of its own, and only the store writes there."""
        return self._tables.jobs

    @property
    def waits_for_sockets(self) -> bool:  # type: ignore[override]
        """Whether the database is a server, and not a file."""
        return not self._db.can.one_writer

    # -- life cycle ----------------------------------------------------------------------------------------------

    def start(self, scheduler: Any, alias: str) -> None:
        """Connect, and create or migrate the tables.

        :raises StoreUnavailableError: if the database cannot be reached
        :raises SchemaError: if its tables are not of a version that this code knows
        """
        super().start(scheduler, alias)
        self._home = scheduler, alias
        self._tables.are_new = False
        self._open()
        self._offset = None if self._db.can.clock is None else Offset()
        self.has_clock = self.has_clock or self._offset is not None
        self._started = True
        self.measure_clock()
        if self._tables.are_new and self._format.imports:
            self._tell_of_earlier_jobs()

    def _earlier_jobs(self) -> str | None:
        found = self._db.read(self._tables.earlier_jobs)
        if found is None:
            return None
        name, count = found
        url = self._db.engine.url.render_as_string(hide_password=True)
        way = earlier.by_import(url, "" if name == earlier.TABLES[0] else name)
        own = self._tables.jobs.name
        return earlier.left_behind(
            count, f"the table {name}", way + ("" if own == "rota_jobs" else f" --table {own}")
        )

    def _open(self) -> None:
        """Create or migrate the tables, and take note of which store that is."""
        if self._db.read(self._tables.missing):
            try:
                self._db.write(self._prepare)
            except StoreError as exc:
                # Another process may have created them at the same moment, where creating is no part of a transaction.
                if not isinstance(exc.__cause__, DBAPIError):
                    raise
        self._opened(self._db.write(self._prepare))
        if self._format.imports:  # who only looks at jobs writes little
            self._db.warm_up()

    def _prepare(self, conn: Connection) -> str:
        can = self._db.can
        with can.alone(conn, self._tables.meta.fullname):
            return self._tables.prepare(conn, self._create_tables, not can.transactional_ddl)

    def reopen(self) -> None:
        """Leave what was at the place of the database, and open what is there now; see the port."""
        self._db.leave()
        self._bounds.forget()
        self._open()

    def shutdown(self) -> None:
        """Close the connections, unless the engine was passed in."""
        self._started = False
        self._others.stop_listening()
        self._db.dispose()

    def forked(self) -> None:
        """Leave the connections to the parent process."""
        self._started = False
        self._others.forked()
        self._db.forked()
        self.detach()

    def check_job(self, job: Job) -> None:
        """Refuse a job that does not fit.

        :raises TransientJobError: if its callable has no importable name
        :raises SerializationError: if an argument or the trigger cannot be written
        :raises JobValueError: if its id is too long
        """
        self._jobs.values_of(job, 0)

    # -- APScheduler's eight methods -----------------------------------------------------------------------------

    def lookup_job(self, job_id: str) -> Job | None:
        """Return the job of that id, or None; one that cannot be restored is quarantined and says why."""
        row = self._read(partial(self._jobs.one, job_id=job_id))
        return None if row is None else self._job_of(row)

    def get_due_jobs(self, now: datetime) -> list[Job]:
        """Return the active jobs that are due, earliest first; nothing is claimed."""
        rows = self._read(partial(self._jobs.due, now=instant(now), room=None))
        return self._jobs.jobs_of(rows, self._home)

    def get_next_run_time(self) -> datetime | None:
        """Return the earliest next run time, or None."""
        following = self._read(partial(self._jobs.next_due, executors=None))
        if following is None:
            return None
        timezone = getattr(self._scheduler, "timezone", None)
        return moment(following) if timezone is None else moment(following, timezone)

    def get_all_jobs(self) -> list[Job]:
        """Return all jobs, sorted by next run time, those without one last; also those that cannot be restored."""
        return SQLAlchemyJobStore.select_jobs(self)

    def select_jobs(
        self, state: Collection[str] | None = None, limit: int | None = None, offset: int = 0
    ) -> list[Job]:
        """Return a page of the jobs, those of some states if they are given."""
        rows = self._read(partial(self._jobs.select, states=state, limit=limit, offset=offset))
        return ordered(self._jobs.jobs_of(rows, self._home))

    def add_job(self, job: Job) -> None:
        """Store a job.

        :raises ConflictingIdError: if a job of that id exists
        :raises InvalidJobError, TransientJobError, SerializationError: as :meth:`check_job`
        """
        now = self.now()
        row = self._jobs.new_row(job, now)
        version = self._jobs.version_of(row)
        try:
            self._guarded(self._db.write_at_once, lambda conn: self._jobs.insert(conn, row))
        except IntegrityError:
            stored = self._read(partial(self._jobs.one, job_id=job.id))
            # Our own row is there if the answer to a first try was lost.
            is_ours = stored is not None and stored.version == version
            if not is_ours and not self._write(partial(self._jobs.revive, row=row)):
                raise ConflictingIdError(job.id) from None  # the SQL says no more than that
        job.version = version
        if self._is_soon(job.next_due):
            try:
                self._db.write_at_once(self._others.tell)
            except StoreError as exc:  # the job is stored, and the others will find it
                self._log.warning("Job %s was added and nobody could be told: %s", job.id, exc)

    def add_jobs(
        self,
        jobs: Sequence[Job],
        replace: Callable[[Job, Job], None] | None = None,
        connection: Any = None,
    ) -> None:
        """Store jobs in one transaction, or inside one of the caller's; see the port.

        In the caller's transaction the jobs exist exactly if that is committed; on PostgreSQL the others are told by the commit.
        """
        overlaps = connection is None and takes_arrays(self._db.engine.dialect)
        batch = Batch(self._jobs, jobs, self.now(), replace, self._job_of, overlaps)

        def work(conn: Connection, look: bool) -> None:
            batch.store(conn, look)
            self._tell(conn, min((job.next_due for job in jobs if job.next_due is not None), default=None))

        if connection is not None:
            check_connection(connection, self._db.engine, self)
            self._check_started()
            work(connection, True)
            return
        try:
            self._write(partial(work, look=replace is not None))
        except IntegrityError:
            try:
                self._write(partial(work, look=True))
            except IntegrityError as exc:
                raise StoreConflictError("Others add jobs of the same ids at this moment; try again") from exc

    def update_job(self, job: Job) -> None:
        """Replace the job of that id, whatever others have changed.

        :raises JobLookupError: if there is none
        """
        if self._is_moved(job):
            return
        values = self._jobs.values_of(job, self.now())
        for _ in range(_TRIES):
            if self._save(job, values, None):
                return
        raise StoreConflictError(f"Job {job.id} was changed by others {_TRIES} times in a row; try again")

    def save_job(self, job: Job, version: int) -> bool:
        """Replace the job of that id if it still has ``version``; the job gets its new version.

        :raises JobLookupError: if there is none
        """
        values = self._jobs.values_of(job, self.now())
        return self._save(job, values, version)

    def remove_job(self, job_id: str) -> None:
        """Delete a job, also one that cannot be restored; its records stay.

        :raises JobLookupError: if there is none
        """
        self._write(partial(self._jobs.remove, job_id=job_id))

    def remove_all_jobs(self) -> None:
        """Delete all jobs; their records stay."""
        self._write(self._jobs.remove_all)

    # -- the ledger ----------------------------------------------------------------------------------------------

    def due(self, now: int, room: Mapping[str, int]) -> list[Job]:
        """Return due jobs, earliest first, at most so many for each executor as it has room for."""
        rows = self._read(partial(self._jobs.due, now=now, room=room))
        return self._jobs.jobs_of(rows, self._home)

    def next_due(self, executors: Iterable[str]) -> int | None:
        """Return the earliest due time among the jobs of these executors."""
        return self._read(partial(self._jobs.next_due, executors=executors))

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Carry out decisions in one transaction; what was changed by others in the meantime is left out.

        A run whose nominal time has a record already is taken out of its decision.

        :raises StoreError: if ``node`` never had a lease
        """

        def work(conn: Connection, careful: bool) -> list[tuple[Decision, int]]:
            if not self._nodes.is_alive(conn, node, now, self._identity):
                return []
            won = self._ledger_table.claim(conn, decisions, node, now, careful)
            if ranges and not looked and self._history.between(conn, ranges):
                raise Met
            return won

        def look(conn: Connection) -> bool:
            return self._ledger_table.leave_out_recorded(conn, decisions, self._history)

        self._format.sign_runs(decisions)
        ranges, looked = ranges_of(decisions), False
        careful, tries = self._is_wary(), 0
        while True:
            try:
                claimed = self._step(partial(work, careful=careful))
                break
            except Unexpected:
                careful = True
            except HeldRowsError:
                if careful or self._db.can.one_writer:
                    return []  # by a moment: each of them was free; or the whole file is held
                self._be_wary()
                careful = True
            except (IntegrityError, Met):
                # Most likely a nominal time has its record already; it may be forgotten before it is looked for.
                tries, looked = tries + 1, True
                if (not self._read(look) and tries > 1) or tries == _TRIES:
                    raise
        if len(claimed) < len(decisions) and self._wary_until:
            self._be_wary()  # as long as it goes on
        for decision, running in claimed:
            moved(decision, running)
        won = [decision for decision, _ in claimed]
        for decision in won:
            self._bounds.count(decision.job.id, len(decision.runs) + len(decision.records))
        return won

    def finish(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Record ended runs in one transaction; return those whose fence is not the store's any more."""
        if not runs:
            return []
        held = any(run.job is not None and run.job.next_due == HELD for run in runs)

        def work(conn: Connection, careful: bool) -> tuple[list[Run], bool]:
            refused, due = self._ledger_table.finish(conn, runs, now, careful)
            if due or held:
                self._tell(conn, now)
            return refused, due

        try:
            refused, due, left = (
                self._finish_free(runs, now, held) if self._is_wary() else (*self._write_hopefully(work), [])
            )
        except HeldRowsError:
            if self._db.can.one_writer:
                refused, due, left = [], False, list(runs)
            else:
                refused, due, left = self._finish_free(runs, now, held)
        if due or held:
            self._others.wake()
        if left:
            raise HeldRowsError(
                f"Somebody holds the rows of {len(left)} jobs, such as {left[0].job_id!r}, in an open transaction",
                left,
                refused,
            )
        return refused

    def _finish_free(self, runs: Sequence[Run], now: int, waited: bool) -> tuple[list[Run], bool, list[Run]]:
        """Record the ends of runs whose jobs nobody else holds; return what :meth:`finish` needs, and the others."""

        def free(conn: Connection) -> tuple[list[Run], bool, list[Run]]:
            held = self._ledger_table.held(conn, {run.job_id for run in runs})
            left = [run for run in runs if run.job_id in held]
            if len(left) == len(runs):
                return [], False, left
            ended = [run for run in runs if run.job_id not in held]
            refused, due = self._ledger_table.finish(conn, ended, now, True)
            if due or waited:
                self._tell(conn, now)
            return refused, due, left

        try:
            found = self._step(free)
        except HeldRowsError:  # those of the runs
            found = [], False, list(runs)
        if found[2]:
            self._be_wary()
        return found

    def get_runs(
        self,
        job_id: str | None = None,
        status: str | Iterable[str] | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Run]:
        """Return records of the ledger, newest first."""
        page = partial(self._history.select, job_id=job_id, status=status, limit=limit, offset=offset)
        return self._read(page)

    def recorded(self, since: Mapping[str, int]) -> dict[str, list[Recorded]]:
        """Return the records of some jobs that stand for times from an instant on."""
        return self._read(partial(self._history.recorded_of_some, since=since)) if since else {}

    @property
    def remembers(self) -> int | None:
        """How long records are kept, in microseconds."""
        return self._bounds.age

    def renew(
        self, node: str, now: int, lease: int, in_hand: Collection[Run] = (), in_doubt: bool = False
    ) -> list[Run] | None:
        """Renew or begin a node's lease; see the port. The database's clock decides, if it has one."""
        self._ledger_table.warm_up(self._db.engine.dialect)  # who begins a lease is about to run jobs

        moved = 0

        def work(conn: Connection) -> tuple[list[Run] | None, int, int]:
            nonlocal moved
            moved += self._measure(partial(self._db.can.time_of, conn))
            there = now + moved
            ran, renewals = self._nodes.renew(conn, node, there, there + lease, self._identity)
            if (ran and not in_doubt) or (ran is None and not in_hand):
                return None, renewals, there + lease
            return self._ledger_table.lost(conn, node, in_hand), renewals, there + lease

        def careful(work: Callable[[Connection], Result]) -> Result:
            self._db.check_log()
            return self._db.step(work)

        lost, renewals, until = self._guarded(careful, work)
        self._identity.written(node, renewals, until)
        return lost

    def rescue(
        self,
        node: str,
        now: int,
        room: Mapping[str, int] | None = None,
        known: Collection[tuple[str, int]] = (),
        in_doubt: bool = False,
        ownerless: bool = False,
    ) -> list[Run]:
        """Take over runs that no living node owns; see the port. A run whose job is gone is lost.

        A run whose job cannot be restored here is left to other nodes, or to the time when it can.
        """
        orphans = partial(
            self._ledger_table.orphans, now=now, own=node if in_doubt else None, ownerless=ownerless
        )
        clock = self._time_from(now)
        # Nearly always there is nothing to do, and then nothing is written.
        if not self._read(partial(orphans, ahead=True)):
            return []

        def work(conn: Connection) -> list[Run]:
            if not self._nodes.is_alive(conn, node, now, self._identity):
                return []  # its own runs may not be its own any more
            self._nodes.settle(conn, now, clock)
            unknown = [
                (run, fence)
                for run, fence in orphans(conn)
                if run.owner != node or (run.job_id, run.nominal) not in known
            ]
            held = self._ledger_table.held(conn, {run.job_id for run, _ in unknown})
            # What is this node's own changes no job; left to a later look, nobody would look for it again.
            unknown = [(run, fence) for run, fence in unknown if run.owner == node or run.job_id not in held]
            orphaned = Counter([run.job_id for run, _ in unknown])
            jobs = {row.id: self._job_of(row) for row in self._jobs.some(conn, orphaned)}
            self._recount_busy(conn, {id: job for id, job in jobs.items() if id not in held}, orphaned)
            refusal = self._format.run_refusal
            return rescue(conn, self._ledger_table, unknown, jobs, node, now, room, known, refusal)

        try:
            return self._step(work)
        except HeldRowsError:  # of a node or a run: it is asked again with the next renewal
            return []

    def _recount_busy(self, conn: Connection, jobs: Mapping[str, Job], orphaned: Mapping[str, int]) -> None:
        """Check the counts of jobs that have no place for their orphaned runs, as it seems."""
        busy = [
            id for id, job in jobs.items() if not 0 <= job.running - orphaned[id] < job.policy.max_instances
        ]
        for id, running in self._jobs.recount(conn, busy, wait=False).items() if busy else ():
            jobs[id].running = running

    def leave(self, node: str, runs: Sequence[Run], now: int) -> None:
        """Give back runs that were not started, and end the lease unless other runs of the node are under way."""

        def work(conn: Connection) -> None:
            self._ledger_table.give_back(conn, runs)
            if not self._ledger_table.is_busy(conn, node):
                self._nodes.remove(conn, node)

        while True:
            try:
                self._step(work)
                break
            except HeldRowsError:
                if not self._db.can.one_writer:
                    raise
                # Others write to the file at the moment: that is waited for, as nothing comes after this; not for long.
        self._identity.left(node)

    def heal_in_steps(self, now: int) -> Iterator[tuple[list[Job], int]]:
        """Let jobs out of quarantine that can be restored and planned now."""
        self._check_started()
        pace = Pace(retention.RESTORED)
        for ids, left in parts(self._quarantined, self._quarantined_after, pace):
            began = self.clock.monotonic()
            rows = self._read(partial(self._jobs.some, ids=ids)) if ids else ()
            jobs = [self._healed(row) for row in rows if row.state == QUARANTINED]
            fit = [job for job in jobs if job is not None and is_plannable(job, now)]
            healed = self._let_out(fit, now)
            pace.note(len(ids), self.clock.monotonic() - began)
            yield healed, left

    def _quarantined(self, limit: int) -> list[str]:
        return self._read(partial(self._jobs.quarantined, limit=limit))

    def _quarantined_after(self, start: str | None, passed: int) -> tuple[list[str], str | None]:
        return self._read(partial(self._jobs.quarantined_after, start=start, passed=passed))

    def _let_out(self, jobs: Sequence[Job], now: int) -> list[Job]:
        if not jobs:
            return []

        def work(conn: Connection, careful: bool) -> list[Job]:
            held = self._ledger_table.held(conn, {job.id for job in jobs})  # with the next housekeeping
            free = [job for job in jobs if job.id not in held]
            return self._jobs.heal(conn, free, now, careful) if free else []

        healed = self._write_hopefully(work)
        for job in healed:
            job.version += 1
        return healed

    def recount(self, jobs: Sequence[Job]) -> None:
        """Compare the counts of running runs of jobs with the ledger, and put right what is wrong; see the port."""
        found = self._step(partial(self._jobs.recount, ids=[job.id for job in jobs], wait=False))
        for job in jobs:
            job.running = found.get(job.id, job.running)

    def mend_in_steps(self, now: int) -> Iterator[tuple[list[Job], list[Run]]]:
        """Look for damage that no other step meets; see the port."""
        self._check_started()
        runs = self._read(self._mending.runs)
        yield [], self._step(partial(self._mending.end, found=runs, now=now)) if runs else []
        wrong = self._read(self._mending.miscounted)
        if wrong:
            self._step(partial(self._jobs.recount, ids=wrong, wait=False))
        yield [], []
        yield self._read(partial(self._mending.jobs, job_of=self._job_of)), []

    def prune_in_steps(self, now: int) -> Iterator[int]:
        """Delete ended runs that are too old, or too many for their job; and nodes that are long gone."""
        self._check_started()
        try:
            yield from Pruning(self._db, self._history, self._bounds, now, self.clock).steps()
            self._forget_nodes(now)
        except HeldRowsError as exc:
            self._log.debug("The rest of what is too old is deleted with the next housekeeping: %s", exc)

    def _forget_nodes(self, now: int) -> None:
        gone = self._read(partial(self._nodes.gone, instant=now - _NODES_KEPT))
        if gone:
            self._step(lambda conn: self._nodes.remove(conn, *gone))

    def living_nodes(self, now: int) -> int:
        """Return how many nodes hold a lease that is not over."""
        return self._read(partial(self._nodes.living, instant=now))

    def on_wake(self, wake: Callable[[], None]) -> None:
        """Take the function to call when another process changed something that is due soon."""
        self._others.listen(wake, self._listens, self._log)

    def overdue(self, now: int, executors: Iterable[str]) -> dict[str, int]:
        """Return how many due jobs wait for executors other than these."""
        return self._read(partial(self._jobs.overdue, now=now, known=executors))

    def measure_clock(self) -> int:
        """Ask the database for its time, if it has a clock; see the port."""
        if self._offset is None:
            return 0
        return self._read(lambda conn: self._measure(partial(self._db.can.time_of, conn)))

    # -- helpers -------------------------------------------------------------------------------------------------

    def _read(self, work: Callable[[Connection], Result]) -> Result:
        return self._guarded(self._db.read, work)

    def _write(self, work: Callable[[Connection], Result]) -> Result:
        return self._guarded(self._db.write, work)

    def _guarded(
        self,
        carry_out: Callable[[Callable[[Connection], Result]], Result],
        work: Callable[[Connection], Result],
    ) -> Result:
        """Return what ``carry_out(work)`` returns; notice that the database is not the one that was opened.

        :raises StoreReplacedError: if that is so. Whoever has a lease calls :meth:`reopen` then; for others the next call does
        """
        self._check_started()
        try:
            return carry_out(work)
        except StoreReplacedError as exc:
            raise self._replaced(exc.change) from None
        except Changed as exc:
            raise self._replaced(str(exc)) from None
        except StoreError as exc:
            if not isinstance(exc.__cause__, DBAPIError) or not self._db.can.is_without_tables(exc.__cause__):
                raise
            raise self._replaced(EMPTIED) from exc

    def _step(self, work: Callable[[Connection], Result]) -> Result:
        """Write as a step of the scheduler, which waits for nobody.

        :raises HeldRowsError: if somebody holds a row for longer than a moment
        """
        return self._guarded(self._db.step, work)

    def _is_wary(self) -> bool:
        """Whether somebody held rows a moment ago, so that they are looked at before anything is written."""
        if self._wary_until and self.clock.monotonic() >= self._wary_until:
            self._wary_until = 0
        return self._wary_until > 0

    def _be_wary(self) -> None:
        self._wary_until = self.clock.monotonic() + _WARY

    def _write_hopefully(self, work: Callable[[Connection, bool], Result]) -> Result:
        """Write what rarely meets the work of others: at first without care, and without savepoints, which are journeys."""
        try:
            return self._step(lambda conn: work(conn, False))
        except (Unexpected, IntegrityError):
            return self._step(lambda conn: work(conn, True))

    def _save(self, job: Job, values: Mapping[str, Any], version: int | None) -> bool:
        def work(conn: Connection) -> bool:
            saved = self._jobs.save(conn, job, values, version)
            if saved:
                self._tell(conn, job.next_due)
            return saved

        return self._write(work)

    def _tell(self, conn: Connection, due: int | None) -> None:
        """Let the processes that share the store know, with this transaction, that there is something due soon."""
        if self._is_soon(due):
            self._others.tell(conn)

    def _is_soon(self, due: int | None) -> bool:
        """Whether the others have to be told of a due time."""
        if self._db.can.notify is None or due is None:
            return False
        return due <= self.now() + _SOON

    def _listens(self, connected: bool) -> None:
        self.poll_interval = _HEARING_INTERVAL if connected else type(self).poll_interval

    def _job_of(self, row: Any) -> Job:
        return self._jobs.job_of(row, self._home)

    def _healed(self, row: Any) -> Job | None:
        return self._jobs.healed(row, self._home)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} (url={self._db.address})>"
