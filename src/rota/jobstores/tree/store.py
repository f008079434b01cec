"""A job store on a tree of keys with revisions, such as etcd and ZooKeeper keep: what both have in common.

Takes the options and keeps the order of steps; the steps are in the modules beside it, the server is behind the port in ``port``.
"""

from __future__ import annotations

from functools import partial

from ...clock import instant
from ...codec.unrestored import can_run
from ...core.chains import check_place
from ...core.hours import HourCounts, hour_of
from ...core.orphans import Search
from ...core.queries import Count
from ..asked_nodes import AsksNodes
from ..durable import DurableJobStore
from .beside import Beside
from .chains import Chains
from .counts import Counts
from .damage import Damage
from .forms import parts_of
from .history import History
from .jobs import Jobs
from .layout import earlier_jobs, take_possession
from .leases import Leases
from .orders import NodeOrders
from .runs import Runs
from .search import Searching
from .waiting import Waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from ...codec.jobs import JobFormat
    from ...core.changes import Change
    from ...core.details import RunParts
    from ...core.durations import Durations
    from ...core.nodes import Node
    from ...core.openings import Cut
    from ...core.orders import Orders
    from ...core.plan import Decision
    from ...core.queries import JobQuery, Part, RunQuery
    from ...core.recorded import Recorded
    from ...core.run import Run
    from ...core.waiting import MayTake
    from ...job.handle import Job
    from .forms import Doc
    from .port import Tree


class TreeJobStore(AsksNodes, DurableJobStore):
    """What EtcdJobStore and ZooKeeperJobStore share.

    :param server: the server
    :param path: where the store's keys are
    :param format: how the parts of jobs are written
    :param keep_runs: how many ended runs of each job the ledger keeps; None for no bound
    :param keep_days: how many days ended runs are kept; None for no bound
    :param create: False: what is not there yet is not made, and an older layout is not migrated; ``start()`` refuses it
    :raises ConfigurationError: (a ``ValueError``) if a bound is wrong
    """

    has_clock = True
    starts_chains = True
    longest_log = 8 * 1024
    writes_beats_rarely = True
    looked_at_together = 200
    waits_for_sockets = True

    def __init__(
        self,
        server: Tree,
        path: str,
        format: JobFormat,
        keep_runs: int | None,
        keep_days: float | None,
        create: bool = True,
    ) -> None:
        super().__init__(format, keep_runs, keep_days, create)
        self.path = path
        self._server = server
        self._jobs = Jobs(server, format)
        self._counts = Counts(server)
        self._history = History(server, self._bounds, self._counts)
        self._leases = Leases(server, self._identity)
        self._chains = Chains(server, self._jobs, self._history, format, self._job_of, self._is_soon)
        self._runs = Runs(
            server, self._jobs, self._history, self._bounds, format, self._chains, self.starting
        )
        self._damage = Damage(server, self._jobs, self._chains)
        self._search = Searching(server, self._jobs)
        self._beside = Beside(server, self._jobs, self._leases)
        self._waiting = Waiting(server, self._jobs, self._history, format, self._chains)
        self._orders = NodeOrders(server)
        #: the documents of what was due lately
        self._seen: dict[str, Doc] = {}
        self._wake: Callable[[], None] | None = None

    # -- life cycle ----------------------------------------------------------------------------------------------

    def start(self, scheduler: Any, alias: str) -> None:
        """Connect, and take possession of the path.

        :raises StoreUnavailableError: if the server cannot be reached
        :raises SchemaError: if the path holds something else, or a layout of a version that this code does not know
        """
        super().start(scheduler, alias)
        self._server.open()
        try:
            identity, is_new = take_possession(self._server, self.path, self._create)
        except BaseException:
            self._server.close()
            raise
        self._seen = {}
        self._begin(identity, is_new, self._server.clock_unit)

    def _earlier_jobs(self) -> str | None:
        return earlier_jobs(self._server, self.path)

    def reopen(self) -> None:
        """Take possession of the path as it is now; see the port."""
        self._server.forget()
        self._seen = {}
        identity, _ = take_possession(self._server, self.path, self._create, again=True)
        self._reopened(identity)

    def shutdown(self) -> None:
        """Stop listening, and close the connection if it is the store's own."""
        super().shutdown()
        self._wake = None
        self._server.close()

    def forked(self) -> None:
        """Leave the connection to the parent process."""
        self._wake = None
        self._server.forked()
        super().forked()

    def on_wake(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` when another process has added, changed or freed a job that is due soon."""
        self._wake = wake
        self._server.listen(wake, self._listening)

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
        doc = self._jobs.one(job_id)
        return None if doc is None else self._job_of(doc)

    def get_due_jobs(self, now: datetime) -> list[Job]:
        """Return the active jobs that are due, earliest first; nothing is claimed."""
        self._check_started()
        return self._due(instant(now), dict.fromkeys(self._jobs.executors()))

    def get_next_run_time(self) -> datetime | None:
        """Return the earliest next run time, or None."""
        self._check_started()
        return self._in_zone(TreeJobStore.next_due(self, self._jobs.executors()))

    def get_all_jobs(self) -> list[Job]:
        """Return all jobs, sorted by next run time, those without one last; also those that cannot be restored."""
        self._check_started()
        return list(map(self._job_of, self._jobs.select(None, None, 0, self._log)))

    def select_jobs(
        self, state: Collection[str] | None = None, limit: int | None = None, offset: int = 0
    ) -> list[Job]:
        """Return a page of the jobs, those that are stored with some states if they are given."""
        self._check_started()
        return list(map(self._job_of, self._jobs.select(state, limit, offset, self._log)))

    def add_job(self, job: Job) -> None:
        """Store a job.

        :raises ConflictingIdError: if a job of that id exists
        :raises InvalidJobError, TransientJobError, SerializationError: as :meth:`check_job`
        """
        TreeJobStore.add_jobs(self, [job])

    def add_jobs(
        self,
        jobs: Sequence[Job],
        replace: Callable[[Job, Job], None] | None = None,
        connection: Any = None,
    ) -> None:
        """Store jobs, as many in one transaction as the server takes; see the port.

        If others come in between with one of the ids, what was stored already is taken away again.
        """
        self._check_started()
        if connection is not None or replace is not None:
            super().add_jobs(jobs, replace, connection)
            return
        self._jobs.add(jobs, self.now(), any(self._is_soon(job.next_due) for job in jobs))

    def update_job(self, job: Job) -> None:
        """Replace the job of that id, whatever others have changed.

        :raises JobLookupError: if there is none
        """
        if self._is_moved(job):
            return
        self._check_started()
        self._jobs.save(job, None, self.now(), self._is_soon)

    def save_job(self, job: Job, version: int) -> bool:
        """Replace the job of that id if it still has ``version``; the job gets its new version.

        :raises JobLookupError: if there is none
        """
        self._check_started()
        return self._jobs.save(job, version, self.now(), self._is_soon)

    def remove_job(self, job_id: str) -> Sequence[Run] | None:
        """Delete a job, also one that cannot be restored; return its waiting runs, which are cancelled. Its records stay.

        :raises JobLookupError: if there is none
        """
        self._check_started()
        return self._jobs.remove(job_id, self.now(), self._chains.has_children, self._chains.left_by)

    def remove_all_jobs(self) -> Sequence[Run] | None:
        """Delete all jobs; return their waiting runs, which are cancelled. Their records stay."""
        self._check_started()
        return self._jobs.remove_all(self.now())

    # -- the ledger ----------------------------------------------------------------------------------------------

    def due(self, now: int, room: Mapping[str, int]) -> list[Job]:
        """Return due jobs, earliest first, at most so many for each executor as it has room for."""
        self._check_started()
        return self._due(now, {alias: limit for alias, limit in room.items() if limit > 0})

    def _due(self, now: int, limits: Mapping[str, int | None]) -> list[Job]:
        docs = self._jobs.due(now, limits, self._log)
        self._seen = {doc.id: doc for doc in docs}
        return list(map(self._job_of, docs))

    def next_due(self, executors: Iterable[str]) -> int | None:
        """Return the earliest due time among the jobs of these executors."""
        self._check_started()
        return self._jobs.next_due(executors, self._log)

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Carry out decisions, each in one step, many in one transaction; what others changed meanwhile is left out.

        A run whose nominal time has a record already is taken out of its decision.

        :raises StoreError: if ``node`` never had a lease
        """
        self._check_started()
        if not self._leases.is_alive(node, now):
            return []
        self._format.sign_runs(decisions)
        return self._runs.claim(decisions, node, now, self._seen)

    def finish(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Record ended runs; return those whose fence is not the store's any more.

        Each record is written in one step with its job's counter; those of many jobs share a transaction.
        """
        self._check_started()
        refused, freed = self._runs.finish(runs, now, self._is_soon)
        if freed and self._wake is not None:
            self._wake()
        return refused

    def get_runs(
        self,
        job_id: str | None = None,
        status: str | Iterable[str] | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Run]:
        """Return records of the ledger, newest first.

        Without a job id the names of all records are read.
        """
        self._check_started()
        return self._labelled(self._history.select(job_id, status, limit + offset, self._log)[offset:])

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
        return self._runs.keep(in_hand)

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
        alive = partial(self._leases.alive, now, self._time_from(now))
        end_damaged = partial(self._damage.end_damaged, now=now, logger=self._log)
        return self._runs.rescue(search, now, alive, self._job_of, end_damaged)

    def leave(self, node: str, runs: Sequence[Run], now: int) -> None:
        """Give back runs that were not started, and end the lease unless other runs of the node are under way."""
        self._check_started()
        self._runs.give_back(runs)
        self._leases.end(node, self._runs.is_busy(node))

    def heal_in_steps(self, now: int) -> Iterator[tuple[list[Job], int]]:
        """Let jobs out of quarantine that can be restored and planned now."""
        self._check_started()
        return self._jobs.heal(now, self._job_of, self.clock)

    def recount(self, jobs: Sequence[Job]) -> None:
        """Let the counts of jobs say how many of their runs are under way."""
        self._check_started()
        self._damage.recount(jobs)

    def mend_in_steps(self, now: int) -> Iterator[tuple[list[Job], list[Run]]]:
        """Look for jobs and runs that nobody would find because of what is stored of them; see the port."""
        self._check_started()
        for hidden, ended in self._damage.steps(now, self.clock, self._log):
            self._seen |= {doc.id: doc for doc in hidden}
            jobs = [(doc, self._job_of(doc)) for doc in hidden]
            yield [job for doc, job in jobs if doc.unreadable is not None or check_place(job)], ended

    def prune_in_steps(self, now: int) -> Iterator[int]:
        """Delete ended runs that are too old, or too many for their job; and nodes that are long gone."""
        self._check_started()
        for _ in self._counts.count(now):
            yield 0
        is_full = self._bounds.wants_all(now)
        yield from self._history.prune(now, self.clock)
        if is_full:
            for _ in self._beside.forget(now):
                yield 0
        self._leases.prune(now)

    def living_nodes(self, now: int) -> int:
        """Return how many nodes hold a lease that is not over."""
        self._check_started()
        return self._leases.living(now)

    def overdue(self, now: int, executors: Iterable[str]) -> dict[str, int]:
        """Return how many due jobs wait for executors other than these."""
        self._check_started()
        return self._jobs.overdue(now, executors)

    def measure_clock(self) -> int:
        """Ask the server for its time; see the port."""
        return self._measure(self._server.time)

    # -- looking back and around ---------------------------------------------------------------------------------

    @property
    def _place(self) -> str:
        self._check_started()
        return f"{type(self).__name__}@{self._identity.value}"

    def _jobs_from(self, query: JobQuery, after: tuple[Any, ...] | None, count: int) -> Part[Job]:
        self._check_started()
        return self._search.jobs(query, after, count, self._job_of)

    def _runs_from(self, query: RunQuery, after: tuple[Any, ...] | None, count: int) -> Part[Run]:
        self._check_started()
        return self._search.runs(query, after, count)

    def count_runs(self, query: RunQuery) -> Count:
        """Return how many records a query wants; of more jobs than are searched that is the least number."""
        count = super().count_runs(query)
        return Count(count, False) if count.exact and not self._search.covers(query) else count

    def run_counts(self, since: int, until: int, query: RunQuery | None = None) -> HourCounts:
        """Return how many records there are by hour and status; see the port."""
        self._check_started()
        if query is not None:
            return super().run_counts(since, until, query)
        first, end = hour_of(since), hour_of(until)
        hours, counted = self._counts.hours(first, end)
        found = HourCounts(hours)
        if counted >= end:
            return found
        rest = super().run_counts(max(first, counted), end)
        found.searched_back_to = rest.searched_back_to
        for hour, counts in rest.items():
            known = found.setdefault(hour, {})
            for status, count in counts.items():
                known[status] = known.get(status, 0) + count
        return found

    def get_run(self, job_id: str, nominal: int) -> Run | None:
        """Return the record of a nominal time with its parts, None if there is none."""
        self._check_started()
        run = self._search.one(job_id, nominal)
        if run is not None:
            self._labelled([run])
            run.parts = self._beside.parts_of([(job_id, nominal)]).get((job_id, nominal), {})
        return run

    def last_runs(
        self, ids: Collection[str], n: int = 1, statuses: Collection[str] | None = None
    ) -> dict[str, list[Run]]:
        """Return the newest records of some jobs; see the port."""
        self._check_started()
        found = self._search.last(ids, n, statuses)
        self._labelled([run for runs in found.values() for run in runs])
        return found

    def durations(self, job_id: str) -> Durations | None:
        """Return how long the runs of a job took that have succeeded; see the port."""
        self._check_started()
        return self._counts.durations(job_id)

    def write_parts(self, parts: Sequence[RunParts], owner: str | None = None) -> None:
        """Keep texts beside the records of some runs; see the port."""
        self._check_started()
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
        """Return the last twenty edits of a job, newest first; see the port."""
        self._check_started()
        return self._beside.changes(job_id)

    def describe(self, node: str, about: Mapping[str, Any], now: int) -> None:
        """Keep what a node says of itself beside its lease."""
        self._check_started()
        self._beside.describe(node, about, now)

    def nodes(self, now: int) -> list[Node]:
        """Return the nodes that hold a lease, or held one within the last day, by their ids."""
        self._check_started()
        return self._beside.nodes(now)

    # -- what is asked for ---------------------------------------------------------------------------------------

    def open_runs(
        self, runs: Sequence[Run], now: int, cuts: Sequence[Cut] = (), version: int | None = None
    ) -> list[Run]:
        """Make runs wait that are asked for; see the port."""
        self._check_started()
        return self._waiting.open(runs, now, self._is_soon, cuts, version)

    def give_back(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Make claimed runs wait, for any node; return the refused ones; see the port."""
        self._check_started()
        refused, freed = self._waiting.give_back(runs, now, self._is_soon)
        if freed and self._wake is not None:
            self._wake()
        return refused

    def take_waiting(
        self,
        node: str,
        now: int,
        room: Mapping[str, int] | None = None,
        may_take: MayTake | None = None,
    ) -> list[Run]:
        """Take waiting runs whose time has come, earliest first; see the port.

        :raises StoreError: if ``node`` never had a lease
        """
        self._check_started()
        if not self._leases.is_alive(node, now):
            return []
        return self._waiting.take(node, now, room, self._job_of, may_take)

    def next_waiting(self) -> int | None:
        """Return the earliest time at which a waiting run may start, None if none waits."""
        self._check_started()
        return self._waiting.next(self._job_of)

    def cancel_run(
        self, job_id: str, nominal: int, reason: str, now: int, only_waiting: bool = False
    ) -> Run | None:
        """Cancel a run, or have its node told; see the port."""
        self._check_started()
        run = self._waiting.cancel(job_id, nominal, reason, now, self._is_soon, only_waiting)
        if run is not None:
            self._labelled([run])
        return run

    def children(self, parents: Collection[str]) -> Sequence[Job]:
        """Return the jobs that the ends of some jobs start, as they are stored."""
        self._check_started()
        return self._chains.children(parents)

    def parents(self) -> Collection[str]:
        """Return the ids of the jobs that start others."""
        self._check_started()
        return self._chains.parents()

    def orders(self, node: str, now: int) -> Orders:
        """Return what others ask of a node; see the port."""
        self._check_started()
        return self._orders.of(node, now, self._waiting.next(self._job_of))

    @property
    def _asked(self) -> NodeOrders:
        self._check_started()
        return self._orders

    # -- helpers -------------------------------------------------------------------------------------------------

    def _job_of(self, doc: Doc, healing: bool = False) -> Job:
        return doc.job(self._format, self._scheduler, self._alias, healing)

    def _labelled(self, found: list[Run]) -> list[Run]:
        """Give records the name and the callable that they lack, where their job is there; return them."""
        self._search.label(found)
        return found

    def __repr__(self) -> str:
        return f"<{type(self).__name__} (server={self._server.address}, path={self.path!r})>"
