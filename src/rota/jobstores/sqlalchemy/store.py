"""The SQL store: jobs and ledger in four tables of any database that SQLAlchemy 2 speaks.

Has the options and the order of steps; the steps are in the modules beside it, and what databases do differently in ``databases``.
"""

from __future__ import annotations

import pickle
from functools import partial

from ...clock import instant
from ...codec.jobs import JobFormat
from ...compat.absent import only_read
from ...errors import ConfigurationError, MissingExtraError
from ...util import maybe_ref
from ..base import ConflictingIdError, JobLookupError
from ..documents import ordered

try:
    import sqlalchemy  # noqa: F401  # a message that says what to install
except ImportError as exc:
    raise MissingExtraError("SQLAlchemyJobStore", "sql") from exc

from .damage import Damage
from .engines import check_connection
from .forms import jobs_of, marked_jobs_of, values_of
from .history import History
from .housekeeping import HousekeptTables
from .job_writes import JobWrites
from .jobs import Jobs
from .layout import Tables
from .leases import Leases, Nodes
from .opening import earlier_jobs, open_tables
from .orphans import Orphans
from .run_writes import RunWrites
from .runs import Runs
from .server import Server
from .transactions import Transactions
from .wakeups import Wakeups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Engine, MetaData, Table

    from ...core.plan import Decision
    from ...core.recorded import Recorded
    from ...core.run import Run
    from ...core.waiting import MayTake
    from ...job.handle import Job

__all__ = ("ConflictingIdError", "JobLookupError", "SQLAlchemyJobStore")


class SQLAlchemyJobStore(HousekeptTables):
    """Keeps jobs and ledger in a database; any number of schedulers and processes may share it. Alias: ``sqlalchemy``.

    The first seven parameters are APScheduler's, in its order. SQLite files are opened in WAL mode with full synchronization;
    an engine that you pass in is used as it is, and stays open. Leases are kept by the server's clock, if there is a server.
    On PostgreSQL (with psycopg 3) the processes that share a store tell each other at once what is due soon; elsewhere they
    look for changes every ``poll_interval`` seconds.

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
        format = JobFormat(serializer, pickle_protocol, imports, signing_key)
        super().__init__(format, keep_runs, keep_days, create_tables)
        self._server = Server(url, maybe_ref(engine) if engine else None, engine_options)
        database = self._server.database
        metadata = maybe_ref(metadata) if metadata else None
        self._tables = Tables(metadata, tablename, tableschema, database)
        self._server.repair = partial(database.make_readable, tables=self._tables.all)
        self.has_clock = self.has_clock or database.clock is not None
        #: the ``_home`` of all its jobs: the scheduler, and the alias of the store
        self._home: tuple[Any, str | None] = (None, None)
        self._make_parts()

    def _make_parts(self) -> None:
        """Make the objects that carry out the steps."""
        server, tables, format, identity = self._server, self._tables, self._format, self._identity
        self._transactions = Transactions(server, self._check_started, self._replaced, lambda: self.clock)
        self._read = self._transactions.read
        self._write = self._transactions.write
        self._step = self._transactions.step
        self._wakeups = Wakeups(server, tables.jobs.fullname, self._is_soon)
        self._jobs = Jobs(tables)
        self._runs = Runs(tables, self._jobs, format)
        self._runs.follow, self._runs.starting = self._follow_in, self.starting
        self._nodes = tables.once(Nodes)
        self._history = tables.once(History)
        self._damage = Damage(tables, self._jobs, self._follow_in)
        self._job_writes = JobWrites(self._transactions, self._jobs, format, self._wakeups)
        self._run_writes = RunWrites(
            self._transactions,
            self._jobs,
            self._runs,
            Orphans(tables, self._jobs, self._runs, format),
            self._nodes,
            self._history,
            self._wakeups,
            format,
            identity,
            self._job_of,
        )
        self._leases = Leases(self._transactions, self._nodes, self._runs, identity, self._measure)

    @property
    def engine(self) -> Engine:
        """The engine that the store uses."""
        return self._server.lent

    @property
    def jobs_t(self) -> Table:
        """The table of the jobs, for programs that look into it; it has columns of its own, and only the store writes there."""
        return self._tables.jobs

    @property
    def waits_for_sockets(self) -> bool:  # type: ignore[override]
        """Whether the database is a server, and not a file."""
        return not self._server.database.one_writer

    # -- life cycle ----------------------------------------------------------------------------------------------

    def start(self, scheduler: Any, alias: str) -> None:
        """Connect, and create or migrate the tables.

        :raises StoreUnavailableError: if the database cannot be reached
        :raises SchemaError: if its tables are not of a version that this code knows
        """
        super().start(scheduler, alias)
        self._home = scheduler, alias
        self._begin(self._open(), self._tables.are_new, None if self._server.database.clock is None else 1)

    def _earlier_jobs(self) -> str | None:
        return earlier_jobs(self._server, self._tables)

    def _open(self) -> str:
        """Create or migrate the tables; return the identity of the store."""
        identity = open_tables(self._server, self._tables, self._create)
        if self._format.imports:  # else jobs are only looked at, and little is written
            self._server.warm_up()
        return identity

    def reopen(self) -> None:
        """Leave the database that was opened, and open the one that is at its place now; see the port."""
        self._server.connections.leave()
        self._reopened(self._open())

    def shutdown(self) -> None:
        """Close the connections, unless the engine was passed in."""
        super().shutdown()
        self._wakeups.stop_listening()
        self._server.connections.dispose()

    def before_fork(self) -> None:
        """Load what some calls load late, so that a forked copy does not find it half loaded."""
        from . import beside, chains, counts, job_search, orders, run_search, waiting  # noqa: F401  # import time

        super().before_fork()

    def forked(self) -> None:
        """Leave the connections to the parent process."""
        self._wakeups.forked()
        self._server.connections.forked()
        super().forked()

    def check_job(self, job: Job) -> None:
        """Refuse a job that does not fit.

        :raises TransientJobError: if its callable has no importable name
        :raises SerializationError: if an argument or the trigger cannot be written
        :raises JobValueError: if its id is too long
        """
        values_of(job, self._format, 0)

    # -- APScheduler's eight methods -----------------------------------------------------------------------------

    def lookup_job(self, job_id: str) -> Job | None:
        """Return the job of that id, or None; one that cannot be restored is quarantined and says why."""
        row = self._read(partial(self._jobs.one, job_id=job_id))
        return None if row is None else self._job_of(row)

    def get_due_jobs(self, now: datetime) -> list[Job]:
        """Return the active jobs that are due, earliest first; nothing is claimed."""
        rows = self._read(partial(self._jobs.due, now=instant(now), room=None))
        return jobs_of(rows, self._format, self._home)

    def get_next_run_time(self) -> datetime | None:
        """Return the earliest next run time, or None."""
        return self._in_zone(self._read(partial(self._jobs.next_due, executors=None)))

    def get_all_jobs(self) -> list[Job]:
        """Return all jobs, sorted by next run time, those without one last; also those that cannot be restored."""
        return SQLAlchemyJobStore.select_jobs(self)

    def select_jobs(
        self, state: Collection[str] | None = None, limit: int | None = None, offset: int = 0
    ) -> list[Job]:
        """Return a page of the jobs, those of some states if they are given."""
        rows = self._read(partial(self._jobs.select, states=state, limit=limit, offset=offset))
        return ordered(self._jobs_of(rows))

    def add_job(self, job: Job) -> None:
        """Store a job.

        :raises ConflictingIdError: if a job of that id exists
        :raises InvalidJobError, TransientJobError, SerializationError: as :meth:`check_job`
        """
        untold = self._job_writes.add(job, self.now())
        if untold is not None:  # the job is stored, and the other processes will find it
            self._log.warning("Job %s was added and nobody could be told: %s", job.id, untold)

    def add_jobs(
        self,
        jobs: Sequence[Job],
        replace: Callable[[Job, Job], None] | None = None,
        connection: Any = None,
    ) -> None:
        """Store jobs in one transaction, or inside one of the caller's; see the port.

        In the caller's transaction the jobs exist exactly if that is committed; on PostgreSQL the others are told by the commit.
        """
        if connection is not None:
            check_connection(connection, self._server.database, self)
            self._check_started()
        self._job_writes.add_all(jobs, self.now(), replace, self._job_of, connection)

    def update_job(self, job: Job) -> None:
        """Replace the job of that id, whatever others have changed.

        :raises JobLookupError: if there is none
        """
        if self._is_moved(job):
            return
        self._job_writes.replace(job, self.now())

    def save_job(self, job: Job, version: int) -> bool:
        """Replace the job of that id if it still has ``version``; the job gets its new version.

        :raises JobLookupError: if there is none
        """
        return self._job_writes.replace_version(job, version, self.now())

    def remove_job(self, job_id: str) -> Sequence[Run] | None:
        """Delete a job, also one that cannot be restored; return its waiting runs, which are cancelled. Its records stay.

        :raises JobLookupError: if there is none
        """
        return self._write(partial(self._remove, job_id=job_id))

    def remove_all_jobs(self) -> Sequence[Run] | None:
        """Delete all jobs; return their waiting runs, which are cancelled. Their records stay."""
        return self._write(self._remove_all)

    # -- the ledger ----------------------------------------------------------------------------------------------

    def due(self, now: int, room: Mapping[str, int]) -> list[Job]:
        """Return due jobs, earliest first, at most so many for each executor as it has room for."""
        rows = self._read(partial(self._jobs.due, now=now, room=room))
        return jobs_of(rows, self._format, self._home)

    def next_due(self, executors: Iterable[str]) -> int | None:
        """Return the earliest due time among the jobs of these executors."""
        return self._read(partial(self._jobs.next_due, executors=executors))

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Carry out decisions in one transaction; jobs that other processes have changed in the meantime are left out.

        A run whose nominal time has a record already is taken out of its decision.

        :raises StoreError: if ``node`` never had a lease
        """
        won = self._run_writes.claim(decisions, node, now)
        for decision in won:
            self._bounds.count(decision.job.id, len(decision.runs) + len(decision.records))
        return won

    def finish(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Record ended runs in one transaction; return those whose fence is not the store's any more."""
        if not runs:
            return []
        return self._run_writes.finish(runs, now)

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

    def renew(
        self, node: str, now: int, lease: int, in_hand: Collection[Run] = (), in_doubt: bool = False
    ) -> list[Run] | None:
        """Renew or begin a node's lease; see the port. The database's clock decides, if it has one."""
        return self._leases.renew(node, now, lease, in_hand, in_doubt)

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
        """Take over runs that no living node owns; see the port. A run whose job is gone is lost.

        A run whose job cannot be restored here is left to other nodes, or to the time when it can.
        """
        clock = self._time_from(now)
        return self._run_writes.rescue(node, now, room, known, in_doubt, ownerless, clock, may_take)

    def leave(self, node: str, runs: Sequence[Run], now: int) -> None:
        """Give back runs that were not started, and end the lease unless other runs of the node are under way."""
        self._leases.leave(node, runs)

    def recount(self, jobs: Sequence[Job]) -> None:
        """Compare the counts of running runs of jobs with the ledger, and correct the wrong ones; see the port."""
        found = self._step(partial(self._jobs.recount, ids=[job.id for job in jobs], wait=False))
        for job in jobs:
            job.running = found.get(job.id, job.running)

    def living_nodes(self, now: int) -> int:
        """Return how many nodes hold a lease that is not over."""
        return self._read(partial(self._nodes.living, instant=now))

    def on_wake(self, wake: Callable[[], None]) -> None:
        """Take the function to call when another process changed something that is due soon."""
        self._wakeups.listen(wake, self._listening, self._log)

    def overdue(self, now: int, executors: Iterable[str]) -> dict[str, int]:
        """Return how many due jobs wait for executors other than these."""
        return self._read(partial(self._jobs.overdue, now=now, known=executors))

    def measure_clock(self) -> int:
        """Ask the database for its time, if it has a clock; see the port."""
        if self._offset is None:
            return 0
        return self._read(lambda conn: self._measure(partial(self._server.database.time_of, conn)))

    def _jobs_of(self, rows: Iterable[Any]) -> list[Job]:
        return marked_jobs_of(rows, self._format, self._home)

    def _job_of(self, row: Any) -> Job:
        return self._jobs_of([row])[0]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} (url={self._server.address})>"


only_read(SQLAlchemyJobStore, engine="engine=", jobs_t="tablename=")
