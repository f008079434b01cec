"""The MongoDB store: jobs with their unfinished runs in one collection, records in another.

Takes the options and keeps the order of steps; the steps are in the modules beside it.
"""

from __future__ import annotations

import pickle
from functools import cached_property

from ...clock import SECOND, instant
from ...codec.jobs import JobFormat
from ...codec.unrestored import can_run
from ...compat.absent import only_read
from ...core.orphans import Search
from ...errors import MissingExtraError
from ...util import maybe_ref
from ..asked_nodes import AsksNodes
from ..base import ConflictingIdError, JobLookupError
from ..documents import ordered
from ..durable import DurableJobStore
from ..identity import Changed

try:
    import pymongo  # noqa: F401  # said here, should it be missing
except ImportError as exc:
    raise MissingExtraError("MongoDBJobStore", "mongodb") from exc

from .damage import Damage
from .filing import Filing
from .forms import job_of, parts_of
from .history import History
from .jobs import Jobs
from .layout import earlier_jobs, take_possession
from .leases import Leases
from .runs import Runs
from .server import Server
from .wakeups import POLL_INTERVAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from ...core.changes import Change
    from ...core.details import RunParts
    from ...core.durations import Durations
    from ...core.hours import HourCounts
    from ...core.nodes import Node
    from ...core.openings import Cut
    from ...core.orders import Orders
    from ...core.plan import Decision
    from ...core.queries import Count, JobQuery, Part, RunQuery
    from ...core.recorded import Recorded
    from ...core.run import Run
    from ...core.waiting import MayTake
    from ...job.handle import Job
    from .beside import Beside
    from .chains import Chains
    from .orders import NodeOrders
    from .search import Searching
    from .waiting import Waiting

__all__ = ("ConflictingIdError", "JobLookupError", "MongoDBJobStore")


class MongoDBJobStore(AsksNodes, DurableJobStore):
    """Keeps jobs and ledger in MongoDB (4.2 or later); any number of schedulers and processes may share it. Alias: ``mongodb``.

    The first four parameters and ``connect_args`` are APScheduler's. Other processes' changes are noticed by a look every
    ``poll_interval`` seconds. Leases are kept by the server's clock. Writes wait for the server's journal, unless the URL or
    ``connect_args`` say otherwise (``journal=False``) or you pass in a client. Use write concern "majority" (the server's
    default) on a replica set: what was not written to most members may be rolled back.

    :param database: name of the database; by default that of ``url``, or "rota"
    :param collection: name of the collection of jobs; all others take its prefix
    :param client: a ``pymongo.MongoClient`` (or a textual reference to one) to be used; it stays open
    :param pickle_protocol: protocol of pickles, if ``serializer`` is "pickle"
    :param url: ``mongodb://`` or ``mongodb+srv://`` URL
    :param serializer: "json" (arguments and triggers that do not fit are refused), or "pickle" (they are pickled)
    :param imports: False: jobs are read without importing their code, to be looked at and repaired, and not to be run
    :param signing_key: a key of 16 bytes or more, or a list of keys: jobs are signed by the first, and a job that none of
        them has signed is quarantined, and nothing of it is decoded
    :param create: False: what is not there yet is not made, and an older layout is not migrated; ``start()`` refuses it
    :param keep_runs: how many ended runs of each job the ledger keeps; None for no bound
    :param keep_days: how many days ended runs are kept; None for no bound
    :param connect_args: keyword arguments for ``pymongo.MongoClient()``: host, port, username, password, tls …
    :raises ConfigurationError: (a ``ValueError``) if an option is wrong
    """

    has_clock = True
    starts_chains = True
    waits_for_sockets = True
    poll_interval = POLL_INTERVAL

    def __init__(
        self,
        database: str = "rota",
        collection: str = "jobs",
        client: Any = None,
        pickle_protocol: int = pickle.HIGHEST_PROTOCOL,
        *,
        url: str | None = None,
        serializer: str = "json",
        imports: bool = True,
        create: bool = True,
        signing_key: str | bytes | Sequence[str | bytes] | None = None,
        keep_runs: int | None = 1000,
        keep_days: float | None = 30,
        **connect_args: Any,
    ) -> None:
        format = JobFormat(serializer, pickle_protocol, imports, signing_key)
        super().__init__(format, keep_runs, keep_days, create)
        self._server = Server(maybe_ref(client), url, database, collection, connect_args)
        self._damage = Damage(self._server)
        self._jobs = Jobs(self._server, self._format, self._damage.quarantine)
        self._history = History(self._server, self._bounds)
        self._leases = Leases(self._server, self._identity)
        self._filing = Filing(self._server, lambda: self._chains, self.may_start_others)
        self._runs = Runs(
            self._server, self._jobs, self._leases, self._damage, self._filing, self._history, self._bounds
        )

    @property
    def client(self) -> Any:
        """The client that the store uses."""
        return self._server.client

    @property
    def collection(self) -> Any:
        """The collection of jobs."""
        return self._server.jobs

    # -- life cycle ----------------------------------------------------------------------------------------------

    def start(self, scheduler: Any, alias: str) -> None:
        """Connect, take possession of the collections and create their indexes.

        :raises StoreUnavailableError: if the server cannot be reached
        :raises SchemaError: if the collections are somebody else's, or of a version that this code does not know
        """
        super().start(scheduler, alias)
        self._begin(*take_possession(self._server, self._create), clock_unit=SECOND // 1000)

    def _earlier_jobs(self) -> str | None:
        return earlier_jobs(self._server)

    def reopen(self) -> None:
        """Take possession of the collections that are there now; see the port."""
        self._runs.note(())
        identity, _ = take_possession(self._server, self._create, again=True)
        self._reopened(identity)

    def shutdown(self) -> None:
        """Close the connections, unless the client was passed in."""
        super().shutdown()
        self._server.close()

    def forked(self) -> None:
        """Leave the parent's connections alone."""
        self._server.forked()
        super().forked()

    def check_job(self, job: Job) -> None:
        """Refuse a job that does not fit.

        :raises TransientJobError: if its callable has no importable name
        :raises SerializationError: if an argument or the trigger cannot be written
        :raises JobValueError: if a text of it cannot be stored, or is too long
        """
        parts_of(job, self._format)

    # -- APScheduler's eight methods -----------------------------------------------------------------------------

    def lookup_job(self, job_id: str) -> Job | None:
        """Return the job of that id, or None; one that cannot be restored is quarantined and says why."""
        self._check_started()
        document = self._jobs.one(job_id)
        return None if document is None else self._job_of(document)

    def get_due_jobs(self, now: datetime) -> list[Job]:
        """Return the active jobs that are due, earliest first; nothing is claimed."""
        self._check_started()
        return [self._job_of(document) for document in self._jobs.due(instant(now), None, 0)]

    def get_next_run_time(self) -> datetime | None:
        """Return the earliest next run time, or None."""
        self._check_started()
        return self._in_zone(self._jobs.next_due(None))

    def get_all_jobs(self) -> list[Job]:
        """Return all jobs, sorted by next run time, those without one last; also those that cannot be restored."""
        return MongoDBJobStore.select_jobs(self)

    def select_jobs(
        self, state: Collection[str] | None = None, limit: int | None = None, offset: int = 0
    ) -> list[Job]:
        """Return a page of the jobs, those of some states if they are given."""
        self._check_started()
        return list(map(self._job_of, self._jobs.select(state, limit, offset)))

    def add_job(self, job: Job) -> None:
        """Store a job.

        :raises ConflictingIdError: if a job of that id exists
        :raises InvalidJobError, TransientJobError, SerializationError: as :meth:`check_job`
        """
        self._check_started()
        self._jobs.add(job)

    def add_jobs(
        self,
        jobs: Sequence[Job],
        replace: Callable[[Job, Job], None] | None = None,
        connection: Any = None,
    ) -> None:
        """Store jobs, all of them or none; in one step unless there are jobs of these ids."""
        self._check_started()
        if connection is None and jobs:
            try:
                self._jobs.add_many(jobs)
                return
            except ConflictingIdError:
                pass  # it may be a job that is over, or one to be replaced
        super().add_jobs(jobs, replace, connection)

    def update_job(self, job: Job) -> None:
        """Replace the job of that id, whatever others have changed.

        :raises JobLookupError: if there is none
        """
        if self._is_moved(job):
            return
        self._check_started()
        self._jobs.save(job, None)

    def save_job(self, job: Job, version: int) -> bool:
        """Replace the job of that id if it still has ``version``; the job gets its new version.

        :raises JobLookupError: if there is none
        """
        self._check_started()
        return self._jobs.save(job, version)

    def remove_job(self, job_id: str) -> Sequence[Run] | None:
        """Delete a job, also one that cannot be restored; return its waiting runs, which are cancelled. Its records stay.

        :raises JobLookupError: if there is none
        """
        self._check_started()
        if self._jobs.remove(job_id):
            return None
        ended = self._waiting.remove(job_id, self.now())
        if ended is None:
            raise JobLookupError(job_id)
        return ended

    def remove_all_jobs(self) -> Sequence[Run] | None:
        """Delete all jobs; return their waiting runs, which are cancelled. Their records stay."""
        self._check_started()
        return [
            run
            for job_id in self._jobs.remove_all()
            for run in self._waiting.remove(job_id, self.now()) or ()
        ]

    # -- the ledger ----------------------------------------------------------------------------------------------

    def due(self, now: int, room: Mapping[str, int]) -> list[Job]:
        """Return due jobs, earliest first, at most so many for each executor as it has room for."""
        self._check_started()
        found = [
            document
            for alias, limit in room.items()
            if limit > 0
            for document in self._jobs.due(now, alias, limit)
        ]
        if any(type(document["_id"]) is not str for document in found):
            found = self._damage.set_aside(found)
        self._runs.note(found)
        jobs = list(map(self._job_of, found))
        return ordered(jobs) if len(room) > 1 else jobs

    def next_due(self, executors: Iterable[str]) -> int | None:
        """Return the earliest due time among the jobs of these executors."""
        self._check_started()
        times = [time for time in map(self._jobs.next_due, executors) if time is not None]
        return min(times, default=None)

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Carry out decisions, each in one step; what was changed by others in the meantime is left out.

        A run whose nominal time has a record already is taken out of its decision.

        :raises StoreError: if ``node`` never had a lease
        """
        self._check_started()
        try:
            if not self._leases.is_alive(node, now) or not decisions:
                return []
        except Changed as exc:
            raise self._replaced(str(exc)) from None
        self._format.sign_runs(decisions)
        return self._runs.claim(decisions, node, now)

    def finish(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Record ended runs; return those whose fence is not the store's any more."""
        self._check_started()
        return self._runs.finish(runs, now, self._job_of)

    def get_runs(
        self,
        job_id: str | None = None,
        status: str | Iterable[str] | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Run]:
        """Return records of the ledger, newest first."""
        self._check_started()
        return self._history.select(job_id, status, limit + offset)[offset:]

    def recorded(self, since: Mapping[str, int]) -> dict[str, list[Recorded]]:
        """Return the records of some jobs that stand for times from an instant on."""
        self._check_started()
        found = {job_id: self._history.recorded(job_id, start) for job_id, start in since.items()}
        return {job_id: records for job_id, records in found.items() if records}

    def renew(
        self, node: str, now: int, lease: int, in_hand: Collection[Run] = (), in_doubt: bool = False
    ) -> list[Run] | None:
        """Renew or begin a node's lease; see the port. The server's clock decides."""
        self._check_started()
        now += self.measure_clock()
        until, change = self._leases.renew(node, now, lease)
        if change is not None:
            raise self._replaced(change)
        ran = until is not None and until >= now
        if (ran and not in_doubt) or (until is None and not in_hand):
            return None
        return self._runs.keep(node, in_hand, now)

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
        self._check_started()
        format = self._format
        search = Search(
            *(node, room, known, in_doubt, ownerless),
            *(format.run_refusal, can_run, format.job_for, self.parts_of, may_take),
        )
        return self._runs.rescue(search, now, self._time_from(now), self._job_of)

    def leave(self, node: str, runs: Sequence[Run], now: int) -> None:
        """Give back runs that were not started, and end the lease unless other runs of the node are under way."""
        self._check_started()
        self._runs.leave(runs)
        self._leases.end(node, self._runs.is_busy(node))

    def heal_in_steps(self, now: int) -> Iterator[tuple[list[Job], int]]:
        """Let jobs out of quarantine that can be restored and planned now."""
        self._check_started()
        yield from self._jobs.heal(now, self._job_of, self.clock)

    def recount(self, jobs: Sequence[Job]) -> None:
        """Count anew how many runs of jobs are under way: those in their documents."""
        self._check_started()
        self._damage.recount(jobs)

    def mend_in_steps(self, now: int) -> Iterator[tuple[list[Job], list[Run]]]:
        """Look for jobs and runs that nobody would find because of what is stored of them; see the port."""
        self._check_started()
        yield from self._damage.steps(now, self.clock, self._jobs.some, self._job_of)

    def prune_in_steps(self, now: int) -> Iterator[int]:
        """Delete ended runs that are too old, or too many for their job; and nodes that are long gone."""
        self._check_started()
        leftovers = self._filing.leftovers()
        if leftovers:
            self._filing.file(leftovers)
            yield 0
        yield from self._beside.count_hours(now, self.clock)
        yield from self._beside.look_over(now, self.clock)
        yield from self._history.prune(now, self.clock, self._beside.delete)
        yield from self._jobs.forget_ended()
        self._leases.prune(now)
        self._orders.forget(now)

    def living_nodes(self, now: int) -> int:
        """Return how many nodes hold a lease that is not over."""
        self._check_started()
        return self._leases.living(now)

    def overdue(self, now: int, executors: Iterable[str]) -> dict[str, int]:
        """Return how many due jobs wait for executors other than these."""
        self._check_started()
        return self._jobs.overdue(now, executors)

    def measure_clock(self) -> int:
        """Ask the server for its time, which it tells in milliseconds; see the port."""
        return self._measure(self._server.time)

    # -- chains --------------------------------------------------------------------------------------------------

    @cached_property
    def _chains(self) -> Chains:
        from .chains import Chains  # import time

        return Chains(self._server, self._format, self._job_of)

    def children(self, parents: Collection[str]) -> Sequence[Job]:
        """Return the jobs that the ends of some jobs start, as they are stored."""
        self._check_started()
        return self._chains.children(parents)

    def parents(self) -> Collection[str]:
        """Return the ids of the jobs that start others."""
        self._check_started()
        return self._chains.parents()

    # -- searching, and what is kept beside ----------------------------------------------------------------------

    @cached_property
    def _searching(self) -> Searching:
        from .search import Searching  # import time

        return Searching(self._server, self._jobs, self._history)

    @cached_property
    def _beside(self) -> Beside:
        from .beside import Beside  # import time

        return Beside(self._server, self._searching)

    @property
    def _place(self) -> str:
        return self._identity.value

    def _jobs_from(self, query: JobQuery, after: tuple[Any, ...] | None, count: int) -> Part[Job]:
        self._check_started()
        return self._searching.jobs_from(query, after, count, self._job_of)

    def count_jobs(self, query: JobQuery) -> Count:
        """Return how many jobs a query wants; the server counts what it has an index for."""
        self._check_started()
        number = self._searching.count_jobs(query)
        return super().count_jobs(query) if number is None else number

    def _runs_from(self, query: RunQuery, after: tuple[Any, ...] | None, count: int) -> Part[Run]:
        self._check_started()
        return self._searching.runs_from(query, after, count)

    def count_runs(self, query: RunQuery) -> Count:
        """Return how many records a query wants; the server counts what it has an index for."""
        self._check_started()
        number = self._searching.count_runs(query)
        return super().count_runs(query) if number is None else number

    def run_counts(self, since: int, until: int, query: RunQuery | None = None) -> HourCounts:
        """Return how many records there are by hour and status; see the port."""
        self._check_started()
        if query is not None:
            return super().run_counts(since, until, query)
        return self._beside.run_counts(since, until, self.clock)

    def get_run(self, job_id: str, nominal: int) -> Run | None:
        """Return the record of a nominal time with its parts, None if there is none."""
        self._check_started()
        run = self._searching.get_run(job_id, nominal)
        if run is not None:
            run.parts = self._beside.parts_of([(job_id, nominal)]).get((job_id, nominal), {})
        return run

    def last_runs(
        self, ids: Collection[str], n: int = 1, statuses: Collection[str] | None = None
    ) -> dict[str, list[Run]]:
        """Return the newest records of some jobs, newest first."""
        self._check_started()
        return self._searching.last_runs(ids, n, statuses) if ids else {}

    def durations(self, job_id: str) -> Durations | None:
        """Return how long the runs of a job took, as far as housekeeping has counted them."""
        self._check_started()
        return self._beside.durations(job_id)

    def write_parts(self, parts: Sequence[RunParts], owner: str | None = None) -> None:
        """Keep texts beside the records of some runs; see the port."""
        self._check_started()
        if parts:
            self._beside.write_parts(parts, owner)

    def parts_of(self, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], dict[str, str]]:
        """Return what is kept beside the records of some runs."""
        self._check_started()
        return self._beside.parts_of(keys)

    def note_change(self, job_id: str, change: Change) -> None:
        """Keep what an edit has changed of a job; see the port."""
        self._check_started()
        self._beside.note_change(job_id, change)

    def changes(self, job_id: str) -> list[Change]:
        """Return the last edits of a job, newest first."""
        job = self.lookup_job(job_id)
        return [] if job is None else self._beside.changes(job_id, job.revision)

    def describe(self, node: str, about: Mapping[str, Any], now: int) -> None:
        """Keep what a node says of itself beside its lease."""
        self._check_started()
        self._beside.describe(node, about)

    def nodes(self, now: int) -> list[Node]:
        """Return the nodes that hold a lease, or held one within the last day."""
        self._check_started()
        return self._beside.nodes(now)

    # -- runs that wait, and what is asked of nodes ----------------------------------------------------------------

    @cached_property
    def _waiting(self) -> Waiting:
        from .waiting import Waiting  # import time

        return Waiting(self._server, self._format, self._filing, self._searching, self._damage)

    @cached_property
    def _orders(self) -> NodeOrders:
        from .orders import NodeOrders  # import time

        return NodeOrders(self._server)

    def open_runs(
        self, runs: Sequence[Run], now: int, cuts: Sequence[Cut] = (), version: int | None = None
    ) -> list[Run]:
        """Make runs wait that are asked for; see the port."""
        self._check_started()
        from .opening import Opening  # import time

        opening = Opening(self._server, self._format, self._filing, self._searching)
        return opening.open_runs(runs, now, cuts, version)

    def give_back(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Make claimed runs wait, for any node; see the port."""
        self._check_started()
        return self._waiting.give_back(runs, now)

    def take_waiting(
        self,
        node: str,
        now: int,
        room: Mapping[str, int] | None = None,
        may_take: MayTake | None = None,
    ) -> list[Run]:
        """Take waiting runs whose time has come; see the port."""
        self._check_started()
        try:
            if not self._leases.is_alive(node, now):
                return []
        except Changed as exc:
            raise self._replaced(str(exc)) from None
        return self._waiting.take(node, now, room, self._job_of, may_take)

    def next_waiting(self) -> int | None:
        """Return the earliest time at which a waiting run may start."""
        self._check_started()
        return self._waiting.next_waiting(self._job_of, self.now())

    def cancel_run(
        self, job_id: str, nominal: int, reason: str, now: int, only_waiting: bool = False
    ) -> Run | None:
        """Cancel a run; see the port."""
        self._check_started()
        return self._waiting.cancel_run(job_id, nominal, reason, now, only_waiting)

    def orders(self, node: str, now: int) -> Orders:
        """Return what others ask of a node."""
        self._check_started()
        return self._orders.of(node, now, self._waiting.next_waiting(self._job_of, self.now()))

    @property
    def _asked(self) -> NodeOrders:
        self._check_started()
        return self._orders

    # -- helpers -------------------------------------------------------------------------------------------------

    def _job_of(self, document: Mapping[str, Any], healing: bool = False) -> Job:
        return job_of(document, self._format, self._scheduler, self._alias, healing)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} (url={self._server.address})>"


only_read(MongoDBJobStore, client="client=", collection="collection=")
