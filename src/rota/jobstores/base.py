"""The port of all job stores: APScheduler's eight methods, and the ledger on top of them.

The ledger methods have defaults that work with any store that implements the eight methods (one node, the records in memory);
Rota's own stores implement them natively. A store keeps what it is told; it decides nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import get_ident

from ..clock import HELD, SYSTEM_CLOCK, instant, moment
from ..compat.absent import without
from ..core.states import ACTIVE, ENDED, QUARANTINED, set_job_state
from ..core.transitions import may_claim
from ..errors import (
    ConfigurationError,
    ConflictingIdError,
    JobLookupError,
    StoreInUseError,
    TransientJobError,
)
from ..interrupts import is_interrupt
from ..logs import GuardedLogger, LoggerAttribute, given_logger
from .memory_ledger import MemoryLedger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from ..clock import Clock
    from ..core.plan import Decision
    from ..core.recorded import Recorded
    from ..core.run import Run
    from ..job.handle import Job
    from ..trust.allowlist import AllowList
    from .offset import Offset

__all__ = ("BaseJobStore", "ConflictingIdError", "JobLookupError", "TransientJobError")

#: Of more due jobs, or more that housekeeping has to look at, nobody needs to know how many there are: counting stops here …
COUNTED = 1000
#: … and after so many executor aliases.
ALIASES = 100


def __getattr__(name: str) -> Any:
    if name == "logging":  # as in APScheduler; see rota.logs
        import logging

        return logging
    from ..compat.names import of_module  # rare

    return of_module(__name__, name)


class BaseJobStore(ABC):
    """Base class of all job stores.

    A third-party store implements the eight abstract methods, as in APScheduler 3. It then runs on one node; its ledger is kept
    in memory. The engine calls only the methods of the second half ("the ledger"), the scheduler's interface calls both.
    """

    #: whether jobs and ledger outlive the process, so that nodes must hold leases and runs can be rescued
    durable: bool = False
    #: seconds after which a scheduler looks for what other processes changed, None if nobody else can
    poll_interval: float | None = None
    #: whether calls may wait for a disk or a network, so that an event loop must not make them
    does_io: bool = True
    #: whether its calls wait for sockets; where gevent has patched these, they belong to one thread
    waits_for_sockets: bool = False

    _scheduler: Any = None
    _alias: str | None = None
    #: what the clock of the store's server shows; None: it has none
    _offset: Offset | None = None
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
        """Make the store ready for use; the scheduler calls it when it starts or when the store is added to it.

        :param scheduler: the scheduler that starts this store
        :param alias: alias of this store in the scheduler
        """
        self._scheduler = scheduler
        self._alias = alias
        self._logger = f"rota.jobstores.{alias}"

    def shutdown(self) -> None:  # noqa: B027  # optional to override, as in APScheduler
        """Free what the store opened itself. What the user passed in stays open."""

    def reopen(self) -> None:
        """Open the store anew after a :exc:`~rota.errors.StoreReplacedError`, whatever is at its place now.

        :raises StoreUnavailableError, SchemaError: as :meth:`start`
        """
        self.shutdown()
        self.start(self._scheduler, self._alias or "default")

    def log_by(self, logger: GuardedLogger) -> None:
        """Write the store's lines as the engine writes its own, so that no handler holds up who calls the store."""
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
        """Have the methods that the program has replaced, in a subclass or on the object, called in place of ours beside them.

        :raises ConfigurationError: if one of them could not be obeyed
        """
        if type(self).claim is BaseJobStore.claim:
            return  # a store of the eight methods is asked by them anyway
        from ..compat.overrides import STORE_METHODS, replaced  # import time

        names = replaced(self, STORE_METHODS)
        if names:
            from ..compat.stores import obey  # rare

            obey(self, names)

    def _is_moved(self, job: Job) -> bool:
        """Whether an update_job() of the program's is told of what a claim has stored already."""
        moved = self.__dict__.get("_moved")
        return moved is not None and (get_ident(), job.id) in moved

    def detach(self) -> None:
        """Untie this store object from its scheduler."""
        self._holder = None

    def before_fork(self) -> None:  # noqa: B027  # most stores leave all that they have to the parent
        """Hold what a forked copy of this store keeps, so that it is whole; called right before a fork, in any thread."""

    def after_fork(self) -> None:  # noqa: B027
        """Let go what :meth:`before_fork` holds; called in the parent process."""

    def forked(self) -> None:
        """Forget what belongs to the parent process; called in a forked child before anything else."""
        self.__dict__.pop("_memory_ledger", None)
        self.detach()

    def restrict(self, allowed: AllowList | None) -> None:
        """Take the callables that jobs may name, from the scheduler that the store is added to; None: all.

        A durable store of Rota writes and reads jobs by the :class:`~rota.codec.jobs.JobFormat` in its attribute ``_format``,
        which keeps to the list in both directions. A store of live objects takes every callable.

        :raises ConfigurationError: if the list would protect nothing
        """
        format = getattr(self, "_format", None)
        if format is not None:
            format.restrict(allowed)

    def check_job(self, job: Job) -> None:  # noqa: B027  # a store of live objects takes everything
        """Refuse a job that the store could not keep, before anything is stored.

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
    def remove_job(self, job_id: str) -> None:
        """Delete a job.

        :raises JobLookupError: if there is none
        """

    @abstractmethod
    def remove_all_jobs(self) -> None:
        """Delete all jobs."""

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
        with self._ledger.lock:
            for job in jobs:
                self.check_job(job)
            existing = {job.id: self.lookup_job(job.id) for job in jobs}
            conflicts = [job_id for job_id, stored in existing.items() if stored is not None]
            if conflicts and replace is None:
                raise ConflictingIdError(*conflicts)
            before = {job_id: stored.copy() for job_id, stored in existing.items() if stored is not None}
            done: list[Job] = []
            try:
                for job in jobs:
                    stored = existing[job.id]
                    if stored is None or replace is None:
                        self.add_job(job)
                    else:
                        replace(job, stored)
                        self.update_job(job)
                    done.append(job)
            except BaseException:
                for job in done:
                    if job.id in before:
                        self.update_job(before[job.id])
                    else:
                        self.remove_job(job.id)
                raise

    def select_jobs(
        self, state: Collection[str] | None = None, limit: int | None = None, offset: int = 0
    ) -> list[Job]:
        """Return a page of the jobs, in the order of :meth:`get_all_jobs`.

        :param state: only jobs with one of these states; None: all
        :param limit: at most so many; None: all
        :param offset: leave out so many first
        """
        return page(self.get_all_jobs(), state, limit, offset)

    def save_job(self, job: Job, version: int) -> bool:
        """Replace the stored job if it still has the given version; the saved job gets a higher one.

        :param job: a changed copy of the job
        :param version: the version that the copy was made from
        :return: False if the job was changed in the meantime (nothing is stored then)
        :raises JobLookupError: if the job is gone
        """
        with self._ledger.lock:
            self.update_job(job)
        return True

    def some_ids(self, limit: int) -> list[str]:
        """Return at most so many ids of jobs, in any order; none where that would take a look at a database."""
        return []

    def due(self, now: int, room: Mapping[str, int]) -> list[Job]:
        """Return active jobs that are due, earliest first.

        A job that cannot be restored is among them with ``state`` "quarantined" and the reason in ``error``; the decision for
        it is :func:`rota.core.plan.quarantine`.

        :param now: instant
        :param room: for each executor alias, at most how many jobs to return
        """
        with self._ledger.lock:
            jobs = []
            left = dict(room)
            for job in self.get_due_jobs(moment(now)):
                if left.get(job.executor, 0) > 0 and job.id not in self._ledger.held:
                    left[job.executor] -= 1
                    job.running = self._ledger.running.get(job.id, 0)
                    jobs.append(job)
            return jobs

    def next_due(self, executors: Iterable[str]) -> int | None:
        """Return the earliest due time (instant) among the active jobs of the given executors, or None."""
        with self._ledger.lock:
            following = self.get_next_run_time()
        return None if following is None else instant(following)

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Make decisions true in one atomic step: for each job whose version is unchanged, move it to its next nominal
        time (or end or quarantine it), raise its version, count its runs as running, and write the records. What has a record
        already (R4) is taken out of its decision, and the job moves on without it.

        :param decisions: one for each job, at most
        :param node: the id of the node that claims; in a durable store it must hold a lease (see :meth:`renew`), a node whose
            lease is over gets nothing
        :param now: instant
        :return: the decisions that were carried out; what another node changed first is left out
        """
        won = []
        error: BaseException | None = None
        with self._ledger.lock:
            until = self._ledger.claimed_until
            for decision in decisions:
                job = decision.job
                self._ledger.leave_out_if_late(decision, until)
                job.running = self._ledger.running.get(job.id, 0)
                if decision.runs and not may_claim(job.running, job.policy.max_instances):  # R2
                    continue
                before = job.copy()
                job.set_next(decision.next_nominal, decision.next_due)
                job.error = decision.error
                set_job_state(job, decision.state)
                try:
                    if decision.state == ENDED:
                        self.remove_job(job.id)
                    else:
                        self._update_legacy(job, decision)
                except JobLookupError:
                    continue
                except BaseException as exc:
                    job.assign(before)
                    if is_interrupt(exc):
                        raise
                    error = exc
                    self._log.warning("Error moving job %s to its next run; it stays due: %r", job.id, exc)
                    continue
                self._ledger.claim(decision, node, now)
                won.append(decision)
        if error is not None and not won:  # else what was claimed has to be executed
            raise error
        return won

    def finish(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Write how runs ended, in one atomic step; a job that waited for them becomes due.

        :param runs: ended runs
        :param now: instant
        :return: the runs that were refused: their fence (node, attempt) is not the store's any more
        """
        with self._ledger.lock:
            for job_id in self._ledger.finish(runs):
                self._let_go(job_id)
        return []

    def _let_go(self, job_id: str) -> None:
        """Let a job be due that waited for its runs."""
        nominal = self._ledger.held.pop(job_id)
        job = self.lookup_job(job_id)
        if job is not None:
            job.set_next(nominal)
            self.update_job(job)

    def get_runs(
        self,
        job_id: str | None = None,
        status: str | Iterable[str] | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Run]:
        """Return records of the ledger, newest first.

        :param job_id: only of this job
        :param status: only with this status, or one of these
        :param limit: at most so many
        :param offset: leave out so many first
        """
        return self._ledger.select(job_id, status, limit + offset)[offset:]

    def recorded(self, since: Mapping[str, int]) -> dict[str, list[Recorded]]:
        """Return the records of some jobs that stand for times from an instant on, oldest first; jobs without any are left out.

        Runs under way are among them; of very many the first thousand.

        :param since: for each job id the instant
        """
        recorded = self._ledger.recorded
        return {job_id: found for job_id, start in since.items() if (found := recorded(job_id, start))}

    def is_unrecorded(self, since: int) -> bool:
        """Whether it is certain, without a look at the records, that none stands for a time from an instant on."""
        return False

    @property
    def remembers(self) -> int | None:
        """Microseconds for which records are kept; nobody knows whether older times ran. None: no bound."""
        return None

    def renew(
        self, node: str, now: int, lease: int, in_hand: Collection[Run] = (), in_doubt: bool = False
    ) -> list[Run] | None:
        """Renew a node's lease until ``now + lease``; the first call registers the node.

        A lease that has run out is renewed as well. Whether another node has touched anything meanwhile is decided run by run.

        :param in_hand: the claimed runs that the node has in hand
        :param in_doubt: whether to look at these runs even if the lease has not run out: the answer to a renewal is missing
        :return: None if the lease had not run out; nothing was looked at then. Else those of ``in_hand`` that are not the node's
            any more. The others are, and nobody takes them as long as the lease lasts
        :raises StoreReplacedError: if the store is not the one that was started, or was put back from a backup; nothing is written
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
    ) -> list[Run]:
        """Take over the claimed runs of nodes whose lease is over, and the runs that a node gave back when it left.

        A node whose lease is over gets nothing, not even what is its own: it must renew it first. Runs of a job are only taken
        while those that living nodes have under way are fewer than its ``max_instances``, and then all of them. If ``node`` has one
        of them in hand, none are taken: it may be executing what another node took over from it.

        :param room: for each executor alias, of at most how many jobs to take others' runs; None means all of any alias
        :param known: the keys ``(job_id, nominal)`` of all runs that ``node`` has in hand
        :param in_doubt: whether to return also what the store holds as claimed by ``node`` and is not among ``known``: the answer
            to a claim was lost on its way
        :param ownerless: whether to take over only what was given back, and nothing of nodes that seem to be dead
        :return: runs that now belong to ``node`` with ``job`` set, to be executed again (the attempt is raised unless the run
            was given back unstarted), and ended runs: lost ones of jobs that are not to be executed again, and cancelled ones that
            nobody has begun, of jobs that were removed. The runs of
            one job are linked by ``then``, oldest first, so that they are executed one after another
        """
        return []

    def leave(self, node: str, runs: Sequence[Run], now: int) -> None:  # noqa: B027  # nothing to do without leases
        """Give back claimed runs that were not started, and end the node's lease.

        If other runs of the node are still under way, the lease is left to run out by itself.
        """

    def heal(self, now: int) -> list[Job]:
        """Make quarantined jobs active again that can be restored now; return them."""
        return [job for healed, _ in self.heal_in_steps(now) for job in healed]

    def heal_in_steps(self, now: int) -> Iterator[tuple[list[Job], int]]:
        """Do what :meth:`heal` does, a few jobs at a time, which takes some 20 milliseconds at most; due jobs go first in between.

        The engine asks for steps, or for the whole where a subclass overrides only that; each step is done when it is asked for.

        :return: for each step the healed jobs, and how many are left to be looked at: of very many :data:`COUNTED`
        """
        return iter(())

    def recount(self, jobs: Sequence[Job]) -> None:
        """Compare the counts of running runs of some jobs with the ledger; put right what is wrong, in the store and on the jobs.

        Called before a time is skipped because of such a count. The version of a job stays as it is.

        :param jobs: jobs as :meth:`due` returned them; their ``running`` is set to what the ledger says
        """
        if type(self).claim is not BaseJobStore.claim:
            return  # it has a ledger of its own, and counts there
        with self._ledger.lock:
            under_way = self._ledger.count_under_way(job.id for job in jobs)
            for job in jobs:
                job.running = under_way[job.id]
                self._ledger.set_running(job.id, job.running)

    def mend(self, now: int) -> tuple[list[Job], list[Run]]:
        """Look for damage that no other step meets; return all that :meth:`mend_in_steps` returns."""
        steps = list(self.mend_in_steps(now))
        return [job for jobs, _ in steps for job in jobs], [run for _, runs in steps for run in runs]

    def mend_in_steps(self, now: int) -> Iterator[tuple[list[Job], list[Run]]]:
        """Do what :meth:`mend` does, in steps like those of :meth:`heal_in_steps`.

        That is: jobs that are never due because of what is stored of them; runs that neither are under way nor have ended, or whose
        keys no node can name, which get an end; counts of running runs that the ledger contradicts, which are put right.

        :param now: instant
        :return: for each step jobs of the first kind, with ``state`` "quarantined" and the reason in ``error`` (the caller claims
            the decision), and the runs that got an end (status "lost")
        """
        with self._ledger.lock:
            for job_id in self._ledger.waiting_in_vain():
                self._let_go(job_id)
        return iter(())

    def prune(self, now: int) -> None:
        """Delete the ledger records that are beyond the bounds of retention."""
        for _ in self.prune_in_steps(now):
            pass

    def prune_in_steps(self, now: int) -> Iterator[int]:
        """Do what :meth:`prune` does, in steps like those of :meth:`heal_in_steps`.

        :return: for each step how many records are left to be deleted, as far as is known: of very many :data:`COUNTED`
        """
        return iter(())  # the ring bounds itself

    def living_nodes(self, now: int) -> int | None:
        """Return how many nodes hold a lease that is not over; None: the store cannot tell.

        :param now: instant
        """
        return None

    def overdue(self, now: int, executors: Iterable[str]) -> dict[str, int]:
        """Return, for each executor alias that is not among ``executors``, how many due jobs wait for it.

        Of very many jobs :data:`COUNTED` are counted, and of very many aliases :data:`ALIASES`.
        """
        known = set(executors)
        waiting: dict[str, int] = {}
        for job in self.get_due_jobs(moment(now)):  # others may cost much, or change what is stored
            due = job.next_due
            if job.state == ACTIVE and due is not None and due <= now and job.executor not in known:
                waiting[job.executor] = waiting.get(job.executor, 0) + 1
        return waiting

    def on_wake(self, wake: Callable[[], None]) -> None:  # noqa: B027  # stores without push have nothing to call
        """Give the store a function to call when another process changed something that is due soon."""

    # -- the clock -----------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Return the current instant by the clock that counts for this store's jobs: the server's where it has one.

        It is what is planned by, judged late by and leased by. A store without such a clock takes the scheduler's. It asks
        nobody: what :meth:`measure_clock` has measured last still counts while the store is away.
        """
        offset = self._offset
        try:
            clock: Clock = self._scheduler.clock
        except AttributeError:
            clock = self.clock
        return clock.now() if offset is None else offset.now(clock)

    def measure_clock(self) -> int:
        """Measure anew how far the server's clock is ahead; a scheduler calls it after an outage or a suspension.

        A store measures as well when it starts, and whenever it renews a lease.

        :return: by how many microseconds :meth:`now` has moved; 0 where there is no such clock
        """
        return 0

    @property
    def clock_offset(self) -> int | None:
        """Microseconds that the store's clock is ahead of this node's; None if it has none, or it was not measured."""
        offset = self._offset
        return None if offset is None else offset.against(self.clock)

    def _measure(self, ask: Callable[[], int | None]) -> int:
        """Compare the server's clock with this node's; a virtual clock is everybody's.

        :param ask: returns the server's time (instant), None if it cannot tell
        :return: by how many microseconds :meth:`now` has moved
        """
        offset, clock = self._offset, self.clock
        return 0 if offset is None or clock.virtual else offset.measure(ask, clock)

    def _time_from(self, now: int) -> Callable[[], int]:
        """Return what tells the instant ``now`` as time goes on, for what may be held up between one step and the next."""
        clock, began = self.clock, self.clock.monotonic()
        return lambda: now + clock.monotonic() - began

    @property
    def clock(self) -> Clock:
        """The clock of the scheduler that this store belongs to."""
        found: Clock = getattr(self._scheduler, "clock", None) or SYSTEM_CLOCK
        return found

    @property
    def _ledger(self) -> MemoryLedger:
        # Third-party stores need not call our __init__().
        ledger: MemoryLedger | None = self.__dict__.get("_memory_ledger")
        if ledger is None:
            ledger = self.__dict__.setdefault("_memory_ledger", MemoryLedger())
        return ledger

    def _update_legacy(self, job: Job, decision: Decision) -> None:
        if decision.next_due == HELD:
            # A store of eight methods knows one time only: the job is paused there, and remembered here.
            self._ledger.held[job.id] = decision.next_nominal
            job.set_next(None)
        elif decision.state == QUARANTINED:
            job.set_next(None)
        self.update_job(job)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


without(
    BaseJobStore,
    *("_get_jobs", "_jobs_index", "_get_job_index", "_reconstitute_jobs", "_ensure_paths", "_ensured_path"),
)


def page(jobs: Sequence[Job], state: Collection[str] | None, limit: int | None, offset: int) -> list[Job]:
    """Return a page of the jobs that have one of these states; see :meth:`BaseJobStore.select_jobs`."""
    found = [job for job in jobs if state is None or job.state in state]
    return found[offset : None if limit is None else offset + limit]
