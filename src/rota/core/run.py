"""One run: a nominal time being carried out, and the record that it leaves in the ledger.

Pure data and its life cycle. It may not call the job, read the clock or know a store.
"""

from __future__ import annotations

from datetime import date, datetime, time
from weakref import WeakValueDictionary

from ..clock import moment
from ..errors import NoResultError, RunFailedError, RunNotInHandError, RunTimedOutError
from ..texts import repr_of, shortened, text_of, type_name
from .states import CANCELLED, CLAIMED, FAILED, LOST, SUCCEEDED, TIMED_OUT, WAITING, end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo
    from typing import Any, ClassVar, Protocol

    from ..job.handle import Job
    from .beats import Listeners, Said
    from .details import Attempt
    from .extras import Extra

    #: what a job wants after an attempt: why it waits ("retry", "snoozed"), and how long (microseconds; None: as the policy says)
    Wish = tuple[str, int | None, str | None]

    class ShowsTime(Protocol):
        """A clock, or a store, as it knows its server's."""

        def now(self) -> int:
            """Return the current instant."""

    class Watch(Protocol):
        """Who watches how long the runs of one store take, on the node that has them."""

        def begin(self, run: Run) -> None:
            """Take note that an attempt begins now. Thread-safe; it does not wait, and raises nothing."""

        def forget(self, run: Run) -> None:
            """Take note that it has not begun after all."""

        def is_over(self, run: Run) -> bool:
            """Whether the time of the attempt is over, and it goes on."""

        def of_copy(self, run: Run) -> Watch:
            """Return who watches a copy of the run, which its job sees in its place."""


#: Who knows who listens to what the runs of a node say: its engine, by the id of the node; in a worker process, by None.
heard: WeakValueDictionary[str | None, Listeners] = WeakValueDictionary()
#: The wish of a run that has ended for good whatever its policy is: nobody waits for it any more, and it may still go on.
LAST: Wish = ("last", None, None)
#: The reason of the call of what a job wants to be told of failures; it is in no ledger.
ON_FAILURE = "on_failure"

#: The states of a run that has not ended.
_UNFINISHED = (CLAIMED, WAITING)
#: The states in which the last attempt of a run has come to nothing.
_TRIED = (WAITING, FAILED, TIMED_OUT, LOST)

#: Strings and integers up to these lengths are kept as they are.
_SHORT = 1_000
_FEW_BITS = 64
#: What is nested deeper in a return value, and longer integers, are not data for every JSON library.
_MAX_DEPTH = 100
_MAX_BITS = 14_000


class Permission:
    """What the runs of a node need to start: its lease, as far as the node knows. Each renewal moves its end on.

    :param until: when it ends, on the monotonic clock (microseconds)
    :param clock: the clock that counts for the times of these runs: their store's; None: that of whoever carries them out
    """

    __slots__ = ("clock", "until")

    def __init__(self, until: int, clock: ShowsTime | None = None) -> None:
        self.until = until
        self.clock = clock


#: The permission of runs that another node has taken over: they never start here.
GONE = Permission(-(2**63))


class Run:
    """A run, from its claim to its record in the ledger. Times are instants (microseconds, UTC).

    A record of times that did not run stands for a range: ``nominal`` is the first, ``last`` the last of ``count``.

    :ivar timezone: the zone in which a scheduler shows the times of its records; a run under way has its job's
    """

    __slots__ = (
        "attempt",
        "cancelled",
        "claimed_at",
        "count",
        "due",
        "error",
        "error_type",
        "exception",
        "executor",
        "extra",
        "finished_at",
        "func",
        "job",
        "job_id",
        "kept",
        "last",
        "name",
        "nominal",
        "owner",
        "parts",
        "pauses",
        "permission",
        "reason",
        "retval",
        "said",
        "signature",
        "started_at",
        "status",
        "then",
        "timezone",
        "traceback",
        "watch",
        "wish",
    )

    timezone: tzinfo | None
    #: what is kept beside the record by the names of the parts, where it was asked for; see :mod:`rota.core.details`
    parts: Mapping[str, str]
    #: what only some runs have; others have no such attribute
    extra: Extra
    #: what the run has said of itself while it runs; others have no such attribute
    said: Said
    #: of a run whose end has paused its job: why, in words, and the revision of the job; others have no such attribute
    pauses: tuple[str, int]
    #: what the job wants to become of it after an attempt that came to nothing; others have no such attribute
    wish: Wish
    #: whether any run of this process has said something
    some_say: ClassVar[bool] = False
    #: whether any run of this process may be tried again
    some_again: ClassVar[bool] = False
    #: who watches how long it takes, where its job has a limit; others have no such attribute
    watch: Watch

    def __init__(
        self, job_id: str, nominal: int, due: int, job: Job | None = None, executor: str = "default"
    ) -> None:
        self.job_id = job_id
        self.nominal = nominal
        self.due = due
        self.job = job
        #: alias of the executor that carries the run out
        self.executor = executor
        self.last = nominal
        self.count = 1
        #: 1 for the first try; it is the fence that a node presents to finish the run
        self.attempt = 1
        self.status = CLAIMED
        #: why there is this run ("manual"), or why it ended as it did, where the status alone does not tell
        self.reason: str | None = None
        #: the node that claimed the run
        self.owner: str | None = None
        self.claimed_at: int | None = None
        self.started_at: int | None = None
        self.finished_at: int | None = None
        self.retval: Any = None
        #: what the ledger keeps of a return value that is not kept as it is: its text, and the value of that
        self.kept: tuple[str, Any] | None = None
        self.exception: BaseException | None = None
        self.error_type: str | None = None
        self.error: str | None = None
        self.traceback: str | None = None
        #: name of the job and reference of its callable, in a record
        self.name: str | None = None
        self.func: str | None = None
        #: what vouches for a run that was asked for or given back, in a store with a key
        self.signature: str | None = None
        #: True once somebody asked the run to stop; a long job looks at it now and then
        self.cancelled = False
        #: what whoever is about to start the run asks for; None: nothing, as its store knows no leases
        self.permission: Permission | None = None
        #: the run of the same job that is executed after this one (missed times that are not coalesced)
        self.then: Run | None = None

    @property
    def id(self) -> str:
        """The run's name: job id, nominal instant and attempt."""
        return f"{self.job_id}@{self.nominal}#{self.attempt}"

    @property
    def scheduled_run_time(self) -> datetime:
        """The nominal time as an aware datetime, in the zone of the job's trigger or the scheduler."""
        return self._shown(self.nominal)

    @property
    def origin(self) -> str:
        """Where the run comes from: "schedule", "manual" (somebody asked for it), "after" another run, or "backfill"."""
        extra = getattr(self, "extra", None)
        return "schedule" if extra is None else extra.origin

    @property
    def tries(self) -> int:
        """How many of its attempts have failed, timed out or died with their node."""
        extra = getattr(self, "extra", None)
        uncounted = 0 if extra is None else extra.uncounted
        # The number of an attempt tells of those before it, so that a node that dies need not have written anything.
        under_way = self.status not in _TRIED and not (self.status == CANCELLED and self.owner is None)
        return max(self.attempt - uncounted - under_way, 0)

    @property
    def waiting_for(self) -> str | None:
        """Why the run waits, if it does: "retry", "snoozed", "rerun", "backfill", "after", "manual"."""
        extra = getattr(self, "extra", None)
        return None if extra is None or self.status != WAITING else extra.waiting_for

    @property
    def not_before(self) -> datetime | None:
        """When the run may start, if it waits."""
        extra = getattr(self, "extra", None)
        return None if extra is None or extra.not_before is None else self._shown(extra.not_before)

    @property
    def parent(self) -> str | None:
        """The run whose end has started this one (origin "after"), by its ``id``: job, nominal instant and attempt."""
        extra = getattr(self, "extra", None)
        return None if extra is None else extra.parent

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts that are known, oldest first: the first one and the newest nine."""
        from .details import attempts_of  # rare

        return attempts_of(self, getattr(self, "parts", {}))

    @property
    def log(self) -> str | None:
        """What the job logged or printed while it ran, as far as that is kept (``keep_log``)."""
        return getattr(self, "parts", {}).get("log")

    @property
    def note(self) -> str | None:
        """What the job said of its progress last."""
        return getattr(self, "parts", {}).get("note")

    @property
    def progress(self) -> float | None:
        """How far the job has got, from 0 to 1, as it said last; None: it has not said."""
        from .details import progress_of  # rare

        return progress_of(getattr(self, "parts", {}))

    @property
    def last_heartbeat(self) -> datetime | None:
        """When the job called ``heartbeat()`` last, as far as that is stored (aware datetime); None: it has not called it."""
        from .details import beat_of  # rare

        at = beat_of(getattr(self, "parts", {}))
        return None if at is None else self._shown(at)

    @property
    def timeout_at(self) -> datetime | None:
        """About when the time of the attempt is over (``timeout``), or None: it has not started, or may take any time.

        It is an estimate: what counts is the monotonic clock, without the time in which the machine sleeps.
        """
        timeout = self.job.policy.timeout if self.job is not None else None
        return None if timeout is None or self.started_at is None else self._shown(self.started_at + timeout)

    @property
    def past_timeout(self) -> bool:
        """Whether the time of the attempt is over (``timeout``, ``heartbeat_timeout``): it ends as "timed_out" in any case."""
        watch = getattr(self, "watch", None)
        return self.status == TIMED_OUT or (watch is not None and watch.is_over(self))

    @property
    def deadline(self) -> datetime | None:
        """The time after which the run would not be started any more (``expires``), or None."""
        expires = self.job.policy.expires if self.job is not None else None
        return None if expires is None else self._shown(self.due + expires)

    def _shown(self, instant: int) -> datetime:
        # Nearly nobody asks, so a run does not know its zone before.
        try:
            timezone = getattr(self, "timezone", None)
            if timezone is None:
                timezone = getattr(getattr(self.job, "trigger", None), "timezone", None)
            return moment(instant) if timezone is None else moment(instant, timezone)
        except Exception:  # a zone that fails must not cost more than itself
            return moment(instant)

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, or None while there is no end."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at) / 1_000_000

    @property
    def ended(self) -> bool:
        """Whether the run has reached one of the end states."""
        return self.status not in _UNFINISHED

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until a run that ``run_job()`` returned has ended, on whatever node that shares the store.

        The end of a run that this process carries out is told at once; others are looked for in the store, up to once a second.

        :param timeout: the longest wait (seconds); None: any time
        :return: True once it has ended, whatever the end; False if it has not by then
        :raises WouldBlockError: on the thread of an event loop; or in a job, if the run is to start in the same executor, of which
            no worker is free
        :raises NoResultError: if its record is gone
        :raises RunNotInHandError: if this is only a record, and it has not ended
        """
        if not self.ended:
            raise RunNotInHandError(self.id, "waited for", "wait for the run that run_job() returned")
        return True

    def result(self, timeout: float | None = None) -> Any:
        """Wait as :meth:`wait` does, and return what the job returned.

        That is the object itself if this process has carried the run out, else what the ledger keeps of it.

        :param timeout: the longest wait (seconds); None: any time
        :raises TimeoutError: if the run has not ended by then
        :raises NoResultError: if it was missed, skipped, cancelled or lost
        :raises RunFailedError: (a NoResultError) if it has failed in another process, with type and text of its error; else the
            exception itself is raised
        """
        self.wait(timeout)
        return outcome_of(self)

    def cancel(self, reason: str = "cancelled") -> None:
        """Ask the run to stop; the job sees it as ``current_run().cancelled``. A run that has ended stays as it is.

        One that ``run_job()`` returned is cancelled wherever it is, as by ``cancel_run()``.

        :param reason: why, in words
        :raises RunNotInHandError: (a RuntimeError) if this is a record of a durable store, which nobody who runs the job looks at
        """
        if self.job is None and not self.ended:
            raise RunNotInHandError(
                self.id, "cancelled", "call scheduler.cancel_run(job_id, run.scheduled_run_time)"
            )
        self.cancelled = True

    def heartbeat(self, progress: float | None = None, note: str | None = None) -> None:
        """Say that the job is alive, how far it has got, and what it does; for ``current_run()`` inside the job.

        It may be called at any pace, from any thread of the job: it keeps the newest values in memory and returns at once.
        The node writes them into the store about once a second, where :meth:`get_run` and ``rota top`` show them. After the end of
        the run it does nothing.

        :param progress: a number from 0 to 1; None: as it was
        :param note: a text, of which 1,024 bytes are kept; None: as it was
        :raises HeartbeatError: (a ValueError and TypeError) if they are something else
        """
        if progress is not None and not (type(progress) is float and 0.0 <= progress <= 1.0):
            from .beats import checked_progress  # rare

            progress = checked_progress(progress)
        if note is not None and not (type(note) is str and len(note) <= _SHORT):
            from .beats import checked_note  # rare

            note = checked_note(note)
        if self.status != CLAIMED:
            return
        said = getattr(self, "said", None)
        if said is None:
            said = said_by(self)
        said.beat(progress, note)

    def to_dict(self) -> dict[str, Any]:
        """Return the ledger record as JSON-able data (times are ISO 8601, UTC)."""
        return {
            "job_id": self.job_id,
            "name": self.name,
            "func": self.func,
            "scheduled": moment(self.nominal).isoformat(),
            "last_scheduled": moment(self.last).isoformat(),
            "count": self.count,
            "due": moment(self.due).isoformat(),
            "attempt": self.attempt,
            "status": self.status,
            "origin": self.origin,
            "parent": self.parent,
            "reason": self.reason,
            "node": self.owner,
            "executor": self.executor,
            "claimed": _iso(self.claimed_at),
            "started": _iso(self.started_at),
            "finished": _iso(self.finished_at),
            "duration": self.duration,
            "result": _plain(self.retval if self.kept is None else self.kept[1]),
            "error_type": self.error_type,
            "error": self.error,
            "traceback": self.traceback,
        }

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.status}>"


def said_by(run: Run) -> Said:
    """Return what a run has said of itself, after which it can say more."""
    said: Said | None = getattr(run, "said", None)
    if said is None:
        from .beats import begun  # import time: most runs say nothing

        known = heard.get(None) or heard.get(run.owner)
        said = begun(run, None if known is None else known.listener_of(run))
    return said


def fail(run: Run, exception: BaseException, traceback: str, now: int) -> None:
    """End a run with the exception that it raised."""
    end(run, FAILED, run.reason, now)
    run.exception = exception
    run.error_type = type_name(exception)
    run.error = shortened(text_of(exception))
    run.traceback = shortened(traceback)


def outcome_of(run: Run) -> Any:
    """Return what a run that has ended has returned, as far as that is known.

    :raises NoResultError: if it has not succeeded, a :class:`RunFailedError` if it has failed or timed out
    """
    if run.status == SUCCEEDED:
        return run.retval
    if run.exception is not None:
        raise run.exception
    if run.status in (FAILED, TIMED_OUT):
        raise (RunFailedError if run.status == FAILED else RunTimedOutError)(
            run, f"{run.status}: {run.error_type or 'an error'}: {run.error or 'nothing is known of it'}"
        )
    raise NoResultError(
        run, f"ended without a result: {run.status}{f' ({run.reason})' if run.reason else ''}"
    )


def time_of(run: Run, clock: ShowsTime) -> int:
    """Return the current instant by the clock that counts for a run.

    :param clock: the clock of whoever carries it out, which counts where its store has none of its own
    """
    permission = run.permission
    own = None if permission is None else permission.clock
    return clock.now() if own is None else own.now()


def is_expired(run: Run, now: int) -> bool:
    """Whether the run has waited longer than its job's ``expires`` allows; only the first start of a scheduled time is judged."""
    expires = run.job.policy.expires if run.job is not None else None
    return expires is not None and now - run.due > expires and run.attempt <= 1 and run.origin == "schedule"


def asked_to_stop(run: Run) -> str | None:
    """Return why somebody has asked a run to stop, None if nobody has."""
    extra = getattr(run, "extra", None)
    return None if extra is None else extra.cancel


def label(run: Run) -> None:
    """Let a run keep the name of its job and the reference of its callable, as its job is about to be let go."""
    job = run.job
    if job is not None:
        run.name, run.func = job.name, job.func_ref


def is_plain(value: Any) -> bool:
    """Whether a return value is short, and of a kind that cannot be changed: every ledger keeps it as it is."""
    kind = type(value)
    if kind is str:
        return len(value) <= _SHORT
    if kind is int:
        return bool(value.bit_length() <= _FEW_BITS)
    return value is None or kind is bool or kind is float


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a value as data that every JSON library writes, for people and their tools: dates, numbers and ids as texts."""
    kind = type(value)
    if value is None or kind is bool or kind is str or (kind is int and value.bit_length() <= _MAX_BITS):
        return value
    if kind is float:
        return value if value - value == 0 else repr(value)  # JSON has no nan and inf
    if depth < _MAX_DEPTH:
        if kind in (list, tuple, set, frozenset):
            return [_plain(item, depth + 1) for item in value]
        if kind is dict:
            return {
                key if type(key) is str else text_of(key): _plain(item, depth + 1)
                for key, item in value.items()
            }
    if kind in (datetime, date, time):
        try:
            text: str = value.isoformat()
            return text
        except Exception:  # the time zone may be anybody's
            return repr_of(value)
    return text_of(value) if kind.__module__ in ("decimal", "uuid") else repr_of(value)


def _iso(instant: int | None) -> str | None:
    return None if instant is None else moment(instant).isoformat()
