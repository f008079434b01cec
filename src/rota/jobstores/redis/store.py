"""The Redis store: jobs and ledger in hashes and sorted sets, every step one script on the server.

Takes the options and keeps the order of steps; the steps are in the modules beside it, and as Lua in ``scripts/``.
"""

from __future__ import annotations

import pickle
from functools import cached_property

from ...clock import instant
from ...codec.jobs import JobFormat
from ...codec.unrestored import can_run
from ...compat.absent import only_read
from ...core.orphans import Search
from ...core.states import WAITING
from ...errors import MissingExtraError, StoreError
from ...util import maybe_ref
from ..asked_nodes import AsksNodes
from ..base import ConflictingIdError, JobLookupError
from ..documents import ordered, parts_of
from ..durable import DurableJobStore
from ..identity import Changed

try:
    import redis  # noqa: F401  # whether it is here
except ImportError as exc:
    raise MissingExtraError("RedisJobStore", "redis") from exc

from .damage import Damage
from .failures import Failures
from .history import History
from .jobs import Jobs
from .layout import Keys, earlier_jobs, take_possession
from .leases import Leases
from .runs import Runs
from .server import Server

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
    from .orders import OrderBook
    from .search import Searches
    from .waiting import Waiting

__all__ = ("ConflictingIdError", "JobLookupError", "RedisJobStore")


class RedisJobStore(AsksNodes, DurableJobStore):
    """Keeps jobs and ledger in a Redis or Valkey server; any number of schedulers and processes may share it. Alias: ``redis``.

    The first four parameters and ``connect_args`` are APScheduler's. Other processes are woken up through a channel when something
    comes up that is due before what they wait for. How much of the last second survives a crash of the server depends on its
    settings: ``appendonly yes`` with ``appendfsync always`` loses nothing that was answered.

    On a cluster, give both keys one hash tag: ``jobs_key="{rota}.jobs", run_times_key="{rota}.run_times"``.

    :param db: number of the database
    :param jobs_key: key of the hash of the jobs; the keys of everything else take its prefix
    :param run_times_key: the keys of the sorted sets of due times begin so
    :param pickle_protocol: protocol of pickles, if ``serializer`` is "pickle"
    :param url: ``redis://``, ``rediss://`` or ``unix://`` URL, instead of host, port and so on
    :param client: a ``redis.Redis`` (or a textual reference to one) to be used instead; it stays open
    :param serializer: "json" (arguments and triggers that do not fit are refused), or "pickle" (they are pickled)
    :param imports: False: jobs are read without importing their code, to be looked at and repaired, and not to be run
    :param signing_key: a key of 16 bytes or more, or a list of keys: jobs are signed by the first, and a job that none of
        them has signed is quarantined, and nothing of it is decoded
    :param create: False: what is not there yet is not made, and an older layout is not migrated; ``start()`` refuses it
    :param keep_runs: how many ended runs of each job the ledger keeps; None for no bound
    :param keep_days: how many days ended runs are kept; None for no bound
    :param connect_args: more keyword arguments for ``redis.Redis()``: host, port, username, password, ssl …
    :raises ConfigurationError: (a ``ValueError``) if an option is wrong
    """

    has_clock = True
    waits_for_sockets = True
    starts_chains = True

    def __init__(
        self,
        db: int = 0,
        jobs_key: str = "rota.jobs",
        run_times_key: str = "rota.run_times",
        pickle_protocol: int = pickle.HIGHEST_PROTOCOL,
        *,
        url: str | None = None,
        client: Any = None,
        serializer: str = "json",
        imports: bool = True,
        create: bool = True,
        signing_key: str | bytes | Sequence[str | bytes] | None = None,
        keep_runs: int | None = 100,
        keep_days: float | None = 30,
        **connect_args: Any,
    ) -> None:
        format = JobFormat(serializer, pickle_protocol, imports, signing_key)
        super().__init__(format, keep_runs, keep_days, create)
        self._server = Server(maybe_ref(client), url, db, connect_args)
        self._keys = Keys(jobs_key, run_times_key, self._server.db)
        self._jobs = Jobs(self._run, self._format, lambda: (self._scheduler, self._alias))
        self._history = History(self._run, self._bounds, lambda: self._beside)
        self._failures = Failures(self._run, self._jobs.of, self._format, lambda: self._chains)
        self._runs = Runs(
            self._run, self._history, self._bounds, self._identity, self._failures, lambda: self._chains
        )
        self._leases = Leases(self._run, self._identity)
        self._damage = Damage(self._run, self._runs)
        #: the executors whose jobs were asked for last
        self._executors: frozenset[str] = frozenset()

    @property
    def redis(self) -> Any:
        """The client that the store uses."""
        return self._server.client

    @property
    def jobs_key(self) -> str:
        """The key of the jobs, for programs that look into it; what is there is Rota's own, and it is changed by the store only."""
        return self._keys.jobs

    @property
    def run_times_key(self) -> str:
        """What the keys of due times begin with: a colon and the executor's alias follow."""
        return self._keys.run_times

    # -- life cycle ----------------------------------------------------------------------------------------------

    def start(self, scheduler: Any, alias: str) -> None:
        """Connect, and take possession of the keys.

        :raises StoreUnavailableError: if the server cannot be reached
        :raises SchemaError: if the keys are somebody else's, or of a version that this code does not know
        :raises ConfigurationError: if a cluster would spread the keys over its nodes
        """
        super().start(scheduler, alias)
        self._server.check_slots(self._keys.names)
        self._begin(*take_possession(self._keys, self._server, self._create))

    def _earlier_jobs(self) -> str | None:
        return earlier_jobs(self._server)

    def reopen(self) -> None:
        """Take possession of the keys that are there now; see the port."""
        identity, _ = take_possession(self._keys, self._server, self._create)
        self._reopened(identity)

    def shutdown(self) -> None:
        """Stop listening, and close the connections unless the client was passed in."""
        super().shutdown()
        self._server.close()

    def before_fork(self) -> None:
        """Import what calls import late: a child would wait for ever for a thread of its parent that does so."""
        from . import beside, chains, orders, search, waiting  # noqa: F401  # import time

    def forked(self) -> None:
        """Forget the parent's thread; redis-py opens connections of its own in a child."""
        self._server.forked()
        super().forked()

    def on_wake(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` when another process has added, changed or freed a job that is due before all others."""
        self._server.listen(self._keys.wake, wake, self._listening)

    def check_job(self, job: Job) -> None:
        """Refuse a job that does not fit.

        :raises TransientJobError: if its callable has no importable name
        :raises SerializationError: if an argument or the trigger cannot be written
        :raises JobValueError: if a text of it cannot be stored
        """
        parts_of(job, self._format)

    # -- APScheduler's eight methods -----------------------------------------------------------------------------

    def lookup_job(self, job_id: str) -> Job | None:
        """Return the job of that id, or None; one that cannot be restored is quarantined and says why."""
        return self._jobs.one(job_id)

    def get_due_jobs(self, now: datetime) -> list[Job]:
        """Return the active jobs that are due, earliest first; nothing is claimed."""
        return ordered(self._jobs.of(self._run("due", str(instant(now)))))

    def get_next_run_time(self) -> datetime | None:
        """Return the earliest next run time, or None."""
        return self._in_zone(RedisJobStore.next_due(self, ()))

    def get_all_jobs(self) -> list[Job]:
        """Return all jobs, sorted by next run time, those without one last; also those that cannot be restored."""
        return self._jobs.all()

    def select_jobs(
        self, state: Collection[str] | None = None, limit: int | None = None, offset: int = 0
    ) -> list[Job]:
        """Return a page of the jobs, those that are stored with some states if they are given."""
        return self._jobs.select(state, limit, offset)

    def add_job(self, job: Job) -> None:
        """Store a job.

        :raises ConflictingIdError: if a job of that id exists
        :raises InvalidJobError, TransientJobError, SerializationError: as :meth:`check_job`
        """
        self._jobs.add([job], None)

    def add_jobs(
        self,
        jobs: Sequence[Job],
        replace: Callable[[Job, Job], None] | None = None,
        connection: Any = None,
    ) -> None:
        """Store jobs in one step; see the port."""
        if connection is not None or not jobs:
            super().add_jobs((), None, connection)
            return
        self._jobs.add(jobs, replace)

    def update_job(self, job: Job) -> None:
        """Replace the job of that id, whatever others have changed.

        :raises JobLookupError: if there is none
        """
        if self._is_moved(job):
            return
        self._jobs.save(job, "")

    def save_job(self, job: Job, version: int) -> bool:
        """Replace the job of that id if it still has ``version``; the job gets its new version.

        :raises JobLookupError: if there is none
        """
        return self._jobs.save(job, str(version))

    def remove_job(self, job_id: str) -> Sequence[Run] | None:
        """Delete a job, also one that cannot be restored; return its waiting runs, which are cancelled. Its records stay.

        :raises JobLookupError: if there is none
        """

        def send(now: int, script: str, *fields: str) -> Any:
            from ...core.queries import RunQuery  # import time
            from ...core.waiting import JOB_REMOVED, cancelled

            waiting = self.find_runs(RunQuery(job_ids=job_id, statuses=WAITING), 1000).items
            for run in waiting:
                cancelled(run, JOB_REMOVED, now)
            return self._chains.send(waiting, now, script, *fields)

        return self._jobs.remove(job_id, self.now, send)

    def remove_all_jobs(self) -> Sequence[Run] | None:
        """Delete all jobs; return their waiting runs, which are cancelled. Their records stay."""
        return self._jobs.remove_all(self.now())

    # -- the ledger ----------------------------------------------------------------------------------------------

    def due(self, now: int, room: Mapping[str, int]) -> list[Job]:
        """Return due jobs, earliest first, at most so many for each executor as it has room for."""
        self._executors = frozenset(room)
        return self._jobs.due(now, room)

    def next_due(self, executors: Iterable[str]) -> int | None:
        """Return the earliest due time among the jobs of these executors."""
        return self._jobs.next_due(executors)

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Carry out decisions in one step; what was changed by others in the meantime is left out.

        A run whose nominal time has a record already is taken out of its decision.

        :raises StoreError: if ``node`` never had a lease
        """
        self._format.sign_runs(decisions)
        try:
            return self._runs.claim(decisions, node, now)
        except Changed as exc:
            raise self._replaced(str(exc)) from None

    def finish(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Record ended runs in one step; return those whose fence is not the store's any more."""
        return self._runs.finish(runs, now)

    def get_runs(
        self,
        job_id: str | None = None,
        status: str | Iterable[str] | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Run]:
        """Return records of the ledger, newest first."""
        return self._history.select(job_id, status, limit + offset)[offset:]

    def recorded(self, since: Mapping[str, int]) -> dict[str, list[Recorded]]:
        """Return the records of some jobs that stand for times from an instant on."""
        found = {job_id: self._history.recorded(job_id, start) for job_id, start in since.items()}
        return {job_id: records for job_id, records in found.items() if records}

    def renew(
        self, node: str, now: int, lease: int, in_hand: Collection[Run] = (), in_doubt: bool = False
    ) -> list[Run] | None:
        """Renew or begin a node's lease; see the port. The server's clock decides."""
        now += self.measure_clock()
        until = now + lease
        lost, change = self._leases.renew(node, now, until, in_hand, in_doubt)
        if change is not None:
            raise self._replaced(change)
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
        """Take over runs that no living node owns; see the port. A run whose job is gone is lost.

        A run whose job cannot be restored here is left to other nodes, or to the time when it can.
        """
        search = Search(
            *(node, room, known, in_doubt, ownerless),
            *(self._format.run_refusal, can_run, self._format.job_for, self.parts_of, may_take),
        )
        return self._runs.rescue(search, now, self._time_from(now), self._jobs.of)

    def leave(self, node: str, runs: Sequence[Run], now: int) -> None:
        """Give back runs that were not started, and end the lease unless other runs of the node are under way."""
        self._runs.give_back(node, runs)
        self._identity.left(node)

    def heal_in_steps(self, now: int) -> Iterator[tuple[list[Job], int]]:
        """Let jobs out of quarantine that can be restored and planned now."""
        return self._jobs.heal(now, self.clock)

    def recount(self, jobs: Sequence[Job]) -> None:
        """Let the counts of jobs say how many of their runs are under way."""
        self._damage.recount(jobs)

    def mend_in_steps(self, now: int) -> Iterator[tuple[list[Job], list[Run]]]:
        """Look for jobs and runs that nobody would find because of what is stored of them; see the port."""
        return self._damage.steps(now, self.clock, self._jobs.of)

    def prune_in_steps(self, now: int) -> Iterator[int]:
        """Delete ended runs that are too old, or too many for their job; and nodes that are long gone."""
        yield from self._history.prune(now, self.clock)
        self._leases.prune(now)

    def living_nodes(self, now: int) -> int:
        """Return how many nodes hold a lease that is not over."""
        return self._leases.living(now)

    def overdue(self, now: int, executors: Iterable[str]) -> dict[str, int]:
        """Return how many due jobs wait for executors other than these."""
        return self._jobs.overdue(now, executors)

    def measure_clock(self) -> int:
        """Ask the server for its time; see the port. The nodes of a cluster have a clock each, which tells nothing."""
        return self._measure(self._server.time)

    # -- looking back and around ---------------------------------------------------------------------------------

    @cached_property
    def _beside(self) -> Beside:
        from .beside import Beside  # import time

        return Beside(self._run, self._jobs.of)

    @cached_property
    def _searches(self) -> Searches:
        from .search import Searches  # import time

        return Searches(self._run, self._jobs, self._history)

    @cached_property
    def _waiting(self) -> Waiting:
        from .waiting import Waiting  # import time

        return Waiting(self._run, self._jobs.of, self._format, self._failures, lambda: self._chains)

    @cached_property
    def _chains(self) -> Chains:
        from .chains import Chains  # import time

        return Chains(self._run, self._jobs.of, self._format, self.starting)

    @cached_property
    def _orders(self) -> OrderBook:
        from .orders import OrderBook  # import time

        return OrderBook(self._run)

    @property
    def _place(self) -> str:
        return self._identity.value

    def _jobs_from(self, query: JobQuery, after: tuple[Any, ...] | None, count: int) -> Part[Job]:
        return self._searches.jobs_from(query, after, count)

    def _runs_from(self, query: RunQuery, after: tuple[Any, ...] | None, count: int) -> Part[Run]:
        return self._searches.runs_from(query, after, count)

    def count_jobs(self, query: JobQuery) -> Count:
        """Return how many jobs a query wants; see the port."""
        count = self._searches.job_count(query, self.clock)
        return super().count_jobs(query) if count is None else count

    def count_runs(self, query: RunQuery) -> Count:
        """Return how many records a query wants; see the port."""
        count = self._searches.run_count(query)
        return super().count_runs(query) if count is None else count

    def run_counts(self, since: int, until: int, query: RunQuery | None = None) -> HourCounts:
        """Return how many records there are by hour and status; see the port."""
        if query is not None:
            return super().run_counts(since, until, query)
        return self._beside.run_counts(since, until, self.now())

    def get_run(self, job_id: str, nominal: int) -> Run | None:
        """Return the record of a nominal time with its parts, None if there is none."""
        return self._searches.run(job_id, nominal)

    def last_runs(
        self, ids: Collection[str], n: int = 1, statuses: Collection[str] | None = None
    ) -> dict[str, list[Run]]:
        """Return the newest records of some jobs; see the port."""
        return self._searches.last_runs(ids, n, statuses)

    def durations(self, job_id: str) -> Durations | None:
        """Return how long the runs of a job took that have succeeded; see the port."""
        return self._beside.durations(job_id)

    def write_parts(self, parts: Sequence[RunParts], owner: str | None = None) -> None:
        """Keep texts beside the records of some runs, in one step; see the port."""
        self._beside.write_parts(parts, owner)

    def parts_of(self, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], dict[str, str]]:
        """Return what is kept beside the records of some runs."""
        return self._beside.parts_of(keys)

    def note_change(self, job_id: str, change: Change) -> None:
        """Keep what an edit has changed of a job."""
        self._beside.note_change(job_id, change)

    def changes(self, job_id: str) -> list[Change]:
        """Return the last edits of a job, newest first."""
        return self._beside.changes(job_id)

    def describe(self, node: str, about: Mapping[str, Any], now: int) -> None:
        """Keep what a node says of itself beside its lease."""
        self._beside.describe(node, about)

    def nodes(self, now: int) -> list[Node]:
        """Return the nodes that hold a lease, or held one within the last day, by their ids."""
        return self._beside.nodes(now)

    # -- what is asked of runs and nodes -------------------------------------------------------------------------

    def open_runs(
        self, runs: Sequence[Run], now: int, cuts: Sequence[Cut] = (), version: int | None = None
    ) -> list[Run]:
        """Make runs wait that are asked for: new ones, and such as have ended; see the port."""
        return self._waiting.open(runs, now, cuts, version)

    def give_back(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Make claimed runs wait, for any node; return those that were refused (R5)."""
        return self._waiting.give_back(runs, now)

    def take_waiting(
        self,
        node: str,
        now: int,
        room: Mapping[str, int] | None = None,
        may_take: MayTake | None = None,
    ) -> list[Run]:
        """Take waiting runs whose time has come, earliest first; see the port."""
        return self._waiting.take(node, now, room, may_take)

    def next_waiting(self) -> int | None:
        """Return when somebody has to look at waiting runs next; see the port."""
        return self._waiting.next()

    def cancel_run(
        self, job_id: str, nominal: int, reason: str, now: int, only_waiting: bool = False
    ) -> Run | None:
        """Cancel a run: one that waits ends at once, of one that is under way its node is told."""
        return self._waiting.cancel(job_id, nominal, reason, now, only_waiting)

    def children(self, parents: Collection[str]) -> Sequence[Job]:
        """Return the jobs that the ends of some jobs start, as they are stored."""
        return self._chains.children(parents)

    def parents(self) -> Collection[str]:
        """Return the ids of the jobs that start others, and of some that did."""
        return self._chains.parents()

    def orders(self, node: str, now: int) -> Orders:
        """Return what others ask of a node."""
        orders = self._orders.of(node, now)
        if orders.next_waiting is not None:  # the job of the earliest may be paused
            orders.next_waiting = self._waiting.next()
        return orders

    @property
    def _asked(self) -> OrderBook:
        self._check_started()
        return self._orders

    # -- helpers -------------------------------------------------------------------------------------------------

    def _run(self, script: str, *fields: str, beside: Sequence[str] = ()) -> Any:
        """Carry out a script with these fields; its answer is a text, a number, or a list of either."""
        self._check_started()
        try:
            return self._run_once(script, *fields, beside=beside)
        except StoreError as exc:
            if "WRONGTYPE" not in str(exc) or not self._set_aside():
                raise
            return self._run_once(script, *fields, beside=beside)

    def _run_once(self, script: str, *fields: str, beside: Sequence[str] = ()) -> Any:
        return self._keys.run(self._server, script, fields, beside)

    def _set_aside(self) -> bool:
        """Put keys aside that somebody has overwritten by values of another kind; return whether there are some."""
        moved = list(self._damage.set_aside(self._run_once, self._executors))
        for key, name in moved:
            self._log.error(
                "The key %s on %s was overwritten by a value of another kind, which is kept as %s. What it held is lost, or "
                "made anew from the other keys",
                key,
                self._server.address,
                name,
            )
        return bool(moved)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} (server={self._server.address}, jobs_key={self._keys.jobs!r})>"


only_read(RedisJobStore, jobs_key="jobs_key=", run_times_key="run_times_key=")
