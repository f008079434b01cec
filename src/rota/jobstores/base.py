"""The port of all job stores: what a store must do, APScheduler's eight methods and the ledger on top of them.

A store keeps what it is told; it decides nothing. Rota's own stores implement the ledger natively; what a store of the eight
methods does instead is in :mod:`rota.jobstores.eight_methods`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import get_ident

from ..clock import SYSTEM_CLOCK, moment
from ..compat.absent import inner_name, without
from ..errors import (
    ConfigurationError,
    ConflictingIdError,
    JobLookupError,
    StoreInUseError,
    TransientJobError,
)
from ..logs import GuardedLogger, LoggerAttribute, given_logger
from .chaining import StartsChains
from .requests import TakesRequests
from .searchable import Searchable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from ..clock import Clock
    from ..core.plan import Decision
    from ..core.recorded import Recorded
    from ..core.run import Run
    from ..core.waiting import MayTake
    from ..job.handle import Job
    from ..trust.allowlist import AllowList
    from .eight_methods import EightMethodsLedger

__all__ = ("BaseJobStore", "ConflictingIdError", "JobLookupError", "TransientJobError")

#: Due jobs, and jobs and records that housekeeping has to look at, are counted up to this number.
COUNTED = 1000
#: Executor aliases for which jobs wait are looked at up to this number.
ALIASES = 100


def __getattr__(name: str) -> Any:
    if name == "logging":  # as in APScheduler; see rota.logs
        import logging  # rare

        return logging
    return inner_name(__name__, name)


class BaseJobStore(Searchable, TakesRequests, StartsChains, ABC):
    """Base class of all job stores.

    A third-party store implements the eight abstract methods, as in APScheduler 3. It then runs on one node, and its ledger is
    kept in memory. The engine calls only the methods of the ledger; the scheduler's interface calls both kinds.
    """

    #: whether jobs and ledger outlive the process, so that nodes must hold leases and runs can be rescued
    durable: bool = False
    #: seconds after which a scheduler looks for changes by other processes, None if no other process can make any
    poll_interval: float | None = None
    #: whether calls may wait for a disk or a network, so that an event loop must not make them
    does_io: bool = True
    #: whether calls wait for sockets; where gevent has patched these, they belong to one thread
    waits_for_sockets: bool = False

    _scheduler: Any = None
    _alias: str | None = None
    #: whether :meth:`now` is another clock than the scheduler's
    has_clock: bool = False
    #: for subclasses; Rota's own stores log by ``_log``
    _logger: Any = LoggerAttribute("rota.jobstores")
    _log: GuardedLogger = GuardedLogger("rota.jobstores")

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "now" in vars(cls):
            cls.has_clock = True

    # -- life cycle ----------------------------------------------------------------------------------------------

    def start(self, scheduler: Any, alias: str) -> None:
        """Make the store ready for use; the scheduler calls it when it starts, or when the store is added to it.

        :param scheduler: the scheduler that starts this store
        :param alias: alias of this store in the scheduler
        """
        self._scheduler = scheduler
        self._alias = alias
        self._logger = f"rota.jobstores.{alias}"

    def shutdown(self) -> None:  # optional to override, as in APScheduler
        """Free what the store opened itself. What the user passed in stays open."""

    def reopen(self) -> None:
        """Open what is at the store's place now, after a :exc:`~rota.errors.StoreReplacedError`.

        :raises StoreUnavailableError, SchemaError: as :meth:`start`
        """
        self.shutdown()
        self.start(self._scheduler, self._alias or "default")

    def log_by(self, logger: GuardedLogger) -> None:
        """Log by the engine's logger, so that no log handler delays the caller of the store."""
        self._log = logger.over(given_logger(self) or self._logger)

    def attach(self, scheduler: Any, alias: str) -> None:
        """Tie this store object to one scheduler.

        :raises StoreInUseError: if it is tied to another scheduler
        """
        holder = getattr(self, "_holder", None)
        if holder is not None and holder is not scheduler:
            raise StoreInUseError(
                f"This {type(self).__name__} belongs to another scheduler already (as {self._alias!r} or its like); "
                f"make a store object for each scheduler. They may share one database"
            )
        self._holder = scheduler
        self.obey_program()

    def obey_program(self) -> None:
        """Call the methods that the program has replaced, in a subclass or on the object, where ours would pass them by.

        :raises ConfigurationError: if one of them cannot be called so
        """
        if type(self).claim is BaseJobStore.claim:
            return  # a store of the eight methods is reached by these alone
        from ..compat.overrides import STORE_METHODS, replaced  # import time

        names = replaced(self, STORE_METHODS)
        if names:
            from ..compat.stores import obey  # rare

            obey(self, names)

    def _is_moved(self, job: Job) -> bool:
        """Whether an update_job() of the program passes on what a claim has stored already."""
        moved = self.__dict__.get("_moved")
        return moved is not None and (get_ident(), job.id) in moved

    def detach(self) -> None:
        """Untie this store object from its scheduler."""
        self._holder = None

    def before_fork(self) -> None:  # most stores leave all that they have to the parent
        """Lock what a forked copy of this store keeps, so that it is whole; called right before a fork, in any thread."""

    def after_fork(self) -> None:
        """Release what :meth:`before_fork` locks; called in the parent process."""

    def forked(self) -> None:
        """Forget what belongs to the parent process; called in a forked child before anything else."""
        self.__dict__.pop("_memory_ledger", None)
        self.detach()

    def restrict(self, allowed: AllowList | None) -> None:
        """Restrict the callables that jobs may name to those that the scheduler allows.

        A durable store of Rota writes and reads jobs by the :class:`~rota.codec.jobs.JobFormat` in its attribute ``_format``,
        which applies the list in both directions. A store of live objects takes every callable.

        :param allowed: the list; None: every callable
        :raises ConfigurationError: if the list would protect nothing
        """
        format = getattr(self, "_format", None)
        if format is not None:
            format.restrict(allowed)

    def check_job(self, job: Job) -> None:  # a store of live objects takes everything
        """Refuse a job that the store cannot keep, before anything is stored.

        :raises TransientJobError: if the callable has no importable name and the store needs one
        :raises SerializationError: if an argument or the trigger cannot be serialized
        """

    # -- APScheduler's eight methods -----------------------------------------------------------------------------

    @abstractmethod
    def lookup_job(self, job_id: str) -> Job | None:
        """Return the job of that id, or None."""

    @abstractmethod
    def get_due_jobs(self, now: datetime) -> list[Job]:
        """Return the jobs whose next run time is not later than ``now``, earliest first."""

    @abstractmethod
    def get_next_run_time(self) -> datetime | None:
        """Return the earliest next run time of all jobs, or None."""

    @abstractmethod
    def get_all_jobs(self) -> list[Job]:
        """Return all jobs, sorted by next run time, those without one last."""

    @abstractmethod
    def add_job(self, job: Job) -> None:
        """Store a new job.

        :raises ConflictingIdError: if a job of that id exists
        """

    @abstractmethod
    def update_job(self, job: Job) -> None:
        """Replace the stored job of the same id.

        :raises JobLookupError: if there is none
        """

    @abstractmethod
    def remove_job(self, job_id: str) -> Sequence[Run] | None:
        """Delete a job. Its waiting runs are cancelled with it ("job removed"), its records stay.

        :return: the runs that were cancelled; None: none
        :raises JobLookupError: if there is none
        """

    @abstractmethod
    def remove_all_jobs(self) -> Sequence[Run] | None:
        """Delete all jobs, as :meth:`remove_job` deletes one.

        :return: the runs that were cancelled; None: none
        """

    def _fix_paused_jobs_sorting(self, jobs: list[Job]) -> None:
        """Move the jobs without a next run time from the front of the list to its end (for subclasses)."""
        for i, job in enumerate(jobs):
            if job.next_run_time is not None:
                if i > 0:
                    paused = jobs[:i]
                    del jobs[:i]
                    jobs.extend(paused)
                break

    # -- the ledger ----------------------------------------------------------------------------------------------

    def add_jobs(
        self,
        jobs: Sequence[Job],
        replace: Callable[[Job, Job], None] | None = None,
        connection: Any = None,
    ) -> None:
        """Store jobs of different ids: all of them or none.

        :param jobs: new jobs
        :param replace: called with a job and the stored one of the same id, which it then replaces; None: that is a conflict
        :param connection: the caller's connection, in whose transaction the jobs are added; stores that share none refuse it
        :raises ConflictingIdError: if ids exist already; it names them
        :raises ConfigurationError: if the store cannot use the connection
        """
        if connection is not None:
            raise ConfigurationError(
                f"{type(self).__name__} cannot add a job inside a transaction of yours; a SQLAlchemyJobStore on the same "
                f"database can. Leave connection= out, and add the job after your commit"
            )
        from .eight_methods import add_all  # import time

        add_all(self, self._ledger.lock, jobs, replace)

    def select_jobs(
        self, state: Collection[str] | None = None, limit: int | None = None, offset: int = 0
    ) -> list[Job]:
        """Return a page of the jobs, in the order of :meth:`get_all_jobs`.

        :param state: only jobs with one of these states; None: all
        :param limit: the largest number of jobs; None: no bound
        :param offset: how many jobs to leave out first
        """
        found = [job for job in self.get_all_jobs() if state is None or job.state in state]
        return found[offset : None if limit is None else offset + limit]

    def save_job(self, job: Job, version: int) -> bool:
        """Replace the stored job if it still has the given version (R1); the saved job gets a higher one.

        :param job: a changed copy of the job
        :param version: the version that the copy was made from
        :return: False if the job was changed in the meantime (nothing is stored then)
        :raises JobLookupError: if the job is gone
        """
        return self._ledger.save(self, job)

    def put_in_place(self, run: Run, record: Run) -> None:
        """Know a run under way by another object from now on; a durable store knows no objects."""
        if not self.durable:
            self._ledger.put_in_place(run, record)

    def some_ids(self, limit: int) -> list[str]:
        """Return at most ``limit`` ids of jobs, in any order; none if a database would have to be asked."""
        return []

    def due(self, now: int, room: Mapping[str, int]) -> list[Job]:
        """Return active jobs that are due, earliest first.

        A job that cannot be restored is among them with ``state`` "quarantined" and the reason in ``error``; the decision for
        it is :func:`rota.core.plan.quarantine`.

        :param now: instant
        :param room: for each executor alias, at most how many jobs to return
        """
        return self._ledger.due(self, now, room)

    def next_due(self, executors: Iterable[str]) -> int | None:
        """Return the earliest due time (instant) among the active jobs of the given executors, or None."""
        return self._ledger.next_due(self)

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Carry out decisions, in one atomic step.

        A decision counts only if its job has the version that was looked at (R1) and fewer runs under way than it may have (R2).
        Its job is moved to its next nominal time, ended or quarantined, with a higher version, and its runs are counted as
        running and recorded (R3). A time that has a record already is taken out of the decision, and the job moves on without
        it (R4). Waiting runs that the decision supersedes end in the same step, and give up their places; if one of them does not
        wait any more, the decision does not count.

        :param decisions: one for each job, at most
        :param node: the id of the node that claims; in a durable store it must hold a lease (see :meth:`renew`), and a node whose
            lease is over gets nothing
        :param now: instant
        :return: the decisions that were carried out
        """
        return self._ledger.claim(self, decisions, node, now, self._log)

    def finish(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Record how runs ended, in one atomic step; a job that waited for them becomes due (R6).

        A run that has failed, and that somebody had asked to stop without its node having heard of it, is cancelled
        (:func:`~rota.core.tries.hear`).

        :param runs: ended runs; those that are cancelled instead are changed
        :param now: instant
        :return: the runs that were refused, because the record names another owner or attempt (R5)
        """
        self._ledger.finish(self, runs, now, self._log)
        return []

    def get_runs(
        self,
        job_id: str | None = None,
        status: str | Iterable[str] | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Run]:
        """Return records of the ledger, newest first.

        :param job_id: only records of this job
        :param status: only records with this status, or one of these
        :param limit: the largest number of records
        :param offset: how many records to leave out first
        """
        return self._ledger.select(job_id, status, limit + offset)[offset:]

    def recorded(self, since: Mapping[str, int]) -> dict[str, list[Recorded]]:
        """Return the records of some jobs that stand for times from an instant on, oldest first; jobs without any are left out.

        Runs under way are among them. Of more than a thousand records of a job the first thousand are returned.

        :param since: the instant for each job id
        """
        recorded = self._ledger.recorded
        return {job_id: found for job_id, start in since.items() if (found := recorded(job_id, start))}

    def is_unrecorded(self, since: int) -> bool:
        """Whether it is certain, without reading the records, that none stands for a time from an instant on."""
        return False

    @property
    def remembers(self) -> int | None:
        """How long records are kept (microseconds): whether older times ran is not known. None: no bound."""
        return None

    def renew(
        self, node: str, now: int, lease: int, in_hand: Collection[Run] = (), in_doubt: bool = False
    ) -> list[Run] | None:
        """Renew a node's lease until ``now + lease``; the first call registers the node.

        A lease that has run out is renewed as well; whether other nodes have taken the node's runs is decided run by run.

        :param node: the id of the node
        :param now: instant
        :param lease: length of the lease (microseconds)
        :param in_hand: the claimed runs that the node has in hand
        :param in_doubt: whether to look at these runs even if the lease has not run out, because the answer to a renewal was lost
        :return: None if the lease had not run out; the runs were not looked at then. Otherwise those of ``in_hand`` that do not
            belong to the node any more; the rest do, and no other node takes them while the lease lasts
        :raises StoreReplacedError: if the store is not the one that was started, or was restored from a backup; nothing is written
            then, and the node calls :meth:`reopen`
        """
        return None

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
        """Take over the claimed runs of nodes whose lease is over, and the runs that a node gave back when it left.

        A node whose lease is over gets nothing, not even its own runs: it must renew the lease first. The runs of a job are taken
        together, and only if living nodes have fewer of its runs under way than its ``max_instances`` (R2). If ``node`` has one
        of them in hand, none are taken: it may be executing a run that another node took over from it.

        :param node: the id of the node that takes the runs
        :param now: instant
        :param room: for each executor alias, of how many jobs at most to take runs; None: any number, for any alias
        :param known: the keys ``(job_id, nominal)`` of all runs that ``node`` has in hand
        :param in_doubt: whether to return also runs that the store holds as claimed by ``node`` and that are not among ``known``,
            because the answer to a claim was lost
        :param ownerless: whether to take only runs that were given back, and none of nodes that seem to be dead
        :param may_take: asked whether the runs of a job may be taken, or ended, at this time, as that of :meth:`take_waiting`
        :return: runs that now belong to ``node``, with ``job`` set, to be executed again (the attempt is raised unless the run
            was given back before it started); and ended runs: lost ones, and cancelled ones that had not started and whose job was
            removed. The runs of one job are linked by ``then``, oldest first, so that they are executed one after another
        """
        return []

    def leave(self, node: str, runs: Sequence[Run], now: int) -> None:  # nothing to do without leases
        """Give back claimed runs that were not started, and end the node's lease.

        If other runs of the node are still under way, the lease is not ended, and runs out by itself.
        """

    def heal(self, now: int) -> list[Job]:
        """Make quarantined jobs that can be restored now active again; return them."""
        return [job for healed, _ in self.heal_in_steps(now) for job in healed]

    def heal_in_steps(self, now: int) -> Iterator[tuple[list[Job], int]]:
        """Do what :meth:`heal` does in steps of a few jobs; the engine claims due jobs between two of them.

        A step takes some 20 milliseconds at most, and is done when it is asked for. The engine calls :meth:`heal` instead if a
        subclass overrides only that.

        :param now: instant
        :return: for each step the healed jobs, and how many are left to be looked at (:data:`COUNTED` at most)
        """
        return iter(())

    def recount(self, jobs: Sequence[Job]) -> None:
        """Compare the counts of running runs of some jobs with the ledger, and correct them in the store and on the jobs.

        Called before a time is skipped because of such a count. The versions of the jobs do not change.

        :param jobs: jobs as :meth:`due` returned them; their ``running`` is set to what the ledger says
        """
        if type(self).claim is BaseJobStore.claim:  # otherwise it has a ledger of its own, and counts there
            self._ledger.recount(jobs)

    def mend(self, now: int) -> tuple[list[Job], list[Run]]:
        """Look for damage that no other step finds; return the jobs and runs of all of :meth:`mend_in_steps`."""
        steps = list(self.mend_in_steps(now))
        return [job for jobs, _ in steps for job in jobs], [run for _, runs in steps for run in runs]

    def mend_in_steps(self, now: int) -> Iterator[tuple[list[Job], list[Run]]]:
        """Do what :meth:`mend` does, in steps like those of :meth:`heal_in_steps`.

        It finds jobs that are never due because their stored data is damaged; runs that are neither under way nor ended, or whose
        keys no node can name, and ends them; and counts of running runs that the ledger contradicts, and corrects them.

        :param now: instant
        :return: for each step the damaged jobs, with ``state`` "quarantined" and the reason in ``error`` (the caller claims
            the decision), and the runs that were ended (status "lost")
        """
        self._ledger.mend(self)
        return iter(())

    def prune(self, now: int) -> None:
        """Delete the records that are beyond the bounds of retention."""
        for _ in self.prune_in_steps(now):
            pass

    def prune_in_steps(self, now: int) -> Iterator[int]:
        """Do what :meth:`prune` does, in steps like those of :meth:`heal_in_steps`.

        :param now: instant
        :return: for each step how many records are left to be deleted, as far as is known (:data:`COUNTED` at most)
        """
        return iter(())  # the ring bounds itself

    def living_nodes(self, now: int) -> int | None:
        """Return how many nodes hold a lease that is not over; None: the store cannot tell.

        :param now: instant
        """
        return None

    def overdue(self, now: int, executors: Iterable[str]) -> dict[str, int]:
        """Return how many due jobs wait for each executor alias that is not among ``executors``.

        :data:`COUNTED` jobs are counted at most, of :data:`ALIASES` aliases at most.

        :param now: instant
        :param executors: aliases of executors that are there
        """
        from .eight_methods import overdue  # import time

        return overdue(self.get_due_jobs(moment(now)), now, executors)

    def on_wake(self, wake: Callable[[], None]) -> None:  # stores without push have nothing to call
        """Take a function to call when another process has changed a job that is due soon."""

    # -- the clock -----------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Return the current instant by the clock that this store's jobs follow: the server's if it has one.

        Jobs are planned, judged late and leased by it. A store without such a clock returns the scheduler's time. No server is
        asked: while it cannot be reached, the last measurement (:meth:`measure_clock`) counts.
        """
        try:
            clock: Clock = self._scheduler.clock
        except AttributeError:
            clock = self.clock
        return clock.now()

    def measure_clock(self) -> int:
        """Measure how far the server's clock is ahead; a scheduler calls it after an outage or a suspension.

        A store also measures when it starts, and whenever it renews a lease.

        :return: by how many microseconds :meth:`now` has moved; 0 if there is no such clock
        """
        return 0

    @property
    def clock_offset(self) -> int | None:
        """By how many microseconds the server's clock is ahead of this node's; None if there is none, or it was not measured."""
        return None

    @property
    def clock(self) -> Clock:
        """The clock of the scheduler that this store belongs to."""
        found: Clock = getattr(self._scheduler, "clock", None) or SYSTEM_CLOCK
        return found

    def _running_of(self, job: Job) -> int:
        """Return how many runs of a job are under way, or keep their places, in a ledger in memory."""
        return self._ledger.running.get(job.id, 0)

    def _take_run(self, job: Job, run: Run, counted: bool) -> None:
        """Have a run that waited be under way in a ledger in memory.

        :param counted: whether it has kept its place among the runs of its job
        """
        ledger = self._ledger
        ledger.under_way[run] = None
        if not counted:
            ledger.running[job.id] = ledger.running.get(job.id, 0) + 1

    def _count_ends(self, runs: Sequence[Run], now: int) -> None:
        """Count how runs have ended in a ledger in memory, and pause their jobs after too many failures in a row."""
        self._ledger.count_ends(self, runs, now, self._log)

    def _is_opened(
        self, job: Job, split: bool
    ) -> None:  # a ledger of eight methods looks at what was claimed last
        """Take note that a time of a job has a record that no claim has written.

        :param split: whether it was taken out of a record
        """

    def _waits_no_more(self, job: Job, run: Run) -> None:  # a store of eight methods has no such job
        """Forget a job whose schedule is over and that was kept for a waiting run, if that was the last one and has ended well."""

    def _has_job(self, job_id: str) -> bool:
        """Whether a store in memory has a job, be its schedule over and its runs under way."""
        return self.lookup_job(job_id) is not None

    def _ended_jobs(self) -> list[Job]:  # a store of eight methods has none
        """Return the jobs of a store in memory whose schedule is over."""
        return []

    def _release_run(self, run: Run) -> None:
        """Have a run give up its place in a ledger in memory; a job that waited for it becomes due (R6)."""
        self._ledger.release_run(self, run)

    @property
    def _ledger(self) -> EightMethodsLedger:
        """The ledger in memory. It is made when it is needed first: third-party stores need not call our ``__init__()``."""
        ledger: EightMethodsLedger | None = self.__dict__.get("_memory_ledger")
        if ledger is None:
            from .eight_methods import EightMethodsLedger  # few stores need it

            ledger = self.__dict__.setdefault("_memory_ledger", EightMethodsLedger())
        return ledger

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


without(
    BaseJobStore,
    *("_get_jobs", "_jobs_index", "_get_job_index", "_reconstitute_jobs", "_ensure_paths", "_ensured_path"),
)
